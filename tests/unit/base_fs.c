/* Files, folders, log and clock, in a folder of the test's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static char folder[] = "/tmp/banff-fs-XXXXXX";

static int setup(void **unused)
{
    (void)unused;
    return mkdtemp(folder) == NULL;
}

static int teardown(void **unused)
{
    (void)unused;
    return bnf_fs_remove(folder) != BNF_OK || bnf_fs_exists(folder);
}

/* A path in the folder; the same memory every time. */
static const char *at(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void assert_content(const char *path, const char *content)
{
    bnf_buf b = {0};
    assert_int_equal(bnf_fs_read(path, &b), BNF_OK);
    assert_string_equal(bnf_buf_text(&b), content);
    bnf_buf_release(&b);
}

static void test_folders_and_lists(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_fs_make_folders(at("a//b/c/")), BNF_OK);
    assert_int_equal(bnf_fs_make_folders(at("a/b/c")), BNF_OK);
    assert_true(bnf_fs_is_folder(at("a/b/c")));
    assert_int_equal(bnf_fs_write_atomic(at("a/file"), "x", 1), BNF_OK);
    assert_int_equal(bnf_fs_write_atomic(at("a/File"), "", 0), BNF_OK);
    assert_int_equal(bnf_fs_make_folders(at("a/file/d")), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "a/file"));
    bnf_error_clear();
    bnf_fs_names names;
    assert_int_equal(bnf_fs_list(at("a"), &names), BNF_OK);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.name[0], "File");
    assert_string_equal(names.name[1], "b");
    assert_string_equal(names.name[2], "file");
    bnf_fs_names_release(&names);
    assert_int_equal(bnf_fs_list(at("a/b/c"), &names), BNF_OK);
    assert_int_equal(names.count, 0);
    bnf_fs_names_release(&names);
    assert_int_equal(bnf_fs_list(at("none"), &names), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), at("none")));
    bnf_error_clear();
}

static void test_read_and_write(void **unused)
{
    (void)unused;
    const int64_t blocks = bnf_mem_live_blocks();
    int64_t size;
    assert_int_equal(bnf_fs_write_atomic(at("f"), "first", 5), BNF_OK);
    assert_int_equal(bnf_fs_write_atomic(at("f"), "second!", 7), BNF_OK);
    assert_content(at("f"), "second!");
    assert_int_equal(bnf_fs_append(at("f"), "+", 1), BNF_OK);
    assert_content(at("f"), "second!+");
    assert_int_equal(bnf_fs_size(at("f"), &size), BNF_OK);
    assert_int_equal(size, 8);
    const size_t large = 300000;
    char *data;
    assert_int_equal(bnf_alloc(large, "a test", &data), BNF_OK);
    memset(data, 'q', large);
    assert_int_equal(bnf_fs_write_atomic(at("large"), data, large), BNF_OK);
    bnf_buf b = {0};
    bnf_buf_puts(&b, "in front ");
    assert_int_equal(bnf_fs_read(at("large"), &b), BNF_OK);
    assert_int_equal(b.size, large + 9);
    assert_memory_equal(b.data + 9, data, large);
    bnf_buf_release(&b);
    bnf_free(data);
    assert_int_equal(bnf_fs_read(at("none"), &b), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), at("none")));
    bnf_error_clear();
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

/* A failed write leaves the old content and no temporary file. */
static void test_failed_write_leaves_nothing(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_fs_make_folders(at("w/taken/x")), BNF_OK);
    assert_int_equal(bnf_fs_write_atomic(at("w/taken"), "x", 1), BNF_ERR_IO); /* rename cannot replace that folder */
    assert_non_null(strstr(bnf_error_message(), "w/taken"));
    bnf_error_clear();
    assert_int_equal(bnf_fs_write_atomic(at("nowhere/f"), "x", 1), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "nowhere/f"));
    bnf_error_clear();
    bnf_fs_names names;
    assert_int_equal(bnf_fs_list(at("w"), &names), BNF_OK);
    assert_int_equal(names.count, 1);
    bnf_fs_names_release(&names);
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(bnf_fs_append("/dev/full", "x", 1), BNF_ERR_IO);
        assert_string_equal(bnf_error_message(), "cannot write '/dev/full': No space left on device");
        bnf_error_clear();
    }
}

