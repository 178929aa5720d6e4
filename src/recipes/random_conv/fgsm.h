/* recipes/random_conv/fgsm.h - robustness: accuracy after one step along the sign of the loss's gradient (fast gradient
 * sign method; Goodfellow, Shlens and Szegedy, 2015). */
#ifndef BNF_RECIPES_RANDOM_CONV_FGSM_H
#define BNF_RECIPES_RANDOM_CONV_FGSM_H

#include "train/run.h"

/* The step: pixel u = (x - shift[c]) / scale[c] becomes u + epsilon sign(gradient), with `clip` not below 0 or above 1.
 * x, gradient, moved [n]; scale and shift of the n % channels-th channel. A gradient of 0 moves nothing. */
void bnf_random_conv_step(int64_t n, int64_t channels, const double *scale, const double *shift, double epsilon,
                          bool clip, const float *x, const float *gradient, float *moved);

/* `banff attack`: see bnf_recipe.attack. Options: levels=L (largest change of a pixel in 255ths of its range, default
 * 1), split=test|train, help. The gradient is that of the cross-entropy without label smoothing. Writes attack.json.
 * The same for any number of ranks. */
bnf_status bnf_random_conv_attack(bnf_run *run, const char *const *options, int n_options, bnf_buf *text);

#endif
