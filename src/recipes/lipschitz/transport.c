/* recipes/lipschitz/transport.c - slopes and steps of a trained network, sample by sample. */
#include "recipes/lipschitz/transport.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/probe.h"

#include <math.h>
#include <stdlib.h>

/* Samples are shared out among ranks by bnf_lipschitz_probe_share. */
typedef struct worker {
    const bnf_lipschitz_certificate *c;
    bnf_dataset *dataset;
    bnf_lipschitz_probe probe;
    int64_t count, lo, hi;           /* samples of all ranks; of this one */
    char *images;                    /* [rows] as stored */
    int64_t *index;                  /* [rows] */
    double *pixels, *gradient;       /* [rows, size]; the gradient is that of the lead */
    bnf_lipschitz_transported *item; /* [hi - lo] */
    double *end;                     /* [hi - lo, size] or NULL */
} worker;

static bnf_status open_worker(bnf_run *run, bool ends, worker *w)
{
    const bnf_data_settings *d = &run->job->data;
    BNF_TRY(bnf_lipschitz_probe_create(run, BNF_LIPSCHITZ_RIVAL, 2 * run->threads, d->batch / d->leaves, &w->probe));
    int64_t rows = w->probe.rows, mine = w->hi - w->lo, values = rows * w->probe.size;
    BNF_TRY(bnf_alloc((size_t)(rows * bnf_dataset_get_info(w->dataset)->sample_bytes), "images", &w->images));
    BNF_TRY(bnf_alloc((size_t)rows * sizeof *w->index, "images", &w->index));
    BNF_TRY(bnf_calloc((size_t)values, sizeof *w->pixels, "pixels", &w->pixels));
    BNF_TRY(bnf_alloc((size_t)values * sizeof *w->gradient, "gradients", &w->gradient));
    BNF_TRY(bnf_alloc((size_t)mine * sizeof *w->item, "slopes", &w->item));
    return ends ? bnf_alloc((size_t)(mine * w->probe.size) * sizeof *w->end, "ends of steps", &w->end) : BNF_OK;
}

static void close_worker(worker *w)
{
    bnf_lipschitz_probe_release(&w->probe);
    bnf_free(w->images);
    bnf_free(w->index);
    bnf_free(w->pixels);
    bnf_free(w->gradient);
    bnf_free(w->item);
    bnf_free(w->end);
}

/* ---- rows of one run of the probe ---- */

static double lead_of(const worker *w, int64_t row)
{
    return bnf_lipschitz_lead(w->probe.logits + row * w->probe.outputs, w->probe.outputs, w->probe.labels[row]);
}

/* Where a step of `length` against the lead's gradient ends. */
static double end_of(const worker *w, int64_t at, double length)
{
    return w->pixels[at] - length * w->gradient[at];
}

/* Fills the probe's input: every row steps by length[row] times its gradient; NULL: not at all. */
static void feed(worker *w, const double *length)
{
    const bnf_lipschitz_net *net = &w->c->net;
    for (int64_t i = 0; i < w->probe.rows * w->probe.size; i++) {
        int64_t c = i % net->in.c;
        double pixel = length ? end_of(w, i, length[i / w->probe.size]) : w->pixels[i];
        w->probe.x[i] = (float)(pixel * net->scale[c] + net->shift[c]);
    }
}

static bnf_status load(worker *w, int64_t first, int64_t n)
{
    int64_t bytes = bnf_dataset_get_info(w->dataset)->sample_bytes;
    for (int64_t i = 0; i < n; i++)
        w->index[i] = first + i;
    BNF_TRY(bnf_dataset_read(w->dataset, n, w->index, w->images));
    for (int64_t i = 0; i < n; i++) {
        bnf_lipschitz_pixels(&w->c->net, w->images + i * bytes, w->pixels + i * w->probe.size);
        w->probe.labels[i] = w->c->samples[first + i].predicted;
    }
    return BNF_OK; /* rows behind n keep what they had */
}

static double slope_of(worker *w, int64_t row)
{
    int64_t size = w->probe.size, channels = w->c->net.in.c;
    double sum = 0;
    for (int64_t k = row * size; k < (row + 1) * size; k++) {
        w->gradient[k] = -(double)w->probe.gradient[k] * w->c->net.scale[k % channels];
        sum += w->gradient[k] * w->gradient[k];
    }
    return sqrt(sum);
}

