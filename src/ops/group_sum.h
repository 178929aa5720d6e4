/* ops/group_sum.h - the order in which long sums are taken: groups of 8 terms are added pairwise, then joined to the
 * running sum. Memory is read in 8 streams, the running sum waits for one addition per group, and f32 loses less than
 * in plain order. */
#ifndef BNF_OPS_GROUP_SUM_H
#define BNF_OPS_GROUP_SUM_H

#define GROUP 8
/* term(0) + ... + term(7) */
#define GROUP_SUM(term) (((term(0) + term(1)) + (term(2) + term(3))) + ((term(4) + term(5)) + (term(6) + term(7))))

#endif
