/* ops/dense.c - matrix product with a weight, and its two gradients. */
#include "ops/dense.h"

#include "ops/infer.h"
#include "ops/linear_dnnl.h"

#include <inttypes.h>

static bnf_status check_matrices(const bnf_op_inst *inst)
{
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    if (inst->in[0].ndim != 2 || inst->in[1].ndim != 2)
        return bnf_op_fail(inst, "needs two matrices");
    return BNF_OK;
}

static bnf_status dense_infer(bnf_op_inst *inst)
{
    const bnf_desc *x = &inst->in[0], *w = &inst->in[1];
    BNF_TRY(check_matrices(inst));
    if (x->dim[1] != w->dim[1])
        return bnf_op_fail(inst, "the weight [O,I] is for %" PRId64 " inputs, x[N,I] has %" PRId64, w->dim[1],
                           x->dim[1]);
    if (inst->n_in == 3 && (inst->in[2].ndim != 1 || inst->in[2].dim[0] != w->dim[0]))
        return bnf_op_fail(inst, "the bias must be [%" PRId64 "]", w->dim[0]);
    inst->out[0] = bnf_desc_2d(x->dtype, x->dim[0], w->dim[0]);
    return BNF_OK;
}

static bnf_status bwd_data_infer(bnf_op_inst *inst)
{
    const bnf_desc *dy = &inst->in[0], *w = &inst->in[1];
    BNF_TRY(check_matrices(inst));
    if (dy->dim[1] != w->dim[0])
        return bnf_op_fail(inst, "the weight [O,I] has %" PRId64 " outputs, dy[N,O] has %" PRId64, w->dim[0],
                           dy->dim[1]);
    inst->out[0] = bnf_desc_2d(dy->dtype, dy->dim[0], w->dim[1]);
    return BNF_OK;
}

static bnf_status bwd_weights_infer(bnf_op_inst *inst)
{
    const bnf_dense_bwd_attr *a = inst->attr;
    const bnf_desc *x = &inst->in[0], *dy = &inst->in[1];
    BNF_TRY(check_matrices(inst));
    if (x->dim[0] != dy->dim[0])
        return bnf_op_fail(inst, "x[N,I] and dy[N,O] have different numbers of rows");
    inst->out[0] = bnf_desc_2d(bnf_dtype_of_sums(x->dtype), dy->dim[1], x->dim[1]);
    inst->out[1] = bnf_desc_1d(bnf_dtype_of_sums(x->dtype), a->has_bias ? dy->dim[1] : 1);
    return BNF_OK;
}

bnf_dense_shape bnf_dense_shape_of(const bnf_op_inst *inst)
{
    if (inst->op == &bnf_op_dense)
        return (bnf_dense_shape){inst->in[0].dim[0], inst->in[0].dim[1], inst->out[0].dim[1], inst->n_in == 3};
    if (inst->op == &bnf_op_dense_bwd_data)
        return (bnf_dense_shape){inst->in[0].dim[0], inst->out[0].dim[1], inst->in[0].dim[1], false};
    const bnf_dense_bwd_attr *a = inst->attr;
    return (bnf_dense_shape){inst->in[0].dim[0], inst->in[0].dim[1], inst->in[1].dim[1], a->has_bias != 0};
}

static double dense_flops(const bnf_op_inst *inst)
{
    bnf_dense_shape s = bnf_dense_shape_of(inst);
    return 2.0 * (double)s.n * (double)s.i * (double)s.o;
}

static void emit_bwd_weights(bnf_builder *b, bool bias, bnf_val x, bnf_val dy, bnf_val dw[2])
{
    bnf_dense_bwd_attr a = {.has_bias = bias};
    bnf_emit_multi(b, &bnf_op_dense_bwd_weights, &a, 2, (bnf_val[]){x, dy}, dw);
}

