/* train/overlap.h - section `dist` of a configuration applied to a model and its updater: how gradients travel. */
#ifndef BNF_TRAIN_OVERLAP_H
#define BNF_TRAIN_OVERLAP_H

#include <banff/dist.h>

#include "dist/tune.h"
#include "train/model.h"

typedef struct bnf_overlap {
    const bnf_job *job;
    const bnf_comm *comm;
    int threads;
    const int *owner;
    bnf_model *model;
    bnf_updater *updater;
    bnf_tuner tuner;
    bnf_choice planned; /* what the model's plan and the updater are made for */
} bnf_overlap;

/* Number of cuts that the first plan of a training has (model.cuts). */
int bnf_overlap_first_cuts(const bnf_job *job, const bnf_comm *comm);

/* With job, comm, threads, owner, model (planned with those cuts) and updater filled in, all borrowed: attaches the
 * updater. Collective. Errors: BNF_ERR_CONFIG (dist.progress: thread without an MPI that can), BNF_ERR_MEMORY. */
bnf_status bnf_overlap_begin(bnf_overlap *overlap);

/* After each step, with its time; compiles another plan and attaches the updater again while candidates are tried.
 * Logs the choice. Collective. */
bnf_status bnf_overlap_step(bnf_overlap *overlap, double seconds);

#endif
