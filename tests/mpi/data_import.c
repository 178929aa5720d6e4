/* Importing on several ranks: the same content and checksum as on one; an error that one rank alone meets is
 * everybody's. */
#include "unit/data_support.h"

#include "comm/agree.h"
#include "train/npz.h"
#include "h5/checksum.h"
#include "on_ranks.h"

#include <math.h>

enum { N = 151, M = 23, H = 11, W = 13 };

static const bnf_comm *world;
static int rank, ranks;
static char folder[256], out[300], alone[300];

static int setup(void **state)
{
    (void)state;
    if (rank == 0)
        make_folder(folder);
    assert_ok(bnf_comm_bcast(world, 0, folder, sizeof folder));
    snprintf(out, sizeof out, "%s/out.h5", folder);
    snprintf(alone, sizeof alone, "%s/alone.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        remove_tree(folder);
    return 0;
}

static bnf_import_idx_options idx_files(void)
{
    static char text[4][600];
    static const char *const names[] = {"ti", "tl", "vi", "vl"};
    for (int k = 0; k < 4; k++)
        snprintf(text[k], sizeof text[k], "%s", in(folder, names[k]));
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0) {
        write_idx_images(text[0], true, 0, N, H, W);
        write_idx_labels(text[1], true, 0, N, 7);
        write_idx_images(text[2], true, 1000, M, H, W);
        write_idx_labels(text[3], true, 1000, M, 7);
    }
    assert_ok(bnf_comm_barrier(world));
    return (bnf_import_idx_options){
        .train_images = text[0], .train_labels = text[1], .test_images = text[2], .test_labels = text[3]};
}

/* Same pixels, labels and statistics in both files; both checksums hold. */
static void assert_same_set(const char *a, const char *b, bnf_split split)
{
    bnf_dataset *set[2];
    static _Alignas(16) uint8_t images[2][(N * H * W + 15) / 16 * 16]; /* or as many bytes of f32 */
    static int64_t index[N];

    assert_ok(bnf_dataset_open(a, split, &set[0]));
    assert_ok(bnf_dataset_open(b, split, &set[1]));
    const bnf_dataset_info *x = bnf_dataset_get_info(set[0]), *y = bnf_dataset_get_info(set[1]);
    assert_true(x->count == y->count && x->h == y->h && x->w == y->w && x->c == y->c && x->classes == y->classes);
    for (int64_t i = 0; i < x->count; i++)
        index[i] = i;
    assert_ok(bnf_dataset_read(set[0], x->count, index, images[0]));
    assert_ok(bnf_dataset_read(set[1], x->count, index, images[1]));
    assert_memory_equal(images[0], images[1], (size_t)(x->count * x->sample_bytes));
    assert_memory_equal(bnf_dataset_labels(set[0]), bnf_dataset_labels(set[1]), (size_t)x->count * sizeof(int32_t));
    assert_memory_equal(x->mean, y->mean, (size_t)x->c * sizeof(double));
    assert_memory_equal(x->std, y->std, (size_t)x->c * sizeof(double));
    assert_string_equal(x->checksum, y->checksum);
    assert_ok(bnf_dataset_verify(set[0], world));
    assert_ok(bnf_dataset_verify(set[1], world));
    bnf_dataset_close(set[0]);
    bnf_dataset_close(set[1]);
}

static void test_same_as_alone(void **state)
{
    (void)state;
    bnf_import_idx_options o = idx_files();
    bnf_import_summary together, single;
    static const struct {
        int64_t rows;
        int deflate;
    } storage[] = {{3, 0}, {3, 5}, {60, 0}, {60, 5}, {1000, 0}, {1, 1}};

    if (rank == 0)
        assert_ok(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = alone}, &single));
    for (size_t k = 0; k < sizeof storage / sizeof storage[0]; k++) {
        bnf_import_output output = {.path = out, .chunk_bytes = storage[k].rows * H * W, .deflate = storage[k].deflate};
        assert_ok(bnf_import_idx(world, &o, &output, &together));
        if (rank == 0)
            assert_string_equal(together.checksum, single.checksum);
        assert_ok(bnf_comm_barrier(world));
        assert_same_set(out, alone, BNF_TRAIN);
        assert_same_set(out, alone, BNF_TEST);
    }
}

