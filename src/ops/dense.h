/* ops/dense.h - what the dense operations and their kernels share.
 *
 *     dense              (x[N,I], w[O,I] [, bias[O]]) -> y[N,O] = x w' + bias
 *     dense_bwd_data     (dy[N,O], w)                 -> dx[N,I] = dy w
 *     dense_bwd_weights  (x, dy)                      -> dw[O,I] = dy' x, dbias[O] = column sums of dy, or [1] = 0
 *
 * Where x, y and their gradients are bf16, w, bias and theirs are f32; w counts rounded to bf16. */
#ifndef BNF_OPS_DENSE_H
#define BNF_OPS_DENSE_H

#include "ops/op.h"

typedef struct bnf_dense_bwd_attr {
    int64_t has_bias; /* dense_bwd_weights: output 1 is the bias gradient */
} bnf_dense_bwd_attr;

extern const bnf_op bnf_op_dense, bnf_op_dense_bwd_data, bnf_op_dense_bwd_weights;

/* All extents of one use, whichever of the three operations it is; its outputs have been inferred. */
typedef struct bnf_dense_shape {
    int64_t n, i, o;
    bool bias;
} bnf_dense_shape;
bnf_dense_shape bnf_dense_shape_of(const bnf_op_inst *inst);

/* Kernel "dnnl" of all three: oneDNN, f32 and bf16. */
bnf_status bnf_dense_dnnl_create(const bnf_op_inst *inst, bnf_kernel_plan *k);

/* Kernel "ref": f32 and f64, sums in double. */
void bnf_dense_ref(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                   void *const *out, void *scratch);

#endif
