/* dist/pipeline.c - flows of one step: who starts them, who moves them on. */
#include "dist/pipeline.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "comm/agree.h"
#include "comm/flow.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct item {
    bnf_flow *flow;
    bool active, started; /* started: since the sums were last collected */
    float *own;           /* of a group: this rank's sums */
    int64_t lo;           /* element of the group at which they begin */
    int first, n_slices;  /* of a group: items of parameters that all ranks own together */
} item;

struct bnf_pipeline {
    bnf_comm *comm; /* of its own: nobody else's messages are mistaken for these */
    int rank, ranks, leaves;
    bnf_plan *plan;
    bnf_shared *const *shared; /* [parameters] NULL where one rank owns */
    bnf_dist_config config;
    item *items; /* groups, parameters that all ranks own together, parcels */
    int n_items, n_groups, first_parcel, n_active;
    int *active; /* [n_items] items under way, in the order of their start */
    const bnf_parcel *parcels;
    int n_parcels, n_sent, n_arrived;
    bnf_pipeline_arrived arrived;
    void *self; /* of arrived */
    float *sums;
    bnf_status status; /* first failure of a poll */
    char message[512];
    double next_poll, exposed, polling;
    /* policy `thread`; MPI is called under the lock alone */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool threaded, held, quit;
};

static int count_slices(const bnf_pipeline *p, int g)
{
    const bnf_grad_group *group = bnf_plan_grad_layout(p->plan, g);
    int n = 0;
    for (int i = 0; i < group->n_params; i++)
        n += p->shared[group->params[i]] != NULL;
    return n;
}

/* The flow of elements of a group from `at` on, as many as the owners have. */
static bnf_status make_sums(bnf_pipeline *p, const bnf_grad_group *group, int64_t at, const int64_t *offset, float *out,
                            bnf_flow **flow)
{
    const void *partials[BNF_TREE_MAX_COVER];
    bnf_flow_config c = {(bnf_flow_algorithm)p->config.algorithm, bnf_plan_bf16_sums(p->plan), p->config.bucket};
    for (int i = 0; i < group->n_partials; i++)
        partials[i] = (const float *)group->partial[i] + at;
    return bnf_flow_reduce_create(p->comm, &c, p->leaves, BNF_F32, partials, offset[p->ranks], offset, out, flow);
}

/* What has one owner stands in front in a group, what all own together behind. */
static bnf_status make_items(bnf_pipeline *p)
{
    float *own = p->sums;
    p->n_items = p->n_groups;
    for (int g = 0; g < p->n_groups; g++) {
        const bnf_grad_group *group = bnf_plan_grad_layout(p->plan, g);
        item *it = &p->items[g];
        *it = (item){.own = own, .lo = group->owner_offset[p->rank], .first = p->n_items};
        own += group->owner_offset[p->rank + 1] - it->lo;
        BNF_TRY(make_sums(p, group, 0, group->owner_offset, it->own, &it->flow));
        for (int i = 0; i < group->n_params; i++) {
            bnf_shared *shared = p->shared[group->params[i]];
            if (!shared)
                continue;
            it->n_slices++;
            BNF_TRY(make_sums(p, group, group->offset[i], bnf_shared_offset(shared), bnf_shared_reduced(shared),
                              &p->items[p->n_items++].flow));
        }
    }
    p->first_parcel = p->n_items;
    bnf_flow_config c = {(bnf_flow_algorithm)p->config.algorithm, false, p->config.bucket};
    for (int b = 0; b < p->n_parcels; b++)
        BNF_TRY(bnf_flow_spread_create(p->comm, &c, BNF_F32, p->parcels[b].owner_offset, p->parcels[b].value,
                                       &p->items[p->n_items++].flow));
    return BNF_OK;
}

static bnf_status allocate(bnf_pipeline *p)
{
    size_t items = (size_t)(p->n_groups + p->n_parcels) + 1, own = 0;
    for (int g = 0; g < p->n_groups; g++) {
        const int64_t *at = bnf_plan_grad_layout(p->plan, g)->owner_offset + p->rank;
        own += (size_t)(at[1] - at[0]);
        items += (size_t)count_slices(p, g);
    }
    BNF_TRY(bnf_calloc(items, sizeof *p->items, "pipeline", &p->items));
    BNF_TRY(bnf_calloc(items, sizeof *p->active, "pipeline", &p->active));
    return bnf_alloc((own + 16) * sizeof(float), "reduced gradients", &p->sums);
}

/* --- starting and moving on; with a thread, under the lock -------------------------------------------------------- */

static void lock(bnf_pipeline *p)
{
    if (p->threaded)
        pthread_mutex_lock(&p->lock);
}

static void unlock(bnf_pipeline *p)
{
    if (p->threaded)
        pthread_mutex_unlock(&p->lock);
}

static void record(bnf_pipeline *p, bnf_status s)
{
    if (s == BNF_OK || p->status != BNF_OK)
        return;
    p->status = s;
    snprintf(p->message, sizeof p->message, "%s", bnf_error_message());
}

