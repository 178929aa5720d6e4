/* op/cases/norm.c - channel_sum, channel_sqdev, channel_normalize and their gradients; dropout, gumbel. */
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
#define VECTOR(n, range)                                       \
    {                                                          \
        .ndim = 1, .dim = {n}, .values = (range), .diff = true \
    }
#define ANY BNF_VALUES_ANY

static const bnf_op_case channel_sum_cases[] = {
    {.label = "image", .n_in = 2, .in = {X(4, DIMS(3, 3, 4, 5)), VECTOR(3, BNF_VALUES_WEIGHTS)}, .terms = 36},
    {.label = "rows", .n_in = 2, .in = {X(2, DIMS(4, 3)), VECTOR(4, ANY)}, .terms = 4},
    {.label = "one channel", .n_in = 2, .in = {X(3, DIMS(2, 9, 1)), VECTOR(2, ANY)}, .terms = 18},
    {.label = "long", .n_in = 2, .in = {{.ndim = 4, .dim = {2, 11, 13, 37}}, VECTOR(2, ANY)}, .terms = 286},
    {.label = "weights", .n_in = 2, .in = {X(2, DIMS(4, 3)), VECTOR(3, ANY)}, .refused = true},
    {.label = "vector", .n_in = 2, .in = {X(1, DIMS(4)), VECTOR(4, ANY)}, .refused = true},
};

static void check_channel_sum(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]), per = count / inst->in[0].dim[0];
    for (int64_t k = 0; k < c; k++) {
        double sum = 0.0;
        for (int64_t i = k; i < count; i += c)
            sum += in[1][i / per] * in[0][i];
        assert_close(out[0][k], sum, 1e-15 * (double)count);
    }
}

const bnf_op_case_list bnf_op_cases_channel_sum = BNF_OP_CASES(channel_sum_cases, check_channel_sum);

static const bnf_op_case channel_sqdev_cases[] = {
    {.label = "image",
     .n_in = 3,
     .in = {X(4, DIMS(3, 3, 4, 5)), VECTOR(3, BNF_VALUES_WEIGHTS), VECTOR(5, ANY)},
     .terms = 36},
    {.label = "rows", .n_in = 3, .in = {X(2, DIMS(4, 3)), VECTOR(4, ANY), VECTOR(3, ANY)}, .terms = 4},
    {.label = "one channel", .n_in = 3, .in = {X(3, DIMS(2, 9, 1)), VECTOR(2, ANY), VECTOR(1, ANY)}, .terms = 18},
    {.label = "long",
     .n_in = 3,
     .in = {{.ndim = 4, .dim = {2, 11, 13, 37}}, VECTOR(2, ANY), VECTOR(37, ANY)},
     .terms = 286},
    {.label = "mean", .n_in = 3, .in = {X(2, DIMS(4, 3)), VECTOR(4, ANY), VECTOR(4, ANY)}, .refused = true},
    {.label = "weights", .n_in = 3, .in = {X(2, DIMS(4, 3)), VECTOR(3, ANY), VECTOR(3, ANY)}, .refused = true},
};

static void check_channel_sqdev(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]), per = count / inst->in[0].dim[0];
    for (int64_t k = 0; k < c; k++) {
        double sum = 0.0;
        for (int64_t i = k; i < count; i += c)
            sum += in[1][i / per] * pow(in[0][i] - in[2][k], 2.0);
        assert_close(out[0][k], sum, 1e-14 * (double)count);
    }
}

const bnf_op_case_list bnf_op_cases_channel_sqdev = BNF_OP_CASES(channel_sqdev_cases, check_channel_sqdev);

static const bnf_op_case channel_sqdev_bwd_cases[] = {
    {.label = "image", .n_in = 4, .in = {X(4, DIMS(3, 3, 4, 5)), VECTOR(3, ANY), VECTOR(5, ANY), VECTOR(5, ANY)}},
    {.label = "rows", .n_in = 4, .in = {X(2, DIMS(4, 33)), VECTOR(4, ANY), VECTOR(33, ANY), VECTOR(33, ANY)}},
    {.label = "gradient",
     .n_in = 4,
     .in = {X(2, DIMS(4, 3)), VECTOR(4, ANY), VECTOR(3, ANY), VECTOR(4, ANY)},
     .refused = true},
};

