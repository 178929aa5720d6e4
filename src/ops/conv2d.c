/* ops/conv2d.c - two-dimensional convolution (cross-correlation) of channels-last images, and its two gradients. */
#include "ops/conv2d.h"

#include "ops/infer.h"
#include "ops/linear_dnnl.h"

#include <inttypes.h>

/* Positions of a window of `kernel` cells along one axis; below 1: it does not fit. */
static int64_t positions(int64_t extent, int64_t kernel, int64_t stride, int64_t dilation, int64_t begin, int64_t end)
{
    int64_t span = (kernel - 1) * dilation + 1, room = extent + begin + end - span;
    return room < 0 ? 0 : room / stride + 1;
}

static bnf_status check_attr(const bnf_op_inst *inst, const bnf_conv2d_attr *a)
{
    for (int i = 0; i < 2; i++)
        if (a->stride[i] < 1 || a->dilation[i] < 1)
            return bnf_op_fail(inst,
                               "stride %" PRId64 "x%" PRId64 " and dilation %" PRId64 "x%" PRId64 " must be at least 1",
                               a->stride[0], a->stride[1], a->dilation[0], a->dilation[1]);
    for (int i = 0; i < 4; i++)
        if (a->pad[i] < 0)
            return bnf_op_fail(inst, "padding must not be negative (it has %" PRId64 ")", a->pad[i]);
    if (a->groups < 1)
        return bnf_op_fail(inst, "groups must be at least 1, not %" PRId64, a->groups);
    return BNF_OK;
}

static bnf_status check_channels(const bnf_op_inst *inst, int64_t groups, int64_t in, int64_t out)
{
    if (in % groups != 0 || out % groups != 0)
        return bnf_op_fail(inst, "%" PRId64 " groups do not divide %" PRId64 " input and %" PRId64 " output channels",
                           groups, in, out);
    return BNF_OK;
}

static bnf_status check_ndim(const bnf_op_inst *inst, int input, const char *what)
{
    return inst->in[input].ndim == 4 ? BNF_OK : bnf_op_fail(inst, "%s needs 4 dimensions", what);
}

/* Extents of the output of a convolution of a h x w image with a kh x kw kernel. */
static bnf_status output_size(const bnf_op_inst *inst, const bnf_conv2d_attr *a, const int64_t *image,
                              const int64_t *kernel, int64_t *oh, int64_t *ow)
{
    *oh = positions(image[0], kernel[0], a->stride[0], a->dilation[0], a->pad[0], a->pad[2]);
    *ow = positions(image[1], kernel[1], a->stride[1], a->dilation[1], a->pad[1], a->pad[3]);
    if (*oh < 1 || *ow < 1)
        return bnf_op_fail(
            inst, "a %" PRId64 "x%" PRId64 " kernel does not fit into the padded %" PRId64 "x%" PRId64 " image",
            kernel[0], kernel[1], image[0], image[1]);
    return BNF_OK;
}

static bnf_status conv_infer(bnf_op_inst *inst)
{
    const bnf_conv2d_attr *a = inst->attr;
    const bnf_desc *x = &inst->in[0], *w = &inst->in[1];
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    BNF_TRY(check_ndim(inst, 0, "the image [N,H,W,I]"));
    BNF_TRY(check_ndim(inst, 1, "the weight [O,I/groups,kh,kw]"));
    BNF_TRY(check_attr(inst, a));
    BNF_TRY(check_channels(inst, a->groups, x->dim[3], w->dim[0]));
    if (w->dim[1] * a->groups != x->dim[3])
        return bnf_op_fail(inst,
                           "the weight is for %" PRId64 " input channels in %" PRId64 " groups, the image has %" PRId64,
                           w->dim[1] * a->groups, a->groups, x->dim[3]);
    if (inst->n_in == 3 && (inst->in[2].ndim != 1 || inst->in[2].dim[0] != w->dim[0]))
        return bnf_op_fail(inst, "the bias must be [%" PRId64 "]", w->dim[0]);
    int64_t oh = 0, ow = 0;
    BNF_TRY(output_size(inst, a, &x->dim[1], &w->dim[2], &oh, &ow));
    inst->out[0] = bnf_desc_4d(x->dtype, x->dim[0], oh, ow, w->dim[0]);
    return BNF_OK;
}

/* dy must be what the forward operation gives for attr's image and kernel. */
static bnf_status check_dy(const bnf_op_inst *inst, const bnf_conv2d_bwd_attr *a, const bnf_desc *dy)
{
    int64_t oh = 0, ow = 0;
    BNF_TRY(output_size(inst, &a->conv, a->image, a->kernel, &oh, &ow));
    if (dy->dim[1] != oh || dy->dim[2] != ow)
        return bnf_op_fail(inst, "the output gradient must be %" PRId64 "x%" PRId64, oh, ow);
    return BNF_OK;
}

