/* recipes/lipschitz/explain.c - attribution maps and counterfactuals of samples. */
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

bnf_status bnf_lipschitz_explained_create(const bnf_lipschitz_net *net, const bool *method, const bnf_option_reals *t,
                                          int64_t room, bnf_lipschitz_explained *out)
{
    size_t n = (size_t)room, size = (size_t)bnf_lipschitz_size(&net->in), area = (size_t)(net->in.h * net->in.w);
    size_t most = n * (size_t)(t->count > 1 ? t->count : 1);
    *out = (bnf_lipschitz_explained){.room = room, .net = net, .t = *t};
    BNF_TRY(bnf_calloc(n, sizeof *out->facts, "samples to explain", &out->facts));
    BNF_TRY(bnf_calloc(n * size, sizeof(float), "pictures to explain", &out->pixels));
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        if (method[m])
            BNF_TRY(bnf_calloc(n * area, sizeof(float), "attribution maps", &out->map[m]));
    BNF_TRY(bnf_calloc(n * size * (size_t)t->count, sizeof(float), "counterfactuals", &out->strip));
    BNF_TRY(bnf_calloc(n * size, sizeof(float), "counterfactuals", &out->turned));
    BNF_TRY(bnf_calloc(n * size, sizeof(float), "counterfactuals", &out->work));
    BNF_TRY(bnf_calloc(n * size, sizeof(float), "gradients", &out->gradient));
    BNF_TRY(bnf_calloc(most * (size_t)net->outputs, sizeof(float), "logits", &out->logits));
    BNF_TRY(bnf_calloc(n, sizeof *out->lead, "leads", &out->lead));
    BNF_TRY(bnf_calloc(n, sizeof *out->classes, "classes", &out->classes));
    return bnf_calloc(n, sizeof *out->open, "samples to explain", &out->open);
}

void bnf_lipschitz_explained_release(bnf_lipschitz_explained *out)
{
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        bnf_free(out->map[m]);
    bnf_free(out->facts);
    bnf_free(out->pixels);
    bnf_free(out->strip);
    bnf_free(out->turned);
    bnf_free(out->work);
    bnf_free(out->gradient);
    bnf_free(out->logits);
    bnf_free(out->lead);
    bnf_free(out->classes);
    bnf_free(out->open);
    *out = (bnf_lipschitz_explained){0};
}

/* ---- the strip ---- */

static double length(int64_t n, const float *x)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += (double)x[k] * x[k];
    return sqrt(sum);
}

/* The pictures of sample i; out->gradient is that of its lead. */
static void place_strip(int64_t i, bnf_lipschitz_explained *out)
{
    int64_t size = bnf_lipschitz_size(&out->net->in), n = out->t.count;
    const float *x = out->pixels + i * size, *g = out->gradient + i * size;
    float *at = out->strip + i * n * size;
    bnf_lipschitz_facts *f = &out->facts[i];
    f->lead = out->lead[i];
    f->slope = length(size, g);
    double unit = !out->scaled ? f->lead : f->slope > 0 ? f->lead / (f->slope * f->slope) : 0;
    for (int64_t t = 0; t < n; t++)
        for (int64_t k = 0; k < size; k++)
            at[t * size + k] = (float)(x[k] - out->t.value[t] * unit * g[k]);
}

/* The strips of all samples, evaluated together. */
static bnf_status strips(bnf_lipschitz_maps *maps, bnf_lipschitz_explained *out)
{
    int64_t n = out->t.count, outputs = out->net->outputs;
    BNF_TRY(bnf_lipschitz_maps_lead(maps, out->pixels, out->classes, out->n, out->logits, out->lead, out->gradient));
    for (int64_t i = 0; i < out->n; i++)
        place_strip(i, out);
    BNF_TRY(bnf_lipschitz_maps_scores(maps, out->strip, out->n * n, out->logits));
    for (int64_t k = 0; k < out->n * n; k++) {
        bnf_lipschitz_facts *f = &out->facts[k / n];
        f->lead_at[k % n] = bnf_lipschitz_lead(out->logits + k * outputs, outputs, f->explained);
        f->class_at[k % n] = bnf_lipschitz_class(out->logits + k * outputs, outputs);
    }
    return BNF_OK;
}

