/* ops/dense_dnnl.c - dense and its gradients by oneDNN: describes the pass; ops/linear_dnnl.c runs it. */
#include "ops/dense.h"
#include "ops/linear_dnnl.h"

/* Only the forward pass packs its weight. Measured on one Zen 4 core with 8 ... 32 rows: forward 107-116 GFLOP/s
 * packed, 46-102 plain; both gradients are at least as fast on plain matrices (97-115) as on the layouts oneDNN
 * would choose (60-107). */
bnf_status bnf_dense_dnnl_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    bool bf16 = inst->in[0].dtype == BNF_BF16;
    if (inst->in[0].dtype != BNF_F32 && !bf16)
        return BNF_ERR_UNSUPPORTED;
    bnf_dense_shape s = bnf_dense_shape_of(inst);
    bool forward = inst->op == &bnf_op_dense, data = inst->op == &bnf_op_dense_bwd_data;
    bnf_dnnl_spec spec = {
        .family = BNF_DNNL_DENSE,
        .pass = forward ? BNF_DNNL_FORWARD
                : data  ? BNF_DNNL_BWD_DATA
                        : BNF_DNNL_BWD_WEIGHTS,
        .src = {2, {s.n, s.i}, BNF_DNNL_PLAIN},
        .weights = {2, {s.o, s.i}, forward && inst->in_is_param[1] ? BNF_DNNL_ANY : BNF_DNNL_PLAIN},
        .dst = {2, {s.n, s.o}, BNF_DNNL_PLAIN},
    };
    spec.src.bf16 = spec.dst.bf16 = bf16;
    spec.weights.bf16 = bf16 && spec.pass != BNF_DNNL_BWD_WEIGHTS;
    if (s.bias)
        spec.bias = (bnf_dnnl_array){1, {s.o}, BNF_DNNL_PLAIN};
    return bnf_linear_dnnl_create(inst, &spec, k);
}
