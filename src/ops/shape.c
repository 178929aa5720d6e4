/* ops/shape.c - reshape, concat, slice, pixel_unshuffle: values move, nothing is computed. */
#include "ops/attr.h"
#include "ops/infer.h"

#include <string.h>

/* --- reshape ------------------------------------------------------------------------------------------------------ */

static bnf_status reshape_infer(bnf_op_inst *inst)
{
    const bnf_shape_attr *a = inst->attr;
    if (a->ndim < 1 || a->ndim > BNF_MAX_DIMS)
        return bnf_op_fail(inst, "shape with %d dimensions", (int)a->ndim);
    for (int i = 0; i < a->ndim; i++)
        if (a->dim[i] < 1)
            return bnf_op_fail(inst, "extent %d is not positive", i);
    inst->out[0] = bnf_desc_make(inst->in[0].dtype, (int)a->ndim, a->dim);
    if (bnf_desc_count(&inst->out[0]) != bnf_desc_count(&inst->in[0])) {
        char text[96];
        return bnf_op_fail(inst, "%s has another number of elements",
                           bnf_desc_format(&inst->out[0], text, sizeof text));
    }
    return BNF_OK;
}

static void reshape_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                        const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    din[0] = bnf_reshape(b, dout[0], inst->in[0].ndim, inst->in[0].dim);
}

const bnf_op bnf_op_reshape = {.name = "reshape",
                               .n_in_min = 1,
                               .n_in_max = 1,
                               .n_out = 1,
                               .attr_size = sizeof(bnf_shape_attr),
                               .infer = reshape_infer,
                               .vjp = reshape_vjp,
                               .flags = BNF_OP_ALIAS};

bnf_val bnf_reshape(bnf_builder *b, bnf_val x, int ndim, const int64_t *dim)
{
    bnf_shape_attr a = {.ndim = ndim};
    for (int i = 0; i < ndim && i < BNF_MAX_DIMS; i++)
        a.dim[i] = dim[i];
    return bnf_emit(b, &bnf_op_reshape, &a, 1, &x);
}

bnf_val bnf_flatten(bnf_builder *b, bnf_val x)
{
    if (!bnf_val_ok(x))
        return x;
    const bnf_desc *d = bnf_val_desc(b, x);
    return bnf_reshape(b, x, 2, (int64_t[]){d->dim[0], bnf_desc_count(d) / d->dim[0]});
}

/* --- concat, slice, slice_bwd: ranges of the last dimension ------------------------------------------------------- */

/* Copies `cols` elements of `size` bytes per row between rows of from_cols and to_cols elements. */
static void copy_columns(int64_t rows, int64_t cols, size_t size, const void *from, int64_t from_cols, void *to,
                         int64_t to_cols)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy((char *)to + (size_t)(r * to_cols) * size, (const char *)from + (size_t)(r * from_cols) * size,
               (size_t)cols * size);
}

static bnf_status concat_infer(bnf_op_inst *inst)
{
    bnf_desc d = inst->in[0];
    int last = d.ndim - 1;
    BNF_TRY(bnf_infer_reals(inst, inst->n_in));
    for (int i = 1; i < inst->n_in; i++) {
        bnf_desc other = inst->in[i];
        if (other.ndim != d.ndim || memcmp(other.dim, d.dim, (size_t)last * sizeof d.dim[0]) != 0)
            return bnf_op_fail(inst, "needs equal extents except the last");
        d.dim[last] += other.dim[last];
    }
    inst->out[0] = d;
    return BNF_OK;
}

static void concat_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                       void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    size_t size = bnf_dtype_size(inst->out[0].dtype);
    int64_t rows = bnf_desc_rows(&inst->out[0]), total = bnf_desc_cols(&inst->out[0]);
    char *to = out[0];
    for (int i = 0; i < inst->n_in; i++) {
        int64_t cols = bnf_desc_cols(&inst->in[i]);
        copy_columns(rows, cols, size, in[i], cols, to, total);
        to += (size_t)cols * size;
    }
}

static void concat_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                       const bnf_val *dout, bnf_val *din)
{
    (void)out;
    int64_t first = 0;
    for (int i = 0; i < inst->n_in; i++) {
        int64_t cols = bnf_desc_cols(&inst->in[i]);
        if (bnf_needs_grad(b, in[i]))
            din[i] = bnf_slice(b, dout[0], first, cols);
        first += cols;
    }
}

static const bnf_kernel concat_kernels[] = {{"ref", NULL, concat_run, NULL}, {0}};
const bnf_op bnf_op_concat = {.name = "concat",
                              .n_in_min = 1,
                              .n_in_max = BNF_OP_MAX_IN,
                              .n_out = 1,
                              .infer = concat_infer,
                              .vjp = concat_vjp,
                              .kernels = concat_kernels,
                              .bf16_kernels = concat_kernels};

