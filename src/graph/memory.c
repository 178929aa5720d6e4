/* graph/memory.c - where values live: reduce slots, arenas with buffers reused after their last reader. */
#include "graph/plan.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

/* Life of a leaf-level result, in positions of the whole schedule; segments are apart. */
typedef struct life {
    int32_t value;
    int first, last; /* position of the writer and of the last reader */
    int first_seg, last_seg;
    int readers;
    size_t bytes, offset;
} life;

static size_t align_up(size_t n)
{
    return (n + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
}

static int64_t align_elements(const bnf_plan *p, int64_t n)
{
    int64_t unit = (int64_t)(BNF_ALIGN / bnf_plan_real(p));
    return (n + unit - 1) / unit * unit;
}

static void read_at(const bnf_plan *p, life *lives, int32_t value, int position, int segment)
{
    life *l = &lives[bnf_graph_root(p->graph, value)];
    l->readers++;
    if (position > l->last) {
        l->last = position;
        l->last_seg = segment;
    }
}

static void find_lives(const bnf_plan *p, life *lives)
{
    const bnf_graph *g = p->graph;
    for (int i = 0; i < g->n_values; i++)
        lives[i] = (life){.value = i, .first = -1, .last = -1, .bytes = align_up(bnf_desc_bytes(&g->values[i].desc))};
    int position = 0;
    for (int s = 0; s <= p->n_segments; s++) {
        const bnf_segment *seg = &p->segments[s];
        for (int k = 0; k < seg->n_leaf; k++, position++) {
            const bnf_node *node = &g->nodes[seg->leaf_nodes[k]];
            for (int i = 0; i < node->n_in; i++)
                read_at(p, lives, node->in[i].id, position, s);
            for (int i = 0; i < node->op->n_out; i++) {
                life *l = &lives[node->out[i].id];
                l->first = position;
                l->first_seg = s;
                if (l->last < position) {
                    l->last = position;
                    l->last_seg = s;
                }
            }
        }
        position++; /* copies into reduce slots */
    }
}

/* Reduce slots of every segment: batch sums first, then gradients ordered by owner. */
static bnf_status make_slots(bnf_plan *p, life *lives)
{
    const bnf_graph *g = p->graph;
    int position = -1;
    for (int s = 0; s < p->n_segments; s++) {
        bnf_segment *seg = &p->segments[s];
        position += seg->n_leaf + 1;
        BNF_TRY(bnf_arena_alloc(p->arena, (size_t)(seg->n_leaf + g->n_sinks + 1) * sizeof *seg->slots, &seg->slots));
        for (int k = 0; k < seg->n_leaf; k++) {
            const bnf_node *node = &g->nodes[seg->leaf_nodes[k]];
            if (node->op->flags & BNF_OP_BATCH_SUM)
                seg->slots[seg->n_slots++] =
                    (bnf_slot){.value = node->in[0].id, .result = node->out[0].id, .param = -1};
        }
        seg->n_sums = seg->n_slots;
        for (int k = 0; k <= p->ranks; k++) /* what all own together comes last */
            for (int i = 0; i < g->n_sinks; i++) {
                int owner = k < p->ranks ? k : BNF_OWNER_ALL;
                const bnf_value *v = &g->values[g->sinks[i].value.id];
                int at = v->kind == BNF_V_RESULT ? p->node_segment[v->node] : 0;
                if (at == s && (p->cfg.owner ? p->cfg.owner[g->sinks[i].ref] : 0) == owner)
                    seg->slots[seg->n_slots++] =
                        (bnf_slot){.value = g->sinks[i].value.id, .result = -1, .param = g->sinks[i].ref};
            }
        for (int i = 0; i < seg->n_slots; i++)
            read_at(p, lives, seg->slots[i].value, position, s);
    }
    return BNF_OK;
}

/* A value can be computed right into its slot if nobody else reads it and it has storage of its own. */
static bool slot_direct(const bnf_plan *p, const life *lives, const bnf_slot *slot, int segment)
{
    const bnf_graph *g = p->graph;
    int32_t v = slot->value;
    if (p->cfg.eager || g->values[v].kind != BNF_V_RESULT || !g->values[v].leaf || bnf_graph_root(g, v) != v ||
        p->kept[v])
        return false;
    int readers = lives[v].readers - (slot->result >= 0 ? 1 : 0); /* the batch-sum node itself counts as a reader */
    return readers == 1 && lives[v].first_seg == segment && lives[v].last_seg == segment;
}

/* Which slots can be written in place; must be known before kernels are made (they may leave such gradients packed). */
static void mark_direct(bnf_plan *p, const life *lives)
{
    for (int s = 0; s < p->n_segments; s++) {
        bnf_segment *seg = &p->segments[s];
        for (int i = 0; i < seg->n_slots; i++) {
            bnf_slot *slot = &seg->slots[i];
            slot->copied = !slot_direct(p, lives, slot, s);
            if (!slot->copied)
                p->places[slot->value].kind = BNF_AT_REDUCE;
            if (!slot->copied && slot->result < 0) {
                const bnf_value *v = &p->graph->values[slot->value];
                p->runs[v->node].inst.out_may_pack[v->out] = true;
            }
        }
    }
}

static int life_larger(const void *a, const void *b)
{
    const life *x = *(life *const *)a, *y = *(life *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->value - y->value;
}

/* Offsets such that lives that overlap do not share bytes: largest first, at the lowest place that is free. Returns
 * the extent. */
static size_t pack_lives(life **list, int n, bool share)
{
    size_t extent = 0;
    qsort(list, (size_t)n, sizeof *list, life_larger);
    for (int i = 0; i < n; i++) {
        size_t at = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (int k = 0; k < i; k++) {
                bool together = !share || (list[i]->first <= list[k]->last && list[k]->first <= list[i]->last);
                if (together && at < list[k]->offset + list[k]->bytes && list[k]->offset < at + list[i]->bytes) {
                    at = list[k]->offset + list[k]->bytes;
                    moved = true;
                }
            }
        }
        list[i]->offset = at;
        if (at + list[i]->bytes > extent)
            extent = at + list[i]->bytes;
    }
    return extent;
}

/* An input that dies at an operation that works in place lends its buffer to the output: the two lives become one. */
static void join_inplace(const bnf_plan *p, life *lives, int32_t *host)
{
    const bnf_graph *g = p->graph;
    for (int s = 0; s < p->n_segments && !p->cfg.eager; s++)
        for (int k = 0; k < p->segments[s].n_leaf; k++) {
            const bnf_node *node = &g->nodes[p->segments[s].leaf_nodes[k]];
            if (!node->op->inplace || (node->op->flags & BNF_OP_ALIAS))
                continue;
            life *out = &lives[node->out[0].id];
            if (out->last_seg != s || p->places[node->out[0].id].kind != BNF_AT_NONE)
                continue;
            for (int i = 0; i < node->n_in; i++) {
                int32_t root = bnf_graph_root(g, node->in[i].id);
                if (!(node->op->inplace >> i & 1) || g->values[root].kind != BNF_V_RESULT || !g->values[root].leaf)
                    continue;
                life *in = &lives[root];
                int32_t h = host[root];
                if (p->places[root].kind != BNF_AT_NONE || in->last != out->first || in->bytes != out->bytes ||
                    lives[h].first_seg != s || lives[h].last_seg != s || lives[h].last != out->first)
                    continue;
                host[out->value] = h;
                lives[h].last = out->last;
                break;
            }
        }
}

static bool has_buffer(const bnf_plan *p, int32_t v)
{
    const bnf_graph *g = p->graph;
    const bnf_value *x = &g->values[v];
    return x->kind == BNF_V_RESULT && x->leaf && p->node_segment[x->node] >= 0 && bnf_graph_root(g, v) == v &&
           p->places[v].kind == BNF_AT_NONE;
}

static bnf_status place_results(bnf_plan *p, life *lives)
{
    const bnf_graph *g = p->graph;
    int32_t *host;
    life **list;
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)g->n_values * sizeof *host, &host));
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)g->n_values * sizeof(life *), &list));
    for (int i = 0; i < g->n_values; i++)
        host[i] = i;
    join_inplace(p, lives, host);
    int n = 0;
    for (int i = 0; i < g->n_values; i++)
        if (has_buffer(p, i)) {
            p->unshared_bytes += lives[i].bytes;
            if (host[i] == i && (lives[i].first_seg != lives[i].last_seg || p->cfg.eager))
                list[n++] = &lives[i];
        }
    p->leaf_bytes = pack_lives(list, n, !p->cfg.eager);
    for (int i = 0; i < n; i++)
        p->places[list[i]->value] = (bnf_place){.kind = BNF_AT_LEAF, .offset = list[i]->offset};
    for (int s = 0; s < p->n_segments; s++) {
        n = 0;
        for (int i = 0; i < g->n_values; i++)
            if (has_buffer(p, i) && host[i] == i && lives[i].first_seg == s)
                list[n++] = &lives[i];
        size_t extent = pack_lives(list, n, true);
        if (extent > p->thread_bytes)
            p->thread_bytes = extent;
        for (int i = 0; i < n; i++)
            p->places[list[i]->value] = (bnf_place){.kind = BNF_AT_THREAD, .offset = list[i]->offset};
    }
    for (int i = 0; i < g->n_values; i++)
        if (host[i] != i)
            p->places[i] = p->places[host[i]];
    return BNF_OK;
}

