/* recipes/lipschitz/bound.c - upper bounds of Lipschitz constants. */
#include "recipes/lipschitz/bound.h"

#include "base/mem.h"
#include "comm/agree.h"
#include "la/conv_norm.h"
#include "la/norm_shared.h"
#include "la/svd.h"
#include "nn/lip_factor.h"

#include <math.h>
#include <stdio.h>

double bnf_lipschitz_up(double x, double ops)
{
    return nextafter(x * (1 + ops * 0x1p-52), INFINITY);
}

double bnf_lipschitz_down(double x, double ops)
{
    return nextafter(x * (1 - ops * 0x1p-52), -INFINITY);
}

static double norm_up(int64_t n, const float *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return bnf_lipschitz_up(sqrt(sum), (double)n + 2);
}

/* Most patches that hold one pixel along an axis: nn/lip_factor.h, which gives 1 / sqrt(n), and never more than there
 * are patches. */
static bnf_status patches(const bnf_layer *l, int64_t positions, double *n)
{
    double factor;
    bnf_conv_geometry g = {l->kernel, 1, l->stride, 1, l->dilation, 1, 0, 0};
    BNF_TRY(bnf_lip_factor(BNF_LIP_FACTOR_EXACT_BOUND, &g, &factor));
    *n = nearbyint(1 / (factor * factor));
    *n = *n < (double)positions ? *n : (double)positions;
    return BNF_OK;
}

/* ||W_g||_2 and || |W_g| ||_2, the largest over row ranges. */
static bnf_status matrix_norms(const float *w, int64_t rows, int64_t cols, int64_t groups, double *norm,
                               double *absolute)
{
    float *magnitude;
    int64_t n = rows / groups * cols;
    *norm = *absolute = 0;
    BNF_TRY(bnf_alloc((size_t)n * sizeof *magnitude, "absolute values of weights", &magnitude));
    bnf_status s = BNF_OK;
    for (int64_t g = 0; g < groups && s == BNF_OK; g++) {
        double a = 0, b = 0;
        for (int64_t i = 0; i < n; i++)
            magnitude[i] = fabsf(w[g * n + i]);
        s = bnf_la_norm2_upper(BNF_F32, rows / groups, cols, w + g * n, &a);
        if (s == BNF_OK)
            s = bnf_la_norm2_upper(BNF_F32, rows / groups, cols, magnitude, &b);
        *norm = fmax(*norm, a);
        *absolute = fmax(*absolute, b);
    }
    bnf_free(magnitude);
    return s;
}

static bool has_matrix(const bnf_lipschitz_stage *s)
{
    return s->layer.kind == BNF_LAYER_CONV || bnf_lipschitz_is_linear(s);
}

/* Extents of the stage's matrix, of all its groups together. */
static void extents(const bnf_lipschitz_stage *s, int64_t *groups, int64_t *rows, int64_t *cols)
{
    const bnf_layer *l = &s->layer;
    bool conv = l->kind == BNF_LAYER_CONV;
    *groups = conv ? l->groups : 1;
    *rows = l->out;
    *cols = conv ? s->in.c / *groups * l->kernel * l->kernel : bnf_lipschitz_size(&s->in);
}

/* Bounds of a convolution as an operator, where they are smaller than those by its kernel as a matrix. */
static bnf_status bound_operator(const bnf_lipschitz_stage *s, const float *w, bnf_lipschitz_stage_bound *b)
{
    const bnf_layer *l = &s->layer;
    bnf_la_conv conv = {.out = l->out / l->groups,
                        .in = s->in.c / l->groups,
                        .kernel = {l->kernel, l->kernel},
                        .stride = {l->stride, l->stride},
                        .dilation = {l->dilation, l->dilation}};
    int64_t size = conv.out * conv.in * l->kernel * l->kernel;
    bnf_la_conv_bound most = {0};
    double spread = 0;
    for (int64_t g = 0; g < l->groups; g++, w += size) {
        bnf_la_conv_bound bound;
        double absolute;
        BNF_TRY(bnf_la_conv_abs_upper(&conv, w, &absolute));
        spread = fmax(spread, absolute);
        if (absolute <= most.norm) /* which bounds the group's norm, too */
            continue;
        BNF_TRY(bnf_la_conv_norm_upper(&conv, w, 1.0 / (double)l->groups, &bound));
        most = bound.norm >= most.norm ? bound : most;
    }
    b->spread = fmin(b->spread, spread);
    if (most.norm >= b->lipschitz)
        return BNF_OK;
    b->lipschitz = most.norm;
    b->by = most.by == BNF_LA_CONV_GRID ? BNF_LIPSCHITZ_BY_GRID : BNF_LIPSCHITZ_BY_SHIFTS;
    char how[64] = "shifted copies of the kernel";
    if (most.by == BNF_LA_CONV_GRID)
        snprintf(how, sizeof how, "%lld x %lld frequencies", (long long)most.grid[0], (long long)most.grid[1]);
    snprintf(b->from, sizeof b->from, "operator by %s; as a matrix ||W|| = %.6g%s", how, b->matrix,
             l->groups > 1 ? ", largest of the groups" : "");
    return BNF_OK;
}

