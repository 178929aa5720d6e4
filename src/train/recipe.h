/* train/recipe.h - what a recipe (one paper's method) tells the training loop. Recipes are listed in cli/recipes.c. */
#ifndef BNF_TRAIN_RECIPE_H
#define BNF_TRAIN_RECIPE_H

#include <banff/data.h>
#include <banff/nn.h>

#include "base/config.h"
#include "report/html.h"

#include <stdio.h>

#define BNF_RECIPE_MAX_SECTIONS 8
#define BNF_MODEL_MAX_METRICS 8
#define BNF_MODEL_MAX_OUTPUTS 12

struct bnf_run;

/* What a recipe emits for one batch of labelled images. */
typedef struct bnf_model_values {
    bnf_val logits; /* leaf-level [N,C]. BNF_NONE: the network does not classify, and there is no accuracy */
    bnf_val loss;   /* batch-level [1]: mean over the samples that count */
    int n_metrics;  /* further batch-level scalars [1], means over the samples that count */
    struct {
        const char *name;
        bnf_val value;
    } metrics[BNF_MODEL_MAX_METRICS];
    int n_outputs; /* further leaf-level values R [N,...] that evaluation keeps: scores, latent values, pictures */
    struct {
        const char *name;
        bnf_val value;
    } outputs[BNF_MODEL_MAX_OUTPUTS];
} bnf_model_values;

/* What `banff explain` was asked for; strings as the command line gave them. */
typedef struct bnf_explain_request {
    const char *methods;        /* names with commas between; NULL: all that the recipe has for this network */
    const char *metrics;        /* the same, "all" for all; NULL: none */
    const char *const *options; /* [n_options] "key=value" */
    int n_options;
    FILE *progress; /* on rank 0: where a progress line goes; NULL: nowhere */
} bnf_explain_request;

/* What `banff score` was asked for. */
typedef struct bnf_score_request {
    bnf_split split;
    const char *out;            /* file of the scores; NULL: scores.h5 in the run folder */
    const char *const *options; /* [n_options] "key=value" */
    int n_options;
} bnf_score_request;

typedef struct bnf_recipe {
    const char *name, *summary;
    size_t settings_size; /* bytes of the recipe's settings struct, zeroed before loading */
    /* Fills sections[] whose targets point into `settings`; returns how many. */
    int (*sections)(void *settings, bnf_cfg_section *sections);
    /* Checks combinations of settings that the tables cannot. Errors: BNF_ERR_CONFIG naming the keys. */
    bnf_status (*check)(const void *settings);
    /* Emits network and loss into `scope`: x[N,H,W,C] R, labels i32 [N]. Errors stick in the graph. */
    void (*build)(const void *settings, bnf_scope *scope, bnf_val x, bnf_val labels, int64_t classes,
                  bnf_model_values *values);
    /* `banff certify`, `banff attack`: collective; results as lines of text for the user and files in the run folder.
     * NULL: the recipe has none. options: what the command line gave, "key=value". */
    bnf_status (*certify)(struct bnf_run *run, const char *const *options, int n_options, bnf_buf *text);
    bnf_status (*attack)(struct bnf_run *run, const char *const *options, int n_options, bnf_buf *text);
    /* `banff explain`: the same for pictures and metrics of why the network decides as it does. */
    bnf_status (*explain)(struct bnf_run *run, const bnf_explain_request *request, bnf_buf *text);
    /* `banff score`: the same for scores of every event of a part, and how well they tell classes apart. */
    bnf_status (*score)(struct bnf_run *run, const bnf_score_request *request, bnf_buf *text);
    /* Adds the recipe's sections to the run report; collective, html is NULL on all ranks but 0. NULL: nothing to add.
     * */
    bnf_status (*report)(struct bnf_run *run, bnf_html *html);
    /* `banff export --format onnx`: the network with its effective weights as an ONNX model; on rank 0 alone. NULL: it
     * has none. */
    bnf_status (*export_onnx)(struct bnf_run *run, const char *path);
} bnf_recipe;

#endif