static void check_channel_sqdev_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]), per = count / inst->in[0].dim[0];
    for (int64_t i = 0; i < count; i++)
        assert_close(out[0][i], 2.0 * in[1][i / per] * in[3][i % c] * (in[0][i] - in[2][i % c]), 1e-14);
}

const bnf_op_case_list bnf_op_cases_channel_sqdev_bwd = BNF_OP_CASES(channel_sqdev_bwd_cases, check_channel_sqdev_bwd);

#define EPS                     \
    &(const bnf_normalize_attr) \
    {                           \
        .eps = 1e-3             \
    }
#define MOMENTS(c) VECTOR(c, ANY), VECTOR(c, BNF_VALUES_POSITIVE)
#define SCALE(c) VECTOR(c, ANY), VECTOR(c, ANY)
static const bnf_op_case channel_normalize_cases[] = {
    {.label = "plain", .n_in = 3, .in = {X(4, DIMS(2, 3, 3, 5)), MOMENTS(5)}, .attr = EPS},
    {.label = "scaled", .n_in = 5, .in = {X(4, DIMS(2, 3, 3, 5)), MOMENTS(5), SCALE(5)}, .attr = EPS},
    {.label = "rows", .n_in = 5, .in = {X(2, DIMS(3, 33)), MOMENTS(33), SCALE(33)}, .attr = EPS},
    {.label = "vector", .n_in = 3, .in = {X(1, DIMS(4)), MOMENTS(4)}, .attr = EPS},
    {.label = "gamma alone",
     .n_in = 4,
     .in = {X(2, DIMS(3, 4)), MOMENTS(4), VECTOR(4, ANY)},
     .attr = EPS,
     .refused = true},
    {.label = "mean", .n_in = 3, .in = {X(2, DIMS(3, 4)), MOMENTS(3)}, .attr = EPS, .refused = true},
    {.label = "beta",
     .n_in = 5,
     .in = {X(2, DIMS(3, 4)), MOMENTS(4), VECTOR(4, ANY), VECTOR(1, ANY)},
     .attr = EPS,
     .refused = true},
    {.label = "eps",
     .n_in = 3,
     .in = {X(2, DIMS(3, 4)), MOMENTS(4)},
     .attr = &(const bnf_normalize_attr){.eps = -1.0},
     .refused = true},
};

static void check_channel_normalize(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]);
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++) {
        int64_t k = i % c;
        double unit = (in[0][i] - in[1][k]) / sqrt(in[2][k] + 1e-3);
        assert_close(out[0][i], inst->n_in == 5 ? unit * in[3][k] + in[4][k] : unit, 1e-13);
    }
}

const bnf_op_case_list bnf_op_cases_channel_normalize = BNF_OP_CASES(channel_normalize_cases, check_channel_normalize);

static const bnf_op_case channel_normalize_bwd_cases[] = {
    {.label = "plain",
     .n_in = 4,
     .in = {X(4, DIMS(2, 3, 3, 5)), MOMENTS(5), X(4, DIMS(2, 3, 3, 5))},
     .attr = EPS,
     .terms = 18},
    {.label = "scaled",
     .n_in = 5,
     .in = {X(4, DIMS(2, 3, 3, 5)), MOMENTS(5), X(4, DIMS(2, 3, 3, 5)), VECTOR(5, ANY)},
     .attr = EPS,
     .terms = 18},
    {.label = "long rows",
     .n_in = 5,
     .in = {X(2, DIMS(29, 70)), MOMENTS(70), X(2, DIMS(29, 70)), VECTOR(70, ANY)},
     .attr = EPS,
     .terms = 29},
    {.label = "gradient",
     .n_in = 4,
     .in = {X(2, DIMS(3, 4)), MOMENTS(4), X(2, DIMS(4, 3))},
     .attr = EPS,
     .refused = true},
    {.label = "gamma",
     .n_in = 5,
     .in = {X(2, DIMS(3, 4)), MOMENTS(4), X(2, DIMS(3, 4)), VECTOR(3, ANY)},
     .attr = EPS,
     .refused = true},
};

