/* Sparse sets: the same images, checksum, statistics and batches as the decoded set of the same source; damage. */
#include "unit/data_sparse.h"

#include "data/loader.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <math.h>

enum { N = 60, M = 9 };

static char folder[256], dense[300], sparse[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(dense, sizeof dense, "%s/dense.h5", folder);
    snprintf(sparse, sizeof sparse, "%s/sparse.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static void write_both(bool f32, int deflate)
{
    bnf_import_summary s[2];
    const bnf_import_output plain = {.path = dense, .chunk_bytes = 3000};
    const bnf_import_output cells = {.path = sparse, .chunk_bytes = 3000, .deflate = deflate, .sparse = true};
    assert_ok(bnf_import_run(NULL, sparse_source(f32, N, M), &plain, &s[0]));
    assert_ok(bnf_import_run(NULL, sparse_source(f32, N, M), &cells, &s[1]));
    assert_string_equal(s[0].checksum, s[1].checksum);
    assert_true(s[1].h == SPARSE_H && s[1].w == SPARSE_W && s[1].c == SPARSE_C && s[1].count[BNF_TEST] == M);
}

static void open_both(bnf_split split, bnf_dataset *ds[2])
{
    assert_ok(bnf_dataset_open(dense, split, &ds[0]));
    assert_ok(bnf_dataset_open(sparse, split, &ds[1]));
}

static void close_both(bnf_dataset *ds[2])
{
    bnf_dataset_close(ds[0]);
    bnf_dataset_close(ds[1]);
}

static void assert_same_images(bnf_dataset *ds[2])
{
    static unsigned char images[2][N * SPARSE_CELLS * sizeof(float)];
    const bnf_dataset_info *info = bnf_dataset_get_info(ds[1]);
    const int64_t some[] = {0, 4, 4, 6, 7};

    for (int k = 0; k < 2; k++)
        assert_ok(bnf_dataset_read_rows(ds[k], 0, info->count, images[k]));
    assert_memory_equal(images[0], images[1], (size_t)(info->count * info->sample_bytes));
    for (int k = 0; k < 2; k++)
        assert_ok(bnf_dataset_read(ds[k], 5, some, images[k]));
    assert_memory_equal(images[0], images[1], (size_t)(5 * info->sample_bytes));
    assert_memory_equal(bnf_dataset_labels(ds[0]), bnf_dataset_labels(ds[1]), (size_t)info->count * sizeof(int32_t));
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        bnf_dataset *ds[2];
        write_both(k & 1, k & 2 ? 6 : 0);
        for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
            open_both((bnf_split)split, ds);
            const bnf_dataset_info *d = bnf_dataset_get_info(ds[0]), *s = bnf_dataset_get_info(ds[1]);
            assert_true(s->sparse && !d->sparse && s->dtype == d->dtype && s->count == d->count && s->h == d->h &&
                        s->w == d->w && s->c == d->c && s->sample_bytes == d->sample_bytes);
            assert_true(s->entries > s->count && s->stored_bytes == s->entries * (k & 1 ? 8 : 5));
            assert_memory_equal(d->mean, s->mean, SPARSE_C * sizeof(double));
            assert_memory_equal(d->std, s->std, SPARSE_C * sizeof(double));
            assert_same_images(ds);
            assert_ok(bnf_dataset_verify(ds[1], NULL));
            assert_ok(bnf_dataset_hold(ds[1]));
            assert_same_images(ds);
            assert_ok(bnf_dataset_verify(ds[1], NULL));
            close_both(ds);
        }
    }
}

