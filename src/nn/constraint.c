/* nn/constraint.c - settings, state and the kinds that need no workspace; the spectral kinds are in constraint_direct.c
 * and constraint_eigen.c. */
#include "nn/constraint.h"

#include "base/assert.h"
#include "base/mem.h"
#include "la/vec.h"
#include "nn/constraint_forms.h"

#include <limits.h>
#include <math.h>
#include <string.h>

struct bnf_constraint {
    bnf_constraint_config config;
    bnf_side side;
    double *u, *u_before;     /* [m]; NULL for kinds without state */
    int64_t forwards, before; /* calls in the history of u, and of u_before */
    bool ready;               /* a forward has succeeded: backward may run */
    bnf_constraint_stats stats;
    bnf_bjorck_direct *direct; /* one of these for the spectral kinds */
    bnf_bjorck_eigen *eigen;
};

static const char *const kind_names[] = {
    [BNF_CONSTRAINT_NONE] = "none",           [BNF_CONSTRAINT_SPECTRAL] = "spectral",
    [BNF_CONSTRAINT_BJORCK] = "bjorck",       [BNF_CONSTRAINT_FROBENIUS_ROWS] = "frobenius_rows",
    [BNF_CONSTRAINT_FROBENIUS] = "frobenius",
};
static const char *const form_names[] = {[BNF_BJORCK_EIGEN] = "eigen", [BNF_BJORCK_DIRECT] = "direct"};
enum { KIND_COUNT = sizeof kind_names / sizeof *kind_names, FORM_COUNT = sizeof form_names / sizeof *form_names };

const char *bnf_constraint_kind_name(bnf_constraint_kind kind)
{
    BNF_ASSERT((int)kind >= 0 && (int)kind < KIND_COUNT);
    return kind_names[kind];
}

const char *bnf_bjorck_form_name(bnf_bjorck_form form)
{
    BNF_ASSERT((int)form >= 0 && (int)form < FORM_COUNT);
    return form_names[form];
}

bnf_status bnf_constraint_kind_parse(const char *name, bnf_constraint_kind *kind)
{
    for (int k = 0; k < KIND_COUNT; k++)
        if (strcmp(name, kind_names[k]) == 0) {
            *kind = (bnf_constraint_kind)k;
            return BNF_OK;
        }
    return bnf_fail(BNF_ERR_CONFIG,
                    "'%s' is not a constraint; valid: none, spectral, bjorck, frobenius_rows, frobenius", name);
}

bnf_status bnf_bjorck_form_parse(const char *name, bnf_bjorck_form *form)
{
    for (int k = 0; k < FORM_COUNT; k++)
        if (strcmp(name, form_names[k]) == 0) {
            *form = (bnf_bjorck_form)k;
            return BNF_OK;
        }
    return bnf_fail(BNF_ERR_CONFIG, "'%s' is not a form of the Bjorck steps; valid: eigen, direct", name);
}

bnf_constraint_config bnf_constraint_config_default(bnf_constraint_kind kind)
{
    return (bnf_constraint_config){
        .kind = kind,
        .form = BNF_BJORCK_EIGEN,
        .power_iterations = 10,
        .power_cold_iterations = 100,
        .power_tolerance = 1e-3,
        .eps = 1e-3,
        .bjorck_iterations = 15,
        .bjorck_beta = 0.5,
        .bjorck_tolerance = 1e-3,
        .factor = 1.0,
    };
}

bool bnf_constraint_has_state(bnf_constraint_kind kind)
{
    return kind == BNF_CONSTRAINT_SPECTRAL || kind == BNF_CONSTRAINT_BJORCK;
}

