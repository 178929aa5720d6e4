/* cli/cmd_bench.c - banff bench CONFIG: speed of a configuration's training step beside the machine's measured peak. */
#include "cli/args.h"
#include "cli/bench_comm.h"
#include "cli/bench_ops.h"
#include "cli/bench_scale.h"
#include "cli/bench_sites.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "base/clock.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "dist/owners.h"
#include "train/memory.h"
#include "train/model.h"
#include "train/overlap.h"
#include "train/rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char about[] =
    "Times training steps (computing, reduction, update with constraints, broadcast) on batches of the data set and "
    "prints medians\n"
    "as one JSON object, beside the peak of fused multiply-adds of the precision that this many threads reach in the "
    "same\n"
    "process.\n"
    "Exposed is time in which the main thread waited for messages: of the rank that waits longest, and of the one "
    "that\n"
    "waits least (what the others wait beyond that is for ranks that compute longer). Constraints are processor time "
    "in "
    "constrained\n"
    "weights: of the rank that has most of it, and of all ranks.\n";

#define TIMES 8

typedef struct bench {
    const bnf_job *job;
    const bnf_comm *comm;
    int threads;
    bnf_dataset *dataset;
    bnf_params *params;
    bnf_model model;
    int *owner;
    bnf_rule rule;
    bnf_updater *updater;
    bnf_loader *loader;
    bnf_overlap overlap;
    double *times; /* [TIMES][steps]: step, compute, reduce, update, broadcast, exposed, least exposed, constraints */
    double *all;   /* [steps] constraints, of all ranks together */
    int64_t steps, rows;
    double resident;      /* bytes of all ranks at most, before peaks are measured */
    double stall, passed; /* seconds of the timed steps: waiting for data, on the rank that waited longest; all */
} bench;

static bnf_status prepare(bench *b, bool profile)
{
    const bnf_data_settings *d = &b->job->data;
    BNF_TRY(bnf_data_open(d, BNF_TRAIN, &b->dataset));
    BNF_TRY(bnf_data_rows(d, (uint64_t)b->job->seed, b->dataset, &b->rows));
    BNF_TRY(bnf_params_create(BNF_F32, &b->params));
    BNF_TRY(bnf_model_build(b->job, b->params, bnf_dataset_get_info(b->dataset), b->rows, d->leaves, true, &b->model));
    BNF_TRY(bnf_params_init(b->params, (uint64_t)b->job->seed));
    BNF_TRY(bnf_calloc((size_t)bnf_params_count(b->params) + 1, sizeof *b->owner, "owners", &b->owner));
    BNF_TRY(bnf_owners_assign_shared(b->params, bnf_comm_size(b->comm), b->job->train.shared_above, b->owner));
    b->model.profile = profile;
    b->model.cuts = bnf_overlap_first_cuts(b->job, b->comm);
    BNF_TRY(bnf_model_plan(&b->model, b->job, b->comm, b->threads, b->owner));
    BNF_TRY(bnf_rule_create(&b->job->optim, b->params, 1000, 1000000, &b->rule));
    BNF_TRY(bnf_calloc((size_t)b->steps, sizeof(double), "times", &b->all));
    return bnf_calloc((size_t)(TIMES * b->steps), sizeof(double), "times", &b->times);
}