/* ---- the path ---- */

/* One step downhill. gradient[size]: of the lead, with respect to the pixels. */
static void step(const bnf_lipschitz_net *net, double lead, const float *gradient, const float *pixels, float *turned,
                 bnf_lipschitz_facts *f)
{
    int64_t size = bnf_lipschitz_size(&net->in);
    double norm = length(size, gradient), room = sqrt((double)size / 784), moved = 0;
    double way = norm > 0 ? fmin(fmax(STEP_SHARE * lead / norm, STEP_LEAST * room), STEP_MOST * room) / norm : 0;
    for (int64_t k = 0; k < size; k++) {
        double to = turned[k] - way * gradient[k];
        turned[k] = (float)(net->bytes ? fmin(fmax(to, 0), 1) : to);
        moved += ((double)turned[k] - pixels[k]) * ((double)turned[k] - pixels[k]);
    }
    f->distance = sqrt(moved);
}

/* Follows every sample's gradient until its class turns; those that are still open are evaluated together. */
static bnf_status follow(bnf_lipschitz_maps *maps, bnf_lipschitz_explained *out)
{
    int64_t size = bnf_lipschitz_size(&out->net->in), open = out->n, outputs = out->net->outputs;
    memcpy(out->turned, out->pixels, (size_t)(out->n * size) * sizeof(float));
    for (int64_t i = 0; i < out->n; i++)
        out->open[i] = i;
    for (int n = 0; open > 0 && n <= STEPS; n++) {
        int64_t left = 0;
        for (int64_t j = 0; j < open; j++) {
            memcpy(out->work + j * size, out->turned + out->open[j] * size, (size_t)size * sizeof(float));
            out->classes[j] = out->facts[out->open[j]].predicted;
        }
        BNF_TRY(bnf_lipschitz_maps_lead(maps, out->work, out->classes, open, out->logits, out->lead, out->gradient));
        for (int64_t j = 0; j < open; j++) {
            int64_t i = out->open[j];
            bnf_lipschitz_facts *f = &out->facts[i];
            f->turned = bnf_lipschitz_class(out->logits + j * outputs, outputs);
            if (f->turned != f->predicted)
                continue;
            if (n < STEPS)
                step(out->net, out->lead[j], out->gradient + j * size, out->pixels + i * size, out->turned + i * size,
                     f);
            out->open[left++] = i;
        }
        open = left;
    }
    return BNF_OK;
}

/* ---- all ---- */

static bnf_status read(bnf_run *run, bnf_split split, bnf_lipschitz_maps *maps, const int64_t *samples, bool of_label,
                       bnf_lipschitz_explained *out)
{
    int64_t size = bnf_lipschitz_size(&out->net->in), outputs = out->net->outputs;
    for (int64_t i = 0; i < out->n; i++) {
        bnf_lipschitz_facts *f = &out->facts[i];
        *f = (bnf_lipschitz_facts){.sample = samples[i]};
        BNF_TRY(bnf_lipschitz_read_pixels(run, split, out->net, samples[i], 1, out->pixels + i * size, &f->label));
    }
    BNF_TRY(bnf_lipschitz_maps_scores(maps, out->pixels, out->n, out->logits));
    for (int64_t i = 0; i < out->n; i++) {
        bnf_lipschitz_facts *f = &out->facts[i];
        f->predicted = bnf_lipschitz_class(out->logits + i * outputs, outputs);
        f->explained = out->classes[i] = of_label ? f->label : f->predicted;
    }
    return BNF_OK;
}

bnf_status bnf_lipschitz_explain(bnf_run *run, bnf_split split, bnf_lipschitz_maps *maps, const int64_t *samples,
                                 int64_t n, bool of_label, bnf_lipschitz_explained *out)
{
    out->n = n;
    BNF_TRY(read(run, split, maps, samples, of_label, out));
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        if (out->map[m])
            BNF_TRY(bnf_lipschitz_maps_run(maps, (bnf_lipschitz_method)m, out->pixels, out->classes, samples, n,
                                           out->map[m]));
    BNF_TRY(strips(maps, out));
    return follow(maps, out);
}
