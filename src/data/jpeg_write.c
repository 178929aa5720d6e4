/* data/jpeg_write.c - grey pictures to JPEG. libjpeg ends the process on an error unless told otherwise: here its error
 * exit jumps back to the guarded step. */
#include "data/jpeg_write.h"

#include "base/mem.h"
#include "data/image.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

struct jpeg_writer {
    struct jpeg_error_mgr errors; /* first: libjpeg's pointer to it is a pointer to the writer */
    struct jpeg_compress_struct jpeg;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    const uint8_t *pixels;
    int64_t h, w;
    int quality;
    unsigned char *file; /* libjpeg's, to be released with free */
    unsigned long bytes;
};

static _Noreturn void on_error(j_common_ptr info)
{
    struct jpeg_writer *w = (struct jpeg_writer *)info->err;
    info->err->format_message(info, w->message);
    longjmp(w->jump, 1);
}

static void write_file(struct jpeg_writer *w)
{
    struct jpeg_compress_struct *jpeg = &w->jpeg;
    jpeg_create_compress(jpeg);
    jpeg_mem_dest(jpeg, &w->file, &w->bytes);
    jpeg->image_width = (JDIMENSION)w->w;
    jpeg->image_height = (JDIMENSION)w->h;
    jpeg->input_components = 1;
    jpeg->in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, w->quality, TRUE);
    jpeg->dct_method = JDCT_ISLOW;
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(w->pixels + (int64_t)jpeg->next_scanline * w->w);
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

static bool guarded(struct jpeg_writer *w)
{
    if (setjmp(w->jump))
        return false;
    write_file(w);
    return true;
}

bnf_status bnf_jpeg_encode_grey(const uint8_t *pixels, int64_t h, int64_t w, int quality, uint8_t **jpeg, size_t *bytes)
{
    struct jpeg_writer writer;
    *jpeg = NULL;
    *bytes = 0;
    if (h < 1 || w < 1 || h > BNF_IMAGE_MAX_SIDE || w > BNF_IMAGE_MAX_SIDE)
        return bnf_fail(BNF_ERR_ARG, "no JPEG of %lld x %lld pixels", (long long)h, (long long)w);
    memset(&writer, 0, sizeof writer);
    writer.pixels = pixels;
    writer.h = h;
    writer.w = w;
    writer.quality = quality;
    writer.jpeg.err = jpeg_std_error(&writer.errors);
    writer.errors.error_exit = on_error;
    bnf_status s = BNF_OK;
    if (!guarded(&writer))
        s = bnf_fail(BNF_ERR_MEMORY, "JPEG: %s", writer.message);
    if (s == BNF_OK)
        s = bnf_alloc(writer.bytes, "JPEG file", jpeg);
    if (s == BNF_OK) {
        memcpy(*jpeg, writer.file, writer.bytes);
        *bytes = writer.bytes;
    }
    jpeg_destroy_compress(&writer.jpeg);
    free(writer.file);
    return s;
}
