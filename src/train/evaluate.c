/* train/evaluate.c - running a network over a split. */
#include "train/run.h"

#include "base/mem.h"
#include "base/pulse.h"
#include "comm/agree.h"

#include <math.h>
#include <string.h>

bnf_status bnf_evaluate(bnf_model *model, const bnf_comm *comm, bnf_loader *loader, int64_t limit, bnf_eval_visit visit,
                        void *self, bnf_eval_result *result)
{
    double sums[2 + BNF_MODEL_MAX_METRICS] = {0};
    int64_t samples = 0, steps = bnf_loader_steps_per_epoch(loader);
    bnf_loader_seek(loader, 0);
    for (int64_t step = 0; step < steps && (limit <= 0 || samples < limit); step++) {
        const bnf_batch *batch = NULL;
        bnf_pulse_phase(BNF_PHASE_EVALUATE);
        BNF_TRY(bnf_comm_agree(comm, bnf_loader_next(loader, &batch)));
        BNF_TRY(bnf_model_run(model, batch, step));
        double n = (double)batch->valid;
        sums[0] += n * bnf_model_scalar(model, model->values.loss);
        sums[1] += n * bnf_model_scalar(model, model->accuracy);
        for (int i = 0; i < model->values.n_metrics; i++)
            sums[2 + i] += n * bnf_model_scalar(model, model->values.metrics[i].value);
        samples += batch->valid;
        if (visit)
            BNF_TRY(bnf_comm_agree(comm, visit(self, model, batch)));
    }
    *result = (bnf_eval_result){.samples = samples, .accuracy = bnf_val_ok(model->accuracy) ? 0 : NAN};
    if (samples == 0)
        return BNF_OK;
    result->loss = sums[0] / (double)samples;
    result->accuracy = sums[1] / (double)samples;
    for (int i = 0; i < model->values.n_metrics; i++)
        result->metrics[i] = sums[2 + i] / (double)samples;
    return BNF_OK;
}

/* The gathered values of one name. */
typedef struct column {
    bnf_val value;
    int64_t width;  /* floats of a sample */
    float *batch;   /* [rows, width] of all ranks */
    int64_t *bytes; /* [ranks] of these */
    float *rows;    /* [samples, width]; goes to the caller. NULL: each batch does */
} column;

typedef struct collector {
    const bnf_comm *comm;
    const bnf_run_output *outputs; /* [n] as the caller asked */
    column *columns;               /* [n] */
    int n;
    int64_t samples;
} collector;

static bnf_status collect(void *self, const bnf_model *model, const bnf_batch *batch)
{
    collector *c = self;
    for (int i = 0; i < c->n; i++) {
        const column *v = &c->columns[i];
        BNF_TRY(bnf_comm_allgatherv(c->comm, bnf_plan_output(model->plan, v->value), v->bytes, v->batch));
        const bnf_run_output *o = &c->outputs[i];
        if (o->take)
            BNF_TRY(o->take(o->self, c->samples, batch->valid, v->width, v->batch));
        else
            memcpy(v->rows + c->samples * v->width, v->batch, (size_t)(batch->valid * v->width) * sizeof(float));
    }
    c->samples += batch->valid; /* padding is behind the last sample */
    return BNF_OK;
}

static bnf_val find_value(const bnf_model_values *values, const char *name)
{
    if (strcmp(name, "logits") == 0)
        return values->logits;
    for (int i = 0; i < values->n_outputs; i++)
        if (strcmp(name, values->outputs[i].name) == 0)
            return values->outputs[i].value;
    return BNF_NONE;
}

