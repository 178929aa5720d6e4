/* recipes/dark_showers/net.c - the networks, in parts. */
#include "recipes/dark_showers/net.h"

#include "graph/graph_error.h"

#include <math.h>
#include <stdio.h>

enum { NAME = 96 };
#define NORM_EPS 1e-3

static bnf_val param(bnf_scope *s, const char *name, const char *what, const bnf_desc *desc, bnf_init init)
{
    char full[NAME + 16];
    snprintf(full, sizeof full, "%s.%s", name, what);
    return bnf_nn_param(s,
                        &(bnf_param_info){.name = full, .desc = *desc, .trainable = true, .decay = true, .init = init});
}

static bnf_init constant(double value)
{
    return (bnf_init){BNF_INIT_CONSTANT, value, 0};
}

static bnf_init he_uniform(int64_t fan_in)
{
    double bound = sqrt(6 / (double)fan_in);
    return (bnf_init){BNF_INIT_UNIFORM, -bound, bound};
}

static bnf_val convolve(bnf_scope *s, const char *name, bnf_val x, int64_t out, int64_t kernel, int64_t stride,
                        int64_t groups, double start)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    const bnf_desc *in = bnf_val_desc(s->b, x);
    int64_t channels = in->dim[3] / groups;
    if (in->dim[3] % groups || out % groups) {
        bnf_graph_fail(s->graph, bnf_fail(BNF_ERR_CONFIG, "%s: %lld groups do not divide %lld and %lld channels", name,
                                          (long long)groups, (long long)in->dim[3], (long long)out));
        return BNF_NONE;
    }
    bnf_conv2d_attr attr = {.stride = {stride, stride}, .dilation = {1, 1}, .groups = groups};
    bnf_same_padding((int64_t[]){in->dim[1], in->dim[2]}, (int64_t[]){kernel, kernel}, attr.stride, attr.pad);
    bnf_desc w = bnf_desc_make(s->b->real, 4, (int64_t[]){out, channels, kernel, kernel}),
             bias = bnf_desc_1d(s->b->real, out);
    bnf_val weight = param(s, name, "weight", &w, he_uniform(channels * kernel * kernel));
    return bnf_conv2d(s->b, x, weight, param(s, name, "bias", &bias, constant(start)), &attr);
}

bnf_val bnf_dark_conv(bnf_scope *s, const char *name, bnf_val x, int64_t out, int64_t kernel, double start)
{
    return convolve(s, name, x, out, kernel, 1, 1, start);
}

/* The network while it is built. */
typedef struct net {
    bnf_scope *s;
    double slope;
    char stage[NAME / 2]; /* name */
} net;

static void begin_stage(net *n, const char *part, int64_t stage, bnf_val x)
{
    snprintf(n->stage, sizeof n->stage, "%s.stage%lld", part, (long long)stage + 1);
    if (bnf_val_ok(x))
        bnf_graph_mark(n->s->graph, x);
}

static bnf_val layer(net *n, const char *what, bnf_val x, int64_t out, int64_t stride, int64_t groups)
{
    char name[NAME];
    bnf_desc d = bnf_desc_1d(n->s->b->real, out);
    snprintf(name, sizeof name, "%s.%s", n->stage, what);
    x = convolve(n->s, name, x, out, 3, stride, groups, 0);
    if (!bnf_val_ok(x))
        return BNF_NONE;
    bnf_val gamma = param(n->s, name, "gamma", &d, constant(1)), beta = param(n->s, name, "beta", &d, constant(0));
    return bnf_leaky_relu(n->s->b, bnf_instance_norm(n->s->b, x, gamma, beta, NORM_EPS), n->slope);
}

static bnf_val residual(net *n, bnf_val x, int64_t groups)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    int64_t c = bnf_desc_cols(bnf_val_desc(n->s->b, x));
    return bnf_nn_residual(n->s, layer(n, "res2", layer(n, "res1", x, c, 1, groups), c, 1, groups), x, false);
}

