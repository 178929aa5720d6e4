/* recipes/lipschitz/rounding.c - bounds of rounding errors. Everything here adds and multiplies numbers >= 0; SLACK
 * covers the roundings of doing so. */
#include "recipes/lipschitz/rounding.h"

#include <float.h>
#include <math.h>

#define SLACK (1 + 0x1p-30)
#define U32 0x1p-24
#define U64 0x1p-53

static double gamma_of(double k, double u)
{
    return k * u < 0.5 ? k * u / (1 - k * u) : INFINITY;
}

/* Of a householder stage, 16 with a spread of 3. With z a pair, v = (-s, c), t = v z and m = min(t, 0) it computes
 * z + 2 m (s, -c). s and c are off by 8 u (4 units in the last place), so t by (8 + 2) u |z|, the products by that and
 * (8 + 1) u |m|, each twice, and the sums by u 3 |z|: together 2 (10 + 9) + 3 = 41 u |z|. On which side of 0 so small a
 * t falls makes no difference beyond, since m is continuous in t. */

/* Roundings that one output of a stage sees; 0: none, it is exact. */
static double roundings(const bnf_lipschitz_stage *s)
{
    const bnf_layer *l = &s->layer;
    double window = (double)(l->kernel * l->kernel), area = (double)(s->in.h * s->in.w);
    switch (l->kind) {
    case BNF_LAYER_CONV:
        return (double)(s->in.c / l->groups) * window + 2;
    case BNF_LAYER_DENSE:
    case BNF_LAYER_HEAD:
        return (double)bnf_lipschitz_size(&s->in) + 2;
    case BNF_LAYER_AVG_POOL:
    case BNF_LAYER_SCALED_AVG_POOL:
    case BNF_LAYER_L2_POOL:
        return window + 4;
    case BNF_LAYER_GLOBAL_AVG_POOL:
    case BNF_LAYER_SCALED_GLOBAL_AVG_POOL:
    case BNF_LAYER_GLOBAL_L2_POOL:
        return area + 4;
    case BNF_LAYER_LEAKY_RELU:
        return 3;
    case BNF_LAYER_TANH:
        return 8;
    case BNF_LAYER_SIGMOID:
    case BNF_LAYER_BATCH_NORM:
    case BNF_LAYER_HOUSEHOLDER:
        return 16;
    case BNF_LAYER_BATCH_CENTER:
        return 4;
    case BNF_LAYER_ADD:
        return 3;
    default: /* relu, sorting, max pooling, dropout, flatten, unshuffle, block, shortcut */
        return 0;
    }
}

/* What products and squares that fall below the smallest normal number can do, in the norm over all outputs. */
static double underflow(const bnf_lipschitz_stage *s, double k, double tiny)
{
    double outputs = (double)bnf_lipschitz_size(&s->out);
    bool root = s->layer.kind == BNF_LAYER_L2_POOL || s->layer.kind == BNF_LAYER_GLOBAL_L2_POOL;
    return root ? sqrt(outputs * k * tiny) : sqrt(outputs) * k * tiny;
}

/* Rounding of one stage whose computed input has at most norm x. A sigmoid's is relative to its outputs alone. */
static double stage_error(const bnf_lipschitz_stage *s, const bnf_lipschitz_stage_bound *b, double x, double u,
                          double tiny)
{
    double k = roundings(s), spread = s->layer.kind == BNF_LAYER_SIGMOID ? 0 : b->spread;
    return k > 0 ? gamma_of(k, u) * (spread * x + b->offset) + underflow(s, k, tiny) : 0;
}

static double shift_norm(const bnf_lipschitz_net *net)
{
    double sum = 0;
    for (int64_t c = 0; c < net->in.c; c++)
        sum += net->shift[c] * net->shift[c];
    return sqrt(sum * (double)(net->in.h * net->in.w));
}

