/* recipes/dark_showers/pictures.c - the network on a few chosen images. */
#include "recipes/dark_showers/pictures.h"

#include "base/mem.h"
#include "comm/agree.h"

#include <string.h>

/* The network over batches that are filled by hand. */
typedef struct viewer {
    bnf_run *run;
    const bnf_dataset *dataset;
    bnf_model model;
    bnf_transform *transform;
    bnf_val value;
    int64_t size, first, rows; /* elements of an image; this rank's rows of a batch */
    void *stored;              /* one image as the file has it */
    float *x;                  /* [batch, size] */
    float *made;               /* [batch, size] of all ranks */
    float *own, *weight;       /* this rank's [rows, size] of x; [rows] */
    int32_t *labels;           /* [rows] zeros */
    int64_t *bytes;            /* [ranks] of `made` */
} viewer;

static void viewer_close(viewer *v)
{
    bnf_free(v->bytes);
    bnf_free(v->labels);
    bnf_free(v->weight);
    bnf_free(v->own);
    bnf_free(v->made);
    bnf_free(v->x);
    bnf_free(v->stored);
    bnf_transform_destroy(v->transform);
    bnf_model_release(&v->model);
}

static bnf_status find_reconstruction(viewer *v)
{
    const bnf_model_values *values = &v->model.values;
    v->value = BNF_NONE;
    for (int i = 0; i < values->n_outputs; i++)
        if (strcmp(values->outputs[i].name, "reconstruction") == 0)
            v->value = values->outputs[i].value;
    return bnf_val_ok(v->value) ? BNF_OK : bnf_fail(BNF_ERR_ARG, "the network reconstructs nothing");
}

/* Not collective. */
static bnf_status viewer_open(viewer *v)
{
    bnf_run *run = v->run;
    const bnf_data_settings *d = &run->job->data;
    const bnf_dataset_info *info = bnf_dataset_get_info(v->dataset);
    bnf_loader_config config = bnf_data_loader_config(d, (uint64_t)run->job->seed);
    size_t row = (size_t)v->size * sizeof(float);
    int lo, hi;
    BNF_TRY(bnf_transform_create(info, &config.normalise, &v->transform));
    BNF_TRY(bnf_model_build(run->job, run->params, info, d->batch, d->leaves, false, &v->model));
    BNF_TRY(find_reconstruction(v));
    BNF_TRY(bnf_model_plan(&v->model, run->job, run->comm, run->threads, NULL));
    bnf_plan_leaves(v->model.plan, &lo, &hi);
    v->first = lo * (d->batch / d->leaves);
    v->rows = (hi - lo) * (d->batch / d->leaves);
    BNF_TRY(bnf_alloc((size_t)info->sample_bytes, "image", &v->stored));
    BNF_TRY(bnf_alloc((size_t)d->batch * row, "images", &v->x));
    BNF_TRY(bnf_alloc((size_t)d->batch * row, "reconstructions", &v->made));
    BNF_TRY(bnf_alloc((size_t)v->rows * row, "images", &v->own));
    BNF_TRY(bnf_alloc((size_t)v->rows * sizeof(float), "images", &v->weight));
    BNF_TRY(bnf_calloc((size_t)v->rows, sizeof(int32_t), "images", &v->labels));
    return bnf_alloc((size_t)bnf_comm_size(run->comm) * sizeof(int64_t), "images", &v->bytes);
}

/* The first n rows of a batch, the rest is padding. Every rank reads all of them: they are few. */
static bnf_status fill(viewer *v, int64_t n, const int64_t *index)
{
    const bnf_image_move still = {0};
    int64_t batch = v->run->job->data.batch;
    memset(v->x, 0, (size_t)(batch * v->size) * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        BNF_TRY(bnf_dataset_read_rows(v->dataset, index[i], 1, v->stored));
        bnf_transform_apply(v->transform, v->stored, &still, v->x + i * v->size);
    }
    memcpy(v->own, v->x + v->first * v->size, (size_t)(v->rows * v->size) * sizeof(float));
    for (int64_t i = 0; i < v->rows; i++)
        v->weight[i] = v->first + i < n;
    return BNF_OK;
}

static bnf_status run_batch(viewer *v, int64_t n, const int64_t *index)
{
    BNF_TRY(bnf_comm_agree(v->run->comm, fill(v, n, index)));
    const bnf_batch batch = {.rows = v->rows,
                             .first_position = v->first,
                             .first_sample = v->first,
                             .valid = n,
                             .x = v->own,
                             .labels = v->labels,
                             .weight = v->weight};
    BNF_TRY(bnf_model_run(&v->model, &batch, 0));
    return bnf_comm_allgatherv(v->run->comm, bnf_plan_output(v->model.plan, v->value), v->bytes, v->made);
}

bnf_status bnf_dark_reconstruct(bnf_run *run, const bnf_dataset *dataset, int64_t n, const int64_t *index, float *x,
                                float *reconstruction)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    int64_t batch = run->job->data.batch;
    viewer v = {.run = run, .dataset = dataset, .size = info->h * info->w * info->c};
    bnf_status s = bnf_comm_agree(run->comm, viewer_open(&v));
    if (s == BNF_OK) {
        int64_t mine = v.rows * v.size * (int64_t)sizeof(float);
        s = bnf_comm_allgather(run->comm, &mine, sizeof mine, v.bytes);
    }
    for (int64_t i = 0; s == BNF_OK && i < n; i += batch) {
        int64_t here = n - i < batch ? n - i : batch;
        size_t bytes = (size_t)(here * v.size) * sizeof(float);
        s = run_batch(&v, here, index + i);
        if (s != BNF_OK)
            break;
        memcpy(x + i * v.size, v.x, bytes);
        memcpy(reconstruction + i * v.size, v.made, bytes);
    }
    viewer_close(&v);
    return s;
}
