/* recipes/dark_showers/figures.h - how well each score tells each signal class from class 0, the background. */
#ifndef BNF_RECIPES_DARK_SHOWERS_FIGURES_H
#define BNF_RECIPES_DARK_SHOWERS_FIGURES_H

#include "recipes/dark_showers/events.h"
#include "report/roc.h"

typedef struct bnf_dark_figure {
    double auc;            /* below 0.5: the score is higher for background */
    double fpr;            /* at the TPR asked for */
    bnf_roc_binned binned; /* within bins of hits */
} bnf_dark_figure;

typedef struct bnf_dark_figures {
    int64_t classes;
    int scores;
    bool any;                /* there are events both of class 0 and of others */
    int64_t *events;         /* [classes] owned */
    bnf_dark_figure *figure; /* [classes, scores] owned; set for classes but 0 that have events, if `any` */
} bnf_dark_figures;

/* The scores of one class, one behind the other. [out] value[n] owned; n may be 0. */
bnf_status bnf_dark_scores_of(const bnf_dark_events *events, int32_t label, const double *score, double **value,
                              int64_t *n);

/* Local. width: of bins of hits. [out] figures, release with bnf_dark_figures_release whatever the result. Errors:
 * BNF_ERR_NUMERIC for a score that is NaN (names score and
 * class); BNF_ERR_MEMORY. */
bnf_status bnf_dark_figures_create(const bnf_dark_events *events, int64_t classes, const char *const *class_names,
                                   double tpr, double width, bnf_dark_figures *figures);
void bnf_dark_figures_release(bnf_dark_figures *figures); /* legal on a zeroed one */

#endif