/* Batches with augmentation, padding and several threads that make images, read or held or from the store. */
static void compare_batches(bnf_dataset *ds[2], bnf_loader_config config)
{
    const int64_t row = SPARSE_CELLS;
    bnf_loader *l[2];
    const bnf_batch *b[2];

    assert_ok(bnf_loader_create(ds[0], &config, &l[0]));
    config.decode_threads = 3;
    assert_ok(bnf_loader_create(ds[1], &config, &l[1]));
    assert_true(bnf_loader_steps_per_epoch(l[0]) == bnf_loader_steps_per_epoch(l[1]));
    for (int64_t step = 0; step < 2 * bnf_loader_steps_per_epoch(l[0]); step++) {
        for (int k = 0; k < 2; k++)
            assert_ok(bnf_loader_next(l[k], &b[k]));
        assert_memory_equal(b[0]->index, b[1]->index, (size_t)b[0]->rows * sizeof(int64_t));
        assert_memory_equal(b[0]->labels, b[1]->labels, (size_t)b[0]->rows * sizeof(int32_t));
        assert_memory_equal(b[0]->x, b[1]->x, (size_t)(b[0]->rows * row) * sizeof(float));
    }
    bnf_loader_destroy(l[0]);
    bnf_loader_destroy(l[1]);
}

static void test_batches(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        bnf_dataset *ds[2];
        bnf_loader_config config = {.seed = 3,
                                    .batch = 16,
                                    .leaves = 4,
                                    .leaf_hi = 4,
                                    .normalise = {.mode = k & 1 ? BNF_NORMALISE_STATS : BNF_NORMALISE_UNIT},
                                    .augment = {.flip = k < 6, .pad_crop = k < 6 ? 2 : 0, .roll = k < 6 ? 0 : 1},
                                    .sampler = {.kind = BNF_SAMPLER_SHUFFLE},
                                    .prefetch = 2,
                                    .memory = k & 2,
                                    .hold_bytes = k & 4 ? 1 << 20 : 0};
        write_both(k & 1, 1);
        open_both(BNF_TRAIN, ds);
        compare_batches(ds, config);
        config.augment.resized_crop = true;
        bnf_loader *l;
        assert_fails(bnf_loader_create(ds[1], &config, &l), BNF_ERR_CONFIG, "resized_crop");
        assert_fails(bnf_dataset_set_size(ds[1], 8, 1), BNF_ERR_UNSUPPORTED, "data.size");
        close_both(ds);
    }
}

/* ---- Damage ---- */

/* Writes a set of two images by hand, with what the test wants to be wrong. */
static void write_by_hand(const int64_t offsets[3], const int32_t cells[4], const float values[4], int64_t w)
{
    const int64_t shape[] = {2, w, 1};
    const int32_t labels[] = {0, 1};
    const struct {
        const char *name;
        bnf_dtype dtype;
        int64_t count;
        const void *data;
    } table[] = {{"/train/offsets", BNF_I64, 3, offsets},
                 {"/train/cells", BNF_I32, 4, cells},
                 {"/train/values", BNF_F32, 4, values},
                 {"/train/labels", BNF_I32, 2, labels}};
    bnf_h5_file *f;

    assert_ok(bnf_h5_file_create(sparse, &f));
    for (int i = 0; i < 4; i++) {
        bnf_h5_dataset *d;
        assert_ok(bnf_h5_dataset_create(f, table[i].name, table[i].dtype, 1, &table[i].count, NULL, &d));
        assert_ok(bnf_h5_dataset_write(d, table[i].dtype, table[i].data));
        assert_ok(bnf_h5_dataset_close(d));
    }
    assert_ok(bnf_h5_attr_set_ints(f, "/train", "shape", 3, shape));
    assert_ok(bnf_h5_file_close(f));
}

