/* la/tiles.h - what weight constraints need of block-cyclic matrices, with the same bits on any number of ranks.
 *
 * PBLAS sums in an order that follows the shape of the grid. Here the unit is the tile, a block of block x block
 * elements that lies whole on one process: a product's tile is the sum over k of products of two tiles, k ascending,
 * one call of a single-threaded BLAS per term, and other sums add per-tile sums in the order of tiles. So who holds a
 * tile does not matter, and neither does the number of threads. The price is panels of tiles that are sent to a
 * process row or column by own code; docs/decisions/0010-shared-parameters.md has the measurement against PBLAS.
 *
 * All functions are collective over the grid's communicator unless they say that they are local; nothing is allocated
 * after bnf_tiles_create. Matrices of one call have the grid and the block of the workspace (asserted). */
#ifndef BNF_LA_TILES_H
#define BNF_LA_TILES_H

#include "la/blockcyclic.h"

/* Who computes products: tiles as above, or PBLAS, whose results agree between grids up to rounding only. */
typedef enum bnf_product { BNF_PRODUCT_TILES = 0, BNF_PRODUCT_PBLAS } bnf_product;

/* Workspace for matrices with extents up to `extent`. Bytes per rank, for P process rows and square matrices of n x n:
 * 48 n block / P for panels of tiles, 8 n^2 / (P block) for sums. */
typedef struct bnf_tiles bnf_tiles;

/* [out] t  owned, release with bnf_tiles_destroy; grid is borrowed. threads: of this rank, for products.
 * Errors: BNF_ERR_MEMORY, the same on every rank. */
bnf_status bnf_tiles_create(const bnf_grid *grid, int64_t extent, int64_t block, bnf_product by, int threads,
                            bnf_tiles **t);
void bnf_tiles_destroy(bnf_tiles *t); /* NULL is legal; local */

/* c = alpha op(a) op(b) + beta c, op the transpose where ta or tb; c is not read when beta is 0. Errors: BNF_ERR_COMM.
 * */
bnf_status bnf_tiles_product(bnf_tiles *t, bool ta, bool tb, double alpha, const bnf_blockcyclic *a,
                             const bnf_blockcyclic *b, double beta, bnf_blockcyclic *c);

/* y = m x, or m' x with `trans`; x and y are whole on every rank. Errors: BNF_ERR_COMM. */
bnf_status bnf_tiles_gemv(bnf_tiles *t, bool trans, const bnf_blockcyclic *m, const double *x, double *y);

/* sums[rows], whole on every rank: sums[i] = sum over j of a_ij b_ij. Errors: BNF_ERR_COMM. */
bnf_status bnf_tiles_row_dots(bnf_tiles *t, const bnf_blockcyclic *a, const bnf_blockcyclic *b, double *sums);

/* Sum of a_ij b_ij; sum of (a_ij - b_ij)^2. Errors: BNF_ERR_COMM. */
bnf_status bnf_tiles_dot(bnf_tiles *t, const bnf_blockcyclic *a, const bnf_blockcyclic *b, double *sum);
bnf_status bnf_tiles_distance2(bnf_tiles *t, const bnf_blockcyclic *a, const bnf_blockcyclic *b, double *sum);

/* Local: y = a x + b y (y is not read when b is 0); m += alpha x y'; y_ij = s_i x_ij + b y_ij. */
void bnf_tiles_axpby(double a, const bnf_blockcyclic *x, double b, bnf_blockcyclic *y);
void bnf_tiles_ger(double alpha, const double *x, const double *y, bnf_blockcyclic *m);
void bnf_tiles_scale_rows(const double *s, const bnf_blockcyclic *x, double b, bnf_blockcyclic *y);

#endif
