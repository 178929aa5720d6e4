/* recipes/lipschitz/rank.c - orders, ranks and Spearman's correlation. */
#include "recipes/lipschitz/rank.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static int descending(const void *a, const void *b)
{
    const bnf_rank_item *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

void bnf_rank_places(int64_t n, const float *x, bnf_rank_item *scratch, int32_t *place)
{
    for (int64_t i = 0; i < n; i++)
        scratch[i] = (bnf_rank_item){isnan(x[i]) ? -INFINITY : x[i], i};
    qsort(scratch, (size_t)n, sizeof *scratch, descending);
    for (int64_t i = 0; i < n; i++)
        place[scratch[i].at] = (int32_t)i;
}

/* item[n] by place, in; by place with ranks (times two, so whole numbers) in place of values, out. sorted[n] scratch.
 * False if a value is not a number. */
static bool rank(int64_t n, bnf_rank_item *item, bnf_rank_item *sorted)
{
    for (int64_t i = 0; i < n; i++) {
        if (isnan(item[i].value))
            return false;
        sorted[i] = item[i];
    }
    qsort(sorted, (size_t)n, sizeof *sorted, descending);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && sorted[end].value == sorted[i].value; end++)
            ;
        for (int64_t k = i; k < end; k++)
            item[sorted[k].at].value = (double)(i + end + 1);
    }
    return true;
}

/* Pearson's correlation of ranks that are doubled: whole numbers, so that the sums are exact to n = 10^5. */
static double correlate(int64_t n, const bnf_rank_item *a, const bnf_rank_item *b)
{
    double ab = 0, aa = 0, bb = 0, mean = (double)(n + 1);
    for (int64_t i = 0; i < n; i++) {
        double x = a[i].value - mean, y = b[i].value - mean;
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return aa > 0 && bb > 0 ? fmin(fmax(ab / sqrt(aa * bb), -1), 1) : 0;
}

/* scratch[0,n) and [n,2n) hold the two sides. */
static double spearman(int64_t n, bnf_rank_item *scratch)
{
    bnf_rank_item *a = scratch, *b = scratch + n, *sorted = scratch + 2 * n;
    return n > 1 && rank(n, a, sorted) && rank(n, b, sorted) ? correlate(n, a, b) : 0;
}

double bnf_rank_spearman(int64_t n, const double *a, const double *b, bnf_rank_item *scratch)
{
    for (int64_t i = 0; i < n; i++) {
        scratch[i] = (bnf_rank_item){a[i], i};
        scratch[n + i] = (bnf_rank_item){b[i], i};
    }
    return spearman(n, scratch);
}

double bnf_rank_spearman_f32(int64_t n, const float *a, const float *b, bnf_rank_item *scratch)
{
    for (int64_t i = 0; i < n; i++) {
        scratch[i] = (bnf_rank_item){a[i], i};
        scratch[n + i] = (bnf_rank_item){b[i], i};
    }
    return spearman(n, scratch);
}
