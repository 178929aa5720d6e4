/* From the moves of a rank to buffers, messages and additions of one chunk. */
#include "comm/flow_impl.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* ---- where values are ------------------------------------------------------------------------------------------ */

/* The value of a part in this rank's memory: there after so many arrivals and operations. */
typedef struct place {
    int64_t key; /* of the part, plus 1; 0: free */
    bnf_piece piece;
    int32_t arrivals, ops;
} place;

typedef struct planner {
    const bnf_flow_shape *shape;
    bnf_flow_plan *plan;
    place *places; /* open hashing */
    int64_t n_places;
} planner;

/* A spread has one value per owner, whatever the node. */
static place *find(planner *p, bnf_route_part part)
{
    const int64_t node = p->shape->routes->spread ? 0 : part.node;
    const int64_t key = node * p->shape->routes->ranks + part.owner + 1;
    uint64_t i = (uint64_t)key * UINT64_C(0x9E3779B97F4A7C15) >> 20;
    for (;; i++) {
        place *at = &p->places[i & (uint64_t)(p->n_places - 1)];
        if (at->key == 0)
            at->key = key;
        if (at->key == key)
            return at;
    }
}

static bnf_piece natural(const planner *p, int32_t base, int32_t owner)
{
    return (bnf_piece){base, p->shape->at[owner], p->shape->step[owner]};
}

static void put(planner *p, bnf_route_part part, bnf_piece piece, int32_t arrivals, int32_t ops)
{
    place *at = find(p, part);
    at->piece = piece;
    at->arrivals = arrivals;
    at->ops = ops;
}

/* What this rank has from the start needs no entry. */
static place get(planner *p, bnf_route_part part)
{
    const bnf_routes *routes = p->shape->routes;
    if (routes->spread) {
        if (part.owner == p->shape->rank)
            return (place){.piece = natural(p, BNF_BASE_OUT, part.owner)};
    } else {
        const bnf_route_node *node = &routes->nodes[part.node];
        if (node->left < 0 && node->rank_lo == p->shape->rank)
            return (place){.piece = natural(p, BNF_BASE_PARTIAL + node->cover, part.owner)};
    }
    const place *at = find(p, part);
    BNF_ASSERT(at->arrivals > 0 || at->ops > 0);
    return *at;
}

/* Whether a piece of n elements is followed by the other, in every chunk. */
static bool adjoins(bnf_piece a, int64_t n, bnf_piece b)
{
    if (a.base == BNF_BASE_NONE)
        return b.base == BNF_BASE_NONE;
    return a.base == b.base && a.at + n == b.at && a.step == 0 && b.step == 0;
}

/* ---- messages and operations ----------------------------------------------------------------------------------- */

/* Whether each part of a message travels alone. Both ends decide alike. */
static bool splits(const planner *p, const bnf_move *move)
{
    const bnf_flow_shape *s = p->shape;
    if (s->convert)
        return false;
    for (int64_t i = 0; i < move->count; i++) {
        const int64_t n = s->n[s->moves->parts[move->first + i].owner];
        if (n > 0 && n < s->split)
            return false;
    }
    return true;
}

static void add_op(planner *p, bnf_piece to, bnf_piece a, bnf_piece b, int64_t n, int32_t arrivals)
{
    bnf_flow_plan *plan = p->plan;
    bnf_flow_op *last = plan->n_ops > 0 ? &plan->ops[plan->n_ops - 1] : NULL;
    if (last != NULL && last->arrivals > arrivals)
        arrivals = last->arrivals; /* operations run in their order */
    if (last != NULL && last->arrivals == arrivals && adjoins(last->to, last->n, to) && adjoins(last->a, last->n, a) &&
        adjoins(last->b, last->n, b))
        last->n += n;
    else
        plan->ops[plan->n_ops++] = (bnf_flow_op){.to = to, .a = a, .b = b, .n = n, .arrivals = arrivals};
}

