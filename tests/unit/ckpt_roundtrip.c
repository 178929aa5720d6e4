/* Checkpoints come back as they were written; wrong use is refused; the newest is found; old ones are removed. */
#include "unit/ckpt_support.h"

#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

static void comes_back(void **state)
{
    (void)state;
    for (int64_t step = 0; step < 3; step++) {
        assert_ok(write_checkpoint(step, step == 1));
        assert_checkpoint(step, step == 1);
    }
    assert_ok(write_checkpoint(BNF_CKPT_MAX_STEP, false));
    assert_checkpoint(BNF_CKPT_MAX_STEP, false);
    assert_checkpoint(0, false);
    assert_ok(write_checkpoint(1, false)); /* replaces */
    assert_checkpoint(1, false);
    assert_int_equal(count_files(".h5"), 4);
    assert_int_equal(count_files(".tmp"), 0);
}

static void same_content_same_bytes(void **state)
{
    (void)state;
    size_t bytes[2];
    unsigned char *content[2];
    for (int k = 0; k < 2; k++) {
        if (k)
            usleep(1100000); /* the time of writing is no content: HDF5 would store it in seconds */
        assert_ok(write_checkpoint(7, true));
        content[k] = slurp(ckpt_path(7), &bytes[k]);
    }
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(content[0], content[1], bytes[0]);
    free(content[0]);
    free(content[1]);
}

static void folder_is_made(void **state)
{
    (void)state;
    char top[256];
    strcpy(top, folder);
    snprintf(folder, sizeof folder, "%.200s/deep/er", top);
    assert_ok(write_checkpoint(3, false));
    assert_checkpoint(3, false);
    remove_folder(folder);
    snprintf(folder, sizeof folder, "%.200s/deep", top);
    remove_folder(folder);
    strcpy(folder, top);
}

static void entries_are_listed(void **state)
{
    (void)state;
    bnf_ckpt_reader *r;
    const char *names[] = {"empty", "optim/counts", "optim/rate", "params/conv1.bias", "params/conv1.weight"};
    assert_ok(write_checkpoint(5, false));
    assert_ok(bnf_ckpt_reader_open(ckpt_path(5), &r));
    for (int i = 0; i < 5; i++)
        assert_string_equal(bnf_ckpt_reader_entry(r, i)->name, names[i]);
    assert_null(bnf_ckpt_reader_entry(r, 5));
    assert_null(bnf_ckpt_reader_find(r, "params"));
    const bnf_ckpt_entry *e = bnf_ckpt_reader_find(r, "params/conv1.weight");
    assert_true(e->dtype == BNF_F32 && e->ndim == 4 && e->dim[3] == 5 && e->bytes == 4 * CONV);
    bnf_ckpt_reader_close(r);
}

/* Any HDF5 program reads it: datasets, attributes, the checksum of each. */
static void is_an_hdf5_file(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int64_t counts[COUNTS], seed;
    char *text, sum[BNF_CHECKSUM_HEX];
    assert_ok(write_checkpoint(9, false));
    assert_ok(bnf_h5_file_open(ckpt_path(9), &file));
    assert_ok(bnf_h5_dataset_open(file, "/optim/counts", &x));
    assert_ok(bnf_h5_dataset_read(x, BNF_I64, counts));
    assert_int_equal(counts[0], 9);
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_attr_get_int(file, "/", "seed", &seed));
    assert_int_equal(seed, 42);
    assert_ok(bnf_h5_attr_get_str(file, "/optim/counts", "xxh3_64", &text));
    assert_string_equal(text, bnf_checksum_format(bnf_checksum(counts, sizeof counts), sum));
    bnf_free(text);
    assert_ok(bnf_h5_file_close(file));
}

