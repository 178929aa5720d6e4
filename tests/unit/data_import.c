/* Importing: what arrives in the file, and every error of the inputs: the message names the file, and no file is
 * left. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <math.h>

enum { N = 130, M = 37, H = 12, W = 10 }; /* training and test images of the IDX files */

static char folder[256], out[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(out, sizeof out, "%s/out.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

/* Neither the result nor the temporary file is there. */
static void assert_nothing_left(void)
{
    char temporary[310];
    snprintf(temporary, sizeof temporary, "%s.tmp", out);
    assert_false(bnf_fs_exists(out));
    assert_false(bnf_fs_exists(temporary));
}

/* ---- IDX ---- */

static bnf_import_idx_options idx_files(void)
{
    static char text[4][600];
    static const char *const names[] = {"ti", "tl", "vi", "vl"};
    for (int k = 0; k < 4; k++)
        snprintf(text[k], sizeof text[k], "%s", in(folder, names[k]));
    write_idx_images(text[0], true, 0, N, H, W);
    write_idx_labels(text[1], true, 0, N, 7);
    write_idx_images(text[2], false, 1000, M, H, W);
    write_idx_labels(text[3], false, 1000, M, 7);
    return (bnf_import_idx_options){
        .train_images = text[0], .train_labels = text[1], .test_images = text[2], .test_labels = text[3]};
}

static void check_split(bnf_split split, int64_t first, int64_t count)
{
    bnf_dataset *ds;
    static uint8_t images[N * H * W];
    int64_t index[N];

    assert_ok(bnf_dataset_open(out, split, &ds));
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    assert_int_equal(info->count, count);
    assert_true(info->h == H && info->w == W && info->c == 1 && info->dtype == BNF_U8);
    assert_int_equal(info->classes, 7);
    assert_string_equal(info->class_names[6], "6");
    assert_non_null(strstr(info->source, "IDX"));
    for (int64_t i = 0; i < count; i++)
        index[i] = i;
    assert_ok(bnf_dataset_read(ds, count, index, images));
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(bnf_dataset_labels(ds)[i], (first + i) % 7);
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++)
                assert_int_equal(images[(i * H + y) * W + x], test_pixel(first + i, y, x, 0));
    }
    assert_ok(bnf_dataset_verify(ds, NULL));
    bnf_dataset_close(ds);
}

static void test_idx(void **state)
{
    (void)state;
    bnf_import_idx_options o = idx_files();
    bnf_import_summary summary, again;
    char checksum[17];

    assert_ok(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = out, .chunk_bytes = 1000}, &summary));
    assert_true(summary.count[BNF_TRAIN] == N && summary.count[BNF_TEST] == M && summary.classes == 7);
    check_split(BNF_TRAIN, 0, N);
    check_split(BNF_TEST, 1000, M);
    memcpy(checksum, summary.checksum, sizeof checksum);

    /* Other chunks, compressed, over the old file: the same content and checksum. */
    assert_ok(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = out, .deflate = 6}, &again));
    assert_string_equal(again.checksum, checksum);
    check_split(BNF_TRAIN, 0, N);
    check_split(BNF_TEST, 1000, M);
    unlink(out);
}

static void test_statistics(void **state)
{
    (void)state;
    bnf_import_idx_options o = idx_files();
    bnf_import_summary summary;
    bnf_dataset *ds;
    double sum = 0, squares = 0, n = (double)N * H * W;

    assert_ok(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = out}, &summary));
    for (int64_t i = 0; i < N; i++)
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++)
                sum += test_pixel(i, y, x, 0) / 255.0;
    for (int64_t i = 0; i < N; i++)
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++)
                squares += pow(test_pixel(i, y, x, 0) / 255.0 - sum / n, 2);
    assert_ok(bnf_dataset_open(out, BNF_TEST, &ds)); /* the statistics are those of the training part all the same */
    assert_true(bnf_dataset_get_info(ds)->has_stats);
    assert_true(fabs(bnf_dataset_get_info(ds)->mean[0] - sum / n) < 1e-12);
    assert_true(fabs(bnf_dataset_get_info(ds)->std[0] - sqrt(squares / n)) < 1e-12);
    assert_string_equal(bnf_dataset_get_info(ds)->checksum, summary.checksum);
    bnf_dataset_close(ds);
    unlink(out);
}

