/* PNG, base64 and colour scales. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "report/colormap.h"
#include "report/image.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

static void check_png(int64_t height, int64_t width, int channels)
{
    const size_t count = (size_t)(height * width * channels);
    uint8_t *pixels = NULL, *again = NULL, *png = NULL;
    size_t bytes = 0;
    assert_int_equal(bnf_alloc(count, "pixels", &pixels), BNF_OK);
    assert_int_equal(bnf_alloc(count, "pixels", &again), BNF_OK);
    for (size_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)(i * i * 31 + i / 7);
    assert_int_equal(bnf_png_encode(pixels, height, width, channels, &png, &bytes), BNF_OK);
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    assert_true(png_image_begin_read_from_memory(&image, png, bytes));
    assert_int_equal(image.width, width);
    assert_int_equal(image.height, height);
    assert_int_equal((image.format & PNG_FORMAT_FLAG_COLOR) != 0, channels == 3);
    image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    assert_true(png_image_finish_read(&image, NULL, again, 0, NULL));
    assert_memory_equal(pixels, again, count);
    bnf_free(pixels);
    bnf_free(again);
    bnf_free(png);
}

static void test_png(void **unused)
{
    (void)unused;
    check_png(28, 28, 1);
    check_png(32, 17, 3);
    check_png(1, 1, 1);
    check_png(1, 300, 3);
    uint8_t pixel[4] = {0}, *png = NULL;
    size_t bytes = 0;
    assert_int_equal(bnf_png_encode(pixel, 1, 1, 4, &png, &bytes), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "4 channels"));
    bnf_error_clear();
    assert_int_equal(bnf_png_encode(pixel, 0, 1, 1, &png, &bytes), BNF_ERR_ARG);
    bnf_error_clear();
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

/* The vectors of RFC 4648, section 10. */
static void test_base64(void **unused)
{
    (void)unused;
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (int i = 0; i < 7; i++) {
        char text[16] = {0};
        const size_t n = strlen(plain[i]);
        assert_int_equal(bnf_base64_length(n), strlen(coded[i]));
        bnf_base64_encode((const uint8_t *)plain[i], n, text);
        assert_string_equal(text, coded[i]);
    }
    const uint8_t high[3] = {0xFF, 0xEF, 0xBE};
    char text[5] = {0};
    bnf_base64_encode(high, 3, text);
    assert_string_equal(text, "/+++");
}

/* Rec. 709 luma is enough to order colours by lightness. */
static double lightness(const uint8_t *rgb)
{
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
}

static void test_scales(void **unused)
{
    (void)unused;
    uint8_t rgb[3], before[3];
    bnf_colormap_color(BNF_COLORMAP_MAGNITUDE, 0.0, before);
    assert_true(lightness(before) < 20.0);
    for (int i = 1; i <= 100; i++) {
        bnf_colormap_color(BNF_COLORMAP_MAGNITUDE, i / 100.0, rgb);
        assert_true(lightness(rgb) >= lightness(before));
        memcpy(before, rgb, 3);
    }
    assert_true(lightness(before) > 220.0);
    bnf_colormap_color(BNF_COLORMAP_SIGNED, 0.0, rgb);
    assert_true(lightness(rgb) > 235.0);
    bnf_colormap_color(BNF_COLORMAP_SIGNED, 0.7, rgb);
    assert_true(rgb[0] > rgb[2] + 60); /* positive is red */
    bnf_colormap_color(BNF_COLORMAP_SIGNED, -0.7, rgb);
    assert_true(rgb[2] > rgb[0] + 60); /* negative is blue */
    bnf_colormap_color(BNF_COLORMAP_SIGNED, -9.0, rgb);
    bnf_colormap_color(BNF_COLORMAP_SIGNED, -1.0, before);
    assert_memory_equal(rgb, before, 3);
    bnf_colormap_color(BNF_COLORMAP_MAGNITUDE, NAN, rgb);
    assert_true(rgb[0] == 128 && rgb[1] == 128 && rgb[2] == 128);
}

static void test_maps(void **unused)
{
    (void)unused;
    float x[101];
    double limit = 0.0;
    for (int i = 0; i < 101; i++)
        x[i] = (float)(i % 2 ? -i : i);
    x[100] = 1e6f; /* one pixel that must not set the scale */
    assert_int_equal(bnf_colormap_limit(x, 101, 0.99, &limit), BNF_OK);
    assert_true(limit == 99.0);
    assert_int_equal(bnf_colormap_limit(x, 101, 1.0, &limit), BNF_OK);
    assert_true(limit == 1e6);
    x[3] = NAN;
    assert_int_equal(bnf_colormap_limit(x + 3, 1, 1.0, &limit), BNF_OK);
    assert_true(limit == 1.0);
    uint8_t rgb[6], want[3];
    const float two[2] = {-0.5f, 0.25f};
    bnf_colormap_apply(BNF_COLORMAP_MAGNITUDE, two, 2, 0.5, rgb);
    bnf_colormap_color(BNF_COLORMAP_MAGNITUDE, 1.0, want);
    assert_memory_equal(rgb, want, 3);
    bnf_colormap_apply(BNF_COLORMAP_SIGNED, two, 2, 0.5, rgb);
    bnf_colormap_color(BNF_COLORMAP_SIGNED, 0.5, want);
    assert_memory_equal(rgb + 3, want, 3);

    const float pixels[6] = {1.0f, -3.0f, 2.0f, 0.0f, -0.5f, 0.25f};
    float magnitude[2];
    bnf_colormap_channel_max(pixels, 1, 2, 3, magnitude);
    assert_true(magnitude[0] == 3.0f && magnitude[1] == 0.5f);
    const float values[5] = {-1.0f, 0.0f, 0.5f, 2.0f, NAN};
    uint8_t gray[5];
    bnf_colormap_gray(values, 5, 0.0, 1.0, gray);
    assert_true(gray[0] == 0 && gray[1] == 0 && gray[2] == 128 && gray[3] == 255 && gray[4] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
