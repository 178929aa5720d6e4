/* recipes/lipschitz/explain.c - saliency maps and counterfactuals. */
#include "recipes/lipschitz/explain.h"

#include "base/mem.h"
#include "recipes/lipschitz/probe.h"

#include <math.h>
#include <string.h>

/* A step is a fifth of the way that the gradient promises, but within these bounds, for 28 x 28 pixels. */
#define STEP_SHARE 0.2
#define STEP_LEAST 0.01
#define STEP_MOST 0.25
#define STEPS 200

static bnf_status reserve(const bnf_lipschitz_net *net, int64_t n, bnf_lipschitz_explanations *out)
{
    int64_t area = net->in.h * net->in.w, size = area * net->in.c, each = 2 * size + 2 * area;
    *out = (bnf_lipschitz_explanations){.count = n};
    BNF_TRY(bnf_calloc((size_t)n, sizeof *out->item, "explanations", &out->item));
    BNF_TRY(bnf_calloc((size_t)(n * each), sizeof *out->values, "explanations", &out->values));
    for (int64_t i = 0; i < n; i++) {
        bnf_lipschitz_explained *e = &out->item[i];
        e->pixels = out->values + i * each;
        e->turning = e->pixels + size;
        e->saliency = e->turning + size;
        e->change = e->saliency + area;
    }
    return BNF_OK;
}

static bnf_status read_pixels(bnf_run *run, bnf_split split, const bnf_lipschitz_net *net, const int64_t *samples,
                              double *pixels)
{
    bnf_dataset *dataset;
    char *image;
    BNF_TRY(bnf_run_dataset(run, split, &dataset));
    BNF_TRY(bnf_alloc((size_t)bnf_dataset_get_info(dataset)->sample_bytes, "image to explain", &image));
    bnf_status s = bnf_dataset_read(dataset, 1, samples, image);
    if (s == BNF_OK)
        bnf_lipschitz_pixels(net, image, pixels);
    bnf_free(image);
    return s;
}

static void feed(const bnf_lipschitz_net *net, const float *pixels, float *x)
{
    for (int64_t i = 0; i < bnf_lipschitz_size(&net->in); i++)
        x[i] = (float)(pixels[i] * net->scale[i % net->in.c] + net->shift[i % net->in.c]);
}

static bnf_status saliency(bnf_run *run, const bnf_lipschitz_net *net, bnf_lipschitz_explanations *out)
{
    bnf_lipschitz_probe p;
    int64_t size = bnf_lipschitz_size(&net->in), c = net->in.c;
    bnf_status s = bnf_lipschitz_probe_create(run, BNF_LIPSCHITZ_OWN, out->count, 1, &p);
    for (int64_t i = 0; i < out->count && s == BNF_OK; i++) {
        feed(net, out->item[i].pixels, p.x + i * size);
        p.labels[i] = out->item[i].predicted;
    }
    if (s == BNF_OK)
        s = bnf_lipschitz_probe_run(&p);
    for (int64_t i = 0; i < out->count && s == BNF_OK; i++) {
        bnf_lipschitz_explained *e = &out->item[i];
        const float *g = p.gradient + i * size;
        double sum = 0;
        for (int64_t k = 0; k < size; k++) {
            double d = fabs(g[k] * net->scale[k % c]);
            sum += d * d;
            e->saliency[k / c] = fmaxf(e->saliency[k / c], (float)d);
        }
        e->slope = sqrt(sum);
    }
    bnf_lipschitz_probe_release(&p);
    return s;
}

