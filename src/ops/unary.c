/* ops/unary.c - unary, affine, clip, copy, stop_gradient: one element in, one element out. */
#include "base/assert.h"
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/infer.h"
#include "ops/unary_simd.h"

#include <math.h>
#include <string.h>

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/unary.inc"
#include "ops/both_reals.inc"

/* --- unary -------------------------------------------------------------------------------------------------------- */

static bnf_status unary_infer(bnf_op_inst *inst)
{
    const bnf_unary_attr *a = inst->attr;
    if (a->kind < 0 || a->kind >= BNF_UNARY_COUNT)
        return bnf_op_fail(inst, "unknown kind %d", (int)a->kind);
    if (!(a->slope >= 0))
        return bnf_op_fail(inst, "slope %g is negative", a->slope);
    return bnf_infer_elementwise(inst);
}

static void unary_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                      void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_unary_attr *a = inst->attr;
    bnf_unary_kind kind = (bnf_unary_kind)a->kind;
    int64_t n = bnf_desc_count(&inst->out[0]);
    if (inst->out[0].dtype == BNF_F32)
        unary_fwd_f32(kind, (float)a->slope, n, in[0], out[0]);
    else if (inst->out[0].dtype == BNF_BF16)
        unary_fwd_bf16(kind, (float)a->slope, n, in[0], out[0]);
    else
        unary_fwd_f64(kind, a->slope, n, in[0], out[0]);
}

/* The derivative is a function of the output where that is possible, so that the input's buffer is free early. */
static bool unary_bwd_uses_input(int64_t kind)
{
    return kind == BNF_UNARY_LOG || kind == BNF_UNARY_SQUARE || kind == BNF_UNARY_ABS;
}

extern const bnf_op bnf_op_unary, bnf_op_unary_bwd;

static void unary_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                      const bnf_val *dout, bnf_val *din)
{
    const bnf_unary_attr *a = inst->attr;
    bnf_val args[2] = {unary_bwd_uses_input(a->kind) ? in[0] : out[0], dout[0]};
    din[0] = bnf_emit(b, &bnf_op_unary_bwd, a, 2, args);
}

/* Not of the C library's functions: their f32 forms above all, by conversion, are faster. */
static bnf_status unary_bf16_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    (void)k;
    const int64_t kind = ((const bnf_unary_attr *)inst->attr)->kind;
    bool loop = kind == BNF_UNARY_RELU || kind == BNF_UNARY_LEAKY || kind >= BNF_UNARY_SQRT;
    return loop ? BNF_OK : BNF_ERR_UNSUPPORTED;
}

static const bnf_kernel unary_bf16_kernels[] = {{"bf16", unary_bf16_create, unary_run, NULL}, {0}};
static const bnf_kernel unary_kernels[] = {
    {"simd", bnf_unary_simd_create, bnf_unary_simd_run, NULL}, {"ref", NULL, unary_run, NULL}, {0}};
const bnf_op bnf_op_unary = {.name = "unary",
                             .n_in_min = 1,
                             .n_in_max = 1,
                             .n_out = 1,
                             .attr_size = sizeof(bnf_unary_attr),
                             .infer = unary_infer,
                             .vjp = unary_vjp,
                             .kernels = unary_kernels,
                             .bf16_kernels = unary_bf16_kernels,
                             .inplace = 1,
                             .flags = BNF_OP_BY_ELEMENT};

static void unary_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                          const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_unary_attr *a = inst->attr;
    bnf_unary_kind kind = (bnf_unary_kind)a->kind;
    int64_t n = bnf_desc_count(&inst->out[0]);
    if (inst->out[0].dtype == BNF_F32)
        unary_bwd_f32(kind, (float)a->slope, n, in[0], in[1], out[0]);
    else if (inst->out[0].dtype == BNF_BF16)
        unary_bwd_bf16(kind, (float)a->slope, n, in[0], in[1], out[0]);
    else
        unary_bwd_f64(kind, a->slope, n, in[0], in[1], out[0]);
}

