/* recipes/lipschitz/settings.h - what a configuration of this recipe says about network and loss. */
#ifndef BNF_RECIPES_LIPSCHITZ_SETTINGS_H
#define BNF_RECIPES_LIPSCHITZ_SETTINGS_H

#include "train/recipe.h"

typedef struct bnf_lipschitz_model {
    int constraint; /* bnf_lip_kind: none, spectral, bjorck or orthogonal */
    int64_t power_iterations, bjorck_iterations;
    double power_tolerance, bjorck_tolerance, bjorck_beta, eps;
    int conv_factor;     /* 0 bound, 1 published */
    int bjorck_form;     /* 0 eigen, 1 direct */
    bnf_cfg_maps layers; /* of bnf_layer; none: `network` */
    int network;         /* bnf_network_kind */
    double width;
    int norm;       /* bnf_network_norm */
    int activation; /* bnf_lipschitz_activation_names */
} bnf_lipschitz_model;

typedef enum bnf_lipschitz_loss_kind {
    BNF_LIPSCHITZ_CROSS_ENTROPY = 0,
    BNF_LIPSCHITZ_MSE,
    BNF_LIPSCHITZ_BCE,
    BNF_LIPSCHITZ_HKR_BINARY,
    BNF_LIPSCHITZ_HKR_MULTICLASS,
    BNF_LIPSCHITZ_HKR_SOFT,
    BNF_LIPSCHITZ_HKR_LSE
} bnf_lipschitz_loss_kind;

typedef struct bnf_lipschitz_loss {
    int kind; /* bnf_lipschitz_loss_kind */
    int form; /* bnf_hkr_form */
    double alpha, min_margin, temperature, penalty, smoothing;
} bnf_lipschitz_loss;

typedef struct bnf_lipschitz_settings {
    bnf_lipschitz_model model;
    bnf_lipschitz_loss loss;
} bnf_lipschitz_settings;

/* Are the layers held to be 1-Lipschitz? `settings` as a job has them. */
static inline bool bnf_lipschitz_constrained(const void *settings)
{
    return ((const bnf_lipschitz_settings *)settings)->model.constraint != BNF_LIP_NONE;
}

/* Settings for the constrained layers. */
bnf_lip bnf_lipschitz_lip(const bnf_lipschitz_settings *settings);

#endif
