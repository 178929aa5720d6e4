/* dist/shared.h - a parameter that all ranks own together, each a slice of its elements: for weights too large for one
 * owner.
 *
 * Slices are whole blocks of BNF_SHARED_BLOCK elements, and sums of squares are added block by block, so that nothing
 * depends on the number of ranks; the reparametrisation is the factory's make_shared. Every function is collective over
 * the updater's communicator unless it says that it is local. */
#ifndef BNF_DIST_SHARED_H
#define BNF_DIST_SHARED_H

#include <banff/dist.h>

#define BNF_SHARED_BLOCK 4096

/* offset[ranks+1]: rank r's slice of n elements is [offset[r], offset[r+1]); may be empty. Local. */
void bnf_shared_slices(int64_t n, int ranks, int64_t *offset);

typedef struct bnf_shared bnf_shared;

/* The store holds the raw value, as for bnf_updater_create. rule and params are borrowed. [out] shared owned, release
 * with bnf_shared_destroy. Errors: BNF_ERR_MEMORY, those of the reparametrisation; the same on every rank. */
bnf_status bnf_shared_create(const bnf_comm *comm, bnf_params *params, int param, const bnf_update_rule *rule,
                             int threads, bnf_shared **shared);
void bnf_shared_destroy(bnf_shared *shared); /* NULL is legal */

/* Effective value from the raw one, spread to the stores of all ranks. Errors: those of the reparametrisation. */
bnf_status bnf_shared_effective(bnf_shared *shared);

/* The slices [ranks+1], and where the own slice of the gradient's sum over all leaves goes. Local, borrowed. */
const int64_t *bnf_shared_offset(const bnf_shared *shared);
float *bnf_shared_reduced(bnf_shared *shared);

/* The sums are there: in bnf_shared_reduced, or for one rank alone in grad. Local. */
void bnf_shared_arrived(bnf_shared *shared, const float *grad);

/* The gradient of the raw value, and its sum of squares, the same on every rank. Errors: BNF_ERR_ARG if no sums have
 * arrived since the last call, those of the reparametrisation. */
bnf_status bnf_shared_gradient(bnf_shared *shared);
double bnf_shared_sumsq(const bnf_shared *shared);

/* The rule on the own slice. Local unless the rule measures. */
bnf_status bnf_shared_update(bnf_shared *shared, double grad_scale, int64_t step);

/* As those of the updater: array 0 is the raw value, then the rule's states, then the reparametrisation's state of
 * bnf_shared_reparam_count elements, which is whole on every rank. put is local. */
int64_t bnf_shared_reparam_count(const bnf_shared *shared);
bnf_status bnf_shared_gather(bnf_shared *shared, int array, void *data);
bnf_status bnf_shared_put(bnf_shared *shared, int array, const void *data);

#endif
