/* ops/binary.c - add, sub, mul, div, maximum of two arrays, either of which may be stretched to the other's shape. */
#include "base/assert.h"
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/broadcast.h"
#include "ops/infer.h"

/* The two innermost loops: steps of x and y from row to row and (0 or 1) from column to column. */
struct tile {
    int64_t rows, cols, row[2], col[2];
};

static struct tile tile_make(const bnf_bcast *b)
{
    int d = b->ndim - 1;
    struct tile t = {.rows = d > 0 ? b->dim[d - 1] : 1, .cols = b->dim[d]};
    for (int k = 0; k < 2; k++) {
        t.row[k] = d > 0 ? b->stride[k][d - 1] : 0;
        t.col[k] = b->stride[k][d];
    }
    return t;
}

/* The larger one, x where they are equal; NaN if one is NaN. */
#define PICKS_Y(x, y) ((y) > (x) || (y) != (y))

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/binary.inc"
#include "ops/both_reals.inc"

static bnf_bcast binary_loops(const bnf_op_inst *inst)
{
    bnf_bcast b;
    bnf_bcast_make(&inst->out[0], 2, (const bnf_desc *[]){&inst->in[0], &inst->in[1]}, &b);
    return b;
}

/* --- binary ------------------------------------------------------------------------------------------------------- */

/* bf16 values and an f32 parameter or statistic: the result is bf16. */
static bool is_mixed(const bnf_op_inst *inst)
{
    return inst->in[0].dtype == BNF_BF16 && inst->in[1].dtype == BNF_F32;
}

static bnf_status binary_infer(bnf_op_inst *inst)
{
    static const char *const names[] = {"add", "sub", "mul", "div", "maximum"};
    const bnf_binary_attr *a = inst->attr;
    if (a->kind < 0 || a->kind >= BNF_BINARY_COUNT)
        return bnf_op_fail(inst, "unknown kind %d", (int)a->kind);
    bool vector = is_mixed(inst) && a->kind != BNF_BINARY_MAX;
    if (!vector)
        BNF_TRY(bnf_infer_reals(inst, 2));
    if (bnf_desc_broadcast(&inst->in[0], &inst->in[1], &inst->out[0]) != BNF_OK)
        return bnf_fail_context(BNF_ERR_ARG, "%s: %s", inst->op->name, names[a->kind]);
    if (vector && !bnf_desc_same_shape(&inst->out[0], &inst->in[0]))
        return bnf_op_fail(inst, "beside bf16, an f32 array must be the second and broadcast to the first");
    return BNF_OK;
}

static void binary_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                       void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    bnf_binary_kind kind = (bnf_binary_kind)((const bnf_binary_attr *)inst->attr)->kind;
    bnf_bcast b = binary_loops(inst);
    BNF_VALUE_CALL(inst->out[0].dtype, binary_all, kind, &b, in[0], in[1], out[0]);
}

static bnf_val emit_binary(bnf_builder *b, bnf_binary_kind kind, bnf_val x, bnf_val y)
{
    extern const bnf_op bnf_op_binary;
    return bnf_emit(b, &bnf_op_binary, &(bnf_binary_attr){.kind = kind}, 2, (bnf_val[]){x, y});
}

static bnf_val maximum_grad(bnf_builder *b, int side, const bnf_val *in, bnf_val dout)
{
    extern const bnf_op bnf_op_maximum_bwd;
    return bnf_emit(b, &bnf_op_maximum_bwd, &(bnf_maximum_bwd_attr){.side = side}, 3, (bnf_val[]){in[0], in[1], dout});
}

/* d(x op y)/dx times dout, in the shape of the output. */
static bnf_val binary_grad_x(bnf_builder *b, int64_t kind, const bnf_val *in, bnf_val dout)
{
    switch (kind) {
    case BNF_BINARY_MUL:
        return bnf_mul(b, dout, in[1]);
    case BNF_BINARY_DIV:
        return bnf_div(b, dout, in[1]);
    case BNF_BINARY_MAX:
        return maximum_grad(b, 0, in, dout);
    default: /* add, sub */
        return dout;
    }
}

static bnf_val binary_grad_y(bnf_builder *b, int64_t kind, const bnf_val *in, bnf_val out, bnf_val dout)
{
    switch (kind) {
    case BNF_BINARY_SUB:
        return bnf_affine(b, dout, -1.0, 0.0);
    case BNF_BINARY_MUL:
        return bnf_mul(b, dout, in[0]);
    case BNF_BINARY_DIV:
        return bnf_affine(b, bnf_div(b, bnf_mul(b, dout, out), in[1]), -1.0, 0.0);
    case BNF_BINARY_MAX:
        return maximum_grad(b, 1, in, dout);
    default: /* add */
        return dout;
    }
}

