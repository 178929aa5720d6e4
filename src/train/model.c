/* train/model.c - a recipe's network as a graph and plan over labelled images. */
#include "train/model.h"

#include "base/assert.h"
#include "base/bf16.h"
#include "comm/agree.h"
#include "comm/host.h"
#include "comm/tree.h"
#include "train/arrays.h"
#include "train/state.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One output per class; one alone tells two classes apart. A set may have fewer classes than the network, e.g. in a
 * part of it. */
static bnf_status check_outputs(bnf_builder *b, const bnf_model *model, const bnf_dataset_info *data)
{
    int64_t outputs = bnf_desc_cols(bnf_val_desc(b, model->values.logits));
    if (outputs >= data->classes || (outputs == 1 && data->classes == 2))
        return BNF_OK;
    return bnf_fail(BNF_ERR_CONFIG, "the network has %lld outputs, but %s has %lld classes in its %s part",
                    (long long)outputs, data->path, (long long)data->classes, data->name);
}

/* One score per class: of a single output f, class 1 where f > 0, the scores are -f and f. */
static bnf_val class_scores(bnf_builder *b, bnf_val logits)
{
    if (bnf_desc_cols(bnf_val_desc(b, logits)) > 1)
        return logits;
    return bnf_concat(b, (bnf_val[]){bnf_affine(b, logits, -1, 0), logits}, 2);
}

/* The share of the cells that are not zero when the network sees them; 1: unknown, or zeros do not stay zero. */
static double active_cells(const bnf_job *job, const bnf_dataset_info *data)
{
    bool kept = job->data.normalise == BNF_NORMALISE_UNIT ||
                (job->data.normalise == BNF_NORMALISE_AFFINE && job->data.shift == 0);
    double cells = (double)(data->count * data->h * data->w * data->c);
    return data->sparse && kept && data->entries > 0 ? (double)data->entries / cells : 1;
}

/* What plans are told of the images: a function of configuration and data set, so that all ranks choose alike. */
static double told_occupancy(const bnf_job *job, const bnf_model *model)
{
    if (job->train.sparse_input == BNF_SPARSE_ON)
        return 1e-9; /* as good as none */
    return job->train.sparse_input == BNF_SPARSE_AUTO && model->active < 1 ? model->active : 0;
}

bnf_status bnf_model_build(const bnf_job *job, bnf_params *params, const bnf_dataset_info *data, int64_t batch,
                           int64_t leaves, bool training, bnf_model *model)
{
    BNF_ASSERT(batch % leaves == 0);
    *model = (bnf_model){.input_grad = BNF_NONE,
                         .inner = BNF_NONE,
                         .inner_grad = BNF_NONE,
                         .accuracy = BNF_NONE,
                         .training = training,
                         .bf16 = training && job->train.precision == BNF_PRECISION_BF16};
    bnf_dtype real = bnf_params_real(params);
    int64_t n = batch / leaves;
    bnf_desc xd = bnf_desc_4d(real, n, data->h, data->w, data->c), yd = bnf_desc_1d(BNF_I32, n),
             wd = bnf_desc_1d(real, n);
    bnf_desc one = bnf_desc_1d(real, 1);
    BNF_TRY(bnf_graph_create(params, leaves, training, &model->graph));
    bnf_builder *b = bnf_graph_builder(model->graph);
    model->x = bnf_graph_input(model->graph, "images", &xd);
    model->active = active_cells(job, data);
    bnf_graph_set_occupancy(model->graph, model->x, told_occupancy(job, model));
    model->labels = bnf_graph_input(model->graph, "labels", &yd);
    model->weight = bnf_graph_input(model->graph, "weight", &wd);
    model->count = bnf_graph_knob(model->graph, "count", &one);
    bnf_scope scope = {.params = params,
                       .graph = model->graph,
                       .b = b,
                       .weight = model->weight,
                       .count = model->count,
                       .training = training,
                       .bf16 = model->bf16,
                       .seed = (uint64_t)job->seed};
    job->recipe->build(job->settings, &scope, model->x, model->labels, data->classes, &model->values);
    bool classifies = bnf_val_ok(model->values.logits);
    if (classifies)
        model->accuracy =
            bnf_nn_batch_mean(&scope, bnf_correct(b, class_scores(b, model->values.logits), model->labels));
    BNF_TRY(bnf_graph_status(model->graph));
    if (classifies)
        BNF_TRY(check_outputs(b, model, data));
    return training ? bnf_graph_minimize(model->graph, model->values.loss) : BNF_OK;
}

