/* nn/polar.c - through one eigendecomposition per forward. */
#include "nn/polar.h"

#include "base/assert.h"
#include "base/mem.h"
#include "la/eig.h"
#include "la/vec.h"
#include "nn/constraint_side.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define MAX_STEPS 64

struct bnf_polar {
    bnf_side side;
    double *v;       /* [m,m] eigenvectors of the Gram matrix as rows */
    double *sigma;   /* [m] singular values */
    double *inverse; /* [m,m] H^-1 */
    double *t1, *t2; /* [m,m] */
    double *q;       /* [rows,cols] of the last forward */
    double *rest;    /* [rows,cols] */
    void *scratch;
    bool ready;
};

static bnf_status allocate(bnf_polar *p)
{
    size_t m = (size_t)p->side.m, square = m * m * sizeof(double), all = m * (size_t)p->side.n * sizeof(double);
    BNF_TRY(bnf_alloc(square, "polar factor: eigenvectors", &p->v));
    BNF_TRY(bnf_alloc(m * sizeof(double), "polar factor: singular values", &p->sigma));
    BNF_TRY(bnf_alloc(square, "polar factor: workspace", &p->inverse));
    BNF_TRY(bnf_alloc(square, "polar factor: workspace", &p->t1));
    BNF_TRY(bnf_alloc(square, "polar factor: workspace", &p->t2));
    BNF_TRY(bnf_alloc(all, "polar factor", &p->q));
    BNF_TRY(bnf_alloc(all, "polar factor: workspace", &p->rest));
    return bnf_alloc(bnf_la_eig_scratch(p->side.m, true), "polar factor: scratch", &p->scratch);
}

bnf_status bnf_polar_create(int64_t rows, int64_t cols, bnf_polar **out)
{
    bnf_side side = bnf_side_of(BNF_F64, rows, cols);
    if (side.m > BNF_LA_EIG_MAX)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "polar factor of a %lld x %lld matrix: smaller sides are at most %d",
                        (long long)rows, (long long)cols, BNF_LA_EIG_MAX);
    bnf_polar *p = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *p, "polar factor", &p));
    p->side = side;
    bnf_status s = allocate(p);
    if (s != BNF_OK)
        bnf_polar_destroy(p);
    else
        *out = p;
    return s;
}

void bnf_polar_destroy(bnf_polar *p)
{
    if (!p)
        return;
    bnf_free(p->scratch);
    bnf_free(p->rest);
    bnf_free(p->q);
    bnf_free(p->t2);
    bnf_free(p->t1);
    bnf_free(p->inverse);
    bnf_free(p->sigma);
    bnf_free(p->v);
    bnf_free(p);
}

/* Newton-Schulz steps until q's smaller Gram matrix is the identity. */
static bnf_status refine(bnf_polar *p)
{
    bnf_side s = p->side;
    double enough = 1e-14 * (double)(s.m > 10 ? s.m : 10);
    for (int step = 0; step < MAX_STEPS; step++) {
        double off = 0;
        bnf_side_cross(s, 1.0, p->q, p->q, p->t1);
        for (int64_t i = 0; i < s.m * s.m; i++) {
            double d = (i % (s.m + 1) == 0 ? 1.0 : 0.0) - p->t1[i];
            off += d * d;
        }
        if (sqrt(off) <= enough)
            return BNF_OK;
        if (!isfinite(off))
            break;
        memcpy(p->rest, p->q, (size_t)(s.rows * s.cols) * sizeof(double));
        bnf_side_apply(s, -0.5, p->t1, p->rest, 1.5, p->q);
    }
    return bnf_fail(BNF_ERR_NUMERIC, "polar factor of a %lld x %lld matrix: it is singular", (long long)s.rows,
                    (long long)s.cols);
}

bnf_status bnf_polar_forward(bnf_polar *p, const double *w, double *q)
{
    bnf_side s = p->side;
    p->ready = false;
    bnf_side_cross(s, 1.0, w, w, p->v);
    bnf_status status = bnf_la_eig(s.m, true, p->v, p->sigma, p->scratch);
    if (status != BNF_OK)
        return bnf_fail_context(status, "polar factor of a %lld x %lld matrix", (long long)s.rows, (long long)s.cols);
    /* Eigenvalues below the error of the Gram matrix say nothing; the steps take it from there. */
    double least = p->sigma[s.m - 1] * DBL_EPSILON * (double)s.n;
    for (int64_t i = 0; i < s.m; i++) {
        p->sigma[i] = sqrt(fmax(p->sigma[i], least));
        bnf_la_axpby(BNF_F64, s.m, p->sigma[i] > 0 ? 1.0 / p->sigma[i] : 0.0, p->v + i * s.m, 0.0, p->t1 + i * s.m);
    }
    bnf_la_gemm(BNF_F64, true, false, s.m, s.m, s.m, 1.0, p->v, s.m, p->t1, s.m, 0.0, p->inverse, s.m);
    bnf_side_apply(s, 1.0, p->inverse, w, 0.0, p->q);
    BNF_TRY(refine(p));
    memcpy(q, p->q, (size_t)(s.rows * s.cols) * sizeof(double));
    p->ready = true;
    return BNF_OK;
}

/* out = v a v' (into the eigenbasis), or v' a v (out of it). Uses t2; out is not a. */
static void change_basis(bnf_polar *p, bool into, const double *a, double *out)
{
    int64_t m = p->side.m;
    bnf_la_gemm(BNF_F64, !into, false, m, m, m, 1.0, p->v, m, a, m, 0.0, p->t2, m);
    bnf_la_gemm(BNF_F64, false, into, m, m, m, 1.0, p->t2, m, p->v, m, 0.0, out, m);
}

void bnf_polar_backward(bnf_polar *p, const double *dq, double *dw)
{
    bnf_side s = p->side;
    BNF_ASSERT(p->ready);
    bnf_side_cross(s, 1.0, s.tall ? p->q : dq, s.tall ? dq : p->q, p->t1);
    if (s.m == s.n) { /* dq - M Q is zero */
        memset(dw, 0, (size_t)(s.rows * s.cols) * sizeof(double));
    } else {
        memcpy(p->rest, dq, (size_t)(s.rows * s.cols) * sizeof(double));
        bnf_side_apply(s, -1.0, p->t1, p->q, 1.0, p->rest);
        bnf_side_apply(s, 1.0, p->inverse, p->rest, 0.0, dw);
    }
    change_basis(p, true, p->t1, p->rest);
    for (int64_t i = 0; i < s.m; i++)
        for (int64_t j = 0; j < s.m; j++) {
            double sum = p->sigma[i] + p->sigma[j];
            p->t1[i * s.m + j] = sum > 0 ? (p->rest[i * s.m + j] - p->rest[j * s.m + i]) / sum : 0.0;
        }
    change_basis(p, false, p->t1, p->rest);
    bnf_side_apply(s, 1.0, p->rest, p->q, 1.0, dw);
}