/* The checksum sees a changed pixel, a changed label and two samples that changed places. */
static void test_checksum_sees_changes(void **state)
{
    (void)state;
    bnf_import_idx_options o = idx_files();
    bnf_import_summary base, other;
    bnf_import_output output = {.path = out};
    size_t size;

    assert_ok(bnf_import_idx(NULL, &o, &output, &base));
    unsigned char *data = read_back(o.test_images, &size), *copy = read_back(o.test_images, &size);
    data[16 + 5 * H * W] ^= 1;
    write_file(o.test_images, data, size);
    assert_ok(bnf_import_idx(NULL, &o, &output, &other));
    assert_string_not_equal(base.checksum, other.checksum);
    memcpy(data, copy, size);
    memcpy(data + 16, copy + 16 + 7 * H * W, H * W); /* samples 0 and 7 have the same label */
    memcpy(data + 16 + 7 * H * W, copy + 16, H * W);
    write_file(o.test_images, data, size);
    assert_ok(bnf_import_idx(NULL, &o, &output, &other));
    assert_string_not_equal(base.checksum, other.checksum);
    write_file(o.test_images, copy, size);
    write_idx_labels(o.test_labels, false, 1001, M, 7);
    assert_ok(bnf_import_idx(NULL, &o, &output, &other));
    assert_string_not_equal(base.checksum, other.checksum);
    free(data);
    free(copy);
    unlink(out);
}

static void test_idx_errors(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_output output = {.path = out};
    bnf_import_idx_options o = idx_files();

    cut_file(o.train_images, 9);
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, o.train_images);
    o = idx_files();
    cut_file(o.train_labels, 3);
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, o.train_labels);
    o = idx_files();
    cut_file(o.test_images, 3);
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, o.test_images);
    o = idx_files();
    write_idx_labels(o.train_labels, false, 0, N + 1, 7);
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, o.train_labels);
    o = idx_files();
    write_idx_labels(o.test_labels, false, 0, M, 8);
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, "item 7: label 7 is out of range");
    assert_non_null(strstr(bnf_error_message(), o.test_labels));
    o = idx_files();
    o.classes = 3;
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, o.train_labels);
    o = idx_files();
    write_idx_images(o.test_images, false, 0, M, H, W + 1);
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, o.test_images);
    o = idx_files();
    o.train_images = o.train_labels; /* one dimension */
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_FORMAT, "dimensions");
    o = idx_files();
    o.test_labels = NULL;
    assert_fails(bnf_import_idx(NULL, &o, &output, &s), BNF_ERR_ARG, "labels");
    assert_nothing_left();
}

static void test_output_errors(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_idx_options o = idx_files();
    char path[400];

    snprintf(path, sizeof path, "%s/no/such/folder/x.h5", folder);
    assert_fails(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_IO, path);
    snprintf(path, sizeof path, "%s/taken", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_fails(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_IO, path);
    snprintf(path, sizeof path, "%s/taken.tmp", folder);
    assert_false(bnf_fs_exists(path));
    assert_fails(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = out, .deflate = 10}, &s), BNF_ERR_ARG,
                 "deflate");
    assert_nothing_left();
}

/* A failed import leaves an older file as it was. */
static void test_failure_keeps_the_old_file(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_idx_options o = idx_files();

    assert_ok(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = out}, &s));
    cut_file(o.test_images, 3);
    assert_fails(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = out}, &s), BNF_ERR_FORMAT, o.test_images);
    check_split(BNF_TRAIN, 0, N);
    check_split(BNF_TEST, 1000, M);
    unlink(out);
    assert_nothing_left();
}

/* Memory that runs out anywhere is an error, and nothing leaks. */
static void test_out_of_memory(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_idx_options o = idx_files();
    int failures = 0;

    for (int64_t n = 1;; n++) {
        int64_t live = bnf_mem_live_blocks();
        bnf_error_clear();
        bnf_mem_fail_at(n);
        bnf_status status = bnf_import_idx(NULL, &o, &(bnf_import_output){.path = out}, &s);
        bnf_mem_fail_at(0);
        assert_int_equal(bnf_mem_live_blocks(), live);
        if (status == BNF_OK)
            break;
        assert_true(strlen(bnf_error_message()) > 0);
        failures++;
        if (bnf_fs_exists(out)) { /* only the very last step, making the name durable, may fail after the renaming */
            check_split(BNF_TRAIN, 0, N);
            check_split(BNF_TEST, 1000, M);
            unlink(out);
        }
        assert_nothing_left();
    }
    assert_true(failures > 10);
    unlink(out);
}

