/* la/svd.c */
#include "la/svd.h"

#include "base/mem.h"
#include "la/blas.h"
#include "la/eig.h"
#include "la/lambda.h"
#include "la/lapack.h"
#include "la/outward.h"
#include "la/single.h"
#include "la/vec.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

static bnf_status check_input(const char *what, bnf_dtype t, int64_t rows, int64_t cols, const void *w)
{
    if (t != BNF_F32 && t != BNF_F64)
        return bnf_fail(BNF_ERR_ARG, "%s: element type %s is not real", what, bnf_dtype_name(t));
    if (rows < 1 || cols < 1 || rows > INT_MAX || cols > INT_MAX)
        return bnf_fail(BNF_ERR_ARG, "%s: a %lld x %lld matrix is not possible", what, (long long)rows,
                        (long long)cols);
    if (!bnf_la_finite(t, rows * cols, w))
        return bnf_fail(BNF_ERR_NUMERIC, "%s: the %lld x %lld matrix holds a NaN or infinity", what, (long long)rows,
                        (long long)cols);
    return BNF_OK;
}

bnf_status bnf_la_singular_values(bnf_dtype t, int64_t rows, int64_t cols, const void *w, double *s)
{
    BNF_TRY(check_input("singular values", t, rows, cols, w));
    bnf_status status = BNF_OK;
    double *a = NULL, *work = NULL, query = 0.0, unused = 0.0;
    int *iwork = NULL, info = 0, lwork = -1, one = 1;
    int m = (int)cols, n = (int)rows, small = m < n ? m : n; /* row-major w is column-major w' */
    BNF_TRY_GOTO(status, bnf_alloc((size_t)(rows * cols) * sizeof(double), "singular values: matrix", &a), done);
    BNF_TRY_GOTO(status, bnf_alloc(8 * (size_t)small * sizeof(int), "singular values: integer workspace", &iwork),
                 done);
    bnf_la_convert(t, BNF_F64, rows * cols, w, a);
    dgesdd_("N", &m, &n, a, &m, s, &unused, &one, &unused, &one, &query, &lwork, iwork, &info, 1);
    lwork = (int)query;
    BNF_TRY_GOTO(status, bnf_alloc((size_t)lwork * sizeof(double), "singular values: workspace", &work), done);
    int threads = bnf_la_single_begin();
    dgesdd_("N", &m, &n, a, &m, s, &unused, &one, &unused, &one, work, &lwork, iwork, &info, 1);
    bnf_la_single_end(threads);
    if (info != 0)
        status = bnf_fail(BNF_ERR_NUMERIC, "singular values of a %lld x %lld matrix did not converge (LAPACK info %d)",
                          (long long)rows, (long long)cols, info);
done:
    bnf_free(work);
    bnf_free(iwork);
    bnf_free(a);
    return status;
}

static bool all_zero(bnf_dtype t, int64_t n, const void *w)
{
    const float *f = w;
    const double *d = w;
    for (int64_t i = 0; i < n; i++)
        if (t == BNF_F32 ? f[i] != 0.0f : d[i] != 0.0)
            return false;
    return true;
}

bnf_status bnf_la_norm2_upper(bnf_dtype t, int64_t rows, int64_t cols, const void *w, double *upper)
{
    BNF_TRY(check_input("spectral norm bound", t, rows, cols, w));
    int64_t m = rows < cols ? rows : cols, n = rows < cols ? cols : rows;
    if (m > BNF_LA_EIG_MAX)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "spectral norm bound: a side of %lld is above %d", (long long)m,
                        BNF_LA_EIG_MAX);
    bnf_status status = BNF_OK;
    double *s = NULL, *b = NULL, *lambda = NULL;
    void *scratch = NULL;
    size_t bytes = bnf_la_gram_scratch(t, rows, cols), eig_bytes = bnf_la_eig_scratch(m, false);
    BNF_TRY_GOTO(status, bnf_alloc((size_t)(m * m) * sizeof(double), "spectral norm bound: Gram matrix", &s), done);
    BNF_TRY_GOTO(status, bnf_alloc((size_t)(m * m) * sizeof(double), "spectral norm bound: factor", &b), done);
    BNF_TRY_GOTO(status, bnf_alloc((size_t)m * sizeof(double), "spectral norm bound: eigenvalues", &lambda), done);
    BNF_TRY_GOTO(status, bnf_alloc(bytes > eig_bytes ? bytes : eig_bytes, "spectral norm bound: scratch", &scratch),
                 done);
    double fro2 = bnf_la_dot(t, rows * cols, w, w);
    if (fro2 == 0.0) { /* every square underflowed: each |element| is below 2^-537 */
        *upper = all_zero(t, rows * cols, w) ? 0.0 : (double)rows * (double)cols * 0x1p-537;
        goto done;
    }
    bnf_la_gram_f64(t, rows, cols, w, scratch, s);
    memcpy(b, s, (size_t)(m * m) * sizeof(double));
    BNF_TRY_GOTO(status, bnf_la_eig(m, false, b, lambda, scratch), done);
    bnf_la_lambda g = {.m = m, .s = s, .b = b};
    g.error = bnf_la_up(bnf_la_up(bnf_la_gamma_up((double)n) *
                                  bnf_la_up(fro2 * bnf_la_up(1.0 + bnf_la_gamma_up((double)(rows * cols))))) +
                        DBL_MIN);
    double square = 0.0;
    BNF_TRY_GOTO(status, bnf_la_lambda_upper(&g, fmax(lambda[m - 1], 0.0), &square), done);
    *upper = bnf_la_up(sqrt(square));
done:
    bnf_free(scratch);
    bnf_free(lambda);
    bnf_free(b);
    bnf_free(s);
    return status;
}
