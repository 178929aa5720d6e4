/* A set in the memory of all ranks gives the batches of the file, bit for bit: any sampler, any depth of reading ahead,
 * uneven shards, ranks without samples or rows, any jump. What is wrong with one rank is told by all. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "comm/tree.h"
#include "data/loader.h"
#include "data/store.h"
#include "h5/dataset.h"
#include "on_ranks.h"

#include <math.h>

enum { N = 107, SIDE = 6, PIXELS = SIDE * SIDE * 3 };

static const bnf_comm *world;
static int rank, ranks;
static char folder[256], path[300], tiny[300];

static void make_set(const char *name, int64_t count)
{
    bnf_synth_shapes_options o = {
        .count = {count, 0}, .height = SIDE + 2, .width = SIDE + 2, .channels = 3, .noise = 30, .seed = 8};
    bnf_import_summary s;
    assert_ok(bnf_synth_shapes(world, &o, &(bnf_import_output){.path = name, .chunk_bytes = 700}, &s));
}

static int setup(void **state)
{
    (void)state;
    if (rank == 0)
        make_folder(folder);
    assert_ok(bnf_comm_bcast(world, 0, folder, sizeof folder));
    snprintf(path, sizeof path, "%s/set.h5", folder);
    snprintf(tiny, sizeof tiny, "%s/tiny.h5", folder);
    make_set(path, N);
    make_set(tiny, 2);
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

static bnf_loader_config config_of(int64_t batch, int64_t leaves, bnf_sampler_kind kind)
{
    int32_t lo, hi;
    bnf_tree_range((int32_t)leaves, ranks, rank, &lo, &hi);
    bnf_loader_config c = {.seed = 21,
                           .batch = batch,
                           .leaves = leaves,
                           .leaf_lo = lo,
                           .leaf_hi = hi,
                           .comm = world,
                           .sampler = {.kind = kind},
                           .augment = {.flip = true, .pad_crop = 1}};
    if (kind >= BNF_SAMPLER_POISSON)
        c.sampler.batch = batch / 3; /* room for more than the average */
    if (kind == BNF_SAMPLER_STRATIFIED || kind == BNF_SAMPLER_CLUSTER)
        c.groups = "label";
    if (kind == BNF_SAMPLER_CLUSTER)
        c.sampler.clusters = 1;
    return c;
}

static void assert_same(const bnf_batch *a, const bnf_batch *b, int64_t pixels)
{
    size_t rows = (size_t)b->rows;
    assert_int_equal(a->step, b->step);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->valid, b->valid);
    assert_int_equal(a->first_sample, b->first_sample);
    assert_memory_equal(a->index, b->index, rows * sizeof *a->index);
    assert_memory_equal(a->labels, b->labels, rows * sizeof *a->labels);
    assert_memory_equal(a->weight, b->weight, rows * sizeof *a->weight);
    assert_memory_equal(a->x, b->x, rows * (size_t)pixels * sizeof *a->x);
}

/* Takes runs of steps from both and compares; the set is closed for the one in memory: it needs the file no more. */
static void compare(const char *file, bnf_loader_config config, const int64_t (*runs)[2], int n_runs)
{
    bnf_dataset *set;
    bnf_loader *memory, *disk;
    assert_ok(bnf_dataset_open(file, BNF_TRAIN, &set));
    int64_t pixels = (SIDE + 2) * (SIDE + 2) * 3;
    config.memory = true;
    assert_ok(bnf_loader_create(set, &config, &memory));
    config.memory = false;
    config.prefetch = 0;
    assert_ok(bnf_loader_create(set, &config, &disk));
    for (int r = 0; r < n_runs; r++) {
        bnf_loader_seek(memory, runs[r][0]);
        bnf_loader_seek(disk, runs[r][0]);
        for (int64_t step = runs[r][0]; step < runs[r][0] + runs[r][1]; step++) {
            const bnf_batch *a = NULL, *b = NULL;
            assert_ok(bnf_loader_next(memory, &a));
            assert_ok(bnf_loader_next(disk, &b));
            assert_int_equal(a->step, step);
            assert_same(a, b, pixels);
        }
    }
    bnf_loader_destroy(memory);
    bnf_loader_destroy(disk);
    bnf_dataset_close(set);
}

