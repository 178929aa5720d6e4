/* recipes/lipschitz/rank.h - orders, ranks and Spearman's correlation. */
#ifndef BNF_RECIPES_LIPSCHITZ_RANK_H
#define BNF_RECIPES_LIPSCHITZ_RANK_H

#include <stdint.h>

/* A value and its place; scratch of sorting. */
typedef struct bnf_rank_item {
    double value;
    int64_t at;
} bnf_rank_item;

/* place[i]: how many of x's values come before x[i] from the largest to the smallest, equal ones in ascending order of
 * i. NaN counts as the smallest. scratch[n]. */
void bnf_rank_places(int64_t n, const float *x, bnf_rank_item *scratch, int32_t *place);

/* Spearman's correlation of a[n] and b[n]: Pearson's of their ranks, 1 to n, ties at the mean of their ranks. 0 if a
 * side is constant, n < 2 or a value is not a number. scratch[3n]. */
double bnf_rank_spearman(int64_t n, const double *a, const double *b, bnf_rank_item *scratch);
double bnf_rank_spearman_f32(int64_t n, const float *a, const float *b, bnf_rank_item *scratch);

#endif
