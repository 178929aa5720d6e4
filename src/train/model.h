/* train/model.h - a recipe's network as a graph and plan over labelled images, for training or evaluation. */
#ifndef BNF_TRAIN_MODEL_H
#define BNF_TRAIN_MODEL_H

#include "data/loader.h"
#include "train/job.h"

typedef struct bnf_model {
    bnf_graph *graph;
    bnf_plan *plan;
    bnf_val x, labels, weight, count;
    bnf_model_values values;
    bool training;           /* gradients, too; outputs are not kept */
    bool bf16;               /* values inside the network are bf16 */
    bool profile;            /* set before bnf_model_plan: count time per operation */
    struct bnf_spans *spans; /* set before bnf_model_plan: bnf_plan_config.spans */
    int cuts;                /* set before bnf_model_plan: bnf_plan_config.cuts */
    double active;           /* share of the images' cells that are not zero, as the set says; 1: unknown */
    bool sites;              /* set by bnf_model_plan: a convolution computes those alone (train.sparse_input) */
    bnf_val accuracy;   /* batch-level [1]: share of samples whose first largest logit is the label's; BNF_NONE without
                       * logits */
    bnf_val input_grad; /* leaf-level, like x: gradient asked for by bnf_model_want_input_gradient, else BNF_NONE */
    bnf_val inner, inner_grad; /* leaf-level: of bnf_model_want_inner_gradient, else BNF_NONE */
} bnf_model;

/* Builds the graph; parameters that the store lacks are added to it. Not collective. `batch` samples in `leaves`
 * leaves. train.precision is that of training: without `training` all is f32. */
bnf_status bnf_model_build(const bnf_job *job, bnf_params *params, const bnf_dataset_info *data, int64_t batch,
                           int64_t leaves, bool training, bnf_model *model);
/* After build: the gradient of the sum of `scalar` (leaf-level or batch-level [1]) with respect to x is kept, too. */
bnf_status bnf_model_want_input_gradient(bnf_model *model, bnf_val scalar);
/* The same with respect to `inner`, a leaf-level value between x and the logits; inner itself is kept, too. */
bnf_status bnf_model_want_inner_gradient(bnf_model *model, bnf_val inner, bnf_val scalar);
/* Compiles; the model then computes. comm borrowed. Errors: BNF_ERR_CONFIG if train.precision is bf16 on a CPU without
 * it, or if train.sparse_input is on and no convolution can follow. */
bnf_status bnf_model_plan(bnf_model *model, const bnf_job *job, const bnf_comm *comm, int threads, const int *owner);
/* What bnf_model_plan chose for sparse images, as a line for logs: "" for other images. */
const char *bnf_model_sparse_text(const bnf_model *model, char *text, size_t size);
/* Runs one batch of the loader. Collective. */
bnf_status bnf_model_run(bnf_model *model, const bnf_batch *batch, int64_t step);
/* A batch-level scalar of the last run; NaN for BNF_NONE. */
double bnf_model_scalar(const bnf_model *model, bnf_val v);
/* Frees what the struct holds; legal on a zeroed one. */
void bnf_model_release(bnf_model *model);

/* Start weights from train.weights; if that is empty, those of bnf_params_init stay. Collective. Errors: those of
 * bnf_params_read; BNF_ERR_CONFIG if ranks have read different files. All ranks return the same. */
bnf_status bnf_job_start_weights(const bnf_job *job, const bnf_comm *comm, bnf_params *params);

/* Threads of this rank: run.threads, or OMP_NUM_THREADS, or this rank's share of the processors it may use. */
int bnf_job_threads(const bnf_job *job, const bnf_comm *comm);
/* Loader for a split, for this rank's leaves. `batch`: rows of the global batch, in training bnf_data_rows.
 * `training`: sampled and augmented as configured; else in order, with the tail. Collective if data.store is memory:
 * every rank has to come here, or none. */
bnf_status bnf_job_loader(const bnf_job *job, const bnf_comm *comm, bnf_dataset *dataset, int64_t batch, int64_t leaves,
                          bool training, bnf_loader **loader);

#endif
