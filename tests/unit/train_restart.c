/* When `banff run` starts a job again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "train/restart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

static const bnf_restart_rules rules = {.max_restarts = 5, .max_idle = 3};

static bnf_restart_verdict decide(bnf_restart_rules r, int code, bnf_restart_end end)
{
    end.code = code;
    bnf_restart_verdict v = bnf_restart_decide(&r, &end);
    assert_true(v.again == (v.but == NULL));
    assert_non_null(v.why);
    return v;
}

static void test_codes(void **unused)
{
    (void)unused;
    const bnf_restart_end well = {.began = true, .moved = true, .ranks = 4},
                          idle = {.began = true, .idle = 1, .ranks = 4};
    static const int again[] = {1, 76, 137, 143, 134, 135, 139, 205, 255}, never[] = {0, 2, 78, 126, 127, 75};
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++) {
        assert_true(decide(rules, again[i], well).again);
        assert_int_equal(decide(rules, again[i], well).ranks, 4);
    }
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        assert_false(decide(rules, never[i], well).again);
    assert_true(decide(rules, 76, idle).again); /* a lost host needs no progress to be tried without */
    assert_false(decide(rules, 1, idle).again);
    bnf_restart_rules through = rules;
    through.through_signals = true;
    assert_true(decide(through, 75, well).again);
    assert_false(decide(through, 2, well).again);
    assert_false(decide(through, 78, well).again);
}

static void test_asked(void **unused)
{
    (void)unused;
    bnf_restart_end asked = {.began = true, .moved = true, .asked = true};
    bnf_restart_rules through = rules;
    through.through_signals = true;
    static const int codes[] = {0, 1, 75, 76, 137, 143};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_false(decide(rules, codes[i], asked).again);
        assert_false(decide(through, codes[i], asked).again);
    }
}

static void test_bounds(void **unused)
{
    (void)unused;
    bnf_restart_end end = {.began = true, .moved = true, .restarts = 4};
    assert_true(decide(rules, 76, end).again);
    end.restarts = 5;
    assert_false(decide(rules, 76, end).again);
    end = (bnf_restart_end){.began = true, .idle = 2};
    assert_true(decide(rules, 137, end).again);
    end.idle = 3;
    assert_false(decide(rules, 137, end).again);
    bnf_restart_rules none = {0};
    assert_false(decide(none, 137, (bnf_restart_end){.began = true, .moved = true}).again);
}

static void test_fewer_ranks(void **unused)
{
    (void)unused;
    bnf_restart_rules r = rules;
    bnf_restart_end end = {.ranks = 4, .idle = 1};
    assert_false(decide(r, 1, end).again); /* not allowed to */
    r.min_ranks = 2;
    assert_int_equal(decide(r, 1, end).ranks, 3);
    end.ranks = 3;
    end.idle = 3; /* fewer ranks are something new */
    assert_int_equal(decide(r, 205, end).ranks, 2);
    end.ranks = 2;
    assert_false(decide(r, 205, end).again);
    end.idle = 1;
    assert_int_equal(decide(r, 205, end).ranks, 2);
    assert_false(decide(r, 1, end).again);
    end = (bnf_restart_end){.ranks = 64, .idle = 1};
    assert_int_equal(decide(r, 1, end).ranks, 56);
    end.began = true; /* it did start: the number is not what was wrong */
    assert_int_equal(decide(r, 205, end).ranks, 64);
}

static void touch(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/checkpoints/%s", folder, name);
    assert_int_equal(bnf_fs_append(path, "x", 1), BNF_OK);
}

static void test_newest(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/bnf_restart_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(bnf_restart_newest(folder), -1);
    snprintf(path, sizeof path, "%s/checkpoints", folder);
    assert_int_equal(bnf_fs_make_folders(path), BNF_OK);
    static const char *const others[] = {
        "ckpt-000000000099.h5.tmp", "ckpt-000000000098.part-0001.h5", "ckpt-97.h5",       "ckpt-", "x",
        "xckpt-000000000096.h5",    "ckpt-0000000000955.h5",          "ckpt-000000000094"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        touch(folder, others[i]);
    assert_int_equal(bnf_restart_newest(folder), -1);
    touch(folder, "ckpt-000000000007.h5");
    touch(folder, "ckpt-000000000005.h5");
    assert_int_equal(bnf_restart_newest(folder), 7);
    touch(folder, "ckpt-000000000031-g2.h5");
    assert_int_equal(bnf_restart_newest(folder), 31);
    assert_int_equal(bnf_fs_remove(folder), BNF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),       cmocka_unit_test(test_asked),  cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_fewer_ranks), cmocka_unit_test(test_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
