/* Flows give the bits of a serial tree: any number of ranks, owners, algorithm and order of waiting. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/comm.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"
#include "comm/flow.h"
#include "comm/host.h"

#define MAX_RANKS 16

static int rank, size;

/* Values whose magnitudes differ so much that any other order of additions shows. splitmix64 mixes the arguments. */
static double element(int32_t leaf, int64_t i)
{
    uint64_t z = ((uint64_t)leaf << 40) + (uint64_t)i + UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    const double scale = (double)(UINT64_C(1) << (z & 31)) * 0x1p-15;
    return ((double)(z >> 11) * 0x1p-52 - 1.0) * scale;
}

/* How the additions of a case round. */
typedef enum kind { F32, F64, BF16 } kind;

static bnf_dtype dtype_of(kind k)
{
    return k == F64 ? BNF_F64 : BNF_F32;
}

/* Nearest number with 8 significant bits, ties to even, by the definition: scaled so that the last bit counts 1. Values
 * of this test are far from the limits of the exponent. */
static double to_bf16(double x)
{
    int exponent;
    frexp(x, &exponent);
    return x == 0 ? x : ldexp(nearbyint(ldexp(x, 8 - exponent)), exponent - 8);
}

static double add(kind k, double a, double b)
{
    if (k == F64)
        return a + b;
    return k == F32 ? (double)((float)a + (float)b) : (double)((float)to_bf16(a) + (float)to_bf16(b));
}

/* The definition, written down for one element, with the split found by counting. */
static double serial(kind k, int32_t lo, int32_t hi, int64_t i)
{
    if (hi - lo == 1)
        return k == F64 ? element(lo, i) : (double)(float)element(lo, i);
    int32_t power = 1;
    while (2 * power < hi - lo)
        power *= 2;
    return add(k, serial(k, lo, lo + power, i), serial(k, lo + power, hi, i));
}

/* One flow with its memory. A sum of `leaves` leaves of n elements to owners, or, with leaves 0, a spread. */
typedef struct item {
    kind k;
    int32_t leaves;
    int64_t n;
    int64_t offset[MAX_RANKS + 1];
    const void *partials[BNF_TREE_MAX_COVER];
    int covers;
    double *out; /* of any type */
    bnf_flow *flow;
} item;

static void put(kind k, void *array, int64_t i, double x)
{
    if (k == F64)
        ((double *)array)[i] = x;
    else
        ((float *)array)[i] = (float)x;
}

