/* cli/bench_scale.c - banff bench scale CONFIG: what a training step would take on a described cluster. */
#include "cli/bench_scale.h"

#include "cli/args.h"
#include "cli/recipes.h"

#include "base/mem.h"
#include "base/str.h"
#include "dist/owners.h"
#include "dist/scale.h"
#include "train/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CHUNKS 24
#define DEFAULT_CUTS 2 /* where dist.cuts is left to a run's first steps */

static const char about[] =
    "Replays the communication of a training step of CONFIG, message by message, on a cluster that is described by "
    "the\n"
    "options: each rank computes --samples samples (weak scaling). A model, not a measurement: docs/scaling.md says "
    "what\n"
    "it leaves out and how far it was from real runs. dist.* and train.shared_above of CONFIG apply.\n";

/* As given by the options. */
typedef struct request {
    const char *ranks, *json;
    int64_t per_host, per_switch, samples, steps, seed;
    double oversubscription, gbit, latency_us, memory_gbytes, message_us, gflops, spread;
    bool blocking;
} request;

/* Where the load comes from: the plan that one rank would have for the whole batch. */
typedef struct source {
    const request *request;
    const bnf_job *job;
    const bnf_params *params;
    const bnf_plan *plan;
} source;

static bnf_scale_cluster cluster_of(const request *q)
{
    return (bnf_scale_cluster){.ranks_per_host = (int)q->per_host,
                               .hosts_per_switch = (int)q->per_switch,
                               .oversubscription = q->oversubscription,
                               .bandwidth = q->gbit * 1e9 / 8,
                               .latency = q->latency_us * 1e-6,
                               .memory_bandwidth = q->memory_gbytes * 1e9,
                               .memory_latency = 0.5e-6,
                               .message_seconds = q->message_us * 1e-6,
                               .add_bandwidth = q->memory_gbytes * 1e9 / 3};
}

/* Owners on so many ranks, and room for what follows from them. */
typedef struct owners {
    int ranks;
    int *owner;       /* [parameters] */
    int64_t *offset;  /* [ranks + 1] of a set of parameters */
    int64_t *offsets; /* [2 BNF_SCALE_MAX_BUCKETS][ranks + 1] of buckets */
    int n_offsets;
    double *work; /* [ranks] */
} owners;

static void owners_release(owners *o)
{
    bnf_free(o->owner);
    bnf_free(o->offset);
    bnf_free(o->offsets);
    bnf_free(o->work);
}

static bnf_status owners_make(const bnf_params *params, int ranks, int64_t shared_above, owners *o)
{
    size_t width = (size_t)ranks + 1;
    *o = (owners){.ranks = ranks};
    BNF_TRY(bnf_calloc((size_t)bnf_params_count(params) + 1, sizeof *o->owner, "owners", &o->owner));
    BNF_TRY(bnf_alloc(width * sizeof *o->offset, "owners", &o->offset));
    BNF_TRY(bnf_alloc(2 * BNF_SCALE_MAX_BUCKETS * width * sizeof *o->offsets, "owners", &o->offsets));
    BNF_TRY(bnf_alloc(width * sizeof *o->work, "owners", &o->work));
    return bnf_owners_assign_shared(params, ranks, shared_above, o->owner);
}

/* Adds a parameter to the set that is counted: to its owner, or in equal slices to all (train.shared_above). */
static void count(const bnf_params *params, owners *o, int param)
{
    int64_t n = bnf_desc_count(&bnf_params_info(params, param)->desc);
    if (o->owner[param] >= 0)
        o->offset[o->owner[param] + 1] += n;
    for (int r = 0; r < o->ranks && o->owner[param] < 0; r++)
        o->offset[r + 1] += n * (r + 1) / o->ranks - n * r / o->ranks;
}

/* The set that was counted travels as one flow, in chunks that hold the same share of every owner's elements
 * (comm/flow.h). In the model each chunk is a bucket of its own, but of a set at most MAX_CHUNKS: finer ones change
 * little. Clears the set. */