static bnf_status recorded(const bnf_pipeline *p)
{
    return p->status == BNF_OK ? BNF_OK : bnf_fail(p->status, "%s", p->message);
}

/* Every flow that is under way gets its turn: later ones need not wait for earlier ones. */
static void advance(bnf_pipeline *p)
{
    int kept = 0;
    for (int i = 0; i < p->n_active; i++) {
        item *c = &p->items[p->active[i]];
        bool done = false;
        record(p, bnf_flow_poll(c->flow, &done));
        if (done)
            c->active = false;
        else
            p->active[kept++] = p->active[i];
    }
    p->n_active = kept;
}

static void start_item(bnf_pipeline *p, int i)
{
    if (p->items[i].started)
        return;
    p->items[i].started = p->items[i].active = true;
    p->active[p->n_active++] = i;
    record(p, bnf_flow_start(p->items[i].flow));
}

/* Until this item has come to its end, or one has failed. */
static void finish_item(bnf_pipeline *p, int i)
{
    bnf_pulse_wait(true);
    while (p->items[i].active && p->status == BNF_OK) {
        if (p->n_active == 1)
            record(p, bnf_flow_wait(p->items[i].flow));
        advance(p);
    }
    bnf_pulse_wait(false);
    p->items[i].started = false;
}

/* A group is what has one owner and what all ranks own. */
static void start_group(bnf_pipeline *p, int g)
{
    start_item(p, g);
    for (int i = 0; i < p->items[g].n_slices; i++)
        start_item(p, p->items[g].first + i);
}

static void finish_group(bnf_pipeline *p, int g)
{
    finish_item(p, g);
    for (int i = 0; i < p->items[g].n_slices; i++)
        finish_item(p, p->items[g].first + i);
}

/* Parcels up to number n arrive, in their order. */
static void receive(bnf_pipeline *p, int n)
{
    for (; p->n_arrived < n && p->n_arrived < p->n_sent; p->n_arrived++) {
        finish_item(p, p->first_parcel + p->n_arrived);
        p->arrived(p->self, p->n_arrived);
    }
}

/* --- hooks of the plan -------------------------------------------------------------------------------------------- */

static bnf_status on_ready(void *self, int g)
{
    bnf_pipeline *p = self;
    double start = bnf_clock_seconds();
    lock(p);
    start_group(p, g);
    bnf_status s = recorded(p);
    if (p->threaded)
        pthread_cond_signal(&p->wake);
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
    return s;
}

static bnf_status on_need(void *self, int segment)
{
    bnf_pipeline *p = self;
    int n = p->n_arrived;
    for (int b = n; b < p->n_sent; b++)
        n = p->parcels[b].first_read <= segment ? b + 1 : n;
    if (n == p->n_arrived)
        return BNF_OK;
    double start = bnf_clock_seconds();
    lock(p);
    receive(p, n);
    bnf_status s = recorded(p);
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
    return s;
}

void bnf_pipeline_poll(bnf_pipeline *p)
{
    if ((p->threaded && !p->held) || p->n_active == 0)
        return;
    double now = bnf_clock_seconds();
    if (now < p->next_poll)
        return;
    advance(p);
    double end = bnf_clock_seconds();
    p->polling += end - now;
    p->next_poll = end + p->config.poll_seconds;
}

static void on_poll(void *self)
{
    bnf_pipeline_poll(self);
}

static void on_silence(void *self, bool begin)
{
    bnf_pipeline *p = self;
    lock(p);
    p->held = begin;
    pthread_cond_signal(&p->wake);
    unlock(p);
}