bnf_status bnf_constraint_check(const bnf_constraint_config *c, bnf_dtype t, int64_t rows, int64_t cols)
{
    if ((int)c->kind < 0 || (int)c->kind >= KIND_COUNT || (int)c->form < 0 || (int)c->form >= FORM_COUNT)
        return bnf_fail(BNF_ERR_ARG, "constraint: no such kind or form (%d, %d)", (int)c->kind, (int)c->form);
    if (t != BNF_F32 && t != BNF_F64)
        return bnf_fail(BNF_ERR_ARG, "constraint: element type %s is not real", bnf_dtype_name(t));
    if (rows < 1 || cols < 1 || rows > INT_MAX || cols > INT_MAX)
        return bnf_fail(BNF_ERR_ARG, "constraint: a %lld x %lld matrix is not possible", (long long)rows,
                        (long long)cols);
    if (!(c->factor > 0.0) || !isfinite(c->factor))
        return bnf_fail(BNF_ERR_ARG, "constraint: factor must be positive; it is %g", c->factor);
    if (!bnf_constraint_has_state(c->kind))
        return BNF_OK;
    if (c->power_iterations < 0 || c->power_cold_iterations < 0)
        return bnf_fail(BNF_ERR_ARG, "constraint: power_iterations and power_cold_iterations must not be negative");
    if (!(c->power_tolerance >= 0.0) || !(c->eps >= 0.0) || !isfinite(c->eps))
        return bnf_fail(BNF_ERR_ARG, "constraint: power_tolerance and eps must not be negative");
    if (c->kind == BNF_CONSTRAINT_BJORCK && (c->bjorck_iterations < 1 || c->bjorck_iterations > 1000))
        return bnf_fail(BNF_ERR_ARG, "constraint: bjorck_iterations must be in 1..1000; it is %d",
                        c->bjorck_iterations);
    if (c->kind == BNF_CONSTRAINT_BJORCK && (!(c->bjorck_beta > 0.0) || c->bjorck_beta > 0.5))
        return bnf_fail(BNF_ERR_ARG, "constraint: bjorck_beta must be in (0, 0.5]; it is %g", c->bjorck_beta);
    if (c->kind == BNF_CONSTRAINT_BJORCK && !(c->bjorck_tolerance >= 0.0))
        return bnf_fail(BNF_ERR_ARG, "constraint: bjorck_tolerance must not be negative");
    return BNF_OK;
}

static bnf_status create_state(bnf_constraint *c)
{
    size_t bytes = (size_t)c->side.m * sizeof(double);
    BNF_TRY(bnf_alloc(bytes, "constraint: vector", &c->u));
    BNF_TRY(bnf_alloc(bytes, "constraint: vector", &c->u_before));
    bnf_la_power_start(c->side.m, c->u);
    memcpy(c->u_before, c->u, bytes);
    if (c->config.kind == BNF_CONSTRAINT_BJORCK && c->config.form == BNF_BJORCK_EIGEN)
        return bnf_bjorck_eigen_create(c->side, c->config.bjorck_iterations, &c->eigen);
    return bnf_bjorck_direct_create(c->side, c->config.kind == BNF_CONSTRAINT_BJORCK ? c->config.bjorck_iterations : 0,
                                    &c->direct);
}

bnf_status bnf_constraint_create(const bnf_constraint_config *config, bnf_dtype t, int64_t rows, int64_t cols,
                                 bnf_constraint **out)
{
    BNF_TRY(bnf_constraint_check(config, t, rows, cols));
    bnf_constraint *c = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *c, "constraint", &c));
    c->config = *config;
    c->side = bnf_side_of(t, rows, cols);
    bnf_status s = bnf_constraint_has_state(config->kind) ? create_state(c) : BNF_OK;
    if (s != BNF_OK)
        bnf_constraint_destroy(c);
    else
        *out = c;
    return s;
}

void bnf_constraint_destroy(bnf_constraint *c)
{
    if (!c)
        return;
    bnf_bjorck_eigen_destroy(c->eigen);
    bnf_bjorck_direct_destroy(c->direct);
    bnf_free(c->u_before);
    bnf_free(c->u);
    bnf_free(c);
}

