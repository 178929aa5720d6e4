/* recipes/lipschitz/certify.c - certified radii of samples. */
#include "recipes/lipschitz/certify.h"

#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/forward.h"
#include "recipes/lipschitz/probe.h"
#include "recipes/lipschitz/rounding.h"
#include "recipes/lipschitz/share.h"

#include <math.h>
#include <omp.h>

/* ---- one sample ---- */

/* Computed logit `y` minus its rival j; with one output (j < 0) |logit|. */
typedef struct margin {
    double value, lipschitz; /* lipschitz: from pixels */
    double e64, e32;
} margin;

static margin margin_of(const bnf_lipschitz_certificate *c, const double *logits, const bnf_lipschitz_rounding *r,
                        int64_t y, int64_t j)
{
    const bnf_lipschitz_bounds *b = &c->bounds;
    return (margin){.value = j < 0 ? fabs(logits[y]) : logits[y] - logits[j],
                    .lipschitz = bnf_lipschitz_up(b->features * (j < 0 ? b->row[y] : b->gap[y * b->outputs + j]), 1),
                    .e64 = bnf_lipschitz_logit_error(&c->net, b, &r->f64, 0x1p-53, y, j),
                    .e32 = bnf_lipschitz_logit_error(&c->net, b, &r->f32, 0x1p-24, y, j)};
}

static double quotient_down(double value, double lipschitz)
{
    return value > 0 ? fmax(0, bnf_lipschitz_down(value / lipschitz, 4)) : 0;
}

/* What one rival leaves of the radii that do not depend on f32. */
static void narrow(bnf_lipschitz_sample *s, const bnf_lipschitz_bounds *b, const margin *m)
{
    bool single = b->outputs == 1;
    double value = bnf_lipschitz_down(m->value - m->e64, 2);
    s->radius = fmin(s->radius, quotient_down(value, m->lipschitz));
    s->half = fmin(s->half, quotient_down(value, single ? b->logit : 2 * b->logit));
    s->root = fmin(s->root, quotient_down(value, single ? b->network : bnf_lipschitz_up(sqrt(2.0) * b->network, 2)));
    if (m->value < s->margin) {
        s->margin = m->value;
        s->error_f64 = m->e64;
    }
}

void bnf_lipschitz_certify_sample(const bnf_lipschitz_certificate *c, const double *logits, const double *norms,
                                  double pixels, bnf_lipschitz_sample *s)
{
    const bnf_lipschitz_bounds *b = &c->bounds;
    bnf_lipschitz_rounding r;
    int64_t n = b->outputs, y = 0;
    for (int64_t j = 1; j < n; j++)
        if (logits[j] > logits[y])
            y = j;
    s->predicted = n == 1 ? logits[0] > 0 : (int32_t)y;
    s->radius = s->half = s->root = s->margin = INFINITY;
    bnf_lipschitz_rounding_bound(&c->net, b, norms, pixels, 0, &r);
    for (int64_t j = n == 1 ? -1 : 0; j < n; j++)
        if (j != y) {
            margin m = margin_of(c, logits, &r, y, j);
            narrow(s, b, &m);
        }
    s->margin = isfinite(s->margin) ? s->margin : 0;
    /* The f32 error is that within the radius, which it can only make smaller. */
    bnf_lipschitz_rounding_bound(&c->net, b, norms, pixels, isfinite(s->radius) ? s->radius : 0, &r);
    s->radius_f32 = s->radius;
    for (int64_t j = n == 1 ? -1 : 0; j < n; j++)
        if (j != y) {
            margin m = margin_of(c, logits, &r, y, j);
            double value = bnf_lipschitz_down(bnf_lipschitz_down(m.value - m.e64, 2) - m.e32, 2);
            s->radius_f32 = fmin(s->radius_f32, quotient_down(value, m.lipschitz));
            s->error_f32 = fmax(s->error_f32, m.e32);
        }
}

