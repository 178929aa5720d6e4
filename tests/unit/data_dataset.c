/* Opening and reading sets: files made elsewhere, wrong files, damage, NaN. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <math.h>

enum { N = 40, H = 5, W = 4, C = 3, SAMPLE = H * W * C };

static char folder[256], path[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/set.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static void put(bnf_h5_file *file, const char *name, bnf_dtype type, int ndim, const int64_t *dim, const void *data)
{
    bnf_h5_dataset *d;
    assert_ok(bnf_h5_dataset_create(file, name, type, ndim, dim, NULL, &d));
    assert_ok(bnf_h5_dataset_write(d, type, data));
    assert_ok(bnf_h5_dataset_close(d));
}

/* A file as a user of h5py would make it: two datasets and, for a change, labels of another integer type. */
static bnf_h5_file *start_file(bnf_dtype images, bnf_dtype labels, int64_t label_count, int64_t bad_label)
{
    static uint8_t u8[N * SAMPLE];
    static float f32[N * SAMPLE];
    int64_t i64[N + 1];
    int32_t i32[N + 1];
    uint8_t small[N + 1];
    bnf_h5_file *file;

    for (int64_t i = 0; i < N * SAMPLE; i++) {
        u8[i] = (uint8_t)(i * 7 % 251);
        f32[i] = (float)u8[i] - 100.0f;
    }
    for (int64_t i = 0; i < N + 1; i++) {
        i64[i] = i == 3 && bad_label ? bad_label : i % 4;
        i32[i] = (int32_t)i64[i];
        small[i] = (uint8_t)i64[i];
    }
    assert_ok(bnf_h5_file_create(path, &file));
    put(file, "/train/images", images, 4, (int64_t[]){N, H, W, C}, images == BNF_F32 ? (void *)f32 : (void *)u8);
    put(file, "/train/labels", labels, 1, &label_count,
        labels == BNF_I64   ? (void *)i64
        : labels == BNF_I32 ? (void *)i32
                            : (void *)small);
    return file;
}

static void test_file_made_elsewhere(void **state)
{
    (void)state;
    static const bnf_dtype types[] = {BNF_I32, BNF_I64, BNF_U8};
    for (int k = 0; k < 3; k++) {
        bnf_dataset *ds;
        uint8_t images[2 * SAMPLE];
        assert_ok(bnf_h5_file_close(start_file(BNF_U8, types[k], N, 0)));
        assert_ok(bnf_dataset_open(path, BNF_TRAIN, &ds));
        const bnf_dataset_info *info = bnf_dataset_get_info(ds);
        assert_true(info->count == N && info->h == H && info->w == W && info->c == C && info->classes == 4);
        assert_false(info->has_stats);
        assert_string_equal(info->checksum, "");
        assert_string_equal(info->class_names[3], "3");
        assert_int_equal(bnf_dataset_labels(ds)[7], 3);
        for (int held = 0; held < 2; held++) {
            assert_ok(bnf_dataset_read(ds, 2, (int64_t[]){1, 39}, images));
            assert_int_equal(images[0], SAMPLE * 7 % 251);
            assert_int_equal(images[SAMPLE], 39 * SAMPLE * 7 % 251);
            assert_fails(bnf_dataset_read(ds, 2, (int64_t[]){5, 4}, images), BNF_ERR_ARG, path);
            assert_fails(bnf_dataset_read(ds, 1, (int64_t[]){N}, images), BNF_ERR_ARG, path);
            assert_ok(bnf_dataset_hold(ds));
        }
        assert_fails(bnf_dataset_verify(ds, NULL), BNF_ERR_FORMAT, "no checksum");
        bnf_dataset_close(ds);
        assert_fails(bnf_dataset_open(path, BNF_TEST, &ds), BNF_ERR_FORMAT, "/test/images");
        bool has;
        assert_ok(bnf_dataset_has(path, BNF_TRAIN, &has));
        assert_true(has);
        assert_ok(bnf_dataset_has(path, BNF_TEST, &has));
        assert_false(has);
    }
}