/* Blocks that the Frobenius kinds normalise one by one: count blocks of length elements. */
static void blocks(const bnf_constraint *c, int64_t *count, int64_t *length)
{
    bool rows = c->config.kind == BNF_CONSTRAINT_FROBENIUS_ROWS;
    *count = rows ? c->side.rows : 1;
    *length = rows ? c->side.cols : c->side.rows * c->side.cols;
}

static bnf_status frobenius_forward(const bnf_constraint *c, const void *raw, void *eff)
{
    int64_t count, length;
    bnf_dtype t = c->side.t;
    blocks(c, &count, &length);
    size_t bytes = (size_t)length * bnf_dtype_size(t);
    for (int64_t b = 0; b < count; b++) {
        const char *w = (const char *)raw + (size_t)b * bytes;
        double norm = bnf_la_nrm2(t, length, w);
        if (!isfinite(norm))
            return bnf_fail(BNF_ERR_NUMERIC,
                            "constraint of a %lld x %lld matrix: row block %lld holds a NaN or infinity",
                            (long long)c->side.rows, (long long)c->side.cols, (long long)b);
        bnf_la_axpby(t, length, norm > 0.0 ? c->config.factor / norm : 0.0, w, 0.0, (char *)eff + (size_t)b * bytes);
    }
    return BNF_OK;
}

/* d (w / |w|) = (I - w w' / |w|^2) dw / |w|; 0 for a block of zeros, where the forward is constant by definition. */
static void frobenius_backward(const bnf_constraint *c, const void *raw, const void *grad_eff, void *grad_raw)
{
    int64_t count, length;
    bnf_dtype t = c->side.t;
    blocks(c, &count, &length);
    size_t bytes = (size_t)length * bnf_dtype_size(t);
    for (int64_t b = 0; b < count; b++) {
        const char *w = (const char *)raw + (size_t)b * bytes, *g = (const char *)grad_eff + (size_t)b * bytes;
        char *out = (char *)grad_raw + (size_t)b * bytes;
        double norm = bnf_la_nrm2(t, length, w), scale = norm > 0.0 ? c->config.factor / norm : 0.0;
        double along = norm > 0.0 ? bnf_la_dot(t, length, w, g) / norm : 0.0;
        bnf_la_axpby(t, length, scale, g, 0.0, out);
        if (norm > 0.0)
            bnf_la_axpby(t, length, -scale * along / norm, w, 1.0, out);
    }
}

static bnf_status spectral_forward(bnf_constraint *c, const void *raw, void *eff)
{
    const bnf_constraint_config *cfg = &c->config;
    bnf_bjorck_rule rule = {
        .power = {c->forwards ? cfg->power_iterations : cfg->power_cold_iterations, cfg->power_tolerance},
        .eps = cfg->eps,
        .beta = cfg->bjorck_beta,
        .tolerance = cfg->bjorck_tolerance,
        .factor = cfg->factor,
    };
    memcpy(c->u_before, c->u, (size_t)c->side.m * sizeof(double));
    c->before = c->forwards;
    if (c->eigen)
        BNF_TRY(bnf_bjorck_eigen_forward(c->eigen, &rule, raw, c->u, eff, &c->stats));
    else
        BNF_TRY(bnf_bjorck_direct_forward(c->direct, &rule, raw, c->u, eff, &c->stats));
    c->forwards++;
    return BNF_OK;
}

bnf_status bnf_constraint_forward(bnf_constraint *c, const void *raw, void *eff)
{
    c->ready = false;
    switch (c->config.kind) {
    case BNF_CONSTRAINT_NONE:
        bnf_la_axpby(c->side.t, c->side.m * c->side.n, c->config.factor, raw, 0.0, eff);
        break;
    case BNF_CONSTRAINT_SPECTRAL:
    case BNF_CONSTRAINT_BJORCK:
        BNF_TRY(spectral_forward(c, raw, eff));
        break;
    case BNF_CONSTRAINT_FROBENIUS_ROWS:
    case BNF_CONSTRAINT_FROBENIUS:
        BNF_TRY(frobenius_forward(c, raw, eff));
        break;
    }
    c->ready = true;
    return BNF_OK;
}

