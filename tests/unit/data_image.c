/* Decoding and resizing of pictures, and what damaged ones do. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "data/image.h"
#include "data/resize.h"

#include <math.h>

enum { H = 19, W = 23 };

static char folder[256];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static bnf_status decode_file(const char *path, bnf_image *image)
{
    size_t size;
    unsigned char *data = read_back(path, &size);
    bnf_status status = bnf_image_decode(data, size, path, image);
    free(data);
    return status;
}

static void fill(int64_t c, unsigned char *pixels)
{
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++)
            for (int64_t k = 0; k < c; k++)
                pixels[(y * W + x) * c + k] = test_pixel(3, y, x, k);
}

static void test_png_is_exact(void **state)
{
    (void)state;
    for (int64_t c = 1; c <= 3; c += 2) {
        unsigned char pixels[H * W * 3];
        bnf_image image = {0};
        bnf_image_extents extents;
        size_t size;
        fill(c, pixels);
        write_png(in(folder, "a.png"), H, W, c, pixels);
        assert_ok(decode_file(in(folder, "a.png"), &image));
        assert_int_equal(image.h, H);
        assert_int_equal(image.w, W);
        assert_int_equal(image.c, c);
        assert_memory_equal(image.pixels, pixels, (size_t)(H * W * c));
        unsigned char *data = read_back(in(folder, "a.png"), &size);
        assert_ok(bnf_image_probe(data, size, "a.png", &extents));
        assert_true(extents.h == H && extents.w == W && extents.c == c);
        free(data);
        bnf_image_release(&image);
    }
}

/* Writes one 16-bit grey or palette or alpha PNG by libpng's own writer. */
static void write_odd_png(const char *path, int type, int depth, const unsigned char *row_bytes, int64_t stride)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, f);
    png_set_IHDR(png, info, 2, 2, depth, type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_color palette[4] = {{1, 2, 3}, {40, 50, 60}, {70, 80, 90}, {250, 251, 252}};
        png_set_PLTE(png, info, palette, 4);
    }
    png_write_info(png, info);
    for (int y = 0; y < 2; y++)
        png_write_row(png, row_bytes + y * stride);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(f);
}

static void test_png_of_other_depths(void **state)
{
    (void)state;
    bnf_image image = {0};
    const unsigned char deep[8] = {0, 0, 255, 255, 128, 128, 1, 1};
    const unsigned char indices[4] = {0, 1, 2, 3};
    const unsigned char alpha[16] = {9, 8, 7, 0, 19, 18, 17, 255, 29, 28, 27, 3, 39, 38, 37, 200};

    write_odd_png(in(folder, "deep.png"), PNG_COLOR_TYPE_GRAY, 16, deep, 4);
    assert_ok(decode_file(in(folder, "deep.png"), &image));
    assert_int_equal(image.c, 1);
    assert_memory_equal(image.pixels, ((unsigned char[]){0, 255, 128, 1}), 4);

    write_odd_png(in(folder, "palette.png"), PNG_COLOR_TYPE_PALETTE, 8, indices, 2);
    assert_ok(decode_file(in(folder, "palette.png"), &image));
    assert_int_equal(image.c, 3);
    assert_memory_equal(image.pixels, ((unsigned char[]){1, 2, 3, 40, 50, 60, 70, 80, 90, 250, 251, 252}), 12);

    write_odd_png(in(folder, "alpha.png"), PNG_COLOR_TYPE_RGB_ALPHA, 8, alpha, 8);
    assert_ok(decode_file(in(folder, "alpha.png"), &image));
    assert_int_equal(image.c, 3);
    assert_memory_equal(image.pixels, ((unsigned char[]){9, 8, 7, 19, 18, 17, 29, 28, 27, 39, 38, 37}), 12);
    bnf_image_release(&image);
}

static void test_jpeg_is_close(void **state)
{
    (void)state;
    for (int64_t c = 1; c <= 3; c += 2) {
        unsigned char pixels[H * W * 3];
        bnf_image image = {0};
        smooth_pixels(H, W, c, pixels);
        write_jpeg(in(folder, "a.jpg"), H, W, c, pixels);
        assert_ok(decode_file(in(folder, "a.jpg"), &image));
        assert_true(image.h == H && image.w == W && image.c == c);
        for (int64_t i = 0; i < H * W * c; i++)
            assert_true(abs(image.pixels[i] - pixels[i]) <= 8);
        bnf_image_release(&image);
    }
}

/* Four inks; libjpeg writes its Adobe marker, so the inks are stored inverted: 255 is no ink. */
static void test_cmyk_jpeg_becomes_rgb(void **state)
{
    (void)state;
    unsigned char pixels[16 * 16 * 4];
    bnf_image image = {0};
    for (int i = 0; i < 16 * 16; i++)
        memcpy(pixels + 4 * i, ((unsigned char[]){200, 100, 50, 255}), 4);
    write_jpeg(in(folder, "inks.jpg"), 16, 16, 4, pixels);
    assert_ok(decode_file(in(folder, "inks.jpg"), &image));
    assert_int_equal(image.c, 3);
    assert_true(abs(image.pixels[0] - 200) <= 3 && abs(image.pixels[1] - 100) <= 3 && abs(image.pixels[2] - 50) <= 3);
    bnf_image_release(&image);
}