static bnf_status bwd_data_infer(bnf_op_inst *inst)
{
    const bnf_conv2d_bwd_attr *a = inst->attr;
    const bnf_desc *dy = &inst->in[0], *w = &inst->in[1];
    BNF_TRY(bnf_infer_reals(inst, 2));
    BNF_TRY(check_ndim(inst, 0, "the output gradient [N,OH,OW,O]"));
    BNF_TRY(check_ndim(inst, 1, "the weight [O,I/groups,kh,kw]"));
    BNF_TRY(check_attr(inst, &a->conv));
    BNF_TRY(check_channels(inst, a->conv.groups, w->dim[1] * a->conv.groups, w->dim[0]));
    if (w->dim[0] != dy->dim[3] || w->dim[2] != a->kernel[0] || w->dim[3] != a->kernel[1])
        return bnf_op_fail(inst, "weight and output gradient do not fit each other and the kernel %" PRId64 "x%" PRId64,
                           a->kernel[0], a->kernel[1]);
    BNF_TRY(check_dy(inst, a, dy));
    inst->out[0] = bnf_desc_4d(dy->dtype, dy->dim[0], a->image[0], a->image[1], w->dim[1] * a->conv.groups);
    return BNF_OK;
}

static bnf_status bwd_weights_infer(bnf_op_inst *inst)
{
    const bnf_conv2d_bwd_attr *a = inst->attr;
    const bnf_desc *x = &inst->in[0], *dy = &inst->in[1];
    BNF_TRY(bnf_infer_reals(inst, 2));
    BNF_TRY(check_ndim(inst, 0, "the image [N,H,W,I]"));
    BNF_TRY(check_ndim(inst, 1, "the output gradient [N,OH,OW,O]"));
    BNF_TRY(check_attr(inst, &a->conv));
    BNF_TRY(check_channels(inst, a->conv.groups, x->dim[3], dy->dim[3]));
    if (x->dim[0] != dy->dim[0] || x->dim[1] != a->image[0] || x->dim[2] != a->image[1])
        return bnf_op_fail(inst,
                           "image and output gradient do not fit each other and the image size %" PRId64 "x%" PRId64,
                           a->image[0], a->image[1]);
    BNF_TRY(check_dy(inst, a, dy));
    inst->out[0] =
        bnf_desc_4d(bnf_dtype_of_sums(x->dtype), dy->dim[3], x->dim[3] / a->conv.groups, a->kernel[0], a->kernel[1]);
    inst->out[1] = bnf_desc_1d(bnf_dtype_of_sums(x->dtype), a->has_bias ? dy->dim[3] : 1);
    return BNF_OK;
}

bnf_conv2d_shape bnf_conv2d_shape_of(const bnf_op_inst *inst)
{
    const bnf_desc *x, *w, *y;
    const bnf_conv2d_attr *a;
    bool bias = false;
    if (inst->op == &bnf_op_conv2d) {
        x = &inst->in[0], w = &inst->in[1], y = &inst->out[0];
        a = inst->attr;
        bias = inst->n_in == 3;
    } else {
        const bnf_conv2d_bwd_attr *ba = inst->attr;
        bool data = inst->op == &bnf_op_conv2d_bwd_data;
        x = data ? &inst->out[0] : &inst->in[0];
        w = data ? &inst->in[1] : &inst->out[0];
        y = data ? &inst->in[0] : &inst->in[1];
        a = &ba->conv;
        bias = ba->has_bias != 0;
    }
    return (bnf_conv2d_shape){.n = x->dim[0],
                              .h = x->dim[1],
                              .w = x->dim[2],
                              .i = x->dim[3],
                              .oh = y->dim[1],
                              .ow = y->dim[2],
                              .o = y->dim[3],
                              .kh = w->dim[2],
                              .kw = w->dim[3],
                              .groups = a->groups,
                              .stride = {a->stride[0], a->stride[1]},
                              .pad = {a->pad[0], a->pad[1], a->pad[2], a->pad[3]},
                              .dilation = {a->dilation[0], a->dilation[1]},
                              .bias = bias};
}

/* All cells of the kernel count, also where they meet padding. */
static double conv_flops(const bnf_op_inst *inst)
{
    bnf_conv2d_shape s = bnf_conv2d_shape_of(inst);
    return 2.0 * (double)(s.n * s.oh * s.ow) * (double)(s.o * (s.i / s.groups)) * (double)(s.kh * s.kw);
}

static bnf_conv2d_bwd_attr bwd_attr_of(const bnf_conv2d_attr *a, const bnf_desc *x, const bnf_desc *w, bool bias)
{
    return (bnf_conv2d_bwd_attr){
        .conv = *a, .image = {x->dim[1], x->dim[2]}, .kernel = {w->dim[2], w->dim[3]}, .has_bias = bias};
}

static bnf_val emit_bwd_data(bnf_builder *b, const bnf_conv2d_bwd_attr *attr, bnf_val dy, bnf_val w)
{
    bnf_conv2d_bwd_attr a = *attr;
    a.has_bias = 0;
    return bnf_emit(b, &bnf_op_conv2d_bwd_data, &a, 2, (bnf_val[]){dy, w});
}

