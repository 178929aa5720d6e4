/* dist/updater.c - reduce to the owner, update, broadcast. */
#include <banff/dist.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "comm/agree.h"
#include "comm/tree.h"
#include "dist/owners.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_STATES 4
#define GATHER_TAG 7

typedef struct owned {
    float *raw;               /* == the store's value if there is no reparametrisation */
    float *state[MAX_STATES]; /* optimiser */
    float *grad;              /* [n] of the effective weight; points into `gradients` */
    bnf_reparam reparam;
    float *raw_grad;       /* [n] with a reparametrisation */
    double *reparam_state; /* scratch for gather, [reparam.state_count] */
} owned;

struct bnf_updater {
    const bnf_comm *comm;
    int rank, ranks, threads;
    bnf_params *params;
    int n;
    int *owner;
    bnf_update_rule rule;
    owned *mine;            /* [n] zero where another rank owns */
    int64_t *reparam_count; /* [n] elements of the reparametrisation's state, known to every rank */
    double *sumsq;          /* [n] */
    int *order;             /* [n_mine] own parameters, dearest first */
    int n_mine;
    float *gradients; /* this rank's slice of the reduced gradients, all groups */
    int64_t gradients_size;
    float *send, *wire;  /* effective weights of this rank, and of all, ordered by owner */
    int64_t *wire_bytes; /* [ranks] */
};

static int64_t elements(const bnf_updater *u, int i)
{
    return bnf_desc_count(&bnf_params_info(u->params, i)->desc);
}

static bool trainable(const bnf_updater *u, int i)
{
    return bnf_params_info(u->params, i)->trainable;
}

static bnf_status make_owned(bnf_updater *u, int i)
{
    owned *o = &u->mine[i];
    const bnf_param_info *info = bnf_params_info(u->params, i);
    size_t n = (size_t)elements(u, i);
    float *value = bnf_params_value(u->params, i);
    o->raw = value;
    for (int s = 0; s < u->rule.n_states; s++)
        BNF_TRY(bnf_calloc(n, sizeof(float), "optimiser state", &o->state[s]));
    if (!info->reparam.make)
        return BNF_OK;
    BNF_TRY(bnf_alloc(n * sizeof(float), "raw weight", &o->raw));
    memcpy(o->raw, value, n * sizeof(float));
    bnf_status s = info->reparam.make(info->reparam.config, &info->desc, &o->reparam);
    if (s != BNF_OK)
        return bnf_fail_context(s, "parameter '%s'", info->name);
    u->reparam_count[i] = o->reparam.state_count;
    BNF_TRY(bnf_alloc(n * sizeof(float), "gradient of a raw weight", &o->raw_grad));
    return bnf_calloc((size_t)o->reparam.state_count + 1, sizeof(double), "reparametrisation state", &o->reparam_state);
}

/* Effective weight of an owned parameter into the store. */
static bnf_status effective(bnf_updater *u, int i)
{
    owned *o = &u->mine[i];
    if (!o->reparam.self)
        return BNF_OK;
    bnf_status s = o->reparam.forward(o->reparam.self, o->raw, bnf_params_value(u->params, i));
    return s == BNF_OK ? s : bnf_fail_context(s, "parameter '%s'", bnf_params_info(u->params, i)->name);
}

static void sort_mine(bnf_updater *u)
{
    u->n_mine = 0;
    for (int i = 0; i < u->n; i++) {
        if (u->owner[i] != u->rank || !trainable(u, i))
            continue;
        int at = u->n_mine++;
        double cost = bnf_owners_cost(bnf_params_info(u->params, i));
        for (; at > 0 && bnf_owners_cost(bnf_params_info(u->params, u->order[at - 1])) < cost; at--)
            u->order[at] = u->order[at - 1];
        u->order[at] = i;
    }
}

/* Runs `what` for every own parameter on the threads, dearest first. The first failure in order of parameters is
 * reported. */
