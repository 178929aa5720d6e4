/* recipes/lipschitz/forward.c - a network in f64, one sample at a time. */
#include "recipes/lipschitz/forward.h"

#include "base/mem.h"
#include "la/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 /* output positions gathered at a time */ };

typedef struct weights {
    double *w, *b, *mean,
        *scale;         /* NULL where the stage has none; batch normalisation: scale = gamma / sqrt(var + eps) */
    double own, others; /* add: bnf_lipschitz_shares */
} weights;

struct bnf_lipschitz_forward {
    const bnf_lipschitz_net *net;
    weights *stages;
    int64_t largest, patches; /* elements: of an activation, of gathered patches */
};

static bnf_status copy(bnf_params *params, int index, double **out)
{
    if (index < 0)
        return BNF_OK;
    int64_t n = bnf_desc_count(&bnf_params_info(params, index)->desc);
    const float *value = bnf_params_value(params, index);
    BNF_TRY(bnf_alloc((size_t)n * sizeof **out, "weights in f64", out));
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = value[i];
    return BNF_OK;
}

static bnf_status fill_stage(const bnf_lipschitz_stage *s, bnf_params *params, weights *w)
{
    if (s->layer.kind == BNF_LAYER_ADD)
        bnf_lipschitz_shares(s, params, &w->own, &w->others);
    BNF_TRY(copy(params, s->weight, &w->w));
    BNF_TRY(copy(params, s->bias, &w->b));
    BNF_TRY(copy(params, s->mean, &w->mean));
    BNF_TRY(copy(params, s->var, &w->scale));
    for (int64_t c = 0; w->scale && c < s->in.c; c++)
        w->scale[c] = w->w[c] / sqrt(w->scale[c] + bnf_batch_norm_layer_default().eps);
    return BNF_OK;
}

bnf_status bnf_lipschitz_forward_create(const bnf_lipschitz_net *net, bnf_params *params,
                                        bnf_lipschitz_forward **forward)
{
    bnf_lipschitz_forward *f;
    BNF_TRY(bnf_calloc(1, sizeof *f, "network in f64", &f));
    f->net = net;
    f->largest = bnf_lipschitz_size(&net->in);
    bnf_status s = bnf_calloc((size_t)net->count, sizeof *f->stages, "network in f64", &f->stages);
    for (int i = 0; i < net->count && s == BNF_OK; i++) {
        const bnf_lipschitz_stage *stage = &net->stages[i];
        const bnf_layer *l = &stage->layer;
        int64_t size = bnf_lipschitz_size(&stage->out), patch = stage->in.c / l->groups * l->kernel * l->kernel;
        f->largest = size > f->largest ? size : f->largest;
        if (l->kind == BNF_LAYER_CONV && patch * CHUNK > f->patches)
            f->patches = patch * CHUNK;
        s = fill_stage(stage, params, &f->stages[i]);
    }
    if (s != BNF_OK) {
        bnf_lipschitz_forward_destroy(f);
        return s;
    }
    *forward = f;
    return BNF_OK;
}

void bnf_lipschitz_forward_destroy(bnf_lipschitz_forward *forward)
{
    if (!forward)
        return;
    for (int i = 0; forward->stages && i < forward->net->count; i++) {
        bnf_free(forward->stages[i].w);
        bnf_free(forward->stages[i].b);
        bnf_free(forward->stages[i].mean);
        bnf_free(forward->stages[i].scale);
    }
    bnf_free(forward->stages);
    bnf_free(forward);
}

int64_t bnf_lipschitz_forward_scratch(const bnf_lipschitz_forward *forward)
{
    return 4 * forward->largest + forward->patches;
}

/* ---- stages with weights ---- */

/* patches[positions, cells]: what the kernel reads at output positions [first, first + positions), channels from
 * `channel` on. */
static void gather(const bnf_lipschitz_stage *s, const double *x, int64_t first, int64_t positions, int64_t channel,
                   double *patches)
{
    const bnf_layer *l = &s->layer;
    int64_t channels = s->in.c / l->groups, area = l->kernel * l->kernel;
    memset(patches, 0, (size_t)(positions * channels * area) * sizeof *patches);
    for (int64_t p = 0; p < positions; p++, patches += channels * area)
        for (int64_t k = 0; k < area; k++) {
            int64_t y = (first + p) / s->out.w * l->stride - l->pad + k / l->kernel * l->dilation;
            int64_t v = (first + p) % s->out.w * l->stride - l->pad + k % l->kernel * l->dilation;
            if (y < 0 || y >= s->in.h || v < 0 || v >= s->in.w)
                continue;
            const double *pixel = x + (y * s->in.w + v) * s->in.c + channel;
            for (int64_t c = 0; c < channels; c++)
                patches[c * area + k] = pixel[c];
        }
}

static void add_bias(int64_t rows, int64_t c, const double *bias, double *y)
{
    for (int64_t i = 0; bias && i < rows * c; i++)
        y[i] += bias[i % c];
}

