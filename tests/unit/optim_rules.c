/* The update rules against textbook formulas in f64, and bit for bit under any split of the array. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/optim.h>

#include <math.h>
#include <string.h>

enum { N = 103, STEPS = 50 };

/* A fixed stream of numbers in [-1, 1). */
static double next_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(*state >> 32) / 2147483648.0;
}

typedef struct reference {
    double value[N], a[N], b[N];
} reference;

/* One step in f64. Adam is written with the corrected moments m^ and v^, unlike the code under test. */
static void reference_step(const bnf_optim_rule *rule, reference *r, const float *grad, double lr, double decay,
                           double scale, int step)
{
    for (int i = 0; i < N; i++) {
        double g = scale * (double)grad[i];
        if (rule->kind == BNF_OPTIM_ADAMW)
            r->value[i] -= lr * decay * r->value[i];
        else
            g += decay * r->value[i];
        if (rule->kind == BNF_OPTIM_SGD) {
            r->a[i] = step == 1 ? g : rule->momentum * r->a[i] + g;
            const double direction = rule->nesterov ? g + rule->momentum * r->a[i] : r->a[i];
            r->value[i] -= lr * (rule->momentum > 0.0 ? direction : g);
            continue;
        }
        r->a[i] = rule->beta1 * r->a[i] + (1.0 - rule->beta1) * g;
        r->b[i] = rule->beta2 * r->b[i] + (1.0 - rule->beta2) * g * g;
        const double mhat = r->a[i] / (1.0 - pow(rule->beta1, step));
        const double vhat = r->b[i] / (1.0 - pow(rule->beta2, step));
        r->value[i] -= lr * mhat / (sqrt(vhat) + rule->eps);
    }
}

static void check_against_reference(const bnf_optim_rule *rule, double lr, double decay, double scale)
{
    uint64_t seed = 7;
    reference r = {0};
    float value[N], grad[N], s0[N] = {0}, s1[N] = {0};
    float *const state[2] = {s0, s1};
    assert_int_equal(bnf_optim_rule_check(rule), BNF_OK);
    for (int i = 0; i < N; i++)
        r.value[i] = value[i] = (float)next_number(&seed);
    for (int step = 1; step <= STEPS; step++) {
        for (int i = 0; i < N; i++)
            grad[i] = (float)(next_number(&seed) * pow(10.0, i % 7 - 4));
        bnf_optim_update(rule, value, grad, state, N, lr, decay, scale, step);
        reference_step(rule, &r, grad, lr, decay, scale, step);
        for (int i = 0; i < N; i++)
            assert_true(fabs((double)value[i] - r.value[i]) <= 1e-6 * step * fmax(1.0, fabs(r.value[i])));
    }
    double moved = 0.0; /* so that a rule that does nothing cannot pass */
    seed = 7;
    for (int i = 0; i < N; i++)
        moved += fabs((double)value[i] - (double)(float)next_number(&seed));
    assert_true(moved > 0.1);
}

static void test_sgd(void **unused)
{
    (void)unused;
    bnf_optim_rule rule = bnf_optim_rule_default(BNF_OPTIM_SGD);
    assert_int_equal(bnf_optim_state_count(&rule), 0);
    check_against_reference(&rule, 0.01, 0.0, 1.0);
    check_against_reference(&rule, 0.01, 0.05, 0.5);
    rule.momentum = 0.9;
    assert_int_equal(bnf_optim_state_count(&rule), 1);
    check_against_reference(&rule, 0.001, 0.01, 1.0);
    rule.nesterov = true;
    check_against_reference(&rule, 0.001, 0.01, 0.7);
}

static void test_adam(void **unused)
{
    (void)unused;
    bnf_optim_rule rule = bnf_optim_rule_default(BNF_OPTIM_ADAM);
    assert_int_equal(bnf_optim_state_count(&rule), 2);
    check_against_reference(&rule, 1e-2, 0.0, 1.0);
    check_against_reference(&rule, 1e-2, 0.1, 0.3);
    rule.eps = 1e-2; /* large enough to show where it is added */
    check_against_reference(&rule, 1e-2, 0.1, 1.0);
    rule.beta1 = 0.5;
    rule.beta2 = 0.9;
    check_against_reference(&rule, 1e-2, 0.0, 1.0);
}

static void test_adamw(void **unused)
{
    (void)unused;
    bnf_optim_rule rule = bnf_optim_rule_default(BNF_OPTIM_ADAMW);
    check_against_reference(&rule, 1e-2, 0.3, 1.0);
    rule.eps = 1e-3;
    check_against_reference(&rule, 5e-3, 0.01, 2.0);
}

