/* nn/constraint_direct.c - spectral normalisation and Bjorck steps by the products as written; every iterate is kept.
 * */
#include "base/assert.h"
#include "base/mem.h"
#include "la/vec.h"
#include "nn/constraint_forms.h"

#include <math.h>

struct bnf_bjorck_direct {
    bnf_side side;
    int max_steps;
    char *iterates;     /* max_steps + 1 matrices [rows,cols]: W_0 ... */
    char *grams;        /* max_steps matrices [m,m]: smaller Gram matrix of each iterate that was stepped from */
    void *cross, *sum;  /* [m,m] */
    void *grad[2];      /* [rows,cols] */
    void *ut, *v, *tmp; /* [m], [n], [m] of the matrix type; sigma's derivative is the outer product of ut and v */
    bnf_bjorck_rule rule;
    double scale; /* sigma + eps */
    int steps;    /* that the last forward ran */
};

bnf_status bnf_bjorck_direct_create(bnf_side side, int max_steps, bnf_bjorck_direct **out)
{
    bnf_bjorck_direct *d = NULL;
    bnf_status s = BNF_OK;
    size_t e = bnf_dtype_size(side.t), mn = (size_t)(side.m * side.n) * e, mm = (size_t)(side.m * side.m) * e;
    BNF_TRY(bnf_calloc(1, sizeof *d, "constraint", &d));
    d->side = side;
    d->max_steps = max_steps;
    BNF_TRY_GOTO(s, bnf_alloc((size_t)(max_steps + 1) * mn, "constraint: iterates", &d->iterates), fail);
    BNF_TRY_GOTO(s, bnf_alloc((size_t)max_steps * mm, "constraint: Gram matrices", &d->grams), fail);
    BNF_TRY_GOTO(s, bnf_alloc(mm, "constraint: workspace", &d->cross), fail);
    BNF_TRY_GOTO(s, bnf_alloc(mm, "constraint: workspace", &d->sum), fail);
    BNF_TRY_GOTO(s, bnf_alloc(mn, "constraint: workspace", &d->grad[0]), fail);
    BNF_TRY_GOTO(s, bnf_alloc(mn, "constraint: workspace", &d->grad[1]), fail);
    BNF_TRY_GOTO(s, bnf_alloc((size_t)side.m * e, "constraint: workspace", &d->ut), fail);
    BNF_TRY_GOTO(s, bnf_alloc((size_t)side.n * e, "constraint: workspace", &d->v), fail);
    BNF_TRY_GOTO(s, bnf_alloc((size_t)side.m * e, "constraint: workspace", &d->tmp), fail);
    *out = d;
    return BNF_OK;
fail:
    bnf_bjorck_direct_destroy(d);
    return s;
}

void bnf_bjorck_direct_destroy(bnf_bjorck_direct *d)
{
    if (!d)
        return;
    bnf_free(d->tmp);
    bnf_free(d->v);
    bnf_free(d->ut);
    bnf_free(d->grad[1]);
    bnf_free(d->grad[0]);
    bnf_free(d->sum);
    bnf_free(d->cross);
    bnf_free(d->grams);
    bnf_free(d->iterates);
    bnf_free(d);
}

static void *iterate(const bnf_bjorck_direct *d, int k)
{
    return d->iterates + (size_t)k * (size_t)(d->side.m * d->side.n) * bnf_dtype_size(d->side.t);
}

static void *gram(const bnf_bjorck_direct *d, int k)
{
    return d->grams + (size_t)k * (size_t)(d->side.m * d->side.m) * bnf_dtype_size(d->side.t);
}

bnf_status bnf_bjorck_direct_forward(bnf_bjorck_direct *d, const bnf_bjorck_rule *rule, const void *raw, double *u,
                                     void *eff, bnf_constraint_stats *stats)
{
    bnf_side s = d->side;
    int64_t count = s.m * s.n;
    bnf_la_power_result power;
    bnf_la_power(s.t, s.rows, s.cols, raw, rule->power, u, d->ut, d->v, d->tmp, &power);
    d->rule = *rule;
    d->scale = power.sigma + rule->eps;
    if (!(d->scale > 0.0) || !isfinite(d->scale))
        return bnf_fail(BNF_ERR_NUMERIC, "constraint of a %lld x %lld matrix: its norm estimate is %g",
                        (long long)s.rows, (long long)s.cols, power.sigma);
    bnf_la_axpby(s.t, count, 1.0 / d->scale, raw, 0.0, iterate(d, 0));
    double change = 0.0;
    for (d->steps = 0; d->steps < d->max_steps;) {
        const void *w = iterate(d, d->steps);
        void *c = gram(d, d->steps), *next = iterate(d, ++d->steps);
        bnf_side_cross(s, 1.0, w, w, c);
        bnf_la_axpby(s.t, count, 1.0 + rule->beta, w, 0.0, next);
        bnf_side_apply(s, -rule->beta, c, w, 1.0, next);
        change = bnf_la_dist2(s.t, count, next, w);
        if (!isfinite(change))
            return bnf_fail(BNF_ERR_NUMERIC, "constraint of a %lld x %lld matrix: Bjorck step %d diverged (sigma %g)",
                            (long long)s.rows, (long long)s.cols, d->steps, power.sigma);
        if (change < rule->tolerance)
            break;
    }
    bnf_la_axpby(s.t, count, rule->factor, iterate(d, d->steps), 0.0, eff);
    *stats = (bnf_constraint_stats){power.sigma, power.iterations, d->steps, change};
    return BNF_OK;
}

/* sum = a + a' for a[m,m]. */
static void add_transpose(bnf_dtype t, int64_t m, const void *a, void *sum)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) {
            if (t == BNF_F32)
                ((float *)sum)[i * m + j] = ((const float *)a)[i * m + j] + ((const float *)a)[j * m + i];
            else
                ((double *)sum)[i * m + j] = ((const double *)a)[i * m + j] + ((const double *)a)[j * m + i];
        }
}

/* One step wide: f(W) = (1 + b) W - b W W' W has the adjoint G -> (1 + b) G - b ((G W' + W G') W + W W' G); tall:
 * mirrored. */
static void step_backward(bnf_bjorck_direct *d, int k, const void *g, void *out)
{
    bnf_side s = d->side;
    double beta = d->rule.beta;
    bnf_side_cross(s, 1.0, g, iterate(d, k), d->cross);
    add_transpose(s.t, s.m, d->cross, d->sum);
    bnf_la_axpby(s.t, s.m * s.n, 1.0 + beta, g, 0.0, out);
    bnf_side_apply(s, -beta, d->sum, iterate(d, k), 1.0, out);
    bnf_side_apply(s, -beta, gram(d, k), g, 1.0, out);
}

void bnf_bjorck_direct_backward(bnf_bjorck_direct *d, const void *raw, const void *grad_eff, void *grad_raw)
{
    bnf_side s = d->side;
    int64_t count = s.m * s.n;
    int from = 0;
    bnf_la_axpby(s.t, count, d->rule.factor, grad_eff, 0.0, d->grad[from]);
    for (int k = d->steps - 1; k >= 0; k--, from = !from)
        step_backward(d, k, d->grad[from], d->grad[!from]);
    double along = bnf_la_dot(s.t, count, d->grad[from], raw);
    bnf_la_axpby(s.t, count, 1.0 / d->scale, d->grad[from], 0.0, grad_raw);
    double weight = -along / (d->scale * d->scale);
    bnf_la_ger(s.t, s.rows, s.cols, weight, s.tall ? d->v : d->ut, s.tall ? d->ut : d->v, grad_raw);
}
