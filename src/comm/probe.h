/* comm/probe.h - what the MPI library was told: for a doctor. */
#ifndef BNF_COMM_PROBE_H
#define BNF_COMM_PROBE_H

#include <stdbool.h>
#include <stddef.h>

/* [out] value[size]  the library's setting of that name ("btl_tcp_if_include") as text, "" if it is empty. False if
 * this library has none of that name. Not collective; after bnf_comm_init. */
bool bnf_comm_setting(const char *name, char *value, size_t size);

#endif
