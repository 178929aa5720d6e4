/* Files and datasets: what is written is read back, in every type, layout and way of reading; wrong use is refused. */
#include "unit/h5_support.h"

#include "base/mem.h"
#include "h5/dataset.h"

static char folder[256], path[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/data.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_folder(folder);
    assert_int_equal(bnf_mem_live_blocks(), 0);
    return 0;
}

/* A file with one dataset x[rows,cols] i32, x[i,j] = 1000 i + j. */
static void write_table(int64_t rows, int64_t cols, const bnf_h5_storage *storage)
{
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int32_t *data = malloc((size_t)(rows * cols) * sizeof *data);
    assert_non_null(data);
    for (int64_t i = 0; i < rows * cols; i++)
        data[i] = (int32_t)(1000 * (i / cols) + i % cols);
    assert_ok(bnf_h5_file_create(path, &file));
    assert_ok(bnf_h5_dataset_create(file, "/train/x", BNF_I32, 2, (int64_t[]){rows, cols}, storage, &x));
    assert_ok(bnf_h5_dataset_write(x, BNF_I32, data));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
    free(data);
}

static void every_type_comes_back(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *d;
    unsigned char data[8 * 24], back[8 * 24];
    uint32_t seed = 3;
    assert_ok(bnf_h5_file_create(path, &file));
    for (int t = 0; t < BNF_BF16; t++) { /* which is the last, and in no file */
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (unsigned char)(next_random(&seed) % 64); /* small bytes: no NaN, whose bits need not survive */
        assert_ok(
            bnf_h5_dataset_create(file, bnf_dtype_name((bnf_dtype)t), (bnf_dtype)t, 3, (int64_t[]){2, 3, 4}, NULL, &d));
        assert_ok(bnf_h5_dataset_write(d, (bnf_dtype)t, data));
        assert_ok(bnf_h5_dataset_close(d));
        assert_ok(bnf_h5_dataset_open(file, bnf_dtype_name((bnf_dtype)t), &d));
        memset(back, 0xff, sizeof back);
        assert_ok(bnf_h5_dataset_read(d, (bnf_dtype)t, back));
        assert_memory_equal(back, data, 24 * bnf_dtype_size((bnf_dtype)t));
        assert_int_equal(bnf_h5_dataset_dtype(d), t);
        assert_ok(bnf_h5_dataset_close(d));
    }
    assert_ok(bnf_h5_file_close(file));
}

static void scalar_and_empty(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *d;
    double value = 2.5, back = 0;
    int64_t dims[2] = {0, 5};
    bnf_h5_dataset_info info;
    assert_ok(bnf_h5_file_create(path, &file));
    assert_ok(bnf_h5_dataset_create(file, "scalar", BNF_F64, 0, NULL, NULL, &d));
    assert_ok(bnf_h5_dataset_write(d, BNF_F64, &value));
    assert_ok(bnf_h5_dataset_read(d, BNF_F64, &back));
    assert_true(back == 2.5);
    assert_fails(bnf_h5_dataset_read_rows(d, BNF_F64, 0, 1, &back), BNF_ERR_FORMAT, "/scalar");
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_dataset_create(file, "empty", BNF_F32, 2, dims, NULL, &d));
    assert_ok(bnf_h5_dataset_write(d, BNF_F32, NULL));
    assert_ok(bnf_h5_dataset_read(d, BNF_F32, NULL));
    assert_ok(bnf_h5_dataset_read_list(d, BNF_F32, 0, NULL, NULL));
    assert_ok(bnf_h5_dataset_describe(d, &info));
    assert_int_equal(info.stored_bytes, 0);
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_file_close(file));
}

static void storage_is_described(void **state)
{
    (void)state;
    int64_t chunk[2] = {4, 50};
    bnf_h5_storage storage = {chunk, 6, true, true};
    write_table(30, 50, &storage);
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    bnf_h5_dataset_info info;
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "train/x", &x));
    assert_ok(bnf_h5_dataset_describe(x, &info));
    assert_int_equal(info.dtype, BNF_I32);
    assert_int_equal(info.ndim, 2);
    assert_int_equal(info.dim[0], 30);
    assert_int_equal(info.dim[1], 50);
    assert_true(info.chunked && info.shuffle && info.fletcher32);
    assert_int_equal(info.chunk[0], 4);
    assert_int_equal(info.chunk[1], 50);
    assert_int_equal(info.deflate, 6);
    assert_int_equal(info.offset, -1);
    assert_in_range(info.stored_bytes, 1, 30 * 50 * 4 - 1);
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
}

/* The offset that describe gives is where the bytes lie. */
static void offset_is_true(void **state)
{
    (void)state;
    write_table(7, 3, NULL);
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    bnf_h5_dataset_info info;
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "/train/x", &x));
    assert_ok(bnf_h5_dataset_describe(x, &info));
    int32_t back[21];
    assert_ok(bnf_h5_dataset_read(x, BNF_I32, back));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
    size_t bytes;
    unsigned char *data = slurp(path, &bytes);
    assert_true(info.offset > 0 && (size_t)info.offset + sizeof back <= bytes);
    assert_memory_equal(data + info.offset, back, sizeof back);
    assert_int_equal(info.stored_bytes, sizeof back);
    free(data);
}

