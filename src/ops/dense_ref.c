/* ops/dense_ref.c - dense and its gradients as plain sums: what every other kernel is compared with. */
#include "ops/dense.h"

#define BNF_REAL_SOURCE "ops/dense_ref.inc"
#include "ops/both_reals.inc"

void bnf_dense_ref(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                   void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    BNF_REAL_CALL(inst->in[0].dtype, dense_run, inst, in, out);
}
