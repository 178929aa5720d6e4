/* The union of what the ranks load is the same for any number of ranks: rank 0 gathers it and compares with a loader
 * that has all leaves. */
#include "unit/data_support.h"

#include "comm/tree.h"
#include "data/loader.h"
#include "on_ranks.h"

enum { N = 107, SIDE = 10, PIXELS = SIDE * SIDE * 3, BATCH = 24, LEAVES = 6 };

static const bnf_comm *world;
static int rank, ranks;
static char folder[256], path[300];
static bnf_dataset *set;

static int setup(void **state)
{
    (void)state;
    bnf_synth_shapes_options o = {
        .count = {N, 0}, .height = SIDE, .width = SIDE, .channels = 3, .noise = 30, .seed = 8};
    bnf_import_summary s;
    if (rank == 0)
        make_folder(folder);
    assert_ok(bnf_comm_bcast(world, 0, folder, sizeof folder));
    snprintf(path, sizeof path, "%s/set.h5", folder);
    assert_ok(bnf_synth_shapes(world, &o, &(bnf_import_output){.path = path, .chunk_bytes = 4 * PIXELS}, &s));
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &set));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bnf_dataset_close(set);
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        remove_tree(folder);
    return 0;
}

static bnf_augment augment = {.flip = true, .pad_crop = 1};

static bnf_loader_config config_of(int64_t batch, int64_t leaves)
{
    int32_t lo, hi;
    bnf_tree_range((int32_t)leaves, ranks, rank, &lo, &hi);
    return (bnf_loader_config){.seed = 21,
                               .batch = batch,
                               .leaves = leaves,
                               .leaf_lo = lo,
                               .leaf_hi = hi,
                               .sampler = {.window_rows = 30},
                               .augment = augment,
                               .prefetch = 2};
}

/* recv on rank 0: the pieces of all ranks, one behind the other. */
static void gather(const void *piece, int64_t bytes, void *recv)
{
    int64_t *sizes = calloc((size_t)ranks, sizeof *sizes);
    assert_non_null(sizes);
    assert_ok(bnf_comm_allgather(world, &bytes, sizeof bytes, sizes));
    assert_ok(bnf_comm_gatherv(world, 0, piece, bytes, sizes, recv));
    free(sizes);
}

static void compare_with_one_rank(int64_t batch, int64_t leaves, int64_t from, int64_t to)
{
    static float x[BATCH * 5 * PIXELS], weight[BATCH * 5];
    static int32_t labels[BATCH * 5];
    static int64_t index[BATCH * 5];
    bnf_loader_config mine = config_of(batch, leaves), all = mine;
    bnf_loader *l, *whole;

    assert_true(batch <= BATCH * 5);
    all.leaf_lo = 0;
    all.leaf_hi = leaves;
    all.prefetch = 0;
    assert_ok(bnf_loader_create(set, &mine, &l));
    assert_ok(bnf_loader_create(set, &all, &whole));
    bnf_loader_seek(l, from);
    bnf_loader_seek(whole, from);
    for (int64_t step = from; step < to; step++) {
        const bnf_batch *b, *w;
        int64_t local = 0, n;
        assert_ok(bnf_loader_next(l, &b));
        assert_ok(bnf_loader_next(whole, &w));
        gather(b->x, b->rows * PIXELS * (int64_t)sizeof *x, x);
        gather(b->weight, b->rows * (int64_t)sizeof *weight, weight);
        gather(b->labels, b->rows * (int64_t)sizeof *labels, labels);
        gather(b->index, b->rows * (int64_t)sizeof *index, index);
        for (int64_t i = 0; i < b->rows; i++)
            local += b->weight[i] == 1.0f;
        n = local;
        assert_ok(bnf_comm_allreduce_i64(world, BNF_COMM_SUM, &n, 1));
        assert_int_equal(n, b->valid);
        assert_int_equal(b->valid, w->valid);
        assert_int_equal(b->first_sample, step * batch + mine.leaf_lo * batch / leaves);
        if (rank != 0)
            continue;
        assert_memory_equal(x, w->x, (size_t)(batch * PIXELS) * sizeof *x);
        assert_memory_equal(weight, w->weight, (size_t)batch * sizeof *weight);
        assert_memory_equal(labels, w->labels, (size_t)batch * sizeof *labels);
        assert_memory_equal(index, w->index, (size_t)batch * sizeof *index);
    }
    bnf_loader_destroy(l);
    bnf_loader_destroy(whole);
}

static void test_union_is_the_batch_of_one_rank(void **state)
{
    (void)state;
    compare_with_one_rank(BATCH, LEAVES, 0, 11);
}

static void test_rolled_rows(void **state)
{
    (void)state;
    const bnf_augment before = augment;
    augment = (bnf_augment){.roll = 1};
    compare_with_one_rank(BATCH, LEAVES, 2, 8);
    compare_with_one_rank(BATCH, BATCH, 0, 3);
    augment = before;
}

static void test_resumed_in_the_middle(void **state)
{
    (void)state;
    compare_with_one_rank(BATCH, LEAVES, 7, 11);
}

/* A batch larger than the set: the last ranks have nothing but padding. */
static void test_ranks_of_padding(void **state)
{
    (void)state;
    compare_with_one_rank(BATCH * 5, 20, 0, 3);
}

/* Fewer leaves than ranks: some ranks have no rows. */
static void test_ranks_without_leaves(void **state)
{
    (void)state;
    compare_with_one_rank(BATCH, 2, 0, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_union_is_the_batch_of_one_rank), cmocka_unit_test(test_rolled_rows),
        cmocka_unit_test(test_resumed_in_the_middle),          cmocka_unit_test(test_ranks_of_padding),
        cmocka_unit_test(test_ranks_without_leaves),
    };
    return ON_RANKS(BNF_THREAD_MULTIPLE, &world, &rank, &ranks, tests, setup, teardown);
}
