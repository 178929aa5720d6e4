/* nn/polar.h - private to the constraints: the orthogonal polar factor of an f64 matrix, and its derivative.
 *
 * W[rows,cols], row-major, = H Q (rows <= cols) or Q H with Q's rows or columns (the fewer) orthonormal and H the
 * square root of the smaller Gram matrix: Q is the nearest matrix with that property (Higham, Computing the polar
 * decomposition, 1986). Local, single-threaded, deterministic; nothing is allocated after creation. */
#ifndef BNF_NN_POLAR_H
#define BNF_NN_POLAR_H

#include <banff/base.h>

typedef struct bnf_polar bnf_polar;

/* [out] p owned. Errors: BNF_ERR_MEMORY; BNF_ERR_UNSUPPORTED if the smaller side is above BNF_LA_EIG_MAX. */
bnf_status bnf_polar_create(int64_t rows, int64_t cols, bnf_polar **p);
void bnf_polar_destroy(bnf_polar *p); /* NULL is legal */

/* q = polar factor of w. Through the eigendecomposition of the smaller Gram matrix, then Newton-Schulz steps
 * Q <- 1.5 Q - 0.5 Q Q' Q, whose fixed point it is, until ||I - Gram(Q)||_F <= 1e-14 max(m, 10) for the smaller side m:
 * one or two unless w is nearly singular. Errors: BNF_ERR_NUMERIC for NaN or infinity, and where w is so close to a
 * matrix of lower rank that the steps do not end; q is then not to be used. */
bnf_status bnf_polar_forward(bnf_polar *p, const double *w, double *q);

/* dw = (derivative of the last forward)' dq. With s the singular values, V the eigenvectors of H, M = dq Q' (wide) or
 * Q' dq (tall) and N_ij = (M_ij - M_ji) / (s_i + s_j) in the basis V:
 *   wide: dw = N Q + H^-1 (dq - M Q),   tall: dw = Q N + (dq - Q M) H^-1. */
void bnf_polar_backward(bnf_polar *p, const double *dq, double *dw);

#endif
