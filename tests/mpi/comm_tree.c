/* Sums along the tree of leaves have the bits of a serial tree, on any number of ranks and with any owners. */
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
#include "comm/limit.h"
#include "comm/tree.h"

static const int32_t leaf_counts[] = {1, 2, 3, 5, 7, 8, 16, 17};
#define LEAF_CASES ((int)(sizeof leaf_counts / sizeof *leaf_counts))

/* Values whose magnitudes differ so much that any other order of additions shows. */
static double element(int32_t leaf, int64_t i)
{
    const bnf_philox_key key = bnf_philox_key_make(20, BNF_STREAM_TEST);
    const bnf_philox_block b = bnf_philox(key, bnf_philox_counter((uint32_t)leaf, (uint64_t)i, 0));
    const int exponent = (int)(b.v[2] % 40) - 20;
    return ldexp(2.0 * bnf_philox_unit_f64(b.v[0], b.v[1]) - 1.0, exponent);
}

static void put(bnf_dtype dtype, void *array, int64_t i, double x)
{
    if (dtype == BNF_F32)
        ((float *)array)[i] = (float)x;
    else
        ((double *)array)[i] = x;
}

static double get(bnf_dtype dtype, const void *array, int64_t i)
{
    return dtype == BNF_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

/* The definition, written down for one element, with the split found by counting. */
static double serial(bnf_dtype dtype, int32_t lo, int32_t hi, int64_t i)
{
    if (hi - lo == 1)
        return dtype == BNF_F32 ? (double)(float)element(lo, i) : element(lo, i);
    int32_t power = 1;
    while (2 * power < hi - lo)
        power *= 2;
    const double left = serial(dtype, lo, lo + power, i), right = serial(dtype, lo + power, hi, i);
    return dtype == BNF_F32 ? (double)((float)left + (float)right) : left + right;
}

/* The partials of this rank. Returns how many; release with free_partials. */
static int make_partials(bnf_dtype dtype, int32_t leaves, int64_t n, const void **partials)
{
    bnf_tree_node nodes[BNF_TREE_MAX_COVER];
    int32_t lo, hi;
    bnf_tree_range(leaves, bnf_comm_size(bnf_comm_world()), bnf_comm_rank(bnf_comm_world()), &lo, &hi);
    const int count = bnf_tree_cover(leaves, lo, hi, nodes);
    for (int k = 0; k < count; k++) {
        void *value;
        assert_int_equal(bnf_alloc((size_t)n * 8 + 1, "a partial", &value), BNF_OK);
        for (int64_t i = 0; i < n; i++)
            put(dtype, value, i, serial(dtype, nodes[k].lo, nodes[k].hi, i));
        partials[k] = value;
    }
    return count;
}

static void free_partials(const void **partials, int count)
{
    for (int k = 0; k < count; k++)
        bnf_free((void *)(uintptr_t)partials[k]);
}

static void check(bnf_dtype dtype, int32_t leaves, const void *out, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        assert_true(get(dtype, out, i - from) == serial(dtype, 0, leaves, i));
}

static void test_allreduce(void **unused)
{
    (void)unused;
    for (int c = 0; c < LEAF_CASES; c++) {
        const int32_t leaves = leaf_counts[c];
        if (leaves < bnf_comm_size(bnf_comm_world()))
            continue;
        for (int t = 0; t < 2; t++) {
            const bnf_dtype dtype = t == 0 ? BNF_F32 : BNF_F64;
            enum { N = 37 };
            double out[N];
            const void *partials[BNF_TREE_MAX_COVER];
            const int count = make_partials(dtype, leaves, N, partials);
            assert_int_equal(bnf_tree_allreduce(bnf_comm_world(), leaves, dtype, partials, N, out), BNF_OK);
            check(dtype, leaves, out, 0, N);
            /* in place */
            void *own = (void *)(uintptr_t)partials[0];
            assert_int_equal(bnf_tree_allreduce(bnf_comm_world(), leaves, dtype, partials, N, own), BNF_OK);
            check(dtype, leaves, own, 0, N);
            assert_int_equal(bnf_tree_allreduce(bnf_comm_world(), leaves, dtype, partials, 0, own), BNF_OK);
            free_partials(partials, count);
        }
    }
}

/* Owner r gets the share weights[r] of n; by `skew` one rank owns nothing, everything, or about its part. */
static void share(int64_t n, int skew, int64_t *offset)
{
    const int size = bnf_comm_size(bnf_comm_world());
    offset[0] = 0;
    for (int r = 0; r < size; r++) {
        const int64_t even = n * (r + 1) / size;
        offset[r + 1] = skew == 0 ? even : skew == 1 ? (r + 1 < size ? 0 : n) : (r == 0 ? n / 3 : n);
    }
    offset[size] = n;
}

/* Once the workspace has its size, a step allocates nothing. */
static void test_no_allocation(void **unused)
{
    (void)unused;
    enum { N = 64 };
    const bnf_comm *world = bnf_comm_world();
    const void *partials[BNF_TREE_MAX_COVER];
    double out[N];
    const int count = make_partials(BNF_F64, 16, N, partials);
    for (int pass = 0; pass < 2; pass++) {
        const int64_t before = bnf_mem_total_allocations();
        assert_int_equal(bnf_tree_allreduce(world, 16, BNF_F64, partials, N, out), BNF_OK);
        if (pass == 1)
            assert_int_equal(bnf_mem_total_allocations(), before);
    }
    free_partials(partials, count);
}

/* A rank without memory: all return the error, and the next call works again. */
static void test_no_memory(void **unused)
{
    (void)unused;
    enum { N = 11 };
    const bnf_comm *world = bnf_comm_world();
    const int rank = bnf_comm_rank(world), size = bnf_comm_size(world);
    if (size == 1)
        return; /* one rank needs no memory */
    bnf_comm *fresh;
    const void *partials[BNF_TREE_MAX_COVER];
    double out[N];
    const int count = make_partials(BNF_F64, 8, N, partials);
    for (int nth = 1; nth <= 4; nth++) {
        assert_int_equal(bnf_comm_dup(world, &fresh), BNF_OK);
        if (rank == size - 1)
            bnf_mem_fail_at(nth);
        const bnf_status s = bnf_tree_allreduce(fresh, 8, BNF_F64, partials, N, out);
        bnf_mem_fail_at(0);
        assert_int_equal(s, BNF_ERR_MEMORY);
        assert_true((strncmp(bnf_error_message(), "rank ", 5) == 0) == (rank != size - 1));
        bnf_error_clear();
        assert_int_equal(bnf_tree_allreduce(fresh, 8, BNF_F64, partials, N, out), BNF_OK);
        check(BNF_F64, 8, out, 0, N);
        bnf_comm_destroy(fresh);
    }
    free_partials(partials, count);
}

static void test_broadcast_from_owners(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    const bnf_comm *world = bnf_comm_world();
    const int rank = bnf_comm_rank(world);
    for (int skew = 0; skew < 6; skew++) {
        int64_t offset[65];
        float value[N];
        share(N, skew % 3, offset);
        bnf_comm_set_message_limit(skew < 3 ? 1 << 30 : 100);
        for (int64_t i = 0; i < N; i++)
            value[i] = offset[rank] <= i && i < offset[rank + 1] ? (float)i : -1.0f;
        assert_int_equal(bnf_tree_broadcast_from_owners(world, BNF_F32, offset, value), BNF_OK);
        for (int64_t i = 0; i < N; i++)
            assert_true(value[i] == (float)i);
    }
    bnf_comm_set_message_limit(1 << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allreduce),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_broadcast_from_owners),
    };
    if (bnf_comm_init(BNF_THREAD_SINGLE) != BNF_OK)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return bnf_comm_finalize() != BNF_OK || failed + (int)bnf_mem_live_blocks() != 0;
}
