/* nn/constraint_shared.c - weight constraints of matrices that all ranks own together. */
#include "nn/constraint_shared.h"

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "la/power.h"
#include "la/slices.h"
#include "la/vec.h"
#include "nn/constraint_forms.h"

#include <math.h>
#include <string.h>

struct bnf_constraint_shared {
    bnf_constraint_config config;
    bnf_constraint_spread spread;
    bnf_side side;  /* t: of the slices */
    int64_t count;  /* elements of the own slice */
    bnf_grid *grid; /* none of these for kind none */
    bnf_slices *slices;
    bnf_tiles *tiles;
    int max_steps, steps;      /* Bjorck steps, and that the last forward ran */
    bnf_blockcyclic **iterate; /* [max_steps + 1]; W_0 = raw / scale, or raw for the Frobenius kinds */
    bnf_blockcyclic *grad[2];
    bnf_blockcyclic *small[2]; /* [m,m]: Gram matrix of an iterate, and its product with a gradient */
    double *u, *u_before;      /* [m]; NULL for kinds without state */
    double *v, *tmp;           /* [n], [m]; sigma's derivative is the outer product of u and v */
    double *norm, *sums;       /* [rows] Frobenius kinds: of rows, or of the matrix in each entry */
    double scale;              /* sigma + eps */
    int64_t forwards, before;  /* calls in the history of u, and of u_before */
    bool ready;
    bnf_constraint_stats stats;
};

