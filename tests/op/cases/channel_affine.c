/* op/cases/channel_affine.c - channel_moments, channel_affine, their gradients, and both gradients in one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include <math.h>

#define DIMS(...)   \
    {               \
        __VA_ARGS__ \
    }
#define X(n, ...)                                     \
    {                                                 \
        .ndim = (n), .dim = __VA_ARGS__, .diff = true \
    }
#define VECTOR(n)                           \
    {                                       \
        .ndim = 1, .dim = {n}, .diff = true \
    }
#define RELU                         \
    &(const bnf_channel_affine_attr) \
    {                                \
        .relu = 1                    \
    }
#define PLAIN                        \
    &(const bnf_channel_affine_attr) \
    {                                \
        .relu = 0                    \
    }
#define VECTORS(c) VECTOR(c), VECTOR(c), VECTOR(c)
#define IMAGE X(4, DIMS(2, 3, 3, 5))
#define LONG                               \
    {                                      \
        .ndim = 4, .dim = { 2, 11, 3, 37 } \
    }

/* --- moments ------------------------------------------------------------------------------------------------------ */

static const bnf_op_case channel_moments_cases[] = {
    {.label = "image", .n_in = 3, .in = {X(4, DIMS(3, 3, 4, 5)), VECTOR(3), VECTOR(5)}, .terms = 36},
    {.label = "rows", .n_in = 3, .in = {X(2, DIMS(4, 3)), VECTOR(4), VECTOR(3)}, .terms = 4},
    {.label = "one channel", .n_in = 3, .in = {X(3, DIMS(2, 9, 1)), VECTOR(2), VECTOR(1)}, .terms = 18},
    {.label = "long", .n_in = 3, .in = {LONG, VECTOR(2), VECTOR(37)}, .terms = 66},
    {.label = "point", .n_in = 3, .in = {X(2, DIMS(4, 3)), VECTOR(4), VECTOR(4)}, .refused = true},
    {.label = "weights", .n_in = 3, .in = {X(2, DIMS(4, 3)), VECTOR(3), VECTOR(3)}, .refused = true},
};

static void check_channel_moments(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]), per = count / inst->in[0].dim[0];
    for (int64_t k = 0; k < c; k++) {
        double first = 0, second = 0;
        for (int64_t i = k; i < count; i += c) {
            first += in[1][i / per] * (in[0][i] - in[2][k]);
            second += in[1][i / per] * pow(in[0][i] - in[2][k], 2);
        }
        assert_close(out[0][k], first, 1e-14 * (double)count);
        assert_close(out[1][k], second, 1e-13 * (double)count);
    }
}

const bnf_op_case_list bnf_op_cases_channel_moments = BNF_OP_CASES(channel_moments_cases, check_channel_moments);

static const bnf_op_case channel_moments_bwd_cases[] = {
    {.label = "image", .n_in = 5, .in = {X(4, DIMS(3, 3, 4, 5)), VECTOR(3), VECTORS(5)}},
    {.label = "rows", .n_in = 5, .in = {X(2, DIMS(4, 33)), VECTOR(4), VECTORS(33)}},
    {.label = "gradient",
     .n_in = 5,
     .in = {X(2, DIMS(4, 3)), VECTOR(4), VECTOR(3), VECTOR(3), VECTOR(4)},
     .refused = true},
};

static void check_channel_moments_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]), per = count / inst->in[0].dim[0];
    for (int64_t i = 0; i < count; i++) {
        double d = in[0][i] - in[2][i % c];
        assert_close(out[0][i], in[1][i / per] * (in[3][i % c] + 2 * d * in[4][i % c]), 1e-13);
    }
}

const bnf_op_case_list bnf_op_cases_channel_moments_bwd =
    BNF_OP_CASES(channel_moments_bwd_cases, check_channel_moments_bwd);

/* --- affine ------------------------------------------------------------------------------------------------------- */

static const bnf_op_case channel_affine_cases[] = {
    {.label = "plain", .n_in = 4, .in = {IMAGE, VECTORS(5)}, .attr = PLAIN},
    {.label = "relu", .n_in = 4, .in = {IMAGE, VECTORS(5)}, .attr = RELU},
    {.label = "residual", .n_in = 5, .in = {IMAGE, VECTORS(5), IMAGE}, .attr = PLAIN},
    {.label = "residual, relu", .n_in = 5, .in = {IMAGE, VECTORS(5), IMAGE}, .attr = RELU},
    {.label = "rows", .n_in = 4, .in = {X(2, DIMS(3, 33)), VECTORS(33)}, .attr = RELU},
    {.label = "vector", .n_in = 4, .in = {X(1, DIMS(4)), VECTORS(4)}, .attr = PLAIN},
    {.label = "long", .n_in = 4, .in = {LONG, VECTORS(37)}, .attr = RELU, .terms = 66},
    {.label = "scale",
     .n_in = 4,
     .in = {X(2, DIMS(3, 4)), VECTOR(4), VECTOR(3), VECTOR(4)},
     .attr = PLAIN,
     .refused = true},
    {.label = "other residual",
     .n_in = 5,
     .in = {X(2, DIMS(3, 4)), VECTORS(4), X(2, DIMS(4, 3))},
     .attr = PLAIN,
     .refused = true},
};

