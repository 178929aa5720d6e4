/* Growing text, patterns, numbers, distances. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/str.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"

static void test_buffer(void **unused)
{
    (void)unused;
    const int64_t blocks = bnf_mem_live_blocks();
    bnf_buf b = {0};
    assert_string_equal(bnf_buf_text(&b), "");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(bnf_buf_printf(&b, "%d,", i), BNF_OK);
    assert_int_equal(b.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(b.data), b.size);
    assert_string_equal(b.data + b.size - 4, "999,");
    bnf_buf_clear(&b);
    assert_int_equal(bnf_buf_append(&b, "a\0b", 3), BNF_OK);
    assert_int_equal(b.size, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    bnf_buf_clear(&b);
    char large[5000];
    memset(large, 'y', sizeof large);
    large[sizeof large - 1] = '\0';
    bnf_buf_printf(&b, "<%s>", large);
    assert_int_equal(b.size, sizeof large + 1);
    assert_true(b.data[0] == '<' && b.data[b.size - 1] == '>');
    char *text;
    assert_int_equal(bnf_buf_take(&b, &text), BNF_OK);
    assert_int_equal(b.size, 0);
    bnf_free(text);
    assert_int_equal(bnf_buf_take(&b, &text), BNF_OK);
    assert_string_equal(text, "");
    bnf_free(text);
    bnf_buf_release(&b);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

static void test_buffer_error_sticks(void **unused)
{
    (void)unused;
    bnf_buf b = {0};
    bnf_buf_puts(&b, "kept");
    char large[400] = "";
    memset(large, 'z', sizeof large - 1);
    bnf_mem_fail_at(1);
    assert_int_equal(bnf_buf_puts(&b, large), BNF_ERR_MEMORY);
    assert_int_equal(bnf_buf_putc(&b, 'c'), BNF_ERR_MEMORY);
    assert_int_equal(bnf_buf_printf(&b, "%d", 1), BNF_ERR_MEMORY);
    assert_string_equal(bnf_buf_text(&b), "kept");
    bnf_buf_clear(&b);
    bnf_mem_fail_at(1);
    assert_int_equal(bnf_buf_printf(&b, "%s", large), BNF_ERR_MEMORY);
    assert_string_equal(bnf_buf_text(&b), "");
    bnf_error_clear();
    bnf_buf_clear(&b);
    assert_int_equal(bnf_buf_puts(&b, "again"), BNF_OK);
    bnf_buf_release(&b);
}

static void test_glob(void **unused)
{
    (void)unused;
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"abc", "abc", true},
        {"abc", "abd", false},
        {"*", "", true},
        {"*", "a/b.c", true},
        {"a*c", "abbbc", true},
        {"a*c", "abbbd", false},
        {"*.bias", "l1.bias", true},
        {"*.bias", "bias", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b", "abab", true},
        {"*a*b", "aba", false},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[!a-c]x", "ax", false},
        {"[]x]", "]", true},
        {"[-a]", "-", true},
        {"[a", "a", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"conv[0-9].weight", "conv7.weight", true},
        {"**", "abc", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(bnf_glob_match(cases[i].pattern, cases[i].text), cases[i].match);
}

static void assert_round_trip(double v)
{
    bnf_buf b = {0};
    double back = 0;
    assert_int_equal(bnf_buf_real(&b, v), BNF_OK);
    assert_true(bnf_parse_real(b.data, &back));
    assert_memory_equal(&back, &v, sizeof v);
    bnf_buf_release(&b);
}

static void test_reals_read_back(void **unused)
{
    (void)unused;
    static const double special[] = {0.0,     -0.0,         1.0,      0.1,      1.0 / 3,   DBL_MAX,
                                     DBL_MIN, DBL_TRUE_MIN, -DBL_MAX, INFINITY, -INFINITY, 123456789.0,
                                     1e22,    5e-324,       1e15,     0.3};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        assert_round_trip(special[i]);
    const bnf_philox_key key = bnf_philox_key_make(8, BNF_STREAM_TEST);
    for (uint64_t i = 0; i < 2000; i++) {
        const bnf_philox_block r = bnf_philox(key, bnf_philox_counter(0, i, 0));
        double v;
        memcpy(&v, r.v, sizeof v);
        if (isfinite(v))
            assert_round_trip(v);
    }
    bnf_buf b = {0};
    bnf_buf_real(&b, 0.1);
    bnf_buf_puts(&b, " ");
    bnf_buf_real(&b, NAN);
    assert_string_equal(b.data, "0.1 nan"); /* shortest form */
    bnf_buf_release(&b);
}

/* Only where a locale with a decimal comma is installed. */
static void test_locale_does_not_matter(void **unused)
{
    (void)unused;
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL)
        skip();
    double v = 0;
    bnf_buf b = {0};
    bnf_buf_real(&b, 0.5);
    const bool read = bnf_parse_real("0.25", &v);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(b.data, "0.5");
    assert_true(read && v == 0.25);
    bnf_buf_release(&b);
}

static void test_parse(void **unused)
{
    (void)unused;
    double r;
    int64_t i;
    static const char *const bad_reals[] = {"",   " 1",  "1 ",       "0x10",  "1,5", "abc",
                                            "1e", "--1", "infinity", "1e400", ".",   "nano"};
    for (size_t k = 0; k < sizeof bad_reals / sizeof *bad_reals; k++)
        assert_false(bnf_parse_real(bad_reals[k], &r));
    assert_true(bnf_parse_real("-1.5e3", &r) && r == -1500.0);
    assert_true(bnf_parse_real(".5", &r) && r == 0.5);
    assert_true(bnf_parse_real("-.inf", &r) && isinf(r) && r < 0);
    assert_true(bnf_parse_real(".nan", &r) && isnan(r));
    static const char *const bad_ints[] = {"", "-", "1.0", "1e3", " 1", "0x1", "9223372036854775808", "+-1", "1_000"};
    for (size_t k = 0; k < sizeof bad_ints / sizeof *bad_ints; k++)
        assert_false(bnf_parse_int(bad_ints[k], &i));
    assert_true(bnf_parse_int("9223372036854775807", &i) && i == INT64_MAX);
    assert_true(bnf_parse_int("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(bnf_parse_int("+07", &i) && i == 7);
}

static void test_utf8(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_utf8_next("a", 1), 1);
    assert_int_equal(bnf_utf8_next("\xC3\xA4", 2), 2);
    assert_int_equal(bnf_utf8_next("\xE2\x82\xAC", 3), 3);
    assert_int_equal(bnf_utf8_next("\xF0\x9F\x98\x80", 4), 4);
    static const char *const bad[] = {
        "\x80", "\xC3",    "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF0\x80\x80\x80",
        "\xFF", "\xE2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(bnf_utf8_next(bad[i], strlen(bad[i])), 0);
    assert_int_equal(bnf_utf8_next("a", 0), 0);
}

static void test_distance(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_str_distance("lr", "lr", 5), 0);
    assert_int_equal(bnf_str_distance("lrr", "lr", 5), 1);
    assert_int_equal(bnf_str_distance("wieght", "weight", 5), 1);
    assert_int_equal(bnf_str_distance("kitten", "sitting", 5), 3);
    assert_int_equal(bnf_str_distance("abc", "xyz", 2), 2);
    assert_int_equal(bnf_str_distance("", "abc", 5), 3);
    char large[80];
    memset(large, 'a', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(bnf_str_distance(large, "a", 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_buffer_error_sticks),
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_reals_read_back),
        cmocka_unit_test(test_locale_does_not_matter),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
