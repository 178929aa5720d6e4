/* dist/scale.c - replaying the communication schedule on a described cluster. */
#include "dist/scale.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/philox.h"
#include "comm/schedule.h"

#include <stdlib.h>
#include <string.h>

/* A message of a flow. */
typedef struct hop {
    int32_t round, to;
    int64_t elements;
} hop;

/* One flow's messages that are not empty: by sender and round, and how many each rank must have received by a round. */
typedef struct pattern {
    int32_t rounds;
    int64_t *first; /* [ranks + 1] in hops */
    hop *hops;
    int64_t capacity;
    int32_t *awaited; /* [ranks * (rounds + 1)] messages to a rank in rounds before r */
} pattern;

/* A flow under way on one rank. */
typedef struct seat {
    int32_t arrived;
    int64_t next; /* hop that has not been released yet */
    double last;  /* latest arrival or start */
} seat;

/* A message that its sender could send, or, `there`, that has arrived. */
typedef struct event {
    double time;
    int64_t order; /* ties are broken by age: the run is repeatable */
    int32_t from, flow;
    bool there;
    const hop *hop;
} event;

typedef struct heap {
    event *item;
    int64_t count, capacity, made;
} heap;

typedef struct world {
    const bnf_scale_cluster *cluster;
    int ranks, hosts, switches;
    double *host_out, *host_in, *memory, *trunk_up, *trunk_down; /* when each is free again */
    double *busy;                                                /* [ranks] a rank's own time for messages */
    seat *seats;                                                 /* [flows * ranks] */
    heap heap;
    const pattern *patterns; /* [flows] */
    double bytes_per_element;
} world;

/* ---- the pattern ----------------------------------------------------------------------------------------------- */

static void pattern_release(pattern *p)
{
    bnf_free(p->first);
    bnf_free(p->hops);
    bnf_free(p->awaited);
    *p = (pattern){0};
}

static bnf_status pattern_grow(pattern *p, int64_t wanted)
{
    hop *more;
    if (wanted <= p->capacity)
        return BNF_OK;
    BNF_TRY(bnf_alloc(2 * (size_t)wanted * sizeof *more, "schedule", &more));
    if (p->capacity > 0)
        memcpy(more, p->hops, (size_t)p->capacity * sizeof *more);
    bnf_free(p->hops);
    p->hops = more;
    p->capacity = 2 * wanted;
    return BNF_OK;
}

static bnf_status add_rank(pattern *p, const bnf_rank_moves *m, int rank, const int64_t *owner_offset)
{
    int64_t at = p->first[rank];
    int32_t *awaited = p->awaited + (int64_t)rank * (p->rounds + 1);
    BNF_TRY(pattern_grow(p, at + m->n_sends));
    for (int64_t i = 0; i < m->n_sends; i++) {
        int64_t n = bnf_move_elements(m, &m->sends[i], owner_offset);
        if (n > 0)
            p->hops[at++] = (hop){m->sends[i].round, m->sends[i].to, n};
    }
    p->first[rank + 1] = at;
    for (int64_t i = 0; i < m->n_recvs; i++)
        awaited[m->recvs[i].round + 1] += bnf_move_elements(m, &m->recvs[i], owner_offset) > 0;
    for (int32_t r = 0; r < p->rounds; r++)
        awaited[r + 1] += awaited[r];
    return BNF_OK;
}

