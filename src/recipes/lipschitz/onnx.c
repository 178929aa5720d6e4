/* recipes/lipschitz/onnx.c - a trained network as an ONNX model, stage by stage.
 *
 * Pictures are [N,C,H,W] in ONNX and [N,H,W,C] here; so what flattens them is a Transpose and a Flatten, and weights of
 * dense layers stay as they are. Sums over channels (sorting, centering) are along dimension 1 in either rank. */
#include "recipes/lipschitz/onnx.h"

#include "base/mem.h"
#include "train/onnx.h"

#include <math.h>
#include <stdio.h>

enum { NAME = 96 };

/* What is being written, and where: `at` is the last stage's value. */
typedef struct writer {
    bnf_onnx model;
    const bnf_lipschitz_net *net;
    bnf_params *params;
    const bnf_lipschitz_stage *stage;
    int number;         /* of the stage, from 1 */
    bool image;         /* at[N,C,H,W], else at[N,C] */
    char at[NAME];      /* name of the stage's input */
    char to[NAME];      /* ... and of its output */
    char (*kept)[NAME]; /* [net.count] inputs of blocks and ends of branches, by stage */
    bool *kept_image;
    float *values; /* [2 * channels] room for constants that are computed */
} writer;

/* "layer3.l2_pool/WHAT": names of the values between the operators of a stage, and of its constants. */
static const char *inner(const writer *w, const char *what, char name[NAME])
{
    snprintf(name, NAME, "layer%d.%s/%s", w->number, bnf_layer_kind_names[w->stage->layer.kind], what);
    return name;
}

/* An operator of the stage, called after its output. attr[]: ended by one without a name; NULL: none. */
static void emit(writer *w, const char *op, const char *const *input, const char *output, const bnf_onnx_attr *attr)
{
    bnf_onnx_node n = {.op = op, .name = output, .output = {output}};
    for (int i = 0; input[i]; i++)
        n.input[i] = input[i];
    for (int i = 0; attr && attr[i].name; i++)
        n.attr[i] = attr[i];
    bnf_onnx_add(&w->model, &n);
}

#define IN(...) ((const char *[]){__VA_ARGS__, NULL})
#define ATTRS(...) ((const bnf_onnx_attr[]){__VA_ARGS__, {0}})

static bnf_onnx_attr whole(const char *name, int64_t value)
{
    return (bnf_onnx_attr){.name = name, .kind = BNF_ONNX_INT, .i = value};
}

static bnf_onnx_attr real(const char *name, double value)
{
    return (bnf_onnx_attr){.name = name, .kind = BNF_ONNX_FLOAT, .f = (float)value};
}

static bnf_onnx_attr list(const char *name, int n, const int64_t *values)
{
    bnf_onnx_attr a = {.name = name, .kind = BNF_ONNX_INTS, .n = n};
    for (int i = 0; i < n; i++)
        a.ints[i] = values[i];
    return a;
}

static bnf_onnx_attr pair(const char *name, int64_t value)
{
    return list(name, 2, (int64_t[]){value, value});
}

static bnf_onnx_attr pads(int64_t value)
{
    return list("pads", 4, (int64_t[]){value, value, value, value});
}

/* ---- constants ---- */

/* A parameter or state, with its own shape. */
static const char *constant(writer *w, int index)
{
    const bnf_param_info *info = bnf_params_info(w->params, index);
    bnf_onnx_floats(&w->model, info->name, info->desc.ndim, info->desc.dim, bnf_params_value(w->params, index));
    return info->name;
}

/* One [C] per channel, shaped so that it meets the stage's input. */
static const char *per_channel(writer *w, int index)
{
    const bnf_param_info *info = bnf_params_info(w->params, index);
    bnf_onnx_floats(&w->model, info->name, w->image ? 4 : 2, (int64_t[]){1, info->desc.dim[0], 1, 1},
                    bnf_params_value(w->params, index));
    return info->name;
}

/* to = from * factor, a constant called `what` */
static void scale(writer *w, const char *from, double factor, const char *what, const char *to)
{
    char name[NAME];
    const float f = (float)factor;
    bnf_onnx_floats(&w->model, inner(w, what, name), 0, NULL, &f);
    emit(w, "Mul", IN(from, name), to, NULL);
}

