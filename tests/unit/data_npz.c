/* Importing .npz archives: what arrives, stored or compressed, and every error: it names file and array, and no file is
 * left. */
#include "unit/data_support.h"

#include "train/npz.h"
#include "unit/npz_support.h"

#include <math.h>

enum { N = 61, M = 7, H = 5, W = 4, C = 3 };

static char folder[256], train[300], test[300], out[300];
static uint8_t bytes[N * H * W * C];
static float reals[N * H * W * C];
static int64_t labels64[N];
static int32_t labels32[N];
static const char *const train_files[] = {train}, *const test_files[] = {test};
#define TRAIN_FILE           \
    {                        \
        1, train_files, NULL \
    }
#define TEST_FILE           \
    {                       \
        1, test_files, NULL \
    }

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(train, sizeof train, "%s/train.npz", folder);
    snprintf(test, sizeof test, "%s/test.npz", folder);
    snprintf(out, sizeof out, "%s/out.h5", folder);
    for (int i = 0; i < N * H * W * C; i++) {
        bytes[i] = test_pixel(i / (H * W * C), i / (W * C) % H, i / C % W, i % C);
        reals[i] = (float)sin(i) * 1000;
    }
    for (int i = 0; i < N; i++)
        labels64[i] = labels32[i] = i % 6;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static void write_npz(const char *path, const char *images, const bnf_desc *shape, const void *values,
                      const char *labels, bnf_dtype type, int64_t n, const void *classes)
{
    bnf_npz npz = {0};
    bnf_desc list = bnf_desc_1d(type, n);
    assert_ok(bnf_npz_add(&npz, images, shape, values));
    assert_ok(bnf_npz_add(&npz, labels, &list, classes));
    assert_ok(bnf_npz_write(&npz, path));
    bnf_npz_release(&npz);
}

static void write_u8(const char *path, int64_t n)
{
    bnf_desc shape = bnf_desc_4d(BNF_U8, n, H, W, C);
    write_npz(path, "images", &shape, bytes, "labels", BNF_I64, n, labels64);
}

static void write_f32(const char *path, int64_t n)
{
    bnf_desc shape = {.dtype = BNF_F32, .ndim = 3, .dim = {n, H, W * C}};
    write_npz(path, "x", &shape, reals, "y", BNF_I32, n, labels32);
}

static void check_split(bnf_split split, int64_t n, bool real)
{
    bnf_dataset *ds;
    static float x[N * H * W * C];
    assert_ok(bnf_dataset_open(out, split, &ds));
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    assert_true(info->count == n && info->h == H && info->w == (real ? W * C : W) && info->c == (real ? 1 : C));
    assert_true(info->dtype == (real ? BNF_F32 : BNF_U8) && info->classes == 6 && info->has_stats);
    assert_ok(bnf_dataset_read_rows(ds, 0, n, x));
    assert_memory_equal(x, real ? (const void *)reals : bytes, (size_t)(n * info->sample_bytes));
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(bnf_dataset_labels(ds)[i], i % 6);
    assert_ok(bnf_dataset_verify(ds, NULL));
    bnf_dataset_close(ds);
}

static void test_content(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_npz_options o = {.files = {TRAIN_FILE, TEST_FILE}};
    for (int kind = 0; kind < 4; kind++) {
        bool real = kind & 1, packed = kind & 2;
        void (*write)(const char *, int64_t) = real ? write_f32 : write_u8;
        write(train, N);
        write(test, M);
        if (packed)
            npz_deflate(train);
        o.images = real ? "x" : NULL;
        o.labels = real ? "y" : NULL;
        assert_ok(bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out, .chunk_bytes = 900}, &s));
        check_split(BNF_TRAIN, N, real);
        check_split(BNF_TEST, M, real);
    }
}

