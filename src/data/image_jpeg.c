/* JPEG by libjpeg. The library ends the process on an error unless told otherwise: here every call runs inside one
 * guarded step, and its error exit jumps back to that step. */
#include "data/image_formats.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

struct jpeg_reader {
    struct jpeg_error_mgr errors; /* first: libjpeg's pointer to it is a pointer to the reader */
    struct jpeg_decompress_struct jpeg;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    const uint8_t *bytes;
    size_t size;
    bnf_image *image;
};

static _Noreturn void on_error(j_common_ptr info)
{
    struct jpeg_reader *r = (struct jpeg_reader *)info->err;
    info->err->format_message(info, r->message);
    longjmp(r->jump, 1);
}

/* libjpeg goes on after damaged data and only warns. Damage to the picture is an error here; oddities around it are
 * not. */
static void on_message(j_common_ptr info, int level)
{
    if (level >= 0)
        return;
    switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_EXTRANEOUS_DATA:
        return;
    default:
        on_error(info);
    }
}

/* Runs one step; false if libjpeg reported an error (its text is then in r->message). */
static bool guarded(struct jpeg_reader *r, void (*step)(struct jpeg_reader *))
{
    if (setjmp(r->jump))
        return false;
    step(r);
    return true;
}

static void step_header(struct jpeg_reader *r)
{
    jpeg_create_decompress(&r->jpeg);
    jpeg_mem_src(&r->jpeg, r->bytes, (unsigned long)r->size);
    jpeg_read_header(&r->jpeg, TRUE);
}

/* CMYK as cameras and editors write it: inverted inks if the Adobe marker is there. */
static void rgb_from_cmyk(const uint8_t *cmyk, int64_t n, bool inverted, uint8_t *rgb)
{
    for (int64_t i = 0; i < n; i++) {
        int k = inverted ? cmyk[4 * i + 3] : 255 - cmyk[4 * i + 3];
        for (int c = 0; c < 3; c++) {
            int ink = inverted ? cmyk[4 * i + c] : 255 - cmyk[4 * i + c];
            rgb[3 * i + c] = (uint8_t)((ink * k + 127) / 255);
        }
    }
}

static void step_pixels(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    int64_t stride = r->image->w * r->image->c;
    JSAMPARRAY inks = NULL;

    jpeg->dct_method = JDCT_ISLOW;
    jpeg->out_color_space = r->image->c == 1 ? JCS_GRAYSCALE : jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(jpeg);
    if (jpeg->out_color_space == JCS_CMYK)
        inks = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, jpeg->output_width * 4, 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = r->image->pixels + (int64_t)jpeg->output_scanline * stride;
        jpeg_read_scanlines(jpeg, inks ? inks : &row, 1);
        if (inks)
            rgb_from_cmyk(inks[0], r->image->w, jpeg->saw_Adobe_marker, row);
    }
    jpeg_finish_decompress(jpeg);
}

static bnf_status jpeg_failed(const struct jpeg_reader *r, const char *name)
{
    return bnf_fail(BNF_ERR_FORMAT, "'%s' is a damaged JPEG file: %s", name, r->message);
}

static bnf_status read_guarded(struct jpeg_reader *r, const char *name, bnf_image_extents *extents)
{
    if (!guarded(r, step_header))
        return jpeg_failed(r, name);
    int n = r->jpeg.num_components;
    if (n != 1 && n != 3 && n != 4)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s': a JPEG of %d components; only 1, 3 and 4 can be read", name, n);
    *extents = (bnf_image_extents){.h = r->jpeg.image_height, .w = r->jpeg.image_width, .c = n == 1 ? 1 : 3};
    if (!r->image)
        return BNF_OK;
    BNF_TRY(bnf_image_reserve(r->image, extents->h, extents->w, extents->c, name));
    return guarded(r, step_pixels) ? BNF_OK : jpeg_failed(r, name);
}

bnf_status bnf_image_read_jpeg(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                               bnf_image *image)
{
    struct jpeg_reader r;

    memset(&r, 0, sizeof r);
    r.bytes = bytes;
    r.size = size;
    r.image = image;
    r.jpeg.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    bnf_status status = read_guarded(&r, name, extents);
    jpeg_destroy_decompress(&r.jpeg);
    return status;
}