static void wrong_use_is_refused(void **state)
{
    (void)state;
    bnf_ckpt_writer *w;
    bnf_ckpt_reader *r;
    float value[20] = {0};
    int64_t n = 20;
    assert_fails(bnf_ckpt_writer_open(folder, -1, &w), BNF_ERR_ARG, "step -1");
    assert_fails(bnf_ckpt_writer_open(folder, BNF_CKPT_MAX_STEP + 1, &w), BNF_ERR_ARG, folder);
    assert_ok(bnf_ckpt_writer_open(folder, 0, &w));
    const char *bad[] = {"", "/a", "a/", "a//b", "./a", "a/.", "a b", "a\nb", "\xc3\xbc"};
    for (int i = 0; i < 9; i++)
        assert_fails(bnf_ckpt_writer_add(w, bad[i], BNF_F32, 1, &n, value), BNF_ERR_ARG, "is no name");
    assert_ok(bnf_ckpt_writer_add(w, "a", BNF_F32, 1, &n, value));
    assert_fails(bnf_ckpt_writer_add(w, "a", BNF_F32, 1, &n, value), BNF_ERR_ARG, "'a' is added twice");
    assert_fails(bnf_ckpt_writer_add(w, "b", BNF_F32, 1, (int64_t[]){-4}, value), BNF_ERR_ARG, "extent -4");
    assert_fails(bnf_ckpt_writer_add(w, "b", BNF_F32, 9, (int64_t[9]){1}, value), BNF_ERR_ARG, "9 dimensions");
    bnf_ckpt_writer_abort(w);
    assert_int_equal(count_files(".h5") + count_files(".tmp"), 0);
    bnf_ckpt_writer_abort(NULL);

    assert_ok(write_checkpoint(1, false));
    assert_ok(bnf_ckpt_reader_open(ckpt_path(1), &r));
    assert_fails(bnf_ckpt_reader_read(r, "params/conv1.bias", BNF_F32, 1, (int64_t[]){6}, value), BNF_ERR_FORMAT,
                 "dataset 'params/conv1.bias': expected f32[6], found f32[5]");
    assert_fails(bnf_ckpt_reader_read(r, "params/conv1.bias", BNF_F64, 1, (int64_t[]){5}, value), BNF_ERR_FORMAT,
                 "expected f64[5], found f32[5]");
    assert_fails(bnf_ckpt_reader_read(r, "params/conv1.bias", BNF_F32, 2, (int64_t[]){5, 1}, value), BNF_ERR_FORMAT,
                 "expected f32[5,1]");
    assert_fails(bnf_ckpt_reader_read(r, "params/fc", BNF_F32, 1, (int64_t[]){5}, value), BNF_ERR_FORMAT,
                 "'params/fc'");
    assert_fails(bnf_ckpt_reader_attr_int(r, "absent", &n), BNF_ERR_FORMAT, "'absent' is missing");
    bnf_ckpt_reader_close(r);
    bnf_ckpt_reader_close(NULL);
    assert_fails(bnf_ckpt_verify(ckpt_path(2)), BNF_ERR_IO, ckpt_path(2));
    assert_fails(bnf_ckpt_verify(folder), BNF_ERR_FORMAT, folder);
}

/* A dataset that is not in the table, or one that is missing, is refused although every checksum is right: only a
 * faulty writer makes such a file, so it is forged here. */
static void table_and_file_agree(void **state)
{
    (void)state;
    assert_ok(write_checkpoint(1, false));
    size_t bytes;
    unsigned char *data = slurp(ckpt_path(1), &bytes);
    char *line = strstr((char *)data, "optim/rate f64 0"), *zeros = memchr(data, 0, bytes);
    assert_non_null(line);
    assert_non_null(zeros);
    long block;
    assert_int_equal(sscanf((char *)data, "BANFF CHECKPOINT 1\ntable %ld", &block), 1);
    memcpy(line, "optim/ratf", 10);
    char sum[BNF_CHECKSUM_HEX];
    memcpy(data + block - 17, bnf_checksum_format(bnf_checksum(data, (size_t)block - 22), sum), 16);
    spit(ckpt_path(1), data, bytes);
    assert_fails(bnf_ckpt_verify(ckpt_path(1)), BNF_ERR_FORMAT, "dataset '/optim/rate': not in the table");
    line[8] = 'X'; /* another type, with the old name */
    memcpy(line, "optim/rate i64", 14);
    memcpy(data + block - 17, bnf_checksum_format(bnf_checksum(data, (size_t)block - 22), sum), 16);
    spit(ckpt_path(1), data, bytes);
    assert_fails(bnf_ckpt_verify(ckpt_path(1)), BNF_ERR_FORMAT, "optim/rate': expected i64[], found f64[]");
    free(data);
}

