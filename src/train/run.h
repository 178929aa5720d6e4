/* train/run.h - a run: its folder, training, and opening it again afterwards.
 *
 *   FOLDER/config.yaml      resolved configuration          FOLDER/metrics.jsonl   one JSON object per line
 *   FOLDER/events.out...    the same for TensorBoard        FOLDER/log.txt         messages
 *   FOLDER/checkpoints/     ckpt/checkpoint.h               FOLDER/report.html     banff report
 *   FOLDER/trace/           one trace per rank              FOLDER/profile.json    where the steps' time went */
#ifndef BNF_TRAIN_RUN_H
#define BNF_TRAIN_RUN_H

#include "train/memory.h"
#include "train/model.h"
#include "train/profile.h"
#include "train/watchdog.h"

#include <stdio.h>

typedef enum bnf_resume { BNF_RESUME_NONE = 0, BNF_RESUME_AUTO, BNF_RESUME_PATH } bnf_resume;

typedef struct bnf_train_options {
    bnf_resume resume;
    const char *checkpoint; /* for BNF_RESUME_PATH */
    bool take_over;         /* the run folder, from a job that seems to be alive */
    bool overwrite;         /* start anew in a folder that has a run: its checkpoints and metrics are removed */
    FILE *out;              /* progress line; NULL: none */
    bnf_watchdog_end late;  /* tells that a rank is late (run.watchdog), and ends; NULL: nobody looks */
} bnf_train_options;

typedef struct bnf_train_result {
    int64_t step, skipped; /* finished steps; updates left out as not finite */
    double loss, accuracy; /* of the last epoch's training batches; accuracy is NaN if nothing is classified */
    double test_loss, test_accuracy; /* NaN without a test part, too */
    char weights[17];                /* bnf_state_hash */
    double seconds, samples_per_second;
    double stall_seconds;              /* of these, waiting for batches: of the rank that waited longest */
    double checkpoint_seconds;         /* of them, training was held up by checkpoints */
    int64_t planned_bytes, peak_bytes; /* memory of this rank: as planned (train/memory.h), and as the system counted */
    bnf_profile profile;               /* of run.profile, on rank 0; steps 0: none */
    const char *interrupted; /* why a checkpoint was written and the run left ("by a signal", "for the time limit"), or
                              * NULL */
} bnf_train_result;

/* Trains. Collective. Errors: BNF_ERR_CONFIG (the folder has a run and neither resume nor overwrite was asked; ranks,
 * leaves), BNF_ERR_IO, BNF_ERR_FORMAT, BNF_ERR_NUMERIC (a loss that is not finite: names step; the last checkpoint
 * stands). All ranks return the same. */
bnf_status bnf_run_train(const bnf_job *job, const bnf_comm *comm, const bnf_train_options *options,
                         bnf_train_result *result);

/* What training will take of this rank's memory: everything is made and released again, nothing is computed or written.
 * Collective. Errors: as bnf_run_train. */
bnf_status bnf_run_memory(const bnf_job *job, const bnf_comm *comm, bnf_memory *memory);

/* A trained network, opened for evaluation. */
typedef struct bnf_run {
    const bnf_comm *comm; /* borrowed */
    bnf_job *job;
    char *folder, *checkpoint;
    int threads;
    int64_t step;
    bnf_params *params;        /* effective weights */
    bnf_dataset *train, *test; /* test NULL if the file has none */
    char weights[17];
    struct bnf_run *twin; /* a second run of the same recipe on the same data, to be compared with in the report;
                           * borrowed, NULL: none */
} bnf_run;

/* Opens FOLDER (or a checkpoint file inside it: then exactly that one). Collective. [out] run owned, release with
 * bnf_run_close. */
bnf_status bnf_run_open(const bnf_comm *comm, const bnf_recipe *const *recipes, const char *path,
                        const char *const *overrides, int n_overrides, bnf_run **run);
void bnf_run_close(bnf_run *run);

/* The split's dataset. Errors: BNF_ERR_FORMAT if the file has no such split. */
bnf_status bnf_run_dataset(const bnf_run *run, bnf_split split, bnf_dataset **dataset);

/* Means over a whole split. metrics[] are the recipe's; accuracy is NaN if the network does not classify. */
typedef struct bnf_eval_result {
    int64_t samples;
    int64_t outputs; /* logits of a sample, of bnf_run_logits */
    double loss, accuracy, metrics[BNF_MODEL_MAX_METRICS];
} bnf_eval_result;

/* Called on every rank for each batch, after the model ran: e.g. to look at logits. */
typedef bnf_status (*bnf_eval_visit)(void *self, const bnf_model *model, const bnf_batch *batch);

/* Runs `model` (built for evaluation, planned) over a loader's whole epoch. Collective; the same result on every rank
 * and for any number of them. visit may be NULL. limit: samples at most, 0 = all (whole batches are run). */
bnf_status bnf_evaluate(bnf_model *model, const bnf_comm *comm, bnf_loader *loader, int64_t limit, bnf_eval_visit visit,
                        void *self, bnf_eval_result *result);

/* One of the network's values for every sample of a split. */
typedef struct bnf_run_output {
    const char *name; /* "logits", or one of bnf_model_values.outputs */
    int64_t columns;  /* values of a sample */
    float *rows;      /* [samples, columns], owned */
    /* Not NULL: the values are not kept (rows stays NULL) but handed over batch by batch, on every rank alike:
     * values[count, columns] of the samples first, first + 1, ... Collective. */
    bnf_status (*take)(void *self, int64_t first, int64_t count, int64_t columns, const float *values);
    void *self;
} bnf_run_output;

/* Evaluates a split and gathers n (maybe 0) of the network's values on every rank, in the order of the file.
 * Collective. [in,out] outputs[n]: names in; columns and rows out, release with bnf_run_outputs_release whatever the
 * result. limit: as of bnf_evaluate. Errors: BNF_ERR_ARG (no such value), and those of evaluation. */
bnf_status bnf_run_outputs(bnf_run *run, bnf_split split, int64_t limit, bnf_run_output *outputs, int n,
                           bnf_eval_result *result);
void bnf_run_outputs_release(bnf_run_output *outputs, int n);

/* The same for logits[samples, classes] alone. [out] logits owned (bnf_free). */
bnf_status bnf_run_logits(bnf_run *run, bnf_split split, int64_t limit, float **logits, int64_t *samples,
                          bnf_eval_result *result);

#endif
