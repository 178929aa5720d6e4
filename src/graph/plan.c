/* graph/plan.c - compiling a graph: schedule, kernels, places, buffers. */
#include "graph/plan.h"

#include "base/assert.h"

#include <omp.h>
#include <string.h>

static bnf_status check_config(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    BNF_ASSERT(p->cfg.threads >= 1 && (!p->cfg.bf16_sums || g->n_sinks == 0 || g->base.real == BNF_F32));
    if (p->ranks > g->base.leaves)
        return bnf_fail(BNF_ERR_ARG, "%d ranks but only %lld leaves: start at most %lld ranks or raise data.leaves",
                        p->ranks, (long long)g->base.leaves, (long long)g->base.leaves);
    bnf_tree_range((int)g->base.leaves, p->ranks, p->rank, &p->leaf_lo, &p->leaf_hi);
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i].kind == BNF_V_INPUT && p->leaf_samples == 0)
            p->leaf_samples = g->values[i].desc.dim[0];
    for (int i = 0; i < g->n_sinks; i++) {
        int owner = p->cfg.owner ? p->cfg.owner[g->sinks[i].ref] : 0;
        BNF_ASSERT(owner == BNF_OWNER_ALL || (owner >= 0 && owner < p->ranks));
    }
    return BNF_OK;
}

static void fill_inst(bnf_plan *p, int node_index)
{
    const bnf_graph *g = p->graph;
    const bnf_node *node = &g->nodes[node_index];
    bnf_op_inst *inst = &p->runs[node_index].inst;
    *inst = (bnf_op_inst){.op = node->op,
                          .attr = node->attr,
                          .n_in = node->n_in,
                          .n_out = node->op->n_out,
                          .layer = node->layer,
                          .threads = p->cfg.threads};
    for (int i = 0; i < node->n_in; i++) {
        inst->in[i] = g->values[node->in[i].id].desc;
        inst->in_is_param[i] = g->values[node->in[i].id].kind == BNF_V_PARAM;
        inst->occupancy[i] = g->values[bnf_graph_root(g, node->in[i].id)].occupancy;
    }
    for (int i = 0; i < inst->n_out; i++)
        inst->out[i] = g->values[node->out[i].id].desc;
}

static bool runs_kernel(const bnf_plan *p, int node)
{
    return p->node_segment[node] >= 0 && !(p->graph->nodes[node].op->flags & (BNF_OP_ALIAS | BNF_OP_BATCH_SUM));
}

static bnf_status choose_kernels(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    omp_set_num_threads(1); /* kernels made here run on one thread; regions state their own number */
    for (int i = 0; i < g->n_nodes; i++) {
        if (!runs_kernel(p, i))
            continue;
        bnf_node_run *run = &p->runs[i];
        BNF_TRY(bnf_op_choose(&run->inst, p->cfg.reference, &run->kernel));
        if (run->kernel.scratch_bytes > p->scratch_bytes)
            p->scratch_bytes = run->kernel.scratch_bytes;
        if (p->cfg.profile) {
            BNF_TRY(bnf_arena_alloc(p->arena, (size_t)p->cfg.threads * 64, &run->seconds));
            memset(run->seconds, 0, (size_t)p->cfg.threads * 64);
        }
    }
    return BNF_OK;
}

int bnf_plan_first_read(const bnf_plan *plan, int param)
{
    const bnf_graph *g = plan->graph;
    int first = plan->n_segments + 1;
    for (int i = 0; i < plan->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in && plan->node_segment[i] >= 0; k++) {
            const bnf_value *v = &g->values[bnf_graph_root(g, g->nodes[i].in[k].id)];
            if (v->kind == BNF_V_PARAM && v->ref == param && plan->node_segment[i] < first)
                first = plan->node_segment[i];
        }
    return first;
}

