/* ops/channel_affine.c - y = (x - k) a + s per channel, with a residual and a rectifier if wanted: what normalisation
 * does to each element once the batch's moments are known. Its gradient comes in two operations, for the sums end a
 * segment and dx is computed in the next; batch_norm_bwd takes dx together with the gradient that flows through the
 * moments. */
#include "ops/channel_affine.h"

#include "base/simd.h"
#include "ops/attr.h"
#include "ops/group_sum.h"
#include "ops/infer.h"
#include "ops/moments.h"

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/channel_affine.inc"
#include "ops/both_reals.inc"

extern const bnf_op bnf_op_channel_affine_sums;

static bool relu_of(const bnf_op_inst *inst)
{
    return ((const bnf_channel_affine_attr *)inst->attr)->relu != 0;
}

/* Inputs 1 ... 3 are [C]. */
static bnf_status vectors_check(const bnf_op_inst *inst)
{
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    for (int i = 1; i <= 3; i++)
        if (inst->in[i].ndim != 1 || inst->in[i].dim[0] != bnf_desc_cols(&inst->in[0]))
            return bnf_op_fail(inst, "input %d needs one value per channel", i);
    return BNF_OK;
}

/* Input 4, if there is one, has the shape of x; so has output 0. */
static bnf_status channel_affine_infer(bnf_op_inst *inst)
{
    BNF_TRY(vectors_check(inst));
    if (inst->n_in >= 5 && !bnf_desc_same_shape(&inst->in[4], &inst->in[0]))
        return bnf_op_fail(inst, "input 4 does not have the shape of x");
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

static bnf_val emit(bnf_builder *b, const bnf_op *op, bool relu, int n, const bnf_val *in)
{
    return bnf_emit(b, op, &(bnf_channel_affine_attr){.relu = relu}, n, in);
}

/* What of gradient g passes the rectifier, as an array. */
static bnf_val passed(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, bnf_val g)
{
    extern const bnf_op bnf_op_unary_bwd;
    if (!relu_of(inst))
        return g;
    bnf_val y = emit(b, &bnf_op_channel_affine, true, 4, in);
    return bnf_emit(b, &bnf_op_unary_bwd, &(bnf_unary_attr){.kind = BNF_UNARY_RELU}, 2, (bnf_val[]){y, g});
}

/* --- channel_affine: x, k, a, s (r) ------------------------------------------------------------------------------- */

static void channel_affine_run(const bnf_op_inst *inst, const bnf_kernel_plan *kernel, const bnf_run_ctx *ctx,
                               const void *const *in, void *const *out, void *scratch)
{
    (void)kernel, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_VALUE_CALL(x->dtype, channel_affine, bnf_desc_rows(x), bnf_desc_cols(x), relu_of(inst), in[0], in[1], in[2],
                   in[3], inst->n_in == 5 ? in[4] : NULL, out[0]);
}

/* With a residual the rectifier's gradient is an array of its own, which both branches read. */
static void channel_affine_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                               const bnf_val *dout, bnf_val *din)
{
    extern const bnf_op bnf_op_unary_bwd;
    bool relu = relu_of(inst);
    bnf_val g = dout[0];
    if (relu && inst->n_in == 5) {
        g = bnf_emit(b, &bnf_op_unary_bwd, &(bnf_unary_attr){.kind = BNF_UNARY_RELU}, 2, (bnf_val[]){out[0], g});
        relu = false;
    }
    bnf_val args[5] = {in[0], in[1], in[2], in[3], g}, sums[2];
    if (inst->n_in == 5)
        din[4] = g;
    if (bnf_needs_grad(b, in[0]) || bnf_needs_grad(b, in[1])) {
        bnf_val dx = emit(b, &bnf_op_channel_affine_bwd, relu, 5, args);
        din[0] = dx;
        if (bnf_needs_grad(b, in[1]))
            din[1] = bnf_affine(b, bnf_sum_to(b, dx, &inst->in[1]), -1, 0);
    }
    if (!bnf_needs_grad(b, in[2]) && !bnf_needs_grad(b, in[3]))
        return;
    bnf_emit_multi(b, &bnf_op_channel_affine_sums, &(bnf_channel_affine_attr){.relu = relu}, 5, args, sums);
    din[2] = sums[0];
    din[3] = sums[1];
}

