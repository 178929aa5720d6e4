/* recipes/dark_showers/report.c - what scores are, and how well they find signals. */
#include "recipes/dark_showers/report.h"

#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 48 };

/* ---- reading ---- */

/* A data set of one dimension. [out] values[n] owned; n < 0: any number, told. */
static bnf_status read_row(bnf_h5_file *file, const char *name, bnf_dtype dtype, int64_t *n, void *values)
{
    bnf_h5_dataset *dataset;
    int ndim;
    BNF_TRY(bnf_h5_dataset_open(file, name, &dataset));
    bnf_status s = bnf_h5_dataset_expect(dataset, dtype, 1, n);
    if (s == BNF_OK) {
        *n = bnf_h5_dataset_dims(dataset, &ndim)[0];
        s = bnf_alloc((size_t)*n * bnf_dtype_size(dtype), name, values);
    }
    if (s == BNF_OK)
        s = bnf_h5_dataset_read(dataset, dtype, *(void **)values);
    bnf_status closed = bnf_h5_dataset_close(dataset);
    return s != BNF_OK ? s : closed;
}

static bnf_status read_scores(bnf_h5_file *file, bnf_dark_events *e)
{
    bnf_h5_names names;
    char path[64];
    e->count = -1;
    BNF_TRY(read_row(file, "/label", BNF_I32, &e->count, &e->label));
    BNF_TRY(bnf_h5_attr_get_strs(file, "/", "scores", &names));
    bnf_status s = BNF_OK;
    for (int64_t i = 0; i < names.count && i < BNF_DARK_MAX_SCORES && s == BNF_OK; i++) {
        bnf_dark_score *score = &e->score[e->n];
        snprintf(score->name, sizeof score->name, "%s", names.name[i]);
        snprintf(path, sizeof path, "/scores/%s", score->name);
        s = read_row(file, path, BNF_F64, &e->count, &score->value);
        e->n += s == BNF_OK;
    }
    bnf_h5_names_destroy(&names);
    return s;
}

static bnf_status read_images(bnf_h5_file *file, const char *name, bnf_dark_file *f, float **x)
{
    bnf_h5_dataset *dataset;
    int ndim;
    BNF_TRY(bnf_h5_dataset_open(file, name, &dataset));
    bnf_status s = bnf_h5_dataset_expect(dataset, BNF_F32, 5, (int64_t[]){f->shown, f->events.images, -1, -1, 1});
    if (s == BNF_OK) {
        const int64_t *dim = bnf_h5_dataset_dims(dataset, &ndim);
        f->h = dim[2];
        f->w = dim[3];
        s = bnf_alloc((size_t)(f->shown * f->events.images * f->h * f->w) * sizeof **x, name, x);
    }
    if (s == BNF_OK)
        s = bnf_h5_dataset_read(dataset, BNF_F32, *x);
    bnf_status closed = bnf_h5_dataset_close(dataset);
    return s != BNF_OK ? s : closed;
}

static bnf_status check_labels(const bnf_dark_file *f, const char *path)
{
    for (int64_t i = 0; i < f->events.count; i++)
        if (f->events.label[i] < 0 || f->events.label[i] >= f->classes)
            return bnf_fail(BNF_ERR_FORMAT, "%s: event %lld has the label %d of %lld classes", path, (long long)i,
                            f->events.label[i], (long long)f->classes);
    for (int64_t i = 0; i < f->shown; i++)
        if (f->event[i] < 0 || f->event[i] >= f->events.count)
            return bnf_fail(BNF_ERR_FORMAT, "%s: event %lld is shown of %lld", path, (long long)f->event[i],
                            (long long)f->events.count);
    return BNF_OK;
}

static bnf_status read_all(bnf_h5_file *file, bnf_dark_file *f)
{
    bnf_h5_names names;
    bool pictures;
    BNF_TRY(bnf_h5_attr_get_strs(file, "/", "classes", &names));
    f->classes = names.count;
    f->class_names = names.name;
    BNF_TRY(bnf_h5_attr_get_str(file, "/", "part", &f->part));
    BNF_TRY(bnf_h5_attr_get_real(file, "/", "tpr", &f->tpr));
    BNF_TRY(bnf_h5_attr_get_real(file, "/", "bin", &f->width));
    BNF_TRY(bnf_h5_attr_get_int(file, "/", "images_per_event", &f->events.images));
    BNF_TRY(read_scores(file, &f->events));
    BNF_TRY(bnf_h5_exists(file, "/pictures/event", &pictures));
    f->shown = -1;
    if (!pictures)
        f->shown = 0;
    else
        BNF_TRY(read_row(file, "/pictures/event", BNF_I64, &f->shown, &f->event));
    BNF_TRY(check_labels(f, bnf_h5_file_path(file)));
    if (!pictures)
        return BNF_OK;
    BNF_TRY(read_images(file, "/pictures/image", f, &f->seen));
    return read_images(file, "/pictures/reconstruction", f, &f->made);
}