/* Parameters, constants, knobs, batch-level results and kept outputs have fixed memory. */
static bnf_status place_fixed(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    for (int i = 0; i < g->n_values; i++) {
        const bnf_value *v = &g->values[i];
        bnf_place *place = &p->places[i];
        size_t bytes = bnf_desc_bytes(&v->desc);
        if (v->kind == BNF_V_PARAM) {
            *place = (bnf_place){.kind = BNF_AT_FIXED, .base = bnf_params_value(g->params, v->ref)};
        } else if (v->kind == BNF_V_INPUT) {
            *place = (bnf_place){.kind = BNF_AT_ROWS, .stride = bytes};
        } else if (v->kind == BNF_V_CONST || v->kind == BNF_V_KNOB) {
            place->kind = BNF_AT_FIXED;
            BNF_TRY(bnf_arena_alloc(p->arena, bytes, &place->base));
            memset(place->base, 0, bytes);
            if (v->kind == BNF_V_CONST && v->desc.dtype == BNF_F32)
                *(float *)place->base = (float)v->constant;
            else if (v->kind == BNF_V_CONST)
                *(double *)place->base = v->constant;
        } else if (p->node_segment[v->node] >= 0 && bnf_graph_root(g, i) == i) {
            if (v->leaf && !p->kept[i])
                continue;
            size_t copies = v->leaf ? (size_t)(p->leaf_hi - p->leaf_lo) : 1;
            *place = (bnf_place){.kind = v->leaf ? BNF_AT_ROWS : BNF_AT_FIXED, .stride = bytes};
            if (g->nodes[v->node].op->flags & BNF_OP_BATCH_SUM)
                continue; /* points into its segment's sums */
            BNF_TRY(bnf_arena_alloc(p->arena, bytes * copies, &place->base));
        }
    }
    return BNF_OK;
}

