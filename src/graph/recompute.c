/* graph/recompute.c - computing activations again instead of keeping them: rewrites a plan's copy of the graph before
 * it is scheduled. A copy of a node, with the node's key for random operations, gives the same bits, so nothing but
 * memory and time changes.
 *
 * Blocks: every leaf-level value of the forward pass that the backward pass reads is computed again from the nearest
 * marked values (bnf_graph_mark) before it, once, in front of its first reader of the backward pass. What stands behind
 * the last mark is left alone: the backward pass begins there. So is, if only some blocks are asked for, what stands
 * behind them: the first ones are the largest.
 *
 * Elementwise: a value whose node is cheap (BNF_OP_CHEAP) and has one large input is computed again in every later
 * segment that reads it, provided that this segment has the input at hand anyway, for itself or for one after it. */
#include "graph/plan.h"

#include "base/assert.h"

#include <string.h>

typedef struct rewrite {
    bnf_plan *p;
    bnf_graph *g;     /* the copy */
    bnf_node *clones; /* in an order in which they can run */
    int *before;      /* [n_clones] the node that each runs in front of; ascending */
    int n_clones, max_clones, max_values;
    int32_t *stand_in; /* [values] what is read instead, or -1 */
    int *stand_in_at;  /* [values] segment that the stand-in was made for */
} rewrite;

/* A shallow copy of the plan's graph with room for clones: at most one of every node and reader. */
static bnf_status open_copy(rewrite *r)
{
    const bnf_graph *from = r->p->graph;
    int readers = 0;
    for (int i = 0; i < from->n_nodes; i++)
        readers += from->nodes[i].n_in;
    r->max_clones = from->n_nodes + readers;
    r->max_values = from->n_values + r->max_clones * BNF_OP_MAX_OUT;
    bnf_arena *a = r->p->arena;
    BNF_TRY(bnf_arena_alloc(a, sizeof *r->g, &r->g));
    *r->g = *from;
    BNF_TRY(bnf_arena_alloc(a, (size_t)r->max_values * sizeof *r->g->values, &r->g->values));
    BNF_TRY(bnf_arena_alloc(a, ((size_t)from->n_nodes + (size_t)r->max_clones) * sizeof *r->g->nodes, &r->g->nodes));
    BNF_TRY(bnf_arena_alloc(a, ((size_t)r->max_clones + 1) * sizeof *r->clones, &r->clones));
    BNF_TRY(bnf_arena_alloc(a, ((size_t)r->max_clones + 1) * sizeof *r->before, &r->before));
    BNF_TRY(bnf_arena_alloc(a, (size_t)r->max_values * sizeof *r->stand_in, &r->stand_in));
    BNF_TRY(bnf_arena_alloc(a, (size_t)r->max_values * sizeof *r->stand_in_at, &r->stand_in_at));
    memcpy(r->g->values, from->values, (size_t)from->n_values * sizeof *from->values);
    memcpy(r->g->nodes, from->nodes, (size_t)from->n_nodes * sizeof *from->nodes);
    for (int i = 0; i < r->max_values; i++)
        r->stand_in[i] = r->stand_in_at[i] = -1;
    return BNF_OK;
}

/* Copies node `index`, to run in front of node `before`; its outputs' stand-ins are the copy's. */
static void clone_node(rewrite *r, int index, int before, int segment)
{
    BNF_ASSERT(r->n_clones < r->max_clones && (r->n_clones == 0 || r->before[r->n_clones - 1] <= before));
    bnf_node clone = r->g->nodes[index];
    clone.again = true;
    for (int i = 0; i < clone.op->n_out; i++) {
        int32_t old = clone.out[i].id, id = r->g->n_values++;
        r->g->values[id] = r->g->values[old];
        r->g->values[id].node = -1 - r->n_clones; /* until close_copy gives the clone its place */
        clone.out[i].id = id;
        r->stand_in[old] = id;
        r->stand_in_at[old] = segment;
    }
    r->before[r->n_clones] = before;
    r->clones[r->n_clones++] = clone;
}

/* Merges the clones into the nodes. The plan has the copy from now on. */
static bnf_status close_copy(rewrite *r)
{
    bnf_graph *g = r->g;
    bnf_node *merged;
    int n = g->n_nodes + r->n_clones, at = 0, next = 0;
    BNF_TRY(bnf_arena_alloc(r->p->arena, ((size_t)n + 1) * sizeof *merged, &merged));
    for (int i = 0; i < g->n_nodes; i++) {
        while (next < r->n_clones && r->before[next] == i)
            merged[at++] = r->clones[next++];
        merged[at++] = g->nodes[i];
    }
    BNF_ASSERT(at == n && next == r->n_clones);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < merged[i].op->n_out; k++)
            g->values[merged[i].out[k].id].node = i;
    g->nodes = merged;
    g->n_nodes = n;
    r->p->graph = g;
    r->p->n_nodes = n;
    r->p->n_values = g->n_values;
    return BNF_OK;
}

static bool is_kept(const bnf_plan *p, int32_t value)
{
    for (int i = 0; i < p->n_outputs; i++)
        if (bnf_graph_root(p->graph, p->outputs[i].id) == value)
            return true;
    return false;
}

static bool is_marked(const bnf_graph *g, int32_t value)
{
    for (int i = 0; i < g->n_marks; i++)
        if (g->marks[i] == value || bnf_graph_root(g, g->marks[i]) == value)
            return true;
    return false;
}

