/* Schedules at known points, and their checks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/optim.h>

#include <math.h>
#include <string.h>

static void assert_close(double got, double want)
{
    assert_true(fabs(got - want) <= 1e-12 * fabs(want));
}

static void test_constant(void **unused)
{
    (void)unused;
    const bnf_schedule s = bnf_schedule_default(0.25);
    assert_true(bnf_schedule_lr(&s, 0, 10, 100) == 0.25);
    assert_true(bnf_schedule_lr(&s, 99, 10, 100) == 0.25);
    assert_true(bnf_schedule_lr(&s, 1000, 10, 100) == 0.25);
}

static void test_step(void **unused)
{
    (void)unused;
    bnf_schedule s = bnf_schedule_default(1.0);
    s.kind = BNF_SCHEDULE_STEP;
    s.gamma = 0.5;
    s.milestone_count = 3;
    s.milestones[0] = 2;
    s.milestones[1] = 3.5;
    s.milestones[2] = 8;
    assert_int_equal(bnf_schedule_check(&s), BNF_OK);
    assert_true(bnf_schedule_lr(&s, 19, 10, 100) == 1.0);
    assert_true(bnf_schedule_lr(&s, 20, 10, 100) == 0.5);
    assert_true(bnf_schedule_lr(&s, 34, 10, 100) == 0.5);
    assert_true(bnf_schedule_lr(&s, 35, 10, 100) == 0.25);
    assert_true(bnf_schedule_lr(&s, 80, 10, 100) == 0.125);
}

/* The cosine that the Fashion-MNIST recipe uses: 5e-4 to 1e-6. */
static void test_cosine(void **unused)
{
    (void)unused;
    bnf_schedule s = bnf_schedule_default(5e-4);
    s.kind = BNF_SCHEDULE_COSINE;
    s.min_lr = 1e-6;
    assert_int_equal(bnf_schedule_check(&s), BNF_OK);
    assert_close(bnf_schedule_lr(&s, 0, 100, 1200), 5e-4);
    assert_close(bnf_schedule_lr(&s, 600, 100, 1200), 0.5 * (5e-4 + 1e-6));
    assert_close(bnf_schedule_lr(&s, 400, 100, 1200), 1e-6 + 0.75 * (5e-4 - 1e-6)); /* cos(pi/3) = 1/2 */
    assert_close(bnf_schedule_lr(&s, 1200, 100, 1200), 1e-6);
    assert_close(bnf_schedule_lr(&s, 5000, 100, 1200), 1e-6);
    for (int64_t step = 1; step < 1200; step++)
        assert_true(bnf_schedule_lr(&s, step, 100, 1200) < bnf_schedule_lr(&s, step - 1, 100, 1200));
}

static void test_polynomial(void **unused)
{
    (void)unused;
    bnf_schedule s = bnf_schedule_default(1.0);
    s.kind = BNF_SCHEDULE_POLYNOMIAL;
    s.power = 2.0;
    s.min_lr = 0.5;
    assert_close(bnf_schedule_lr(&s, 0, 10, 100), 1.0);
    assert_close(bnf_schedule_lr(&s, 50, 10, 100), 0.625);
    assert_close(bnf_schedule_lr(&s, 100, 10, 100), 0.5);
}

static void test_warmup(void **unused)
{
    (void)unused;
    bnf_schedule s = bnf_schedule_default(0.8);
    s.kind = BNF_SCHEDULE_COSINE;
    s.warmup_epochs = 0.5;
    assert_close(bnf_schedule_lr(&s, 0, 8, 84), 0.2);
    assert_close(bnf_schedule_lr(&s, 1, 8, 84), 0.4);
    assert_close(bnf_schedule_lr(&s, 3, 8, 84), 0.8); /* the last step of the warm-up has the full rate */
    assert_close(bnf_schedule_lr(&s, 4, 8, 84), 0.8); /* and the cosine starts from it */
    assert_close(bnf_schedule_lr(&s, 44, 8, 84), 0.4);
    s.warmup_start = 0.5;
    assert_close(bnf_schedule_lr(&s, 0, 8, 84), 0.8 * 0.625);
    /* A run that ends inside its warm-up is legal. */
    assert_close(bnf_schedule_lr(&s, 1, 8, 2), 0.8 * 0.75);
    s.kind = BNF_SCHEDULE_CONSTANT;
    assert_close(bnf_schedule_lr(&s, 2, 8, 84), 0.8 * 0.875);
}

static void test_checks(void **unused)
{
    (void)unused;
    bnf_schedule_kind kind = BNF_SCHEDULE_CONSTANT;
    assert_int_equal(bnf_schedule_kind_parse("cosine", &kind), BNF_OK);
    assert_int_equal(kind, BNF_SCHEDULE_COSINE);
    assert_int_equal(bnf_schedule_kind_parse("cosin", &kind), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "polynomial"));
    bnf_error_clear();
    bnf_schedule s = bnf_schedule_default(-1.0);
    assert_int_equal(bnf_schedule_check(&s), BNF_ERR_ARG);
    bnf_error_clear();
    s = bnf_schedule_default(1e-3);
    s.kind = BNF_SCHEDULE_COSINE;
    s.min_lr = 1e-2;
    assert_int_equal(bnf_schedule_check(&s), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "min_lr"));
    bnf_error_clear();
    s.kind = BNF_SCHEDULE_STEP;
    s.milestone_count = 2;
    s.milestones[0] = 5;
    s.milestones[1] = 5;
    assert_int_equal(bnf_schedule_check(&s), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "milestones[1]"));
    bnf_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant),   cmocka_unit_test(test_step),   cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_polynomial), cmocka_unit_test(test_warmup), cmocka_unit_test(test_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
