/* dist/updater.c - reduce to the owner, update, broadcast. */
#include <banff/dist.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "comm/agree.h"
#include "comm/tree.h"
#include "dist/owners.h"
#include "dist/pipeline.h"

#include <limits.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#define MAX_STATES 4
#define GATHER_TAG 7
#define MIN_PARCEL (INT64_C(1) << 18) /* bytes */

typedef struct owned {
    float *raw;               /* [raw elements]; == the store's value if there is no reparametrisation */
    float *state[MAX_STATES]; /* optimiser */
    float *grad;              /* of the effective weight, borrowed from the pipeline; then of the raw one */
    bnf_reparam reparam;
    float *raw_grad;       /* [raw elements] with a reparametrisation */
    double *reparam_state; /* scratch for gather, [reparam.state_count] */
    double busy;           /* processor seconds of the reparametrisation in this step */
} owned;

struct bnf_updater {
    const bnf_comm *comm;
    int rank, ranks, threads;
    bnf_params *params;
    int n;
    int *owner;
    bnf_update_rule rule;
    owned *mine;            /* [n] zero where another rank owns */
    bnf_shared **shared;    /* [n] what all own together, else NULL */
    int64_t *reparam_count; /* [n] elements of the reparametrisation's state, known to every rank */
    double *sumsq;          /* [n] */
    int *order;             /* [n_mine] own parameters, dearest first */
    int n_mine;
    double scale; /* of the update under way */
    int64_t step;
    float *wire;                /* effective weights of all ranks, parcel behind parcel */
    int64_t *wire_at;           /* [n] where a parameter's begin */
    int *parcel;                /* [n] with which they travel, -1: with none */
    bnf_parcel *parcels;        /* [n_parcels] in the order in which they leave */
    int64_t *parcel_offset;     /* [n_parcels][ranks + 1] */
    int *missing;               /* [n_parcels] own parameters that are not updated yet */
    int n_parcels, next_parcel; /* next_parcel: first that has not left */
    int *queue;                 /* [n_mine] own parameters by parcel, dearest first */
    bnf_pipeline *pipeline;     /* NULL until a plan is attached */
    int *group;                 /* [n] in which the plan delivers the gradient, -1: in none */
    int n_groups, now;          /* now: the group whose gradients are there */
    bnf_status failed;          /* of the last update on this rank; not agreed on yet */
    char failure[512];
};

static int64_t elements(const bnf_updater *u, int i)
{
    return bnf_desc_count(&bnf_params_info(u->params, i)->desc);
}

static int64_t raw_elements(const bnf_updater *u, int i)
{
    return bnf_desc_count(bnf_param_raw_desc(bnf_params_info(u->params, i)));
}

static bool trainable(const bnf_updater *u, int i)
{
    return bnf_params_info(u->params, i)->trainable;
}

