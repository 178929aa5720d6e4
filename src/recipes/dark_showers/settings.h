/* recipes/dark_showers/settings.h - what a configuration of this recipe says about the network. */
#ifndef BNF_RECIPES_DARK_SHOWERS_SETTINGS_H
#define BNF_RECIPES_DARK_SHOWERS_SETTINGS_H

#include "train/recipe.h"

#define BNF_DARK_MAX_STAGES 8

typedef enum bnf_dark_kind {
    BNF_DARK_CODAE = 0,   /* conditional dual autoencoder */
    BNF_DARK_AUTOENCODER, /* the same without auxiliary encoder and conditioning */
    BNF_DARK_CODVAE,      /* codae whose Z is drawn from categories */
    BNF_DARK_SUPERVISED,  /* the large encoder and a dense layer: what could be reached with labels */
    BNF_DARK_KIND_COUNT
} bnf_dark_kind;

typedef struct bnf_dark_model {
    int kind;                          /* bnf_dark_kind */
    bnf_cfg_ints filters, aux_filters; /* channels of the stages of either encoder */
    int64_t latent, aux;               /* channels of Z, components of Z_m */
    int64_t groups, aux_groups;        /* of convolutions but for an encoder's and the decoder's first */
    int64_t draws;                     /* codvae: for the divergence */
    double kl;                         /* codvae: weight of the divergence */
    double slope;                      /* of leaky ReLU */
} bnf_dark_model;

typedef struct bnf_dark_settings {
    bnf_dark_model model;
} bnf_dark_settings;

#endif
