/* The shape of the tree of leaves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "comm/tree.h"

static void test_split(void **unused)
{
    (void)unused;
    static const int32_t sizes[] = {2, 3, 4, 5, 7, 8, 9, 16, 17, 1 << 30, INT32_MAX};
    static const int32_t left[] = {1, 2, 2, 4, 4, 4, 8, 8, 16, 1 << 29, 1 << 30};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(bnf_tree_split(0, sizes[i]), left[i]);
    assert_int_equal(bnf_tree_split(100, 105), 104);
}

/* Whether [lo, hi) is a node, found by walking down from the root. */
static int is_node(int32_t leaves, bnf_tree_node node)
{
    int32_t lo = 0, hi = leaves;
    while (lo != node.lo || hi != node.hi) {
        if (hi - lo == 1)
            return 0;
        const int32_t mid = bnf_tree_split(lo, hi);
        if (node.lo >= mid)
            lo = mid;
        else
            hi = mid;
    }
    return 1;
}

/* Every range of trees of up to 40 leaves: its cover are nodes, from left to right without gaps, and no two of them
 * make a larger node inside the range. */
static void test_cover(void **unused)
{
    (void)unused;
    for (int32_t leaves = 1; leaves <= 40; leaves++) {
        for (int32_t lo = 0; lo <= leaves; lo++) {
            for (int32_t hi = lo; hi <= leaves; hi++) {
                bnf_tree_node nodes[BNF_TREE_MAX_COVER];
                const int n = bnf_tree_cover(leaves, lo, hi, nodes);
                int32_t at = lo;
                for (int k = 0; k < n; k++) {
                    assert_int_equal(nodes[k].lo, at);
                    assert_true(is_node(leaves, nodes[k]));
                    at = nodes[k].hi;
                    if (k > 0)
                        assert_false(is_node(leaves, (bnf_tree_node){nodes[k - 1].lo, nodes[k].hi}));
                }
                assert_int_equal(at, hi);
            }
        }
    }
}

static void test_large_cover_fits(void **unused)
{
    (void)unused;
    bnf_tree_node nodes[BNF_TREE_MAX_COVER];
    assert_int_equal(bnf_tree_cover(1 << 30, 1, (1 << 30) - 1, nodes), 58);
    assert_int_equal(bnf_tree_cover(INT32_MAX, 0, INT32_MAX, nodes), 1);
    assert_true(bnf_tree_cover(INT32_MAX, 1, INT32_MAX - 1, nodes) <= BNF_TREE_MAX_COVER);
}

/* Nodes that cover ranges with the given ends. */
static int count_nodes(int32_t leaves, int ranks, const int32_t *end)
{
    bnf_tree_node nodes[BNF_TREE_MAX_COVER];
    int n = 0;
    for (int r = 0; r < ranks; r++)
        n += bnf_tree_cover(leaves, r == 0 ? 0 : end[r - 1], end[r], nodes);
    return n;
}

/* Ranges follow each other, none is empty, and none is larger than it has to be; they need fewer nodes than an
 * even cut. */
static void test_ranges(void **unused)
{
    (void)unused;
    int chosen = 0, even = 0;
    for (int ranks = 1; ranks <= 20; ranks++) {
        for (int32_t leaves = ranks; leaves <= 80; leaves++) {
            int32_t lo, hi, end = 0, ends[20], even_ends[20];
            for (int r = 0; r < ranks; r++) {
                bnf_tree_range(leaves, ranks, r, &lo, &hi);
                assert_int_equal(lo, end);
                assert_in_range(hi - lo, 1, (leaves + ranks - 1) / ranks);
                end = ends[r] = hi;
                even_ends[r] = (r + 1) * leaves / ranks;
            }
            assert_int_equal(end, leaves);
            chosen += count_nodes(leaves, ranks, ends);
            even += count_nodes(leaves, ranks, even_ends);
        }
    }
    assert_true(chosen < even * 8 / 10);
    static const int32_t five[] = {4, 8, 12, 14, 16};
    int32_t lo, hi;
    for (int r = 0; r < 5; r++) {
        bnf_tree_range(16, 5, r, &lo, &hi);
        assert_int_equal(hi, five[r]);
    }
    bnf_tree_range(INT32_MAX, 1 << 20, (1 << 20) - 1, &lo, &hi);
    assert_int_equal(hi, INT32_MAX);
    bnf_tree_range(2, 3, 0, &lo, &hi);
    assert_true(lo == 0 && hi == 0);
}

static void test_add(void **unused)
{
    (void)unused;
    float a[37], b[37];
    double c[37], d[37];
    for (int i = 0; i < 37; i++) {
        a[i] = 0.1f * (float)i;
        b[i] = 1e6f / (float)(i + 1);
        c[i] = 0.1 * i;
        d[i] = 1e6 / (i + 1);
    }
    bnf_tree_add(BNF_F32, a, b, 36); /* the last element is not touched */
    bnf_tree_add(BNF_F64, c, d, 36);
    for (int i = 0; i < 36; i++) {
        assert_true(a[i] == 0.1f * (float)i + b[i]);
        assert_true(c[i] == 0.1 * i + d[i]);
    }
    assert_true(a[36] == 0.1f * 36.0f && c[36] == 0.1 * 36);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),  cmocka_unit_test(test_cover), cmocka_unit_test(test_large_cover_fits),
        cmocka_unit_test(test_ranges), cmocka_unit_test(test_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