static bool has_state(const bnf_constraint_shared *c)
{
    return bnf_constraint_has_state(c->config.kind);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bnf_status matrix(bnf_constraint_shared *c, int64_t rows, int64_t cols, bnf_blockcyclic **m)
{
    return bnf_blockcyclic_create(c->grid, rows, cols, c->spread.block, m);
}

static bnf_status create_matrices(bnf_constraint_shared *c)
{
    bnf_side s = c->side;
    BNF_TRY(bnf_grid_create(c->spread.comm, &c->grid));
    for (int k = 0; k <= c->max_steps; k++)
        BNF_TRY(matrix(c, s.rows, s.cols, &c->iterate[k]));
    for (int k = 0; k < 2; k++) {
        BNF_TRY(matrix(c, s.rows, s.cols, &c->grad[k]));
        if (c->max_steps)
            BNF_TRY(matrix(c, s.m, s.m, &c->small[k]));
    }
    BNF_TRY(bnf_slices_create(c->iterate[0], c->spread.offset, s.t, &c->slices));
    return bnf_tiles_create(c->grid, s.n, c->spread.block, c->spread.by, c->spread.threads, &c->tiles);
}

static bnf_status create_vectors(bnf_constraint_shared *c)
{
    size_t m = (size_t)c->side.m, n = (size_t)c->side.n, rows = (size_t)c->side.rows;
    BNF_TRY(bnf_calloc((size_t)c->max_steps + 1, sizeof(bnf_blockcyclic *), "constraint: iterates", &c->iterate));
    if (!has_state(c)) {
        BNF_TRY(bnf_alloc(rows * sizeof(double), "constraint: norms", &c->norm));
        return bnf_alloc(rows * sizeof(double), "constraint: norms", &c->sums);
    }
    BNF_TRY(bnf_alloc(m * sizeof(double), "constraint: vector", &c->u));
    BNF_TRY(bnf_alloc(m * sizeof(double), "constraint: vector", &c->u_before));
    BNF_TRY(bnf_alloc(n * sizeof(double), "constraint: vector", &c->v));
    BNF_TRY(bnf_alloc(m * sizeof(double), "constraint: vector", &c->tmp));
    bnf_la_power_start(c->side.m, c->u);
    memcpy(c->u_before, c->u, m * sizeof(double));
    return BNF_OK;
}

bnf_status bnf_constraint_shared_create(const bnf_constraint_config *config, bnf_dtype t, int64_t rows, int64_t cols,
                                        const bnf_constraint_spread *spread, bnf_constraint_shared **out)
{
    int rank = bnf_comm_rank(spread->comm);
    BNF_TRY(bnf_constraint_check(config, t, rows, cols));
    bnf_constraint_shared *c = NULL;
    bnf_status s = bnf_calloc(1, sizeof *c, "constraint", &c);
    if (s == BNF_OK) {
        c->config = *config;
        c->spread = *spread;
        c->side = bnf_side_of(t, rows, cols);
        c->count = spread->offset[rank + 1] - spread->offset[rank];
        c->max_steps = config->kind == BNF_CONSTRAINT_BJORCK ? config->bjorck_iterations : 0;
        s = create_vectors(c);
    }
    s = bnf_comm_agree(spread->comm, s);
    if (s == BNF_OK && config->kind != BNF_CONSTRAINT_NONE)
        s = create_matrices(c); /* agrees with each piece */
    if (s != BNF_OK) {
        bnf_constraint_shared_destroy(c);
        return s;
    }
    c->spread.offset = NULL;
    *out = c;
    return BNF_OK;
}

void bnf_constraint_shared_destroy(bnf_constraint_shared *c)
{
    if (!c)
        return;
    bnf_tiles_destroy(c->tiles);
    bnf_slices_destroy(c->slices);
    for (int k = 0; k < 2; k++) {
        bnf_blockcyclic_destroy(c->small[k]);
        bnf_blockcyclic_destroy(c->grad[k]);
    }
    for (int k = 0; c->iterate && k <= c->max_steps; k++)
        bnf_blockcyclic_destroy(c->iterate[k]);
    bnf_grid_destroy(c->grid);
    bnf_free(c->iterate);
    bnf_free(c->sums);
    bnf_free(c->norm);
    bnf_free(c->tmp);
    bnf_free(c->v);
    bnf_free(c->u_before);
    bnf_free(c->u);
    bnf_free(c);
}

/* ---- Frobenius kinds --------------------------------------------------------------------------------------------- */

/* Sums of a_ij b_ij per row; for kind frobenius the sum over all, in every entry. */
static bnf_status block_sums(bnf_constraint_shared *c, const bnf_blockcyclic *a, const bnf_blockcyclic *b, double *sums)
{
    if (c->config.kind == BNF_CONSTRAINT_FROBENIUS_ROWS)
        return bnf_tiles_row_dots(c->tiles, a, b, sums);
    BNF_TRY(bnf_tiles_dot(c->tiles, a, b, sums));
    for (int64_t i = 1; i < c->side.rows; i++)
        sums[i] = sums[0];
    return BNF_OK;
}

static bnf_status frobenius_forward(bnf_constraint_shared *c)
{
    BNF_TRY(block_sums(c, c->iterate[0], c->iterate[0], c->norm));
    for (int64_t i = 0; i < c->side.rows; i++) {
        c->norm[i] = sqrt(c->norm[i]);
        if (!isfinite(c->norm[i]))
            return bnf_fail(BNF_ERR_NUMERIC, "constraint of a %lld x %lld matrix: row %lld holds a NaN or infinity",
                            (long long)c->side.rows, (long long)c->side.cols, (long long)i);
        c->sums[i] = c->norm[i] > 0.0 ? c->config.factor / c->norm[i] : 0.0;
    }
    bnf_tiles_scale_rows(c->sums, c->iterate[0], 0.0, c->grad[0]);
    return BNF_OK;
}

/* grad[0] -> grad[1]; d (w / |w|) = (I - w w' / |w|^2) dw / |w|. */
static bnf_status frobenius_backward(bnf_constraint_shared *c)
{
    BNF_TRY(block_sums(c, c->iterate[0], c->grad[0], c->sums));
    for (int64_t i = 0; i < c->side.rows; i++) {
        double norm = c->norm[i];
        c->sums[i] = norm > 0.0 ? -c->config.factor * c->sums[i] / (norm * norm * norm) : 0.0;
    }
    bnf_tiles_scale_rows(c->sums, c->iterate[0], 0.0, c->grad[1]);
    for (int64_t i = 0; i < c->side.rows; i++)
        c->sums[i] = c->norm[i] > 0.0 ? c->config.factor / c->norm[i] : 0.0;
    bnf_tiles_scale_rows(c->sums, c->grad[0], 1.0, c->grad[1]);
    return BNF_OK;
}

/* ---- spectral kinds ---------------------------------------------------------------------------------------------- */

/* bnf_la_power on the matrix w; the vectors are whole on every rank, and so are their bits. */
static bnf_status power(bnf_constraint_shared *c, const bnf_blockcyclic *w)
{
    bnf_side s = c->side;
    int most = c->forwards ? c->config.power_iterations : c->config.power_cold_iterations, k = 0;
    BNF_TRY(bnf_tiles_gemv(c->tiles, !s.tall, w, c->u, c->v));
    while (k < most) {
        BNF_TRY(bnf_tiles_gemv(c->tiles, s.tall, w, c->v, c->tmp));
        double norm = bnf_la_nrm2(BNF_F64, s.m, c->tmp);
        if (!(norm > 0.0))
            break;
        bnf_la_axpby(BNF_F64, s.m, 1.0 / norm, c->tmp, 0.0, c->tmp);
        double change = bnf_la_dist2(BNF_F64, s.m, c->tmp, c->u);
        bnf_la_axpby(BNF_F64, s.m, 1.0, c->tmp, 0.0, c->u);
        BNF_TRY(bnf_tiles_gemv(c->tiles, !s.tall, w, c->u, c->v));
        k++;
        if (change < c->config.power_tolerance)
            break;
    }
    double sigma = bnf_la_nrm2(BNF_F64, s.n, c->v);
    if (sigma > 0.0)
        bnf_la_axpby(BNF_F64, s.n, 1.0 / sigma, c->v, 0.0, c->v);
    c->stats = (bnf_constraint_stats){.sigma = sigma, .power_iterations = k};
    return BNF_OK;
}

/* d = x y' (wide) or x' y (tall), [m,m]. */
static bnf_status cross(bnf_constraint_shared *c, const bnf_blockcyclic *x, const bnf_blockcyclic *y,
                        bnf_blockcyclic *d)
{
    return bnf_tiles_product(c->tiles, c->side.tall, !c->side.tall, 1.0, x, y, 0.0, d);
}

/* y += alpha op(a) x (wide) or alpha x op(a) (tall). */
static bnf_status apply(bnf_constraint_shared *c, double alpha, bool transpose, const bnf_blockcyclic *a,
                        const bnf_blockcyclic *x, bnf_blockcyclic *y)
{
    return c->side.tall ? bnf_tiles_product(c->tiles, false, transpose, alpha, x, a, 1.0, y)
                        : bnf_tiles_product(c->tiles, transpose, false, alpha, a, x, 1.0, y);
}

static bnf_status bjorck_steps(bnf_constraint_shared *c)
{
    double beta = c->config.bjorck_beta, square = 0.0;
    for (c->steps = 0; c->steps < c->max_steps;) {
        const bnf_blockcyclic *w = c->iterate[c->steps];
        bnf_blockcyclic *next = c->iterate[++c->steps];
        BNF_TRY(cross(c, w, w, c->small[0]));
        bnf_tiles_axpby(1.0 + beta, w, 0.0, next);
        BNF_TRY(apply(c, -beta, false, c->small[0], w, next));
        BNF_TRY(bnf_tiles_distance2(c->tiles, next, w, &square));
        c->stats.bjorck_change = sqrt(square);
        if (!isfinite(square))
            return bnf_fail(BNF_ERR_NUMERIC, "constraint of a %lld x %lld matrix: Bjorck step %d diverged (sigma %g)",
                            (long long)c->side.rows, (long long)c->side.cols, c->steps, c->stats.sigma);
        if (c->stats.bjorck_change < c->config.bjorck_tolerance)
            break;
    }
    c->stats.bjorck_iterations = c->steps;
    return BNF_OK;
}

static bnf_status spectral_forward(bnf_constraint_shared *c)
{
    memcpy(c->u_before, c->u, (size_t)c->side.m * sizeof(double));
    c->before = c->forwards;
    BNF_TRY(power(c, c->iterate[0]));
    c->scale = c->stats.sigma + c->config.eps;
    if (!(c->scale > 0.0) || !isfinite(c->scale))
        return bnf_fail(BNF_ERR_NUMERIC, "constraint of a %lld x %lld matrix: its norm estimate is %g",
                        (long long)c->side.rows, (long long)c->side.cols, c->stats.sigma);
    bnf_tiles_axpby(1.0 / c->scale, c->iterate[0], 0.0, c->iterate[0]);
    BNF_TRY(bjorck_steps(c));
    bnf_tiles_axpby(c->config.factor, c->iterate[c->steps], 0.0, c->grad[0]);
    c->forwards++;
    return BNF_OK;
}

/* One step wide: f(W) = (1 + b) W - b W W' W has the adjoint G -> (1 + b) G - b ((G W' + W G') W + W W' G); tall:
 * mirrored. */
static bnf_status step_backward(bnf_constraint_shared *c, const bnf_blockcyclic *w, const bnf_blockcyclic *g,
                                bnf_blockcyclic *out)
{
    double beta = c->config.bjorck_beta;
    BNF_TRY(cross(c, w, w, c->small[0]));
    BNF_TRY(cross(c, g, w, c->small[1]));
    bnf_tiles_axpby(1.0 + beta, g, 0.0, out);
    BNF_TRY(apply(c, -beta, false, c->small[1], w, out));
    BNF_TRY(apply(c, -beta, true, c->small[1], w, out));
    return apply(c, -beta, false, c->small[0], g, out);
}

/* grad[0] -> grad[1]. */
static bnf_status spectral_backward(bnf_constraint_shared *c)
{
    double along = 0.0;
    int from = 0;
    bnf_tiles_axpby(c->config.factor, c->grad[0], 0.0, c->grad[0]);
    for (int k = c->steps - 1; k >= 0; k--, from = !from)
        BNF_TRY(step_backward(c, c->iterate[k], c->grad[from], c->grad[!from]));
    BNF_TRY(bnf_tiles_dot(c->tiles, c->grad[from], c->iterate[0], &along)); /* with W_0 = raw / scale */
    bnf_tiles_axpby(1.0 / c->scale, c->grad[from], 0.0, c->grad[1]);
    bnf_tiles_ger(-along / c->scale, c->side.tall ? c->v : c->u, c->side.tall ? c->u : c->v, c->grad[1]);
    return BNF_OK;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

bnf_status bnf_constraint_shared_forward(bnf_constraint_shared *c, const void *raw, void *eff)
{
    c->ready = false;
    if (c->config.kind == BNF_CONSTRAINT_NONE) {
        bnf_la_axpby(c->side.t, c->count, c->config.factor, raw, 0.0, eff);
    } else {
        BNF_TRY(bnf_slices_to_matrix(c->slices, raw, c->iterate[0]));
        BNF_TRY(has_state(c) ? spectral_forward(c) : frobenius_forward(c));
        BNF_TRY(bnf_slices_from_matrix(c->slices, c->grad[0], eff));
    }
    c->ready = true;
    return BNF_OK;
}

bnf_status bnf_constraint_shared_backward(bnf_constraint_shared *c, const void *grad_eff, void *grad_raw)
{
    BNF_ASSERT(c->ready);
    if (c->config.kind == BNF_CONSTRAINT_NONE) {
        bnf_la_axpby(c->side.t, c->count, c->config.factor, grad_eff, 0.0, grad_raw);
        return BNF_OK;
    }
    BNF_TRY(bnf_slices_to_matrix(c->slices, grad_eff, c->grad[0]));
    BNF_TRY(has_state(c) ? spectral_backward(c) : frobenius_backward(c));
    return bnf_slices_from_matrix(c->slices, c->grad[1], grad_raw);
}

int64_t bnf_constraint_shared_state_size(const bnf_constraint_shared *c)
{
    return c->u ? 1 + c->side.m : 0;
}

void bnf_constraint_shared_state_get(const bnf_constraint_shared *c, bnf_constraint_moment moment, double *state)
{
    bool before = moment == BNF_CONSTRAINT_BEFORE;
    if (c->u)
        bnf_constraint_state_pack(c->side.m, before ? c->before : c->forwards, before ? c->u_before : c->u, state);
}

bnf_status bnf_constraint_shared_state_set(bnf_constraint_shared *c, const double *state)
{
    if (!c->u)
        return BNF_OK;
    BNF_TRY(bnf_constraint_state_unpack(c->side, state, &c->forwards, c->u));
    c->before = c->forwards;
    memcpy(c->u_before, c->u, (size_t)c->side.m * sizeof(double));
    c->ready = false;
    return BNF_OK;
}

bnf_constraint_stats bnf_constraint_shared_get_stats(const bnf_constraint_shared *c)
{
    return c->stats;
}
