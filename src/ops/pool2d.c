/* ops/pool2d.c - max, average and L2-norm pooling of channels-last images, and the gradient. */
#include "ops/pool2d.h"

#include "ops/infer.h"

#include <inttypes.h>

static bnf_status check_attr(const bnf_op_inst *inst, const bnf_pool2d_attr *a)
{
    if (a->kind < BNF_POOL_MAX || a->kind > BNF_POOL_L2)
        return bnf_op_fail(inst, "unknown kind %" PRId64, a->kind);
    for (int i = 0; i < 2; i++) {
        if (a->window[i] < 1 || a->stride[i] < 1)
            return bnf_op_fail(inst,
                               "window %" PRId64 "x%" PRId64 " and stride %" PRId64 "x%" PRId64 " must be at least 1",
                               a->window[0], a->window[1], a->stride[0], a->stride[1]);
        if (a->pad[i] < 0 || a->pad[i + 2] < 0 || a->pad[i] >= a->window[i] || a->pad[i + 2] >= a->window[i])
            return bnf_op_fail(inst, "padding must be 0 or more and smaller than the window %" PRId64 "x%" PRId64,
                               a->window[0], a->window[1]);
    }
    return BNF_OK;
}

static bnf_status output_size(const bnf_op_inst *inst, const bnf_pool2d_attr *a, const int64_t *image, int64_t *size)
{
    for (int i = 0; i < 2; i++) {
        int64_t room = image[i] + a->pad[i] + a->pad[i + 2] - a->window[i];
        if (room < 0)
            return bnf_op_fail(
                inst, "a %" PRId64 "x%" PRId64 " window does not fit into the padded %" PRId64 "x%" PRId64 " image",
                a->window[0], a->window[1], image[0], image[1]);
        size[i] = room / a->stride[i] + 1;
    }
    return BNF_OK;
}

static bnf_status pool_infer(bnf_op_inst *inst)
{
    const bnf_pool2d_attr *a = inst->attr;
    const bnf_desc *x = &inst->in[0];
    int64_t size[2] = {0, 0};
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    if (x->ndim != 4)
        return bnf_op_fail(inst, "needs an image [N,H,W,C]");
    BNF_TRY(check_attr(inst, a));
    BNF_TRY(output_size(inst, a, &x->dim[1], size));
    inst->out[0] = bnf_desc_4d(x->dtype, x->dim[0], size[0], size[1], x->dim[3]);
    if (inst->n_in == 1)
        return BNF_OK;
    if (inst->n_in == 2 || a->kind != BNF_POOL_MAX || !bnf_desc_same_shape(x, &inst->in[1]) ||
        !bnf_desc_same_shape(&inst->out[0], &inst->in[2]))
        return bnf_op_fail(inst, "selecting needs kind max and (v, x, y) of matching shapes");
    return BNF_OK;
}

static bnf_status pool_bwd_infer(bnf_op_inst *inst)
{
    const bnf_pool2d_bwd_attr *a = inst->attr;
    const bnf_desc *dy = &inst->in[0];
    int64_t size[2] = {0, 0};
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    if (dy->ndim != 4)
        return bnf_op_fail(inst, "needs an output gradient [N,OH,OW,C]");
    BNF_TRY(check_attr(inst, &a->pool));
    BNF_TRY(output_size(inst, &a->pool, a->image, size));
    if (dy->dim[1] != size[0] || dy->dim[2] != size[1])
        return bnf_op_fail(inst, "the output gradient must be %" PRId64 "x%" PRId64, size[0], size[1]);
    inst->out[0] = bnf_desc_4d(dy->dtype, dy->dim[0], a->image[0], a->image[1], dy->dim[3]);
    if (inst->n_in != (a->pool.kind == BNF_POOL_AVG ? 1 : 3))
        return bnf_op_fail(inst, "average pooling takes (dy), max and L2 pooling take (dy, x, y)");
    if (inst->n_in == 3 &&
        (!bnf_desc_same_shape(&inst->in[1], &inst->out[0]) || !bnf_desc_same_shape(&inst->in[2], dy)))
        return bnf_op_fail(inst, "x and y do not fit the output gradient");
    return BNF_OK;
}

bnf_pool2d_shape bnf_pool2d_shape_of(const bnf_op_inst *inst)
{
    bool forward = inst->op == &bnf_op_pool2d;
    const bnf_pool2d_bwd_attr *ba = inst->attr;
    const bnf_pool2d_attr *a = forward ? inst->attr : &ba->pool;
    const bnf_desc *x = forward ? &inst->in[0] : &inst->out[0], *y = forward ? &inst->out[0] : &inst->in[0];
    return (bnf_pool2d_shape){.n = x->dim[0],
                              .h = x->dim[1],
                              .w = x->dim[2],
                              .oh = y->dim[1],
                              .ow = y->dim[2],
                              .c = x->dim[3],
                              .kind = (bnf_pool_kind)a->kind,
                              .window = {a->window[0], a->window[1]},
                              .stride = {a->stride[0], a->stride[1]},
                              .pad = {a->pad[0], a->pad[1], a->pad[2], a->pad[3]}};
}

