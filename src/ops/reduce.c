/* ops/reduce.c - broadcast_to and sum_to, each the transpose of the other; batch_sum. */
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/broadcast.h"
#include "ops/group_sum.h"
#include "ops/infer.h"

#include <string.h>

enum { LANES = 16 }; /* running sums side by side */

#define BNF_REAL_SOURCE "ops/reduce.inc"
#include "ops/both_reals.inc"

static bnf_shape_attr attr_of(const bnf_desc *shape)
{
    bnf_shape_attr a = {.ndim = shape->ndim};
    memcpy(a.dim, shape->dim, (size_t)shape->ndim * sizeof a.dim[0]);
    return a;
}

/* out[0] has the attribute's shape. Fails unless `small` broadcasts to exactly `large`, one of them being out[0]. */
static bnf_status shape_infer(bnf_op_inst *inst, const bnf_desc *small, const bnf_desc *large)
{
    const bnf_shape_attr *a = inst->attr;
    bnf_desc full;
    char text[96];
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (a->ndim < 1 || a->ndim > BNF_MAX_DIMS)
        return bnf_op_fail(inst, "shape with %d dimensions", (int)a->ndim);
    inst->out[0] = bnf_desc_make(inst->in[0].dtype, (int)a->ndim, a->dim);
    if (bnf_desc_broadcast(small, large, &full) != BNF_OK)
        return bnf_fail_context(BNF_ERR_ARG, "%s", inst->op->name);
    if (!bnf_desc_same_shape(&full, large))
        return bnf_op_fail(inst, "not possible to %s", bnf_desc_format(&inst->out[0], text, sizeof text));
    return BNF_OK;
}

/* --- broadcast_to ------------------------------------------------------------------------------------------------- */

static bnf_status broadcast_to_infer(bnf_op_inst *inst)
{
    return shape_infer(inst, &inst->in[0], &inst->out[0]);
}

static void broadcast_to_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                             const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    bnf_bcast b;
    bnf_bcast_make(&inst->out[0], 1, (const bnf_desc *[]){&inst->in[0]}, &b);
    BNF_REAL_CALL(inst->out[0].dtype, spread, &b, in[0], out[0]);
}

static void broadcast_to_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                             const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    din[0] = bnf_sum_to(b, dout[0], &inst->in[0]);
}

static const bnf_kernel broadcast_to_kernels[] = {{"ref", NULL, broadcast_to_run, NULL}, {0}};
const bnf_op bnf_op_broadcast_to = {.name = "broadcast_to",
                                    .n_in_min = 1,
                                    .n_in_max = 1,
                                    .n_out = 1,
                                    .attr_size = sizeof(bnf_shape_attr),
                                    .infer = broadcast_to_infer,
                                    .vjp = broadcast_to_vjp,
                                    .kernels = broadcast_to_kernels};

bnf_val bnf_broadcast_to(bnf_builder *b, bnf_val x, const bnf_desc *shape)
{
    if (!bnf_val_ok(x) || bnf_desc_same_shape(bnf_val_desc(b, x), shape))
        return x;
    bnf_shape_attr a = attr_of(shape);
    return bnf_emit(b, &bnf_op_broadcast_to, &a, 1, &x);
}

/* --- sum_to ------------------------------------------------------------------------------------------------------- */

static bnf_status sum_to_infer(bnf_op_inst *inst)
{
    return shape_infer(inst, &inst->out[0], &inst->in[0]);
}

static void sum_to_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                       void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    bnf_bcast b;
    bnf_bcast_make(&inst->in[0], 1, (const bnf_desc *[]){&inst->out[0]}, &b);
    BNF_REAL_CALL(inst->out[0].dtype, gather, &b, bnf_desc_count(&inst->out[0]), in[0], out[0]);
}

static void sum_to_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                       const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    din[0] = bnf_broadcast_to(b, dout[0], &inst->in[0]);
}

static const bnf_kernel sum_to_kernels[] = {{"ref", NULL, sum_to_run, NULL}, {0}};
const bnf_op bnf_op_sum_to = {.name = "sum_to",
                              .n_in_min = 1,
                              .n_in_max = 1,
                              .n_out = 1,
                              .attr_size = sizeof(bnf_shape_attr),
                              .infer = sum_to_infer,
                              .vjp = sum_to_vjp,
                              .kernels = sum_to_kernels};

bnf_val bnf_sum_to(bnf_builder *b, bnf_val x, const bnf_desc *shape)
{
    if (!bnf_val_ok(x) || bnf_desc_same_shape(bnf_val_desc(b, x), shape))
        return x;
    bnf_shape_attr a = attr_of(shape);
    return bnf_emit(b, &bnf_op_sum_to, &a, 1, &x);
}

bnf_val bnf_sum_all(bnf_builder *b, bnf_val x)
{
    bnf_desc one = bnf_desc_1d(b->real, 1);
    return bnf_sum_to(b, x, &one);
}

bnf_val bnf_sum_last(bnf_builder *b, bnf_val x)
{
    if (!bnf_val_ok(x))
        return x;
    bnf_desc d = *bnf_val_desc(b, x);
    d.dim[d.ndim - 1] = 1;
    return bnf_sum_to(b, x, &d);
}

/* --- batch_sum: no kernel, the executor adds the leaves ----------------------------------------------------------- */

static bnf_status batch_sum_infer(bnf_op_inst *inst)
{
    if (inst->in[0].dtype == BNF_BF16)
        return bnf_op_fail(inst, "sums over the batch are f32: cast before");
    return bnf_infer_elementwise(inst);
}

/* Every leaf's value counts once in the sum, so the sum's gradient is every leaf's gradient. */
static void batch_sum_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                          const bnf_val *dout, bnf_val *din)
{
    (void)b, (void)inst, (void)in, (void)out;
    din[0] = dout[0];
}

const bnf_op bnf_op_batch_sum = {.name = "batch_sum",
                                 .n_in_min = 1,
                                 .n_in_max = 1,
                                 .n_out = 1,
                                 .infer = batch_sum_infer,
                                 .vjp = batch_sum_vjp,
                                 .flags = BNF_OP_BATCH_SUM};

bnf_val bnf_batch_sum(bnf_builder *b, bnf_val x)
{
    return bnf_emit(b, &bnf_op_batch_sum, NULL, 1, &x);
}
