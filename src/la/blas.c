/* la/blas.c */
#include "la/blas.h"

#include "base/assert.h"
#include "la/single.h"

#include <cblas.h>
#include <dnnl.h>
#include <limits.h>
#include <string.h>

#define GRAM_CHUNK \
    512 /* long-side extent converted to f64 at a time: 256 x 512 x 8 B stays in the second-level cache */

static int narrow(int64_t x)
{
    BNF_ASSERT(x >= 0 && x <= INT_MAX);
    return (int)x;
}

static CBLAS_TRANSPOSE cblas_op(bool t)
{
    return t ? CblasTrans : CblasNoTrans;
}

static void gemm_f32(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                     const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    if (!tb) {
        dnnl_status_t s = dnnl_sgemm(ta ? 'T' : 'N', 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        BNF_ASSERT(s == dnnl_success);
        return;
    }
    cblas_sgemm(CblasRowMajor, cblas_op(ta), CblasTrans, narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b,
                narrow(ldb), beta, c, narrow(ldc));
}

void bnf_la_gemm(bnf_dtype t, bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a,
                 int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    if (m == 0 || n == 0)
        return;
    int threads = bnf_la_single_begin();
    if (t == BNF_F32)
        gemm_f32(ta, tb, m, n, k, (float)alpha, a, lda, b, ldb, (float)beta, c, ldc);
    else
        cblas_dgemm(CblasRowMajor, cblas_op(ta), cblas_op(tb), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda),
                    b, narrow(ldb), beta, c, narrow(ldc));
    bnf_la_single_end(threads);
}

void bnf_la_gemv(bnf_dtype t, bool trans, int64_t rows, int64_t cols, const void *a, const void *x, void *y)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    int threads = bnf_la_single_begin();
    if (t == BNF_F32)
        cblas_sgemv(CblasRowMajor, cblas_op(trans), narrow(rows), narrow(cols), 1.0f, a, narrow(cols), x, 1, 0.0f, y,
                    1);
    else
        cblas_dgemv(CblasRowMajor, cblas_op(trans), narrow(rows), narrow(cols), 1.0, a, narrow(cols), x, 1, 0.0, y, 1);
    bnf_la_single_end(threads);
}

void bnf_la_ger(bnf_dtype t, int64_t rows, int64_t cols, double alpha, const void *x, const void *y, void *a)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    int threads = bnf_la_single_begin();
    if (t == BNF_F32)
        cblas_sger(CblasRowMajor, narrow(rows), narrow(cols), (float)alpha, x, 1, y, 1, a, narrow(cols));
    else
        cblas_dger(CblasRowMajor, narrow(rows), narrow(cols), alpha, x, 1, y, 1, a, narrow(cols));
    bnf_la_single_end(threads);
}

size_t bnf_la_gram_scratch(bnf_dtype t, int64_t rows, int64_t cols)
{
    if (t == BNF_F64)
        return 0;
    int64_t small = rows < cols ? rows : cols, large = rows < cols ? cols : rows;
    return (size_t)(small * (large < GRAM_CHUNK ? large : GRAM_CHUNK)) * sizeof(double);
}

/* buf = w[r0:r1, c0:c1] as f64, contiguous. */
static void widen_block(const float *w, int64_t ld, int64_t r0, int64_t r1, int64_t c0, int64_t c1, double *buf)
{
    for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++)
            *buf++ = (double)w[r * ld + c];
}

static void gram_f32(int64_t rows, int64_t cols, const float *w, double *buf, double *s)
{
    bool tall = rows > cols;
    int64_t m = tall ? cols : rows, n = tall ? rows : cols;
    for (int64_t k = 0; k < n; k += GRAM_CHUNK) {
        int64_t end = k + GRAM_CHUNK < n ? k + GRAM_CHUNK : n;
        double beta = k ? 1.0 : 0.0;
        if (tall)
            widen_block(w, cols, k, end, 0, cols, buf);
        else
            widen_block(w, cols, 0, rows, k, end, buf);
        cblas_dsyrk(CblasRowMajor, CblasUpper, tall ? CblasTrans : CblasNoTrans, narrow(m), narrow(end - k), 1.0, buf,
                    narrow(tall ? m : end - k), beta, s, narrow(m));
    }
}

void bnf_la_gram_f64(bnf_dtype t, int64_t rows, int64_t cols, const void *w, void *scratch, double *s)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    bool tall = rows > cols;
    int64_t m = tall ? cols : rows, n = tall ? rows : cols;
    int threads = bnf_la_single_begin();
    if (t == BNF_F32)
        gram_f32(rows, cols, w, scratch, s);
    else
        cblas_dsyrk(CblasRowMajor, CblasUpper, tall ? CblasTrans : CblasNoTrans, narrow(m), narrow(n), 1.0, w,
                    narrow(cols), 0.0, s, narrow(m));
    bnf_la_single_end(threads);
    for (int64_t i = 1; i < m; i++)
        for (int64_t j = 0; j < i; j++)
            s[i * m + j] = s[j * m + i];
}
