/* Parts of pictures: what is drawn, what is decoded of a JPEG, how it is scaled; threads that share work. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "data/image.h"
#include "data/resize.h"
#include "data/team.h"
#include "data/transform.h"

#include <math.h>

/* ---- Draws ---- */

static const bnf_augment usual = {.resized_crop = true, .crop_scale = {0.08, 1}, .crop_ratio = {0.75, 4.0 / 3}};

static void assert_inside(bnf_image_box b, int64_t h, int64_t w)
{
    assert_true(b.h >= 1 && b.w >= 1 && b.y >= 0 && b.x >= 0 && b.y + b.h <= h && b.x + b.w <= w);
}

/* In a large picture hardly any draw is refused: area, ratio and place are as uniform as 4000 draws can show. */
static void test_draws_are_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 4000, BINS = 8, SIDE = 10000 };
    const bnf_augment small = {.resized_crop = true, .crop_scale = {0.1, 0.3}, .crop_ratio = {0.75, 4.0 / 3}};
    int bins[4][BINS] = {{0}};

    for (int64_t i = 0; i < DRAWS; i++) {
        bnf_image_box b = bnf_augment_crop(&small, 7, 3, i, SIDE, SIDE);
        assert_inside(b, SIDE, SIDE);
        double u[4] = {((double)(b.h * b.w) / ((double)SIDE * SIDE) - 0.1) / 0.2,
                       (log((double)b.w / (double)b.h) / log(4.0 / 3) + 1) / 2, (double)b.y / (SIDE - b.h + 1.0),
                       (double)b.x / (SIDE - b.w + 1.0)};
        for (int k = 0; k < 4; k++) {
            int bin = (int)(u[k] * BINS);
            bins[k][bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin]++; /* rounding to pixels may step over an end */
        }
    }
    for (int k = 0; k < 4; k++) { /* chi square with 7 degrees of freedom: 24.3 is exceeded once in a thousand */
        double chi = 0, mean = (double)DRAWS / BINS;
        for (int b = 0; b < BINS; b++)
            chi += (bins[k][b] - mean) * (bins[k][b] - mean) / mean;
        assert_true(chi < 24.3);
    }
}

static void test_draws_are_functions(void **state)
{
    (void)state;
    int differ[3] = {0};
    for (int64_t i = 0; i < 50; i++) {
        bnf_image_box a = bnf_augment_crop(&usual, 7, 3, i, 375, 500), b = bnf_augment_crop(&usual, 7, 3, i, 375, 500);
        assert_memory_equal(&a, &b, sizeof a);
        bnf_image_box others[3] = {bnf_augment_crop(&usual, 8, 3, i, 375, 500),
                                   bnf_augment_crop(&usual, 7, 4, i, 375, 500),
                                   bnf_augment_crop(&usual, 7, 3, i + 50, 375, 500)};
        for (int k = 0; k < 3; k++)
            differ[k] += memcmp(&a, &others[k], sizeof a) != 0;
    }
    assert_true(differ[0] > 45 && differ[1] > 45 && differ[2] > 45);
}

/* Where nothing fits: the centred part of the nearest ratio. */
static void test_draws_that_do_not_fit(void **state)
{
    (void)state;
    const bnf_augment whole = {.resized_crop = true, .crop_scale = {1, 1}, .crop_ratio = {0.75, 4.0 / 3}};
    bnf_image_box wide = bnf_augment_crop(&whole, 1, 0, 0, 30, 400), high = bnf_augment_crop(&whole, 1, 0, 0, 400, 30);
    assert_true(wide.h == 30 && wide.w == 40 && wide.x == 180 && wide.y == 0);
    assert_true(high.w == 30 && high.h == 40 && high.y == 180 && high.x == 0);
    assert_inside(bnf_augment_crop(&usual, 1, 0, 0, 1, 1), 1, 1);
    for (int64_t i = 0; i < 200; i++)
        assert_inside(bnf_augment_crop(&usual, 1, 0, i, 3, 7), 3, 7);
}

/* ---- Decoding a part ---- */

struct form {
    const char *name;
    int components, h_factor, v_factor; /* of the colours */
    bool progressive;
};

