/* graph/cuts.c - extra segment ends: in the backward pass, so that gradients of upper layers are final early, and in
 * the forward pass, so that weights of upper layers may arrive late.
 *
 * A thread runs a leaf from start to end of a segment, so a gradient summed over all leaves is final when its segment
 * ends. A cut moves what comes behind a node of a segment into a segment of its own. Nodes stand in the graph in an
 * order in which they can run, so every place is a legal one; what a leaf computes and along which tree it is summed
 * stays the same, and so do the bits. The price: what lives across a cut is kept for every leaf.
 *
 * Where: the model of a step is one line of computing and one of sending. The gradients of a segment are sent when it
 * has ended and those before them have been sent; sending all of them takes as long as computing what comes behind the
 * first one (if it took much less, cuts would be worth little, if much more, they could hide little). One after the
 * other, each cut goes where it shortens the modelled step most. The forward pass is the same the other way round: new
 * weights arrive in the order in which they are read, all of them in the time of the pass, and a segment waits for
 * those that it reads. All this depends on the graph alone. */
#include "graph/plan.h"

#include <string.h>

#define COST_PER_BYTE 10 /* flops that are done while a byte is moved: 100 GFLOP/s, 10 GB/s */

/* Leaf-level nodes in the order in which they run. */
typedef struct line {
    int *node;
    double *end;     /* modelled time at which the node has run */
    double *bytes;   /* of gradients that it delivers */
    double *reads;   /* bytes of parameters that it is the first to read */
    bool *border;    /* the segment ends here */
    int n, forward;  /* nodes; those before the first gradient */
    double per_byte; /* modelled time to send a byte of a gradient */
} line;

static double node_cost(const bnf_plan *p, int node)
{
    const bnf_op_inst *inst = &p->runs[node].inst;
    double cost = inst->op->flops ? inst->op->flops(inst) : 0;
    if (inst->op->flags & (BNF_OP_ALIAS | BNF_OP_BATCH_SUM))
        return 0;
    for (int i = 0; i < inst->n_in; i++)
        cost += COST_PER_BYTE * (double)bnf_desc_bytes(&inst->in[i]);
    for (int i = 0; i < inst->n_out; i++)
        cost += COST_PER_BYTE * (double)bnf_desc_bytes(&inst->out[i]);
    return cost;
}

static double delivered(const bnf_graph *g, int node)
{
    double bytes = 0;
    for (int k = 0; k < g->n_sinks; k++) {
        const bnf_value *v = &g->values[g->sinks[k].value.id];
        if (v->kind == BNF_V_RESULT && v->node == node)
            bytes += (double)bnf_desc_bytes(&v->desc);
    }
    return bytes;
}

/* known[values]: parameters that nodes before have read. */
static double first_reads(const bnf_graph *g, int node, bool *known)
{
    double bytes = 0;
    for (int k = 0; k < g->nodes[node].n_in; k++) {
        int32_t root = bnf_graph_root(g, g->nodes[node].in[k].id);
        if (g->values[root].kind != BNF_V_PARAM || known[root])
            continue;
        known[root] = true;
        bytes += (double)bnf_desc_bytes(&g->values[root].desc);
    }
    return bytes;
}

static void fill_line(const bnf_plan *p, line *l, bool *known)
{
    const bnf_graph *g = p->graph;
    double now = 0, total = 0, first = 0;
    for (int s = 0; s < p->n_segments; s++) {
        for (int i = 0; i < g->n_nodes; i++) {
            if (p->node_segment[i] != s || !g->nodes[i].leaf)
                continue;
            now += node_cost(p, i);
            l->node[l->n] = i;
            l->end[l->n] = now;
            l->bytes[l->n] = delivered(g, i);
            l->reads[l->n] = first_reads(g, i, known);
            l->border[l->n] = false;
            if (total == 0 && l->bytes[l->n] > 0) {
                first = now;
                l->forward = l->n;
            }
            total += l->bytes[l->n++];
        }
        if (l->n > 0)
            l->border[l->n - 1] = true;
    }
    l->per_byte = total > 0 ? (now - first) / total : 0;
}

