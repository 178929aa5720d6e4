/* data/jpeg_write.h - a grey picture as a JPEG file in memory. */
#ifndef BNF_DATA_JPEG_WRITE_H
#define BNF_DATA_JPEG_WRITE_H

#include <banff/base.h>

/* Encodes pixels[h, w] u8 as a baseline JPEG with libjpeg's standard tables at `quality` (1..100) and its accurate
 * integer transform: equal pixels give equal bytes with the same libjpeg. [out] jpeg[bytes] owned (bnf_free).
 * Errors: BNF_ERR_ARG for extents below 1 or beyond BNF_IMAGE_MAX_SIDE, BNF_ERR_MEMORY. Thread-safe. */
bnf_status bnf_jpeg_encode_grey(const uint8_t *pixels, int64_t h, int64_t w, int quality, uint8_t **jpeg,
                                size_t *bytes);

#endif
