/* nn/ortho_conv.c - kernels as products of factors, group by group.
 *
 * A partial product is a list of taps [th][tw] of matrices [a,c] ("stage"). Multiplying by a factor with projector
 * P = V V' along an axis gives one tap more: B_t = A_t + D_t P with D_t = A_(t-1) - A_t, taps outside being zero. */
#include "nn/ortho_conv.h"

#include "base/assert.h"
#include "base/gcd.h"
#include "base/mem.h"
#include "la/blas.h"
#include "la/vec.h"
#include "nn/polar.h"

#include <string.h>

/* A matrix that is made orthonormal. */
typedef struct block {
    int64_t rows, cols, at; /* at: in a group's raw weight */
} block;

/* What one group looks like. */
typedef struct shape {
    bool flip;          /* the transposed kernel is computed */
    int64_t a, c, in;   /* R[a, c s_h s_w], H[c,in] */
    int64_t s[2], k[2]; /* stride (taps of R), kernel */
    int factors, blocks;
    bool h; /* there is an H, the last block */
    int64_t raw;
} shape;

struct bnf_ortho_conv {
    bnf_ortho_conv_config config;
    bnf_dtype t;
    shape shape;
    block *blocks;       /* [blocks] */
    bnf_polar **polar;   /* [groups][blocks] */
    double **factor;     /* [groups][blocks] orthonormal matrices */
    double *raw, *d_raw; /* of one group */
    double **stage;      /* [factors + 1] stage[j] before factor j */
    double *d, *e, *ge, *grad[2];
    double *kernel; /* [out/groups, in/groups, kh, kw] */
    bool ready;
};

bnf_status bnf_ortho_conv_check(const bnf_ortho_conv_config *c)
{
    if (c->out < 1 || c->in < 1 || c->groups < 1 || c->out % c->groups || c->in % c->groups)
        return bnf_fail(BNF_ERR_ARG, "orthogonal convolution: %lld to %lld channels in %lld groups", (long long)c->in,
                        (long long)c->out, (long long)c->groups);
    for (int i = 0; i < 2; i++) {
        if (c->kernel[i] < 1 || c->stride[i] < 1 || c->dilation[i] < 1)
            return bnf_fail(BNF_ERR_ARG, "orthogonal convolution: kernel, stride and dilation must be at least 1");
        if (c->kernel[i] < c->stride[i])
            return bnf_fail(BNF_ERR_UNSUPPORTED,
                            "an orthogonal convolution with a kernel of %lld is not possible at stride %lld: it would "
                            "leave out pixels; the kernel must not be smaller than the stride",
                            (long long)c->kernel[i], (long long)c->stride[i]);
        if (bnf_gcd(c->stride[i], c->dilation[i]) > 1)
            return bnf_fail(BNF_ERR_UNSUPPORTED,
                            "an orthogonal convolution with dilation %lld is not possible at stride %lld: they must "
                            "have no common divisor",
                            (long long)c->dilation[i], (long long)c->stride[i]);
    }
    return BNF_OK;
}

/* [out] blocks: NULL, or room for all. */
static shape shape_of(const bnf_ortho_conv_config *g, block *blocks)
{
    int64_t out = g->out / g->groups, in = g->in / g->groups, area = g->stride[0] * g->stride[1];
    shape s = {.flip = area == 1 && out > in,
               .s = {g->stride[0], g->stride[1]},
               .k = {g->kernel[0], g->kernel[1]},
               .factors = (int)(g->kernel[0] - g->stride[0] + g->kernel[1] - g->stride[1])};
    s.a = s.flip ? in : out;
    s.in = s.flip ? out : in;
    s.c = s.a / area > s.in ? s.a / area : s.in;
    s.h = s.c > s.in;
    s.blocks = 1 + s.factors + s.h;
    for (int b = 0; b < s.blocks; b++) {
        block is = {s.c, (s.c + b % 2) / 2, s.raw};
        if (b == 0)
            is = (block){s.a, s.c * area, 0};
        else if (b > s.factors)
            is = (block){s.c, s.in, s.raw};
        s.raw += is.rows * is.cols;
        if (blocks)
            blocks[b] = is;
    }
    return s;
}

int64_t bnf_ortho_conv_raw(const bnf_ortho_conv_config *config)
{
    return config->groups * shape_of(config, NULL).raw;
}