static const int64_t plain[][2] = {{0, 12}}, jumps[][2] = {{3, 4}, {7, 0}, {100000, 3}, {0, 2}, {0, 3}, {99999, 4}};

static void test_every_sampler(void **state)
{
    (void)state;
    for (int kind = 0; kind < BNF_SAMPLER_COUNT; kind++) {
        bnf_loader_config c = config_of(48, 8, (bnf_sampler_kind)kind);
        c.prefetch = kind % 4;
        compare(path, c, plain, 1);
        compare(path, c, jumps, 6);
    }
}

static void test_every_depth(void **state)
{
    (void)state;
    for (int prefetch = 0; prefetch <= 5; prefetch++) {
        bnf_loader_config c = config_of(24, 6, BNF_SAMPLER_SHUFFLE);
        c.prefetch = prefetch;
        compare(path, c, plain, 1);
        compare(path, c, jumps, 6);
    }
}

/* Larger than the set (ranks of padding); fewer leaves than ranks (ranks without rows); two samples (ranks that own
 * none); a window of the shuffle; tails left out. */
static void test_uneven(void **state)
{
    (void)state;
    bnf_loader_config c = config_of(240, 20, BNF_SAMPLER_SHUFFLE);
    c.prefetch = 2;
    compare(path, c, plain, 1);
    c = config_of(24, 2, BNF_SAMPLER_REPLACEMENT);
    c.prefetch = 2;
    compare(path, c, plain, 1);
    c = config_of(8, 4, BNF_SAMPLER_REPLACEMENT);
    c.prefetch = 3;
    compare(tiny, c, jumps, 6);
    c = config_of(8, 4, BNF_SAMPLER_SHUFFLE);
    c.sampler.window_rows = 30;
    c.sampler.drop_tail = true;
    compare(path, c, jumps, 6);
}

/* A rate so small that most steps have no sample. */
static void test_empty_steps(void **state)
{
    (void)state;
    bnf_loader_config c = config_of(16, 8, BNF_SAMPLER_POISSON);
    c.sampler.rate = 0.002;
    c.prefetch = 2;
    compare(path, c, (const int64_t[][2]){{0, 40}}, 1);
}

static void test_no_allocation_per_step(void **state)
{
    (void)state;
    bnf_dataset *set;
    bnf_loader *l;
    const bnf_batch *b;
    bnf_loader_stats stats;
    bnf_loader_config c = config_of(48, 8, BNF_SAMPLER_SHUFFLE);
    int64_t live = bnf_mem_live_blocks();
    c.memory = true;
    c.prefetch = 2;
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &set));
    assert_ok(bnf_loader_create(set, &c, &l));
    assert_ok(bnf_loader_next(l, &b));
    int64_t before = bnf_mem_total_allocations(), sent;
    for (int s = 0; s < 50; s++)
        assert_ok(bnf_loader_next(l, &b));
    assert_int_equal(bnf_mem_total_allocations(), before);
    bnf_loader_get_stats(l, &stats);
    sent = stats.sent_bytes;
    assert_ok(bnf_comm_allreduce_i64(world, BNF_COMM_SUM, &sent, 1));
    assert_true(ranks == 1 ? sent == 0 : sent > 0);
    bnf_loader_destroy(l);
    bnf_dataset_close(set);
    assert_int_equal(bnf_mem_live_blocks(), live);
}

/* Makes a set of f32 images [count, side, side, 1] by rank 0; bad: image that holds NaN, -1: none; images are written
 * only if there are few. */
