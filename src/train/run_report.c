/* train/run_report.c - the HTML report of a run. */
#include "train/run_report.h"

#include "base/mem.h"
#include "comm/agree.h"
#include "report/metrics.h"
#include "train/folder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One series of the metrics file, owned by the chart under construction. */
typedef struct line {
    double *x, *y;
    int64_t n;
} line;

static bnf_status series(const bnf_metrics_log *log, const char *kind, const char *name, line *l)
{
    return bnf_metrics_series(log, kind, name, &l->x, &l->y, &l->n);
}

/* Training and test values of one quantity over steps. */
static bnf_status add_curve(bnf_html *html, const bnf_metrics_log *log, const char *title, const char *name,
                            bool percent, bool log_axis)
{
    line lines[2] = {{0}};
    bnf_status s = series(log, "train", name, &lines[0]);
    if (s == BNF_OK)
        s = series(log, "test", name, &lines[1]);
    if (s == BNF_OK && lines[0].n + lines[1].n > 0) {
        bnf_html_series both[2];
        int n = 0;
        for (int i = 0; i < 2; i++)
            if (lines[i].n > 0)
                both[n++] = (bnf_html_series){.name = i ? "test" : "training",
                                              .x = lines[i].x,
                                              .y = lines[i].y,
                                              .count = lines[i].n,
                                              .markers = i};
        bnf_html_chart_add(html, &(bnf_html_chart){.title = title,
                                                   .x = {.label = "step"},
                                                   .y = {.percent = percent, .log = log_axis},
                                                   .series = both,
                                                   .series_count = n});
    }
    for (int i = 0; i < 2; i++) {
        bnf_free(lines[i].x);
        bnf_free(lines[i].y);
    }
    return s;
}

static bnf_status add_curves(const bnf_run *run, bnf_html *html)
{
    char *path;
    bnf_metrics_log *log;
    BNF_TRY(bnf_folder_path(run->job, "metrics.jsonl", &path));
    bnf_status s = bnf_metrics_read(path, &log);
    bnf_free(path);
    BNF_TRY(s);
    double accuracy = bnf_metrics_last(log, "test", "accuracy");
    if (!isnan(accuracy)) {
        char value[32];
        snprintf(value, sizeof value, "%.2f %%", 100 * accuracy);
        bnf_html_headline(html, "Test accuracy", value, "at the last evaluation");
    }
    bnf_html_section(html, "Training");
    s = add_curve(html, log, "Accuracy", "accuracy", true, false);
    if (s == BNF_OK)
        s = add_curve(html, log, "Loss", "loss", false, false);
    if (s == BNF_OK)
        s = add_curve(html, log, "Learning rate", "lr", false, true);
    if (s == BNF_OK)
        s = add_curve(html, log, "Throughput (samples per second)", "samples_per_second", false, false);
    if (s == BNF_OK)
        s = add_curve(html, log, "Norm of the gradient", "grad_norm", false, true);
    bnf_metrics_log_destroy(log);
    return s;
}

/* A row of cells: text of the table's own, column by column. */
enum { CELL = 96 };

static void add_parts(const bnf_profile *p, bnf_html *html)
{
    static const bnf_html_column columns[] = {
        {"Part", false}, {"ms per step", true}, {"%", true}, {"What it is", false}};
    char text[BNF_PROFILE_PARTS][2][CELL];
    const char *cells[BNF_PROFILE_PARTS * 4];
    for (int i = 0; i < BNF_PROFILE_PARTS; i++) {
        snprintf(text[i][0], CELL, "%.3f", 1e3 * p->seconds[i]);
        snprintf(text[i][1], CELL, "%.1f", p->step_seconds > 0 ? 100 * p->seconds[i] / p->step_seconds : 0.0);
        const char *row[] = {bnf_profile_names[i], text[i][0], text[i][1], bnf_profile_meanings[i]};
        memcpy(&cells[4 * i], row, sizeof row);
    }
    bnf_html_table(html, "A step of rank 0's main thread", columns, 4, cells, BNF_PROFILE_PARTS);
}