/* --- blocks ------------------------------------------------------------------------------------------------------- */

/* A leaf-level result of the forward pass up to the last mark that is not kept for other reasons. */
static bool inside_block(const rewrite *r, int32_t value, int last_mark)
{
    const bnf_value *v = &r->g->values[value];
    return v->kind == BNF_V_RESULT && v->leaf && v->node >= 0 && v->node <= last_mark && !is_marked(r->g, value) &&
           !is_kept(r->p, value);
}

/* Gives `value` a stand-in, and what it is computed from. */
static void stand_in_block(rewrite *r, int32_t value, int before, int last_mark)
{
    if (r->stand_in[value] >= 0 || !inside_block(r, value, last_mark))
        return;
    int index = r->g->values[value].node, at;
    bnf_node *node = &r->g->nodes[index];
    for (int i = 0; i < node->n_in; i++)
        stand_in_block(r, node->in[i].id, before, last_mark);
    at = r->n_clones;
    clone_node(r, index, before, 0);
    for (int i = 0; i < node->n_in; i++)
        if (r->stand_in[node->in[i].id] >= 0)
            r->clones[at].in[i].id = r->stand_in[node->in[i].id];
}

static bnf_status recompute_blocks(bnf_plan *p)
{
    rewrite r = {.p = p};
    int last_mark = -1, marks = p->graph->n_marks;
    if (p->cfg.recompute_blocks > 0 && p->cfg.recompute_blocks < marks)
        marks = p->cfg.recompute_blocks + 1;
    for (int i = 0; i < marks; i++) {
        const bnf_value *v = &p->graph->values[p->graph->marks[i]];
        if (v->kind == BNF_V_RESULT && v->node > last_mark)
            last_mark = v->node;
    }
    if (last_mark < 0 || p->graph->n_forward == 0)
        return BNF_OK;
    BNF_TRY(open_copy(&r));
    bnf_graph *g = r.g;
    for (int i = g->n_forward; i < g->n_nodes; i++) {
        if (p->node_segment[i] < 0)
            continue;
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            int32_t v = g->nodes[i].in[k].id;
            stand_in_block(&r, v, i, last_mark);
            if (r.stand_in[v] >= 0)
                g->nodes[i].in[k].id = r.stand_in[v];
        }
    }
    return close_copy(&r);
}

/* --- elementwise -------------------------------------------------------------------------------------------------- */

/* The one leaf-level input of a cheap node that is a result as large as its output; -1: there is none, or more. */
static int32_t large_input(const bnf_graph *g, const bnf_node *node)
{
    int32_t found = -1;
    if (!(node->op->flags & BNF_OP_CHEAP) || !node->leaf)
        return -1;
    for (int i = 0; i < node->n_in; i++) {
        const bnf_value *v = &g->values[node->in[i].id];
        if (!v->leaf || bnf_desc_bytes(&v->desc) * 4 < bnf_desc_bytes(&g->values[node->out[0].id].desc))
            continue;
        if (found >= 0 || v->kind != BNF_V_RESULT || v->node < 0 /* a stand-in, so of a cheap node */ ||
            (g->nodes[v->node].op->flags & (BNF_OP_CHEAP | BNF_OP_ALIAS)))
            return -1;
        found = node->in[i].id;
    }
    return found;
}

/* last[v]: the last segment that reads v. */
static void last_readers(const bnf_plan *p, int *last)
{
    const bnf_graph *g = p->graph;
    for (int i = 0; i < g->n_values; i++)
        last[i] = -1;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            int32_t v = g->nodes[i].in[k].id;
            if (p->node_segment[i] > last[v])
                last[v] = p->node_segment[i];
        }
}

static bnf_status recompute_elementwise(bnf_plan *p)
{
    rewrite r = {.p = p};
    int *last;
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)p->graph->n_values + 1) * sizeof *last, &last));
    last_readers(p, last);
    BNF_TRY(open_copy(&r));
    bnf_graph *g = r.g;
    for (int i = 0; i < g->n_nodes; i++) {
        int segment = p->node_segment[i];
        for (int k = 0; k < g->nodes[i].n_in && segment >= 0; k++) {
            int32_t v = g->nodes[i].in[k].id;
            const bnf_value *value = &g->values[v];
            if (!g->nodes[i].leaf || value->kind != BNF_V_RESULT || p->node_segment[value->node] >= segment)
                continue;
            int32_t input = large_input(g, &g->nodes[value->node]);
            if (input < 0 || last[input] < segment || is_kept(p, v))
                continue;
            if (r.stand_in_at[v] != segment)
                clone_node(&r, value->node, i, segment);
            g->nodes[i].in[k].id = r.stand_in[v];
        }
    }
    return close_copy(&r);
}

bnf_status bnf_plan_recompute(bnf_plan *p)
{
    if (p->cfg.recompute == BNF_RECOMPUTE_NEVER || p->cfg.eager)
        return BNF_OK;
    BNF_TRY(bnf_plan_assign_segments(p));
    if (p->cfg.recompute == BNF_RECOMPUTE_BLOCKS) {
        BNF_TRY(recompute_blocks(p));
        BNF_TRY(bnf_plan_assign_segments(p));
    }
    return recompute_elementwise(p);
}