static bnf_status add_chunks(const bnf_job *job, bnf_flow_algorithm algorithm, owners *o, double at,
                             bnf_scale_bucket *buckets, int *n_buckets)
{
    int64_t measure = 0, bytes = job->dist.bucket > 0 ? job->dist.bucket : bnf_flow_chunk_bytes(algorithm, o->ranks);
    for (int r = 0; r < o->ranks; r++) {
        int64_t own = o->offset[r + 1];
        measure = algorithm == BNF_FLOW_HALVING ? measure + own : own > measure ? own : measure;
    }
    int64_t n = (measure * (int64_t)sizeof(float) + bytes - 1) / bytes;
    n = n > MAX_CHUNKS ? MAX_CHUNKS : n;
    for (int64_t i = 0; i < n; i++) {
        if (*n_buckets == BNF_SCALE_MAX_BUCKETS)
            return bnf_fail(BNF_ERR_CONFIG, "more than %d chunks: lower dist.cuts", BNF_SCALE_MAX_BUCKETS);
        int64_t *own = o->offsets + (int64_t)o->n_offsets++ * (o->ranks + 1);
        own[0] = 0;
        for (int r = 0; r < o->ranks; r++)
            own[r + 1] = own[r] + o->offset[r + 1] * (i + 1) / n - o->offset[r + 1] * i / n;
        buckets[(*n_buckets)++] = (bnf_scale_bucket){own, at};
    }
    memset(o->offset, 0, ((size_t)o->ranks + 1) * sizeof *o->offset);
    return BNF_OK;
}

/* Fraction of the flops of a step that are done when a segment ends. */
static double done_after(const bnf_plan *plan, int segment)
{
    double total = 0, before = 0;
    bnf_plan_node_stat s;
    for (int i = 0; bnf_plan_node(plan, i, &s); i++) {
        total += s.segment >= 0 ? s.flops : 0;
        before += s.segment >= 0 && s.segment <= segment ? s.flops : 0;
    }
    return total > 0 ? before / total : 1;
}

/* Work of the owner that has most, in flops. */
static double dearest(const bnf_params *params, owners *o)
{
    double most = 0, shared = 0;
    memset(o->work, 0, (size_t)o->ranks * sizeof *o->work);
    for (int i = 0; i < bnf_params_count(params); i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        if (info->trainable && o->owner[i] < 0)
            shared += bnf_owners_cost(info) / o->ranks;
        else if (info->trainable)
            o->work[o->owner[i]] += bnf_owners_cost(info);
    }
    for (int r = 0; r < o->ranks; r++)
        most = o->work[r] > most ? o->work[r] : most;
    return most + shared;
}

/* Gradients group by group as they become final; new values by the segment of the next step that reads them first. */
static bnf_status add_buckets(const source *from, owners *o, bnf_scale_load *load)
{
    int segments = bnf_plan_segments(from->plan);
    memset(o->offset, 0, ((size_t)o->ranks + 1) * sizeof *o->offset);
    for (int g = 0; g < bnf_plan_grad_groups(from->plan); g++) {
        const bnf_grad_group *group = bnf_plan_grad_layout(from->plan, g);
        for (int i = 0; i < group->n_params; i++)
            count(from->params, o, group->params[i]);
        BNF_TRY(add_chunks(from->job, load->algorithm, o, done_after(from->plan, group->segment), load->gradients,
                           &load->n_gradients));
    }
    for (int s = 0; s < segments; s++) {
        for (int i = 0; i < bnf_params_count(from->params); i++)
            if (bnf_params_info(from->params, i)->trainable && bnf_plan_first_read(from->plan, i) == s)
                count(from->params, o, i);
        BNF_TRY(add_chunks(from->job, load->algorithm, o, s > 0 ? done_after(from->plan, s - 1) : 0, load->values,
                           &load->n_values));
    }
    return BNF_OK;
}

/* The load with the owners that training on so many ranks has. */
static bnf_status load_of(const source *from, owners *o, bnf_scale_load *load)
{
    const request *q = from->request;
    const bnf_job *job = from->job;
    *load = (bnf_scale_load){.compute_seconds = bnf_plan_flops(from->plan) / (double)job->data.batch *
                                                (double)q->samples / (q->gflops * 1e9),
                             .spread = q->spread,
                             .bytes_per_element = bnf_plan_bf16_sums(from->plan) ? 2 : 4,
                             .leaves_per_rank = 1,
                             .algorithm = job->dist.algorithm == BNF_FLOW_DIRECT ? BNF_FLOW_DIRECT : BNF_FLOW_HALVING,
                             .overlap = !q->blocking};
    load->update_seconds = dearest(from->params, o) / (q->gflops * 1e9);
    return add_buckets(from, o, load);
}

