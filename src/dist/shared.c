/* dist/shared.c - parameters that all ranks own together. */
#include "dist/shared.h"

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "comm/tree.h"

#include <string.h>

#define MAX_STATES 4

struct bnf_shared {
    const bnf_comm *comm;
    bnf_params *params;
    int param, rank, ranks, threads;
    bnf_update_rule rule;
    int64_t n, slice, blocks; /* elements of all and of the own slice; blocks of all */
    int64_t *offset;          /* [ranks+1] */
    int64_t *bytes;           /* [ranks] of slices */
    float *raw;               /* own slice; in the store if there is no reparametrisation */
    float *state[MAX_STATES];
    float *reduced;        /* own slice of the gradient, more than one rank */
    const float *grad;     /* of the effective, then of the raw value */
    float *raw_grad;       /* with a reparametrisation */
    double *sums;          /* [2][blocks] */
    bnf_reparam reparam;   /* self NULL: none */
    double *reparam_state; /* [reparam.state_count] */
    double sumsq;
    bool arrived;
};

void bnf_shared_slices(int64_t n, int ranks, int64_t *offset)
{
    int64_t blocks = (n + BNF_SHARED_BLOCK - 1) / BNF_SHARED_BLOCK;
    for (int r = 0; r <= ranks; r++) {
        int64_t at = blocks * r / ranks * BNF_SHARED_BLOCK;
        offset[r] = at < n ? at : n;
    }
}

static float *value(const bnf_shared *s)
{
    return bnf_params_value(s->params, s->param);
}

static bnf_status allocate(bnf_shared *s)
{
    bool reparam = bnf_params_info(s->params, s->param)->reparam.make_shared;
    BNF_TRY(bnf_alloc(((size_t)s->ranks + 1) * sizeof *s->offset, "slices of a parameter", &s->offset));
    BNF_TRY(bnf_alloc((size_t)s->ranks * sizeof *s->bytes, "slices of a parameter", &s->bytes));
    bnf_shared_slices(s->n, s->ranks, s->offset);
    for (int r = 0; r < s->ranks; r++)
        s->bytes[r] = (s->offset[r + 1] - s->offset[r]) * (int64_t)sizeof(float);
    s->slice = s->offset[s->rank + 1] - s->offset[s->rank];
    s->raw = value(s) + s->offset[s->rank];
    size_t bytes = (size_t)s->bytes[s->rank];
    BNF_TRY(bnf_alloc((size_t)s->blocks * 2 * sizeof(double), "sums of squares", &s->sums));
    for (int k = 0; k < s->rule.n_states; k++)
        BNF_TRY(bnf_calloc((size_t)s->slice, sizeof(float), "optimiser state", &s->state[k]));
    if (s->ranks > 1)
        BNF_TRY(bnf_alloc(bytes, "reduced gradient", &s->reduced));
    if (!reparam)
        return BNF_OK;
    const float *initial = s->raw;
    BNF_TRY(bnf_alloc(bytes, "raw weight", &s->raw));
    memcpy(s->raw, initial, bytes);
    return bnf_alloc(bytes, "gradient of a raw weight", &s->raw_grad);
}

bnf_status bnf_shared_create(const bnf_comm *comm, bnf_params *params, int param, const bnf_update_rule *rule,
                             int threads, bnf_shared **out)
{
    const bnf_param_info *info = bnf_params_info(params, param);
    BNF_ASSERT(rule->n_states <= MAX_STATES && (!info->reparam.make || info->reparam.make_shared));
    if (bnf_param_raw_desc(info) != &info->desc)
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "parameter '%s': all ranks together cannot own it, its raw weight has another shape",
                        info->name);
    bnf_shared *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "parameter of all ranks", &s);
    if (status == BNF_OK) {
        *s = (bnf_shared){.comm = comm,
                          .params = params,
                          .param = param,
                          .rank = bnf_comm_rank(comm),
                          .ranks = bnf_comm_size(comm),
                          .threads = threads,
                          .rule = *rule,
                          .n = bnf_desc_count(&info->desc)};
        s->blocks = (s->n + BNF_SHARED_BLOCK - 1) / BNF_SHARED_BLOCK;
        status = allocate(s);
    }
    status = bnf_comm_agree(comm, status);
    if (status == BNF_OK && info->reparam.make) {
        status = info->reparam.make_shared(info->reparam.config, &info->desc, comm, s->offset, threads, &s->reparam);
        if (status == BNF_OK)
            status = bnf_calloc((size_t)s->reparam.state_count + 1, sizeof(double), "reparametrisation state",
                                &s->reparam_state);
        status = bnf_comm_agree(comm, status);
    }
    if (status != BNF_OK) {
        bnf_shared_destroy(s);
        return bnf_fail_context(status, "parameter '%s'", info->name);
    }
    *out = s;
    return BNF_OK;
}

void bnf_shared_destroy(bnf_shared *s)
{
    if (!s)
        return;
    if (s->reparam.self)
        s->reparam.destroy(s->reparam.self);
    if (s->raw && s->raw != value(s) + s->offset[s->rank])
        bnf_free(s->raw);
    for (int k = 0; k < MAX_STATES; k++)
        bnf_free(s->state[k]);
    bnf_free(s->reparam_state);
    bnf_free(s->raw_grad);
    bnf_free(s->reduced);
    bnf_free(s->sums);
    bnf_free(s->bytes);
    bnf_free(s->offset);
    bnf_free(s);
}

