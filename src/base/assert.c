/* The end of a process that found a bug in itself. */
#include "base/assert.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_int process_rank = -1;

void bnf_assert_set_rank(int rank)
{
    atomic_store(&process_rank, rank);
}

int bnf_assert_rank(void)
{
    return atomic_load(&process_rank);
}

_Noreturn void bnf_assert_fail(const char *expr, const char *file, int line, const char *func)
{
    char who[32] = "";
    const int rank = bnf_assert_rank();
    if (rank >= 0)
        snprintf(who, sizeof who, " on rank %d", rank);
    /* The one message that the library prints by itself: there is nobody left to hand it to. */
    fprintf(stderr, "banff: bug%s: %s:%d: %s: assertion failed: %s\n", who, file, line, func, expr);
    fflush(stderr);
    abort();
}
