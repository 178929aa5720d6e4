/* Who is late: the marks, the verdict, and the thread that ends a process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "train/watchdog.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static void *mark_elsewhere(void *unused)
{
    (void)unused;
    bnf_pulse(BNF_PHASE_LOAD, 99); /* not the thread that marks */
    return NULL;
}

static void test_pulse(void **unused)
{
    (void)unused;
    bnf_pulse_record a, b;
    pthread_t thread;
    bnf_pulse_begin();
    bnf_pulse(BNF_PHASE_COMPUTE, INT64_C(999999999999));
    bnf_pulse_read(&a);
    assert_int_equal(a.step, INT64_C(999999999999));
    assert_int_equal(a.phase, BNF_PHASE_COMPUTE);
    assert_false(a.waits);
    bnf_pulse_wait(true);
    bnf_pulse_read(&b);
    assert_true(b.waits && b.step == a.step && b.phase == a.phase && b.count > a.count);
    bnf_pulse_phase(BNF_PHASE_REDUCE);
    bnf_pulse_read(&b);
    assert_true(!b.waits && b.step == a.step && b.phase == BNF_PHASE_REDUCE);
    assert_int_equal(pthread_create(&thread, NULL, mark_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    bnf_pulse_read(&a);
    assert_true(a.count == b.count && a.phase == b.phase);
    bnf_pulse_stall(BNF_PHASE_UPDATE, 7, 0.05);
    double start = bnf_clock_seconds();
    bnf_pulse(BNF_PHASE_UPDATE, 7);
    assert_true(bnf_clock_seconds() - start >= 0.05);
}

static bnf_watch_rank rank_at(int64_t step, bnf_phase phase, bool waits, double still, double silent)
{
    return (bnf_watch_rank){.known = true,
                            .at = {.step = step, .phase = phase, .waits = waits},
                            .still = still,
                            .silent = silent,
                            .host = "h"};
}

static const char *verdict(bnf_watch_rank *ranks, int n, int me)
{
    static char text[1200];
    bnf_watchdog_verdict(ranks, n, me, 10, text, sizeof text);
    return text;
}

static void holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in '%s'", part, text);
}

static void test_verdict(void **unused)
{
    (void)unused;
    bnf_watch_rank waits = rank_at(8, BNF_PHASE_REDUCE, true, 11, 0.2);
    /* computing for ever, others wait in the same phase and a later one */
    bnf_watch_rank stuck[] = {waits, rank_at(8, BNF_PHASE_COMPUTE, false, 12, 0.3), waits, waits};
    stuck[1].host = "n2";
    const char *text = verdict(stuck, 4, 0);
    holds(text, "rank 1 on host n2 is late: step 8, phase compute, for 12.0 s; 3 others wait (step 8, phase reduce)");
    holds(text, "10 s");
    assert_null(strstr(text, "rank 0"));
    /* stopped, an old file: it cannot be before the step in which the others wait for it */
    bnf_watch_rank gone[] = {waits, rank_at(5, BNF_PHASE_LOAD, false, 40, 39)};
    holds(verdict(gone, 2, 0),
          "none of the others gave a sign of life: rank 0 on host h is cut off, or they are late; "
          "rank 1 on host h is late: step 8, phase reduce, no sign of life for 39.0 s; 1 other waits (step 8");
    /* stopped while it waited: its file says that it waits, but it is the silent one */
    bnf_watch_rank stopped[] = {waits, waits, rank_at(8, BNF_PHASE_REDUCE, true, 12, 12)};
    text = verdict(stopped, 3, 0);
    holds(text, "rank 2 on host h is late: step 8, phase reduce, no sign of life for 12.0 s; 2 others wait");
    assert_null(strstr(text, "none of"));
    /* the other one waits in a way that has no mark: all the same, the silent one is late, and in the other's step */
    bnf_watch_rank unmarked[] = {rank_at(8, BNF_PHASE_COMPUTE, false, 10, 0), rank_at(6, BNF_PHASE_LOAD, true, 11, 11)};
    assert_string_equal(verdict(unmarked, 2, 0), "rank 1 on host h is late: step 8, phase compute, no sign of life for "
                                                 "11.0 s; run.watchdog allows 10 s");
    /* never seen */
    bnf_watch_rank never[] = {waits, waits, {.host = "x"}};
    holds(verdict(never, 3, 1), "rank 2 on host x is late: step 8, phase reduce, no sign of life since the start");
    /* all wait: the one that is behind */
    bnf_watch_rank all[] = {rank_at(9, BNF_PHASE_LOAD, true, 15, 0), rank_at(8, BNF_PHASE_END, true, 11, 0)};
    holds(verdict(all, 2, 0), "all 2 ranks wait for each other");
    holds(verdict(all, 2, 0), "rank 1 on host h, step 8, phase end, for 11.0 s");
    /* alone, at work */
    bnf_watch_rank alone[] = {rank_at(3, BNF_PHASE_CHECKPOINT, false, 10.5, 0)};
    assert_string_equal(verdict(alone, 1, 0),
                        "rank 0 on host h is late: step 3, phase checkpoint, for 10.5 s; run.watchdog allows 10 s");
    /* many: some are named, the line keeps its bounds */
    bnf_watch_rank many[4096];
    for (int r = 0; r < 4096; r++)
        many[r] = r % 2 ? waits : rank_at(8, BNF_PHASE_COMPUTE, false, 13, 0);
    holds(verdict(many, 4096, 1),
          "rank 6 on host h is late: step 8, phase compute, for 13.0 s and 2044 more; 2048 others");
    char small[20];
    bnf_watchdog_verdict(many, 4096, 0, 10, small, sizeof small);
    assert_true(strlen(small) == sizeof small - 1);
}

static int message_to;

static void end(const char *message) __attribute__((noreturn));
static void end(const char *message)
{
    ssize_t n = write(message_to, message, strlen(message));
    _exit(n > 0 ? 76 : 1);
}

static void sleep_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&t, NULL);
}

