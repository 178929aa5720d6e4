/* op/cases/binary.c - binary, maximum_bwd. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#include <math.h>

#define KIND(k)                \
    &(const bnf_binary_attr)   \
    {                          \
        .kind = BNF_BINARY_##k \
    }
#define ANY BNF_VALUES_ANY
#define AWAY BNF_VALUES_AWAY
#define DISTINCT BNF_VALUES_DISTINCT
#define TWO(k, ra, rb, name, na, da, nb, db)                         \
    {                                                                \
        .label = #k " " name, .n_in = 2,                             \
        .in = {{.ndim = na, .dim = da, .values = ra, .diff = true},  \
               {.ndim = nb, .dim = db, .values = rb, .diff = true}}, \
        .attr = KIND(k)                                              \
    }
#define DIMS(...)   \
    {               \
        __VA_ARGS__ \
    }
/* Every pattern of broadcasting for one kind. */
#define PATTERNS(k, ra, rb)                                                            \
    TWO(k, ra, rb, "same shape", 3, DIMS(2, 3, 7), 3, DIMS(2, 3, 7)),                  \
        TWO(k, ra, rb, "channel vector", 4, DIMS(2, 3, 2, 5), 1, DIMS(5)),             \
        TWO(k, ra, rb, "channel vector first", 1, DIMS(5), 4, DIMS(2, 3, 2, 5)),       \
        TWO(k, ra, rb, "scalar", 2, DIMS(3, 7), 1, DIMS(1)),                           \
        TWO(k, ra, rb, "scalar first", 1, DIMS(1), 2, DIMS(3, 7)),                     \
        TWO(k, ra, rb, "one per sample", 4, DIMS(3, 2, 2, 5), 4, DIMS(3, 1, 1, 1)),    \
        TWO(k, ra, rb, "one per row", 3, DIMS(2, 3, 5), 3, DIMS(2, 3, 1)),             \
        TWO(k, ra, rb, "outer", 2, DIMS(4, 1), 2, DIMS(1, 5)),                         \
        TWO(k, ra, rb, "outer, turned", 1, DIMS(5), 2, DIMS(4, 1)),                    \
        TWO(k, ra, rb, "both stretched", 5, DIMS(2, 1, 3, 1, 2), 4, DIMS(4, 1, 3, 1)), \
        TWO(k, ra, rb, "ones only", 3, DIMS(1, 1, 1), 2, DIMS(1, 1))

static const bnf_op_case binary_cases[] = {
    PATTERNS(ADD, ANY, ANY),
    PATTERNS(SUB, ANY, ANY),
    PATTERNS(MUL, ANY, ANY),
    PATTERNS(DIV, ANY, AWAY),
    PATTERNS(MAX, DISTINCT, DISTINCT),
    {.label = "long rows",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {3, 131}}, {.ndim = 1, .dim = {131}}},
     .attr = KIND(ADD)},
    {.label = "ties",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {9, 9}, .values = BNF_VALUES_TIED},
            {.ndim = 2, .dim = {9, 9}, .values = BNF_VALUES_TIED}},
     .attr = KIND(MAX)},
    {.label = "extents",
     .n_in = 2,
     .in = {{.ndim = 2, .dim = {3, 4}}, {.ndim = 1, .dim = {3}}},
     .attr = KIND(ADD),
     .refused = true},
    {.label = "integers",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {3}}, {.ndim = 1, .dim = {3}, .values = BNF_VALUES_LABELS, .classes = 3}},
     .attr = KIND(ADD),
     .refused = true},
    {.label = "kind",
     .n_in = 2,
     .in = {{.ndim = 1, .dim = {3}}, {.ndim = 1, .dim = {3}}},
     .attr = KIND(COUNT),
     .refused = true},
};

/* Element of an array that belongs to position `index` of the result, by the definition of broadcasting. */
static double element(const bnf_desc *d, const double *v, const bnf_desc *full, int64_t index)
{
    int64_t at = 0, step = 1;
    for (int i = 0; i < d->ndim; i++) {
        int64_t extent = full->dim[full->ndim - 1 - i], own = d->dim[d->ndim - 1 - i];
        at += own == 1 ? 0 : index % extent * step;
        step *= own;
        index /= extent;
    }
    return v[at];
}

static void check_binary(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_binary_attr *a = inst->attr;
    const bnf_desc *full = &inst->out[0];
    for (int64_t i = 0; i < bnf_desc_count(full); i++) {
        double x = element(&inst->in[0], in[0], full, i), y = element(&inst->in[1], in[1], full, i);
        const double want[] = {x + y, x - y, x * y, x / y, fmax(x, y)};
        assert_close(out[0][i], want[a->kind], 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_binary = BNF_OP_CASES(binary_cases, check_binary);

#define SIDE(s)                   \
    &(const bnf_maximum_bwd_attr) \
    {                             \
        .side = (s)               \
    }
static const bnf_op_case maximum_bwd_cases[] = {
    {.label = "side of x",
     .n_in = 3,
     .in = {{.ndim = 2, .dim = {3, 5}, .values = DISTINCT, .diff = true},
            {.ndim = 2, .dim = {3, 5}, .values = DISTINCT, .diff = true},
            {.ndim = 2, .dim = {3, 5}, .values = ANY, .diff = true}},
     .attr = SIDE(0)},
    {.label = "side of y, channel vector",
     .n_in = 3,
     .in = {{.ndim = 2, .dim = {3, 5}, .values = DISTINCT, .diff = true},
            {.ndim = 1, .dim = {5}, .values = DISTINCT, .diff = true},
            {.ndim = 2, .dim = {3, 5}, .values = ANY, .diff = true}},
     .attr = SIDE(1)},
    {.label = "ties",
     .n_in = 3,
     .in = {{.ndim = 2, .dim = {9, 9}, .values = BNF_VALUES_TIED},
            {.ndim = 2, .dim = {9, 9}, .values = BNF_VALUES_TIED},
            {.ndim = 2, .dim = {9, 9}}},
     .attr = SIDE(0)},
    {.label = "gradient's shape",
     .n_in = 3,
     .in = {{.ndim = 2, .dim = {3, 5}}, {.ndim = 1, .dim = {5}}, {.ndim = 1, .dim = {5}}},
     .attr = SIDE(0),
     .refused = true},
    {.label = "side",
     .n_in = 3,
     .in = {{.ndim = 1, .dim = {5}}, {.ndim = 1, .dim = {5}}, {.ndim = 1, .dim = {5}}},
     .attr = SIDE(2),
     .refused = true},
};

/* x takes the gradient where both are equal. */
static void check_maximum_bwd(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_maximum_bwd_attr *a = inst->attr;
    const bnf_desc *full = &inst->out[0];
    for (int64_t i = 0; i < bnf_desc_count(full); i++) {
        bool x_wins = element(&inst->in[0], in[0], full, i) >= element(&inst->in[1], in[1], full, i);
        assert_close(out[0][i], x_wins == (a->side == 0) ? in[2][i] : 0.0, 0.0);
    }
}

const bnf_op_case_list bnf_op_cases_maximum_bwd = BNF_OP_CASES(maximum_bwd_cases, check_maximum_bwd);
