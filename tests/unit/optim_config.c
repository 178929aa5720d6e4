/* Section "optim" of a configuration: defaults, every key, refusals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "optim/optim_config.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

static bnf_status load(const char *yaml, bnf_optim_config *config)
{
    const bnf_cfg_section section = bnf_optim_config_section(config);
    return bnf_config_load_text(yaml, strlen(yaml), "test.yaml", &section, 1, NULL, 0);
}

static void release(bnf_optim_config *config)
{
    const bnf_cfg_section section = bnf_optim_config_section(config);
    bnf_config_free(&section, 1);
}

static void test_defaults(void **unused)
{
    (void)unused;
    bnf_optim_config config = {0};
    bnf_optim_settings settings;
    assert_int_equal(load("optim: {}\n", &config), BNF_OK);
    assert_int_equal(bnf_optim_config_settings(&config, &settings), BNF_OK);
    const bnf_optim_settings want = bnf_optim_settings_default();
    assert_int_equal(settings.rule.kind, want.rule.kind);
    assert_true(settings.rule.beta1 == want.rule.beta1 && settings.rule.beta2 == want.rule.beta2);
    assert_true(settings.rule.eps == want.rule.eps && settings.schedule.lr == want.schedule.lr);
    assert_true(settings.schedule.gamma == want.schedule.gamma && settings.schedule.power == want.schedule.power);
    assert_int_equal(settings.schedule.kind, want.schedule.kind);
    assert_int_equal(settings.group_count, 0);
    assert_true(settings.clip_norm == 0.0 && settings.weight_decay == 0.0 && settings.clip_variable == 0.0);
    assert_false(settings.rule.uncoupled);
    release(&config);
}

static void test_every_name_maps_to_its_kind(void **unused)
{
    (void)unused;
    for (int k = 0; k < BNF_OPTIM_KIND_COUNT; k++) {
        char yaml[64] = "optim:\n  rule: ";
        bnf_optim_config config = {0};
        assert_int_equal(load(strcat(yaml, bnf_optim_kind_name((bnf_optim_kind)k)), &config), BNF_OK);
        assert_int_equal(config.rule, k);
        release(&config);
    }
    for (int k = 0; k < BNF_SCHEDULE_KIND_COUNT; k++) {
        char yaml[64] = "optim:\n  schedule: ";
        bnf_optim_config config = {0};
        assert_int_equal(load(strcat(yaml, bnf_schedule_kind_name((bnf_schedule_kind)k)), &config), BNF_OK);
        assert_int_equal(config.schedule, k);
        release(&config);
    }
}

static void test_full(void **unused)
{
    (void)unused;
    static const char yaml[] = "optim:\n"
                               "  rule: sgd\n  lr: 0.1\n  momentum: 0.9\n  nesterov: true\n  weight_decay: 5e-4\n"
                               "  clip_norm: 2\n  schedule: step\n  milestones: [30, 60.5]\n  gamma: 0.2\n"
                               "  warmup_epochs: 0.5\n  warmup_start: 0.25\n"
                               "  groups:\n"
                               "    - {match: \"*.bias\", weight_decay: 0}\n"
                               "    - {match: \"head.*\", lr: 0.01}\n";
    bnf_optim_config config = {0};
    bnf_optim_settings s;
    bnf_param_setting found;
    assert_int_equal(load(yaml, &config), BNF_OK);
    assert_int_equal(bnf_optim_config_settings(&config, &s), BNF_OK);
    assert_true(s.rule.kind == BNF_OPTIM_SGD && s.rule.momentum == 0.9 && s.rule.nesterov);
    assert_true(s.schedule.kind == BNF_SCHEDULE_STEP && s.schedule.milestone_count == 2);
    assert_true(s.schedule.milestones[1] == 60.5 && s.schedule.gamma == 0.2);
    assert_true(s.schedule.warmup_epochs == 0.5 && s.schedule.warmup_start == 0.25 && s.clip_norm == 2.0);
    assert_int_equal(s.group_count, 2);
    assert_int_equal(
        bnf_param_group_resolve(s.groups, s.group_count, "head.weight", s.schedule.lr, s.weight_decay, &found), BNF_OK);
    assert_true(found.group == 1 && fabs(found.lr_scale - 0.1) < 1e-15 && found.weight_decay == 5e-4);
    assert_int_equal(
        bnf_param_group_resolve(s.groups, s.group_count, "head.bias", s.schedule.lr, s.weight_decay, &found), BNF_OK);
    assert_true(found.group == 0 && found.lr_scale == 1.0 && found.weight_decay == 0.0);
    release(&config);
}

static void test_decay_and_clipping(void **unused)
{
    (void)unused;
    bnf_optim_config config = {0};
    bnf_optim_settings s;
    assert_int_equal(load("optim: {rule: adamw, decay: uncoupled, weight_decay: 1e-4, clip_variable: 1}\n", &config),
                     BNF_OK);
    assert_int_equal(bnf_optim_config_settings(&config, &s), BNF_OK);
    assert_true(s.rule.uncoupled && s.weight_decay == 1e-4 && s.clip_variable == 1.0 && s.clip_norm == 0.0);
    release(&config);
    assert_int_equal(load("optim: {rule: adam, decay: coupled}\n", &config), BNF_OK);
    assert_int_equal(bnf_optim_config_settings(&config, &s), BNF_OK);
    assert_false(s.rule.uncoupled);
    release(&config);
}

static void assert_refused(const char *yaml, const char *word)
{
    bnf_optim_config config = {0};
    bnf_optim_settings settings;
    bnf_status status = load(yaml, &config);
    if (status == BNF_OK)
        status = bnf_optim_config_settings(&config, &settings);
    assert_int_equal(status, BNF_ERR_CONFIG);
    assert_non_null(strstr(bnf_error_message(), word));
    bnf_error_clear();
    release(&config);
}

static void test_refused(void **unused)
{
    (void)unused;
    assert_refused("optim:\n  rule: adamx\n", "adamw");
    assert_refused("optim:\n  learning_rate: 1\n", "learning_rate");
    assert_refused("optim:\n  lr: -1\n", "lr");
    assert_refused("optim:\n  beta1: 1\n", "optim.beta1");
    assert_refused("optim:\n  nesterov: true\n  rule: sgd\n", "optim.momentum");
    assert_refused("optim:\n  schedule: cosine\n  min_lr: 1\n", "optim.min_lr");
    assert_refused("optim:\n  schedule: step\n  milestones: [3, 2]\n", "milestones[1]");
    assert_refused("optim:\n  groups:\n    - {match: a, lr: 1, lr_scale: 1}\n", "not both");
    assert_refused("optim:\n  groups:\n    - {lr: 1}\n", "match");
    assert_refused("optim: {clip_variable: -1}\n", "clip_variable");
    assert_refused("optim: {clip_variable: 1, clip_norm: 1}\n", "optim.clip_variable and optim.clip_norm");
    assert_refused("optim: {rule: adam, decay: uncoupled}\n", "optim.decay: uncoupled is for adamw");
    assert_refused("optim: {rule: adamw, decay: decoupled}\n", "uncoupled");
    assert_refused("optim: {rule: adamw, decay: uncoupled, lr: 0}\n", "optim.lr");
    assert_refused("optim: {rule: adamw, decay: uncoupled, weight_decay: 1}\n", "optim.weight_decay");
    assert_refused("optim: {rule: adamw, decay: uncoupled, groups: [{match: a, weight_decay: 2}]}\n",
                   "optim.groups[0]");
    assert_refused("optim:\n  milestones: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]\n", "at most 16");
}

static void test_dump_loads_back(void **unused)
{
    (void)unused;
    bnf_optim_config config = {0}, again = {0};
    bnf_buf text = {0};
    assert_int_equal(load("optim:\n  lr: 0.3\n  groups: [{match: x, lr_scale: 2}]\n", &config), BNF_OK);
    const bnf_cfg_section section = bnf_optim_config_section(&config);
    assert_int_equal(bnf_config_dump(&text, &section, 1), BNF_OK);
    assert_int_equal(load(bnf_buf_text(&text), &again), BNF_OK);
    assert_true(again.lr == 0.3 && again.groups.count == 1);
    const bnf_optim_group_config *group = again.groups.item;
    assert_true(group->lr_scale == 2.0 && isnan(group->lr));
    bnf_buf_release(&text);
    release(&config);
    release(&again);
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_every_name_maps_to_its_kind),
        cmocka_unit_test(test_full),     cmocka_unit_test(test_decay_and_clipping),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_dump_loads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
