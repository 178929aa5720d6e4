/* ops/broadcast.h - loops over arrays of which some are stretched along some dimensions. */
#ifndef BNF_OPS_BROADCAST_H
#define BNF_OPS_BROADCAST_H

#include <banff/tensor.h>

#define BNF_BCAST_MAX 4

/* Nested loops over the elements of the widest array, with as few loops as the shapes allow: same shapes give one
 * loop, a channel vector two. stride[k][d] is in elements of array k, 0 along a stretched dimension; the innermost
 * stride of every array is 0 or 1. */
typedef struct bnf_bcast {
    int ndim, n; /* loops, outermost first; arrays */
    int64_t dim[BNF_MAX_DIMS];
    int64_t stride[BNF_BCAST_MAX][BNF_MAX_DIMS];
} bnf_bcast;

/* `full` is the shape of the loops; each of the n arrays must broadcast to it. */
void bnf_bcast_make(const bnf_desc *full, int n, const bnf_desc *const *shape, bnf_bcast *b);

/* Loops over all dimensions but the last `inner`: advances index[] and offset[k] (both start as zeros) to the next
 * position; false after the last one. */
bool bnf_bcast_next(const bnf_bcast *b, int inner, int64_t *index, int64_t *offset);

#endif