/* Rows by range and by list, against the rule that the content follows. */
static void check_reading(void)
{
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int32_t back[40 * 6];
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "/train/x", &x));
    assert_ok(bnf_h5_dataset_read_rows(x, BNF_I32, 11, 9, back));
    for (int i = 0; i < 9 * 6; i++)
        assert_int_equal(back[i], 1000 * (11 + i / 6) + i % 6);
    assert_ok(bnf_h5_dataset_read_slab(x, BNF_I32, (int64_t[]){5, 2}, (int64_t[]){3, 2}, back));
    for (int i = 0; i < 6; i++)
        assert_int_equal(back[i], 1000 * (5 + i / 2) + 2 + i % 2);
    uint32_t seed = 11;
    for (int trial = 0; trial < 40; trial++) {
        int64_t row[40], count = 0;
        uint32_t keep = next_random(&seed) % 5;
        for (int64_t i = 0; i < 40; i++)
            if (next_random(&seed) % 5 <= keep)
                row[count++] = i;
        if (count > 2 && trial % 3 == 0)
            row[1] = row[0]; /* a row asked for twice */
        memset(back, 0xff, sizeof back);
        assert_ok(bnf_h5_dataset_read_list(x, BNF_I32, count, row, back));
        for (int64_t i = 0; i < count * 6; i++)
            assert_int_equal(back[i], 1000 * row[i / 6] + i % 6);
    }
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
}

static void rows_and_lists(void **state)
{
    (void)state;
    int64_t chunk[2] = {3, 6}, part[2] = {7, 4};
    bnf_h5_storage packed = {chunk, 4, true, true}, plain = {part, 0, false, false};
    write_table(40, 6, NULL);
    check_reading();
    write_table(40, 6, &packed);
    check_reading();
    write_table(40, 6, &plain);
    check_reading();
}

static void slabs_make_the_whole(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int64_t chunk[2] = {4, 4};
    bnf_h5_storage storage = {chunk, 1, false, true};
    int32_t data[9 * 10], back[9 * 10];
    assert_ok(bnf_h5_file_create(path, &file));
    assert_ok(bnf_h5_dataset_create(file, "x", BNF_I32, 2, (int64_t[]){9, 10}, &storage, &x));
    for (int64_t r = 0; r < 9; r += 2)
        for (int64_t c = 0; c < 10; c += 3) {
            int64_t count[2] = {r + 2 <= 9 ? 2 : 9 - r, c + 3 <= 10 ? 3 : 10 - c};
            for (int64_t i = 0; i < count[0] * count[1]; i++)
                data[i] = (int32_t)((r + i / count[1]) * 10 + c + i % count[1]);
            assert_ok(bnf_h5_dataset_write_slab(x, BNF_I32, (int64_t[]){r, c}, count, data));
        }
    assert_ok(bnf_h5_dataset_write_slab(x, BNF_I32, (int64_t[]){9, 10}, (int64_t[]){0, 0}, NULL));
    assert_ok(bnf_h5_dataset_read(x, BNF_I32, back));
    for (int i = 0; i < 90; i++)
        assert_int_equal(back[i], i);
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
}

