/* JPEG by libjpeg. The library ends the process on an error unless told otherwise: here every call runs inside one
 * guarded step, and its error exit jumps back to that step. */
#include "data/image_formats.h"

#include <math.h>
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
    /* To read a part: what is wanted, and where it lies in the image. */
    const bnf_image_box *box;
    bnf_image_part *part;
    int64_t first_row, rows; /* of the scaled picture */
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

/* How the pixels are to come out. */
static void set_output(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
}

/* Reads the image's rows, from where the decoder stands. */
static void read_rows(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    int64_t stride = r->image->w * r->image->c;
    JSAMPARRAY inks = NULL;

    if (jpeg->out_color_space == JCS_CMYK)
        inks = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, jpeg->output_width * 4, 1);
    for (int64_t y = 0; y < r->image->h; y++) {
        JSAMPROW row = r->image->pixels + y * stride;
        jpeg_read_scanlines(jpeg, inks ? inks : &row, 1);
        if (inks)
            rgb_from_cmyk(inks[0], r->image->w, jpeg->saw_Adobe_marker, row);
    }
}

static void step_pixels(struct jpeg_reader *r)
{
    set_output(r);
    jpeg_start_decompress(&r->jpeg);
    read_rows(r);
    jpeg_finish_decompress(&r->jpeg);
}

/* ---- A part, scaled ---- */

/* Columns around the box that are decoded with it. Colours are interpolated between neighbours: beyond this many, what
 * is not decoded changes nothing inside. */
#define MARGIN 4

/* Starts decoding, narrowed to the columns around the box. */
static void step_start_part(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    double scale = jpeg->scale_num / 8.0;

    set_output(r);
    jpeg_start_decompress(jpeg);
    *r->part = (bnf_image_part){(double)r->box->y * scale, (double)r->box->x * scale, (double)r->box->h * scale,
                                (double)r->box->w * scale};
    int64_t bottom = (int64_t)ceil(r->part->y + r->part->h);
    bottom = bottom < jpeg->output_height ? bottom : jpeg->output_height;
    r->first_row = (int64_t)r->part->y;
    r->rows = bottom - r->first_row;
#ifdef LIBJPEG_TURBO_VERSION_NUMBER
    int64_t left = (int64_t)r->part->x - MARGIN, right = (int64_t)ceil(r->part->x + r->part->w) + MARGIN;
    left = left > 0 ? left : 0;
    right = right < jpeg->output_width ? right : jpeg->output_width;
    if (right - left < jpeg->output_width) {
        JDIMENSION from = (JDIMENSION)left, columns = (JDIMENSION)(right - left);
        jpeg_crop_scanline(jpeg, &from, &columns); /* moves `from` to the left, to where a block begins */
        r->part->x -= from;
    }
    if (r->first_row > 0)
        jpeg_skip_scanlines(jpeg, (JDIMENSION)r->first_row);
#else
    r->rows += r->first_row; /* a libjpeg that cannot skip */
    r->first_row = 0;
#endif
    r->part->y -= (double)r->first_row;
}

/* What lies behind the box is not read. */
static void step_read_part(struct jpeg_reader *r)
{
    read_rows(r);
    if (r->first_row + r->rows == r->jpeg.output_height)
        jpeg_finish_decompress(&r->jpeg);
}

static bnf_status jpeg_failed(const struct jpeg_reader *r, const char *name)
{
    return bnf_fail(BNF_ERR_FORMAT, "'%s' is a damaged JPEG file: %s", name, r->message);
}

static bnf_status read_header(struct jpeg_reader *r, const char *name, bnf_image_extents *extents)
{
    if (!guarded(r, step_header))
        return jpeg_failed(r, name);
    int n = r->jpeg.num_components;
    if (n != 1 && n != 3 && n != 4)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s': a JPEG of %d components; only 1, 3 and 4 can be read", name, n);
    *extents = (bnf_image_extents){.h = r->jpeg.image_height, .w = r->jpeg.image_width, .c = n == 1 ? 1 : 3};
    return BNF_OK;
}

static bnf_status read_guarded(struct jpeg_reader *r, const char *name, bnf_image_extents *extents)
{
    BNF_TRY(read_header(r, name, extents));
    if (!r->image)
        return BNF_OK;
    BNF_TRY(bnf_image_reserve(r->image, extents->h, extents->w, extents->c, name));
    return guarded(r, step_pixels) ? BNF_OK : jpeg_failed(r, name);
}

static bnf_status read_part_guarded(struct jpeg_reader *r, const char *name, int64_t out_h, int64_t out_w)
{
    const bnf_image_box *box = r->box;
    bnf_image_extents e = {0};
    unsigned scale = 2; /* at 1/8 libjpeg would copy colours instead of interpolating them */

    BNF_TRY(read_header(r, name, &e));
    if (box->y + box->h > e.h || box->x + box->w > e.w)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' has %lld x %lld pixels: less than is stated", name, (long long)e.h,
                        (long long)e.w);
    while (scale < 8 && (box->h * scale < 8 * out_h || box->w * scale < 8 * out_w))
        scale *= 2;
    r->jpeg.scale_num = scale;
    r->jpeg.scale_denom = 8;
    if (!guarded(r, step_start_part))
        return jpeg_failed(r, name);
    BNF_TRY(bnf_image_reserve(r->image, r->rows, r->jpeg.output_width, e.c, name));
    return guarded(r, step_read_part) ? BNF_OK : jpeg_failed(r, name);
}

static void start_reader(struct jpeg_reader *r, const uint8_t *bytes, size_t size, bnf_image *image)
{
    memset(r, 0, sizeof *r);
    r->bytes = bytes;
    r->size = size;
    r->image = image;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
}

bnf_status bnf_image_read_jpeg(const uint8_t *bytes, size_t size, const char *name, bnf_image_extents *extents,
                               bnf_image *image)
{
    struct jpeg_reader r;

    start_reader(&r, bytes, size, image);
    bnf_status status = read_guarded(&r, name, extents);
    jpeg_destroy_decompress(&r.jpeg);
    return status;
}

bnf_status bnf_image_read_jpeg_part(const uint8_t *bytes, size_t size, const char *name, const bnf_image_box *box,
                                    int64_t out_h, int64_t out_w, bnf_image *image, bnf_image_part *part)
{
    struct jpeg_reader r;

    start_reader(&r, bytes, size, image);
    r.box = box;
    r.part = part;
    bnf_status status = read_part_guarded(&r, name, out_h, out_w);
    jpeg_destroy_decompress(&r.jpeg);
    return status;
}
