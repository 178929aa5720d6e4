/* dist/owners.h - which rank updates which parameter. */
#ifndef BNF_DIST_OWNERS_H
#define BNF_DIST_OWNERS_H

#include <banff/graph.h>

/* Gives every parameter to a rank such that the dearest rank has little more than its share: in descending order of cost, each to the rank with
 * the least so far. Cost = the reparametrisation's flops plus the memory-bound update's. A function of the store and the number of ranks
 * alone; results of training do not depend on it.
 *   owner[bnf_params_count]  [out] */
bnf_status bnf_owners_assign(const bnf_params *params, int ranks, int *owner);

/* The cost that is balanced, in flops. */
double bnf_owners_cost(const bnf_param_info *info);

#endif
