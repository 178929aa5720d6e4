/* data/image_formats.h - what every picture format provides; a new format is one file and one line in image.c. */
#ifndef BNF_DATA_IMAGE_FORMATS_H
#define BNF_DATA_IMAGE_FORMATS_H

#include "data/image.h"

/* With image == NULL only the extents are read; otherwise both. Errors: see data/image.h. */
typedef bnf_status (*bnf_image_read_fn)(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                                        bnf_image *image);

bnf_status bnf_image_read_jpeg(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                               bnf_image *image);
/* See bnf_image_decode_part. */
bnf_status bnf_image_read_jpeg_part(const uint8_t *bytes, size_t size, const char *name, const bnf_image_box *box,
                                    int64_t out_h, int64_t out_w, bnf_image *image, bnf_image_part *part);
bnf_status bnf_image_read_png(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                              bnf_image *image);
bnf_status bnf_image_read_pnm(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                              bnf_image *image);

#endif