static bnf_status one_step(bench *b, int64_t step, double *times)
{
    const bnf_batch *batch;
    bnf_update_stats stats;
    BNF_TRY(bnf_loader_next(b->loader, &batch));
    double start = bnf_clock_seconds();
    BNF_TRY(bnf_model_run(&b->model, batch, step));
    double computed = bnf_clock_seconds();
    BNF_TRY(bnf_updater_step(b->updater, b->model.plan, step, &stats));
    times[0] = bnf_clock_seconds() - start;
    times[1] = computed - start;
    times[2] = stats.reduce_seconds;
    times[3] = stats.update_seconds;
    times[4] = stats.broadcast_seconds;
    times[5] = stats.exposed_seconds;
    times[6] = -stats.exposed_seconds; /* the largest of these is the least */
    times[7] = stats.constraint_seconds;
    return BNF_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void print_json(bench *b, double peak, const bnf_bench_limits *limits, const bnf_plan_memory *m)
{
    static const char *const names[] = {"step_seconds",          "compute_seconds",   "reduce_seconds",
                                        "update_seconds",        "broadcast_seconds", "exposed_seconds",
                                        "least_exposed_seconds", "constraint_seconds"};
    static const char *const policies[] = {"blocking", "poll", "thread"};
    double med[TIMES];
    for (int i = 0; i < TIMES; i++)
        med[i] = median(b->times + i * b->steps, b->steps);
    double flops = bnf_plan_flops(b->model.plan), batch = (double)b->job->data.batch;
    bool bf16 = b->job->train.precision == BNF_PRECISION_BF16;
    printf("{\"ranks\":%d,\"threads\":%d,\"batch\":%lld,\"leaves\":%lld,\"steps\":%lld", bnf_comm_size(b->comm),
           b->threads, (long long)b->job->data.batch, (long long)b->job->data.leaves, (long long)b->steps);
    for (int i = 0; i < TIMES; i++)
        printf(",\"%s\":%.6g", names[i], med[i]);
    printf(",\"constraint_seconds_all\":%.6g", median(b->all, b->steps));
    printf(",\"progress\":\"%s\",\"cuts\":%d,\"segments\":%d,\"gradient_bytes\":%.0f,\"leaf_mib\":%.4g",
           policies[b->overlap.planned.progress], b->overlap.planned.cuts, bnf_plan_segments(b->model.plan),
           4.0 * (double)bnf_params_elements(b->params, true), (double)m->leaf_bytes / 1048576.0);
    printf(",\"samples_per_second\":%.6g,\"flops_per_step\":%.6g,\"gflops\":%.4g,\"compute_gflops\":%.4g,\"peak_"
           "gflops\":%.4g,"
           "\"compute_of_peak\":%.4g,\"step_of_peak\":%.4g,\"update_share\":%.4g,\"stall_share\":%.4g,"
           "\"thread_mib\":%.4g,\"resident_mib\":%.5g,\"precision\":\"%s\",\"bf16_peak_gflops\":%.4g,\"memory_gbytes\":"
           "%.4g",
           batch / med[0], flops, flops / med[0] / 1e9, flops / med[1] / 1e9, peak, flops / med[1] / 1e9 / peak,
           flops / med[0] / 1e9 / peak, med[3] / med[0], b->stall / b->passed, (double)m->thread_bytes / 1048576.0,
           b->resident / 1048576.0, bf16 ? "bf16" : "f32", limits->bf16_gflops, limits->memory_gbytes);
}

/* Times the steps. Waiting for data happens before a step's clock starts and is counted by the loader. */
static bnf_status time_steps(bench *b)
{
    double t[TIMES];
    int64_t step = 0;
    bnf_loader_stats before, after;
    while (!bnf_tuner_settled(&b->overlap.tuner)) {
        BNF_TRY(one_step(b, step++, t));
        BNF_TRY(bnf_overlap_step(&b->overlap, t[0]));
    }
    for (int64_t i = 0; i < 3; i++)
        BNF_TRY(one_step(b, step++, t));
    bnf_loader_get_stats(b->loader, &before);
    double start = bnf_clock_seconds();
    for (int64_t i = 0; i < b->steps; i++) {
        BNF_TRY(one_step(b, step++, t));
        for (int k = 0; k < TIMES; k++)
            b->times[k * b->steps + i] = t[k];
        b->all[i] = t[7];
    }
    b->passed = bnf_clock_seconds() - start;
    bnf_loader_get_stats(b->loader, &after);
    b->stall = after.stall_seconds - before.stall_seconds;
    return bnf_comm_allreduce_f64(b->comm, BNF_COMM_MAX, &b->stall, 1);
}

static bnf_status measure(bench *b, bool profile)
{
    bnf_bench_limits limits;
    bnf_plan_memory memory;
    const bnf_data_settings *d = &b->job->data;
    BNF_TRY(bnf_comm_agree(b->comm, bnf_job_loader(b->job, b->comm, b->dataset, b->rows, d->leaves, true, &b->loader)));
    BNF_TRY(bnf_updater_create(b->comm, b->params, b->owner, &b->rule.rule, b->threads, &b->updater));
    b->overlap = (bnf_overlap){b->job, b->comm, b->threads, b->owner, &b->model, b->updater};
    BNF_TRY(bnf_overlap_begin(&b->overlap));
    BNF_TRY(time_steps(b));
    BNF_TRY(bnf_updater_settle(b->updater));
    /* Not in between: what waits there would move messages on outside of what is timed. */
    BNF_TRY(bnf_comm_allreduce_f64(b->comm, BNF_COMM_MAX, b->times, TIMES * b->steps));
    BNF_TRY(bnf_comm_allreduce_f64(b->comm, BNF_COMM_SUM, b->all, b->steps));
    for (int64_t i = 6 * b->steps; i < 7 * b->steps; i++)
        b->times[i] = -b->times[i];
    b->resident = (double)bnf_memory_resident_peak();
    BNF_TRY(bnf_comm_allreduce_f64(b->comm, BNF_COMM_SUM, &b->resident, 1));
    BNF_TRY(bnf_comm_agree(b->comm, bnf_bench_limits_measure(b->threads, &limits)));
    bool bf16 = b->job->train.precision == BNF_PRECISION_BF16;
    double peak = bf16 ? limits.bf16_gflops : limits.f32_gflops; /* of this rank, then of all */
    BNF_TRY(bnf_comm_allreduce_f64(b->comm, BNF_COMM_SUM, &peak, 1));
    bnf_plan_get_memory(b->model.plan, &memory);
    if (bnf_comm_rank(b->comm) != 0)
        return BNF_OK;
    if (profile)
        BNF_TRY(bnf_bench_ops_print(b->model.plan, b->threads, &limits));
    print_json(b, peak, &limits, &memory);
    if (profile) {
        printf(",\"ops\":");
        BNF_TRY(bnf_bench_ops_json(b->model.plan, b->threads, &limits));
    }
    printf("}\n");
    return BNF_OK;
}

bnf_status bnf_cmd_bench(const bnf_comm *world, int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "comm") == 0)
        return bnf_bench_comm(world, argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "scale") == 0)
        return bnf_bench_scale(world, argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "sites") == 0)
        return bnf_bench_sites(world, argc - 1, argv + 1);
    bnf_arg_list set = {0}, files = {0};
    bool help = false, profile = false;
    int64_t steps = 20;
    const bnf_arg args[] = {
        {"set", "KEY=VALUE", "override a key of the configuration; may be repeated", BNF_ARG_LIST, &set},
        {"steps", "N", "steps to time, after 3 that are not counted", BNF_ARG_INT, &steps},
        {"ops", NULL, "also time every operation (slows small networks a little)", BNF_ARG_FLAG, &profile},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help}};
    BNF_TRY(bnf_args_parse(args, 4, argc, argv, &files));
    if (help && bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, "bench CONFIG [options] | bench comm|scale|sites [options]", about, args, 4);
    if (help)
        return BNF_OK;
    if (files.count != 1 || steps < 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one configuration file and at least one step (banff bench --help)");
    bnf_job *job;
    BNF_TRY(bnf_job_load(world, bnf_recipes, files.item[0], set.item, (int)set.count, &job));
    bench b = {.job = job, .comm = world, .steps = steps, .threads = bnf_job_threads(job, world)};
    bnf_status s = bnf_comm_agree(world, prepare(&b, profile));
    if (s == BNF_OK)
        s = measure(&b, profile);
    bnf_loader_destroy(b.loader);
    bnf_updater_destroy(b.updater);
    bnf_rule_release(&b.rule);
    bnf_model_release(&b.model);
    bnf_params_destroy(b.params);
    bnf_dataset_close(b.dataset);
    bnf_free(b.owner);
    bnf_free(b.all);
    bnf_free(b.times);
    bnf_job_destroy(job);
    return s;
}