static void release(bnf_dark_file *f)
{
    bnf_dark_events_release(&f->events);
    bnf_dark_figures_release(&f->figures);
    bnf_h5_names names = {.count = f->classes, .name = f->class_names};
    bnf_h5_names_destroy(&names);
    bnf_free(f->part);
    bnf_free(f->event);
    bnf_free(f->seen);
    bnf_free(f->made);
}

/* *there: whether there are scores of these weights. */
static bnf_status open_scores(const char *path, const char *weights, bnf_dark_file *f, bool *there)
{
    bnf_h5_file *file;
    char *of = NULL;
    *there = bnf_fs_exists(path);
    if (!*there)
        return BNF_OK;
    BNF_TRY(bnf_h5_file_open(path, &file));
    bnf_status s = bnf_h5_attr_get_str(file, "/", "weights", &of);
    *there = s == BNF_OK && strcmp(of, weights) == 0;
    if (*there)
        s = read_all(file, f);
    bnf_free(of);
    bnf_status closed = bnf_h5_file_close(file);
    return s != BNF_OK ? s : closed;
}

/* ---- text and tables ---- */

static const char title[] = "How well signals are found";

static const char unsupervised[] = "The network is an autoencoder: it has to reconstruct an event through a narrow "
                                   "bottleneck, and has no labels. What "
                                   "it has learned is to describe the events that it was trained on, here %s. The "
                                   "scores say how unlike these an event "
                                   "is, in the hope that the unknown stands out.";

static const char supervised[] = "The network was trained with the signals' labels to tell them from %s: this is no "
                                 "search for the unknown, but shows "
                                 "what could be reached at most.";

static const char measured[] =
    "AUC is the chance that an event of the signal has a higher score than one of the background: 50 %% is guessing, "
    "and "
    "less means that the score is lower for the signal. The false-positive rate is the share of the background that "
    "passes a threshold which %g %% of the signal passes. A signal with more hits than the background can be found by "
    "counting them, which is the first score; the third table compares events of as many hits only (in bins of %g).";

static void introduction(const bnf_dark_file *f, bnf_html *html)
{
    bool classifier = bnf_dark_events_find(&f->events, "signal") != NULL;
    bnf_html_section(html, title);
    bnf_html_text(html, classifier ? supervised : unsupervised, f->class_names[0]);
    bnf_html_text(html, measured, 100 * f->tpr, f->width);
}

static void headline(const bnf_dark_file *f, bnf_html *html)
{
    const char *name = bnf_dark_events_find(&f->events, "signal") ? "signal" : "bce";
    char label[64], value[32], note[96];
    double sum = 0;
    int n = 0;
    for (int i = 0; i < f->events.n; i++)
        for (int64_t k = 1; strcmp(f->events.score[i].name, name) == 0 && k < f->classes; k++)
            if (f->figures.events[k] > 0) {
                sum += f->figures.figure[k * f->events.n + i].auc;
                n++;
            }
    if (n == 0)
        return;
    snprintf(label, sizeof label, "Mean AUC of %s", name);
    snprintf(value, sizeof value, "%.1f %%", 100 * sum / n);
    snprintf(note, sizeof note, "%d signal%s against %s, %s part", n, n == 1 ? "" : "s", f->class_names[0], f->part);
    bnf_html_headline(html, label, value, note);
}

enum { AUC = 0, FPR, BINNED, TABLES };

static double number(const bnf_dark_figure *g, int table)
{
    return table == AUC ? g->auc : table == FPR ? g->fpr : g->binned.auc;
}

/* Row i of a table, of a score or behind them, within bins, what share of a signal is compared at all. */
static double cell(const bnf_dark_file *f, int table, int i, int64_t k)
{
    const bnf_dark_figure *g = &f->figures.figure[k * f->events.n];
    return i < f->events.n ? number(&g[i], table) : g[0].binned.covered;
}

/* One row per score, one column per signal. */
static bnf_status add_table(const bnf_dark_file *f, int table, const char *caption, bnf_html *html)
{
    int rows = f->events.n + (table == BINNED);
    int64_t cells_n = f->classes * rows, columns_n = 1;
    char(*text)[CELL] = NULL;
    const char **cells = NULL;
    bnf_html_column *columns = NULL;
    bnf_status s = bnf_alloc((size_t)cells_n * sizeof *text, "table", &text);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)cells_n * sizeof *cells, "table", &cells);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)f->classes * sizeof *columns, "table", &columns);
    int64_t at = 0;
    for (int i = 0; s == BNF_OK && i < rows; i++) {
        columns[0] = (bnf_html_column){"Score", false};
        columns_n = 1;
        cells[at++] = i < f->events.n ? f->events.score[i].name : "signal that is compared";
        for (int64_t k = 1; k < f->classes; k++) {
            if (f->figures.events[k] == 0)
                continue;
            columns[columns_n++] = (bnf_html_column){f->class_names[k], true};
            double x = cell(f, table, i, k);
            snprintf(text[at], CELL, table == FPR ? "%.2f %%" : "%.1f %%", 100 * x);
            cells[at] = isnan(x) ? NULL : text[at];
            at++;
        }
    }
    if (s == BNF_OK)
        bnf_html_table(html, caption, columns, (int)columns_n, cells, rows);
    bnf_free(columns);
    bnf_free(cells);
    bnf_free(text);
    return s;
}

