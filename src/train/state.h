/* train/state.h - a run's state in a checkpoint.
 *
 *   params/NAME           effective weights and states, f32: all that evaluation needs
 *   owner/NAME/raw        raw weight, where a constraint makes the effective one
 *   owner/NAME/<state>    optimiser's arrays; owner/NAME/reparam: the constraint's state (f64)
 *   sums                  f64, what the loop has added up since its last line of metrics and since the epoch began
 *   attributes            step, config (what decides results), data (what the set is), weights (bnf_state_hash) */
#ifndef BNF_TRAIN_STATE_H
#define BNF_TRAIN_STATE_H

#include <banff/data.h>
#include <banff/dist.h>
#include "train/job.h"

/* What a checkpoint is made of. All borrowed. */
typedef struct bnf_state {
    const bnf_job *job;
    const bnf_comm *comm;
    bnf_params *params;
    bnf_updater *updater;
    const bnf_dataset_info *data; /* training part */
    double *sums;                 /* [n_sums] written by bnf_state_resume */
    int64_t n_sums;
} bnf_state;

/* Writes the state after `step` finished steps into `folder` and removes old checkpoints. Collective. Errors: those
 * of ckpt/checkpoint.h, the same on every rank; older checkpoints are intact. */
bnf_status bnf_state_save(const bnf_state *state, const char *folder, int64_t step);
/* Newest sound checkpoint of a folder, for all ranks; what was refused is logged as a warning. Collective. [out] path
 * owned, NULL if there is none at all. Errors: BNF_ERR_FORMAT if there are some and none is sound. */
bnf_status bnf_state_find(const bnf_comm *comm, const char *folder, char **path);
/* Continues from a checkpoint. Collective. Errors: BNF_ERR_CONFIG if the configuration differs in what decides
 * results (names the first line) or the data set is another one, BNF_ERR_FORMAT; BNF_ERR_NUMERIC if this machine
 * computes other effective weights from the raw ones than are stored. */
bnf_status bnf_state_resume(const bnf_state *state, const char *path, int64_t *step);
/* Only params/NAME, for evaluation: not collective, every rank reads. Errors: BNF_ERR_FORMAT naming the parameter. */
bnf_status bnf_state_load_params(bnf_params *params, const char *path, int64_t *step);
/* XXH3 over all params/NAME in their order: equal weights have equal text. hash[17]. */
void bnf_state_hash(bnf_params *params, char *hash);

#endif
