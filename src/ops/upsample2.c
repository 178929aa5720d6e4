/* ops/upsample2.c - images of twice the height and width by bilinear interpolation with half-pixel centres:
 *
 *     upsample2      (x[N,H,W,C])     -> y[N,2H,2W,C]
 *     upsample2_bwd  (dy[N,2H,2W,C])  -> dx[N,H,W,C], the transpose
 *
 * Along each axis y[2 i] = (x[i - 1] + 3 x[i]) / 4 and y[2 i + 1] = (3 x[i] + x[i + 1]) / 4, where x goes on beyond the
 * border with its last value: [1, 3] becomes [1, 1.5, 2.5, 3]. This is align_corners = false elsewhere. */
#include "base/simd.h"
#include "ops/infer.h"

#define BNF_REAL_SOURCE "ops/upsample2.inc"
#include "ops/both_reals.inc"

extern const bnf_op bnf_op_upsample2, bnf_op_upsample2_bwd;

static bnf_status check_image(const bnf_op_inst *inst)
{
    BNF_TRY(bnf_infer_reals(inst, 1));
    return inst->in[0].ndim == 4 ? BNF_OK : bnf_op_fail(inst, "needs an image [N,H,W,C]");
}

static bnf_status upsample_infer(bnf_op_inst *inst)
{
    const int64_t *d = inst->in[0].dim;
    BNF_TRY(check_image(inst));
    inst->out[0] = bnf_desc_4d(inst->in[0].dtype, d[0], 2 * d[1], 2 * d[2], d[3]);
    return BNF_OK;
}

static bnf_status upsample_bwd_infer(bnf_op_inst *inst)
{
    const int64_t *d = inst->in[0].dim;
    BNF_TRY(check_image(inst));
    if (d[1] % 2 != 0 || d[2] % 2 != 0)
        return bnf_op_fail(inst, "needs an even number of rows and columns");
    inst->out[0] = bnf_desc_4d(inst->in[0].dtype, d[0], d[1] / 2, d[2] / 2, d[3]);
    return BNF_OK;
}

static void upsample_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                         const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *x = &inst->in[0];
    for (int64_t n = 0; n < x->dim[0]; n++)
        BNF_REAL_CALL(x->dtype, upsample, n, x->dim[1], x->dim[2], x->dim[3], in[0], out[0]);
}

static void upsample_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                             const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *dx = &inst->out[0];
    for (int64_t n = 0; n < dx->dim[0]; n++)
        BNF_REAL_CALL(dx->dtype, upsample_bwd, n, dx->dim[1], dx->dim[2], dx->dim[3], in[0], out[0]);
}

static void upsample_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                         const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)in, (void)out;
    din[0] = bnf_emit(b, &bnf_op_upsample2_bwd, NULL, 1, dout);
}

static void upsample_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                             const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)in, (void)out;
    din[0] = bnf_upsample2(b, dout[0]);
}

static const bnf_kernel upsample_kernels[] = {{"ref", NULL, upsample_run, NULL}, {0}};
const bnf_op bnf_op_upsample2 = {.name = "upsample2",
                                 .n_in_min = 1,
                                 .n_in_max = 1,
                                 .n_out = 1,
                                 .infer = upsample_infer,
                                 .vjp = upsample_vjp,
                                 .kernels = upsample_kernels,
                                 .flags = BNF_OP_BY_SAMPLE};

static const bnf_kernel upsample_bwd_kernels[] = {{"ref", NULL, upsample_bwd_run, NULL}, {0}};
const bnf_op bnf_op_upsample2_bwd = {.name = "upsample2_bwd",
                                     .n_in_min = 1,
                                     .n_in_max = 1,
                                     .n_out = 1,
                                     .infer = upsample_bwd_infer,
                                     .vjp = upsample_bwd_vjp,
                                     .kernels = upsample_bwd_kernels,
                                     .flags = BNF_OP_BY_SAMPLE};

bnf_val bnf_upsample2(bnf_builder *b, bnf_val x)
{
    return bnf_emit(b, &bnf_op_upsample2, NULL, 1, &x);
}