static bnf_status add_tables(const bnf_dark_file *f, bnf_html *html)
{
    char captions[TABLES][96];
    snprintf(captions[AUC], sizeof captions[AUC], "AUC of signals against %lld events of %s",
             (long long)f->figures.events[0], f->class_names[0]);
    snprintf(captions[FPR], sizeof captions[FPR], "False-positive rate at a true-positive rate of %g %%", 100 * f->tpr);
    snprintf(captions[BINNED], sizeof captions[BINNED], "AUC among events of as many hits, in bins of %g", f->width);
    for (int t = 0; t < TABLES; t++)
        BNF_TRY(add_table(f, t, captions[t], html));
    return BNF_OK;
}

/* What the scores are; those of a run are in its tables. */
static void glossary(const bnf_dark_file *f, bnf_html *html)
{
    static const bnf_html_column columns[] = {{"Score", false}, {"What it is", false}};
    static const char *const all[][2] = {
        {"hits", "number of cells that are hit: no network at all"},
        {"hits_spread", "standard deviation of the hits of an event's images: no network either"},
        {"bce", "reconstruction loss: binary cross-entropy, summed over the cells"},
        {"mse", "sum of squared differences between image and reconstruction"},
        {"kl", "distance of the latent distribution from its prior"},
        {"energy", "number of hits that the reconstruction expects"},
        {"energy_diff", "difference between this number and that of the hits"},
        {"dice", "mismatch: (sum p\u00b2 + sum x\u00b2) / (2 sum p x), 1 at best"},
        {"z_m0", "a component of the auxiliary latent vector"},
        {"z_m_unit0", "the same of the vector with length 1"},
        {"mahalanobis", "distance of the latent image from those of the background, in units of their spread"},
        {"mahalanobis_z_m", "the same of the auxiliary latent vector"},
        {"signal", "probability, by the classifier, that it is not background"},
        {"log_odds", "its log odds, added over the images of an event"},
    };
    enum { ALL = sizeof all / sizeof all[0] };
    const char *cells[2 * ALL];
    int64_t n = 0;
    for (int i = 0; i < ALL; i++)
        if (bnf_dark_events_find(&f->events, all[i][0])) {
            cells[n++] = all[i][0];
            cells[n++] = all[i][1];
        }
    bnf_html_table(html, "What the scores are", columns, 2, cells, n / 2);
}

static bnf_status add_sections(bnf_dark_file *f, bnf_html *html)
{
    BNF_TRY(bnf_dark_figures_create(&f->events, f->classes, (const char *const *)f->class_names, f->tpr, f->width,
                                    &f->figures));
    if (!f->figures.any) {
        bnf_html_section(html, title);
        bnf_html_text(html,
                      "The %lld events that were scored are not both of %s and of other classes, so there is nothing "
                      "to compare.",
                      (long long)f->events.count, f->class_names[0]);
        return bnf_dark_report_events(f, html);
    }
    headline(f, html);
    introduction(f, html);
    BNF_TRY(add_tables(f, html));
    glossary(f, html);
    BNF_TRY(bnf_dark_report_roc(f, html));
    BNF_TRY(bnf_dark_report_histograms(f, html));
    return bnf_dark_report_events(f, html);
}

/* On rank 0. */
static bnf_status add_scores(const bnf_run *run, bnf_html *html)
{
    bnf_buf path = {0};
    bnf_dark_file file = {0};
    bool there = false;
    bnf_status s = bnf_fs_join(&path, run->folder, "scores.h5");
    if (s == BNF_OK)
        s = open_scores(bnf_buf_text(&path), run->weights, &file, &there);
    if (s == BNF_OK && there)
        s = add_sections(&file, html);
    if (s == BNF_OK && !there) {
        bnf_html_section(html, title);
        bnf_html_text(html, "There are no scores of these weights: banff score %s makes them.", run->folder);
    }
    release(&file);
    bnf_buf_release(&path);
    return s;
}

bnf_status bnf_dark_report(bnf_run *run, bnf_html *html)
{
    return bnf_comm_agree(run->comm, html ? add_scores(run, html) : BNF_OK);
}
