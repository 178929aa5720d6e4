/* la/svd.h - singular values, and a proven upper bound of the spectral norm. Local, single-threaded, deterministic;
 * they allocate their workspace. */
#ifndef BNF_LA_SVD_H
#define BNF_LA_SVD_H

#include <banff/base.h>

/* All singular values of w[rows,cols] (type t), computed in f64 by LAPACK, descending, s[min(rows,cols)].
 * Errors: BNF_ERR_MEMORY; BNF_ERR_NUMERIC if w holds a NaN or infinity or LAPACK did not converge. */
bnf_status bnf_la_singular_values(bnf_dtype t, int64_t rows, int64_t cols, const void *w, double *s);

/* [out] upper  a number that is >= ||w||_2 in exact arithmetic for the stored elements of w[rows,cols], and within
 *              about rows * cols * 2^-52 relative of it. 0 for a matrix of zeros.
 *
 * Why it holds (u = 2^-53, gamma_k = k u / (1 - k u), m the smaller and n the larger extent, S the exact smaller Gram
 * matrix, so that ||w||_2^2 = lambda_max(S)):
 *  1. The computed S^ has |S^ - S| <= gamma_n |w||w|' elementwise whatever the order of the sums (with or without fused
 *     multiply-add), hence ||S^ - S||_2 <= gamma_n || |w| ||_2^2 <= gamma_n ||w||_F^2, and ||w||_F^2 itself is at most
 *     the computed sum of mn squares / (1 - gamma_mn). Products that underflow add less than DBL_MIN altogether.
 *  2. If floating-point Cholesky of B^ = fl(tau I - S^) runs to its end, then lambda_min(B^) >= -gamma/(1 - gamma)
 *     trace(B^) with gamma = gamma_(m+1) (Demmel 1989; Higham, Accuracy and Stability, theorem 10.5; Rump, BIT 46,
 *     2006); the code takes gamma_(4m+16) to cover kernels that multiply by rounded reciprocals of pivots. Forming the
 *     diagonal of B^ adds at most u max(B^_ii). So lambda_max(S^) <= tau + these two.
 *  3. upper = sqrt(tau + all three), every operation rounded outward with nextafter.
 * tau starts just above LAPACK's largest eigenvalue, which is a guess only: the factorisation is the proof. The one
 * assumption is that BLAS sums ordinary products (no Strassen-like scheme) in round-to-nearest, as OpenBLAS does.
 * Errors: BNF_ERR_MEMORY; BNF_ERR_NUMERIC for NaN, infinity or squares that overflow; BNF_ERR_UNSUPPORTED when m is
 * above BNF_LA_EIG_MAX. */
bnf_status bnf_la_norm2_upper(bnf_dtype t, int64_t rows, int64_t cols, const void *w, double *upper);

#endif