bnf_val bnf_concat(bnf_builder *b, const bnf_val *x, int n)
{
    return bnf_emit(b, &bnf_op_concat, NULL, n, x);
}

static bnf_status slice_check(bnf_op_inst *inst, int64_t cols, int64_t want)
{
    const bnf_slice_attr *a = inst->attr;
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (cols != want)
        return bnf_op_fail(inst, "last extent is not %lld", (long long)want);
    if (a->first < 0 || a->count < 1 || a->count > a->total - a->first)
        return bnf_op_fail(inst, "elements %lld ... %lld of %lld", (long long)a->first,
                           (long long)(a->first + a->count - 1), (long long)a->total);
    inst->out[0] = inst->in[0];
    return BNF_OK;
}

static bnf_status slice_infer(bnf_op_inst *inst)
{
    const bnf_slice_attr *a = inst->attr;
    BNF_TRY(slice_check(inst, bnf_desc_cols(&inst->in[0]), a->total));
    inst->out[0].dim[inst->out[0].ndim - 1] = a->count;
    return BNF_OK;
}

static void slice_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                      void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_slice_attr *a = inst->attr;
    size_t size = bnf_dtype_size(inst->out[0].dtype);
    copy_columns(bnf_desc_rows(&inst->out[0]), a->count, size, (const char *)in[0] + (size_t)a->first * size, a->total,
                 out[0], a->count);
}

static void slice_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                      const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    extern const bnf_op bnf_op_slice_bwd;
    din[0] = bnf_emit(b, &bnf_op_slice_bwd, inst->attr, 1, dout);
}

static const bnf_kernel slice_kernels[] = {{"ref", NULL, slice_run, NULL}, {0}};
const bnf_op bnf_op_slice = {.name = "slice",
                             .n_in_min = 1,
                             .n_in_max = 1,
                             .n_out = 1,
                             .attr_size = sizeof(bnf_slice_attr),
                             .infer = slice_infer,
                             .vjp = slice_vjp,
                             .kernels = slice_kernels,
                             .bf16_kernels = slice_kernels};

bnf_val bnf_slice(bnf_builder *b, bnf_val x, int64_t first, int64_t count)
{
    if (!bnf_val_ok(x))
        return x;
    bnf_slice_attr a = {.first = first, .count = count, .total = bnf_desc_cols(bnf_val_desc(b, x))};
    return bnf_emit(b, &bnf_op_slice, &a, 1, &x);
}

/* Puts the range back among zeros. */
static bnf_status slice_bwd_infer(bnf_op_inst *inst)
{
    const bnf_slice_attr *a = inst->attr;
    BNF_TRY(slice_check(inst, bnf_desc_cols(&inst->in[0]), a->count));
    inst->out[0].dim[inst->out[0].ndim - 1] = a->total;
    return BNF_OK;
}

static void slice_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                          const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_slice_attr *a = inst->attr;
    size_t size = bnf_dtype_size(inst->out[0].dtype);
    memset(out[0], 0, bnf_desc_bytes(&inst->out[0]));
    copy_columns(bnf_desc_rows(&inst->out[0]), a->count, size, in[0], a->count,
                 (char *)out[0] + (size_t)a->first * size, a->total);
}

static void slice_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                          const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    const bnf_slice_attr *a = inst->attr;
    din[0] = bnf_slice(b, dout[0], a->first, a->count);
}

static const bnf_kernel slice_bwd_kernels[] = {{"ref", NULL, slice_bwd_run, NULL}, {0}};
const bnf_op bnf_op_slice_bwd = {.name = "slice_bwd",
                                 .n_in_min = 1,
                                 .n_in_max = 1,
                                 .n_out = 1,
                                 .attr_size = sizeof(bnf_slice_attr),
                                 .infer = slice_bwd_infer,
                                 .vjp = slice_bwd_vjp,
                                 .kernels = slice_bwd_kernels,
                                 .bf16_kernels = slice_bwd_kernels};

/* --- pixel_unshuffle: [N,H,W,C] -> [N,H/f,W/f,C f f], and back ---------------------------------------------------- */

static bnf_status unshuffle_check(const bnf_op_inst *inst)
{
    const bnf_unshuffle_attr *a = inst->attr;
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (inst->in[0].ndim != 4)
        return bnf_op_fail(inst, "needs x[N,H,W,C]");
    if (a->factor < 1)
        return bnf_op_fail(inst, "factor %lld is not positive", (long long)a->factor);
    return BNF_OK;
}

