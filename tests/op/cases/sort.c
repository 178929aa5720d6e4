/* op/cases/sort.c - groupsort2, groupsort2_bwd, fullsort, fullsort_bwd. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include <math.h>

static const bnf_op_case groupsort2_cases[] = {
    {.label = "one pair", .n_in = 1, .in = {{.ndim = 1, .dim = {2}, .values = BNF_VALUES_DISTINCT, .diff = true}}},
    {.label = "image",
     .n_in = 1,
     .in = {{.ndim = 4, .dim = {2, 3, 3, 6}, .values = BNF_VALUES_DISTINCT, .diff = true}}},
    {.label = "not a multiple of a vector", .n_in = 1, .in = {{.ndim = 2, .dim = {7, 46}}}},
    {.label = "long", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 5, 7, 64}}}},
    {.label = "ties", .n_in = 1, .in = {{.ndim = 2, .dim = {9, 10}, .values = BNF_VALUES_TIED}}},
    {.label = "odd channels", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 3}}}, .refused = true},
};

static void check_groupsort2(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i += 2) {
        assert_close(out[0][i], fmin(in[0][i], in[0][i + 1]), 0.0);
        assert_close(out[0][i + 1], fmax(in[0][i], in[0][i + 1]), 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_groupsort2 = BNF_OP_CASES(groupsort2_cases, check_groupsort2);

#define BOTH(n, ...)                                                                    \
    {                                                                                   \
        {.ndim = (n), .dim = __VA_ARGS__, .values = BNF_VALUES_DISTINCT, .diff = true}, \
        {                                                                               \
            .ndim = (n), .dim = __VA_ARGS__, .diff = true                               \
        }                                                                               \
    }
#define DIMS(...)   \
    {               \
        __VA_ARGS__ \
    }
static const bnf_op_case groupsort2_bwd_cases[] = {
    {.label = "one pair", .n_in = 2, .in = BOTH(1, DIMS(2))},
    {.label = "image", .n_in = 2, .in = BOTH(4, DIMS(2, 3, 3, 6))},
    {.label = "not a multiple of a vector",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {7, 46}}, {.ndim = 2, .dim = {7, 46}}}},
    {.label = "ties",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {9, 10}, .values = BNF_VALUES_TIED}, {.ndim = 2, .dim = {9, 10}}}},
    {.label = "odd channels",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {4, 3}}, {.ndim = 2, .dim = {4, 3}}},
     .refused = true},
    {.label = "two shapes", .n_in = 2, .in = {{.ndim = 2, .dim = {4, 2}}, {.ndim = 2, .dim = {2, 4}}}, .refused = true},
};

static void check_groupsort2_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i += 2) {
        int64_t swap = in[0][i] > in[0][i + 1];
        assert_close(out[0][i + swap], in[1][i], 0.0);
        assert_close(out[0][i + 1 - swap], in[1][i + 1], 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_groupsort2_bwd = BNF_OP_CASES(groupsort2_bwd_cases, check_groupsort2_bwd);

static const bnf_op_case fullsort_cases[] = {
    {.label = "one channel",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {3, 1}, .values = BNF_VALUES_DISTINCT, .diff = true}}},
    {.label = "short rows",
     .n_in = 1,
     .in = {{.ndim = 3, .dim = {2, 4, 7}, .values = BNF_VALUES_DISTINCT, .diff = true}}},
    {.label = "exactly one run",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {3, 16}, .values = BNF_VALUES_DISTINCT, .diff = true}}},
    {.label = "several runs",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {2, 83}, .values = BNF_VALUES_DISTINCT, .diff = true}}},
    {.label = "power of two", .n_in = 1, .in = {{.ndim = 2, .dim = {5, 128}}}},
    {.label = "long rows",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {2, 301}, .values = BNF_VALUES_DISTINCT, .diff = true}}},
    {.label = "long rows, ties", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 1029}, .values = BNF_VALUES_TIED}}},
    {.label = "ties", .n_in = 1, .in = {{.ndim = 2, .dim = {5, 57}, .values = BNF_VALUES_TIED}}},
    {.label = "integers",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {4}, .values = BNF_VALUES_LABELS, .classes = 3}},
     .refused = true},
};

/* Ascending, and output 1 says where each value stood; equal values keep their order, so the places are all
 * different. */
static void check_fullsort(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t n = bnf_desc_cols(&inst->in[0]), rows = bnf_desc_rows(&inst->in[0]);
    for (int64_t r = 0; r < rows; r++) {
        const double *x = in[0] + r * n, *y = out[0] + r * n, *at = out[1] + r * n;
        for (int64_t i = 0; i < n; i++) {
            assert_in_range((int64_t)at[i], 0, n - 1);
            assert_close(y[i], x[(int64_t)at[i]], 0.0);
            if (i > 0)
                assert_true(y[i - 1] < y[i] || (y[i - 1] == y[i] && at[i - 1] < at[i]));
        }
    }
}

const bnf_op_case_list bnf_op_cases_fullsort = BNF_OP_CASES(fullsort_cases, check_fullsort);

#define FORWARD(f)            \
    &(const bnf_permute_attr) \
    {                         \
        .forward = (f)        \
    }
static const bnf_op_case fullsort_bwd_cases[] = {
    {.label = "gradient",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {3, 9}, .values = BNF_VALUES_PLACES}, {.ndim = 2, .dim = {3, 9}, .diff = true}},
     .attr = FORWARD(0)},
    {.label = "transpose",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {3, 9}, .values = BNF_VALUES_PLACES}, {.ndim = 2, .dim = {3, 9}, .diff = true}},
     .attr = FORWARD(1)},
    {.label = "places are reals",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {4}}, {.ndim = 1, .dim = {4}}},
     .attr = FORWARD(0),
     .refused = true},
    {.label = "two shapes",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {4}, .values = BNF_VALUES_PLACES}, {.ndim = 1, .dim = {5}}},
     .attr = FORWARD(0),
     .refused = true},
};

static void check_fullsort_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_permute_attr *a = inst->attr;
    int64_t n = bnf_desc_cols(&inst->in[0]);
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++) {
        int64_t at = i / n * n + (int64_t)in[0][i];
        assert_close(a->forward ? out[0][i] : out[0][at], a->forward ? in[1][at] : in[1][i], 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_fullsort_bwd = BNF_OP_CASES(fullsort_bwd_cases, check_fullsort_bwd);