static void conv_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    (void)out;
    bool bias = inst->n_in == 3 && bnf_needs_grad(b, in[2]);
    bnf_conv2d_bwd_attr a = bwd_attr_of(inst->attr, &inst->in[0], &inst->in[1], bias);
    if (bnf_needs_grad(b, in[0]))
        din[0] = emit_bwd_data(b, &a, dout[0], in[1]);
    if (bnf_needs_grad(b, in[1]) || bias) {
        bnf_val dw[2];
        bnf_emit_multi(b, &bnf_op_conv2d_bwd_weights, &a, 2, (bnf_val[]){in[0], dout[0]}, dw);
        if (bnf_needs_grad(b, in[1]))
            din[1] = dw[0];
        if (bias)
            din[2] = dw[1];
    }
}

/* dx = f(dy, w): <g, dx> = <conv(g, w), dy> = <bwd_weights(g, dy), w>. */
static void bwd_data_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                         const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_conv2d_bwd_attr *a = inst->attr;
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_conv2d(b, dout[0], in[1], BNF_NONE, &a->conv);
    if (bnf_needs_grad(b, in[1])) {
        bnf_val dw[2];
        bnf_emit_multi(b, &bnf_op_conv2d_bwd_weights, a, 2, (bnf_val[]){dout[0], in[0]}, dw);
        din[1] = dw[0];
    }
}

/* (dw, dbias) = f(x, dy): <g, dw> + <h, dbias> = <bwd_data(dy, g), x> = <conv(x, g) + h, dy>. */
static void bwd_weights_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                            const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_conv2d_bwd_attr *a = inst->attr;
    bool weight = bnf_val_ok(dout[0]), bias = a->has_bias && bnf_val_ok(dout[1]);
    if (bnf_needs_grad(b, in[0]) && weight)
        din[0] = emit_bwd_data(b, a, in[1], dout[0]);
    if (bnf_needs_grad(b, in[1])) {
        if (weight)
            din[1] = bnf_conv2d(b, in[0], dout[0], bias ? dout[1] : BNF_NONE, &a->conv);
        else if (bias)
            din[1] = bnf_broadcast_to(b, dout[1], &inst->in[1]);
    }
}

static const bnf_kernel conv_kernels[] = {
    {"sites", bnf_conv2d_sites_create, bnf_conv2d_sites, NULL},
    {"im2col", bnf_conv2d_im2col_create, bnf_conv2d_im2col, NULL},
    {"dnnl", bnf_conv2d_dnnl_create, bnf_linear_dnnl_run, bnf_linear_dnnl_destroy},
    {"ref", NULL, bnf_conv2d_ref, NULL},
    {0},
};
static const bnf_kernel conv_bf16_kernels[] = {
    {"dnnl", bnf_conv2d_dnnl_create, bnf_linear_dnnl_run, bnf_linear_dnnl_destroy},
    {0},
};

const bnf_op bnf_op_conv2d = {.name = "conv2d",
                              .n_in_min = 2,
                              .n_in_max = 3,
                              .n_out = 1,
                              .attr_size = sizeof(bnf_conv2d_attr),
                              .infer = conv_infer,
                              .vjp = conv_vjp,
                              .kernels = conv_kernels,
                              .bf16_kernels = conv_bf16_kernels,
                              .flags = BNF_OP_WEIGHT,
                              .flops = conv_flops,
                              .f32_in = 2 | 4};

const bnf_op bnf_op_conv2d_bwd_data = {.name = "conv2d_bwd_data",
                                       .n_in_min = 2,
                                       .n_in_max = 2,
                                       .n_out = 1,
                                       .attr_size = sizeof(bnf_conv2d_bwd_attr),
                                       .infer = bwd_data_infer,
                                       .vjp = bwd_data_vjp,
                                       .kernels = conv_kernels,
                                       .bf16_kernels = conv_bf16_kernels,
                                       .flags = BNF_OP_WEIGHT,
                                       .flops = conv_flops,
                                       .f32_in = 2};

const bnf_op bnf_op_conv2d_bwd_weights = {.name = "conv2d_bwd_weights",
                                          .n_in_min = 2,
                                          .n_in_max = 2,
                                          .n_out = 2,
                                          .attr_size = sizeof(bnf_conv2d_bwd_attr),
                                          .infer = bwd_weights_infer,
                                          .vjp = bwd_weights_vjp,
                                          .kernels = conv_kernels,
                                          .bf16_kernels = conv_bf16_kernels,
                                          .flops = conv_flops};

void bnf_same_padding(const int64_t image[2], const int64_t window[2], const int64_t stride[2], int64_t pad[4])
{
    for (int i = 0; i < 2; i++) {
        int64_t missing = (image[i] - 1) / stride[i] * stride[i] + window[i] - image[i];
        pad[i] = missing > 0 ? missing / 2 : 0;
        pad[i + 2] = missing > 0 ? missing - pad[i] : 0;
    }
}

bnf_val bnf_conv2d(bnf_builder *b, bnf_val x, bnf_val w, bnf_val bias, const bnf_conv2d_attr *attr)
{
    return bnf_emit(b, &bnf_op_conv2d, attr, bnf_val_ok(bias) ? 3 : 2, (bnf_val[]){x, w, bias});
}
