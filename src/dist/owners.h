/* dist/owners.h - what a parameter costs its owner; bnf_owners_assign is in banff/dist.h. */
#ifndef BNF_DIST_OWNERS_H
#define BNF_DIST_OWNERS_H

#include <banff/dist.h>

/* The cost that is balanced, in flops. */
double bnf_owners_cost(const bnf_param_info *info);

#endif
