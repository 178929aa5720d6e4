/* Colour scales as piecewise linear curves through fixed colours. */
#include "report/colormap.h"

#include "base/assert.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

enum { ANCHORS = 9 };

/* Evenly spaced over the scale. Lightness rises and falls symmetrically in the first, rises throughout in the
 * second. */
static const uint8_t anchors[BNF_COLORMAP_COUNT][ANCHORS][3] = {
    [BNF_COLORMAP_SIGNED] = {{22, 48, 99},
                             {40, 92, 154},
                             {92, 146, 194},
                             {167, 200, 222},
                             {246, 245, 241},
                             {236, 190, 160},
                             {214, 124, 88},
                             {171, 60, 46},
                             {103, 17, 28}},
    [BNF_COLORMAP_MAGNITUDE] = {{8, 8, 18},
                                {36, 20, 72},
                                {78, 24, 110},
                                {125, 34, 112},
                                {173, 52, 96},
                                {213, 82, 70},
                                {240, 126, 48},
                                {250, 184, 70},
                                {252, 246, 190}},
};

void bnf_colormap_color(bnf_colormap map, double t, uint8_t *rgb)
{
    BNF_ASSERT((unsigned)map < BNF_COLORMAP_COUNT);
    if (isnan(t)) {
        rgb[0] = rgb[1] = rgb[2] = 128;
        return;
    }
    const double unit = map == BNF_COLORMAP_SIGNED ? 0.5 * (t + 1.0) : t;
    const double at = fmin(fmax(unit, 0.0), 1.0) * (ANCHORS - 1);
    const int low = at >= ANCHORS - 1 ? ANCHORS - 2 : (int)at;
    const double part = at - low;
    for (int c = 0; c < 3; c++) {
        const double from = anchors[map][low][c], to = anchors[map][low + 1][c];
        rgb[c] = (uint8_t)lround(from + part * (to - from));
    }
}

static int compare_float(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

bnf_status bnf_colormap_limit(const float *x, int64_t n, double quantile, double *limit)
{
    BNF_ASSERT(n >= 0 && quantile >= 0.0 && quantile <= 1.0);
    float *sorted = NULL;
    int64_t count = 0;
    BNF_TRY(bnf_alloc((size_t)n * sizeof *sorted, "colour scale", &sorted));
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i]))
            sorted[count++] = fabsf(x[i]);
    }
    *limit = 1.0;
    if (count > 0) {
        qsort(sorted, (size_t)count, sizeof *sorted, compare_float);
        const double value = (double)sorted[(int64_t)floor(quantile * (double)(count - 1))];
        if (value > 0.0)
            *limit = value;
    }
    bnf_free(sorted);
    return BNF_OK;
}

void bnf_colormap_apply(bnf_colormap map, const float *x, int64_t n, double limit, uint8_t *rgb)
{
    BNF_ASSERT(limit > 0.0);
    for (int64_t i = 0; i < n; i++) {
        const double t = (double)x[i] / limit;
        bnf_colormap_color(map, map == BNF_COLORMAP_MAGNITUDE ? fabs(t) : t, rgb + 3 * i);
    }
}

void bnf_colormap_channel_max(const float *x, int64_t h, int64_t w, int64_t c, float *magnitude)
{
    for (int64_t i = 0; i < h * w; i++) {
        float largest = 0.0f;
        for (int64_t k = 0; k < c; k++) {
            const float a = fabsf(x[i * c + k]);
            if (a > largest || isnan(a))
                largest = a;
        }
        magnitude[i] = largest;
    }
}

void bnf_colormap_gray(const float *x, int64_t n, double low, double high, uint8_t *u8)
{
    BNF_ASSERT(high > low);
    for (int64_t i = 0; i < n; i++) {
        const double t = ((double)x[i] - low) / (high - low);
        u8[i] = t > 0.0 ? (uint8_t)lround(fmin(t, 1.0) * 255.0) : 0;
    }
}
