/* op/cases/reduce.c - broadcast_to, sum_to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include "base/mem.h"

#define SHAPE(n, ...)                       \
    &(const bnf_shape_attr)                 \
    {                                       \
        .ndim = (n), .dim = { __VA_ARGS__ } \
    }

static const bnf_op_case broadcast_to_cases[] = {
    {.label = "scalar", .n_in = 1, .in = {{.ndim = 1, .dim = {1}, .diff = true}}, .attr = SHAPE(3, 2, 3, 5)},
    {.label = "channel vector", .n_in = 1, .in = {{.ndim = 1, .dim = {5}, .diff = true}}, .attr = SHAPE(4, 2, 3, 2, 5)},
    {.label = "one per sample",
     .n_in = 1,
     .in = {{.ndim = 4, .dim = {3, 1, 1, 1}, .diff = true}},
     .attr = SHAPE(4, 3, 2, 2, 5)},
    {.label = "sample and channel",
     .n_in = 1,
     .in = {{.ndim = 4, .dim = {3, 1, 1, 5}, .diff = true}},
     .attr = SHAPE(4, 3, 2, 2, 5)},
    {.label = "rows", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 1}, .diff = true}}, .attr = SHAPE(2, 4, 19)},
    {.label = "alternating",
     .n_in = 1,
     .in = {{.ndim = 5, .dim = {1, 3, 1, 2, 1}, .diff = true}},
     .attr = SHAPE(5, 2, 3, 4, 2, 3)},
    {.label = "extents", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}}}, .attr = SHAPE(2, 3, 5), .refused = true},
    {.label = "would shrink", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}}}, .attr = SHAPE(2, 1, 4), .refused = true},
    {.label = "fewer dimensions", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}}}, .attr = SHAPE(1, 4), .refused = true},
};

/* Position in the small array of element `index` of the large one. */
static int64_t place(const bnf_desc *small, const bnf_desc *large, int64_t index)
{
    int64_t at = 0, step = 1;
    for (int i = 0; i < small->ndim; i++) {
        int64_t extent = large->dim[large->ndim - 1 - i], own = small->dim[small->ndim - 1 - i];
        at += own == 1 ? 0 : index % extent * step;
        step *= own;
        index /= extent;
    }
    return at;
}

static void check_broadcast_to(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->out[0]); i++)
        assert_close(out[0][i], in[0][place(&inst->in[0], &inst->out[0], i)], 0.0);
}

const bnf_op_case_list bnf_op_cases_broadcast_to = BNF_OP_CASES(broadcast_to_cases, check_broadcast_to);

static const bnf_op_case sum_to_cases[] = {
    {.label = "all", .n_in = 1, .in = {{.ndim = 3, .dim = {2, 3, 5}, .diff = true}}, .attr = SHAPE(1, 1), .terms = 30},
    {.label = "all, two dimensions",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {7, 9}, .diff = true}},
     .attr = SHAPE(2, 1, 1),
     .terms = 63},
    {.label = "long",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {4099}, .values = BNF_VALUES_POSITIVE}},
     .attr = SHAPE(1, 1),
     .terms = 4099},
    {.label = "channels",
     .n_in = 1,
     .in = {{.ndim = 4, .dim = {2, 3, 2, 5}, .diff = true}},
     .attr = SHAPE(1, 5),
     .terms = 12},
    {.label = "many channels",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {3, 37}, .diff = true}},
     .attr = SHAPE(1, 37),
     .terms = 3},
    {.label = "long columns", .n_in = 1, .in = {{.ndim = 2, .dim = {533, 21}}}, .attr = SHAPE(1, 21), .terms = 533},
    {.label = "rows",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {4, 19}, .diff = true}},
     .attr = SHAPE(2, 4, 1),
     .terms = 19},
    {.label = "samples",
     .n_in = 1,
     .in = {{.ndim = 4, .dim = {3, 2, 2, 5}, .diff = true}},
     .attr = SHAPE(4, 3, 1, 1, 1),
     .terms = 20},
    {.label = "images",
     .n_in = 1,
     .in = {{.ndim = 4, .dim = {3, 2, 2, 5}, .diff = true}},
     .attr = SHAPE(4, 3, 1, 1, 5),
     .terms = 4},
    {.label = "alternating",
     .n_in = 1,
     .in = {{.ndim = 5, .dim = {2, 3, 4, 2, 3}, .diff = true}},
     .attr = SHAPE(5, 1, 3, 1, 2, 1),
     .terms = 24},
    {.label = "alternating, turned",
     .n_in = 1,
     .in = {{.ndim = 5, .dim = {2, 3, 4, 2, 3}, .diff = true}},
     .attr = SHAPE(5, 2, 1, 4, 1, 3),
     .terms = 6},
    {.label = "middle",
     .n_in = 1,
     .in = {{.ndim = 3, .dim = {2, 3, 4}, .diff = true}},
     .attr = SHAPE(3, 2, 1, 4),
     .terms = 3},
    {.label = "same shape", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}, .diff = true}}, .attr = SHAPE(2, 3, 4)},
    {.label = "extents", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}}}, .attr = SHAPE(2, 2, 4), .refused = true},
    {.label = "would grow", .n_in = 1, .in = {{.ndim = 2, .dim = {1, 4}}}, .attr = SHAPE(2, 3, 4), .refused = true},
    {.label = "no dimensions", .n_in = 1, .in = {{.ndim = 2, .dim = {1, 4}}}, .attr = SHAPE(0, 0), .refused = true},
};

static void check_sum_to(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t n = bnf_desc_count(&inst->in[0]), m = bnf_desc_count(&inst->out[0]);
    double *sum;
    assert_int_equal(bnf_calloc((size_t)m, sizeof *sum, "sums", &sum), BNF_OK);
    for (int64_t i = 0; i < n; i++)
        sum[place(&inst->out[0], &inst->in[0], i)] += in[0][i];
    for (int64_t i = 0; i < m; i++)
        assert_close(out[0][i], sum[i], 1e-15 * (double)n);
    bnf_free(sum);
}

const bnf_op_case_list bnf_op_cases_sum_to = BNF_OP_CASES(sum_to_cases, check_sum_to);
