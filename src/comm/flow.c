/* Flows: life, and moving on. */
#include "comm/flow_impl.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"

/* Tags: one per slot of each flow. They come again after this many flows. */
#define FLOW_TAGS 4000
_Static_assert(BNF_TAG_FLOW + FLOW_TAGS * BNF_FLOW_SLOTS <= 32767, "MPI promises tags up to 32767");

/* A chunk under way. */
typedef struct slot {
    int64_t chunk; /* -1: none */
    const bnf_flow_plan *plan;
    int32_t arrived, computed, sent, left; /* how many of the plan's receives, operations, sends posted, sends done */
    bnf_comm_request *recvs, *sends;
    char *sums, *received, *packed;
} slot;

struct bnf_flow {
    const bnf_comm *comm;
    bnf_flow *next; /* on the board, while active */
    bool active, spread, bf16;
    bnf_flow_type type, wire;
    int64_t item, wire_item; /* bytes */
    int tag;
    int64_t chunks, ended;
    bnf_flow_plan regular, last;
    slot slots[BNF_FLOW_SLOTS];
    char *out; /* element 0 of all owners' would be here; value */
    const char *partials[BNF_TREE_MAX_COVER];
    void *memory;
};

/* ---- planning -------------------------------------------------------------------------------------------------- */

/* What creation works with. */
typedef struct making {
    bnf_routes *routes;
    bnf_rank_moves *moves;
    int64_t *sizes; /* [3 ranks]: at, n, step */
} making;

/* How many chunks: by the largest part of an owner if it travels alone, by everything if halves of it travel. */
static int64_t count_chunks(const bnf_flow_config *config, bnf_flow_algorithm algorithm, int ranks, int64_t item,
                            const int64_t *owner_offset)
{
    int64_t bytes = 0;
    if (algorithm == BNF_FLOW_HALVING)
        bytes = owner_offset[ranks] * item;
    else
        for (int r = 0; r < ranks; r++)
            if ((owner_offset[r + 1] - owner_offset[r]) * item > bytes)
                bytes = (owner_offset[r + 1] - owner_offset[r]) * item;
    const int64_t chunk = config->chunk_bytes > 0 ? config->chunk_bytes : bnf_flow_chunk_bytes(algorithm, ranks);
    return bytes == 0 ? 0 : bytes <= chunk ? 1 : bytes / chunk;
}

/* Chunks but the last take n / chunks elements of each owner, the last takes the rest. */
static bnf_status make_plan(const bnf_flow *flow, const making *m, const int64_t *owner_offset, bool last,
                            bnf_flow_plan *plan)
{
    const int ranks = m->routes->ranks;
    int64_t *at = m->sizes, *n = at + ranks, *step = n + ranks;
    for (int r = 0; r < ranks; r++) {
        const int64_t all = owner_offset[r + 1] - owner_offset[r], each = all / flow->chunks;
        at[r] = owner_offset[r] + (last ? (flow->chunks - 1) * each : 0);
        n[r] = last ? all - (flow->chunks - 1) * each : each;
        step[r] = last ? 0 : each;
    }
    const bnf_flow_shape shape = {.routes = m->routes,
                                  .moves = m->moves,
                                  .rank = bnf_comm_rank(flow->comm),
                                  .at = at,
                                  .n = n,
                                  .step = step,
                                  .split = BNF_FLOW_SPLIT_BYTES / flow->item,
                                  .convert = flow->wire != flow->type};
    return bnf_flow_plan_make(&shape, plan);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A multiple of a cache line. */
static int64_t padded(int64_t bytes)
{
    return (bytes + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
}

/* Buffers and requests of all slots in one piece. */
static bnf_status make_slots(bnf_flow *flow)
{
    const bnf_flow_plan *a = &flow->regular, *b = &flow->last;
    const int64_t request = (int64_t)sizeof(bnf_comm_request);
    const int64_t sums = padded(larger(a->sums, b->sums) * flow->item);
    const int64_t received = padded(larger(a->arrived, b->arrived) * flow->wire_item);
    const int64_t packed = padded(larger(a->packed, b->packed) * flow->wire_item);
    const int64_t recvs = padded(larger(a->n_recvs, b->n_recvs) * request);
    const int64_t sends = padded(larger(a->n_sends, b->n_sends) * request);
    const int64_t each = sums + received + packed + recvs + sends;
    const int64_t slots = flow->chunks < BNF_FLOW_SLOTS ? flow->chunks : BNF_FLOW_SLOTS;
    BNF_TRY(bnf_alloc((size_t)(slots * each), "a flow", &flow->memory));
    char *at = flow->memory;
    for (int64_t i = 0; i < slots; i++) {
        slot *s = &flow->slots[i];
        *s = (slot){.chunk = -1, .sums = at, .received = at + sums, .packed = at + sums + received};
        s->recvs = (bnf_comm_request *)(void *)(s->packed + packed);
        s->sends = (bnf_comm_request *)(void *)(s->packed + packed + recvs);
        memset(s->recvs, 0, (size_t)(recvs + sends));
        at += each;
    }
    return BNF_OK;
}

static bnf_status plan_flow(bnf_flow *flow, const bnf_flow_config *config, int32_t leaves, const int64_t *owner_offset)
{
    const int ranks = bnf_comm_size(flow->comm);
    const bnf_flow_algorithm algorithm =
        bnf_routes_choose(config->algorithm, ranks, leaves, owner_offset[ranks] * flow->item);
    making m = {0};
    flow->chunks = count_chunks(config, algorithm, ranks, flow->item, owner_offset);
    if (flow->chunks == 0)
        return BNF_OK;
    bnf_status s = bnf_routes_create(ranks, leaves, flow->spread, algorithm, &m.routes);
    if (s == BNF_OK)
        s = bnf_routes_of_rank(m.routes, bnf_comm_rank(flow->comm), &m.moves);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)ranks * 3, sizeof *m.sizes, "a flow", &m.sizes);
    if (s == BNF_OK && flow->chunks > 1)
        s = make_plan(flow, &m, owner_offset, false, &flow->regular);
    if (s == BNF_OK)
        s = make_plan(flow, &m, owner_offset, true, &flow->last);
    if (s == BNF_OK)
        s = make_slots(flow);
    bnf_routes_destroy(m.routes);
    bnf_rank_moves_destroy(m.moves);
    bnf_free(m.sizes);
    return s;
}