/* More ranks than samples: some have nothing to do. */
static void test_fewer_samples_than_ranks(void **state)
{
    (void)state;
    bnf_synth_shapes_options o = {.count = {2, 1}, .height = 8, .width = 8, .channels = 3, .noise = 9, .seed = 4};
    bnf_import_summary together, single;

    assert_ok(
        bnf_synth_shapes(world, &o, &(bnf_import_output){.path = out, .chunk_bytes = 1, .deflate = 2}, &together));
    if (rank == 0) {
        assert_ok(bnf_synth_shapes(NULL, &o, &(bnf_import_output){.path = alone}, &single));
        assert_string_equal(together.checksum, single.checksum);
    }
    assert_ok(bnf_comm_barrier(world));
}

/* f32 images, whose statistics are no sums of integers. */
static void test_f32(void **state)
{
    (void)state;
    bnf_synth_koch_options o = {.count = {N, M}, .order = 2, .radius = {3, 1.1}, .seed = 4};
    bnf_import_summary together, single;
    bnf_import_output output = {.path = out, .chunk_bytes = 5 * 8}, same = {.path = alone, .chunk_bytes = 5 * 8};

    if (rank == 0)
        assert_ok(bnf_synth_koch(NULL, &o, &same, &single));
    assert_ok(bnf_synth_koch(world, &o, &output, &together));
    if (rank == 0)
        assert_string_equal(together.checksum, single.checksum);
    assert_ok(bnf_comm_barrier(world));
    assert_same_set(out, alone, BNF_TRAIN);
    assert_same_set(out, alone, BNF_TEST);
}

/* An archive of N f32 images, of which one may be NaN. */
static void write_npz(const char *path, int64_t bad)
{
    static float images[N * 6];
    static int64_t labels[N];
    bnf_desc shape = {BNF_F32, 3, {N, 3, 2}}, list = bnf_desc_1d(BNF_I64, N);
    bnf_npz npz = {0};
    for (int i = 0; i < N * 6; i++)
        images[i] = i / 6 == bad ? NAN : (float)(i * i % 1009) / 7;
    for (int i = 0; i < N; i++)
        labels[i] = i % 5;
    assert_ok(bnf_npz_add(&npz, "images", &shape, images));
    assert_ok(bnf_npz_add(&npz, "labels", &list, labels));
    assert_ok(bnf_npz_write(&npz, path));
    bnf_npz_release(&npz);
}

/* All ranks fail alike, the message of each names the file, and no file is left. */
static void check_failure(bnf_status status, bnf_status expected, const char *part)
{
    char temporary[310];
    if (status != expected)
        fail_msg("status %s: %s", bnf_status_name(status), bnf_error_message());
    if (!strstr(bnf_error_message(), part))
        fail_msg("message '%s' does not name '%s'", bnf_error_message(), part);
    assert_ok(bnf_comm_barrier(world));
    snprintf(temporary, sizeof temporary, "%s.tmp", out);
    assert_false(bnf_fs_exists(temporary));
    assert_false(bnf_fs_exists(out));
    bnf_error_clear();
}

static void test_idx_errors(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_output output = {.path = out, .chunk_bytes = 5 * H * W};
    bnf_import_idx_options o;

    if (rank == 0)
        unlink(out);
    o = idx_files(); /* only the rank with the last samples sees the end */
    if (rank == 0)
        cut_file(o.train_images, 4);
    assert_ok(bnf_comm_barrier(world));
    check_failure(bnf_import_idx(world, &o, &output, &s), BNF_ERR_FORMAT, o.train_images);
    o = idx_files();
    if (rank == 0)
        write_idx_labels(o.test_labels, false, 0, M, 23); /* labels 7 to 22: most ranks have some */
    assert_ok(bnf_comm_barrier(world));
    check_failure(bnf_import_idx(world, &o, &output, &s), BNF_ERR_FORMAT, o.test_labels);
    o = idx_files();
    output.path = "/no/such/folder/x.h5";
    check_failure(bnf_import_idx(world, &o, &output, &s), BNF_ERR_IO, output.path);
}