static bnf_status for_mine(bnf_updater *u, bnf_status (*what)(bnf_updater *, int))
{
    bnf_status status = BNF_OK;
    char message[512] = "";
    int worst = u->n;
#pragma omp parallel for num_threads(u->threads) schedule(dynamic, 1)
    for (int k = 0; k < u->n_mine; k++) {
        bnf_status s = what(u, u->order[k]);
        if (s == BNF_OK)
            continue;
#pragma omp critical(bnf_updater_failure)
        if (u->order[k] < worst) {
            worst = u->order[k];
            status = s;
            snprintf(message, sizeof message, "%s", bnf_error_message());
        }
        bnf_error_clear();
    }
    return status == BNF_OK ? BNF_OK : bnf_fail(status, "%s", message);
}

/* Effective weights of owner `rank` between the store and an array in the order of the wire. Returns the elements. */
static int64_t copy_wire(bnf_updater *u, int rank, float *wire, bool to_wire)
{
    int64_t at = 0;
    for (int i = 0; i < u->n; i++)
        if (u->owner[i] == rank && trainable(u, i)) {
            float *value = bnf_params_value(u->params, i);
            size_t bytes = (size_t)elements(u, i) * sizeof(float);
            memcpy(to_wire ? wire + at : value, to_wire ? value : wire + at, bytes);
            at += elements(u, i);
        }
    return at;
}

static bnf_status broadcast(bnf_updater *u)
{
    if (u->ranks > 1) {
        copy_wire(u, u->rank, u->send, true);
        BNF_TRY(bnf_comm_allgatherv(u->comm, u->send, u->wire_bytes, u->wire));
        float *from = u->wire;
        for (int r = 0; r < u->ranks; r++)
            from += r == u->rank ? u->wire_bytes[r] / (int64_t)sizeof(float) : copy_wire(u, r, from, false);
    }
    bnf_params_touch(u->params);
    return BNF_OK;
}

static bnf_status fill(bnf_updater *u, const int *owner)
{
    size_t n = (size_t)u->n + 1;
    BNF_TRY(bnf_calloc(n, sizeof *u->owner, "updater", &u->owner));
    BNF_TRY(bnf_calloc(n, sizeof *u->mine, "updater", &u->mine));
    BNF_TRY(bnf_calloc(n, sizeof *u->reparam_count, "updater", &u->reparam_count));
    BNF_TRY(bnf_calloc(n, sizeof *u->sumsq, "updater", &u->sumsq));
    BNF_TRY(bnf_calloc(n, sizeof *u->order, "updater", &u->order));
    BNF_TRY(bnf_calloc((size_t)u->ranks, sizeof *u->wire_bytes, "updater", &u->wire_bytes));
    int64_t total = 0;
    for (int i = 0; i < u->n; i++) {
        u->owner[i] = owner ? owner[i] : 0;
        if (!trainable(u, i))
            continue;
        u->wire_bytes[u->owner[i]] += elements(u, i) * (int64_t)sizeof(float);
        total += elements(u, i);
        u->gradients_size += (elements(u, i) + 15) / 16 * 16;
        if (u->owner[i] == u->rank)
            BNF_TRY(make_owned(u, i));
    }
    if (u->ranks > 1) {
        BNF_TRY(bnf_alloc((size_t)total * sizeof(float), "broadcast buffer", &u->wire));
        BNF_TRY(bnf_alloc((size_t)u->wire_bytes[u->rank], "broadcast buffer", &u->send));
        BNF_TRY(bnf_alloc((size_t)u->gradients_size * sizeof(float), "reduced gradients", &u->gradients));
    }
    sort_mine(u);
    return BNF_OK;
}

bnf_status bnf_updater_create(const bnf_comm *comm, bnf_params *params, const int *owner, const bnf_update_rule *rule,
                              int threads, bnf_updater **updater)
{
    BNF_ASSERT(bnf_params_real(params) == BNF_F32 && rule->n_states <= MAX_STATES && threads >= 1);
    bnf_updater *u;
    bnf_status s = bnf_comm_agree(comm, bnf_calloc(1, sizeof *u, "updater", &u));
    if (s != BNF_OK) {
        bnf_free(u);
        return s;
    }
    u->comm = comm;
    u->rank = bnf_comm_rank(comm);
    u->ranks = bnf_comm_size(comm);
    u->threads = threads;
    u->params = params;
    u->n = bnf_params_count(params);
    u->rule = *rule;
    s = bnf_comm_agree(u->comm, fill(u, owner));
    if (s == BNF_OK)
        s = bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, u->reparam_count, u->n);
    if (s == BNF_OK)
        s = bnf_comm_agree(u->comm, for_mine(u, effective));
    if (s == BNF_OK)
        s = broadcast(u);
    if (s != BNF_OK) {
        bnf_updater_destroy(u);
        return s;
    }
    *updater = u;
    return BNF_OK;
}

