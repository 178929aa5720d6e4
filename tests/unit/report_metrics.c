/* Metrics files: what is written comes back, and a resumed run continues exactly where it should. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "report/metrics.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[] = "/tmp/bnf-metrics-XXXXXX";
static char path[64];

static void write_steps(int64_t resume, int64_t from, int64_t to)
{
    bnf_metrics *m = NULL;
    assert_int_equal(bnf_metrics_open(path, resume, &m), BNF_OK);
    for (int64_t step = from; step <= to; step++) {
        bnf_metrics_begin(m, "train", step);
        bnf_metrics_real(m, "loss", 1.0 / (double)step);
        bnf_metrics_int(m, "images", 128 * step);
        bnf_metrics_string(m, "note", "a \"quoted\"\nline");
        assert_int_equal(bnf_metrics_end(m), BNF_OK);
    }
    assert_int_equal(bnf_metrics_close(m), BNF_OK);
}

static void append_text(const char *text)
{
    assert_int_equal(bnf_fs_append(path, text, strlen(text)), BNF_OK);
}

static void assert_content(const bnf_buf *want)
{
    bnf_buf got = {0};
    assert_int_equal(bnf_fs_read(path, &got), BNF_OK);
    assert_string_equal(bnf_buf_text(&got), bnf_buf_text(want));
    bnf_buf_release(&got);
}

static void test_write_and_read(void **unused)
{
    (void)unused;
    double *steps = NULL, *values = NULL;
    int64_t n = 0;
    write_steps(BNF_METRICS_FRESH, 1, 70);
    bnf_metrics *m = NULL;
    assert_int_equal(bnf_metrics_open(path, 70, &m), BNF_OK);
    bnf_metrics_begin(m, "eval", 70);
    bnf_metrics_real(m, "loss", NAN);
    assert_int_equal(bnf_metrics_end(m), BNF_OK);
    assert_int_equal(bnf_metrics_close(m), BNF_OK);

    bnf_metrics_log *log = NULL;
    assert_int_equal(bnf_metrics_read(path, &log), BNF_OK);
    assert_int_equal(bnf_metrics_log_count(log), 71);
    assert_int_equal(bnf_metrics_series(log, "train", "loss", &steps, &values, &n), BNF_OK);
    assert_int_equal(n, 70);
    for (int64_t i = 0; i < n; i++)
        assert_true(steps[i] == (double)(i + 1) && values[i] == 1.0 / (double)(i + 1)); /* to the last bit */
    bnf_free(steps);
    bnf_free(values);
    assert_int_equal(bnf_metrics_series(log, "eval", "loss", &steps, &values, &n), BNF_OK);
    assert_true(n == 1 && isnan(values[0]));
    bnf_free(steps);
    bnf_free(values);
    assert_int_equal(bnf_metrics_series(log, "train", "note", &steps, &values, &n), BNF_OK);
    assert_int_equal(n, 0);
    bnf_free(steps);
    bnf_free(values);
    assert_true(bnf_metrics_last(log, "train", "images") == 128.0 * 70.0);
    assert_true(isnan(bnf_metrics_last(log, "train", "absent")));
    bnf_metrics_log_destroy(log);
}

/* Each line is complete on disk as soon as end returns. */
static void test_flushed_per_line(void **unused)
{
    (void)unused;
    bnf_metrics *m = NULL;
    bnf_metrics_log *log = NULL;
    assert_int_equal(bnf_metrics_open(path, BNF_METRICS_FRESH, &m), BNF_OK);
    for (int64_t step = 1; step <= 3; step++) {
        bnf_metrics_begin(m, "train", step);
        assert_int_equal(bnf_metrics_end(m), BNF_OK);
        assert_int_equal(bnf_metrics_read(path, &log), BNF_OK);
        assert_int_equal(bnf_metrics_log_count(log), step);
        bnf_metrics_log_destroy(log);
    }
    assert_int_equal(bnf_metrics_close(m), BNF_OK);
}

/* A run to 20 that was resumed at 12 leaves the same bytes as one without interruption. */
static void test_resume(void **unused)
{
    (void)unused;
    static const char *const tails[] = {"",
                                        "{\"kind\":\"train\",\"st",
                                        "{\"kind\":\"train\",\"step\":1",
                                        "{\"kind\":\"train\",\"step\":12}",
                                        "{\"kind\":\"tr\n",
                                        "\n"};
    bnf_buf want = {0};
    write_steps(BNF_METRICS_FRESH, 1, 20);
    assert_int_equal(bnf_fs_read(path, &want), BNF_OK);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        write_steps(BNF_METRICS_FRESH, 1, 15);
        append_text(tails[i]);
        write_steps(12, 13, 20); /* older checkpoint: lines 13 to 15 are dropped, and the broken end with them */
        assert_content(&want);
        write_steps(BNF_METRICS_FRESH, 1, 12);
        append_text(tails[i]);
        write_steps(12, 13, 20); /* killed while writing line 13 */
        assert_content(&want);
    }
    write_steps(0, 1, 20); /* from the beginning */
    assert_content(&want);
    assert_int_equal(bnf_fs_remove(path), BNF_OK);
    write_steps(0, 1, 20); /* the file is missing */
    assert_content(&want);
    bnf_buf_release(&want);
}