/* At a stage's input: errors so far, how far the exact value may move, and how large the computed ones can be. */
typedef struct reach {
    double e64, e32, moved, x64, x32;
} reach;

/* Both summands carry theirs; the sum itself is rounded. A learned share a is computed to within 10 u a, 1 - a to
 * within 10 u a + 3 u: relative to both summands, where a fixed factor comes after the sum. */
static reach add(const bnf_lipschitz_stage *s, const bnf_lipschitz_stage_bound *sum, const reach *own,
                 const reach *others)
{
    double k = s->layer.learned ? 16 : roundings(s), f = s->factor, p = sum->own, q = sum->others;
    return (reach){.e64 = (p * own->e64 + q * others->e64 + f * gamma_of(k, U64) * (own->x64 + others->x64) +
                           underflow(s, k, DBL_MIN)) *
                          SLACK,
                   .e32 = (p * own->e32 + q * others->e32 + f * gamma_of(k, U32) * (own->x32 + others->x32) +
                           underflow(s, k, FLT_MIN)) *
                          SLACK,
                   .moved = (p * own->moved + q * others->moved) * SLACK};
}

static reach pass(const bnf_lipschitz_stage *s, const bnf_lipschitz_stage_bound *b, const reach *at)
{
    return (reach){.e64 = (b->lipschitz * at->e64 + stage_error(s, b, at->x64, U64, DBL_MIN)) * SLACK,
                   .e32 = (b->lipschitz * at->e32 + stage_error(s, b, at->x32, U32, FLT_MIN)) * SLACK,
                   .moved = at->moved * b->lipschitz * SLACK};
}

void bnf_lipschitz_rounding_bound(const bnf_lipschitz_net *net, const bnf_lipschitz_bounds *bounds, const double *norms,
                                  double pixels, double radius, bnf_lipschitz_rounding *r)
{
    int stages = net->count - (bounds->linear ? 1 : 0);
    double shift = shift_norm(net);
    reach at = {.e64 = gamma_of(6, U64) * (bounds->input * pixels + shift),
                .e32 = gamma_of(6, U32) * (bounds->input * (pixels + radius) + shift),
                .moved = bounds->input * radius};
    reach block = {0}, branch = {0};
    for (int i = 0; i < stages; i++) {
        const bnf_lipschitz_stage *s = &net->stages[i];
        at.x64 = norms[i] * SLACK;
        at.x32 = at.x64 + at.e64 + at.moved + at.e32;
        switch (s->layer.kind) {
        case BNF_LAYER_BLOCK:
            block = at;
            break;
        case BNF_LAYER_SHORTCUT:
            branch = at;
            at = block;
            break;
        case BNF_LAYER_ADD:
            at = add(s, &bounds->stages[i], &at, s->other == s->block ? &block : &branch);
            break;
        default:
            at = pass(s, &bounds->stages[i], &at);
        }
    }
    double norm = norms[stages] * SLACK;
    r->f64 = (bnf_lipschitz_error){at.e64, norm};
    r->f32 = (bnf_lipschitz_error){at.e32, (norm + at.e64 + at.moved + at.e32) * SLACK};
}

double bnf_lipschitz_logit_error(const bnf_lipschitz_net *net, const bnf_lipschitz_bounds *bounds,
                                 const bnf_lipschitz_error *error, double u, int64_t i, int64_t j)
{
    double gap = j < 0 ? bounds->row[i] : bounds->gap[i * bounds->outputs + j];
    double carried = gap * error->features;
    if (!bounds->linear)
        return carried * SLACK;
    double k = roundings(&net->stages[net->count - 1]), tiny = u == U64 ? DBL_MIN : FLT_MIN;
    double row = bounds->row[i] + (j < 0 ? 0 : bounds->row[j]), bias = bounds->bias[i] + (j < 0 ? 0 : bounds->bias[j]);
    return (carried + gamma_of(k, u) * (row * error->norm + bias) + 2 * k * tiny) * SLACK;
}