/* One step uphill for the rival. gradient[size]: of rival minus own, with respect to the network's inputs. */
static void step(const bnf_lipschitz_net *net, const float *logits, int64_t outputs, const float *gradient,
                 bnf_lipschitz_explained *e)
{
    int64_t size = bnf_lipschitz_size(&net->in), c = net->in.c;
    double sum = 0, rival = -INFINITY, moved = 0;
    for (int64_t k = 0; k < size; k++)
        sum += pow(gradient[k] * net->scale[k % c], 2);
    for (int64_t j = 0; j < outputs; j++)
        if (j != e->predicted)
            rival = fmax(rival, logits[j]);
    double norm = sqrt(sum), margin = outputs == 1 ? fabs(logits[0]) : logits[e->predicted] - rival,
           room = sqrt((double)size / 784);
    double length = norm > 0 ? fmin(fmax(STEP_SHARE * margin / norm, STEP_LEAST * room), STEP_MOST * room) / norm : 0;
    for (int64_t k = 0; k < size; k++) {
        double to = e->turning[k] + length * gradient[k] * net->scale[k % c];
        e->turning[k] = (float)(net->bytes ? fmin(fmax(to, 0), 1) : to);
        moved += ((double)e->turning[k] - e->pixels[k]) * ((double)e->turning[k] - e->pixels[k]);
    }
    e->distance = sqrt(moved);
}

/* Follows every sample's gradient until its class turns. */
static bnf_status follow(const bnf_lipschitz_net *net, bnf_lipschitz_probe *p, bnf_lipschitz_explanations *out)
{
    int64_t size = bnf_lipschitz_size(&net->in), open = out->count;
    for (int n = 0; open > 0 && n <= STEPS; n++) {
        for (int64_t i = 0; i < out->count; i++)
            feed(net, out->item[i].turning, p->x + i * size);
        BNF_TRY(bnf_lipschitz_probe_run(p));
        open = 0;
        for (int64_t i = 0; i < out->count; i++) {
            bnf_lipschitz_explained *e = &out->item[i];
            const float *logits = p->logits + i * p->outputs;
            if (e->turned == e->predicted)
                e->turned = bnf_lipschitz_class(logits, p->outputs);
            if (e->turned == e->predicted && n < STEPS)
                step(net, logits, p->outputs, p->gradient + i * size, e);
            open += e->turned == e->predicted;
        }
    }
    return BNF_OK;
}

static bnf_status counterfactuals(bnf_run *run, const bnf_lipschitz_net *net, bnf_lipschitz_explanations *out)
{
    bnf_lipschitz_probe p;
    int64_t size = bnf_lipschitz_size(&net->in);
    bnf_status s = bnf_lipschitz_probe_create(run, BNF_LIPSCHITZ_RIVAL, out->count, 1, &p);
    for (int64_t i = 0; i < out->count && s == BNF_OK; i++) {
        memcpy(out->item[i].turning, out->item[i].pixels, (size_t)size * sizeof(float));
        p.labels[i] = out->item[i].predicted;
    }
    if (s == BNF_OK)
        s = follow(net, &p, out);
    for (int64_t i = 0; i < out->count && s == BNF_OK; i++) {
        bnf_lipschitz_explained *e = &out->item[i];
        for (int64_t k = 0; k < size; k++)
            e->change[k / net->in.c] += e->turning[k] - e->pixels[k];
    }
    bnf_lipschitz_probe_release(&p);
    return s;
}

bnf_status bnf_lipschitz_explain(bnf_run *run, bnf_split split, const bnf_lipschitz_net *net, const int64_t *samples,
                                 const int32_t *predicted, int64_t n, bnf_lipschitz_explanations *out)
{
    double *pixels = NULL;
    int64_t size = bnf_lipschitz_size(&net->in);
    bnf_status s = reserve(net, n, out);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)size * sizeof *pixels, "image to explain", &pixels);
    for (int64_t i = 0; i < n && s == BNF_OK; i++) {
        s = read_pixels(run, split, net, &samples[i], pixels);
        out->item[i].sample = samples[i];
        out->item[i].predicted = out->item[i].turned = predicted[i];
        for (int64_t k = 0; k < size && s == BNF_OK; k++)
            out->item[i].pixels[k] = (float)pixels[k];
    }
    bnf_free(pixels);
    if (s == BNF_OK)
        s = saliency(run, net, out);
    if (s == BNF_OK)
        s = counterfactuals(run, net, out);
    if (s != BNF_OK)
        bnf_lipschitz_explanations_release(out);
    return s;
}

void bnf_lipschitz_explanations_release(bnf_lipschitz_explanations *out)
{
    bnf_free(out->item);
    bnf_free(out->values);
    *out = (bnf_lipschitz_explanations){0};
}