/* The f32 kernels' logits against the f64 ones: two programs that agree to within what rounding explains. */
static void compare(const bnf_lipschitz_certificate *c, const double *logits, const float *f32, const double *norms,
                    double pixels, bnf_lipschitz_sample *s)
{
    bnf_lipschitz_rounding r;
    bnf_lipschitz_rounding_bound(&c->net, &c->bounds, norms, pixels, 0, &r);
    s->seen_ok = true;
    for (int64_t j = 0; j < c->bounds.outputs; j++) {
        double allowed = bnf_lipschitz_logit_error(&c->net, &c->bounds, &r.f64, 0x1p-53, j, -1) +
                         bnf_lipschitz_logit_error(&c->net, &c->bounds, &r.f32, 0x1p-24, j, -1);
        double seen = fabs(logits[j] - f32[j]);
        s->seen_f32 = fmax(s->seen_f32, seen);
        s->seen_ok = s->seen_ok && seen <= allowed;
    }
}

/* ---- this rank's samples ---- */

typedef struct worker {
    const bnf_lipschitz_certificate *c;
    const bnf_dataset *dataset;
    bnf_lipschitz_forward *forward;
    const float *f32; /* [count, outputs] */
    int threads;
    int64_t piece; /* f64 elements per thread: pixels, inputs, logits, norms, scratch */
    double *space;
    char *images;              /* [CHUNK] as stored */
    int64_t *index;            /* [CHUNK] */
    bnf_lipschitz_sample *out; /* this rank's */
} worker;

enum { CHUNK = 256 /* samples read at a time */ };

static bnf_status worker_open(worker *w, bnf_params *params)
{
    const bnf_lipschitz_net *net = &w->c->net;
    BNF_TRY(bnf_lipschitz_forward_create(net, params, &w->forward));
    int64_t need =
        2 * bnf_lipschitz_size(&net->in) + net->outputs + net->count + 1 + bnf_lipschitz_forward_scratch(w->forward);
    w->piece = (need + 7) / 8 * 8;
    BNF_TRY(bnf_alloc((size_t)(w->piece * w->threads) * sizeof(double), "activations in f64", &w->space));
    BNF_TRY(
        bnf_alloc((size_t)(CHUNK * bnf_dataset_get_info(w->dataset)->sample_bytes), "images to certify", &w->images));
    return bnf_alloc(CHUNK * sizeof *w->index, "images to certify", &w->index);
}

static void worker_close(worker *w)
{
    bnf_lipschitz_forward_destroy(w->forward);
    bnf_free(w->space);
    bnf_free(w->images);
    bnf_free(w->index);
}

static void one(const worker *w, int64_t sample, const char *image, double *space, bnf_lipschitz_sample *s)
{
    const bnf_lipschitz_net *net = &w->c->net;
    int64_t size = bnf_lipschitz_size(&net->in);
    double *pixels = space, *x = pixels + size, *logits = x + size, *norms = logits + net->outputs, sum = 0;
    bnf_lipschitz_pixels(net, image, pixels);
    bnf_lipschitz_inputs(net, pixels, x);
    for (int64_t i = 0; i < size; i++)
        sum += pixels[i] * pixels[i];
    bnf_lipschitz_forward_run(w->forward, x, norms + net->count + 1, logits, norms);
    *s = (bnf_lipschitz_sample){.label = bnf_dataset_labels(w->dataset)[sample]};
    double pixel_norm = bnf_lipschitz_up(sqrt(sum), (double)size + 4);
    bnf_lipschitz_certify_sample(w->c, logits, norms, pixel_norm, s);
    compare(w->c, logits, w->f32 + sample * net->outputs, norms, pixel_norm, s);
}

/* Samples [lo, hi). */
static bnf_status worker_run(worker *w, int64_t lo, int64_t hi)
{
    int64_t bytes = bnf_dataset_get_info(w->dataset)->sample_bytes;
    for (int64_t first = lo; first < hi; first += CHUNK) {
        int64_t n = hi - first < CHUNK ? hi - first : CHUNK;
        for (int64_t i = 0; i < n; i++)
            w->index[i] = first + i;
        BNF_TRY(bnf_dataset_read(w->dataset, n, w->index, w->images));
#pragma omp parallel for schedule(static) num_threads(w->threads)
        for (int64_t i = 0; i < n; i++)
            one(w, first + i, w->images + i * bytes, w->space + omp_get_thread_num() * w->piece,
                &w->out[first - lo + i]);
    }
    return BNF_OK;
}

/* ---- all samples ---- */

