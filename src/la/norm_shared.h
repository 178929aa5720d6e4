/* la/norm_shared.h - the proven bound of la/svd.h for matrices whose work and workspace are too much for one rank. */
#ifndef BNF_LA_NORM_SHARED_H
#define BNF_LA_NORM_SHARED_H

#include "la/blockcyclic.h"

/* [out] upper  a number >= ||w||_2, or with `absolute` >= || |w| ||_2, in exact arithmetic for the f32 elements of
 *              w[rows,cols], the same on every rank; 0 for a matrix of zeros. w is whole on every rank.
 *
 * The largest singular value is ScaLAPACK's (pdgesvd): a guess only. The proof is that of bnf_la_norm2_upper, spread
 * over the grid: the Gram matrix S^ by pdgemm, whose error is bounded whatever the order of its sums, and Cholesky of
 * fl(tau I - S^) by pdpotrf, which runs to its end. Demmel's theorem holds for any order of the sums inside, hence for
 * the blocked factorisation on any grid. tau is the guess squared times 1 + 2^-26 or more, rounded up to 24 bits, and
 * so is the result: it is within 2^-22 + m n 2^-50 (m <= n: the extents) relative of the norm, and grids of other
 * shapes, whose guesses differ around 1e-14, get the same bits unless a guess lies that close to one of the rounded
 * numbers; then both results hold, one step of 2^-24 apart.
 *
 * Memory per rank: 8 (2 rows cols + 2 m^2) / ranks and ScaLAPACK's workspace. Collective.
 * Errors: BNF_ERR_MEMORY; BNF_ERR_NUMERIC for NaN or infinity, or no convergence; BNF_ERR_ARG for extents below 1. */
bnf_status bnf_la_norm2_upper_shared(const bnf_grid *grid, int64_t rows, int64_t cols, const float *w, bool absolute,
                                     double *upper);

#endif