/* d/dr of g f'(r), as plain operations; BNF_NONE where it is 0 almost everywhere. */
static bnf_val unary_second(bnf_builder *b, int64_t kind, bnf_val r, bnf_val g, bnf_val dout)
{
    bnf_val gd = bnf_mul(b, g, dout);
    switch (kind) {
    case BNF_UNARY_TANH:
        return bnf_affine(b, bnf_mul(b, gd, r), -2.0, 0.0);
    case BNF_UNARY_SIGMOID:
        return bnf_mul(b, gd, bnf_affine(b, r, -2.0, 1.0));
    case BNF_UNARY_SOFTPLUS:
        return bnf_mul(b, gd, bnf_exp(b, bnf_affine(b, r, -1.0, 0.0)));
    case BNF_UNARY_EXP:
        return gd;
    case BNF_UNARY_LOG:
        return bnf_affine(b, bnf_div(b, gd, bnf_square(b, r)), -1.0, 0.0);
    case BNF_UNARY_SQRT:
        return bnf_affine(b, bnf_div(b, gd, bnf_square(b, r)), -0.5, 0.0);
    case BNF_UNARY_RSQRT:
        return bnf_affine(b, bnf_mul(b, gd, bnf_square(b, r)), -1.5, 0.0);
    case BNF_UNARY_SQUARE:
        return bnf_affine(b, gd, 2.0, 0.0);
    default:
        return bnf_affine(b, gd, 0.0, 0.0);
    }
}

static void unary_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                          const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_unary_attr *a = inst->attr;
    if (bnf_needs_grad(b, in[0]))
        din[0] = unary_second(b, a->kind, in[0], in[1], dout[0]);
    if (bnf_needs_grad(b, in[1]))
        din[1] = bnf_emit(b, &bnf_op_unary_bwd, a, 2, (bnf_val[]){in[0], dout[0]});
}

static const bnf_kernel unary_bwd_kernels[] = {{"ref", NULL, unary_bwd_run, NULL}, {0}};
const bnf_op bnf_op_unary_bwd = {.name = "unary_bwd",
                                 .n_in_min = 2,
                                 .n_in_max = 2,
                                 .n_out = 1,
                                 .attr_size = sizeof(bnf_unary_attr),
                                 .infer = unary_infer,
                                 .vjp = unary_bwd_vjp,
                                 .kernels = unary_bwd_kernels,
                                 .bf16_kernels = unary_bwd_kernels,
                                 .inplace = 3,
                                 .flags = BNF_OP_BY_ELEMENT};

static bnf_val emit_unary(bnf_builder *b, bnf_val x, bnf_unary_kind kind, double slope)
{
    bnf_unary_attr a = {.kind = kind, .slope = slope};
    return bnf_emit(b, &bnf_op_unary, &a, 1, &x);
}

bnf_val bnf_relu(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_RELU, 0.0);
}

bnf_val bnf_leaky_relu(bnf_builder *b, bnf_val x, double slope)
{
    return emit_unary(b, x, BNF_UNARY_LEAKY, slope);
}

bnf_val bnf_tanh(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_TANH, 0.0);
}

bnf_val bnf_sigmoid(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_SIGMOID, 0.0);
}

bnf_val bnf_softplus(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_SOFTPLUS, 0.0);
}

bnf_val bnf_exp(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_EXP, 0.0);
}

bnf_val bnf_log(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_LOG, 0.0);
}

bnf_val bnf_sqrt(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_SQRT, 0.0);
}

bnf_val bnf_rsqrt(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_RSQRT, 0.0);
}

bnf_val bnf_square(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_SQUARE, 0.0);
}

bnf_val bnf_abs(bnf_builder *b, bnf_val x)
{
    return emit_unary(b, x, BNF_UNARY_ABS, 0.0);
}