/* A process of its own, looked after with a limit of a second, does this. [out] text what its watchdog said. */
static int in_a_process(void (*what)(bnf_watchdog *), char *text, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bnf_watchdog *dog;
        message_to = ends[1];
        if (bnf_watchdog_start(NULL, 1, end, &dog) != BNF_OK)
            _exit(3);
        what(dog);
        bnf_watchdog_stop(dog);
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = read(ends[0], text + n, size - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void hang(bnf_watchdog *dog)
{
    (void)dog;
    bnf_pulse(BNF_PHASE_UPDATE, 41);
    for (;;)
        sleep_for(1);
}

static void get_on(bnf_watchdog *dog)
{
    (void)dog;
    for (int i = 0; i < 25; i++) {
        bnf_pulse(BNF_PHASE_LOAD, i);
        sleep_for(0.08);
    }
}

static char folder[] = "/tmp/bnf_watchdog_XXXXXX";

static void hang_shared(bnf_watchdog *dog)
{
    if (bnf_watchdog_share(dog, folder) != BNF_OK)
        _exit(4);
    hang(dog);
}

static void share(bnf_watchdog *dog)
{
    char path[64];
    snprintf(path, sizeof path, "%s/.watch", folder);
    if (bnf_watchdog_share(dog, folder) != BNF_OK || access(path, F_OK) != 0)
        _exit(4);
    get_on(dog);
    bnf_watchdog_stop(dog);
    _exit(access(path, F_OK) == 0 ? 5 : 0);
}

static void test_process(void **unused)
{
    (void)unused;
    char text[1200];
    assert_int_equal(in_a_process(hang, text, sizeof text), 76);
    holds(text, "step 41, phase update, for 1.");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(in_a_process(hang_shared, text, sizeof text), 76);
    holds(text, "rank 0 on host ");
    holds(text, " is late: step 41, phase update, for 1.");
    assert_int_equal(in_a_process(get_on, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(in_a_process(share, text, sizeof text), 0);
    assert_int_equal(rmdir(folder), 0); /* the third has removed what the second left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pulse),
        cmocka_unit_test(test_verdict),
        cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
