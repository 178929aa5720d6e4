/* train/profile.c - recorded spans summed up: what a step is made of, and the operations that take longest. */
#include "train/profile.h"

#include "base/mem.h"
#include "base/spans.h"

#include <stdio.h>
#include <string.h>

const char *const bnf_profile_names[BNF_PROFILE_PARTS] = {"compute", "reduce",     "threads",  "ranks", "load",
                                                          "update",  "checkpoint", "evaluate", "other"};
const char *const bnf_profile_meanings[BNF_PROFILE_PARTS] = {"operations of the network",
                                                             "adding gradients and batch sums, handing them over",
                                                             "waking and waiting for other threads",
                                                             "waiting for messages of other ranks",
                                                             "waiting for the batch",
                                                             "optimiser and reparametrisations",
                                                             "copying for checkpoints, waiting for the one before",
                                                             "on the test part",
                                                             "everything else"};

static bnf_profile_part part_of(int32_t kind)
{
    static const bnf_profile_part parts[BNF_SPAN_KINDS] = {[BNF_SPAN_OP] = BNF_PROFILE_COMPUTE,
                                                           [BNF_SPAN_ADD] = BNF_PROFILE_REDUCE,
                                                           [BNF_SPAN_PACK] = BNF_PROFILE_COMPUTE,
                                                           [BNF_SPAN_SUM] = BNF_PROFILE_REDUCE,
                                                           [BNF_SPAN_MESSAGES] = BNF_PROFILE_REDUCE,
                                                           [BNF_SPAN_BARRIER] = BNF_PROFILE_BARRIER,
                                                           [BNF_SPAN_WAIT] = BNF_PROFILE_WAIT,
                                                           [BNF_SPAN_STEP] = BNF_PROFILE_OTHER,
                                                           [BNF_SPAN_LOAD] = BNF_PROFILE_LOAD,
                                                           [BNF_SPAN_COMPUTE] = BNF_PROFILE_OTHER,
                                                           [BNF_SPAN_REDUCE] = BNF_PROFILE_REDUCE,
                                                           [BNF_SPAN_UPDATE] = BNF_PROFILE_UPDATE,
                                                           [BNF_SPAN_SPREAD] = BNF_PROFILE_REDUCE,
                                                           [BNF_SPAN_EVALUATE] = BNF_PROFILE_EVALUATE,
                                                           [BNF_SPAN_CHECKPOINT] = BNF_PROFILE_CHECKPOINT,
                                                           [BNF_SPAN_BETWEEN] = BNF_PROFILE_OTHER,
                                                           [BNF_SPAN_READ] = BNF_PROFILE_OTHER,
                                                           [BNF_SPAN_WRITE] = BNF_PROFILE_OTHER};
    return parts[kind];
}

/* A span's own time is its length without that of the spans in it, which lie before it in its lane: each span takes its
 * length from those around it as it comes by, largest last. Walking backward, the innermost that is open is known. */
static void sum_parts(const bnf_span *span, int64_t n, bnf_profile *p)
{
    enum { DEPTH = 16 };
    const bnf_span *open[DEPTH];
    int depth = 0;
    for (int64_t i = n - 1; i >= 0; i--) {
        const bnf_span *s = &span[i];
        double seconds = (double)(s->end - s->begin) * 1e-9;
        while (depth > 0 && s->end <= open[depth - 1]->begin)
            depth--;
        if (depth > 0)
            p->seconds[part_of(open[depth - 1]->kind)] -= seconds;
        p->seconds[part_of(s->kind)] += seconds;
        if (depth < DEPTH)
            open[depth++] = s;
        if (s->kind != BNF_SPAN_STEP)
            continue;
        p->steps++;
        p->step_seconds += seconds;
        p->first = s->id;
    }
}

/* What was recorded of a node, over all threads. */
typedef struct tally {
    int64_t nanoseconds, calls;
    bool leaf;
} tally;

static void sum_nodes(const bnf_spans *spans, int threads, tally *nodes)
{
    for (int t = 0; t < threads; t++) {
        int64_t n;
        const bnf_span *span = bnf_spans_get(spans, t, &n);
        for (int64_t i = 0; i < n; i++) {
            if (span[i].kind != BNF_SPAN_OP)
                continue;
            tally *node = &nodes[span[i].id];
            node->nanoseconds += span[i].end - span[i].begin;
            node->leaf = span[i].leaf >= 0;
            node->calls++;
        }
    }
}

