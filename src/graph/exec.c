/* graph/exec.c - running a plan: segment by segment, leaves on threads, sums along the fixed tree. Nothing here
 * allocates. */
#include "graph/plan.h"

#include "base/assert.h"
#include "base/bf16.h"
#include "base/clock.h"
#include "base/spans.h"
#include "comm/agree.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static inline char *at(const bnf_plan *p, const bnf_place *place, int thread, int leaf, char *reduce)
{
    switch (place->kind) {
    case BNF_AT_FIXED:
        return place->base;
    case BNF_AT_THREAD:
        return p->thread_arena[thread] + place->offset;
    case BNF_AT_LEAF:
        return p->leaf_arena + (size_t)leaf * p->leaf_bytes + place->offset;
    case BNF_AT_ROWS:
        return place->base + (size_t)leaf * place->stride;
    case BNF_AT_REDUCE:
        return reduce + place->offset;
    case BNF_AT_NONE:
        break;
    }
    return NULL;
}

/* Where a leaf's slots go: into buffer `dst`, or through the thread's window and added to it; and the additions of the
 * walk that follow, which are done slot by slot. */
typedef struct target {
    char *dst;    /* NULL for batch-level nodes, and where nothing is summed yet */
    char *window; /* not NULL: slots are computed here, and added to dst */
    const bnf_walk_op *adds;
    int n_adds;
} target;

/* leaf: local index, -1 for batch-level nodes. */
static void run_node(const bnf_plan *p, int index, int thread, int leaf, const target *to, int64_t step)
{
    bnf_node_run *run = &p->runs[index];
    const bnf_kernel *kernel = run->kernel.kernel;
    if (!kernel) /* an alias or a batch sum */
        return;
    const void *in[BNF_OP_MAX_IN];
    void *out[BNF_OP_MAX_OUT];
    for (int i = 0; i < run->inst.n_in; i++)
        in[i] = at(p, &run->in[i], thread, leaf, NULL);
    for (int i = 0; i < run->inst.n_out; i++)
        out[i] = run->out[i].kind == BNF_AT_REDUCE && to->window ? to->window + run->out[i].stride
                                                                 : at(p, &run->out[i], thread, leaf, to->dst);
    int64_t global = leaf < 0 ? -1 : p->leaf_lo + leaf;
    bnf_run_ctx ctx = {
        .thread = thread, .leaf = global, .first_sample = global * p->leaf_samples, .seed = p->cfg.seed, .step = step};
    if (!run->seconds) {
        int64_t begin = bnf_spans_now(p->cfg.spans);
        kernel->run(&run->inst, &run->kernel, &ctx, in, out, p->scratch[thread]);
        bnf_spans_end(p->cfg.spans, thread, BNF_SPAN_OP, index, global, begin);
        return;
    }
    double start = bnf_clock_seconds();
    kernel->run(&run->inst, &run->kernel, &ctx, in, out, p->scratch[thread]);
    run->seconds[8 * thread] += bnf_clock_seconds() - start; /* a cache line per thread */
}

/* a[0 ... n-1] += b, as the tree adds: batch sums as they are, gradients perhaps rounded first. */
static void add_arrays(const bnf_plan *p, bool gradient, char *a, const char *b, int64_t n)
{
    if (gradient && p->cfg.bf16_sums)
        bnf_tree_add_bf16((float *)a, (const float *)b, n);
    else
        bnf_tree_add(p->graph->base.real, a, b, n);
}

/* Elements [lo, hi) of buffer dst += those of src: an addition of the tree. */
static void add(const bnf_plan *p, const bnf_segment *seg, int dst, int src, int64_t lo, int64_t hi)
{
    size_t real = bnf_plan_real(p);
    char *a = bnf_plan_buffer(p, seg, dst), *b = bnf_plan_buffer(p, seg, src);
    int64_t sums = seg->sum_elements < hi ? seg->sum_elements : hi; /* batch sums come first */
    if (sums > lo)
        add_arrays(p, false, a + (size_t)lo * real, b + (size_t)lo * real, sums - lo);
    lo = lo > sums ? lo : sums;
    if (hi > lo)
        add_arrays(p, true, a + (size_t)lo * real, b + (size_t)lo * real, hi - lo);
}

