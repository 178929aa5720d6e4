/* PNG through libpng's simplified interface, which reports errors as values and never jumps. */
#include "report/image.h"

#include "base/mem.h"

#include <png.h>
#include <string.h>

bnf_status bnf_png_encode(const uint8_t *pixels, int64_t height, int64_t width, int channels, uint8_t **png,
                          size_t *bytes)
{
    if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX / 4)
        return bnf_fail(BNF_ERR_ARG, "cannot encode an image of %lld x %lld pixels", (long long)width,
                        (long long)height);
    if (channels != 1 && channels != 3)
        return bnf_fail(BNF_ERR_ARG, "cannot encode an image of %d channels: 1 (grey) or 3 (RGB) are possible",
                        channels);
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = (png_uint_32)width;
    image.height = (png_uint_32)height;
    image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    uint8_t *memory = NULL;
    const size_t room = PNG_IMAGE_PNG_SIZE_MAX(image);
    png_alloc_size_t used = room;
    BNF_TRY(bnf_alloc(room, "PNG image", &memory));
    if (!png_image_write_to_memory(&image, memory, &used, 0, pixels, (png_int_32)(width * channels), NULL)) {
        bnf_free(memory);
        return bnf_fail(BNF_ERR_MEMORY, "libpng could not encode an image of %lld x %lld pixels: %s", (long long)width,
                        (long long)height, image.message);
    }
    *png = memory;
    *bytes = used;
    return BNF_OK;
}

size_t bnf_base64_length(size_t n)
{
    return (n + 2) / 3 * 4;
}

void bnf_base64_encode(const uint8_t *bytes, size_t n, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t second = left > 1 ? bytes[i + 1] : 0, third = left > 2 ? bytes[i + 2] : 0;
        const uint32_t group = (uint32_t)bytes[i] << 16 | second << 8 | third;
        *text++ = digits[group >> 18];
        *text++ = digits[group >> 12 & 63];
        *text++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *text++ = left > 2 ? digits[group & 63] : '=';
    }
}