static void convolve(const bnf_lipschitz_stage *s, const weights *w, const double *x, double *patches, double *y)
{
    const bnf_layer *l = &s->layer;
    int64_t area = s->out.h * s->out.w, cells = s->in.c / l->groups * l->kernel * l->kernel, out = l->out / l->groups;
    for (int64_t g = 0; g < l->groups; g++)
        for (int64_t p = 0; p < area; p += CHUNK) {
            int64_t positions = area - p < CHUNK ? area - p : CHUNK;
            gather(s, x, p, positions, g * (s->in.c / l->groups), patches);
            bnf_la_gemm(BNF_F64, false, true, positions, out, cells, 1, patches, cells, w->w + g * out * cells, cells,
                        0, y + p * l->out + g * out, l->out);
        }
    add_bias(area, l->out, w->b, y);
}

static void center(const bnf_lipschitz_stage *s, const weights *w, const double *x, double *y)
{
    int64_t n = bnf_lipschitz_size(&s->in);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] - w->mean[i % s->in.c] + w->b[i % s->in.c];
}

static void normalise(const bnf_lipschitz_stage *s, const weights *w, const double *x, double *y)
{
    int64_t n = bnf_lipschitz_size(&s->in);
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - w->mean[i % s->in.c]) * w->scale[i % s->in.c] + w->b[i % s->in.c];
}

/* ---- pools ---- */

typedef struct window {
    int64_t kernel_h, kernel_w, stride, pad;
} window;

/* Maximum, sum or root of the sum of squares over each window's cells inside the image. */
static void pool(const bnf_lipschitz_stage *s, const window *win, bnf_pool_kind kind, const double *x, double *y)
{
    for (int64_t i = 0; i < bnf_lipschitz_size(&s->out); i++) {
        int64_t c = i % s->out.c, v0 = i / s->out.c % s->out.w * win->stride - win->pad,
                h0 = i / s->out.c / s->out.w * win->stride - win->pad;
        double sum = 0, max = -INFINITY;
        for (int64_t h = h0 < 0 ? 0 : h0; h < h0 + win->kernel_h && h < s->in.h; h++)
            for (int64_t v = v0 < 0 ? 0 : v0; v < v0 + win->kernel_w && v < s->in.w; v++) {
                double value = x[(h * s->in.w + v) * s->in.c + c];
                sum += kind == BNF_POOL_L2 ? value * value : value;
                max = value > max ? value : max;
            }
        y[i] = kind == BNF_POOL_MAX ? max : kind == BNF_POOL_L2 ? sqrt(sum) : sum;
    }
}

static void run_pool(const bnf_lipschitz_stage *s, const double *x, double *y)
{
    const bnf_layer *l = &s->layer;
    bool global = l->kind >= BNF_LAYER_GLOBAL_AVG_POOL && l->kind <= BNF_LAYER_GLOBAL_L2_POOL;
    window win = global ? (window){s->in.h, s->in.w, 1, 0} : (window){l->kernel, l->kernel, l->stride, l->pad};
    double cells = (double)(win.kernel_h * win.kernel_w), factor = 1;
    bnf_pool_kind kind = BNF_POOL_AVG;
    if (l->kind == BNF_LAYER_MAX_POOL)
        kind = BNF_POOL_MAX;
    else if (l->kind == BNF_LAYER_L2_POOL || l->kind == BNF_LAYER_GLOBAL_L2_POOL)
        kind = BNF_POOL_L2;
    else if (l->kind == BNF_LAYER_AVG_POOL || l->kind == BNF_LAYER_GLOBAL_AVG_POOL)
        factor = cells;
    else
        factor = sqrt(cells);
    pool(s, &win, kind, x, y);
    for (int64_t i = 0; factor != 1 && i < bnf_lipschitz_size(&s->out); i++)
        y[i] /= factor;
}

/* ---- stages without weights ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort_channels(const bnf_lipschitz_stage *s, double *y)
{
    for (int64_t i = 0; i < bnf_lipschitz_size(&s->in); i += s->in.c)
        qsort(y + i, (size_t)s->in.c, sizeof *y, ascending);
}

static void sort_pairs(const bnf_lipschitz_stage *s, const double *x, double *y)
{
    for (int64_t i = 0; i < bnf_lipschitz_size(&s->in); i += 2) {
        y[i] = fmin(x[i], x[i + 1]);
        y[i + 1] = fmax(x[i], x[i + 1]);
    }
}

/* The f32 kernel's formula; weights are angles. */
static void reflect_pairs(const bnf_lipschitz_stage *s, const weights *w, const double *x, double *y)
{
    for (int64_t i = 0; i < bnf_lipschitz_size(&s->in); i += 2) {
        double half = w->w[i % s->in.c / 2] / 2, t = cos(half) * x[i + 1] - sin(half) * x[i], m = fmin(t, 0);
        y[i] = x[i] + 2 * m * sin(half);
        y[i + 1] = x[i + 1] - 2 * m * cos(half);
    }
}

