/* ops/pool2d.h - what the pooling operations and their kernels share.
 *
 *     pool2d      (x[N,H,W,C])                  -> y[N,OH,OW,C]
 *     pool2d_bwd  (dy)                          -> dx, for AVG
 *     pool2d_bwd  (dy, x, y)                    -> dx, for MAX and L2
 *     pool2d      (v[N,H,W,C], x[N,H,W,C], y)   -> [N,OH,OW,C], MAX only: the transpose of pool2d_bwd in dy
 *
 * MAX: of several equal cells the first one, in the order of rows and then columns, is the window's maximum: it is the
 * first cell of x that equals y. It gets the gradient, and it is where the last form reads v (0 if no cell equals y).
 * Whether a NaN in x reaches y depends on the kernel. Padding never takes part in MAX and adds 0 in AVG and L2; every
 * window holds at least one cell of the image, because padding is smaller than the window. */
#ifndef BNF_OPS_POOL2D_H
#define BNF_OPS_POOL2D_H

#include "ops/op.h"

#define BNF_POOL_L2_EPS 1e-6 /* dx = x dy / (y + eps) */

typedef struct bnf_pool2d_bwd_attr {
    bnf_pool2d_attr pool;
    int64_t image[2]; /* H, W of x */
} bnf_pool2d_bwd_attr;

/* All extents of one use. */
typedef struct bnf_pool2d_shape {
    int64_t n, h, w, oh, ow, c;
    bnf_pool_kind kind;
    int64_t window[2], stride[2], pad[4];
} bnf_pool2d_shape;

/* Cells of the image in one window: rows [h0, h1), columns [w0, w1). */
typedef struct bnf_pool2d_range {
    int64_t h0, h1, w0, w1;
} bnf_pool2d_range;

static inline bnf_pool2d_range bnf_pool2d_range_of(const bnf_pool2d_shape *s, int64_t oh, int64_t ow)
{
    int64_t h = oh * s->stride[0] - s->pad[0], w = ow * s->stride[1] - s->pad[1];
    return (bnf_pool2d_range){.h0 = h > 0 ? h : 0,
                              .h1 = h + s->window[0] < s->h ? h + s->window[0] : s->h,
                              .w0 = w > 0 ? w : 0,
                              .w1 = w + s->window[1] < s->w ? w + s->window[1] : s->w};
}

/* Reads the extents of a use whose output has been inferred. */
bnf_pool2d_shape bnf_pool2d_shape_of(const bnf_op_inst *inst);

extern const bnf_op bnf_op_pool2d, bnf_op_pool2d_bwd;

/* Kernels "simd" (f32) and "simd2x2" (f32, f64, bf16; 2x2 windows, stride 2, no padding): vectors along channels. */
bnf_status bnf_pool2d_simd_create(const bnf_op_inst *inst, bnf_kernel_plan *k);
bnf_status bnf_pool2d_quad_create(const bnf_op_inst *inst, bnf_kernel_plan *k);
void bnf_pool2d_quad(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch);
void bnf_pool2d_simd(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch);

/* Kernel "dnnl": MAX and AVG forward in f32 and bf16, AVG backward in f32. */
bnf_status bnf_pool2d_dnnl_create(const bnf_op_inst *inst, bnf_kernel_plan *k);
void bnf_pool2d_dnnl(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch);
void bnf_pool2d_dnnl_destroy(bnf_kernel_plan *k);

/* Kernel "ref": f32 and f64, sums in double. */
void bnf_pool2d_ref(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                    void *const *out, void *scratch);

#endif
