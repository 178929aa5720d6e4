/* recipes/lipschitz/share.c - samples shared out among ranks. */
#include "recipes/lipschitz/share.h"

#include "base/clock.h"
#include "base/mem.h"
#include "comm/agree.h"

#include <math.h>

/* Where the samples of a rank begin; rank may be the number of ranks. */
static int64_t start_of(int64_t rank, int64_t ranks, int64_t total)
{
    return rank * total / ranks;
}

void bnf_lipschitz_share(const bnf_comm *comm, int64_t total, int64_t *lo, int64_t *hi)
{
    int64_t ranks = bnf_comm_size(comm), rank = bnf_comm_rank(comm);
    *lo = start_of(rank, ranks, total);
    *hi = start_of(rank + 1, ranks, total);
}

int64_t bnf_lipschitz_share_most(const bnf_comm *comm, int64_t total)
{
    int64_t ranks = bnf_comm_size(comm);
    return (total + ranks - 1) / ranks;
}

bnf_status bnf_lipschitz_share_gather(const bnf_comm *comm, int64_t total, size_t bytes, const void *mine, void *all)
{
    int64_t ranks = bnf_comm_size(comm), *each;
    BNF_TRY(bnf_comm_agree(comm, bnf_alloc((size_t)ranks * sizeof *each, "samples per rank", &each)));
    for (int64_t r = 0; r < ranks; r++)
        each[r] = (start_of(r + 1, ranks, total) - start_of(r, ranks, total)) * (int64_t)bytes;
    bnf_status s = bnf_comm_allgatherv(comm, mine, each, all);
    bnf_free(each);
    return s;
}

bnf_status bnf_lipschitz_share_progress(const bnf_run *run, FILE *out, int64_t total, int64_t round,
                                        bnf_progress **progress)
{
    int64_t most = bnf_lipschitz_share_most(run->comm, total);
    bnf_progress_options p = {.out = out,
                              .mode = out ? (bnf_progress_mode)run->job->run.progress : BNF_PROGRESS_OFF,
                              .epochs = 1,
                              .steps_per_epoch = (most + round - 1) / round,
                              .samples_per_step = (most < round ? most : round) * bnf_comm_size(run->comm),
                              .plain_seconds = 30};
    return bnf_progress_create(&p, bnf_clock_seconds(), progress);
}

void bnf_lipschitz_share_done(bnf_progress *progress, int64_t rounds)
{
    bnf_progress_update(
        progress,
        &(bnf_progress_state){.step = rounds, .loss = NAN, .accuracy = NAN, .lr = NAN, .seconds = bnf_clock_seconds()});
}
