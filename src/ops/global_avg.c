/* ops/global_avg.c - global average pooling. */
#include "ops/global_avg.h"

#include "base/simd.h"
#include "ops/infer.h"

#define BNF_REAL_SOURCE "ops/global_avg.inc"
#include "ops/both_reals.inc"

static bnf_status avg_infer(bnf_op_inst *inst)
{
    const bnf_desc *x = &inst->in[0];
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (x->ndim != 4)
        return bnf_op_fail(inst, "needs an image [N,H,W,C]");
    inst->out[0] = bnf_desc_2d(x->dtype, x->dim[0], x->dim[3]);
    return BNF_OK;
}

static bnf_status avg_bwd_infer(bnf_op_inst *inst)
{
    const bnf_global_avg_bwd_attr *a = inst->attr;
    const bnf_desc *dy = &inst->in[0];
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (dy->ndim != 2)
        return bnf_op_fail(inst, "needs an output gradient [N,C]");
    if (a->image[0] < 1 || a->image[1] < 1)
        return bnf_op_fail(inst, "image size must be at least 1x1");
    inst->out[0] = bnf_desc_4d(dy->dtype, dy->dim[0], a->image[0], a->image[1], dy->dim[1]);
    return BNF_OK;
}

static void avg_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out, const bnf_val *dout,
                    bnf_val *din)
{
    (void)in, (void)out;
    const bnf_global_avg_attr *fwd = inst->attr;
    bnf_global_avg_bwd_attr a = {.scale = fwd->scale, .image = {inst->in[0].dim[1], inst->in[0].dim[2]}};
    din[0] = bnf_emit(b, &bnf_op_global_avg_bwd, &a, 1, dout);
}

static void avg_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                        const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    const bnf_global_avg_bwd_attr *a = inst->attr;
    din[0] = bnf_global_avg(b, dout[0], a->scale);
}

static void avg_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                    void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_global_avg_attr *a = inst->attr;
    const bnf_desc *x = &inst->in[0];
    int64_t hw = x->dim[1] * x->dim[2];
    double factor = a->scale / (double)hw;
    if (x->dtype == BNF_F32)
        global_fwd_f32(x->dim[0], hw, x->dim[3], (float)factor, in[0], out[0]);
    else
        global_fwd_f64(x->dim[0], hw, x->dim[3], factor, in[0], out[0]);
}

static void avg_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                        const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_global_avg_bwd_attr *a = inst->attr;
    const bnf_desc *dy = &inst->in[0];
    int64_t hw = a->image[0] * a->image[1];
    double factor = a->scale / (double)hw;
    if (dy->dtype == BNF_F32)
        global_bwd_f32(dy->dim[0], hw, dy->dim[1], (float)factor, in[0], out[0]);
    else
        global_bwd_f64(dy->dim[0], hw, dy->dim[1], factor, in[0], out[0]);
}

static const bnf_kernel avg_kernels[] = {{"ref", NULL, avg_run, NULL}, {0}};
const bnf_op bnf_op_global_avg = {.name = "global_avg",
                                  .n_in_min = 1,
                                  .n_in_max = 1,
                                  .n_out = 1,
                                  .attr_size = sizeof(bnf_global_avg_attr),
                                  .infer = avg_infer,
                                  .vjp = avg_vjp,
                                  .kernels = avg_kernels,
                                  .flags = BNF_OP_BY_SAMPLE};

static const bnf_kernel avg_bwd_kernels[] = {{"ref", NULL, avg_bwd_run, NULL}, {0}};
const bnf_op bnf_op_global_avg_bwd = {.name = "global_avg_bwd",
                                      .n_in_min = 1,
                                      .n_in_max = 1,
                                      .n_out = 1,
                                      .attr_size = sizeof(bnf_global_avg_bwd_attr),
                                      .infer = avg_bwd_infer,
                                      .vjp = avg_bwd_vjp,
                                      .kernels = avg_bwd_kernels,
                                      .flags = BNF_OP_BY_SAMPLE};

bnf_val bnf_global_avg(bnf_builder *b, bnf_val x, double scale)
{
    bnf_global_avg_attr a = {.scale = scale};
    return bnf_emit(b, &bnf_op_global_avg, &a, 1, &x);
}
