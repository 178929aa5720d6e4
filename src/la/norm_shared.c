/* la/norm_shared.c - a proven upper bound of the spectral norm by all ranks together. */
#include "la/norm_shared.h"

#include "base/assert.h"
#include "comm/agree.h"
#include "la/blockcyclic_impl.h"
#include "la/outward.h"
#include "la/single.h"
#include "la/vec.h"

#include <float.h>

#define BLOCK 64 /* any would do: ScaLAPACK's usual one */

typedef struct gram_proof {
    bnf_blockcyclic *w, *s, *b; /* the matrix, its smaller Gram matrix, tau I - s and its factor */
    double error;               /* bound of the computed Gram matrix's error, 2-norm */
} gram_proof;

/* x > 0 rounded up to 24 bits. */
static double coarse_up(double x)
{
    int exponent;
    double mantissa = frexp(x, &exponent);
    return ldexp(ceil(mantissa * 0x1p24), exponent - 24);
}

static void fill(bnf_blockcyclic *m, const float *w, bool absolute)
{
    const bnf_grid *g = m->grid;
    for (int64_t j = 0; j < m->local_cols; j++)
        for (int64_t i = 0; i < m->local_rows; i++) {
            double x = (double)w[bnf_global_index(i, m->block, g->my_row, g->rows) * m->cols +
                                 bnf_global_index(j, m->block, g->my_col, g->cols)];
            m->local[j * m->local_rows + i] = absolute ? fabs(x) : x;
        }
}

/* b = tau I - s; sums[0]: upper bound of the own part of its trace, [1]: largest and [2]: minus the smallest of its
 * diagonal. */
static void shift(const gram_proof *p, double tau, double *sums)
{
    const bnf_grid *g = p->s->grid;
    sums[0] = 0.0;
    sums[1] = sums[2] = -DBL_MAX;
    for (int64_t j = 0; j < p->s->local_cols; j++) {
        int64_t gj = bnf_global_index(j, BLOCK, g->my_col, g->cols);
        for (int64_t i = 0; i < p->s->local_rows; i++) {
            int64_t at = j * p->s->local_rows + i;
            p->b->local[at] = -p->s->local[at];
            if (bnf_global_index(i, BLOCK, g->my_row, g->rows) != gj)
                continue;
            double d = tau - p->s->local[at];
            p->b->local[at] = d;
            sums[0] = bnf_la_up(sums[0] + d);
            sums[1] = fmax(sums[1], d);
            sums[2] = fmax(sums[2], -d);
        }
    }
}

/* Tries to prove lambda_max(exact Gram) <= tau + slack; [out] square is that sum, or negative if the proof failed. */
static bnf_status prove_at(const gram_proof *p, double tau, double *square)
{
    const bnf_comm *comm = p->s->grid->comm;
    const int one = 1, m = (int)p->s->rows;
    double sums[3];
    int info = 0;
    *square = -1.0;
    shift(p, tau, sums);
    BNF_TRY(bnf_comm_allreduce_f64(comm, BNF_COMM_SUM, sums, 1));
    BNF_TRY(bnf_comm_allreduce_f64(comm, BNF_COMM_MAX, sums + 1, 2));
    double trace = bnf_la_up(sums[0] * bnf_la_up(1.0 + bnf_comm_size(comm) * 0x1p-52)); /* any order of the ranks */
    if (!(sums[2] < 0.0))
        return BNF_OK;
    int threads = bnf_la_single_begin();
    pdpotrf_("U", &m, p->b->local, &one, &one, p->b->descriptor, &info, 1);
    bnf_la_single_end(threads);
    int64_t bad = info != 0 || !bnf_la_finite(BNF_F64, p->b->local_rows * p->b->local_cols, p->b->local);
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_MAX, &bad, 1));
    if (bad)
        return BNF_OK;
    double slack = bnf_la_up(bnf_la_gamma_up(4.0 * (double)m + 16.0) * trace);
    slack = bnf_la_up(slack + bnf_la_up(BNF_LA_UNIT * sums[1]));
    slack = bnf_la_up(slack + p->error);
    *square = bnf_la_up(tau + slack);
    return BNF_OK;
}

static bnf_status prove(const gram_proof *p, double sigma, double *upper)
{
    double step = 0x1p-26, square = -1.0;
    for (int attempt = 0; attempt < 40; attempt++, step *= 2.0) {
        BNF_TRY(prove_at(p, coarse_up(sigma * sigma * (1.0 + step) + DBL_MIN), &square));
        if (square >= 0.0 && isfinite(square)) {
            *upper = coarse_up(bnf_la_up(sqrt(square)));
            return BNF_OK;
        }
    }
    return bnf_fail(BNF_ERR_NUMERIC, "no upper bound of the spectral norm of a %lld x %lld matrix could be proven",
                    (long long)p->w->rows, (long long)p->w->cols);
}

static bnf_status bound(gram_proof *p, const bnf_grid *grid, int64_t rows, int64_t cols, double *upper)
{
    bool tall = rows > cols;
    int64_t m = tall ? cols : rows;
    double sigma = 0.0;
    BNF_TRY(bnf_blockcyclic_create(grid, m, m, BLOCK, &p->s));
    BNF_TRY(bnf_blockcyclic_norm2(p->w, &sigma));
    bnf_blockcyclic_gemm(tall, !tall, 1.0, p->w, p->w, 0.0, p->s);
    BNF_TRY(bnf_blockcyclic_create(grid, m, m, BLOCK, &p->b));
    return prove(p, sigma, upper);
}

bnf_status bnf_la_norm2_upper_shared(const bnf_grid *grid, int64_t rows, int64_t cols, const float *w, bool absolute,
                                     double *upper)
{
    gram_proof p = {0};
    BNF_TRY(bnf_blockcyclic_create(grid, rows, cols, BLOCK, &p.w));
    fill(p.w, w, absolute);
    bnf_status s = BNF_OK;
    int64_t n = rows > cols ? rows : cols;
    double fro2 = bnf_la_dot(BNF_F32, rows * cols, w, w); /* in f64: squares of f32 neither overflow nor underflow */
    double gamma = bnf_la_up(1.0 + bnf_la_gamma_up((double)(rows * cols)));
    p.error = bnf_la_up(bnf_la_up(bnf_la_gamma_up((double)n) * bnf_la_up(fro2 * gamma)) + DBL_MIN);
    *upper = 0.0;
    if (!isfinite(fro2))
        s = bnf_fail(BNF_ERR_NUMERIC, "spectral norm bound: the %lld x %lld matrix holds a NaN or infinity",
                     (long long)rows, (long long)cols);
    else if (fro2 > 0.0)
        s = bound(&p, grid, rows, cols, upper);
    bnf_blockcyclic_destroy(p.b);
    bnf_blockcyclic_destroy(p.s);
    bnf_blockcyclic_destroy(p.w);
    return s;
}
