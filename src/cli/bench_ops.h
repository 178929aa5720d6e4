/* cli/bench_ops.h - banff bench CONFIG --ops: time per operation beside the bound that applies. */
#ifndef BNF_CLI_BENCH_OPS_H
#define BNF_CLI_BENCH_OPS_H

#include <banff/graph.h>

/* What this machine reaches, over all threads. */
typedef struct bnf_bench_limits {
    double f32_gflops, bf16_gflops; /* bf16: 0 where the CPU has none */
    double memory_gbytes;           /* of arrays that no cache holds */
    double cache_gbytes;            /* of arrays of BNF_BENCH_CACHED bytes */
} bnf_bench_limits;

#define BNF_BENCH_CACHED ((size_t)256 << 10)

/* Errors: BNF_ERR_MEMORY. */
bnf_status bnf_bench_limits_measure(int threads, bnf_bench_limits *limits);

/* Prints a table of this rank's operations, equal ones as one line, the longest first: time in a step over all threads,
 * rates, and % of the bound: the larger of flops at the peak and bytes at the bandwidth, the cache's for operations
 * whose arrays have at most BNF_BENCH_CACHED bytes. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_bench_ops_print(const bnf_plan *plan, int threads, const bnf_bench_limits *limits);

/* The same as a JSON array. */
bnf_status bnf_bench_ops_json(const bnf_plan *plan, int threads, const bnf_bench_limits *limits);

#endif