/* ---- CIFAR ---- */

enum { SIDE = 32, PLANE = SIDE * SIDE };

static void write_cifar(const char *path, int64_t first, int64_t n, int label_bytes)
{
    size_t record = (size_t)label_bytes + 3 * PLANE;
    unsigned char *data = malloc((size_t)n * record), *p = data;
    assert_non_null(data);
    for (int64_t i = first; i < first + n; i++) {
        if (label_bytes == 2)
            *p++ = (unsigned char)(i % 20);
        *p++ = (unsigned char)(label_bytes == 2 ? i % 100 : i % 10);
        for (int64_t c = 0; c < 3; c++)
            for (int64_t k = 0; k < PLANE; k++)
                *p++ = test_pixel(i, k / SIDE, k % SIDE, c);
    }
    write_file(path, data, (size_t)n * record);
    free(data);
}

static void test_cifar(void **state)
{
    (void)state;
    char a[300], b[300];
    const char *train[] = {a, b};
    bnf_import_summary s;
    bnf_dataset *ds;
    static uint8_t image[3 * PLANE];

    snprintf(a, sizeof a, "%s/a.bin", folder);
    snprintf(b, sizeof b, "%s/b.bin", folder);
    for (int variant = 10; variant <= 100; variant += 90) {
        write_cifar(a, 0, 11, variant == 10 ? 1 : 2);
        write_cifar(b, 11, 14, variant == 10 ? 1 : 2);
        for (int coarse = 0; coarse <= (variant == 100); coarse++) {
            bnf_import_cifar_options o = {
                .file_count = {2, 1}, .files = {train, train}, .variant = variant, .coarse = coarse};
            assert_ok(bnf_import_cifar(NULL, &o, &(bnf_import_output){.path = out}, &s));
            assert_true(s.count[BNF_TRAIN] == 25 && s.count[BNF_TEST] == 11);
            assert_int_equal(s.classes, variant == 10 ? 10 : coarse ? 20 : 100);
            assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds));
            for (int64_t i = 0; i < 25; i++) {
                assert_int_equal(bnf_dataset_labels(ds)[i], i % s.classes);
                assert_ok(bnf_dataset_read(ds, 1, &i, image));
                for (int64_t k = 0; k < PLANE; k++)
                    for (int64_t c = 0; c < 3; c++)
                        assert_int_equal(image[3 * k + c], test_pixel(i, k / SIDE, k % SIDE, c));
            }
            bnf_dataset_close(ds);
        }
    }
    unlink(out);
}

static void test_cifar_errors(void **state)
{
    (void)state;
    char a[300], names[300];
    const char *train[] = {a};
    bnf_import_summary s;
    bnf_import_output output = {.path = out};
    bnf_import_cifar_options o = {.file_count = {1, 0}, .files = {train, NULL}, .variant = 10};
    size_t size;

    snprintf(a, sizeof a, "%s/a.bin", folder);
    snprintf(names, sizeof names, "%s/names.txt", folder);
    write_cifar(a, 0, 5, 1);
    cut_file(a, 1);
    assert_fails(bnf_import_cifar(NULL, &o, &output, &s), BNF_ERR_FORMAT, a);
    write_file(a, "", 0);
    assert_fails(bnf_import_cifar(NULL, &o, &output, &s), BNF_ERR_FORMAT, a);
    write_cifar(a, 0, 5, 1);
    unsigned char *data = read_back(a, &size);
    data[3 * (1 + 3 * PLANE)] = 10;
    write_file(a, data, size);
    assert_fails(bnf_import_cifar(NULL, &o, &output, &s), BNF_ERR_FORMAT, "record 3: label 10 is out of range");
    free(data);
    write_cifar(a, 0, 5, 1);
    write_file(names, "one\ntwo\n", 8);
    o.names_file = names;
    assert_fails(bnf_import_cifar(NULL, &o, &output, &s), BNF_ERR_FORMAT, "2 class names");
    write_file(names, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n", 21);
    assert_ok(bnf_import_cifar(NULL, &o, &output, &s));
    unlink(out);
    unlink(a);
    assert_fails(bnf_import_cifar(NULL, &o, &output, &s), BNF_ERR_IO, a);
    assert_nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_checksum_sees_changes),
        cmocka_unit_test(test_idx_errors),
        cmocka_unit_test(test_output_errors),
        cmocka_unit_test(test_failure_keeps_the_old_file),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_cifar),
        cmocka_unit_test(test_cifar_errors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