/* The norms that a stage's matrix is bounded by, where all ranks have found them together; else NaN. */
typedef struct norms {
    double matrix, spread;
} norms;

/* together: of this stage; NULL: none was found so. */
static bnf_status bound_matrix(const bnf_lipschitz_stage *s, bnf_params *params, const norms *together,
                               bnf_lipschitz_stage_bound *b)
{
    const bnf_layer *l = &s->layer;
    bool conv = l->kind == BNF_LAYER_CONV;
    int64_t groups, rows, cols;
    double nh = 1, nw = 1;
    extents(s, &groups, &rows, &cols);
    if (together && !isnan(together->matrix)) {
        b->matrix = together->matrix;
        b->spread = together->spread;
    } else {
        BNF_TRY(matrix_norms(bnf_params_value(params, s->weight), rows, cols, groups, &b->matrix, &b->spread));
    }
    b->lipschitz = b->matrix;
    if (s->bias >= 0)
        b->offset = bnf_lipschitz_up(
            norm_up(l->out, bnf_params_value(params, s->bias)) * sqrt((double)(s->out.h * s->out.w)), 4);
    if (!conv) {
        snprintf(b->from, sizeof b->from, "||W||, W %lld x %lld", (long long)l->out, (long long)cols);
        return BNF_OK;
    }
    BNF_TRY(patches(l, s->out.h, &nh));
    BNF_TRY(patches(l, s->out.w, &nw));
    b->overlap = bnf_lipschitz_up(sqrt(nh * nw), 1);
    b->lipschitz = bnf_lipschitz_up(b->matrix * sqrt(nh * nw), 3);
    b->spread = bnf_lipschitz_up(b->spread * sqrt(nh * nw), 3);
    b->by = BNF_LIPSCHITZ_BY_KERNEL;
    snprintf(b->from, sizeof b->from, "||W|| = %.6f times sqrt(%g x %g), W %lld x %lld%s", b->matrix, nh, nw,
             (long long)(l->out / groups), (long long)cols, groups > 1 ? ", largest of the groups" : "");
    return nh * nw > 1 ? bound_operator(s, bnf_params_value(params, s->weight), b) : BNF_OK;
}

static bnf_status bound_norm(const bnf_lipschitz_stage *s, bnf_params *params, bnf_lipschitz_stage_bound *b)
{
    const float *gamma = bnf_params_value(params, s->weight), *beta = bnf_params_value(params, s->bias);
    const float *mean = bnf_params_value(params, s->mean), *var = bnf_params_value(params, s->var);
    double eps = bnf_batch_norm_layer_default().eps, shift = 0;
    b->lipschitz = 0;
    for (int64_t c = 0; c < s->in.c; c++) {
        double scale = fabs(gamma[c]) / sqrt(var[c] + eps);
        if (!isfinite(scale) || !isfinite(mean[c]) || !isfinite(beta[c]))
            return bnf_fail(BNF_ERR_NUMERIC, "%s: channel %lld of the batch normalisation is not finite", s->name,
                            (long long)c);
        b->lipschitz = fmax(b->lipschitz, bnf_lipschitz_up(scale, 4));
        shift += scale * mean[c] * (scale * mean[c]) + (double)beta[c] * beta[c];
    }
    b->spread = b->lipschitz;
    /* (a^2 + b^2) 2 >= (a + b)^2 for the two norms */
    b->offset = bnf_lipschitz_up(sqrt(2 * shift * (double)(s->in.h * s->in.w)), 2 * (double)s->in.c + 20);
    snprintf(b->from, sizeof b->from, "largest |gamma| / sqrt(var + eps)");
    return BNF_OK;
}

