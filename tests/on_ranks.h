/* tests/on_ranks.h - the main function of a program of tests that all ranks run together. */
#ifndef BNF_TESTS_ON_RANKS_H
#define BNF_TESTS_ON_RANKS_H

#include <banff/comm.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"

/* Starts MPI, tells the file its communicator, rank and number of ranks (NULL: not), runs the group, ends MPI. Returns
 * the exit code: 0 if all passed and nothing is left allocated. A rank on which a test failed ends all of them, as the
 * others may wait where this one has given up. */
#define ON_RANKS(threads, world, rank, ranks, tests, setup, teardown) \
    on_ranks(threads, world, rank, ranks, #tests, tests, sizeof(tests) / sizeof(tests)[0], setup, teardown)

static inline int on_ranks(bnf_thread_level threads, const bnf_comm **all, int *number, int *count, const char *name,
                           const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
                           CMFixtureFunction teardown)
{
    if (bnf_comm_init(threads) != BNF_OK)
        return 1;
    *all = bnf_comm_world();
    *number = bnf_comm_rank(*all);
    if (count)
        *count = bnf_comm_size(*all);
    int failed = _cmocka_run_group_tests(name, tests, n, setup, teardown);
    if (failed && bnf_comm_size(*all) > 1)
        bnf_comm_abort(1);
    /* the communicator keeps buffers until its end */
    return bnf_comm_finalize() != BNF_OK || failed + (int)bnf_mem_live_blocks() != 0;
}

#endif