static void reshape(writer *w, const char *from, const char *what, int ndim, const int64_t *dim, const char *to)
{
    char name[NAME];
    bnf_onnx_ints(&w->model, inner(w, what, name), ndim, dim);
    emit(w, "Reshape", IN(from, name), to, NULL);
}

/* ---- stages ---- */

/* Picture or not, `from` as [N, height * width * channels]; the name of the result. */
static const char *flat(writer *w, const char *from, char name[NAME])
{
    const bnf_lipschitz_shape *s = &w->stage->in;
    char moved[NAME];
    if (!w->image)
        return from;
    if (s->h * s->w > 1) {
        emit(w, "Transpose", IN(from), inner(w, "channels_last", moved),
             ATTRS(list("perm", 4, (int64_t[]){0, 2, 3, 1})));
        from = moved;
    }
    emit(w, "Flatten", IN(from), inner(w, "flat", name), ATTRS(whole("axis", 1)));
    w->image = false;
    return name;
}

static void dense(writer *w)
{
    char name[NAME];
    const bnf_lipschitz_stage *s = w->stage;
    const char *x = flat(w, w->at, name), *matrix = constant(w, s->weight),
               *bias = s->bias >= 0 ? constant(w, s->bias) : NULL;
    emit(w, "Gemm", IN(x, matrix, bias), w->to, ATTRS(whole("transB", 1)));
}

static void convolution(writer *w)
{
    const bnf_lipschitz_stage *s = w->stage;
    const bnf_layer *l = &s->layer;
    const char *kernel = constant(w, s->weight), *bias = s->bias >= 0 ? constant(w, s->bias) : NULL;
    emit(w, "Conv", IN(w->at, kernel, bias), w->to,
         ATTRS(pair("kernel_shape", l->kernel), pair("strides", l->stride), pads(l->pad),
               pair("dilations", l->dilation), whole("group", l->groups)));
}

static void windows(writer *w, const char *op, const char *from, const char *to)
{
    const bnf_layer *l = &w->stage->layer;
    bool padded = op[0] == 'A'; /* AveragePool: padded cells count */
    emit(w, op, IN(from), to,
         ATTRS(pair("kernel_shape", l->kernel), pair("strides", l->stride), pads(l->pad),
               padded ? whole("count_include_pad", 1) : (bnf_onnx_attr){0}));
}

static void pool(writer *w)
{
    const bnf_layer *l = &w->stage->layer;
    char squares[NAME], means[NAME], sums[NAME];
    switch (l->kind) {
    case BNF_LAYER_MAX_POOL:
        windows(w, "MaxPool", w->at, w->to);
        break;
    case BNF_LAYER_AVG_POOL:
        windows(w, "AveragePool", w->at, w->to);
        break;
    case BNF_LAYER_SCALED_AVG_POOL:
        windows(w, "AveragePool", w->at, inner(w, "means", means));
        scale(w, means, (double)l->kernel, "factor", w->to);
        break;
    default: /* L2: the root of the sum of squares */
        emit(w, "Mul", IN(w->at, w->at), inner(w, "squares", squares), NULL);
        windows(w, "AveragePool", squares, inner(w, "means", means));
        scale(w, means, (double)(l->kernel * l->kernel), "factor", inner(w, "sums", sums));
        emit(w, "Sqrt", IN(sums), w->to, NULL);
    }
}

static void global_pool(writer *w)
{
    const bnf_lipschitz_stage *s = w->stage;
    char means[NAME], flattened[NAME];
    bool scaled = s->layer.kind == BNF_LAYER_SCALED_GLOBAL_AVG_POOL;
    if (s->layer.kind == BNF_LAYER_GLOBAL_L2_POOL) {
        emit(w, "ReduceL2", IN(w->at), w->to, ATTRS(list("axes", 2, (int64_t[]){2, 3}), whole("keepdims", 0)));
    } else {
        emit(w, "GlobalAveragePool", IN(w->at), inner(w, "means", means), NULL);
        emit(w, "Flatten", IN(means), scaled ? inner(w, "flat", flattened) : w->to, ATTRS(whole("axis", 1)));
        if (scaled)
            scale(w, flattened, sqrt((double)(s->in.h * s->in.w)), "factor", w->to);
    }
    w->image = false;
}

