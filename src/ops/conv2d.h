/* ops/conv2d.h - what the conv2d operations and their kernels share.
 *
 *     conv2d              (x[N,H,W,I], w[O,I/g,kh,kw] [, bias[O]]) -> y[N,OH,OW,O]
 *     conv2d_bwd_data     (dy[N,OH,OW,O], w)                       -> dx[N,H,W,I]
 *     conv2d_bwd_weights  (x, dy)                                  -> dw[O,I/g,kh,kw], dbias[O] or [1] = 0
 *
 * Where x, y and their gradients are bf16, w, bias and theirs are f32; w counts rounded to bf16.
 * dbias is [1] = 0 if attr.has_bias is 0. All three are linear in each of their two main inputs and form a closed set:
 * the gradient of each is made of the other two. */
#ifndef BNF_OPS_CONV2D_H
#define BNF_OPS_CONV2D_H

#include "ops/op.h"

typedef struct bnf_conv2d_bwd_attr {
    bnf_conv2d_attr conv;
    int64_t image[2];  /* H, W of x */
    int64_t kernel[2]; /* kh, kw */
    int64_t has_bias;  /* bwd_weights: output 1 is the bias gradient; bwd_data: 0 */
} bnf_conv2d_bwd_attr;

/* All extents of one use, whichever of the three operations it is. */
typedef struct bnf_conv2d_shape {
    int64_t n, h, w, i, oh, ow, o, kh, kw, groups;
    int64_t stride[2], pad[4], dilation[2];
    bool bias;
} bnf_conv2d_shape;

/* Reads the extents of a use whose outputs have been inferred. */
bnf_conv2d_shape bnf_conv2d_shape_of(const bnf_op_inst *inst);

extern const bnf_op bnf_op_conv2d, bnf_op_conv2d_bwd_data, bnf_op_conv2d_bwd_weights;

/* Kernel "dnnl" of all three: oneDNN, f32 and bf16. */
bnf_status bnf_conv2d_dnnl_create(const bnf_op_inst *inst, bnf_kernel_plan *k);

/* Kernel "sites": f32 and f64, images of which few cells are not zero (inst->occupancy[0] says so); one group; not the
 * image's gradient. */
bnf_status bnf_conv2d_sites_create(const bnf_op_inst *inst, bnf_kernel_plan *k);
void bnf_conv2d_sites(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                      void *const *out, void *scratch);

/* Kernel "im2col": oneDNN's matrix product over gathered patches; f32, gradients, images of very few channels. */
bnf_status bnf_conv2d_im2col_create(const bnf_op_inst *inst, bnf_kernel_plan *k);
void bnf_conv2d_im2col(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                       void *const *out, void *scratch);

/* Kernel "ref": f32 and f64, any shape, sums in double. */
void bnf_conv2d_ref(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                    void *const *out, void *scratch);

#endif
