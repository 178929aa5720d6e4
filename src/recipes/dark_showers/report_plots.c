/* recipes/dark_showers/report_plots.c - ROC curves, histograms, displays of events. */
#include "recipes/dark_showers/report.h"

#include "base/mem.h"
#include "report/colormap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CURVES = BNF_HTML_MAX_SERIES - 1, CHANCE = 41, BINS = 30, STEPS = 2 * BINS + 2, NOTE = 160 };

/* ---- ROC curves ---- */

/* The diagonal from FPR `low` on, curved as the axis is logarithmic. */
static bnf_html_series chance_line(double low, double *x)
{
    for (int i = 0; i < CHANCE; i++)
        x[i] = pow(low, 1 - i / (CHANCE - 1.0));
    return (bnf_html_series){.name = "chance", .x = x, .y = x, .count = CHANCE};
}

/* Up to CURVES scores, those first that say most of a method. */
static int choose(const bnf_dark_events *e, const char **names)
{
    static const char *const wanted[] = {"bce",         "signal", "dice", "hits", "hits_spread",
                                         "mahalanobis", "z_m0",   "kl",   "mse"};
    int n = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && n < CURVES; i++)
        if (bnf_dark_events_find(e, wanted[i]))
            names[n++] = wanted[i];
    return n;
}

static bnf_status curve(const bnf_dark_events *e, int32_t label, const char *name, bnf_roc *roc)
{
    const double *score = bnf_dark_events_find(e, name);
    double *side[2] = {NULL, NULL};
    int64_t n[2] = {0, 0};
    bnf_status s = bnf_dark_scores_of(e, 0, score, &side[0], &n[0]);
    if (s == BNF_OK)
        s = bnf_dark_scores_of(e, label, score, &side[1], &n[1]);
    if (s == BNF_OK)
        s = bnf_roc_create(side[0], n[0], side[1], n[1], roc);
    bnf_free(side[0]);
    bnf_free(side[1]);
    return s;
}

static bnf_status roc_chart(const bnf_dark_file *f, int32_t label, bnf_html *html)
{
    bnf_roc roc[CURVES] = {{0}};
    bnf_html_series series[BNF_HTML_MAX_SERIES];
    const char *names[CURVES];
    double x[CHANCE], low = 1 / (double)f->figures.events[0];
    char title[NOTE];
    int n = choose(&f->events, names);
    bnf_status s = BNF_OK;
    for (int i = 0; i < n && s == BNF_OK; i++) {
        s = curve(&f->events, label, names[i], &roc[i]);
        series[i] = (bnf_html_series){.name = names[i], .x = roc[i].fpr, .y = roc[i].tpr, .count = roc[i].count};
    }
    series[n] = chance_line(fmin(low, 0.5), x);
    snprintf(title, sizeof title, "%s against %s", f->class_names[label], f->class_names[0]);
    if (s == BNF_OK)
        bnf_html_chart_add(
            html, &(bnf_html_chart){.title = title,
                                    .x = {.label = "false-positive rate", .log = true, .min = fmin(low, 0.5), .max = 1},
                                    .y = {.label = "true-positive rate", .percent = true, .max = 1},
                                    .series = series,
                                    .series_count = n + 1});
    for (int i = 0; i < n; i++)
        bnf_roc_release(&roc[i]);
    return s;
}

bnf_status bnf_dark_report_roc(const bnf_dark_file *f, bnf_html *html)
{
    bnf_html_section(html, "ROC curves");
    bnf_html_text(html, "How much of a signal passes a threshold, against how much of the background passes it, too. "
                        "The axis of false positives is logarithmic, as searches have to work at its left end.");
    for (int32_t k = 1; k < f->classes; k++)
        if (f->figures.events[k] > 0)
            BNF_TRY(roc_chart(f, k, html));
    return BNF_OK;
}

/* ---- histograms ---- */

/* The outline of a histogram. */
typedef struct outline {
    double x[STEPS], y[STEPS];
} outline;

