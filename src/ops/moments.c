/* ops/moments.c - channel_moments: first and second moments per channel about a given point, in one pass. The sums are
 * over one leaf; a batch_sum behind them makes them the batch's (nn room). */
#include "ops/moments.h"

#include "base/simd.h"
#include "ops/group_sum.h"
#include "ops/infer.h"

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/moments.inc"
#include "ops/both_reals.inc"

static int64_t positions(const bnf_desc *x)
{
    return bnf_desc_rows(x) / x->dim[0];
}

bnf_status bnf_moments_check(const bnf_op_inst *inst, int last)
{
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    const bnf_desc *x = &inst->in[0];
    if (x->ndim < 2 || inst->in[1].ndim != 1 || inst->in[1].dim[0] != x->dim[0])
        return bnf_op_fail(inst, "needs x[N,...,C] and a weight per sample w[N]");
    for (int i = 2; i <= last; i++)
        if (inst->in[i].ndim != 1 || inst->in[i].dim[0] != bnf_desc_cols(x))
            return bnf_op_fail(inst, "input %d needs one value per channel", i);
    return BNF_OK;
}

/* --- channel_moments: x, w, k -> sum w (x - k), sum w (x - k)^2 -------------------------------------------------- */

static bnf_status channel_moments_infer(bnf_op_inst *inst)
{
    BNF_TRY(bnf_moments_check(inst, 2));
    inst->out[0] = inst->out[1] = bnf_desc_1d(bnf_dtype_of_sums(inst->in[0].dtype), bnf_desc_cols(&inst->in[0]));
    return BNF_OK;
}

static void channel_moments_run(const bnf_op_inst *inst, const bnf_kernel_plan *kernel, const bnf_run_ctx *ctx,
                                const void *const *in, void *const *out, void *scratch)
{
    (void)kernel, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_VALUE_CALL(x->dtype, moments, x->dim[0], positions(x), bnf_desc_cols(x), in[0], in[1], in[2], out[0], out[1]);
}

static bnf_val zeros(bnf_builder *b, const bnf_desc *d)
{
    return bnf_broadcast_to(b, bnf_const(b, 0), d);
}

/* With d = x - k: dw = the sample's sum of d g1 + d^2 g2, dk = -(sum of dx). */
static void channel_moments_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_desc *x = &inst->in[0];
    bnf_val g1 = bnf_val_ok(dout[0]) ? dout[0] : zeros(b, &inst->in[2]);
    bnf_val g2 = bnf_val_ok(dout[1]) ? dout[1] : zeros(b, &inst->in[2]);
    if (bnf_needs_grad(b, in[0]) || bnf_needs_grad(b, in[2])) {
        bnf_val dx = bnf_emit(b, &bnf_op_channel_moments_bwd, NULL, 5, (bnf_val[]){in[0], in[1], in[2], g1, g2});
        if (bnf_needs_grad(b, in[0]))
            din[0] = dx;
        if (bnf_needs_grad(b, in[2]))
            din[2] = bnf_affine(b, bnf_sum_to(b, dx, &inst->in[2]), -1, 0);
    }
    if (bnf_needs_grad(b, in[1])) {
        bnf_val d = bnf_sub(b, in[0], in[2]);
        bnf_val terms = bnf_mul(b, d, bnf_add(b, g1, bnf_mul(b, d, g2)));
        bnf_desc per_sample = *x;
        for (int i = 1; i < per_sample.ndim; i++)
            per_sample.dim[i] = 1;
        din[1] = bnf_reshape(b, bnf_sum_to(b, terms, &per_sample), 1, x->dim);
    }
}

static const bnf_kernel channel_moments_kernels[] = {{"ref", NULL, channel_moments_run, NULL}, {0}};
const bnf_op bnf_op_channel_moments = {.name = "channel_moments",
                                       .n_in_min = 3,
                                       .n_in_max = 3,
                                       .n_out = 2,
                                       .infer = channel_moments_infer,
                                       .vjp = channel_moments_vjp,
                                       .kernels = channel_moments_kernels,
                                       .bf16_kernels = channel_moments_kernels,
                                       .f32_in = 2 | 4};

void bnf_channel_moments(bnf_builder *b, bnf_val x, bnf_val w, bnf_val k, bnf_val sums[2])
{
    bnf_emit_multi(b, &bnf_op_channel_moments, NULL, 3, (bnf_val[]){x, w, k}, sums);
}

/* --- channel_moments_bwd: x, w, k, g1, g2 -> w (g1 + 2 (x - k) g2) ------------------------------------------------ */

static bnf_status channel_moments_bwd_infer(bnf_op_inst *inst)
{
    BNF_TRY(bnf_moments_check(inst, 4));
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

static void channel_moments_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *kernel, const bnf_run_ctx *ctx,
                                    const void *const *in, void *const *out, void *scratch)
{
    (void)kernel, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_VALUE_CALL(x->dtype, moments_bwd, x->dim[0], positions(x), bnf_desc_cols(x), in[0], in[1], in[2], in[3], in[4],
                   out[0]);
}

void bnf_moments_bwd_vjp(bnf_builder *b, const bnf_val *in, bnf_val dz, bnf_val *din)
{
    const bnf_desc x = *bnf_val_desc(b, in[0]), vector = *bnf_val_desc(b, in[2]);
    int64_t dim[BNF_MAX_DIMS] = {x.dim[0], 1, 1, 1, 1};
    bnf_val w = bnf_reshape(b, in[1], x.ndim, dim), wz = bnf_mul(b, dz, w);
    bnf_val d = bnf_sub(b, in[0], in[2]), twice_g2 = bnf_affine(b, in[4], 2, 0);
    bnf_val through_x = bnf_mul(b, wz, twice_g2);
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_plus(b, din[0], through_x);
    if (bnf_needs_grad(b, in[1])) {
        bnf_desc per_sample = x;
        for (int i = 1; i < per_sample.ndim; i++)
            per_sample.dim[i] = 1;
        bnf_val terms = bnf_mul(b, dz, bnf_add(b, bnf_mul(b, d, twice_g2), in[3]));
        din[1] = bnf_plus(b, din[1], bnf_reshape(b, bnf_sum_to(b, terms, &per_sample), 1, x.dim));
    }
    if (bnf_needs_grad(b, in[2]))
        din[2] = bnf_plus(b, din[2], bnf_affine(b, bnf_sum_to(b, through_x, &vector), -1, 0));
    if (bnf_needs_grad(b, in[3]))
        din[3] = bnf_plus(b, din[3], bnf_sum_to(b, wz, &vector));
    if (bnf_needs_grad(b, in[4]))
        din[4] = bnf_plus(b, din[4], bnf_sum_to(b, bnf_affine(b, bnf_mul(b, wz, d), 2, 0), &vector));
}

static void channel_moments_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                    const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)out;
    bnf_moments_bwd_vjp(b, in, dout[0], din);
}

static const bnf_kernel channel_moments_bwd_kernels[] = {{"ref", NULL, channel_moments_bwd_run, NULL}, {0}};
const bnf_op bnf_op_channel_moments_bwd = {.name = "channel_moments_bwd",
                                           .n_in_min = 5,
                                           .n_in_max = 5,
                                           .n_out = 1,
                                           .infer = channel_moments_bwd_infer,
                                           .vjp = channel_moments_bwd_vjp,
                                           .kernels = channel_moments_bwd_kernels,
                                           .bf16_kernels = channel_moments_bwd_kernels,
                                           .inplace = 1,
                                           .f32_in = 2 | 4 | 8 | 16};