static const bnf_piece nowhere = {BNF_BASE_NONE, 0, 0};

/* One message with `count` parts from `first` on. What a spread brings goes to its place: at once if the place is one,
 * else by copies. */
static void add_recv(planner *p, int32_t from, int64_t first, int64_t count)
{
    const bnf_flow_shape *s = p->shape;
    bnf_flow_plan *plan = p->plan;
    bnf_flow_message *m = &plan->recvs[plan->n_recvs];
    int64_t parts = 0;
    *m = (bnf_flow_message){.peer = from, .buffer = {BNF_BASE_ARRIVED, plan->arrived, 0}};
    for (int64_t i = first; i < first + count; i++) {
        const int64_t n = s->n[s->moves->parts[i].owner];
        parts += n > 0;
        m->n += n;
    }
    if (m->n == 0)
        return;
    const int32_t arrivals = ++plan->n_recvs;
    const bool direct = s->routes->spread && parts == 1;
    int64_t at = plan->arrived;
    for (int64_t i = first; i < first + count; i++) {
        const bnf_route_part part = s->moves->parts[i];
        const bnf_piece arrived = {BNF_BASE_ARRIVED, at, 0}, own = natural(p, BNF_BASE_OUT, part.owner);
        const int64_t n = s->n[part.owner];
        if (n == 0)
            continue;
        if (direct)
            m->buffer = own;
        else if (s->routes->spread)
            add_op(p, own, arrived, nowhere, n, arrivals);
        put(p, part, s->routes->spread ? own : arrived, arrivals, direct ? 0 : plan->n_ops);
        at += n;
    }
    if (!direct)
        plan->arrived = at;
}

static void add_send(planner *p, int32_t to, int64_t first, int64_t count)
{
    const bnf_flow_shape *s = p->shape;
    bnf_flow_plan *plan = p->plan;
    bnf_flow_message m = {.peer = to, .first_copy = plan->n_copies, .buffer = nowhere};
    bnf_piece run = nowhere;
    bool whole = !s->convert;
    for (int64_t i = first; i < first + count; i++) {
        const bnf_route_part part = s->moves->parts[i];
        const int64_t n = s->n[part.owner];
        if (n == 0)
            continue;
        const place from = get(p, part);
        m.arrivals = from.arrivals > m.arrivals ? from.arrivals : m.arrivals;
        m.ops = from.ops > m.ops ? from.ops : m.ops;
        if (m.n == 0)
            run = from.piece;
        else
            whole = whole && adjoins(run, m.n, from.piece);
        plan->copies[plan->n_copies++] =
            (bnf_flow_op){.to = {BNF_BASE_PACKED, plan->packed + m.n, 0}, .a = from.piece, .b = nowhere, .n = n};
        m.n += n;
    }
    if (m.n == 0)
        return;
    if (whole) {
        plan->n_copies = m.first_copy;
        m.buffer = run;
    } else {
        m.copies = plan->n_copies - m.first_copy;
        m.buffer = (bnf_piece){BNF_BASE_PACKED, plan->packed, 0};
        plan->packed += m.n;
    }
    /* Sends go out in their order. */
    if (plan->n_sends > 0) {
        const bnf_flow_message *last = &plan->sends[plan->n_sends - 1];
        m.arrivals = last->arrivals > m.arrivals ? last->arrivals : m.arrivals;
        m.ops = last->ops > m.ops ? last->ops : m.ops;
    }
    plan->sends[plan->n_sends++] = m;
    plan->sent += m.n;
}

static void add_move(planner *p, const bnf_move *move, void (*add)(planner *, int32_t, int64_t, int64_t), int32_t peer)
{
    if (!splits(p, move)) {
        add(p, peer, move->first, move->count);
        return;
    }
    for (int64_t i = 0; i < move->count; i++)
        add(p, peer, move->first + i, 1);
}