static void dense_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                      const bnf_val *dout, bnf_val *din)
{
    (void)out;
    bool bias = inst->n_in == 3 && bnf_needs_grad(b, in[2]), weight = bnf_needs_grad(b, in[1]);
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_emit(b, &bnf_op_dense_bwd_data, NULL, 2, (bnf_val[]){dout[0], in[1]});
    if (!weight && !bias)
        return;
    bnf_val dw[2];
    emit_bwd_weights(b, bias, in[0], dout[0], dw);
    if (weight)
        din[1] = dw[0];
    if (bias)
        din[2] = dw[1];
}

/* dx = dy w: <g, dx> = <g w', dy> = <dy' g, w>. */
static void bwd_data_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                         const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)out;
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_dense(b, dout[0], in[1], BNF_NONE);
    if (bnf_needs_grad(b, in[1])) {
        bnf_val dw[2];
        emit_bwd_weights(b, false, dout[0], in[0], dw);
        din[1] = dw[0];
    }
}

/* dw = dy' x, dbias = dy' 1: <g, dw> + <h, dbias> = <dy g, x> = <x g' + 1 h', dy>. */
static void bwd_weights_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                            const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_dense_bwd_attr *a = inst->attr;
    bool weight = bnf_val_ok(dout[0]), bias = a->has_bias && bnf_val_ok(dout[1]);
    if (bnf_needs_grad(b, in[0]) && weight)
        din[0] = bnf_emit(b, &bnf_op_dense_bwd_data, NULL, 2, (bnf_val[]){in[1], dout[0]});
    if (bnf_needs_grad(b, in[1])) {
        if (weight)
            din[1] = bnf_dense(b, in[0], dout[0], bias ? dout[1] : BNF_NONE);
        else if (bias)
            din[1] = bnf_broadcast_to(b, dout[1], &inst->in[1]);
    }
}

static const bnf_kernel dense_kernels[] = {
    {"dnnl", bnf_dense_dnnl_create, bnf_linear_dnnl_run, bnf_linear_dnnl_destroy},
    {"ref", NULL, bnf_dense_ref, NULL},
    {0},
};
static const bnf_kernel dense_bf16_kernels[] = {
    {"dnnl", bnf_dense_dnnl_create, bnf_linear_dnnl_run, bnf_linear_dnnl_destroy},
    {0},
};

const bnf_op bnf_op_dense = {.name = "dense",
                             .n_in_min = 2,
                             .n_in_max = 3,
                             .n_out = 1,
                             .infer = dense_infer,
                             .vjp = dense_vjp,
                             .kernels = dense_kernels,
                             .bf16_kernels = dense_bf16_kernels,
                             .flags = BNF_OP_WEIGHT,
                             .flops = dense_flops,
                             .f32_in = 2 | 4};

const bnf_op bnf_op_dense_bwd_data = {.name = "dense_bwd_data",
                                      .n_in_min = 2,
                                      .n_in_max = 2,
                                      .n_out = 1,
                                      .infer = bwd_data_infer,
                                      .vjp = bwd_data_vjp,
                                      .kernels = dense_kernels,
                                      .bf16_kernels = dense_bf16_kernels,
                                      .flags = BNF_OP_WEIGHT,
                                      .flops = dense_flops,
                                      .f32_in = 2};

const bnf_op bnf_op_dense_bwd_weights = {.name = "dense_bwd_weights",
                                         .n_in_min = 2,
                                         .n_in_max = 2,
                                         .n_out = 2,
                                         .attr_size = sizeof(bnf_dense_bwd_attr),
                                         .infer = bwd_weights_infer,
                                         .vjp = bwd_weights_vjp,
                                         .kernels = dense_kernels,
                                         .bf16_kernels = dense_bf16_kernels,
                                         .flops = dense_flops};

bnf_val bnf_dense(bnf_builder *b, bnf_val x, bnf_val w, bnf_val bias)
{
    if (bnf_val_ok(x)) {
        const bnf_desc *d = bnf_val_desc(b, x);
        if (d->ndim != 2)
            x = bnf_reshape(b, x, 2, (int64_t[]){bnf_desc_rows(d), bnf_desc_cols(d)});
    }
    return bnf_emit(b, &bnf_op_dense, NULL, bnf_val_ok(bias) ? 3 : 2, (bnf_val[]){x, w, bias});
}
