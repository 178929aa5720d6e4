/* la/mahalanobis.h - how far vectors lie from a cloud of others, in units of its spread.
 *
 * The cloud's mean m and covariance C (divided by n - 1) are sums over all of its vectors; the distance of x is
 * sqrt((x - m)' C^-1 (x - m)) (Mahalanobis, 1936), from C = L L' as the length of L^-1 (x - m). All in f64.
 *
 * The covariance lies block-cyclic over a grid: every rank adds to its own blocks, each with one product per call, so
 * mean, covariance and, given the factor, distances are the same bits for any number of ranks. The factor is
 * ScaLAPACK's (pdpotrf), whose bits depend on the grid that it works on, so that grid is named by itself: on one of a
 * single process each, all ranks get the same bits whatever their number; on a grid of all of them, work and memory
 * are shared and the bits agree up to rounding.
 *
 * All functions are collective over the grid's communicator unless they say otherwise. */
#ifndef BNF_LA_MAHALANOBIS_H
#define BNF_LA_MAHALANOBIS_H

#include "la/blockcyclic.h"

typedef struct bnf_mahalanobis bnf_mahalanobis;

/* An empty cloud of vectors of `dims` numbers. grid is borrowed. [out] cloud owned, release with
 * bnf_mahalanobis_destroy. Errors: BNF_ERR_ARG for dims < 1, BNF_ERR_MEMORY. */
bnf_status bnf_mahalanobis_create(const bnf_grid *grid, int64_t dims, bnf_mahalanobis **cloud);
void bnf_mahalanobis_destroy(bnf_mahalanobis *cloud); /* NULL is legal; local */

/* Adds x[rows,dims], the same on every rank. Results depend on the order of rows and on how they are cut into calls.
 * Sums are taken about the first vector. Errors: BNF_ERR_NUMERIC for a NaN or infinity (names the vector and the
 * component), BNF_ERR_MEMORY. */
bnf_status bnf_mahalanobis_add(bnf_mahalanobis *cloud, int64_t rows, const float *x);

/* No more is added: mean, covariance + ridge * (mean of the variances) * I, factor. factor_grid: a grid of the same
 * ranks or of this process alone. Memory per rank: 8 dims^2 bytes for the whole factor, and the same while it is
 * computed. Errors: BNF_ERR_NUMERIC if the matrix is not positive definite, which without a ridge it cannot be with
 * dims vectors or fewer (says so); BNF_ERR_ARG for fewer than 2 vectors or a negative ridge; BNF_ERR_MEMORY. After an
 * error of the factor nothing but destroying is legal. */
bnf_status bnf_mahalanobis_fit(bnf_mahalanobis *cloud, double ridge, const bnf_grid *factor_grid);

/* After the fit: squared distances of x[rows,dims], which is the same on every rank; they share the work. [out]
 * square[rows] on every rank: NaN for a vector that holds a NaN or infinity. Errors: BNF_ERR_MEMORY, BNF_ERR_COMM. */
bnf_status bnf_mahalanobis_squares(const bnf_mahalanobis *cloud, int64_t rows, const float *x, double *square);

/* Local. Vectors so far; after the fit mean[dims] and, on every rank, the lower triangular L[dims,dims] (row-major;
 * what is above its diagonal is 0). Borrowed. */
int64_t bnf_mahalanobis_count(const bnf_mahalanobis *cloud);
const double *bnf_mahalanobis_mean(const bnf_mahalanobis *cloud);
const double *bnf_mahalanobis_factor(const bnf_mahalanobis *cloud);

#endif