/* Samples [first, first + n). length: [rows] work space. */
static bnf_status measure(worker *w, int64_t first, int64_t n, double *length)
{
    int64_t size = w->probe.size;
    bnf_lipschitz_transported *item = w->item + (first - w->lo);
    BNF_TRY(load(w, first, n));
    feed(w, NULL);
    BNF_TRY(bnf_lipschitz_probe_run(&w->probe));
    for (int64_t i = 0; i < w->probe.rows; i++) {
        double slope = slope_of(w, i);
        length[i] = lead_of(w, i);
        if (i < n)
            item[i] = (bnf_lipschitz_transported){.lead = length[i], .slope = slope};
    }
    for (int64_t k = 0; k < n * size && w->end; k++)
        w->end[(first - w->lo) * size + k] = end_of(w, k, length[k / size]);
    feed(w, length);
    BNF_TRY(bnf_lipschitz_probe_run(&w->probe));
    for (int64_t i = 0; i < n; i++) {
        item[i].plain = fabs(lead_of(w, i)) / item[i].lead;
        length[i] = item[i].slope > 0 ? item[i].lead / (item[i].slope * item[i].slope) : 0;
    }
    feed(w, length);
    BNF_TRY(bnf_lipschitz_probe_run(&w->probe));
    for (int64_t i = 0; i < n; i++)
        item[i].scaled = fabs(lead_of(w, i)) / item[i].lead;
    return BNF_OK;
}

static bnf_status measure_all(worker *w)
{
    double *length;
    bnf_status s = BNF_OK;
    BNF_TRY(bnf_alloc((size_t)w->probe.rows * sizeof *length, "lengths of steps", &length));
    for (int64_t first = w->lo; first < w->hi && s == BNF_OK; first += w->probe.rows)
        s = measure(w, first, w->hi - first < w->probe.rows ? w->hi - first : w->probe.rows, length);
    bnf_free(length);
    return s;
}

/* ---- all ranks ---- */

static bnf_status gather(const bnf_run *run, const worker *w, bnf_lipschitz_transport *t)
{
    int ranks = bnf_comm_size(run->comm);
    int64_t *bytes = NULL, *end_bytes = NULL, lo, hi;
    bnf_status s = bnf_alloc((size_t)ranks * sizeof *bytes, "samples per rank", &bytes);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)ranks * sizeof *bytes, "samples per rank", &end_bytes);
    s = bnf_comm_agree(run->comm, s);
    for (int r = 0; r < ranks && s == BNF_OK; r++) {
        bnf_lipschitz_probe_share(run, w->count, r, &lo, &hi);
        bytes[r] = (hi - lo) * (int64_t)sizeof *t->item;
        end_bytes[r] = (hi - lo) * t->size * (int64_t)sizeof *t->end;
    }
    if (s == BNF_OK)
        s = bnf_comm_allgatherv(run->comm, w->item, bytes, t->item);
    if (s == BNF_OK && t->end)
        s = bnf_comm_allgatherv(run->comm, w->end, end_bytes, t->end);
    bnf_free(bytes);
    bnf_free(end_bytes);
    return s;
}

/* With one output the sample's margin is |f| in f64. */
static double class_distance(const bnf_lipschitz_certificate *c, int64_t count)
{
    double sum[2] = {0};
    int64_t n[2] = {0};
    for (int64_t i = 0; i < count; i++) {
        const bnf_lipschitz_sample *s = &c->samples[i];
        sum[s->label == 1] += s->predicted == 1 ? s->margin : -s->margin;
        n[s->label == 1]++;
    }
    return c->bounds.outputs == 1 && n[0] && n[1] ? sum[1] / (double)n[1] - sum[0] / (double)n[0] : NAN;
}

bnf_status bnf_lipschitz_transport_create(bnf_run *run, const bnf_lipschitz_certificate *c, int64_t limit, bool ends,
                                          bnf_lipschitz_transport *t)
{
    worker w = {.c = c, .count = limit > 0 && limit < c->count ? limit : c->count};
    *t = (bnf_lipschitz_transport){
        .count = w.count, .size = bnf_lipschitz_size(&c->net.in), .kr = class_distance(c, w.count)};
    BNF_TRY(bnf_run_dataset(run, c->split, &w.dataset));
    bnf_lipschitz_probe_share(run, w.count, bnf_comm_rank(run->comm), &w.lo, &w.hi);
    bnf_status s = bnf_alloc((size_t)w.count * sizeof *t->item, "slopes", &t->item);
    if (s == BNF_OK && ends)
        s = bnf_alloc((size_t)(w.count * t->size) * sizeof *t->end, "ends of steps", &t->end);
    if (s == BNF_OK)
        s = open_worker(run, ends, &w);
    if (s == BNF_OK)
        s = measure_all(&w);
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = gather(run, &w, t);
    close_worker(&w);
    if (s != BNF_OK)
        bnf_lipschitz_transport_release(t);
    return s;
}

void bnf_lipschitz_transport_release(bnf_lipschitz_transport *t)
{
    bnf_free(t->item);
    bnf_free(t->end);
    *t = (bnf_lipschitz_transport){0};
}

/* ---- figures ---- */

