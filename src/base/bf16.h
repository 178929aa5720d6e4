/* base/bf16.h - bfloat16: the upper half of an f32.
 *
 * Rounding is to the nearest, ties to even; infinities and denormal numbers are kept, a NaN stays one (its payload
 * loses its lower half and it is made quiet). */
#ifndef BNF_BASE_BF16_H
#define BNF_BASE_BF16_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t bnf_f32_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float bnf_f32_of_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Bits of the f32 that is x rounded to bfloat16. */
static inline uint32_t bnf_bf16_round_bits(float x)
{
    const uint32_t u = bnf_f32_bits(x);
    const uint32_t nearest = u + UINT32_C(0x7FFF) + (u >> 16 & 1);
    const uint32_t nan = u | UINT32_C(0x400000);
    return ((u & UINT32_C(0x7FFFFFFF)) > UINT32_C(0x7F800000) ? nan : nearest) & UINT32_C(0xFFFF0000);
}

static inline uint16_t bnf_bf16_of(float x)
{
    return (uint16_t)(bnf_bf16_round_bits(x) >> 16);
}

static inline float bnf_bf16_wide(uint16_t x)
{
    return bnf_f32_of_bits((uint32_t)x << 16);
}

/* y[n] = x[n], exactly. The arrays do not overlap. */
void bnf_bf16_widen(int64_t n, const uint16_t *x, float *y);
/* y[n] = x[n] rounded. */
void bnf_bf16_narrow(int64_t n, const float *x, uint16_t *y);
/* y[n] = x[n] rounded, as f32. */
void bnf_bf16_round(int64_t n, const float *x, float *y);

/* Whether this CPU multiplies bfloat16 numbers (AVX512_BF16). */
bool bnf_bf16_native(void);

#endif