static double get(kind k, const void *array, int64_t i)
{
    return k == F64 ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

static void make_partials(item *it)
{
    bnf_tree_node nodes[BNF_TREE_MAX_COVER];
    int32_t lo, hi;
    bnf_tree_range(it->leaves, size, rank, &lo, &hi);
    it->covers = bnf_tree_cover(it->leaves, lo, hi, nodes);
    for (int c = 0; c < it->covers; c++) {
        void *value;
        assert_int_equal(bnf_alloc((size_t)it->n * 8 + 1, "a partial", &value), BNF_OK);
        for (int64_t i = 0; i < it->n; i++)
            put(it->k, value, i, serial(it->k, nodes[c].lo, nodes[c].hi, i));
        it->partials[c] = value;
    }
}

/* Owners by a random cut; `skew` 1: the last owns all; 2: every other owns nothing; 3: all the same, as far as
 * possible. */
static void cut(item *it, uint32_t seed, int skew)
{
    const bnf_philox_key key = bnf_philox_key_make(22, BNF_STREAM_TEST);
    double weight[MAX_RANKS], total = 0, sum = 0;
    for (int r = 0; r < size; r++) {
        const bnf_philox_block b = bnf_philox(key, bnf_philox_counter(seed, (uint64_t)r, 0));
        weight[r] = bnf_philox_unit_f64(b.v[0], b.v[1]) + 0.01;
        if ((skew == 1 && r + 1 < size) || (skew == 2 && r % 2 != 0))
            weight[r] = 0;
        if (skew == 3)
            weight[r] = 1;
        total += weight[r];
    }
    it->offset[0] = 0;
    for (int r = 0; r < size; r++) {
        sum += weight[r];
        it->offset[r + 1] = r + 1 == size ? it->n : (int64_t)((double)it->n * (sum / total));
    }
}

static void open_item(item *it, const bnf_flow_config *config, uint32_t seed, int skew)
{
    cut(it, seed, skew);
    assert_int_equal(bnf_calloc((size_t)it->n + 1, sizeof *it->out, "a result", &it->out), BNF_OK);
    if (it->leaves == 0) {
        assert_int_equal(
            bnf_flow_spread_create(bnf_comm_world(), config, dtype_of(it->k), it->offset, it->out, &it->flow), BNF_OK);
        return;
    }
    make_partials(it);
    assert_int_equal(bnf_flow_reduce_create(bnf_comm_world(), config, it->leaves, dtype_of(it->k), it->partials, it->n,
                                            it->offset, it->out, &it->flow),
                     BNF_OK);
}

static void start_item(item *it)
{
    for (int64_t i = 0; i < it->n; i++) {
        const bool own = it->offset[rank] <= i && i < it->offset[rank + 1];
        put(it->k, it->out, i, it->leaves == 0 && own ? element(0, i) : -77.0);
    }
    assert_int_equal(bnf_flow_start(it->flow), BNF_OK);
}

static void check_item(const item *it)
{
    const int64_t lo = it->leaves == 0 ? 0 : it->offset[rank], hi = it->leaves == 0 ? it->n : it->offset[rank + 1];
    const int64_t from = it->leaves == 0 ? 0 : lo;
    for (int64_t i = lo; i < hi; i++) {
        const double is = get(it->k, it->out, i - from);
        const double expected =
            serial(it->k == BF16 && it->leaves == 0 ? F32 : it->k, 0, it->leaves == 0 ? 1 : it->leaves, i);
        assert_true(is == expected);
    }
    for (int64_t i = hi - from; i < it->n; i++) /* and nothing else was touched */
        assert_true(get(it->k, it->out, i) == -77.0);
}

static void close_item(item *it)
{
    bnf_flow_destroy(it->flow);
    for (int c = 0; c < it->covers; c++)
        bnf_free((void *)(uintptr_t)it->partials[c]);
    bnf_free(it->out);
}

static void one_case(kind k, int32_t leaves, int64_t n, bnf_flow_config config, uint32_t seed, int skew)
{
    item it = {.k = k, .leaves = leaves, .n = n};
    config.bf16 = k == BF16;
    open_item(&it, &config, seed, skew);
    for (int pass = 0; pass < 2; pass++) {
        start_item(&it);
        assert_int_equal(bnf_flow_wait(it.flow), BNF_OK);
        check_item(&it);
    }
    close_item(&it);
}

static const bnf_flow_algorithm algorithms[] = {BNF_FLOW_DIRECT, BNF_FLOW_HALVING, BNF_FLOW_AUTO};

static void test_sums(void **unused)
{
    (void)unused;
    static const int32_t leaf_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 40};
    uint32_t seed = 0;
    for (size_t c = 0; c < sizeof leaf_counts / sizeof *leaf_counts; c++) {
        if (leaf_counts[c] < size)
            continue;
        for (int a = 0; a < 2; a++)
            for (int skew = 0; skew < 4; skew++) {
                const bnf_flow_config config = {.algorithm = algorithms[a], .chunk_bytes = skew == 2 ? 100 : 0};
                one_case(F32, leaf_counts[c], 101, config, seed++, skew);
                one_case(F64, leaf_counts[c], 64, config, seed++, skew);
                one_case(BF16, leaf_counts[c], 101, config, seed++, skew);
            }
    }
}

