/* op/cases/resample.c - upsample2, crop2d, pad2d, spatial_tile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include <math.h>

#define IMAGE(...)                                        \
    {                                                     \
        {                                                 \
            .ndim = 4, .dim = {__VA_ARGS__}, .diff = true \
        }                                                 \
    }

/* --- twice the size ----------------------------------------------------------------------------------------------- */

static const bnf_op_case upsample_cases[] = {
    {.label = "odd", .n_in = 1, .in = IMAGE(2, 5, 3, 7), .terms = 4},
    {.label = "one position", .n_in = 1, .in = IMAGE(3, 1, 1, 2), .terms = 4},
    {.label = "row", .n_in = 1, .in = IMAGE(1, 1, 6, 1), .terms = 4},
    {.label = "matrix", .n_in = 1, .in = {{.ndim = 2, .dim = {4, 4}}}, .refused = true},
};

/* By the definition: y's centre (r + 1/2) / 2 - 1/2 in x, moved inside, between two neighbours. */
static void check_upsample(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const int64_t *x = inst->in[0].dim, *y = inst->out[0].dim;

    for (int64_t p = 0; p < y[0] * y[1] * y[2] * y[3]; p++) {
        int64_t c = p % y[3], q = p / y[3] % y[2], r = p / y[3] / y[2] % y[1], n = p / y[3] / y[2] / y[1];
        double v = fmin(fmax(((double)r + 0.5) / 2 - 0.5, 0), (double)x[1] - 1);
        double u = fmin(fmax(((double)q + 0.5) / 2 - 0.5, 0), (double)x[2] - 1), expect = 0;
        for (int64_t i = 0; i < x[1]; i++)
            for (int64_t j = 0; j < x[2]; j++)
                expect += fmax(0, 1 - fabs(v - (double)i)) * fmax(0, 1 - fabs(u - (double)j)) *
                          in[0][((n * x[1] + i) * x[2] + j) * x[3] + c];
        assert_close(out[0][p], expect, 1e-12);
    }
}

static const bnf_op_case upsample_bwd_cases[] = {
    {.label = "odd", .n_in = 1, .in = IMAGE(2, 6, 10, 5), .terms = 16},
    {.label = "one position", .n_in = 1, .in = IMAGE(3, 2, 2, 2), .terms = 4},
    {.label = "odd rows", .n_in = 1, .in = IMAGE(2, 5, 4, 3), .refused = true},
};

/* The weights that each cell of dy gives away sum to 1. */
static void check_upsample_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    double given = 0, got = 0;
    for (int64_t p = 0; p < bnf_desc_count(&inst->in[0]); p++)
        given += in[0][p];
    for (int64_t p = 0; p < bnf_desc_count(&inst->out[0]); p++)
        got += out[0][p];
    assert_close(got, given, 1e-10);
}

const bnf_op_case_list bnf_op_cases_upsample2 = BNF_OP_CASES(upsample_cases, check_upsample);
const bnf_op_case_list bnf_op_cases_upsample2_bwd = BNF_OP_CASES(upsample_bwd_cases, check_upsample_bwd);

/* --- windows ------------------------------------------------------------------------------------------------------ */

#define WINDOW(top, left, h, w, rows, columns)                                        \
    &(const bnf_crop2d_attr)                                                          \
    {                                                                                 \
        .first = {(top), (left)}, .window = {(h), (w)}, .image = {(rows), (columns) } \
    }

static const bnf_op_case crop_cases[] = {
    {.label = "inside", .n_in = 1, .in = IMAGE(2, 6, 5, 3), .attr = WINDOW(1, 2, 3, 2, 6, 5)},
    {.label = "whole", .n_in = 1, .in = IMAGE(2, 2, 3, 1), .attr = WINDOW(0, 0, 2, 3, 2, 3)},
    {.label = "corner", .n_in = 1, .in = IMAGE(3, 4, 4, 5), .attr = WINDOW(3, 3, 1, 1, 4, 4)},
    {.label = "outside", .n_in = 1, .in = IMAGE(2, 4, 4, 5), .attr = WINDOW(3, 3, 2, 1, 4, 4), .refused = true},
    {.label = "before", .n_in = 1, .in = IMAGE(2, 4, 4, 5), .attr = WINDOW(-1, 0, 2, 1, 4, 4), .refused = true},
    {.label = "empty", .n_in = 1, .in = IMAGE(2, 4, 4, 5), .attr = WINDOW(1, 0, 2, 0, 4, 4), .refused = true},
    {.label = "other image", .n_in = 1, .in = IMAGE(2, 4, 4, 5), .attr = WINDOW(1, 0, 2, 1, 4, 5), .refused = true},
};