void bnf_updater_destroy(bnf_updater *updater)
{
    if (!updater)
        return;
    for (int i = 0; updater->mine && i < updater->n; i++) {
        owned *o = &updater->mine[i];
        if (o->raw && o->raw != bnf_params_value(updater->params, i))
            bnf_free(o->raw);
        for (int s = 0; s < MAX_STATES; s++)
            bnf_free(o->state[s]);
        if (o->reparam.self)
            o->reparam.destroy(o->reparam.self);
        bnf_free(o->raw_grad);
        bnf_free(o->reparam_state);
    }
    bnf_free(updater->owner);
    bnf_free(updater->mine);
    bnf_free(updater->reparam_count);
    bnf_free(updater->sumsq);
    bnf_free(updater->order);
    bnf_free(updater->gradients);
    bnf_free(updater->wire);
    bnf_free(updater->send);
    bnf_free(updater->wire_bytes);
    bnf_free(updater);
}

/* Gradients of owned parameters, summed over all leaves: o->grad. */
static bnf_status reduce(bnf_updater *u, bnf_plan *plan)
{
    int groups = bnf_plan_grad_groups(plan);
    float *to = u->gradients;
    for (int g = 0; g < groups; g++) {
        const bnf_grad_group *group = bnf_plan_grad_group(plan, g);
        int64_t lo = group->owner_offset[u->rank];
        float *root = (float *)(uintptr_t)group->partial[0]; /* alone: the plan's own buffer, free until its next run */
        if (u->ranks > 1) {
            BNF_ASSERT(to + (group->owner_offset[u->rank + 1] - lo) <= u->gradients + u->gradients_size);
            BNF_TRY(bnf_tree_reduce_to_owners(u->comm, bnf_plan_leaf_count(plan), BNF_F32, group->partial, group->n,
                                              group->owner_offset, to));
            root = to - lo;
            to += group->owner_offset[u->rank + 1] - lo;
        }
        for (int i = 0; i < group->n_params; i++)
            if (u->owner[group->params[i]] == u->rank)
                u->mine[group->params[i]].grad = root + group->offset[i];
    }
    return BNF_OK;
}

static bnf_status raw_gradient(bnf_updater *u, int i)
{
    owned *o = &u->mine[i];
    if (!o->grad)
        return bnf_fail(BNF_ERR_ARG, "no gradient arrived for parameter '%s'", bnf_params_info(u->params, i)->name);
    if (o->reparam.self) {
        o->reparam.backward(o->reparam.self, o->raw, o->grad, o->raw_grad);
        o->grad = o->raw_grad;
    }
    u->sumsq[i] = u->rule.sumsq(o->grad, elements(u, i));
    return BNF_OK;
}

/* Sum over parameters in their order, the same on every rank. */
static bnf_status total_sumsq(bnf_updater *u, double *total)
{
    for (int i = 0; i < u->n; i++)
        if (u->owner[i] != u->rank || !trainable(u, i))
            u->sumsq[i] = 0;
    BNF_TRY(bnf_comm_allreduce_f64(u->comm, BNF_COMM_SUM, u->sumsq, u->n)); /* one rank's number plus zeros: exact */
    *total = 0;
    for (int i = 0; i < u->n; i++)
        *total += u->sumsq[i];
    return BNF_OK;
}

static void apply(bnf_updater *u, int i, double scale, int64_t step)
{
    owned *o = &u->mine[i];
    u->rule.update(u->rule.self, i, o->raw, o->grad, o->state, elements(u, i), scale, step);
}

static bnf_status update_mine(bnf_updater *u, double scale, int64_t step)
{
#pragma omp parallel for num_threads(u->threads) schedule(dynamic, 1)
    for (int k = 0; k < u->n_mine; k++)
        apply(u, u->order[k], scale, step);
    return for_mine(u, effective);
}

