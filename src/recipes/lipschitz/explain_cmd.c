/* recipes/lipschitz/explain_cmd.c - banff explain. */
#include "recipes/lipschitz/explain_cmd.h"

#include "base/clock.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/probe.h"
#include "report/progress.h"

#include <math.h>
#include <string.h>

/* What the table says of one sample; moved between ranks as bytes. */
typedef struct row {
    int64_t sample;
    int32_t label, predicted, explained;
    double lead, slope;                        /* of the explained class; |grad lead|, in pixels */
    double lead_at[BNF_LIPSCHITZ_MAX_REALS];   /* of the explained class at x - t f grad f */
    int32_t class_at[BNF_LIPSCHITZ_MAX_REALS]; /* and the class there */
} row;

typedef struct explaining {
    bnf_run *run;
    bnf_lipschitz_explain_settings set;
    bnf_lipschitz_net net;
    bnf_lipschitz_maps *maps;
    int64_t lo, hi, round, rounds; /* this rank's samples; so many at a time, so many times on every rank */
    row *rows;                     /* [samples], on every rank in the end */
    /* Of one round. */
    float *pixels, *gradient;          /* [round, size] */
    float *map[BNF_LIPSCHITZ_METHODS]; /* [round, h, w], NULL if not asked for */
    float *strip;                      /* [round, t, size] */
    float *logits;                     /* [round, outputs] */
    double *lead;                      /* [round] */
    int32_t *labels, *classes;         /* [round] */
    int64_t *samples;                  /* [round] */
    bnf_progress *progress;
} explaining;

/* ---- settings ---- */

static bnf_status parse(bnf_lipschitz_explain_settings *s, const bnf_explain_request *request, const bnf_run *run,
                        bnf_buf *text)
{
    int64_t draws, steps;
    s->maps = bnf_lipschitz_maps_default(run);
    const bnf_lipschitz_option table[] = {
        {"samples", BNF_LIPSCHITZ_INT, "16", "explain the first N samples", 1, &s->samples},
        {"split", BNF_LIPSCHITZ_SPLIT, "test", "train or test", 0, &s->split},
        {"pictures", BNF_LIPSCHITZ_INT, "32", "PNG files of the first N of them", 0, &s->pictures},
        {"of_label", BNF_LIPSCHITZ_INT, "0", "1: explain the label's logit instead of the predicted class's", 0,
         &s->of_label},
        {"draws", BNF_LIPSCHITZ_INT, "50", "smoothgrad: noisy copies of a sample", 1, &draws},
        {"sigma", BNF_LIPSCHITZ_REAL, "0.2", "smoothgrad: standard deviation of the noise, in pixels", 0,
         &s->maps.sigma},
        {"steps", BNF_LIPSCHITZ_INT, "50", "integrated: points between baseline and sample", 2, &steps},
        {"baseline", BNF_LIPSCHITZ_REAL, "0", "integrated: value of the pixels where the path begins", -INFINITY,
         &s->maps.baseline},
        {"t", BNF_LIPSCHITZ_REALS, "0,0.5,1,1.5,2,3,5,10", "counterfactuals x - t f(x) grad f(x)", 0, &s->t},
    };
    BNF_TRY(bnf_lipschitz_options_parse(table, (int)(sizeof table / sizeof table[0]), request->options,
                                        request->n_options, text, &s->help));
    s->maps.draws = draws;
    s->maps.steps = steps;
    return BNF_OK;
}

static bnf_status check(explaining *e, const bnf_explain_request *request)
{
    bnf_dataset *dataset;
    BNF_TRY(bnf_run_dataset(e->run, e->set.split, &dataset));
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    if (e->set.samples > info->count)
        return bnf_fail(BNF_ERR_CONFIG, "--option samples=%lld: the %s part of %s has %lld", (long long)e->set.samples,
                        info->name, info->path, (long long)info->count);
    BNF_TRY(bnf_lipschitz_net_create(e->run->job, e->run->params, info, &e->net));
    return bnf_lipschitz_methods_parse(request->methods, &e->net, e->set.method);
}

/* ---- room ---- */

enum { PER_THREAD = 4 /* rows of a round */ };

static bnf_status reserve(explaining *e)
{
    int64_t n = e->round, size = bnf_lipschitz_size(&e->net.in), area = e->net.in.h * e->net.in.w;
    BNF_TRY(bnf_calloc((size_t)e->set.samples, sizeof *e->rows, "samples to explain", &e->rows));
    BNF_TRY(bnf_alloc((size_t)(n * size) * sizeof(float), "pictures to explain", &e->pixels));
    BNF_TRY(bnf_alloc((size_t)(n * size) * sizeof(float), "pictures to explain", &e->gradient));
    BNF_TRY(bnf_alloc((size_t)(n * size * e->set.t.count) * sizeof(float), "counterfactuals", &e->strip));
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        if (e->set.method[m])
            BNF_TRY(bnf_alloc((size_t)(n * area) * sizeof(float), "attribution maps", &e->map[m]));
    int64_t most = n > e->set.t.count ? n : e->set.t.count;
    BNF_TRY(bnf_alloc((size_t)(most * e->net.outputs) * sizeof *e->logits, "logits", &e->logits));
    BNF_TRY(bnf_alloc((size_t)n * sizeof *e->lead, "leads", &e->lead));
    BNF_TRY(bnf_alloc((size_t)n * sizeof *e->labels, "labels", &e->labels));
    BNF_TRY(bnf_alloc((size_t)n * sizeof *e->classes, "classes", &e->classes));
    BNF_TRY(bnf_alloc((size_t)n * sizeof *e->samples, "samples to explain", &e->samples));
    return bnf_lipschitz_maps_create(e->run, &e->net, &e->set.maps, e->round, &e->maps);
}

