/* A program outside Banff's tree that uses the installed library: every rank adds its number and they check the sum. */
#include <banff/base.h>
#include <banff/comm.h>
#include <stdio.h>
#include <string.h>

static bnf_status run(void)
{
    const bnf_comm *world = bnf_comm_world();
    const int64_t rank = bnf_comm_rank(world), ranks = bnf_comm_size(world);
    int64_t sum = rank + 1;
    BNF_TRY(bnf_comm_allreduce_i64(world, BNF_COMM_SUM, &sum, 1));
    if (sum != ranks * (ranks + 1) / 2)
        return bnf_fail(BNF_ERR_NUMERIC, "the ranks' numbers add up to %lld", (long long)sum);
    if (strcmp(bnf_version(), BNF_VERSION_STRING) != 0)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "headers of %s with a library of %s", BNF_VERSION_STRING, bnf_version());
    if (rank == 0)
        printf("example: ok on %lld ranks with Banff %s\n", (long long)ranks, bnf_version());
    return BNF_OK;
}

int main(void)
{
    bnf_status s = bnf_comm_init(BNF_THREAD_FUNNELED);
    if (s == BNF_OK)
        s = run();
    if (s != BNF_OK) {
        fprintf(stderr, "example: %s: %s\n", bnf_status_name(s), bnf_error_message());
        bnf_comm_abort(1);
    }
    return bnf_comm_finalize() == BNF_OK ? 0 : 1;
}
