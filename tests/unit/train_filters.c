/* Entropy and variance of filters whose answers are known, and what a checkpoint's table and picture are made of. */
#include "unit/ckpt_support.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/philox.h"
#include "report/colormap.h"
#include "train/filters.h"

#include <math.h>
#include <png.h>

enum { POSITIONS = 9 };

static double entropy_of(int64_t n, int64_t positions, const float *w)
{
    double entropy;
    assert_ok(bnf_filters_entropy(n, positions, w, &entropy));
    return entropy;
}

static void assert_near(double have, double expected, double tolerance)
{
    if (!(fabs(have - expected) <= tolerance))
        fail_msg("%.12g, expected %.12g", have, expected);
}

/* Nine kernels with a one at nine places: centred, eight equal singular values and a zero. */
static void entropy_known(void **state)
{
    (void)state;
    float one_hot[81] = {0}, same[90], line[90], two[36] = {0};
    for (int i = 0; i < 9; i++)
        one_hot[10 * i] = 1;
    assert_near(entropy_of(9, 9, one_hot), log10(8), 1e-12);
    for (int i = 0; i < 90; i++) {
        same[i] = 0.1f * (float)(i % 9) + 0.3f;
        line[i] = (float)(i / 9) * (0.1f + (float)(i % 9));
    }
    assert_near(entropy_of(10, 9, same), 0, 0);
    assert_near(entropy_of(10, 9, line), 0, 1e-5);
    two[0] = 3; /* squares 9 + 9 and 1 + 1: p = 0.9 and 0.1 */
    two[9] = -3;
    two[18 + 4] = 1;
    two[27 + 4] = -1;
    assert_near(entropy_of(4, 9, two), -0.9 * log10(0.9) - 0.1 * log10(0.1), 1e-12);
    for (int i = 0; i < 36; i++)
        two[i] *= 1e-12f;
    assert_near(entropy_of(4, 9, two), -0.9 * log10(0.9) - 0.1 * log10(0.1), 1e-6);
    two[3] = NAN;
    double entropy;
    assert_fails(bnf_filters_entropy(4, 9, two, &entropy), BNF_ERR_NUMERIC, "");
    assert_fails(bnf_filters_entropy(0, 200 * 200, two, &entropy), BNF_ERR_UNSUPPORTED, "40000 positions");
}

static float *random_kernels(int64_t n)
{
    float *w;
    assert_ok(bnf_alloc((size_t)(n * POSITIONS) * sizeof *w, "kernels", &w));
    bnf_philox_key key = bnf_philox_key_make(4, BNF_STREAM_TEST);
    for (int64_t i = 0; i < n * POSITIONS; i++)
        w[i] = 2 * bnf_philox_unit_f32(bnf_philox(key, bnf_philox_counter(0, (uint64_t)i, 0)).v[0]) - 1;
    return w;
}

static void entropy_random(void **state)
{
    (void)state;
    const int64_t n = 128 * 128;
    float *w = random_kernels(n);
    assert_near(bnf_filters_random_entropy(48), 0.886240, 5e-7);
    assert_near(bnf_filters_random_entropy(256), 0.943307, 5e-7);
    assert_near(bnf_filters_random_entropy(4096), 0.951066, 5e-7);
    double entropy = entropy_of(n, POSITIONS, w);
    assert_true(entropy < log10(9) && entropy / bnf_filters_random_entropy(n) >= 1);
    bnf_free(w);
}

static void variance_known(void **state)
{
    (void)state;
    const int64_t n = 128 * 128;
    float *w = random_kernels(n), middle[90] = {0};
    double map[POSITIONS], sum = 0;
    bnf_filters_variance(n, POSITIONS, w, map);
    for (int k = 0; k < POSITIONS; k++) {
        assert_near(map[k], 1, 0.05);
        sum += map[k];
    }
    assert_near(sum, 9, 0.01);
    bnf_free(w);
    for (int i = 0; i < 10; i++) /* elements' variance 1 / 9, that of the centre 1 */
        middle[9 * i + 4] = i % 2 ? 1 : -1;
    bnf_filters_variance(10, POSITIONS, middle, map);
    for (int k = 0; k < POSITIONS; k++)
        assert_near(map[k], k == 4 ? 9 : 0, 1e-12);
    for (int i = 0; i < 90; i++)
        middle[i] = 2;
    bnf_filters_variance(10, POSITIONS, middle, map);
    for (int k = 0; k < POSITIONS; k++)
        assert_near(map[k], 0, 0);
}

