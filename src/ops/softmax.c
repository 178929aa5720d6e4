/* ops/softmax.c - softmax and log_softmax over the last dimension; one_hot, correct. */
#include "ops/attr.h"
#include "ops/infer.h"

#include <math.h>
#include <string.h>

#define BNF_REAL_SOURCE "ops/softmax.inc"
#include "ops/both_reals.inc"

/* --- softmax ------------------------------------------------------------------------------------------------------ */

static void softmax_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                        const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *d = &inst->out[0];
    BNF_REAL_CALL(d->dtype, softmax, bnf_desc_rows(d), bnf_desc_cols(d), in[0], out[0]);
}

static void softmax_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                            const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *d = &inst->out[0];
    BNF_REAL_CALL(d->dtype, softmax_bwd, bnf_desc_rows(d), bnf_desc_cols(d), in[0], in[1], out[0]);
}

extern const bnf_op bnf_op_softmax_bwd, bnf_op_log_softmax_bwd;

static void softmax_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                        const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)in;
    din[0] = bnf_emit(b, &bnf_op_softmax_bwd, NULL, 2, (bnf_val[]){out[0], dout[0]});
}

/* z = y (g - <y,g>): dg = softmax_bwd(y, dz); dy = dz (g - <y,g>) - g <dz,y>. */
static void softmax_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                            const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)out;
    bnf_val y = in[0], g = in[1], dz = dout[0];
    if (bnf_needs_grad(b, y)) {
        bnf_val centred = bnf_sub(b, g, bnf_sum_last(b, bnf_mul(b, y, g)));
        din[0] = bnf_sub(b, bnf_mul(b, dz, centred), bnf_mul(b, g, bnf_sum_last(b, bnf_mul(b, dz, y))));
    }
    if (bnf_needs_grad(b, g))
        din[1] = bnf_emit(b, &bnf_op_softmax_bwd, NULL, 2, (bnf_val[]){y, dz});
}

static const bnf_kernel softmax_kernels[] = {{"ref", NULL, softmax_run, NULL}, {0}};
const bnf_op bnf_op_softmax = {.name = "softmax",
                               .n_in_min = 1,
                               .n_in_max = 1,
                               .n_out = 1,
                               .infer = bnf_infer_elementwise,
                               .vjp = softmax_vjp,
                               .kernels = softmax_kernels,
                               .inplace = 1,
                               .flags = BNF_OP_BY_ROW};

static const bnf_kernel softmax_bwd_kernels[] = {{"ref", NULL, softmax_bwd_run, NULL}, {0}};
const bnf_op bnf_op_softmax_bwd = {.name = "softmax_bwd",
                                   .n_in_min = 2,
                                   .n_in_max = 2,
                                   .n_out = 1,
                                   .infer = bnf_infer_elementwise,
                                   .vjp = softmax_bwd_vjp,
                                   .kernels = softmax_bwd_kernels,
                                   .inplace = 3,
                                   .flags = BNF_OP_BY_ROW};

bnf_val bnf_softmax(bnf_builder *b, bnf_val x)
{
    return bnf_emit(b, &bnf_op_softmax, NULL, 1, &x);
}

/* --- log_softmax -------------------------------------------------------------------------------------------------- */

static void log_softmax_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                            const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *d = &inst->out[0];
    BNF_REAL_CALL(d->dtype, log_softmax, bnf_desc_rows(d), bnf_desc_cols(d), in[0], out[0]);
}

static void log_softmax_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *d = &inst->out[0];
    BNF_REAL_CALL(d->dtype, log_softmax_bwd, bnf_desc_rows(d), bnf_desc_cols(d), in[0], in[1], out[0]);
}

static void log_softmax_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                            const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)in;
    din[0] = bnf_emit(b, &bnf_op_log_softmax_bwd, NULL, 2, (bnf_val[]){out[0], dout[0]});
}

/* z = g - exp(y) sum g: dg = dz - sum(dz exp(y)); dy = -dz exp(y) sum g. */
static void log_softmax_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)out;
    bnf_val scaled = bnf_mul(b, dout[0], bnf_exp(b, in[0]));
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_mul(b, scaled, bnf_affine(b, bnf_sum_last(b, in[1]), -1.0, 0.0));
    if (bnf_needs_grad(b, in[1]))
        din[1] = bnf_sub(b, dout[0], bnf_sum_last(b, scaled));
}