static bnf_status make_owned(bnf_updater *u, int i)
{
    owned *o = &u->mine[i];
    const bnf_param_info *info = bnf_params_info(u->params, i);
    size_t n = (size_t)raw_elements(u, i);
    o->raw = bnf_params_value(u->params, i);
    for (int s = 0; s < u->rule.n_states; s++)
        BNF_TRY(bnf_calloc(n, sizeof(float), "optimiser state", &o->state[s]));
    if (!info->reparam.make)
        return BNF_OK;
    BNF_TRY(bnf_alloc(n * sizeof(float), "raw weight", &o->raw));
    memcpy(o->raw, bnf_params_raw(u->params, i), n * sizeof(float));
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
    double start = bnf_clock_thread_seconds();
    bnf_status s = o->reparam.forward(o->reparam.self, o->raw, bnf_params_value(u->params, i));
    o->busy += bnf_clock_thread_seconds() - start;
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

/* Parcels whose parameters are all updated leave, in order. By the main thread. */
static void send_parcels(bnf_updater *u)
{
    while (u->next_parcel < u->n_parcels && __atomic_load_n(&u->missing[u->next_parcel], __ATOMIC_ACQUIRE) == 0)
        bnf_pipeline_send(u->pipeline, u->next_parcel++);
}

/* Runs `what` for every own parameter on the threads, in the order of the list. The first failure in order of
 * parameters is reported. Messages move on meanwhile. */
static bnf_status for_mine(bnf_updater *u, const int *list, bnf_status (*what)(bnf_updater *, int))
{
    bnf_status status = BNF_OK;
    char message[512] = "";
    int worst = u->n;
#pragma omp parallel for num_threads(u->threads) schedule(dynamic, 1)
    for (int k = 0; k < u->n_mine; k++) {
        bnf_status s = what(u, list[k]);
        if (s != BNF_OK) {
#pragma omp critical(bnf_updater_failure)
            if (list[k] < worst) {
                worst = list[k];
                status = s;
                snprintf(message, sizeof message, "%s", bnf_error_message());
            }
            bnf_error_clear();
        }
        if (u->pipeline && omp_get_thread_num() == 0) {
            send_parcels(u);
            bnf_pipeline_poll(u->pipeline);
        }
    }
    return status == BNF_OK ? BNF_OK : bnf_fail(status, "%s", message);
}

/* The values of parcel b between the store and the wire: this rank's own onto it, or those of others off it. */
static void copy_parcel(bnf_updater *u, int b, bool own)
{
    for (int i = 0; i < u->n; i++) {
        if (u->parcel[i] != b || (u->owner[i] == u->rank) != own)
            continue;
        float *value = bnf_params_value(u->params, i), *wire = u->wire + u->wire_at[i];
        memcpy(own ? wire : value, own ? value : wire, (size_t)elements(u, i) * sizeof(float));
    }
}

/* All effective weights from their owners to everyone, now. */
static bnf_status broadcast(bnf_updater *u)
{
    for (int b = 0; u->ranks > 1 && b < u->n_parcels; b++) {
        copy_parcel(u, b, true);
        BNF_TRY(bnf_tree_broadcast_from_owners(u->comm, BNF_F32, u->parcels[b].owner_offset, u->parcels[b].value));
        copy_parcel(u, b, false);
    }
    bnf_params_touch(u->params);
    return BNF_OK;
}

/* Parameters [first, next) make a parcel: places on the wire by owner. */
static void fill_parcel(bnf_updater *u, int b, int first, int next, int64_t *offset, int64_t *at)
{
    u->parcels[b] = (bnf_parcel){.value = u->wire + *at, .owner_offset = offset};
    int64_t begin = *at;
    for (int r = 0; r < u->ranks; r++) {
        offset[r] = *at - begin;
        for (int i = first; i < next; i++)
            if (trainable(u, i) && u->owner[i] == r) {
                u->parcel[i] = b;
                u->wire_at[i] = *at;
                *at += elements(u, i);
            }
    }
    offset[u->ranks] = *at - begin;
}

/* Divides the parameters, in their order, into parcels of at least so many bytes. Not collective. */
static bnf_status make_parcels(bnf_updater *u, int64_t bucket)
{
    int64_t at = 0, bytes = 0, *offset;
    int n = 1, first = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            bnf_free(u->parcels);
            bnf_free(u->parcel_offset);
            bnf_free(u->missing);
            u->parcels = NULL;
            u->parcel_offset = NULL;
            u->missing = NULL;
            BNF_TRY(bnf_calloc((size_t)n, sizeof *u->parcels, "parcels", &u->parcels));
            BNF_TRY(bnf_calloc((size_t)n, sizeof *u->missing, "parcels", &u->missing));
            BNF_TRY(bnf_calloc((size_t)n * (size_t)(u->ranks + 1), sizeof *offset, "parcels", &u->parcel_offset));
        }
        n = 0;
        bytes = 0;
        first = 0;
        for (int i = 0; i < u->n; i++) {
            bytes += trainable(u, i) && u->owner[i] != BNF_OWNER_ALL ? elements(u, i) * (int64_t)sizeof(float) : 0;
            if (bytes < bucket && i + 1 < u->n)
                continue;
            if (pass == 1)
                fill_parcel(u, n, first, i + 1, u->parcel_offset + (int64_t)n * (u->ranks + 1), &at);
            n++;
            bytes = 0;
            first = i + 1;
        }
    }
    u->next_parcel = u->n_parcels = n;
    return BNF_OK;
}

