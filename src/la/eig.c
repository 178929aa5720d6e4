/* la/eig.c */
#include "la/eig.h"

#include "base/assert.h"
#include "la/lapack.h"
#include "la/single.h"
#include "la/vec.h"

static int64_t work_length(int64_t m, bool vectors)
{
    return vectors ? 1 + 6 * m + 2 * m * m : 2 * m + 1;
}

static int64_t iwork_length(int64_t m, bool vectors)
{
    return vectors ? 3 + 5 * m : 1;
}

size_t bnf_la_eig_scratch(int64_t m, bool vectors)
{
    BNF_ASSERT(m >= 1 && m <= BNF_LA_EIG_MAX);
    return (size_t)work_length(m, vectors) * sizeof(double) + (size_t)iwork_length(m, vectors) * sizeof(int);
}

bnf_status bnf_la_eig(int64_t m, bool vectors, double *a, double *lambda, void *scratch)
{
    if (!bnf_la_finite(BNF_F64, m * m, a))
        return bnf_fail(BNF_ERR_NUMERIC, "eigenvalues of a %lld x %lld matrix: it holds a NaN or infinity",
                        (long long)m, (long long)m);
    int n = (int)m, lwork = (int)work_length(m, vectors), liwork = (int)iwork_length(m, vectors), info = 0;
    double *work = scratch;
    int *iwork = (int *)(work + lwork);
    int threads = bnf_la_single_begin();
    dsyevd_(vectors ? "V" : "N", "U", &n, a, &n, lambda, work, &lwork, iwork, &liwork, &info, 1, 1);
    bnf_la_single_end(threads);
    BNF_ASSERT(info >= 0);
    if (info > 0)
        return bnf_fail(BNF_ERR_NUMERIC, "eigenvalues of a %lld x %lld matrix did not converge (LAPACK info %d)",
                        (long long)m, (long long)m, info);
    return BNF_OK;
}