static void test_npz(void **state)
{
    (void)state;
    char archive[300];
    const char *const list[] = {archive};
    bnf_import_npz_options o = {.files = {{1, list, NULL}}, .test_fraction = 0.2};
    bnf_import_summary together, single;
    bnf_import_output output = {.path = out, .chunk_bytes = 3 * 24}, same = {.path = alone, .chunk_bytes = 3 * 24};

    snprintf(archive, sizeof archive, "%s/set.npz", folder);
    if (rank == 0) {
        write_npz(archive, -1);
        assert_ok(bnf_import_npz(NULL, &o, &same, &single));
    }
    assert_ok(bnf_comm_barrier(world));
    assert_ok(bnf_import_npz(world, &o, &output, &together));
    if (rank == 0)
        assert_string_equal(together.checksum, single.checksum);
    assert_ok(bnf_comm_barrier(world));
    assert_same_set(out, alone, BNF_TRAIN);
    assert_same_set(out, alone, BNF_TEST);
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0) {
        unlink(out);
        write_npz(archive, N - 2); /* one rank alone sees it */
    }
    assert_ok(bnf_comm_barrier(world));
    o.test_fraction = 0;
    check_failure(bnf_import_npz(world, &o, &output, &together), BNF_ERR_NUMERIC, "array 'images', item 149");
}

static void test_folder(void **state)
{
    (void)state;
    bnf_import_summary together, single;
    char set[300], name[64];
    unsigned char pixels[H * W * 3];
    bnf_import_folder_options o = {.train = set, .test_fraction = 0.2};
    bnf_import_output output = {.path = out, .chunk_bytes = 2 * H * W * 3};

    snprintf(set, sizeof set, "%s/set", folder);
    if (rank == 0) {
        assert_ok(bnf_fs_make_folders(in(set, "a")));
        assert_ok(bnf_fs_make_folders(in(set, "b")));
        for (int i = 0; i < 40; i++) {
            smooth_pixels(H, W, i == 39 ? 3 : 1, pixels);
            pixels[i] = 255;
            snprintf(name, sizeof name, "%s/%02d.%s", i < 20 ? "a" : "b", i, i % 2 ? "jpg" : "png");
            if (i % 2)
                write_jpeg(in(set, name), H, W, i == 39 ? 3 : 1, pixels);
            else
                write_png(in(set, name), H, W, 1, pixels);
        }
        assert_ok(bnf_import_folder(NULL, &o, &(bnf_import_output){.path = alone}, &single));
    }
    assert_ok(bnf_comm_barrier(world));
    assert_ok(bnf_import_folder(world, &o, &output, &together)); /* one colour picture: only one rank sees it */
    assert_int_equal(together.c, 3);
    if (rank == 0) {
        assert_string_equal(together.checksum, single.checksum);
        unlink(out);
        cut_file(in(set, "b/37.jpg"), 30);
    }
    assert_ok(bnf_comm_barrier(world));
    check_failure(bnf_import_folder(world, &o, &output, &together), BNF_ERR_FORMAT, "b/37.jpg");
    if (rank == 0)
        assert_ok(bnf_fs_make_folders(in(set, "c")));
    assert_ok(bnf_comm_barrier(world));
    check_failure(bnf_import_folder(world, &o, &output, &together), BNF_ERR_FORMAT, in(set, "c"));
    o.train = "/no/such/folder";
    check_failure(bnf_import_folder(world, &o, &output, &together), BNF_ERR_IO, o.train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_alone), cmocka_unit_test(test_fewer_samples_than_ranks),
        cmocka_unit_test(test_f32),           cmocka_unit_test(test_idx_errors),
        cmocka_unit_test(test_npz),           cmocka_unit_test(test_folder),
    };
    return ON_RANKS(BNF_THREAD_MULTIPLE, &world, &rank, &ranks, tests, setup, teardown);
}
