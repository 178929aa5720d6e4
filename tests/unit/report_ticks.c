/* Round numbers for axes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "report/ticks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_numbers(void **unused)
{
    (void)unused;
    static const struct {
        double value;
        int digits;
        const char *text;
    } cases[] = {{0.0, 4, "0"},           {1.0, 4, "1"},
                 {0.86, 4, "0.86"},       {-2.5, 3, "-2.5"},
                 {12345.678, 4, "12346"}, {0.00012345, 3, "0.000123"},
                 {1e-9, 3, "1e-09"},      {1.0 / 3.0, 4, "0.3333"},
                 {NAN, 4, "n/a"},         {INFINITY, 4, "inf"},
                 {-0.0, 4, "0"},          {5e-4, 3, "0.0005"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[BNF_TICK_TEXT];
        bnf_number_format(cases[i].value, cases[i].digits, sizeof text, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* Over 40 decades and many spans: few ticks, evenly spaced, round, covering the data, with texts that read back. */
static void test_linear(void **unused)
{
    (void)unused;
    for (int e = -8; e <= 12; e++) {
        for (int k = 1; k < 60; k++) {
            const double span = pow(10.0, e) * (1.0 + 0.15 * k), low = span * ((k % 7) - 3) * 0.4;
            const bnf_ticks t = bnf_ticks_linear(low, low + span, 5, false);
            assert_in_range(t.count, 3, 10);
            assert_true(t.min <= low + 1e-6 * span && t.max >= low + span - 1e-6 * span);
            const double step = t.at[1] - t.at[0];
            const double mantissa = step / pow(10.0, floor(log10(step) + 1e-9));
            assert_true(fabs(mantissa - 1) < 1e-6 || fabs(mantissa - 2) < 1e-6 || fabs(mantissa - 5) < 1e-6);
            for (int i = 1; i < t.count; i++) {
                assert_true(fabs(t.at[i] - t.at[i - 1] - step) < 1e-6 * step);
                assert_string_not_equal(t.text[i], t.text[i - 1]);
            }
        }
    }
}

static void assert_texts(const bnf_ticks *t, const char *want)
{
    char all[512] = "";
    for (int i = 0; i < t->count; i++) {
        strcat(all, t->text[i]);
        strcat(all, " ");
    }
    assert_string_equal(all, want);
}

static void test_texts(void **unused)
{
    (void)unused;
    bnf_ticks t = bnf_ticks_linear(0.01, 0.93, 5, false);
    assert_texts(&t, "0 0.2 0.4 0.6 0.8 1.0 ");
    t = bnf_ticks_linear(0.51, 0.88, 5, true);
    assert_texts(&t, "50% 60% 70% 80% 90% ");
    t = bnf_ticks_linear(-0.4, 0.4, 4, false);
    assert_texts(&t, "-0.4 -0.2 0 0.2 0.4 ");
    t = bnf_ticks_inside(0.0, 20000.0, 5, false);
    assert_texts(&t, "0 5k 10k 15k 20k ");
    t = bnf_ticks_inside(1.0, 20.0, 5, false);
    assert_texts(&t, "5 10 15 20 ");
    assert_true(t.min == 1.0 && t.max == 20.0);
    t = bnf_ticks_linear(7.0, 7.0, 5, false); /* a single value */
    assert_true(t.min < 7.0 && t.max > 7.0 && t.count >= 2);
    t = bnf_ticks_linear(0.0, 0.0, 5, false);
    assert_true(t.min < 0.0 && t.max > 0.0);
    t = bnf_ticks_linear(0.0, 5e-4, 5, false);
    assert_texts(&t, "0 0.0001 0.0002 0.0003 0.0004 0.0005 ");
}

static void test_log(void **unused)
{
    (void)unused;
    bnf_ticks t = bnf_ticks_log(0.3, 40.0);
    assert_texts(&t, "0.5 1 2 5 10 20 ");
    t = bnf_ticks_log(1e-6, 1.0);
    assert_texts(&t, "1e-06 1e-05 0.0001 0.001 0.01 0.1 1 ");
    t = bnf_ticks_log(1e-30, 1e30);
    assert_in_range(t.count, 3, 12);
    t = bnf_ticks_log(3.0, 3.0);
    assert_true(t.min < 3.0 && t.max > 3.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