static bnf_status pixel_unshuffle_infer(bnf_op_inst *inst)
{
    BNF_TRY(unshuffle_check(inst));
    int64_t f = ((const bnf_unshuffle_attr *)inst->attr)->factor;
    const int64_t *d = inst->in[0].dim;
    if (d[1] % f != 0 || d[2] % f != 0)
        return bnf_op_fail(inst, "factor %lld does not divide height and width", (long long)f);
    inst->out[0] = bnf_desc_4d(inst->in[0].dtype, d[0], d[1] / f, d[2] / f, d[3] * f * f);
    return BNF_OK;
}

static bnf_status pixel_unshuffle_bwd_infer(bnf_op_inst *inst)
{
    BNF_TRY(unshuffle_check(inst));
    int64_t f = ((const bnf_unshuffle_attr *)inst->attr)->factor;
    const int64_t *d = inst->in[0].dim;
    if (d[3] % (f * f) != 0)
        return bnf_op_fail(inst, "the square of factor %lld does not divide the channels", (long long)f);
    inst->out[0] = bnf_desc_4d(inst->in[0].dtype, d[0], d[1] * f, d[2] * f, d[3] / (f * f));
    return BNF_OK;
}

/* `wide` has the shape [N,H,W,C]. Copies wide to deep, or back. Written once for elements of 4 and of 8 bytes. */
#define UNSHUFFLE(type)                                                                                \
    for (int64_t row = 0; row < n * h; row++) /* h is a multiple of f: images follow one another */    \
        for (int64_t col = 0; col < w; col++)                                                          \
            for (int64_t ch = 0; ch < c; ch++) {                                                       \
                int64_t at = ((row / f * (w / f) + col / f) * c + ch) * f * f + row % f * f + col % f; \
                if (back)                                                                              \
                    ((type *)to)[(row * w + col) * c + ch] = ((const type *)from)[at];                 \
                else                                                                                   \
                    ((type *)to)[at] = ((const type *)from)[(row * w + col) * c + ch];                 \
            }

static void unshuffle(const bnf_desc *wide, int64_t f, bool back, const void *from, void *to)
{
    int64_t n = wide->dim[0], h = wide->dim[1], w = wide->dim[2], c = wide->dim[3];
    if (wide->dtype == BNF_F32)
        UNSHUFFLE(float)
    else
        UNSHUFFLE(double)
}

static void pixel_unshuffle_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    unshuffle(&inst->in[0], ((const bnf_unshuffle_attr *)inst->attr)->factor, false, in[0], out[0]);
}

static void pixel_unshuffle_bwd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                                    const void *const *in, void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    unshuffle(&inst->out[0], ((const bnf_unshuffle_attr *)inst->attr)->factor, true, in[0], out[0]);
}

static void pixel_unshuffle_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    extern const bnf_op bnf_op_pixel_unshuffle_bwd;
    din[0] = bnf_emit(b, &bnf_op_pixel_unshuffle_bwd, inst->attr, 1, dout);
}

static void pixel_unshuffle_bwd_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                                    const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    din[0] = bnf_pixel_unshuffle(b, dout[0], ((const bnf_unshuffle_attr *)inst->attr)->factor);
}

static const bnf_kernel pixel_unshuffle_kernels[] = {{"ref", NULL, pixel_unshuffle_run, NULL}, {0}};
const bnf_op bnf_op_pixel_unshuffle = {.name = "pixel_unshuffle",
                                       .n_in_min = 1,
                                       .n_in_max = 1,
                                       .n_out = 1,
                                       .attr_size = sizeof(bnf_unshuffle_attr),
                                       .infer = pixel_unshuffle_infer,
                                       .vjp = pixel_unshuffle_vjp,
                                       .kernels = pixel_unshuffle_kernels,
                                       .flags = BNF_OP_BY_SAMPLE};

static const bnf_kernel pixel_unshuffle_bwd_kernels[] = {{"ref", NULL, pixel_unshuffle_bwd_run, NULL}, {0}};
const bnf_op bnf_op_pixel_unshuffle_bwd = {.name = "pixel_unshuffle_bwd",
                                           .n_in_min = 1,
                                           .n_in_max = 1,
                                           .n_out = 1,
                                           .attr_size = sizeof(bnf_unshuffle_attr),
                                           .infer = pixel_unshuffle_bwd_infer,
                                           .vjp = pixel_unshuffle_bwd_vjp,
                                           .kernels = pixel_unshuffle_bwd_kernels,
                                           .flags = BNF_OP_BY_SAMPLE};

bnf_val bnf_pixel_unshuffle(bnf_builder *b, bnf_val x, int64_t factor)
{
    return bnf_emit(b, &bnf_op_pixel_unshuffle, &(bnf_unshuffle_attr){.factor = factor}, 1, &x);
}