static bnf_status fill(bnf_run *run, bnf_dataset *dataset, const float *f32, bnf_lipschitz_certificate *c)
{
    int64_t lo, hi;
    bnf_lipschitz_share(run->comm, c->count, &lo, &hi);
    worker w = {.c = c, .dataset = dataset, .f32 = f32, .threads = run->threads};
    bnf_status s = bnf_alloc((size_t)(hi - lo) * sizeof *w.out, "certificates", &w.out);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)c->count, sizeof *c->samples, "certificates", &c->samples);
    if (s == BNF_OK)
        s = worker_open(&w, run->params);
    if (s == BNF_OK)
        s = worker_run(&w, lo, hi);
    worker_close(&w);
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = bnf_lipschitz_share_gather(run->comm, c->count, sizeof *w.out, w.out, c->samples);
    bnf_free(w.out);
    return s;
}

static bnf_status summarise(bnf_lipschitz_certificate *c, const float *f32)
{
    for (int64_t i = 0; i < c->count; i++) {
        const bnf_lipschitz_sample *s = &c->samples[i];
        if (!s->seen_ok)
            return bnf_fail(BNF_ERR_NUMERIC,
                            "sample %lld: the logits of the f32 kernels differ by %g from the network in f64, more "
                            "than rounding explains",
                            (long long)i, s->seen_f32);
        c->right += s->predicted == s->label;
        c->right_f32 += bnf_lipschitz_class(f32 + i * c->bounds.outputs, c->bounds.outputs) == s->label;
    }
    return BNF_OK;
}

bnf_status bnf_lipschitz_certificate_create(bnf_run *run, bnf_split split, int64_t limit, bnf_lipschitz_certificate *c)
{
    bnf_dataset *dataset;
    bnf_eval_result result;
    float *f32 = NULL;
    int64_t evaluated;
    *c = (bnf_lipschitz_certificate){.split = split};
    BNF_TRY(bnf_run_dataset(run, split, &dataset));
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    c->count = limit > 0 && limit < info->count ? limit : info->count;
    bnf_status s = bnf_comm_agree(run->comm, bnf_lipschitz_net_create(run->job, run->params, info, &c->net));
    if (s == BNF_OK)
        s = bnf_lipschitz_bounds_create_shared(run->comm, run->job->train.shared_above, &c->net, run->params,
                                               &c->bounds);
    if (s == BNF_OK)
        s = bnf_run_logits(run, split, c->count, &f32, &evaluated, &result);
    if (s == BNF_OK)
        s = fill(run, dataset, f32, c);
    if (s == BNF_OK)
        s = summarise(c, f32);
    bnf_free(f32);
    if (s != BNF_OK)
        bnf_lipschitz_certificate_release(c);
    return s;
}

void bnf_lipschitz_certificate_release(bnf_lipschitz_certificate *c)
{
    bnf_lipschitz_net_release(&c->net);
    bnf_lipschitz_bounds_release(&c->bounds);
    bnf_free(c->samples);
    *c = (bnf_lipschitz_certificate){0};
}

/* ---- figures ---- */

double bnf_lipschitz_radius(const bnf_lipschitz_sample *s, bnf_lipschitz_form form)
{
    if (s->predicted != s->label)
        return 0;
    return form == BNF_LIPSCHITZ_EXACT  ? s->radius
           : form == BNF_LIPSCHITZ_F32  ? s->radius_f32
           : form == BNF_LIPSCHITZ_HALF ? s->half
                                        : s->root;
}

double bnf_lipschitz_mean_radius(const bnf_lipschitz_certificate *c, bnf_lipschitz_form form)
{
    double sum = 0;
    for (int64_t i = 0; i < c->count; i++)
        sum += bnf_lipschitz_radius(&c->samples[i], form);
    return sum / (double)c->count;
}

double bnf_lipschitz_certified(const bnf_lipschitz_certificate *c, bnf_lipschitz_form form, double r)
{
    int64_t n = 0;
    for (int64_t i = 0; i < c->count; i++)
        n += c->samples[i].predicted == c->samples[i].label && bnf_lipschitz_radius(&c->samples[i], form) >= r;
    return (double)n / (double)c->count;
}

bool bnf_lipschitz_useless(const bnf_lipschitz_certificate *c)
{
    return bnf_lipschitz_mean_radius(c, BNF_LIPSCHITZ_EXACT) < 1.0 / 255;
}
