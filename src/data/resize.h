/* data/resize.h - pictures brought to one size. */
#ifndef BNF_DATA_RESIZE_H
#define BNF_DATA_RESIZE_H

#include "data/image.h"
#include <banff/data.h>

/* A resizer keeps the filter weights and the intermediate rows between pictures. Zero-initialise before first use. */
typedef struct bnf_resizer {
    int32_t *weights;
    size_t weights_bytes;
    uint16_t *rows;
    size_t rows_bytes;
} bnf_resizer;

void bnf_resizer_release(bnf_resizer *resizer);

/* Scales src[h, w, c] u8 to dst[out_h, out_w, c] u8 with a triangle filter: bilinear interpolation when enlarging,
 * and as wide as the source pixels that one target pixel covers when shrinking (so that nothing aliases). The sums
 * are in integers with weights of 2^-14: the same on every machine, constant pictures stay constant, and the same
 * size is a copy. [out] dst  room for out_h * out_w * c bytes, not overlapping src. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_image_resize(bnf_resizer *resizer, const bnf_image *src, bnf_resize_mode mode, int64_t out_h,
                            int64_t out_w, uint8_t *dst);

/* The same for a part of src, inside it. The filter sees the pixels that the part touches and no others. A part of
 * whole pixels and of the size that is wanted is copied. */
bnf_status bnf_image_resize_part(bnf_resizer *resizer, const bnf_image *src, const bnf_image_part *part, int64_t out_h,
                                 int64_t out_w, uint8_t *dst);

#endif
