/* nn/reparam.h - a weight constraint as the parameter store and the updater see it. */
#ifndef BNF_NN_REPARAM_H
#define BNF_NN_REPARAM_H

#include <banff/nn.h>

#include "nn/constraint.h"

/* Fills `factory` for a weight desc[rows, ...] under `lip`, times `factor` (the convolution's, 1 for dense layers).
 * Kind NONE leaves factory->make NULL, ORTHOGONAL is BJORCK here. *config is what factory->config points to and must
 * live until bnf_params_add has copied it. */
void bnf_reparam_describe(const bnf_lip *lip, double factor, const bnf_desc *desc, bnf_constraint_config *config,
                          bnf_reparam_factory *factory);

#endif
