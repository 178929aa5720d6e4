/* Commits that fail, at every system call and on a disk that is full: the older checkpoint stands, nothing is left
 * behind, the message names the file. */
#include "unit/ckpt_support.h"

#include <signal.h>
#include <sys/resource.h>

static void every_call_fails_once(void **state)
{
    (void)state;
    assert_ok(write_checkpoint(1, true));
    bnf_status status = BNF_ERR_IO;
    int n = 0, failures = 0, without_space = 0;
    while (status != BNF_OK) {
        bnf_error_clear();
        bnf_ckpt_fail_at(++n);
        status = write_checkpoint(2, true);
        char why[1000];
        snprintf(why, sizeof why, "%s", bnf_error_message());
        assert_int_equal(count_files(".tmp"), 0);
        assert_checkpoint(1, true);
        if (status == BNF_OK)
            break;
        failures++;
        assert_int_equal(status, BNF_ERR_IO);
        assert_non_null(strstr(why, ckpt_path(2)));
        bool no_space = strstr(why, "No space left on device") != NULL;
        assert_true(no_space || strstr(why, "Input/output error"));
        without_space += no_space;
        char *newest;
        assert_ok(bnf_ckpt_find_newest(folder, &newest, NULL));
        /* the rename is the moment: before it the old one is the newest, after it the new one is there and sound */
        if (access(ckpt_path(2), F_OK) == 0) {
            assert_string_equal(newest, ckpt_path(2));
            assert_non_null(strstr(why, "its folder could not be synchronised"));
            assert_int_equal(unlink(ckpt_path(2)), 0);
        } else {
            assert_string_equal(newest, ckpt_path(1));
        }
        bnf_free(newest);
        assert_in_range(n, 1, 100);
    }
    assert_checkpoint(2, true);
    /* open; at least four writes for 2.8 MB; fsync, close, rename; open, fsync, close of the folder */
    assert_true(failures >= 11);
    assert_true(without_space >= 6 && without_space < failures);
    assert_ok(write_checkpoint(3, true)); /* nothing stays armed */
}

/* The kernel refuses: no file may grow beyond a limit. */
static void full_disk(void **state)
{
    (void)state;
    assert_ok(write_checkpoint(1, true));
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 3000000; limit += limit < 8192 ? 1000 : 700001) {
        tight = (struct rlimit){limit, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        bnf_error_clear();
        bnf_status status = write_checkpoint(2, true);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(status, BNF_ERR_IO);
        assert_non_null(strstr(bnf_error_message(), ckpt_path(2)));
        assert_int_equal(count_files(".tmp"), 0);
        assert_int_equal(count_files(".h5"), 1);
    }
    assert_checkpoint(1, true);
    assert_ok(write_checkpoint(2, true));
    assert_checkpoint(2, true);
}

static void folder_that_cannot_be_written(void **state)
{
    (void)state;
    char top[256], file[300];
    strcpy(top, folder);
    snprintf(file, sizeof file, "%s/file", top);
    spit(file, (const unsigned char *)"x", 1);
    snprintf(folder, sizeof folder, "%.200s/file", top);
    assert_fails(write_checkpoint(1, false), BNF_ERR_IO, file);
    strcpy(folder, top);
    if (geteuid() != 0) { /* root may write anywhere */
        assert_int_equal(chmod(folder, 0500), 0);
        assert_fails(write_checkpoint(1, false), BNF_ERR_IO, ckpt_path(1));
        assert_int_equal(chmod(folder, 0700), 0);
    }
    bnf_ckpt_writer *w = NULL; /* the folder goes away before the commit */
    snprintf(folder, sizeof folder, "%.200s/gone", top);
    assert_ok(fill_checkpoint(1, false, &w));
    assert_int_equal(rmdir(folder), 0);
    assert_fails(bnf_ckpt_writer_commit(w), BNF_ERR_IO, ckpt_path(1));
    strcpy(folder, top);
}

/* What a killed process left is removed by the next commit, also where it stands in the way of it. */
static void leftovers_are_removed(void **state)
{
    (void)state;
    char left[320];
    for (int64_t step = 1; step <= 3; step++) {
        snprintf(left, sizeof left, "%s.tmp", ckpt_path(step));
        spit(left, (const unsigned char *)"half of a checkpoint", 20);
    }
    snprintf(left, sizeof left, "%s/notes.tmp", folder);
    spit(left, (const unsigned char *)"not ours", 8);
    char *newest = NULL;
    assert_ok(bnf_ckpt_find_newest(folder, &newest, NULL));
    assert_null(newest);
    bnf_error_clear();
    bnf_ckpt_fail_at(2);
    assert_fails(write_checkpoint(2, false), BNF_ERR_IO, ckpt_path(2));
    assert_int_equal(count_files(".h5.tmp"), 2); /* a commit that failed removes its own alone */
    assert_ok(write_checkpoint(2, false));
    assert_int_equal(count_files(".h5.tmp"), 0);
    assert_int_equal(access(left, F_OK), 0);
    assert_checkpoint(2, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_fails_once, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(full_disk, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(folder_that_cannot_be_written, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(leftovers_are_removed, make_ckpt_folder, remove_ckpt_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
