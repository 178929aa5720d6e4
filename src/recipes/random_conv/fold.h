/* recipes/random_conv/fold.h - a spatial convolution and the 1 x 1 convolution behind it, trained as the one
 * convolution that they are together.
 *
 * Filters W[filters, fan_in] and combinations P[out, filters] with nothing between give the kernel P W, and with its
 * gradient G the gradients G W' of P and P' G of W (spec 07). So P W is the effective weight, P the raw one, with W
 * behind it where that is learned: the owner of the layer multiplies once per step, and the expansion costs neither
 * time in the convolutions nor bytes in messages. Frozen filters are functions of (seed, layer): the owner draws them
 * when training begins, and nobody sends or stores them. */
#ifndef BNF_RECIPES_RANDOM_CONV_FOLD_H
#define BNF_RECIPES_RANDOM_CONV_FOLD_H

#include <banff/graph.h>

typedef struct bnf_random_conv_fold {
    uint64_t seed, layer;
    int64_t out, filters, fan_in; /* fan_in: input channels times kernel elements */
    bool frozen;
} bnf_random_conv_fold;

/* 1 / sqrt(fan_in): weights start uniform in [-bound, bound). */
double bnf_random_conv_bound(int64_t fan_in);

/* Element `i` of the filters of (seed, layer), in f64. */
double bnf_random_conv_filter(uint64_t seed, uint64_t layer, int64_t fan_in, int64_t i);

/* The reparametrisation of a kernel [out, ...] of out * fan_in elements. Its raw weight is [out, filters], or with
 * learned filters [out * filters + filters * fan_in], P first. *fold is what factory->config points to and must live
 * until bnf_params_add has copied it. The parameter's init has to be uniform in [-1, 1): scaled here. */
void bnf_random_conv_describe(const bnf_random_conv_fold *fold, bnf_dtype real, bnf_reparam_factory *factory);

#endif
