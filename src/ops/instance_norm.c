/* ops/instance_norm.c - every channel of every sample normalised over its positions (Ulyanov, Vedaldi, Lempitsky:
 * Instance normalization: the missing ingredient for fast stylization, 2016):
 *
 *     instance_norm      (x[N,...,C], gamma[C], beta[C])   -> y = gamma (x - mean) rstd + beta
 *     instance_norm_bwd  (x, gamma, dy)                    -> dx, dgamma[C], dbeta[C]
 *
 * with rstd = 1 / sqrt(var + eps) and the variance of the positions as they are (divided by their number). The moments
 * are computed again for the gradient, which is not itself differentiable. */
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/group_sum.h"
#include "ops/infer.h"

#include <math.h>

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/instance_norm.inc"
#include "ops/both_reals.inc"

extern const bnf_op bnf_op_instance_norm, bnf_op_instance_norm_bwd;

static bnf_status check_channels(const bnf_op_inst *inst, int first, int last)
{
    const bnf_desc *x = &inst->in[0];
    for (int i = first; i <= last; i++)
        if (inst->in[i].ndim != 1 || inst->in[i].dim[0] != bnf_desc_cols(x))
            return bnf_op_fail(inst, "input %d needs one value per channel", i);
    return BNF_OK;
}

static bnf_status check_x(const bnf_op_inst *inst)
{
    const bnf_normalize_attr *a = inst->attr;
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    if (inst->in[0].ndim < 3)
        return bnf_op_fail(inst, "needs x[N,...,C] with positions");
    return a->eps > 0 ? BNF_OK : bnf_op_fail(inst, "eps %g is not positive", a->eps);
}

static bnf_status norm_infer(bnf_op_inst *inst)
{
    BNF_TRY(check_x(inst));
    BNF_TRY(check_channels(inst, 1, 2));
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

static bnf_status norm_bwd_infer(bnf_op_inst *inst)
{
    BNF_TRY(check_x(inst));
    BNF_TRY(check_channels(inst, 1, 1));
    if (!bnf_desc_same_shape(&inst->in[2], &inst->in[0]))
        return bnf_op_fail(inst, "the gradient does not have the shape of x");
    inst->out[0] = inst->in[0];
    inst->out[1] = inst->out[2] = bnf_desc_1d(bnf_dtype_of_sums(inst->in[0].dtype), bnf_desc_cols(&inst->in[0]));
    return BNF_OK;
}

/* Room for mean, rstd and two sums per channel. */
static bnf_status make_scratch(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    k->scratch_bytes = 4 * (size_t)bnf_desc_cols(&inst->in[0]) * bnf_dtype_size(bnf_dtype_of_sums(inst->in[0].dtype));
    return BNF_OK;
}

static void norm_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *x = &inst->in[0];
    double eps = ((const bnf_normalize_attr *)inst->attr)->eps;
    BNF_VALUE_CALL(x->dtype, instance_norm, x->dim[0], bnf_desc_rows(x) / x->dim[0], bnf_desc_cols(x), eps, in[0],
                   in[1], in[2], out[0], scratch);
}

static void norm_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                         const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *x = &inst->in[0];
    double eps = ((const bnf_normalize_attr *)inst->attr)->eps;
    BNF_VALUE_CALL(x->dtype, instance_norm_bwd, x->dim[0], bnf_desc_rows(x) / x->dim[0], bnf_desc_cols(x), eps, in[0],
                   in[1], in[2], out[0], out[1], out[2], scratch);
}

static void norm_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    (void)out;
    bnf_emit_multi(b, &bnf_op_instance_norm_bwd, inst->attr, 3, (bnf_val[]){in[0], in[1], dout[0]}, din);
}

static const bnf_kernel norm_kernels[] = {{"ref", make_scratch, norm_run, NULL}, {0}};
const bnf_op bnf_op_instance_norm = {.name = "instance_norm",
                                     .n_in_min = 3,
                                     .n_in_max = 3,
                                     .n_out = 1,
                                     .attr_size = sizeof(bnf_normalize_attr),
                                     .infer = norm_infer,
                                     .vjp = norm_vjp,
                                     .kernels = norm_kernels,
                                     .bf16_kernels = norm_kernels,
                                     .f32_in = 2 | 4,
                                     .inplace = 1,
                                     .flags = BNF_OP_BY_SAMPLE};

static const bnf_kernel norm_bwd_kernels[] = {{"ref", make_scratch, norm_bwd_run, NULL}, {0}};
const bnf_op bnf_op_instance_norm_bwd = {.name = "instance_norm_bwd",
                                         .n_in_min = 3,
                                         .n_in_max = 3,
                                         .n_out = 3,
                                         .attr_size = sizeof(bnf_normalize_attr),
                                         .infer = norm_bwd_infer,
                                         .kernels = norm_bwd_kernels,
                                         .bf16_kernels = norm_bwd_kernels,
                                         .f32_in = 2};

bnf_val bnf_instance_norm(bnf_builder *b, bnf_val x, bnf_val gamma, bnf_val beta, double eps)
{
    return bnf_emit(b, &bnf_op_instance_norm, &(bnf_normalize_attr){.eps = eps}, 3, (bnf_val[]){x, gamma, beta});
}