static void test_rename_and_remove(void **unused)
{
    (void)unused;
    char from[300];
    assert_int_equal(bnf_fs_make_folders(at("r/s")), BNF_OK);
    assert_int_equal(bnf_fs_write_atomic(at("r/s/f"), "x", 1), BNF_OK);
    assert_int_equal(bnf_fs_write_atomic(at("kept"), "kept", 4), BNF_OK);
    strcpy(from, at("kept"));
    assert_int_equal(symlink(from, at("r/s/link")), 0);
    strcpy(from, at("r"));
    assert_int_equal(bnf_fs_rename(from, at("r2")), BNF_OK);
    assert_false(bnf_fs_exists(from));
    assert_content(at("r2/s/f"), "x");
    assert_int_equal(bnf_fs_remove(at("r2")), BNF_OK);
    assert_false(bnf_fs_exists(at("r2")));
    assert_content(at("kept"), "kept"); /* the link was not followed */
    assert_int_equal(bnf_fs_remove(at("r2")), BNF_OK);
    assert_int_equal(bnf_fs_rename(from, at("r3")), BNF_ERR_IO);
    bnf_error_clear();
}

static void test_join(void **unused)
{
    (void)unused;
    bnf_buf b = {0};
    bnf_fs_join(&b, "a", "b");
    assert_string_equal(b.data, "a/b");
    bnf_fs_join(&b, "a/", "b");
    assert_string_equal(b.data, "a/b");
    bnf_fs_join(&b, "a", "/b");
    assert_string_equal(b.data, "/b");
    bnf_fs_join(&b, "", "b");
    assert_string_equal(b.data, "b");
    bnf_buf_release(&b);
}

static void test_log(void **unused)
{
    (void)unused;
    char name[300];
    strcpy(name, at("log"));
    FILE *console = fopen(name, "w"), *file = fopen(at("log2"), "w");
    assert_true(console != NULL && file != NULL);
    bnf_log_info("nobody hears this");
    assert_int_equal(bnf_log_add_sink(console, BNF_LOG_INFO, false), BNF_OK);
    assert_int_equal(bnf_log_add_sink(file, BNF_LOG_DEBUG, true), BNF_OK);
    bnf_log_info("step %d", 1);
    bnf_log_debug("detail");
    bnf_log_warning("careful");
    bnf_assert_set_rank(3);
    bnf_log_info("rank 3 is silent");
    bnf_log_error("broken");
    bnf_assert_set_rank(-1);
    bnf_log_remove_sink(console);
    bnf_log_remove_sink(file);
    bnf_log_error("too late");
    fclose(console);
    fclose(file);
    assert_content(name, "step 1\nwarning: careful\nrank 3: error: broken\n");
    bnf_buf b = {0};
    assert_int_equal(bnf_fs_read(at("log2"), &b), BNF_OK);
    assert_non_null(strstr(b.data, "Z debug: detail\n"));
    assert_true(b.data[4] == '-' && b.data[10] == 'T' && b.data[23] == 'Z');
    bnf_buf_release(&b);
}

static void test_log_cuts_long_lines(void **unused)
{
    (void)unused;
    FILE *file = fopen(at("long"), "w");
    char *text;
    assert_int_equal(bnf_alloc(20000, "a test", &text), BNF_OK);
    memset(text, 'l', 19999);
    text[19999] = '\0';
    assert_int_equal(bnf_log_add_sink(file, BNF_LOG_INFO, true), BNF_OK);
    bnf_log_info("%s", text);
    bnf_log_remove_sink(file);
    fclose(file);
    bnf_free(text);
    bnf_buf b = {0};
    assert_int_equal(bnf_fs_read(at("long"), &b), BNF_OK);
    assert_true(b.size > 4000 && b.size < 19999);
    assert_ptr_equal(strchr(b.data, '\n'), b.data + b.size - 1);
    bnf_buf_release(&b);
}

static void test_clock(void **unused)
{
    (void)unused;
    char text[BNF_CLOCK_ISO_BYTES];
    assert_string_equal(bnf_clock_iso_at(0.0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(bnf_clock_iso_at(951782399.9996, text), "2000-02-28T23:59:59.999Z");
    assert_string_equal(bnf_clock_iso_at(951782400.5, text), "2000-02-29T00:00:00.500Z");
    const double before = bnf_clock_seconds();
    const int64_t before_ns = bnf_clock_nanoseconds();
    usleep(2000);
    assert_true(bnf_clock_seconds() - before >= 0.0015);
    assert_true(bnf_clock_nanoseconds() - before_ns >= 1500000);
    assert_true(bnf_clock_wall_seconds() > 1.6e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders_and_lists),
        cmocka_unit_test(test_read_and_write),
        cmocka_unit_test(test_failed_write_leaves_nothing),
        cmocka_unit_test(test_rename_and_remove),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_log_cuts_long_lines),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
