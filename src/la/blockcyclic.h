/* la/blockcyclic.h - one f64 matrix spread over the ranks of a communicator, block-cyclic, with ScaLAPACK's product and
 * singular values: for matrices too large for the one rank that would own them.
 *
 * Everything here is collective over the grid's communicator unless it says otherwise. ScaLAPACK's sums depend on the
 * shape of the grid: results agree between numbers of ranks up to rounding, not bit for bit. On one number of ranks
 * they repeat exactly (BLACS is told to combine in a fixed order). */
#ifndef BNF_LA_BLOCKCYCLIC_H
#define BNF_LA_BLOCKCYCLIC_H

#include <banff/comm.h>
#include <stdbool.h>

/* All ranks of a communicator as a grid of process rows and columns, as square as their number allows. */
typedef struct bnf_grid bnf_grid;

/* [out] grid  owned, release with bnf_grid_destroy. comm is borrowed and must outlive it; NULL is this process alone.
 * Errors: BNF_ERR_UNSUPPORTED if MPI is not running; BNF_ERR_MEMORY. */
bnf_status bnf_grid_create(const bnf_comm *comm, bnf_grid **grid);
void bnf_grid_destroy(bnf_grid *grid); /* NULL is legal */

/* A matrix [rows,cols]; block (i, j) of block x block elements is on process row i mod P, process column j mod Q. */
typedef struct bnf_blockcyclic bnf_blockcyclic;

/* [out] m  owned, filled with zeros, release with bnf_blockcyclic_destroy; grid is borrowed and must outlive it.
 * Errors: BNF_ERR_ARG for extents or blocks below 1 or above 2^31 - 1, BNF_ERR_MEMORY. */
bnf_status bnf_blockcyclic_create(const bnf_grid *grid, int64_t rows, int64_t cols, int64_t block, bnf_blockcyclic **m);
void bnf_blockcyclic_destroy(bnf_blockcyclic *m); /* NULL is legal; local */

/* Fills m from full[rows,cols] row-major on rank 0 (read there only); and back. Errors: BNF_ERR_MEMORY, BNF_ERR_COMM.
 * */
bnf_status bnf_blockcyclic_scatter(bnf_blockcyclic *m, const double *full);
bnf_status bnf_blockcyclic_gather(const bnf_blockcyclic *m, double *full);

/* c = alpha op(a) op(b) + beta c, op the transpose where ta or tb. All on one grid with equal blocks and fitting
 * extents (asserted). */
void bnf_blockcyclic_gemm(bool ta, bool tb, double alpha, const bnf_blockcyclic *a, const bnf_blockcyclic *b,
                          double beta, bnf_blockcyclic *c);

/* [out] sigma[min(rows,cols)]  singular values, descending, the same on every rank; m is kept.
 * Errors: BNF_ERR_MEMORY; BNF_ERR_NUMERIC for NaN or infinity in m or no convergence. */
bnf_status bnf_blockcyclic_singular_values(const bnf_blockcyclic *m, double *sigma);

/* [out] sigma  the largest of them, ||m||_2. Errors: as above. */
bnf_status bnf_blockcyclic_norm2(const bnf_blockcyclic *m, double *sigma);

#endif
