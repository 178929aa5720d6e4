/* nn/constraint_shared.h - the constraint of nn/constraint.h for a matrix that all ranks of a communicator own
 * together: each holds a slice of the elements, the work is done block-cyclically in f64 (la/tiles.h).
 *
 * Collective: all ranks make every call, and all get the same status. With BNF_PRODUCT_TILES the result has the same
 * bits on any number of ranks and threads. It differs from the single owner's by rounding only. With u = 2^-53, n the
 * sum of the extents, k Bjorck steps of beta b, and results of norm 1: each step commits at most 8 n u, and carries
 * what came before on with a factor of at most 1 + b, the largest slope of x -> (1 + b) x - b x^3 on [0, 1]; so two
 * such results in f64 are within 16 n u (k + 1) (1 + b)^k of each other, relative to their norms. The same bound holds
 * for gradients, as the derivative's norm is that slope, relative to the norm of the incoming gradient divided by
 * sigma (or by the smallest norm of the Frobenius kinds). On f32 the rounding of the single owner's own f32 products
 * comes on top.
 *
 * The Bjorck steps are the products as written (bnf_bjorck_form chooses how a single owner computes; it has no meaning
 * here): the eigendecomposition has no order of sums that is free of the grid. Iterates are kept, Gram matrices
 * computed again on the way back, as memory is why a matrix is shared: (k + 5) 8 rows cols / ranks bytes. */
#ifndef BNF_NN_CONSTRAINT_SHARED_H
#define BNF_NN_CONSTRAINT_SHARED_H

#include <banff/comm.h>

#include "la/tiles.h"
#include "nn/constraint.h"

typedef struct bnf_constraint_shared bnf_constraint_shared;

/* How the matrix lies. Results depend on block and by. */
typedef struct bnf_constraint_spread {
    const bnf_comm *comm;  /* borrowed; NULL is this process alone */
    const int64_t *offset; /* [size+1] rank r holds elements [offset[r], offset[r+1]) of the row-major matrix; copied */
    int64_t block;
    bnf_product by;
    int threads; /* of this rank */
} bnf_constraint_spread;

/* [out] c  owned, release with bnf_constraint_shared_destroy (collective, too). t: type of the slices.
 * Errors: as bnf_constraint_create; BNF_ERR_UNSUPPORTED if MPI is not running. */
bnf_status bnf_constraint_shared_create(const bnf_constraint_config *config, bnf_dtype t, int64_t rows, int64_t cols,
                                        const bnf_constraint_spread *spread, bnf_constraint_shared **c);
void bnf_constraint_shared_destroy(bnf_constraint_shared *c); /* NULL is legal */

/* As bnf_constraint_forward and bnf_constraint_backward, on own slices. Errors also: BNF_ERR_COMM. */
bnf_status bnf_constraint_shared_forward(bnf_constraint_shared *c, const void *raw, void *eff);
bnf_status bnf_constraint_shared_backward(bnf_constraint_shared *c, const void *grad_eff, void *grad_raw);

/* As those of nn/constraint.h, and in the same format: the state is whole on every rank. Local. */
int64_t bnf_constraint_shared_state_size(const bnf_constraint_shared *c);
void bnf_constraint_shared_state_get(const bnf_constraint_shared *c, bnf_constraint_moment moment, double *state);
bnf_status bnf_constraint_shared_state_set(bnf_constraint_shared *c, const double *state);
bnf_constraint_stats bnf_constraint_shared_get_stats(const bnf_constraint_shared *c);

#endif
