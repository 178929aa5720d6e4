#include "data/image.h"

#include "base/assert.h"
#include "base/mem.h"
#include "data/image_formats.h"

#include <string.h>
#include <strings.h>

/* The formats, told apart by their first bytes. */
static const struct image_format {
    const char *prefix;
    size_t prefix_size;
    bnf_image_read_fn read;
} image_formats[] = {
    {"\xff\xd8\xff", 3, bnf_image_read_jpeg},
    {"\x89PNG\r\n\x1a\n", 8, bnf_image_read_png},
    {"P2", 2, bnf_image_read_pnm},
    {"P3", 2, bnf_image_read_pnm},
    {"P5", 2, bnf_image_read_pnm},
    {"P6", 2, bnf_image_read_pnm},
};

static const char *const image_suffixes[] = {".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".pnm"};

bnf_status bnf_image_reserve(bnf_image *image, int64_t h, int64_t w, int64_t c, const char *name)
{
    if (h < 1 || w < 1 || h > BNF_IMAGE_MAX_SIDE || w > BNF_IMAGE_MAX_SIDE || h * w * c > BNF_IMAGE_MAX_BYTES)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': a picture of %lld x %lld pixels is outside what can be read", name,
                        (long long)h, (long long)w);
    BNF_ASSERT(c == 1 || c == 3);
    size_t bytes = (size_t)(h * w * c);
    if (bytes > image->capacity) {
        bnf_free(image->pixels);
        image->pixels = NULL;
        image->capacity = 0;
        BNF_TRY(bnf_alloc(bytes, "pixels of a picture", &image->pixels));
        image->capacity = bytes;
    }
    image->h = h;
    image->w = w;
    image->c = c;
    return BNF_OK;
}

void bnf_image_release(bnf_image *image)
{
    bnf_free(image->pixels);
    *image = (bnf_image){0};
}

static bnf_status image_read(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                             bnf_image *image)
{
    for (size_t i = 0; i < sizeof image_formats / sizeof image_formats[0]; i++) {
        const struct image_format *f = &image_formats[i];
        if (size >= f->prefix_size && memcmp(bytes, f->prefix, f->prefix_size) == 0)
            return f->read(bytes, size, name, extents, image);
    }
    if (size == 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is empty: no picture in it", name);
    return bnf_fail(BNF_ERR_FORMAT, "'%s' is not a JPEG, PNG, PGM or PPM picture (its first bytes match none)", name);
}

bnf_status bnf_image_probe(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents)
{
    return image_read(bytes, size, name, extents, NULL);
}

bnf_status bnf_image_decode(const uint8_t *bytes, size_t size, const char *name, bnf_image *image)
{
    bnf_image_extents extents;
    return image_read(bytes, size, name, &extents, image);
}

bnf_status bnf_image_decode_part(const uint8_t *bytes, size_t size, const char *name, const bnf_image_box *box,
                                 int64_t out_h, int64_t out_w, bnf_image *image, bnf_image_part *part)
{
    if (size >= image_formats[0].prefix_size &&
        memcmp(bytes, image_formats[0].prefix, image_formats[0].prefix_size) == 0)
        return bnf_image_read_jpeg_part(bytes, size, name, box, out_h, out_w, image, part);
    BNF_TRY(bnf_image_decode(bytes, size, name, image));
    if (box->y + box->h > image->h || box->x + box->w > image->w)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' has %lld x %lld pixels: less than is stated", name, (long long)image->h,
                        (long long)image->w);
    *part = (bnf_image_part){(double)box->y, (double)box->x, (double)box->h, (double)box->w};
    return BNF_OK;
}

static void grey_from_colour(bnf_image *image)
{
    for (int64_t i = 0; i < image->h * image->w; i++) {
        const uint8_t *p = image->pixels + 3 * i;
        image->pixels[i] = (uint8_t)((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000);
    }
    image->c = 1;
}

static bnf_status colour_from_grey(bnf_image *image)
{
    size_t n = (size_t)(image->h * image->w);
    if (3 * n > image->capacity) {
        BNF_TRY(bnf_realloc(image->capacity, 3 * n, "pixels of a picture", &image->pixels));
        image->capacity = 3 * n;
    }
    for (size_t i = n; i-- > 0;) /* backwards: a grey value is read before its place is overwritten */
        memset(image->pixels + 3 * i, image->pixels[i], 3);
    image->c = 3;
    return BNF_OK;
}

bnf_status bnf_image_set_channels(bnf_image *image, int64_t c)
{
    BNF_ASSERT(c == 1 || c == 3);
    if (image->c == 3 && c == 1)
        grey_from_colour(image);
    else if (image->c == 1 && c == 3)
        return colour_from_grey(image);
    return BNF_OK;
}

bool bnf_image_has_known_suffix(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name)
        return false;
    for (size_t i = 0; i < sizeof image_suffixes / sizeof image_suffixes[0]; i++)
        if (strcasecmp(dot, image_suffixes[i]) == 0)
            return true;
    return false;
}