static void wrong_use_is_refused(void **state)
{
    (void)state;
    write_table(10, 2, NULL);
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int32_t back[20];
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "/train/x", &x));
    assert_fails(bnf_h5_dataset_read_rows(x, BNF_I32, 8, 3, back), BNF_ERR_ARG, "/train/x");
    assert_fails(bnf_h5_dataset_read_rows(x, BNF_I32, -1, 3, back), BNF_ERR_ARG, "outside");
    assert_fails(bnf_h5_dataset_read_rows(x, BNF_I32, INT64_MAX, INT64_MAX, back), BNF_ERR_ARG, "outside");
    assert_fails(bnf_h5_dataset_read_list(x, BNF_I32, 2, (int64_t[]){4, 10}, back), BNF_ERR_ARG, "outside");
    assert_fails(bnf_h5_dataset_read_list(x, BNF_I32, 2, (int64_t[]){4, 3}, back), BNF_ERR_ARG, "not sorted");
    assert_fails(bnf_h5_dataset_read(x, BNF_F32, back), BNF_ERR_FORMAT, "expected elements f32, found i32");
    assert_fails(bnf_h5_dataset_expect(x, BNF_U8, 3, (int64_t[]){-1, 28, 28}), BNF_ERR_FORMAT,
                 "expected u8[?,28,28], found i32[10,2]");
    assert_fails(bnf_h5_dataset_expect(x, BNF_I32, 2, (int64_t[]){-1, 3}), BNF_ERR_FORMAT, path);
    assert_ok(bnf_h5_dataset_expect(x, BNF_I32, 2, (int64_t[]){-1, 2}));
    assert_ok(bnf_h5_dataset_close(x));
    assert_fails(bnf_h5_dataset_open(file, "/train/y", &x), BNF_ERR_FORMAT, "no dataset '/train/y'; '/train' holds: x");
    assert_fails(bnf_h5_dataset_open(file, "/test/x", &x), BNF_ERR_FORMAT, "'/' holds: train");
    assert_fails(bnf_h5_dataset_open(file, "/train/x/y", &x), BNF_ERR_FORMAT, "/train/x/y");
    assert_fails(bnf_h5_dataset_open(file, "/train", &x), BNF_ERR_FORMAT, "/train");
    assert_ok(bnf_h5_file_close(file));
    assert_ok(bnf_h5_file_create(path, &file));
    assert_fails(bnf_h5_dataset_create(file, "a", BNF_F32, 1, (int64_t[]){-2}, NULL, &x), BNF_ERR_ARG, "extent -2");
    bnf_h5_storage no_chunk = {NULL, 4, false, false}, big_chunk = {(int64_t[]){5}, 0, false, false};
    assert_fails(bnf_h5_dataset_create(file, "a", BNF_F32, 1, (int64_t[]){4}, &no_chunk, &x), BNF_ERR_ARG, "filters");
    assert_fails(bnf_h5_dataset_create(file, "a", BNF_F32, 1, (int64_t[]){4}, &big_chunk, &x), BNF_ERR_ARG, "chunk");
    assert_ok(bnf_h5_dataset_create(file, "a", BNF_F32, 1, (int64_t[]){4}, NULL, &x));
    assert_fails(bnf_h5_dataset_write(x, BNF_F64, back), BNF_ERR_ARG, "f64");
    assert_ok(bnf_h5_dataset_close(x));
    assert_fails(bnf_h5_dataset_create(file, "a", BNF_F32, 1, (int64_t[]){4}, NULL, &x), BNF_ERR_IO, "'/a'");
    assert_ok(bnf_h5_file_close(file));
}

static void listing(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    bnf_h5_names names;
    bool exists;
    const char *made[] = {"b", "a/z", "a/b/c", "a.x", "c/d"};
    assert_ok(bnf_h5_file_create(path, &file));
    for (int i = 0; i < 5; i++) {
        assert_ok(bnf_h5_dataset_create(file, made[i], BNF_U8, 1, (int64_t[]){1}, NULL, &x));
        assert_ok(bnf_h5_dataset_close(x));
    }
    assert_ok(bnf_h5_group_create(file, "e/f/"));
    assert_ok(bnf_h5_group_create(file, "/e/f"));
    assert_fails(bnf_h5_group_create(file, "/b/f"), BNF_ERR_IO, "/b/f");
    assert_ok(bnf_h5_file_list_datasets(file, &names));
    const char *sorted[] = {"/a.x", "/a/b/c", "/a/z", "/b", "/c/d"};
    assert_int_equal(names.count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(names.name[i], sorted[i]);
    bnf_h5_names_destroy(&names);
    assert_ok(bnf_h5_group_list(file, "a", &names));
    assert_int_equal(names.count, 2);
    assert_string_equal(names.name[0], "b");
    assert_string_equal(names.name[1], "z");
    bnf_h5_names_destroy(&names);
    assert_fails(bnf_h5_group_list(file, "q", &names), BNF_ERR_FORMAT, "no group '/q'");
    assert_ok(bnf_h5_exists(file, "a/b", &exists));
    assert_true(exists);
    assert_ok(bnf_h5_exists(file, "a/b/c/d", &exists));
    assert_false(exists);
    assert_ok(bnf_h5_exists(file, "/", &exists));
    assert_true(exists);
    assert_ok(bnf_h5_file_close(file));
}

/* A file made in memory has the bytes of a file: written out, it opens. */
static void image_is_a_file(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    static float data[30000], back[30000];
    for (int i = 0; i < 30000; i++)
        data[i] = (float)i / 3;
    assert_ok(bnf_h5_file_create_memory("image", &file));
    for (int k = 0; k < 3; k++) {
        char name[32];
        snprintf(name, sizeof name, "params/w%d", k);
        assert_ok(bnf_h5_dataset_create(file, name, BNF_F32, 1, (int64_t[]){30000}, NULL, &x));
        assert_ok(bnf_h5_dataset_write(x, BNF_F32, data));
        assert_ok(bnf_h5_dataset_close(x));
    }
    const void *image;
    int64_t bytes;
    assert_ok(bnf_h5_file_image(file, &image, &bytes));
    assert_in_range(bytes, 3 * sizeof data, 3 * sizeof data + 100000);
    spit(path, image, (size_t)bytes);
    assert_ok(bnf_h5_file_close(file));
    assert_int_equal(access("image", F_OK), -1);
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "/params/w2", &x));
    assert_ok(bnf_h5_dataset_read(x, BNF_F32, back));
    assert_memory_equal(back, data, sizeof data);
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(scalar_and_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(storage_is_described, setup, teardown),
        cmocka_unit_test_setup_teardown(offset_is_true, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_and_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(slabs_make_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_use_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(listing, setup, teardown),
        cmocka_unit_test_setup_teardown(image_is_a_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