static const bnf_kernel channel_affine_kernels[] = {{"ref", NULL, channel_affine_run, NULL}, {0}};
const bnf_op bnf_op_channel_affine = {.name = "channel_affine",
                                      .n_in_min = 4,
                                      .n_in_max = 5,
                                      .n_out = 1,
                                      .attr_size = sizeof(bnf_channel_affine_attr),
                                      .infer = channel_affine_infer,
                                      .vjp = channel_affine_vjp,
                                      .flags = BNF_OP_CHEAP,
                                      .kernels = channel_affine_kernels,
                                      .bf16_kernels = channel_affine_kernels,
                                      .inplace = 1 | 1 << 4,
                                      .f32_in = 2 | 4 | 8};

bnf_val bnf_channel_affine(bnf_builder *b, bnf_val x, bnf_val k, bnf_val a, bnf_val s)
{
    return emit(b, &bnf_op_channel_affine, false, 4, (bnf_val[]){x, k, a, s});
}

/* --- channel_affine_bwd: x, k, a, s, dy -> dx --------------------------------------------------------------------- */

static void channel_affine_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *kernel, const bnf_run_ctx *ctx,
                                   const void *const *in, void *const *out, void *scratch)
{
    (void)kernel, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_VALUE_CALL(x->dtype, channel_affine_bwd, bnf_desc_rows(x), bnf_desc_cols(x), relu_of(inst), in[0], in[1], in[2],
                   in[3], in[4], out[0]);
}

/* dx = a passed(dy); where the rectifier bends, it has no second derivative. in = x, k, a, s, dy. */
static void affine_part_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, bnf_val dout, bnf_val *din)
{
    bnf_val args[5] = {in[0], in[1], in[2], in[3], dout};
    if (bnf_needs_grad(b, in[2]))
        din[2] =
            bnf_plus(b, din[2], bnf_sum_to(b, bnf_mul(b, passed(b, inst, in, in[4]), dout), bnf_val_desc(b, in[2])));
    if (bnf_needs_grad(b, in[4]))
        din[4] = bnf_plus(b, din[4], emit(b, &bnf_op_channel_affine_bwd, relu_of(inst), 5, args));
}

static void channel_affine_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                   const bnf_val *dout, bnf_val *din)
{
    (void)out;
    affine_part_vjp(b, inst, in, dout[0], din);
}

static const bnf_kernel channel_affine_bwd_kernels[] = {{"ref", NULL, channel_affine_bwd_run, NULL}, {0}};
const bnf_op bnf_op_channel_affine_bwd = {.name = "channel_affine_bwd",
                                          .n_in_min = 5,
                                          .n_in_max = 5,
                                          .n_out = 1,
                                          .attr_size = sizeof(bnf_channel_affine_attr),
                                          .infer = channel_affine_infer,
                                          .vjp = channel_affine_bwd_vjp,
                                          .kernels = channel_affine_bwd_kernels,
                                          .bf16_kernels = channel_affine_bwd_kernels,
                                          .inplace = 1 | 1 << 4,
                                          .f32_in = 2 | 4 | 8};

/* --- channel_affine_sums: x, k, a, s, dy -> sum of passed dy (x - k), sum of passed dy ---------------------------- */

static bnf_status channel_affine_sums_infer(bnf_op_inst *inst)
{
    BNF_TRY(channel_affine_infer(inst));
    inst->out[0] = inst->out[1] = inst->in[1];
    return BNF_OK;
}

static void channel_affine_sums_run(const bnf_op_inst *inst, const bnf_kernel_plan *kernel, const bnf_run_ctx *ctx,
                                    const void *const *in, void *const *out, void *scratch)
{
    (void)kernel, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_VALUE_CALL(x->dtype, channel_affine_sums, bnf_desc_rows(x), bnf_desc_cols(x), relu_of(inst), in[0], in[1],
                   in[2], in[3], in[4], out[0], out[1]);
}

