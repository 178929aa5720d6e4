/* Sums along the tree across ranks. */
#include "comm/impl.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"

static void space_release(bnf_tree_space *space)
{
    bnf_free(space->first);
    bnf_free(space->nodes);
    bnf_free(space->value);
    bnf_free(space->buffer);
    *space = (bnf_tree_space){0};
}

void bnf_tree_space_destroy(bnf_tree_space *space)
{
    if (space != NULL)
        space_release(space);
    bnf_free(space);
}

/* ---- workspace ------------------------------------------------------------------------------------------------- */

/* Number of nodes in the covers of all ranks. */
static int32_t count_nodes(int32_t leaves, int size)
{
    bnf_tree_node cover[BNF_TREE_MAX_COVER];
    int32_t total = 0, lo, hi;
    for (int r = 0; r < size; r++) {
        bnf_tree_range(leaves, size, r, &lo, &hi);
        total += bnf_tree_cover(leaves, lo, hi, cover);
    }
    return total;
}

static bnf_status set_covers(bnf_tree_space *space, int32_t leaves, int size)
{
    const size_t total = (size_t)count_nodes(leaves, size);
    bnf_tree_node cover[BNF_TREE_MAX_COVER];
    BNF_TRY(bnf_calloc((size_t)size + 1, sizeof *space->first, "the tree of leaves", &space->first));
    BNF_TRY(bnf_calloc(total, sizeof *space->nodes, "the tree of leaves", &space->nodes));
    BNF_TRY(bnf_calloc(total, sizeof *space->value, "the tree of leaves", &space->value));
    for (int r = 0; r < size; r++) {
        int32_t lo, hi;
        bnf_tree_range(leaves, size, r, &lo, &hi);
        const int n = bnf_tree_cover(leaves, lo, hi, cover);
        memcpy(space->nodes + space->first[r], cover, (size_t)n * sizeof *cover);
        space->first[r + 1] = space->first[r] + n;
    }
    space->leaves = leaves;
    return BNF_OK;
}

static bnf_status grow(bnf_tree_space *space, int64_t buffer_bytes)
{
    bnf_free(space->buffer);
    space->buffer_bytes = 0;
    BNF_TRY(bnf_alloc((size_t)buffer_bytes, "sums over ranks", &space->buffer));
    space->buffer_bytes = buffer_bytes;
    return BNF_OK;
}

/* All ranks enter with the same state and leave with the same: either every rank has what was asked for, or none has
 * anything. So the next call needs no message to find out who has to grow. */
static bnf_status agree_or_release(const bnf_comm *comm, bnf_status local)
{
    const bnf_status s = bnf_comm_agree(comm, local);
    if (s != BNF_OK)
        space_release(comm->tree);
    return s;
}

static bnf_status use_leaves(const bnf_comm *comm, int32_t leaves)
{
    if (comm->tree->leaves == leaves)
        return BNF_OK;
    space_release(comm->tree);
    return agree_or_release(comm, set_covers(comm->tree, leaves, comm->size));
}

static bnf_status use_memory(const bnf_comm *comm, int64_t buffer_bytes)
{
    if (buffer_bytes <= comm->tree->buffer_bytes)
        return BNF_OK;
    return agree_or_release(comm, grow(comm->tree, buffer_bytes));
}

/* ---- completing the tree --------------------------------------------------------------------------------------- */

/* The values of all cover nodes, which are overwritten. */
typedef struct completion {
    const bnf_tree_space *space;
    bnf_dtype dtype;
    int64_t n;
    int32_t next; /* cover nodes are met from left to right */
} completion;

/* The value of node [lo, hi), in the place of its first cover node. */
static void *complete(completion *c, int32_t lo, int32_t hi)
{
    const bnf_tree_node node = c->space->nodes[c->next];
    if (node.lo == lo && node.hi == hi)
        return c->space->value[c->next++];
    const int32_t mid = bnf_tree_split(lo, hi);
    void *left = complete(c, lo, mid);
    bnf_tree_add(c->dtype, left, complete(c, mid, hi), c->n);
    return left;
}

/* ---- to everyone ----------------------------------------------------------------------------------------------- */

bnf_status bnf_tree_allreduce(const bnf_comm *comm, int32_t leaves, bnf_dtype dtype, const void *const *partials,
                              int64_t n, void *out)
{
    const int64_t bytes = n * (int64_t)bnf_dtype_size(dtype);
    BNF_ASSERT(n >= 0 && (dtype == BNF_F32 || dtype == BNF_F64) && leaves >= bnf_comm_size(comm));
    if (n == 0)
        return BNF_OK;
    if (comm == NULL || comm->size == 1) {
        memmove(out, partials[0], (size_t)bytes); /* the cover of all leaves is the root */
        return BNF_OK;
    }
    bnf_tree_space *space = comm->tree;
    BNF_TRY(use_leaves(comm, leaves));
    const int32_t total = space->first[comm->size];
    /* what arrives, what is sent (at most all of a cover), and the amounts per rank */
    const int64_t counts_at = (int64_t)(total + BNF_TREE_MAX_COVER) * bytes;
    const int64_t aligned_at = (counts_at + 7) / 8 * 8;
    BNF_TRY(use_memory(comm, aligned_at + (int64_t)sizeof(int64_t) * comm->size));
    char *arrived = space->buffer, *sent = arrived + total * bytes;
    int64_t *counts = (int64_t *)(void *)((char *)space->buffer + aligned_at);
    for (int r = 0; r < comm->size; r++)
        counts[r] = (space->first[r + 1] - space->first[r]) * bytes;
    for (int32_t k = 0; k < space->first[comm->rank + 1] - space->first[comm->rank]; k++)
        memcpy(sent + k * bytes, partials[k], (size_t)bytes);
    BNF_TRY(bnf_comm_allgatherv(comm, sent, counts, arrived));
    for (int32_t i = 0; i < total; i++)
        space->value[i] = arrived + i * bytes;
    completion c = {.space = space, .dtype = dtype, .n = n};
    memcpy(out, complete(&c, 0, leaves), (size_t)bytes);
    BNF_ASSERT(c.next == total);
    return BNF_OK;
}

/* ---- from owners ----------------------------------------------------------------------------------------------- */

bnf_status bnf_tree_broadcast_from_owners(const bnf_comm *comm, bnf_dtype dtype, const int64_t *owner_offset,
                                          void *value)
{
    const int64_t item = (int64_t)bnf_dtype_size(dtype);
    if (comm == NULL || comm->size == 1)
        return BNF_OK;
    if (bnf_comm_fits(owner_offset[comm->size] * item)) {
        int *counts = comm->counts, *at = comm->counts + comm->size;
        for (int r = 0; r < comm->size; r++) {
            at[r] = (int)(owner_offset[r] * item);
            counts[r] = (int)(owner_offset[r + 1] * item) - at[r];
        }
        int result;
        BNF_COMM_WAITS(result, MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_BYTE, value, counts, at, MPI_BYTE, comm->mpi));
        return bnf_comm_check(comm, result, "MPI_Allgatherv");
    }
    for (int r = 0; r < comm->size; r++)
        BNF_TRY(bnf_comm_bcast(comm, r, (char *)value + owner_offset[r] * item,
                               (owner_offset[r + 1] - owner_offset[r]) * item));
    return BNF_OK;
}
