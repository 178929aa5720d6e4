/* Conversions of bfloat16 arrays. */
#include "base/bf16.h"

#include "base/simd.h"

BNF_SIMD_CLONES
void bnf_bf16_widen(int64_t n, const uint16_t *restrict x, float *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = bnf_bf16_wide(x[i]);
}

BNF_SIMD_CLONES
void bnf_bf16_narrow(int64_t n, const float *restrict x, uint16_t *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = bnf_bf16_of(x[i]);
}

BNF_SIMD_CLONES
void bnf_bf16_round(int64_t n, const float *restrict x, float *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = bnf_f32_of_bits(bnf_bf16_round_bits(x[i]));
}

bool bnf_bf16_native(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    return __builtin_cpu_supports("avx512bf16") != 0;
#else
    return false;
#endif
}
