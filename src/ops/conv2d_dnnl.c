/* ops/conv2d_dnnl.c - conv2d and its gradients by oneDNN: describes the pass; ops/linear_dnnl.c runs it. */
#include "ops/conv2d.h"
#include "ops/linear_dnnl.h"

bnf_status bnf_conv2d_dnnl_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    bool bf16 = inst->in[0].dtype == BNF_BF16;
    if (inst->in[0].dtype != BNF_F32 && !bf16)
        return BNF_ERR_UNSUPPORTED;
    bnf_conv2d_shape s = bnf_conv2d_shape_of(inst);
    /* For images narrower than the stride, oneDNN 2.6.3's weight gradients in bf16 read scratch memory that nothing has
     * written (found by filling it with different bytes; 140 000 other uses are clean). */
    if (bf16 && inst->op == &bnf_op_conv2d_bwd_weights && s.w < s.stride[1])
        return BNF_ERR_UNSUPPORTED;
    bnf_dnnl_spec spec = {
        .family = BNF_DNNL_CONV,
        .pass = inst->op == &bnf_op_conv2d            ? BNF_DNNL_FORWARD
                : inst->op == &bnf_op_conv2d_bwd_data ? BNF_DNNL_BWD_DATA
                                                      : BNF_DNNL_BWD_WEIGHTS,
        .src = {4, {s.n, s.i, s.h, s.w}, BNF_DNNL_NHWC},
        .weights = {4, {s.o, s.i, s.kh, s.kw}, BNF_DNNL_ANY},
        .dst = {4, {s.n, s.o, s.oh, s.ow}, BNF_DNNL_NHWC},
        .stride = {s.stride[0], s.stride[1]},
        .pad = {s.pad[0], s.pad[1], s.pad[2], s.pad[3]},
        .dilation = {s.dilation[0], s.dilation[1]},
    };
    if (s.groups > 1)
        spec.weights = (bnf_dnnl_array){5, {s.groups, s.o / s.groups, s.i / s.groups, s.kh, s.kw}, BNF_DNNL_ANY};
    spec.src.bf16 = spec.dst.bf16 = bf16;
    spec.weights.bf16 = bf16 && spec.pass != BNF_DNNL_BWD_WEIGHTS;
    if (s.bias)
        spec.bias = (bnf_dnnl_array){1, {s.o}, BNF_DNNL_PLAIN};
    return bnf_linear_dnnl_create(inst, &spec, k);
}
