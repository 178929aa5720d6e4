/* ops/householder.c - Householder activation of order 1 (Singla, Singla and Feizi, Improved deterministic l2 robustness
 * on CIFAR-10 and CIFAR-100, 2021): each pair of neighbouring channels z is reflected at a line through 0 if it lies on
 * one side of it, and kept on the other. With an angle w per pair and the line's normal v = (-sin w/2, cos w/2):
 *
 *     y = z if v z >= 0, else z - 2 (v z) v = R(w) z,    R(w) = (cos w   sin w)
 *                                                               (sin w  -cos w)
 *
 * The paper's normal is -v, that is its angle is ours + 2 pi. w = pi/2 gives (smaller, larger): groupsort2.
 *
 * It is 1-Lipschitz, and keeps the gradient's norm: on either side it is an orthogonal matrix, so distances within a
 * side stay. Points p, q on different sides: the segment between them meets the line at some r, where both matrices
 * agree (R r = r), so |y(p) - y(q)| <= |y(p) - y(r)| + |y(r) - y(q)| = |p - r| + |r - q| = |p - q|.
 *
 * R is symmetric, its k-th derivative by the angle is R(w + k pi/2), and the sides are constant almost everywhere. So
 * derivatives of any order are made of two operations:
 *     householder_bwd   x, w, g, order k:     R^(k) g on the reflected side; elsewhere g for k = 0, 0 for the others
 *     householder_sums  x, w, a, g, order k >= 1:  sum of g R^(k) a over the rows where x is reflected */
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/group_sum.h"
#include "ops/infer.h"

#include <math.h>

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/householder.inc"
#include "ops/both_reals.inc"

extern const bnf_op bnf_op_householder, bnf_op_householder_bwd, bnf_op_householder_sums;

static int64_t order_of(const bnf_op_inst *inst)
{
    return ((const bnf_householder_attr *)inst->attr)->order;
}

/* Input 1 is [C/2]; the others have x's shape, and so has output 0. */
static bnf_status householder_infer(bnf_op_inst *inst)
{
    const bnf_desc *x = &inst->in[0], *angle = &inst->in[1];
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    if (bnf_desc_cols(x) % 2 != 0)
        return bnf_op_fail(inst, "needs an even number of channels");
    if (angle->ndim != 1 || angle->dim[0] != bnf_desc_cols(x) / 2)
        return bnf_op_fail(inst, "input 1 needs one angle per pair of channels");
    for (int i = 2; i < inst->n_in; i++)
        if (!bnf_desc_same_shape(&inst->in[i], x))
            return bnf_op_fail(inst, "input %d does not have the shape of x", i);
    if (order_of(inst) < 0)
        return bnf_op_fail(inst, "order %lld", (long long)order_of(inst));
    inst->out[0] = *x;
    return BNF_OK;
}

static bnf_status householder_sums_infer(bnf_op_inst *inst)
{
    BNF_TRY(householder_infer(inst));
    if (order_of(inst) < 1)
        return bnf_op_fail(inst, "order %lld", (long long)order_of(inst));
    inst->out[0] = inst->in[1];
    return BNF_OK;
}

/* Scratch: sine and cosine of the half angles and of the angles, [4, pairs]. */
static bnf_status householder_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    k->scratch_bytes = 4 * bnf_desc_bytes(&inst->in[1]);
    return BNF_OK;
}

static bnf_val emit(bnf_builder *b, const bnf_op *op, int64_t order, int n, const bnf_val *in)
{
    return bnf_emit(b, op, &(bnf_householder_attr){.order = order}, n, in);
}

typedef struct turns {
    void *s, *c, *cosine, *sine; /* [pairs] */
} turns;

static void put(bnf_dtype type, void *to, int64_t i, double v)
{
    if (type == BNF_F32)
        ((float *)to)[i] = (float)v;
    else
        ((double *)to)[i] = v;
}

/* Of half the angle, which tells the sides, and of the angle and `order` quarter turns. */
static turns make_turns(const bnf_op_inst *inst, const void *angle, void *scratch)
{
    const bnf_dtype type = inst->in[1].dtype;
    size_t bytes = bnf_desc_bytes(&inst->in[1]);
    char *at = scratch;
    turns t = {at, at + bytes, at + 2 * bytes, at + 3 * bytes};
    for (int64_t i = 0; i < inst->in[1].dim[0]; i++) {
        const double w = type == BNF_F32 ? (double)((const float *)angle)[i] : ((const double *)angle)[i];
        double cosine = cos(w), sine = sin(w);
        for (int64_t k = 0; k < order_of(inst) % 4; k++) {
            const double before = cosine;
            cosine = -sine;
            sine = before;
        }
        put(type, t.s, i, sin(w / 2));
        put(type, t.c, i, cos(w / 2));
        put(type, t.cosine, i, cosine);
        put(type, t.sine, i, sine);
    }
    return t;
}

/* --- householder: x, angle ---------------------------------------------------------------------------------------- */

static void householder_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                            const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *x = &inst->in[0];
    turns t = make_turns(inst, in[1], scratch);
    BNF_VALUE_CALL(x->dtype, householder, bnf_desc_rows(x), bnf_desc_cols(x) / 2, t.s, t.c, in[0], out[0]);
}

static void householder_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                            const bnf_val *dout, bnf_val *din)
{
    (void)inst, (void)out;
    if (bnf_needs_grad(b, in[0]))
        din[0] = emit(b, &bnf_op_householder_bwd, 0, 3, (bnf_val[]){in[0], in[1], dout[0]});
    if (bnf_needs_grad(b, in[1]))
        din[1] = emit(b, &bnf_op_householder_sums, 1, 4, (bnf_val[]){in[0], in[1], in[0], dout[0]});
}

