/* The progress line as a terminal would show it, and the plain form. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "report/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct screen {
    FILE *out;
    char *text; /* all that was written */
    size_t size;
    bnf_progress *progress;
} screen;

static void open_screen(screen *s, bnf_progress_mode mode, int width, double plain_seconds, int64_t first_step)
{
    *s = (screen){0};
    s->out = open_memstream(&s->text, &s->size);
    assert_non_null(s->out);
    const bnf_progress_options options = {.out = s->out,
                                          .mode = mode,
                                          .epochs = 3,
                                          .steps_per_epoch = 100,
                                          .first_step = first_step,
                                          .samples_per_step = 128,
                                          .plain_seconds = plain_seconds,
                                          .width = width};
    assert_int_equal(bnf_progress_create(&options, 1000.0, &s->progress), BNF_OK);
}

static void close_screen(screen *s)
{
    bnf_progress_destroy(s->progress);
    fclose(s->out);
    free(s->text);
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

/* One step every 0.05 s. */
static void run_steps(screen *s, int64_t from, int64_t to)
{
    for (int64_t step = from; step <= to; step++) {
        const bnf_progress_state state = {.step = step,
                                          .loss = 2.0 / (double)step,
                                          .accuracy = 0.5,
                                          .lr = NAN,
                                          .seconds = 1000.0 + 0.05 * (double)(step - from + 1)};
        bnf_progress_update(s->progress, &state);
    }
}

static int count_char(const char *text, char c)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += *text == c;
    return n;
}

/* What stands on the last line of a terminal after all the text: \r goes back, later characters overwrite. */
static void last_line(const char *text, char *line)
{
    size_t at = 0;
    memset(line, 0, 1024);
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            memset(line, 0, 1024);
        if (*text == '\n' || *text == '\r')
            at = 0;
        else
            line[at++] = *text;
        assert_true(at < 1024);
    }
}

static void test_bar(void **unused)
{
    (void)unused;
    char line[1024];
    for (int width = 40; width <= 200; width += 40) {
        screen s;
        open_screen(&s, BNF_PROGRESS_BAR, width, 0.0, 0);
        run_steps(&s, 1, 200); /* the end of an epoch is always drawn */
        fflush(s.out);
        last_line(s.text, line);
        assert_true((int)strlen(line) < width); /* never the last column: it would wrap */
        assert_int_equal(count_char(s.text, '\n'), 0);
        assert_non_null(strstr(line, "epoch 2/3"));
        if (width >= 80) {
            assert_non_null(strstr(line, "loss 0.0100"));
            assert_non_null(strstr(line, "acc 50.00%"));
            assert_non_null(strstr(line, "2560/s")); /* 128 samples in 0.05 s */
        }
        if (width >= 120)
            assert_non_null(strstr(line, "ETA 5s")); /* 100 steps of 0.05 s */
        /* 10 s of steps, at most ten drawings a second plus the ends of the epochs. */
        assert_in_range(count_char(s.text, '\r'), 40, 102);
        bnf_progress_finish(s.progress);
        fflush(s.out);
        assert_int_equal(s.text[s.size - 1], '\n');
        close_screen(&s);
    }
}

/* The bar fills in proportion, and a shorter line leaves nothing of a longer one behind. */
static void test_redraw(void **unused)
{
    (void)unused;
    char line[1024];
    screen s;
    open_screen(&s, BNF_PROGRESS_BAR, 100, 0.0, 0);
    bnf_progress_state state = {.step = 50, .loss = 123456.75, .accuracy = 0.5, .seconds = 1001.0};
    bnf_progress_update(s.progress, &state);
    fflush(s.out);
    last_line(s.text, line);
    const int full = count_char(line, '=');
    const char *open = strchr(line, '['), *close = strchr(line, ']');
    assert_true(open != NULL && close != NULL);
    assert_true(abs(2 * full - (int)(close - open - 1)) <= 1);
    state = (bnf_progress_state){.step = 60, .loss = NAN, .accuracy = NAN, .seconds = 1002.0};
    bnf_progress_update(s.progress, &state);
    bnf_progress_note(s.progress, "checkpoint written");
    fflush(s.out);
    assert_null(strstr(s.text, "\033")); /* no escape sequences: any terminal will do */
    last_line(s.text, line);
    assert_null(strstr(line, "loss"));
    assert_null(strstr(line, "checkpoint"));
    assert_non_null(strstr(line, "epoch 1/3"));
    assert_non_null(strstr(s.text, "\rcheckpoint written "));
    close_screen(&s);
}

static void test_plain(void **unused)
{
    (void)unused;
    screen s;
    open_screen(&s, BNF_PROGRESS_AUTO, 0, 0.0, 0); /* a memory stream is no terminal */
    run_steps(&s, 1, 300);
    bnf_progress_finish(s.progress);
    fflush(s.out);
    assert_int_equal(count_char(s.text, '\n'), 3); /* the ends of the epochs */
    assert_int_equal(count_char(s.text, '\r'), 0);
    assert_non_null(strstr(s.text, "epoch 2/3  step 100/100  loss 0.0100"));
    close_screen(&s);
    open_screen(&s, BNF_PROGRESS_PLAIN, 0, 2.0, 0);
    run_steps(&s, 1, 99);
    fflush(s.out);
    assert_int_equal(count_char(s.text, '\n'), 2); /* 4.95 s */
    close_screen(&s);
    open_screen(&s, BNF_PROGRESS_OFF, 0, 1.0, 0);
    run_steps(&s, 1, 300);
    fflush(s.out);
    assert_int_equal(s.size, 0);
    close_screen(&s);
}

/* After a resume the rate counts only the steps of this process. */
static void test_resumed_rate(void **unused)
{
    (void)unused;
    screen s;
    open_screen(&s, BNF_PROGRESS_PLAIN, 0, 0.0, 200);
    run_steps(&s, 201, 210);
    assert_true(fabs(bnf_progress_rate(s.progress) - 2560.0) < 1.0);
    close_screen(&s);
}

static void test_durations(void **unused)
{
    (void)unused;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0.0, "0s"},       {59.4, "59s"},     {59.6, "1m00s"},        {187.0, "3m07s"},
                 {3600.0, "1h00m"}, {7500.0, "2h05m"}, {86400.0 * 4, "4d00h"}, {-1.0, "--"},
                 {NAN, "--"},       {INFINITY, "--"},  {1e300, "--"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[16];
        bnf_duration_format(cases[i].seconds, sizeof text, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar),          cmocka_unit_test(test_redraw),    cmocka_unit_test(test_plain),
        cmocka_unit_test(test_resumed_rate), cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