static bnf_status fill(bnf_updater *u, const int *owner)
{
    size_t n = (size_t)u->n + 1;
    BNF_TRY(bnf_calloc(n, sizeof *u->owner, "updater", &u->owner));
    BNF_TRY(bnf_calloc(n, sizeof *u->mine, "updater", &u->mine));
    BNF_TRY(bnf_calloc(n, sizeof(bnf_shared *), "updater", &u->shared));
    BNF_TRY(bnf_calloc(n, sizeof *u->reparam_count, "updater", &u->reparam_count));
    BNF_TRY(bnf_calloc(n, sizeof *u->sumsq, "updater", &u->sumsq));
    BNF_TRY(bnf_calloc(n, sizeof *u->order, "updater", &u->order));
    BNF_TRY(bnf_calloc(n, sizeof *u->queue, "updater", &u->queue));
    BNF_TRY(bnf_calloc(n, sizeof *u->group, "updater", &u->group));
    BNF_TRY(bnf_calloc(n, sizeof *u->parcel, "updater", &u->parcel));
    BNF_TRY(bnf_calloc(n, sizeof *u->wire_at, "updater", &u->wire_at));
    int64_t total = 0;
    for (int i = 0; i < u->n; i++) {
        u->owner[i] = owner ? owner[i] : 0;
        u->parcel[i] = u->group[i] = -1;
        if (!trainable(u, i) || u->owner[i] == BNF_OWNER_ALL)
            continue;
        total += elements(u, i);
        if (u->owner[i] == u->rank)
            BNF_TRY(make_owned(u, i));
    }
    if (u->ranks > 1)
        BNF_TRY(bnf_alloc((size_t)total * sizeof(float), "broadcast buffer", &u->wire));
    sort_mine(u);
    return make_parcels(u, INT64_MAX);
}

/* What all own together, in the order of parameters. */
static bnf_status make_shared(bnf_updater *u)
{
    for (int i = 0; i < u->n; i++)
        if (u->owner[i] == BNF_OWNER_ALL) {
            BNF_TRY(bnf_shared_create(u->comm, u->params, i, &u->rule, u->threads, &u->shared[i]));
            u->reparam_count[i] = bnf_shared_reparam_count(u->shared[i]);
        }
    return BNF_OK;
}

static bnf_status shared_effective(bnf_updater *u)
{
    for (int i = 0; i < u->n; i++)
        if (u->shared[i])
            BNF_TRY(bnf_shared_effective(u->shared[i]));
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
        s = make_shared(u);
    if (s == BNF_OK)
        s = bnf_updater_restore(u);
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
    bnf_pipeline_destroy(updater->pipeline);
    for (int i = 0; updater->shared && i < updater->n; i++)
        bnf_shared_destroy(updater->shared[i]);
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
    bnf_free(updater->shared);
    bnf_free(updater->reparam_count);
    bnf_free(updater->sumsq);
    bnf_free(updater->order);
    bnf_free(updater->wire);
    bnf_free(updater->queue);
    bnf_free(updater->group);
    bnf_free(updater->parcel);
    bnf_free(updater->wire_at);
    bnf_free(updater->parcels);
    bnf_free(updater->parcel_offset);
    bnf_free(updater->missing);
    bnf_free(updater);
}

bnf_dist_config bnf_dist_config_default(void)
{
    return (bnf_dist_config){.progress = BNF_DIST_BLOCKING, .poll_seconds = 0.0001};
}

/* A parcel is there. Nobody reads its parameters yet. */
static void unpack_parcel(void *self, int b)
{
    copy_parcel(self, b, false);
}

/* The first failure of an update is told when all ranks agree on it. */
static void keep_failure(bnf_updater *u, bnf_status s)
{
    if (s == BNF_OK || u->failed != BNF_OK)
        return;
    u->failed = s;
    snprintf(u->failure, sizeof u->failure, "%s", bnf_error_message());
}

/* A failure of the last update, on whichever rank, becomes everybody's. */
static bnf_status agree_on_update(bnf_updater *u)
{
    bnf_status s = u->failed == BNF_OK ? BNF_OK : bnf_fail(u->failed, "%s", u->failure);
    u->failed = BNF_OK;
    return bnf_comm_agree(u->comm, s);
}

bnf_status bnf_updater_settle(bnf_updater *updater)
{
    BNF_TRY(bnf_pipeline_settle(updater->pipeline));
    return agree_on_update(updater);
}

/* Own parameters by parcel, within one as in `order`. */
static void sort_queue(bnf_updater *u)
{
    int at = 0;
    for (int b = 0; b < u->n_parcels; b++)
        for (int k = 0; k < u->n_mine; k++)
            if (u->parcel[u->order[k]] == b)
                u->queue[at++] = u->order[k];
}

/* An eighth of all, so that the first layers' arrive early, but no tiny ones. */
static int64_t parcel_bytes(const bnf_updater *u, const bnf_dist_config *config)
{
    int64_t eighth = bnf_params_elements(u->params, true) * (int64_t)sizeof(float) / 8;
    return config->bucket > 0 ? config->bucket : eighth < MIN_PARCEL ? MIN_PARCEL : eighth;
}

