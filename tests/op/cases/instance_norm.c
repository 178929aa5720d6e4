/* op/cases/instance_norm.c - instance_norm, instance_norm_bwd. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include <math.h>

#define EPS(e)                  \
    &(const bnf_normalize_attr) \
    {                           \
        .eps = (e)              \
    }
#define CHANNELS(c)                           \
    {                                         \
        .ndim = 1, .dim = {(c)}, .diff = true \
    }
#define X(n, ...)                                       \
    {                                                   \
        .ndim = (n), .dim = {__VA_ARGS__}, .diff = true \
    }

static const bnf_op_case norm_cases[] = {
    {.label = "odd", .n_in = 3, .in = {X(4, 3, 5, 3, 17), CHANNELS(17), CHANNELS(17)}, .attr = EPS(1e-3), .terms = 30},
    {.label = "groups of rows",
     .n_in = 3,
     .in = {X(4, 2, 4, 6, 4), CHANNELS(4), CHANNELS(4)},
     .attr = EPS(0.1),
     .terms = 48},
    {.label = "rows", .n_in = 3, .in = {X(3, 2, 9, 1), CHANNELS(1), CHANNELS(1)}, .attr = EPS(1e-3), .terms = 18},
    {.label = "one position", .n_in = 3, .in = {X(4, 2, 1, 1, 3), CHANNELS(3), CHANNELS(3)}, .attr = EPS(1e-3)},
    {.label = "no positions",
     .n_in = 3,
     .in = {X(2, 4, 3), CHANNELS(3), CHANNELS(3)},
     .attr = EPS(1e-3),
     .refused = true},
    {.label = "gamma", .n_in = 3, .in = {X(3, 4, 2, 3), CHANNELS(2), CHANNELS(3)}, .attr = EPS(1e-3), .refused = true},
    {.label = "beta", .n_in = 3, .in = {X(3, 4, 2, 3), CHANNELS(3), X(2, 1, 3)}, .attr = EPS(1e-3), .refused = true},
    {.label = "eps 0", .n_in = 3, .in = {X(3, 4, 2, 3), CHANNELS(3), CHANNELS(3)}, .attr = EPS(0), .refused = true},
};

/* What is left after gamma and beta has, for every sample and channel, the mean 0 and the variance v / (v + eps). */
static void check_norm(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_desc *x = &inst->in[0];
    const double eps = ((const bnf_normalize_attr *)inst->attr)->eps;
    int64_t c = bnf_desc_cols(x), p = bnf_desc_rows(x) / x->dim[0];

    for (int64_t s = 0; s < x->dim[0]; s++)
        for (int64_t i = 0; i < c; i++) {
            double mean = 0, square = 0, sum = 0, squares = 0;
            for (int64_t r = 0; r < p; r++) {
                double v = in[0][(s * p + r) * c + i], y = (out[0][(s * p + r) * c + i] - in[2][i]) / in[1][i];
                mean += v / (double)p;
                square += v * v / (double)p;
                sum += y / (double)p;
                squares += y * y / (double)p;
            }
            double var = square - mean * mean;
            assert_close(sum, 0, 1e-10);
            assert_close(squares, var / (var + eps), 1e-10);
        }
}

/* Inputs of the gradient, which has no gradient. */
#define GIVEN(n, ...)                       \
    {                                       \
        .ndim = (n), .dim = { __VA_ARGS__ } \
    }
#define GIVEN_CHANNELS(c) GIVEN(1, c)

static const bnf_op_case norm_bwd_cases[] = {
    {.label = "odd",
     .n_in = 3,
     .in = {GIVEN(4, 3, 5, 3, 17), GIVEN_CHANNELS(17), GIVEN(4, 3, 5, 3, 17)},
     .attr = EPS(1e-3),
     .terms = 90},
    {.label = "one channel",
     .n_in = 3,
     .in = {GIVEN(3, 2, 11, 1), GIVEN_CHANNELS(1), GIVEN(3, 2, 11, 1)},
     .attr = EPS(0.1),
     .terms = 44},
    {.label = "gradient",
     .n_in = 3,
     .in = {GIVEN(3, 4, 2, 3), GIVEN_CHANNELS(3), GIVEN(3, 4, 3, 2)},
     .attr = EPS(1e-3),
     .refused = true},
};

/* dx sums to 0 over the positions; dbeta is the sum of dy. */
static void check_norm_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_desc *x = &inst->in[0];
    int64_t c = bnf_desc_cols(x), rows = bnf_desc_rows(x), p = rows / x->dim[0];

    for (int64_t i = 0; i < c; i++) {
        double beta = 0;
        for (int64_t s = 0; s < x->dim[0]; s++) {
            double sum = 0;
            for (int64_t r = s * p; r < (s + 1) * p; r++) {
                sum += out[0][r * c + i];
                beta += in[2][r * c + i];
            }
            assert_close(sum, 0, 1e-8);
        }
        assert_close(out[2][i], beta, 1e-10);
    }
}

const bnf_op_case_list bnf_op_cases_instance_norm = BNF_OP_CASES(norm_cases, check_norm);
const bnf_op_case_list bnf_op_cases_instance_norm_bwd = BNF_OP_CASES(norm_bwd_cases, check_norm_bwd);