/* Merged block by block, the moments are those of all pixels. */
static void test_statistics(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_dataset *ds;
    bnf_import_npz_options o = {.files = {TRAIN_FILE}, .images = "x", .labels = "y"};
    double mean = 0, spread = 0, n = N * H * W * C;
    for (int i = 0; i < N * H * W * C; i++)
        mean += reals[i] / n;
    for (int i = 0; i < N * H * W * C; i++)
        spread += (reals[i] - mean) * (reals[i] - mean) / n;
    write_f32(train, N);
    for (int64_t chunk = 1; chunk < 1 << 20; chunk *= 40) {
        assert_ok(bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out, .chunk_bytes = chunk}, &s));
        assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds));
        assert_true(fabs(bnf_dataset_get_info(ds)->mean[0] - mean) < 1e-9);
        assert_true(fabs(bnf_dataset_get_info(ds)->std[0] - sqrt(spread)) < 1e-9);
        bnf_dataset_close(ds);
    }
}

/* Every image is in one of the parts, in the file's order; about the asked share of them in the test part. */
static void test_fraction(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_dataset *ds;
    bnf_import_npz_options o = {.files = {TRAIN_FILE}, .test_fraction = 0.3};
    static uint8_t x[N * H * W * C];
    int next[2] = {0}, found[2] = {0};
    write_u8(train, N);
    assert_ok(bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out}, &s));
    assert_int_equal(s.count[0] + s.count[1], N);
    assert_true(s.count[1] > 8 && s.count[1] < 29);
    for (int split = 0; split < 2; split++) {
        assert_ok(bnf_dataset_open(out, (bnf_split)split, &ds));
        assert_ok(bnf_dataset_read_rows(ds, 0, s.count[split], x));
        for (int64_t i = 0; i < s.count[split]; i++, next[split]++)
            for (; next[split] < N; next[split]++)
                if (memcmp(x + i * H * W * C, bytes + next[split] * H * W * C, H * W * C) == 0) {
                    assert_int_equal(bnf_dataset_labels(ds)[i], next[split] % 6);
                    found[split]++;
                    break;
                }
        assert_int_equal(found[split], s.count[split]);
        bnf_dataset_close(ds);
    }
}

/* ---- several files ---- */

/* `n` u8 images from image `first` on, and f32 labels. */
static const char *write_piece(const char *name, int64_t first, int64_t n)
{
    static float labels[N];
    bnf_desc shape = bnf_desc_4d(BNF_U8, n, H, W, C);
    for (int64_t i = 0; i < n; i++)
        labels[i] = (float)((first + i) % 6);
    write_npz(in(folder, name), "images", &shape, bytes + first * H * W * C, "labels", BNF_F32, n, labels);
    return name;
}

/* The same content as of one file: named one by one, as a folder, as a pattern; labels may be floats. */
static void test_several(void **state)
{
    (void)state;
    bnf_import_summary one, s;
    char list[3][300], all[300], pattern[300];
    const char *const single[] = {train}, *const each[] = {list[0], list[1], list[2]};
    const char *const whole[] = {all}, *const some[] = {list[0], pattern};
    bnf_import_files ways[] = {{3, each, NULL}, {1, whole, NULL}, {2, some, NULL}};
    bnf_import_npz_options o = {.files = {{1, single, NULL}}, .test_fraction = 0.3};

    write_u8(train, N);
    assert_ok(bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out}, &one));
    snprintf(all, sizeof all, "%s/all", folder);
    snprintf(pattern, sizeof pattern, "%s/all/[bc]*.npz", folder);
    assert_ok(bnf_fs_make_folders(all));
    snprintf(list[0], sizeof list[0], "%s/%s", folder, write_piece("all/a.npz", 0, 20));
    snprintf(list[1], sizeof list[1], "%s/%s", folder, write_piece("all/b.npz", 20, 1));
    snprintf(list[2], sizeof list[2], "%s/%s", folder, write_piece("all/c.npz", 21, N - 21));
    write_file(in(folder, "all/note.txt"), "x", 1);
    for (int k = 0; k < 3; k++) {
        o.files[BNF_TRAIN] = ways[k];
        assert_ok(
            bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out, .sparse = k == 1, .chunk_bytes = 999}, &s));
        assert_string_equal(s.checksum, one.checksum);
        assert_int_equal(s.count[BNF_TEST], one.count[BNF_TEST]);
    }
}