/* x -> [N, C/2, 2, ...]; the name of the result. */
static const char *pairs_of(writer *w, char name[NAME])
{
    const bnf_lipschitz_shape *s = &w->stage->in;
    reshape(w, w->at, "pairs", w->image ? 5 : 3, (int64_t[]){0, s->c / 2, 2, s->h, s->w}, inner(w, "paired", name));
    return name;
}

/* ... and back. */
static void unpair(writer *w, const char *from)
{
    const bnf_lipschitz_shape *s = &w->stage->in;
    reshape(w, from, "shape", w->image ? 4 : 2, (int64_t[]){0, s->c, s->h, s->w}, w->to);
}

static void groupsort2(writer *w)
{
    char name[NAME], low[NAME], high[NAME], sorted[NAME];
    const char *x = pairs_of(w, name);
    const bnf_onnx_attr *along = ATTRS(list("axes", 1, (int64_t[]){2}), whole("keepdims", 1));
    emit(w, "ReduceMin", IN(x), inner(w, "low", low), along);
    emit(w, "ReduceMax", IN(x), inner(w, "high", high), along);
    emit(w, "Concat", IN(low, high), inner(w, "sorted", sorted), ATTRS(whole("axis", 2)));
    unpair(w, sorted);
}

/* z - min(v z, 0) 2 v for each pair z of channels; v from its angle. */
static void householder(writer *w)
{
    const bnf_lipschitz_stage *s = w->stage;
    const float *angle = bnf_params_value(w->params, s->weight);
    const int64_t pairs = s->in.c / 2, dim[] = {1, pairs, 2, 1, 1}, axis = 2;
    char name[NAME], normal[NAME], twice[NAME], zero[NAME], axes[NAME], product[NAME], side[NAME], below[NAME],
        step[NAME], moved[NAME];
    float *v = w->values, *v2 = v + s->in.c, none = 0;
    for (int64_t i = 0; i < pairs; i++) {
        v[2 * i] = (float)-sin(angle[i] / 2.0);
        v[2 * i + 1] = (float)cos(angle[i] / 2.0);
        v2[2 * i] = 2 * v[2 * i];
        v2[2 * i + 1] = 2 * v[2 * i + 1];
    }
    const char *z = pairs_of(w, name);
    bnf_onnx_floats(&w->model, inner(w, "normal", normal), w->image ? 5 : 3, dim, v);
    bnf_onnx_floats(&w->model, inner(w, "twice", twice), w->image ? 5 : 3, dim, v2);
    bnf_onnx_floats(&w->model, inner(w, "zero", zero), 0, NULL, &none);
    bnf_onnx_ints(&w->model, inner(w, "axes", axes), 1, &axis);
    emit(w, "Mul", IN(z, normal), inner(w, "product", product), NULL);
    emit(w, "ReduceSum", IN(product, axes), inner(w, "side", side), ATTRS(whole("keepdims", 1)));
    emit(w, "Min", IN(side, zero), inner(w, "below", below), NULL);
    emit(w, "Mul", IN(below, twice), inner(w, "step", step), NULL);
    emit(w, "Sub", IN(z, step), inner(w, "moved", moved), NULL);
    unpair(w, moved);
}

static void fullsort(writer *w)
{
    char all[NAME], places[NAME];
    bnf_onnx_ints(&w->model, inner(w, "channels", all), 1, &w->stage->in.c);
    bnf_onnx_node n = {.op = "TopK",
                       .name = w->to,
                       .input = {w->at, all},
                       .output = {w->to, inner(w, "places", places)},
                       .attr = {whole("axis", 1), whole("largest", 0), whole("sorted", 1)}};
    bnf_onnx_add(&w->model, &n);
}

/* Channel (c f + dy) f + dx, which is not SpaceToDepth's order. */
static void unshuffle(writer *w)
{
    const bnf_lipschitz_stage *s = w->stage;
    int64_t f = s->layer.kernel;
    char cut[NAME], moved[NAME];
    reshape(w, w->at, "cells", 6, (int64_t[]){0, s->in.c, s->out.h, f, s->out.w, f}, inner(w, "cut", cut));
    emit(w, "Transpose", IN(cut), inner(w, "moved", moved), ATTRS(list("perm", 6, (int64_t[]){0, 1, 3, 5, 2, 4})));
    reshape(w, moved, "shape", 4, (int64_t[]){0, s->out.c, s->out.h, s->out.w}, w->to);
}