static void test_bad_content(void **state)
{
    (void)state;
    const int64_t good_offsets[] = {0, 1, 4};
    const int32_t good_cells[] = {3, 0, 2, 5};
    const float good_values[] = {1, 2, 3, 4};
    const float expected[2][6] = {{0, 0, 0, 1, 0, 0}, {2, 0, 3, 0, 0, 4}};
    float images[2][6];
    bnf_dataset *ds;

    write_by_hand(good_offsets, good_cells, good_values, 3);
    assert_ok(bnf_dataset_open(sparse, BNF_TRAIN, &ds));
    assert_int_equal(bnf_dataset_get_info(ds)->classes, 2);
    assert_ok(bnf_dataset_read_rows(ds, 0, 2, images));
    assert_memory_equal(images, expected, sizeof images);
    bnf_dataset_close(ds);

    write_by_hand((int64_t[]){0, 5, 4}, good_cells, good_values, 3);
    assert_fails(bnf_dataset_open(sparse, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "/train/offsets do not ascend");
    write_by_hand((int64_t[]){0, 1, 3}, good_cells, good_values, 3);
    assert_fails(bnf_dataset_open(sparse, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "/train/offsets do not ascend");
    write_by_hand(good_offsets, good_cells, good_values, 0);
    assert_fails(bnf_dataset_open(sparse, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "'shape' of /train");
    const int32_t bad_cells[3][4] = {{3, 0, 2, 6}, {3, 2, 2, 5}, {3, -1, 2, 5}};
    for (int k = 0; k < 3; k++) {
        write_by_hand(good_offsets, bad_cells[k], good_values, 3);
        assert_ok(bnf_dataset_open(sparse, BNF_TRAIN, &ds));
        assert_ok(bnf_dataset_read_rows(ds, 0, 1, images));
        assert_fails(bnf_dataset_read_rows(ds, 1, 1, images), BNF_ERR_FORMAT, "/train/cells: image 1");
        bnf_dataset_close(ds);
    }
    write_by_hand(good_offsets, good_cells, (float[]){1, 2, NAN, 4}, 3);
    assert_ok(bnf_dataset_open(sparse, BNF_TRAIN, &ds));
    assert_fails(bnf_dataset_read_rows(ds, 1, 1, images), BNF_ERR_NUMERIC, "/train/values: image 1");
    bnf_dataset_close(ds);
}

/* Any flipped byte of cells or values is noticed when the image is read, by the sums of the chunks. */
static void test_flipped_bytes(void **state)
{
    (void)state;
    static float images[N * SPARSE_CELLS];
    static uint8_t needle[64], image[SPARSE_CELLS];
    size_t size, at = 0;
    bnf_dataset *ds;
    int32_t label;
    int n = 0;

    write_both(false, 0);
    assert_ok(sparse_read_u8(NULL, BNF_TRAIN, 20, 1, image, &label));
    for (int k = 0; k < SPARSE_CELLS; k++)
        if (image[k])
            needle[n++] = image[k];
    assert_true(n >= 4);
    unsigned char *data = read_back(sparse, &size);
    while (at + (size_t)n < size && memcmp(data + at, needle, (size_t)n) != 0)
        at++;
    assert_true(at + (size_t)n < size);
    data[at + 1] ^= 16;
    write_file(sparse, data, size);
    free(data);
    assert_ok(bnf_dataset_open(sparse, BNF_TRAIN, &ds));
    assert_fails(bnf_dataset_read_rows(ds, 20, 1, images), BNF_ERR_FORMAT, "/train/values");
    assert_fails(bnf_dataset_verify(ds, NULL), BNF_ERR_FORMAT, "/train/values");
    bnf_dataset_close(ds);
    cut_file(sparse, size / 2);
    assert_fails(bnf_dataset_open(sparse, BNF_TRAIN, &ds), BNF_ERR_FORMAT, sparse);
}

/* A set cannot be repacked, and one without any entries is not written. */
static void test_refusals(void **state)
{
    (void)state;
    char other[300], checksum[17];
    bnf_import_summary s;
    bnf_source *empty = sparse_source(false, 1, 0);

    snprintf(other, sizeof other, "%s/other.h5", folder);
    write_both(true, 2);
    assert_fails(bnf_dataset_repack(NULL, sparse, other, &(bnf_repack_options){.deflate = -1}, checksum),
                 BNF_ERR_UNSUPPORTED, "stored as cells");
    empty->read = sparse_read_zeros;
    assert_fails(bnf_import_run(NULL, empty, &(bnf_import_output){.path = other, .sparse = true}, &s),
                 BNF_ERR_UNSUPPORTED, "all train images are zero");
    assert_fails(bnf_import_run(NULL, sparse_source(false, 1, 0),
                                &(bnf_import_output){.path = other, .deflate = 10, .sparse = true}, &s),
                 BNF_ERR_ARG, "deflate level of 10");
    assert_false(bnf_fs_exists(other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_batches),  cmocka_unit_test(test_bad_content),
        cmocka_unit_test(test_flipped_bytes), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
