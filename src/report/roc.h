/* report/roc.h - how well a score tells signal from background, both as numbers without a threshold.
 *
 * An event counts as signal where its score is at least some threshold. TPR is the share of signal that does, FPR the
 * share of background; the ROC curve runs through (FPR, TPR) of all thresholds, with straight lines between. All
 * counts are exact integers, so results do not depend on the order of the events. Local; background and signal hold
 * up to 2^31 - 1 events each. */
#ifndef BNF_REPORT_ROC_H
#define BNF_REPORT_ROC_H

#include <banff/base.h>

typedef struct bnf_roc {
    int64_t background, signal; /* events */
    int64_t count;              /* points: 1 + distinct scores. The first is (0, 0), the last (1, 1) */
    double *fpr, *tpr;          /* [count] owned, ascending */
    double auc; /* chance that an event of signal has a higher score than one of background, ties counted half
                 * (Mann-Whitney's U over the number of pairs): the area under the curve */
} bnf_roc;

/* background[n_background], signal[n_signal]: scores, high for signal; infinite ones are legal. [out] roc, release with
 * bnf_roc_release whatever the result. Errors: BNF_ERR_ARG if either is empty; BNF_ERR_NUMERIC for a NaN (names which);
 * BNF_ERR_MEMORY. */
bnf_status bnf_roc_create(const double *background, int64_t n_background, const double *signal, int64_t n_signal,
                          bnf_roc *roc);
void bnf_roc_release(bnf_roc *roc); /* legal on a zeroed one */

/* The lowest FPR at which the curve reaches a TPR in [0, 1]: between two points by linear interpolation. */
double bnf_roc_fpr_at(const bnf_roc *roc, double tpr);

/* AUC among events that are alike in another quantity, e.g. how many cells are hit. */
typedef struct bnf_roc_binned {
    double auc;     /* NaN if no bin holds both */
    double covered; /* share of signal in bins that hold background, too */
    int64_t bins;   /* that hold both */
} bnf_roc_binned;

/* Bins are [k width, (k + 1) width) for all integers k. Each event of signal is compared with the background of its own
 * bin: the result is the mean of the bins' AUC, weighted by their events of signal; bins without background count for
 * nothing. *_hits: that other quantity, finite, |hits| < 2^53 width. Errors: as above; BNF_ERR_ARG for width <= 0;
 * BNF_ERR_NUMERIC for hits that are not finite. */
bnf_status bnf_roc_auc_binned(const double *background, const double *background_hits, int64_t n_background,
                              const double *signal, const double *signal_hits, int64_t n_signal, double width,
                              bnf_roc_binned *result);

#endif