static double value(const bnf_op_inst *inst, const double *const *in, int64_t i)
{
    int64_t k = i % bnf_desc_cols(&inst->in[0]);
    return (in[0][i] - in[1][k]) * in[2][k] + in[3][k];
}

static bool relu_of(const bnf_op_inst *inst)
{
    return ((const bnf_channel_affine_attr *)inst->attr)->relu != 0;
}

/* What of the output's gradient passes the rectifier. */
static double passed(const bnf_op_inst *inst, const double *const *in, int64_t i)
{
    return relu_of(inst) && value(inst, in, i) <= 0 ? 0 : in[4][i];
}

static void check_channel_affine(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++) {
        double v = value(inst, in, i) + (inst->n_in == 5 ? in[4][i] : 0);
        assert_close(out[0][i], relu_of(inst) ? fmax(v, 0) : v, 1e-13);
    }
}

const bnf_op_case_list bnf_op_cases_channel_affine = BNF_OP_CASES(channel_affine_cases, check_channel_affine);

static const bnf_op_case channel_affine_bwd_cases[] = {
    {.label = "plain", .n_in = 5, .in = {IMAGE, VECTORS(5), IMAGE}, .attr = PLAIN},
    {.label = "relu", .n_in = 5, .in = {IMAGE, VECTORS(5), IMAGE}, .attr = RELU},
    {.label = "rows", .n_in = 5, .in = {X(2, DIMS(3, 33)), VECTORS(33), X(2, DIMS(3, 33))}, .attr = RELU},
    {.label = "gradient",
     .n_in = 5,
     .in = {X(2, DIMS(3, 4)), VECTORS(4), X(2, DIMS(4, 3))},
     .attr = RELU,
     .refused = true},
};

static void check_channel_affine_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], in[2][i % bnf_desc_cols(&inst->in[0])] * passed(inst, in, i), 1e-13);
}

const bnf_op_case_list bnf_op_cases_channel_affine_bwd =
    BNF_OP_CASES(channel_affine_bwd_cases, check_channel_affine_bwd);

static const bnf_op_case channel_affine_sums_cases[] = {
    {.label = "plain", .n_in = 5, .in = {IMAGE, VECTORS(5), IMAGE}, .attr = PLAIN, .terms = 18},
    {.label = "relu", .n_in = 5, .in = {IMAGE, VECTORS(5), IMAGE}, .attr = RELU, .terms = 18},
    {.label = "long", .n_in = 5, .in = {LONG, VECTORS(37), LONG}, .attr = RELU, .terms = 66},
    {.label = "gradient",
     .n_in = 5,
     .in = {X(2, DIMS(3, 4)), VECTORS(4), X(2, DIMS(4, 3))},
     .attr = RELU,
     .refused = true},
};

static void check_channel_affine_sums(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]);
    for (int64_t k = 0; k < c; k++) {
        double da = 0, ds = 0;
        for (int64_t i = k; i < count; i += c) {
            da += passed(inst, in, i) * (in[0][i] - in[1][k]);
            ds += passed(inst, in, i);
        }
        assert_close(out[0][k], da, 1e-12);
        assert_close(out[1][k], ds, 1e-12);
    }
}

const bnf_op_case_list bnf_op_cases_channel_affine_sums =
    BNF_OP_CASES(channel_affine_sums_cases, check_channel_affine_sums);

static const bnf_op_case batch_norm_bwd_cases[] = {
    {.label = "plain", .n_in = 8, .in = {IMAGE, VECTORS(5), IMAGE, VECTOR(2), VECTOR(5), VECTOR(5)}, .attr = PLAIN},
    {.label = "relu", .n_in = 8, .in = {IMAGE, VECTORS(5), IMAGE, VECTOR(2), VECTOR(5), VECTOR(5)}, .attr = RELU},
    {.label = "long",
     .n_in = 8,
     .in = {LONG, VECTORS(37), LONG, VECTOR(2), VECTOR(37), VECTOR(37)},
     .attr = RELU,
     .terms = 66},
    {.label = "weights",
     .n_in = 8,
     .in = {IMAGE, VECTORS(5), IMAGE, VECTOR(5), VECTOR(5), VECTOR(5)},
     .attr = PLAIN,
     .refused = true},
    {.label = "moments",
     .n_in = 8,
     .in = {IMAGE, VECTORS(5), IMAGE, VECTOR(2), VECTOR(5), VECTOR(2)},
     .attr = PLAIN,
     .refused = true},
};

static void check_batch_norm_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]), per = count / inst->in[0].dim[0];
    for (int64_t i = 0; i < count; i++) {
        int64_t k = i % c;
        double moments = in[5][i / per] * (in[6][k] + 2 * (in[0][i] - in[1][k]) * in[7][k]);
        assert_close(out[0][i], in[2][k] * passed(inst, in, i) + moments, 1e-13);
    }
}

const bnf_op_case_list bnf_op_cases_batch_norm_bwd = BNF_OP_CASES(batch_norm_bwd_cases, check_batch_norm_bwd);
