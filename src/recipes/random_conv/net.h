/* recipes/random_conv/net.h - residual networks for small pictures whose spatial convolutions may be linear
 * combinations of random ones. */
#ifndef BNF_RECIPES_RANDOM_CONV_NET_H
#define BNF_RECIPES_RANDOM_CONV_NET_H

#include "recipes/random_conv/settings.h"

/* x[N,H,W,C] -> logits [N,outputs]. Parameters, from input to output: stem.conv, stem.norm, stageS.blockB.conv1,
 * .norm1, .conv2, .norm2, .shortcut, .shortcut_norm, head. Convolutions have NAME.weight; unfolded combinations have
 * NAME.filters.weight, NAME.between.* and NAME.mix.weight in its place. All weights start uniform in
 * [-1 / sqrt(fan_in), 1 / sqrt(fan_in)). Errors stick in the graph. */
bnf_val bnf_random_conv_network(bnf_scope *s, const bnf_random_conv_model *model, bnf_val x, int64_t outputs);

/* A spatial convolution as `model` wants it; layer: its number, which its random filters belong to. */
bnf_val bnf_random_conv_layer(bnf_scope *s, const bnf_random_conv_model *model, uint64_t layer, const char *name,
                              bnf_val x, int64_t out, int64_t stride);

#endif