/* --- affine ------------------------------------------------------------------------------------------------------- */

static void affine_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                       void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_affine_attr *a = inst->attr;
    int64_t n = bnf_desc_count(&inst->out[0]);
    if (inst->out[0].dtype == BNF_F32)
        affine_f32((float)a->scale, (float)a->shift, n, in[0], out[0]);
    else if (inst->out[0].dtype == BNF_BF16)
        affine_bf16((float)a->scale, (float)a->shift, n, in[0], out[0]);
    else
        affine_f64(a->scale, a->shift, n, in[0], out[0]);
}

static void affine_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                       const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    const bnf_affine_attr *a = inst->attr;
    din[0] = bnf_affine(b, dout[0], a->scale, 0.0);
}

static const bnf_kernel affine_kernels[] = {{"ref", NULL, affine_run, NULL}, {0}};
const bnf_op bnf_op_affine = {.name = "affine",
                              .n_in_min = 1,
                              .n_in_max = 1,
                              .n_out = 1,
                              .attr_size = sizeof(bnf_affine_attr),
                              .infer = bnf_infer_elementwise,
                              .vjp = affine_vjp,
                              .kernels = affine_kernels,
                              .bf16_kernels = affine_kernels,
                              .inplace = 1,
                              .flags = BNF_OP_BY_ELEMENT};

bnf_val bnf_affine(bnf_builder *b, bnf_val x, double scale, double shift)
{
    bnf_affine_attr a = {.scale = scale, .shift = shift};
    return bnf_emit(b, &bnf_op_affine, &a, 1, &x);
}

/* --- leaf_share: x / leaves, at leaf level ------------------------------------------------------------------------ */

/* The input is batch-level, the gradient leaf-level: whoever differentiates the graph sums it over the leaves. */
static void leaf_share_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                           const bnf_val *dout, bnf_val *din)
{
    affine_vjp(b, inst, in, out, dout, din);
}

const bnf_op bnf_op_leaf_share = {.name = "leaf_share",
                                  .n_in_min = 1,
                                  .n_in_max = 1,
                                  .n_out = 1,
                                  .attr_size = sizeof(bnf_affine_attr),
                                  .infer = bnf_infer_elementwise,
                                  .vjp = leaf_share_vjp,
                                  .kernels = affine_kernels,
                                  .bf16_kernels = affine_kernels,
                                  .flags = BNF_OP_BY_ELEMENT | BNF_OP_LEAF};

bnf_val bnf_leaf_share(bnf_builder *b, bnf_val x)
{
    bnf_affine_attr a = {.scale = 1.0 / (double)b->leaves, .shift = 0.0};
    return bnf_emit(b, &bnf_op_leaf_share, &a, 1, &x);
}

/* --- clip --------------------------------------------------------------------------------------------------------- */

static bnf_status clip_infer(bnf_op_inst *inst)
{
    const bnf_clip_attr *a = inst->attr;
    if (!(a->lo <= a->hi))
        return bnf_op_fail(inst, "lower bound %g above upper bound %g", a->lo, a->hi);
    return bnf_infer_elementwise(inst);
}

static void clip_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_clip_attr *a = inst->attr;
    int64_t n = bnf_desc_count(&inst->out[0]);
    if (inst->out[0].dtype == BNF_F32)
        clip_f32((float)a->lo, (float)a->hi, n, in[0], out[0]);
    else if (inst->out[0].dtype == BNF_BF16)
        clip_bf16((float)a->lo, (float)a->hi, n, in[0], out[0]);
    else
        clip_f64(a->lo, a->hi, n, in[0], out[0]);
}

static void clip_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                         const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_clip_attr *a = inst->attr;
    int64_t n = bnf_desc_count(&inst->out[0]);
    if (inst->out[0].dtype == BNF_F32)
        clip_bwd_f32((float)a->lo, (float)a->hi, n, in[0], in[1], out[0]);
    else if (inst->out[0].dtype == BNF_BF16)
        clip_bwd_bf16((float)a->lo, (float)a->hi, n, in[0], in[1], out[0]);
    else
        clip_bwd_f64(a->lo, a->hi, n, in[0], in[1], out[0]);
}

