/* ops/pool2d_ref.c - pooling and its gradient, window by window. */
#include "ops/pool2d.h"

#include <math.h>
#include <string.h>

#define BNF_REAL_SOURCE "ops/pool2d_ref.inc"
#include "ops/both_reals.inc"

void bnf_pool2d_ref(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                    void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    BNF_REAL_CALL(inst->in[0].dtype, pool_run, inst, in, out);
}
