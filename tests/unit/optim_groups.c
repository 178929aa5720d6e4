/* Parameter groups: the first match wins, unset fields fall through, impossible groups are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/optim.h>

#include <string.h>

static bnf_param_setting resolve(const bnf_param_group *groups, int count, const char *name)
{
    bnf_param_setting setting = {0};
    assert_int_equal(bnf_param_group_resolve(groups, count, name, 0.01, 0.1, &setting), BNF_OK);
    return setting;
}

static void test_first_match_wins(void **unused)
{
    (void)unused;
    bnf_param_group groups[3] = {bnf_param_group_default("*.bias"), bnf_param_group_default("conv?.*"),
                                 bnf_param_group_default("conv1.weight")};
    groups[0].weight_decay = 0.0;
    groups[1].lr_scale = 0.5;
    groups[2].lr_scale = 99.0;
    bnf_param_setting s = resolve(groups, 3, "conv1.bias");
    assert_int_equal(s.group, 0);
    assert_true(s.lr_scale == 1.0 && s.weight_decay == 0.0);
    s = resolve(groups, 3, "conv1.weight");
    assert_int_equal(s.group, 1);
    assert_true(s.lr_scale == 0.5 && s.weight_decay == 0.1);
    s = resolve(groups, 3, "conv12.weight");
    assert_int_equal(s.group, -1);
    assert_true(s.lr_scale == 1.0 && s.weight_decay == 0.1);
    s = resolve(NULL, 0, "anything");
    assert_int_equal(s.group, -1);
}

static void test_own_rate(void **unused)
{
    (void)unused;
    bnf_param_group group = bnf_param_group_default("head/*");
    group.lr = 0.002;
    const bnf_param_setting s = resolve(&group, 1, "head/block/weight");
    assert_true(s.lr_scale == 0.002 / 0.01);
}

static void assert_refused(const bnf_param_group *group, double base_lr, const char *word)
{
    bnf_param_setting setting = {.group = 77};
    assert_int_equal(bnf_param_group_resolve(group, 1, "x", base_lr, 0.0, &setting), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), word));
    assert_int_equal(setting.group, 77); /* untouched on error */
    bnf_error_clear();
}

static void test_refused(void **unused)
{
    (void)unused;
    bnf_param_group group = bnf_param_group_default("x");
    group.lr = 0.1;
    assert_refused(&group, 0.0, "optim.lr");
    group.lr_scale = 2.0;
    assert_refused(&group, 0.1, "not both");
    group = bnf_param_group_default("x");
    group.weight_decay = -1.0;
    assert_refused(&group, 0.1, "weight_decay");
    group = bnf_param_group_default("");
    assert_refused(&group, 0.1, "match");

    bnf_optim_settings settings = bnf_optim_settings_default();
    assert_int_equal(bnf_optim_settings_check(&settings), BNF_OK);
    settings.group_count = 2;
    settings.groups[0] = bnf_param_group_default("a");
    settings.groups[1] = bnf_param_group_default("b");
    settings.groups[1].lr_scale = -2.0;
    assert_int_equal(bnf_optim_settings_check(&settings), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "groups[1]"));
    bnf_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_match_wins),
        cmocka_unit_test(test_own_rate),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
