/* ops/crop2d.c - a window of an image, and an image with zeros about it: each is the transpose of the other.
 *
 *     crop2d  (x[N,H,W,C])  -> y[N,h,w,C], the rows top, ..., top + h - 1 and the columns left, ..., left + w - 1
 *     pad2d   (x[N,h,w,C])  -> y[N,H,W,C], x at (top, left) and zeros elsewhere */
#include "ops/attr.h"
#include "ops/infer.h"

#include <string.h>

extern const bnf_op bnf_op_crop2d, bnf_op_pad2d;

static bnf_status check_attr(const bnf_op_inst *inst)
{
    const bnf_crop2d_attr *a = inst->attr;
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (inst->in[0].ndim != 4)
        return bnf_op_fail(inst, "needs an image [N,H,W,C]");
    for (int i = 0; i < 2; i++)
        if (a->first[i] < 0 || a->window[i] < 1 || a->first[i] + a->window[i] > a->image[i])
            return bnf_op_fail(inst, "the window of %lld x %lld from (%lld, %lld) leaves the image of %lld x %lld",
                               (long long)a->window[0], (long long)a->window[1], (long long)a->first[0],
                               (long long)a->first[1], (long long)a->image[0], (long long)a->image[1]);
    return BNF_OK;
}

/* `from`: the extents that the input must have, `to`: those of the output. */
static bnf_status resize_infer(bnf_op_inst *inst, const int64_t from[2], const int64_t to[2])
{
    const bnf_desc *x = &inst->in[0];
    BNF_TRY(check_attr(inst));
    if (x->dim[1] != from[0] || x->dim[2] != from[1])
        return bnf_op_fail(inst, "needs %lld x %lld positions", (long long)from[0], (long long)from[1]);
    inst->out[0] = bnf_desc_4d(x->dtype, x->dim[0], to[0], to[1], x->dim[3]);
    return BNF_OK;
}

static bnf_status crop_infer(bnf_op_inst *inst)
{
    const bnf_crop2d_attr *a = inst->attr;
    return resize_infer(inst, a->image, a->window);
}

static bnf_status pad_infer(bnf_op_inst *inst)
{
    const bnf_crop2d_attr *a = inst->attr;
    return resize_infer(inst, a->window, a->image);
}

/* Copies the windows of all images, row by row: out of `whole`, or into it. */
static void copy_windows(const bnf_op_inst *inst, char *whole, char *window, bool into)
{
    const bnf_crop2d_attr *a = inst->attr;
    const bnf_desc *x = &inst->in[0];
    size_t cell = (size_t)x->dim[3] * bnf_dtype_size(x->dtype), row = (size_t)a->window[1] * cell;

    for (int64_t n = 0; n < x->dim[0]; n++)
        for (int64_t r = 0; r < a->window[0]; r++) {
            char *w = whole + (size_t)((n * a->image[0] + a->first[0] + r) * a->image[1] + a->first[1]) * cell;
            char *p = window + (size_t)(n * a->window[0] + r) * row;
            memcpy(into ? w : p, into ? p : w, row);
        }
}

static void crop_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    copy_windows(inst, (char *)(uintptr_t)in[0], out[0], false);
}

static void pad_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                    void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    memset(out[0], 0, bnf_desc_bytes(&inst->out[0]));
    copy_windows(inst, out[0], (char *)(uintptr_t)in[0], true);
}

static void crop_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    din[0] = bnf_emit(b, &bnf_op_pad2d, inst->attr, 1, dout);
}

static void pad_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out, const bnf_val *dout,
                    bnf_val *din)
{
    (void)in, (void)out;
    din[0] = bnf_emit(b, &bnf_op_crop2d, inst->attr, 1, dout);
}

static const bnf_kernel crop_kernels[] = {{"ref", NULL, crop_run, NULL}, {0}};
const bnf_op bnf_op_crop2d = {.name = "crop2d",
                              .n_in_min = 1,
                              .n_in_max = 1,
                              .n_out = 1,
                              .attr_size = sizeof(bnf_crop2d_attr),
                              .infer = crop_infer,
                              .vjp = crop_vjp,
                              .kernels = crop_kernels,
                              .bf16_kernels = crop_kernels};

static const bnf_kernel pad_kernels[] = {{"ref", NULL, pad_run, NULL}, {0}};
const bnf_op bnf_op_pad2d = {.name = "pad2d",
                             .n_in_min = 1,
                             .n_in_max = 1,
                             .n_out = 1,
                             .attr_size = sizeof(bnf_crop2d_attr),
                             .infer = pad_infer,
                             .vjp = pad_vjp,
                             .kernels = pad_kernels,
                             .bf16_kernels = pad_kernels};

bnf_val bnf_crop2d(bnf_builder *b, bnf_val x, int64_t top, int64_t left, int64_t h, int64_t w)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    const bnf_desc *d = bnf_val_desc(b, x);
    bnf_crop2d_attr a = {.first = {top, left}, .window = {h, w}, .image = {d->dim[1], d->dim[2]}};
    return bnf_emit(b, &bnf_op_crop2d, &a, 1, &x);
}

bnf_val bnf_pad2d(bnf_builder *b, bnf_val x, int64_t top, int64_t left, int64_t h, int64_t w)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    const bnf_desc *d = bnf_val_desc(b, x);
    bnf_crop2d_attr a = {.first = {top, left}, .window = {d->dim[1], d->dim[2]}, .image = {h, w}};
    return bnf_emit(b, &bnf_op_pad2d, &a, 1, &x);
}
