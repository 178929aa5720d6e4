/* report/colormap.h - turns maps of numbers (saliency, attributions) into colours. */
#ifndef BNF_REPORT_COLORMAP_H
#define BNF_REPORT_COLORMAP_H

#include <banff/base.h>

/* Both scales are distinguishable with any common colour-vision deficiency and differ in lightness, so that they
 * survive a black-and-white print. */
typedef enum bnf_colormap {
    BNF_COLORMAP_SIGNED = 0, /* diverging: negative blue, zero nearly white, positive red-brown */
    BNF_COLORMAP_MAGNITUDE,  /* sequential: zero nearly black, then violet, orange, light yellow at the top */
    BNF_COLORMAP_COUNT
} bnf_colormap;

/* The colour of position t, clamped to the scale: [-1, 1] for SIGNED, [0, 1] for MAGNITUDE. NaN is mid grey.
 * [out] rgb[3]. Every position of a scale is a fixed colour: linear between a few fixed ones. */
void bnf_colormap_color(bnf_colormap map, double t, uint8_t *rgb);

/* The value that should be the end of the scale: the `quantile` (0 to 1, 0.99 is usual, so that one pixel does not
 * darken the rest) of |x[n]|, or 1 if that is 0 or n is 0. NaN and infinite elements are left out. [out] limit > 0.
 * Errors: BNF_ERR_MEMORY (needs a copy of x). */
bnf_status bnf_colormap_limit(const float *x, int64_t n, double quantile, double *limit);

/* Colours of x[n] / limit. [out] rgb[n,3] u8. MAGNITUDE uses |x|. `limit` must be > 0. */
void bnf_colormap_apply(bnf_colormap map, const float *x, int64_t n, double limit, uint8_t *rgb);

/* Saliency of one image: the channel with the largest absolute value, x[h,w,c] f32 -> magnitude[h,w] f32 = max_c
 * |x|. */
void bnf_colormap_channel_max(const float *x, int64_t h, int64_t w, int64_t c, float *magnitude);

/* f32 image values to u8: round((x - low) / (high - low) * 255), clamped; NaN gives 0. `high` > `low`. */
void bnf_colormap_gray(const float *x, int64_t n, double low, double high, uint8_t *u8);

#endif