/* With h, f the gradients of the two sums: passed dy (h (x - k) + f). */
static void channel_affine_sums_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                    const bnf_val *dout, bnf_val *din)
{
    bnf_val h = dout[0], f = dout[1];
    if (bnf_val_ok(h) && (bnf_needs_grad(b, in[0]) || bnf_needs_grad(b, in[1]))) {
        if (bnf_needs_grad(b, in[0]))
            din[0] = bnf_mul(b, passed(b, inst, in, in[4]), h);
        if (bnf_needs_grad(b, in[1]))
            din[1] = bnf_affine(b, bnf_mul(b, out[1], h), -1, 0);
    }
    if (!bnf_needs_grad(b, in[4]))
        return;
    bnf_val term = bnf_val_ok(h) ? bnf_mul(b, bnf_sub(b, in[0], in[1]), h) : BNF_NONE;
    if (bnf_val_ok(f))
        term = bnf_val_ok(term) ? bnf_add(b, term, f) : bnf_broadcast_to(b, f, &inst->in[4]);
    din[4] = passed(b, inst, in, term);
}

static const bnf_kernel channel_affine_sums_kernels[] = {{"ref", NULL, channel_affine_sums_run, NULL}, {0}};
const bnf_op bnf_op_channel_affine_sums = {.name = "channel_affine_sums",
                                           .n_in_min = 5,
                                           .n_in_max = 5,
                                           .n_out = 2,
                                           .attr_size = sizeof(bnf_channel_affine_attr),
                                           .infer = channel_affine_sums_infer,
                                           .vjp = channel_affine_sums_vjp,
                                           .kernels = channel_affine_sums_kernels,
                                           .bf16_kernels = channel_affine_sums_kernels,
                                           .f32_in = 2 | 4 | 8};

/* --- batch_norm_bwd: x, k, a, s, dy, w, g1, g2 -> channel_affine_bwd + channel_moments_bwd ------------------------ */

static bnf_status batch_norm_bwd_infer(bnf_op_inst *inst)
{
    BNF_TRY(channel_affine_infer(inst));
    const bnf_desc *x = &inst->in[0], *w = &inst->in[5];
    if (x->ndim < 2 || w->ndim != 1 || w->dim[0] != x->dim[0])
        return bnf_op_fail(inst, "needs x[N,...,C] and a weight per sample w[N]");
    for (int i = 6; i < 8; i++)
        if (!bnf_desc_equal(&inst->in[i], &inst->in[1]))
            return bnf_op_fail(inst, "input %d needs one value per channel", i);
    return BNF_OK;
}

static void batch_norm_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *kernel, const bnf_run_ctx *ctx,
                               const void *const *in, void *const *out, void *scratch)
{
    (void)kernel, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_VALUE_CALL(x->dtype, batch_norm_bwd, x->dim[0], bnf_desc_rows(x) / x->dim[0], bnf_desc_cols(x), relu_of(inst),
                   in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], out[0]);
}

static void batch_norm_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                               const bnf_val *dout, bnf_val *din)
{
    (void)out;
    bnf_val moments[5] = {in[0], in[5], in[1], in[6], in[7]}, grad[5] = {din[0], din[5], din[1], din[6], din[7]};
    bnf_moments_bwd_vjp(b, moments, dout[0], grad);
    din[0] = grad[0], din[5] = grad[1], din[1] = grad[2], din[6] = grad[3], din[7] = grad[4];
    affine_part_vjp(b, inst, in, dout[0], din);
}

static const bnf_kernel batch_norm_bwd_kernels[] = {{"ref", NULL, batch_norm_bwd_run, NULL}, {0}};
const bnf_op bnf_op_batch_norm_bwd = {.name = "batch_norm_bwd",
                                      .n_in_min = 8,
                                      .n_in_max = 8,
                                      .n_out = 1,
                                      .attr_size = sizeof(bnf_channel_affine_attr),
                                      .infer = batch_norm_bwd_infer,
                                      .vjp = batch_norm_bwd_vjp,
                                      .kernels = batch_norm_bwd_kernels,
                                      .bf16_kernels = batch_norm_bwd_kernels,
                                      .inplace = 1 | 1 << 4,
                                      .f32_in = 2 | 4 | 8 | 32 | 64 | 128};
