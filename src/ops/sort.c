/* ops/sort.c - fullsort: the last dimension in ascending order, and where each value came from. Equal values keep their
 * order. */
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/infer.h"

#include <string.h>

enum {
    LANES = 16,  /* values that are ranked side by side */
    SHORT = 256, /* rows up to here are ranked by counting: n^2 comparisons, but many at once */
    RUN = 16
};

#define BNF_REAL_SOURCE "ops/sort.inc"
#include "ops/both_reals.inc"

/* x[...,C] -> y[...,C], i32 [...,C]: places in x. */
static bnf_status fullsort_infer(bnf_op_inst *inst)
{
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (bnf_desc_cols(&inst->in[0]) > INT32_MAX / 2)
        return bnf_op_fail(inst, "more than 2^30 channels");
    inst->out[0] = inst->out[1] = inst->in[0];
    inst->out[1].dtype = BNF_I32;
    return BNF_OK;
}

static bnf_status fullsort_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    k->scratch_bytes = 2 * (size_t)bnf_desc_cols(&inst->in[0]) * bnf_dtype_size(inst->in[0].dtype);
    return BNF_OK;
}

static void fullsort_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                         const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *d = &inst->out[0];
    BNF_REAL_CALL(d->dtype, fullsort, bnf_desc_rows(d), (int32_t)bnf_desc_cols(d), in[0], out[0], out[1], scratch);
}

static bnf_val emit_permute(bnf_builder *b, bool forward, bnf_val at, bnf_val g)
{
    extern const bnf_op bnf_op_fullsort_bwd;
    return bnf_emit(b, &bnf_op_fullsort_bwd, &(bnf_permute_attr){.forward = forward}, 2, (bnf_val[]){at, g});
}

static void fullsort_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                         const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)in;
    din[0] = emit_permute(b, false, out[1], dout[0]);
}

/* i32 [...,C], g[...,C] -> dx[...,C] */
static bnf_status fullsort_bwd_infer(bnf_op_inst *inst)
{
    const bnf_permute_attr *a = inst->attr;
    if (a->forward != 0 && a->forward != 1)
        return bnf_op_fail(inst, "direction is %d", (int)a->forward);
    if (inst->in[0].dtype != BNF_I32 || !bnf_dtype_is_real(inst->in[1].dtype) ||
        !bnf_desc_same_shape(&inst->in[0], &inst->in[1]))
        return bnf_op_fail(inst, "needs places i32 and a gradient of one shape");
    inst->out[0] = inst->in[1];
    return BNF_OK;
}

static void fullsort_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                             const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_desc *d = &inst->out[0];
    bool forward = ((const bnf_permute_attr *)inst->attr)->forward == 1;
    BNF_REAL_CALL(d->dtype, permute_rows, forward, bnf_desc_rows(d), bnf_desc_cols(d), in[0], in[1], out[0]);
}

static void fullsort_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                             const bnf_val *dout, bnf_val *din)
{
    (void)out;
    bool forward = ((const bnf_permute_attr *)inst->attr)->forward == 1;
    din[1] = emit_permute(b, !forward, in[0], dout[0]);
}

static const bnf_kernel fullsort_kernels[] = {{"ref", fullsort_create, fullsort_run, NULL}, {0}};
const bnf_op bnf_op_fullsort = {.name = "fullsort",
                                .n_in_min = 1,
                                .n_in_max = 1,
                                .n_out = 2,
                                .infer = fullsort_infer,
                                .vjp = fullsort_vjp,
                                .kernels = fullsort_kernels,
                                .flags = BNF_OP_BY_ROW};

static const bnf_kernel fullsort_bwd_kernels[] = {{"ref", NULL, fullsort_bwd_run, NULL}, {0}};
const bnf_op bnf_op_fullsort_bwd = {.name = "fullsort_bwd",
                                    .n_in_min = 2,
                                    .n_in_max = 2,
                                    .n_out = 1,
                                    .attr_size = sizeof(bnf_permute_attr),
                                    .infer = fullsort_bwd_infer,
                                    .vjp = fullsort_bwd_vjp,
                                    .kernels = fullsort_bwd_kernels,
                                    .flags = BNF_OP_BY_ROW};

bnf_val bnf_fullsort(bnf_builder *b, bnf_val x)
{
    bnf_val out[2];
    bnf_emit_multi(b, &bnf_op_fullsort, NULL, 1, &x, out);
    return out[0];
}