/* Taps of the stage before factor j. */
static void taps(const shape *s, int j, int64_t *th, int64_t *tw)
{
    int64_t along_h = s->k[0] - s->s[0];
    *th = s->s[0] + (j < along_h ? j : along_h);
    *tw = s->s[1] + (j < along_h ? 0 : j - along_h);
}

static int64_t stage_size(const shape *s, int j)
{
    int64_t th, tw;
    taps(s, j, &th, &tw);
    return th * tw * s->a * s->c;
}

double bnf_ortho_conv_cost(const bnf_ortho_conv_config *config)
{
    shape s = shape_of(config, NULL);
    double flops = 0, m = (double)(s.a < s.c * s.s[0] * s.s[1] ? s.a : s.c * s.s[0] * s.s[1]), c = (double)s.c;
    for (int j = 1; j <= s.factors; j++) /* seven products of [taps a, c] and [c, c / 2] */
        flops += 7.0 * c * (double)stage_size(&s, j);
    flops += 60.0 * m * m * m + 20.0 * m * m * (double)(s.c * s.s[0] * s.s[1] + s.a);
    flops += (double)s.factors * (60.0 / 8 + 10.0) * c * c * c;
    if (s.h)
        flops += 60.0 * (double)(s.in * s.in * s.in) +
                 (20.0 * (double)s.in + 6.0 * (double)(s.a * s.k[0] * s.k[1])) * (double)(s.in * s.c);
    return 2.0 * flops * (double)config->groups; /* f64 */
}

static bnf_status alloc_reals(int64_t n, double **x)
{
    return bnf_calloc((size_t)(n > 0 ? n : 1), sizeof **x, "orthogonal convolution", x);
}

static bnf_status allocate(bnf_ortho_conv *c)
{
    const shape *s = &c->shape;
    int64_t most = stage_size(s, s->factors), groups = c->config.groups, all = groups * s->blocks;
    BNF_TRY(bnf_calloc((size_t)s->blocks, sizeof *c->blocks, "orthogonal convolution", &c->blocks));
    shape_of(&c->config, c->blocks);
    BNF_TRY(bnf_calloc((size_t)all, sizeof(bnf_polar *), "orthogonal convolution", &c->polar));
    BNF_TRY(bnf_calloc((size_t)all, sizeof(double *), "orthogonal convolution", &c->factor));
    BNF_TRY(bnf_calloc((size_t)s->factors + 1, sizeof(double *), "orthogonal convolution", &c->stage));
    for (int64_t i = 0; i < all; i++) {
        const block *b = &c->blocks[i % s->blocks];
        BNF_TRY(alloc_reals(b->rows * b->cols, &c->factor[i]));
        if (b->cols > 0)
            BNF_TRY(bnf_polar_create(b->rows, b->cols, &c->polar[i]));
    }
    for (int j = 0; j <= s->factors; j++)
        BNF_TRY(alloc_reals(stage_size(s, j), &c->stage[j]));
    BNF_TRY(alloc_reals(s->raw, &c->raw));
    BNF_TRY(alloc_reals(s->raw, &c->d_raw));
    BNF_TRY(alloc_reals(most, &c->d));
    BNF_TRY(alloc_reals(most, &c->e)); /* columns: at most c */
    BNF_TRY(alloc_reals(most, &c->ge));
    BNF_TRY(alloc_reals(most, &c->grad[0]));
    BNF_TRY(alloc_reals(most, &c->grad[1]));
    return alloc_reals(c->config.out / groups * (c->config.in / groups) * s->k[0] * s->k[1], &c->kernel);
}

bnf_status bnf_ortho_conv_create(const bnf_ortho_conv_config *config, bnf_dtype t, bnf_ortho_conv **out)
{
    bnf_ortho_conv *c = NULL;
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    BNF_TRY(bnf_ortho_conv_check(config));
    BNF_TRY(bnf_calloc(1, sizeof *c, "orthogonal convolution", &c));
    c->config = *config;
    c->t = t;
    c->shape = shape_of(config, NULL);
    bnf_status status = allocate(c);
    if (status != BNF_OK)
        bnf_ortho_conv_destroy(c);
    else
        *out = c;
    return status;
}