static const bnf_kernel log_softmax_kernels[] = {{"ref", NULL, log_softmax_run, NULL}, {0}};
const bnf_op bnf_op_log_softmax = {.name = "log_softmax",
                                   .n_in_min = 1,
                                   .n_in_max = 1,
                                   .n_out = 1,
                                   .infer = bnf_infer_elementwise,
                                   .vjp = log_softmax_vjp,
                                   .kernels = log_softmax_kernels,
                                   .inplace = 1,
                                   .flags = BNF_OP_BY_ROW};

static const bnf_kernel log_softmax_bwd_kernels[] = {{"ref", NULL, log_softmax_bwd_run, NULL}, {0}};
const bnf_op bnf_op_log_softmax_bwd = {.name = "log_softmax_bwd",
                                       .n_in_min = 2,
                                       .n_in_max = 2,
                                       .n_out = 1,
                                       .infer = bnf_infer_elementwise,
                                       .vjp = log_softmax_bwd_vjp,
                                       .kernels = log_softmax_bwd_kernels,
                                       .inplace = 3,
                                       .flags = BNF_OP_BY_ROW};

bnf_val bnf_log_softmax(bnf_builder *b, bnf_val x)
{
    return bnf_emit(b, &bnf_op_log_softmax, NULL, 1, &x);
}

/* --- one_hot ------------------------------------------------------------------------------------------------------ */

/* labels i32 [...], on R [1] -> R [...,classes]: `on` at the label; zeros where it is outside 0 ... classes-1. */

static bnf_status one_hot_infer(bnf_op_inst *inst)
{
    const bnf_one_hot_attr *a = inst->attr;
    const bnf_desc *labels = &inst->in[0], *on = &inst->in[1];
    if (labels->dtype != BNF_I32 || labels->ndim >= BNF_MAX_DIMS)
        return bnf_op_fail(inst, "needs labels i32 of fewer than %d dimensions", BNF_MAX_DIMS);
    if (!bnf_dtype_is_real(on->dtype) || bnf_desc_count(on) != 1)
        return bnf_op_fail(inst, "needs one real value to write");
    if (a->classes < 1)
        return bnf_op_fail(inst, "%lld classes", (long long)a->classes);
    bnf_desc d = *labels;
    d.dtype = on->dtype;
    d.dim[d.ndim++] = a->classes;
    inst->out[0] = d;
    return BNF_OK;
}

static void one_hot_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                        const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    int64_t n = bnf_desc_count(&inst->in[0]), classes = ((const bnf_one_hot_attr *)inst->attr)->classes;
    if (inst->out[0].dtype == BNF_F32)
        one_hot_f32(n, classes, in[0], *(const float *)in[1], out[0]);
    else
        one_hot_f64(n, classes, in[0], *(const double *)in[1], out[0]);
}

static const bnf_kernel one_hot_kernels[] = {{"ref", NULL, one_hot_run, NULL}, {0}};
const bnf_op bnf_op_one_hot = {.name = "one_hot",
                               .n_in_min = 2,
                               .n_in_max = 2,
                               .n_out = 1,
                               .attr_size = sizeof(bnf_one_hot_attr),
                               .infer = one_hot_infer,
                               .kernels = one_hot_kernels};

bnf_val bnf_one_hot(bnf_builder *b, bnf_val labels, int64_t classes)
{
    bnf_val in[2] = {labels, bnf_const(b, 1.0)};
    return bnf_emit(b, &bnf_op_one_hot, &(bnf_one_hot_attr){.classes = classes}, 2, in);
}

/* --- correct ------------------------------------------------------------------------------------------------------ */

static bnf_status correct_infer(bnf_op_inst *inst)
{
    const bnf_desc *logits = &inst->in[0], *labels = &inst->in[1];
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (logits->ndim != 2 || labels->dtype != BNF_I32 || labels->ndim != 1 || labels->dim[0] != logits->dim[0])
        return bnf_op_fail(inst, "needs logits R [N,C] and labels i32 [N]");
    inst->out[0] = bnf_desc_2d(logits->dtype, logits->dim[0], 1);
    return BNF_OK;
}

static void correct_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                        const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *d = &inst->in[0];
    BNF_REAL_CALL(d->dtype, correct, d->dim[0], d->dim[1], in[0], in[1], out[0]);
}

static const bnf_kernel correct_kernels[] = {{"ref", NULL, correct_run, NULL}, {0}};
const bnf_op bnf_op_correct = {
    .name = "correct", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .infer = correct_infer, .kernels = correct_kernels};

bnf_val bnf_correct(bnf_builder *b, bnf_val logits, bnf_val labels)
{
    return bnf_emit(b, &bnf_op_correct, NULL, 2, (bnf_val[]){logits, labels});
}
