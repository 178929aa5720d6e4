/* la/conv_norm.c */
#include "la/conv_norm.h"

#include "base/gcd.h"
#include "base/mem.h"
#include "la/blas.h"
#include "la/eig.h"
#include "la/lambda.h"
#include "la/outward.h"
#include "la/svd.h"
#include "la/vec.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define MOST_ELEMENTS (INT64_C(1) << 25) /* of all shifts' products */
#define MOST_FLOPS 2e10                  /* for the products */
#define CHUNK 16                         /* grid points at a time */
#define COARSE 8                         /* at most so many points per axis are searched for the largest eigenvalue */
#define PI 3.14159265358979323846

/* A convolution of stride 1 on the phases. */
typedef struct phases {
    int64_t m, n;           /* taps are [m,n], m <= n; of the transposed kernel if out > in s_h s_w */
    int64_t degree[2];      /* taps 0..degree per axis */
    int64_t count;          /* of taps, all */
    double *x;              /* [count][m][n]; NULL where only A is needed */
    double *a;              /* [m][n] sum of |taps| */
    double a_fro2;          /* upper bound of ||A||_F^2 */
    int64_t shifts[2];      /* 2 degree + 1 */
    int64_t t;              /* of shifts, all */
    double *g;              /* [t][m][m] products; g[t / 2] is G_0 */
    double *s, *b, *vector; /* [2m,2m], [2m,2m], [4m] workspace */
    double error;           /* of the real matrix [2m,2m] of a grid point */
} phases;

static void axis(const bnf_la_conv *c, int i, int64_t *stride, int64_t *dilation)
{
    int64_t g = bnf_gcd(c->stride[i], c->dilation[i]);
    *stride = c->stride[i] / g;
    *dilation = *stride == 1 ? 1 : c->dilation[i] / g;
}

static void describe(const bnf_la_conv *c, phases *p)
{
    int64_t s[2], d[2];
    *p = (phases){0};
    for (int i = 0; i < 2; i++) {
        axis(c, i, &s[i], &d[i]);
        p->degree[i] = d[i] * (c->kernel[i] - 1) / s[i];
        p->shifts[i] = 2 * p->degree[i] + 1;
    }
    int64_t channels = c->in * s[0] * s[1];
    p->m = c->out < channels ? c->out : channels;
    p->n = c->out < channels ? channels : c->out;
    p->count = (p->degree[0] + 1) * (p->degree[1] + 1);
    p->t = p->shifts[0] * p->shifts[1];
}

/* a, and with `taps` x, from the kernel. */
static bnf_status fill_taps(const bnf_la_conv *c, const float *w, bool taps, phases *p)
{
    int64_t s[2], d[2], size = p->m * p->n;
    axis(c, 0, &s[0], &d[0]);
    axis(c, 1, &s[1], &d[1]);
    bool tall = c->out > c->in * s[0] * s[1];
    if (taps)
        BNF_TRY(bnf_calloc((size_t)(p->count * size), sizeof *p->x, "convolution's norm: taps", &p->x));
    BNF_TRY(bnf_calloc((size_t)size, sizeof *p->a, "convolution's norm: taps", &p->a));
    for (int64_t o = 0; o < c->out; o++)
        for (int64_t i = 0; i < c->in; i++)
            for (int64_t h = 0; h < c->kernel[0]; h++)
                for (int64_t v = 0; v < c->kernel[1]; v++) {
                    int64_t th = d[0] * h, tw = d[1] * v;
                    int64_t q = th / s[0] * (p->degree[1] + 1) + tw / s[1];
                    int64_t phase = (i * s[0] + th % s[0]) * s[1] + tw % s[1];
                    int64_t at = tall ? phase * p->n + o : o * p->n + phase;
                    double value = (double)w[((o * c->in + i) * c->kernel[0] + h) * c->kernel[1] + v];
                    if (taps)
                        p->x[q * size + at] = value;
                    p->a[at] += fabs(value);
                }
    double up = bnf_la_up(1.0 + bnf_la_gamma_up((double)(size + 2 * p->count + 2)));
    p->a_fro2 = bnf_la_up(bnf_la_dot(BNF_F64, size, p->a, p->a) * up);
    return BNF_OK;
}

static bool zero(int64_t n, const double *x)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