bnf_status bnf_model_want_input_gradient(bnf_model *model, bnf_val scalar)
{
    BNF_TRY(bnf_graph_gradient(model->graph, scalar, &model->x, 1, &model->input_grad));
    if (!bnf_val_ok(model->input_grad))
        return bnf_fail(BNF_ERR_ARG, "the network does not depend on its input");
    return BNF_OK;
}

bnf_status bnf_model_want_inner_gradient(bnf_model *model, bnf_val inner, bnf_val scalar)
{
    BNF_TRY(bnf_graph_gradient(model->graph, scalar, &inner, 1, &model->inner_grad));
    if (!bnf_val_ok(model->inner_grad))
        return bnf_fail(BNF_ERR_ARG, "the network's output does not depend on this inner value");
    model->inner = inner;
    return BNF_OK;
}

static bnf_status check_ranks(const bnf_comm *comm, int64_t leaves)
{
    if (bnf_comm_size(comm) <= leaves)
        return BNF_OK;
    return bnf_fail(BNF_ERR_CONFIG, "%d ranks but only %lld leaves: start at most %lld ranks or raise data.leaves",
                    bnf_comm_size(comm), (long long)leaves, (long long)leaves);
}

/* Emulated bf16 would be slower than f32 and give other bits than the rank beside it. */
static bnf_status check_cpu(const bnf_model *model)
{
    if (!model->bf16 || bnf_bf16_native())
        return BNF_OK;
    return bnf_fail(BNF_ERR_CONFIG, "train.precision: bf16 needs a CPU with AVX512_BF16, which this one has not: use "
                                    "f32");
}

/* Whether some convolution computes active sites alone. */
static bool uses_sites(const bnf_plan *plan)
{
    bnf_plan_node_stat stat;
    for (int i = 0; bnf_plan_node(plan, i, &stat); i++)
        if (strcmp(stat.op, "conv2d") == 0 && strcmp(stat.kernel, "sites") == 0)
            return true;
    return false;
}

const char *bnf_model_sparse_text(const bnf_model *model, char *text, size_t size)
{
    text[0] = '\0';
    if (model->active < 1)
        snprintf(text, size, "%.3g %% of the images' cells are active; the first convolution computes %s",
                 100 * model->active, model->sites ? "those alone" : "all");
    return text;
}

bnf_status bnf_model_plan(bnf_model *model, const bnf_job *job, const bnf_comm *comm, int threads, const int *owner)
{
    bnf_val keep[6 + BNF_MODEL_MAX_METRICS + BNF_MODEL_MAX_OUTPUTS];
    int n = 0;
    BNF_TRY(check_cpu(model));
    keep[n++] = model->values.loss;
    if (bnf_val_ok(model->values.logits)) {
        keep[n++] = model->values.logits;
        keep[n++] = model->accuracy;
    }
    for (int i = 0; i < model->values.n_metrics; i++)
        keep[n++] = model->values.metrics[i].value;
    for (int i = 0; !model->training && i < model->values.n_outputs; i++)
        keep[n++] = model->values.outputs[i].value;
    if (bnf_val_ok(model->input_grad))
        keep[n++] = model->input_grad;
    if (bnf_val_ok(model->inner_grad)) {
        keep[n++] = model->inner;
        keep[n++] = model->inner_grad;
    }
    const char *eager = getenv("BNF_EAGER");
    bnf_plan_config cfg = {.comm = comm,
                           .threads = threads,
                           .owner = owner,
                           .reference = job->run.reference,
                           .eager = job->run.eager || (eager && strcmp(eager, "1") == 0),
                           .profile = model->profile,
                           .spans = model->spans,
                           .hold_states = true,
                           .cuts = model->cuts,
                           .recompute = (bnf_recompute)job->run.recompute,
                           .recompute_blocks = (int)job->run.recompute_blocks,
                           .bf16_sums = job->train.gradient_wire == BNF_WIRE_BF16,
                           .seed = (uint64_t)job->seed};
    BNF_TRY(bnf_plan_create(&cfg, model->graph, keep, n, &model->plan));
    model->sites = uses_sites(model->plan);
    if (job->train.sparse_input == BNF_SPARSE_ON && !model->sites && !job->run.reference)
        return bnf_fail(BNF_ERR_CONFIG, "train.sparse_input: on, but no convolution of one group reads the images: use "
                                        "auto");
    return BNF_OK;
}