/* Encodes pixels[h, w, components]. [out] bytes by malloc. */
static unsigned long encode(const struct form *f, int64_t h, int64_t w, const unsigned char *pixels,
                            unsigned char **bytes)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned long size = 0;

    *bytes = NULL;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, bytes, &size);
    jpeg.image_width = (JDIMENSION)w;
    jpeg.image_height = (JDIMENSION)h;
    jpeg.input_components = f->components;
    jpeg.in_color_space = f->components == 1 ? JCS_GRAYSCALE : f->components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 85, TRUE);
    jpeg.comp_info[0].h_samp_factor = f->h_factor;
    jpeg.comp_info[0].v_samp_factor = f->v_factor;
    if (f->progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (int64_t)jpeg.next_scanline * w * f->components);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return size;
}

static const struct form forms[] = {
    {"4:4:4", 3, 1, 1, false},
    {"4:2:0", 3, 2, 2, false},
    {"4:2:2", 3, 2, 1, false},
    {"4:4:0", 3, 1, 2, false},
    {"4:2:0 progressive", 3, 2, 2, true},
    {"grey", 1, 1, 1, false},
    {"CMYK", 4, 1, 1, false},
};
enum { FORMS = sizeof forms / sizeof forms[0] };

static unsigned char noise_pixel(int64_t i)
{
    uint32_t v = (uint32_t)i * 2654435761u;
    return (unsigned char)(v >> 24);
}

/* Without scaling a part has the pixels of the whole picture, bit for bit, wherever it lies. */
static void test_part_is_a_crop(void **state)
{
    (void)state;
    enum { H = 150, W = 170 };
    static unsigned char pixels[H * W * 4];
    static const bnf_image_box boxes[] = {{0, 0, H, W},     {0, 0, 20, 30},       {130, 140, 20, 30}, {40, 50, 60, 70},
                                          {17, 33, 64, 64}, {1, 1, H - 2, W - 2}, {64, 64, 16, 16},   {99, 3, 1, 1},
                                          {16, 48, 31, 47}, {33, 15, 100, 2}};
    for (int64_t i = 0; i < (int64_t)sizeof pixels; i++)
        pixels[i] = noise_pixel(i);
    for (int f = 0; f < FORMS; f++) {
        unsigned char *bytes, got[H * W * 3];
        unsigned long size = encode(&forms[f], H, W, pixels, &bytes);
        bnf_image whole = {0}, part = {0};
        bnf_resizer resizer = {0};
        assert_ok(bnf_image_decode(bytes, size, forms[f].name, &whole));
        for (size_t k = 0; k < sizeof boxes / sizeof boxes[0]; k++) {
            bnf_image_box b = boxes[k];
            bnf_image_part p;
            assert_ok(bnf_image_decode_part(bytes, size, forms[f].name, &b, b.h, b.w, &part, &p));
            assert_ok(bnf_image_resize_part(&resizer, &part, &p, b.h, b.w, got));
            for (int64_t y = 0; y < b.h; y++)
                if (memcmp(got + y * b.w * whole.c, whole.pixels + ((b.y + y) * W + b.x) * whole.c,
                           (size_t)(b.w * whole.c)) != 0)
                    fail_msg("%s: box %zu differs in row %lld", forms[f].name, k, (long long)y);
        }
        bnf_image_release(&whole);
        bnf_image_release(&part);
        bnf_resizer_release(&resizer);
        free(bytes);
    }
}

/* Scaling while decoding leaves out high frequencies in place of averaging them: of a picture without many of them the
 * two ways give nearly the same. Inside, up to 3 levels: rounding to 8 bits twice (2) and one filter after another,
 * which together are a little wider (1). At the border, where the box cuts through scaled pixels and the filter sees
 * other neighbours, up to 8; less than one on average. */
