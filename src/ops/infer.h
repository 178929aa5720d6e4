/* ops/infer.h - what many shape rules check. */
#ifndef BNF_OPS_INFER_H
#define BNF_OPS_INFER_H

#include "ops/op.h"

static inline bool bnf_dtype_is_real(bnf_dtype t)
{
    return t == BNF_F32 || t == BNF_F64 || t == BNF_BF16;
}

/* Type of the weights, statistics and sums that go with values of type t. */
static inline bnf_dtype bnf_dtype_of_sums(bnf_dtype t)
{
    return t == BNF_BF16 ? BNF_F32 : t;
}

/* The first `n` inputs have one real type, but for those of op->f32_in beside bf16. Errors: BNF_ERR_ARG. */
static inline bnf_status bnf_infer_reals(const bnf_op_inst *inst, int n)
{
    const bnf_dtype real = inst->in[0].dtype, sums = bnf_dtype_of_sums(real);
    for (int i = 0; i < n; i++)
        if (!bnf_dtype_is_real(real) || inst->in[i].dtype != (inst->op->f32_in >> i & 1 ? sums : real))
            return bnf_op_fail(inst,
                               real == BNF_BF16 && inst->op->f32_in >> i & 1
                                   ? "input %d must be f32 beside bf16"
                                   : "needs inputs of one real type (input %d)",
                               i);
    return BNF_OK;
}

/* All inputs have one real type and one shape; output 0 has it too. Errors: BNF_ERR_ARG. */
static inline bnf_status bnf_infer_elementwise(bnf_op_inst *inst)
{
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    for (int i = 1; i < inst->n_in; i++)
        if (!bnf_desc_same_shape(&inst->in[i], &inst->in[0]))
            return bnf_op_fail(inst, "needs inputs of one shape");
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

#endif
