/* ops/conv2d_sites.c - conv2d and its weight gradient for images that are mostly zero, as the first layer of a network
 * sees them (hits of a detector): only the active sites, the cells that are not zero, are multiplied.
 *
 * One pass over a sample lists its sites, row by row. An output row starts as the bias; every site below its window
 * then adds value * w[., i, kh, kw], all output channels at once. The weight gradient adds value * dy[position] in the
 * same order: along output rows, kh, the sites of a row, kw. Sums over a row and over a sample are kept apart until
 * they end, so that f32 loses little. A zero times a weight that is not finite counts 0 here. */
#include "base/simd.h"
#include "ops/conv2d.h"
#include "ops/group_sum.h"

#include <stdint.h>
#include <string.h>

/* How a use lies in scratch memory, in the order of allocation. */
typedef struct sites_layout {
    bnf_conv2d_shape s;
    int64_t taps;                        /* i kh kw: rows of the weight as [i, kh, kw, o] */
    size_t values, columns, rows, reads; /* offsets in bytes: see `sites` */
    size_t weight, sample, row, bytes;   /* [taps, o]; bwd_weights: sums of a sample and of a row of bias gradients */
} sites_layout;

/* Rounded up to cache lines. */
static size_t reserve(size_t *at, int64_t count, size_t size)
{
    size_t begin = *at;
    *at += ((size_t)count * size + 63) / 64 * 64;
    return begin;
}

static sites_layout layout_of(const bnf_op_inst *inst)
{
    sites_layout l = {.s = bnf_conv2d_shape_of(inst)};
    const bnf_conv2d_shape *s = &l.s;
    size_t real = bnf_dtype_size(inst->in[0].dtype), at = 0;
    int64_t cells = s->h * s->w * s->i, o = s->o;
    bool gradient = inst->op == &bnf_op_conv2d_bwd_weights;
    l.taps = s->i * s->kh * s->kw;
    l.values = reserve(&at, cells, real);
    l.columns = reserve(&at, cells, sizeof(int32_t));
    l.rows = reserve(&at, s->h + 1, sizeof(int32_t));
    l.reads = reserve(&at, s->w * (2 * s->kw + 1), sizeof(int32_t));
    l.weight = reserve(&at, l.taps * o, real);
    l.sample = reserve(&at, gradient ? (l.taps + 1) * o : 0, real);
    l.row = reserve(&at, gradient ? o : 0, real);
    l.bytes = at;
    return l;
}

/* Where the windows of an output row begin to read: input row h of kernel row 0, which may lie outside. */
static int64_t first_row(const bnf_conv2d_shape *s, int64_t oh)
{
    return oh * s->stride[0] - s->pad[0];
}

/* reads[w, 2 kw + 1]: how many windows of an output row have input column v below them, then for each its kernel column
 * there and its output column. */
static void list_reads(const bnf_conv2d_shape *s, int32_t *reads)
{
    for (int64_t v = 0; v < s->w; v++, reads += 2 * s->kw + 1) {
        int32_t n = 0;
        for (int64_t kw = 0; kw < s->kw; kw++) {
            int64_t t = v + s->pad[1] - kw * s->dilation[1];
            if (t < 0 || t % s->stride[1] != 0 || t / s->stride[1] >= s->ow)
                continue;
            reads[1 + 2 * n] = (int32_t)kw;
            reads[2 + 2 * n++] = (int32_t)(t / s->stride[1]);
        }
        reads[0] = n;
    }
}

#define BNF_REAL_SOURCE "ops/conv2d_sites.inc"
#include "ops/both_reals.inc"

/* The share of active cells up to which the kernel beat oneDNN's in both passes, measured with 3x3 windows on one
 * Zen 4 core (`banff bench sites`; docs/speed.md): with 64 outputs it is 1.5 to 2.4 times as fast at 5 % and slower
 * from 10 or 20 % on; with 16 outputs the weight gradient gains nothing above 1 %. */
static double break_even(int64_t outputs)
{
    return outputs >= 32 ? 0.05 : 0.01;
}

bnf_status bnf_conv2d_sites_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    if ((inst->in[0].dtype != BNF_F32 && inst->in[0].dtype != BNF_F64) || inst->op == &bnf_op_conv2d_bwd_data)
        return BNF_ERR_UNSUPPORTED;
    sites_layout l = layout_of(inst);
    if (inst->occupancy[0] <= 0 || inst->occupancy[0] > break_even(l.s.o))
        return BNF_ERR_UNSUPPORTED;
    if (l.s.groups != 1 || l.s.h * l.s.w * l.s.i > INT32_MAX)
        return BNF_ERR_UNSUPPORTED;
    k->scratch_bytes = l.bytes;
    return BNF_OK;
}

void bnf_conv2d_sites(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                      void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    sites_layout l = layout_of(inst);
    list_reads(&l.s, (int32_t *)((char *)scratch + l.reads));
    if (inst->op == &bnf_op_conv2d)
        BNF_REAL_CALL(inst->in[0].dtype, sites_fwd, &l, in[0], in[1], l.s.bias ? in[2] : NULL, out[0], scratch);
    else
        BNF_REAL_CALL(inst->in[0].dtype, sites_bwd, &l, in[0], in[1], out[0], out[1], scratch);
}