/* The packed copy of a parameter in this layout, made once and shared by nodes that want the same. */
static bnf_status packed_param(bnf_plan *p, int param, const bnf_pack *pack, bnf_place *place)
{
    for (int i = 0; i < p->n_packed; i++)
        if (p->packed[i].param == param && p->packed[i].pack->key == pack->key &&
            p->packed[i].pack->bytes == pack->bytes) {
            place->base = p->packed[i].data;
            return BNF_OK;
        }
    bnf_packed_param *e = &p->packed[p->n_packed];
    *e = (bnf_packed_param){.param = param, .pack = pack, .segment = bnf_plan_first_read(p, param)};
    BNF_TRY(bnf_arena_alloc(p->arena, pack->bytes, &e->data));
    memset(e->data, 0, pack->bytes);
    place->base = e->data;
    p->n_packed++;
    return BNF_OK;
}

static bnf_status resolve_places(bnf_plan *p)
{
    const bnf_graph *g = p->graph;
    size_t wanted = 0;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < BNF_OP_MAX_IN; k++)
            wanted += p->runs[i].kernel.in_pack[k] != NULL;
    BNF_TRY(bnf_arena_alloc(p->arena, (wanted + 1) * sizeof *p->packed, &p->packed));
    for (int i = 0; i < g->n_nodes; i++) {
        if (p->node_segment[i] < 0)
            continue;
        bnf_node_run *run = &p->runs[i];
        for (int k = 0; k < run->inst.n_in; k++) {
            int32_t v = g->nodes[i].in[k].id;
            run->in[k] = p->places[bnf_graph_root(g, v)];
            if (run->kernel.in_pack[k])
                BNF_TRY(packed_param(p, g->values[v].ref, run->kernel.in_pack[k], &run->in[k]));
        }
        for (int k = 0; k < run->inst.n_out; k++)
            run->out[k] = p->places[bnf_graph_root(g, g->nodes[i].out[k].id)];
    }
    return BNF_OK;
}

static bnf_status make_group(bnf_plan *p, bnf_segment *seg)
{
    int n = seg->n_slots - seg->n_sums, slot = seg->n_sums;
    if (n == 0)
        return BNF_OK;
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)n * sizeof(int), &seg->group_params));
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)n * sizeof(int64_t), &seg->group_offset));
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)p->ranks + 1) * sizeof(int64_t), &seg->group_owner));
    BNF_TRY(bnf_arena_alloc(p->arena, (size_t)p->n_cover * sizeof(void *), &seg->partial));
    int64_t at = 0, unit = (int64_t)(BNF_ALIGN / bnf_plan_real(p));
    int owner = 0;
    seg->group_owner[0] = 0;
    for (int i = 0; i < n; i++, slot++) {
        bnf_slot *s = &seg->slots[slot];
        int of = p->cfg.owner ? p->cfg.owner[s->param] : 0;
        while (owner < (of == BNF_OWNER_ALL ? p->ranks : of))
            seg->group_owner[++owner] = at;
        s->plain = seg->packed ? at : s->offset - seg->sum_elements;
        at = s->plain + (bnf_desc_count(&p->graph->values[s->value].desc) + unit - 1) / unit * unit;
        seg->group_params[i] = s->param;
        seg->group_offset[i] = s->plain;
    }
    while (owner < p->ranks)
        seg->group_owner[++owner] = at;
    if (seg->packed) {
        BNF_TRY(bnf_arena_alloc(p->arena, (size_t)p->n_cover * (size_t)at * bnf_plan_real(p), &seg->plain));
        memset(seg->plain, 0, (size_t)p->n_cover * (size_t)at * bnf_plan_real(p));
    }
    for (int c = 0; c < p->n_cover; c++)
        seg->partial[c] =
            seg->packed ? seg->plain + (size_t)c * (size_t)at * bnf_plan_real(p)
                        : bnf_plan_buffer(p, seg, p->cover_buffer[c]) + (size_t)seg->sum_elements * bnf_plan_real(p);
    seg->group = (bnf_grad_group){.n_params = n,
                                  .params = seg->group_params,
                                  .offset = seg->group_offset,
                                  .owner_offset = seg->group_owner,
                                  .n = at,
                                  .n_partials = p->n_cover,
                                  .partial = seg->partial,
                                  .segment = (int)(seg - p->segments)};
    return BNF_OK;
}