/* Room for `samples` and a batch behind them. */
static bnf_status column_open(column *v, const bnf_run *run, const bnf_model *model, const bnf_run_output *output,
                              int64_t samples)
{
    const bnf_data_settings *d = &run->job->data;
    const char *name = output->name;
    v->value = find_value(&model->values, name);
    if (!bnf_val_ok(v->value))
        return bnf_fail(BNF_ERR_ARG, "the network of recipe '%s' has no value '%s'", run->job->recipe->name, name);
    const bnf_desc *desc = bnf_val_desc(bnf_graph_builder(model->graph), v->value);
    v->width = bnf_desc_count(desc) / desc->dim[0];
    size_t row = (size_t)v->width * sizeof(float);
    BNF_TRY(bnf_alloc((size_t)bnf_comm_size(run->comm) * sizeof(int64_t), name, &v->bytes));
    BNF_TRY(bnf_alloc((size_t)d->batch * row, name, &v->batch));
    return output->take ? BNF_OK : bnf_alloc((size_t)(samples + d->batch) * row, name, &v->rows);
}

/* How much each rank has of a batch. Collective. */
static bnf_status share_bytes(const collector *c, const bnf_run *run, const bnf_model *model)
{
    const bnf_data_settings *d = &run->job->data;
    int lo, hi;
    bnf_plan_leaves(model->plan, &lo, &hi);
    for (int i = 0; i < c->n; i++) {
        const column *v = &c->columns[i];
        int64_t mine = (int64_t)(hi - lo) * (d->batch / d->leaves) * v->width * (int64_t)sizeof(float);
        BNF_TRY(bnf_comm_allgather(run->comm, &mine, sizeof mine, v->bytes));
    }
    return BNF_OK;
}

/* The network over a split, with what is collected on the way. */
static bnf_status evaluate_split(bnf_run *run, bnf_split split, int64_t limit, collector *c, bnf_eval_result *result)
{
    bnf_dataset *dataset;
    bnf_model model = {0};
    bnf_loader *loader = NULL;
    const bnf_data_settings *d = &run->job->data;
    BNF_TRY(bnf_run_dataset(run, split, &dataset));
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    bnf_status s = bnf_model_build(run->job, run->params, info, d->batch, d->leaves, false, &model);
    if (s == BNF_OK)
        s = bnf_model_plan(&model, run->job, run->comm, run->threads, NULL);
    for (int i = 0; i < c->n && s == BNF_OK; i++)
        s = column_open(&c->columns[i], run, &model, &c->outputs[i], info->count);
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = bnf_comm_agree(run->comm,
                           bnf_job_loader(run->job, run->comm, dataset, d->batch, d->leaves, false, &loader));
    if (s == BNF_OK)
        s = share_bytes(c, run, &model);
    if (s == BNF_OK)
        s = bnf_evaluate(&model, run->comm, loader, limit, collect, c, result);
    bnf_loader_destroy(loader);
    bnf_model_release(&model);
    return s;
}

bnf_status bnf_run_outputs(bnf_run *run, bnf_split split, int64_t limit, bnf_run_output *outputs, int n,
                           bnf_eval_result *result)
{
    collector c = {.comm = run->comm, .outputs = outputs, .n = n};
    for (int i = 0; i < n; i++)
        outputs[i].rows = NULL;
    BNF_TRY(bnf_calloc((size_t)n + 1, sizeof *c.columns, "values of a network", &c.columns));
    bnf_status s = evaluate_split(run, split, limit, &c, result);
    for (int i = 0; i < n; i++) {
        outputs[i].columns = c.columns[i].width;
        outputs[i].rows = c.columns[i].rows;
        bnf_free(c.columns[i].batch);
        bnf_free(c.columns[i].bytes);
    }
    bnf_free(c.columns);
    return s;
}

void bnf_run_outputs_release(bnf_run_output *outputs, int n)
{
    for (int i = 0; i < n; i++) {
        bnf_free(outputs[i].rows);
        outputs[i].rows = NULL;
    }
}

bnf_status bnf_run_logits(bnf_run *run, bnf_split split, int64_t limit, float **logits, int64_t *samples,
                          bnf_eval_result *result)
{
    bnf_run_output output = {.name = "logits"};
    bnf_status s = bnf_run_outputs(run, split, limit, &output, 1, result);
    if (s != BNF_OK) {
        bnf_run_outputs_release(&output, 1);
        return s;
    }
    result->outputs = output.columns;
    *logits = output.rows;
    *samples = result->samples;
    return BNF_OK;
}
