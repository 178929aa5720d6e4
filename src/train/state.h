/* train/state.h - a run's state in a checkpoint.
 *
 *   params/NAME           effective weights and states, f32: all that evaluation needs
 *   owner/NAME/raw        raw weight, where a constraint makes the effective one
 *   owner/NAME/<state>    optimiser's arrays; owner/NAME/reparam: the constraint's state (f64)
 *   sums                  f64, what the loop has added up since its last line of metrics and since the epoch began
 *   attributes            step, config (what decides results), data (what the set is), weights (bnf_state_hash)
 *
 * Every rank writes what it owns into a part of its own; sums and attributes are in the checkpoint itself. */
#ifndef BNF_TRAIN_STATE_H
#define BNF_TRAIN_STATE_H

#include <banff/data.h>
#include <banff/dist.h>
#include "ckpt/checkpoint.h"
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

/* Written by train/saver.h. An owner's arrays begin with this number: 0 is the raw weight, which is left out where it
 * is the effective one. */
int bnf_state_first_array(const bnf_params *params, int param);
/* What an array of a parameter is called in a checkpoint; array -1: the effective weight. */
void bnf_state_array_name(const bnf_params *params, const bnf_updater *updater, int param, int array, char *name,
                          size_t size);
/* One line that tells two data sets apart. */
bnf_status bnf_state_describe_data(const bnf_dataset_info *data, bnf_buf *text);

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
/* The same of bnf_params_raw: the weights that a training begins with. Not collective. */
void bnf_state_hash_raw(bnf_params *params, char *hash);
/* The same from the checksums of all params/NAME. */
void bnf_state_hash_checksums(const int64_t *checksum, int n, char *hash);

#endif
