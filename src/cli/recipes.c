/* cli/recipes.c - the table of recipes: a new one is a folder in src/recipes and a line here. */
#include "cli/recipes.h"

extern const bnf_recipe bnf_recipe_dark_showers;
extern const bnf_recipe bnf_recipe_lipschitz;
extern const bnf_recipe bnf_recipe_random_conv;

const bnf_recipe *const bnf_recipes[] = {
    &bnf_recipe_dark_showers,
    &bnf_recipe_lipschitz,
    &bnf_recipe_random_conv,
    NULL,
};
