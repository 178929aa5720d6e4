/* op/cases/shape.c - reshape, stop_gradient, copy, batch_sum, concat, slice, slice_bwd, pixel_unshuffle,
 * pixel_unshuffle_bwd. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#define SHAPE(n, ...)                       \
    &(const bnf_shape_attr)                 \
    {                                       \
        .ndim = (n), .dim = { __VA_ARGS__ } \
    }
static const bnf_op_case reshape_cases[] = {
    {.label = "flatten", .n_in = 1, .in = {{.ndim = 4, .dim = {3, 2, 2, 5}, .diff = true}}, .attr = SHAPE(2, 3, 20)},
    {.label = "more dimensions",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {12}, .diff = true}},
     .attr = SHAPE(5, 1, 2, 1, 3, 2)},
    {.label = "other size", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}}}, .attr = SHAPE(1, 13), .refused = true},
    {.label = "extent 0", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}}}, .attr = SHAPE(2, 12, 0), .refused = true},
    {.label = "negative extents",
     .n_in = 1,
     .in = {{.ndim = 2, .dim = {3, 4}}},
     .attr = SHAPE(2, -3, -4),
     .refused = true},
    {.label = "six dimensions",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {1}}},
     .attr = SHAPE(6, 1, 1, 1, 1, 1),
     .refused = true},
};
const bnf_op_case_list bnf_op_cases_reshape = BNF_OP_CASES(reshape_cases, NULL);

/* That no gradient passes is tested in op/emit.c. */
static const bnf_op_case stop_gradient_cases[] = {
    {.label = "image", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 3, 3, 2}}}}};
const bnf_op_case_list bnf_op_cases_stop_gradient = BNF_OP_CASES(stop_gradient_cases, NULL);

static const bnf_op_case copy_cases[] = {
    {.label = "image", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 3, 3, 5}, .diff = true}}},
    {.label = "labels", .n_in = 1, .in = {{.ndim = 1, .dim = {9}, .values = BNF_VALUES_LABELS, .classes = 5}}},
};

static void check_copy(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++)
        assert_close(out[0][i], in[0][i], 0.0);
}

const bnf_op_case_list bnf_op_cases_copy = BNF_OP_CASES(copy_cases, check_copy);

static const bnf_op_case batch_sum_cases[] = {
    {.label = "vector", .n_in = 1, .in = {{.ndim = 1, .dim = {7}, .diff = true}}},
    {.label = "integers",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {4}, .values = BNF_VALUES_LABELS, .classes = 3}},
     .refused = true},
};
const bnf_op_case_list bnf_op_cases_batch_sum = BNF_OP_CASES(batch_sum_cases, NULL);

static const bnf_op_case concat_cases[] = {
    {.label = "one", .n_in = 1, .in = {{.ndim = 2, .dim = {3, 4}, .diff = true}}},
    {.label = "two",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {3, 4}, .diff = true}, {.ndim = 2, .dim = {3, 1}, .diff = true}}},
    {.label = "three images",
     .n_in = 3,
     .in = {{.ndim = 4, .dim = {2, 3, 1, 2}, .diff = true},
            {.ndim = 4, .dim = {2, 3, 1, 5}, .diff = true},
            {.ndim = 4, .dim = {2, 3, 1, 3}, .diff = true}}},
    {.label = "vectors",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {3}, .diff = true}, {.ndim = 1, .dim = {4}, .diff = true}}},
    {.label = "rows", .n_in = 2, .in = {{.ndim = 2, .dim = {3, 4}}, {.ndim = 2, .dim = {2, 4}}}, .refused = true},
    {.label = "dimensions", .n_in = 2, .in = {{.ndim = 2, .dim = {3, 4}}, {.ndim = 1, .dim = {4}}}, .refused = true},
    {.label = "types",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {3}}, {.ndim = 1, .dim = {4}, .values = BNF_VALUES_LABELS, .classes = 3}},
     .refused = true},
};

static void check_concat(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t total = bnf_desc_cols(&inst->out[0]), first = 0;
    for (int k = 0; k < inst->n_in; k++) {
        int64_t cols = bnf_desc_cols(&inst->in[k]);
        for (int64_t i = 0; i < bnf_desc_count(&inst->in[k]); i++)
            assert_close(out[0][i / cols * total + first + i % cols], in[k][i], 0.0);
        first += cols;
    }
    assert_int_equal(first, total);
}

const bnf_op_case_list bnf_op_cases_concat = BNF_OP_CASES(concat_cases, check_concat);

#define SLICE(f, n, t)                           \
    &(const bnf_slice_attr)                      \
    {                                            \
        .first = (f), .count = (n), .total = (t) \
    }
