/* Additions of flows, and bfloat16. */
#include "comm/flow_impl.h"

#include <string.h>

#include "base/assert.h"
#include "base/simd.h"

/* Nearest bfloat16, ties to even, as the upper half of an f32. A NaN stays one: its payload loses its lower half
 * and it is made quiet. */
static inline uint32_t round_bits(uint32_t u)
{
    const uint32_t nearest = u + UINT32_C(0x7FFF) + (u >> 16 & 1);
    const uint32_t nan = u | UINT32_C(0x400000);
    return ((u & UINT32_C(0x7FFFFFFF)) > UINT32_C(0x7F800000) ? nan : nearest) & UINT32_C(0xFFFF0000);
}

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float real_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

#define ROUNDED(x) real_of(round_bits(bits_of(x)))
#define WIDE(x) real_of((uint32_t)(x) << 16)

/* name: to[n] = left(a[n]) + right(b[n]). */
#define ADD(name, to_type, a_type, b_type, sum)                                                           \
    BNF_SIMD_CLONES                                                                                       \
    static void name(to_type *restrict to, const a_type *restrict a, const b_type *restrict b, int64_t n) \
    {                                                                                                     \
        for (int64_t i = 0; i < n; i++)                                                                   \
            to[i] = sum;                                                                                  \
    }

/* The same onto its first operand. */
#define ADD_TO(name, to_type, b_type, sum)                                      \
    BNF_SIMD_CLONES                                                             \
    static void name(to_type *restrict to, const b_type *restrict b, int64_t n) \
    {                                                                           \
        for (int64_t i = 0; i < n; i++)                                         \
            to[i] = sum;                                                        \
    }

ADD(add_f32, float, float, float, a[i] + b[i])
ADD(add_f64, double, double, double, a[i] + b[i])
ADD(add_rounded, float, float, float, ROUNDED(a[i]) + ROUNDED(b[i]))
ADD(add_rounded_wide, float, float, uint16_t, ROUNDED(a[i]) + WIDE(b[i]))
ADD(add_wide, float, uint16_t, uint16_t, WIDE(a[i]) + WIDE(b[i]))
ADD_TO(onto_rounded, float, float, ROUNDED(to[i]) + ROUNDED(b[i]))
ADD_TO(onto_rounded_wide, float, uint16_t, ROUNDED(to[i]) + WIDE(b[i]))

void bnf_tree_add_bf16(float *a, const float *b, int64_t n)
{
    onto_rounded(a, b, n);
}

BNF_SIMD_CLONES
void bnf_flow_round(uint16_t *restrict to, const float *restrict from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (uint16_t)(round_bits(bits_of(from[i])) >> 16);
}

static void add_bf16(float *to, bnf_flow_type a_type, const void *a, bnf_flow_type b_type, const void *b, int64_t n)
{
    if (a_type == BNF_FLOW_BF16 && b_type == BNF_FLOW_BF16)
        add_wide(to, a, b, n);
    else if (a_type == BNF_FLOW_BF16)
        add_rounded_wide(to, b, a, n);
    else if (b_type == BNF_FLOW_BF16)
        to == a ? onto_rounded_wide(to, b, n) : add_rounded_wide(to, a, b, n);
    else
        to == a ? onto_rounded(to, b, n) : add_rounded(to, a, b, n);
}

void bnf_flow_add(bnf_flow_type type, bool rounded, void *to, bnf_flow_type a_type, const void *a, bnf_flow_type b_type,
                  const void *b, int64_t n)
{
    BNF_ASSERT(type != BNF_FLOW_BF16 && (type == BNF_FLOW_F32 || !rounded));
    if (rounded)
        add_bf16(to, a_type, a, b_type, b, n);
    else if (to == a)
        bnf_tree_add(type == BNF_FLOW_F32 ? BNF_F32 : BNF_F64, to, b, n);
    else if (type == BNF_FLOW_F32)
        add_f32(to, a, b, n);
    else
        add_f64(to, a, b, n);
}
