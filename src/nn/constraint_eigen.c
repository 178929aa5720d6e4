/* nn/constraint_eigen.c - spectral normalisation and Bjorck steps through the eigendecomposition of the smaller Gram
 * matrix.
 *
 * With S the Gram matrix of raw W, sigma = sqrt(u' S u), s = sigma + eps, mu = eigenvalues of S / s^2 (the squared
 * singular values that the steps begin with), the k-th iterate is W_k = A_k W / s with A_k = a_k(S / s^2) and the
 * scalar map
 *     a_0 = 1,   a_{k+1} = a_k p_k,   p_k = (1 + beta) - beta mu a_k^2.
 * Singular value i of W_k is sqrt(mu_i) a_k(mu_i), so ||W_{k+1} - W_k||_F^2 = sum_i mu_i (a_{k+1} - a_k)^2.
 *
 * Derivative: for a polynomial a, d a(M) = V (F o V' dM V) V' with the divided differences F_ij = a[mu_i, mu_j]
 *             (Daleckii and
 * Krein). The product rule of divided differences, (fg)[x,y] = f(x) g[x,y] + f[x,y] g(y), turns the recursion of a_k
 * into one for F without any division, so equal and close eigenvalues need no special case. */
#include "base/assert.h"
#include "base/mem.h"
#include "la/eig.h"
#include "la/vec.h"
#include "nn/constraint_forms.h"

#include <math.h>
#include <string.h>

struct bnf_bjorck_eigen {
    bnf_side side;
    int max_steps;
    void *scratch;   /* of the Gram matrix or the eigendecomposition */
    double *v;       /* [m,m] Gram matrix, then its eigenvectors as rows */
    double *t1, *t2; /* [m,m] */
    double *mu;      /* [m] */
    double *a;       /* [max_steps + 1, m] values of a_k */
    double *p;       /* [max_steps, m] values of p_k */
    double *row;     /* [m] one row of divided differences; scratch of the power iteration */
    double *u;       /* [m] of the last forward */
    void *b;         /* [m,m], matrix type: W_eff = factor b W */
    void *x;         /* [m,m], matrix type */
    bnf_bjorck_rule rule;
    double sigma, scale;
    int steps;
};

static bnf_status allocate(bnf_bjorck_eigen *e)
{
    bnf_side s = e->side;
    size_t m = (size_t)s.m, mm = m * m * sizeof(double), t = bnf_dtype_size(s.t), steps = (size_t)e->max_steps;
    size_t gram = bnf_la_gram_scratch(s.t, s.rows, s.cols), eig = bnf_la_eig_scratch(s.m, true);
    BNF_TRY(bnf_alloc(gram > eig ? gram : eig, "constraint: scratch", &e->scratch));
    BNF_TRY(bnf_alloc(mm, "constraint: eigenvectors", &e->v));
    BNF_TRY(bnf_alloc(mm, "constraint: workspace", &e->t1));
    BNF_TRY(bnf_alloc(mm, "constraint: workspace", &e->t2));
    BNF_TRY(bnf_alloc(m * sizeof(double), "constraint: eigenvalues", &e->mu));
    BNF_TRY(bnf_alloc((steps + 1) * m * sizeof(double), "constraint: scalar steps", &e->a));
    BNF_TRY(bnf_alloc(steps * m * sizeof(double), "constraint: scalar steps", &e->p));
    BNF_TRY(bnf_alloc(m * sizeof(double), "constraint: workspace", &e->row));
    BNF_TRY(bnf_alloc(m * sizeof(double), "constraint: vector", &e->u));
    BNF_TRY(bnf_alloc(m * m * t, "constraint: workspace", &e->b));
    return bnf_alloc(m * m * t, "constraint: workspace", &e->x);
}

bnf_status bnf_bjorck_eigen_create(bnf_side side, int max_steps, bnf_bjorck_eigen **out)
{
    BNF_ASSERT(max_steps >= 1);
    if (side.m > BNF_LA_EIG_MAX)
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "constraint of a %lld x %lld matrix: the eigen form handles smaller sides up to %d",
                        (long long)side.rows, (long long)side.cols, BNF_LA_EIG_MAX);
    bnf_bjorck_eigen *e = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *e, "constraint", &e));
    e->side = side;
    e->max_steps = max_steps;
    bnf_status s = allocate(e);
    if (s != BNF_OK)
        bnf_bjorck_eigen_destroy(e);
    else
        *out = e;
    return s;
}

