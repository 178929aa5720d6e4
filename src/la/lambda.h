/* la/lambda.h - private to src/la: proven upper bounds of the largest eigenvalue of a symmetric matrix. */
#ifndef BNF_LA_LAMBDA_H
#define BNF_LA_LAMBDA_H

#include <banff/base.h>

/* Every symmetric matrix whose distance from s is at most `error` in the 2-norm is spoken of. */
typedef struct bnf_la_lambda {
    int64_t m;
    const double *s; /* [m,m], of which the lower triangle (row-major) counts */
    double *b;       /* [m,m] workspace for the factorisation */
    double error;
} bnf_la_lambda;

/* Tries to prove lambda_max <= tau + slack by a Cholesky factorisation of tau I - s (la/svd.h, 2.); returns that sum,
 * or a negative number if the proof failed. */
double bnf_la_lambda_prove(const bnf_la_lambda *l, double tau);

/* [out] upper  a proven bound, close to the guess `lambda` if that is not below lambda_max. Errors: BNF_ERR_NUMERIC. */
bnf_status bnf_la_lambda_upper(const bnf_la_lambda *l, double lambda, double *upper);

#endif
