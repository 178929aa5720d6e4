/* PNG by libpng, each call inside a guarded step whose error exit jumps back to it. */
#include "base/mem.h"
#include "data/image_formats.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    char message[160];
    const uint8_t *bytes;
    size_t size, position;
    png_bytep *rows;
};

static _Noreturn void on_error(png_structp png, png_const_charp message)
{
    struct png_reader *r = png_get_error_ptr(png);
    snprintf(r->message, sizeof r->message, "%s", message);
    longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png; /* a warning concerns metadata only; damage to the picture is reported as an error */
    (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t count)
{
    struct png_reader *r = png_get_io_ptr(png);
    if (count > r->size - r->position)
        png_error(png, "the file ends too early");
    memcpy(out, r->bytes + r->position, count);
    r->position += count;
}

static bool guarded(struct png_reader *r, void (*step)(struct png_reader *))
{
    if (setjmp(r->jump))
        return false;
    step(r);
    return true;
}

static void step_header(struct png_reader *r)
{
    png_set_user_limits(r->png, BNF_IMAGE_MAX_SIDE, BNF_IMAGE_MAX_SIDE);
    png_set_read_fn(r->png, r, on_read);
    png_read_info(r->png, r->info);
    png_byte type = png_get_color_type(r->png, r->info);
    png_byte depth = png_get_bit_depth(r->png, r->info);
    if (depth == 16)
        png_set_scale_16(r->png);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_strip_alpha(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

static void step_pixels(struct png_reader *r)
{
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
}

static bnf_status png_failed(const struct png_reader *r, const char *name)
{
    return bnf_fail(BNF_ERR_FORMAT, "'%s' is a damaged PNG file: %s", name, r->message);
}

static bnf_status read_guarded(struct png_reader *r, const char *name, bnf_image_extents *extents, bnf_image *image)
{
    if (!guarded(r, step_header))
        return png_failed(r, name);
    *extents = (bnf_image_extents){.h = png_get_image_height(r->png, r->info),
                                   .w = png_get_image_width(r->png, r->info),
                                   .c = png_get_channels(r->png, r->info)};
    if (!image)
        return BNF_OK;
    BNF_TRY(bnf_image_reserve(image, extents->h, extents->w, extents->c, name));
    BNF_TRY(bnf_calloc((size_t)image->h, sizeof *r->rows, "row pointers of a PNG", &r->rows));
    for (int64_t y = 0; y < image->h; y++)
        r->rows[y] = image->pixels + y * image->w * image->c;
    return guarded(r, step_pixels) ? BNF_OK : png_failed(r, name);
}

bnf_status bnf_image_read_png(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                              bnf_image *image)
{
    struct png_reader r;
    bnf_status status;

    memset(&r, 0, sizeof r);
    r.bytes = bytes;
    r.size = size;
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (r.info)
        status = read_guarded(&r, name, extents, image);
    else
        status = bnf_fail(BNF_ERR_MEMORY, "'%s': out of memory in libpng", name);
    png_destroy_read_struct(r.png ? &r.png : NULL, r.info ? &r.info : NULL, NULL);
    bnf_free(r.rows);
    return status;
}