void bnf_ortho_conv_destroy(bnf_ortho_conv *c)
{
    if (!c)
        return;
    for (int64_t i = 0; i < c->config.groups * c->shape.blocks; i++) {
        if (c->polar)
            bnf_polar_destroy(c->polar[i]);
        if (c->factor)
            bnf_free(c->factor[i]);
    }
    for (int j = 0; c->stage && j <= c->shape.factors; j++)
        bnf_free(c->stage[j]);
    bnf_free(c->stage);
    bnf_free(c->factor);
    bnf_free(c->polar);
    bnf_free(c->blocks);
    bnf_free(c->raw);
    bnf_free(c->d_raw);
    bnf_free(c->d);
    bnf_free(c->e);
    bnf_free(c->ge);
    bnf_free(c->grad[0]);
    bnf_free(c->grad[1]);
    bnf_free(c->kernel);
    bnf_free(c);
}

/* ---- one factor -------------------------------------------------------------------------------------------------- */

/* The factor with index j: its axis, taps before it as [outer][n][inner] (n along the axis), and its V[c,r]. */
typedef struct step {
    int64_t outer, n, inner, matrix, r; /* matrix: a c elements */
    const double *v;
} step;

static step step_of(const bnf_ortho_conv *c, int64_t g, int j)
{
    const shape *s = &c->shape;
    int64_t th, tw;
    taps(s, j, &th, &tw);
    bool along_h = j < s->k[0] - s->s[0];
    return (step){.outer = along_h ? 1 : th,
                  .n = along_h ? th : tw,
                  .inner = along_h ? tw : 1,
                  .matrix = s->a * s->c,
                  .r = c->blocks[1 + j].cols,
                  .v = c->factor[g * s->blocks + 1 + j]};
}

/* y = x, or y += sign x, from n taps along the axis to places n + 1 of them, moved on by `shift`; or back. */
static void add_taps(const step *f, bool back, int64_t shift, double sign, const double *x, double *y)
{
    int64_t run = f->inner * f->matrix;
    for (int64_t o = 0; o < f->outer; o++)
        for (int64_t t = 0; t < f->n; t++) {
            int64_t few = (o * f->n + t) * run, many = (o * (f->n + 1) + t + shift) * run;
            bnf_la_axpby(BNF_F64, run, sign, x + (back ? many : few), 1.0, y + (back ? few : many));
        }
}

/* d = D and e = D V for the stage x before the factor. */
static void differences(bnf_ortho_conv *c, const step *f, const double *x)
{
    int64_t rows = f->outer * (f->n + 1) * f->inner * c->shape.a;
    memset(c->d, 0, (size_t)(rows * c->shape.c) * sizeof(double));
    add_taps(f, false, 1, 1.0, x, c->d);
    add_taps(f, false, 0, -1.0, x, c->d);
    bnf_la_gemm(BNF_F64, false, false, rows, f->r, c->shape.c, 1.0, c->d, c->shape.c, f->v, f->r, 0.0, c->e, f->r);
}

static void factor_forward(bnf_ortho_conv *c, const step *f, const double *x, double *y)
{
    int64_t rows = f->outer * (f->n + 1) * f->inner * c->shape.a;
    memset(y, 0, (size_t)(rows * c->shape.c) * sizeof(double));
    add_taps(f, false, 0, 1.0, x, y);
    if (f->r == 0)
        return;
    differences(c, f, x);
    bnf_la_gemm(BNF_F64, false, true, rows, c->shape.c, f->r, 1.0, c->e, f->r, f->v, f->r, 1.0, y, c->shape.c);
}

/* dy -> dx (of the stage x before the factor) and dv[c,r]. With GV = dy V: dV = D' GV + dy' (D V) and
 * dx_t = dy_t + (GV_(t+1) - GV_t) V'. */
