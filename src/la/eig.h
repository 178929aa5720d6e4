/* la/eig.h - eigenvalues and eigenvectors of a symmetric f64 matrix (LAPACK, divide and conquer), in a workspace booked
 * beforehand. Local, single-threaded, deterministic. */
#ifndef BNF_LA_EIG_H
#define BNF_LA_EIG_H

#include <banff/base.h>
#include <stdbool.h>

#define BNF_LA_EIG_MAX 30000 /* largest m: the workspace length 1 + 6 m + 2 m^2 must fit a 32-bit integer */

/* Bytes of scratch for bnf_la_eig of an m x m matrix, 1 <= m <= BNF_LA_EIG_MAX. */
size_t bnf_la_eig_scratch(int64_t m, bool vectors);

/* [in,out] a  symmetric a[m,m] on entry; on return its rows are orthonormal eigenvectors: row i belongs to lambda[i]
 *             (with `vectors`), or its content is lost (without).
 * [out] lambda[m]  ascending.
 * Errors: BNF_ERR_NUMERIC if a holds a NaN or infinity, or the iteration did not converge. */
bnf_status bnf_la_eig(int64_t m, bool vectors, double *a, double *lambda, void *scratch);

#endif
