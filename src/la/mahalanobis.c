/* la/mahalanobis.c */
#include "la/mahalanobis.h"

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "la/blas.h"
#include "la/blockcyclic_impl.h"
#include "la/single.h"
#include "la/vec.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 64, ROWS = 64 }; /* of the covariance; vectors that are solved for at a time */

struct bnf_mahalanobis {
    const bnf_grid *grid;
    int64_t dims, count;
    double *origin, *sum;   /* [dims] the first vector; sum of x - origin, after the fit the mean */
    bnf_blockcyclic *outer; /* sum of (x - origin) (x - origin)', blocks on and below the diagonal */
    double *factor;         /* [dims,dims] after the fit */
};

bnf_status bnf_mahalanobis_create(const bnf_grid *grid, int64_t dims, bnf_mahalanobis **cloud)
{
    bnf_mahalanobis *m = NULL;
    if (dims < 1)
        return bnf_fail(BNF_ERR_ARG, "distances of vectors of %lld numbers", (long long)dims);
    bnf_status s = bnf_calloc(1, sizeof *m, "cloud of vectors", &m);
    if (s == BNF_OK) {
        m->grid = grid;
        m->dims = dims;
        s = bnf_calloc((size_t)dims, sizeof *m->origin, "cloud of vectors", &m->origin);
    }
    if (s == BNF_OK)
        s = bnf_calloc((size_t)dims, sizeof *m->sum, "cloud of vectors", &m->sum);
    s = bnf_comm_agree(grid->comm, s);
    if (s == BNF_OK)
        s = bnf_blockcyclic_create(grid, dims, dims, BLOCK, &m->outer);
    if (s != BNF_OK)
        bnf_mahalanobis_destroy(m);
    else
        *cloud = m;
    return s;
}

void bnf_mahalanobis_destroy(bnf_mahalanobis *m)
{
    if (!m)
        return;
    bnf_blockcyclic_destroy(m->outer);
    bnf_free(m->factor);
    bnf_free(m->sum);
    bnf_free(m->origin);
    bnf_free(m);
}

int64_t bnf_mahalanobis_count(const bnf_mahalanobis *m)
{
    return m->count;
}

const double *bnf_mahalanobis_mean(const bnf_mahalanobis *m)
{
    return m->sum;
}

const double *bnf_mahalanobis_factor(const bnf_mahalanobis *m)
{
    return m->factor;
}

/* ---- sums ---- */

static bnf_status check_finite(const bnf_mahalanobis *m, int64_t rows, const float *x)
{
    for (int64_t i = 0; i < rows * m->dims; i++)
        if (!isfinite(x[i]))
            return bnf_fail(BNF_ERR_NUMERIC, "covariance: component %lld of vector %lld is %s",
                            (long long)(i % m->dims), (long long)(m->count + i / m->dims),
                            isnan(x[i]) ? "NaN" : "infinite");
    return BNF_OK;
}

/* Adds the products of y[rows,dims] to this rank's blocks. */
static void add_outer(bnf_blockcyclic *c, int64_t rows, const double *y)
{
    const bnf_grid *g = c->grid;
    for (int64_t j = 0; j < c->local_cols; j += BLOCK)
        for (int64_t i = 0; i < c->local_rows; i += BLOCK) {
            int64_t row = bnf_global_index(i, BLOCK, g->my_row, g->rows),
                    col = bnf_global_index(j, BLOCK, g->my_col, g->cols);
            if (row < col)
                continue;
            int64_t height = bnf_block_length(c->rows, BLOCK, row / BLOCK),
                    width = bnf_block_length(c->cols, BLOCK, col / BLOCK);
            bnf_la_gemm(BNF_F64, true, false, width, height, rows, 1, y + col, c->cols, y + row, c->cols, 1,
                        c->local + j * c->local_rows + i, c->local_rows); /* local: column by column */
        }
}