static bnf_val emit_bwd(bnf_builder *b, const bnf_pool2d_bwd_attr *a, bnf_val dy, bnf_val x, bnf_val y)
{
    return bnf_emit(b, &bnf_op_pool2d_bwd, a, a->pool.kind == BNF_POOL_AVG ? 1 : 3, (bnf_val[]){dy, x, y});
}

/* The selecting form is linear in v and constant almost everywhere in x and y: these get no gradient. */
static void pool_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    const bnf_pool2d_attr *pool = inst->attr;
    bnf_pool2d_bwd_attr a = {.pool = *pool, .image = {inst->in[0].dim[1], inst->in[0].dim[2]}};
    bool select = inst->n_in == 3;
    if (bnf_needs_grad(b, in[0]))
        din[0] = emit_bwd(b, &a, dout[0], select ? in[1] : in[0], select ? in[2] : out[0]);
}

/* L2: dx = x B(r) with r = dy / (y + eps), where B adds each window's value to its cells. Its transpose S sums the
 * cells of a window, and both are average pooling times the number of cells. With t = S(g x):
 *     d/d dy = t / (y + eps)    d/d x = g B(r)    d/d y = -t r / (y + eps) */
static void l2_bwd_vjp(bnf_builder *b, const bnf_pool2d_bwd_attr *attr, const bnf_val *in, bnf_val g, bnf_val *din)
{
    bnf_pool2d_bwd_attr a = *attr;
    a.pool.kind = BNF_POOL_AVG;
    double cells = (double)(a.pool.window[0] * a.pool.window[1]);
    bnf_val shifted = bnf_affine(b, in[2], 1.0, BNF_POOL_L2_EPS), r = bnf_div(b, in[0], shifted);
    if (bnf_needs_grad(b, in[0]) || bnf_needs_grad(b, in[2])) {
        bnf_val t = bnf_affine(b, bnf_pool2d(b, bnf_mul(b, g, in[1]), &a.pool), cells, 0.0);
        bnf_val dr = bnf_div(b, t, shifted);
        if (bnf_needs_grad(b, in[0]))
            din[0] = dr;
        if (bnf_needs_grad(b, in[2]))
            din[2] = bnf_affine(b, bnf_mul(b, dr, r), -1.0, 0.0);
    }
    if (bnf_needs_grad(b, in[1]))
        din[1] = bnf_mul(b, g, bnf_affine(b, emit_bwd(b, &a, r, BNF_NONE, BNF_NONE), cells, 0.0));
}

static void pool_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                         const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_pool2d_bwd_attr *a = inst->attr;
    if (a->pool.kind == BNF_POOL_L2)
        l2_bwd_vjp(b, a, in, dout[0], din);
    else if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_emit(b, &bnf_op_pool2d, &a->pool, inst->n_in,
                          (bnf_val[]){dout[0], inst->n_in == 3 ? in[1] : BNF_NONE, inst->n_in == 3 ? in[2] : BNF_NONE});
}

/* Measured on one Zen 4 core, 8x28x28x64: 2x2 windows, max 33/33 us (simd2x2/dnnl), average 25/39, backward 29/54;
 * overlapping 3x3 windows, max 106/42 us (simd/dnnl), average 86/44, backward 113/77. */
static const bnf_kernel pool_kernels[] = {
    {"simd2x2", bnf_pool2d_quad_create, bnf_pool2d_quad, NULL},
    {"dnnl", bnf_pool2d_dnnl_create, bnf_pool2d_dnnl, bnf_pool2d_dnnl_destroy},
    {"simd", bnf_pool2d_simd_create, bnf_pool2d_simd, NULL},
    {"ref", NULL, bnf_pool2d_ref, NULL},
    {0},
};
static const bnf_kernel pool_bf16_kernels[] = {
    {"simd2x2", bnf_pool2d_quad_create, bnf_pool2d_quad, NULL},
    {"dnnl", bnf_pool2d_dnnl_create, bnf_pool2d_dnnl, bnf_pool2d_dnnl_destroy},
    {0},
};

const bnf_op bnf_op_pool2d = {.name = "pool2d",
                              .n_in_min = 1,
                              .n_in_max = 3,
                              .n_out = 1,
                              .attr_size = sizeof(bnf_pool2d_attr),
                              .infer = pool_infer,
                              .vjp = pool_vjp,
                              .kernels = pool_kernels,
                              .bf16_kernels = pool_bf16_kernels,
                              .flags = BNF_OP_BY_SAMPLE};

const bnf_op bnf_op_pool2d_bwd = {.name = "pool2d_bwd",
                                  .n_in_min = 1,
                                  .n_in_max = 3,
                                  .n_out = 1,
                                  .attr_size = sizeof(bnf_pool2d_bwd_attr),
                                  .infer = pool_bwd_infer,
                                  .vjp = pool_bwd_vjp,
                                  .kernels = pool_kernels,
                                  .bf16_kernels = pool_bf16_kernels,
                                  .flags = BNF_OP_BY_SAMPLE};

bnf_val bnf_pool2d(bnf_builder *b, bnf_val x, const bnf_pool2d_attr *attr)
{
    return bnf_emit(b, &bnf_op_pool2d, attr, 1, &x);
}