static void test_wrong_files(void **state)
{
    (void)state;
    bnf_dataset *ds;
    bnf_h5_file *file;
    static uint8_t images[N * SAMPLE];

    assert_fails(bnf_dataset_open("/no/such.h5", BNF_TRAIN, &ds), BNF_ERR_IO, "/no/such.h5");
    write_file(path, "not HDF5", 8);
    bnf_error_clear();
    assert_int_not_equal(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_OK);
    assert_non_null(strstr(bnf_error_message(), path));
    assert_ok(bnf_h5_file_close(start_file(BNF_U8, BNF_I32, N + 1, 0)));
    assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "/train/labels");
    assert_ok(bnf_h5_file_close(start_file(BNF_U8, BNF_I32, N, -1)));
    assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "sample 3");
    assert_ok(bnf_h5_file_close(start_file(BNF_U8, BNF_I64, N, (int64_t)1 << 40)));
    assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "sample 3");
    file = start_file(BNF_U8, BNF_I32, N, 9);
    assert_ok(bnf_h5_attr_set_strs(file, "/train", "classes", 4, (const char *[]){"a", "b", "c", "d"}));
    assert_ok(bnf_h5_file_close(file));
    assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "label 9 of sample 3 is out of range");
    assert_non_null(strstr(bnf_error_message(), path));
    file = start_file(BNF_U8, BNF_I32, N, 0);
    assert_ok(bnf_h5_attr_set_reals(file, "/", "mean", 2, (double[]){0, 0}));
    assert_ok(bnf_h5_attr_set_reals(file, "/", "std", 3, (double[]){1, 1, 1}));
    assert_ok(bnf_h5_file_close(file));
    assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "'mean'");
    file = start_file(BNF_U8, BNF_I32, N, 0);
    assert_ok(bnf_h5_attr_set_int(file, "/", "format_version", 99));
    assert_ok(bnf_h5_file_close(file));
    assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_UNSUPPORTED, "99");
    for (int64_t n = 0; n <= N + 1; n += N + 1) {
        file = start_file(BNF_U8, BNF_I32, N, 0);
        assert_ok(bnf_h5_attr_set_int(file, "/", "images_per_event", n));
        assert_ok(bnf_h5_file_close(file));
        assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "images_per_event");
    }
    assert_ok(bnf_h5_file_create(path, &file));
    put(file, "/train/images", BNF_U8, 3, (int64_t[]){N, H, W}, images);
    put(file, "/train/labels", BNF_I32, 1, (int64_t[]){N}, images);
    assert_ok(bnf_h5_file_close(file));
    assert_fails(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "/train/images");
}

static void test_nan_is_refused(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY};
    for (int k = 0; k < 2; k++) {
        bnf_dataset *ds;
        bnf_h5_dataset *d;
        float images[3 * SAMPLE];
        static float all[N * SAMPLE];
        bnf_h5_file *file;
        for (int64_t i = 0; i < N * SAMPLE; i++)
            all[i] = (float)i;
        all[17 * SAMPLE + 5] = bad[k];
        assert_ok(bnf_h5_file_close(start_file(BNF_F32, BNF_I32, N, 0)));
        assert_ok(bnf_h5_file_create(path, &file));
        assert_ok(bnf_h5_dataset_create(file, "/train/images", BNF_F32, 4, (int64_t[]){N, H, W, C}, NULL, &d));
        assert_ok(bnf_h5_dataset_write(d, BNF_F32, all));
        assert_ok(bnf_h5_dataset_close(d));
        put(file, "/train/labels", BNF_U8, 1, (int64_t[]){N}, (uint8_t[N]){0});
        assert_ok(bnf_h5_file_close(file));
        assert_ok(bnf_dataset_open(path, BNF_TRAIN, &ds));
        assert_int_equal(bnf_dataset_get_info(ds)->dtype, BNF_F32);
        assert_ok(bnf_dataset_read(ds, 2, (int64_t[]){16, 18}, images));
        assert_true(images[SAMPLE] == 18.0f * SAMPLE);
        assert_fails(bnf_dataset_read(ds, 3, (int64_t[]){2, 17, 18}, images), BNF_ERR_NUMERIC, "image 17");
        assert_non_null(strstr(bnf_error_message(), path));
        assert_fails(bnf_dataset_hold(ds), BNF_ERR_NUMERIC, "image 17");
        bnf_dataset_close(ds);
    }
}

