/* ops/global_avg.h - mean over the positions of an image, times a factor; and its gradient.
 *
 *     global_avg      (x[N,H,W,C]) -> y[N,C]
 *     global_avg_bwd  (dy[N,C])    -> dx[N,H,W,C] */
#ifndef BNF_OPS_GLOBAL_AVG_H
#define BNF_OPS_GLOBAL_AVG_H

#include "ops/op.h"

typedef struct bnf_global_avg_attr {
    double scale;
} bnf_global_avg_attr;

typedef struct bnf_global_avg_bwd_attr {
    double scale;
    int64_t image[2]; /* H, W of x */
} bnf_global_avg_bwd_attr;

extern const bnf_op bnf_op_global_avg, bnf_op_global_avg_bwd;

#endif
