/* The tree over leaves: shape and addition. Nothing here talks to other ranks. */
#include "comm/tree.h"

#include "base/assert.h"
#include "base/simd.h"

/* Appends the maximal nodes below [lo, hi) that lie inside [from, to). */
static int cover(int32_t lo, int32_t hi, int32_t from, int32_t to, bnf_tree_node *nodes, int count)
{
    if (hi <= from || to <= lo)
        return count;
    if (from <= lo && hi <= to) {
        BNF_ASSERT(count < BNF_TREE_MAX_COVER);
        nodes[count] = (bnf_tree_node){lo, hi};
        return count + 1;
    }
    const int32_t mid = bnf_tree_split(lo, hi);
    count = cover(lo, mid, from, to, nodes, count);
    return cover(mid, hi, from, to, nodes, count);
}

int bnf_tree_cover(int32_t leaves, int32_t lo, int32_t hi, bnf_tree_node *nodes)
{
    BNF_ASSERT(0 <= lo && lo <= hi && hi <= leaves && leaves > 0);
    return lo == hi ? 0 : cover(0, leaves, lo, hi, nodes, 0);
}

/* The number in [lo, hi] with the most trailing zeros, lo > 0; of several the lowest. */
static int64_t roundest(int64_t lo, int64_t hi)
{
    int64_t step = 1;
    while ((lo + 2 * step - 1) / (2 * step) * (2 * step) <= hi)
        step *= 2;
    return (lo + step - 1) / step * step;
}

void bnf_tree_range(int32_t leaves, int ranks, int rank, int32_t *lo, int32_t *hi)
{
    BNF_ASSERT(leaves > 0 && ranks > 0 && rank >= 0 && rank < ranks);
    if (leaves % ranks == 0 || leaves < ranks) {
        *lo = (int32_t)((int64_t)rank * leaves / ranks);
        *hi = (int32_t)(((int64_t)rank + 1) * leaves / ranks);
        return;
    }
    const int64_t most = ((int64_t)leaves + ranks - 1) / ranks;
    int64_t begin = 0, end = 0;
    for (int r = 0; r <= rank; r++) {
        const int64_t behind = ranks - 1 - r; /* ranks that still need one leaf and can take `most` */
        const int64_t least = leaves - behind * most, largest = leaves - behind;
        begin = end;
        end = roundest(least > begin + 1 ? least : begin + 1, begin + most < largest ? begin + most : largest);
    }
    *lo = (int32_t)begin;
    *hi = (int32_t)end;
}

BNF_SIMD_CLONES
static void add_f32(float *restrict a, const float *restrict b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] += b[i];
}

BNF_SIMD_CLONES
static void add_f64(double *restrict a, const double *restrict b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] += b[i];
}

void bnf_tree_add(bnf_dtype dtype, void *a, const void *b, int64_t n)
{
    BNF_ASSERT(dtype == BNF_F32 || dtype == BNF_F64);
    if (dtype == BNF_F32)
        add_f32(a, b, n);
    else
        add_f64(a, b, n);
}
