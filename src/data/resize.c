#include "data/resize.h"

#include "base/mem.h"
#include "base/simd.h"

#include <math.h>
#include <string.h>

#define WEIGHT_BITS 14
#define ROW_BITS 6 /* fraction bits kept between the two passes: 8 + 6 bits a sample */

/* Weights along one axis: target i is the sum over k < taps of weight[i * taps + k] * source[first[i] + k]. */
struct axis {
    int64_t out, taps;
    const int32_t *first;
    int32_t *weight;
};

/* The part [origin, origin + length) of the source axis that is mapped to the target axis, and the source pixels
 * [lo, hi) that the filter may see. */
struct span {
    double origin, length;
    int64_t lo, hi;
};

static int64_t axis_taps(struct span from, int64_t out)
{
    double scale = from.length / (double)out;
    int64_t in = from.hi - from.lo;
    int64_t taps = 2 * (int64_t)ceil(scale > 1.0 ? scale : 1.0) + 1;
    return taps < in ? taps : in;
}

/* Rounds the weights of one target sample so that they sum to one exactly; the remainder goes to the largest. */
static void quantise_weights(const double *w, int64_t taps, int32_t *q)
{
    double total = 0.0;
    int32_t sum = 0;
    int64_t largest = 0;

    for (int64_t k = 0; k < taps; k++)
        total += w[k];
    for (int64_t k = 0; k < taps; k++) {
        q[k] = (int32_t)lround(w[k] / total * (1 << WEIGHT_BITS));
        sum += q[k];
        if (q[k] > q[largest])
            largest = k;
    }
    q[largest] += (1 << WEIGHT_BITS) - sum;
}

static void axis_fill(struct span from, struct axis *axis, int32_t *first, double *scratch)
{
    double scale = from.length / (double)axis->out;
    double support = scale > 1.0 ? scale : 1.0;

    for (int64_t i = 0; i < axis->out; i++) {
        double centre = from.origin + ((double)i + 0.5) * scale;
        int64_t start = (int64_t)floor(centre - support);
        start = start < from.lo ? from.lo : start > from.hi - axis->taps ? from.hi - axis->taps : start;
        first[i] = (int32_t)start;
        for (int64_t k = 0; k < axis->taps; k++) {
            double distance = fabs((double)(start + k) + 0.5 - centre) / support;
            scratch[k] = distance < 1.0 ? 1.0 - distance : 0.0;
        }
        quantise_weights(scratch, axis->taps, axis->weight + i * axis->taps);
    }
    axis->first = first;
}

/* One source row to out target columns, kept at 8 + ROW_BITS bits. */
static void scale_row(const struct axis *x, const uint8_t *src, int64_t c, uint16_t *dst)
{
    for (int64_t i = 0; i < x->out; i++) {
        const int32_t *w = x->weight + i * x->taps;
        const uint8_t *p = src + x->first[i] * c;
        for (int64_t ch = 0; ch < c; ch++) {
            int32_t sum = 1 << (WEIGHT_BITS - ROW_BITS - 1);
            for (int64_t k = 0; k < x->taps; k++)
                sum += w[k] * p[k * c + ch];
            dst[i * c + ch] = (uint16_t)(sum >> (WEIGHT_BITS - ROW_BITS));
        }
    }
}

/* The same for three colours, whose sums run side by side. */
static void scale_row_colour(const struct axis *x, const uint8_t *src, uint16_t *dst)
{
    const int shift = WEIGHT_BITS - ROW_BITS;

    for (int64_t i = 0; i < x->out; i++) {
        const int32_t *w = x->weight + i * x->taps;
        const uint8_t *p = src + x->first[i] * 3;
        int32_t r = 1 << (shift - 1), g = r, b = r;
        for (int64_t k = 0; k < x->taps; k++) {
            r += w[k] * p[3 * k];
            g += w[k] * p[3 * k + 1];
            b += w[k] * p[3 * k + 2];
        }
        dst[3 * i] = (uint16_t)(r >> shift);
        dst[3 * i + 1] = (uint16_t)(g >> shift);
        dst[3 * i + 2] = (uint16_t)(b >> shift);
    }
}

BNF_SIMD_CLONES
static void scale_columns(const struct axis *y, const uint16_t *rows, int64_t row_size, uint8_t *dst)
{
    enum { BLOCK = 256 };
    int32_t sum[BLOCK];

    for (int64_t i = 0; i < y->out; i++)
        for (int64_t from = 0; from < row_size; from += BLOCK) {
            const int32_t *w = y->weight + i * y->taps;
            const uint16_t *p = rows + y->first[i] * row_size + from;
            int64_t n = row_size - from < BLOCK ? row_size - from : BLOCK;
            for (int64_t j = 0; j < n; j++)
                sum[j] = 1 << (WEIGHT_BITS + ROW_BITS - 1);
            for (int64_t k = 0; k < y->taps; k++)
                for (int64_t j = 0; j < n; j++)
                    sum[j] += w[k] * p[k * row_size + j];
            for (int64_t j = 0; j < n; j++) {
                int32_t v = sum[j] >> (WEIGHT_BITS + ROW_BITS);
                dst[i * row_size + from + j] = (uint8_t)(v > 255 ? 255 : v);
            }
        }
}