/* A leaf has computed a slot, in the window if there is one, at `from`. */
static void finish_slot(const bnf_plan *p, const bnf_segment *seg, int thread, int index, const char *from,
                        const target *to)
{
    const bnf_slot *slot = &seg->slots[index];
    int64_t begin = to->window || to->n_adds > 0 ? bnf_spans_now(p->cfg.spans) : 0;
    if (to->window)
        add_arrays(p, index >= seg->n_sums, to->dst + (size_t)slot->offset * bnf_plan_real(p), from, slot->elements);
    for (int i = 0; i < to->n_adds; i++)
        add(p, seg, to->adds[i].dst, to->adds[i].src, slot->offset, slot->offset + slot->elements);
    bnf_spans_end(p->cfg.spans, thread, BNF_SPAN_ADD, index, -1, begin);
}

static void copy_slots(const bnf_plan *p, const bnf_segment *seg, int thread, int leaf, const target *to)
{
    size_t real = bnf_plan_real(p);
    for (int i = 0; i < seg->n_slots; i++) {
        const bnf_slot *slot = &seg->slots[i];
        if (!slot->copied)
            continue;
        int32_t root = bnf_graph_root(p->graph, slot->value);
        char *copy = to->window ? to->window : to->dst + (size_t)slot->offset * real;
        memcpy(copy, at(p, &p->places[root], thread, leaf, to->dst),
               bnf_desc_bytes(&p->graph->values[slot->value].desc));
        finish_slot(p, seg, thread, i, copy, to);
    }
}

/* The thread that called bnf_plan_run is number 0 of the team. */
static inline void poll(const bnf_plan *p)
{
    if (p->hooks.poll && omp_get_thread_num() == 0)
        p->hooks.poll(p->hooks.self);
}

static void run_leaf(const bnf_plan *p, const bnf_segment *seg, int thread, int leaf, const target *to, int64_t step)
{
    for (int i = 0; i < seg->n_leaf && !p->cfg.eager; i++) {
        const bnf_node_run *run = &p->runs[seg->leaf_nodes[i]];
        run_node(p, seg->leaf_nodes[i], thread, leaf, to, step);
        for (int k = 0; k < run->inst.n_out && run->kernel.kernel; k++)
            if (run->out[k].kind == BNF_AT_REDUCE)
                finish_slot(p, seg, thread, run->out[k].slot, to->window ? to->window + run->out[k].stride : NULL, to);
        poll(p);
    }
    copy_slots(p, seg, thread, leaf, to);
}

/* This thread's leaves, in tree order. */
static void run_walk(const bnf_plan *p, const bnf_segment *seg, int thread, int64_t step)
{
    const bnf_walk *walk = &p->walks[thread];
    for (int i = 0; i < walk->n_ops;) {
        const bnf_walk_op *op = &walk->ops[i++];
        target to = {.dst = bnf_plan_buffer(p, seg, op->dst), .window = op->add ? p->window[thread] : NULL, op + 1};
        for (; i < walk->n_ops && walk->ops[i].leaf < 0; i++)
            to.n_adds++;
        run_leaf(p, seg, thread, op->leaf, &to, step);
    }
}

/* Additions between threads: every thread does its share of the elements of all of them. */
static void run_merges(const bnf_plan *p, const bnf_segment *seg, int thread, int threads)
{
    int64_t unit = (int64_t)(BNF_ALIGN / bnf_plan_real(p)), blocks = seg->elements / unit;
    int64_t lo = blocks * thread / threads * unit, hi = blocks * (thread + 1) / threads * unit;
    int64_t begin = p->n_merges > 0 ? bnf_spans_now(p->cfg.spans) : 0;
    for (int i = 0; i < p->n_merges && hi > lo; i++)
        add(p, seg, p->merges[i].dst, p->merges[i].src, lo, hi);
    bnf_spans_end(p->cfg.spans, thread, BNF_SPAN_ADD, -1, -1, begin);
}

