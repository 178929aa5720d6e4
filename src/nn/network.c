/* nn/network.c - a network from a list of layers, as configurations give it. */
#include <banff/nn.h>

#include "graph/graph_error.h"

#include <math.h>
#include <stdio.h>

const char *const bnf_layer_kind_names[BNF_LAYER_COUNT + 1] = {
    [BNF_LAYER_CONV] = "conv",
    [BNF_LAYER_DENSE] = "dense",
    [BNF_LAYER_HEAD] = "head",
    [BNF_LAYER_RELU] = "relu",
    [BNF_LAYER_LEAKY_RELU] = "leaky_relu",
    [BNF_LAYER_TANH] = "tanh",
    [BNF_LAYER_SIGMOID] = "sigmoid",
    [BNF_LAYER_GROUPSORT2] = "groupsort2",
    [BNF_LAYER_FULLSORT] = "fullsort",
    [BNF_LAYER_MAX_POOL] = "max_pool",
    [BNF_LAYER_AVG_POOL] = "avg_pool",
    [BNF_LAYER_SCALED_AVG_POOL] = "scaled_avg_pool",
    [BNF_LAYER_L2_POOL] = "l2_pool",
    [BNF_LAYER_GLOBAL_AVG_POOL] = "global_avg_pool",
    [BNF_LAYER_SCALED_GLOBAL_AVG_POOL] = "scaled_global_avg_pool",
    [BNF_LAYER_GLOBAL_L2_POOL] = "global_l2_pool",
    [BNF_LAYER_BATCH_NORM] = "batch_norm",
    [BNF_LAYER_DROPOUT] = "dropout",
    [BNF_LAYER_FLATTEN] = "flatten",
    [BNF_LAYER_UNSHUFFLE] = "unshuffle",
    [BNF_LAYER_BATCH_CENTER] = "batch_center",
    [BNF_LAYER_BLOCK] = "block",
    [BNF_LAYER_SHORTCUT] = "shortcut",
    [BNF_LAYER_ADD] = "add",
    [BNF_LAYER_HOUSEHOLDER] = "householder",
};

bnf_layer bnf_layer_default(bnf_layer_kind kind)
{
    bnf_layer l = {.kind = kind,
                   .kernel = 3,
                   .pad = -1,
                   .dilation = 1,
                   .groups = 1,
                   .bias = true,
                   .slope = 0.01,
                   .rate = 0.5,
                   .disjoint = true};
    if (kind >= BNF_LAYER_MAX_POOL && kind <= BNF_LAYER_L2_POOL)
        l.kernel = 2;
    if (kind == BNF_LAYER_UNSHUFFLE)
        l.kernel = 2;
    return l;
}

double bnf_layer_lipschitz(const bnf_layer *layer)
{
    int64_t stride = layer->stride > 0 ? layer->stride : layer->kernel;
    double overlap =
        stride >= layer->kernel ? 1 : (double)((layer->kernel + stride - 1) / stride); /* windows per cell and axis */
    switch (layer->kind) {
    case BNF_LAYER_MAX_POOL:
    case BNF_LAYER_L2_POOL:
    case BNF_LAYER_SCALED_AVG_POOL:
        return overlap;
    case BNF_LAYER_AVG_POOL:
        return overlap / (double)layer->kernel;
    default:
        return 1;
    }
}

static bnf_val need_image(bnf_scope *s, bnf_val x)
{
    if (bnf_val_ok(x) && bnf_val_desc(s->b, x)->ndim != 4) {
        char shape[96];
        bnf_graph_fail(s->graph, bnf_fail(BNF_ERR_ARG, "needs an image [N,H,W,C], not %s",
                                          bnf_desc_format(bnf_val_desc(s->b, x), shape, sizeof shape)));
        return BNF_NONE;
    }
    return x;
}

static bnf_val pool(bnf_scope *s, bnf_val x, const bnf_layer *l)
{
    x = need_image(s, x);
    if (!bnf_val_ok(x))
        return BNF_NONE;
    int64_t stride = l->stride > 0 ? l->stride : l->kernel, pad = l->pad > 0 ? l->pad : 0;
    bnf_pool_kind kind = l->kind == BNF_LAYER_MAX_POOL  ? BNF_POOL_MAX
                         : l->kind == BNF_LAYER_L2_POOL ? BNF_POOL_L2
                                                        : BNF_POOL_AVG;
    bnf_pool2d_attr a = {
        .kind = kind, .window = {l->kernel, l->kernel}, .stride = {stride, stride}, .pad = {pad, pad, pad, pad}};
    bnf_val y = bnf_pool2d(s->b, x, &a);
    return l->kind == BNF_LAYER_SCALED_AVG_POOL ? bnf_affine(s->b, y, (double)l->kernel, 0) : y;
}