static bnf_status make_pools(bnf_plan *p)
{
    for (int s = 0; s < p->n_segments; s++) {
        bnf_segment *seg = &p->segments[s];
        size_t bytes = (size_t)seg->elements * bnf_plan_real(p) * (size_t)p->n_buffers;
        if (bytes == 0)
            continue;
        BNF_TRY(bnf_arena_alloc(p->arena, bytes, &seg->pool));
        memset(seg->pool, 0, bytes);
        BNF_TRY(bnf_arena_alloc(p->arena, (size_t)seg->sum_elements * bnf_plan_real(p) + 1, &seg->sum_root));
        for (int i = 0; i < seg->n_sums; i++)
            p->places[seg->slots[i].result].base =
                (char *)seg->sum_root + (size_t)seg->slots[i].offset * bnf_plan_real(p);
        BNF_TRY(make_group(p, seg));
    }
    return BNF_OK;
}

static bnf_status make_arenas(bnf_plan *p)
{
    size_t threads = (size_t)p->cfg.threads;
    BNF_TRY(bnf_arena_alloc(p->arena, threads * sizeof(char *), &p->thread_arena));
    BNF_TRY(bnf_arena_alloc(p->arena, threads * sizeof(char *), &p->scratch));
    BNF_TRY(bnf_arena_alloc(p->arena, threads * sizeof(char *), &p->window));
    for (size_t t = 0; t < threads; t++) {
        BNF_TRY(bnf_arena_alloc(p->arena, p->thread_bytes, &p->thread_arena[t]));
        BNF_TRY(bnf_arena_alloc(p->arena, p->scratch_bytes, &p->scratch[t]));
        BNF_TRY(bnf_arena_alloc(p->arena, p->window_bytes, &p->window[t]));
    }
    return bnf_arena_alloc(p->arena, p->leaf_bytes * (size_t)(p->leaf_hi - p->leaf_lo), &p->leaf_arena);
}

static bnf_status compile(bnf_plan *p, const bnf_val *outputs, int n)
{
    bnf_val *copy;
    void *lives;
    BNF_TRY(check_config(p));
    BNF_TRY(bnf_arena_alloc(p->arena, ((size_t)n + 1) * sizeof *copy, &copy));
    for (int i = 0; i < n; i++) {
        BNF_ASSERT(bnf_val_ok(outputs[i]));
        copy[i] = outputs[i];
    }
    p->outputs = copy;
    p->n_outputs = n;
    BNF_TRY(bnf_plan_recompute(p));
    const bnf_graph *g = p->graph; /* as it is now */
    size_t nv = (size_t)g->n_values + 1, nn = (size_t)g->n_nodes + 1;
    BNF_TRY(bnf_arena_alloc(p->arena, nv * sizeof *p->kept, &p->kept));
    BNF_TRY(bnf_arena_alloc(p->arena, nv * sizeof *p->places, &p->places));
    BNF_TRY(bnf_arena_alloc(p->arena, nn * sizeof *p->runs, &p->runs));
    memset(p->kept, 0, nv * sizeof *p->kept);
    memset(p->places, 0, nv * sizeof *p->places);
    memset(p->runs, 0, nn * sizeof *p->runs);
    for (int i = 0; i < n; i++)
        p->kept[bnf_graph_root(g, outputs[i].id)] = true;
    for (int i = 0; i < g->n_nodes; i++)
        fill_inst(p, i);
    BNF_TRY(bnf_plan_schedule(p));
    BNF_TRY(bnf_plan_walks(p));
    BNF_TRY(bnf_plan_place_early(p, &lives));
    BNF_TRY(choose_kernels(p));
    BNF_TRY(bnf_plan_place_late(p, lives));
    BNF_TRY(make_pools(p));
    BNF_TRY(make_arenas(p));
    return resolve_places(p);
}

