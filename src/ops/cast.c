/* ops/cast.c - cast: the same values in another real type, rounded to nearest (ties to even). */
#include "base/bf16.h"
#include "base/simd.h"
#include "ops/attr.h"
#include "ops/infer.h"

static bnf_status cast_infer(bnf_op_inst *inst)
{
    const bnf_cast_attr *a = inst->attr;
    if (a->to < 0 || a->to >= BNF_DTYPE_COUNT || !bnf_dtype_is_real((bnf_dtype)a->to))
        return bnf_op_fail(inst, "the new type must be real");
    BNF_TRY(bnf_infer_reals(inst, 1));
    inst->out[0] = inst->in[0];
    inst->out[0].dtype = (bnf_dtype)a->to;
    return BNF_OK;
}

BNF_SIMD_CLONES
static void f32_to_f64(int64_t n, const float *x, double *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (double)x[i];
}

BNF_SIMD_CLONES
static void f64_to_f32(int64_t n, const double *x, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)x[i];
}

/* Between f64 and bf16 nothing is cast in earnest: it goes through f32, one by one. */
static void cast_between(bnf_dtype from, int64_t n, const void *x, void *y)
{
    for (int64_t i = 0; i < n; i++)
        if (from == BNF_F64)
            ((uint16_t *)y)[i] = bnf_bf16_of((float)((const double *)x)[i]);
        else
            ((double *)y)[i] = (double)bnf_bf16_wide(((const uint16_t *)x)[i]);
}

static void cast_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const int64_t n = bnf_desc_count(&inst->out[0]);
    const bnf_dtype from = inst->in[0].dtype, to = inst->out[0].dtype;
    if (from == to)
        memcpy(out[0], in[0], bnf_desc_bytes(&inst->out[0]));
    else if (from == BNF_BF16 && to == BNF_F32)
        bnf_bf16_widen(n, in[0], out[0]);
    else if (from == BNF_F32 && to == BNF_BF16)
        bnf_bf16_narrow(n, in[0], out[0]);
    else if (from == BNF_F32)
        f32_to_f64(n, in[0], out[0]);
    else if (to == BNF_F32)
        f64_to_f32(n, in[0], out[0]);
    else
        cast_between(from, n, in[0], out[0]);
}

static void cast_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    din[0] = bnf_cast(b, dout[0], inst->in[0].dtype);
}

static const bnf_kernel cast_kernels[] = {{"ref", NULL, cast_run, NULL}, {0}};
const bnf_op bnf_op_cast = {.name = "cast",
                            .n_in_min = 1,
                            .n_in_max = 1,
                            .n_out = 1,
                            .attr_size = sizeof(bnf_cast_attr),
                            .infer = cast_infer,
                            .vjp = cast_vjp,
                            .kernels = cast_kernels,
                            .bf16_kernels = cast_kernels};

bnf_val bnf_cast(bnf_builder *b, bnf_val x, bnf_dtype to)
{
    if (bnf_val_ok(x) && bnf_val_desc(b, x)->dtype == to)
        return x;
    return bnf_emit(b, &bnf_op_cast, &(bnf_cast_attr){.to = to}, 1, &x);
}
