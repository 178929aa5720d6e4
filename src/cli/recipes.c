/* cli/recipes.c - the table of recipes: a new one is a folder in src/recipes and a line here. */
#include "cli/recipes.h"

extern const bnf_recipe bnf_recipe_lipschitz;

const bnf_recipe *const bnf_recipes[] = {
    &bnf_recipe_lipschitz,
    NULL,
};
