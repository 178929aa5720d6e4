/* recipes/lipschitz/explain_cmd.h - `banff explain`: attribution maps and counterfactuals of many samples, shared out
 * among ranks. */
#ifndef BNF_RECIPES_LIPSCHITZ_EXPLAIN_CMD_H
#define BNF_RECIPES_LIPSCHITZ_EXPLAIN_CMD_H

#include "recipes/lipschitz/maps.h"
#include "recipes/lipschitz/metrics_cmd.h"
#include "train/options.h"

/* What the command line said, the same on every rank. */
typedef struct bnf_lipschitz_explain_settings {
    bnf_split split;
    int64_t samples;  /* the first so many of the split */
    int64_t pictures; /* of them, so many get a PNG file */
    int64_t of_label; /* 1: the label's logit is explained, 0: the predicted class's */
    bnf_lipschitz_maps_settings maps;
    bnf_option_reals t; /* of counterfactuals */
    int64_t scaled;     /* 1: of gradients scaled as explain.h says */
    bool method[BNF_LIPSCHITZ_METHODS];
    bnf_lipschitz_metrics_options metrics;
    bool help;
} bnf_lipschitz_explain_settings;

/* The recipe's `explain`. */
bnf_status bnf_lipschitz_explain_command(bnf_run *run, const bnf_explain_request *request, bnf_buf *text);

#endif
