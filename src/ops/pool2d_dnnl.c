/* ops/pool2d_dnnl.c - max and average pooling by oneDNN. */
#include "ops/dnnl.h"
#include "ops/pool2d.h"

bnf_status bnf_pool2d_dnnl_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    bnf_pool2d_shape s = bnf_pool2d_shape_of(inst);
    bool forward = inst->op == &bnf_op_pool2d, bf16 = inst->in[0].dtype == BNF_BF16;
    if ((inst->in[0].dtype != BNF_F32 && !(bf16 && forward)) || inst->n_in != 1 || s.kind == BNF_POOL_L2 ||
        (!forward && s.kind == BNF_POOL_MAX))
        return BNF_ERR_UNSUPPORTED;
    bnf_dnnl_spec spec = {
        .family = s.kind == BNF_POOL_MAX ? BNF_DNNL_POOL_MAX : BNF_DNNL_POOL_AVG,
        .pass = forward ? BNF_DNNL_FORWARD : BNF_DNNL_BWD_DATA,
        .src = {4, {s.n, s.c, s.h, s.w}, BNF_DNNL_NHWC},
        .dst = {4, {s.n, s.c, s.oh, s.ow}, BNF_DNNL_NHWC},
        .window = {s.window[0], s.window[1]},
        .stride = {s.stride[0], s.stride[1]},
        .pad = {s.pad[0], s.pad[1], s.pad[2], s.pad[3]},
    };
    spec.src.bf16 = spec.dst.bf16 = bf16;
    bnf_dnnl *d = NULL;
    BNF_TRY(bnf_dnnl_create(&spec, inst->threads, &d));
    k->state = d;
    k->scratch_bytes = bnf_dnnl_scratch_bytes(d);
    return BNF_OK;
}

void bnf_pool2d_dnnl(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    void *from = (void *)(uintptr_t)in[0];
    bool forward = inst->op == &bnf_op_pool2d;
    void *ptr[BNF_DNNL_ROLES] = {[BNF_DNNL_SRC] = forward ? from : out[0], [BNF_DNNL_DST] = forward ? out[0] : from};
    bnf_dnnl_run(k->state, ctx->thread, ptr, scratch);
}

void bnf_pool2d_dnnl_destroy(bnf_kernel_plan *k)
{
    bnf_dnnl_destroy(k->state);
}
