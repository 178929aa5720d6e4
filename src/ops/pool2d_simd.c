/* ops/pool2d_simd.c - pooling with vectors along the channels. Two forms: "windows" for every case, "quads" for 2x2
 * windows with stride 2 and no padding. */
#include "base/simd.h"
#include "ops/pool2d.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Channels for which the general MAX backward keeps a flag at a time. */
enum { CHUNK = 256 };

/* Four cells of a 2x2 window, in the order of rows and then columns. */
typedef struct quad {
    const float *a, *b, *c, *d;
} quad;

INLINE quad quad_at(const bnf_pool2d_shape *s, const float *x, int64_t n, int64_t oh, int64_t ow)
{
    const float *a = x + ((n * s->h + 2 * oh) * s->w + 2 * ow) * s->c;
    return (quad){a, a + s->c, a + s->w * s->c, a + (s->w + 1) * s->c};
}

INLINE float larger(float m, float v)
{
    return v > m ? v : m;
}

INLINE void quad_forward(bnf_pool_kind kind, quad q, int64_t n, float *restrict y)
{
    const float *restrict a = q.a, *restrict b = q.b, *restrict c = q.c, *restrict d = q.d;
    if (kind == BNF_POOL_L2) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = sqrtf(a[i] * a[i] + b[i] * b[i] + c[i] * c[i] + d[i] * d[i]);
    } else if (kind == BNF_POOL_AVG) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = (a[i] + b[i] + c[i] + d[i]) * 0.25f;
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = larger(larger(larger(a[i], b[i]), c[i]), d[i]);
    }
}

INLINE void quads_forward(bnf_pool_kind kind, const bnf_pool2d_shape *s, const float *x, float *y)
{
    for (int64_t n = 0; n < s->n; n++)
        for (int64_t oh = 0; oh < s->oh; oh++)
            for (int64_t ow = 0; ow < s->ow; ow++, y += s->c)
                quad_forward(kind, quad_at(s, x, n, oh, ow), s->c, y);
}

INLINE void quad_backward(bnf_pool_kind kind, quad q, int64_t n, const float *restrict dy, const float *restrict y,
                          float *restrict da, float *restrict db, float *restrict dc, float *restrict dd)
{
    const float *restrict a = q.a, *restrict b = q.b, *restrict c = q.c, *restrict d = q.d;
    if (kind == BNF_POOL_L2) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float r = dy[i] / (y[i] + (float)BNF_POOL_L2_EPS);
            da[i] = a[i] * r, db[i] = b[i] * r, dc[i] = c[i] * r, dd[i] = d[i] * r;
        }
    } else if (kind == BNF_POOL_AVG) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            da[i] = db[i] = dc[i] = dd[i] = dy[i] * 0.25f;
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float g = dy[i], m = y[i];
            int ha = a[i] == m, hb = b[i] == m, hc = c[i] == m, hd = d[i] == m;
            da[i] = ha ? g : 0.0f;
            db[i] = hb > ha ? g : 0.0f;
            dc[i] = hc > (ha | hb) ? g : 0.0f;
            dd[i] = hd > (ha | hb | hc) ? g : 0.0f;
        }
    }
}

/* x and y are not read by AVG. A last odd row or column belongs to no window. */
INLINE void quads_backward(bnf_pool_kind kind, const bnf_pool2d_shape *s, const float *dy, const float *x,
                           const float *y, float *dx)
{
    if (s->h % 2 || s->w % 2)
        memset(dx, 0, (size_t)(s->n * s->h * s->w * s->c) * sizeof *dx);
    int64_t row = s->w * s->c, c = s->c;
    for (int64_t n = 0; n < s->n; n++)
        for (int64_t oh = 0; oh < s->oh; oh++)
            for (int64_t ow = 0; ow < s->ow; ow++) {
                int64_t p = ((n * s->oh + oh) * s->ow + ow) * c, first = (n * s->h + 2 * oh) * row + 2 * ow * c;
                float *d = dx + first;
                quad q = {NULL, NULL, NULL, NULL};
                if (kind != BNF_POOL_AVG)
                    q = quad_at(s, x, n, oh, ow);
                quad_backward(kind, q, c, dy + p, kind != BNF_POOL_AVG ? y + p : NULL, d, d + c, d + row, d + row + c);
            }
}

