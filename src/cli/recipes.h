/* cli/recipes.h - the recipes that this program offers. */
#ifndef BNF_CLI_RECIPES_H
#define BNF_CLI_RECIPES_H

#include "train/recipe.h"

extern const bnf_recipe *const bnf_recipes[]; /* NULL-terminated */

#endif
