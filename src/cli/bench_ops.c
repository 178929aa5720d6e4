/* cli/bench_ops.c */
#include "cli/bench_ops.h"

#include "base/mem.h"
#include "ops/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nodes of the same operation, kernel and shapes. */
typedef struct line {
    bnf_plan_node_stat first;
    int nodes;
    double seconds, flops, bytes, bound; /* of a step, over all threads; bound: seconds that the limits allow */
} line;

typedef struct lines {
    line *item;
    int count;
    double seconds, linear; /* of all; of convolutions and dense layers */
} lines;

bnf_status bnf_bench_limits_measure(int threads, bnf_bench_limits *limits)
{
    limits->f32_gflops = bnf_peak_gflops(threads, 0.3);
    limits->bf16_gflops = bnf_peak_bf16_gflops(threads, 0.3);
    BNF_TRY(bnf_peak_gbytes(threads, (size_t)64 << 20, 0.3, &limits->memory_gbytes));
    return bnf_peak_gbytes(threads, BNF_BENCH_CACHED / 2, 0.1, &limits->cache_gbytes);
}

static bool same(const bnf_plan_node_stat *a, const bnf_plan_node_stat *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->kernel, b->kernel) == 0 && bnf_desc_equal(&a->out, &b->out) &&
           bnf_desc_equal(&a->in[0], &b->in[0]) && bnf_desc_equal(&a->in[1], &b->in[1]);
}

static int longer(const void *a, const void *b)
{
    double x = ((const line *)a)->seconds, y = ((const line *)b)->seconds;
    return (x < y) - (x > y);
}

/* The larger of two bounds: flops at the peak of the inputs' type, bytes at the bandwidth of where they are. */
static double bound_of(const bnf_plan_node_stat *s, double runs, int threads, const bnf_bench_limits *l)
{
    double peak = (s->in[0].dtype == BNF_BF16 ? l->bf16_gflops : l->f32_gflops) * 1e9 / threads;
    bool cached = s->bytes / runs <= (double)BNF_BENCH_CACHED;
    double width = (cached ? l->cache_gbytes : l->memory_gbytes) * 1e9 / threads;
    double compute = peak > 0 ? s->flops / peak : 0, move = s->bytes / width;
    return compute > move ? compute : move;
}

static bnf_status collect(const bnf_plan *plan, int threads, const bnf_bench_limits *limits, lines *l)
{
    bnf_plan_node_stat s;
    int n = 0, lo, hi;
    while (bnf_plan_node(plan, n, &s))
        n++;
    bnf_plan_leaves(plan, &lo, &hi);
    *l = (lines){0};
    BNF_TRY(bnf_calloc((size_t)n + 1, sizeof *l->item, "lines of a table", &l->item));
    for (int i = 0, k; bnf_plan_node(plan, i, &s); i++) {
        if (s.calls == 0 || s.seconds <= 0)
            continue;
        for (k = 0; k < l->count && !same(&l->item[k].first, &s); k++)
            ;
        line *at = &l->item[k];
        if (k == l->count)
            l->item[l->count++].first = s;
        at->nodes++;
        at->seconds += s.seconds / (double)s.calls;
        at->flops += s.flops;
        at->bytes += s.bytes;
        at->bound += bound_of(&s, s.leaf ? hi - lo : 1, threads, limits);
        l->seconds += s.seconds / (double)s.calls;
        l->linear += s.flops > 0 ? s.seconds / (double)s.calls : 0;
    }
    qsort(l->item, (size_t)l->count, sizeof *l->item, longer);
    return BNF_OK;
}

bnf_status bnf_bench_ops_print(const bnf_plan *plan, int threads, const bnf_bench_limits *limits)
{
    lines l;
    BNF_TRY(collect(plan, threads, limits, &l));
    printf(
        "limits: %.0f GFLOP/s f32, %.0f bf16; %.0f GB/s memory, %.0f GB/s cache (arrays of one run within %zu KiB)\n",
        limits->f32_gflops, limits->bf16_gflops, limits->memory_gbytes, limits->cache_gbytes, BNF_BENCH_CACHED >> 10);
    printf("%-20s %-7s %-24s %-24s %5s %9s %6s %8s %7s %7s\n", "operation", "kernel", "first input", "output", "nodes",
           "ms/step", "%", "GFLOP/s", "GB/s", "% bound");
    double shown = 0;
    for (int i = 0; i < l.count && shown < 0.995 * l.seconds; i++) {
        const line *at = &l.item[i];
        char in[96], out[96];
        shown += at->seconds;
        printf("%-20s %-7s %-24s %-24s %5d %9.3f %6.2f %8.1f %7.1f %7.1f\n", at->first.op, at->first.kernel,
               bnf_desc_format(&at->first.in[0], in, sizeof in), bnf_desc_format(&at->first.out, out, sizeof out),
               at->nodes, 1e3 * at->seconds, 100 * at->seconds / l.seconds, threads * at->flops / at->seconds / 1e9,
               threads * at->bytes / at->seconds / 1e9, 100 * at->bound / at->seconds);
    }
    printf(
        "the rest, %.2f %%; between convolutions and dense layers, %.2f %% (of operations, not of the step; means over "
        "all steps so far)\n",
        100 * (1 - shown / l.seconds), 100 * (1 - l.linear / l.seconds));
    bnf_free(l.item);
    return BNF_OK;
}

bnf_status bnf_bench_ops_json(const bnf_plan *plan, int threads, const bnf_bench_limits *limits)
{
    lines l;
    BNF_TRY(collect(plan, threads, limits, &l));
    printf("[");
    for (int i = 0; i < l.count; i++) {
        const line *at = &l.item[i];
        char in[96], out[96];
        printf("%s{\"op\":\"%s\",\"kernel\":\"%s\",\"in\":\"%s\",\"out\":\"%s\",\"nodes\":%d,\"seconds\":%.6g,"
               "\"flops\":%.6g,\"bytes\":%.6g,\"of_bound\":%.4g}",
               i ? "," : "", at->first.op, at->first.kernel, bnf_desc_format(&at->first.in[0], in, sizeof in),
               bnf_desc_format(&at->first.out, out, sizeof out), at->nodes, at->seconds, at->flops, at->bytes,
               at->bound / at->seconds);
    }
    printf("]");
    bnf_free(l.item);
    return BNF_OK;
}
