/* recipes/dark_showers/net.h - the networks, in parts.
 *
 * A *layer* is a 3 x 3 convolution with bias, instance normalisation (eps 1e-3) and leaky ReLU. Strides and pools pad
 * as TensorFlow's SAME does. Convolutions start He-uniform, biases at 0. Weight decay concerns all parameters, as in
 * the authors' optimiser. With s->bf16 values between an encoder's or decoder's input and its last layer are bf16.
 * Errors stick in the graph. */
#ifndef BNF_RECIPES_DARK_SHOWERS_NET_H
#define BNF_RECIPES_DARK_SHOWERS_NET_H

#include "recipes/dark_showers/settings.h"

/* The large encoder without its last convolution: x[N,H,W,C] -> [N,h,w,filters of the last stage]. Each stage is a
 * layer of stride 2 and a residual block: two layers whose result is added. Parameters
 * encoder.stageS.{down,res1,res2}. */
bnf_val bnf_dark_stages(bnf_scope *s, const bnf_dark_model *model, bnf_val x);

/* NAME: a k x k convolution (stride 1) with bias, which starts at `start`. */
bnf_val bnf_dark_conv(bnf_scope *s, const char *name, bnf_val x, int64_t out, int64_t kernel, double start);

/* x[N,H,W,C] -> Z[N,h,w,latent]: the stages, and encoder.latent, a 1 x 1 convolution. */
bnf_val bnf_dark_encoder(bnf_scope *s, const bnf_dark_model *model, bnf_val x);

/* x[N,H,W,C] -> Z_m[N,aux]: stages of a layer and a 3 x 3 max pool of stride 2, then aux.dense. */
bnf_val bnf_dark_aux_encoder(bnf_scope *s, const bnf_dark_model *model, bnf_val x);

/* Z[N,h,w,K], Z_m[N,aux] -> logits[N,height,width,1]. Each stage, of the encoder's filters in reverse order, multiplies
 * by a convolution of Z_m and the position (decoder.stageS.condition), doubles height and width, and has a layer and a
 * residual block (decoder.stageS.{up,res1,res2}). The centre of the result goes through decoder.output, a 1 x 1
 * convolution whose bias starts at -1. z_m BNF_NONE and no auxiliary encoder: nothing is multiplied. */
bnf_val bnf_dark_decoder(bnf_scope *s, const bnf_dark_model *model, bnf_val z, bnf_val z_m, int64_t height,
                         int64_t width);

#endif
