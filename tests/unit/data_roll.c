/* data.roll: six ways of equal chance, seven distances each, by (seed, epoch, sample) alone; rows go round exactly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "data/transform.h"
#include "train/data_config.h"

#include <string.h>

enum { H = 16, W = 5, C = 2, ROWS = 2, DRAWS = 42000, WAYS = 6 };

/* 0 as it is, 1 mirrored, 2 up, 3 down, 4 and 5 the same mirrored. */
static int way_of(const bnf_image_move *m)
{
    if (m->roll == 0)
        return m->flip;
    return 2 + 2 * m->flip + (m->roll < 0);
}

static void test_distribution(void **unused)
{
    (void)unused;
    const bnf_augment augment = {.roll = ROWS};
    int ways[WAYS] = {0}, by[WAYS][BNF_AUGMENT_ROLLS + 1] = {{0}}, changed = 0;
    for (int64_t i = 0; i < DRAWS; i++) {
        bnf_image_move m = bnf_augment_draw(&augment, 5, 3, i), again = bnf_augment_draw(&augment, 5, 3, i),
                       next = bnf_augment_draw(&augment, 5, 4, i);
        int64_t distance = m.roll < 0 ? -m.roll : m.roll;
        assert_true(m.dy == 0 && m.dx == 0 && distance % ROWS == 0 && distance <= ROWS * BNF_AUGMENT_ROLLS);
        assert_true(m.flip == again.flip && m.roll == again.roll);
        changed += m.flip != next.flip || m.roll != next.roll;
        ways[way_of(&m)]++;
        by[way_of(&m)][distance / ROWS]++;
    }
    for (int w = 0; w < WAYS; w++) {
        assert_in_range(ways[w], 7000 - 382, 7000 + 382); /* 5 standard deviations of 76.4 */
        for (int k = 1; k <= BNF_AUGMENT_ROLLS && w >= 2; k++)
            assert_in_range(by[w][k], 1000 - 157, 1000 + 157); /* 5 of 31.2 */
    }
    assert_in_range(changed, 38000, DRAWS); /* 2 (1/6)^2 + 4 (1/6)^2 / 7 stay alike: 7 %, 39,000 change */
}

static float at(const float *x, int64_t y, int64_t c, int64_t k)
{
    return x[(y * W + c) * C + k];
}

/* Every move of u8 and f32 images against the definition: target row y shows row y + roll, going round. */
static void test_exact_moves(void **unused)
{
    (void)unused;
    uint8_t bytes[H * W * C];
    float reals[H * W * C], x[H * W * C];
    for (int i = 0; i < H * W * C; i++) {
        bytes[i] = (uint8_t)i;
        reals[i] = (float)i / 255.0f;
    }
    for (int real = 0; real < 2; real++) {
        const bnf_dataset_info info = {.dtype = real ? BNF_F32 : BNF_U8, .h = H, .w = W, .c = C};
        const bnf_normalise unit = {.mode = BNF_NORMALISE_UNIT};
        bnf_transform *t;
        assert_int_equal(bnf_transform_create(&info, &unit, &t), BNF_OK);
        for (int64_t roll = -H + 1; roll < H; roll++)
            for (int flip = 0; flip < 2; flip++) {
                const bnf_image_move move = {.flip = flip, .roll = roll};
                bnf_transform_apply(t, real ? (const void *)reals : bytes, &move, x);
                for (int64_t y = 0; y < H; y++)
                    for (int64_t c = 0; c < W; c++)
                        for (int64_t k = 0; k < C; k++) {
                            int64_t from = y + roll < 0 ? y + roll + H : y + roll >= H ? y + roll - H : y + roll;
                            float want = (float)((from * W + (flip ? W - 1 - c : c)) * C + k) / 255.0f;
                            assert_true(at(x, y, c, k) > want - 1e-6f && at(x, y, c, k) < want + 1e-6f);
                        }
            }
        bnf_transform_destroy(t);
    }
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

static void assert_refused(const char *yaml, const char *word)
{
    bnf_data_settings d = {0};
    const bnf_cfg_section section = bnf_data_section(&d);
    bnf_status status = bnf_config_load_text(yaml, strlen(yaml), "test.yaml", &section, 1, NULL, 0);
    if (status == BNF_OK)
        status = bnf_data_check(&d);
    assert_int_equal(status, word ? BNF_ERR_CONFIG : BNF_OK);
    if (word)
        assert_non_null(strstr(bnf_error_message(), word));
    bnf_error_clear();
    bnf_config_free(&section, 1);
}

static void test_not_with_others(void **unused)
{
    (void)unused;
    assert_refused("data: {file: a, batch: 8, leaves: 4, roll: 8}\n", NULL);
    assert_refused("data: {file: a, batch: 8, leaves: 4, roll: 8, flip: true}\n", "data.roll and data.flip");
    assert_refused("data: {file: a, batch: 8, leaves: 4, roll: 8, pad_crop: 1}\n", "data.pad_crop");
    assert_refused("data: {file: a, batch: 8, leaves: 4, roll: 8, size: 8, resized_crop: true}\n", "data.resized_crop");
    assert_refused("data: {file: a, batch: 8, leaves: 4, roll: -1}\n", "roll");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_exact_moves),
        cmocka_unit_test(test_not_with_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
