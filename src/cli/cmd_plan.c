/* cli/cmd_plan.c - banff plan CONFIG: what will be computed, by how many, in how much memory. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "comm/agree.h"
#include "train/overlap.h"
#include "train/run.h"

#include <stdio.h>

static const char about[] = "Builds the network of CONFIG without training: parameters, segments, memory per thread "
                            "and leaf, gradient traffic.\n";

static double mib(size_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

static void print_params(const bnf_params *params)
{
    int64_t values = bnf_params_elements(params, true), raw = bnf_params_raw_elements(params, true);
    printf("%-24s %-22s %-15s %12s\n", "parameter", "shape", "constraint", "elements");
    for (int i = 0; i < bnf_params_count(params); i++) {
        const bnf_param_info *p = bnf_params_info(params, i);
        char shape[96];
        printf("%-24s %-22s %-15s %12lld\n", p->name, bnf_desc_format(&p->desc, shape, sizeof shape),
               p->reparam.make ? p->reparam.name
               : p->trainable  ? "-"
                               : "(state)",
               (long long)bnf_desc_count(&p->desc));
        if (bnf_params_raw_apart(params, i))
            printf("  raw weight             %-22s %-15s %12lld\n",
                   bnf_desc_format(bnf_param_raw_desc(p), shape, sizeof shape), "(optimised)",
                   (long long)bnf_desc_count(bnf_param_raw_desc(p)));
    }
    printf("trainable elements %lld", (long long)raw);
    if (raw != values)
        printf(", effective ones %lld", (long long)values);
    printf("\n\n");
}

static void print_plan(const bnf_job *job, const bnf_model *model, const bnf_params *params, int64_t rows, int ranks,
                       int threads)
{
    bnf_plan_memory m;
    bnf_plan_get_memory(model->plan, &m);
    int lo, hi;
    bnf_plan_leaves(model->plan, &lo, &hi);
    double flops = bnf_plan_flops(model->plan), values = (double)bnf_params_elements(params, true);
    printf("batch %lld in %lld leaves of %lld; %d ranks x %d threads; rank 0 has leaves %d to %d\n", (long long)rows,
           (long long)job->data.leaves, (long long)(rows / job->data.leaves), ranks, threads, lo, hi - 1);
    printf("segments %d, of which dist.cuts asked for %d at most; gradients are final after",
           bnf_plan_segments(model->plan), model->cuts);
    for (int g = 0; g < bnf_plan_grad_groups(model->plan); g++)
        printf(" %.2f", mib(4 * (size_t)bnf_plan_grad_layout(model->plan, g)->n));
    printf(" MiB\n");
    char sparse[128];
    if (bnf_model_sparse_text(model, sparse, sizeof sparse)[0])
        printf("%s\n", sparse);
    printf("flops of convolutions and dense layers per step %.3g (%.3g per sample)\n", flops, flops / (double)rows);
    printf("activations: %.2f MiB per thread within segments, %.2f MiB per leaf across segments (%.2f MiB per leaf "
           "without reuse)\n",
           mib(m.thread_bytes), mib(m.leaf_bytes), mib(m.unshared_bytes));
    printf("gradient buffers %.2f MiB, packed weights %.2f MiB, scratch %.2f MiB per thread\n", mib(m.reduce_bytes),
           mib(m.packed_bytes), mib(m.scratch_bytes));
    /* Of two leaves one writes its gradients, the other reads those and writes the sums, which the tree's next addition
     * finds in cache and adds to others, read and written: 20 bytes per value and pair. Against flops at 100 per 10
     * bytes. */
    double traffic = 10 * values * (double)job->data.leaves;
    printf(
        "gradient traffic of leaves %.3g bytes per step, about %.1f %% of a step at 100 GFLOP/s and 10 GB/s per core\n",
        traffic, 100 * (traffic / 10e9) / (flops / 100e9 + traffic / 10e9));
}

static void print_memory(const bnf_memory *m, const bnf_plan_memory *p, int leaves, int threads)
{
    printf("\nplanned memory of rank 0, MiB\n%-28s %10.1f\n", "program, libraries, MPI", mib((size_t)m->start));
    for (int i = 0; i < BNF_MEMORY_PARTS; i++) {
        printf("%-28s %10.1f\n", bnf_memory_part_names[i], mib((size_t)m->bytes[i]));
        if (i != BNF_MEMORY_TRAINING)
            continue;
        printf("  activations across segments%10.1f  (%d leaves)\n", mib(p->leaf_bytes * (size_t)leaves), leaves);
        printf("  activations within segments%10.1f  (%d threads)\n", mib(p->thread_bytes * (size_t)threads), threads);
        printf("  scratch                    %10.1f\n", mib(p->scratch_bytes * (size_t)threads));
        printf("  gradient buffers           %10.1f\n", mib(p->reduce_bytes));
        printf("  packed weights             %10.1f\n", mib(p->packed_bytes));
    }
    printf("%-28s %10.1f\n", "together", mib((size_t)bnf_memory_planned(m)));
}

bnf_status bnf_cmd_plan(const bnf_comm *world, int argc, char **argv)
{
    bnf_arg_list set = {0}, files = {0};
    bool help = false;
    const bnf_arg args[] = {
        {"set", "KEY=VALUE", "override a key of the configuration; may be repeated", BNF_ARG_LIST, &set},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help}};
    BNF_TRY(bnf_args_parse(args, 2, argc, argv, &files));
    if (help && bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, "plan CONFIG [options]", about, args, 2);
    if (help)
        return BNF_OK;
    if (files.count != 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one configuration file (banff plan --help)");
    bnf_job *job;
    bnf_dataset *dataset = NULL;
    bnf_params *params = NULL;
    bnf_model model = {0};
    BNF_TRY(bnf_job_load(world, bnf_recipes, files.item[0], set.item, (int)set.count, &job));
    int threads = bnf_job_threads(job, world);
    int64_t rows = 0;
    bnf_status s = bnf_data_open(&job->data, BNF_TRAIN, &dataset);
    if (s == BNF_OK)
        s = bnf_data_rows(&job->data, (uint64_t)job->seed, dataset, &rows);
    if (s == BNF_OK)
        s = bnf_params_create(BNF_F32, &params);
    if (s == BNF_OK)
        s = bnf_model_build(job, params, bnf_dataset_get_info(dataset), rows, job->data.leaves, true, &model);
    if (s == BNF_OK) {
        model.cuts = bnf_overlap_first_cuts(job, world);
        s = bnf_model_plan(&model, job, world, threads, NULL);
    }
    if (s == BNF_OK && bnf_comm_rank(world) == 0) {
        print_params(params);
        print_plan(job, &model, params, rows, bnf_comm_size(world), threads);
    }
    int lo = 0, hi = 0;
    bnf_plan_memory held = {0};
    if (s == BNF_OK) {
        bnf_plan_get_memory(model.plan, &held);
        bnf_plan_leaves(model.plan, &lo, &hi);
    }
    bnf_model_release(&model);
    bnf_params_destroy(params);
    bnf_dataset_close(dataset);
    s = bnf_comm_agree(world, s);
    bnf_memory memory;
    if (s == BNF_OK)
        s = bnf_run_memory(job, world, &memory);
    if (s == BNF_OK && bnf_comm_rank(world) == 0)
        print_memory(&memory, &held, hi - lo, threads);
    bnf_job_destroy(job);
    return s;
}