static void batch_norm(writer *w)
{
    const bnf_lipschitz_stage *s = w->stage;
    const char *gamma = constant(w, s->weight), *beta = constant(w, s->bias), *mean = constant(w, s->mean),
               *var = constant(w, s->var);
    emit(w, "BatchNormalization", IN(w->at, gamma, beta, mean, var), w->to,
         ATTRS(real("epsilon", bnf_batch_norm_layer_default().eps)));
}

static void batch_center(writer *w)
{
    char centered[NAME];
    const char *mean = per_channel(w, w->stage->mean), *bias = per_channel(w, w->stage->bias);
    emit(w, "Sub", IN(w->at, mean), inner(w, "centered", centered), NULL);
    emit(w, "Add", IN(centered, bias), w->to, NULL);
}

static void activation(writer *w)
{
    const bnf_layer *l = &w->stage->layer;
    const char *op = l->kind == BNF_LAYER_RELU         ? "Relu"
                     : l->kind == BNF_LAYER_LEAKY_RELU ? "LeakyRelu"
                     : l->kind == BNF_LAYER_TANH       ? "Tanh"
                                                       : "Sigmoid";
    emit(w, op, IN(w->at), w->to,
         ATTRS(l->kind == BNF_LAYER_LEAKY_RELU ? real("alpha", l->slope) : (bnf_onnx_attr){0}));
}

static void add(writer *w)
{
    const bnf_lipschitz_stage *s = w->stage;
    char sum[NAME], first[NAME], second[NAME];
    double own, others;
    bool half = s->factor != 1;
    if (s->layer.learned) {
        bnf_lipschitz_shares(s, w->params, &own, &others);
        scale(w, w->kept[s->other], others, "others", inner(w, "first", first));
        scale(w, w->at, own, "own", inner(w, "second", second));
        emit(w, "Add", IN(first, second), w->to, NULL);
        return;
    }
    emit(w, "Add", IN(w->kept[s->other], w->at), half ? inner(w, "sum", sum) : w->to, NULL);
    if (half)
        scale(w, sum, s->factor, "factor", w->to);
}

static void keep(writer *w)
{
    int i = w->number - 1;
    snprintf(w->kept[i], NAME, "%s", w->at);
    w->kept_image[i] = w->image;
}

/* A stage that computes nothing: its output is the value called `from`. Only the network's last one has a name of its
 * own to give. */
static void same(writer *w, const char *from)
{
    if (w->number == w->net->count)
        emit(w, "Identity", IN(from), w->to, NULL);
    else
        snprintf(w->to, NAME, "%s", from);
}

static bnf_status write_stage(writer *w)
{
    char name[NAME];
    const bnf_lipschitz_stage *s = w->stage;
    switch ((bnf_layer_kind)s->layer.kind) {
    case BNF_LAYER_CONV:
        convolution(w);
        return BNF_OK;
    case BNF_LAYER_DENSE:
    case BNF_LAYER_HEAD:
        dense(w);
        return BNF_OK;
    case BNF_LAYER_RELU:
    case BNF_LAYER_LEAKY_RELU:
    case BNF_LAYER_TANH:
    case BNF_LAYER_SIGMOID:
        activation(w);
        return BNF_OK;
    case BNF_LAYER_GROUPSORT2:
        groupsort2(w);
        return BNF_OK;
    case BNF_LAYER_FULLSORT:
        fullsort(w);
        return BNF_OK;
    case BNF_LAYER_MAX_POOL:
    case BNF_LAYER_AVG_POOL:
    case BNF_LAYER_SCALED_AVG_POOL:
    case BNF_LAYER_L2_POOL:
        pool(w);
        return BNF_OK;
    case BNF_LAYER_GLOBAL_AVG_POOL:
    case BNF_LAYER_SCALED_GLOBAL_AVG_POOL:
    case BNF_LAYER_GLOBAL_L2_POOL:
        global_pool(w);
        return BNF_OK;
    case BNF_LAYER_BATCH_NORM:
        batch_norm(w);
        return BNF_OK;
    case BNF_LAYER_BATCH_CENTER:
        batch_center(w);
        return BNF_OK;
    case BNF_LAYER_UNSHUFFLE:
        unshuffle(w);
        return BNF_OK;
    case BNF_LAYER_FLATTEN:
        same(w, flat(w, w->at, name));
        return BNF_OK;
    case BNF_LAYER_DROPOUT: /* the identity in evaluation */
        same(w, w->at);
        return BNF_OK;
    case BNF_LAYER_BLOCK:
        keep(w);
        same(w, w->at);
        return BNF_OK;
    case BNF_LAYER_SHORTCUT:
        keep(w);
        w->image = w->kept_image[s->block];
        same(w, w->kept[s->block]);
        return BNF_OK;
    case BNF_LAYER_ADD:
        add(w);
        return BNF_OK;
    case BNF_LAYER_HOUSEHOLDER:
        householder(w);
        return BNF_OK;
    case BNF_LAYER_COUNT:
        break;
    }
    return bnf_fail(BNF_ERR_UNSUPPORTED, "layer %d (%s) has no form in ONNX", w->number,
                    bnf_layer_kind_names[s->layer.kind]);
}

