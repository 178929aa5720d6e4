/* op/op_case.h - test cases of one operation: `const bnf_op_case_list bnf_op_cases_<name>` in tests/op/cases/.
 *
 * tests/op/ops.c runs for every case of every operation in ops/table.inc:
 *   kernels    each kernel that accepts the case, in f32 and in f64, against the reference kernel in f64; twice with
 *              the same bits; by two threads at once with the same bits; in place where op->inplace allows it, with the
 *              same bits; with packed parameters where the case allows them; never writing beside its outputs;
 *              then the same in bf16, on inputs rounded to it
 *   values     list->check, an independent statement of what the outputs are (optional)
 *   gradients  central differences in f64 of a random projection of the outputs (all of them, then each alone) against
 *              the operation's vjp, for every input marked `diff` (all of them, then each alone)
 *   refusals   cases marked `refused`: the shape rule must give BNF_ERR_ARG and name the operation */
#ifndef BNF_TESTS_OP_CASE_H
#define BNF_TESTS_OP_CASE_H

#include "ops/op.h"

/* What values an input gets. All but LABELS and PLACES have the real type under test. */
typedef enum bnf_op_values {
    BNF_VALUES_ANY = 0,  /* uniform in [-2, 2] */
    BNF_VALUES_AWAY,     /* 0.3 <= |x| <= 2: away from a kink at 0 */
    BNF_VALUES_POSITIVE, /* 0.3 ... 2 */
    BNF_VALUES_DISTINCT, /* shuffled grid over [-2, 2]: no two elements closer than 2 / count */
    BNF_VALUES_TIED,     /* small integers in -2 ... 2, as reals: many equal values, no use for differences */
    BNF_VALUES_LABELS,   /* i32 in 0 ... classes-1 */
    BNF_VALUES_WEIGHTS,  /* 0 or 1, at least one 1, as reals */
    BNF_VALUES_PLACES    /* i32: every row of the last dimension a permutation of 0 ... cols-1 */
} bnf_op_values;

typedef struct bnf_op_input {
    int ndim;
    int64_t dim[BNF_MAX_DIMS];
    bnf_op_values values;
    int64_t classes;  /* LABELS only */
    bool diff;        /* the gradient with respect to this input is checked */
    double occupancy; /* share of elements that are not zero; kernels are told that it is tiny. 0: all, unknown */
    bool param;       /* run also with in_is_param set (kernels may then want it packed) */
} bnf_op_input;

typedef struct bnf_op_case {
    const char *label; /* names the case in failures */
    int n_in;
    bnf_op_input in[BNF_OP_MAX_IN];
    const void *attr;
    int64_t terms; /* products summed into one output element (0 = 1): f32 may differ from f64 by
                      4 eps (4 + sqrt(terms)) max(1, |largest output|) */
    bool pack_out; /* run also with out_may_pack set for output 0 */
    bool refused;  /* the shape rule must refuse it */
} bnf_op_case;

typedef struct bnf_op_case_list {
    int count;
    const bnf_op_case *cases;
    /* Asserts (cmocka) what the f64 reference computed; every value as f64, labels too. May be NULL. */
    void (*check)(const bnf_op_inst *inst, const double *const *in, const double *const *out);
} bnf_op_case_list;

/* const bnf_op_case_list bnf_op_cases_clip = BNF_OP_CASES(cases, check_clip); */
#define BNF_OP_CASES(array, check_fn)                                  \
    {                                                                  \
        (int)(sizeof(array) / sizeof((array)[0])), (array), (check_fn) \
    }

/* Declarations of all lists: an operation without its list does not link. */
#define BNF_OP(name) extern const bnf_op_case_list bnf_op_cases_##name;
#include "ops/table.inc"
#undef BNF_OP

#endif
