/* Additions of flows, and bfloat16. */
#include "comm/flow_impl.h"

#include "base/assert.h"
#include "base/bf16.h"
#include "base/simd.h"

#define ROUNDED(x) bnf_f32_of_bits(bnf_bf16_round_bits(x))
#define WIDE(x) bnf_bf16_wide(x)

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

void bnf_flow_round(uint16_t *restrict to, const float *restrict from, int64_t n)
{
    bnf_bf16_narrow(n, from, to);
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
