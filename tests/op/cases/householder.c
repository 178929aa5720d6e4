/* op/cases/householder.c - householder, householder_bwd, householder_sums. Inputs keep away from the line where a pair
 * changes sides; the checks assert it. */
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
#define SIDES(n, ...)                   \
    {                                   \
        .ndim = (n), .dim = __VA_ARGS__ \
    }
#define ANGLES(n)                           \
    {                                       \
        .ndim = 1, .dim = {n}, .diff = true \
    }
#define ORDER(k)                  \
    &(const bnf_householder_attr) \
    {                             \
        .order = (k)              \
    }
#define IMAGE DIMS(2, 3, 2, 6)
#define LONG DIMS(2, 5, 3, 46) /* more rows than one group of a sum, pairs that fill no vector */

/* Whether pair i of x is reflected; near the line, a difference would reach across. */
static bool reflected(const double *x, double angle, int64_t i)
{
    double t = cos(angle / 2) * x[2 * i + 1] - sin(angle / 2) * x[2 * i];
    assert_true(fabs(t) > 1e-5);
    return t < 0;
}

/* R^(k) z by k quarter turns more. */
static void mirror(double angle, int64_t k, const double *z, double *y)
{
    double w = angle + (double)k * acos(0);
    y[0] = cos(w) * z[0] + sin(w) * z[1];
    y[1] = sin(w) * z[0] - cos(w) * z[1];
}

static int64_t order_of(const bnf_op_inst *inst)
{
    return ((const bnf_householder_attr *)inst->attr)->order;
}

static const bnf_op_case householder_cases[] = {
    {.label = "one pair", .n_in = 2, .in = {X(1, DIMS(2)), ANGLES(1)}, .attr = ORDER(0)},
    {.label = "image", .n_in = 2, .in = {X(4, IMAGE), ANGLES(3)}, .attr = ORDER(0)},
    {.label = "long", .n_in = 2, .in = {SIDES(4, LONG), ANGLES(23)}, .attr = ORDER(0), .terms = 30},
    {.label = "odd channels", .n_in = 2, .in = {X(2, DIMS(4, 3)), ANGLES(1)}, .attr = ORDER(0), .refused = true},
    {.label = "angles", .n_in = 2, .in = {X(2, DIMS(4, 4)), ANGLES(4)}, .attr = ORDER(0), .refused = true},
};

static void check_householder(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t pairs = inst->in[1].dim[0];
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]) / 2; i++) {
        double y[2] = {in[0][2 * i], in[0][2 * i + 1]};
        if (reflected(in[0], in[1][i % pairs], i))
            mirror(in[1][i % pairs], 0, &in[0][2 * i], y);
        assert_close(out[0][2 * i], y[0], 1e-14);
        assert_close(out[0][2 * i + 1], y[1], 1e-14);
    }
}

const bnf_op_case_list bnf_op_cases_householder = BNF_OP_CASES(householder_cases, check_householder);

static const bnf_op_case householder_bwd_cases[] = {
    {.label = "one pair", .n_in = 3, .in = {X(1, DIMS(2)), ANGLES(1), X(1, DIMS(2))}, .attr = ORDER(0)},
    {.label = "image", .n_in = 3, .in = {X(4, IMAGE), ANGLES(3), X(4, IMAGE)}, .attr = ORDER(0)},
    {.label = "order 1", .n_in = 3, .in = {X(4, IMAGE), ANGLES(3), X(4, IMAGE)}, .attr = ORDER(1)},
    {.label = "order 2", .n_in = 3, .in = {X(4, IMAGE), ANGLES(3), X(4, IMAGE)}, .attr = ORDER(2)},
    {.label = "order 3", .n_in = 3, .in = {X(4, IMAGE), ANGLES(3), X(4, IMAGE)}, .attr = ORDER(3)},
    {.label = "long", .n_in = 3, .in = {SIDES(4, LONG), ANGLES(23), SIDES(4, LONG)}, .attr = ORDER(0), .terms = 30},
    {.label = "two shapes",
     .n_in = 3,
     .in = {X(2, DIMS(2, 4)), ANGLES(2), X(2, DIMS(4, 4))},
     .attr = ORDER(0),
     .refused = true},
    {.label = "order", .n_in = 3, .in = {X(1, DIMS(2)), ANGLES(1), X(1, DIMS(2))}, .attr = ORDER(-1), .refused = true},
};

static void check_householder_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t pairs = inst->in[1].dim[0], order = order_of(inst);
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]) / 2; i++) {
        double y[2] = {order ? 0 : in[2][2 * i], order ? 0 : in[2][2 * i + 1]};
        if (reflected(in[0], in[1][i % pairs], i))
            mirror(in[1][i % pairs], order, &in[2][2 * i], y);
        assert_close(out[0][2 * i], y[0], 1e-14);
        assert_close(out[0][2 * i + 1], y[1], 1e-14);
    }
}

const bnf_op_case_list bnf_op_cases_householder_bwd = BNF_OP_CASES(householder_bwd_cases, check_householder_bwd);

static const bnf_op_case householder_sums_cases[] = {
    {.label = "one pair", .n_in = 4, .in = {X(1, DIMS(2)), ANGLES(1), X(1, DIMS(2)), X(1, DIMS(2))}, .attr = ORDER(1)},
    {.label = "image",
     .n_in = 4,
     .in = {X(4, IMAGE), ANGLES(3), X(4, IMAGE), X(4, IMAGE)},
     .attr = ORDER(1),
     .terms = 24},
    {.label = "order 2",
     .n_in = 4,
     .in = {X(4, IMAGE), ANGLES(3), X(4, IMAGE), X(4, IMAGE)},
     .attr = ORDER(2),
     .terms = 24},
    {.label = "long",
     .n_in = 4,
     .in = {SIDES(4, LONG), ANGLES(23), SIDES(4, LONG), SIDES(4, LONG)},
     .attr = ORDER(1),
     .terms = 60},
    {.label = "order 0",
     .n_in = 4,
     .in = {X(1, DIMS(2)), ANGLES(1), X(1, DIMS(2)), X(1, DIMS(2))},
     .attr = ORDER(0),
     .refused = true},
    {.label = "two shapes",
     .n_in = 4,
     .in = {X(2, DIMS(2, 4)), ANGLES(2), X(2, DIMS(2, 4)), X(2, DIMS(4, 4))},
     .attr = ORDER(1),
     .refused = true},
};

static void check_householder_sums(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t pairs = inst->in[1].dim[0], rows = bnf_desc_rows(&inst->in[0]);
    for (int64_t p = 0; p < pairs; p++) {
        double sum = 0, y[2];
        for (int64_t i = p; i < rows * pairs; i += pairs)
            if (reflected(in[0], in[1][p], i)) {
                mirror(in[1][p], order_of(inst), &in[2][2 * i], y);
                sum += y[0] * in[3][2 * i] + y[1] * in[3][2 * i + 1];
            }
        assert_close(out[0][p], sum, 1e-12);
    }
}

const bnf_op_case_list bnf_op_cases_householder_sums = BNF_OP_CASES(householder_sums_cases, check_householder_sums);