void bnf_constraint_backward(bnf_constraint *c, const void *raw, const void *grad_eff, void *grad_raw)
{
    BNF_ASSERT(c->ready);
    switch (c->config.kind) {
    case BNF_CONSTRAINT_NONE:
        bnf_la_axpby(c->side.t, c->side.m * c->side.n, c->config.factor, grad_eff, 0.0, grad_raw);
        break;
    case BNF_CONSTRAINT_SPECTRAL:
    case BNF_CONSTRAINT_BJORCK:
        if (c->eigen)
            bnf_bjorck_eigen_backward(c->eigen, raw, grad_eff, grad_raw);
        else
            bnf_bjorck_direct_backward(c->direct, raw, grad_eff, grad_raw);
        break;
    case BNF_CONSTRAINT_FROBENIUS_ROWS:
    case BNF_CONSTRAINT_FROBENIUS:
        frobenius_backward(c, raw, grad_eff, grad_raw);
        break;
    }
}

int64_t bnf_constraint_state_size(const bnf_constraint *c)
{
    return c->u ? 1 + c->side.m : 0;
}

void bnf_constraint_state_pack(int64_t m, int64_t forwards, const double *u, double *state)
{
    state[0] = (double)forwards;
    memcpy(state + 1, u, (size_t)m * sizeof(double));
}

bnf_status bnf_constraint_state_unpack(bnf_side side, const double *state, int64_t *forwards, double *u)
{
    double norm = bnf_la_nrm2(BNF_F64, side.m, state + 1);
    if (!(state[0] >= 0.0) || state[0] > 0x1p53 || state[0] != floor(state[0]))
        return bnf_fail(BNF_ERR_FORMAT, "state of a %lld x %lld constraint: its count of calls is %g",
                        (long long)side.rows, (long long)side.cols, state[0]);
    if (!(fabs(norm - 1.0) < 1e-3))
        return bnf_fail(BNF_ERR_FORMAT, "state of a %lld x %lld constraint: its vector has norm %g, not 1",
                        (long long)side.rows, (long long)side.cols, norm);
    *forwards = (int64_t)state[0];
    memcpy(u, state + 1, (size_t)side.m * sizeof(double));
    return BNF_OK;
}

void bnf_constraint_state_get(const bnf_constraint *c, bnf_constraint_moment moment, double *state)
{
    bool before = moment == BNF_CONSTRAINT_BEFORE;
    if (c->u)
        bnf_constraint_state_pack(c->side.m, before ? c->before : c->forwards, before ? c->u_before : c->u, state);
}

bnf_status bnf_constraint_state_set(bnf_constraint *c, const double *state)
{
    if (!c->u)
        return BNF_OK;
    BNF_TRY(bnf_constraint_state_unpack(c->side, state, &c->forwards, c->u));
    c->before = c->forwards;
    memcpy(c->u_before, c->u, (size_t)c->side.m * sizeof(double));
    c->ready = false;
    return BNF_OK;
}

bnf_constraint_stats bnf_constraint_get_stats(const bnf_constraint *c)
{
    return c->stats;
}

double bnf_constraint_cost(const bnf_constraint_config *config, int64_t rows, int64_t cols)
{
    double m = (double)(rows < cols ? rows : cols), mn = (double)rows * (double)cols;
    if (!bnf_constraint_has_state(config->kind))
        return 40.0 * mn; /* bound by memory */
    if (config->kind == BNF_CONSTRAINT_SPECTRAL)
        return (40.0 + 8.0 * config->power_iterations) * mn;
    if (config->form == BNF_BJORCK_DIRECT)
        return (80.0 + 10.0 * config->bjorck_iterations * m) * mn;
    /* Gram matrix in f64, four products of [m,m] with W; eigendecomposition and five small f64 products */
    return (40.0 + 10.0 * m) * mn + (36.0 + 20.0) * m * m * m;
}