static void unshuffle(const bnf_lipschitz_stage *s, const double *x, double *y)
{
    int64_t f = s->layer.kernel;
    for (int64_t i = 0; i < bnf_lipschitz_size(&s->out); i++) {
        int64_t d = i % s->out.c, v = i / s->out.c % s->out.w, h = i / s->out.c / s->out.w;
        y[i] = x[((h * f + d / f % f) * s->in.w + v * f + d % f) * s->in.c + d / (f * f)];
    }
}

static void activate(const bnf_layer *l, int64_t n, const double *x, double *y)
{
    for (int64_t i = 0; i < n; i++)
        switch (l->kind) {
        case BNF_LAYER_RELU:
            y[i] = x[i] < 0 ? 0 : x[i];
            break;
        case BNF_LAYER_LEAKY_RELU:
            y[i] = x[i] < 0 ? l->slope * x[i] : x[i];
            break;
        case BNF_LAYER_TANH:
            y[i] = tanh(x[i]);
            break;
        case BNF_LAYER_SIGMOID:
            y[i] = 1 / (1 + exp(-x[i]));
            break;
        default: /* dropout, flatten, and before the channels are sorted */
            y[i] = x[i];
        }
}

static void run_stage(const bnf_lipschitz_stage *s, const weights *w, const double *x, double *patches, double *y)
{
    switch ((bnf_layer_kind)s->layer.kind) {
    case BNF_LAYER_CONV:
        convolve(s, w, x, patches, y);
        break;
    case BNF_LAYER_DENSE:
    case BNF_LAYER_HEAD:
        bnf_la_gemv(BNF_F64, false, s->layer.out, bnf_lipschitz_size(&s->in), w->w, x, y);
        add_bias(1, s->layer.out, w->b, y);
        break;
    case BNF_LAYER_BATCH_NORM:
        normalise(s, w, x, y);
        break;
    case BNF_LAYER_BATCH_CENTER:
        center(s, w, x, y);
        break;
    case BNF_LAYER_UNSHUFFLE:
        unshuffle(s, x, y);
        break;
    case BNF_LAYER_MAX_POOL:
    case BNF_LAYER_AVG_POOL:
    case BNF_LAYER_SCALED_AVG_POOL:
    case BNF_LAYER_L2_POOL:
    case BNF_LAYER_GLOBAL_AVG_POOL:
    case BNF_LAYER_SCALED_GLOBAL_AVG_POOL:
    case BNF_LAYER_GLOBAL_L2_POOL:
        run_pool(s, x, y);
        break;
    case BNF_LAYER_GROUPSORT2:
        sort_pairs(s, x, y);
        break;
    case BNF_LAYER_HOUSEHOLDER:
        reflect_pairs(s, w, x, y);
        break;
    default:
        activate(&s->layer, bnf_lipschitz_size(&s->in), x, y);
        if (s->layer.kind == BNF_LAYER_FULLSORT)
            sort_channels(s, y);
    }
}

/* ---- residual blocks ---- */

/* What an open block keeps: its input, and the end of its branch once the shortcut has begun. */
typedef struct kept {
    double *input, *branch;
} kept;

/* The block's layers move whole arrays; false: the stage is another. */
static bool run_block(const bnf_lipschitz_net *net, const bnf_lipschitz_stage *s, const weights *w, const kept *k,
                      const double *x, double *y)
{
    int64_t n = bnf_lipschitz_size(&s->in), given = bnf_lipschitz_size(&s->out);
    const double *other;
    switch (s->layer.kind) {
    case BNF_LAYER_BLOCK:
        memcpy(k->input, x, (size_t)n * sizeof *x);
        memcpy(y, x, (size_t)n * sizeof *x);
        return true;
    case BNF_LAYER_SHORTCUT:
        memcpy(k->branch, x, (size_t)n * sizeof *x);
        memcpy(y, k->input, (size_t)given * sizeof *y);
        return true;
    case BNF_LAYER_ADD:
        other = net->stages[s->other].layer.kind == BNF_LAYER_BLOCK ? k->input : k->branch;
        for (int64_t i = 0; i < n; i++)
            y[i] = s->layer.learned ? w->others * other[i] + w->own * x[i] : s->factor * (other[i] + x[i]);
        return true;
    default:
        return false;
    }
}

static double norm_of(int64_t n, const double *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

void bnf_lipschitz_forward_run(const bnf_lipschitz_forward *forward, const double *x, double *scratch, double *logits,
                               double *norms)
{
    const bnf_lipschitz_net *net = forward->net;
    double *buffer[2] = {scratch, scratch + forward->largest}, *patches = scratch + 4 * forward->largest;
    kept k = {scratch + 2 * forward->largest, scratch + 3 * forward->largest};
    const double *at = x;
    for (int i = 0; i < net->count; i++) {
        const bnf_lipschitz_stage *s = &net->stages[i];
        double *y = i == net->count - 1 ? logits : buffer[i % 2];
        norms[i] = norm_of(bnf_lipschitz_size(&s->in), at);
        if (!run_block(net, s, &forward->stages[i], &k, at, y))
            run_stage(s, &forward->stages[i], at, patches, y);
        at = y;
    }
    norms[net->count] = norm_of(net->outputs, logits);
}
