/* Clipping by the norm of all gradients or of one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/optim.h>

#include <math.h>

static float x[20011];

static void test_sumsq_value(void **unused)
{
    (void)unused;
    const int64_t n = (int64_t)(sizeof x / sizeof x[0]);
    /* Integers: the sum is exact in f64, so it has to be right to the last bit for any order. */
    for (int64_t len = 0; len <= n; len = len < 40 ? len + 1 : len * 3 + 7) {
        int64_t want = 0;
        for (int64_t i = 0; i < len; i++) {
            x[i] = (float)(i % 201 - 100);
            want += (i % 201 - 100) * (i % 201 - 100);
        }
        assert_true(bnf_optim_sumsq(x, len) == (double)want);
    }
}

static void test_sumsq_range(void **unused)
{
    (void)unused;
    /* Squares that f32 cannot hold. */
    x[0] = 1e30f;
    x[1] = 1e-30f;
    assert_true(fabs(bnf_optim_sumsq(x, 1) - (double)1e30f * (double)1e30f) == 0.0);
    assert_true(bnf_optim_sumsq(x + 1, 1) > 0.0);
    /* A copy at another alignment gives the same bits. */
    for (int i = 0; i < 9000; i++)
        x[i] = (float)(1.0 / (i + 3.0));
    const double first = bnf_optim_sumsq(x, 9000);
    for (int i = 8999; i >= 0; i--)
        x[i + 3] = x[i];
    assert_true(bnf_optim_sumsq(x + 3, 9000) == first);
}

static void test_scale(void **unused)
{
    (void)unused;
    assert_true(bnf_optim_clip_scale(4.0, 0.0) == 1.0);
    assert_true(bnf_optim_clip_scale(4.0, 3.0) == 1.0);
    assert_true(fabs(bnf_optim_clip_scale(4.0, 1.0) - 0.5) < 1e-6);
    assert_true(bnf_optim_clip_scale(4.0, 1.0) < 0.5);
    assert_true(bnf_optim_clip_scale(0.0, 1.0) == 1.0);
    assert_true(isnan(bnf_optim_clip_scale(NAN, 1.0)));
    assert_true(isnan(bnf_optim_clip_scale(INFINITY, 0.0)));
}

/* Against f64 by hand; exact where the quotient is, which the global form with its 1e-6 is not. */
static void test_scale_of_one(void **unused)
{
    (void)unused;
    assert_true(bnf_optim_clip_variable(4.0, 0.0) == 1.0 && bnf_optim_clip_variable(0.0, 1.0) == 1.0);
    assert_true(bnf_optim_clip_variable(4.0, 2.0) == 1.0 && bnf_optim_clip_variable(4.0, 3.0) == 1.0);
    assert_true(bnf_optim_clip_variable(4.0, 1.0) == 0.5 && bnf_optim_clip_variable(16.0, 1.0) == 0.25);
    const float g[5] = {3, -4, 12, 84, -132};
    double norm = 0, sumsq = bnf_optim_sumsq(g, 5), scale = bnf_optim_clip_variable(sumsq, 2.5);
    for (int i = 0; i < 5; i++)
        norm += scale * (double)g[i] * scale * (double)g[i];
    assert_true(sumsq == 157.0 * 157.0 && fabs(sqrt(norm) - 2.5) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sumsq_value),
        cmocka_unit_test(test_sumsq_range),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_scale_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
