/* ops/unary_simd.c - see ops/unary_simd.h.
 *
 * exp(x) = 2^n exp(r) with n the integer nearest to x / log 2 and |r| <= log(2) / 2, where exp(r) is 1 + r + r^2
 * q(r); q interpolates (exp(r) - 1 - r) / r^2 at the Chebyshev nodes of that interval (relative error 1e-8). Compared
 * with f64 over all floats, the units of the last place that a result is off: exp at most 1.05, sigmoid 2.5 (below -88,
 * where it is no normal float, 0), tanh 2.6. */
#include "ops/unary_simd.h"

#include "base/assert.h"
#include "base/simd.h"
#include "ops/attr.h"

#include <string.h>

/* 2^n for -126 <= n <= 127; some bits for another n (unsigned, so that it wraps round). */
static inline float power_of_2(int32_t n)
{
    const uint32_t bits = ((uint32_t)n + 127u) << 23;
    float s;
    memcpy(&s, &bits, sizeof s);
    return s;
}

/* exp(x) = 2^n (1 + p). For |x| <= 2^15; NaN gives a NaN p and some n. */
static inline float split_exp(float x, int32_t *n)
{
    const float shift = 0x1.8p23f; /* adding it leaves the nearest integer in the lowest bits */
    const float shifted = x * 1.44269504089f + shift;
    uint32_t bits, zero;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&zero, &shift, sizeof zero);
    *n = (int32_t)(bits - zero);
    const float whole = shifted - shift;
    const float r = (x - whole * 0x1.62e4p-1f) - whole * 1.42860676533e-6f; /* log 2 in two parts */
    const float q =
        0.5f + r * (0.166665770256f + r * (0.0416665546621f + r * (0.00836317307451f + r * 0.00139261761199f)));
    return r + r * r * q;
}

/* Beyond the limits: 0 and infinity, as they round. Two factors, for 2^n may be no float. */
static inline float exp_one(float x)
{
    int32_t n;
    const float p = split_exp(x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x, &n);
    const int32_t half = n >> 1;
    return (1.0f + p) * power_of_2(half) * power_of_2(n - half);
}

/* t / (t + 2) with t = exp(2 |x|) - 1; 1 beyond 10. */
static inline float tanh_one(float x)
{
    const float size = x < 0.0f ? -x : x;
    int32_t n;
    const float p = split_exp(2.0f * (size > 10.0f ? 10.0f : size), &n);
    const float s = power_of_2(n & 63), t = s * p + (s - 1.0f); /* 0 <= n <= 29 unless x is NaN */
    const float y = t / (t + 2.0f);
    return x < 0.0f ? -y : y;
}

BNF_SIMD_CLONES
static void exp_all(int64_t n, const float *x, float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = exp_one(x[i]);
}

BNF_SIMD_CLONES
static void sigmoid_all(int64_t n, const float *x, float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = 1.0f / (1.0f + exp_one(-x[i]));
}

BNF_SIMD_CLONES
static void tanh_all(int64_t n, const float *x, float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = tanh_one(x[i]);
}

bnf_status bnf_unary_simd_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    (void)k;
    const int64_t kind = ((const bnf_unary_attr *)inst->attr)->kind;
    const bool known = kind == BNF_UNARY_EXP || kind == BNF_UNARY_SIGMOID || kind == BNF_UNARY_TANH;
    return known && inst->out[0].dtype == BNF_F32 ? BNF_OK : BNF_ERR_UNSUPPORTED;
}

void bnf_unary_simd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                        const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const int64_t n = bnf_desc_count(&inst->out[0]);
    switch (((const bnf_unary_attr *)inst->attr)->kind) {
    case BNF_UNARY_EXP:
        exp_all(n, in[0], out[0]);
        break;
    case BNF_UNARY_SIGMOID:
        sigmoid_all(n, in[0], out[0]);
        break;
    case BNF_UNARY_TANH:
        tanh_all(n, in[0], out[0]);
        break;
    default:
        BNF_ASSERT(!"refused by create");
    }
}
