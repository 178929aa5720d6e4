/* data/image.h - one decoded picture, and the file formats it can come from: JPEG, PNG, PBM family (PGM, PPM). */
#ifndef BNF_DATA_IMAGE_H
#define BNF_DATA_IMAGE_H

#include <banff/base.h>
#include <stdbool.h>

#define BNF_IMAGE_MAX_SIDE 65500               /* pixels: what libjpeg accepts */
#define BNF_IMAGE_MAX_BYTES ((int64_t)1 << 30) /* decoded; larger files are refused, not decoded */

/* pixels[h, w, c] u8, c = 1 (grey) or 3 (red, green, blue). Zero-initialise before first use; decoding into a used
 * image recycles its memory. */
typedef struct bnf_image {
    int64_t h, w, c;
    uint8_t *pixels;
    size_t capacity;
} bnf_image;

/* A part of a picture: rows [y, y + h), columns [x, x + w). */
typedef struct bnf_image_box {
    int64_t y, x, h, w;
} bnf_image_box;

/* The same in a scaled picture, where it may begin and end inside pixels. */
typedef struct bnf_image_part {
    double y, x, h, w;
} bnf_image_part;

/* Extents of a picture as its file has them. */
typedef struct bnf_image_extents {
    int64_t h, w, c;
} bnf_image_extents;

/* Sets the extents and makes room for the pixels, whose content is then undefined. Errors: BNF_ERR_FORMAT if the
 * extents are out of range (`name` is the file named in the message), BNF_ERR_MEMORY. */
bnf_status bnf_image_reserve(bnf_image *image, int64_t h, int64_t w, int64_t c, const char *name);

/* Frees the pixels and zeroes the struct; legal on a zeroed image. */
void bnf_image_release(bnf_image *image);

/* Reads only the header. bytes[size] is the file's content, `name` its name for messages.
 * Errors: BNF_ERR_FORMAT (corrupt, truncated, unknown format), BNF_ERR_UNSUPPORTED. */
bnf_status bnf_image_probe(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents);

/* Decodes. The format is told from the content, not from the name. Sixteen-bit samples are scaled to eight, palettes
 * expanded, an alpha channel is dropped, CMYK becomes RGB. Damage is an error, never a half-decoded picture:
 * truncation, a failed check sum, corrupt entropy-coded data. Errors as for bnf_image_probe, and BNF_ERR_MEMORY.
 * Thread-safe. */
bnf_status bnf_image_decode(const uint8_t *bytes, size_t size, const char *name, bnf_image *image);

/* Decodes as much as is needed to scale `box` (in pixels of the whole picture, inside it) to out_h x out_w. A JPEG is
 * decoded at 8/8, 4/8 or 2/8 of its size, the smallest at which the box still has out_h rows and out_w columns, and
 * only around the box; at 8/8 the pixels of the box are those of bnf_image_decode, bit for bit. What lies behind the
 * box in the file is not looked at. Other formats are decoded whole. [out] image; [out] part  where the box lies in
 * it. */
bnf_status bnf_image_decode_part(const uint8_t *bytes, size_t size, const char *name, const bnf_image_box *box,
                                 int64_t out_h, int64_t out_w, bnf_image *image, bnf_image_part *part);

/* Converts in place to c = 1 or 3 channels: grey is copied to each colour; colour becomes the luma of ITU-R BT.601,
 * rounded to nearest. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_image_set_channels(bnf_image *image, int64_t c);

/* True if a file of this name is taken for a picture by the folder importer: .jpg .jpeg .png .pgm .ppm .pnm, any
 * case. */
bool bnf_image_has_known_suffix(const char *name);

#endif