static void print_result(const bnf_scale_load *load, int ranks, const bnf_scale_result *r, FILE *json)
{
    printf("%6d %10.2f %10.2f %10.2f %10.2f %10.2f %9.1f %9.1f %10.1f\n", ranks, 1e3 * r->step_seconds,
           1e3 * (r->compute_seconds - load->compute_seconds), 1e3 * r->reduce_exposed, 1e3 * load->update_seconds,
           1e3 * r->spread_exposed, 100 * (r->reduce_exposed + r->spread_exposed) / r->step_seconds,
           100 * r->efficiency, (double)r->bytes / 1048576);
    if (json)
        fprintf(
            json,
            "{\"ranks\":%d,\"step_seconds\":%.6g,\"compute_seconds\":%.6g,\"reduce_exposed\":%.6g,"
            "\"update_seconds\":%.6g,\"spread_exposed\":%.6g,\"efficiency\":%.5g,\"bytes\":%lld,\"messages\":%lld}\n",
            ranks, r->step_seconds, r->compute_seconds, r->reduce_exposed, load->update_seconds, r->spread_exposed,
            r->efficiency, (long long)r->bytes, (long long)r->messages);
}

static bnf_status simulate(const source *from, int ranks, FILE *json)
{
    bnf_scale_cluster cluster = cluster_of(from->request);
    bnf_scale_load load;
    bnf_scale_result r;
    owners o;
    bnf_status s = owners_make(from->params, ranks, from->job->train.shared_above, &o);
    if (s == BNF_OK)
        s = load_of(from, &o, &load);
    if (s == BNF_OK)
        s = bnf_scale_run(&cluster, &load, ranks, (int)from->request->steps, (uint64_t)from->request->seed, &r);
    if (s == BNF_OK)
        print_result(&load, ranks, &r, json);
    owners_release(&o);
    return s;
}

/* Numbers of ranks from "2,4,8". */
static bnf_status simulate_all(const source *from, FILE *json)
{
    printf("%6s %10s %10s %10s %10s %10s %9s %9s %10s\n", "ranks", "step ms", "straggle", "reduce", "update", "spread",
           "exposed%", "effic. %", "MiB sent");
    for (const char *at = from->request->ranks; *at;) {
        char *end;
        long ranks = strtol(at, &end, 10);
        if (end == at || ranks < 1 || ranks > 65536 || (*end && *end != ','))
            return bnf_fail(BNF_ERR_CONFIG, "--ranks: '%s' is no list of numbers of ranks such as 2,4,8",
                            from->request->ranks);
        BNF_TRY(simulate(from, (int)ranks, json));
        at = *end ? end + 1 : end;
    }
    return BNF_OK;
}

static bnf_status check(const request *q)
{
    bool good = q->per_host >= 1 && q->per_switch >= 0 && q->samples >= 1 && q->steps >= 1 && q->seed >= 0 &&
                q->oversubscription > 0 && q->gbit > 0 && q->latency_us >= 0 && q->memory_gbytes > 0 &&
                q->message_us >= 0 && q->gflops > 0 && q->spread >= 0;
    return good ? BNF_OK : bnf_fail(BNF_ERR_CONFIG, "numbers of the cluster and of the load must be positive");
}