bnf_status bnf_shared_effective(bnf_shared *s)
{
    if (s->reparam.self) {
        bnf_status status = s->reparam.forward(s->reparam.self, s->raw, value(s) + s->offset[s->rank]);
        if (status != BNF_OK)
            bnf_fail_context(status, "parameter '%s'", bnf_params_info(s->params, s->param)->name);
        BNF_TRY(bnf_comm_agree(s->comm, status));
    }
    return bnf_tree_broadcast_from_owners(s->comm, BNF_F32, s->offset, value(s));
}

/* Sum of squares block after block, the same on every rank. */
static bnf_status sum_squares(bnf_shared *s)
{
    int64_t first = s->offset[s->rank] / BNF_SHARED_BLOCK;
    memset(s->sums, 0, (size_t)s->blocks * sizeof *s->sums);
    for (int64_t at = 0; at < s->slice; at += BNF_SHARED_BLOCK) {
        int64_t length = s->slice - at < BNF_SHARED_BLOCK ? s->slice - at : BNF_SHARED_BLOCK;
        s->sums[first + at / BNF_SHARED_BLOCK] = s->rule.sumsq(s->grad + at, length);
    }
    BNF_TRY(bnf_comm_allreduce_f64(s->comm, BNF_COMM_SUM, s->sums, s->blocks)); /* one number plus zeros: exact */
    s->sumsq = 0;
    for (int64_t b = 0; b < s->blocks; b++)
        s->sumsq += s->sums[b];
    return BNF_OK;
}

const int64_t *bnf_shared_offset(const bnf_shared *s)
{
    return s->offset;
}

float *bnf_shared_reduced(bnf_shared *s)
{
    return s->reduced;
}

void bnf_shared_arrived(bnf_shared *s, const float *grad)
{
    s->grad = s->ranks > 1 ? s->reduced : grad;
    s->arrived = true;
}

bnf_status bnf_shared_gradient(bnf_shared *s)
{
    if (!s->arrived)
        return bnf_fail(BNF_ERR_ARG, "no gradient arrived for parameter '%s'",
                        bnf_params_info(s->params, s->param)->name);
    s->arrived = false;
    if (s->reparam.self) {
        BNF_TRY(bnf_comm_agree(s->comm, s->reparam.backward(s->reparam.self, s->raw, s->grad, s->raw_grad)));
        s->grad = s->raw_grad;
    }
    return sum_squares(s);
}

double bnf_shared_sumsq(const bnf_shared *s)
{
    return s->sumsq;
}

/* The rule's sums over all slices, block after block, the same on every rank. */
static bnf_status measure(bnf_shared *s, double grad_scale, int64_t step, double sums[2])
{
    int64_t first = s->offset[s->rank] / BNF_SHARED_BLOCK, mine = (s->slice + BNF_SHARED_BLOCK - 1) / BNF_SHARED_BLOCK;
    memset(s->sums, 0, (size_t)s->blocks * 2 * sizeof *s->sums);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t b = 0; b < mine; b++) {
        int64_t at = b * BNF_SHARED_BLOCK, n = s->slice - at < BNF_SHARED_BLOCK ? s->slice - at : BNF_SHARED_BLOCK;
        float *state[MAX_STATES] = {0};
        for (int k = 0; k < s->rule.n_states; k++)
            state[k] = s->state[k] + at;
        s->rule.measure(s->rule.self, s->param, s->raw + at, s->grad + at, state, n, grad_scale, step,
                        s->sums + 2 * (first + b));
    }
    BNF_TRY(bnf_comm_allreduce_f64(s->comm, BNF_COMM_SUM, s->sums, 2 * s->blocks)); /* as in sum_squares: exact */
    sums[0] = sums[1] = 0;
    for (int64_t b = 0; b < s->blocks; b++) {
        sums[0] += s->sums[2 * b];
        sums[1] += s->sums[2 * b + 1];
    }
    return BNF_OK;
}

bnf_status bnf_shared_update(bnf_shared *s, double grad_scale, int64_t step)
{
    double sums[2];
    if (s->rule.measure)
        BNF_TRY(measure(s, grad_scale, step, sums));
    int64_t length = (s->slice / s->threads + 16) / 16 * 16; /* each element comes out alike in any part */
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int t = 0; t < s->threads; t++) {
        int64_t lo = t * length, hi = lo + length < s->slice ? lo + length : s->slice;
        float *state[MAX_STATES] = {0};
        for (int k = 0; k < s->rule.n_states; k++)
            state[k] = s->state[k] + lo;
        if (lo < hi)
            s->rule.update(s->rule.self, s->param, s->raw + lo, s->grad + lo, state, hi - lo, grad_scale, step,
                           s->rule.measure ? sums : NULL);
    }
    return BNF_OK;
}

int64_t bnf_shared_reparam_count(const bnf_shared *s)
{
    return s->reparam.self ? s->reparam.state_count : 0;
}

bnf_status bnf_shared_gather(bnf_shared *s, int array, void *data)
{
    if (array <= s->rule.n_states)
        return bnf_comm_gatherv(s->comm, 0, array ? s->state[array - 1] : s->raw, s->bytes[s->rank], s->bytes, data);
    s->reparam.state_get(s->reparam.self, s->reparam_state);
    if (s->rank == 0)
        memcpy(data, s->reparam_state, (size_t)s->reparam.state_count * sizeof(double));
    return BNF_OK;
}

bnf_status bnf_shared_put(bnf_shared *s, int array, const void *data)
{
    if (array > s->rule.n_states)
        return s->reparam.state_set(s->reparam.self, data);
    memcpy(array ? s->state[array - 1] : s->raw, (const float *)data + s->offset[s->rank], (size_t)s->bytes[s->rank]);
    return BNF_OK;
}
