/* recipes/lipschitz/net.c - stages, shapes and parameters of a configured network. */
#include "recipes/lipschitz/net.h"

#include "base/mem.h"
#include "recipes/lipschitz/layers.h"

#include <math.h>
#include <stdio.h>

/* The files beside this one have defaults that would take a new kind for harmless. Say here what shape and parameters
 * it has, in bound.c how it stretches, in forward.c what it computes, in rounding.c how exactly, in onnx.c how others
 * compute it. */
_Static_assert(BNF_LAYER_HOUSEHOLDER + 1 == BNF_LAYER_COUNT, "certificates know every kind of layer");

static const char *stem(int kind)
{
    switch (kind) {
    case BNF_LAYER_CONV:
        return "conv";
    case BNF_LAYER_DENSE:
        return "dense";
    case BNF_LAYER_HEAD:
        return "head";
    case BNF_LAYER_BATCH_NORM:
        return "norm";
    case BNF_LAYER_BATCH_CENTER:
        return "center";
    case BNF_LAYER_HOUSEHOLDER:
        return "householder";
    case BNF_LAYER_ADD:
        return "add";
    default:
        return NULL;
    }
}

static bnf_status find(const bnf_params *params, const bnf_lipschitz_stage *s, const char *what, int64_t elements,
                       int *index)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", s->name, what);
    *index = bnf_params_find(params, name);
    if (*index < 0)
        return bnf_fail(BNF_ERR_ARG, "the network has no parameter '%s'", name);
    int64_t have = bnf_desc_count(&bnf_params_info(params, *index)->desc);
    if (have != elements)
        return bnf_fail(BNF_ERR_ARG, "parameter '%s' has %lld elements, not %lld", name, (long long)have,
                        (long long)elements);
    return BNF_OK;
}

static bnf_status find_all(const bnf_params *params, bnf_lipschitz_stage *s)
{
    const bnf_layer *l = &s->layer;
    s->weight = s->bias = s->mean = s->var = -1;
    switch (l->kind) {
    case BNF_LAYER_CONV:
        BNF_TRY(find(params, s, "weight", l->out * (s->in.c / l->groups) * l->kernel * l->kernel, &s->weight));
        break;
    case BNF_LAYER_DENSE:
    case BNF_LAYER_HEAD:
        BNF_TRY(find(params, s, "weight", l->out * bnf_lipschitz_size(&s->in), &s->weight));
        break;
    case BNF_LAYER_BATCH_NORM:
        BNF_TRY(find(params, s, "weight", s->in.c, &s->weight));
        BNF_TRY(find(params, s, "mean", s->in.c, &s->mean));
        BNF_TRY(find(params, s, "var", s->in.c, &s->var));
        return find(params, s, "bias", s->in.c, &s->bias);
    case BNF_LAYER_BATCH_CENTER:
        BNF_TRY(find(params, s, "mean", s->in.c, &s->mean));
        return find(params, s, "bias", s->in.c, &s->bias);
    case BNF_LAYER_HOUSEHOLDER:
        return find(params, s, "angle", s->in.c / 2, &s->weight);
    case BNF_LAYER_ADD:
        return l->learned ? find(params, s, "mix", 1, &s->weight) : BNF_OK;
    default:
        return BNF_OK;
    }
    return l->bias ? find(params, s, "bias", l->out, &s->bias) : BNF_OK;
}

static int64_t extent(int64_t in, int64_t window, int64_t stride, int64_t pad)
{
    return (in + 2 * pad - window) / stride + 1;
}

/* Settles stride and padding and follows the shape. */
static void shape_stage(bnf_lipschitz_stage *s)
{
    bnf_layer *l = &s->layer;
    bnf_lipschitz_shape in = s->in;
    int64_t size = bnf_lipschitz_size(&in), reach = (l->kernel - 1) * l->dilation;
    s->out = in;
    switch (l->kind) {
    case BNF_LAYER_CONV:
        l->stride = l->stride > 0 ? l->stride : 1;
        l->pad = l->pad >= 0 ? l->pad : reach / 2;
        s->out = (bnf_lipschitz_shape){extent(in.h, reach + 1, l->stride, l->pad),
                                       extent(in.w, reach + 1, l->stride, l->pad), l->out};
        break;
    case BNF_LAYER_DENSE:
    case BNF_LAYER_HEAD:
        s->out = (bnf_lipschitz_shape){1, 1, l->out};
        break;
    case BNF_LAYER_MAX_POOL:
    case BNF_LAYER_AVG_POOL:
    case BNF_LAYER_SCALED_AVG_POOL:
    case BNF_LAYER_L2_POOL:
        l->stride = l->stride > 0 ? l->stride : l->kernel;
        l->pad = l->pad > 0 ? l->pad : 0;
        s->out = (bnf_lipschitz_shape){extent(in.h, l->kernel, l->stride, l->pad),
                                       extent(in.w, l->kernel, l->stride, l->pad), in.c};
        break;
    case BNF_LAYER_GLOBAL_AVG_POOL:
    case BNF_LAYER_SCALED_GLOBAL_AVG_POOL:
    case BNF_LAYER_GLOBAL_L2_POOL:
        s->out = (bnf_lipschitz_shape){1, 1, in.c};
        break;
    case BNF_LAYER_FLATTEN:
        s->out = (bnf_lipschitz_shape){1, 1, size};
        break;
    case BNF_LAYER_UNSHUFFLE:
        s->out = (bnf_lipschitz_shape){in.h / l->kernel, in.w / l->kernel, in.c * l->kernel * l->kernel};
        break;
    default:
        break;
    }
}

