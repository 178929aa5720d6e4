/* nn/center.c - batch centering: each channel's mean is taken away, nothing is scaled. */
#include <banff/nn.h>

#include <stdio.h>

#define MOMENTUM 0.1 /* of the mean that evaluation uses */

static bnf_val channel_param(bnf_scope *s, const char *name, const char *what, int64_t channels, bool trainable)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", name, what);
    return bnf_nn_param(s, &(bnf_param_info){.name = full,
                                             .desc = bnf_desc_1d(bnf_params_real(s->params), channels),
                                             .trainable = trainable});
}

static bnf_val ones(bnf_builder *b, bnf_desc d)
{
    return bnf_broadcast_to(b, bnf_const(b, 1), &d);
}

bnf_val bnf_nn_batch_center(bnf_scope *s, const char *name, bnf_val x)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    bnf_builder *b = s->b;
    const bnf_desc d = *bnf_val_desc(b, x);
    int64_t channels = bnf_desc_cols(&d), positions = bnf_desc_count(&d) / channels / d.dim[0];
    bnf_val bias = channel_param(s, name, "bias", channels, true);
    bnf_val running = channel_param(s, name, "mean", channels, false);
    bnf_val one = ones(b, bnf_desc_1d(bnf_params_real(s->params), channels));
    if (!s->training)
        return bnf_channel_affine(b, x, running, one, bias);
    bnf_val w = bnf_val_ok(s->weight) ? s->weight : ones(b, bnf_desc_1d(bnf_params_real(s->params), d.dim[0]));
    bnf_val sums[2], n = bnf_affine(b, s->count, (double)positions, 0);
    bnf_channel_moments(b, x, w, running, sums); /* about the running mean: little is lost to rounding */
    bnf_val offset = bnf_div(b, bnf_batch_sum(b, sums[0]), n);
    bnf_val next = bnf_add(b, running, bnf_affine(b, bnf_stop_gradient(b, offset), MOMENTUM, 0));
    if (bnf_val_ok(next))
        bnf_graph_assign(s->graph, bnf_graph_param_index(s->graph, running), next);
    return bnf_channel_affine(b, x, running, one, bnf_sub(b, bias, offset));
}
