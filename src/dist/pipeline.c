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
    bool active;
} item;

/* Items [first, first + n) carry the sums of a group. */
typedef struct load {
    int first, n;
    bool started;
    float *own; /* this rank's sums */
    int64_t lo; /* element of the group at which they begin */
} load;

struct bnf_pipeline {
    bnf_comm *comm; /* of its own: nobody else's messages are mistaken for these */
    int rank, ranks, leaves;
    bnf_plan *plan;
    bnf_shared *const *shared; /* [parameters] NULL where one rank owns */
    bnf_dist_config config;
    item *items; /* buckets of group 0, 1, ..., then spreads */
    int n_items, first_spread, n_active;
    int *active; /* [n_items] items under way, in the order of their start */
    load *loads;
    int n_groups;
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

static int64_t clamp(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* Slices of group g of about so many elements, the same on every rank. */
static int64_t bucket_elements(const bnf_pipeline *p)
{
    int64_t n = p->config.bucket / (int64_t)sizeof(float) / 16 * 16;
    return n < 16 ? 16 : n;
}

/* Elements of group g that have one owner; parameters behind them, which all ranks own together. */
static int64_t owned_elements(const bnf_pipeline *p, int g)
{
    return bnf_plan_grad_layout(p->plan, g)->owner_offset[p->ranks];
}

static int shared_params(const bnf_pipeline *p, int g)
{
    const bnf_grad_group *group = bnf_plan_grad_layout(p->plan, g);
    int n = 0;
    for (int i = 0; i < group->n_params; i++)
        n += p->shared[group->params[i]] != NULL;
    return n;
}

static int count_items(const bnf_pipeline *p, int n_spreads)
{
    int64_t n = n_spreads, unit = bucket_elements(p);
    for (int g = 0; g < p->n_groups; g++)
        n += (owned_elements(p, g) + unit - 1) / unit + shared_params(p, g);
    return (int)n;
}

/* The flow of elements [lo, hi) of a group. */
static bnf_status make_bucket(bnf_pipeline *p, const bnf_grad_group *group, const load *t, int64_t lo, int64_t hi,
                              int64_t *offset, bnf_flow **flow)
{
    const void *partials[BNF_TREE_MAX_COVER];
    bnf_flow_config c = {(bnf_flow_algorithm)p->config.algorithm, bnf_plan_bf16_sums(p->plan)};
    for (int i = 0; i < group->n_partials; i++)
        partials[i] = (const float *)group->partial[i] + lo;
    for (int r = 0; r <= p->ranks; r++)
        offset[r] = clamp(group->owner_offset[r], lo, hi) - lo;
    return bnf_flow_reduce_create(p->comm, &c, p->leaves, BNF_F32, partials, hi - lo, offset,
                                  t->own + (lo + offset[p->rank] - t->lo), flow);
}

/* The flow of a parameter that all ranks own together, whose gradient begins at element `at` of the group. */
static bnf_status make_slices(bnf_pipeline *p, const bnf_grad_group *group, bnf_shared *shared, int64_t at,
                              bnf_flow **flow)
{
    const void *partials[BNF_TREE_MAX_COVER];
    bnf_flow_config c = {(bnf_flow_algorithm)p->config.algorithm, bnf_plan_bf16_sums(p->plan)};
    const int64_t *offset = bnf_shared_offset(shared);
    for (int i = 0; i < group->n_partials; i++)
        partials[i] = (const float *)group->partial[i] + at;
    return bnf_flow_reduce_create(p->comm, &c, p->leaves, BNF_F32, partials, offset[p->ranks], offset,
                                  bnf_shared_reduced(shared), flow);
}

static bnf_status make_items(bnf_pipeline *p, const bnf_pipeline_spread *spreads, int n_spreads, int64_t *offset)
{
    int64_t unit = bucket_elements(p);
    float *own = p->sums;
    for (int g = 0; g < p->n_groups; g++) {
        const bnf_grad_group *group = bnf_plan_grad_layout(p->plan, g);
        load *t = &p->loads[g];
        *t = (load){.first = p->n_items, .own = own, .lo = group->owner_offset[p->rank]};
        own += group->owner_offset[p->rank + 1] - t->lo;
        int64_t n = owned_elements(p, g);
        for (int64_t lo = 0; lo < n; lo += unit, t->n++)
            BNF_TRY(make_bucket(p, group, t, lo, lo + unit < n ? lo + unit : n, offset, &p->items[p->n_items++].flow));
        for (int i = 0; i < group->n_params; i++)
            if (p->shared[group->params[i]]) {
                BNF_TRY(
                    make_slices(p, group, p->shared[group->params[i]], group->offset[i], &p->items[p->n_items++].flow));
                t->n++;
            }
    }
    p->first_spread = p->n_items;
    bnf_flow_config c = {(bnf_flow_algorithm)p->config.algorithm, false};
    for (int b = 0; b < n_spreads; b++)
        BNF_TRY(bnf_flow_spread_create(p->comm, &c, BNF_F32, spreads[b].owner_offset, spreads[b].value,
                                       &p->items[p->n_items++].flow));
    return BNF_OK;
}

static bnf_status allocate(bnf_pipeline *p, int n_spreads, int64_t **offset)
{
    size_t items = (size_t)count_items(p, n_spreads) + 1, own = 0;
    for (int g = 0; g < p->n_groups; g++) {
        const int64_t *at = bnf_plan_grad_layout(p->plan, g)->owner_offset + p->rank;
        own += (size_t)(at[1] - at[0]);
    }
    BNF_TRY(bnf_calloc(items, sizeof *p->items, "pipeline", &p->items));
    BNF_TRY(bnf_calloc(items, sizeof *p->active, "pipeline", &p->active));
    BNF_TRY(bnf_alloc((own + 16) * sizeof(float), "reduced gradients", &p->sums));
    return bnf_calloc((size_t)p->ranks + 1, sizeof **offset, "pipeline", offset);
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

static void start_items(bnf_pipeline *p, int first, int n)
{
    for (int i = first; i < first + n; i++) {
        record(p, bnf_flow_start(p->items[i].flow));
        p->items[i].active = true;
        p->active[p->n_active++] = i;
    }
}

/* Until the last of these items has come to its end, or one has failed. */
static void finish_items(bnf_pipeline *p, int first, int n)
{
    bnf_pulse_wait(true);
    for (int i = first; i < first + n; i++)
        while (p->items[i].active && p->status == BNF_OK) {
            if (p->n_active == 1)
                record(p, bnf_flow_wait(p->items[i].flow));
            advance(p);
        }
    bnf_pulse_wait(false);
}

static void start_group(bnf_pipeline *p, int g)
{
    if (p->loads[g].started)
        return;
    p->loads[g].started = true;
    start_items(p, p->loads[g].first, p->loads[g].n);
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

static bnf_status build(bnf_pipeline *p, const bnf_pipeline_spread *spreads, int n_spreads)
{
    int64_t *offset = NULL;
    bnf_status s = bnf_comm_agree(p->comm, allocate(p, n_spreads, &offset));
    if (s == BNF_OK)
        s = make_items(p, spreads, n_spreads, offset);
    bnf_free(offset);
    if (s == BNF_OK && p->config.progress == BNF_DIST_THREAD)
        s = bnf_comm_agree(p->comm, start_thread(p));
    return s;
}

bnf_status bnf_pipeline_create(const bnf_comm *comm, bnf_plan *plan, const bnf_dist_config *config,
                               const bnf_pipeline_spread *spreads, int n_spreads, bnf_shared *const *shared,
                               bnf_pipeline **pipeline)
{
    bnf_pipeline *p = NULL;
    bnf_status s = bnf_calloc(1, sizeof *p, "pipeline", &p);
    if (s == BNF_OK) {
        *p = (bnf_pipeline){.rank = bnf_comm_rank(comm),
                            .ranks = bnf_comm_size(comm),
                            .leaves = bnf_plan_leaf_count(plan),
                            .plan = plan,
                            .config = *config,
                            .shared = shared,
                            .n_groups = bnf_plan_grad_groups(plan)};
        s = bnf_calloc((size_t)p->n_groups + 1, sizeof *p->loads, "pipeline", &p->loads);
    }
    s = bnf_comm_agree(comm, s);
    if (s == BNF_OK && p->ranks > 1)
        s = bnf_comm_agree(comm, bnf_comm_dup(comm, &p->comm));
    if (s == BNF_OK && p->ranks > 1)
        s = build(p, spreads, n_spreads);
    if (s != BNF_OK) {
        bnf_pipeline_destroy(p);
        return s;
    }
    bnf_plan_hooks hooks = {p, on_ready, p->threaded ? NULL : on_poll, on_silence};
    bnf_plan_set_hooks(plan, p->ranks > 1 && config->progress != BNF_DIST_BLOCKING ? &hooks : NULL);
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
    bnf_free(p->loads);
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
    load *t = &p->loads[g];
    if (p->ranks == 1) { /* the plan's own buffer, free until its next run */
        *root = (float *)(uintptr_t)bnf_plan_grad_group(p->plan, g)->partial[0];
        return BNF_OK;
    }
    if (!t->started)
        bnf_plan_grad_group(p->plan, g); /* into plain layout */
    double start = bnf_clock_seconds();
    lock(p);
    start_group(p, g);
    finish_items(p, t->first, t->n);
    t->started = false;
    bnf_status s = recorded(p);
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
    *root = t->own - t->lo;
    return s;
}

bnf_status bnf_pipeline_spread_start(bnf_pipeline *p, int b)
{
    if (p->ranks == 1)
        return BNF_OK;
    double start = bnf_clock_seconds();
    lock(p);
    start_items(p, p->first_spread + b, 1);
    if (p->config.progress == BNF_DIST_BLOCKING)
        finish_items(p, p->first_spread + b, 1);
    bnf_status s = recorded(p);
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
    return s;
}

bnf_status bnf_pipeline_spread_wait(bnf_pipeline *p, int b)
{
    if (p->ranks == 1)
        return BNF_OK;
    double start = bnf_clock_seconds();
    lock(p);
    finish_items(p, p->first_spread + b, 1);
    bnf_status s = recorded(p);
    unlock(p);
    p->exposed += bnf_clock_seconds() - start;
    return s;
}

bnf_status bnf_pipeline_drop(bnf_pipeline *p)
{
    if (!p || p->ranks == 1)
        return BNF_OK;
    bool any = p->config.progress != BNF_DIST_BLOCKING; /* else nothing is started outside of collect */
    lock(p);
    for (int g = 0; any && g < p->n_groups; g++)
        start_group(p, g);
    finish_items(p, 0, p->n_items);
    for (int g = 0; g < p->n_groups; g++)
        p->loads[g].started = false;
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
