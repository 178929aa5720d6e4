/* recipes/lipschitz/bilinear.h - from one grid of cells to another over the same picture: bilinear between the four
 * nearest centres, which are at halves; edges are held. */
#ifndef BNF_RECIPES_LIPSCHITZ_BILINEAR_H
#define BNF_RECIPES_LIPSCHITZ_BILINEAR_H

#include <math.h>
#include <stdint.h>

/* Along one axis: the centre of cell i of `to` lies `share` of the way from cell `lower` to cell `upper` of `from`. */
typedef struct bnf_bilinear {
    int64_t lower, upper;
    double share;
} bnf_bilinear;

static inline bnf_bilinear bnf_bilinear_at(int64_t i, int64_t from, int64_t to)
{
    double at = fmin(fmax(((double)i + 0.5) * (double)from / (double)to - 0.5, 0), (double)(from - 1));
    int64_t lower = (int64_t)at;
    return (bnf_bilinear){lower, lower + 1 < from ? lower + 1 : lower, at - (double)lower};
}

/* Of the values at (y.lower, x.lower), (y.lower, x.upper), (y.upper, x.lower), (y.upper, x.upper). */
static inline double bnf_bilinear_mix(bnf_bilinear y, bnf_bilinear x, double a, double b, double c, double d)
{
    double upper = (1 - x.share) * a + x.share * b, lower = (1 - x.share) * c + x.share * d;
    return (1 - y.share) * upper + y.share * lower;
}

#endif
