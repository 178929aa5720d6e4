/* ops/gumbel.c - noise for samples of categories: y = x - log(-log u) with u uniform in (0, 1). The largest of logits
 * with this noise is a draw from their softmax (Gumbel, 1954); a softmax instead of the largest makes it
 * differentiable.
 *
 * The noise is a function of (seed, step, sample of the global batch, layer, element); of step 0 if the attribute says
 * that it shall not depend on it. The gradient is that of x. */
#include "base/philox.h"
#include "ops/attr.h"
#include "ops/infer.h"

#include <math.h>

#define BNF_REAL_SOURCE "ops/gumbel.inc"
#include "ops/both_reals.inc"

extern const bnf_op bnf_op_gumbel;

static void gumbel_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                       void *const *out, void *scratch)
{
    (void)k, (void)scratch;
    const bnf_gumbel_attr *a = inst->attr;
    const bnf_desc *d = &inst->out[0];
    bnf_philox_key key = bnf_philox_key_layer(bnf_philox_key_make(ctx->seed, BNF_STREAM_NOISE), (uint64_t)inst->layer);
    int64_t n = bnf_desc_count(d) / d->dim[0];
    size_t stride = (size_t)n * bnf_dtype_size(d->dtype);
    for (int64_t s = 0; s < d->dim[0]; s++)
        BNF_REAL_CALL(d->dtype, gumbel_sample, key, a->every_step ? (uint32_t)ctx->step : 0,
                      (uint64_t)(ctx->first_sample + s), n, (const void *)((const char *)in[0] + (size_t)s * stride),
                      (void *)((char *)out[0] + (size_t)s * stride));
}

static void gumbel_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                       const bnf_val *dout, bnf_val *din)
{
    (void)b, (void)inst, (void)in, (void)out;
    din[0] = dout[0];
}

static const bnf_kernel gumbel_kernels[] = {{"ref", NULL, gumbel_run, NULL}, {0}};
const bnf_op bnf_op_gumbel = {.name = "gumbel",
                              .n_in_min = 1,
                              .n_in_max = 1,
                              .n_out = 1,
                              .attr_size = sizeof(bnf_gumbel_attr),
                              .infer = bnf_infer_elementwise,
                              .vjp = gumbel_vjp,
                              .kernels = gumbel_kernels,
                              .inplace = 1,
                              .flags = BNF_OP_BY_SAMPLE | BNF_OP_RANDOM};

bnf_val bnf_gumbel(bnf_builder *b, bnf_val x)
{
    return bnf_emit(b, &bnf_op_gumbel, &(bnf_gumbel_attr){.every_step = b->training}, 1, &x);
}
