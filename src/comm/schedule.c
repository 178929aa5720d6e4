/* The tree above what ranks know, and the direct way through it. */
#include "comm/schedule_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* Few ranks that know one node each: the direct way moves as little and waits once. Small amounts: what counts is
 * how often a rank waits. Else halving, whose messages between hosts are the small ones. */
bnf_flow_algorithm bnf_routes_choose(bnf_flow_algorithm algorithm, int ranks, int32_t leaves, int64_t bytes)
{
    if (algorithm != BNF_FLOW_AUTO)
        return algorithm;
    const int32_t each = leaves / ranks;
    const bool one_node = leaves % ranks == 0 && (each & (each - 1)) == 0;
    return (ranks <= 3 && one_node) || (ranks <= 8 && bytes < 65536) ? BNF_FLOW_DIRECT : BNF_FLOW_HALVING;
}

/* Large enough that messages are few and those of the last round not too small; small enough that a chunk stays in
 * a cache and its buffers, one per node that others know, do not take much memory. */
int64_t bnf_flow_chunk_bytes(bnf_flow_algorithm algorithm, int ranks)
{
    const int64_t mib = INT64_C(1) << 20;
    if (algorithm == BNF_FLOW_DIRECT)
        return ranks > 16 ? mib / 8 : 2 * mib / ranks;
    return ranks <= 256 ? 4 * mib : ranks <= 1024 ? ranks * (mib / 64) : 16 * mib;
}

/* ---- the tree -------------------------------------------------------------------------------------------------- */

/* Where the ranks' ranges begin: bounds[ranks + 1]; and the next node of each rank's cover. */
typedef struct growth {
    bnf_routes *routes;
    int32_t *bounds;
    int32_t *covers;
} growth;

/* The rank that owns a leaf. */
static int32_t rank_of(const growth *g, int32_t leaf)
{
    int32_t lo = 0, hi = g->routes->ranks;
    while (hi - lo > 1) {
        const int32_t mid = lo + (hi - lo) / 2;
        if (g->bounds[mid] <= leaf)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Appends the nodes of [lo, hi), children first; returns the index of the last one. With routes->nodes NULL counts
 * only. */
static int32_t plant(growth *g, int32_t lo, int32_t hi)
{
    bnf_routes *r = g->routes;
    const int32_t first = rank_of(g, lo), last = rank_of(g, hi - 1);
    bnf_route_node node = {.leaves = {lo, hi}, .left = -1, .right = -1, .rank_lo = first, .rank_hi = last + 1};
    if (first != last) {
        const int32_t mid = bnf_tree_split(lo, hi);
        node.left = plant(g, lo, mid);
        node.right = plant(g, mid, hi);
    }
    if (r->nodes != NULL) {
        if (first == last) {
            node.cover = g->covers[first]++;
        } else {
            const int32_t left = r->nodes[node.left].height, right = r->nodes[node.right].height;
            node.height = 1 + (left > right ? left : right);
        }
        r->nodes[r->n_nodes] = node;
    }
    return (int32_t)r->n_nodes++;
}

static bnf_status grow_tree(bnf_routes *routes)
{
    growth g = {.routes = routes};
    bnf_status s = bnf_calloc((size_t)routes->ranks + 1, sizeof *g.bounds, "a schedule", &g.bounds);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)routes->ranks, sizeof *g.covers, "a schedule", &g.covers);
    if (s == BNF_OK) {
        for (int r = 0; r < routes->ranks; r++)
            bnf_tree_range(routes->leaves, routes->ranks, r, &g.bounds[r], &g.bounds[r + 1]);
        plant(&g, 0, routes->leaves);
        s = bnf_calloc((size_t)routes->n_nodes, sizeof *routes->nodes, "a schedule", &routes->nodes);
    }
    if (s == BNF_OK) {
        routes->n_nodes = 0;
        plant(&g, 0, routes->leaves);
    }
    bnf_free(g.bounds);
    bnf_free(g.covers);
    return s;
}