bnf_val bnf_dark_stages(bnf_scope *s, const bnf_dark_model *m, bnf_val x)
{
    net n = {.s = s, .slope = m->slope};
    x = bnf_nn_enter(s, x);
    for (int64_t i = 0; i < m->filters.count; i++) {
        begin_stage(&n, "encoder", i, x);
        x = residual(&n, layer(&n, "down", x, m->filters.value[i], 2, i == 0 ? 1 : m->groups), m->groups);
    }
    return bnf_val_ok(x) ? bnf_nn_leave(s, x) : x;
}

bnf_val bnf_dark_encoder(bnf_scope *s, const bnf_dark_model *m, bnf_val x)
{
    return bnf_dark_conv(s, "encoder.latent", bnf_dark_stages(s, m, x), m->latent, 1, 0);
}

static bnf_val shrink(bnf_scope *s, bnf_val x)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    const bnf_desc *d = bnf_val_desc(s->b, x);
    bnf_pool2d_attr pool = {.kind = BNF_POOL_MAX, .window = {3, 3}, .stride = {2, 2}};
    bnf_same_padding((int64_t[]){d->dim[1], d->dim[2]}, pool.window, pool.stride, pool.pad);
    return bnf_pool2d(s->b, x, &pool);
}

bnf_val bnf_dark_aux_encoder(bnf_scope *s, const bnf_dark_model *m, bnf_val x)
{
    net n = {.s = s, .slope = m->slope};
    x = bnf_nn_enter(s, x);
    for (int64_t i = 0; i < m->aux_filters.count; i++) {
        begin_stage(&n, "aux", i, x);
        x = shrink(s, layer(&n, "conv", x, m->aux_filters.value[i], 1, i == 0 ? 1 : m->aux_groups));
    }
    if (!bnf_val_ok(x))
        return BNF_NONE;
    x = bnf_flatten(s->b, bnf_nn_leave(s, x));
    int64_t in = bnf_desc_cols(bnf_val_desc(s->b, x));
    bnf_desc w = bnf_desc_2d(s->b->real, m->aux, in), bias = bnf_desc_1d(s->b->real, m->aux);
    bnf_val weight = param(s, "aux.dense", "weight", &w, he_uniform(in));
    return bnf_dense(s->b, x, weight, param(s, "aux.dense", "bias", &bias, constant(0)));
}

/* x times what a convolution makes of z_m and the position. */
static bnf_val condition(net *n, bnf_val x, bnf_val z_m)
{
    char name[NAME];
    if (!bnf_val_ok(x) || !bnf_val_ok(z_m))
        return x;
    const bnf_desc d = *bnf_val_desc(n->s->b, x);
    snprintf(name, sizeof name, "%s.condition", n->stage);
    bnf_val scale = bnf_dark_conv(n->s, name, bnf_spatial_tile(n->s->b, z_m, d.dim[1], d.dim[2]), d.dim[3], 3, 0);
    return bnf_mul(n->s->b, x, scale);
}

static bnf_val centre(bnf_scope *s, bnf_val x, int64_t height, int64_t width)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    const bnf_desc *d = bnf_val_desc(s->b, x);
    x = bnf_crop2d(s->b, x, (d->dim[1] - height) / 2, (d->dim[2] - width) / 2, height, width);
    return bnf_val_ok(x) ? bnf_nn_leave(s, x) : x;
}

bnf_val bnf_dark_decoder(bnf_scope *s, const bnf_dark_model *m, bnf_val z, bnf_val z_m, int64_t height, int64_t width)
{
    net n = {.s = s, .slope = m->slope};
    bnf_val x = bnf_val_ok(z) ? bnf_nn_enter(s, z) : z;
    if (bnf_val_ok(z_m))
        z_m = bnf_nn_enter(s, z_m);
    for (int64_t i = 0; i < m->filters.count; i++) {
        int64_t out = m->filters.value[m->filters.count - 1 - i];
        begin_stage(&n, "decoder", i, x);
        x = condition(&n, x, z_m);
        x = bnf_val_ok(x) ? bnf_upsample2(s->b, x) : x;
        x = residual(&n, layer(&n, "up", x, out, 1, i == 0 ? 1 : m->groups), m->groups);
    }
    return bnf_dark_conv(s, "decoder.output", centre(s, x, height, width), 1, 1, -1);
}