/* Classes of files, in the order in which they are first named; a class may be in the test part alone. */
static void test_classes(void **state)
{
    (void)state;
    char a[300], b[300], c[300];
    const char *const train_paths[] = {b, a}, *const test_paths[] = {c, a, b};
    const char *const train_names[] = {"qcd", "qcd"}, *const test_names[] = {"suep", "svj", "qcd"};
    const char *const expected[] = {"qcd", "suep", "svj"};
    static uint8_t x[N * H * W * C];
    bnf_import_npz_options o = {.files = {{2, train_paths, train_names}, {3, test_paths, test_names}}};
    bnf_import_summary s;
    bnf_dataset *ds;

    snprintf(a, sizeof a, "%s/%s", folder, write_piece("a.npz", 0, 4));
    snprintf(b, sizeof b, "%s/%s", folder, write_piece("b.npz", 4, 3));
    snprintf(c, sizeof c, "%s/%s", folder, write_piece("c.npz", 7, 2));
    assert_ok(bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out}, &s));
    assert_true(s.count[BNF_TRAIN] == 7 && s.count[BNF_TEST] == 9 && s.classes == 3);
    for (int split = 0; split < 2; split++) {
        static const int labels[2][9] = {{0, 0, 0, 0, 0, 0, 0}, {1, 1, 2, 2, 2, 2, 0, 0, 0}};
        static const int from[2][9] = {{4, 5, 6, 0, 1, 2, 3}, {7, 8, 0, 1, 2, 3, 4, 5, 6}};
        assert_ok(bnf_dataset_open(out, (bnf_split)split, &ds));
        assert_ok(bnf_dataset_read_rows(ds, 0, s.count[split], x));
        for (int i = 0; i < s.count[split]; i++) {
            assert_int_equal(bnf_dataset_labels(ds)[i], labels[split][i]);
            assert_memory_equal(x + i * H * W * C, bytes + from[split][i] * H * W * C, H * W * C);
        }
        for (int k = 0; k < 3; k++)
            assert_string_equal(bnf_dataset_get_info(ds)->class_names[k], expected[k]);
        bnf_dataset_close(ds);
    }
}

/* One channel, and masks of it, from every type; half-precision numbers of all kinds. */
static void test_elements(void **state)
{
    (void)state;
    enum { SIZE = N * H * W * C };
    static const uint16_t half[] = {0x3c00, 0x0001, 0x83ff, 0x7bff, 0xc500, 0x8000};
    static const float value[] = {1, 0x1p-24f, -0x1.ff8p-15f, 65504, -5, -0.0f};
    static float x[SIZE];
    bnf_desc cube = bnf_desc_4d(BNF_F32, N, H, W, C);
    bnf_import_npz_options o = {.files = {TRAIN_FILE}, .one_channel = true, .channel = 2};
    bnf_import_summary s;
    bnf_dataset *ds;

    write_npz(train, "images", &cube, reals, "labels", BNF_F64, N, (double[N]){0, 1, 2});
    for (int mask = 0; mask < 2; mask++) {
        o.mask = mask;
        o.threshold = 40;
        assert_ok(bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out, .sparse = mask}, &s));
        assert_true(s.c == 1 && s.classes == 3);
        assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds));
        assert_ok(bnf_dataset_read_rows(ds, 0, N, x));
        for (int i = 0; i < N * H * W; i++)
            if (mask)
                assert_int_equal(((uint8_t *)x)[i], reals[i * C + 2] > 40 ? 255 : 0);
            else
                assert_true(x[i] == reals[i * C + 2]);
        bnf_dataset_close(ds);
    }
    cube = bnf_desc_4d(BNF_U8, 1, 2, 6, 1);
    write_npz(train, "images", &cube, half, "labels", BNF_U8, 1, "");
    npz_replace(train, "|u1", "<f2");
    npz_replace(train, "(1, 2, 6, 1)", "(1, 1, 6, 1)");
    o = (bnf_import_npz_options){.files = {TRAIN_FILE}};
    assert_ok(bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out}, &s));
    assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds));
    assert_ok(bnf_dataset_read_rows(ds, 0, 1, x));
    assert_memory_equal(x, value, sizeof value);
    bnf_dataset_close(ds);
}