/* Share of the class's events per bin; what lies above the range is in the last one. */
static void draw_outline(const bnf_dark_events *e, const double *score, int32_t label, double low, double high,
                         outline *o)
{
    int64_t count[BINS] = {0}, n = 0;
    for (int64_t i = 0; i < e->count; i++) {
        if (e->label[i] != label)
            continue;
        double at = (score[i] - low) / (high - low) * BINS;
        count[at < 0 ? 0 : at < BINS ? (int)at : BINS - 1]++;
        n++;
    }
    for (int k = 0; k < STEPS; k++) {
        int bin = (k - 1) / 2;
        o->x[k] = low + (high - low) * (k / 2) / BINS; /* every edge twice */
        o->y[k] = k == 0 || k == STEPS - 1 ? 0 : (double)count[bin] / (double)n;
    }
}

/* From the lowest score to the highest, but for the last percent of each class. */
static bnf_status range(const bnf_dark_file *f, const double *score, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int32_t k = 0; k < f->classes; k++) {
        double *own;
        int64_t n;
        float *shifted;
        if (f->figures.events[k] == 0)
            continue;
        BNF_TRY(bnf_dark_scores_of(&f->events, k, score, &own, &n));
        double least = own[0], limit = 0;
        for (int64_t i = 1; i < n; i++)
            least = fmin(least, own[i]);
        bnf_status s = bnf_alloc((size_t)n * sizeof *shifted, "scores of a class", &shifted);
        for (int64_t i = 0; s == BNF_OK && i < n; i++)
            shifted[i] = (float)(own[i] - least);
        if (s == BNF_OK)
            s = bnf_colormap_limit(shifted, n, 0.99, &limit);
        bnf_free(shifted);
        bnf_free(own);
        BNF_TRY(s);
        *low = fmin(*low, least);
        *high = fmax(*high, least + limit);
    }
    return BNF_OK;
}

/* Background and up to CURVES signals from class `first` on. [out] next: the first class that is left. */
static bnf_status histogram(const bnf_dark_file *f, const char *name, int32_t first, int32_t *next, bnf_html *html)
{
    const double *score = bnf_dark_events_find(&f->events, name);
    bnf_html_series series[BNF_HTML_MAX_SERIES];
    outline *o;
    double low, high;
    int n = 0;
    char title[NOTE];
    BNF_TRY(range(f, score, &low, &high));
    BNF_TRY(bnf_alloc(BNF_HTML_MAX_SERIES * sizeof *o, "histogram", &o));
    int32_t k = 0;
    for (; k < f->classes && n < BNF_HTML_MAX_SERIES; k = k == 0 ? first : k + 1)
        if (f->figures.events[k] > 0) {
            draw_outline(&f->events, score, k, low, high, &o[n]);
            series[n] = (bnf_html_series){.name = f->class_names[k], .x = o[n].x, .y = o[n].y, .count = STEPS};
            n++;
        }
    *next = k;
    snprintf(title, sizeof title, "Distribution of %s", name);
    if (n > 1)
        bnf_html_chart_add(html, &(bnf_html_chart){.title = title,
                                                   .x = {.label = name, .min = low, .max = high},
                                                   .y = {.label = "share of the class", .percent = true, .zero = true},
                                                   .series = series,
                                                   .series_count = n});
    bnf_free(o);
    return BNF_OK;
}

bnf_status bnf_dark_report_histograms(const bnf_dark_file *f, bnf_html *html)
{
    const char *names[CURVES];
    int n = choose(&f->events, names);
    bnf_html_section(html, "Distributions of the scores");
    bnf_html_text(html, "Share of each class's events in %d bins. The last bin also holds what lies beyond.", BINS);
    for (int i = 0; i < n; i++)
        for (int32_t k = 1; k < f->classes;)
            BNF_TRY(histogram(f, names[i], k, &k, html));
    return BNF_OK;
}

/* ---- events ---- */

/* Where image i of an event lies: four sectors are two rows of two, others stand side by side. */
typedef struct sheet {
    int64_t rows, cols, h, w; /* images; pixels */
} sheet;

static sheet sheet_of(const bnf_dark_file *f)
{
    int64_t n = f->events.images, rows = n == 4 ? 2 : 1, cols = n / rows;
    return (sheet){rows, cols, rows * f->h, cols * f->w};
}

/* x[images,h,w] as one picture. */
static void assemble(const bnf_dark_file *f, const sheet *p, const float *x, float *picture)
{
    for (int64_t i = 0; i < f->events.images; i++)
        for (int64_t y = 0; y < f->h; y++)
            memcpy(picture + (i / p->cols * f->h + y) * p->w + i % p->cols * f->w, x + (i * f->h + y) * f->w,
                   (size_t)f->w * sizeof *picture);
}