static bnf_val global_pool(bnf_scope *s, bnf_val x, const bnf_layer *l)
{
    x = need_image(s, x);
    if (!bnf_val_ok(x))
        return BNF_NONE;
    int64_t h = bnf_val_desc(s->b, x)->dim[1], w = bnf_val_desc(s->b, x)->dim[2];
    if (l->kind != BNF_LAYER_GLOBAL_L2_POOL)
        return bnf_global_avg(s->b, x, l->kind == BNF_LAYER_SCALED_GLOBAL_AVG_POOL ? sqrt((double)(h * w)) : 1);
    return bnf_flatten(
        s->b, bnf_pool2d(s->b, x, &(bnf_pool2d_attr){.kind = BNF_POOL_L2, .window = {h, w}, .stride = {h, w}}));
}

static bnf_val convolution(bnf_scope *s, const char *name, bnf_val x, const bnf_layer *l, const bnf_lip *lip)
{
    int64_t stride = l->stride > 0 ? l->stride : 1;
    bnf_conv2d_layer c = {.out = l->out,
                          .kernel = {l->kernel, l->kernel},
                          .stride = {stride, stride},
                          .pad = {l->pad, l->pad},
                          .dilation = {l->dilation, l->dilation},
                          .groups = l->groups,
                          .bias = l->bias,
                          .lip = *lip};
    return bnf_nn_conv2d(s, name, x, &c);
}

/* With zero_init the scale is added here, where the norm finds it. */
static bnf_val batch_norm(bnf_scope *s, const char *name, bnf_val x, const bnf_layer *l)
{
    bnf_batch_norm_layer norm = bnf_batch_norm_layer_default();
    if (l->zero_init && bnf_val_ok(x)) {
        char full[128];
        snprintf(full, sizeof full, "%s.weight", name);
        bnf_desc d = bnf_desc_1d(s->b->real, bnf_desc_cols(bnf_val_desc(s->b, x)));
        bnf_nn_param(s,
                     &(bnf_param_info){.name = full, .desc = d, .trainable = true, .init = {BNF_INIT_CONSTANT, 0, 0}});
    }
    return bnf_nn_batch_norm(s, name, x, &norm);
}

static bnf_val build_layer(bnf_scope *s, const char *name, bnf_val x, const bnf_layer *l, const bnf_lip *lip)
{
    bnf_builder *b = s->b;
    bnf_lip head = *lip;
    switch ((bnf_layer_kind)l->kind) {
    case BNF_LAYER_CONV:
        return convolution(s, name, x, l, lip);
    case BNF_LAYER_DENSE:
        return bnf_nn_dense(s, name, x, l->out, l->bias, lip);
    case BNF_LAYER_HEAD:
        if (head.kind != BNF_LIP_NONE)
            head.kind = l->disjoint ? BNF_LIP_FROBENIUS_ROWS : BNF_LIP_FROBENIUS;
        return bnf_nn_dense(s, name, x, l->out, l->bias, &head);
    case BNF_LAYER_RELU:
        return bnf_relu(b, x);
    case BNF_LAYER_LEAKY_RELU:
        return bnf_leaky_relu(b, x, l->slope);
    case BNF_LAYER_TANH:
        return bnf_tanh(b, x);
    case BNF_LAYER_SIGMOID:
        return bnf_sigmoid(b, x);
    case BNF_LAYER_GROUPSORT2:
        return bnf_groupsort2(b, x);
    case BNF_LAYER_FULLSORT:
        return bnf_fullsort(b, x);
    case BNF_LAYER_MAX_POOL:
    case BNF_LAYER_AVG_POOL:
    case BNF_LAYER_SCALED_AVG_POOL:
    case BNF_LAYER_L2_POOL:
        return pool(s, x, l);
    case BNF_LAYER_GLOBAL_AVG_POOL:
    case BNF_LAYER_SCALED_GLOBAL_AVG_POOL:
    case BNF_LAYER_GLOBAL_L2_POOL:
        return global_pool(s, x, l);
    case BNF_LAYER_BATCH_NORM:
        return batch_norm(s, name, x, l);
    case BNF_LAYER_BATCH_CENTER:
        return bnf_nn_batch_center(s, name, x);
    case BNF_LAYER_DROPOUT:
        return bnf_dropout(b, x, l->rate);
    case BNF_LAYER_FLATTEN:
        return bnf_flatten(b, x);
    case BNF_LAYER_UNSHUFFLE:
        return bnf_pixel_unshuffle(b, need_image(s, x), l->kernel);
    case BNF_LAYER_HOUSEHOLDER:
        return bnf_nn_householder(s, name, x);
    case BNF_LAYER_BLOCK:
    case BNF_LAYER_SHORTCUT:
    case BNF_LAYER_ADD:
    case BNF_LAYER_COUNT:
        break;
    }
    return BNF_NONE;
}

