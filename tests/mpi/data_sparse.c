/* Sparse sets on several ranks: the same bytes as written by one alone; what one rank meets is everybody's error. */
#include "unit/data_sparse.h"

#include "comm/agree.h"
#include "data/loader.h"
#include "on_ranks.h"

enum { N = 151, M = 23 };

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

/* Chunks smaller and larger than images and than the whole, in one round and in several. */
static void test_same_bytes(void **state)
{
    (void)state;
    static const struct {
        int64_t chunk_bytes;
        int deflate;
        bool f32;
    } cases[] = {{16, 0, false}, {160, 4, true}, {3000, 9, false}, {40, 1, true}, {0, 4, false}, {1 << 20, 0, true}};

    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        bnf_import_summary s;
        bnf_import_output o = {
            .path = out, .chunk_bytes = cases[k].chunk_bytes, .deflate = cases[k].deflate, .sparse = true};
        assert_ok(bnf_import_run(world, sparse_source(cases[k].f32, N, M), &o, &s));
        if (rank == 0) {
            size_t size[2];
            o.path = alone;
            assert_ok(bnf_import_run(bnf_comm_self(), sparse_source(cases[k].f32, N, M), &o, &s));
            unsigned char *a = read_back(out, &size[0]), *b = read_back(alone, &size[1]);
            assert_int_equal(size[0], size[1]);
            assert_memory_equal(a, b, size[0]);
            free(a);
            free(b);
        }
        assert_ok(bnf_comm_barrier(world));
        bnf_dataset *ds;
        assert_ok(bnf_dataset_open(out, BNF_TEST, &ds));
        assert_ok(bnf_dataset_verify(ds, world));
        bnf_dataset_close(ds);
    }
}

/* More ranks than samples. */
static void test_few_samples(void **state)
{
    (void)state;
    bnf_import_summary s;
    assert_ok(bnf_import_run(world, sparse_source(false, 2, 1), &(bnf_import_output){.path = out, .sparse = true}, &s));
    assert_int_equal(s.count[BNF_TRAIN], 2);
}

/* Each rank's rows of a batch out of the ranks' common memory are those of the file. */
static void test_store(void **state)
{
    (void)state;
    enum { LEAVES = 12 };
    bnf_import_summary s;
    bnf_dataset *ds[2];
    bnf_loader *l[2];
    bnf_loader_config config = {.seed = 3,
                                .batch = 24,
                                .leaves = LEAVES,
                                .leaf_lo = LEAVES * rank / ranks,
                                .leaf_hi = LEAVES * (rank + 1) / ranks,
                                .normalise = {.mode = BNF_NORMALISE_STATS},
                                .sampler = {.kind = BNF_SAMPLER_SHUFFLE},
                                .prefetch = 2,
                                .comm = world};

    assert_ok(bnf_import_run(world, sparse_source(true, N, M), &(bnf_import_output){.path = out, .sparse = true}, &s));
    for (int k = 0; k < 2; k++) {
        config.memory = k;
        assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds[k]));
        assert_ok(bnf_loader_create(ds[k], &config, &l[k]));
    }
    for (int step = 0; step < 9; step++) {
        const bnf_batch *b[2];
        for (int k = 0; k < 2; k++)
            assert_ok(bnf_loader_next(l[k], &b[k]));
        assert_memory_equal(b[0]->x, b[1]->x, (size_t)(b[0]->rows * SPARSE_CELLS) * sizeof(float));
    }
    for (int k = 0; k < 2; k++) {
        bnf_loader_destroy(l[k]);
        bnf_dataset_close(ds[k]);
    }
}

static bnf_status fail_late(bnf_source *s, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                            int32_t *labels)
{
    if (split == BNF_TRAIN && first + count == N)
        return bnf_fail(BNF_ERR_IO, "the last sample cannot be read");
    return sparse_read_u8(s, split, first, count, images, labels);
}

static void test_failure(void **state)
{
    (void)state;
    char temporary[310];
    bnf_import_summary s;
    bnf_source *source = sparse_source(false, N, M);

    source->read = fail_late;
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        unlink(out);
    assert_fails(
        bnf_import_run(world, source, &(bnf_import_output){.path = out, .chunk_bytes = 600, .sparse = true}, &s),
        BNF_ERR_IO, "the last sample");
    assert_ok(bnf_comm_barrier(world));
    snprintf(temporary, sizeof temporary, "%s.tmp", out);
    assert_false(bnf_fs_exists(temporary) || bnf_fs_exists(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_few_samples),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_failure),
    };
    return ON_RANKS(BNF_THREAD_MULTIPLE, &world, &rank, &ranks, tests, setup, teardown);
}