static const bnf_op_case slice_cases[] = {
    {.label = "middle", .n_in = 1, .in = {{.ndim = 3, .dim = {2, 3, 7}, .diff = true}}, .attr = SLICE(2, 3, 7)},
    {.label = "all", .n_in = 1, .in = {{.ndim = 1, .dim = {5}, .diff = true}}, .attr = SLICE(0, 5, 5)},
    {.label = "last", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 5}, .diff = true}}, .attr = SLICE(4, 1, 5)},
    {.label = "past the end", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 5}}}, .attr = SLICE(3, 3, 5), .refused = true},
    {.label = "negative", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 5}}}, .attr = SLICE(-1, 3, 5), .refused = true},
    {.label = "empty", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 5}}}, .attr = SLICE(0, 0, 5), .refused = true},
    {.label = "other rows", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 6}}}, .attr = SLICE(0, 2, 5), .refused = true},
};

static void check_slice(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_slice_attr *a = inst->attr;
    for (int64_t i = 0; i < bnf_desc_count(&inst->out[0]); i++)
        assert_close(out[0][i], in[0][i / a->count * a->total + a->first + i % a->count], 0.0);
}

const bnf_op_case_list bnf_op_cases_slice = BNF_OP_CASES(slice_cases, check_slice);

static const bnf_op_case slice_bwd_cases[] = {
    {.label = "middle", .n_in = 1, .in = {{.ndim = 3, .dim = {2, 3, 3}, .diff = true}}, .attr = SLICE(2, 3, 7)},
    {.label = "all", .n_in = 1, .in = {{.ndim = 1, .dim = {5}, .diff = true}}, .attr = SLICE(0, 5, 5)},
    {.label = "other rows", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 6}}}, .attr = SLICE(0, 2, 5), .refused = true},
};

static void check_slice_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_slice_attr *a = inst->attr;
    for (int64_t i = 0; i < bnf_desc_count(&inst->out[0]); i++) {
        int64_t col = i % a->total - a->first;
        assert_close(out[0][i], col >= 0 && col < a->count ? in[0][i / a->total * a->count + col] : 0.0, 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_slice_bwd = BNF_OP_CASES(slice_bwd_cases, check_slice_bwd);

#define FACTOR(f)               \
    &(const bnf_unshuffle_attr) \
    {                           \
        .factor = (f)           \
    }
static const bnf_op_case pixel_unshuffle_cases[] = {
    {.label = "by 2", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 4, 6, 3}, .diff = true}}, .attr = FACTOR(2)},
    {.label = "by 3", .n_in = 1, .in = {{.ndim = 4, .dim = {3, 3, 6, 1}, .diff = true}}, .attr = FACTOR(3)},
    {.label = "by 1", .n_in = 1, .in = {{.ndim = 4, .dim = {1, 2, 3, 2}, .diff = true}}, .attr = FACTOR(1)},
    {.label = "odd height", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 5, 6, 3}}}, .attr = FACTOR(2), .refused = true},
    {.label = "odd width", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 4, 7, 3}}}, .attr = FACTOR(2), .refused = true},
    {.label = "rows", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 4}}}, .attr = FACTOR(2), .refused = true},
    {.label = "factor 0", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 4, 4, 3}}}, .attr = FACTOR(0), .refused = true},
};

/* wide[n, h, w, c] is deep[n, h / f, w / f, (c f + h % f) f + w % f]. */
static void check_unshuffle(const bnf_desc *wide, const bnf_desc *deep, int64_t f, const double *w, const double *d)
{
    int64_t at = 0;
    for (int64_t n = 0; n < wide->dim[0]; n++)
        for (int64_t y = 0; y < wide->dim[1]; y++)
            for (int64_t x = 0; x < wide->dim[2]; x++)
                for (int64_t c = 0; c < wide->dim[3]; c++) {
                    int64_t row = (n * deep->dim[1] + y / f) * deep->dim[2] + x / f;
                    assert_close(w[at++], d[row * deep->dim[3] + (c * f + y % f) * f + x % f], 0.0);
                }
}

static void check_pixel_unshuffle(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    check_unshuffle(&inst->in[0], &inst->out[0], ((const bnf_unshuffle_attr *)inst->attr)->factor, in[0], out[0]);
}

const bnf_op_case_list bnf_op_cases_pixel_unshuffle = BNF_OP_CASES(pixel_unshuffle_cases, check_pixel_unshuffle);

static const bnf_op_case pixel_unshuffle_bwd_cases[] = {
    {.label = "by 2", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 2, 3, 12}, .diff = true}}, .attr = FACTOR(2)},
    {.label = "by 3", .n_in = 1, .in = {{.ndim = 4, .dim = {3, 1, 2, 9}, .diff = true}}, .attr = FACTOR(3)},
    {.label = "channels", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 2, 3, 10}}}, .attr = FACTOR(2), .refused = true},
    {.label = "factor", .n_in = 1, .in = {{.ndim = 4, .dim = {2, 2, 3, 10}}}, .attr = FACTOR(-2), .refused = true},
};

static void check_pixel_unshuffle_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    check_unshuffle(&inst->out[0], &inst->in[0], ((const bnf_unshuffle_attr *)inst->attr)->factor, out[0], in[0]);
}

const bnf_op_case_list bnf_op_cases_pixel_unshuffle_bwd =
    BNF_OP_CASES(pixel_unshuffle_bwd_cases, check_pixel_unshuffle_bwd);