bnf_status bnf_routes_create(int ranks, int32_t leaves, bool spread, bnf_flow_algorithm algorithm, bnf_routes **routes)
{
    BNF_ASSERT(ranks > 0 && (spread || leaves >= ranks));
    BNF_ASSERT(algorithm == BNF_FLOW_DIRECT || algorithm == BNF_FLOW_HALVING);
    bnf_routes *r = NULL;
    bnf_status s = bnf_calloc(1, sizeof *r, "a schedule", &r);
    if (s == BNF_OK) {
        *r = (bnf_routes){.ranks = ranks, .leaves = spread ? ranks : leaves, .spread = spread, .algorithm = algorithm};
        s = grow_tree(r);
    }
    if (s == BNF_OK && algorithm == BNF_FLOW_HALVING)
        s = bnf_routes_find_candidates(r);
    if (s != BNF_OK) {
        bnf_routes_destroy(r);
        *routes = NULL;
        return s;
    }
    r->rounds = ranks == 1 ? 0 : algorithm == BNF_FLOW_DIRECT ? 1 : r->nodes[r->n_nodes - 1].height;
    *routes = r;
    return BNF_OK;
}

void bnf_routes_destroy(bnf_routes *routes)
{
    if (routes == NULL)
        return;
    bnf_free(routes->nodes);
    bnf_free(routes->candidates);
    bnf_free(routes);
}

/* ---- the log --------------------------------------------------------------------------------------------------- */

/* Room for one more in *items. */
static bool make_room(bnf_route_log *log, int64_t n, int64_t *capacity, size_t item, void *items)
{
    if (log->status != BNF_OK)
        return false;
    if (n < *capacity)
        return true;
    const int64_t larger = *capacity > 0 ? 2 * *capacity : 256;
    log->status = bnf_realloc((size_t)*capacity * item, (size_t)larger * item, "a schedule", items);
    if (log->status == BNF_OK)
        *capacity = larger;
    return log->status == BNF_OK;
}

void bnf_route_log_move(bnf_route_log *log, int32_t round, int32_t from, int32_t to, bnf_route_part part)
{
    if (log->rank != from && log->rank != to)
        return;
    if (!make_room(log, log->n_records, &log->record_capacity, sizeof *log->records, &log->records))
        return;
    const bool back = log->routes->spread;
    log->records[log->n_records] = (bnf_route_record){.round = back ? log->routes->rounds - 1 - round : round,
                                                      .from = back ? to : from,
                                                      .to = back ? from : to,
                                                      .part = part,
                                                      .order = log->n_records};
    log->n_records++;
}

void bnf_route_log_sum(bnf_route_log *log, bnf_route_part part)
{
    if (!log->routes->spread && make_room(log, log->n_sums, &log->sum_capacity, sizeof *log->sums, &log->sums))
        log->sums[log->n_sums++] = part;
}

/* Every rank sends what it has to every owner, which adds everything. */
static void log_direct(bnf_route_log *log)
{
    const bnf_routes *r = log->routes;
    for (int32_t node = 0; node < r->n_nodes; node++) {
        const bnf_route_node *n = &r->nodes[node];
        if (n->left >= 0) {
            bnf_route_log_sum(log, (bnf_route_part){node, log->rank});
        } else if (n->rank_lo != log->rank) {
            bnf_route_log_move(log, 0, n->rank_lo, log->rank, (bnf_route_part){node, log->rank});
        } else {
            for (int owner = 0; owner < r->ranks; owner++)
                if (owner != log->rank)
                    bnf_route_log_move(log, 0, log->rank, owner, (bnf_route_part){node, owner});
        }
    }
}