/* whole[n, first + i, first + j] is part[n, i, j]. Returns how many of whole's cells lie outside and are not zero. */
static int64_t compare_window(const bnf_crop2d_attr *a, const bnf_desc *part, const double *whole, const double *cut)
{
    int64_t outside = 0, c = part->dim[3];
    for (int64_t p = 0; p < part->dim[0] * a->image[0] * a->image[1] * c; p++) {
        int64_t i = p / c / a->image[1] % a->image[0] - a->first[0], j = p / c % a->image[1] - a->first[1];
        int64_t n = p / c / a->image[1] / a->image[0];
        if (i >= 0 && i < a->window[0] && j >= 0 && j < a->window[1])
            assert_true(whole[p] == cut[((n * a->window[0] + i) * a->window[1] + j) * c + p % c]);
        else
            outside += whole[p] != 0;
    }
    return outside;
}

static void check_crop(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    compare_window(inst->attr, &inst->out[0], in[0], out[0]);
}

static const bnf_op_case pad_cases[] = {
    {.label = "inside", .n_in = 1, .in = IMAGE(2, 3, 2, 3), .attr = WINDOW(1, 2, 3, 2, 6, 5)},
    {.label = "bottom right", .n_in = 1, .in = IMAGE(2, 3, 4, 1), .attr = WINDOW(0, 0, 3, 4, 4, 5)},
    {.label = "other window", .n_in = 1, .in = IMAGE(2, 3, 4, 1), .attr = WINDOW(0, 0, 4, 3, 4, 5), .refused = true},
};

static void check_pad(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    assert_int_equal(compare_window(inst->attr, &inst->in[0], out[0], in[0]), 0);
}

const bnf_op_case_list bnf_op_cases_crop2d = BNF_OP_CASES(crop_cases, check_crop);
const bnf_op_case_list bnf_op_cases_pad2d = BNF_OP_CASES(pad_cases, check_pad);

/* --- a vector at every position ----------------------------------------------------------------------------------- */

#define SIZE(h, w)                 \
    &(const bnf_spatial_tile_attr) \
    {                              \
        .image = {(h), (w) }       \
    }
#define VECTORS(n, k)                                  \
    {                                                  \
        {                                              \
            .ndim = 2, .dim = {(n), (k)}, .diff = true \
        }                                              \
    }

static const bnf_op_case tile_cases[] = {
    {.label = "odd", .n_in = 1, .in = VECTORS(3, 2), .attr = SIZE(5, 4)},
    {.label = "one position", .n_in = 1, .in = VECTORS(2, 7), .attr = SIZE(1, 1)},
    {.label = "column", .n_in = 1, .in = VECTORS(1, 1), .attr = SIZE(6, 1)},
    {.label = "image", .n_in = 1, .in = IMAGE(1, 2, 2, 2), .attr = SIZE(6, 1), .refused = true},
    {.label = "no rows", .n_in = 1, .in = VECTORS(1, 1), .attr = SIZE(0, 1), .refused = true},
};

static void check_tile(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const int64_t *y = inst->out[0].dim, k = inst->in[0].dim[1];

    for (int64_t p = 0; p < y[0] * y[1] * y[2]; p++) {
        const double *cell = out[0] + p * (k + 2);
        int64_t j = p % y[2], i = p / y[2] % y[1], n = p / y[2] / y[1];
        for (int64_t c = 0; c < k; c++)
            assert_true(cell[c] == in[0][n * k + c]);
        assert_close(cell[k] + 1, y[2] > 1 ? 2.0 * (double)j / (double)(y[2] - 1) : 0, 1e-12);
        assert_close(cell[k + 1] + 1, y[1] > 1 ? 2.0 * (double)i / (double)(y[1] - 1) : 0, 1e-12);
    }
}

const bnf_op_case_list bnf_op_cases_spatial_tile = BNF_OP_CASES(tile_cases, check_tile);