static bnf_status model_cluster(const bnf_comm *world, const request *q, const bnf_job *job)
{
    bnf_dataset *dataset = NULL;
    bnf_params *params = NULL;
    bnf_model model = {0};
    FILE *json = NULL;
    bnf_status s = bnf_data_open(&job->data, BNF_TRAIN, &dataset);
    if (s == BNF_OK)
        s = bnf_params_create(BNF_F32, &params);
    if (s == BNF_OK)
        s = bnf_model_build(job, params, bnf_dataset_get_info(dataset), job->data.batch, job->data.leaves, true,
                            &model);
    if (s == BNF_OK)
        model.cuts = job->dist.cuts >= 0 ? (int)job->dist.cuts : DEFAULT_CUTS;
    if (s == BNF_OK)
        s = bnf_model_plan(&model, job, world, 1, NULL);
    if (s == BNF_OK && q->json && !(json = fopen(q->json, "w")))
        s = bnf_fail(BNF_ERR_IO, "cannot write '%s'", q->json);
    if (s == BNF_OK)
        s = simulate_all(&(source){q, job, params, model.plan}, json);
    if (json && fclose(json) != 0 && s == BNF_OK)
        s = bnf_fail(BNF_ERR_IO, "cannot write '%s'", q->json);
    bnf_model_release(&model);
    bnf_params_destroy(params);
    bnf_dataset_close(dataset);
    return s;
}

bnf_status bnf_bench_scale(const bnf_comm *world, int argc, char **argv)
{
    request q = {.ranks = "2,4,16,64,256,1024,4096",
                 .per_host = 2,
                 .per_switch = 16,
                 .samples = 32,
                 .steps = 5,
                 .seed = 1,
                 .oversubscription = 1,
                 .gbit = 100,
                 .latency_us = 2,
                 .memory_gbytes = 10,
                 .message_us = 1,
                 .gflops = 1500,
                 .spread = 0.01};
    bnf_arg_list set = {0}, files = {0};
    bool help = false;
    bnf_job *job;
    const bnf_arg args[] = {
        {"set", "KEY=VALUE", "override a key of the configuration; may be repeated", BNF_ARG_LIST, &set},
        {"ranks", "LIST", "numbers of ranks (default 2,4,16,64,256,1024,4096)", BNF_ARG_STR, &q.ranks},
        {"samples", "N", "samples per rank and step (default 32)", BNF_ARG_INT, &q.samples},
        {"gflops", "X", "that a rank reaches in training, from banff bench (default 1500)", BNF_ARG_REAL, &q.gflops},
        {"spread", "X", "standard deviation of computing times, relative (default 0.01)", BNF_ARG_REAL, &q.spread},
        {"per-host", "N", "ranks per host (default 2)", BNF_ARG_INT, &q.per_host},
        {"per-switch", "N", "hosts per leaf switch of the fat tree; 0: one switch (default 16)", BNF_ARG_INT,
         &q.per_switch},
        {"oversubscription", "X", "of the trunks to the core (default 1)", BNF_ARG_REAL, &q.oversubscription},
        {"gbit", "X", "bandwidth of a host, each way, in Gbit/s (default 100)", BNF_ARG_REAL, &q.gbit},
        {"latency-us", "X", "between hosts, in microseconds (default 2)", BNF_ARG_REAL, &q.latency_us},
        {"memory-gbytes", "X", "bandwidth of messages inside a host, GB/s (default 10)", BNF_ARG_REAL,
         &q.memory_gbytes},
        {"message-us", "X", "of a rank's time per message, in microseconds (default 1)", BNF_ARG_REAL, &q.message_us},
        {"blocking", NULL, "communicate after computing only", BNF_ARG_FLAG, &q.blocking},
        {"steps", "N", "steps to average over (default 5)", BNF_ARG_INT, &q.steps},
        {"seed", "N", "of the computing times (default 1)", BNF_ARG_INT, &q.seed},
        {"json", "FILE", "one line per number of ranks", BNF_ARG_STR, &q.json},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help}};
    const int n = (int)(sizeof args / sizeof args[0]);
    BNF_TRY(bnf_args_parse(args, n, argc, argv, &files));
    if (help && bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, "bench scale CONFIG [options]", about, args, n);
    if (help)
        return BNF_OK;
    if (files.count != 1 || bnf_comm_size(world) != 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one configuration file, and no mpirun (banff bench scale --help)");
    BNF_TRY(check(&q));
    BNF_TRY(bnf_job_load(world, bnf_recipes, files.item[0], set.item, (int)set.count, &job));
    bnf_status s = model_cluster(world, &q, job);
    bnf_job_destroy(job);
    return s;
}
