/* ops/norm.c - channel_sum, channel_sqdev, channel_normalize: the parts of normalisation over a batch. The sums here
 * are over one leaf; a batch_sum between them makes them the batch's (nn room). */
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/group_sum.h"
#include "ops/infer.h"
#include "ops/moments.h"

#include <math.h>

#define BNF_REAL_SOURCE "ops/norm.inc"
#include "ops/both_reals.inc"

/* Positions per sample. */
static int64_t positions(const bnf_desc *x)
{
    return bnf_desc_rows(x) / x->dim[0];
}

static bool is_vector(const bnf_desc *d, int64_t n)
{
    return d->ndim == 1 && d->dim[0] == n;
}

/* The first input is x[N,...,C], the second w[N], all others [C], all of one real type. */
static bnf_status moments_check(const bnf_op_inst *inst)
{
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    const bnf_desc *x = &inst->in[0];
    if (x->ndim < 2 || !is_vector(&inst->in[1], x->dim[0]))
        return bnf_op_fail(inst, "needs x[N,...,C] and a weight per sample w[N]");
    for (int i = 2; i < inst->n_in; i++)
        if (!is_vector(&inst->in[i], bnf_desc_cols(x)))
            return bnf_op_fail(inst, "input %d needs one value per channel", i);
    return BNF_OK;
}

static bnf_status moments_infer(bnf_op_inst *inst)
{
    BNF_TRY(moments_check(inst));
    inst->out[0] = bnf_desc_1d(bnf_dtype_of_sums(inst->in[0].dtype), bnf_desc_cols(&inst->in[0]));
    return BNF_OK;
}

/* w[N] as [N,1,...,1], for broadcasting against x. */
static bnf_val weights_as_x(bnf_builder *b, bnf_val w, const bnf_desc *x)
{
    int64_t dim[BNF_MAX_DIMS] = {x->dim[0], 1, 1, 1, 1};
    return bnf_reshape(b, w, x->ndim, dim);
}

/* Sums `terms` (shape of x) within each sample: [N]. */
static bnf_val sum_samples(bnf_builder *b, bnf_val terms, const bnf_desc *x)
{
    bnf_desc d = *x;
    for (int i = 1; i < d.ndim; i++)
        d.dim[i] = 1;
    return bnf_reshape(b, bnf_sum_to(b, terms, &d), 1, d.dim);
}

/* --- channel_sum -------------------------------------------------------------------------------------------------- */

static void channel_sum_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                            const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_REAL_CALL(x->dtype, channel_sum, x->dim[0], positions(x), bnf_desc_cols(x), in[0], in[1], out[0]);
}

static void channel_sum_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                            const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_desc *x = &inst->in[0];
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_broadcast_to(b, bnf_mul(b, weights_as_x(b, in[1], x), dout[0]), x);
    if (bnf_needs_grad(b, in[1]))
        din[1] = sum_samples(b, bnf_mul(b, in[0], dout[0]), x);
}

static const bnf_kernel channel_sum_kernels[] = {{"ref", NULL, channel_sum_run, NULL}, {0}};
const bnf_op bnf_op_channel_sum = {.name = "channel_sum",
                                   .n_in_min = 2,
                                   .n_in_max = 2,
                                   .n_out = 1,
                                   .infer = moments_infer,
                                   .vjp = channel_sum_vjp,
                                   .kernels = channel_sum_kernels,
                                   .f32_in = 2};

bnf_val bnf_channel_sum(bnf_builder *b, bnf_val x, bnf_val w)
{
    return bnf_emit(b, &bnf_op_channel_sum, NULL, 2, (bnf_val[]){x, w});
}

/* --- channel_sqdev ------------------------------------------------------------------------------------------------ */

static void channel_sqdev_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                              const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_REAL_CALL(x->dtype, channel_sqdev, x->dim[0], positions(x), bnf_desc_cols(x), in[0], in[1], in[2], out[0]);
}

static bnf_status channel_sqdev_bwd_infer(bnf_op_inst *inst)
{
    BNF_TRY(moments_check(inst));
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

static void channel_sqdev_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                  const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    BNF_REAL_CALL(x->dtype, channel_sqdev_bwd, x->dim[0], positions(x), bnf_desc_cols(x), in[0], in[1], in[2], in[3],
                  out[0]);
}