bnf_status bnf_updater_attach(bnf_updater *updater, bnf_plan *plan, const bnf_dist_config *config)
{
    bnf_updater *u = updater;
    BNF_TRY(bnf_updater_settle(u));
    bnf_pipeline_destroy(u->pipeline);
    u->pipeline = NULL;
    BNF_TRY(bnf_comm_agree(u->comm, make_parcels(u, parcel_bytes(u, config))));
    sort_queue(u);
    for (int b = 0; b < u->n_parcels; b++)
        u->parcels[b].first_read = INT_MAX;
    for (int i = 0; i < u->n; i++) {
        int first = u->parcel[i] >= 0 ? bnf_plan_first_read(plan, i) : INT_MAX;
        if (u->parcel[i] >= 0 && first < u->parcels[u->parcel[i]].first_read)
            u->parcels[u->parcel[i]].first_read = first;
    }
    u->n_groups = bnf_plan_grad_groups(plan);
    for (int i = 0; i < u->n; i++)
        u->group[i] = -1;
    for (int g = 0; g < u->n_groups; g++) {
        const bnf_grad_group *group = bnf_plan_grad_layout(plan, g);
        for (int i = 0; i < group->n_params; i++)
            u->group[group->params[i]] = g;
    }
    return bnf_pipeline_create(u->comm, plan, config, u->parcels, u->n_parcels, u->shared, unpack_parcel, u,
                               &u->pipeline);
}

bnf_status bnf_updater_drop(bnf_updater *updater)
{
    BNF_TRY(bnf_pipeline_drop(updater->pipeline));
    return agree_on_update(updater);
}

static bnf_status raw_gradient(bnf_updater *u, int i)
{
    owned *o = &u->mine[i];
    if (u->group[i] != u->now)
        return BNF_OK;
    if (u->now < 0)
        return bnf_fail(BNF_ERR_ARG, "no gradient arrived for parameter '%s'", bnf_params_info(u->params, i)->name);
    if (o->reparam.self) {
        double start = bnf_clock_thread_seconds();
        BNF_TRY(o->reparam.backward(o->reparam.self, o->raw, o->grad, o->raw_grad));
        o->busy = bnf_clock_thread_seconds() - start;
        o->grad = o->raw_grad;
    }
    u->sumsq[i] = u->rule.sumsq(o->grad, raw_elements(u, i));
    return BNF_OK;
}

/* Gradients of owned parameters, summed over all leaves, group by group as they arrive. [out] seconds waited. */
static bnf_status gradients(bnf_updater *u, bnf_plan *plan, double *seconds)
{
    bnf_status s = u->failed == BNF_OK ? BNF_OK : bnf_fail(u->failed, "%s", u->failure);
    u->failed = BNF_OK;
    for (u->now = 0; u->now < u->n_groups; u->now++) {
        const bnf_grad_group *group = bnf_plan_grad_layout(plan, u->now);
        double start = bnf_clock_seconds();
        float *root;
        BNF_TRY(bnf_pipeline_collect(u->pipeline, u->now, &root));
        *seconds += bnf_clock_seconds() - start;
        for (int i = 0; i < group->n_params; i++)
            if (u->owner[group->params[i]] == u->rank)
                u->mine[group->params[i]].grad = root + group->offset[i];
            else if (u->shared[group->params[i]])
                bnf_shared_arrived(u->shared[group->params[i]], root + group->offset[i]);
        bnf_status of = for_mine(u, u->order, raw_gradient);
        s = s != BNF_OK ? s : of;
    }
    u->now = -1;
    bnf_status none = for_mine(u, u->order, raw_gradient);
    return bnf_comm_agree(u->comm, s != BNF_OK ? s : none);
}

static bnf_status shared_gradients(bnf_updater *u)
{
    for (int i = 0; i < u->n; i++)
        if (u->shared[i])
            BNF_TRY(bnf_shared_gradient(u->shared[i]));
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
        *total += u->shared[i] ? bnf_shared_sumsq(u->shared[i]) : u->sumsq[i];
    return BNF_OK;
}

/* The clipping factor of a parameter whose gradient has this sum of squares. */
static double scale_of(const bnf_updater *u, double sumsq)
{
    return u->rule.clip_variable ? u->scale * u->rule.clip_variable(u->rule.self, sumsq) : u->scale;
}

/* A new value, on its way. */
static bnf_status update(bnf_updater *u, int i)
{
    owned *o = &u->mine[i];
    int64_t n = raw_elements(u, i);
    double sums[2], scale = scale_of(u, u->sumsq[i]);
    if (u->rule.measure)
        u->rule.measure(u->rule.self, i, o->raw, o->grad, o->state, n, scale, u->step, sums);
    u->rule.update(u->rule.self, i, o->raw, o->grad, o->state, n, scale, u->step, u->rule.measure ? sums : NULL);
    bnf_status s = effective(u, i);
    if (u->ranks > 1)
        memcpy(u->wire + u->wire_at[i], bnf_params_value(u->params, i), (size_t)elements(u, i) * sizeof(float));
    __atomic_fetch_sub(&u->missing[u->parcel[i]], 1, __ATOMIC_ACQ_REL);
    return s;
}