bnf_status bnf_mahalanobis_add(bnf_mahalanobis *m, int64_t rows, const float *x)
{
    double *y = NULL;
    bnf_status s = check_finite(m, rows, x);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(rows * m->dims) * sizeof *y, "covariance: vectors", &y);
    s = bnf_comm_agree(m->grid->comm, s);
    if (s == BNF_OK && rows > 0) {
        if (m->count == 0)
            bnf_la_convert(BNF_F32, BNF_F64, m->dims, x, m->origin);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < m->dims; k++) {
                double d = (double)x[i * m->dims + k] - m->origin[k];
                y[i * m->dims + k] = d;
                m->sum[k] += d;
            }
        add_outer(m->outer, rows, y);
        m->count += rows;
    }
    bnf_free(y);
    return s;
}

/* ---- the factor ---- */

/* The sums become the covariance, its sums of x - origin the mean. [out] variance[dims]. */
static bnf_status finish_sums(bnf_mahalanobis *m, double *variance)
{
    const bnf_grid *g = m->grid;
    bnf_blockcyclic *c = m->outer;
    double n = (double)m->count;
    memset(variance, 0, (size_t)m->dims * sizeof *variance);
    for (int64_t j = 0; j < c->local_cols; j++)
        for (int64_t i = 0; i < c->local_rows; i++) {
            int64_t row = bnf_global_index(i, BLOCK, g->my_row, g->rows),
                    col = bnf_global_index(j, BLOCK, g->my_col, g->cols);
            double *v = &c->local[j * c->local_rows + i];
            *v = (*v - m->sum[row] / n * m->sum[col]) / (n - 1);
            if (row == col)
                variance[row] = *v;
        }
    for (int64_t k = 0; k < m->dims; k++)
        m->sum[k] = m->origin[k] + m->sum[k] / n;
    return bnf_comm_allreduce_f64(g->comm, BNF_COMM_SUM, variance, m->dims); /* every term but one is 0 */
}

static bnf_status not_positive(const bnf_mahalanobis *m, double ridge)
{
    return bnf_fail(BNF_ERR_NUMERIC,
                    "the covariance of %lld vectors of %lld numbers is not positive definite%s: take more vectors or a "
                    "larger ridge (now %g)",
                    (long long)m->count, (long long)m->dims,
                    m->count <= m->dims ? ", as there are not more vectors than numbers" : "", ridge);
}

/* full[dims,dims] on the grid's first rank becomes its factor there. *bad: there is none. Collective over the grid. */
static bnf_status factorise(const bnf_grid *grid, int64_t dims, double *full, int64_t *bad)
{
    const int one = 1, n = (int)dims;
    bnf_blockcyclic *c = NULL;
    int info = 0;
    BNF_TRY(bnf_blockcyclic_create(grid, dims, dims, BLOCK, &c));
    bnf_status s = bnf_blockcyclic_scatter(c, full);
    if (s == BNF_OK) {
        int threads = bnf_la_single_begin();
        pdpotrf_("L", &n, c->local, &one, &one, c->descriptor, &info, 1);
        bnf_la_single_end(threads);
        *bad = info != 0;
        s = bnf_comm_allreduce_i64(grid->comm, BNF_COMM_MAX, bad, 1);
    }
    if (s == BNF_OK)
        s = bnf_blockcyclic_gather(c, full);
    bnf_blockcyclic_destroy(c);
    return s;
}

/* A pivot that is all rounding error counts as 0. */
static bool pivots_hold(const bnf_mahalanobis *m, const double *variance)
{
    for (int64_t k = 0; k < m->dims; k++) {
        double pivot = m->factor[k * m->dims + k];
        if (!(pivot * pivot > (double)m->dims * 0x1p-52 * variance[k]) || !isfinite(pivot))
            return false;
    }
    return true;
}

/* variance[dims] with the ridge. */
static bnf_status make_factor(bnf_mahalanobis *m, double ridge, const bnf_grid *grid, const double *variance)
{
    const bnf_comm *comm = m->grid->comm;
    bool works = bnf_comm_rank(comm) == 0 || bnf_comm_size(grid->comm) > 1;
    int64_t n = m->dims, bad = 0;
    BNF_TRY(bnf_blockcyclic_gather(m->outer, m->factor));
    if (bnf_comm_rank(comm) == 0)
        for (int64_t k = 0; k < n; k++)
            m->factor[k * n + k] = variance[k];
    BNF_TRY(bnf_comm_agree(comm, works ? factorise(grid, n, m->factor, &bad) : BNF_OK));
    BNF_TRY(bnf_comm_bcast(comm, 0, m->factor, n * n * (int64_t)sizeof *m->factor));
    for (int64_t i = 0; i < n; i++)
        memset(m->factor + i * n + i + 1, 0, (size_t)(n - i - 1) * sizeof *m->factor);
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_MAX, &bad, 1));
    return bad || !pivots_hold(m, variance) ? not_positive(m, ridge) : BNF_OK;
}