static void channel_sqdev_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                              const bnf_val *dout, bnf_val *din)
{
    (void)out;
    extern const bnf_op bnf_op_channel_sqdev_bwd;
    const bnf_desc *x = &inst->in[0];
    if (bnf_needs_grad(b, in[0]) || bnf_needs_grad(b, in[2])) {
        bnf_val dx = bnf_emit(b, &bnf_op_channel_sqdev_bwd, NULL, 4, (bnf_val[]){in[0], in[1], in[2], dout[0]});
        if (bnf_needs_grad(b, in[0]))
            din[0] = dx;
        if (bnf_needs_grad(b, in[2]))
            din[2] = bnf_affine(b, bnf_sum_to(b, dx, &inst->in[2]), -1.0, 0.0);
    }
    if (bnf_needs_grad(b, in[1])) {
        bnf_val square = bnf_square(b, bnf_sub(b, in[0], in[2]));
        din[1] = sum_samples(b, bnf_mul(b, square, dout[0]), x);
    }
}

/* z = 2 w g (x - mean): dx = 2 w g dz, dmean = -sum dx, dg = sum 2 w (x - mean) dz, dw = sum 2 g (x - mean) dz. */
static void channel_sqdev_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                  const bnf_val *dout, bnf_val *din)
{
    (void)out;
    const bnf_desc *x = &inst->in[0];
    bnf_val twice = bnf_affine(b, dout[0], 2.0, 0.0), with_g = bnf_mul(b, twice, in[3]);
    bnf_val centred = bnf_sub(b, in[0], in[2]);
    bnf_val dx = bnf_mul(b, with_g, weights_as_x(b, in[1], x));
    din[0] = dx;
    if (bnf_needs_grad(b, in[1]))
        din[1] = sum_samples(b, bnf_mul(b, with_g, centred), x);
    if (bnf_needs_grad(b, in[2]))
        din[2] = bnf_affine(b, bnf_sum_to(b, dx, &inst->in[2]), -1.0, 0.0);
    if (bnf_needs_grad(b, in[3]))
        din[3] = bnf_channel_sum(b, bnf_mul(b, twice, centred), in[1]);
}

static const bnf_kernel channel_sqdev_kernels[] = {{"ref", NULL, channel_sqdev_run, NULL}, {0}};
const bnf_op bnf_op_channel_sqdev = {.name = "channel_sqdev",
                                     .n_in_min = 3,
                                     .n_in_max = 3,
                                     .n_out = 1,
                                     .infer = moments_infer,
                                     .vjp = channel_sqdev_vjp,
                                     .kernels = channel_sqdev_kernels,
                                     .f32_in = 2 | 4};

static const bnf_kernel channel_sqdev_bwd_kernels[] = {{"ref", NULL, channel_sqdev_bwd_run, NULL}, {0}};
const bnf_op bnf_op_channel_sqdev_bwd = {.name = "channel_sqdev_bwd",
                                         .n_in_min = 4,
                                         .n_in_max = 4,
                                         .n_out = 1,
                                         .infer = channel_sqdev_bwd_infer,
                                         .vjp = channel_sqdev_bwd_vjp,
                                         .kernels = channel_sqdev_bwd_kernels,
                                         .inplace = 1,
                                         .f32_in = 2 | 4 | 8};

bnf_val bnf_channel_sqdev(bnf_builder *b, bnf_val x, bnf_val w, bnf_val mean)
{
    return bnf_emit(b, &bnf_op_channel_sqdev, NULL, 3, (bnf_val[]){x, w, mean});
}

/* --- channel_normalize: x, mean, var (gamma, beta) ---------------------------------------------------------------- */

/* Room for two values per channel. */
static bnf_status channel_scratch(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    k->scratch_bytes = 2 * (size_t)bnf_desc_cols(&inst->in[0]) * bnf_dtype_size(inst->in[0].dtype);
    return BNF_OK;
}