/* G_t for all shifts: half of them by products, the others are transposed. */
static void fill_products(phases *p)
{
    int64_t mm = p->m * p->m, size = p->m * p->n, wide = p->degree[1] + 1;
    for (int64_t t = p->t / 2; t < p->t; t++) {
        int64_t th = t / p->shifts[1] - p->degree[0], tw = t % p->shifts[1] - p->degree[1];
        double *g = p->g + t * mm, *mirrored = p->g + (p->t - 1 - t) * mm;
        memset(g, 0, (size_t)mm * sizeof *g);
        for (int64_t q = 0; q < p->count; q++) {
            int64_t h = q / wide + th, w = q % wide + tw;
            if (h < 0 || w < 0 || h > p->degree[0] || w > p->degree[1])
                continue;
            const double *x = p->x + (h * wide + w) * size, *y = p->x + q * size;
            bnf_la_gemm(BNF_F64, false, true, p->m, p->m, p->n, 1.0, x, p->n, y, p->n, 1.0, g, p->m);
        }
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->m; j++)
                mirrored[j * p->m + i] = g[i * p->m + j]; /* of G_0, which is symmetric but for roundings, itself */
    }
}

static double product_flops(const phases *p)
{
    double pairs = (double)(p->count * p->count + p->count) / 2;
    return 2.0 * pairs * (double)p->m * (double)p->m * (double)p->n;
}

/* [out] square  bound "shifts". */
static bnf_status by_shifts(phases *p, double *square)
{
    int64_t mm = p->m * p->m;
    double *lambda = p->vector, *zeroth = p->g + p->t / 2 * mm, sum = 0;
    void *scratch;
    BNF_TRY(bnf_alloc(bnf_la_eig_scratch(p->m, false), "convolution's norm: scratch", &scratch));
    memcpy(p->b, zeroth, (size_t)mm * sizeof(double));
    bnf_status status = bnf_la_eig(p->m, false, p->b, lambda, scratch);
    bnf_free(scratch);
    BNF_TRY(status);
    bnf_la_lambda l = {.m = p->m, .s = zeroth, .b = p->b, .error = p->error};
    BNF_TRY(bnf_la_lambda_upper(&l, fmax(lambda[p->m - 1], 0.0), square));
    double up = bnf_la_up(1.0 + bnf_la_gamma_up((double)(mm + 4)));
    for (int64_t t = 0; t < p->t; t++)
        if (t != p->t / 2)
            sum = bnf_la_up(sum + bnf_la_up(bnf_la_nrm2(BNF_F64, mm, p->g + t * mm) * up));
    *square = bnf_la_up(*square + sum);
    return BNF_OK;
}

/* ---- grid -------------------------------------------------------------------------------------------------------- */

typedef struct grid {
    int64_t n[2];   /* points per axis; 1 where the degree is 0 */
    int64_t points; /* of one half, which is enough */
    double factor;  /* upper bound of (1 + 1 / (cos cos)) / 2 */
    double *cs;     /* [2 CHUNK][t] cosines and sines */
    double *values; /* [2 CHUNK][m][m] real and imaginary parts */
} grid;

/* With `fine` points per degree. */
static grid grid_of(const phases *p, int64_t fine)
{
    grid g = {.points = 1};
    double product = 1;
    for (int i = 0; i < 2; i++) {
        g.n[i] = p->degree[i] > 0 ? fine * p->degree[i] : 1;
        if (p->degree[i] > 0)
            product = bnf_la_up(product / bnf_la_down(cos(PI / (double)fine) * (1 - 0x1p-48)));
    }
    int half = g.n[1] > 1; /* the axis of which half is taken */
    g.points = g.n[!half] * (g.n[half] > 1 ? g.n[half] / 2 + 1 : 1);
    g.factor = bnf_la_up(0.5 * bnf_la_up(1.0 + product));
    return g;
}

static double grid_flops(const phases *p, const grid *g)
{
    double m = (double)p->m;
    return (double)g->points * ((double)p->t * (4.0 * m * m + 100.0) + 8.0 / 3 * m * m * m + 50.0 * m * m + 2e4);
}

/* Number in the half -> angles' numerators. */
static void place(const grid *g, int64_t k, int64_t *jh, int64_t *jw)
{
    if (g->n[1] > 1) {
        *jh = k / (g->n[1] / 2 + 1);
        *jw = k % (g->n[1] / 2 + 1);
    } else {
        *jh = k;
        *jw = 0;
    }
}