static void test_pnm_in_all_forms(void **state)
{
    (void)state;
    bnf_image image = {0};
    const char text[] = "P3 # colour\n2 1 #width, height\n100\n0 50 100  100 0 25\n";
    const char grey[] = "P2\n3 1\n3\n0 1 3\n";
    const unsigned char deep[] = "P5\n2 1\n65535\n\x80\x00\xff\xff";
    const unsigned char colour[] = "P6 1 2 255\n\x01\x02\x03\x04\x05\x06";

    assert_ok(bnf_image_decode((const uint8_t *)text, sizeof text - 1, "text", &image));
    assert_true(image.h == 1 && image.w == 2 && image.c == 3);
    assert_memory_equal(image.pixels, ((unsigned char[]){0, 128, 255, 255, 0, 64}), 6);
    assert_ok(bnf_image_decode((const uint8_t *)grey, sizeof grey - 1, "grey", &image));
    assert_memory_equal(image.pixels, ((unsigned char[]){0, 85, 255}), 3);
    assert_ok(bnf_image_decode(deep, sizeof deep - 1, "deep", &image));
    assert_memory_equal(image.pixels, ((unsigned char[]){128, 255}), 2);
    assert_ok(bnf_image_decode(colour, sizeof colour - 1, "colour", &image));
    assert_true(image.h == 2 && image.w == 1 && image.c == 3);
    assert_memory_equal(image.pixels, ((unsigned char[]){1, 2, 3, 4, 5, 6}), 6);
    bnf_image_release(&image);
}

/* No prefix of a picture may pass for a picture. */
static void test_truncation_is_an_error_at_every_byte(void **state)
{
    (void)state;
    static const char *const names[] = {"t.png", "t.jpg", "t.pgm"};
    unsigned char pixels[H * W];

    smooth_pixels(H, W, 1, pixels);
    write_png(in(folder, names[0]), H, W, 1, pixels);
    write_jpeg(in(folder, names[1]), H, W, 1, pixels);
    write_pgm(in(folder, names[2]), H, W, pixels);
    for (int k = 0; k < 3; k++) {
        size_t size;
        unsigned char *data = read_back(in(folder, names[k]), &size);
        bnf_image image = {0};
        assert_ok(bnf_image_decode(data, size, names[k], &image));
        for (size_t cut = 0; cut < size; cut++) {
            unsigned char *part = malloc(cut + 1); /* its own block, so that a sanitizer sees reads beyond */
            memcpy(part, data, cut);
            assert_fails(bnf_image_decode(part, cut, names[k], &image), BNF_ERR_FORMAT, names[k]);
            free(part);
        }
        bnf_image_release(&image);
        free(data);
    }
}

/* Any byte may be wrong: an error or a picture, never a crash, and PNG's checksums find every one that matters. */
static void test_damage_never_crashes(void **state)
{
    (void)state;
    static const char *const names[] = {"d.png", "d.jpg"};
    unsigned char pixels[H * W * 3];

    smooth_pixels(H, W, 3, pixels);
    write_png(in(folder, names[0]), H, W, 3, pixels);
    write_jpeg(in(folder, names[1]), H, W, 3, pixels);
    for (int k = 0; k < 2; k++) {
        size_t size;
        int refused = 0;
        unsigned char *data = read_back(in(folder, names[k]), &size);
        bnf_image image = {0};
        for (size_t i = 0; i < size; i++) {
            unsigned char kept = data[i];
            data[i] ^= 0x55;
            bnf_error_clear();
            bnf_status status = bnf_image_decode(data, size, names[k], &image);
            if (status != BNF_OK) {
                refused++;
                assert_non_null(strstr(bnf_error_message(), names[k]));
            } else if (k == 0) {
                assert_memory_equal(image.pixels, pixels, sizeof pixels);
            }
            data[i] = kept;
        }
        assert_true(refused > 100);
        bnf_image_release(&image);
        free(data);
    }
}

static void test_what_is_no_picture(void **state)
{
    (void)state;
    bnf_image image = {0};
    assert_fails(bnf_image_decode((const uint8_t *)"hello", 5, "x.png", &image), BNF_ERR_FORMAT, "x.png");
    assert_fails(bnf_image_decode((const uint8_t *)"", 0, "x.png", &image), BNF_ERR_FORMAT, "empty");
    assert_fails(bnf_image_decode((const uint8_t *)"P5 99999 2 255\n", 15, "x.pgm", &image), BNF_ERR_FORMAT, "width");
    assert_fails(bnf_image_decode((const uint8_t *)"P5 60000 60000 255\n", 19, "x.pgm", &image), BNF_ERR_FORMAT,
                 "x.pgm");
    assert_true(bnf_image_has_known_suffix("a.b.JPEG"));
    assert_false(bnf_image_has_known_suffix("jpg"));
    assert_false(bnf_image_has_known_suffix(".png"));
    assert_false(bnf_image_has_known_suffix("a.gif"));
}

