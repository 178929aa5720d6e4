/* op/cases/unary.c - unary, unary_bwd, affine, leaf_share, clip, clip_bwd. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include <math.h>

#define KIND(k)               \
    &(const bnf_unary_attr)   \
    {                         \
        .kind = BNF_UNARY_##k \
    }
#define LEAKY(s)                              \
    &(const bnf_unary_attr)                   \
    {                                         \
        .kind = BNF_UNARY_LEAKY, .slope = (s) \
    }
#define UNARY(name, kind, range)                                                                         \
    {                                                                                                    \
        .label = (name), .n_in = 1, .in = {{.ndim = 2, .dim = {3, 7}, .values = (range), .diff = true}}, \
        .attr = (kind)                                                                                   \
    }

static const bnf_op_case unary_cases[] = {
    UNARY("relu", KIND(RELU), BNF_VALUES_AWAY),
    UNARY("leaky", LEAKY(0.2), BNF_VALUES_AWAY),
    UNARY("tanh", KIND(TANH), BNF_VALUES_ANY),
    UNARY("sigmoid", KIND(SIGMOID), BNF_VALUES_ANY),
    UNARY("softplus", KIND(SOFTPLUS), BNF_VALUES_ANY),
    UNARY("exp", KIND(EXP), BNF_VALUES_ANY),
    UNARY("log", KIND(LOG), BNF_VALUES_POSITIVE),
    UNARY("sqrt", KIND(SQRT), BNF_VALUES_POSITIVE),
    UNARY("rsqrt", KIND(RSQRT), BNF_VALUES_POSITIVE),
    UNARY("square", KIND(SQUARE), BNF_VALUES_ANY),
    UNARY("abs", KIND(ABS), BNF_VALUES_AWAY),
    {.label = "one element", .n_in = 1, .in = {{.ndim = 1, .dim = {1}, .diff = true}}, .attr = KIND(TANH)},
    {.label = "five dimensions, not a multiple of a vector",
     .n_in = 1,
     .in = {{.ndim = 5, .dim = {2, 3, 5, 1, 37}, .values = BNF_VALUES_AWAY}},
     .attr = KIND(RELU)},
    {.label = "integers",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {4}, .values = BNF_VALUES_LABELS, .classes = 3}},
     .attr = KIND(RELU),
     .refused = true},
    {.label = "kind", .n_in = 1, .in = {{.ndim = 1, .dim = {4}}}, .attr = KIND(COUNT), .refused = true},
    {.label = "negative slope", .n_in = 1, .in = {{.ndim = 1, .dim = {4}}}, .attr = LEAKY(-0.1), .refused = true},
};

static double unary_value(const bnf_unary_attr *a, double x)
{
    switch ((bnf_unary_kind)a->kind) {
    case BNF_UNARY_RELU:
        return fmax(x, 0.0);
    case BNF_UNARY_LEAKY:
        return x > 0 ? x : a->slope * x;
    case BNF_UNARY_TANH:
        return (exp(x) - exp(-x)) / (exp(x) + exp(-x));
    case BNF_UNARY_SIGMOID:
        return exp(x) / (1.0 + exp(x));
    case BNF_UNARY_SOFTPLUS:
        return log(1.0 + exp(x));
    case BNF_UNARY_EXP:
        return pow(2.718281828459045, x);
    case BNF_UNARY_LOG:
        return 2.302585092994046 * log10(x);
    case BNF_UNARY_SQRT:
        return pow(x, 0.5);
    case BNF_UNARY_RSQRT:
        return pow(x, -0.5);
    case BNF_UNARY_SQUARE:
        return pow(x, 2.0);
    default:
        return fmax(x, -x);
    }
}

static void check_unary(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], unary_value(inst->attr, in[0][i]), 1e-14);
}

const bnf_op_case_list bnf_op_cases_unary = BNF_OP_CASES(unary_cases, check_unary);

/* The first input stands for the output or the input of the function: any positive value below 1 would do for all
 * kinds. */
#define UNARY_BWD(name, kind, range)                                                                                   \
    {                                                                                                                  \
        .label = (name), .n_in = 2,                                                                                    \
        .in = {{.ndim = 2, .dim = {3, 7}, .values = (range), .diff = true}, {.ndim = 2, .dim = {3, 7}, .diff = true}}, \
        .attr = (kind)                                                                                                 \
    }

