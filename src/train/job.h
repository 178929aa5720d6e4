/* train/job.h - a configuration, read and checked: what `banff train CONFIG` is asked to do. */
#ifndef BNF_TRAIN_JOB_H
#define BNF_TRAIN_JOB_H

#include <banff/comm.h>
#include <banff/optim.h>

#include "optim/optim_config.h"
#include "train/data_config.h"
#include "train/recipe.h"

/* How a run is carried out: nothing here changes its results. */
typedef struct bnf_run_settings {
    char *folder;
    int64_t threads;          /* 0: OMP_NUM_THREADS, or the processors that this rank may use */
    int64_t log_every;        /* steps between lines of metrics */
    int64_t eval_every;       /* epochs; 0: only at the end */
    int64_t checkpoint_every; /* steps; 0: at the end of every epoch */
    int64_t keep;             /* checkpoints */
    bool checkpoint_background;
    int progress;     /* bnf_progress_mode */
    char *time_limit; /* train/limit.h */
    int64_t watchdog; /* seconds; 0: off */
    bool eager, reference;
    int recompute;            /* bnf_recompute */
    int64_t recompute_blocks; /* 0: all */
    int64_t profile;          /* steps to record; 0: none */
    int64_t profile_spans;    /* operations and additions per thread at most; 0: as many as there are */
} bnf_run_settings;

typedef enum bnf_nonfinite { BNF_NONFINITE_STOP = 0, BNF_NONFINITE_SKIP } bnf_nonfinite;

/* As what gradients are added over leaves and sent. */
typedef enum bnf_gradient_wire { BNF_WIRE_F32 = 0, BNF_WIRE_BF16 } bnf_gradient_wire;

/* What values inside the network are in training. */
typedef enum bnf_precision { BNF_PRECISION_F32 = 0, BNF_PRECISION_BF16 } bnf_precision;

/* Whether the first convolution of sparse sets computes active sites alone. */
typedef enum bnf_sparse_input { BNF_SPARSE_AUTO = 0, BNF_SPARSE_ON, BNF_SPARSE_OFF } bnf_sparse_input;

typedef struct bnf_train_settings {
    int64_t epochs;
    int64_t steps;           /* stop after this many; 0: after all epochs */
    int nonfinite;           /* bnf_nonfinite */
    int64_t nonfinite_limit; /* updates left out in a row; 0: any number */
    int precision;           /* bnf_precision */
    int gradient_wire;       /* bnf_gradient_wire */
    int sparse_input;        /* bnf_sparse_input */
    char *weights;           /* file of start weights; "": drawn from the seed */
    int64_t shared_above;    /* elements above which all ranks own a parameter together; 0: never */
} bnf_train_settings;

/* How gradients and new values travel between ranks: nothing here changes results. */
enum { BNF_DIST_CHOOSE = 3 }; /* progress: behind the values of bnf_dist_progress */
typedef struct bnf_dist_settings {
    int progress;  /* bnf_dist_progress or BNF_DIST_CHOOSE */
    int algorithm; /* bnf_dist_config */
    int64_t cuts;  /* bnf_plan_config; -1: chosen */
    int64_t bucket;
    double poll_interval;
} bnf_dist_settings;

typedef struct bnf_job {
    const bnf_recipe *recipe;
    char *recipe_name;
    int64_t seed;
    bnf_run_settings run;
    bnf_data_settings data;
    bnf_train_settings train;
    bnf_dist_settings dist;
    bnf_optim_config optim;
    void *settings; /* the recipe's */
    bnf_cfg_section sections[9 + BNF_RECIPE_MAX_SECTIONS];
    int n_sections;
} bnf_job;

/* Reads a configuration; collective: rank 0 reads the file, all get the same. recipes: NULL-terminated list.
 * overrides: "key=value". [out] job owned, release with bnf_job_destroy. Errors: BNF_ERR_IO, BNF_ERR_CONFIG with
 * file, line and column, the key and what would be valid; the same status on every rank. */
bnf_status bnf_job_load(const bnf_comm *comm, const bnf_recipe *const *recipes, const char *path,
                        const char *const *overrides, int n_overrides, bnf_job **job);
void bnf_job_destroy(bnf_job *job);

/* Every key of every recipe with its meaning. */
bnf_status bnf_job_help(const bnf_recipe *const *recipes, bnf_buf *text);

/* The resolved configuration as YAML; `results_only`: without the sections `run` and `dist` and keys that are `free`
 * (base/config.h), so that two jobs with equal text give equal weights. */
bnf_status bnf_job_dump(const bnf_job *job, bool results_only, bnf_buf *text);

#endif
