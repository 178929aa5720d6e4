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
            r->value[i] -= (rule->uncoupled ? decay : lr * decay) * r->value[i];
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
    rule.uncoupled = true;
    check_against_reference(&rule, 5e-3, 0.01, 0.25);
    check_against_reference(&rule, 1e-3, 1e-4, 1.0);
}

/* One step of a rule that measures, in f64 from the papers' formulas: norms by plain sums, moments corrected. */
static void trust_step(const bnf_optim_rule *rule, reference *r, int n, const float *grad, double lr, double decay,
                       double scale, int step, bool scaled)
{
    double weight = 0, other = 0, u[N];
    for (int i = 0; i < n; i++) {
        const double g = scale * (double)grad[i];
        weight += r->value[i] * r->value[i];
        if (rule->kind == BNF_OPTIM_LARS) {
            other += g * g;
            continue;
        }
        r->a[i] = rule->beta1 * r->a[i] + (1.0 - rule->beta1) * g;
        r->b[i] = rule->beta2 * r->b[i] + (1.0 - rule->beta2) * g * g;
        const double mhat = r->a[i] / (1.0 - pow(rule->beta1, step)), vhat = r->b[i] / (1.0 - pow(rule->beta2, step));
        u[i] = mhat / (sqrt(vhat) + rule->eps) + decay * r->value[i];
        other += u[i] * u[i];
    }
    weight = sqrt(weight);
    other = sqrt(other);
    double ratio = 1;
    if (scaled && weight > 0 && other > 0)
        ratio = rule->kind == BNF_OPTIM_LARS ? rule->trust * weight / (other + decay * weight + rule->eps)
                                             : fmin(weight, 10) / other;
    for (int i = 0; i < n; i++) {
        if (rule->kind == BNF_OPTIM_LARS)
            u[i] = r->a[i] = rule->momentum * r->a[i] + lr * ratio * (scale * (double)grad[i] + decay * r->value[i]);
        r->value[i] -= rule->kind == BNF_OPTIM_LARS ? u[i] : lr * ratio * u[i];
    }
}

/* size: of the weights, so that their norm is small, or above the bound of lamb's phi, or 0. */
static void check_trust(const bnf_optim_rule *rule, double size, double lr, double decay, bool scaled)
{
    uint64_t seed = 7;
    reference r = {0};
    float value[N], grad[N], s0[N] = {0}, s1[N] = {0};
    float *const state[2] = {s0, s1};
    double moved = 0.0, sums[2];
    assert_int_equal(bnf_optim_rule_check(rule), BNF_OK);
    assert_true(bnf_optim_measures(rule));
    for (int i = 0; i < N; i++)
        r.value[i] = value[i] = (float)(size * next_number(&seed));
    for (int step = 1; step <= STEPS; step++) {
        for (int i = 0; i < N; i++)
            grad[i] = (float)(next_number(&seed) * pow(10.0, i % 7 - 4));
        bnf_optim_measure(rule, value, grad, state, N, decay, 0.5, step, sums);
        double rate = scaled ? lr * bnf_optim_ratio(rule, decay, sums) : lr;
        bnf_optim_update(rule, value, grad, state, N, rate, decay, 0.5, step);
        trust_step(rule, &r, N, grad, lr, decay, 0.5, step, scaled);
        for (int i = 0; i < N; i++)
            assert_true(fabs((double)value[i] - r.value[i]) <= 2e-6 * step * fmax(1.0, fabs(r.value[i])));
    }
    seed = 7;
    for (int i = 0; i < N; i++)
        moved += fabs((double)value[i] - (double)(float)(size * next_number(&seed)));
    assert_true(moved > 0.1);
}

static void test_lars(void **unused)
{
    (void)unused;
    bnf_optim_rule rule = bnf_optim_rule_default(BNF_OPTIM_LARS);
    check_trust(&rule, 1, 5, 0, true);
    check_trust(&rule, 1, 5, 0.1, true);
    check_trust(&rule, 0, 0.01, 0.1, true); /* weights of zeros */
    check_trust(&rule, 1, 0.001, 0, false);
    rule.trust = 0.02;
    rule.eps = 0.5; /* large enough to show where it is added */
    rule.momentum = 0.5;
    check_trust(&rule, 3, 2, 0.1, true);
}

static void test_lamb(void **unused)
{
    (void)unused;
    bnf_optim_rule rule = bnf_optim_rule_default(BNF_OPTIM_LAMB);
    check_trust(&rule, 1, 1e-2, 0, true);
    check_trust(&rule, 1, 1e-2, 0.1, true);
    check_trust(&rule, 20, 1e-2, 0.1, true); /* a norm above 10 */
    check_trust(&rule, 0, 1e-3, 0.1, true);
    check_trust(&rule, 1, 1e-2, 0.1, false);
    rule.eps = 1e-2;
    check_trust(&rule, 1, 1e-2, 0.1, true);
}

/* Blocks one by one give the sums of the whole. */
static void test_sums_of_blocks(void **unused)
{
    (void)unused;
    enum { LEN = 3 * BNF_OPTIM_BLOCK + 17 };
    static float value[LEN], grad[LEN], s0[LEN], s1[LEN];
    uint64_t seed = 3;
    for (int i = 0; i < LEN; i++) {
        value[i] = (float)next_number(&seed);
        grad[i] = (float)next_number(&seed);
        s0[i] = (float)next_number(&seed);
        s1[i] = (float)fabs(next_number(&seed));
    }
    for (int k = BNF_OPTIM_LARS; k <= BNF_OPTIM_LAMB; k++) {
        const bnf_optim_rule rule = bnf_optim_rule_default((bnf_optim_kind)k);
        double whole[2], part[2], sums[2] = {0, 0};
        bnf_optim_measure(&rule, value, grad, (float *[]){s0, s1}, LEN, 0.1, 0.7, 4, whole);
        for (int i = 0; i < LEN; i += BNF_OPTIM_BLOCK) {
            const int n = LEN - i < BNF_OPTIM_BLOCK ? LEN - i : BNF_OPTIM_BLOCK;
            bnf_optim_measure(&rule, value + i, grad + i, (float *[]){s0 + i, s1 + i}, n, 0.1, 0.7, 4, part);
            sums[0] += part[0];
            sums[1] += part[1];
        }
        assert_true(whole[0] > 1000 && whole[1] > 1000);
        assert_memory_equal(whole, sums, sizeof sums);
    }
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
        rule.uncoupled = rule.kind == BNF_OPTIM_ADAMW;
        if (rule.uncoupled)
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
    rule = bnf_optim_rule_default(BNF_OPTIM_LARS);
    rule.trust = 0;
    assert_int_equal(bnf_optim_rule_check(&rule), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "optim.trust"));
    bnf_error_clear();
    rule.trust = 1;
    rule.nesterov = true;
    assert_int_equal(bnf_optim_rule_check(&rule), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "nesterov"));
    bnf_error_clear();
    rule = bnf_optim_rule_default(BNF_OPTIM_LAMB);
    rule.uncoupled = true;
    assert_int_equal(bnf_optim_rule_check(&rule), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "optim.decay"));
    assert_non_null(strstr(bnf_error_message(), "lamb"));
    bnf_error_clear();
    assert_string_equal(bnf_optim_state_name(&(bnf_optim_rule){.kind = BNF_OPTIM_ADAM}, 1), "moment2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_adam),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_lars),
        cmocka_unit_test(test_lamb),
        cmocka_unit_test(test_sums_of_blocks),
        cmocka_unit_test(test_adam_first_step),
        cmocka_unit_test(test_split_invariance),
        cmocka_unit_test(test_names_and_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
