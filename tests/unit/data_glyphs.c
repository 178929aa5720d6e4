/* Generated glyphs: the same for the same options, all ten, whole and anywhere on the canvas, as bright as promised. */
#include "unit/data_support.h"

static char folder[256], path[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/set.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

enum { H = 20, W = 17, N = 400, M = 10, BACKGROUND = 90 };

static uint8_t *make(double noise, uint64_t seed, bnf_import_summary *s, bnf_dataset **ds)
{
    bnf_synth_glyphs_options o = {.count = {N, M}, .height = H, .width = W, .noise = noise, .seed = seed};
    assert_ok(bnf_synth_glyphs(NULL, &o, &(bnf_import_output){.path = path}, s));
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, ds));
    uint8_t *images = malloc(N * H * W);
    assert_non_null(images);
    assert_ok(bnf_dataset_read_rows(*ds, 0, N, images));
    return images;
}

/* Without noise the canvas is flat, glyphs are above it, and every pixel of the canvas is reached by some of them. */
static void glyphs_lie_anywhere(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_dataset *ds;
    uint8_t *images = make(0, 3, &s, &ds);
    int reached[H * W] = {0}, count[10] = {0}, never = 0;
    assert_true(s.classes == 10 && s.count[BNF_TEST] == M);
    for (int i = 0; i < N; i++) {
        int covered = 0, most = 0, top = H, bottom = 0;
        count[bnf_dataset_labels(ds)[i]]++;
        for (int k = 0; k < H * W; k++) {
            int above = images[i * H * W + k] - BACKGROUND;
            assert_true(above >= 0);
            reached[k] |= above > 0;
            covered += above > 0;
            most = above > most ? above : most;
            if (above > 0) {
                top = k / W < top ? k / W : top;
                bottom = k / W;
            }
        }
        /* the sparsest glyph has 9 cells of at least 0.81 pixels, the tallest is 7 cells of at most 1.15 */
        assert_true(covered >= 7 && covered <= 64 && most >= 54 && most <= 110 && bottom - top < 12);
    }
    for (int k = 0; k < 10; k++)
        assert_int_equal(count[k], N / 10);
    for (int y = 2; y < H - 2; y++)
        for (int x = 3; x < W - 3; x++)
            never += !reached[y * W + x];
    assert_int_equal(never, 0);
    bnf_dataset_close(ds);
    free(images);
}

static void options_decide(void **state)
{
    (void)state;
    bnf_import_summary s[3];
    double sum = 0, square = 0;
    for (int i = 0; i < 3; i++) {
        bnf_dataset *ds;
        uint8_t *images = make(20, i < 2 ? 5 : 6, &s[i], &ds);
        for (int k = 0; k < N && i == 0; k++) /* a corner, which no glyph reaches */
            for (int c = 0; c < 2; c++) {
                double v = images[k * H * W + c * (H * W - 1)] - (double)BACKGROUND;
                sum += v;
                square += v * v;
            }
        bnf_dataset_close(ds);
        free(images);
    }
    assert_string_equal(s[0].checksum, s[1].checksum);
    assert_string_not_equal(s[0].checksum, s[2].checksum);
    double mean = sum / (2 * N), variance = square / (2 * N) - mean * mean;
    assert_true(mean > -3 && mean < 3 && variance > 324 && variance < 484); /* standard deviation 18 to 22 */
}

static void refusals(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_synth_glyphs_options o = {.count = {10, 0}, .height = 7, .width = 16};
    assert_fails(bnf_synth_glyphs(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_ARG, "7 x 16");
    o.height = 16;
    o.noise = 65;
    assert_fails(bnf_synth_glyphs(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_ARG, "noise of 65");
    o.noise = 0;
    o.count[BNF_TRAIN] = 0;
    assert_fails(bnf_synth_glyphs(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_ARG, "0 training");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(glyphs_lie_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(options_decide, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