extern const bnf_op bnf_op_clip_bwd;

static void clip_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    (void)out;
    din[0] = bnf_emit(b, &bnf_op_clip_bwd, inst->attr, 2, (bnf_val[]){in[0], dout[0]});
}

static void clip_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                         const bnf_val *dout, bnf_val *din)
{
    (void)out;
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_affine(b, dout[0], 0.0, 0.0);
    if (bnf_needs_grad(b, in[1]))
        din[1] = bnf_emit(b, &bnf_op_clip_bwd, inst->attr, 2, (bnf_val[]){in[0], dout[0]});
}

static const bnf_kernel clip_kernels[] = {{"ref", NULL, clip_run, NULL}, {0}};
const bnf_op bnf_op_clip = {.name = "clip",
                            .n_in_min = 1,
                            .n_in_max = 1,
                            .n_out = 1,
                            .attr_size = sizeof(bnf_clip_attr),
                            .infer = clip_infer,
                            .vjp = clip_vjp,
                            .kernels = clip_kernels,
                            .bf16_kernels = clip_kernels,
                            .inplace = 1,
                            .flags = BNF_OP_BY_ELEMENT};

static const bnf_kernel clip_bwd_kernels[] = {{"ref", NULL, clip_bwd_run, NULL}, {0}};
const bnf_op bnf_op_clip_bwd = {.name = "clip_bwd",
                                .n_in_min = 2,
                                .n_in_max = 2,
                                .n_out = 1,
                                .attr_size = sizeof(bnf_clip_attr),
                                .infer = clip_infer,
                                .vjp = clip_bwd_vjp,
                                .kernels = clip_bwd_kernels,
                                .bf16_kernels = clip_bwd_kernels,
                                .inplace = 3,
                                .flags = BNF_OP_BY_ELEMENT};

bnf_val bnf_clip(bnf_builder *b, bnf_val x, double lo, double hi)
{
    bnf_clip_attr a = {.lo = lo, .hi = hi};
    return bnf_emit(b, &bnf_op_clip, &a, 1, &x);
}

/* --- copy, stop_gradient ------------------------------------------------------------------------------------------ */

static bnf_status same_infer(bnf_op_inst *inst)
{
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

static void copy_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    if (out[0] != in[0])
        memcpy(out[0], in[0], bnf_desc_bytes(&inst->out[0]));
}

static void copy_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    (void)b, (void)inst, (void)in, (void)out;
    din[0] = dout[0];
}

static const bnf_kernel copy_kernels[] = {{"ref", NULL, copy_run, NULL}, {0}};
const bnf_op bnf_op_copy = {.name = "copy",
                            .n_in_min = 1,
                            .n_in_max = 1,
                            .n_out = 1,
                            .infer = same_infer,
                            .vjp = copy_vjp,
                            .kernels = copy_kernels,
                            .inplace = 1,
                            .bf16_kernels = copy_kernels};

/* No gradient passes: din is left as it is. */
static void stop_gradient_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                              const bnf_val *dout, bnf_val *din)
{
    (void)b, (void)inst, (void)in, (void)out, (void)dout, (void)din;
}

const bnf_op bnf_op_stop_gradient = {.name = "stop_gradient",
                                     .n_in_min = 1,
                                     .n_in_max = 1,
                                     .n_out = 1,
                                     .infer = same_infer,
                                     .vjp = stop_gradient_vjp,
                                     .flags = BNF_OP_ALIAS};

bnf_val bnf_stop_gradient(bnf_builder *b, bnf_val x)
{
    return bnf_emit(b, &bnf_op_stop_gradient, NULL, 1, &x);
}
