/* op/cases/cast.c - cast. Run with inputs in f64, f32 and bf16. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/op_case.h"
#include "ops/attr.h"

#define TO(t)              \
    &(const bnf_cast_attr) \
    {                      \
        .to = (t)          \
    }
#define ODD(d)                                        \
    {                                                 \
        {                                             \
            .ndim = 3, .dim = {3, 5, 37}, .diff = (d) \
        }                                             \
    }

static const bnf_op_case cast_cases[] = {
    {.label = "to bf16", .n_in = 1, .in = ODD(false), .attr = TO(BNF_BF16)},
    {.label = "to f32", .n_in = 1, .in = ODD(false), .attr = TO(BNF_F32)},
    {.label = "to f64", .n_in = 1, .in = ODD(true), .attr = TO(BNF_F64)},
    {.label = "one element", .n_in = 1, .in = {{.ndim = 1, .dim = {1}}}, .attr = TO(BNF_BF16)},
    {.label = "to an integer", .n_in = 1, .in = ODD(false), .attr = TO(BNF_I32), .refused = true},
    {.label = "from an integer",
     .n_in = 1,
     .in = {{.ndim = 1, .dim = {3}, .values = BNF_VALUES_LABELS, .classes = 2}},
     .attr = TO(BNF_F32),
     .refused = true},
};

/* bf16 has 8 bits: its numbers next to v are at most |v| 2^-7 apart. */
static void check_cast(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const double unit = inst->out[0].dtype == BNF_BF16 ? 0x1p-8 : inst->out[0].dtype == BNF_F32 ? 0x1p-24 : 0.0;
    for (int64_t i = 0; i < bnf_desc_count(&inst->in[0]); i++) {
        assert_close(out[0][i], in[0][i], unit * fabs(in[0][i]));
        if (inst->out[0].dtype == BNF_BF16) { /* a multiple of the last bit's place */
            int exponent;
            frexp(out[0][i], &exponent);
            assert_true(ldexp(out[0][i], 8 - exponent) == round(ldexp(out[0][i], 8 - exponent)));
        }
    }
}

extern const bnf_op_case_list bnf_op_cases_cast;
const bnf_op_case_list bnf_op_cases_cast = BNF_OP_CASES(cast_cases, check_cast);