static const bnf_op_case unary_bwd_cases[] = {
    UNARY_BWD("relu", KIND(RELU), BNF_VALUES_AWAY),
    UNARY_BWD("leaky", LEAKY(0.2), BNF_VALUES_AWAY),
    UNARY_BWD("tanh", KIND(TANH), BNF_VALUES_ANY),
    UNARY_BWD("sigmoid", KIND(SIGMOID), BNF_VALUES_ANY),
    UNARY_BWD("softplus", KIND(SOFTPLUS), BNF_VALUES_POSITIVE),
    UNARY_BWD("exp", KIND(EXP), BNF_VALUES_ANY),
    UNARY_BWD("log", KIND(LOG), BNF_VALUES_POSITIVE),
    UNARY_BWD("sqrt", KIND(SQRT), BNF_VALUES_POSITIVE),
    UNARY_BWD("rsqrt", KIND(RSQRT), BNF_VALUES_POSITIVE),
    UNARY_BWD("square", KIND(SQUARE), BNF_VALUES_ANY),
    UNARY_BWD("abs", KIND(ABS), BNF_VALUES_AWAY),
    {.label = "relu at exactly 0",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {9, 5}, .values = BNF_VALUES_TIED}, {.ndim = 2, .dim = {9, 5}}},
     .attr = KIND(RELU)},
    {.label = "two shapes",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {4}}, {.ndim = 1, .dim = {5}}},
     .attr = KIND(RELU),
     .refused = true},
};
const bnf_op_case_list bnf_op_cases_unary_bwd = BNF_OP_CASES(unary_bwd_cases, NULL);

#define AFFINE                       \
    &(const bnf_affine_attr)         \
    {                                \
        .scale = -1.5, .shift = 0.25 \
    }
static const bnf_op_case affine_cases[] = {
    {.label = "odd shape", .n_in = 1, .in = {{.ndim = 3, .dim = {3, 1, 17}, .diff = true}}, .attr = AFFINE},
    {.label = "integers",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {4}, .values = BNF_VALUES_LABELS, .classes = 3}},
     .attr = AFFINE,
     .refused = true},
};

static void check_affine(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], 0.25 - 1.5 * in[0][i], 1e-15);
}

const bnf_op_case_list bnf_op_cases_affine = BNF_OP_CASES(affine_cases, check_affine);

/* The share of one of 16 leaves. */
static const bnf_op_case leaf_share_cases[] = {
    {.label = "vector",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {19}, .diff = true}},
     .attr = &(const bnf_affine_attr){.scale = 1.0 / 16.0}},
};

static void check_leaf_share(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(16.0 * out[0][i], in[0][i], 0.0);
}

const bnf_op_case_list bnf_op_cases_leaf_share = BNF_OP_CASES(leaf_share_cases, check_leaf_share);

#define CLIP(l, h)           \
    &(const bnf_clip_attr)   \
    {                        \
        .lo = (l), .hi = (h) \
    }
static const bnf_op_case clip_cases[] = {
    {.label = "both sides",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {3, 11}, .values = BNF_VALUES_DISTINCT, .diff = true}},
     .attr = CLIP(-0.7, 0.9)},
    {.label = "one side",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {33}, .values = BNF_VALUES_DISTINCT, .diff = true}},
     .attr = CLIP(0.1, INFINITY)},
    {.label = "on the bounds",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {40}, .values = BNF_VALUES_TIED}},
     .attr = CLIP(-1.0, 1.0)},
    {.label = "empty interval", .n_in = 1, .in = {{.ndim = 1, .dim = {4}}}, .attr = CLIP(1.0, 0.5), .refused = true},
};

static void check_clip(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_clip_attr *a = inst->attr;
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], fmin(fmax(in[0][i], a->lo), a->hi), 0.0);
}

const bnf_op_case_list bnf_op_cases_clip = BNF_OP_CASES(clip_cases, check_clip);

static const bnf_op_case clip_bwd_cases[] = {
    {.label = "both sides",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {3, 11}, .values = BNF_VALUES_DISTINCT, .diff = true},
            {.ndim = 2, .dim = {3, 11}, .diff = true}},
     .attr = CLIP(-0.7, 0.9)},
    {.label = "on the bounds",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {40}, .values = BNF_VALUES_TIED}, {.ndim = 1, .dim = {40}}},
     .attr = CLIP(-1.0, 1.0)},
    {.label = "two shapes",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {4}}, {.ndim = 2, .dim = {4, 1}}},
     .attr = CLIP(0.0, 1.0),
     .refused = true},
};

/* The bounds themselves belong to the inside. */
static void check_clip_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_clip_attr *a = inst->attr;
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++) {
        bool outside = in[0][i] < a->lo || in[0][i] > a->hi;
        assert_close(out[0][i], outside ? 0.0 : in[1][i], 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_clip_bwd = BNF_OP_CASES(clip_bwd_cases, check_clip_bwd);