enum { PARTS = 3 }; /* image, reconstruction, difference */

typedef struct display {
    char title[NOTE], note[NOTE];
    uint8_t *rgb[PARTS];
    bnf_html_image images[PARTS];
} display;

static bnf_status paint(const bnf_dark_file *f, int64_t i, float *space, display *d)
{
    static const char *const labels[PARTS] = {"event", "reconstruction", "difference"};
    sheet p = sheet_of(f);
    int64_t area = p.h * p.w;
    float *seen = space, *made = space + area, *difference = space + 2 * area;
    assemble(f, &p, f->seen + i * area, seen);
    assemble(f, &p, f->made + i * area, made);
    for (int64_t k = 0; k < area; k++)
        difference[k] = seen[k] - made[k];
    for (int part = 0; part < PARTS; part++) {
        BNF_TRY(bnf_alloc((size_t)area * 3, "picture of an event", &d->rgb[part]));
        bnf_colormap_apply(part == 2 ? BNF_COLORMAP_SIGNED : BNF_COLORMAP_MAGNITUDE, space + part * area, area, 1,
                           d->rgb[part]);
        d->images[part] = (bnf_html_image){.pixels = d->rgb[part],
                                           .height = p.h,
                                           .width = p.w,
                                           .channels = 3,
                                           .label = labels[part],
                                           .alt = labels[part]};
    }
    return BNF_OK;
}

static void describe(const bnf_dark_file *f, int64_t i, display *d)
{
    const bnf_dark_events *e = &f->events;
    int64_t event = f->event[i];
    int32_t label = e->label[event];
    bool second = i > 0 && e->label[f->event[i - 1]] == label;
    const double *bce = bnf_dark_events_find(e, "bce"), *dice = bnf_dark_events_find(e, "dice");
    snprintf(d->title, sizeof d->title, "%s, %s loss", f->class_names[label], second ? "lowest" : "highest");
    snprintf(d->note, sizeof d->note, "event %lld: bce %.4g, dice %.3g, %.0f hits", (long long)event,
             bce ? bce[event] : NAN, dice ? dice[event] : NAN, e->score[0].value[event]);
}

static bnf_status add_cards(const bnf_dark_file *f, display *d, bnf_html_card *cards, float *space, bnf_html *html)
{
    for (int64_t i = 0; i < f->shown; i++) {
        BNF_TRY(paint(f, i, space, &d[i]));
        describe(f, i, &d[i]);
        cards[i] = (bnf_html_card){.title = d[i].title, .note = d[i].note, .images = d[i].images, .image_count = PARTS};
    }
    bnf_html_section(html, "Events");
    bnf_html_images(
        html,
        "The events of highest and lowest reconstruction loss of each class. Columns are pseudorapidity, rows "
        "the azimuthal angle. Reconstructions are probabilities that a cell is hit; the difference is what "
        "the network did not expect (positive) and what it expected in vain (negative).",
        cards, f->shown);
    bnf_html_scale(html, BNF_COLORMAP_MAGNITUDE, "probability 0", "1, or hit");
    bnf_html_scale(html, BNF_COLORMAP_SIGNED, "expected, not hit", "hit, not expected");
    return BNF_OK;
}

bnf_status bnf_dark_report_events(const bnf_dark_file *f, bnf_html *html)
{
    display *d = NULL;
    bnf_html_card *cards = NULL;
    float *space = NULL;
    if (f->shown == 0)
        return BNF_OK;
    bnf_status s = bnf_calloc((size_t)f->shown, sizeof *d, "pictures of events", &d);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)f->shown * sizeof *cards, "pictures of events", &cards);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(PARTS * f->events.images * f->h * f->w) * sizeof *space, "pictures of events", &space);
    if (s == BNF_OK)
        s = add_cards(f, d, cards, space, html);
    for (int64_t i = 0; d && i < f->shown; i++)
        for (int part = 0; part < PARTS; part++)
            bnf_free(d[i].rgb[part]);
    bnf_free(space);
    bnf_free(cards);
    bnf_free(d);
    return s;
}
