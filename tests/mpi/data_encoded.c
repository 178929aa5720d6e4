/* Encoded sets on several ranks: one checksum and one content, resumed or not; batches that add up to the same; damage
 * that one rank meets is everybody's. */
#include "unit/data_support.h"

#include "comm/agree.h"
#include "data/loader.h"
#include "h5/dataset.h"
#include "on_ranks.h"

enum { N = 29, SIDE = 24 };

static const bnf_comm *world;
static int rank, ranks;
static char folder[256], set[300], out[300], alone[300];

static void make_set(void)
{
    char name[64];
    for (int i = 0; i < N; i++) {
        int64_t h = 30 + i, w = 80 - i;
        unsigned char *pixels = malloc((size_t)(h * w * 3));
        assert_non_null(pixels);
        smooth_pixels(h, w, 3, pixels);
        for (int64_t k = 0; k < h * w * 3; k++)
            pixels[k] = (unsigned char)(pixels[k] + 5 * i);
        snprintf(name, sizeof name, "%c/%02d.jpg", 'a' + i % 3, i);
        write_jpeg(in(set, name), h, w, 3, pixels);
        free(pixels);
    }
}

static bnf_status import_to(const bnf_comm *comm, const char *path, bool resume, bnf_import_summary *s)
{
    bnf_import_folder_options o = {
        .train = set, .test_fraction = 0.2, .encoded = true, .resume = resume, .part_rows = 4};
    return bnf_import_folder(comm, &o, &(bnf_import_output){.path = path}, s);
}

static int setup(void **state)
{
    (void)state;
    bnf_import_summary s;
    if (rank == 0)
        make_folder(folder);
    assert_ok(bnf_comm_bcast(world, 0, folder, sizeof folder));
    snprintf(out, sizeof out, "%s/out.h5", folder);
    snprintf(alone, sizeof alone, "%s/alone.h5", folder);
    snprintf(set, sizeof set, "%s/set", folder);
    if (rank == 0) {
        for (const char *c = "abc"; *c; c++)
            assert_ok(bnf_fs_make_folders(in(set, (char[]){*c, 0})));
        make_set();
        assert_ok(import_to(NULL, alone, false, &s));
    }
    return bnf_comm_barrier(world) != BNF_OK;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        remove_tree(folder);
    return 0;
}

static bnf_dataset *open_set(const char *path, bnf_split split)
{
    bnf_dataset *ds;
    assert_ok(bnf_dataset_open(path, split, &ds));
    assert_ok(bnf_dataset_set_size(ds, SIDE, 0.875));
    return ds;
}

static void assert_same_split(bnf_split split)
{
    static unsigned char images[2][N * SIDE * SIDE * 3];
    bnf_dataset *a = open_set(alone, split), *b = open_set(out, split);
    const bnf_dataset_info *ai = bnf_dataset_get_info(a), *bi = bnf_dataset_get_info(b);
    assert_int_equal(ai->count, bi->count);
    assert_string_equal(ai->checksum, bi->checksum);
    for (int c = 0; c < 3; c++)
        assert_true(ai->mean[c] == bi->mean[c] && ai->std[c] == bi->std[c]);
    assert_ok(bnf_dataset_read_rows(a, 0, ai->count, images[0]));
    assert_ok(bnf_dataset_read_rows(b, 0, ai->count, images[1]));
    assert_memory_equal(images[0], images[1], (size_t)(ai->count * ai->sample_bytes));
    assert_memory_equal(bnf_dataset_labels(a), bnf_dataset_labels(b), (size_t)ai->count * sizeof(int32_t));
    assert_ok(bnf_dataset_verify(b, world));
    bnf_dataset_close(a);
    bnf_dataset_close(b);
}

