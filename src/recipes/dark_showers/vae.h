/* recipes/dark_showers/vae.h - the categorical variational form: Z is drawn from relaxed one-hot distributions
 * (Maddison, Mnih, Teh: The Concrete distribution, 2017; Jang, Gu, Poole: Gumbel-softmax).
 *
 * A relaxed one-hot variable y on K categories with logits l and temperature t is softmax((l + g) / t), g of Gumbel's
 * distribution. Everything about it is computed from log y. */
#ifndef BNF_RECIPES_DARK_SHOWERS_VAE_H
#define BNF_RECIPES_DARK_SHOWERS_VAE_H

#include "recipes/dark_showers/settings.h"

/* log of the density at y, given log_y[...,K]; logits and temperature [...,1] broadcast to it. -> [...,1] */
bnf_val bnf_dark_relaxed_log_density(bnf_scope *s, bnf_val log_y, bnf_val logits, bnf_val temperature);

typedef struct bnf_dark_code {
    bnf_val z;  /* [N,h,w,latent]: the relaxed one-hot draw that is decoded */
    bnf_val kl; /* [N,1]: divergence from the prior, summed over the sites, estimated from model->draws further draws */
} bnf_dark_code;

/* y[N,h,w,C], what the encoder's stages made of an image. Logits are encoder.latent, temperatures softplus of
 * encoder.temperature plus 1, both 1 x 1 convolutions. The prior of every site is a mixture in equal parts of 5 relaxed
 * one-hot distributions, which are states that stay as they were drawn: prior.logitsI [latent], normal, and
 * prior.temperatureI [1], uniform in [0.1, 1). A constant on all logits of a component changes nothing, so that the
 * offsets that the authors add are left out. */
bnf_dark_code bnf_dark_draw_code(bnf_scope *s, const bnf_dark_model *model, bnf_val y);

#endif
