/* ops/conv2d_im2col.c - gradients of a convolution of images of very few channels, the first layer of a network, as
 * matrix products.
 *
 * Output positions are taken in chunks of whole output rows. patches[K+1, P] holds, for each cell k = (i, kh, kw) of
 * the kernel, what it reads at the P positions of the chunk; the last row is 1, so that the bias is one more weight. */
#include "ops/conv2d.h"
#include "ops/dnnl.h"

#include <string.h>

enum { CHUNK = 4096 /* positions of a chunk, about: patches of a 3x3 kernel stay in a 256 KiB cache */ };

/* How a use is cut. Positions are numbered through all samples: row = n * oh + y, position = row * ow + x. */
typedef struct cut {
    bnf_conv2d_shape s;
    int64_t cells;      /* K */
    int64_t rows;       /* output rows per chunk */
    int64_t all_rows;   /* n * oh */
    int64_t patch_size; /* floats of patches, a multiple of 16 */
} cut;

static cut cut_of(const bnf_op_inst *inst)
{
    cut c = {.s = bnf_conv2d_shape_of(inst)};
    c.cells = c.s.i * c.s.kh * c.s.kw;
    c.all_rows = c.s.n * c.s.oh;
    c.rows = CHUNK / c.s.ow > 1 ? CHUNK / c.s.ow : 1;
    c.rows = c.rows < c.all_rows ? c.rows : c.all_rows;
    c.patch_size = ((c.cells + 1) * c.rows * c.s.ow + 15) / 16 * 16;
    return c;
}

/* Takes what it was measured to do faster than oneDNN's convolutions. One Zen 4 core, 8 images of 28x28, 3x3
 * kernels, I -> O: bwd_data 379 us against 975 (1 -> 64), 82 : 241 (1 -> 16), 475 : 992 (3 -> 64); bwd_weights 102 :
 * 150 (1 -> 64), but 42 : 38 (1 -> 16) and 319 : 272 (3 -> 64); forward never. */
bnf_status bnf_conv2d_im2col_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    if (inst->in[0].dtype != BNF_F32 || inst->op == &bnf_op_conv2d)
        return BNF_ERR_UNSUPPORTED;
    cut c = cut_of(inst);
    bool wins = inst->op == &bnf_op_conv2d_bwd_data ? c.s.i <= 4 : c.s.i == 1 && c.s.o >= 32;
    if (!wins || c.s.groups != 1 || c.cells > 128)
        return BNF_ERR_UNSUPPORTED;
    k->scratch_bytes = (size_t)(c.patch_size + (c.cells + 1) * c.s.o) * sizeof(float);
    return BNF_OK;
}

/* Output columns [*first, *end) of a row whose window column `kw` lies in the image. */
static void columns_inside(const bnf_conv2d_shape *s, int64_t kw, int64_t *first, int64_t *end)
{
    int64_t shift = kw * s->dilation[1] - s->pad[1], stride = s->stride[1]; /* reads column x * stride + shift */
    int64_t a = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    int64_t b = shift >= s->w ? 0 : (s->w - shift + stride - 1) / stride;
    *end = b < s->ow ? b : s->ow;
    *first = a < *end ? a : *end;
}

/* Where cell k of the kernel reads along output row `row`: for column x at this index plus x * stride * I.
 * INT64_MIN: the whole row is padding. */
static int64_t source_row(const cut *c, int64_t row, int64_t k)
{
    const bnf_conv2d_shape *s = &c->s;
    int64_t kw = k % s->kw, kh = k / s->kw % s->kh, i = k / s->kw / s->kh;
    int64_t h = row % s->oh * s->stride[0] - s->pad[0] + kh * s->dilation[0];
    if (h < 0 || h >= s->h)
        return INT64_MIN;
    return ((row / s->oh * s->h + h) * s->w + kw * s->dilation[1] - s->pad[1]) * s->i + i;
}