static double figure_of(const bnf_lipschitz_transported *i, bnf_lipschitz_transport_figure figure)
{
    double value = figure == BNF_LIPSCHITZ_SLOPE ? i->slope : figure == BNF_LIPSCHITZ_PLAIN ? i->plain : i->scaled;
    return isnan(value) ? INFINITY : value; /* the lead is 0 or the step went beyond f32 */
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bnf_status bnf_lipschitz_transport_quantiles(const bnf_lipschitz_transport *t, bnf_lipschitz_transport_figure figure,
                                             int n, const double *share, double *value)
{
    double *x;
    BNF_TRY(bnf_alloc((size_t)t->count * sizeof *x, "quantiles", &x));
    for (int64_t i = 0; i < t->count; i++)
        x[i] = figure_of(&t->item[i], figure);
    qsort(x, (size_t)t->count, sizeof *x, ascending);
    for (int k = 0; k < n; k++) {
        double at = share[k] * (double)(t->count - 1);
        int64_t low = (int64_t)at, high = low + 1 < t->count ? low + 1 : low;
        double part = at - (double)low;
        value[k] = part > 0 ? x[low] + part * (x[high] - x[low]) : x[low];
    }
    bnf_free(x);
    return BNF_OK;
}

/* ---- text and JSON ---- */

enum { QUANTILES = 5 };
static const double shares[QUANTILES] = {0, 0.05, 0.5, 0.95, 1};

static const struct {
    const char *key, *text;
} figures[BNF_LIPSCHITZ_TRANSPORT_FIGURES] = {
    {"slope", "|grad|"}, {"plain", "f at x - f grad"}, {"scaled", "f at x - f grad/|grad|^2"}};

static void print_text(const bnf_lipschitz_certificate *c, const bnf_lipschitz_transport *t, double value[][QUANTILES],
                       bnf_buf *text)
{
    bnf_buf_printf(text,
                   "\ntransport: %lld samples; f is the lead of the predicted class, then as a share of what it was\n",
                   (long long)t->count);
    bnf_buf_printf(text, "%-26s %12s %12s %12s %12s %12s\n", "", "least", "5 % below", "median", "95 % below", "most");
    for (int f = 0; f < BNF_LIPSCHITZ_TRANSPORT_FIGURES; f++) {
        bnf_buf_printf(text, "%-26s", figures[f].text);
        for (int k = 0; k < QUANTILES; k++)
            bnf_buf_printf(text, " %12.6g", value[f][k]);
        bnf_buf_puts(text, "\n");
    }
    if (isfinite(t->kr))
        bnf_buf_printf(text,
                       "mean of f over class 1 - over class 0: %.6f; f is proven to be %.9g-Lipschitz, so the "
                       "Wasserstein-1 distance of these samples is at least %.6f\n",
                       t->kr, c->bounds.logit, t->kr / c->bounds.logit);
}

static bnf_status write_json(const bnf_run *run, const bnf_lipschitz_certificate *c, const bnf_lipschitz_transport *t,
                             double value[][QUANTILES])
{
    bnf_buf out = {0}, path = {0};
    bnf_json j = bnf_json_start(&out, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "weights", run->weights);
    bnf_json_int(&j, "step", run->step);
    bnf_json_string(&j, "split", bnf_split_name(c->split));
    bnf_json_int(&j, "samples", t->count);
    bnf_json_real(&j, "lipschitz", c->bounds.logit);
    bnf_json_real(&j, "kr", t->kr);
    bnf_json_reals(&j, "quantiles", shares, QUANTILES);
    for (int f = 0; f < BNF_LIPSCHITZ_TRANSPORT_FIGURES; f++)
        bnf_json_reals(&j, figures[f].key, value[f], QUANTILES);
    bnf_json_end_object(&j);
    bnf_status s = bnf_json_finish(&j);
    bnf_buf_putc(&out, '\n');
    if (s == BNF_OK)
        s = bnf_fs_join(&path, run->folder, "transport.json");
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(bnf_buf_text(&path), bnf_buf_text(&out), out.size);
    bnf_buf_release(&out);
    bnf_buf_release(&path);
    return s;
}

bnf_status bnf_lipschitz_transport_write(const bnf_run *run, const bnf_lipschitz_certificate *c,
                                         const bnf_lipschitz_transport *t, bnf_buf *text)
{
    double value[BNF_LIPSCHITZ_TRANSPORT_FIGURES][QUANTILES];
    for (int f = 0; f < BNF_LIPSCHITZ_TRANSPORT_FIGURES; f++)
        BNF_TRY(bnf_lipschitz_transport_quantiles(t, (bnf_lipschitz_transport_figure)f, QUANTILES, shares, value[f]));
    print_text(c, t, value, text);
    return write_json(run, c, t, value);
}