static bnf_status open_all(explaining *e, const bnf_explain_request *request)
{
    int64_t most = 0;
    BNF_TRY(check(e, request));
    bnf_lipschitz_share(e->run->comm, e->set.samples, &e->lo, &e->hi);
    most = (e->set.samples + bnf_comm_size(e->run->comm) - 1) / bnf_comm_size(e->run->comm);
    e->round = (int64_t)PER_THREAD * e->run->threads;
    e->rounds = (most + e->round - 1) / e->round;
    BNF_TRY(reserve(e));
    bnf_progress_options p = {.out = request->progress,
                              .mode =
                                  request->progress ? (bnf_progress_mode)e->run->job->run.progress : BNF_PROGRESS_OFF,
                              .epochs = 1,
                              .steps_per_epoch = e->rounds,
                              .samples_per_step = e->round * bnf_comm_size(e->run->comm),
                              .plain_seconds = 30};
    return bnf_progress_create(&p, bnf_clock_seconds(), &e->progress);
}

static void close_all(explaining *e)
{
    bnf_progress_destroy(e->progress);
    bnf_lipschitz_maps_destroy(e->maps);
    bnf_lipschitz_net_release(&e->net);
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        bnf_free(e->map[m]);
    bnf_free(e->rows);
    bnf_free(e->pixels);
    bnf_free(e->gradient);
    bnf_free(e->strip);
    bnf_free(e->logits);
    bnf_free(e->lead);
    bnf_free(e->labels);
    bnf_free(e->classes);
    bnf_free(e->samples);
}

/* ---- one round of this rank ---- */

/* x - t f(x) grad f(x) as written: pixels are not kept in [0,1]. With f the lead of the explained class. */
static bnf_status counterfactuals(explaining *e, int64_t i, row *r)
{
    int64_t size = bnf_lipschitz_size(&e->net.in), n = e->set.t.count;
    const float *x = e->pixels + i * size, *g = e->gradient + i * size;
    float *strip = e->strip + i * n * size;
    double sum = 0;
    for (int64_t k = 0; k < size; k++)
        sum += (double)g[k] * g[k];
    r->lead = e->lead[i];
    r->slope = sqrt(sum);
    for (int64_t t = 0; t < n; t++)
        for (int64_t k = 0; k < size; k++)
            strip[t * size + k] = (float)(x[k] - e->set.t.value[t] * r->lead * g[k]);
    BNF_TRY(bnf_lipschitz_maps_scores(e->maps, strip, n, e->logits));
    for (int64_t t = 0; t < n; t++) {
        const float *logits = e->logits + t * e->net.outputs;
        r->lead_at[t] = bnf_lipschitz_lead(logits, e->net.outputs, r->explained);
        r->class_at[t] = bnf_lipschitz_class(logits, e->net.outputs);
    }
    return BNF_OK;
}

/* Samples [first, first + n). */
static bnf_status explain(explaining *e, int64_t first, int64_t n)
{
    row *rows = e->rows + first;
    BNF_TRY(bnf_lipschitz_read_pixels(e->run, e->set.split, &e->net, first, n, e->pixels, e->labels));
    BNF_TRY(bnf_lipschitz_maps_scores(e->maps, e->pixels, n, e->logits));
    for (int64_t i = 0; i < n; i++) {
        int32_t predicted = bnf_lipschitz_class(e->logits + i * e->net.outputs, e->net.outputs);
        e->samples[i] = first + i;
        e->classes[i] = e->set.of_label ? e->labels[i] : predicted;
        rows[i] = (row){.sample = first + i, .label = e->labels[i], .predicted = predicted, .explained = e->classes[i]};
    }
    BNF_TRY(bnf_lipschitz_maps_lead(e->maps, e->pixels, e->classes, n, e->logits, e->lead, e->gradient));
    for (int64_t i = 0; i < n; i++)
        BNF_TRY(counterfactuals(e, i, &rows[i]));
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        if (e->map[m])
            BNF_TRY(bnf_lipschitz_maps_run(e->maps, (bnf_lipschitz_method)m, e->pixels, e->classes, e->samples, n,
                                           e->map[m]));
    return BNF_OK;
}

static bnf_status explain_all(explaining *e)
{
    for (int64_t k = 0; k < e->rounds; k++) {
        int64_t first = e->lo + k * e->round < e->hi ? e->lo + k * e->round : e->hi;
        int64_t n = e->hi - first < e->round ? e->hi - first : e->round;
        bnf_status s = n > 0 ? explain(e, first, n) : BNF_OK;
        BNF_TRY(bnf_comm_agree(e->run->comm, s));
        bnf_progress_update(
            e->progress, &(bnf_progress_state){
                             .step = k + 1, .loss = NAN, .accuracy = NAN, .lr = NAN, .seconds = bnf_clock_seconds()});
    }
    bnf_progress_finish(e->progress);
    return BNF_OK;
}

bnf_status bnf_lipschitz_explain_command(bnf_run *run, const bnf_explain_request *request, bnf_buf *text)
{
    explaining e = {.run = run};
    BNF_TRY(parse(&e.set, request, run, text));
    if (e.set.help)
        return BNF_OK;
    bnf_status s = bnf_comm_agree(run->comm, open_all(&e, request));
    if (s == BNF_OK)
        s = explain_all(&e);
    close_all(&e);
    return s;
}
