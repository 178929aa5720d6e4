/* The generator against published vectors; the draws against what their distributions demand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"

/* From the file of known answers that its authors publish with Random123. */
static void test_known_answers(void **unused)
{
    (void)unused;
    static const struct {
        bnf_philox_block counter;
        bnf_philox_key key;
        bnf_philox_block answer;
    } known[] = {
        {{{0, 0, 0, 0}}, {{0, 0}}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
         {{0xffffffff, 0xffffffff}},
         {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {{0xa4093822, 0x299f31d0}},
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const bnf_philox_block b = bnf_philox(known[i].key, known[i].counter);
        assert_memory_equal(&b, &known[i].answer, sizeof b);
    }
}

static bool same_key(bnf_philox_key a, bnf_philox_key b)
{
    return a.k[0] == b.k[0] && a.k[1] == b.k[1];
}

static void test_keys_and_counters_differ(void **unused)
{
    (void)unused;
    const bnf_philox_key k = bnf_philox_key_make(1, BNF_STREAM_INIT);
    assert_true(same_key(k, bnf_philox_key_make(1, BNF_STREAM_INIT)));
    assert_false(same_key(k, bnf_philox_key_make(2, BNF_STREAM_INIT)));
    assert_false(same_key(k, bnf_philox_key_make(1 + (UINT64_C(1) << 32), BNF_STREAM_INIT)));
    assert_false(same_key(k, bnf_philox_key_make(1, BNF_STREAM_ORDER)));
    assert_false(same_key(k, bnf_philox_key_layer(k, 0)));
    assert_false(same_key(bnf_philox_key_layer(k, 1), bnf_philox_key_layer(k, 2)));
    const bnf_philox_block c = bnf_philox_counter(1, UINT64_C(0x200000003), 4);
    const uint32_t words[4] = {4, 3, 2, 1};
    assert_memory_equal(c.v, words, sizeof words);
}

static void test_unit_limits(void **unused)
{
    (void)unused;
    assert_true(bnf_philox_unit_f32(0) == 0.0f && bnf_philox_unit_f32(UINT32_MAX) == 1.0f - 0x1p-24f);
    assert_true(bnf_philox_unit_open_f32(0) == 0x1p-24f && bnf_philox_unit_open_f32(UINT32_MAX) == 1.0f);
    assert_true(bnf_philox_unit_f64(0, 0) == 0.0 && bnf_philox_unit_f64(UINT32_MAX, UINT32_MAX) == 1.0 - 0x1p-53);
    assert_true(bnf_philox_unit_open_f64(0, 0) == 0x1p-53);
    assert_true(bnf_philox_unit_open_f64(UINT32_MAX, UINT32_MAX) == 1.0);
}

/* Chi-squared of `bins` equally likely bins; its mean is bins - 1 and its deviation sqrt(2 (bins - 1)). */
static void assert_even(const int64_t *hits, int bins, int64_t draws)
{
    double chi2 = 0;
    const double expected = (double)draws / bins;
    for (int i = 0; i < bins; i++)
        chi2 += ((double)hits[i] - expected) * ((double)hits[i] - expected) / expected;
    assert_true(fabs(chi2 - (bins - 1)) < 5 * sqrt(2.0 * (bins - 1)));
}

static void test_below(void **unused)
{
    (void)unused;
    enum { N = 7, DRAWS = 70000 };
    const bnf_philox_key k = bnf_philox_key_make(3, BNF_STREAM_TEST);
    int64_t hits[N] = {0}, hits64[N] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        const uint32_t a = bnf_philox_below(k, 0, i, 0, N);
        const uint64_t b = bnf_philox_below_u64(k, 1, i, 0, N);
        assert_true(a < N && b < N);
        assert_int_equal(a, bnf_philox_below(k, 0, i, 0, N));
        hits[a]++;
        hits64[b]++;
    }
    assert_even(hits, N, DRAWS);
    assert_even(hits64, N, DRAWS);
    assert_int_equal(bnf_philox_below(k, 0, 0, 0, 1), 0);
}

/* n = 3/4 of the range: without rejection a third of the numbers would come twice as often. */
static void test_below_has_no_bias(void **unused)
{
    (void)unused;
    enum { DRAWS = 60000 };
    const bnf_philox_key k = bnf_philox_key_make(4, BNF_STREAM_TEST);
    const uint32_t n = UINT32_C(3) << 30;
    const uint64_t n64 = UINT64_C(3) << 61;
    int64_t hits[3] = {0}, hits64[3] = {0};
    int64_t low_bits[4] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        const uint32_t a = bnf_philox_below(k, 0, i, 0, n);
        hits[a >> 30]++;
        low_bits[a & 3]++;
        hits64[bnf_philox_below_u64(k, 0, i, 0, n64) >> 61]++;
    }
    assert_even(hits, 3, DRAWS);
    assert_even(hits64, 3, DRAWS);
    assert_even(low_bits, 4, DRAWS);
}

static void test_normal_moments(void **unused)
{
    (void)unused;
    enum { PAIRS = 100000 };
    const bnf_philox_key k = bnf_philox_key_make(5, BNF_STREAM_TEST);
    double sum = 0, square = 0, cross = 0, fourth = 0;
    for (uint64_t i = 0; i < PAIRS; i++) {
        double a, b;
        bnf_philox_normal2(bnf_philox(k, bnf_philox_counter(0, i, 0)), &a, &b);
        sum += a + b;
        square += a * a + b * b;
        fourth += a * a * a * a + b * b * b * b;
        cross += a * b;
    }
    const double n = 2.0 * PAIRS; /* limits: five deviations of each mean */
    assert_true(fabs(sum / n) < 5 / sqrt(n));
    assert_true(fabs(square / n - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(fourth / n - 3) < 5 * sqrt(96 / n));
    assert_true(fabs(cross / PAIRS) < 5 / sqrt(PAIRS));
}

static void test_permutation(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    int64_t order[N], again[N];
    bool there[N] = {false};
    const bnf_philox_key k = bnf_philox_key_make(6, BNF_STREAM_ORDER);
    bnf_philox_permutation(k, 1, N, order);
    for (int i = 0; i < N; i++) {
        assert_true(order[i] >= 0 && order[i] < N && !there[order[i]]);
        there[order[i]] = true;
    }
    bnf_philox_permutation(k, 1, N, again);
    assert_memory_equal(order, again, sizeof order);
    bnf_philox_permutation(k, 2, N, again);
    assert_true(memcmp(order, again, sizeof order) != 0);
}

/* All 6 orders of three come equally often. */
static void test_permutation_is_uniform(void **unused)
{
    (void)unused;
    enum { DRAWS = 24000 };
    const bnf_philox_key k = bnf_philox_key_make(7, BNF_STREAM_ORDER);
    int64_t hits[6] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        int64_t o[3];
        bnf_philox_permutation(k, i, 3, o);
        hits[2 * o[0] + (o[1] > o[2])]++;
    }
    assert_even(hits, 6, DRAWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),     cmocka_unit_test(test_keys_and_counters_differ),
        cmocka_unit_test(test_unit_limits),       cmocka_unit_test(test_below),
        cmocka_unit_test(test_below_has_no_bias), cmocka_unit_test(test_normal_moments),
        cmocka_unit_test(test_permutation),       cmocka_unit_test(test_permutation_is_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
