/* ops/pool2d_simd.c - pooling with vectors along the channels, for every case; pool2d_quad.c has the commonest. */
#include "base/simd.h"
#include "ops/pool2d.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Channels for which the general MAX backward keeps a flag at a time. */
enum { CHUNK = 256 };

INLINE float larger(float m, float v)
{
    return v > m ? v : m;
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

bnf_status bnf_pool2d_simd_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    (void)k;
    bool select = inst->op == &bnf_op_pool2d && inst->n_in == 3;
    return inst->in[0].dtype == BNF_F32 && !select ? BNF_OK : BNF_ERR_UNSUPPORTED;
}

/* One function per direction and kind, so that the kind is a constant in the loops. */
#define WINDOWS(name, kind)                                                                                           \
    BNF_SIMD_CLONES static void windows_##name##_forward(const bnf_pool2d_shape *s, const float *x, float *y)         \
    {                                                                                                                 \
        windows_forward(kind, s, x, y);                                                                               \
    }                                                                                                                 \
    BNF_SIMD_CLONES static void windows_##name##_backward(const bnf_pool2d_shape *s, const float *dy, const float *x, \
                                                          const float *y, float *dx)                                  \
    {                                                                                                                 \
        windows_backward(kind, s, dy, x, y, dx);                                                                      \
    }
WINDOWS(max, BNF_POOL_MAX)
WINDOWS(avg, BNF_POOL_AVG)
WINDOWS(l2, BNF_POOL_L2)

/* By kind. */
static void (*const forward[3])(const bnf_pool2d_shape *s, const float *x,
                                float *y) = {windows_max_forward, windows_avg_forward, windows_l2_forward};
static void (*const backward[3])(const bnf_pool2d_shape *s, const float *dy, const float *x, const float *y,
                                 float *dx) = {windows_max_backward, windows_avg_backward, windows_l2_backward};

void bnf_pool2d_simd(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    bnf_pool2d_shape s = bnf_pool2d_shape_of(inst);
    const void *x = inst->n_in == 3 ? in[1] : NULL, *y = inst->n_in == 3 ? in[2] : NULL;
    if (inst->op == &bnf_op_pool2d)
        forward[s.kind](&s, in[0], out[0]);
    else
        backward[s.kind](&s, in[0], x, y, out[0]);
}