static void *communicate(void *self)
{
    bnf_pipeline *p = self;
    struct timespec pause = {(time_t)p->config.poll_seconds,
                             (long)(1e9 * (p->config.poll_seconds - (double)(time_t)p->config.poll_seconds))};
    pthread_mutex_lock(&p->lock);
    while (!p->quit) {
        if (p->held || p->n_active == 0) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        advance(p);
        pthread_mutex_unlock(&p->lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    bnf_error_clear();
    return NULL;
}

static bnf_status start_thread(bnf_pipeline *p)
{
    static const char *const levels[] = {"SINGLE", "FUNNELED", "SERIALIZED", "MULTIPLE"};
    if (bnf_comm_thread_level() < BNF_THREAD_SERIALIZED)
        return bnf_fail(
            BNF_ERR_UNSUPPORTED,
            "dist.progress: thread needs MPI_THREAD_SERIALIZED; this MPI (%s) was started with MPI_THREAD_%s",
            bnf_comm_library(), levels[bnf_comm_thread_level()]);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->held = true;
    if (pthread_create(&p->thread, NULL, communicate, p) != 0) {
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        return bnf_fail(BNF_ERR_MEMORY, "cannot start a communication thread (dist.progress: thread)");
    }
    p->threaded = true;
    return BNF_OK;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static bnf_status build(bnf_pipeline *p)
{
    BNF_TRY(bnf_comm_agree(p->comm, allocate(p)));
    BNF_TRY(make_items(p));
    return p->config.progress == BNF_DIST_THREAD ? bnf_comm_agree(p->comm, start_thread(p)) : BNF_OK;
}

bnf_status bnf_pipeline_create(const bnf_comm *comm, bnf_plan *plan, const bnf_dist_config *config,
                               const bnf_parcel *parcels, int n_parcels, bnf_shared *const *shared,
                               bnf_pipeline_arrived arrived, void *self, bnf_pipeline **pipeline)
{
    bnf_pipeline *p = NULL;
    bnf_status s = bnf_comm_agree(comm, bnf_calloc(1, sizeof *p, "pipeline", &p));
    if (s != BNF_OK) {
        bnf_free(p);
        return s;
    }
    *p = (bnf_pipeline){.rank = bnf_comm_rank(comm),
                        .ranks = bnf_comm_size(comm),
                        .leaves = bnf_plan_leaf_count(plan),
                        .plan = plan,
                        .config = *config,
                        .shared = shared,
                        .n_groups = bnf_plan_grad_groups(plan),
                        .parcels = parcels,
                        .n_parcels = n_parcels,
                        .arrived = arrived,
                        .self = self};
    bnf_plan_set_hooks(plan, NULL);
    if (p->ranks > 1)
        s = bnf_comm_agree(comm, bnf_comm_dup(comm, &p->comm));
    if (s == BNF_OK && p->ranks > 1)
        s = build(p);
    if (s != BNF_OK) {
        bnf_pipeline_destroy(p);
        return s;
    }
    bnf_plan_hooks hooks = {p, on_ready, on_need, p->threaded ? NULL : on_poll, on_silence};
    if (bnf_pipeline_open(p))
        bnf_plan_set_hooks(plan, &hooks);
    *pipeline = p;
    return BNF_OK;
}

void bnf_pipeline_destroy(bnf_pipeline *pipeline)
{
    bnf_pipeline *p = pipeline;
    if (!p)
        return;
    if (p->threaded) {
        pthread_mutex_lock(&p->lock);
        p->quit = true;
        pthread_cond_signal(&p->wake);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
    }
    for (int i = 0; i < p->n_items; i++)
        bnf_flow_destroy(p->items[i].flow);
    bnf_free(p->items);
    bnf_free(p->active);
    bnf_free(p->sums);
    bnf_comm_destroy(p->comm);
    bnf_free(p);
}

bool bnf_pipeline_serves(const bnf_pipeline *pipeline, const bnf_plan *plan)
{
    return pipeline && pipeline->plan == plan;
}

/* --- a step ------------------------------------------------------------------------------------------------------- */

bnf_status bnf_pipeline_collect(bnf_pipeline *p, int g, float **root)
{
    if (p->ranks == 1) { /* the plan's own buffer, free until its next run */
        *root = (float *)(uintptr_t)bnf_plan_grad_group(p->plan, g)->partial[0];
        return BNF_OK;
    }
    item *i = &p->items[g];
    if (!i->started)
        bnf_plan_grad_group(p->plan, g); /* into plain layout */
    double start = bnf_clock_seconds();
    lock(p);
    start_group(p, g);
    finish_group(p, g);
    bnf_status s = recorded(p);
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
    *root = i->own - i->lo;
    return s;
}

void bnf_pipeline_send(bnf_pipeline *p, int b)
{
    if (p->ranks == 1)
        return;
    double start = bnf_clock_seconds();
    lock(p);
    if (b == 0)
        p->n_sent = p->n_arrived = 0;
    start_item(p, p->first_parcel + b);
    p->n_sent = b + 1;
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
}

bool bnf_pipeline_open(const bnf_pipeline *p)
{
    return p->ranks > 1 && p->config.progress != BNF_DIST_BLOCKING;
}

bnf_status bnf_pipeline_settle(bnf_pipeline *p)
{
    if (!p || p->n_arrived == p->n_sent)
        return BNF_OK;
    double start = bnf_clock_seconds();
    lock(p);
    receive(p, p->n_sent);
    bnf_status s = recorded(p);
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
    return s;
}

bnf_status bnf_pipeline_drop(bnf_pipeline *p)
{
    if (!p || !bnf_pipeline_open(p)) /* without hooks a run starts nothing */
        return BNF_OK;
    BNF_TRY(bnf_pipeline_settle(p));
    lock(p);
    for (int g = 0; g < p->n_groups; g++)
        start_group(p, g);
    for (int g = 0; g < p->n_groups; g++)
        finish_group(p, g);
    bnf_status s = recorded(p);
    unlock(p);
    return s;
}

void bnf_pipeline_seconds(bnf_pipeline *p, double *exposed, double *polling)
{
    *exposed = p->exposed;
    *polling = p->polling;
    p->exposed = p->polling = 0;
}