static void make_plain_set(const char *name, int64_t count, int64_t side, int64_t bad)
{
    if (rank == 0) {
        bnf_h5_file *file;
        bnf_h5_dataset *d;
        const int64_t dim[] = {count, side, side, 1}, chunk[] = {1, side, side, 1};
        int32_t *labels = calloc((size_t)count, sizeof *labels);
        assert_non_null(labels);
        assert_ok(bnf_h5_file_create(name, &file));
        assert_ok(bnf_h5_dataset_create(file, "/train/images", BNF_F32, 4, dim, &(bnf_h5_storage){.chunk = chunk}, &d));
        if (bad >= 0) {
            float image[4] = {0, NAN, 0, 0};
            assert_ok(
                bnf_h5_dataset_write_slab(d, BNF_F32, (int64_t[]){bad, 0, 0, 0}, (int64_t[]){1, side, side, 1}, image));
        }
        assert_ok(bnf_h5_dataset_close(d));
        assert_ok(bnf_h5_dataset_create(file, "/train/labels", BNF_I32, 1, &count, NULL, &d));
        assert_ok(bnf_h5_dataset_write(d, BNF_I32, labels));
        assert_ok(bnf_h5_dataset_close(d));
        assert_ok(bnf_h5_file_close(file));
        free(labels);
    }
    assert_ok(bnf_comm_barrier(world));
}

static bnf_status create(const char *file, bnf_status *opened)
{
    bnf_dataset *set = NULL;
    bnf_loader *l = NULL;
    bnf_loader_config c = config_of(8, 4, BNF_SAMPLER_SHUFFLE);
    c.augment = (bnf_augment){0};
    c.normalise.mode = BNF_NORMALISE_UNIT;
    c.memory = true;
    c.prefetch = 2;
    *opened = bnf_dataset_open(file, BNF_TRAIN, &set);
    assert_ok(*opened);
    bnf_status s = bnf_loader_create(set, &c, &l);
    if (s == BNF_OK)
        bnf_loader_destroy(l);
    bnf_dataset_close(set);
    return s;
}

/* Image 39 of 40 lies in the last rank's shard: all ranks say so. */
static void test_unreadable_shard(void **state)
{
    (void)state;
    char name[300];
    bnf_status opened;
    snprintf(name, sizeof name, "%s/nan.h5", folder);
    make_plain_set(name, 40, 2, 39);
    int64_t live = bnf_mem_live_blocks();
    bnf_error_clear();
    assert_fails(create(name, &opened), BNF_ERR_NUMERIC, "image 39");
    assert_non_null(strstr(bnf_error_message(), name));
    assert_int_equal(bnf_mem_live_blocks(), live);
}

/* 4 TiB, of which nothing is on the disk. */
static void test_too_large(void **state)
{
    (void)state;
    char name[300];
    bnf_status opened;
    snprintf(name, sizeof name, "%s/large.h5", folder);
    make_plain_set(name, 1 << 20, 1 << 10, -1);
    bnf_error_clear();
    assert_fails(create(name, &opened), BNF_ERR_MEMORY, "bytes");
    assert_non_null(strstr(bnf_error_message(), "are available"));
    assert_non_null(strstr(bnf_error_message(), "data.store: file"));
}

/* An allocation that fails on one rank, whichever: all get the error, none waits, nothing is left behind. */
static void test_memory_of_one_rank(void **state)
{
    (void)state;
    bnf_dataset *set;
    bnf_loader_config c = config_of(48, 8, BNF_SAMPLER_SHUFFLE);
    c.memory = true;
    c.prefetch = 1;
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &set));
    int failures = 0;
    for (int64_t n = 1, done = 0; !done; n++) {
        bnf_loader *l;
        int64_t live = bnf_mem_live_blocks();
        bnf_error_clear();
        if (rank == ranks - 1)
            bnf_mem_fail_at(n);
        bnf_status s = bnf_loader_create(set, &c, &l);
        bnf_mem_fail_at(0);
        done = s == BNF_OK;
        assert_ok(bnf_comm_allreduce_i64(world, BNF_COMM_MIN, &done, 1));
        assert_int_equal(done, s == BNF_OK);
        if (s == BNF_OK)
            bnf_loader_destroy(l);
        failures += s != BNF_OK;
        assert_int_equal(bnf_mem_live_blocks(), live);
    }
    assert_true(failures > 8);
    bnf_dataset_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sampler),
        cmocka_unit_test(test_every_depth),
        cmocka_unit_test(test_uneven),
        cmocka_unit_test(test_empty_steps),
        cmocka_unit_test(test_no_allocation_per_step),
        cmocka_unit_test(test_unreadable_shard),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_memory_of_one_rank),
    };
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &ranks, tests, setup, teardown);
}