static void add_ops(const bnf_profile *p, bnf_html *html)
{
    static const bnf_html_column columns[] = {{"Operation", false}, {"Kernel", false},     {"Result per leaf", false},
                                              {"Calls", true},      {"ms per step", true}, {"GFLOP/s", true},
                                              {"GB/s", true}};
    char text[BNF_PROFILE_OPS][4][CELL];
    const char *cells[BNF_PROFILE_OPS * 7];
    for (int64_t i = 0; i < p->n_ops; i++) {
        const bnf_profile_op *o = &p->ops[i];
        snprintf(text[i][0], CELL, "%lld", (long long)o->calls);
        snprintf(text[i][1], CELL, "%.3f", 1e3 * o->seconds);
        snprintf(text[i][2], CELL, "%.2f", o->gflops);
        snprintf(text[i][3], CELL, "%.2f", o->gbytes);
        const char *row[] = {o->op,     o->kernel, o->shape, text[i][0], text[i][1], o->gflops > 0 ? text[i][2] : NULL,
                             text[i][3]};
        memcpy(&cells[7 * i], row, sizeof row);
    }
    bnf_html_table(html, "The operations that take longest: time summed over rank 0's threads, rates of one thread",
                   columns, 7, cells, p->n_ops);
}

/* If run.profile has left one. */
static bnf_status add_profile(const bnf_run *run, bnf_html *html)
{
    char *path;
    bnf_profile p;
    BNF_TRY(bnf_folder_path(run->job, "profile.json", &path));
    bnf_status s = bnf_profile_read(path, &p);
    bnf_free(path);
    if (s != BNF_OK || p.steps == 0)
        return s;
    bnf_html_section(html, "Where the step went");
    bnf_html_text(html, "%lld steps from step %lld on were recorded, on %lld ranks of %lld threads: %.3f ms per step.",
                  (long long)p.steps, (long long)p.first, (long long)p.ranks, (long long)p.threads,
                  1e3 * p.step_seconds);
    if (p.dropped > 0)
        bnf_html_warning(html, "%lld spans had no room: times of operations are too small, \"other\" is too large.",
                         (long long)p.dropped);
    add_parts(&p, html);
    add_ops(&p, html);
    return BNF_OK;
}

static void add_facts(const bnf_run *run, bnf_html *html)
{
    const bnf_dataset_info *d = bnf_dataset_get_info(run->train);
    bnf_html_fact(html, "Data set", "%s (%s)", d->path, d->source);
    bnf_html_fact(html, "Images", "%lld for training, %lld for testing; %lld x %lld x %lld; %lld classes",
                  (long long)d->count, (long long)(run->test ? bnf_dataset_get_info(run->test)->count : 0),
                  (long long)d->h, (long long)d->w, (long long)d->c, (long long)d->classes);
    bnf_html_fact(html, "Recipe", "%s: %s", run->job->recipe->name, run->job->recipe->summary);
    bnf_html_fact(html, "Trainable parameters", "%lld", (long long)bnf_params_raw_elements(run->params, true));
    bnf_html_fact(html, "Step", "%lld", (long long)run->step);
    bnf_html_fact(html, "Seed", "%lld", (long long)run->job->seed);
    bnf_html_fact(html, "Hash of the weights", "%s: the same for any number of ranks and threads", run->weights);
    bnf_html_fact(html, "banff", "%s", bnf_version());
}

static bnf_status add_config(const bnf_run *run, bnf_html *html)
{
    bnf_buf text = {0};
    bnf_status s = bnf_job_dump(run->job, false, &text);
    bnf_html_section(html, "Configuration");
    bnf_html_details(html, "Resolved configuration (YAML)", bnf_buf_text(&text));
    bnf_buf_release(&text);
    return s;
}

bnf_status bnf_run_report(bnf_run *run, char **path)
{
    bnf_html *html = NULL;
    bnf_status s = BNF_OK;
    *path = NULL;
    if (bnf_comm_rank(run->comm) == 0) {
        s = bnf_html_create(run->folder, "a training run of banff", &html);
        if (s == BNF_OK) {
            add_facts(run, html);
            s = add_curves(run, html);
            s = s == BNF_OK ? add_profile(run, html) : s;
        }
    }
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK && run->job->recipe->report)
        s = run->job->recipe->report(run, html);
    if (s == BNF_OK)
        s = bnf_folder_path(run->job, "report.html", path);
    bnf_status written = s;
    if (s == BNF_OK && html) {
        written = add_config(run, html);
        if (written == BNF_OK)
            written = bnf_html_write(html, *path);
    }
    s = bnf_comm_agree(run->comm, written);
    bnf_html_destroy(html);
    if (s != BNF_OK) {
        bnf_free(*path);
        *path = NULL;
    }
    return s;
}
