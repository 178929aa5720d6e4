/* recipes/lipschitz/metrics_cmd.h - `banff explain --metrics`: the metrics (metrics.h) of a run's network and of
 * methods of explanation (maps.h), shared out among ranks. */
#ifndef BNF_RECIPES_LIPSCHITZ_METRICS_CMD_H
#define BNF_RECIPES_LIPSCHITZ_METRICS_CMD_H

#include "recipes/lipschitz/maps.h"
#include "recipes/lipschitz/metrics.h"
#include "recipes/lipschitz/metrics_human.h"
#include "train/options.h"

/* What the options say; bnf_lipschitz_metrics_table has their names. */
typedef struct bnf_lipschitz_metrics_options {
    int64_t samples; /* the first so many of the split; more than it has: all */
    int64_t softmax, seed, steps, masks, noises, jpeg_quality, attack_steps;
    double noise, human_ceiling;
    int baseline; /* bnf_lipschitz_baseline */
    const char *human_file;
    bnf_option_reals shares;
    bnf_lipschitz_human_settings human;
} bnf_lipschitz_metrics_options;

#define BNF_LIPSCHITZ_METRICS_OPTIONS 15

/* Appends the settings of metrics to an option table: BNF_LIPSCHITZ_METRICS_OPTIONS entries at `table`. */
void bnf_lipschitz_metrics_table(bnf_lipschitz_metrics_options *options, bnf_option *table);

/* What is measured, besides the options. */
typedef struct bnf_lipschitz_metrics_request {
    const char *metrics; /* names with commas between, or "all": alignment only with a file of human maps */
    bool method[BNF_LIPSCHITZ_METHODS];
    bnf_split split;
    bool of_label; /* explain the label's class instead of the network's; a wrong one has robustness 0 */
    bnf_lipschitz_maps_settings maps;
    FILE *progress; /* on rank 0, or NULL */
} bnf_lipschitz_metrics_request;

/* Are names and values such as bnf_lipschitz_metrics_command takes? To be asked before a long computation that comes
 * first. Not collective. Errors: BNF_ERR_CONFIG. */
bnf_status bnf_lipschitz_metrics_check(bnf_run *run, const bnf_lipschitz_metrics_request *request,
                                       const bnf_lipschitz_metrics_options *options);

/* Measures, appends a table to `text` and writes RUN/explain/metrics.json, whose bytes do not depend on the numbers of
 * ranks and threads. Collective. Errors: BNF_ERR_CONFIG for unknown names and values, those of bnf_lipschitz_measure
 * and bnf_lipschitz_human_read; the same on every rank. */
bnf_status bnf_lipschitz_metrics_command(bnf_run *run, const bnf_lipschitz_net *net,
                                         const bnf_lipschitz_metrics_request *request,
                                         const bnf_lipschitz_metrics_options *options, bnf_buf *text);

#endif