static bnf_status bound_center(const bnf_lipschitz_stage *s, bnf_params *params, bnf_lipschitz_stage_bound *b)
{
    const float *bias = bnf_params_value(params, s->bias), *mean = bnf_params_value(params, s->mean);
    double shift = 0;
    for (int64_t c = 0; c < s->in.c; c++)
        shift += (double)mean[c] * mean[c] + (double)bias[c] * bias[c];
    if (!isfinite(shift))
        return bnf_fail(BNF_ERR_NUMERIC, "%s: a mean or a bias is not finite", s->name);
    b->lipschitz = b->spread = 1;
    b->offset = bnf_lipschitz_up(sqrt(2 * shift * (double)(s->in.h * s->in.w)), 2 * (double)s->in.c + 6);
    snprintf(b->from, sizeof b->from, "moves its input");
    return BNF_OK;
}

/* A reflection on one side of a line, nothing on the other (ops/householder.c); as it is computed, x + 2 m v with
 * |m| <= |x| and |v| = 1. */
static bnf_status bound_householder(const bnf_lipschitz_stage *s, bnf_params *params, bnf_lipschitz_stage_bound *b)
{
    const float *angle = bnf_params_value(params, s->weight);
    for (int64_t i = 0; i < s->in.c / 2; i++)
        if (!isfinite(angle[i]))
            return bnf_fail(BNF_ERR_NUMERIC, "%s: angle %lld is not finite", s->name, (long long)i);
    b->lipschitz = 1;
    b->spread = 3;
    snprintf(b->from, sizeof b->from, "reflects pairs of its input");
    return BNF_OK;
}

static bnf_status bound_add(const bnf_lipschitz_stage *s, bnf_params *params, bnf_lipschitz_stage_bound *b)
{
    b->lipschitz = b->spread = 1; /* until the block's is known */
    bnf_lipschitz_shares(s, params, &b->own, &b->others);
    if (!isfinite(b->own) || !isfinite(b->others))
        return bnf_fail(BNF_ERR_NUMERIC, "%s: the learned share is not finite", s->name);
    if (s->layer.learned) {
        b->own = bnf_lipschitz_up(b->own, 6);
        b->others = bnf_lipschitz_up(b->others, 6);
    }
    return BNF_OK;
}

static void bound_plain(const bnf_lipschitz_stage *s, bnf_lipschitz_stage_bound *b)
{
    const bnf_layer *l = &s->layer;
    double area = (double)(s->in.h * s->in.w);
    b->lipschitz = 1;
    const char *from = "1-Lipschitz";
    switch (l->kind) {
    case BNF_LAYER_MAX_POOL:
    case BNF_LAYER_L2_POOL:
    case BNF_LAYER_SCALED_AVG_POOL:
    case BNF_LAYER_AVG_POOL:
        b->lipschitz = bnf_layer_lipschitz(l);
        if (l->kind == BNF_LAYER_AVG_POOL)
            b->lipschitz = bnf_lipschitz_up(b->lipschitz, 1);
        snprintf(b->from, sizeof b->from, "windows %lld x %lld, stride %lld", (long long)l->kernel,
                 (long long)l->kernel, (long long)l->stride);
        break;
    case BNF_LAYER_GLOBAL_AVG_POOL:
        b->lipschitz = bnf_lipschitz_up(1 / sqrt(area), 2);
        from = "1 / sqrt(height x width)";
        break;
    case BNF_LAYER_LEAKY_RELU:
        b->lipschitz = fmax(1, fabs(l->slope));
        from = "max(1, |slope|)";
        break;
    case BNF_LAYER_SIGMOID:
        b->lipschitz = 0.25;
        from = "largest slope";
        break;
    case BNF_LAYER_DROPOUT:
        from = "identity in evaluation";
        break;
    case BNF_LAYER_GROUPSORT2:
    case BNF_LAYER_FULLSORT:
    case BNF_LAYER_FLATTEN:
    case BNF_LAYER_UNSHUFFLE:
        from = "reorders its input";
        break;
    case BNF_LAYER_BLOCK:
        from = "a residual block begins";
        break;
    case BNF_LAYER_SHORTCUT:
        from = "goes on from the block's input";
        break;
    default:
        break;
    }
    if (!b->from[0])
        snprintf(b->from, sizeof b->from, "%s", from);
    b->spread = b->lipschitz;
    if (l->kind == BNF_LAYER_SIGMOID) /* outputs in (0, 1), whatever the input */
        b->offset = bnf_lipschitz_up(sqrt((double)bnf_lipschitz_size(&s->in)), 1);
}