/* Updates own parameters; parcels leave when they are complete, with the
 * values of a failure, too, so that nobody waits. */
static bnf_status update_mine(bnf_updater *u)
{
    for (int b = 0; b < u->n_parcels; b++)
        u->missing[b] = 0;
    for (int k = 0; k < u->n_mine; k++)
        u->missing[u->parcel[u->queue[k]]]++;
    u->next_parcel = 0;
    bnf_status s = for_mine(u, u->queue, update);
    send_parcels(u);
    return s;
}

static bnf_status update_shared(bnf_updater *u)
{
    for (int i = 0; i < u->n; i++)
        if (u->shared[i])
            BNF_TRY(bnf_shared_update(u->shared[i], scale_of(u, bnf_shared_sumsq(u->shared[i])), u->step));
    return shared_effective(u);
}

bnf_status bnf_updater_step(bnf_updater *updater, bnf_plan *plan, int64_t step, bnf_update_stats *stats)
{
    bnf_updater *u = updater;
    bnf_dist_config blocking = bnf_dist_config_default();
    if (!bnf_pipeline_serves(u->pipeline, plan))
        BNF_TRY(bnf_updater_attach(u, plan, &blocking));
    double total, waited = 0, start = bnf_clock_seconds();
    bnf_pulse_phase(BNF_PHASE_REDUCE);
    BNF_TRY(bnf_pipeline_settle(u->pipeline)); /* what no segment of the plan has read */
    BNF_TRY(gradients(u, plan, &waited));
    BNF_TRY(shared_gradients(u));
    BNF_TRY(total_sumsq(u, &total));
    *stats = (bnf_update_stats){.grad_norm = sqrt(total), .finite = isfinite(total), .reduce_seconds = waited};
    if (stats->finite) {
        u->scale = u->rule.clip(u->rule.self, total);
        u->step = step;
        bnf_pulse_phase(BNF_PHASE_UPDATE);
        keep_failure(u, update_mine(u));
        keep_failure(u, update_shared(u));
        bnf_params_touch(u->params);
        double updated = bnf_clock_seconds();
        stats->update_seconds = updated - start - waited;
        bnf_pulse_phase(BNF_PHASE_SPREAD);
        if (!bnf_pipeline_open(u->pipeline))
            BNF_TRY(bnf_updater_settle(u));
        stats->broadcast_seconds = bnf_clock_seconds() - updated;
    }
    bnf_pipeline_seconds(u->pipeline, &stats->exposed_seconds, &stats->polling_seconds);
    for (int k = 0; k < u->n_mine; k++)
        stats->constraint_seconds += u->mine[u->order[k]].busy;
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
    *count = raw_elements(updater, param);
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

int bnf_updater_owner(const bnf_updater *updater, int param)
{
    return trainable(updater, param) && !updater->shared[param] ? updater->owner[param] : 0;
}

bool bnf_updater_shared(const bnf_updater *updater, int param)
{
    return updater->shared[param] != NULL;
}

const void *bnf_updater_own(bnf_updater *updater, int param, int array)
{
    BNF_ASSERT(bnf_updater_owner(updater, param) == updater->rank && !updater->shared[param]);
    return array_of(updater, param, array);
}

bnf_status bnf_updater_gather(bnf_updater *updater, int param, int array, void *data)
{
    const char *name;
    bnf_dtype dtype;
    int64_t count;
    bnf_updater_array_info(updater, param, array, &name, &dtype, &count);
    if (updater->shared[param])
        return bnf_shared_gather(updater->shared[param], array, data);
    int64_t bytes = count * (int64_t)bnf_dtype_size(dtype);
    int owner = bnf_updater_owner(updater, param);
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
    if (updater->shared[param])
        return bnf_shared_put(updater->shared[param], array, data);
    if (trainable(updater, param) && updater->owner[param] != updater->rank)
        return BNF_OK;
    if (dtype == BNF_F64)
        return updater->mine[param].reparam.state_set(updater->mine[param].reparam.self, data);
    memcpy(array_of(updater, param, array), data, (size_t)count * sizeof(float));
    return BNF_OK;
}

bnf_status bnf_updater_restore(bnf_updater *updater)
{
    BNF_TRY(bnf_comm_agree(updater->comm, for_mine(updater, updater->order, effective)));
    BNF_TRY(shared_effective(updater));
    return broadcast(updater);
}