static void test_channels(void **state)
{
    (void)state;
    bnf_image image = {0};
    const unsigned char colour[] = "P6 2 1 255\n\xff\x00\x00\x0a\x14\x1e";

    assert_ok(bnf_image_decode(colour, sizeof colour - 1, "c", &image));
    assert_ok(bnf_image_set_channels(&image, 1));
    assert_int_equal(image.c, 1);
    assert_int_equal(image.pixels[0], 76); /* 0.299 * 255 = 76.2 */
    assert_int_equal(image.pixels[1], 18); /* 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15 */
    assert_ok(bnf_image_set_channels(&image, 3));
    assert_memory_equal(image.pixels, ((unsigned char[]){76, 76, 76, 18, 18, 18}), 6);
    bnf_image_release(&image);
}

/* ---- Resizing ---- */

/* The triangle filter by its definition, in double, over the whole picture; one channel. */
static double filtered(const unsigned char *src, int64_t h, int64_t w, int64_t out_h, int64_t out_w, int64_t i,
                       int64_t j)
{
    double sy = (double)h / (double)out_h, sx = (double)w / (double)out_w;
    double wy = sy > 1 ? sy : 1, wx = sx > 1 ? sx : 1, sum = 0, total = 0;
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            double a = 1 - fabs((double)y + 0.5 - ((double)i + 0.5) * sy) / wy;
            double b = 1 - fabs((double)x + 0.5 - ((double)j + 0.5) * sx) / wx;
            double weight = (a > 0 ? a : 0) * (b > 0 ? b : 0);
            sum += weight * src[y * w + x];
            total += weight;
        }
    return sum / total;
}

static void test_stretch_follows_the_definition(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{7, 5}, {19, 8}, {40, 23}, {38, 46}, {1, 1}, {3, 60}, {19, 22}};
    unsigned char pixels[H * W], out[60 * 60];
    bnf_resizer resizer = {0};
    bnf_image image = {.h = H, .w = W, .c = 1, .pixels = pixels};

    fill(1, pixels);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        int64_t h = sizes[k][0], w = sizes[k][1];
        assert_ok(bnf_image_resize(&resizer, &image, BNF_RESIZE_STRETCH, h, w, out));
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++)
                assert_true(fabs(out[i * w + j] - filtered(pixels, H, W, h, w, i, j)) < 0.6);
    }
    bnf_resizer_release(&resizer);
}

static void test_constant_stays_constant(void **state)
{
    (void)state;
    unsigned char pixels[H * W * 3], out[50 * 50 * 3];
    bnf_resizer resizer = {0};
    bnf_image image = {.h = H, .w = W, .c = 3, .pixels = pixels};

    for (int v = 0; v < 256; v += 51) {
        memset(pixels, v, sizeof pixels);
        for (int64_t side = 1; side <= 50; side += 7)
            for (int mode = 0; mode < BNF_RESIZE_MODE_COUNT; mode++) {
                assert_ok(bnf_image_resize(&resizer, &image, (bnf_resize_mode)mode, side, side, out));
                for (int64_t i = 0; i < side * side * 3; i++)
                    assert_int_equal(out[i], v);
            }
    }
    bnf_resizer_release(&resizer);
}

/* A white square in the middle of a wide black picture: the crop takes the middle, the stretch keeps the sides. */
static void test_crop_takes_the_middle(void **state)
{
    (void)state;
    unsigned char pixels[10 * 30], out[10 * 10];
    bnf_resizer resizer = {0};
    bnf_image image = {.h = 10, .w = 30, .c = 1, .pixels = pixels};

    for (int64_t i = 0; i < 300; i++)
        pixels[i] = i % 30 >= 10 && i % 30 < 20 ? 255 : 0;
    assert_ok(bnf_image_resize(&resizer, &image, BNF_RESIZE_CROP, 10, 10, out));
    for (int i = 0; i < 100; i++)
        assert_int_equal(out[i], 255);
    assert_ok(bnf_image_resize(&resizer, &image, BNF_RESIZE_STRETCH, 10, 10, out));
    assert_int_equal(out[0], 0);
    assert_int_equal(out[5], 255);
    assert_int_equal(out[9], 0);
    bnf_resizer_release(&resizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_is_exact),
        cmocka_unit_test(test_png_of_other_depths),
        cmocka_unit_test(test_jpeg_is_close),
        cmocka_unit_test(test_cmyk_jpeg_becomes_rgb),
        cmocka_unit_test(test_pnm_in_all_forms),
        cmocka_unit_test(test_truncation_is_an_error_at_every_byte),
        cmocka_unit_test(test_damage_never_crashes),
        cmocka_unit_test(test_what_is_no_picture),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_stretch_follows_the_definition),
        cmocka_unit_test(test_constant_stays_constant),
        cmocka_unit_test(test_crop_takes_the_middle),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
