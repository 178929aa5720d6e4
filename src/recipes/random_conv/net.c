/* recipes/random_conv/net.c - the network. */
#include "recipes/random_conv/net.h"

#include "recipes/random_conv/fold.h"

#include <stdio.h>

enum { NAME = 96 };

/* Adds NAME.`what` before the layer that reads it, which then finds it. */
static void declare(bnf_scope *s, const char *name, const char *what, const bnf_desc *desc, int64_t fan_in,
                    bool trainable)
{
    char full[NAME + 16];
    double bound = bnf_random_conv_bound(fan_in);
    snprintf(full, sizeof full, "%s.%s", name, what);
    bnf_nn_param(s, &(bnf_param_info){.name = full,
                                      .desc = *desc,
                                      .trainable = trainable,
                                      .decay = desc->ndim > 1,
                                      .init = {BNF_INIT_UNIFORM, -bound, bound}});
}

static bnf_desc kernel_desc(bnf_scope *s, bnf_val x, int64_t out, int64_t kernel)
{
    int64_t in = bnf_desc_cols(bnf_val_desc(s->b, x));
    return bnf_desc_make(bnf_params_real(s->params), 4, (int64_t[]){out, in, kernel, kernel});
}

static bnf_val convolve(bnf_scope *s, const char *name, bnf_val x, int64_t out, int64_t kernel, int64_t stride)
{
    bnf_conv2d_layer l = bnf_conv2d_layer_default(out);
    for (int i = 0; i < 2; i++) {
        l.kernel[i] = kernel;
        l.stride[i] = stride;
    }
    l.bias = false;
    return bnf_nn_conv2d(s, name, x, &l);
}

/* An ordinary convolution. */
static bnf_val plain(bnf_scope *s, const char *name, bnf_val x, int64_t out, int64_t kernel, int64_t stride,
                     bool trainable)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    bnf_desc d = kernel_desc(s, x, out, kernel);
    declare(s, name, "weight", &d, bnf_desc_count(&d) / out, trainable);
    return convolve(s, name, x, out, kernel, stride);
}

static bnf_val folded(bnf_scope *s, const bnf_random_conv_model *m, uint64_t layer, const char *name, bnf_val x,
                      int64_t out, int64_t stride)
{
    char full[NAME + 16];
    bnf_desc d = kernel_desc(s, x, out, m->kernel);
    bnf_random_conv_fold fold = {.seed = s->seed,
                                 .layer = layer,
                                 .out = out,
                                 .filters = out * m->expansion,
                                 .fan_in = bnf_desc_count(&d) / out,
                                 .frozen = m->frozen};
    snprintf(full, sizeof full, "%s.weight", name);
    bnf_param_info info = {
        .name = full, .desc = d, .trainable = true, .decay = true, .init = {BNF_INIT_UNIFORM, -1, 1}};
    bnf_random_conv_describe(&fold, bnf_params_real(s->params), &info.reparam);
    bnf_nn_param(s, &info);
    return convolve(s, name, x, out, m->kernel, stride);
}

static bnf_val norm(bnf_scope *s, const char *name, bnf_val x)
{
    bnf_batch_norm_layer l = bnf_batch_norm_layer_default();
    return bnf_nn_batch_norm(s, name, x, &l);
}

static bnf_val unfolded(bnf_scope *s, const bnf_random_conv_model *m, const char *name, bnf_val x, int64_t out,
                        int64_t stride)
{
    char full[NAME + 16];
    snprintf(full, sizeof full, "%s.filters", name);
    x = plain(s, full, x, out * m->expansion, m->kernel, stride, !m->frozen);
    snprintf(full, sizeof full, "%s.between", name);
    if (m->between == BNF_RANDOM_CONV_BN || m->between == BNF_RANDOM_CONV_BN_RELU)
        x = norm(s, full, x);
    if (m->between == BNF_RANDOM_CONV_RELU || m->between == BNF_RANDOM_CONV_BN_RELU)
        x = bnf_relu(s->b, x);
    snprintf(full, sizeof full, "%s.mix", name);
    return plain(s, full, x, out, 1, 1, true);
}

bnf_val bnf_random_conv_layer(bnf_scope *s, const bnf_random_conv_model *model, uint64_t layer, const char *name,
                              bnf_val x, int64_t out, int64_t stride)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    if (model->expansion == 0)
        return plain(s, name, x, out, model->kernel, stride, !model->frozen);
    if (model->fold && model->between == BNF_RANDOM_CONV_NOTHING)
        return folded(s, model, layer, name, x, out, stride);
    return unfolded(s, model, name, x, out, stride);
}

/* The network while it is built. */
typedef struct net {
    bnf_scope *s;
    const bnf_random_conv_model *m;
    uint64_t layer;
    const char *block; /* name of the block */
} net;

static bnf_val spatial(net *n, const char *what, bnf_val x, int64_t out, int64_t stride)
{
    char name[NAME];
    snprintf(name, sizeof name, "%s.%s", n->block, what);
    return bnf_random_conv_layer(n->s, n->m, n->layer++, name, x, out, stride);
}

static bnf_val normalise(net *n, const char *what, bnf_val x)
{
    char name[NAME];
    snprintf(name, sizeof name, "%s.%s", n->block, what);
    return norm(n->s, name, x);
}

static bnf_val block(net *n, bnf_val x, int64_t out, int64_t stride)
{
    bnf_builder *b = n->s->b;
    bnf_val shortcut = x;
    if (!bnf_val_ok(x))
        return BNF_NONE;
    bnf_graph_mark(n->s->graph, x);
    bool project = stride > 1 || bnf_desc_cols(bnf_val_desc(b, x)) != out;
    bnf_val y = bnf_relu(b, normalise(n, "norm1", spatial(n, "conv1", x, out, stride)));
    y = normalise(n, "norm2", spatial(n, "conv2", y, out, 1));
    if (project) {
        char name[NAME];
        snprintf(name, sizeof name, "%s.shortcut", n->block);
        shortcut = normalise(n, "shortcut_norm", plain(n->s, name, x, out, 1, stride, true));
    }
    return bnf_relu(b, bnf_nn_residual(n->s, y, shortcut, false));
}

static bnf_val head(bnf_scope *s, bnf_val x, int64_t outputs)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    int64_t in = bnf_desc_cols(bnf_val_desc(s->b, x));
    bnf_desc w = bnf_desc_2d(bnf_params_real(s->params), outputs, in),
             bias = bnf_desc_1d(bnf_params_real(s->params), outputs);
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    declare(s, "head", "weight", &w, in, true);
    declare(s, "head", "bias", &bias, in, true);
    return bnf_nn_dense(s, "head", x, outputs, true, &none);
}

bnf_val bnf_random_conv_network(bnf_scope *s, const bnf_random_conv_model *model, bnf_val x, int64_t outputs)
{
    net n = {.s = s, .m = model, .block = "stem"};
    x = bnf_nn_enter(s, x);
    x = bnf_relu(s->b, normalise(&n, "norm", spatial(&n, "conv", x, model->width, 1)));
    for (int stage = 0; stage < 3; stage++)
        for (int64_t i = 0; i < (model->depth - 2) / 6; i++) {
            char name[NAME / 2];
            snprintf(name, sizeof name, "stage%d.block%lld", stage + 1, (long long)i + 1);
            n.block = name;
            x = block(&n, x, model->width << stage, stage > 0 && i == 0 ? 2 : 1);
        }
    if (!bnf_val_ok(x))
        return BNF_NONE;
    return bnf_nn_leave(s, head(s, bnf_global_avg(s->b, x, 1), outputs));
}