/* patterns[n] of the flows with these owners; the moves of a rank are made once for all of them. */
static bnf_status patterns_make(int ranks, int32_t leaves, bool spread, bnf_flow_algorithm algorithm,
                                const bnf_scale_bucket *buckets, int n, pattern *patterns)
{
    bnf_routes *routes;
    bnf_status s = BNF_OK;
    BNF_TRY(bnf_routes_create(ranks, leaves, spread, algorithm, &routes));
    for (int f = 0; f < n && s == BNF_OK; f++) {
        pattern *p = &patterns[f];
        p->rounds = routes->rounds;
        s = bnf_calloc((size_t)ranks + 1, sizeof *p->first, "schedule", &p->first);
        if (s == BNF_OK)
            s = bnf_calloc((size_t)ranks * (size_t)(p->rounds + 1), sizeof *p->awaited, "schedule", &p->awaited);
    }
    for (int r = 0; r < ranks && s == BNF_OK; r++) {
        bnf_rank_moves *m = NULL;
        s = bnf_routes_of_rank(routes, r, &m);
        for (int f = 0; f < n && s == BNF_OK; f++)
            s = add_rank(&patterns[f], m, r, buckets[f].owner_offset);
        bnf_rank_moves_destroy(m);
    }
    bnf_routes_destroy(routes);
    return s;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static bool before(const event *a, const event *b)
{
    return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static void push(heap *h, event e)
{
    BNF_ASSERT(h->count < h->capacity);
    int64_t i = h->count++;
    e.order = h->made++;
    for (; i > 0 && before(&e, &h->item[(i - 1) / 2]); i = (i - 1) / 2)
        h->item[i] = h->item[(i - 1) / 2];
    h->item[i] = e;
}

static event pop(heap *h)
{
    event top = h->item[0], last = h->item[--h->count];
    int64_t i = 0;
    for (int64_t child = 1; child < h->count; child = 2 * i + 1) {
        if (child + 1 < h->count && before(&h->item[child + 1], &h->item[child]))
            child++;
        if (!before(&h->item[child], &last))
            break;
        h->item[i] = h->item[child];
        i = child;
    }
    if (h->count > 0)
        h->item[i] = last;
    return top;
}

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* Adds to what a trunk carries from `start` on; returns when it is through. */
static double through(double *trunk, double start, double seconds)
{
    *trunk = later(*trunk, start) + seconds;
    return *trunk;
}

/* Takes a message through what lies between two ranks; returns its arrival. The hosts' ways carry one message after the
 * other; a trunk carries many at a time and is late when they add up to more than its bandwidth. */
static double carry(world *w, int from, int to, double start, double bytes)
{
    const bnf_scale_cluster *c = w->cluster;
    int a = from / c->ranks_per_host, b = to / c->ranks_per_host;
    if (a == b) {
        w->memory[a] = later(start, w->memory[a]) + bytes / c->memory_bandwidth;
        return w->memory[a] + c->memory_latency;
    }
    start = later(start, later(w->host_out[a], w->host_in[b]));
    double end = start + bytes / c->bandwidth;
    int sa = c->hosts_per_switch ? a / c->hosts_per_switch : 0, sb = c->hosts_per_switch ? b / c->hosts_per_switch : 0;
    if (sa != sb) {
        double seconds = bytes * c->oversubscription / (c->bandwidth * c->hosts_per_switch);
        end = later(end, later(through(&w->trunk_up[sa], start, seconds), through(&w->trunk_down[sb], start, seconds)));
    }
    w->host_out[a] = w->host_in[b] = end;
    return end + c->latency;
}

/* Sends of this seat whose rounds have all they need. */
static void release(world *w, int flow, int rank)
{
    const pattern *p = &w->patterns[flow];
    seat *s = &w->seats[(int64_t)flow * w->ranks + rank];
    for (; s->next < p->first[rank + 1]; s->next++) {
        const hop *h = &p->hops[s->next];
        if (s->arrived < p->awaited[(int64_t)rank * (p->rounds + 1) + h->round])
            return;
        push(&w->heap, (event){.time = s->last, .from = rank, .flow = flow, .hop = h});
    }
}

/* All flows from their starts [flows * ranks] to the end; last[flows * ranks]: when a rank had everything of a flow. */
static void run_flows(world *w, int flows, const double *starts, double *last)
{
    const bnf_scale_cluster *c = w->cluster;
    w->heap.count = w->heap.made = 0;
    for (int f = 0; f < flows; f++)
        for (int r = 0; r < w->ranks; r++) {
            double start = starts[(int64_t)f * w->ranks + r];
            w->seats[(int64_t)f * w->ranks + r] = (seat){.next = w->patterns[f].first[r], .last = start};
            last[(int64_t)f * w->ranks + r] = start;
        }
    for (int f = 0; f < flows; f++)
        for (int r = 0; r < w->ranks; r++)
            release(w, f, r);
    while (w->heap.count > 0) {
        event e = pop(&w->heap);
        int to = e.hop->to;
        double bytes = (double)e.hop->elements * w->bytes_per_element;
        if (!e.there) {
            double sent = w->busy[e.from] = later(e.time, w->busy[e.from]) + c->message_seconds;
            e.time = carry(w, e.from, to, sent, bytes);
            e.there = true;
            push(&w->heap, e);
            continue;
        }
        double done = w->busy[to] = later(e.time, w->busy[to]) + c->message_seconds + bytes / c->add_bandwidth;
        seat *s = &w->seats[(int64_t)e.flow * w->ranks + to];
        s->arrived++;
        s->last = later(s->last, done);
        last[(int64_t)e.flow * w->ranks + to] = s->last;
        release(w, e.flow, to);
    }
}

/* ---- a step ---------------------------------------------------------------------------------------------------- */

typedef struct model {
    world world;
    pattern reduce[BNF_SCALE_MAX_BUCKETS], spread[BNF_SCALE_MAX_BUCKETS];
    double *starts, *last, *computing; /* [flows * ranks], [flows * ranks], [ranks] */
} model;

static void model_release(model *m)
{
    for (int f = 0; f < BNF_SCALE_MAX_BUCKETS; f++) {
        pattern_release(&m->reduce[f]);
        pattern_release(&m->spread[f]);
    }
    bnf_free(m->world.host_out);
    bnf_free(m->world.busy);
    bnf_free(m->world.seats);
    bnf_free(m->world.heap.item);
    bnf_free(m->starts);
}

static bnf_status model_make(const bnf_scale_cluster *c, const bnf_scale_load *l, int ranks, model *m)
{
    world *w = &m->world;
    size_t n = (size_t)ranks, flows = (size_t)(l->n_gradients > l->n_values ? l->n_gradients : l->n_values);
    w->cluster = c;
    w->ranks = ranks;
    w->hosts = (ranks + c->ranks_per_host - 1) / c->ranks_per_host;
    w->switches = c->hosts_per_switch ? (w->hosts + c->hosts_per_switch - 1) / c->hosts_per_switch : 1;
    BNF_TRY(
        patterns_make(ranks, ranks * l->leaves_per_rank, false, l->algorithm, l->gradients, l->n_gradients, m->reduce));
    BNF_TRY(patterns_make(ranks, ranks, true, l->algorithm, l->values, l->n_values, m->spread));
    size_t places = 3 * (size_t)w->hosts + 2 * (size_t)w->switches;
    BNF_TRY(bnf_calloc(places, sizeof(double), "model of the network", &w->host_out));
    w->host_in = w->host_out + w->hosts;
    w->memory = w->host_in + w->hosts;
    w->trunk_up = w->memory + w->hosts;
    w->trunk_down = w->trunk_up + w->switches;
    BNF_TRY(bnf_calloc(n, sizeof *w->busy, "model of the network", &w->busy));
    BNF_TRY(bnf_calloc(n * flows, sizeof *w->seats, "model of the network", &w->seats));
    int64_t reduce = 0, spread = 0;
    for (int f = 0; f < l->n_gradients; f++)
        reduce += m->reduce[f].first[ranks];
    for (int f = 0; f < l->n_values; f++)
        spread += m->spread[f].first[ranks];
    w->heap.capacity = (reduce > spread ? reduce : spread) + 1;
    BNF_TRY(bnf_calloc((size_t)w->heap.capacity, sizeof *w->heap.item, "model of the network", &w->heap.item));
    BNF_TRY(bnf_calloc(2 * n * flows + n, sizeof(double), "model of the network", &m->starts));
    m->last = m->starts + n * flows;
    m->computing = m->last + n * flows;
    return BNF_OK;
}

static void idle(world *w)
{
    memset(w->host_out, 0, (3 * (size_t)w->hosts + 2 * (size_t)w->switches) * sizeof(double));
    memset(w->busy, 0, (size_t)w->ranks * sizeof(double));
}

static double largest(const double *v, int n)
{
    double max = v[0];
    for (int i = 1; i < n; i++)
        max = later(max, v[i]);
    return max;
}

/* From the end of the update until all have what a segment of the next step needs, beyond what computing hides. */
static double late_values(const model *m, const bnf_scale_load *l, double updated)
{
    double late = 0;
    for (int f = 0; f < l->n_values; f++)
        for (int k = 0; k < m->world.ranks; k++) {
            double hidden = l->overlap ? l->values[f].at * l->compute_seconds : 0;
            late = later(late, m->last[(int64_t)f * m->world.ranks + k] - updated - hidden);
        }
    return late;
}

static void one_step(model *m, const bnf_scale_load *l, int step, uint64_t seed, bnf_scale_result *r)
{
    world *w = &m->world;
    int ranks = w->ranks;
    bnf_philox_key key = bnf_philox_key_make(seed, BNF_STREAM_TEST);
    for (int k = 0; k < ranks; k++) {
        double a, b;
        bnf_philox_normal2(bnf_philox(key, bnf_philox_counter((uint32_t)step, (uint64_t)k, 0)), &a, &b);
        m->computing[k] = later(l->compute_seconds * (1 + l->spread * a), 0);
    }
    double computed = largest(m->computing, ranks);
    for (int f = 0; f < l->n_gradients; f++)
        for (int k = 0; k < ranks; k++)
            m->starts[(int64_t)f * ranks + k] = m->computing[k] * (l->overlap ? l->gradients[f].at : 1);
    idle(w);
    w->patterns = m->reduce;
    w->bytes_per_element = l->bytes_per_element;
    run_flows(w, l->n_gradients, m->starts, m->last);
    double reduced = later(largest(m->last, l->n_gradients * ranks), computed);
    double updated = reduced + l->update_seconds;
    for (int64_t i = 0; i < (int64_t)l->n_values * ranks; i++)
        m->starts[i] = updated;
    idle(w);
    w->patterns = m->spread;
    w->bytes_per_element = 4;
    run_flows(w, l->n_values, m->starts, m->last);
    double late = late_values(m, l, updated);
    r->step_seconds += updated + late;
    r->compute_seconds += computed;
    r->reduce_exposed += reduced - computed;
    r->spread_exposed += late;
}

/* Adds what rank k sends in a flow. */
static void sent_by(const pattern *p, int k, int bytes_per_element, int64_t *bytes, int64_t *messages)
{
    for (int64_t i = p->first[k]; i < p->first[k + 1]; i++)
        *bytes += p->hops[i].elements * bytes_per_element;
    *messages += p->first[k + 1] - p->first[k];
}

static void traffic(const model *m, const bnf_scale_load *l, bnf_scale_result *r)
{
    for (int k = 0; k < m->world.ranks; k++) {
        int64_t bytes = 0, messages = 0;
        for (int f = 0; f < l->n_gradients; f++)
            sent_by(&m->reduce[f], k, l->bytes_per_element, &bytes, &messages);
        for (int f = 0; f < l->n_values; f++)
            sent_by(&m->spread[f], k, 4, &bytes, &messages);
        r->bytes = bytes > r->bytes ? bytes : r->bytes;
        r->messages = messages > r->messages ? messages : r->messages;
    }
}

static bnf_status check(const bnf_scale_cluster *c, const bnf_scale_load *l, int ranks, int steps)
{
    bool good = ranks >= 1 && steps >= 1 && c->ranks_per_host >= 1 && c->hosts_per_switch >= 0 &&
                c->oversubscription > 0 && c->bandwidth > 0 && c->memory_bandwidth > 0 && c->add_bandwidth > 0 &&
                l->n_gradients >= 1 && l->n_gradients <= BNF_SCALE_MAX_BUCKETS && l->n_values >= 1 &&
                l->n_values <= BNF_SCALE_MAX_BUCKETS && l->leaves_per_rank >= 1 && l->compute_seconds > 0 &&
                l->algorithm != BNF_FLOW_AUTO;
    return good ? BNF_OK : bnf_fail(BNF_ERR_ARG, "the model of the cluster needs positive ranks, steps and bandwidths");
}

bnf_status bnf_scale_run(const bnf_scale_cluster *cluster, const bnf_scale_load *load, int ranks, int steps,
                         uint64_t seed, bnf_scale_result *result)
{
    model *m;
    *result = (bnf_scale_result){0};
    BNF_TRY(check(cluster, load, ranks, steps));
    BNF_TRY(bnf_calloc(1, sizeof *m, "model of the network", &m));
    bnf_status s = model_make(cluster, load, ranks, m);
    for (int i = 0; i < steps && s == BNF_OK; i++)
        one_step(m, load, i, seed, result);
    if (s == BNF_OK)
        traffic(m, load, result);
    model_release(m);
    bnf_free(m);
    result->step_seconds /= steps;
    result->compute_seconds /= steps;
    result->reduce_exposed /= steps;
    result->spread_exposed /= steps;
    result->efficiency = result->step_seconds > 0 ? load->compute_seconds / result->step_seconds : 0;
    return s;
}
