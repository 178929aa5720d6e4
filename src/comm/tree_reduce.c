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
    bnf_free(space->requests);
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

static bnf_status grow(bnf_tree_space *space, int64_t buffer_bytes, int64_t requests)
{
    if (buffer_bytes > space->buffer_bytes) {
        bnf_free(space->buffer);
        space->buffer_bytes = 0;
        BNF_TRY(bnf_alloc((size_t)buffer_bytes, "sums over ranks", &space->buffer));
        space->buffer_bytes = buffer_bytes;
    }
    if (requests > space->request_capacity) {
        bnf_free(space->requests);
        space->request_capacity = 0;
        BNF_TRY(bnf_calloc((size_t)requests, sizeof *space->requests, "sums over ranks", &space->requests));
        space->request_capacity = requests;
    }
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

static bnf_status use_memory(const bnf_comm *comm, int64_t buffer_bytes, int64_t requests)
{
    if (buffer_bytes <= comm->tree->buffer_bytes && requests <= comm->tree->request_capacity)
        return BNF_OK;
    return agree_or_release(comm, grow(comm->tree, buffer_bytes, requests));
}

/* ---- completing the tree --------------------------------------------------------------------------------------- */

/* The values of all cover nodes for a run of n elements, and which of them may be overwritten. */
typedef struct completion {
    const bnf_tree_space *space;
    bnf_dtype dtype;
    int64_t n;
    int32_t own_first, own_end; /* nodes of this rank: the caller's memory, read only */
    int32_t next;               /* cover nodes are met from left to right */
} completion;

typedef struct operand {
    void *data;
    bool writable;
} operand;

/* The value of node [lo, hi). Two read-only operands never meet: two siblings that lie both in this rank's range
 * have their parent in it as well, and then the parent is the cover node. */
static operand complete(completion *c, int32_t lo, int32_t hi)
{
    const bnf_tree_node node = c->space->nodes[c->next];
    if (node.lo == lo && node.hi == hi) {
        const int32_t i = c->next++;
        return (operand){(void *)(uintptr_t)c->space->value[i], i < c->own_first || i >= c->own_end};
    }
    const int32_t mid = bnf_tree_split(lo, hi);
    const operand left = complete(c, lo, mid);
    const operand right = complete(c, mid, hi);
    BNF_ASSERT(left.writable || right.writable);
    const operand to = left.writable ? left : right;
    bnf_tree_add(c->dtype, to.data, left.writable ? right.data : left.data, c->n);
    return to;
}

static void complete_root(const bnf_comm *comm, bnf_dtype dtype, int64_t n, bool own_writable, void *out)
{
    const bnf_tree_space *space = comm->tree;
    completion c = {.space = space, .dtype = dtype, .n = n};
    if (!own_writable) {
        c.own_first = space->first[comm->rank];
        c.own_end = space->first[comm->rank + 1];
    }
    const operand root = complete(&c, 0, space->leaves);
    BNF_ASSERT(c.next == space->first[comm->size]);
    memcpy(out, root.data, (size_t)n * bnf_dtype_size(dtype));
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
    BNF_TRY(use_memory(comm, aligned_at + (int64_t)sizeof(int64_t) * comm->size, 0));
    char *arrived = space->buffer, *sent = arrived + total * bytes;
    int64_t *counts = (int64_t *)(void *)((char *)space->buffer + aligned_at);
    for (int r = 0; r < comm->size; r++)
        counts[r] = (space->first[r + 1] - space->first[r]) * bytes;
    for (int32_t k = 0; k < space->first[comm->rank + 1] - space->first[comm->rank]; k++)
        memcpy(sent + k * bytes, partials[k], (size_t)bytes);
    BNF_TRY(bnf_comm_allgatherv(comm, sent, counts, arrived));
    for (int32_t i = 0; i < total; i++)
        space->value[i] = arrived + i * bytes;
    complete_root(comm, dtype, n, true, out);
    return BNF_OK;
}

/* ---- to owners ------------------------------------------------------------------------------------------------- */

typedef struct reduction {
    const bnf_comm *comm;
    bnf_dtype dtype;
    int64_t item;  /* bytes of an element */
    int64_t piece; /* elements per round and owner, at most */
    const void *const *partials;
    const int64_t *owner_offset;
    int64_t posted[2]; /* messages of the even and the odd round under way */
} reduction;

/* Elements [*lo, *lo + return) are what `owner` adds up in round `round`; 0 if it is done. */
static int64_t round_range(const reduction *r, int owner, int64_t round, int64_t *lo)
{
    *lo = r->owner_offset[owner] + round * r->piece;
    const int64_t left = r->owner_offset[owner + 1] - *lo;
    return left < 0 ? 0 : left < r->piece ? left : r->piece;
}

static char *slot(const reduction *r, int64_t round, int32_t node)
{
    const int64_t nodes = r->comm->tree->first[r->comm->size];
    return (char *)r->comm->tree->buffer + ((round & 1) * nodes + node) * r->piece * r->item;
}

static bnf_comm_request *next_request(reduction *r, int64_t round)
{
    const int64_t half = r->comm->tree->request_capacity / 2;
    BNF_ASSERT(r->posted[round & 1] < half);
    return r->comm->tree->requests + (round & 1) * half + r->posted[round & 1]++;
}

/* Receives first, then sends. One tag is enough: messages of a pair of ranks arrive in the order of nodes and
 * rounds. */
static bnf_status post_round(reduction *r, int64_t round)
{
    const bnf_comm *comm = r->comm;
    const int32_t *first = comm->tree->first;
    const int me = comm->rank, size = comm->size;
    int64_t lo;
    r->posted[round & 1] = 0;
    const int64_t mine = round_range(r, me, round, &lo);
    for (int i = 1; i < size && mine > 0; i++) {
        const int from = (me + size - i) % size;
        for (int32_t k = first[from]; k < first[from + 1]; k++)
            BNF_TRY(
                bnf_comm_irecv(comm, from, BNF_TAG_TREE, slot(r, round, k), mine * r->item, next_request(r, round)));
    }
    for (int i = 1; i < size; i++) {
        const int to = (me + i) % size;
        const int64_t n = round_range(r, to, round, &lo);
        for (int32_t k = 0; k < first[me + 1] - first[me] && n > 0; k++)
            BNF_TRY(bnf_comm_isend(comm, to, BNF_TAG_TREE, (const char *)r->partials[k] + lo * r->item, n * r->item,
                                   next_request(r, round)));
    }
    return BNF_OK;
}

static bnf_status wait_round(reduction *r, int64_t round)
{
    const int64_t half = r->comm->tree->request_capacity / 2, n = r->posted[round & 1];
    r->posted[round & 1] = 0;
    return bnf_comm_wait_all(r->comm->tree->requests + (round & 1) * half, n);
}

static void add_round(const reduction *r, int64_t round, char *out)
{
    const bnf_comm *comm = r->comm;
    const bnf_tree_space *space = comm->tree;
    int64_t lo;
    const int64_t n = round_range(r, comm->rank, round, &lo);
    if (n == 0)
        return;
    for (int32_t k = 0; k < space->first[comm->size]; k++) {
        const int32_t own = k - space->first[comm->rank];
        if (own >= 0 && k < space->first[comm->rank + 1])
            space->value[k] = (const char *)r->partials[own] + lo * r->item;
        else
            space->value[k] = slot(r, round, k);
    }
    complete_root(comm, r->dtype, n, false, out + (lo - r->owner_offset[comm->rank]) * r->item);
}

/* While one round is added up, the messages of the next are under way. */
static bnf_status run_rounds(reduction *r, int64_t rounds, char *out)
{
    bnf_status s = rounds > 0 ? post_round(r, 0) : BNF_OK;
    for (int64_t round = 0; round < rounds && s == BNF_OK; round++) {
        if (round + 1 < rounds)
            s = post_round(r, round + 1);
        const bnf_status waited = wait_round(r, round);
        if (s == BNF_OK)
            s = waited;
        if (s == BNF_OK)
            add_round(r, round, out);
    }
    if (s == BNF_OK)
        return BNF_OK;
    wait_round(r, 0); /* nothing may be written to the buffers after the return */
    wait_round(r, 1);
    return s;
}

bnf_status bnf_tree_reduce_to_owners(const bnf_comm *comm, int32_t leaves, bnf_dtype dtype, const void *const *partials,
                                     int64_t n, const int64_t *owner_offset, void *out)
{
    const int size = bnf_comm_size(comm);
    const int64_t item = (int64_t)bnf_dtype_size(dtype);
    BNF_ASSERT((dtype == BNF_F32 || dtype == BNF_F64) && leaves >= size);
    BNF_ASSERT(owner_offset[0] == 0 && owner_offset[size] == n);
    if (size == 1) {
        memcpy(out, partials[0], (size_t)(n * item));
        return BNF_OK;
    }
    BNF_TRY(use_leaves(comm, leaves));
    const int64_t nodes = comm->tree->first[size];
    reduction r = {.comm = comm,
                   .dtype = dtype,
                   .item = item,
                   .piece = BNF_TREE_PIECE_BYTES / 2 / item,
                   .partials = partials,
                   .owner_offset = owner_offset};
    int64_t largest = 0;
    for (int i = 0; i < size; i++) {
        const int64_t own = owner_offset[i + 1] - owner_offset[i];
        BNF_ASSERT(own >= 0);
        largest = own > largest ? own : largest;
    }
    if (largest < r.piece)
        r.piece = largest > 0 ? largest : 1;
    /* A rank receives all nodes but its own and sends its own to all others: an upper limit that holds for every
     * rank. */
    const int64_t messages = nodes + (int64_t)size * BNF_TREE_MAX_COVER;
    BNF_TRY(use_memory(comm, 2 * nodes * r.piece * item, 2 * messages));
    return run_rounds(&r, (largest + r.piece - 1) / r.piece, out);
}

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