static bool all_finite(const bnf_desc *d, const void *data)
{
    int64_t n = bnf_desc_count(d);
    for (int64_t i = 0; i < n; i++)
        if ((d->dtype == BNF_F32 && !isfinite(((const float *)data)[i])) ||
            (d->dtype == BNF_F64 && !isfinite(((const double *)data)[i])) ||
            (d->dtype == BNF_BF16 && !isfinite(bnf_bf16_wide(((const uint16_t *)data)[i]))))
            return false;
    return true;
}

/* Eager: operation by operation over all leaves, each result checked. */
static bnf_status run_eager(const bnf_plan *p, const bnf_segment *seg, int64_t step)
{
    int leaves = p->leaf_hi - p->leaf_lo;
    for (int i = 0; i < seg->n_leaf; i++) {
        int node = seg->leaf_nodes[i], bad = -1;
        const bnf_node_run *run = &p->runs[node];
        if (!run->kernel.kernel)
            continue;
#pragma omp parallel for num_threads(p->cfg.threads) schedule(static) reduction(max : bad)
        for (int leaf = 0; leaf < leaves; leaf++) {
            run_node(p, node, omp_get_thread_num(), leaf, &(target){0}, step);
            for (int k = 0; k < run->inst.n_out; k++)
                if (!all_finite(&run->inst.out[k], at(p, &run->out[k], 0, leaf, NULL)))
                    bad = leaf;
        }
        if (bad >= 0) {
            char shape[96];
            return bnf_fail(BNF_ERR_NUMERIC, "node %d (%s, kernel %s, %s): not finite on leaf %d, step %lld", node,
                            run->inst.op->name, run->kernel.kernel->name,
                            bnf_desc_format(&run->inst.out[0], shape, sizeof shape), p->leaf_lo + bad, (long long)step);
        }
    }
    return BNF_OK;
}

static void silence(const bnf_plan *p, bool begin)
{
    if (p->hooks.silence)
        p->hooks.silence(p->hooks.self, begin);
}

static bnf_status sum_segment(const bnf_plan *p, const bnf_segment *seg)
{
    const void *partials[64];
    if (seg->n_sums == 0)
        return BNF_OK;
    for (int i = 0; i < p->n_cover; i++)
        partials[i] = bnf_plan_buffer(p, seg, p->cover_buffer[i]);
    if (p->ranks == 1) {
        memcpy(seg->sum_root, partials[0], (size_t)seg->sum_elements * bnf_plan_real(p));
        return BNF_OK;
    }
    silence(p, true);
    bnf_status s = bnf_tree_allreduce(p->cfg.comm, (int)p->graph->base.leaves, p->graph->base.real, partials,
                                      seg->sum_elements, seg->sum_root);
    silence(p, false);
    return s;
}

static bnf_status run_eager_agreed(const bnf_plan *p, const bnf_segment *seg, int64_t step)
{
    bnf_status s = run_eager(p, seg, step);
    silence(p, true);
    s = bnf_comm_agree(p->cfg.comm, s);
    silence(p, false);
    return s;
}

