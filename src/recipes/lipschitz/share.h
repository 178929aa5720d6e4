/* recipes/lipschitz/share.h - samples shared out among ranks: consecutive ones, in the order of ranks. */
#ifndef BNF_RECIPES_LIPSCHITZ_SHARE_H
#define BNF_RECIPES_LIPSCHITZ_SHARE_H

#include "report/progress.h"
#include "train/run.h"

/* Of `total` samples in order, this rank's: [lo, hi). */
void bnf_lipschitz_share(const bnf_comm *comm, int64_t total, int64_t *lo, int64_t *hi);

/* The most that a rank has. */
int64_t bnf_lipschitz_share_most(const bnf_comm *comm, int64_t total);

/* `bytes` for every sample: mine[hi - lo] of every rank -> all[total] on every rank. Collective. Errors:
 * BNF_ERR_MEMORY, BNF_ERR_COMM; the same on every rank. */
bnf_status bnf_lipschitz_share_gather(const bnf_comm *comm, int64_t total, size_t bytes, const void *mine, void *all);

/* A progress line for ranks that take `round` of their samples at a time. out NULL: none. [out] progress owned. */
bnf_status bnf_lipschitz_share_progress(const bnf_run *run, FILE *out, int64_t total, int64_t round,
                                        bnf_progress **progress);
/* `rounds` are done. */
void bnf_lipschitz_share_done(bnf_progress *progress, int64_t rounds);

#endif