static void factor_backward(bnf_ortho_conv *c, const step *f, const double *x, const double *dy, double *dx, double *dv)
{
    int64_t a = c->shape.a, n = c->shape.c, rows = f->outer * (f->n + 1) * f->inner * a;
    memset(dx, 0, (size_t)(f->outer * f->n * f->inner * f->matrix) * sizeof(double));
    add_taps(f, true, 0, 1.0, dy, dx);
    if (f->r == 0)
        return;
    differences(c, f, x);
    bnf_la_gemm(BNF_F64, false, false, rows, f->r, n, 1.0, dy, n, f->v, f->r, 0.0, c->ge, f->r);
    bnf_la_gemm(BNF_F64, true, false, n, f->r, rows, 1.0, c->d, n, c->ge, f->r, 0.0, dv, f->r);
    bnf_la_gemm(BNF_F64, true, false, n, f->r, rows, 1.0, dy, n, c->e, f->r, 1.0, dv, f->r);
    bnf_la_gemm(BNF_F64, false, true, rows, n, f->r, 1.0, c->ge, f->r, f->v, f->r, 0.0, c->d, n);
    add_taps(f, true, 1, 1.0, c->d, dx);
    add_taps(f, true, 0, -1.0, c->d, dx);
}

/* ---- one group --------------------------------------------------------------------------------------------------- */

/* Between R[a, c taps], columns in the order channel, tap, and taps [tap][a][c]; or the kernel's in the same way. */
static void split_taps(int64_t a, int64_t c, int64_t n, bool flip, bool back, double *matrix, double *stage)
{
    for (int64_t i = 0; i < a; i++)
        for (int64_t j = 0; j < c; j++)
            for (int64_t t = 0; t < n; t++) {
                double *m = &matrix[(flip ? j * a + i : i * c + j) * n + t], *s = &stage[(t * a + i) * c + j];
                if (back)
                    *m = *s;
                else
                    *s = *m;
            }
}

static bnf_status orthonormalise(bnf_ortho_conv *c, int64_t g)
{
    for (int64_t b = 0, at = g * c->shape.blocks; b < c->shape.blocks; b++, at++)
        if (c->polar[at])
            BNF_TRY(bnf_polar_forward(c->polar[at], c->raw + c->blocks[b].at, c->factor[at]));
    return BNF_OK;
}

static void fill_stages(bnf_ortho_conv *c, int64_t g)
{
    const shape *s = &c->shape;
    split_taps(s->a, s->c, s->s[0] * s->s[1], false, false, c->factor[g * s->blocks], c->stage[0]);
    for (int j = 0; j < s->factors; j++) {
        step f = step_of(c, g, j);
        factor_forward(c, &f, c->stage[j], c->stage[j + 1]);
    }
}

static void group_forward(bnf_ortho_conv *c, int64_t g)
{
    const shape *s = &c->shape;
    double **q = c->factor + g * s->blocks, *last = c->stage[s->factors];
    int64_t n = s->k[0] * s->k[1];
    fill_stages(c, g);
    if (s->h) {
        bnf_la_gemm(BNF_F64, false, false, n * s->a, s->in, s->c, 1.0, last, s->c, q[s->blocks - 1], s->in, 0.0, c->d,
                    s->in);
        last = c->d;
    }
    split_taps(s->a, s->in, n, s->flip, true, c->kernel, last);
}

/* kernel -> d_raw; both are derivatives. */
static void group_backward(bnf_ortho_conv *c, int64_t g)
{
    const shape *s = &c->shape;
    double **q = c->factor + g * s->blocks, *dq = c->d_raw;
    int64_t n = s->k[0] * s->k[1];
    int at = 0;
    if (c->config.groups > 1) /* else the forward's are still there */
        fill_stages(c, g);
    split_taps(s->a, s->in, n, s->flip, false, c->kernel, c->grad[0]);
    if (s->h) {
        const double *h = q[s->blocks - 1];
        bnf_la_gemm(BNF_F64, true, false, s->c, s->in, n * s->a, 1.0, c->stage[s->factors], s->c, c->grad[0], s->in,
                    0.0, dq + c->blocks[s->blocks - 1].at, s->in);
        bnf_la_gemm(BNF_F64, false, true, n * s->a, s->c, s->in, 1.0, c->grad[0], s->in, h, s->in, 0.0, c->grad[1],
                    s->c);
        at = 1;
    }
    for (int j = s->factors - 1; j >= 0; j--, at = !at) {
        step f = step_of(c, g, j);
        factor_backward(c, &f, c->stage[j], c->grad[at], c->grad[!at], dq + c->blocks[1 + j].at);
    }
    split_taps(s->a, s->c, s->s[0] * s->s[1], false, true, dq, c->grad[at]);
    memcpy(c->raw, dq, (size_t)s->raw * sizeof(double));
    for (int b = 0; b < s->blocks; b++)
        if (c->polar[g * s->blocks + b])
            bnf_polar_backward(c->polar[g * s->blocks + b], c->raw + c->blocks[b].at, dq + c->blocks[b].at);
}

