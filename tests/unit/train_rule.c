/* An optimiser as the updater's rule: which decay and which rate a step of a parameter gets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "train/rule.h"

#include <math.h>
#include <string.h>

enum { N = 4, STEPS = 20 };

static bnf_params *store(void)
{
    static const char *const names[] = {"a.weight", "b.weight", "c.bias"};
    bnf_params *params;
    assert_int_equal(bnf_params_create(BNF_F32, &params), BNF_OK);
    for (int i = 0; i < 3; i++) {
        int index;
        const bnf_param_info info = {.name = names[i],
                                     .desc = bnf_desc_1d(BNF_F32, N),
                                     .trainable = true,
                                     .decay = i < 2,
                                     .init = {BNF_INIT_CONSTANT, 1, 0}};
        assert_int_equal(bnf_params_add(params, &info, &index), BNF_OK);
    }
    return params;
}

/* Gradients of zeros leave the decay alone. An uncoupled one follows the schedule's multiplier and nothing else: not
 * the rate, nor a group's factor of it. */
static void test_uncoupled_decay(void **unused)
{
    (void)unused;
    static const char yaml[] = "optim: {rule: adamw, decay: uncoupled, lr: 0.01, weight_decay: 0.1, schedule: cosine, "
                               "warmup_epochs: 1, groups: [{match: \"b.*\", lr_scale: 0.5, weight_decay: 0.02}]}\n";
    bnf_optim_config config = {0};
    const bnf_cfg_section section = bnf_optim_config_section(&config);
    bnf_params *params = store();
    bnf_rule rule;
    double want[3] = {1, 1, 1};
    float value[3][N], grad[N] = {0}, m[3][N] = {{0}}, v[3][N] = {{0}};
    assert_int_equal(bnf_config_load_text(yaml, strlen(yaml), "test.yaml", &section, 1, NULL, 0), BNF_OK);
    assert_int_equal(bnf_rule_create(&config, params, 4, STEPS, &rule), BNF_OK);
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < N; i++)
            value[p][i] = 1;
    for (int step = 0; step < STEPS; step++) {
        const double pi = 3.14159265358979323846;
        const double factor = step < 4 ? (step + 1) / 4.0 : 0.5 * (1 + cos(pi * (step - 4) / (STEPS - 4)));
        for (int p = 0; p < 3; p++) {
            float *const state[2] = {m[p], v[p]};
            rule.rule.update(rule.rule.self, p, value[p], grad, state, N, 1, step, NULL);
            want[p] *= 1 - factor * (p == 0 ? 0.1 : p == 1 ? 0.02 : 0);
            for (int i = 0; i < N; i++)
                assert_true(fabs((double)value[p][i] - want[p]) < 2e-7 * (step + 1));
        }
    }
    assert_true(want[0] < 0.5 && want[1] < 0.9 && value[2][0] == 1.0f);
    bnf_rule_release(&rule);
    bnf_params_destroy(params);
    bnf_config_free(&section, 1);
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

/* A constant schedule decays by weight_decay itself, to the bit; a coupled decay is multiplied by the rate. */
static void test_constant_schedule(void **unused)
{
    (void)unused;
    for (int uncoupled = 0; uncoupled < 2; uncoupled++) {
        bnf_optim_config config = {.rule = BNF_OPTIM_ADAMW,
                                   .decay = uncoupled,
                                   .lr = 0.003,
                                   .weight_decay = 0.125,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .gamma = 0.1,
                                   .power = 1};
        bnf_params *params = store();
        bnf_rule rule;
        float value[N] = {1, 2, 4, 8}, grad[N] = {0}, m[N] = {0}, v[N] = {0};
        float *const state[2] = {m, v};
        assert_int_equal(bnf_rule_create(&config, params, 4, STEPS, &rule), BNF_OK);
        rule.rule.update(rule.rule.self, 0, value, grad, state, N, 1, 7, NULL);
        for (int i = 0; i < N; i++)
            assert_true(value[i] == (uncoupled ? 0.875f : (float)(1 - 0.003 * 0.125)) * (float)(1 << i));
        bnf_rule_release(&rule);
        bnf_params_destroy(params);
    }
}

/* The hook is there only where it is asked for: other runs keep their bits. */
static void test_clipping_is_asked_for(void **unused)
{
    (void)unused;
    bnf_optim_config config = {.rule = BNF_OPTIM_SGD, .lr = 0.1, .gamma = 0.1, .power = 1};
    bnf_params *params = store();
    bnf_rule rule;
    assert_int_equal(bnf_rule_create(&config, params, 4, STEPS, &rule), BNF_OK);
    assert_null(rule.rule.clip_variable);
    bnf_rule_release(&rule);
    config.clip_variable = 2;
    assert_int_equal(bnf_rule_create(&config, params, 4, STEPS, &rule), BNF_OK);
    assert_true(rule.rule.clip_variable(rule.rule.self, 25) == 0.4 && rule.rule.clip(rule.rule.self, 25) == 1);
    bnf_rule_release(&rule);
    bnf_params_destroy(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uncoupled_decay),
        cmocka_unit_test(test_constant_schedule),
        cmocka_unit_test(test_clipping_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
