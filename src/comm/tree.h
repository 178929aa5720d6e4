/* comm/tree.h - the one order in which anything is summed over the batch.
 *
 * The global batch is cut into `leaves` leaves. A fixed binary tree stands over them: node [lo, hi) with n = hi -
 * lo > 1 leaves splits at lo + (largest power of two below n). The value of a node is left + right, rounded once
 * per node, so the value of the root does not depend on how leaves are divided among ranks and threads. Ranks own
 * contiguous ranges of leaves; what a rank knows are the values of the largest whole nodes inside its range, its
 * "cover".
 *
 * Callers make sure that there are at least as many leaves as ranks. */
#ifndef BNF_COMM_TREE_H
#define BNF_COMM_TREE_H

#include <banff/comm.h>

#define BNF_TREE_MAX_COVER 64 /* at most two nodes per level */

typedef struct bnf_tree_node {
    int32_t lo, hi; /* leaves [lo, hi), hi > lo */
} bnf_tree_node;

/* Where a node of more than one leaf splits: its children are [lo, mid) and [mid, hi). */
static inline int32_t bnf_tree_split(int32_t lo, int32_t hi)
{
    const uint32_t below = (uint32_t)(hi - lo) - 1;
    return lo + (int32_t)(UINT32_C(1) << (31 - __builtin_clz(below)));
}

/* The maximal nodes of the tree over `leaves` leaves that lie inside [lo, hi), from left to right.
 *   nodes[BNF_TREE_MAX_COVER] [out]; returns how many there are (0 for an empty range). */
int bnf_tree_cover(int32_t leaves, int32_t lo, int32_t hi, bnf_tree_node *nodes);

/* The range of leaves of a rank. No rank has more than ceil(leaves / ranks), which is what a step's time depends
 * on; within this limit ranges end at numbers with many trailing zeros, so that they are covered by few nodes and
 * few values have to be sent: 16 leaves on 5 ranks are 4 4 4 2 2, one node each, not 3 3 3 3 4. With fewer leaves
 * than ranks, which is no case for sums, some ranges are empty. */
void bnf_tree_range(int32_t leaves, int ranks, int rank, int32_t *lo, int32_t *hi);

/* a[n] += b[n] for BNF_F32 or BNF_F64; the arrays do not overlap. One rounding per element, in any vector width. */
void bnf_tree_add(bnf_dtype dtype, void *a, const void *b, int64_t n);

/* a[n] = bf16(a[n]) + bf16(b[n]) in f32, where bf16 rounds to the nearest bfloat16, ties to even (infinities and
 * NaN stay what they are; what is too large becomes an infinity). The sum itself is not rounded to bfloat16. A
 * tree all of whose additions are this one gives the same bits on any number of ranks, because it does not matter
 * whether an operand was rounded where it was computed, to travel in 2 bytes, or where it is added. The arrays do
 * not overlap. */
void bnf_tree_add_bf16(float *a, const float *b, int64_t n);

/* The root's value on every rank.
 *   dtype          BNF_F32 or BNF_F64
 *   partials[k][n] [in]  value of the k-th node of this rank's cover (bnf_tree_range, bnf_tree_cover)
 *   out[n]         [out] may be one of the partials, else does not overlap them
 * Gathers the partials of all ranks, so meant for small n: class counts, moments, losses. Collective. Bit-identical
 * for any number of ranks. Errors: BNF_ERR_MEMORY (agreed on by all ranks), BNF_ERR_COMM. */
bnf_status bnf_tree_allreduce(const bnf_comm *comm, int32_t leaves, bnf_dtype dtype, const void *const *partials,
                              int64_t n, void *out);

/* value[n] is right on its owners' elements and becomes so everywhere: rank r owns [owner_offset[r],
 * owner_offset[r+1]), which starts at 0 and ends at n. For once; what is repeated, and sums to owners, are flows
 * (comm/flow.h). Collective. value[n] [in,out] */
bnf_status bnf_tree_broadcast_from_owners(const bnf_comm *comm, bnf_dtype dtype, const int64_t *owner_offset,
                                          void *value);

#endif
