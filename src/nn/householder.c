/* nn/householder.c - pairs of channels, each reflected at a line that is learned. */
#include <banff/nn.h>

#include <math.h>
#include <stdio.h>

bnf_val bnf_nn_householder(bnf_scope *s, const char *name, bnf_val x)
{
    char full[128];
    if (!bnf_val_ok(x))
        return BNF_NONE;
    snprintf(full, sizeof full, "%s.angle", name);
    const int64_t channels = bnf_desc_cols(bnf_val_desc(s->b, x)), pairs = channels > 1 ? channels / 2 : 1;
    return bnf_householder(s->b, x,
                           bnf_nn_param(s, &(bnf_param_info){.name = full,
                                                             .desc = bnf_desc_1d(bnf_params_real(s->params), pairs),
                                                             .trainable = true,
                                                             .init = {BNF_INIT_CONSTANT, acos(0), 0}}));
}