static bnf_status create(const bnf_comm *comm, const bnf_flow_config *config, int32_t leaves, bnf_dtype dtype,
                         const int64_t *owner_offset, bool spread, bnf_flow **flow)
{
    BNF_ASSERT((dtype == BNF_F32 || dtype == BNF_F64) && owner_offset[0] == 0);
    BNF_ASSERT(!config->bf16 || dtype == BNF_F32);
    bnf_flow *f = NULL;
    bnf_status s = bnf_calloc(1, sizeof *f, "a flow", &f);
    if (s == BNF_OK) {
        for (int i = 0; i < BNF_FLOW_SLOTS; i++)
            f->slots[i].chunk = -1;
        f->comm = comm;
        f->spread = spread;
        f->bf16 = config->bf16 && !spread;
        f->type = dtype == BNF_F32 ? BNF_FLOW_F32 : BNF_FLOW_F64;
        f->wire = f->bf16 ? BNF_FLOW_BF16 : f->type;
        f->item = (int64_t)bnf_dtype_size(dtype);
        f->wire_item = f->bf16 ? 2 : f->item;
        if (comm != NULL)
            f->tag = BNF_TAG_FLOW + (int)(comm->flows->created++ % FLOW_TAGS) * BNF_FLOW_SLOTS;
        s = plan_flow(f, config, leaves, owner_offset);
    } else if (comm != NULL) {
        comm->flows->created++; /* the others count on */
    }
    s = bnf_comm_agree(comm, s);
    if (s != BNF_OK) {
        bnf_flow_destroy(f);
        f = NULL;
    }
    *flow = f;
    return s;
}

bnf_status bnf_flow_reduce_create(const bnf_comm *comm, const bnf_flow_config *config, int32_t leaves, bnf_dtype dtype,
                                  const void *const *partials, int64_t n, const int64_t *owner_offset, void *out,
                                  bnf_flow **flow)
{
    const int ranks = bnf_comm_size(comm), rank = bnf_comm_rank(comm);
    bnf_tree_node cover[BNF_TREE_MAX_COVER];
    int32_t lo, hi;
    BNF_ASSERT(leaves >= ranks && owner_offset[ranks] == n);
    BNF_TRY(create(comm, config, leaves, dtype, owner_offset, false, flow));
    bnf_tree_range(leaves, ranks, rank, &lo, &hi);
    const int count = bnf_tree_cover(leaves, lo, hi, cover);
    for (int k = 0; k < count; k++)
        (*flow)->partials[k] = partials[k];
    (*flow)->out = (char *)((uintptr_t)out - (uintptr_t)(owner_offset[rank] * (*flow)->item));
    return BNF_OK;
}

