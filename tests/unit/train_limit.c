/* Lengths of time, SLURM's end, and the margin before a time limit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "train/limit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static void test_durations(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"90", 90},
                {"7.5", 7.5},
                {"7.5s", 7.5},
                {"15m", 900},
                {"2h", 7200},
                {"1.5h", 5400},
                {"3d", 259200},
                {"0", 0},
                {"2:30", 150},
                {"90:00", 5400},
                {"1:02:03", 3723},
                {"1-02:00:00", 93600},
                {"1-02", 93600},
                {"1-02:30", 95400},
                {"0-0:0:1", 1},
                {"100:00:00", 360000},
                {"2-23:59:59", 259199}};
    static const char *const bad[] = {"",      "m",     "-5",   "5x",        "1:60",         "1:2:3:4", "1-",
                                      "-",     ":",     "1--2", "1:",        ":30",          "nan",     "inf",
                                      "1e400", "1-2-3", " 5",   "5 ",        "+5",           "1:6 0",   "1m30s",
                                      "1.5:0", "0x10s", "auto", "1-1:60:00", "1234567890:00"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double seconds = -1;
        assert_int_equal(bnf_duration_parse(good[i].text, &seconds), BNF_OK);
        assert_true(seconds == good[i].seconds);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double seconds = -1;
        bnf_error_clear();
        if (bnf_duration_parse(bad[i], &seconds) != BNF_ERR_CONFIG)
            fail_msg("'%s' was taken", bad[i]);
        assert_non_null(strstr(bnf_error_message(), bad[i]));
    }
    bnf_error_clear();
    assert_int_equal(bnf_limit_check("auto"), BNF_OK);
    assert_int_equal(bnf_limit_check("none"), BNF_OK);
    assert_int_equal(bnf_limit_check("soon"), BNF_ERR_CONFIG);
    assert_non_null(strstr(bnf_error_message(), "run.time_limit"));
    bnf_error_clear();
}

/* One more step as long as the longest, and a checkpoint in three times the time of the longest, have to fit. */
static void test_margin(void **unused)
{
    (void)unused;
    bnf_limit limit;
    unsetenv("SLURM_JOB_ID");
    assert_int_equal(bnf_limit_start(&limit, "1000"), BNF_OK);
    double t0 = limit.look;
    assert_true(limit.end == t0 + 1000);
    bnf_limit_loop(&limit, t0 + 100, 0);
    assert_false(bnf_limit_due(&limit, t0 + 110)); /* a step of 10 */
    bnf_limit_saved(&limit, 50);
    assert_false(bnf_limit_due(&limit, t0 + 115)); /* a step of 5 */
    bnf_limit_saved(&limit, 20);
    assert_false(bnf_limit_due(&limit, t0 + 120)); /* 10 + 3 * 50 = 160 */
    for (int t = 125; t < 840; t += 5)
        assert_false(bnf_limit_due(&limit, t0 + t));
    assert_true(bnf_limit_due(&limit, t0 + 840));
    assert_int_equal(bnf_limit_start(&limit, "none"), BNF_OK);
    bnf_limit_loop(&limit, t0, INT64_C(1) << 40);
    assert_false(bnf_limit_due(&limit, t0 + 1e12));
}

static void test_first_checkpoint_is_guessed(void **unused)
{
    (void)unused;
    bnf_limit limit;
    assert_int_equal(bnf_limit_start(&limit, "1000"), BNF_OK);
    double t0 = limit.look;
    bnf_limit_loop(&limit, t0, INT64_C(5000000000)); /* a second and 100 s at 50 MB/s */
    assert_false(bnf_limit_due(&limit, t0 + 1));
    for (int t = 2; t < 696; t++) /* 1 + 3 * 101 = 304 */
        assert_false(bnf_limit_due(&limit, t0 + t));
    assert_true(bnf_limit_due(&limit, t0 + 696));
    bnf_limit_saved(&limit, 1); /* now it is known */
    assert_false(bnf_limit_due(&limit, t0 + 697));
}

static double started(const char *setting)
{
    bnf_limit limit;
    double now = bnf_clock_seconds();
    assert_int_equal(bnf_limit_start(&limit, setting), BNF_OK);
    return limit.end - now;
}

static void test_slurm(void **unused)
{
    (void)unused;
    char text[32], folder[] = "/tmp/bnf_limit_XXXXXX", path[64], *old = getenv("PATH");
    assert_non_null(mkdtemp(folder));
    setenv("SLURM_JOB_ID", "17", 1);
    snprintf(text, sizeof text, "%.0f", bnf_clock_wall_seconds() + 3600);
    setenv("SLURM_JOB_END_TIME", text, 1);
    assert_true(fabs(started("auto") - 3600) < 60);
    assert_true(fabs(started("600") - 600) < 60);
    assert_true(fabs(started("2h") - 3600) < 60); /* the earlier one */
    assert_true(isinf(started("none")));
    unsetenv("SLURM_JOB_END_TIME"); /* then squeue is asked: here, one of our own */
    snprintf(path, sizeof path, "%s/squeue", folder);
    static const struct {
        const char *says;
        double seconds;
    } answers[] = {{"echo 1-02:00:00", 93600},
                   {"echo 59:30", 3570},
                   {"echo UNLIMITED", INFINITY},
                   {"echo INVALID", INFINITY},
                   {"exit 1", INFINITY},
                   {"echo 1:00:00; exec sleep 1000", 3600},
                   {"[ \"$*\" = '-h -j 17 -o %L' ] && echo 10:00", 600}};
    char *keep = strdup(old);
    setenv("PATH", folder, 1);
    assert_true(isinf(started("auto"))); /* no such program */
    snprintf(text, sizeof text, "%s", folder);
    char both[4096];
    snprintf(both, sizeof both, "%s:%s", folder, keep);
    setenv("PATH", both, 1);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f, "#!/bin/sh\n%s\n", answers[i].says);
        fclose(f);
        chmod(path, 0755);
        double is = started("auto");
        if (isinf(answers[i].seconds) ? !isinf(is) : fabs(is - answers[i].seconds) > 60)
            fail_msg("'%s' was understood as %g s", answers[i].says, is);
    }
    setenv("PATH", keep, 1);
    free(keep);
    unlink(path);
    rmdir(folder);
    unsetenv("SLURM_JOB_ID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_margin),
        cmocka_unit_test(test_first_checkpoint_is_guessed),
        cmocka_unit_test(test_slurm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