/* values of points k[n]. */
static void evaluate(const phases *p, grid *g, int n, const int64_t *k)
{
    int64_t mm = p->m * p->m, all = g->n[0] * g->n[1];
    for (int i = 0; i < n; i++) {
        int64_t jh, jw;
        place(g, k[i], &jh, &jw);
        for (int64_t t = 0; t < p->t; t++) {
            int64_t th = t / p->shifts[1] - p->degree[0], tw = t % p->shifts[1] - p->degree[1];
            int64_t turn = (th * jh * g->n[1] + tw * jw * g->n[0]) % all;
            double angle = 2 * PI * (double)(turn < 0 ? turn + all : turn) / (double)all;
            g->cs[2 * i * p->t + t] = cos(angle);
            g->cs[(2 * i + 1) * p->t + t] = sin(angle);
        }
    }
    bnf_la_gemm(BNF_F64, false, false, 2 * n, mm, p->t, 1.0, g->cs, p->t, p->g, mm, 0.0, g->values, mm);
}

/* p->s: the real matrix of the i-th of the values. */
static void embed(phases *p, const grid *g, int i)
{
    int64_t m = p->m, mm = m * m;
    const double *re = g->values + 2 * i * mm, *im = re + mm;
    for (int64_t r = 0; r < m; r++) {
        memcpy(p->s + r * 2 * m, re + r * m, (size_t)m * sizeof(double));
        memcpy(p->s + (m + r) * 2 * m, im + r * m, (size_t)m * sizeof(double));
        memcpy(p->s + (m + r) * 2 * m + m, re + r * m, (size_t)m * sizeof(double));
        for (int64_t c = 0; c < m; c++)
            p->s[c * 2 * m + m + r] = im[r * m + c];
    }
}

/* About the largest eigenvalue of p->s, from below. */
static double search(phases *p, int steps)
{
    int64_t n = 2 * p->m;
    double *u = p->vector, *v = p->vector + n, lambda = 0;
    for (int64_t i = 0; i < n; i++)
        u[i] = 1 + 0.5 * sin(2.3 * (double)i);
    for (int k = 0; k < steps; k++) {
        double norm = bnf_la_nrm2(BNF_F64, n, u);
        if (!(norm > 0))
            break;
        bnf_la_axpby(BNF_F64, n, 1 / norm, u, 0.0, u);
        bnf_la_gemv(BNF_F64, false, n, n, p->s, u, v);
        lambda = fmax(lambda, bnf_la_dot(BNF_F64, n, u, v));
        memcpy(u, v, (size_t)n * sizeof *u);
    }
    return lambda;
}

/* A guess at the largest eigenvalue over the grid, from some of its points. */
static double guess(phases *p, grid *g)
{
    double best = 0;
    int64_t k = 0, step[2] = {(g->n[0] + COARSE - 1) / COARSE, (g->n[1] + COARSE - 1) / COARSE}, where = 0;
    for (; k < g->points; k++) {
        int64_t jh, jw;
        place(g, k, &jh, &jw);
        if (jh % step[0] || jw % step[1])
            continue;
        evaluate(p, g, 1, &k);
        embed(p, g, 0);
        double lambda = search(p, 15);
        where = lambda > best ? k : where;
        best = fmax(best, lambda);
    }
    evaluate(p, g, 1, &where);
    embed(p, g, 0);
    return fmax(best, search(p, 100));
}

/* Proves every point; [in,out] tau grows where it has to. */
static bnf_status prove_points(phases *p, grid *g, double *bound)
{
    double tau = guess(p, g) * (1 + 1e-4) + DBL_MIN, step = 1e-4;
    bnf_la_lambda l = {.m = 2 * p->m, .s = p->s, .b = p->b, .error = p->error};
    int attempts = 0;
    *bound = 0;
    for (int64_t first = 0; first < g->points; first += CHUNK) {
        int64_t k[CHUNK];
        int n = 0;
        for (; n < CHUNK && first + n < g->points; n++)
            k[n] = first + n;
        evaluate(p, g, n, k);
        for (int i = 0; i < n; i++) {
            double proven;
            embed(p, g, i);
            while (!((proven = bnf_la_lambda_prove(&l, tau)) >= 0) || !isfinite(proven)) {
                if (attempts++ > 200)
                    return bnf_fail(BNF_ERR_NUMERIC, "no upper bound of a convolution's norm could be proven");
                tau = fmax(tau * (1 + step), search(p, 100) * (1 + 1e-4));
                step *= attempts > 20 ? 2 : 1;
            }
            *bound = fmax(*bound, proven);
        }
    }
    return BNF_OK;
}