bnf_status bnf_plan_create(const bnf_plan_config *cfg, bnf_graph *graph, const bnf_val *outputs, int n, bnf_plan **plan)
{
    BNF_TRY(bnf_graph_status(graph));
    bnf_plan *p;
    BNF_TRY(bnf_calloc(1, sizeof *p, "plan", &p));
    p->graph = graph;
    p->n_nodes = graph->n_nodes;
    p->n_values = graph->n_values;
    p->n_assigns = graph->n_assigns;
    p->cfg = *cfg;
    p->ranks = bnf_comm_size(cfg->comm);
    p->rank = bnf_comm_rank(cfg->comm);
    bnf_status s = bnf_arena_create((size_t)1 << 16, "plan", &p->arena);
    if (s == BNF_OK)
        s = compile(p, outputs, n);
    if (s != BNF_OK) {
        bnf_plan_destroy(p);
        return s;
    }
    *plan = p;
    return BNF_OK;
}

void bnf_plan_destroy(bnf_plan *plan)
{
    if (!plan)
        return;
    for (int i = 0; plan->runs && i < plan->n_nodes; i++) {
        bnf_kernel_plan *k = &plan->runs[i].kernel;
        if (k->kernel && k->kernel->destroy)
            k->kernel->destroy(k);
    }
    bnf_arena_destroy(plan->arena);
    bnf_free(plan);
}

void bnf_plan_leaves(const bnf_plan *plan, int *lo, int *hi)
{
    *lo = plan->leaf_lo;
    *hi = plan->leaf_hi;
}

int bnf_plan_segments(const bnf_plan *plan)
{
    return plan->n_segments;
}

bool bnf_plan_bf16_sums(const bnf_plan *plan)
{
    return plan->cfg.bf16_sums;
}

int bnf_plan_leaf_count(const bnf_plan *plan)
{
    return (int)plan->graph->base.leaves;
}

double bnf_plan_flops(const bnf_plan *plan)
{
    double flops = 0;
    for (int i = 0; i < plan->n_nodes; i++)
        if (runs_kernel(plan, i) && plan->runs[i].inst.op->flops && !plan->graph->nodes[i].again)
            flops += plan->runs[i].inst.op->flops(&plan->runs[i].inst) *
                     (plan->graph->nodes[i].leaf ? (double)plan->graph->base.leaves : 1);
    return flops;
}

void bnf_plan_get_memory(const bnf_plan *plan, bnf_plan_memory *m)
{
    *m = (bnf_plan_memory){.thread_bytes = plan->thread_bytes,
                           .leaf_bytes = plan->leaf_bytes,
                           .scratch_bytes = plan->scratch_bytes,
                           .unshared_bytes = plan->unshared_bytes};
    for (int s = 0; s < plan->n_segments; s++)
        m->reduce_bytes += (size_t)plan->segments[s].elements * bnf_plan_real(plan) * (size_t)plan->n_buffers;
    m->reduce_bytes += plan->window_bytes * (size_t)plan->cfg.threads;
    for (int i = 0; i < plan->n_packed; i++)
        m->packed_bytes += plan->packed[i].pack->bytes;
}

bool bnf_plan_node(const bnf_plan *plan, int index, bnf_plan_node_stat *stat)
{
    if (index < 0 || index >= plan->n_nodes)
        return false;
    const bnf_node_run *run = &plan->runs[index];
    *stat = (bnf_plan_node_stat){.op = plan->graph->nodes[index].op->name,
                                 .kernel = "-",
                                 .in = {run->inst.in[0], run->inst.in[1]},
                                 .leaf = plan->graph->nodes[index].leaf,
                                 .out = run->inst.out[0],
                                 .segment = plan->node_segment[index],
                                 .calls = run->calls};
    if (!run->kernel.kernel)
        return true;
    stat->kernel = run->kernel.kernel->name;
    for (int t = 0; t < plan->cfg.threads && run->seconds; t++)
        stat->seconds += run->seconds[8 * t];
    int64_t times = plan->graph->nodes[index].leaf ? plan->leaf_hi - plan->leaf_lo : 1;
    if (run->inst.op->flops)
        stat->flops = run->inst.op->flops(&run->inst) * (double)times;
    for (int i = 0; i < run->inst.n_in; i++)
        stat->bytes += (double)bnf_desc_bytes(&run->inst.in[i]) * (double)times;
    for (int i = 0; i < run->inst.n_out; i++)
        stat->bytes += (double)bnf_desc_bytes(&run->inst.out[i]) * (double)times;
    return true;
}