/* Modelled time at which the last gradient has been sent. */
static double sent(const line *l)
{
    double free = 0, waiting = 0;
    for (int i = 0; i < l->n; i++) {
        waiting += l->bytes[i];
        if (!l->border[i])
            continue;
        free = (free > l->end[i] ? free : l->end[i]) + waiting * l->per_byte;
        waiting = 0;
    }
    return free;
}

/* Modelled time at which the forward pass is over. */
static double passed(const line *l)
{
    double time = 0, arrived = 0, all = 0, work = l->forward > 0 ? l->end[l->forward - 1] : 0;
    for (int i = 0; i < l->forward; i++)
        all += l->reads[i];
    for (int i = 0, from = 0; i < l->forward; i++) {
        arrived += all > 0 ? l->reads[i] * work / all : 0;
        if (!l->border[i] && i + 1 < l->forward)
            continue;
        time = (time > arrived ? time : arrived) + l->end[i] - (from > 0 ? l->end[from - 1] : 0);
        from = i + 1;
    }
    return time;
}

/* Where the forward pass is best cut, or -1. Of equals the earliest: less is kept. */
static int best_lead(line *l)
{
    double least = passed(l) * (1 - 1e-9);
    int best = -1;
    for (int i = 0; i + 1 < l->forward; i++) {
        if (l->border[i] || l->reads[i + 1] <= 0)
            continue;
        l->border[i] = true;
        double time = passed(l);
        l->border[i] = false;
        if (time < least) {
            least = time;
            best = i;
        }
    }
    return best;
}

/* The best place for one more cut, or -1 if none shortens the step. Of equals the latest: less is kept. */
static int best_cut(line *l)
{
    double least = sent(l) * (1 - 1e-9);
    int best = -1;
    for (int i = l->n - 1; i >= 0; i--) {
        if (l->border[i] || l->bytes[i] <= 0)
            continue;
        l->border[i] = true;
        double time = sent(l);
        l->border[i] = false;
        if (time < least) {
            least = time;
            best = i;
        }
    }
    return best;
}

bnf_status bnf_plan_cut(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    size_t n = (size_t)g->n_nodes + 1;
    line l = {0};
    int done = 0, shift = 0, *moved;
    bool *known;
    if (p->cfg.cuts <= 0 || g->n_sinks == 0)
        return BNF_OK;
    BNF_TRY(bnf_arena_alloc(p->arena, n * sizeof *l.node, &l.node));
    BNF_TRY(bnf_arena_alloc(p->arena, n * sizeof *l.end, &l.end));
    BNF_TRY(bnf_arena_alloc(p->arena, n * sizeof *l.bytes, &l.bytes));
    BNF_TRY(bnf_arena_alloc(p->arena, n * sizeof *l.reads, &l.reads));
    BNF_TRY(bnf_arena_alloc(p->arena, n * sizeof *l.border, &l.border));
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)g->n_values * sizeof *known, &known));
    memset(known, 0, (size_t)g->n_values * sizeof *known);
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)p->n_segments + 2) * sizeof *moved, &moved));
    fill_line(p, &l, known);
    int lead = best_lead(&l);
    for (int at; done < p->cfg.cuts && (at = best_cut(&l)) >= 0; done++)
        l.border[at] = true;
    if (lead >= 0 && done > 0)
        l.border[lead] = true;
    /* Batch-level nodes of a segment run before its leaves, so they go with its first part. */
    for (int i = 0, s = 0; s <= p->n_segments; s++) {
        moved[s] = shift;
        for (; i < l.n && p->node_segment[l.node[i]] == s; i++) {
            bool inside = i + 1 < l.n && p->node_segment[l.node[i + 1]] == s;
            p->node_segment[l.node[i]] += shift;
            shift += l.border[i] && inside;
        }
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i].leaf && p->node_segment[i] >= 0)
            p->node_segment[i] += moved[p->node_segment[i]];
    p->n_segments += shift;
    return BNF_OK;
}
