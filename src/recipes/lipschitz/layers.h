/* recipes/lipschitz/layers.h - the layers that a configuration lists or names. */
#ifndef BNF_RECIPES_LIPSCHITZ_LAYERS_H
#define BNF_RECIPES_LIPSCHITZ_LAYERS_H

#include "recipes/lipschitz/settings.h"

extern const char *const bnf_lipschitz_activation_names[]; /* of named networks; NULL-terminated */

/* Either a name or a list, whose layers are complete and in order. Error: BNF_ERR_CONFIG naming keys or the layer. */
bnf_status bnf_lipschitz_layers_check(const bnf_lipschitz_model *model);

/* The layers of the network, fields that a list leaves at 0 with the kind's usual value. classes: outputs of a named
 * network whose head is not in `params` yet. Returns how many; the settings have passed the check. */
int bnf_lipschitz_layers(const bnf_lipschitz_settings *settings, const bnf_params *params, int64_t classes,
                         bnf_layer layers[BNF_NETWORK_MAX_LAYERS]);

#endif
