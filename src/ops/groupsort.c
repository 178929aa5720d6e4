/* ops/groupsort.c - groupsort2: each pair of neighbouring channels becomes (smaller, larger). The gradient is the same
 * permutation, so the map keeps norms (1-Lipschitz). Equal and NaN pairs stay as they are. */
#include "base/simd.h"
#include "ops/infer.h"

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/groupsort.inc"
#include "ops/both_reals.inc"

static bnf_status groupsort2_infer(bnf_op_inst *inst)
{
    if (bnf_desc_cols(&inst->in[0]) % 2 != 0)
        return bnf_op_fail(inst, "needs an even number of channels");
    return bnf_infer_elementwise(inst);
}

static void groupsort2_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                           const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    BNF_VALUE_CALL(inst->out[0].dtype, groupsort2, bnf_desc_count(&inst->out[0]) / 2, in[0], out[0]);
}

static void groupsort2_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                               const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    BNF_VALUE_CALL(inst->out[0].dtype, groupsort2_bwd, bnf_desc_count(&inst->out[0]) / 2, in[0], in[1], out[0]);
}

static bnf_val emit_permute(bnf_builder *b, bnf_val x, bnf_val g)
{
    extern const bnf_op bnf_op_groupsort2_bwd;
    return bnf_emit(b, &bnf_op_groupsort2_bwd, NULL, 2, (bnf_val[]){x, g});
}

static void groupsort2_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                           const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)out;
    din[0] = emit_permute(b, in[0], dout[0]);
}

/* Swapping within pairs is its own transpose. */
static void groupsort2_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                               const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)out;
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_affine(b, dout[0], 0.0, 0.0);
    if (bnf_needs_grad(b, in[1]))
        din[1] = emit_permute(b, in[0], dout[0]);
}

static const bnf_kernel groupsort2_kernels[] = {{"ref", NULL, groupsort2_run, NULL}, {0}};
const bnf_op bnf_op_groupsort2 = {.name = "groupsort2",
                                  .n_in_min = 1,
                                  .n_in_max = 1,
                                  .n_out = 1,
                                  .infer = groupsort2_infer,
                                  .vjp = groupsort2_vjp,
                                  .flags = BNF_OP_CHEAP | BNF_OP_BY_ROW,
                                  .kernels = groupsort2_kernels,
                                  .bf16_kernels = groupsort2_kernels,
                                  .inplace = 1};

static const bnf_kernel groupsort2_bwd_kernels[] = {{"ref", NULL, groupsort2_bwd_run, NULL}, {0}};
const bnf_op bnf_op_groupsort2_bwd = {.name = "groupsort2_bwd",
                                      .n_in_min = 2,
                                      .n_in_max = 2,
                                      .n_out = 1,
                                      .infer = groupsort2_infer,
                                      .vjp = groupsort2_bwd_vjp,
                                      .kernels = groupsort2_bwd_kernels,
                                      .bf16_kernels = groupsort2_bwd_kernels,
                                      .inplace = 3,
                                      .flags = BNF_OP_BY_ROW};

bnf_val bnf_groupsort2(bnf_builder *b, bnf_val x)
{
    return bnf_emit(b, &bnf_op_groupsort2, NULL, 1, &x);
}