/* [out] square  bound "grid"; INFINITY if it would take too long. */
static bnf_status by_grid(phases *p, double share, double *square, int64_t n[2])
{
    static const struct {
        int64_t fine;
        double flops; /* that it may take */
    } choice[] = {{64, 3e9}, {32, 3e9}, {16, 2e10}, {8, 6e10}, {4, 6e10}};
    grid g = {0};
    double most = 0;
    bool chosen = false;
    *square = INFINITY;
    for (size_t k = 0; k < sizeof choice / sizeof *choice && !chosen; k++) {
        g = grid_of(p, choice[k].fine);
        chosen = grid_flops(p, &g) <= share * choice[k].flops;
    }
    if (!chosen)
        return BNF_OK;
    bnf_status s = bnf_alloc((size_t)(2 * CHUNK * p->t) * sizeof(double), "convolution's norm: angles", &g.cs);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(2 * CHUNK * p->m * p->m) * sizeof(double), "convolution's norm: values", &g.values);
    if (s == BNF_OK)
        s = prove_points(p, &g, &most);
    if (s == BNF_OK) {
        *square = bnf_la_up(most * g.factor);
        n[0] = g.n[0];
        n[1] = g.n[1];
    }
    bnf_free(g.cs);
    bnf_free(g.values);
    return s;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static void release(phases *p)
{
    bnf_free(p->x);
    bnf_free(p->a);
    bnf_free(p->g);
    bnf_free(p->s);
    bnf_free(p->b);
    bnf_free(p->vector);
}

static bnf_status bound_phases(phases *p, double share, bnf_la_conv_bound *bound)
{
    size_t side = 2 * (size_t)p->m, square = side * side * sizeof(double);
    double by_copies, by_points;
    BNF_TRY(bnf_alloc((size_t)(p->t * p->m * p->m) * sizeof(double), "convolution's norm: products", &p->g));
    BNF_TRY(bnf_alloc(square, "convolution's norm: workspace", &p->s));
    BNF_TRY(bnf_alloc(square, "convolution's norm: workspace", &p->b));
    BNF_TRY(bnf_alloc(2 * side * sizeof(double), "convolution's norm: workspace", &p->vector));
    double eps =
        bnf_la_up(bnf_la_gamma_up((double)(p->n * p->count + p->count + 2)) + bnf_la_gamma_up((double)(p->t + 4)));
    eps = bnf_la_up(2 * bnf_la_up(eps + 0x1p-48));
    p->error = bnf_la_up(bnf_la_up(2 * eps * p->a_fro2) + DBL_MIN);
    fill_products(p);
    BNF_TRY(by_shifts(p, &by_copies));
    BNF_TRY(by_grid(p, share, &by_points, bound->grid));
    bound->by = by_copies <= by_points ? BNF_LA_CONV_SHIFTS : BNF_LA_CONV_GRID;
    bound->norm = bnf_la_up(sqrt(fmin(by_copies, by_points)));
    return BNF_OK;
}

bnf_status bnf_la_conv_norm_upper(const bnf_la_conv *conv, const float *w, double share, bnf_la_conv_bound *bound)
{
    phases p;
    *bound = (bnf_la_conv_bound){.norm = INFINITY};
    if (!bnf_la_finite(BNF_F32, conv->out * conv->in * conv->kernel[0] * conv->kernel[1], w))
        return bnf_fail(BNF_ERR_NUMERIC, "convolution's norm: the kernel holds a NaN or infinity");
    describe(conv, &p);
    if ((double)p.t * (double)p.m * (double)p.m > (double)MOST_ELEMENTS || product_flops(&p) > share * MOST_FLOPS)
        return BNF_OK;
    bnf_status s = fill_taps(conv, w, true, &p);
    if (s == BNF_OK && zero(p.m * p.n, p.a))
        *bound = (bnf_la_conv_bound){.norm = 0, .by = BNF_LA_CONV_SHIFTS};
    else if (s == BNF_OK)
        s = bound_phases(&p, share, bound);
    release(&p);
    return s;
}

bnf_status bnf_la_conv_abs_upper(const bnf_la_conv *conv, const float *w, double *upper)
{
    phases p;
    describe(conv, &p);
    bnf_status s = fill_taps(conv, w, false, &p);
    if (s == BNF_OK)
        s = bnf_la_norm2_upper(BNF_F64, p.m, p.n, p.a, upper);
    if (s == BNF_OK) /* A's sums are rounded: by a relative gamma each */
        *upper = bnf_la_up(*upper * bnf_la_up(1.0 + bnf_la_gamma_up((double)p.count)));
    release(&p);
    return s;
}
