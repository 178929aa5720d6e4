/* op/cases/softmax.c - softmax, log_softmax and their gradients, one_hot, correct. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include <math.h>

#define ROWS(range)                                                  \
    {                                                                \
        .ndim = 3, .dim = {2, 2, 7}, .values = (range), .diff = true \
    }
static const bnf_op_case softmax_cases[] = {
    {.label = "rows", .n_in = 1, .in = {ROWS(BNF_VALUES_ANY)}, .terms = 7},
    {.label = "one class", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 1}, .diff = true}}},
    {.label = "vector", .n_in = 1, .in = {{.ndim = 1, .dim = {33}, .diff = true}}, .terms = 33},
    {.label = "integers",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {4}, .values = BNF_VALUES_LABELS, .classes = 3}},
     .refused = true},
};

static double exp_sum(const bnf_op_inst *inst, const double *x, int64_t i)
{
    int64_t n = bnf_desc_cols(&inst->in[0]);
    double sum = 0.0;
    for (int64_t j = i / n * n; j < i / n * n + n; j++)
        sum += exp(x[j]);
    return sum;
}

static void check_softmax(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], exp(in[0][i]) / exp_sum(inst, in[0], i), 1e-14);
}

const bnf_op_case_list bnf_op_cases_softmax = BNF_OP_CASES(softmax_cases, check_softmax);

static void check_log_softmax(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], in[0][i] - log(exp_sum(inst, in[0], i)), 1e-14);
}

const bnf_op_case_list bnf_op_cases_log_softmax = BNF_OP_CASES(softmax_cases, check_log_softmax);

static const bnf_op_case bwd_cases[] = {
    {.label = "rows", .n_in = 2, .in = {ROWS(BNF_VALUES_ANY), ROWS(BNF_VALUES_ANY)}, .terms = 7},
    {.label = "one class",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {3, 1}, .diff = true}, {.ndim = 2, .dim = {3, 1}, .diff = true}}},
    {.label = "two shapes", .n_in = 2, .in = {{.ndim = 2, .dim = {4, 3}}, {.ndim = 2, .dim = {3, 4}}}, .refused = true},
};
const bnf_op_case_list bnf_op_cases_softmax_bwd = BNF_OP_CASES(bwd_cases, NULL);
const bnf_op_case_list bnf_op_cases_log_softmax_bwd = BNF_OP_CASES(bwd_cases, NULL);

#define CLASSES(n)            \
    &(const bnf_one_hot_attr) \
    {                         \
        .classes = (n)        \
    }
#define LABELS(n, c)                                                     \
    {                                                                    \
        .ndim = 1, .dim = {n}, .values = BNF_VALUES_LABELS, .classes = c \
    }
static const bnf_op_case one_hot_cases[] = {
    {.label = "vector", .n_in = 2, .in = {LABELS(9, 5), {.ndim = 1, .dim = {1}}}, .attr = CLASSES(5)},
    {.label = "labels past the end", .n_in = 2, .in = {LABELS(19, 9), {.ndim = 1, .dim = {1}}}, .attr = CLASSES(4)},
    {.label = "image",
     .n_in = 2,
     .in = {{.ndim = 3, .dim = {2, 3, 3}, .values = BNF_VALUES_LABELS, .classes = 4}, {.ndim = 1, .dim = {1}}},
     .attr = CLASSES(4)},
    {.label = "one class", .n_in = 2, .in = {LABELS(3, 1), {.ndim = 1, .dim = {1}}}, .attr = CLASSES(1)},
    {.label = "real labels",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {3}}, {.ndim = 1, .dim = {1}}},
     .attr = CLASSES(4),
     .refused = true},
    {.label = "several values",
     .n_in = 2,
     .in = {LABELS(3, 4), {.ndim = 1, .dim = {4}}},
     .attr = CLASSES(4),
     .refused = true},
    {.label = "no classes",
     .n_in = 2,
     .in = {LABELS(3, 4), {.ndim = 1, .dim = {1}}},
     .attr = CLASSES(0),
     .refused = true},
};

static void check_one_hot(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t classes = bnf_desc_cols(&inst->out[0]);
    for (int64_t i = 0; i < bnf_desc_count(&inst->out[0]); i++)
        assert_close(out[0][i], in[0][i / classes] == (double)(i % classes) ? in[1][0] : 0.0, 0.0);
}

const bnf_op_case_list bnf_op_cases_one_hot = BNF_OP_CASES(one_hot_cases, check_one_hot);

static const bnf_op_case correct_cases[] = {
    {.label = "distinct", .n_in = 2, .in = {{.ndim = 2, .dim = {33, 3}, .values = BNF_VALUES_DISTINCT}, LABELS(33, 3)}},
    {.label = "ties", .n_in = 2, .in = {{.ndim = 2, .dim = {65, 4}, .values = BNF_VALUES_TIED}, LABELS(65, 4)}},
    {.label = "one class", .n_in = 2, .in = {{.ndim = 2, .dim = {3, 1}}, LABELS(3, 1)}},
    {.label = "samples", .n_in = 2, .in = {{.ndim = 2, .dim = {4, 3}}, LABELS(5, 3)}, .refused = true},
    {.label = "real labels", .n_in = 2, .in = {{.ndim = 2, .dim = {4, 3}}, {.ndim = 1, .dim = {4}}}, .refused = true},
    {.label = "image", .n_in = 2, .in = {{.ndim = 3, .dim = {4, 3, 2}}, LABELS(4, 2)}, .refused = true},
};

/* No class before the label has as large a logit, none after it a larger one. */
static void check_correct(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t n = inst->in[0].dim[0], classes = inst->in[0].dim[1];
    for (int64_t i = 0; i < n; i++) {
        const double *x = in[0] + i * classes, label = in[1][i], top = x[(int64_t)label];
        bool best = true;
        for (int64_t c = 0; c < classes; c++)
            best = best && ((double)c < label ? x[c] < top : x[c] <= top);
        assert_close(out[0][i], best ? 1.0 : 0.0, 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_correct = BNF_OP_CASES(correct_cases, check_correct);