static void test_scaled_decoding(void **state)
{
    (void)state;
    enum { H = 333, W = 413 };
    static unsigned char pixels[H * W * 3];
    static const int64_t sides[] = {40, 70, 100, 140};
    const bnf_image_box b = {21, 38, 280, 301};

    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                pixels[(y * W + x) * 3 + c] =
                    (unsigned char)lrint(128 + 90 * sin((double)y / (25 + c)) * cos((double)x / (31 - 2 * c)));
    for (int f = 0; f < 3; f++) {
        unsigned char *bytes, got[140 * 140 * 3], want[140 * 140 * 3];
        unsigned long size = encode(&forms[f], H, W, pixels, &bytes);
        bnf_image whole = {0}, part = {0};
        bnf_resizer resizer = {0};
        assert_ok(bnf_image_decode(bytes, size, "whole", &whole));
        for (int k = 0; k < 4; k++) {
            int64_t side = sides[k], inside = 0, border = 0, total = 0, n = side * side * 3;
            bnf_image_part p, full = {(double)b.y, (double)b.x, (double)b.h, (double)b.w};
            assert_ok(bnf_image_decode_part(bytes, size, "part", &b, side, side, &part, &p));
            assert_true(p.h >= (double)side && p.w >= (double)side);
            assert_true(p.h < 2.0 * (double)side || p.w < 2.0 * (double)side); /* no larger than need be */
            assert_ok(bnf_image_resize_part(&resizer, &part, &p, side, side, got));
            assert_ok(bnf_image_resize_part(&resizer, &whole, &full, side, side, want));
            for (int64_t i = 0; i < n; i++) {
                int64_t d = labs((long)got[i] - want[i]), y = i / 3 / side, x = i / 3 % side;
                bool inner = y > 0 && x > 0 && y < side - 1 && x < side - 1;
                int64_t *most = inner ? &inside : &border;
                *most = d > *most ? d : *most;
                total += d;
            }
            if (inside > 3 || border > 8 || total > n)
                fail_msg("%s to %d: differs by up to %d inside, %d at the border, %.2f on average", forms[f].name,
                         (int)side, (int)inside, (int)border, (double)total / (double)n);
        }
        bnf_image_release(&whole);
        bnf_image_release(&part);
        bnf_resizer_release(&resizer);
        free(bytes);
    }
}

static void test_part_errors(void **state)
{
    (void)state;
    enum { H = 64, W = 80 };
    static unsigned char pixels[H * W * 3];
    unsigned char *bytes;
    bnf_image part = {0};
    bnf_image_part p;

    for (int64_t i = 0; i < (int64_t)sizeof pixels; i++)
        pixels[i] = noise_pixel(i);
    unsigned long size = encode(&forms[1], H, W, pixels, &bytes);
    const bnf_image_box whole = {0, 0, H, W}, outside = {0, 0, H + 1, W};
    assert_fails(bnf_image_decode_part(bytes, size, "name", &outside, 8, 8, &part, &p), BNF_ERR_FORMAT, "'name'");
    for (unsigned long cut = 0; cut < size - 2; cut += 97)
        assert_fails(bnf_image_decode_part(bytes, cut, "name", &whole, 8, 8, &part, &p), BNF_ERR_FORMAT, "'name'");
    bnf_image_release(&part);
    free(bytes);
}

/* ---- Threads ---- */

static bnf_status item(void *self, int worker, int64_t i)
{
    int *done = self;
    (void)worker;
    done[i]++;
    return i == 41 || i == 57 ? bnf_fail(BNF_ERR_FORMAT, "item %d", (int)i) : BNF_OK;
}

static void test_team(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        bnf_team *team;
        assert_ok(bnf_team_create(threads, &team));
        for (int round = 0; round < 50; round++) {
            int done[100] = {0};
            assert_ok(bnf_team_run(team, item, done, 41));
            for (int i = 0; i < 100; i++)
                assert_int_equal(done[i], i < 41);
            assert_fails(bnf_team_run(team, item, done, 100), BNF_ERR_FORMAT, "item 41");
            assert_ok(bnf_team_run(team, item, done, 0));
        }
        bnf_team_destroy(team);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_are_uniform),
        cmocka_unit_test(test_draws_are_functions),
        cmocka_unit_test(test_draws_that_do_not_fit),
        cmocka_unit_test(test_part_is_a_crop),
        cmocka_unit_test(test_scaled_decoding),
        cmocka_unit_test(test_part_errors),
        cmocka_unit_test(test_team),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