bnf_status bnf_flow_spread_create(const bnf_comm *comm, const bnf_flow_config *config, bnf_dtype dtype,
                                  const int64_t *owner_offset, void *value, bnf_flow **flow)
{
    BNF_TRY(create(comm, config, bnf_comm_size(comm), dtype, owner_offset, true, flow));
    (*flow)->out = value;
    return BNF_OK;
}

/* ---- moving on ------------------------------------------------------------------------------------------------- */

static bnf_flow_type type_of(const bnf_flow *flow, bnf_piece piece)
{
    return piece.base == BNF_BASE_ARRIVED || piece.base == BNF_BASE_PACKED ? flow->wire : flow->type;
}

static void *address(const bnf_flow *flow, const slot *s, bnf_piece piece)
{
    const int64_t at = piece.at + s->chunk * piece.step;
    switch (piece.base) {
    case BNF_BASE_OUT:
        return flow->out + at * flow->item;
    case BNF_BASE_SUMS:
        return s->sums + at * flow->item;
    case BNF_BASE_ARRIVED:
        return s->received + at * flow->wire_item;
    case BNF_BASE_PACKED:
        return s->packed + at * flow->wire_item;
    default:
        BNF_ASSERT(piece.base >= BNF_BASE_PARTIAL);
        return (void *)(uintptr_t)(flow->partials[piece.base - BNF_BASE_PARTIAL] + at * flow->item);
    }
}

static void compute(const bnf_flow *flow, const slot *s, const bnf_flow_op *op)
{
    void *to = address(flow, s, op->to);
    const void *a = address(flow, s, op->a);
    if (op->b.base != BNF_BASE_NONE)
        bnf_flow_add(flow->type, flow->bf16, to, type_of(flow, op->a), a, type_of(flow, op->b), address(flow, s, op->b),
                     op->n);
    else if (type_of(flow, op->to) == BNF_FLOW_BF16)
        bnf_flow_round(to, a, op->n);
    else
        memcpy(to, a, (size_t)(op->n * flow->item));
}

static int tag_of(const bnf_flow *flow, const slot *s)
{
    return flow->tag + (int)(s - flow->slots);
}

/* Begins a chunk, if it exists: all its receives wait from now on. The slot of a chunk is the same on every rank,
 * so that messages of one tag between two ranks arrive in the order of chunks and of the plan. */
static bnf_status enter(bnf_flow *flow, slot *s, int64_t chunk)
{
    s->arrived = s->computed = s->sent = s->left = 0;
    s->chunk = chunk < flow->chunks ? chunk : -1;
    if (s->chunk < 0)
        return BNF_OK;
    s->plan = s->chunk + 1 < flow->chunks ? &flow->regular : &flow->last;
    for (int32_t i = 0; i < s->plan->n_recvs; i++) {
        const bnf_flow_message *m = &s->plan->recvs[i];
        BNF_TRY(bnf_comm_irecv(flow->comm, m->peer, tag_of(flow, s), address(flow, s, m->buffer),
                               m->n * flow->wire_item, &s->recvs[i]));
    }
    return BNF_OK;
}

static bnf_status send_ready(bnf_flow *flow, slot *s)
{
    while (s->sent < s->plan->n_sends) {
        const bnf_flow_message *m = &s->plan->sends[s->sent];
        if (m->arrivals > s->arrived || m->ops > s->computed)
            return BNF_OK;
        for (int32_t i = 0; i < m->copies; i++)
            compute(flow, s, &s->plan->copies[m->first_copy + i]);
        BNF_TRY(bnf_comm_isend(flow->comm, m->peer, tag_of(flow, s), address(flow, s, m->buffer),
                               m->n * flow->wire_item, &s->sends[s->sent]));
        s->sent++;
    }
    return BNF_OK;
}

