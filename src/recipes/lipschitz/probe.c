/* recipes/lipschitz/probe.c - a trained network over given inputs, with input gradients. */
#include "recipes/lipschitz/probe.h"

#include "base/mem.h"

#include <math.h>

#define FAR 1e30 /* subtracted from a logit that a maximum must not see; finite in f32 */

/* Leaf-level scalar: the sum of the figure over the leaf's rows. */
static bnf_val emit_figure(const bnf_model *m, bnf_lipschitz_figure figure)
{
    bnf_builder *b = bnf_graph_builder(m->graph);
    bnf_val f = m->values.logits;
    int64_t outputs = bnf_desc_cols(bnf_val_desc(b, f));
    if (outputs == 1) {
        bnf_val sign = bnf_affine(b, bnf_slice(b, bnf_one_hot(b, m->labels, 2), 1, 1), 2, -1);
        bnf_val own = bnf_sum_all(b, bnf_mul(b, sign, f));
        return figure == BNF_LIPSCHITZ_RIVAL ? bnf_affine(b, own, -1, 0) : own;
    }
    bnf_val one_hot = bnf_one_hot(b, m->labels, outputs), own = bnf_sum_all(b, bnf_mul(b, one_hot, f));
    if (figure != BNF_LIPSCHITZ_RIVAL)
        return own;
    bnf_val sorted = bnf_fullsort(b, bnf_sub(b, f, bnf_affine(b, one_hot, FAR, 0)));
    return bnf_sub(b, bnf_sum_all(b, bnf_slice(b, sorted, outputs - 1, 1)), own);
}

/* The last convolution's output and the scalar's gradient there. */
static bnf_status want_inner(bnf_lipschitz_probe *p, bnf_val scalar, bnf_val convolution)
{
    if (!bnf_val_ok(convolution))
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "this network has no convolution, so there is no map of features to weigh");
    const bnf_desc *d = bnf_val_desc(bnf_graph_builder(p->model.graph), convolution);
    p->inner_h = d->dim[1];
    p->inner_w = d->dim[2];
    p->inner_c = d->dim[3];
    return bnf_model_want_inner_gradient(&p->model, convolution, scalar);
}

static bnf_status want(bnf_lipschitz_figure figure, bnf_lipschitz_probe *p)
{
    bnf_val convolution = bnf_graph_last(p->model.graph, "conv2d"), scalar;
    if (figure == BNF_LIPSCHITZ_LOGITS)
        return BNF_OK;
    scalar = emit_figure(&p->model, figure);
    BNF_TRY(bnf_graph_status(p->model.graph));
    return figure == BNF_LIPSCHITZ_OWN_INNER ? want_inner(p, scalar, convolution)
                                             : bnf_model_want_input_gradient(&p->model, scalar);
}

static bnf_status build(bnf_run *run, bnf_lipschitz_figure figure, bnf_lipschitz_probe *p)
{
    BNF_TRY(bnf_model_build(run->job, run->params, bnf_dataset_get_info(run->train), p->rows, p->rows / p->leaf_rows,
                            false, &p->model));
    p->outputs = bnf_desc_cols(bnf_val_desc(bnf_graph_builder(p->model.graph), p->model.values.logits));
    BNF_TRY(want(figure, p));
    return bnf_model_plan(&p->model, run->job, NULL, run->threads, NULL);
}

bnf_status bnf_lipschitz_probe_create(bnf_run *run, bnf_lipschitz_figure figure, int64_t leaves, int64_t leaf_rows,
                                      bnf_lipschitz_probe *p)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(run->train);
    *p = (bnf_lipschitz_probe){.rows = leaves * leaf_rows, .leaf_rows = leaf_rows, .size = info->h * info->w * info->c};
    BNF_TRY(build(run, figure, p));
    BNF_TRY(bnf_calloc((size_t)(p->rows * p->size), sizeof *p->x, "inputs of a probe", &p->x));
    BNF_TRY(bnf_calloc((size_t)p->rows, sizeof *p->labels, "labels of a probe", &p->labels));
    BNF_TRY(bnf_alloc((size_t)p->rows * sizeof *p->weight, "weights of a probe", &p->weight));
    for (int64_t i = 0; i < p->rows; i++)
        p->weight[i] = 1;
    return BNF_OK;
}

void bnf_lipschitz_probe_release(bnf_lipschitz_probe *p)
{
    bnf_model_release(&p->model);
    bnf_free(p->x);
    bnf_free(p->labels);
    bnf_free(p->weight);
    *p = (bnf_lipschitz_probe){0};
}

bnf_status bnf_lipschitz_probe_run(bnf_lipschitz_probe *p)
{
    bnf_batch batch = {.rows = p->rows, .valid = p->rows, .x = p->x, .labels = p->labels, .weight = p->weight};
    BNF_TRY(bnf_model_run(&p->model, &batch, 0));
    p->logits = bnf_plan_output(p->model.plan, p->model.values.logits);
    p->gradient = bnf_val_ok(p->model.input_grad) ? bnf_plan_output(p->model.plan, p->model.input_grad) : NULL;
    if (bnf_val_ok(p->model.inner_grad)) {
        p->inner = bnf_plan_output(p->model.plan, p->model.inner);
        p->inner_gradient = bnf_plan_output(p->model.plan, p->model.inner_grad);
    }
    return BNF_OK;
}

int32_t bnf_lipschitz_class(const float *logits, int64_t outputs)
{
    int32_t y = 0;
    for (int32_t j = 1; j < outputs; j++)
        if (logits[j] > logits[y])
            y = j;
    return outputs == 1 ? logits[0] > 0 : y;
}

double bnf_lipschitz_lead(const float *logits, int64_t outputs, int32_t own)
{
    double rival = -INFINITY;
    if (outputs == 1)
        return own ? logits[0] : -(double)logits[0];
    for (int64_t j = 0; j < outputs; j++)
        if (j != own)
            rival = fmax(rival, logits[j]);
    return logits[own] - rival;
}

void bnf_lipschitz_probe_share(const bnf_run *run, int64_t rows, int rank, int64_t *lo, int64_t *hi)
{
    int64_t group = run->job->data.batch / run->job->data.leaves, groups = (rows + group - 1) / group;
    int64_t ranks = bnf_comm_size(run->comm);
    *lo = rank * groups / ranks * group;
    *hi = (rank + 1) * groups / ranks * group;
    *lo = *lo < rows ? *lo : rows;
    *hi = *hi < rows ? *hi : rows;
}