bnf_status bnf_model_run(bnf_model *model, const bnf_batch *batch, int64_t step)
{
    float count = batch->valid > 0 ? (float)batch->valid : 1; /* a batch without samples: all sums are 0 */
    BNF_TRY(bnf_plan_bind(model->plan, model->x, batch->x));
    BNF_TRY(bnf_plan_bind(model->plan, model->labels, batch->labels));
    BNF_TRY(bnf_plan_bind(model->plan, model->weight, batch->weight));
    BNF_TRY(bnf_plan_set(model->plan, model->count, &count));
    return bnf_plan_run(model->plan, step);
}

double bnf_model_scalar(const bnf_model *model, bnf_val v)
{
    return bnf_val_ok(v) ? *(const float *)bnf_plan_output(model->plan, v) : NAN;
}

void bnf_model_release(bnf_model *model)
{
    bnf_plan_destroy(model->plan);
    bnf_graph_destroy(model->graph);
    *model = (bnf_model){0};
}

bnf_status bnf_job_start_weights(const bnf_job *job, const bnf_comm *comm, bnf_params *params)
{
    const char *path = job->train.weights;
    char hash[17];
    if (!path || !path[0])
        return BNF_OK;
    bnf_status s = bnf_params_read(params, path);
    BNF_TRY(bnf_comm_agree(comm, s == BNF_OK ? s : bnf_fail_context(s, "train.weights")));
    bnf_state_hash_raw(params, hash);
    int64_t least = (int64_t)strtoull(hash, NULL, 16), most = least;
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_MIN, &least, 1));
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_MAX, &most, 1));
    if (least == most)
        return BNF_OK;
    return bnf_fail(BNF_ERR_CONFIG, "train.weights: %s is not the same file for all ranks", path);
}

int bnf_job_threads(const bnf_job *job, const bnf_comm *comm)
{
    if (job->run.threads > 0)
        return (int)job->run.threads;
    const char *env = getenv("OMP_NUM_THREADS");
    int asked = env ? atoi(env) : 0;
    if (asked > 0)
        return asked;
    int processors = omp_get_num_procs(), here = bnf_comm_host_size(comm);
    /* A launcher that binds ranks has shared the processors out; one that does not shows each rank all of them. */
    if (processors < (int)sysconf(_SC_NPROCESSORS_ONLN) || here < 1)
        return processors;
    return processors / here > 0 ? processors / here : 1;
}

bnf_status bnf_job_loader(const bnf_job *job, const bnf_comm *comm, bnf_dataset *dataset, int64_t batch, int64_t leaves,
                          bool training, bnf_loader **loader)
{
    const bnf_data_settings *d = &job->data;
    int32_t lo, hi;
    BNF_TRY(check_ranks(comm, leaves));
    bnf_tree_range((int32_t)leaves, bnf_comm_size(comm), bnf_comm_rank(comm), &lo, &hi);
    bnf_loader_config c = bnf_data_loader_config(d, (uint64_t)job->seed);
    if (!training) {
        c.sampler = (bnf_sampler_config){.kind = BNF_SAMPLER_SEQUENTIAL};
        c.groups = NULL;
        c.augment = (bnf_augment){0};
    }
    if (c.decode_threads == 0)
        c.decode_threads = bnf_job_threads(job, comm);
    c.batch = batch;
    c.leaves = leaves;
    c.leaf_lo = lo;
    c.leaf_hi = hi;
    c.comm = comm;
    return bnf_loader_create(dataset, &c, loader);
}
