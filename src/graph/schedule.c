/* graph/schedule.c - dead nodes, segments, order.
 *
 * A node may run as soon as its inputs exist (early) and must run before its readers (late). Gradients of parameters
 * run early: their inputs can then be forgotten. Everything else runs late: a forward pass that waits for, say, the
 * batch's class counts runs in one segment with its backward pass, and its activations never leave the thread's
 * arena. */
#include "graph/plan.h"

#include "base/assert.h"

#include <limits.h>

static void need(bnf_plan *p, int32_t value)
{
    const bnf_value *v = &p->graph->values[value];
    if (v->kind == BNF_V_RESULT)
        p->node_segment[v->node] = 0;
}

/* node_segment: 0 = needed, -1 = dead. Readers come after what they read, so one pass from the end suffices. */
static void mark_needed(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    for (int i = 0; i < g->n_nodes; i++)
        p->node_segment[i] = -1;
    for (int i = 0; i < p->n_outputs; i++)
        need(p, p->outputs[i].id);
    for (int i = 0; i < g->n_sinks; i++)
        need(p, g->sinks[i].value.id);
    for (int i = 0; i < g->n_assigns; i++)
        need(p, g->assigns[i].value.id);
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int k = 0; k < g->nodes[i].n_in && p->node_segment[i] >= 0; k++)
            need(p, g->nodes[i].in[k].id);
}

/* First segment in which each needed node's result can be computed; returns the number of segments with leaf work. */
static int early_segments(const bnf_plan *p, int *early)
{
    const bnf_graph *g = p->graph;
    int last = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        early[i] = 0;
        if (p->node_segment[i] < 0)
            continue;
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            const bnf_value *v = &g->values[g->nodes[i].in[k].id];
            if (v->kind != BNF_V_RESULT)
                continue;
            bool sum = g->nodes[v->node].op->flags & BNF_OP_BATCH_SUM;
            int at = early[v->node] + (sum ? 1 : 0);
            early[i] = at > early[i] ? at : early[i];
        }
        if (g->nodes[i].leaf && early[i] > last)
            last = early[i];
    }
    return last + 1;
}

/* Lowers late[node of value] so that it ends before a reader in `segment`. */
static void end_by(const bnf_graph *g, int *late, int32_t value, int segment)
{
    const bnf_value *v = &g->values[value];
    if (v->kind != BNF_V_RESULT)
        return;
    if (g->nodes[v->node].op->flags & BNF_OP_BATCH_SUM)
        segment--;
    if (segment < late[v->node])
        late[v->node] = segment;
}

static void late_segments(bnf_plan *p, const int *early, int *late)
{
    const bnf_graph *g = p->graph;
    for (int i = 0; i < g->n_nodes; i++)
        late[i] = g->nodes[i].leaf ? p->n_segments - 1 : p->n_segments;
    for (int i = 0; i < g->n_sinks; i++) {
        const bnf_value *v = &g->values[g->sinks[i].value.id];
        if (v->kind == BNF_V_RESULT)
            end_by(g, late, g->sinks[i].value.id, early[v->node]);
    }
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        if (p->node_segment[i] < 0)
            continue;
        BNF_ASSERT(early[i] <= late[i]);
        for (int k = 0; k < g->nodes[i].n_in; k++)
            end_by(g, late, g->nodes[i].in[k].id, late[i]);
        p->node_segment[i] = late[i];
    }
}

static bnf_status fill_lists(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    for (int s = 0; s <= p->n_segments; s++) {
        bnf_segment *seg = &p->segments[s];
        for (int i = 0; i < g->n_nodes; i++)
            if (p->node_segment[i] == s) {
                seg->n_leaf += g->nodes[i].leaf;
                seg->n_batch += !g->nodes[i].leaf;
            }
        BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)seg->n_leaf + 1) * sizeof(int), &seg->leaf_nodes));
        BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)seg->n_batch + 1) * sizeof(int), &seg->batch_nodes));
        int nl = 0, nb = 0;
        for (int i = 0; i < g->n_nodes; i++)
            if (p->node_segment[i] == s) {
                if (g->nodes[i].leaf)
                    seg->leaf_nodes[nl++] = i;
                else
                    seg->batch_nodes[nb++] = i;
            }
    }
    return BNF_OK;
}

bnf_status bnf_plan_assign_segments(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    int *early, *late;
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)g->n_nodes + 1) * sizeof(int), &p->node_segment));
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)g->n_nodes + 1) * sizeof(int), &early));
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)g->n_nodes + 1) * sizeof(int), &late));
    mark_needed(p);
    p->n_segments = early_segments(p, early);
    late_segments(p, early, late);
    return BNF_OK;
}

bnf_status bnf_plan_schedule(bnf_plan *p)
{
    BNF_TRY(bnf_plan_assign_segments(p));
    BNF_TRY(bnf_plan_cut(p));
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)p->n_segments + 1) * sizeof(bnf_segment), &p->segments));
    for (int s = 0; s <= p->n_segments; s++)
        p->segments[s] = (bnf_segment){0};
    return fill_lists(p);
}
