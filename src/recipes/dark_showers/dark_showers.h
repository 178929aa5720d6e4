/* recipes/dark_showers/dark_showers.h - paper 04: conditional dual autoencoders that find dark showers. What the rest
 * of the program sees is the recipe alone. */
#ifndef BNF_RECIPES_DARK_SHOWERS_DARK_SHOWERS_H
#define BNF_RECIPES_DARK_SHOWERS_DARK_SHOWERS_H

#include "recipes/dark_showers/settings.h"

extern const bnf_recipe bnf_recipe_dark_showers;

#endif