/* A spread to everyone at once: what is asked for above, backward, is that everyone sends to the owner. */
static void log_direct_spread(bnf_route_log *log)
{
    const bnf_routes *r = log->routes;
    for (int other = 0; other < r->ranks; other++) {
        if (other == log->rank)
            continue;
        bnf_route_log_move(log, 0, other, log->rank, (bnf_route_part){-1, log->rank});
        bnf_route_log_move(log, 0, log->rank, other, (bnf_route_part){-1, other});
    }
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

/* Sends before receives; sends by round and by distance upward, so that not all talk to rank 0 first. */
static int64_t sort_key(const bnf_route_log *log, const bnf_route_record *r)
{
    const int64_t ranks = log->routes->ranks;
    const bool send = r->from == log->rank;
    const int64_t peer = send ? (r->to - r->from + ranks) % ranks : r->from;
    return ((int64_t)!send * log->routes->rounds + r->round) * ranks + peer;
}

typedef struct keyed {
    int64_t key;
    const bnf_route_record *record;
} keyed;

static int compare(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->record->order > y->record->order) - (x->record->order < y->record->order);
}

static bnf_status put_together(const bnf_route_log *log, keyed *sorted, bnf_rank_moves *moves)
{
    int64_t n = 0;
    for (int64_t i = 0; i < log->n_records; i++)
        sorted[i] = (keyed){sort_key(log, &log->records[i]), &log->records[i]};
    if (log->n_records > 0)
        qsort(sorted, (size_t)log->n_records, sizeof *sorted, compare);
    for (int64_t i = 0; i < log->n_records; i++)
        n += i == 0 || sorted[i].key != sorted[i - 1].key;
    BNF_TRY(bnf_calloc((size_t)log->n_records + 1, sizeof *moves->parts, "a schedule", &moves->parts));
    BNF_TRY(bnf_calloc((size_t)n + 1, sizeof *moves->sends, "a schedule", &moves->sends));
    n = 0;
    for (int64_t i = 0; i < log->n_records; i++) {
        const bnf_route_record *r = sorted[i].record;
        moves->parts[i] = r->part;
        if (i == 0 || sorted[i].key != sorted[i - 1].key) {
            moves->sends[n++] = (bnf_move){.round = r->round, .from = r->from, .to = r->to, .first = i};
            moves->n_sends += r->from == log->rank;
        }
        moves->sends[n - 1].count++;
    }
    moves->n_recvs = n - moves->n_sends;
    moves->recvs = moves->sends + moves->n_sends;
    return BNF_OK;
}

bnf_status bnf_routes_of_rank(const bnf_routes *routes, int rank, bnf_rank_moves **moves)
{
    BNF_ASSERT(rank >= 0 && rank < routes->ranks);
    bnf_route_log log = {.routes = routes, .rank = rank};
    bnf_rank_moves *m = NULL;
    keyed *sorted = NULL;
    if (routes->algorithm == BNF_FLOW_HALVING)
        log.status = bnf_route_log_halving(&log);
    else if (routes->spread)
        log_direct_spread(&log);
    else
        log_direct(&log);
    bnf_status s = log.status;
    if (s == BNF_OK)
        s = bnf_calloc((size_t)log.n_records + 1, sizeof *sorted, "a schedule", &sorted);
    if (s == BNF_OK)
        s = bnf_calloc(1, sizeof *m, "a schedule", &m);
    if (s == BNF_OK)
        s = put_together(&log, sorted, m);
    if (s == BNF_OK) {
        m->n_sums = log.n_sums;
        m->sums = log.sums;
        log.sums = NULL;
    } else {
        bnf_rank_moves_destroy(m);
        m = NULL;
    }
    bnf_free(sorted);
    bnf_free(log.records);
    bnf_free(log.sums);
    *moves = m;
    return s;
}

void bnf_rank_moves_destroy(bnf_rank_moves *moves)
{
    if (moves == NULL)
        return;
    bnf_free(moves->sends);
    bnf_free(moves->parts);
    bnf_free(moves->sums);
    bnf_free(moves);
}

int64_t bnf_move_elements(const bnf_rank_moves *moves, const bnf_move *move, const int64_t *owner_offset)
{
    int64_t n = 0;
    for (int64_t i = 0; i < move->count; i++) {
        const int32_t owner = moves->parts[move->first + i].owner;
        n += owner_offset[owner + 1] - owner_offset[owner];
    }
    return n;
}
