/* nn/constraint_side.h - private to the constraints: products on the shorter side of a matrix, so that the algorithms
 * are written once for wide and tall ones. m is the smaller extent, n the larger. */
#ifndef BNF_NN_CONSTRAINT_SIDE_H
#define BNF_NN_CONSTRAINT_SIDE_H

#include "la/blas.h"

typedef struct bnf_side {
    bnf_dtype t;
    int64_t rows, cols, m, n;
    bool tall; /* rows > cols: small matrices act from the right */
} bnf_side;

static inline bnf_side bnf_side_of(bnf_dtype t, int64_t rows, int64_t cols)
{
    bool tall = rows > cols;
    return (bnf_side){t, rows, cols, tall ? cols : rows, tall ? rows : cols, tall};
}

/* d[m,m] = alpha x y' (wide) or alpha x' y (tall); x, y[rows,cols]. */
static inline void bnf_side_cross(bnf_side s, double alpha, const void *x, const void *y, void *d)
{
    bnf_la_gemm(s.t, s.tall, !s.tall, s.m, s.m, s.n, alpha, x, s.cols, y, s.cols, 0.0, d, s.m);
}

/* y = alpha a x + beta y (wide) or alpha x a + beta y (tall); a[m,m], x, y[rows,cols]. */
static inline void bnf_side_apply(bnf_side s, double alpha, const void *a, const void *x, double beta, void *y)
{
    if (s.tall)
        bnf_la_gemm(s.t, false, false, s.rows, s.cols, s.m, alpha, x, s.cols, a, s.m, beta, y, s.cols);
    else
        bnf_la_gemm(s.t, false, false, s.rows, s.cols, s.m, alpha, a, s.m, x, s.cols, beta, y, s.cols);
}

#endif
