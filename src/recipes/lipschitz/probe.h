/* recipes/lipschitz/probe.h - a trained network over given inputs on this process alone: logits, and the gradient of
 * one figure with respect to the input or to the last convolution, for attacks and explanations. */
#ifndef BNF_RECIPES_LIPSCHITZ_PROBE_H
#define BNF_RECIPES_LIPSCHITZ_PROBE_H

#include "train/run.h"

typedef enum bnf_lipschitz_figure {
    BNF_LIPSCHITZ_RIVAL = 0, /* largest other logit minus the label's; one output: minus that of the label's sign */
    BNF_LIPSCHITZ_OWN,       /* the label's logit; one output: times the label's sign */
    BNF_LIPSCHITZ_OWN_INNER, /* the same, its gradient with respect to the output of the last convolution */
    BNF_LIPSCHITZ_LOGITS     /* none: logits alone, without a backward pass */
} bnf_lipschitz_figure;

/* The arrays are owned by the probe. Rows come in leaves of leaf_rows; what is computed for a row depends on the rows
 * of its leaf at the most, not on how many leaves there are. */
typedef struct bnf_lipschitz_probe {
    bnf_model model;
    int64_t rows, leaf_rows, size, outputs; /* size: elements of one input */
    float *x;                               /* [rows, size] to be filled before a run */
    int32_t *labels;                        /* [rows] the same; below the number of outputs (one output: 0 or 1) */
    float *weight;                          /* [rows] 1 */
    const float *logits, *gradient;         /* [rows, outputs], [rows, size] after a run, until the next; or NULL */
    /* OWN_INNER: the last convolution's output, with its bias, before norm and activation; [rows, h, w, c], until the
     * next run. */
    int64_t inner_h, inner_w, inner_c;
    const float *inner, *inner_gradient;
} bnf_lipschitz_probe;

/* `leaves` leaves of leaf_rows. Not collective. [out] probe: release with bnf_lipschitz_probe_release, also after an
 * error. Errors: BNF_ERR_UNSUPPORTED (OWN_INNER of a network without convolutions). */
bnf_status bnf_lipschitz_probe_create(bnf_run *run, bnf_lipschitz_figure figure, int64_t leaves, int64_t leaf_rows,
                                      bnf_lipschitz_probe *probe);
void bnf_lipschitz_probe_release(bnf_lipschitz_probe *probe); /* legal on a zeroed one */

bnf_status bnf_lipschitz_probe_run(bnf_lipschitz_probe *probe);

/* Class of one row of logits: the first largest; one output: 1 if it is positive. */
int32_t bnf_lipschitz_class(const float *logits, int64_t outputs);
/* The lead of a class in one row of logits: its own minus the largest other one; one output: the logit times the sign
 * of the class. */
double bnf_lipschitz_lead(const float *logits, int64_t outputs, int32_t own);

/* Rows [*lo, *hi) of `rows` that a rank computes: whole groups of as many as a leaf of the run has, so that what is
 * computed for a row does not depend on the number of ranks. */
void bnf_lipschitz_probe_share(const bnf_run *run, int64_t rows, int rank, int64_t *lo, int64_t *hi);

#endif