static bnf_status bound_stage(const bnf_lipschitz_stage *s, bnf_params *params, const norms *together,
                              bnf_lipschitz_stage_bound *b)
{
    *b = (bnf_lipschitz_stage_bound){.matrix = NAN, .overlap = NAN};
    if (has_matrix(s))
        return bound_matrix(s, params, together, b);
    if (s->layer.kind == BNF_LAYER_BATCH_NORM)
        return bound_norm(s, params, b);
    if (s->layer.kind == BNF_LAYER_BATCH_CENTER)
        return bound_center(s, params, b);
    if (s->layer.kind == BNF_LAYER_ADD)
        return bound_add(s, params, b);
    if (s->layer.kind == BNF_LAYER_HOUSEHOLDER)
        return bound_householder(s, params, b);
    bound_plain(s, b);
    return BNF_OK;
}

/* Norms of the last stage's rows and of their differences. */
static bnf_status bound_logits(const bnf_lipschitz_net *net, bnf_params *params, bnf_lipschitz_bounds *b)
{
    const bnf_lipschitz_stage *last = &net->stages[net->count - 1];
    int64_t n = b->outputs, cols = bnf_lipschitz_size(&last->in);
    const float *w = b->linear ? bnf_params_value(params, last->weight) : NULL;
    const float *bias = b->linear && last->bias >= 0 ? bnf_params_value(params, last->bias) : NULL;
    BNF_TRY(bnf_calloc((size_t)(n * n), sizeof *b->gap, "bounds of logits", &b->gap));
    BNF_TRY(bnf_calloc((size_t)n, sizeof *b->row, "bounds of logits", &b->row));
    BNF_TRY(bnf_calloc((size_t)n, sizeof *b->bias, "bounds of logits", &b->bias));
    for (int64_t i = 0; i < n; i++) {
        b->row[i] = w ? norm_up(cols, w + i * cols) : 1;
        b->bias[i] = bias ? fabs(bias[i]) : 0;
        for (int64_t j = 0; j < i; j++) {
            double sum = w ? 0 : 2;
            for (int64_t k = 0; w && k < cols; k++) {
                double d = (double)w[i * cols + k] - w[j * cols + k];
                sum += d * d;
            }
            b->gap[i * n + j] = b->gap[j * n + i] = bnf_lipschitz_up(sqrt(sum), (double)cols + 6);
        }
    }
    return BNF_OK;
}

/* From pixels to the output of stage i, whose bound is there; that of `add` is made here. */
static double behind(const bnf_lipschitz_net *net, bnf_lipschitz_bounds *b, int i)
{
    const bnf_lipschitz_stage *s = &net->stages[i];
    bnf_lipschitz_stage_bound *at = &b->stages[i];
    if (s->layer.kind == BNF_LAYER_SHORTCUT)
        return b->stages[s->block].before;
    if (s->layer.kind != BNF_LAYER_ADD)
        return bnf_lipschitz_up(at->before * at->lipschitz, 1);
    double sum = bnf_lipschitz_up(at->own * at->before + at->others * b->stages[s->other].before, 3);
    double block = b->stages[s->block].before;
    at->lipschitz = block > 0 ? bnf_lipschitz_up(sum / block, 1) : 0;
    snprintf(at->from, sizeof at->from, "the block: %s sum of its branch and its shortcut",
             s->layer.learned ? "weighted"
             : s->factor < 1  ? "half the"
                              : "the");
    return sum;
}

