/* la/outward.h - private to src/la: outward rounding, for proven bounds. */
#ifndef BNF_LA_OUTWARD_H
#define BNF_LA_OUTWARD_H

#include <math.h>

#define BNF_LA_UNIT 0x1p-53 /* half the distance from 1 to the next f64 */

/* The next f64 above the result of one operation rounded to nearest is an upper bound of it. */
static inline double bnf_la_up(double x)
{
    return nextafter(x, INFINITY);
}

static inline double bnf_la_down(double x)
{
    return nextafter(x, -INFINITY);
}

/* Upper bound of gamma_k / (1 - gamma_k), which is also one of gamma_k and of gamma_k / (1 - gamma_k u). */
static inline double bnf_la_gamma_up(double k)
{
    double ku = bnf_la_up(k * BNF_LA_UNIT);
    double gamma = bnf_la_up(ku / bnf_la_down(1.0 - ku));
    return bnf_la_up(gamma / bnf_la_down(1.0 - gamma));
}

#endif
