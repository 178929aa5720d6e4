/* What the tests of src/data share: files of every kind that the importers read, made here, pixel by pixel. */
#ifndef TESTS_DATA_SUPPORT_H
#define TESTS_DATA_SUPPORT_H

#include "unit/h5_support.h"

#include "base/fs.h"

#include <banff/data.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

/* "folder/name" in a static ring of texts: good for a few uses in one expression. */
static inline const char *in(const char *folder, const char *name)
{
    static char text[8][600];
    static int next;
    next = (next + 1) % 8;
    snprintf(text[next], sizeof text[0], "%s/%s", folder, name);
    return text[next];
}

static inline void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* The file's content; [out] size. Release with free. */
static inline unsigned char *read_back(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    unsigned char *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

/* Cuts the last `bytes` off a file. */
static inline void cut_file(const char *path, size_t bytes)
{
    size_t size;
    unsigned char *data = read_back(path, &size);
    assert_true(bytes < size);
    write_file(path, data, size - bytes);
    free(data);
}

/* A pixel that depends on everything, so that a swap of any two axes shows. */
static inline unsigned char test_pixel(int64_t sample, int64_t y, int64_t x, int64_t c)
{
    return (unsigned char)((sample * 37 + y * 11 + x * 5 + c * 71 + (sample * y + x * x) % 13) & 255);
}

static inline void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* Writes `size` bytes compressed (gz) or as they are. */
static inline void write_maybe_gz(const char *path, bool gz, const void *data, size_t size)
{
    if (!gz) {
        write_file(path, data, size);
        return;
    }
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, data, (unsigned)size), size);
    assert_int_equal(gzclose(f), Z_OK);
}

/* IDX images[n, h, w] of test_pixel(first + i, ...), and labels (first + i) % classes. */
static inline void write_idx_images(const char *path, bool gz, int64_t first, uint32_t n, uint32_t h, uint32_t w)
{
    size_t size = 16 + (size_t)n * h * w;
    unsigned char *data = malloc(size), *p = data + 16;
    assert_non_null(data);
    put32(data, 0x00000803);
    put32(data + 4, n);
    put32(data + 8, h);
    put32(data + 12, w);
    for (int64_t i = 0; i < n; i++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++)
                *p++ = test_pixel(first + i, y, x, 0);
    write_maybe_gz(path, gz, data, size);
    free(data);
}

static inline void write_idx_labels(const char *path, bool gz, int64_t first, uint32_t n, int classes)
{
    unsigned char *data = malloc(8 + n);
    assert_non_null(data);
    put32(data, 0x00000801);
    put32(data + 4, n);
    for (uint32_t i = 0; i < n; i++)
        data[8 + i] = (unsigned char)((first + i) % classes);
    write_maybe_gz(path, gz, data, 8 + n);
    free(data);
}

/* A PNG of pixels[h, w, c]. */
static inline void write_png(const char *path, int64_t h, int64_t w, int64_t c, const unsigned char *pixels)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)w,
                       .height = (png_uint_32)h,
                       .format = c == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

static inline void write_jpeg(const char *path, int64_t h, int64_t w, int64_t c, const unsigned char *pixels)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, f);
    jpeg.image_width = (JDIMENSION)w;
    jpeg.image_height = (JDIMENSION)h;
    jpeg.input_components = (int)c;
    jpeg.in_color_space = c == 1 ? JCS_GRAYSCALE : c == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (int64_t)jpeg.next_scanline * w * c);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(f);
}

static inline void write_pgm(const char *path, int64_t h, int64_t w, const unsigned char *pixels)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fprintf(f, "P5\n# made by a test\n%lld %lld\n255\n", (long long)w, (long long)h);
    assert_int_equal(fwrite(pixels, 1, (size_t)(h * w), f), h * w);
    fclose(f);
}

/* A smooth picture (JPEG keeps it well): ramps whose slopes depend on the channel. */
static inline void smooth_pixels(int64_t h, int64_t w, int64_t c, unsigned char *pixels)
{
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            for (int64_t k = 0; k < c; k++)
                *pixels++ = (unsigned char)(30 + 20 * k + 80 * y / h + (50 + 20 * k) * x / w);
}

static inline void remove_tree(const char *folder)
{
    assert_ok(bnf_fs_remove(folder));
}

#endif