static bnf_status fill(const bnf_lipschitz_net *net, bnf_params *params, const norms *together, bnf_lipschitz_bounds *b)
{
    for (int64_t c = 0; c < net->in.c; c++)
        b->input = fmax(b->input, fabs(net->scale[c]));
    b->features = b->input;
    for (int i = 0; i < net->count; i++) {
        bnf_status s = bound_stage(&net->stages[i], params, together ? &together[i] : NULL, &b->stages[i]);
        if (s != BNF_OK)
            return bnf_fail_context(s, "layer %d (%s)", i + 1, net->stages[i].name);
        b->stages[i].before = b->features;
        if (i < net->count - 1 || !b->linear)
            b->features = behind(net, b, i);
    }
    b->network = b->linear ? bnf_lipschitz_up(b->features * b->stages[net->count - 1].lipschitz, 1) : b->features;
    BNF_TRY(bound_logits(net, params, b));
    for (int64_t i = 0; i < b->outputs; i++)
        b->logit = fmax(b->logit, bnf_lipschitz_up(b->features * b->row[i], 1));
    return BNF_OK;
}

static bnf_status create(const bnf_lipschitz_net *net, bnf_params *params, const norms *together,
                         bnf_lipschitz_bounds *bounds)
{
    *bounds = (bnf_lipschitz_bounds){.outputs = net->outputs,
                                     .linear = bnf_lipschitz_is_linear(&net->stages[net->count - 1])};
    BNF_TRY(bnf_calloc((size_t)net->count, sizeof *bounds->stages, "bounds of stages", &bounds->stages));
    bnf_status s = fill(net, params, together, bounds);
    if (s != BNF_OK)
        bnf_lipschitz_bounds_release(bounds);
    return s;
}

bnf_status bnf_lipschitz_bounds_create(const bnf_lipschitz_net *net, bnf_params *params, bnf_lipschitz_bounds *bounds)
{
    return create(net, params, NULL, bounds);
}

/* The norms of one stage, group by group, by all ranks. */
static bnf_status norms_together(const bnf_grid *grid, const bnf_lipschitz_stage *s, bnf_params *params, norms *n)
{
    int64_t groups, rows, cols;
    extents(s, &groups, &rows, &cols);
    const float *w = bnf_params_value(params, s->weight);
    *n = (norms){0, 0};
    for (int64_t g = 0; g < groups; g++, w += rows / groups * cols) {
        double matrix, spread;
        BNF_TRY(bnf_la_norm2_upper_shared(grid, rows / groups, cols, w, false, &matrix));
        BNF_TRY(bnf_la_norm2_upper_shared(grid, rows / groups, cols, w, true, &spread));
        n->matrix = fmax(n->matrix, matrix);
        n->spread = fmax(n->spread, spread);
    }
    return BNF_OK;
}

/* Norms of all stages whose matrices (of one group) have more than `above` elements. */
static bnf_status all_norms_together(const bnf_comm *comm, int64_t above, const bnf_lipschitz_net *net,
                                     bnf_params *params, norms *n)
{
    bnf_grid *grid = NULL;
    bnf_status status = BNF_OK;
    for (int i = 0; i < net->count && status == BNF_OK; i++) {
        const bnf_lipschitz_stage *s = &net->stages[i];
        int64_t groups = 1, rows = 0, cols = 0;
        n[i] = (norms){NAN, NAN};
        if (has_matrix(s))
            extents(s, &groups, &rows, &cols);
        if (above == 0 || rows / groups * cols <= above)
            continue;
        if (!grid)
            status = bnf_grid_create(comm, &grid);
        if (status == BNF_OK)
            status = norms_together(grid, s, params, &n[i]);
        if (status != BNF_OK)
            bnf_fail_context(status, "layer %d (%s)", i + 1, s->name);
    }
    bnf_grid_destroy(grid);
    return status;
}

bnf_status bnf_lipschitz_bounds_create_shared(const bnf_comm *comm, int64_t above, const bnf_lipschitz_net *net,
                                              bnf_params *params, bnf_lipschitz_bounds *bounds)
{
    norms *together = NULL;
    bnf_status s = bnf_calloc((size_t)net->count, sizeof *together, "bounds of stages", &together);
    s = bnf_comm_agree(comm, s);
    if (s == BNF_OK)
        s = all_norms_together(comm, above, net, params, together);
    if (s == BNF_OK)
        s = bnf_comm_agree(comm, create(net, params, together, bounds));
    bnf_free(together);
    return s;
}

void bnf_lipschitz_bounds_release(bnf_lipschitz_bounds *bounds)
{
    bnf_free(bounds->stages);
    bnf_free(bounds->gap);
    bnf_free(bounds->row);
    bnf_free(bounds->bias);
    *bounds = (bnf_lipschitz_bounds){0};
}
