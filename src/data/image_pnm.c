/* Netpbm greymaps and pixmaps: P2 and P3 (text), P5 and P6 (binary), up to 16 bits a sample. */
#include "data/image_formats.h"

#include <ctype.h>

struct pnm_reader {
    const uint8_t *bytes;
    size_t size, position;
    const char *name;
};

/* Skips white space and comments ("#" to the end of the line). */
static void pnm_skip(struct pnm_reader *r)
{
    while (r->position < r->size) {
        if (r->bytes[r->position] == '#')
            while (r->position < r->size && r->bytes[r->position] != '\n')
                r->position++;
        else if (isspace(r->bytes[r->position]))
            r->position++;
        else
            return;
    }
}

static bnf_status pnm_number(struct pnm_reader *r, const char *what, int64_t min, int64_t max, int64_t *value)
{
    pnm_skip(r);
    if (r->position >= r->size)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is a truncated PNM file: it ends before its %s", r->name, what);
    int64_t v = 0;
    size_t start = r->position;
    while (r->position < r->size && isdigit(r->bytes[r->position]) && v <= max)
        v = 10 * v + (r->bytes[r->position++] - '0');
    if (r->position == start || v < min || v > max)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is a damaged PNM file: its %s is not a number in %lld..%lld", r->name,
                        what, (long long)min, (long long)max);
    *value = v;
    return BNF_OK;
}

static uint8_t pnm_scale(int64_t value, int64_t max)
{
    return max == 255 ? (uint8_t)value : (uint8_t)((value * 255 + max / 2) / max);
}

static bnf_status pnm_text(struct pnm_reader *r, int64_t max, bnf_image *image)
{
    for (int64_t i = 0; i < image->h * image->w * image->c; i++) {
        int64_t v;
        BNF_TRY(pnm_number(r, "next sample", 0, max, &v));
        image->pixels[i] = pnm_scale(v, max);
    }
    return BNF_OK;
}

static bnf_status pnm_binary(struct pnm_reader *r, int64_t max, bnf_image *image)
{
    int64_t width = max > 255 ? 2 : 1; /* bytes a sample, most significant first */
    int64_t count = image->h * image->w * image->c;
    const uint8_t *p = r->bytes + r->position;

    if ((size_t)(count * width) > r->size - r->position)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is a truncated PNM file: %lld bytes of pixels expected, %zu found",
                        r->name, (long long)(count * width), r->size - r->position);
    for (int64_t i = 0; i < count; i++) {
        int64_t v = width == 2 ? (int64_t)p[2 * i] << 8 | p[2 * i + 1] : p[i];
        if (v > max)
            return bnf_fail(BNF_ERR_FORMAT, "'%s' is a damaged PNM file: sample %lld is %lld, above its maximum %lld",
                            r->name, (long long)i, (long long)v, (long long)max);
        image->pixels[i] = pnm_scale(v, max);
    }
    return BNF_OK;
}

bnf_status bnf_image_read_pnm(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                              bnf_image *image)
{
    struct pnm_reader r = {.bytes = bytes, .size = size, .position = 2, .name = name};
    int64_t max;
    int kind = bytes[1] - '0';

    extents->c = kind == 2 || kind == 5 ? 1 : 3;
    BNF_TRY(pnm_number(&r, "width", 1, BNF_IMAGE_MAX_SIDE, &extents->w));
    BNF_TRY(pnm_number(&r, "height", 1, BNF_IMAGE_MAX_SIDE, &extents->h));
    BNF_TRY(pnm_number(&r, "maximum", 1, 65535, &max));
    if (!image)
        return BNF_OK;
    BNF_TRY(bnf_image_reserve(image, extents->h, extents->w, extents->c, name));
    if (kind == 2 || kind == 3)
        return pnm_text(&r, max, image);
    if (r.position >= size || !isspace(bytes[r.position]))
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is a damaged PNM file: no white space after its maximum", name);
    r.position++;
    return pnm_binary(&r, max, image);
}
