/* ops/peak.h - what this machine reaches: the limits that percentages refer to. Each figure is the best of several
 * pieces of about `seconds`, on `threads` threads at once. */
#ifndef BNF_OPS_PEAK_H
#define BNF_OPS_PEAK_H

#include <banff/base.h>

/* f32 GFLOP/s of independent fused multiply-adds in registers. */
double bnf_peak_gflops(int threads, double seconds);

/* GFLOP/s of dot products of bf16 pairs into f32 (AVX512_BF16), a pair counted as two multiply-adds; 0 where the CPU
 * has none. */
double bnf_peak_bf16_gflops(int threads, double seconds);

/* [out] gbytes  10^9 bytes per second that x += y moves (two reads and a write), over arrays of `bytes` each per
 * thread: more than the caches hold gives memory's bandwidth, less the cache's. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_peak_gbytes(int threads, size_t bytes, double seconds, double *gbytes);

#endif