/* Kernels are chosen between the two halves: they decide how large a packed gradient is. */
static bnf_status size_slots(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    for (int s = 0; s < p->n_segments; s++) {
        bnf_segment *seg = &p->segments[s];
        int64_t at = 0;
        for (int i = 0; i < seg->n_slots; i++) {
            bnf_slot *slot = &seg->slots[i];
            const bnf_value *v = &g->values[slot->value];
            if (!slot->copied && slot->result < 0)
                slot->pack = p->runs[v->node].kernel.out_pack[v->out];
            int64_t n = slot->pack ? (int64_t)((slot->pack->bytes + bnf_plan_real(p) - 1) / bnf_plan_real(p))
                                   : bnf_desc_count(&v->desc);
            seg->packed |= slot->pack != NULL;
            slot->offset = at;
            slot->elements = n;
            at += align_elements(p, n);
            if (!slot->copied)
                p->places[slot->value] =
                    (bnf_place){.kind = BNF_AT_REDUCE, .offset = (size_t)slot->offset * bnf_plan_real(p), .slot = i};
            if (i + 1 == seg->n_sums)
                seg->sum_elements = at;
        }
        seg->elements = at;
    }
    return BNF_OK;
}

bnf_status bnf_plan_place_early(bnf_plan *p, void **lives_out)
{
    life *lives;
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)p->graph->n_values * sizeof *lives, &lives));
    find_lives(p, lives);
    BNF_TRY(make_slots(p, lives));
    mark_direct(p, lives);
    BNF_TRY(place_fixed(p));
    *lives_out = lives;
    return BNF_OK;
}

/* The window has room for the slots that one node computes, side by side, and for any slot that is copied. */
static void size_window(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    size_t real = bnf_plan_real(p);
    for (int s = 0; s < p->n_segments; s++) {
        const bnf_segment *seg = &p->segments[s];
        for (int i = 0; i < seg->n_slots; i++)
            if (align_up((size_t)seg->slots[i].elements * real) > p->window_bytes)
                p->window_bytes = align_up((size_t)seg->slots[i].elements * real);
        for (int k = 0; k < seg->n_leaf; k++) {
            const bnf_node *node = &g->nodes[seg->leaf_nodes[k]];
            size_t at = 0;
            for (int i = 0; i < node->op->n_out; i++) {
                bnf_place *place = &p->places[node->out[i].id];
                if (place->kind != BNF_AT_REDUCE)
                    continue;
                place->stride = at;
                at += align_up((size_t)seg->slots[place->slot].elements * real);
            }
            if (at > p->window_bytes)
                p->window_bytes = at;
        }
    }
}

bnf_status bnf_plan_place_late(bnf_plan *p, void *lives)
{
    BNF_TRY(size_slots(p));
    size_window(p);
    return place_results(p, lives);
}
