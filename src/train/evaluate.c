/* train/evaluate.c - running a network over a split. */
#include "train/run.h"

#include "base/mem.h"
#include "base/pulse.h"
#include "comm/agree.h"

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
    *result = (bnf_eval_result){.samples = samples};
    if (samples == 0)
        return BNF_OK;
    result->loss = sums[0] / (double)samples;
    result->accuracy = sums[1] / (double)samples;
    for (int i = 0; i < model->values.n_metrics; i++)
        result->metrics[i] = sums[2 + i] / (double)samples;
    return BNF_OK;
}

typedef struct collector {
    const bnf_comm *comm;
    float *all;         /* one batch */
    int64_t *bytes;     /* [ranks] of it */
    int64_t mine_bytes; /* of this rank */
    float *logits;      /* [samples, classes] */
    int64_t classes, samples;
} collector;

static bnf_status collect(void *self, const bnf_model *model, const bnf_batch *batch)
{
    collector *c = self;
    const float *logits = bnf_plan_output(model->plan, model->values.logits);
    BNF_TRY(bnf_comm_allgatherv(c->comm, logits, c->bytes, c->all));
    memcpy(c->logits + c->samples * c->classes, c->all, (size_t)(batch->valid * c->classes) * sizeof(float));
    c->samples += batch->valid; /* padding is behind the last sample */
    return BNF_OK;
}

static bnf_status collector_fill(collector *c, const bnf_run *run, bnf_model *model, int64_t samples)
{
    const bnf_data_settings *d = &run->job->data;
    int ranks = bnf_comm_size(run->comm), lo, hi;
    bnf_plan_leaves(model->plan, &lo, &hi);
    int64_t row =
        bnf_desc_cols(bnf_val_desc(bnf_graph_builder(model->graph), model->values.logits)) * (int64_t)sizeof(float);
    c->comm = run->comm;
    c->classes = row / (int64_t)sizeof(float);
    BNF_TRY(bnf_alloc((size_t)ranks * sizeof(int64_t), "logits", &c->bytes));
    BNF_TRY(bnf_alloc((size_t)(d->batch * row), "logits", &c->all));
    BNF_TRY(bnf_alloc((size_t)((samples + d->batch) * row), "logits", &c->logits));
    c->mine_bytes = (int64_t)(hi - lo) * (d->batch / d->leaves) * row;
    return BNF_OK;
}

bnf_status bnf_run_logits(bnf_run *run, bnf_split split, int64_t limit, float **logits, int64_t *samples,
                          bnf_eval_result *result)
{
    bnf_dataset *dataset;
    bnf_model model = {0};
    bnf_loader *loader = NULL;
    collector c = {0};
    const bnf_data_settings *d = &run->job->data;
    BNF_TRY(bnf_run_dataset(run, split, &dataset));
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    bnf_status s = bnf_model_build(run->job, run->params, info, d->batch, d->leaves, false, &model);
    if (s == BNF_OK)
        s = bnf_model_plan(&model, run->job, run->comm, run->threads, NULL);
    if (s == BNF_OK)
        s = collector_fill(&c, run, &model, info->count);
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = bnf_comm_agree(run->comm,
                           bnf_job_loader(run->job, run->comm, dataset, d->batch, d->leaves, false, &loader));
    if (s == BNF_OK)
        s = bnf_comm_allgather(run->comm, &c.mine_bytes, sizeof c.mine_bytes, c.bytes);
    if (s == BNF_OK)
        s = bnf_evaluate(&model, run->comm, loader, limit, collect, &c, result);
    bnf_loader_destroy(loader);
    bnf_model_release(&model);
    bnf_free(c.all);
    bnf_free(c.bytes);
    if (s != BNF_OK) {
        bnf_free(c.logits);
        return s;
    }
    result->outputs = c.classes;
    *logits = c.logits;
    *samples = c.samples;
    return BNF_OK;
}