void bnf_bjorck_eigen_destroy(bnf_bjorck_eigen *e)
{
    if (!e)
        return;
    bnf_free(e->x);
    bnf_free(e->b);
    bnf_free(e->u);
    bnf_free(e->row);
    bnf_free(e->p);
    bnf_free(e->a);
    bnf_free(e->mu);
    bnf_free(e->t2);
    bnf_free(e->t1);
    bnf_free(e->v);
    bnf_free(e->scratch);
    bnf_free(e);
}

/* Runs the scalar recursions; returns ||W_new - W_old||_F of the last step. */
static double scalar_steps(bnf_bjorck_eigen *e)
{
    int64_t m = e->side.m;
    double beta = e->rule.beta, change = 0.0;
    for (int64_t i = 0; i < m; i++)
        e->a[i] = 1.0;
    for (e->steps = 0; e->steps < e->max_steps;) {
        const double *a = e->a + e->steps * m;
        double *p = e->p + e->steps * m, *next = e->a + ++e->steps * m, sum = 0.0;
        for (int64_t i = 0; i < m; i++) {
            p[i] = (1.0 + beta) - beta * e->mu[i] * a[i] * a[i];
            next[i] = a[i] * p[i];
            sum += fmax(e->mu[i], 0.0) * (next[i] - a[i]) * (next[i] - a[i]);
        }
        change = sqrt(sum);
        if (change < e->rule.tolerance)
            break;
    }
    return change;
}

/* out = v' diag(d) v for the eigenvectors in the rows of v. Uses t1. */
static void from_eigenvalues(bnf_bjorck_eigen *e, const double *d, double by, double *out)
{
    int64_t m = e->side.m;
    for (int64_t i = 0; i < m; i++)
        bnf_la_axpby(BNF_F64, m, d[i] * by, e->v + i * m, 0.0, e->t1 + i * m);
    bnf_la_gemm(BNF_F64, true, false, m, m, m, 1.0, e->v, m, e->t1, m, 0.0, out, m);
}

bnf_status bnf_bjorck_eigen_forward(bnf_bjorck_eigen *e, const bnf_bjorck_rule *rule, const void *raw, double *u,
                                    void *eff, bnf_constraint_stats *stats)
{
    bnf_side s = e->side;
    bnf_la_power_result power;
    bnf_la_gram_f64(s.t, s.rows, s.cols, raw, e->scratch, e->v);
    bnf_la_power_gram(s.m, e->v, rule->power, u, e->row, &power);
    memcpy(e->u, u, (size_t)s.m * sizeof(double));
    e->rule = *rule;
    e->sigma = power.sigma;
    e->scale = power.sigma + rule->eps;
    bnf_status status = bnf_la_eig(s.m, true, e->v, e->mu, e->scratch);
    if (status != BNF_OK)
        return bnf_fail_context(status, "constraint of a %lld x %lld matrix", (long long)s.rows, (long long)s.cols);
    if (!(e->scale > 0.0) || !isfinite(e->scale))
        return bnf_fail(BNF_ERR_NUMERIC, "constraint of a %lld x %lld matrix: its norm estimate is %g",
                        (long long)s.rows, (long long)s.cols, power.sigma);
    bnf_la_axpby(BNF_F64, s.m, 1.0 / (e->scale * e->scale), e->mu, 0.0, e->mu);
    if (!(e->mu[s.m - 1] < (2.0 + rule->beta) / rule->beta)) /* beyond it x -> (1 + b) x - b x^3 grows without end */
        return bnf_fail(BNF_ERR_NUMERIC,
                        "constraint of a %lld x %lld matrix: the Bjorck steps diverge, power iteration found "
                        "sigma %g where the norm is %g",
                        (long long)s.rows, (long long)s.cols, power.sigma, sqrt(e->mu[s.m - 1]) * e->scale);
    double change = scalar_steps(e);
    from_eigenvalues(e, e->a + e->steps * s.m, 1.0 / e->scale, e->t2);
    bnf_la_convert(BNF_F64, s.t, s.m * s.m, e->t2, e->b);
    bnf_side_apply(s, rule->factor, e->b, raw, 0.0, eff);
    *stats = (bnf_constraint_stats){power.sigma, power.iterations, e->steps, change};
    return BNF_OK;
}