/* No element, one, more than there are owners, and more than go into the chunks that are under way at once. */
static void test_sizes(void **unused)
{
    (void)unused;
    static const int64_t sizes[] = {0, 1, 2, 7, 20001};
    uint32_t seed = 1000;
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++)
        for (int a = 0; a < 3; a++)
            for (int skew = 0; skew < 3; skew++) {
                const bnf_flow_config config = {.algorithm = algorithms[a], .chunk_bytes = 16384};
                one_case(F32, 8, sizes[c], config, seed++, skew);
                one_case(BF16, 8 + size, sizes[c], config, seed++, skew);
                one_case(F32, 0, sizes[c], config, seed++, skew);
                one_case(BF16, 0, sizes[c], config, seed++, skew); /* a spread is exact */
                one_case(F64, 0, sizes[c], config, seed++, skew);
            }
}

/* As it is cut without being told; parts travel from and to where they belong. */
static void test_large(void **unused)
{
    (void)unused;
    for (int a = 0; a < 2; a++) {
        const bnf_flow_config config = {.algorithm = algorithms[a]};
        one_case(F32, size, (INT64_C(5) << 17) + 5, config, 1, 3);
        one_case(F32, 0, (INT64_C(5) << 17) + 5, config, 2, 0);
    }
}

#define FLOWS 7

/* Several flows that every rank waits for and polls in an order of its own. */
static void test_together(void **unused)
{
    (void)unused;
    item items[FLOWS];
    for (int f = 0; f < FLOWS; f++) {
        items[f] = (item){.k = (kind)(f % 3), .leaves = f % 2 == 0 ? 8 + f : 0, .n = 500 * f * f};
        const bnf_flow_config config = {.algorithm = algorithms[f % 3], .bf16 = f % 3 == BF16, .chunk_bytes = 3000};
        open_item(&items[f], &config, (uint32_t)f + 2000, f % 4);
    }
    for (int pass = 0; pass < 6; pass++) {
        for (int f = 0; f < FLOWS; f++)
            start_item(&items[f]);
        bool done = false;
        for (int polls = 0; polls < 20 * rank; polls++)
            assert_int_equal(bnf_flow_poll(items[polls % FLOWS].flow, &done), BNF_OK);
        for (int i = 0; i < FLOWS; i++) {
            const int f = ((rank + pass) % 2 == 0 ? i : FLOWS - 1 - i);
            assert_int_equal(bnf_flow_wait(items[(f + rank) % FLOWS].flow), BNF_OK);
        }
        for (int f = 0; f < FLOWS; f++)
            check_item(&items[f]);
    }
    for (int f = 0; f < FLOWS; f++)
        close_item(&items[f]);
}

/* The end is reached by polling alone; a flow that does not run is done; nothing is allocated on the way. */
static void test_polling(void **unused)
{
    (void)unused;
    item it = {.k = F32, .leaves = 8, .n = 5000};
    const bnf_flow_config config = {.algorithm = BNF_FLOW_HALVING, .chunk_bytes = 2000};
    bool done = false;
    open_item(&it, &config, 3000, 0);
    assert_int_equal(bnf_flow_poll(it.flow, &done), BNF_OK);
    assert_true(done);
    const int64_t before = bnf_mem_total_allocations();
    for (int pass = 0; pass < 3; pass++) {
        start_item(&it);
        for (done = false; !done;)
            assert_int_equal(bnf_flow_poll(it.flow, &done), BNF_OK);
        check_item(&it);
    }
    assert_int_equal(bnf_mem_total_allocations(), before);
    assert_int_equal(bnf_flow_wait(it.flow), BNF_OK);
    close_item(&it);
}