/* Everything that can be done for a chunk now. [out] ended. */
static bnf_status advance(bnf_flow *flow, slot *s, bool *ended)
{
    const bnf_flow_plan *p = s->plan;
    bool done = true;
    *ended = false;
    do {
        while (s->computed < p->n_ops && p->ops[s->computed].arrivals <= s->arrived)
            compute(flow, s, &p->ops[s->computed++]);
        BNF_TRY(send_ready(flow, s));
        if (s->arrived == p->n_recvs)
            break;
        BNF_TRY(bnf_comm_test(&s->recvs[s->arrived], &done));
        s->arrived += done;
    } while (done);
    while (s->left < s->sent) {
        BNF_TRY(bnf_comm_test(&s->sends[s->left], &done));
        if (!done)
            break;
        s->left++;
    }
    *ended = s->arrived == p->n_recvs && s->left == p->n_sends;
    return BNF_OK;
}

static bnf_status move_on(bnf_flow *flow)
{
    bool ended;
    for (int i = 0; i < BNF_FLOW_SLOTS; i++) {
        slot *s = &flow->slots[i];
        while (s->chunk >= 0) {
            BNF_TRY(advance(flow, s, &ended));
            if (!ended)
                break;
            flow->ended++;
            BNF_TRY(enter(flow, s, s->chunk + BNF_FLOW_SLOTS));
        }
    }
    return BNF_OK;
}

static void leave_board(bnf_flow *flow)
{
    flow->active = false;
    if (flow->comm == NULL)
        return;
    bnf_flow **at = &flow->comm->flows->active;
    while (*at != flow)
        at = &(*at)->next;
    *at = flow->next;
}

static void join_board(bnf_flow *flow)
{
    flow->active = true;
    flow->next = NULL;
    if (flow->comm == NULL)
        return;
    bnf_flow **at = &flow->comm->flows->active;
    while (*at != NULL)
        at = &(*at)->next;
    *at = flow;
}

/* Under way only after an error, of this flow or another. */
static void abandon(bnf_flow *flow)
{
    for (int i = 0; i < BNF_FLOW_SLOTS; i++) {
        const slot *s = &flow->slots[i];
        for (int32_t k = 0; s->chunk >= 0 && k < s->plan->n_recvs; k++)
            bnf_comm_abandon(&s->recvs[k]);
        for (int32_t k = 0; s->chunk >= 0 && k < s->sent; k++)
            bnf_comm_abandon(&s->sends[k]);
    }
    if (flow->active)
        leave_board(flow);
}

void bnf_flow_destroy(bnf_flow *flow)
{
    if (flow == NULL)
        return;
    abandon(flow);
    bnf_flow_plan_release(&flow->regular);
    bnf_flow_plan_release(&flow->last);
    bnf_free(flow->memory);
    bnf_free(flow);
}

bnf_status bnf_flow_start(bnf_flow *flow)
{
    BNF_ASSERT(!flow->active);
    if (flow->chunks == 0)
        return BNF_OK;
    flow->ended = 0;
    join_board(flow);
    bnf_status s = BNF_OK;
    for (int i = 0; i < BNF_FLOW_SLOTS && s == BNF_OK; i++)
        s = enter(flow, &flow->slots[i], i);
    for (int i = 0; i < BNF_FLOW_SLOTS && s == BNF_OK; i++)
        if (flow->slots[i].chunk >= 0)
            s = send_ready(flow, &flow->slots[i]);
    if (s != BNF_OK)
        leave_board(flow);
    return s;
}

bnf_status bnf_flow_poll(bnf_flow *flow, bool *done)
{
    *done = !flow->active;
    if (*done)
        return BNF_OK;
    const bnf_status s = move_on(flow);
    *done = s != BNF_OK || flow->ended == flow->chunks;
    if (*done)
        leave_board(flow);
    return s;
}

/* Others may wait for another flow first, so all that are under way move on. */
bnf_status bnf_flow_wait(bnf_flow *flow)
{
    bool done;
    for (;;) {
        BNF_TRY(bnf_flow_poll(flow, &done));
        if (done)
            return BNF_OK;
        for (bnf_flow *other = flow->comm != NULL ? flow->comm->flows->active : NULL; other != NULL;) {
            bnf_flow *next = other->next;
            if (other != flow)
                BNF_TRY(move_on(other));
            other = next;
        }
    }
}

void bnf_flow_traffic(const bnf_flow *flow, int64_t *bytes, int64_t *messages)
{
    const int64_t regular = flow->chunks > 0 ? flow->chunks - 1 : 0;
    *bytes = (regular * flow->regular.sent + flow->last.sent) * flow->wire_item;
    *messages = regular * flow->regular.n_sends + flow->last.n_sends;
}