static void test_broken_middle(void **unused)
{
    (void)unused;
    bnf_metrics *m = NULL;
    bnf_metrics_log *log = NULL;
    write_steps(BNF_METRICS_FRESH, 1, 2);
    append_text("{\"kind\":\"train\",\"st\n{\"kind\":\"train\",\"step\":3}\n");
    assert_int_equal(bnf_metrics_open(path, 5, &m), BNF_ERR_FORMAT);
    assert_non_null(strstr(bnf_error_message(), path));
    assert_non_null(strstr(bnf_error_message(), "line 3"));
    bnf_error_clear();
    assert_int_equal(bnf_metrics_read(path, &log), BNF_ERR_FORMAT);
    bnf_error_clear();
    write_steps(BNF_METRICS_FRESH, 1, 1);
    append_text("{\"kind\":\"train\"}\n{\"kind\":\"train\",\"step\":3}\n");
    assert_int_equal(bnf_metrics_read(path, &log), BNF_ERR_FORMAT);
    assert_non_null(strstr(bnf_error_message(), "step"));
    bnf_error_clear();
    assert_int_equal(bnf_metrics_read("/nonexistent/metrics", &log), BNF_ERR_IO);
    bnf_error_clear();
    assert_int_equal(bnf_metrics_open("/nonexistent/metrics", 1, &m), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/nonexistent/metrics"));
    bnf_error_clear();
}

/* A file that may not grow: a line that does not fit leaves nothing of itself, one that fits is written after it. */
static void test_line_is_undone(void **unused)
{
    (void)unused;
    struct rlimit before;
    bnf_buf want = {0};
    bnf_metrics *m = NULL;
    char *text = NULL;
    write_steps(BNF_METRICS_FRESH, 1, 3);
    assert_int_equal(bnf_fs_read(path, &want), BNF_OK);
    assert_int_equal(bnf_metrics_open(path, 3, &m), BNF_OK);
    assert_int_equal(bnf_calloc(1, 1001, "text", &text), BNF_OK);
    memset(text, 'x', 1000);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit limit = {.rlim_cur = want.size + 100, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    bnf_metrics_begin(m, "train", 4);
    bnf_metrics_string(m, "long", text);
    const bnf_status failed = bnf_metrics_end(m);
    bnf_metrics_begin(m, "train", 4);
    const bnf_status fits = bnf_metrics_end(m);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(failed, BNF_ERR_IO);
    assert_int_equal(fits, BNF_OK);
    bnf_error_clear();
    assert_int_equal(bnf_metrics_close(m), BNF_OK);
    bnf_buf_clear(&want);
    assert_int_equal(bnf_fs_read(path, &want), BNF_OK);
    write_steps(BNF_METRICS_FRESH, 1, 3);
    assert_int_equal(bnf_metrics_open(path, 3, &m), BNF_OK);
    bnf_metrics_begin(m, "train", 4);
    assert_int_equal(bnf_metrics_end(m), BNF_OK);
    assert_int_equal(bnf_metrics_close(m), BNF_OK);
    assert_content(&want);
    bnf_buf_release(&want);
    bnf_free(text);
}

/* A full disk is reported at the line, not at the end of the run. */
static void test_full_disk(void **unused)
{
    (void)unused;
    bnf_metrics *m = NULL;
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(bnf_metrics_open("/dev/full", BNF_METRICS_FRESH, &m), BNF_OK);
    bnf_metrics_begin(m, "train", 1);
    assert_int_equal(bnf_metrics_end(m), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/dev/full"));
    bnf_error_clear();
    bnf_metrics_close(m);
}

static int make_folder(void **unused)
{
    (void)unused;
    if (mkdtemp(folder) == NULL)
        return 1;
    strcat(strcpy(path, folder), "/m.jsonl");
    return 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    return bnf_fs_remove(folder) != BNF_OK || bnf_mem_live_blocks() != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read), cmocka_unit_test(test_flushed_per_line),
        cmocka_unit_test(test_resume),         cmocka_unit_test(test_broken_middle),
        cmocka_unit_test(test_full_disk),      cmocka_unit_test(test_line_is_undone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
