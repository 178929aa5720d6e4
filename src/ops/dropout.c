/* ops/dropout.c - dropout. The mask is a function of (seed, step, sample of the global batch, layer, element): it is
 * drawn again for the gradient instead of being stored. */
#include "base/philox.h"
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/infer.h"

enum { BLOCKS = 16 }; /* of random bits drawn side by side */

#define BNF_REAL_SOURCE "ops/dropout.inc"
#include "ops/both_reals.inc"

static int64_t mask_layer(const bnf_op_inst *inst)
{
    const bnf_dropout_attr *a = inst->attr;
    return a->layer ? a->layer - 1 : (int64_t)inst->layer;
}

static bnf_status dropout_infer(bnf_op_inst *inst)
{
    const bnf_dropout_attr *a = inst->attr;
    if (!(a->p >= 0 && a->p < 1))
        return bnf_op_fail(inst, "probability %g is not in [0, 1)", a->p);
    return bnf_infer_elementwise(inst);
}

static void dropout_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                        const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)scratch;
    const bnf_dropout_attr *a = inst->attr;
    const bnf_desc *d = &inst->out[0];
    bnf_philox_key key =
        bnf_philox_key_layer(bnf_philox_key_make(ctx->seed, BNF_STREAM_DROPOUT), (uint64_t)mask_layer(inst));
    int64_t n = bnf_desc_count(d) / d->dim[0];
    size_t stride = (size_t)n * bnf_dtype_size(d->dtype);
    for (int64_t s = 0; s < d->dim[0]; s++)
        BNF_REAL_CALL(d->dtype, dropout_sample, key, (uint32_t)ctx->step, (uint64_t)(ctx->first_sample + s),
                      (float)a->p, 1.0 / (1.0 - a->p), n, (const void *)((const char *)in[0] + (size_t)s * stride),
                      (void *)((char *)out[0] + (size_t)s * stride));
}

/* The gradient is dropout with the same mask. */
static void dropout_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                        const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    bnf_dropout_attr a = {.p = ((const bnf_dropout_attr *)inst->attr)->p, .layer = mask_layer(inst) + 1};
    din[0] = bnf_emit(b, inst->op, &a, 1, dout);
}

static const bnf_kernel dropout_kernels[] = {{"ref", NULL, dropout_run, NULL}, {0}};
const bnf_op bnf_op_dropout = {.name = "dropout",
                               .n_in_min = 1,
                               .n_in_max = 1,
                               .n_out = 1,
                               .attr_size = sizeof(bnf_dropout_attr),
                               .infer = dropout_infer,
                               .vjp = dropout_vjp,
                               .kernels = dropout_kernels,
                               .inplace = 1,
                               .flags = BNF_OP_BY_SAMPLE | BNF_OP_RANDOM};

bnf_val bnf_dropout(bnf_builder *b, bnf_val x, double p)
{
    if (!b->training)
        return x;
    return bnf_emit(b, &bnf_op_dropout, &(bnf_dropout_attr){.p = p}, 1, &x);
}
