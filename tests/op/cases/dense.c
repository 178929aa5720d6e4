/* op/cases/dense.c - matrix product with a weight and its two gradients. */
#include "op/op_case.h"
#include "ops/dense.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* S(label, differences?, rows, inputs, outputs, bias) */
#define SHAPES(S)                               \
    S("one by one", true, 1, 1, 1, 1)           \
    S("one row", true, 1, 7, 3, 1)              \
    S("one input", true, 5, 1, 4, 1)            \
    S("one output", true, 5, 6, 1, 1)           \
    S("odd", true, 3, 5, 10, 1)                 \
    S("no bias", true, 4, 6, 5, 0)              \
    S("head", false, 8, 64, 10, 1)              \
    S("head without bias", false, 8, 65, 10, 0) \
    S("leaf of 8", false, 8, 1568, 64, 1)       \
    S("leaf of 32", false, 32, 96, 48, 1)       \
    S("one over 16", false, 17, 33, 49, 1)      \
    S("many outputs", false, 3, 31, 515, 0)

#define MATRIX(d, r, c)                     \
    {                                       \
        .ndim = 2, .dim = {r, c}, .diff = d \
    }
#define PARAM(d, r, c)                                     \
    {                                                      \
        .ndim = 2, .dim = {r, c}, .diff = d, .param = true \
    }
#define VECTOR(d, n)                     \
    {                                    \
        .ndim = 1, .dim = {n}, .diff = d \
    }

#define FORWARD(name, d, n, i, o, b) \
    {.label = name, .n_in = 2 + (b), .in = {MATRIX(d, n, i), PARAM(d, o, i), VECTOR(d, o)}, .terms = (i) + (b)},
#define DATA(name, d, n, i, o, b) {.label = name, .n_in = 2, .in = {MATRIX(d, n, o), PARAM(d, o, i)}, .terms = o},
#define WEIGHTS(name, d, n, i, o, b)                     \
    {.label = name,                                      \
     .n_in = 2,                                          \
     .in = {MATRIX(d, n, i), MATRIX(d, n, o)},           \
     .attr = &(const bnf_dense_bwd_attr){.has_bias = b}, \
     .terms = n,                                         \
     .pack_out = true},
#define REFUSED(name, count, a, ...)                                                  \
    {                                                                                 \
        .label = name, .n_in = count, .in = {__VA_ARGS__}, .attr = a, .refused = true \
    }

static const bnf_op_case forward[] = {
    SHAPES(FORWARD) //
    REFUSED("other inputs", 2, NULL, MATRIX(0, 2, 3), MATRIX(0, 4, 5)),
    REFUSED("other bias", 3, NULL, MATRIX(0, 2, 3), MATRIX(0, 4, 3), VECTOR(0, 3)),
    REFUSED("bias matrix", 3, NULL, MATRIX(0, 2, 3), MATRIX(0, 4, 3), MATRIX(0, 1, 4)),
    REFUSED("vector", 2, NULL, VECTOR(0, 3), MATRIX(0, 4, 3)),
};
static const bnf_op_case data[] = {
    SHAPES(DATA) //
    REFUSED("other outputs", 2, NULL, MATRIX(0, 2, 3), MATRIX(0, 4, 3)),
    REFUSED("vector", 2, NULL, MATRIX(0, 2, 3), VECTOR(0, 3)),
};
static const bnf_op_case weights[] = {
    SHAPES(WEIGHTS) //
    REFUSED("other rows", 2, &(const bnf_dense_bwd_attr){0}, MATRIX(0, 2, 3), MATRIX(0, 3, 2)),
    REFUSED("vector", 2, &(const bnf_dense_bwd_attr){0}, VECTOR(0, 2), MATRIX(0, 2, 3)),
};

/* y = sum over inputs of column times row, last input first. */
static void check_forward(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    int64_t rows = inst->in[0].dim[0], inputs = inst->in[0].dim[1], outputs = inst->in[1].dim[0];
    for (int64_t p = 0; p < rows * outputs; p++) {
        double expect = 0;
        for (int64_t i = inputs - 1; i >= 0; i--)
            expect += in[0][p / outputs * inputs + i] * in[1][p % outputs * inputs + i];
        expect += inst->n_in == 3 ? in[2][p % outputs] : 0;
        assert_true(fabs(expect - out[0][p]) < 1e-10);
    }
}

const bnf_op_case_list bnf_op_cases_dense = BNF_OP_CASES(forward, check_forward);
const bnf_op_case_list bnf_op_cases_dense_bwd_data = BNF_OP_CASES(data, NULL);
const bnf_op_case_list bnf_op_cases_dense_bwd_weights = BNF_OP_CASES(weights, NULL);
