/* nn/norm.c - batch normalisation over the whole batch or per leaf. */
#include <banff/nn.h>

#include "graph/graph_error.h"

#include <stdio.h>

bnf_batch_norm_layer bnf_batch_norm_layer_default(void)
{
    return (bnf_batch_norm_layer){.momentum = 0.1, .eps = 1e-5, .affine = true};
}

static bnf_val channel_param(bnf_scope *s, const char *name, const char *what, int64_t channels, bool trainable,
                             double start)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", name, what);
    return bnf_nn_param(s, &(bnf_param_info){.name = full,
                                             .desc = bnf_desc_1d(s->b->real, channels),
                                             .trainable = trainable,
                                             .init = {BNF_INIT_CONSTANT, start, 0}});
}

/* Weight per sample R [N]: the scope's, or ones. */
static bnf_val sample_weight(bnf_scope *s, int64_t n)
{
    if (bnf_val_ok(s->weight))
        return s->weight;
    bnf_desc d = bnf_desc_1d(s->b->real, n);
    return bnf_broadcast_to(s->b, bnf_const(s->b, 1), &d);
}

static void update_running(bnf_scope *s, bnf_val running, bnf_val batch, double momentum)
{
    bnf_builder *b = s->b;
    bnf_val next =
        bnf_add(b, bnf_affine(b, running, 1 - momentum, 0), bnf_affine(b, bnf_stop_gradient(b, batch), momentum, 0));
    if (bnf_val_ok(running) && bnf_val_ok(next))
        bnf_graph_assign(s->graph, bnf_graph_param_index(s->graph, running), next);
}

bnf_val bnf_nn_batch_norm(bnf_scope *s, const char *name, bnf_val x, const bnf_batch_norm_layer *layer)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    bnf_builder *b = s->b;
    const bnf_desc d = *bnf_val_desc(b, x);
    int64_t channels = bnf_desc_cols(&d), positions = bnf_desc_count(&d) / channels / d.dim[0];
    bnf_val gamma = layer->affine ? channel_param(s, name, "weight", channels, true, 1) : BNF_NONE;
    bnf_val beta = layer->affine ? channel_param(s, name, "bias", channels, true, 0) : BNF_NONE;
    bnf_val running_mean = channel_param(s, name, "mean", channels, false, 0);
    bnf_val running_var = channel_param(s, name, "var", channels, false, 1);
    if (!s->training)
        return bnf_channel_normalize(b, x, running_mean, running_var, gamma, beta, layer->eps);
    bnf_val w = sample_weight(s, d.dim[0]);
    bnf_val n = layer->per_leaf ? bnf_maximum(b, bnf_sum_all(b, w), bnf_const(b, 1)) : s->count;
    n = bnf_affine(b, n, (double)positions, 0);
    bnf_val sums[2], k = running_mean; /* the moments are about the running mean: little is lost to rounding */
    bnf_channel_moments(b, x, w, k, sums);
    for (int i = 0; i < 2 && !layer->per_leaf; i++)
        sums[i] = bnf_batch_sum(b, sums[i]);
    bnf_val offset = bnf_div(b, sums[0], n), mean = bnf_add(b, k, offset);
    bnf_val var = bnf_sub(b, bnf_div(b, sums[1], n), bnf_square(b, offset));
    var = bnf_maximum(b, var, bnf_const(b, 0));
    bnf_val bessel = bnf_div(b, n, bnf_maximum(b, bnf_affine(b, n, 1, -1), bnf_const(b, 1)));
    bnf_val run_mean = bnf_stop_gradient(b, mean), run_var = bnf_stop_gradient(b, bnf_mul(b, var, bessel));
    if (layer->per_leaf) {
        run_mean = bnf_affine(b, bnf_batch_sum(b, run_mean), 1 / (double)b->leaves, 0);
        run_var = bnf_affine(b, bnf_batch_sum(b, run_var), 1 / (double)b->leaves, 0);
    }
    update_running(s, running_mean, run_mean, layer->momentum);
    update_running(s, running_var, run_var, layer->momentum);
    bnf_val a = bnf_rsqrt(b, bnf_affine(b, var, 1, layer->eps));
    a = layer->affine ? bnf_mul(b, a, gamma) : a;
    bnf_val shift = bnf_affine(b, bnf_mul(b, offset, a), -1, 0);
    return bnf_channel_affine(b, x, k, a, layer->affine ? bnf_add(b, beta, shift) : shift);
}
