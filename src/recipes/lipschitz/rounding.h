/* recipes/lipschitz/rounding.h - proven bounds of what floating-point rounding does to a network's outputs. */
#ifndef BNF_RECIPES_LIPSCHITZ_ROUNDING_H
#define BNF_RECIPES_LIPSCHITZ_ROUNDING_H

#include "recipes/lipschitz/bound.h"

/* Distance between computed and exact features (the input of a linear last stage; else the logits), and how large the
 * computed ones can be. */
typedef struct bnf_lipschitz_error {
    double features, norm;
} bnf_lipschitz_error;

typedef struct bnf_lipschitz_rounding {
    bnf_lipschitz_error f64; /* at the sample, evaluated by recipes/lipschitz/forward.h */
    bnf_lipschitz_error f32; /* at every point within the radius of it, evaluated in f32 by any kernels */
} bnf_lipschitz_rounding;

/* norms[count + 1]: of the inputs of every stage at one sample, as forward.h computed them, then of the logits.
 * pixels: norm of the sample's pixels. radius: in pixels.
 *
 * Stage after stage, E being the error so far and X a bound of the norm of the computed input:
 *   E' = L E + gamma_k (spread X + offset) + underflow,    X = (norm of the exact input within the radius) + E.
 * Where a residual block ends, E and X of its two ways are added (and halved with the sum, or weighted).
 * gamma_k = k u / (1 - k u) with u = 2^-24 or 2^-53 bounds the relative error of a sum of k - 1 products and a bias,
 * in any order and with or without fused multiply-add (Higham, Accuracy and Stability of Numerical Algorithms,
 * section 3.1); k is a stage's longest sum and its other roundings. Convolutions are direct ones, not Winograd's
 * (ops/dnnl.c). tanh, exp, sin and cos are taken to be within 4 units in the last place, and numbers not to
 * overflow. */
void bnf_lipschitz_rounding_bound(const bnf_lipschitz_net *net, const bnf_lipschitz_bounds *bounds, const double *norms,
                                  double pixels, double radius, bnf_lipschitz_rounding *rounding);

/* Bound of the error of computed logit i minus computed logit j; j < 0: of logit i alone. u: 2^-53 or 2^-24. */
double bnf_lipschitz_logit_error(const bnf_lipschitz_net *net, const bnf_lipschitz_bounds *bounds,
                                 const bnf_lipschitz_error *error, double u, int64_t i, int64_t j);

#endif