/* ---- all groups -------------------------------------------------------------------------------------------------- */

static const void *part(bnf_dtype t, const void *x, int64_t at)
{
    return (const char *)x + (size_t)at * bnf_dtype_size(t);
}

bnf_status bnf_ortho_conv_forward(bnf_ortho_conv *c, const void *raw, void *kernel)
{
    int64_t groups = c->config.groups, area = c->shape.k[0] * c->shape.k[1];
    int64_t size = c->config.out / groups * (c->config.in / groups) * area;
    c->ready = false;
    for (int64_t g = 0; g < groups; g++) {
        bnf_la_convert(c->t, BNF_F64, c->shape.raw, part(c->t, raw, g * c->shape.raw), c->raw);
        bnf_status s = orthonormalise(c, g);
        if (s != BNF_OK)
            return bnf_fail_context(s, "orthogonal convolution");
        group_forward(c, g);
        bnf_la_convert(BNF_F64, c->t, size, c->kernel, (void *)part(c->t, kernel, g * size));
    }
    c->ready = true;
    return BNF_OK;
}

void bnf_ortho_conv_backward(bnf_ortho_conv *c, const void *d_kernel, void *d_raw)
{
    int64_t groups = c->config.groups, area = c->shape.k[0] * c->shape.k[1];
    int64_t size = c->config.out / groups * (c->config.in / groups) * area;
    BNF_ASSERT(c->ready);
    for (int64_t g = 0; g < groups; g++) {
        bnf_la_convert(c->t, BNF_F64, size, part(c->t, d_kernel, g * size), c->kernel);
        group_backward(c, g);
        bnf_la_convert(BNF_F64, c->t, c->shape.raw, c->d_raw, (void *)part(c->t, d_raw, g * c->shape.raw));
    }
}

/* ---- as a reparametrisation -------------------------------------------------------------------------------------- */

static bnf_status forward(void *self, const void *raw, void *effective)
{
    return bnf_ortho_conv_forward(self, raw, effective);
}

static bnf_status backward(void *self, const void *raw, const void *d_effective, void *d_raw)
{
    (void)raw;
    bnf_ortho_conv_backward(self, d_effective, d_raw);
    return BNF_OK;
}

static void destroy(void *self)
{
    bnf_ortho_conv_destroy(self);
}

static bnf_status make(const void *config, const bnf_desc *desc, bnf_reparam *made)
{
    bnf_ortho_conv *c;
    BNF_TRY(bnf_ortho_conv_create(config, desc->dtype, &c));
    *made = (bnf_reparam){.self = c, .forward = forward, .backward = backward, .destroy = destroy};
    return BNF_OK;
}

/* Drawn matrices become orthonormal. */
static bnf_status init(const void *config, const bnf_desc *raw, double *w)
{
    bnf_ortho_conv *c;
    (void)raw;
    BNF_TRY(bnf_ortho_conv_create(config, BNF_F64, &c));
    bnf_status s = BNF_OK;
    for (int64_t g = 0; g < c->config.groups && s == BNF_OK; g++) {
        double *at = w + g * c->shape.raw;
        memcpy(c->raw, at, (size_t)c->shape.raw * sizeof(double));
        s = orthonormalise(c, g);
        for (int b = 0; b < c->shape.blocks && s == BNF_OK; b++)
            memcpy(at + c->blocks[b].at, c->factor[g * c->shape.blocks + b],
                   (size_t)(c->blocks[b].rows * c->blocks[b].cols) * sizeof(double));
    }
    bnf_ortho_conv_destroy(c);
    return s;
}

void bnf_ortho_conv_describe(const bnf_ortho_conv_config *config, bnf_dtype t, bnf_reparam_factory *factory)
{
    *factory = (bnf_reparam_factory){.name = "orthogonal",
                                     .config = config,
                                     .config_size = sizeof *config,
                                     .cost = bnf_ortho_conv_cost(config),
                                     .raw = bnf_desc_1d(t, bnf_ortho_conv_raw(config)),
                                     .init = init,
                                     .make = make};
}
