/* la/blas.h - dense products on row-major matrices, one thread, fixed summation order.
 *
 * Extents are int64_t but each must fit the libraries' 32-bit integers (asserted). `t` is BNF_F32 or BNF_F64 and names
 * the element type of every untyped pointer of a call; scalars are double and rounded to that type. All functions are
 * local (not collective), allocate nothing through base/mem, never fail, and return the same bits for the same input
 * whatever the number of OpenMP threads. They may be called from inside a parallel region. */
#ifndef BNF_LA_BLAS_H
#define BNF_LA_BLAS_H

#include <banff/base.h>
#include <stdbool.h>

/* c[m,n] = alpha op(a) op(b) + beta c, where op(a) is a[m,k] or, with ta, the transpose of a[k,m]; op(b) is b[k,n] or,
 * with tb, the transpose of b[n,k]. lda, ldb, ldc: elements from one row to the next. c is not read when beta is 0.
 *
 * f32 goes to oneDNN unless b is transposed, then to OpenBLAS: on one Zen 4 core at the shapes of Lipschitz layers
 * oneDNN ran at 100-116 GFLOP/s and OpenBLAS at 91-105 for a.b and a'.b, but oneDNN fell to 45-80 for some shapes of
 * a.b'. */
void bnf_la_gemm(bnf_dtype t, bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a,
                 int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc);

/* y = a x, or a' x with `trans`; a[rows,cols]. */
void bnf_la_gemv(bnf_dtype t, bool trans, int64_t rows, int64_t cols, const void *a, const void *x, void *y);

/* a[rows,cols] += alpha x y', x[rows], y[cols]. */
void bnf_la_ger(bnf_dtype t, int64_t rows, int64_t cols, double alpha, const void *x, const void *y, void *a);

/* Bytes of scratch for bnf_la_gram_f64. */
size_t bnf_la_gram_scratch(bnf_dtype t, int64_t rows, int64_t cols);

/* The smaller Gram matrix in f64 whatever the type of w: s[m,m] = w w' if rows <= cols, else w' w; m = min(rows, cols).
 * Each entry is a sum of max(rows, cols) products of exactly represented factors, in some fixed order, so its error is
 * at most gamma_max(rows,cols) times the sum of the products' absolute values. s is exactly symmetric. */
void bnf_la_gram_f64(bnf_dtype t, int64_t rows, int64_t cols, const void *w, void *scratch, double *s);

#endif