static void check_channel_normalize_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t c = bnf_desc_cols(&inst->in[0]), count = bnf_desc_count(&inst->in[0]);
    for (int64_t k = 0; k < c; k++) {
        double rstd = 1.0 / sqrt(in[2][k] + 1e-3), sum = 0.0, sum_unit = 0.0;
        for (int64_t i = k; i < count; i += c) {
            sum += in[3][i];
            sum_unit += in[3][i] * (in[0][i] - in[1][k]) * rstd;
            assert_close(out[0][i], in[3][i] * rstd * (inst->n_in == 5 ? in[4][k] : 1.0), 1e-13);
        }
        assert_close(out[1][k], sum, 1e-12);
        assert_close(out[2][k], sum_unit, 1e-12);
    }
}

const bnf_op_case_list bnf_op_cases_channel_normalize_bwd =
    BNF_OP_CASES(channel_normalize_bwd_cases, check_channel_normalize_bwd);

#define DROP(prob)            \
    &(const bnf_dropout_attr) \
    {                         \
        .p = (prob)           \
    }
static const bnf_op_case dropout_cases[] = {
    {.label = "image",
     .n_in = 1,
     .in = {{.ndim = 4, .dim = {3, 3, 3, 5}, .values = BNF_VALUES_AWAY, .diff = true}},
     .attr = DROP(0.4)},
    {.label = "rows",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {2, 6}, .values = BNF_VALUES_AWAY, .diff = true}},
     .attr = DROP(0.5)},
    {.label = "nothing dropped",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {2, 6}, .values = BNF_VALUES_AWAY, .diff = true}},
     .attr = DROP(0.0)},
    {.label = "everything", .n_in = 1, .in = {{.ndim = 2, .dim = {2, 6}}}, .attr = DROP(1.0), .refused = true},
    {.label = "negative", .n_in = 1, .in = {{.ndim = 2, .dim = {2, 6}}}, .attr = DROP(-0.5), .refused = true},
};

/* Each element is 0 or scaled; how many are dropped and on what the mask depends is tested in op/emit.c. */
static void check_dropout(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    double p = ((const bnf_dropout_attr *)inst->attr)->p;
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], out[0][i] == 0.0 && p > 0.0 ? 0.0 : in[0][i] / (1.0 - p), 1e-14);
}

const bnf_op_case_list bnf_op_cases_dropout = BNF_OP_CASES(dropout_cases, check_dropout);

#define NOISE(always)          \
    &(const bnf_gumbel_attr)   \
    {                          \
        .every_step = (always) \
    }
static const bnf_op_case gumbel_cases[] = {
    {.label = "image", .n_in = 1, .in = {{.ndim = 4, .dim = {3, 3, 3, 5}, .diff = true}}, .attr = NOISE(1)},
    {.label = "rows", .n_in = 1, .in = {{.ndim = 2, .dim = {5, 401}}}, .attr = NOISE(0)},
};

/* Noise has the mean 0.5772 and the variance pi^2 / 6, and is bounded by what 24 bits can say. */
static void check_gumbel(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t n = bnf_desc_count(&inst->in[0]);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double noise = out[0][i] - in[0][i];
        assert_true(noise > -2.86 && noise < 17.4);
        sum += noise;
        squares += pow(noise - 0.57721566, 2);
    }
    assert_true(fabs(sum / (double)n - 0.57721566) < 4 * 1.2825 / sqrt((double)n));
    assert_true(fabs(squares / (double)n - 1.644934) < 4 * 3.46 / sqrt((double)n));
}

const bnf_op_case_list bnf_op_cases_gumbel = BNF_OP_CASES(gumbel_cases, check_gumbel);
