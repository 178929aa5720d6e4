/* ops/bench.h - time of one operation on one thread, for `banff bench --ops` and for choosing the order of kernels. */
#ifndef BNF_OPS_BENCH_H
#define BNF_OPS_BENCH_H

#include "ops/op.h"

typedef struct bnf_op_bench {
    /* What to measure. */
    const bnf_op *op;
    const void *attr;
    int n_in;
    bnf_desc in[BNF_OP_MAX_IN];
    const char *kernel; /* name; NULL = the first that accepts */
    bool packed;        /* input 1 is a parameter and output 0 may stay packed, as in a training step */
    double occupancy; /* share of input 0 that is not zero; a kernel asked by name is told less; 0: all, none is told */
    double seconds;   /* least time to spend measuring */
    /* What was measured. */
    const char *used; /* name of the kernel */
    double best;      /* seconds of one run: least mean over several groups of runs */
    double flops;     /* of one run, 0 if the operation does not count them */
} bnf_op_bench;

/* Fills the measured part. Inputs are uniform in [-1, 1); packing is not measured.
 * Errors: BNF_ERR_UNSUPPORTED (no such kernel, or it refuses these shapes), those of the shape rule, BNF_ERR_MEMORY. */
bnf_status bnf_op_bench_run(bnf_op_bench *b);

#endif