bnf_status bnf_mahalanobis_fit(bnf_mahalanobis *m, double ridge, const bnf_grid *factor_grid)
{
    double *variance = NULL, mean = 0;
    BNF_ASSERT(!m->factor);
    if (m->count < 2 || !(ridge >= 0 && isfinite(ridge)))
        return bnf_fail(BNF_ERR_ARG, "a covariance of %lld vectors with a ridge of %g", (long long)m->count, ridge);
    if (ridge == 0 && m->count <= m->dims)
        return not_positive(m, ridge);
    bnf_status s = bnf_alloc((size_t)m->dims * sizeof *variance, "variances", &variance);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(m->dims * m->dims) * sizeof *m->factor, "factor of the covariance", &m->factor);
    s = bnf_comm_agree(m->grid->comm, s);
    if (s == BNF_OK)
        s = finish_sums(m, variance);
    for (int64_t k = 0; s == BNF_OK && k < m->dims; k++)
        mean += variance[k] / (double)m->dims;
    for (int64_t k = 0; s == BNF_OK && k < m->dims; k++)
        variance[k] += ridge * mean;
    if (s == BNF_OK)
        s = make_factor(m, ridge, factor_grid, variance);
    bnf_free(variance);
    return s;
}

/* ---- distances ---- */

/* Of up to ROWS vectors; y[ROWS,dims] is scratch. Always the same call, so that bits do not depend on who makes it. */
static void solve(const bnf_mahalanobis *m, int64_t rows, const float *x, double *y, double *square)
{
    int n = (int)m->dims;
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t k = 0; k < m->dims; k++)
            y[i * m->dims + k] = i < rows ? (double)x[i * m->dims + k] - m->sum[k] : 0;
    int threads = bnf_la_single_begin();
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, ROWS, n, 1, m->factor, n, y, n);
    bnf_la_single_end(threads);
    for (int64_t i = 0; i < rows; i++) {
        double d = bnf_la_dot(BNF_F64, m->dims, y + i * m->dims, y + i * m->dims);
        square[i] = isfinite(d) ? d : NAN;
    }
}

/* First vector of a rank, whose ranges end between blocks of ROWS. */
static int64_t share(int64_t rows, int rank, int ranks)
{
    int64_t blocks = bnf_block_count(rows, ROWS), first = blocks * rank / ranks * ROWS;
    return first < rows ? first : rows;
}

bnf_status bnf_mahalanobis_squares(const bnf_mahalanobis *m, int64_t rows, const float *x, double *square)
{
    const bnf_comm *comm = m->grid->comm;
    int rank = bnf_comm_rank(comm), ranks = bnf_comm_size(comm);
    int64_t first = share(rows, rank, ranks), end = share(rows, rank + 1, ranks), *bytes = NULL;
    double *y = NULL, *mine = NULL;
    BNF_ASSERT(m->factor);
    bnf_status s = bnf_alloc((size_t)(ROWS * m->dims) * sizeof *y, "distances", &y);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(end - first) * sizeof *mine, "distances", &mine);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)ranks * sizeof *bytes, "distances", &bytes);
    s = bnf_comm_agree(comm, s);
    for (int64_t i = first; s == BNF_OK && i < end; i += ROWS)
        solve(m, end - i < ROWS ? end - i : ROWS, x + i * m->dims, y, mine + (i - first));
    for (int r = 0; s == BNF_OK && r < ranks; r++)
        bytes[r] = (share(rows, r + 1, ranks) - share(rows, r, ranks)) * (int64_t)sizeof *square;
    if (s == BNF_OK)
        s = bnf_comm_allgatherv(comm, mine, bytes, square);
    bnf_free(bytes);
    bnf_free(mine);
    bnf_free(y);
    return s;
}