static bnf_status run_segment(const bnf_plan *p, int s, int64_t step)
{
    const bnf_segment *seg = &p->segments[s];
    for (int i = 0; i < seg->n_batch; i++)
        run_node(p, seg->batch_nodes[i], 0, -1, &(target){0}, step);
    if (s == p->n_segments)
        return BNF_OK;
    if (p->cfg.eager) /* one rank's failure may not leave the others in the sum below */
        BNF_TRY(run_eager_agreed(p, seg, step));
    int64_t start = bnf_spans_now(p->cfg.spans), done = 0; /* of the calling thread */
#pragma omp parallel num_threads(p->cfg.threads)
    {
        int thread = omp_get_thread_num(), threads = omp_get_num_threads();
        if (thread == 0)
            bnf_spans_end(p->cfg.spans, 0, BNF_SPAN_BARRIER, s, -1, start);
        for (int t = thread; t < p->cfg.threads; t += threads) /* a smaller team does all walks, too */
            run_walk(p, seg, t, step);
        int64_t begin = bnf_spans_now(p->cfg.spans);
#pragma omp barrier
        bnf_spans_end(p->cfg.spans, thread, BNF_SPAN_BARRIER, s, -1, begin);
        run_merges(p, seg, thread, threads);
        if (thread == 0)
            done = bnf_spans_now(p->cfg.spans);
    }
    bnf_spans_end(p->cfg.spans, 0, BNF_SPAN_BARRIER, s, -1, done);
    int64_t begin = bnf_spans_now(p->cfg.spans);
    bnf_status summed = sum_segment(p, seg);
    bnf_spans_end(p->cfg.spans, 0, BNF_SPAN_SUM, s, -1, begin);
    return summed;
}

/* Parameters that segment s is the first to read, into kernels' layouts if they have changed. */
static void repack_params(bnf_plan *p, int s)
{
    uint64_t version = bnf_params_version(p->graph->params);
    bool stale = false;
    for (int i = 0; i < p->n_packed && !stale; i++)
        stale = p->packed[i].segment == s && p->packed[i].version != version;
    if (!stale)
        return;
    int64_t begin = bnf_spans_now(p->cfg.spans);
#pragma omp parallel for num_threads(p->cfg.threads) schedule(dynamic)
    for (int i = 0; i < p->n_packed; i++) {
        bnf_packed_param *e = &p->packed[i];
        if (e->segment != s || e->version == version)
            continue;
        e->pack->pack(e->pack, bnf_params_value(p->graph->params, e->param), e->data);
        e->version = version;
    }
    bnf_spans_end(p->cfg.spans, 0, BNF_SPAN_PACK, s, -1, begin);
}

static bnf_status check_bound(const bnf_plan *p)
{
    for (int i = 0; i < p->n_values; i++)
        if (p->graph->values[i].kind == BNF_V_INPUT && !p->places[i].base)
            return bnf_fail(BNF_ERR_ARG, "input '%s' is not bound to data", p->graph->values[i].name);
    return BNF_OK;
}

static void unpack_group(const bnf_plan *p, bnf_segment *seg)
{
    size_t real = bnf_plan_real(p);
    int n = seg->group.n_params, work = n * p->n_cover;
#pragma omp parallel for num_threads(p->cfg.threads) schedule(dynamic)
    for (int w = 0; w < work; w++) {
        const bnf_slot *slot = &seg->slots[seg->n_sums + w % n];
        int c = w / n;
        const char *from = bnf_plan_buffer(p, seg, p->cover_buffer[c]) + (size_t)slot->offset * real;
        char *to = seg->plain + ((size_t)c * (size_t)seg->group.n + (size_t)slot->plain) * real;
        if (slot->pack)
            slot->pack->unpack(slot->pack, from, to);
        else
            memcpy(to, from, bnf_desc_bytes(&p->graph->values[slot->value].desc));
    }
}

static bnf_status run_segments(bnf_plan *p, int64_t step)
{
    for (int s = 0, group = 0; s <= p->n_segments; s++) {
        bnf_segment *seg = &p->segments[s];
        int64_t begin = bnf_spans_now(p->cfg.spans);
        if (p->hooks.need)
            BNF_TRY(p->hooks.need(p->hooks.self, s));
        bnf_spans_end(p->cfg.spans, 0, BNF_SPAN_MESSAGES, s, -1, p->hooks.need ? begin : 0);
        repack_params(p, s);
        BNF_TRY(run_segment(p, s, step));
        if (!p->hooks.ready || s == p->n_segments || seg->group.n_params == 0)
            continue;
        begin = bnf_spans_now(p->cfg.spans);
        if (seg->packed)
            unpack_group(p, seg);
        BNF_TRY(p->hooks.ready(p->hooks.self, group++));
        bnf_spans_end(p->cfg.spans, 0, BNF_SPAN_MESSAGES, s, -1, begin);
    }
    return BNF_OK;
}

