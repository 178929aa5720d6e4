/* recipes/random_conv/random_conv.h - paper 07: linear combinations of random convolutions. What the rest of the
 * program sees is the recipe alone. */
#ifndef BNF_RECIPES_RANDOM_CONV_RANDOM_CONV_H
#define BNF_RECIPES_RANDOM_CONV_RANDOM_CONV_H

#include "recipes/random_conv/settings.h"

extern const bnf_recipe bnf_recipe_random_conv;

#endif