/* A rank without memory: all return the error, and the next flow works. */
static void test_no_memory(void **unused)
{
    (void)unused;
    item it = {.k = F32, .leaves = 8, .n = 50};
    const bnf_flow_config config = {.algorithm = BNF_FLOW_HALVING};
    bnf_status s = BNF_ERR_MEMORY;
    int failures = 0;
    cut(&it, 1, 0);
    assert_int_equal(bnf_calloc((size_t)it.n, sizeof *it.out, "a result", &it.out), BNF_OK);
    make_partials(&it);
    for (int nth = 1; s != BNF_OK; nth++) {
        if (rank == size - 1)
            bnf_mem_fail_at(nth);
        s = bnf_flow_reduce_create(bnf_comm_world(), &config, it.leaves, BNF_F32, it.partials, it.n, it.offset, it.out,
                                   &it.flow);
        bnf_mem_fail_at(0);
        failures += s == BNF_ERR_MEMORY;
        assert_true(s == BNF_OK || (s == BNF_ERR_MEMORY && it.flow == NULL));
        bnf_error_clear();
    }
    assert_true(failures > 5);
    start_item(&it);
    assert_int_equal(bnf_flow_wait(it.flow), BNF_OK);
    check_item(&it);
    close_item(&it);
}

/* Bytes on the wire: each element of a spread reaches each rank once; a sum of a number of leaves that gives each
 * rank one node moves size - 1 values per element, whatever the algorithm. */
static void test_traffic(void **unused)
{
    (void)unused;
    for (int a = 0; a < 2; a++)
        for (int c = 0; c < 3; c++) {
            const kind k = (kind)c;
            item it = {.k = k, .leaves = 4 * size, .n = 3001}, spread = {.k = k, .n = 3001};
            const bnf_flow_config config = {.algorithm = algorithms[a], .bf16 = k == BF16, .chunk_bytes = 1000};
            open_item(&it, &config, 7, 0);
            open_item(&spread, &config, 8, 0);
            int64_t sum[4];
            bnf_flow_traffic(it.flow, &sum[0], &sum[1]);
            bnf_flow_traffic(spread.flow, &sum[2], &sum[3]);
            assert_int_equal(bnf_comm_allreduce_i64(bnf_comm_world(), BNF_COMM_SUM, sum, 4), BNF_OK);
            const int64_t wire = k == F64 ? 8 : k == F32 ? 4 : 2;
            assert_int_equal(sum[0], (size - 1) * it.n * wire);
            assert_int_equal(sum[2], (size - 1) * it.n * (k == F64 ? 8 : 4));
            close_item(&it);
            close_item(&spread);
        }
}

/* Ranks of one group become neighbours, groups by their lowest rank. */
static void test_by_group(void **unused)
{
    (void)unused;
    bnf_comm *ordered;
    const int groups = size < 3 ? size : 3, group = (groups - 1) - rank % groups;
    assert_int_equal(bnf_comm_by_group(bnf_comm_world(), group, &ordered), BNF_OK);
    int before = 0;
    for (int r = 0; r < size; r++)
        before += r % groups < rank % groups || (r % groups == rank % groups && r < rank);
    assert_int_equal(bnf_comm_size(ordered), size);
    assert_int_equal(bnf_comm_rank(ordered), before);
    bnf_comm_destroy(ordered);
    assert_int_equal(bnf_comm_by_host(bnf_comm_world(), &ordered), BNF_OK);
    assert_int_equal(bnf_comm_size(ordered), size);
    assert_int_equal(bnf_comm_rank(ordered), rank); /* one host */
    bnf_comm_destroy(ordered);
    assert_int_equal(bnf_comm_by_host(NULL, &ordered), BNF_OK);
    assert_null(ordered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),     cmocka_unit_test(test_sizes),    cmocka_unit_test(test_large),
        cmocka_unit_test(test_together), cmocka_unit_test(test_polling),  cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_traffic),  cmocka_unit_test(test_by_group),
    };
    if (bnf_comm_init(BNF_THREAD_SINGLE) != BNF_OK)
        return 1;
    rank = bnf_comm_rank(bnf_comm_world());
    size = bnf_comm_size(bnf_comm_world());
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return bnf_comm_finalize() != BNF_OK || failed + (int)bnf_mem_live_blocks() != 0;
}