/* The first step of Adam moves every element by lr (up to eps), whatever the gradient's size. */
static void test_adam_first_step(void **unused)
{
    (void)unused;
    const bnf_optim_rule rule = bnf_optim_rule_default(BNF_OPTIM_ADAM);
    float value[3] = {1.0f, 1.0f, 1.0f}, m[3] = {0}, v[3] = {0};
    const float grad[3] = {1e-3f, -5.0f, 0.0f};
    float *const state[2] = {m, v};
    bnf_optim_update(&rule, value, grad, state, 3, 0.125, 0.0, 1.0, 1);
    assert_true(fabsf(value[0] - 0.875f) < 1e-5f);
    assert_true(fabsf(value[1] - 1.125f) < 1e-6f);
    assert_true(value[2] == 1.0f);
}

/* Updates [0, n) in pieces cut at the given points. */
static void update_in_pieces(const bnf_optim_rule *rule, float *value, const float *grad, float *const *state,
                             int64_t n, const int64_t *cuts, int cut_count, int64_t step)
{
    int64_t begin = 0;
    for (int c = 0; c <= cut_count; c++) {
        const int64_t end = c < cut_count ? cuts[c] : n;
        float *const part[2] = {state[0] + begin, state[1] + begin};
        bnf_optim_update(rule, value + begin, grad + begin, part, end - begin, 3e-3, 0.02, 0.37, step);
        begin = end;
    }
}

static void check_split(const bnf_optim_rule *rule)
{
    enum { LEN = 1000 };
    static const int64_t cuts[] = {1, 1, 2, 5, 12, 29, 64, 65, 127, 301, 302, 304, 499, 777, 999};
    static float value[2][LEN], s0[2][LEN], s1[2][LEN], grad[LEN];
    float *const whole[2] = {s0[0], s1[0]};
    float *const pieces[2] = {s0[1], s1[1]};
    uint64_t seed = 99;
    memset(s0, 0, sizeof s0);
    memset(s1, 0, sizeof s1);
    for (int i = 0; i < LEN; i++)
        value[0][i] = value[1][i] = (float)next_number(&seed);
    for (int step = 1; step <= 20; step++) {
        for (int i = 0; i < LEN; i++)
            grad[i] = (float)(next_number(&seed) * pow(10.0, i % 11 - 6));
        bnf_optim_update(rule, value[0], grad, whole, LEN, 3e-3, 0.02, 0.37, step);
        update_in_pieces(rule, value[1], grad, pieces, LEN, cuts, (int)(sizeof cuts / sizeof cuts[0]), step);
    }
    assert_memory_equal(value[0], value[1], sizeof value[0]);
    assert_memory_equal(s0[0], s0[1], sizeof s0[0]);
    assert_memory_equal(s1[0], s1[1], sizeof s1[0]);
}

static void test_split_invariance(void **unused)
{
    (void)unused;
    for (int k = 0; k < BNF_OPTIM_KIND_COUNT; k++) {
        bnf_optim_rule rule = bnf_optim_rule_default((bnf_optim_kind)k);
        check_split(&rule);
        if (rule.kind != BNF_OPTIM_SGD)
            continue;
        rule.momentum = 0.9;
        check_split(&rule);
        rule.nesterov = true;
        check_split(&rule);
    }
}

static void test_names_and_checks(void **unused)
{
    (void)unused;
    bnf_optim_kind kind = BNF_OPTIM_SGD;
    for (int k = 0; k < BNF_OPTIM_KIND_COUNT; k++) {
        assert_int_equal(bnf_optim_kind_parse(bnf_optim_kind_name((bnf_optim_kind)k), &kind), BNF_OK);
        assert_int_equal(kind, k);
    }
    bnf_error_clear();
    assert_int_equal(bnf_optim_kind_parse("adagrad", &kind), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "adagrad"));
    for (int k = 0; k < BNF_OPTIM_KIND_COUNT; k++)
        assert_non_null(strstr(bnf_error_message(), bnf_optim_kind_name((bnf_optim_kind)k)));
    bnf_error_clear();
    bnf_optim_rule rule = bnf_optim_rule_default(BNF_OPTIM_SGD);
    rule.nesterov = true;
    assert_int_equal(bnf_optim_rule_check(&rule), BNF_ERR_ARG);
    bnf_error_clear();
    rule = bnf_optim_rule_default(BNF_OPTIM_ADAM);
    rule.beta2 = 1.0;
    assert_int_equal(bnf_optim_rule_check(&rule), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "beta2"));
    bnf_error_clear();
    rule = bnf_optim_rule_default(BNF_OPTIM_ADAMW);
    rule.eps = NAN;
    assert_int_equal(bnf_optim_rule_check(&rule), BNF_ERR_ARG);
    bnf_error_clear();
    assert_string_equal(bnf_optim_state_name(&(bnf_optim_rule){.kind = BNF_OPTIM_ADAM}, 1), "moment2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_adam),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_adam_first_step),
        cmocka_unit_test(test_split_invariance),
        cmocka_unit_test(test_names_and_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
