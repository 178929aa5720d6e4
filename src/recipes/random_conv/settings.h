/* recipes/random_conv/settings.h - what a configuration of this recipe says about network and loss. */
#ifndef BNF_RECIPES_RANDOM_CONV_SETTINGS_H
#define BNF_RECIPES_RANDOM_CONV_SETTINGS_H

#include "train/recipe.h"

/* What stands between spatial filters and their linear combinations. */
typedef enum bnf_random_conv_between {
    BNF_RANDOM_CONV_NOTHING = 0,
    BNF_RANDOM_CONV_RELU,
    BNF_RANDOM_CONV_BN,
    BNF_RANDOM_CONV_BN_RELU
} bnf_random_conv_between;

typedef struct bnf_random_conv_model {
    int64_t depth, width, kernel;
    int64_t expansion; /* 0: ordinary convolutions */
    bool frozen;       /* spatial filters */
    int between;       /* bnf_random_conv_between */
    bool fold;         /* where nothing stands between */
} bnf_random_conv_model;

typedef struct bnf_random_conv_settings {
    bnf_random_conv_model model;
    double smoothing;
} bnf_random_conv_settings;

#endif