static void describe(const bnf_plan *plan, int node, const tally *t, bnf_profile_op *op)
{
    bnf_plan_node_stat stat;
    int lo, hi;
    bnf_plan_node(plan, node, &stat);
    bnf_plan_leaves(plan, &lo, &hi);
    double runs = (double)t->calls / (t->leaf ? hi - lo : 1), ns = (double)t->nanoseconds;
    *op = (bnf_profile_op){.node = node, .segment = stat.segment, .calls = t->calls, .seconds = ns * 1e-9};
    snprintf(op->op, sizeof op->op, "%s", stat.op);
    snprintf(op->kernel, sizeof op->kernel, "%s", stat.kernel);
    bnf_desc_format(&stat.out, op->shape, sizeof op->shape);
    op->gflops = ns > 0 ? stat.flops * runs / ns : 0;
    op->gbytes = ns > 0 ? stat.bytes * runs / ns : 0;
}

static void keep_longest(bnf_profile *p, const bnf_profile_op *op)
{
    int64_t at = p->n_ops;
    while (at > 0 && p->ops[at - 1].seconds < op->seconds)
        at--;
    if (at == BNF_PROFILE_OPS)
        return;
    if (p->n_ops < BNF_PROFILE_OPS)
        p->n_ops++;
    memmove(&p->ops[at + 1], &p->ops[at], (size_t)(p->n_ops - 1 - at) * sizeof p->ops[0]);
    p->ops[at] = *op;
}

static bnf_status find_longest(const bnf_spans *spans, const bnf_plan *plan, int threads, bnf_profile *p)
{
    bnf_plan_node_stat stat;
    bnf_profile_op op;
    tally *nodes;
    int n = 0;
    while (bnf_plan_node(plan, n, &stat))
        n++;
    BNF_TRY(bnf_calloc((size_t)n + 1, sizeof *nodes, "profile", &nodes));
    sum_nodes(spans, threads, nodes);
    for (int i = 0; i < n; i++)
        if (nodes[i].calls > 0) {
            describe(plan, i, &nodes[i], &op);
            keep_longest(p, &op);
        }
    bnf_free(nodes);
    return BNF_OK;
}

bnf_status bnf_profile_of(const bnf_spans *spans, const bnf_plan *plan, int threads, int64_t ranks,
                          bnf_profile *profile)
{
    int64_t n;
    const bnf_span *span = bnf_spans_get(spans, 0, &n);
    *profile = (bnf_profile){.ranks = ranks, .threads = threads, .dropped = bnf_spans_dropped(spans)};
    sum_parts(span, n, profile);
    double steps = profile->steps > 0 ? (double)profile->steps : 1;
    BNF_TRY(find_longest(spans, plan, threads, profile));
    profile->step_seconds /= steps;
    for (int i = 0; i < BNF_PROFILE_PARTS; i++)
        profile->seconds[i] /= steps;
    for (int64_t i = 0; i < profile->n_ops; i++)
        profile->ops[i].seconds /= steps;
    return BNF_OK;
}

bnf_status bnf_profile_text(const bnf_profile *profile, bnf_buf *text)
{
    const bnf_profile *p = profile;
    double whole = p->step_seconds > 0 ? p->step_seconds : 1;
    bnf_buf_printf(text, "where the step went: %lld steps from step %lld on, rank 0 of %lld, main thread of %lld\n",
                   (long long)p->steps, (long long)p->first, (long long)p->ranks, (long long)p->threads);
    for (int i = 0; i < BNF_PROFILE_PARTS; i++)
        bnf_buf_printf(text, "  %-10s %10.6f s %6.1f %%  %s\n", bnf_profile_names[i], p->seconds[i],
                       100 * p->seconds[i] / whole, bnf_profile_meanings[i]);
    bnf_buf_printf(text, "  %-10s %10.6f s\n", "step", p->step_seconds);
    bnf_buf_printf(text,
                   "  longest operations of rank 0, seconds summed over its threads, rates of one thread:\n  %-18s "
                   "%-14s %4s %8s %10s %8s %8s  %s\n",
                   "operation", "kernel", "seg.", "calls", "s/step", "GFLOP/s", "GB/s", "result per leaf");
    for (int64_t i = 0; i < p->n_ops; i++) {
        const bnf_profile_op *o = &p->ops[i];
        bnf_buf_printf(text, "  %-18s %-14s %4lld %8lld %10.6f ", o->op, o->kernel, (long long)o->segment,
                       (long long)o->calls, o->seconds);
        if (o->gflops > 0)
            bnf_buf_printf(text, "%8.2f", o->gflops);
        else
            bnf_buf_printf(text, "%8s", "-");
        bnf_buf_printf(text, " %8.2f  %s\n", o->gbytes, o->shape);
    }
    if (p->dropped > 0)
        bnf_buf_printf(text, "  %lld spans had no room: times of operations are too small, \"other\" is too large\n",
                       (long long)p->dropped);
    return text->status;
}
