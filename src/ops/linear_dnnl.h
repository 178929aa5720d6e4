/* ops/linear_dnnl.h - what the oneDNN kernels of conv2d and dense share: which input is what, and packed weights.
 *
 * Both families have the same three operations: forward (x, w [, bias]) -> y, bwd_data (dy, w) -> dx and bwd_weights
 * (x, dy) -> (dw, dbias or [1] = 0). Where the weight is no parameter, or its gradient may not stay packed, run()
 * converts through scratch memory. */
#ifndef BNF_OPS_LINEAR_DNNL_H
#define BNF_OPS_LINEAR_DNNL_H

#include "ops/dnnl.h"

/* Fills k for the use `inst` of a pass that `spec` describes. Errors: of bnf_dnnl_create. */
bnf_status bnf_linear_dnnl_create(const bnf_op_inst *inst, const bnf_dnnl_spec *spec, bnf_kernel_plan *k);
void bnf_linear_dnnl_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                         const void *const *in, void *const *out, void *scratch);
void bnf_linear_dnnl_destroy(bnf_kernel_plan *k);

#endif
