/* la/lambda.c */
#include "la/lambda.h"

#include "la/lapack.h"
#include "la/outward.h"
#include "la/single.h"
#include "la/vec.h"

#include <float.h>
#include <math.h>

double bnf_la_lambda_prove(const bnf_la_lambda *l, double tau)
{
    double trace = 0.0, largest = 0.0;
    for (int64_t i = 0; i < l->m * l->m; i++)
        l->b[i] = -l->s[i];
    for (int64_t i = 0; i < l->m; i++) {
        double d = tau - l->s[i * l->m + i];
        if (!(d > 0.0))
            return -1.0;
        l->b[i * l->m + i] = d;
        trace = bnf_la_up(trace + d);
        largest = fmax(largest, d);
    }
    int n = (int)l->m, info = 0;
    int threads = bnf_la_single_begin();
    dpotrf_("U", &n, l->b, &n, &info, 1);
    bnf_la_single_end(threads);
    if (info != 0 || !bnf_la_finite(BNF_F64, l->m * l->m, l->b))
        return -1.0;
    double slack = bnf_la_up(bnf_la_gamma_up(4.0 * (double)l->m + 16.0) * trace);
    slack = bnf_la_up(slack + bnf_la_up(BNF_LA_UNIT * largest));
    slack = bnf_la_up(slack + l->error);
    return bnf_la_up(tau + slack);
}

bnf_status bnf_la_lambda_upper(const bnf_la_lambda *l, double lambda, double *upper)
{
    double step = (double)l->m * 0x1p-51;
    for (int attempt = 0; attempt < 60; attempt++, step *= 2.0) {
        double bound = bnf_la_lambda_prove(l, lambda * (1.0 + step) + DBL_MIN);
        if (bound >= 0.0 && isfinite(bound)) {
            *upper = bound;
            return BNF_OK;
        }
    }
    return bnf_fail(BNF_ERR_NUMERIC,
                    "no upper bound of the spectral norm of a matrix with a side of %lld could be proven",
                    (long long)l->m);
}