static void refused(const bnf_import_npz_options *o, bnf_status code, const char *file, const char *word)
{
    bnf_import_summary s;
    bnf_status got = bnf_import_npz(NULL, o, &(bnf_import_output){.path = out}, &s);
    if (got != code || !strstr(bnf_error_message(), file) || !strstr(bnf_error_message(), word))
        fail_msg("%s: '%s', wanted %s, '%s' and '%s'", bnf_status_name(got), bnf_error_message(), bnf_status_name(code),
                 file, word);
    bnf_error_clear();
    assert_false(bnf_fs_exists(out));
    assert_false(bnf_fs_exists(in(folder, "out.h5.tmp")));
}

static void test_errors(void **state)
{
    (void)state;
    bnf_import_npz_options o = {.files = {TRAIN_FILE, TEST_FILE}};
    bnf_desc cube = bnf_desc_4d(BNF_U8, N, H, W, C), flat = bnf_desc_2d(BNF_U8, N, H), wide = {BNF_F64, 3, {2, 2, 2}};
    static const double doubles[8];
    refused(&o, BNF_ERR_IO, train, "train.npz");
    write_u8(train, N);
    write_f32(test, M);
    refused(&o, BNF_ERR_FORMAT, test, "no array 'images'; there are: x, y");
    cube.dim[1] = H - 1;
    write_npz(test, "images", &cube, bytes, "labels", BNF_I64, N, labels64);
    refused(&o, BNF_ERR_FORMAT, test, "has images of 4 x 4 x 3");
    o.files[BNF_TEST].count = 0;
    cube.dim[1] = H;
    write_npz(train, "images", &cube, bytes, "labels", BNF_I64, N - 1, labels64);
    refused(&o, BNF_ERR_FORMAT, train, "array 'labels' has the shape [60]");
    write_npz(train, "images", &cube, bytes, "labels", BNF_F32, N, reals);
    refused(&o, BNF_ERR_FORMAT, train, "label 841.471 of item 1 is no whole number");
    write_npz(train, "images", &flat, bytes, "labels", BNF_I64, N, labels64);
    refused(&o, BNF_ERR_FORMAT, train, "array 'images' has the shape [61, 5]");
    write_npz(train, "images", &wide, doubles, "labels", BNF_I64, 2, labels64);
    refused(&o, BNF_ERR_FORMAT, train, "array 'images' has elements of type <f8");
    labels64[9] = INT64_C(5000000000);
    write_npz(train, "images", &cube, bytes, "labels", BNF_I64, N, labels64);
    refused(&o, BNF_ERR_FORMAT, train, "array 'labels': label 5000000000 of item 9");
    labels32[9] = -1;
    write_npz(train, "images", &cube, bytes, "labels", BNF_I32, N, labels32);
    refused(&o, BNF_ERR_FORMAT, train, "item 9: label -1 is out of range");
    labels32[9] = 1 << 20;
    write_npz(train, "images", &cube, bytes, "labels", BNF_I32, N, labels32);
    refused(&o, BNF_ERR_FORMAT, train, "label 1048576");
    for (o.classes = -1; o.classes < 1 << 21; o.classes += 1 << 21)
        refused(&o, BNF_ERR_ARG, "classes: it must be", "1 to 1048576");
    o.classes = 0;
    labels32[9] = 3;
    reals[20 * H * W * C + 1] = NAN;
    write_f32(train, N);
    o.images = "x", o.labels = "y";
    refused(&o, BNF_ERR_NUMERIC, train, "array 'x', item 20");
    o.test_fraction = 1;
    refused(&o, BNF_ERR_ARG, "fraction", "[0,1)");
}

