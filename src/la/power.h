/* la/power.h - the largest singular value of w[rows,cols] by power iteration on the smaller side, with a vector u that
 * persists from call to call (Miyato et al., Spectral Normalization for GANs, 2018, section 2.1; here u lives on the
 * side of length m = min(rows, cols), and one iteration is u <- normalise(G u), G the smaller Gram matrix). The value
 * is a lower bound of the norm, up to rounding. Local, deterministic, allocates nothing. */
#ifndef BNF_LA_POWER_H
#define BNF_LA_POWER_H

#include <banff/base.h>

typedef struct bnf_la_power_rule {
    int max_iterations; /* 0: take u as it is */
    double tolerance;   /* stop after the iteration with ||u_new - u_old|| < tolerance */
} bnf_la_power_rule;

typedef struct bnf_la_power_result {
    double sigma; /* estimate of the largest singular value, for the u returned */
    int iterations;
} bnf_la_power_result;

/* A unit vector to start from: a fixed pattern without symmetry, so that it is orthogonal to a given vector only by
 * accident; a function of m alone. */
void bnf_la_power_start(int64_t m, double *u);

/* On w itself, products in w's type t (BNF_F32 or BNF_F64).
 * [in,out] u[m] f64 unit vector (its values are representable in t on return)
 * [out] ut[m], v[max(rows,cols)] of type t: with rows <= cols v = w' u / sigma, else v = w u / sigma (0 if sigma is 0);
 *       ut = u. So the derivative of sigma by w for a fixed u is ut v' (or v ut'). scratch[m] of type t. */
void bnf_la_power(bnf_dtype t, int64_t rows, int64_t cols, const void *w, bnf_la_power_rule rule, double *u, void *ut,
                  void *v, void *scratch, bnf_la_power_result *result);

/* The same on the Gram matrix s[m,m] f64 of w: sigma = sqrt(u' s u). scratch[m]. */
void bnf_la_power_gram(int64_t m, const double *s, bnf_la_power_rule rule, double *u, double *scratch,
                       bnf_la_power_result *result);

#endif
