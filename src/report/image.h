/* report/image.h - pictures for the report: PNG into memory, and base64 to put bytes into a page. */
#ifndef BNF_REPORT_IMAGE_H
#define BNF_REPORT_IMAGE_H

#include <banff/base.h>

/* Encodes pixels[height,width,channels] u8, channels 1 (grey) or 3 (RGB), as a PNG file without time stamp, so equal
 * pixels give equal bytes with the same libpng and zlib.
 * [out] png[bytes] owned, release with bnf_free. Errors: BNF_ERR_ARG for an extent below 1 or another number of
 * channels, BNF_ERR_MEMORY. */
bnf_status bnf_png_encode(const uint8_t *pixels, int64_t height, int64_t width, int channels, uint8_t **png,
                          size_t *bytes);

/* Characters that bnf_base64_encode writes for n bytes (no terminating 0): 4 for every 3 begun. */
size_t bnf_base64_length(size_t n);

/* Base64 of bytes[n] (RFC 4648, with padding, no line breaks). [out] text[bnf_base64_length(n)], not terminated. */
void bnf_base64_encode(const uint8_t *bytes, size_t n, char *text);

#endif