/* What is wrong with lists of files, classes, channels and masks. */
static void test_list_errors(void **state)
{
    (void)state;
    static char pattern[300];
    static const char *const names[] = {"a", "b"}, *const twice[] = {train, train}, *const none[] = {pattern};
    bnf_import_npz_options o = {.files = {{2, twice, NULL}}};
    static const uint16_t half[] = {0x3c00, 0x7c00};
    bnf_desc cube = bnf_desc_4d(BNF_U8, 1, 1, 4, 1);

    write_u8(train, N);
    refused(&o, BNF_ERR_ARG, train, "named twice for the train part");
    o.files[BNF_TRAIN] = (bnf_import_files){1, none, NULL};
    snprintf(pattern, sizeof pattern, "%s/*.npy", folder);
    refused(&o, BNF_ERR_IO, pattern, "no file is called");
    snprintf(pattern, sizeof pattern, "%s/empty", folder);
    assert_ok(bnf_fs_make_folders(pattern));
    refused(&o, BNF_ERR_IO, pattern, "holds no .npz file");
    o.files[BNF_TRAIN] = (bnf_import_files){1, train_files, names};
    o.files[BNF_TEST] = (bnf_import_files){1, train_files, NULL};
    refused(&o, BNF_ERR_ARG, "labels", "cannot be mixed");
    o.files[BNF_TEST].count = 0;
    o.classes = 3;
    refused(&o, BNF_ERR_ARG, "hold no labels", "");
    o = (bnf_import_npz_options){.files = {TRAIN_FILE}, .one_channel = true, .channel = 3};
    refused(&o, BNF_ERR_ARG, "channel 3", "channels 0 to 2");
    o.files[BNF_TRAIN].count = 0;
    refused(&o, BNF_ERR_ARG, "needs a file", "");
    o = (bnf_import_npz_options){.files = {TRAIN_FILE}, .mask = true, .threshold = NAN};
    refused(&o, BNF_ERR_ARG, "threshold", "");
    npz_replace(train, "<i8", "<u8");
    o.threshold = 1;
    refused(&o, BNF_ERR_FORMAT, train, "elements of type <u8");
    write_npz(train, "images", &cube, half, "labels", BNF_U8, 1, "");
    npz_replace(train, "|u1", "<f2");
    npz_replace(train, "(1, 1, 4, 1)", "(1, 1, 2, 1)");
    refused(&o, BNF_ERR_NUMERIC, train, "item 0: the image holds NaN or infinity");
    write_u8(train, N);
    o = (bnf_import_npz_options){.files = {TRAIN_FILE, TEST_FILE}};
    cube = bnf_desc_4d(BNF_F32, M, H, W, C);
    write_npz(test, "images", &cube, reals, "labels", BNF_I32, M, labels32);
    refused(&o, BNF_ERR_FORMAT, test, "images of another type");
}

/* Compressed archives that are cut off or changed: never more than an error. */
static void test_damage(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_npz_options o = {.files = {TRAIN_FILE}};
    size_t size;
    int found = 0, tried = 0;
    write_u8(train, 9);
    npz_deflate(train);
    unsigned char *content = read_back(train, &size);
    for (size_t n = 1; n < size; n += 41) {
        write_file(train, content, n);
        refused(&o, BNF_ERR_FORMAT, train, "");
    }
    for (size_t n = 0; n < size; n += 29, tried++) {
        content[n] ^= 0x35;
        write_file(train, content, size);
        found += bnf_import_npz(NULL, &o, &(bnf_import_output){.path = out}, &s) != BNF_OK;
        bnf_error_clear();
        content[n] ^= 0x35;
    }
    assert_true(found > tried / 2);
    free(content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statistics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fraction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_classes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elements, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