/* Input 0 is x[...,C], inputs 1 ... last are [C]. */
static bnf_status normalize_check(const bnf_op_inst *inst, int last)
{
    const bnf_normalize_attr *a = inst->attr;
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    if (!(a->eps >= 0))
        return bnf_op_fail(inst, "eps %g is negative", a->eps);
    for (int i = 1; i <= last; i++)
        if (!is_vector(&inst->in[i], bnf_desc_cols(&inst->in[0])))
            return bnf_op_fail(inst, "input %d needs one value per channel", i);
    return BNF_OK;
}

static bnf_status channel_normalize_infer(bnf_op_inst *inst)
{
    if (inst->n_in == 4)
        return bnf_op_fail(inst, "needs both of gamma and beta or neither");
    BNF_TRY(normalize_check(inst, inst->n_in - 1));
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

static void channel_normalize_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                  const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *x = &inst->in[0];
    double eps = ((const bnf_normalize_attr *)inst->attr)->eps;
    const void *gamma = inst->n_in == 5 ? in[3] : NULL, *beta = inst->n_in == 5 ? in[4] : NULL;
    BNF_REAL_CALL(x->dtype, channel_normalize, bnf_desc_rows(x), bnf_desc_cols(x), eps, in[0], in[1], in[2], gamma,
                  beta, out[0], scratch);
}

/* channel_normalize_bwd: x, mean, var, dy (gamma) -> dx, sum dy [C], sum dy (x - mean) rstd [C]. */
static bnf_status channel_normalize_bwd_infer(bnf_op_inst *inst)
{
    BNF_TRY(normalize_check(inst, 2));
    if (!bnf_desc_same_shape(&inst->in[3], &inst->in[0]))
        return bnf_op_fail(inst, "gradient does not have the shape of x");
    int64_t c = bnf_desc_cols(&inst->in[0]);
    if (inst->n_in == 5 && !is_vector(&inst->in[4], c))
        return bnf_op_fail(inst, "input 4 needs one value per channel");
    inst->out[0] = inst->in[0];
    inst->out[1] = inst->out[2] = bnf_desc_1d(bnf_dtype_of_sums(inst->in[0].dtype), c);
    return BNF_OK;
}

static void channel_normalize_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                      const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *x = &inst->in[0];
    double eps = ((const bnf_normalize_attr *)inst->attr)->eps;
    const void *gamma = inst->n_in == 5 ? in[4] : NULL;
    BNF_REAL_CALL(x->dtype, channel_normalize_bwd, bnf_desc_rows(x), bnf_desc_cols(x), eps, in[0], in[1], in[2], gamma,
                  in[3], out[0], out[1], out[2], scratch);
}

/* With h = (x - mean) rstd: dgamma = sum dy h, dbeta = sum dy, dmean = -gamma rstd sum dy, dvar = -gamma rstd^2 (sum
 * dy h) / 2. */
static void channel_normalize_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                  const bnf_val *dout, bnf_val *din)
{
    (void)out;
    extern const bnf_op bnf_op_channel_normalize_bwd;
    const bnf_normalize_attr *a = inst->attr;
    bool scaled = inst->n_in == 5;
    bnf_val args[5] = {in[0], in[1], in[2], dout[0], scaled ? in[3] : BNF_NONE}, grad[3];
    bnf_emit_multi(b, &bnf_op_channel_normalize_bwd, a, scaled ? 5 : 4, args, grad);
    din[0] = grad[0];
    if (scaled) {
        din[3] = grad[2];
        din[4] = grad[1];
    }
    if (!bnf_needs_grad(b, in[1]) && !bnf_needs_grad(b, in[2]))
        return;
    bnf_val rstd = bnf_rsqrt(b, bnf_affine(b, in[2], 1.0, a->eps));
    bnf_val scale = scaled ? bnf_mul(b, in[3], rstd) : rstd;
    if (bnf_needs_grad(b, in[1]))
        din[1] = bnf_affine(b, bnf_mul(b, grad[1], scale), -1.0, 0.0);
    if (bnf_needs_grad(b, in[2]))
        din[2] = bnf_affine(b, bnf_mul(b, bnf_mul(b, grad[2], scale), rstd), -0.5, 0.0);
}

