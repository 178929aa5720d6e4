/* ops/peak.h - what the floating-point units of this machine reach. */
#ifndef BNF_OPS_PEAK_H
#define BNF_OPS_PEAK_H

/* f32 GFLOP/s of independent fused multiply-adds in registers on `threads` threads at once, over about `seconds`: the
 * limit that percentages refer to. Best of several pieces of that time. */
double bnf_peak_gflops(int threads, double seconds);

#endif
