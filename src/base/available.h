/* base/available.h - how much memory this computer has left. */
#ifndef BNF_BASE_AVAILABLE_H
#define BNF_BASE_AVAILABLE_H

#include <stdint.h>

/* Bytes that this process can still be given without swapping, as far as the operating system tells: what the kernel
 * calls available, less what limits of the process (ulimit -v) and its control group (version 2) leave. INT64_MAX if
 * nothing is known. Other processes on the host draw on the same memory. */
int64_t bnf_available_bytes(void);

#endif