/* mat[m,m] (symmetric) becomes F o mat, F the divided differences of the last a_k; F_ii is its derivative. */
static void times_divided_differences(bnf_bjorck_eigen *e, double *mat)
{
    int64_t m = e->side.m;
    double beta = e->rule.beta, *restrict d = e->row;
    for (int64_t i = 0; i < m; i++) {
        double mu = e->mu[i];
        for (int64_t j = i; j < m; j++)
            d[j] = 0.0;
        for (int k = 0; k < e->steps; k++) {
            const double *restrict a = e->a + k * m, *restrict p = e->p + k * m;
            double ai = a[i];
            for (int64_t j = i; j < m; j++)
                d[j] = d[j] * p[j] - beta * ai * (mu * (ai + a[j]) * d[j] + a[j] * a[j]);
        }
        for (int64_t j = i; j < m; j++) {
            mat[i * m + j] *= d[j];
            mat[j * m + i] = mat[i * m + j];
        }
    }
}

/* t1 = symmetric part of the derivative of the loss by B (W_eff = B W), in f64, from x[m,m]. */
static void load_symmetric(bnf_bjorck_eigen *e)
{
    int64_t m = e->side.m;
    bnf_la_convert(e->side.t, BNF_F64, m * m, e->x, e->t1);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = i; j < m; j++) {
            double mean = 0.5 * (e->t1[i * m + j] + e->t1[j * m + i]);
            e->t1[i * m + j] = e->t1[j * m + i] = mean;
        }
}

/* With B = a(S / s^2) / s:  dB = a'(S / s^2)[dS] / s^3 - (a / s^2 + 2 mu a' / s^2) ds  in the eigenbasis, ds = u' dS u
 * / (2 sigma). On entry t1 holds the derivative by B; on return the one by S. */
static void back_to_gram(bnf_bjorck_eigen *e)
{
    int64_t m = e->side.m;
    const double *a = e->a + e->steps * m;
    double s = e->scale, by_scale = 0.0;
    bnf_la_gemm(BNF_F64, false, false, m, m, m, 1.0, e->v, m, e->t1, m, 0.0, e->t2, m);
    bnf_la_gemm(BNF_F64, false, true, m, m, m, 1.0, e->t2, m, e->v, m, 0.0, e->t1, m);
    for (int64_t i = 0; i < m; i++)
        by_scale -= e->t1[i * m + i] * a[i];
    times_divided_differences(e, e->t1);
    for (int64_t i = 0; i < m; i++) /* t1_ii now holds the product with a'(mu_i) */
        by_scale -= 2.0 * e->mu[i] * e->t1[i * m + i];
    by_scale /= s * s;
    bnf_la_gemm(BNF_F64, true, false, m, m, m, 1.0, e->v, m, e->t1, m, 0.0, e->t2, m);
    bnf_la_gemm(BNF_F64, false, false, m, m, m, 1.0 / (s * s * s), e->t2, m, e->v, m, 0.0, e->t1, m);
    if (e->sigma > 0.0)
        bnf_la_ger(BNF_F64, m, m, by_scale / (2.0 * e->sigma), e->u, e->u, e->t1);
}

void bnf_bjorck_eigen_backward(bnf_bjorck_eigen *e, const void *raw, const void *grad_eff, void *grad_raw)
{
    bnf_side s = e->side;
    bnf_side_cross(s, e->rule.factor, grad_eff, raw, e->x);
    load_symmetric(e);
    back_to_gram(e);
    bnf_la_axpby(BNF_F64, s.m * s.m, 2.0, e->t1, 0.0, e->t1);
    bnf_la_convert(BNF_F64, s.t, s.m * s.m, e->t1, e->x);
    bnf_side_apply(s, e->rule.factor, e->b, grad_eff, 0.0, grad_raw);
    bnf_side_apply(s, 1.0, e->x, raw, 1.0, grad_raw);
}