/* Ties stage i to the open block, whose first stage and shortcut are *block and *shortcut (-1: none). */
static void tie_block(bnf_lipschitz_net *net, int i, int *block, int *shortcut)
{
    bnf_lipschitz_stage *s = &net->stages[i];
    s->block = s->other = -1;
    switch (s->layer.kind) {
    case BNF_LAYER_BLOCK:
        *block = s->block = i;
        *shortcut = -1;
        break;
    case BNF_LAYER_SHORTCUT:
        *shortcut = i;
        s->block = *block;
        s->out = net->stages[*block].in;
        break;
    case BNF_LAYER_ADD:
        s->block = *block;
        s->other = *shortcut >= 0 ? *shortcut : *block;
        break;
    default:
        break;
    }
}

static bnf_status fill_stages(bnf_lipschitz_net *net, const bnf_layer *layers, bool constrained,
                              const bnf_params *params)
{
    int seen[BNF_LAYER_COUNT] = {0}, used = 0, block = -1, shortcut = -1;
    bnf_lipschitz_shape at = net->in;
    for (int i = 0; i < net->count; i++) {
        bnf_lipschitz_stage *s = &net->stages[i];
        s->layer = layers[i];
        const char *base = stem(s->layer.kind);
        int number = ++seen[s->layer.kind];
        if (base && (s->layer.kind != BNF_LAYER_HEAD || number > 1))
            snprintf(s->name, sizeof s->name, "%s%d", base, number);
        else
            snprintf(s->name, sizeof s->name, "%s", bnf_layer_kind_names[s->layer.kind]);
        s->in = at;
        shape_stage(s);
        tie_block(net, i, &block, &shortcut);
        s->factor = constrained && !s->layer.learned ? 0.5 : 1;
        BNF_TRY(find_all(params, s));
        used += (s->weight >= 0) + (s->bias >= 0);
        at = s->out;
    }
    net->outputs = bnf_lipschitz_size(&at);
    for (int i = 0; i < bnf_params_count(params); i++)
        used -= bnf_params_info(params, i)->trainable;
    if (used != 0)
        return bnf_fail(BNF_ERR_ARG, "the network's layers and its trainable parameters differ by %d",
                        used < 0 ? -used : used);
    return BNF_OK;
}

static bnf_status fill_input(bnf_lipschitz_net *net, const bnf_job *job, const bnf_dataset_info *data)
{
    net->in = (bnf_lipschitz_shape){data->h, data->w, data->c};
    net->bytes = data->dtype == BNF_U8;
    net->pixel = net->bytes ? 255 : 1;
    return bnf_data_pixels(&job->data, data, net->scale, net->shift);
}

bnf_status bnf_lipschitz_net_create(const bnf_job *job, const bnf_params *params, const bnf_dataset_info *data,
                                    bnf_lipschitz_net *net)
{
    const bnf_lipschitz_settings *settings = job->settings;
    bnf_layer layers[BNF_NETWORK_MAX_LAYERS];
    *net = (bnf_lipschitz_net){.count = bnf_lipschitz_layers(settings, params, data->classes, layers)};
    BNF_TRY(fill_input(net, job, data));
    BNF_TRY(bnf_calloc((size_t)net->count, sizeof *net->stages, "stages of a network", &net->stages));
    bnf_status s = fill_stages(net, layers, bnf_lipschitz_constrained(settings), params);
    if (s != BNF_OK)
        bnf_lipschitz_net_release(net);
    return s;
}

void bnf_lipschitz_shares(const bnf_lipschitz_stage *s, bnf_params *params, double *own, double *others)
{
    *own = *others = s->factor;
    if (!s->layer.learned)
        return;
    const double mix = *(const float *)bnf_params_value(params, s->weight);
    const double shortcut = 1 / (1 + exp(-mix)), branch = 1 / (1 + exp(mix));
    bool direct = s->other == s->block; /* the shortcut is the block's input: what comes in is the branch */
    *own = direct ? branch : shortcut;
    *others = direct ? shortcut : branch;
}

void bnf_lipschitz_net_release(bnf_lipschitz_net *net)
{
    bnf_free(net->stages);
    *net = (bnf_lipschitz_net){0};
}

void bnf_lipschitz_pixels(const bnf_lipschitz_net *net, const void *image, double *pixels)
{
    const uint8_t *u8 = image;
    const float *f32 = image;
    int64_t n = bnf_lipschitz_size(&net->in);
    for (int64_t i = 0; i < n; i++)
        pixels[i] = net->bytes ? u8[i] / 255.0 : (double)f32[i];
}

void bnf_lipschitz_inputs(const bnf_lipschitz_net *net, const double *pixels, double *x)
{
    int64_t n = net->in.h * net->in.w;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < net->in.c; c++)
            x[i * net->in.c + c] = pixels[i * net->in.c + c] * net->scale[c] + net->shift[c];
}
