/* recipes/lipschitz/lipschitz.h - paper 05: explainable 1-Lipschitz networks. What the rest of the program sees is
 * the recipe alone. */
#ifndef BNF_RECIPES_LIPSCHITZ_LIPSCHITZ_H
#define BNF_RECIPES_LIPSCHITZ_LIPSCHITZ_H

#include "recipes/lipschitz/settings.h"
#include "train/run.h"

extern const bnf_recipe bnf_recipe_lipschitz;

#endif
