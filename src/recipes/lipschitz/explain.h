/* recipes/lipschitz/explain.h - why a class, and what would make it another: saliency maps and counterfactuals (spec
 * 05). */
#ifndef BNF_RECIPES_LIPSCHITZ_EXPLAIN_H
#define BNF_RECIPES_LIPSCHITZ_EXPLAIN_H

#include "recipes/lipschitz/net.h"
#include "train/run.h"

/* One sample. With m its margin (predicted logit minus the largest other one) and g the gradient of m with respect to
 * the pixels, the picture follows -g, step by step, until its class turns; pixels of u8 images stay in [0,1]. Where
 * |g| is 1 everywhere, the path is the straight line to the paper's x - f grad f. */
typedef struct bnf_lipschitz_explained {
    int64_t sample;
    int32_t predicted; /* class whose logit is explained */
    int32_t turned;    /* class at the end of the path; the predicted one if it was followed in vain */
    double distance;   /* from the sample to the end of the path, in pixels */
    double slope;      /* |d f_predicted / d x|, in pixels */
    float *pixels;     /* [h, w, c] */
    float *saliency;   /* [h, w] largest |d f_predicted / d x| over channels */
    float *turning;    /* [h, w, c] the end of the path: the first point of another class */
    float *change;     /* [h, w] turning minus pixels, summed over channels */
} bnf_lipschitz_explained;

typedef struct bnf_lipschitz_explanations {
    bnf_lipschitz_explained *item; /* [count] */
    int64_t count;
    float *values; /* of all items */
} bnf_lipschitz_explanations;

/* Explains samples[n] in ascending order, whose predicted classes are given. Not collective. [out] out owned, release
 * with bnf_lipschitz_explanations_release. */
bnf_status bnf_lipschitz_explain(bnf_run *run, bnf_split split, const bnf_lipschitz_net *net, const int64_t *samples,
                                 const int32_t *predicted, int64_t n, bnf_lipschitz_explanations *out);
void bnf_lipschitz_explanations_release(bnf_lipschitz_explanations *out); /* legal on a zeroed one */

#endif