/* The model's input and normalisation. */
static void write_input(writer *w)
{
    const bnf_lipschitz_net *net = w->net;
    const int64_t channels[] = {1, net->in.c, 1, 1};
    float factor[BNF_DATA_MAX_CHANNELS], shift[BNF_DATA_MAX_CHANNELS];
    for (int64_t c = 0; c < net->in.c; c++) {
        factor[c] = (float)net->scale[c];
        shift[c] = (float)net->shift[c];
    }
    bnf_onnx_input(&w->model, "pixels", 4, (int64_t[]){-1, net->in.c, net->in.h, net->in.w});
    bnf_onnx_floats(&w->model, "normalise.scale", 4, channels, factor);
    bnf_onnx_floats(&w->model, "normalise.shift", 4, channels, shift);
    emit(w, "Mul", IN("pixels", "normalise.scale"), "normalise/scaled", NULL);
    emit(w, "Add", IN("normalise/scaled", "normalise.shift"), "normalise", NULL);
    snprintf(w->at, NAME, "normalise");
    w->image = true;
}

static bnf_status write_net(writer *w)
{
    const bnf_lipschitz_net *net = w->net;
    write_input(w);
    for (int i = 0; i < net->count; i++) {
        w->stage = &net->stages[i];
        w->number = i + 1;
        if (i + 1 == net->count)
            snprintf(w->to, NAME, "logits");
        else
            snprintf(w->to, NAME, "layer%d.%s", w->number, bnf_layer_kind_names[w->stage->layer.kind]);
        BNF_TRY(write_stage(w));
        snprintf(w->at, NAME, "%s", w->to);
    }
    if (w->image)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "the last layer gives a picture, not logits");
    bnf_onnx_output(&w->model, "logits", 2, (int64_t[]){-1, net->outputs});
    return BNF_OK;
}

bnf_status bnf_lipschitz_onnx_write(const bnf_lipschitz_net *net, bnf_params *params, const char *path)
{
    writer w = {.net = net, .params = params};
    bnf_status s = bnf_calloc((size_t)net->count, sizeof *w.kept, "names of values", &w.kept);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)net->count, sizeof *w.kept_image, "names of values", &w.kept_image);
    int64_t channels = 1;
    for (int i = 0; i < net->count; i++)
        channels = net->stages[i].in.c > channels ? net->stages[i].in.c : channels;
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(2 * channels) * sizeof *w.values, "constants", &w.values);
    if (s == BNF_OK)
        s = write_net(&w);
    if (s == BNF_OK)
        s = bnf_onnx_write(&w.model, "network", path);
    bnf_onnx_release(&w.model);
    bnf_free(w.kept);
    bnf_free(w.kept_image);
    bnf_free(w.values);
    return s;
}

bnf_status bnf_lipschitz_export_onnx(struct bnf_run *run, const char *path)
{
    bnf_lipschitz_net net;
    BNF_TRY(bnf_lipschitz_net_create(run->job, run->params, bnf_dataset_get_info(run->train), &net));
    bnf_status s = bnf_lipschitz_onnx_write(&net, run->params, path);
    bnf_lipschitz_net_release(&net);
    return s;
}