/* The root goes to out, everything else where its first operand is if that may be overwritten. */
static void add_sum(planner *p, bnf_route_part part)
{
    const bnf_flow_shape *s = p->shape;
    bnf_flow_plan *plan = p->plan;
    const bnf_route_node *node = &s->routes->nodes[part.node];
    const int64_t n = s->n[part.owner];
    if (n == 0)
        return;
    place a = get(p, (bnf_route_part){node->left, part.owner});
    place b = get(p, (bnf_route_part){node->right, part.owner});
    if (b.piece.base == BNF_BASE_SUMS) {
        const place other = a;
        a = b;
        b = other;
    }
    bnf_piece to = a.piece;
    if (part.node == s->routes->n_nodes - 1) {
        to = natural(p, BNF_BASE_OUT, part.owner);
    } else if (to.base != BNF_BASE_SUMS) {
        to = (bnf_piece){BNF_BASE_SUMS, plan->sums, 0};
        plan->sums += n;
    }
    add_op(p, to, a.piece, b.piece, n, a.arrivals > b.arrivals ? a.arrivals : b.arrivals);
    put(p, part, to, plan->ops[plan->n_ops - 1].arrivals, plan->n_ops);
}

/* ---- the plan -------------------------------------------------------------------------------------------------- */

static bnf_status reserve(planner *p)
{
    const bnf_rank_moves *moves = p->shape->moves;
    int64_t parts = 1, recv_parts = 1;
    for (int64_t i = 0; i < moves->n_sends; i++)
        parts += moves->sends[i].count;
    for (int64_t i = 0; i < moves->n_recvs; i++)
        recv_parts += moves->recvs[i].count;
    for (p->n_places = 16; p->n_places < 2 * (parts + recv_parts + moves->n_sums);)
        p->n_places *= 2;
    BNF_TRY(bnf_calloc((size_t)p->n_places, sizeof *p->places, "a flow", &p->places));
    BNF_TRY(bnf_calloc((size_t)parts, sizeof *p->plan->sends, "a flow", &p->plan->sends));
    BNF_TRY(bnf_calloc((size_t)parts, sizeof *p->plan->copies, "a flow", &p->plan->copies));
    BNF_TRY(bnf_calloc((size_t)recv_parts, sizeof *p->plan->recvs, "a flow", &p->plan->recvs));
    return bnf_calloc((size_t)(recv_parts + moves->n_sums + 1), sizeof *p->plan->ops, "a flow", &p->plan->ops);
}

bnf_status bnf_flow_plan_make(const bnf_flow_shape *shape, bnf_flow_plan *plan)
{
    const bnf_rank_moves *moves = shape->moves;
    planner p = {.shape = shape, .plan = plan};
    *plan = (bnf_flow_plan){0};
    const bnf_status s = reserve(&p);
    if (s == BNF_OK) {
        for (int64_t i = 0; i < moves->n_recvs; i++)
            add_move(&p, &moves->recvs[i], add_recv, moves->recvs[i].from);
        for (int64_t i = 0; i < moves->n_sums; i++)
            add_sum(&p, moves->sums[i]);
        if (!shape->routes->spread && shape->routes->ranks == 1) /* the root is a partial sum */
            add_op(&p, natural(&p, BNF_BASE_OUT, 0), natural(&p, BNF_BASE_PARTIAL, 0), nowhere, shape->n[0], 0);
        for (int64_t i = 0; i < moves->n_sends; i++)
            add_move(&p, &moves->sends[i], add_send, moves->sends[i].to);
    } else {
        bnf_flow_plan_release(plan);
    }
    bnf_free(p.places);
    return s;
}

void bnf_flow_plan_release(bnf_flow_plan *plan)
{
    bnf_free(plan->recvs);
    bnf_free(plan->sends);
    bnf_free(plan->ops);
    bnf_free(plan->copies);
    *plan = (bnf_flow_plan){0};
}