static bnf_status ensure(size_t bytes, const char *what, size_t *have, void *p)
{
    if (bytes <= *have)
        return BNF_OK;
    BNF_TRY(bnf_realloc(*have, bytes, what, p));
    *have = bytes;
    return BNF_OK;
}

/* The centred part of the source with the target's aspect. */
static void crop_spans(int64_t h, int64_t w, int64_t out_h, int64_t out_w, struct span *y, struct span *x)
{
    double part_h = (double)h, part_w = (double)w;
    if (h * out_w > w * out_h)
        part_h = (double)(w * out_h) / (double)out_w;
    else
        part_w = (double)(h * out_w) / (double)out_h;
    *y = (struct span){((double)h - part_h) / 2.0, part_h, 0, h};
    *x = (struct span){((double)w - part_w) / 2.0, part_w, 0, w};
}

static bnf_status resize_spans(bnf_resizer *resizer, const bnf_image *src, struct span sy, struct span sx,
                               int64_t out_h, int64_t out_w, uint8_t *dst)
{
    struct axis y = {.out = out_h, .taps = axis_taps(sy, out_h)};
    struct axis x = {.out = out_w, .taps = axis_taps(sx, out_w)};
    int64_t longest = x.taps > y.taps ? x.taps : y.taps;
    size_t doubles = (size_t)longest * sizeof(double); /* scratch first: it needs the stricter alignment */
    size_t ints = (size_t)(out_w * (x.taps + 1) + out_h * (y.taps + 1)) * sizeof(int32_t);
    BNF_TRY(ensure(doubles + ints, "resize weights", &resizer->weights_bytes, &resizer->weights));
    BNF_TRY(ensure((size_t)(src->h * out_w * src->c) * sizeof(uint16_t), "resize rows", &resizer->rows_bytes,
                   &resizer->rows));

    double *scratch = (double *)resizer->weights;
    int32_t *first_x = (int32_t *)(scratch + longest), *first_y = first_x + out_w;
    x.weight = first_y + out_h;
    y.weight = x.weight + out_w * x.taps;
    axis_fill(sx, &x, first_x, scratch);
    axis_fill(sy, &y, first_y, scratch);
    for (int64_t r = sy.lo; r < sy.hi; r++) {
        const uint8_t *from = src->pixels + r * src->w * src->c;
        uint16_t *to = resizer->rows + r * out_w * src->c;
        if (src->c == 3)
            scale_row_colour(&x, from, to);
        else
            scale_row(&x, from, src->c, to);
    }
    scale_columns(&y, resizer->rows, out_w * src->c, dst);
    return BNF_OK;
}

bnf_status bnf_image_resize(bnf_resizer *resizer, const bnf_image *src, bnf_resize_mode mode, int64_t out_h,
                            int64_t out_w, uint8_t *dst)
{
    struct span sy = {0.0, (double)src->h, 0, src->h}, sx = {0.0, (double)src->w, 0, src->w};
    if (mode == BNF_RESIZE_CROP)
        crop_spans(src->h, src->w, out_h, out_w, &sy, &sx);
    if (src->h == out_h && src->w == out_w) {
        memcpy(dst, src->pixels, (size_t)(out_h * out_w * src->c));
        return BNF_OK;
    }
    return resize_spans(resizer, src, sy, sx, out_h, out_w, dst);
}

static struct span part_span(double origin, double length, int64_t in)
{
    int64_t hi = (int64_t)ceil(origin + length);
    return (struct span){origin, length, (int64_t)origin, hi < in ? hi : in};
}

bnf_status bnf_image_resize_part(bnf_resizer *resizer, const bnf_image *src, const bnf_image_part *part, int64_t out_h,
                                 int64_t out_w, uint8_t *dst)
{
    struct span sy = part_span(part->y, part->h, src->h), sx = part_span(part->x, part->w, src->w);
    bool whole = part->y == (double)sy.lo && part->x == (double)sx.lo;
    size_t row = (size_t)(out_w * src->c);

    if (!whole || part->h != (double)out_h || part->w != (double)out_w)
        return resize_spans(resizer, src, sy, sx, out_h, out_w, dst);
    for (int64_t y = 0; y < out_h; y++)
        memcpy(dst + (size_t)y * row, src->pixels + ((sy.lo + y) * src->w + sx.lo) * src->c, row);
    return BNF_OK;
}

void bnf_resizer_release(bnf_resizer *resizer)
{
    bnf_free(resizer->weights);
    bnf_free(resizer->rows);
    *resizer = (bnf_resizer){0};
}