bnf_status bnf_updater_step(bnf_updater *updater, bnf_plan *plan, int64_t step, bnf_update_stats *stats)
{
    bnf_updater *u = updater;
    double total, t0 = bnf_clock_seconds();
    for (int i = 0; i < u->n; i++)
        u->mine[i].grad = NULL;
    bnf_pulse_phase(BNF_PHASE_REDUCE);
    BNF_TRY(reduce(u, plan));
    double t1 = bnf_clock_seconds();
    BNF_TRY(bnf_comm_agree(u->comm, for_mine(u, raw_gradient)));
    BNF_TRY(total_sumsq(u, &total));
    *stats = (bnf_update_stats){.grad_norm = sqrt(total), .finite = isfinite(total), .reduce_seconds = t1 - t0};
    if (!stats->finite)
        return BNF_OK;
    bnf_pulse_phase(BNF_PHASE_UPDATE);
    BNF_TRY(bnf_comm_agree(u->comm, update_mine(u, u->rule.clip(u->rule.self, total), step)));
    double t2 = bnf_clock_seconds();
    stats->update_seconds = t2 - t1;
    bnf_pulse_phase(BNF_PHASE_SPREAD);
    BNF_TRY(broadcast(u));
    stats->broadcast_seconds = bnf_clock_seconds() - t2;
    return BNF_OK;
}

int bnf_updater_arrays(const bnf_updater *updater, int param)
{
    if (!trainable(updater, param))
        return 1;
    return 1 + updater->rule.n_states + (updater->reparam_count[param] > 0);
}

void bnf_updater_array_info(const bnf_updater *updater, int param, int array, const char **name, bnf_dtype *dtype,
                            int64_t *count)
{
    *count = elements(updater, param);
    *dtype = BNF_F32;
    if (array == 0) {
        *name = trainable(updater, param) ? "raw" : "value";
    } else if (array <= updater->rule.n_states) {
        *name = updater->rule.state_name(updater->rule.self, array - 1);
    } else {
        *name = "reparam";
        *dtype = BNF_F64;
        *count = updater->reparam_count[param];
    }
}

/* The array on its owner; a reparametrisation's state is a copy. */
static void *array_of(bnf_updater *u, int param, int array)
{
    owned *o = &u->mine[param];
    if (!trainable(u, param))
        return bnf_params_value(u->params, param);
    if (array == 0)
        return o->raw;
    if (array <= u->rule.n_states)
        return o->state[array - 1];
    o->reparam.state_get(o->reparam.self, o->reparam_state);
    return o->reparam_state;
}

bnf_status bnf_updater_gather(bnf_updater *updater, int param, int array, void *data)
{
    const char *name;
    bnf_dtype dtype;
    int64_t count;
    bnf_updater_array_info(updater, param, array, &name, &dtype, &count);
    int64_t bytes = count * (int64_t)bnf_dtype_size(dtype);
    int owner = trainable(updater, param) ? updater->owner[param] : 0;
    if (updater->rank == owner && owner == 0)
        memcpy(data, array_of(updater, param, array), (size_t)bytes);
    else if (updater->rank == owner)
        return bnf_comm_send(updater->comm, 0, GATHER_TAG, array_of(updater, param, array), bytes);
    else if (updater->rank == 0)
        return bnf_comm_recv(updater->comm, owner, GATHER_TAG, data, bytes);
    return BNF_OK;
}

bnf_status bnf_updater_put(bnf_updater *updater, int param, int array, const void *data)
{
    const char *name;
    bnf_dtype dtype;
    int64_t count;
    bnf_updater_array_info(updater, param, array, &name, &dtype, &count);
    if (trainable(updater, param) && updater->owner[param] != updater->rank)
        return BNF_OK;
    if (dtype == BNF_F64)
        return updater->mine[param].reparam.state_set(updater->mine[param].reparam.self, data);
    memcpy(array_of(updater, param, array), data, (size_t)count * sizeof(float));
    return BNF_OK;
}

bnf_status bnf_updater_restore(bnf_updater *updater)
{
    BNF_TRY(bnf_comm_agree(updater->comm, for_mine(updater, effective)));
    return broadcast(updater);
}