static void gather(const cut *c, int64_t row, int64_t rows, const float *x, float *patches)
{
    const bnf_conv2d_shape *s = &c->s;
    int64_t step = s->stride[1] * s->i, positions = rows * s->ow;
    for (int64_t k = 0; k < c->cells; k++) {
        int64_t first, end;
        columns_inside(s, k % s->kw, &first, &end);
        for (int64_t r = 0; r < rows; r++) {
            float *to = patches + k * positions + r * s->ow;
            int64_t from = source_row(c, row + r, k);
            if (from == INT64_MIN || first == end) {
                memset(to, 0, (size_t)s->ow * sizeof *to);
                continue;
            }
            for (int64_t p = 0; p < first; p++)
                to[p] = 0;
            if (step == 1)
                memcpy(to + first, x + from + first, (size_t)(end - first) * sizeof *to);
            else
                for (int64_t p = first; p < end; p++)
                    to[p] = x[from + p * step];
            for (int64_t p = end; p < s->ow; p++)
                to[p] = 0;
        }
    }
    for (int64_t p = 0; p < positions; p++)
        patches[c->cells * positions + p] = 1;
}

/* Adds patches to the image cells they were read from. */
static void scatter(const cut *c, int64_t row, int64_t rows, const float *restrict patches, float *restrict dx)
{
    const bnf_conv2d_shape *s = &c->s;
    int64_t step = s->stride[1] * s->i, positions = rows * s->ow;
    for (int64_t k = 0; k < c->cells; k++) {
        int64_t first, end;
        columns_inside(s, k % s->kw, &first, &end);
        for (int64_t r = 0; r < rows; r++) {
            const float *from = patches + k * positions + r * s->ow;
            int64_t at = source_row(c, row + r, k);
            if (at == INT64_MIN)
                continue;
            if (step == 1)
                for (int64_t p = first; p < end; p++)
                    dx[at + p] += from[p];
            else
                for (int64_t p = first; p < end; p++)
                    dx[at + p * step] += from[p];
        }
    }
}

static void data_chunk(const cut *c, int64_t row, int64_t rows, const float *dy, const float *w, float *dx,
                       float *patches)
{
    int64_t positions = rows * c->s.ow;
    bnf_dnnl_gemm(true, true, c->cells, positions, c->s.o, w, c->cells, dy + row * c->s.ow * c->s.o, c->s.o, 0.0f,
                  patches, positions);
    scatter(c, row, rows, patches, dx);
}

static void weights_chunk(const cut *c, int64_t row, int64_t rows, const float *x, const float *dy, float *patches,
                          float *sums)
{
    int64_t positions = rows * c->s.ow;
    gather(c, row, rows, x, patches);
    bnf_dnnl_gemm(false, false, c->cells + c->s.bias, c->s.o, positions, patches, positions,
                  dy + row * c->s.ow * c->s.o, c->s.o, row > 0 ? 1.0f : 0.0f, sums, c->s.o);
}

static void store_weights(const cut *c, const float *sums, float *dw, float *dbias)
{
    for (int64_t o = 0; o < c->s.o; o++)
        for (int64_t k = 0; k < c->cells; k++)
            dw[o * c->cells + k] = sums[k * c->s.o + o];
    if (c->s.bias)
        memcpy(dbias, sums + c->cells * c->s.o, (size_t)c->s.o * sizeof *dbias);
    else
        dbias[0] = 0;
}

void bnf_conv2d_im2col(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                       void *const *out, void *scratch)
{
    (void)k, (void)ctx;
    cut c = cut_of(inst);
    bool data = inst->op == &bnf_op_conv2d_bwd_data;
    float *patches = scratch, *sums = patches + c.patch_size;
    if (data)
        memset(out[0], 0, bnf_desc_bytes(&inst->out[0]));
    for (int64_t row = 0; row < c.all_rows; row += c.rows) {
        int64_t rows = c.all_rows - row < c.rows ? c.all_rows - row : c.rows;
        if (data)
            data_chunk(&c, row, rows, in[0], in[1], out[0], patches);
        else
            weights_chunk(&c, row, rows, in[0], in[1], patches, sums);
    }
    if (!data)
        store_weights(&c, sums, out[0], out[1]);
}