bnf_status bnf_plan_run(bnf_plan *plan, int64_t step)
{
    BNF_TRY(check_bound(plan));
    silence(plan, false);
    bnf_status s = run_segments(plan, step);
    silence(plan, true);
    if (s != BNF_OK)
        return s;
    for (int i = 0; plan->cfg.profile && i < plan->n_nodes; i++)
        plan->runs[i].calls++;
    if (!plan->cfg.hold_states)
        bnf_plan_commit(plan);
    return BNF_OK;
}

void bnf_plan_commit(bnf_plan *plan)
{
    const bnf_graph *g = plan->graph;
    for (int i = 0; i < plan->n_assigns; i++) {
        int32_t value = g->assigns[i].value.id;
        memcpy(bnf_params_value(g->params, g->assigns[i].ref), plan->places[bnf_graph_root(g, value)].base,
               bnf_desc_bytes(&g->values[value].desc));
    }
    if (plan->n_assigns > 0)
        bnf_params_touch(g->params);
}

bnf_status bnf_plan_bind(bnf_plan *plan, bnf_val input, const void *data)
{
    BNF_ASSERT(plan->graph->values[input.id].kind == BNF_V_INPUT);
    BNF_ASSERT((uintptr_t)data % BNF_ALIGN == 0);
    bnf_place *place = &plan->places[input.id];
    if (place->base == data)
        return BNF_OK;
    place->base = (char *)(uintptr_t)data; /* kernels do not write to inputs */
    for (int i = 0; i < plan->n_nodes; i++)
        for (int k = 0; k < plan->graph->nodes[i].n_in; k++)
            if (bnf_graph_root(plan->graph, plan->graph->nodes[i].in[k].id) == input.id)
                plan->runs[i].in[k] = *place;
    return BNF_OK;
}

bnf_status bnf_plan_set(bnf_plan *plan, bnf_val knob, const void *data)
{
    BNF_ASSERT(plan->graph->values[knob.id].kind == BNF_V_KNOB);
    memcpy(plan->places[knob.id].base, data, bnf_desc_bytes(&plan->graph->values[knob.id].desc));
    return BNF_OK;
}

const void *bnf_plan_output(const bnf_plan *plan, bnf_val v)
{
    int32_t root = bnf_graph_root(plan->graph, v.id);
    BNF_ASSERT(plan->kept[root]);
    return plan->places[root].base;
}

int bnf_plan_grad_groups(const bnf_plan *plan)
{
    int n = 0;
    for (int s = 0; s < plan->n_segments; s++)
        n += plan->segments[s].group.n_params > 0;
    return n;
}

static bnf_segment *group_segment(const bnf_plan *p, int g)
{
    for (int s = 0; s < p->n_segments; s++)
        if (p->segments[s].group.n_params > 0 && g-- == 0)
            return &p->segments[s];
    BNF_ASSERT(!"there is no such group");
    return NULL;
}

const bnf_grad_group *bnf_plan_grad_layout(const bnf_plan *plan, int g)
{
    return &group_segment(plan, g)->group;
}

const bnf_grad_group *bnf_plan_grad_group(bnf_plan *plan, int g)
{
    bnf_segment *seg = group_segment(plan, g);
    if (seg->packed)
        unpack_group(plan, seg);
    return &seg->group;
}

void bnf_plan_set_hooks(bnf_plan *plan, const bnf_plan_hooks *hooks)
{
    plan->hooks = hooks ? *hooks : (bnf_plan_hooks){0};
}