/* Adds one cell to a window's value, c channels. */
INLINE void add_cell(bnf_pool_kind kind, int64_t n, bool first, const float *restrict x, float *restrict y)
{
    if (first)
        for (int64_t i = 0; i < n; i++)
            y[i] = kind == BNF_POOL_L2 ? x[i] * x[i] : x[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = kind == BNF_POOL_L2 ? y[i] + x[i] * x[i] : kind == BNF_POOL_AVG ? y[i] + x[i] : larger(y[i], x[i]);
}

INLINE void windows_forward(bnf_pool_kind kind, const bnf_pool2d_shape *s, const float *x, float *restrict y)
{
    float scale = (float)(1.0 / (double)(s->window[0] * s->window[1]));
    for (int64_t p = 0; p < s->n * s->oh * s->ow; p++, y += s->c) {
        int64_t n = p / (s->oh * s->ow);
        bnf_pool2d_range r = bnf_pool2d_range_of(s, p / s->ow % s->oh, p % s->ow);
        for (int64_t h = r.h0; h < r.h1; h++)
            for (int64_t w = r.w0; w < r.w1; w++)
                add_cell(kind, s->c, h == r.h0 && w == r.w0, x + ((n * s->h + h) * s->w + w) * s->c, y);
        for (int64_t i = 0; kind != BNF_POOL_MAX && i < s->c; i++)
            y[i] = kind == BNF_POOL_L2 ? sqrtf(y[i]) : y[i] * scale;
    }
}

/* Adds a window's gradient to one cell. `taken[i]`: an earlier cell of the window was the maximum. */
INLINE void spread_cell(bnf_pool_kind kind, int64_t n, float scale, const float *restrict dy, const float *restrict x,
                        const float *restrict y, int32_t *restrict taken, float *restrict dx)
{
    if (kind == BNF_POOL_L2) {
        for (int64_t i = 0; i < n; i++)
            dx[i] += x[i] * (dy[i] / (y[i] + (float)BNF_POOL_L2_EPS));
    } else if (kind == BNF_POOL_AVG) {
        for (int64_t i = 0; i < n; i++)
            dx[i] += dy[i] * scale;
    } else {
        for (int64_t i = 0; i < n; i++) {
            int32_t hit = x[i] == y[i] && !taken[i];
            dx[i] += hit ? dy[i] : 0.0f;
            taken[i] |= hit;
        }
    }
}

INLINE void windows_backward(bnf_pool_kind kind, const bnf_pool2d_shape *s, const float *dy, const float *x,
                             const float *y, float *dx)
{
    float scale = (float)(1.0 / (double)(s->window[0] * s->window[1]));
    int32_t taken[CHUNK];
    memset(dx, 0, (size_t)(s->n * s->h * s->w * s->c) * sizeof *dx);
    for (int64_t p = 0; p < s->n * s->oh * s->ow; p++) {
        int64_t n = p / (s->oh * s->ow);
        bnf_pool2d_range r = bnf_pool2d_range_of(s, p / s->ow % s->oh, p % s->ow);
        for (int64_t c = 0; c < s->c; c += CHUNK) {
            int64_t count = s->c - c < CHUNK ? s->c - c : CHUNK, at = p * s->c + c;
            memset(taken, 0, (size_t)count * sizeof *taken);
            for (int64_t h = r.h0; h < r.h1; h++)
                for (int64_t w = r.w0; w < r.w1; w++) {
                    int64_t cell = ((n * s->h + h) * s->w + w) * s->c + c;
                    spread_cell(kind, count, scale, dy + at, kind != BNF_POOL_AVG ? x + cell : NULL,
                                kind != BNF_POOL_AVG ? y + at : NULL, taken, dx + cell);
                }
        }
    }
}

static bool is_quads(const bnf_pool2d_shape *s)
{
    static const int64_t none[4] = {0};
    return s->window[0] == 2 && s->window[1] == 2 && s->stride[0] == 2 && s->stride[1] == 2 &&
           memcmp(s->pad, none, sizeof none) == 0;
}

bnf_status bnf_pool2d_simd_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    (void)k;
    bool select = inst->op == &bnf_op_pool2d && inst->n_in == 3;
    return inst->in[0].dtype == BNF_F32 && !select ? BNF_OK : BNF_ERR_UNSUPPORTED;
}

bnf_status bnf_pool2d_quad_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    bnf_pool2d_shape s = bnf_pool2d_shape_of(inst);
    return is_quads(&s) ? bnf_pool2d_simd_create(inst, k) : BNF_ERR_UNSUPPORTED;
}

/* One function per direction and kind, so that the kind is a constant in the loops. */
#define POOL_FUNCTIONS(form, name, kind)                                                                             \
    BNF_SIMD_CLONES static void form##_##name##_forward(const bnf_pool2d_shape *s, const float *x, float *y)         \
    {                                                                                                                \
        form##_forward(kind, s, x, y);                                                                               \
    }                                                                                                                \
    BNF_SIMD_CLONES static void form##_##name##_backward(const bnf_pool2d_shape *s, const float *dy, const float *x, \
                                                         const float *y, float *dx)                                  \
    {                                                                                                                \
        form##_backward(kind, s, dy, x, y, dx);                                                                      \
    }
POOL_FUNCTIONS(quads, max, BNF_POOL_MAX)
POOL_FUNCTIONS(quads, avg, BNF_POOL_AVG)
POOL_FUNCTIONS(quads, l2, BNF_POOL_L2)
POOL_FUNCTIONS(windows, max, BNF_POOL_MAX)
POOL_FUNCTIONS(windows, avg, BNF_POOL_AVG)
POOL_FUNCTIONS(windows, l2, BNF_POOL_L2)

/* By kind. */
typedef struct pool_functions {
    void (*forward[3])(const bnf_pool2d_shape *s, const float *x, float *y);
    void (*backward[3])(const bnf_pool2d_shape *s, const float *dy, const float *x, const float *y, float *dx);
} pool_functions;

static const pool_functions quads_functions = {
    .forward = {quads_max_forward, quads_avg_forward, quads_l2_forward},
    .backward = {quads_max_backward, quads_avg_backward, quads_l2_backward},
};
static const pool_functions windows_functions = {
    .forward = {windows_max_forward, windows_avg_forward, windows_l2_forward},
    .backward = {windows_max_backward, windows_avg_backward, windows_l2_backward},
};

static void run(const pool_functions *f, const bnf_op_inst *inst, const void *const *in, void *const *out)
{
    bnf_pool2d_shape s = bnf_pool2d_shape_of(inst);
    if (inst->op == &bnf_op_pool2d)
        f->forward[s.kind](&s, in[0], out[0]);
    else
        f->backward[s.kind](&s, in[0], inst->n_in == 3 ? in[1] : NULL, inst->n_in == 3 ? in[2] : NULL, out[0]);
}

void bnf_pool2d_simd(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    run(&windows_functions, inst, in, out);
}

void bnf_pool2d_quad(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    run(&quads_functions, inst, in, out);
}