/* The bytes of the images lie somewhere in the file: one changed bit is found, and so is a truncated file. */
static void test_damage_is_found(void **state)
{
    (void)state;
    bnf_synth_shapes_options o = {.count = {60, 20}, .height = 16, .width = 16, .channels = 1, .noise = 10, .seed = 3};
    bnf_import_summary s;
    bnf_dataset *ds;
    uint8_t image[256];
    size_t size;

    assert_ok(bnf_synth_shapes(NULL, &o, &(bnf_import_output){.path = path}, &s));
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &ds));
    assert_ok(bnf_dataset_verify(ds, NULL));
    assert_ok(bnf_dataset_read(ds, 1, (int64_t[]){41}, image));
    bnf_dataset_close(ds);
    unsigned char *data = read_back(path, &size);
    unsigned char *place = memmem(data, size, image, sizeof image);
    assert_non_null(place);
    place[100] ^= 1;
    write_file(path, data, size);
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &ds));
    assert_fails(bnf_dataset_verify(ds, NULL), BNF_ERR_FORMAT, path);
    bnf_dataset_close(ds);
    assert_ok(bnf_dataset_open(path, BNF_TEST, &ds));
    assert_ok(bnf_dataset_verify(ds, NULL));
    bnf_dataset_close(ds);
    for (size_t cut = 0; cut < size; cut += 1 + size / 23) {
        write_file(path, data, cut);
        bnf_error_clear();
        assert_int_not_equal(bnf_dataset_open(path, BNF_TRAIN, &ds), BNF_OK);
        assert_non_null(strstr(bnf_error_message(), path));
    }
    free(data);
}

/* Generated pictures: a function of the options, and of the seed. */
static void test_synth(void **state)
{
    (void)state;
    bnf_synth_shapes_options o = {.count = {200, 30}, .height = 24, .width = 20, .channels = 3, .noise = 15, .seed = 1};
    bnf_import_summary a, b;
    bnf_import_output output = {.path = path};
    bnf_dataset *ds;

    assert_ok(bnf_synth_shapes(NULL, &o, &output, &a));
    assert_ok(bnf_synth_shapes(NULL, &o, &output, &b));
    assert_string_equal(a.checksum, b.checksum);
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &ds));
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    assert_true(info->count == 200 && info->h == 24 && info->w == 20 && info->c == 3 && info->classes == 10);
    assert_string_equal(info->class_names[4], "triangle");
    for (int c = 0; c < 3; c++)
        assert_true(info->mean[c] > 0.2 && info->mean[c] < 0.8 && info->std[c] > 0.1 && info->std[c] < 0.4);
    bnf_dataset_close(ds);
    o.seed = 2;
    assert_ok(bnf_synth_shapes(NULL, &o, &output, &b));
    assert_string_not_equal(a.checksum, b.checksum);
    o.channels = 2;
    assert_fails(bnf_synth_shapes(NULL, &o, &output, &b), BNF_ERR_ARG, "channels");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    bnf_synth_shapes_options o = {.count = {20, 0}, .height = 8, .width = 8, .channels = 1};
    bnf_import_summary s;
    bnf_dataset *ds;
    int failures = 0;

    assert_ok(bnf_synth_shapes(NULL, &o, &(bnf_import_output){.path = path}, &s));
    for (int64_t n = 1;; n++) {
        int64_t live = bnf_mem_live_blocks();
        bnf_error_clear();
        bnf_mem_fail_at(n);
        bnf_status status = bnf_dataset_open(path, BNF_TRAIN, &ds);
        bnf_mem_fail_at(0);
        if (status == BNF_OK)
            break;
        assert_non_null(strstr(bnf_error_message(), "cannot allocate")); /* inside HDF5 it counts as a failed open */
        assert_int_equal(bnf_mem_live_blocks(), live);
        failures++;
    }
    bnf_dataset_close(ds);
    assert_true(failures > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_made_elsewhere),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_nan_is_refused),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_synth),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