static void binary_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                       const bnf_val *dout, bnf_val *din)
{
    int64_t kind = ((const bnf_binary_attr *)inst->attr)->kind;
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_sum_to(b, binary_grad_x(b, kind, in, dout[0]), &inst->in[0]);
    if (bnf_needs_grad(b, in[1]))
        din[1] =
            bnf_sum_to(b, bnf_cast(b, binary_grad_y(b, kind, in, out[0], dout[0]), inst->in[1].dtype), &inst->in[1]);
}

static bnf_status binary_bf16_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    (void)k;
    return is_mixed(inst) ? BNF_ERR_UNSUPPORTED : BNF_OK;
}

static const bnf_kernel binary_bf16_kernels[] = {{"bf16", binary_bf16_create, binary_run, NULL}, {0}};
static const bnf_kernel binary_kernels[] = {{"ref", NULL, binary_run, NULL}, {0}};
const bnf_op bnf_op_binary = {.name = "binary",
                              .n_in_min = 2,
                              .n_in_max = 2,
                              .n_out = 1,
                              .attr_size = sizeof(bnf_binary_attr),
                              .infer = binary_infer,
                              .vjp = binary_vjp,
                              .kernels = binary_kernels,
                              .bf16_kernels = binary_bf16_kernels,
                              .inplace = 3,
                              .flags = BNF_OP_BY_ELEMENT | BNF_OP_BY_ROW};

bnf_val bnf_add(bnf_builder *b, bnf_val x, bnf_val y)
{
    return emit_binary(b, BNF_BINARY_ADD, x, y);
}

bnf_val bnf_sub(bnf_builder *b, bnf_val x, bnf_val y)
{
    return emit_binary(b, BNF_BINARY_SUB, x, y);
}

bnf_val bnf_mul(bnf_builder *b, bnf_val x, bnf_val y)
{
    return emit_binary(b, BNF_BINARY_MUL, x, y);
}

bnf_val bnf_div(bnf_builder *b, bnf_val x, bnf_val y)
{
    return emit_binary(b, BNF_BINARY_DIV, x, y);
}

bnf_val bnf_maximum(bnf_builder *b, bnf_val x, bnf_val y)
{
    return emit_binary(b, BNF_BINARY_MAX, x, y);
}

/* --- maximum_bwd: x, y, dout -> the part of dout that belongs to one side, in dout's shape ------------------------ */

static bnf_status maximum_bwd_infer(bnf_op_inst *inst)
{
    const bnf_maximum_bwd_attr *a = inst->attr;
    bnf_desc full;
    if (a->side != 0 && a->side != 1)
        return bnf_op_fail(inst, "side is %d", (int)a->side);
    BNF_TRY(bnf_infer_reals(inst, 3));
    if (bnf_desc_broadcast(&inst->in[0], &inst->in[1], &full) != BNF_OK)
        return bnf_fail_context(BNF_ERR_ARG, "%s", inst->op->name);
    if (!bnf_desc_same_shape(&full, &inst->in[2]))
        return bnf_op_fail(inst, "gradient does not have the maximum's shape");
    inst->out[0] = inst->in[2];
    return BNF_OK;
}

static void maximum_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                            const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    bool side_y = ((const bnf_maximum_bwd_attr *)inst->attr)->side == 1;
    bnf_bcast b = binary_loops(inst);
    BNF_VALUE_CALL(inst->out[0].dtype, maximum_bwd_all, side_y, &b, in[0], in[1], in[2], out[0]);
}

static void maximum_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                            const bnf_val *dout, bnf_val *din)
{
    (void)out;
    int side = (int)((const bnf_maximum_bwd_attr *)inst->attr)->side;
    for (int i = 0; i < 2; i++)
        if (bnf_needs_grad(b, in[i])) /* piecewise constant in x and y */
            din[i] = bnf_affine(b, bnf_sum_to(b, dout[0], &inst->in[i]), 0.0, 0.0);
    if (bnf_needs_grad(b, in[2]))
        din[2] = maximum_grad(b, side, in, dout[0]);
}

static const bnf_kernel maximum_bwd_kernels[] = {{"ref", NULL, maximum_bwd_run, NULL}, {0}};
const bnf_op bnf_op_maximum_bwd = {.name = "maximum_bwd",
                                   .n_in_min = 3,
                                   .n_in_max = 3,
                                   .n_out = 1,
                                   .attr_size = sizeof(bnf_maximum_bwd_attr),
                                   .infer = maximum_bwd_infer,
                                   .vjp = maximum_bwd_vjp,
                                   .kernels = maximum_bwd_kernels,
                                   .bf16_kernels = maximum_bwd_kernels,
                                   .inplace = 4,
                                   .flags = BNF_OP_BY_ELEMENT};
