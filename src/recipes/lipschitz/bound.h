/* recipes/lipschitz/bound.h - proven upper bounds of the Lipschitz constants of a network and its stages. All norms are
 * Euclidean; every number is rounded outward. */
#ifndef BNF_RECIPES_LIPSCHITZ_BOUND_H
#define BNF_RECIPES_LIPSCHITZ_BOUND_H

#include "recipes/lipschitz/net.h"

/* One stage, as the exact function of its stored f32 parameters. */
typedef struct bnf_lipschitz_stage_bound {
    double lipschitz;   /* upper bound of the stage's constant */
    double matrix;      /* convolutions and dense layers: bound of ||W||_2 (largest over groups); else NaN */
    double overlap;     /* convolutions: sqrt(n_h n_w), n = most patches that hold one pixel along an axis; else NaN */
    const char *by;     /* convolutions: BNF_LIPSCHITZ_BY_..., the smallest bound; else NULL */
    char from[160];     /* how it was computed, in words */
    double before;      /* from pixels to the stage's input */
    double own, others; /* add: upper bounds of what its summands are multiplied by (net.h); else 0 */
    /* What rounding.h needs. */
    double spread; /* upper bound of the norm of the stage with |W| for W */
    double
        offset; /* upper bound of the norm of what is added (biases) or subtracted (means, scaled) over all outputs */
} bnf_lipschitz_stage_bound;

#define BNF_LIPSCHITZ_BY_KERNEL "kernel"
#define BNF_LIPSCHITZ_BY_SHIFTS "shifts"
#define BNF_LIPSCHITZ_BY_GRID "grid"

typedef struct bnf_lipschitz_bounds {
    bnf_lipschitz_stage_bound *stages; /* [net.count] */
    double input;                      /* largest |scale[c]|: from pixels to network inputs */
    double
        features;   /* from pixels to the input of the last stage if that is linear (dense, head), else to the logits */
    double logit;   /* from pixels to any one logit */
    double network; /* from pixels to all logits */
    bool linear;    /* the last stage is linear */
    int64_t outputs;
    double *gap;  /* [outputs, outputs] linear: bound of ||w_i - w_j|| of the last stage's rows; else sqrt(2) */
    double *row;  /* [outputs] linear: bound of ||w_i||; else 1 */
    double *bias; /* [outputs] |bias| of the last stage if linear; else 0 */
} bnf_lipschitz_bounds;

/* Convolutions: the smallest of
 *   kernel  sqrt(n_h n_w) max over groups of ||W_group||_2 (nn/lip_factor.h), where W is the kernel as a matrix
 *           [out, in kh kw] and n is also at most the number of output positions along the axis;
 *   shifts, grid  bounds of the operator on unbounded images (la/conv_norm.h), the largest over groups; left out where
 *           the first is exact (n_h n_w = 1) and where they would take too long.
 * Dense layers: ||W||_2. All in f64. `spread` of convolutions: the smaller of `kernel` for |W| and the norm of the
 * convolution with |W| on unbounded images, which is ||sum of |taps|||_2. Pools: by window and stride
 * (bnf_layer_lipschitz). Batch normalisation in evaluation: the largest |gamma| / sqrt(var + eps); batch centering: 1.
 * Sigmoid: 1/4. Dropout in evaluation, sorting, reflecting pairs (householder), flattening, unshuffling: 1.
 *
 * Residual blocks: the constants of both ways from the pixels, added; or half of that where the sum is halved; or each
 * times its learned share. What is said of the stage `add` is the bound of the whole block.
 *
 * Logits: with a linear last stage logit i - logit j is features (w_i - w_j), so features * gap bounds how fast it
 * changes; with another one |d_i - d_j| <= sqrt(2) ||d||.
 *
 * [out] bounds owned, release with bnf_lipschitz_bounds_release. Errors: BNF_ERR_NUMERIC for parameters that are NaN
 * or infinite, BNF_ERR_MEMORY, BNF_ERR_UNSUPPORTED (bnf_la_norm2_upper). */
bnf_status bnf_lipschitz_bounds_create(const bnf_lipschitz_net *net, bnf_params *params, bnf_lipschitz_bounds *bounds);
/* The same with the matrices of more than `above` elements (of a group; 0: none) bounded by all ranks together through
 * ScaLAPACK (la/norm_shared.h). Collective; every rank has the same parameters and gets the same bounds. */
bnf_status bnf_lipschitz_bounds_create_shared(const bnf_comm *comm, int64_t above, const bnf_lipschitz_net *net,
                                              bnf_params *params, bnf_lipschitz_bounds *bounds);
void bnf_lipschitz_bounds_release(bnf_lipschitz_bounds *bounds); /* legal on a zeroed one */

/* An upper and a lower bound of the exact value of x >= 0, computed by about `ops` sums, products, quotients and
 * roots of numbers >= 0, each rounded to nearest. */
double bnf_lipschitz_up(double x, double ops);
double bnf_lipschitz_down(double x, double ops);

#endif