static void newest_is_found(void **state)
{
    (void)state;
    char *path = NULL, missing[300];
    bnf_buf report = {0};
    snprintf(missing, sizeof missing, "%s/none", folder);
    assert_ok(bnf_ckpt_find_newest(missing, &path, &report));
    assert_null(path);
    assert_ok(bnf_ckpt_find_newest(folder, &path, &report));
    assert_null(path);
    assert_ok(write_checkpoint(9, false));
    assert_ok(write_checkpoint(10, false));
    assert_ok(write_checkpoint(100, false));
    char other[320]; /* names that are none of ours */
    snprintf(other, sizeof other, "%s/ckpt-999.h5", folder);
    spit(other, (const unsigned char *)"x", 1);
    snprintf(other, sizeof other, "%s.tmp", ckpt_path(200));
    spit(other, (const unsigned char *)"x", 1);
    assert_ok(bnf_ckpt_find_newest(folder, &path, &report));
    assert_string_equal(path, ckpt_path(100));
    assert_string_equal(bnf_buf_text(&report), "");
    bnf_free(path);
    spit(ckpt_path(300), (const unsigned char *)"nonsense", 8);
    spit(ckpt_path(200), (const unsigned char *)"", 0);
    assert_int_equal(truncate(ckpt_path(100), 3000), 0);
    assert_ok(bnf_ckpt_find_newest(folder, &path, &report));
    assert_string_equal(path, ckpt_path(10));
    const char *text = bnf_buf_text(&report);
    const char *at_300 = strstr(text, "ckpt-000000000300.h5: "), *at_200 = strstr(text, "ckpt-000000000200.h5: ");
    const char *at_100 = strstr(text, "ckpt-000000000100.h5: ");
    assert_true(at_300 == text && at_200 > at_300 && at_100 > at_200);
    assert_non_null(strstr(at_100, "truncated"));
    assert_null(strstr(text, "ckpt-000000000010.h5"));
    bnf_free(path);
    assert_ok(bnf_ckpt_find_newest(folder, &path, NULL));
    bnf_free(path);
    bnf_buf_release(&report);
}

static void old_ones_are_removed(void **state)
{
    (void)state;
    for (int64_t step = 1; step <= 6; step++)
        assert_ok(write_checkpoint(step, false));
    assert_ok(bnf_ckpt_prune(folder, 10, NULL));
    assert_int_equal(count_files(".h5"), 6);
    assert_int_equal(truncate(ckpt_path(5), 100), 0); /* does not count as kept, and is left to be looked at */
    assert_ok(bnf_ckpt_prune(folder, 2, NULL));
    assert_int_equal(count_files(".h5"), 3);
    assert_checkpoint(6, false);
    assert_checkpoint(4, false);
    assert_int_equal(access(ckpt_path(5), F_OK), 0);
    assert_int_equal(truncate(ckpt_path(6), 100), 0);
    assert_ok(bnf_ckpt_prune(folder, 1, NULL));
    assert_checkpoint(4, false); /* the last sound one stays */
}

/* Every allocation that can fail does so once, in writing and in reading: an error, nothing lost, nothing leaked. */
static void memory_runs_out(void **state)
{
    (void)state;
    assert_ok(write_checkpoint(1, false));
    bnf_status status = BNF_ERR_MEMORY;
    for (int n = 1; status != BNF_OK; n++) {
        bnf_error_clear();
        bnf_mem_fail_at(n);
        status = write_checkpoint(2, false);
        bnf_mem_fail_at(0);
        if (status != BNF_OK)
            assert_int_equal(status, BNF_ERR_MEMORY);
        assert_int_equal(bnf_mem_live_blocks(), 0);
        assert_checkpoint(1, false);
        assert_int_equal(count_files(".tmp"), 0);
    }
    assert_checkpoint(2, false);
    status = BNF_ERR_MEMORY;
    for (int n = 1; status != BNF_OK; n++) {
        char *path = NULL;
        bnf_buf report = {0};
        bnf_error_clear();
        bnf_mem_fail_at(n);
        status = bnf_ckpt_find_newest(folder, &path, &report);
        bnf_mem_fail_at(0);
        if (status != BNF_OK)
            assert_int_equal(status, BNF_ERR_MEMORY);
        else
            assert_string_equal(path, ckpt_path(2));
        bnf_buf_release(&report);
        if (status == BNF_OK)
            bnf_free(path);
        assert_int_equal(bnf_mem_live_blocks(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(same_content_same_bytes, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(folder_is_made, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(entries_are_listed, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(is_an_hdf5_file, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(wrong_use_is_refused, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(table_and_file_agree, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(newest_is_found, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(old_ones_are_removed, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(memory_runs_out, make_ckpt_folder, remove_ckpt_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