/* Three layers with spatial filters, and much that is none. */
static void checkpoint_and_picture(void **state)
{
    (void)state;
    float kernels[90] = {0}, wide[2 * 15] = {0}, other[90] = {0};
    for (int i = 0; i < 10; i++)
        kernels[9 * i + 4] = i % 2 ? 1 : -1;
    wide[0] = 1;
    bnf_ckpt_writer *writer;
    assert_ok(bnf_ckpt_writer_open(folder, 7, &writer));
    const struct {
        const char *name;
        int64_t dim[4];
        const float *w;
    } arrays[] = {{"params/b.weight", {5, 2, 3, 3}, kernels},
                  {"params/a.weight", {2, 1, 3, 5}, wide},
                  {"params/c.shortcut", {9, 10, 1, 1}, other},
                  {"params/d.weight", {2, 1, 3, 3}, kernels},
                  {"owner/b.weight/momentum", {5, 2, 3, 3}, other}};
    for (int i = 0; i < 5; i++)
        assert_ok(bnf_ckpt_writer_add(writer, arrays[i].name, BNF_F32, 4, arrays[i].dim, arrays[i].w));
    assert_ok(bnf_ckpt_writer_commit(writer));
    bnf_filters f;
    assert_ok(bnf_filters_read(ckpt_path(7), &f));
    assert_int_equal(f.count, 3);
    assert_string_equal(f.layer[0].name, "a.weight");
    assert_true(isnan(f.layer[0].relative) && f.layer[0].height == 3 && f.layer[0].width == 5);
    assert_string_equal(f.layer[1].name, "b.weight");
    assert_near(f.layer[1].entropy, 0, 1e-12);
    assert_true(f.layer[1].relative == 0);
    assert_true(isnan(f.layer[2].relative)); /* two kernels have no entropy that random ones could exceed */
    assert_near(f.layer[1].map[4], 9, 1e-12);
    assert_near(f.layer[0].map[0], 0.5 * 15 / (1 - 1.0 / 30), 1e-12); /* one of 30 elements is 1 */
    assert_true(f.most == f.layer[1].map[4]);
    char path[300];
    snprintf(path, sizeof path, "%s/maps.png", folder);
    assert_ok(bnf_filters_draw(&f, path));
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    assert_true(image.width == 3 * (5 * 12 + 12) + 12 && image.height == 5 * 12 + 2 * 12);
    image.format = PNG_FORMAT_RGB;
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image)), expected[3];
    assert_non_null(pixels);
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    bnf_colormap_color(BNF_COLORMAP_MAGNITUDE, 9 / f.most, expected);
    assert_memory_equal(pixels + 3 * ((12 + 18) * image.width + 12 + 72 + 18), expected, 3); /* b's centre */
    bnf_colormap_color(BNF_COLORMAP_MAGNITUDE, 0, expected);
    assert_memory_equal(pixels + 3 * (12 * image.width + 12 + 72), expected, 3); /* its corner */
    assert_memory_equal(pixels, ((uint8_t[]){255, 255, 255}), 3);
    free(pixels);
    bnf_filters_release(&f);
}

static void nothing_to_see(void **state)
{
    (void)state;
    const float bias[3] = {1, 2, 3};
    bnf_ckpt_writer *writer;
    bnf_filters f;
    assert_ok(bnf_ckpt_writer_open(folder, 1, &writer));
    assert_ok(bnf_ckpt_writer_add(writer, "params/head.bias", BNF_F32, 1, (int64_t[]){3}, bias));
    assert_ok(bnf_ckpt_writer_commit(writer));
    assert_fails(bnf_filters_read(ckpt_path(1), &f), BNF_ERR_FORMAT, "no convolution");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entropy_known),
        cmocka_unit_test(entropy_random),
        cmocka_unit_test(variance_known),
        cmocka_unit_test_setup_teardown(checkpoint_and_picture, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(nothing_to_see, make_ckpt_folder, remove_ckpt_folder),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures || bnf_mem_live_blocks() != 0;
}