/* The part of channel_normalize_bwd's gradient that comes through dx = g scale, scale = gamma rstd. */
static void normalize_bwd_through_dx(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, bnf_val rstd,
                                     bnf_val ddx, bnf_val *din)
{
    bool scaled = inst->n_in == 5;
    bnf_val scale = scaled ? bnf_mul(b, in[4], rstd) : rstd;
    bnf_val dscale = bnf_sum_to(b, bnf_mul(b, ddx, in[3]), &inst->in[2]);
    bnf_val half_rstd2 = bnf_affine(b, bnf_square(b, rstd), -0.5, 0.0);
    din[2] = bnf_mul(b, bnf_mul(b, dscale, scale), half_rstd2);
    din[3] = bnf_mul(b, ddx, scale);
    if (scaled)
        din[4] = bnf_mul(b, dscale, rstd);
}

/* What comes through the sum of g (x - mean) rstd. */
static void normalize_bwd_through_sum(bnf_builder *b, const bnf_val *in, const bnf_val *out, bnf_val rstd, bnf_val dsum,
                                      bnf_val *din)
{
    bnf_val weight = bnf_mul(b, dsum, rstd);
    din[0] = bnf_mul(b, in[3], weight);
    din[1] = bnf_affine(b, bnf_mul(b, out[1], weight), -1.0, 0.0);
    din[2] = bnf_plus(b, din[2], bnf_affine(b, bnf_mul(b, bnf_mul(b, out[2], weight), rstd), -0.5, 0.0));
    din[3] = bnf_plus(b, din[3], bnf_mul(b, bnf_sub(b, in[0], in[1]), weight));
}

static void channel_normalize_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                      const bnf_val *dout, bnf_val *din)
{
    const bnf_normalize_attr *a = inst->attr;
    bnf_val rstd = bnf_rsqrt(b, bnf_affine(b, in[2], 1.0, a->eps));
    if (bnf_val_ok(dout[0]))
        normalize_bwd_through_dx(b, inst, in, rstd, dout[0], din);
    if (bnf_val_ok(dout[1]))
        din[3] = bnf_plus(b, din[3], bnf_broadcast_to(b, dout[1], &inst->in[3]));
    if (bnf_val_ok(dout[2]))
        normalize_bwd_through_sum(b, in, out, rstd, dout[2], din);
}

static const bnf_kernel channel_normalize_kernels[] = {{"ref", channel_scratch, channel_normalize_run, NULL}, {0}};
const bnf_op bnf_op_channel_normalize = {.name = "channel_normalize",
                                         .n_in_min = 3,
                                         .n_in_max = 5,
                                         .n_out = 1,
                                         .attr_size = sizeof(bnf_normalize_attr),
                                         .infer = channel_normalize_infer,
                                         .vjp = channel_normalize_vjp,
                                         .flags = BNF_OP_CHEAP | BNF_OP_BY_ROW,
                                         .kernels = channel_normalize_kernels,
                                         .inplace = 1,
                                         .f32_in = 2 | 4 | 8 | 16};

static const bnf_kernel channel_normalize_bwd_kernels[] = {{"ref", channel_scratch, channel_normalize_bwd_run, NULL},
                                                           {0}};
const bnf_op bnf_op_channel_normalize_bwd = {.name = "channel_normalize_bwd",
                                             .n_in_min = 4,
                                             .n_in_max = 5,
                                             .n_out = 3,
                                             .attr_size = sizeof(bnf_normalize_attr),
                                             .infer = channel_normalize_bwd_infer,
                                             .vjp = channel_normalize_bwd_vjp,
                                             .kernels = channel_normalize_bwd_kernels,
                                             .inplace = 9,
                                             .f32_in = 2 | 4 | 16};

bnf_val bnf_channel_normalize(bnf_builder *b, bnf_val x, bnf_val mean, bnf_val var, bnf_val gamma, bnf_val beta,
                              double eps)
{
    bnf_normalize_attr a = {.eps = eps};
    bool plain = !bnf_val_ok(gamma) && !bnf_val_ok(beta);
    return bnf_emit(b, &bnf_op_channel_normalize, &a, plain ? 3 : 5, (bnf_val[]){x, mean, var, gamma, beta});
}