/* A damaged file stops it on every rank; mended, it goes on from the parts and ends as it would have alone. */
static void test_import(void **state)
{
    (void)state;
    bnf_import_summary s;
    unsigned char *sound = NULL;
    size_t size = 0;

    if (rank == 0) {
        sound = read_back(in(set, "b/16.jpg"), &size);
        cut_file(in(set, "b/16.jpg"), 40);
    }
    assert_ok(bnf_comm_barrier(world));
    assert_fails(import_to(world, out, false, &s), BNF_ERR_FORMAT, "b/16.jpg");
    assert_fails(import_to(world, out, false, &s), BNF_ERR_CONFIG, "--resume");
    if (rank == 0) {
        assert_false(bnf_fs_exists(out));
        write_file(in(set, "b/16.jpg"), sound, size);
        free(sound);
    }
    assert_ok(bnf_comm_barrier(world));
    assert_ok(import_to(world, out, true, &s));
    assert_true(s.count[BNF_TRAIN] + s.count[BNF_TEST] == N && s.count[BNF_TEST] > 0);
    assert_same_split(BNF_TRAIN);
    assert_same_split(BNF_TEST);
}

/* The rows of all ranks together are the batch of one. */
static void test_batches(void **state)
{
    (void)state;
    enum { LEAVES = 4, BATCH = 8 };
    bnf_loader_config c = {
        .seed = 3,
        .batch = BATCH,
        .leaves = LEAVES,
        .leaf_hi = LEAVES,
        .prefetch = 1,
        .decode_threads = 1 + rank,
        .augment = {.flip = true, .resized_crop = true, .crop_scale = {0.2, 1}, .crop_ratio = {0.75, 4.0 / 3}}};
    bnf_dataset *a = open_set(alone, BNF_TRAIN), *b = open_set(out, BNF_TRAIN);
    bnf_loader *whole, *mine;
    int64_t pixels = bnf_dataset_get_info(a)->sample_bytes;

    assert_ok(bnf_loader_create(a, &c, &whole));
    c.leaf_lo = LEAVES * rank / ranks;
    c.leaf_hi = LEAVES * (rank + 1) / ranks;
    assert_ok(bnf_loader_create(b, &c, &mine));
    for (int step = 0; step < 6; step++) {
        const bnf_batch *x, *y;
        assert_ok(bnf_loader_next(whole, &x));
        assert_ok(bnf_loader_next(mine, &y));
        assert_memory_equal(x->x + y->first_position * pixels, y->x, (size_t)(y->rows * pixels) * sizeof(float));
        assert_memory_equal(x->index + y->first_position, y->index, (size_t)y->rows * sizeof(int64_t));
    }
    bnf_loader_destroy(whole);
    bnf_loader_destroy(mine);
    bnf_dataset_close(a);
    bnf_dataset_close(b);
}

/* A byte of one picture, which one rank reads: every rank says that the set is damaged, and which file. */
static void test_damage(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *d;
    bnf_h5_dataset_info info;

    assert_ok(bnf_comm_barrier(world)); /* everybody has read its batches */
    if (rank == 0) {
        assert_ok(bnf_h5_file_open(out, &file));
        assert_ok(bnf_h5_dataset_open(file, "/train/bytes", &d));
        assert_ok(bnf_h5_dataset_describe(d, &info));
        assert_ok(bnf_h5_dataset_close(d));
        assert_ok(bnf_h5_file_close(file));
        FILE *f = fopen(out, "r+b");
        assert_non_null(f);
        fseek(f, info.offset + info.dim[0] / 2, SEEK_SET);
        fputs("damage", f);
        fclose(f);
    }
    assert_ok(bnf_comm_barrier(world));
    bnf_dataset *ds = open_set(out, BNF_TRAIN);
    assert_fails(bnf_dataset_verify(ds, world), BNF_ERR_FORMAT, out);
    assert_non_null(strstr(bnf_error_message(), "picture"));
    bnf_dataset_close(ds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_damage),
    };
    return ON_RANKS(BNF_THREAD_MULTIPLE, &world, &rank, &ranks, tests, setup, teardown);
}