static const char *stem(int kind)
{
    switch (kind) {
    case BNF_LAYER_CONV:
        return "conv";
    case BNF_LAYER_DENSE:
        return "dense";
    case BNF_LAYER_BATCH_NORM:
        return "norm";
    case BNF_LAYER_BATCH_CENTER:
        return "center";
    case BNF_LAYER_HOUSEHOLDER:
        return "householder";
    case BNF_LAYER_ADD:
        return "add";
    default:
        return "head";
    }
}

bnf_status bnf_nn_layers_check(const bnf_layer *layers, int n)
{
    int block = 0, shortcut = 0; /* numbers of the open block and its shortcut; 0: none */
    for (int i = 1; i <= n; i++) {
        int kind = layers[i - 1].kind;
        if (kind == BNF_LAYER_BLOCK && block)
            return bnf_fail(BNF_ERR_ARG, "layer %d (block): the block that begins at layer %d needs its add first", i,
                            block);
        if ((kind == BNF_LAYER_SHORTCUT || kind == BNF_LAYER_ADD) && !block)
            return bnf_fail(BNF_ERR_ARG, "layer %d (%s): there is no block that it could belong to", i,
                            bnf_layer_kind_names[kind]);
        if (kind == BNF_LAYER_SHORTCUT && shortcut)
            return bnf_fail(BNF_ERR_ARG, "layer %d (shortcut): the block has one already, layer %d", i, shortcut);
        if (kind == BNF_LAYER_BLOCK)
            block = i;
        else if (kind == BNF_LAYER_SHORTCUT)
            shortcut = i;
        else if (kind == BNF_LAYER_ADD)
            block = shortcut = 0;
    }
    return block ? bnf_fail(BNF_ERR_ARG, "layer %d (block): no add ends it", block) : BNF_OK;
}

/* Values of the open residual block; BNF_NONE: not there. */
typedef struct residual {
    bnf_val input, branch; /* branch: its end, once the shortcut has begun */
} residual;

static bnf_val add(bnf_scope *s, const char *name, const bnf_layer *l, bnf_val x, const residual *r, bool lipschitz)
{
    bnf_val branch = bnf_val_ok(r->branch) ? r->branch : x, shortcut = bnf_val_ok(r->branch) ? x : r->input;
    const bnf_desc *a = bnf_val_desc(s->b, branch), *b = bnf_val_desc(s->b, shortcut);
    if (!bnf_desc_same_shape(a, b)) {
        char have[96], want[96];
        bnf_graph_fail(s->graph,
                       bnf_fail(BNF_ERR_ARG, "the branch gives %s, the shortcut %s",
                                bnf_desc_format(a, have, sizeof have), bnf_desc_format(b, want, sizeof want)));
        return BNF_NONE;
    }
    return l->learned ? bnf_nn_mix(s, name, shortcut, branch) : bnf_nn_residual(s, branch, shortcut, lipschitz);
}

/* A layer that only says where x comes from or goes to; their order has been checked. */
static bnf_val structure(bnf_scope *s, const char *name, const bnf_layer *l, bnf_val x, residual *r, bool lipschitz)
{
    switch (l->kind) {
    case BNF_LAYER_BLOCK:
        bnf_graph_mark(s->graph, x);
        *r = (residual){.input = x, .branch = BNF_NONE};
        return x;
    case BNF_LAYER_SHORTCUT:
        r->branch = x;
        return r->input;
    default:
        return add(s, name, l, x, r, lipschitz);
    }
}

bnf_val bnf_nn_network(bnf_scope *s, bnf_val x, const bnf_layer *layers, int n, const bnf_lip *lip)
{
    int seen[BNF_LAYER_COUNT] = {0};
    residual r = {BNF_NONE, BNF_NONE};
    bnf_status status = bnf_nn_layers_check(layers, n);
    if (status != BNF_OK) {
        bnf_graph_fail(s->graph, status);
        return BNF_NONE;
    }
    x = bnf_nn_enter(s, x);
    for (int i = 0; i < n && bnf_val_ok(x); i++) {
        char name[64];
        const bnf_layer *l = &layers[i];
        int number = ++seen[l->kind];
        if (l->kind == BNF_LAYER_HEAD && number == 1)
            snprintf(name, sizeof name, "head");
        else
            snprintf(name, sizeof name, "%s%d", stem(l->kind), number);
        if (l->kind >= BNF_LAYER_BLOCK && l->kind <= BNF_LAYER_ADD)
            x = structure(s, name, l, x, &r, lip->kind != BNF_LIP_NONE);
        else
            x = build_layer(s, name, x, l, lip);
        status = bnf_graph_status(s->graph);
        if (status != BNF_OK)
            bnf_graph_refail(s->graph, bnf_fail_context(status, "layer %d (%s)", i + 1, bnf_layer_kind_names[l->kind]));
    }
    return bnf_nn_leave(s, x);
}