static const bnf_kernel householder_kernels[] = {{"ref", householder_create, householder_run, NULL}, {0}};
const bnf_op bnf_op_householder = {.name = "householder",
                                   .n_in_min = 2,
                                   .n_in_max = 2,
                                   .n_out = 1,
                                   .attr_size = sizeof(bnf_householder_attr),
                                   .infer = householder_infer,
                                   .vjp = householder_vjp,
                                   .kernels = householder_kernels,
                                   .bf16_kernels = householder_kernels,
                                   .f32_in = 2,
                                   .inplace = 1,
                                   .flags = BNF_OP_CHEAP | BNF_OP_BY_ROW};

bnf_val bnf_householder(bnf_builder *b, bnf_val x, bnf_val angle)
{
    return emit(b, &bnf_op_householder, 0, 2, (bnf_val[]){x, angle});
}

/* --- householder_bwd: x, angle, g --------------------------------------------------------------------------------- */

static void householder_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *x = &inst->in[0];
    turns t = make_turns(inst, in[1], scratch);
    BNF_VALUE_CALL(x->dtype, householder_bwd, bnf_desc_rows(x), bnf_desc_cols(x) / 2, order_of(inst) == 0, t.s, t.c,
                   t.cosine, t.sine, in[0], in[2], out[0]);
}

/* Nothing for x: the sides are constant almost everywhere. */
static void householder_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                const bnf_val *dout, bnf_val *din)
{
    (void)out;
    int64_t order = order_of(inst);
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_affine(b, dout[0], 0, 0);
    if (bnf_needs_grad(b, in[1]))
        din[1] = emit(b, &bnf_op_householder_sums, order + 1, 4, (bnf_val[]){in[0], in[1], in[2], dout[0]});
    if (bnf_needs_grad(b, in[2]))
        din[2] = emit(b, &bnf_op_householder_bwd, order, 3, (bnf_val[]){in[0], in[1], dout[0]});
}

static const bnf_kernel householder_bwd_kernels[] = {{"ref", householder_create, householder_bwd_run, NULL}, {0}};
const bnf_op bnf_op_householder_bwd = {.name = "householder_bwd",
                                       .n_in_min = 3,
                                       .n_in_max = 3,
                                       .n_out = 1,
                                       .attr_size = sizeof(bnf_householder_attr),
                                       .infer = householder_infer,
                                       .vjp = householder_bwd_vjp,
                                       .kernels = householder_bwd_kernels,
                                       .bf16_kernels = householder_bwd_kernels,
                                       .f32_in = 2,
                                       .inplace = 1 | 4,
                                       .flags = BNF_OP_BY_ROW};

/* --- householder_sums: x, angle, a, g -> [C/2] -------------------------------------------------------------------- */

static void householder_sums_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                 const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    const bnf_desc *x = &inst->in[0];
    turns t = make_turns(inst, in[1], scratch);
    BNF_VALUE_CALL(x->dtype, householder_sums, bnf_desc_rows(x), bnf_desc_cols(x) / 2, t.s, t.c, t.cosine, t.sine,
                   in[0], in[2], in[3], out[0]);
}

/* h[C/2] times both channels of each pair of y. */
static bnf_val times_pairs(bnf_builder *b, bnf_val y, bnf_val h)
{
    if (!bnf_val_ok(y) || !bnf_val_ok(h))
        return BNF_NONE;
    const bnf_desc d = *bnf_val_desc(b, h), both = bnf_desc_2d(d.dtype, d.dim[0], 2);
    bnf_val wide = bnf_broadcast_to(b, bnf_reshape(b, h, 2, (int64_t[]){d.dim[0], 1}), &both);
    wide = bnf_cast(b, bnf_reshape(b, wide, 1, (int64_t[]){2 * d.dim[0]}), bnf_val_desc(b, y)->dtype);
    return bnf_mul(b, y, wide);
}

static void householder_sums_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                 const bnf_val *dout, bnf_val *din)
{
    (void)out;
    int64_t order = order_of(inst);
    if (bnf_needs_grad(b, in[0]))
        din[0] = bnf_affine(b, in[0], 0, 0);
    if (bnf_needs_grad(b, in[1]))
        din[1] = bnf_mul(b, dout[0], emit(b, &bnf_op_householder_sums, order + 1, 4, in));
    if (bnf_needs_grad(b, in[2]))
        din[2] = times_pairs(b, emit(b, &bnf_op_householder_bwd, order, 3, (bnf_val[]){in[0], in[1], in[3]}), dout[0]);
    if (bnf_needs_grad(b, in[3]))
        din[3] = times_pairs(b, emit(b, &bnf_op_householder_bwd, order, 3, (bnf_val[]){in[0], in[1], in[2]}), dout[0]);
}

static const bnf_kernel householder_sums_kernels[] = {{"ref", householder_create, householder_sums_run, NULL}, {0}};
const bnf_op bnf_op_householder_sums = {.name = "householder_sums",
                                        .n_in_min = 4,
                                        .n_in_max = 4,
                                        .n_out = 1,
                                        .attr_size = sizeof(bnf_householder_attr),
                                        .infer = householder_sums_infer,
                                        .vjp = householder_sums_vjp,
                                        .kernels = householder_sums_kernels,
                                        .bf16_kernels = householder_sums_kernels,
                                        .f32_in = 2};
