/* ops/unary.h - functions of one element. */
#ifndef BNF_OPS_UNARY_H
#define BNF_OPS_UNARY_H

#include "ops/op.h"

typedef enum bnf_unary_kind {
    BNF_UNARY_RELU = 0,
    BNF_UNARY_LEAKY,
    BNF_UNARY_TANH,
    BNF_UNARY_SIGMOID,
    BNF_UNARY_SOFTPLUS,
    BNF_UNARY_EXP,
    BNF_UNARY_LOG,
    BNF_UNARY_SQRT,
    BNF_UNARY_RSQRT,
    BNF_UNARY_SQUARE,
    BNF_UNARY_ABS,
    BNF_UNARY_COUNT
} bnf_unary_kind;

typedef struct bnf_unary_attr {
    int64_t kind;
    double slope; /* LEAKY: factor below 0, not negative; else 0 */
} bnf_unary_attr;

typedef struct bnf_affine_attr {
    double scale, shift;
} bnf_affine_attr;

typedef struct bnf_clip_attr {
    double lo, hi;
} bnf_clip_attr;

#endif
