/* comm/limit.h - where messages are too large for MPI's int counts; lowered by tests to reach that code with small
 * ones. */
#ifndef BNF_COMM_LIMIT_H
#define BNF_COMM_LIMIT_H

#include <stdint.h>

/* Larger messages are described by a made-up MPI type. 1 <= bytes <= 2^30; the value at start is 2^30. Same on all
 * ranks. */
void bnf_comm_set_message_limit(int64_t bytes);

#endif
