/* recipes/lipschitz/explain_cmd.c - banff explain. */
#include "recipes/lipschitz/explain_cmd.h"

#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/explain.h"
#include "recipes/lipschitz/explain_write.h"
#include "recipes/lipschitz/share.h"

#include <string.h>

typedef struct explaining {
    bnf_run *run;
    bnf_lipschitz_explain_settings set;
    bnf_lipschitz_net net;
    const bnf_dataset_info *info; /* of the split; borrowed */
    bnf_lipschitz_maps *maps;
    int64_t lo, hi, round, rounds;   /* this rank's samples; so many at a time, so many times on every rank */
    bnf_lipschitz_explained now;     /* of one round */
    bnf_lipschitz_facts *mine, *all; /* [hi - lo], [samples] */
    int64_t *samples;                /* [round] */
    bnf_progress *progress;
} explaining;

/* ---- settings ---- */

static bnf_status parse(bnf_lipschitz_explain_settings *s, const bnf_explain_request *request, const bnf_run *run,
                        bnf_buf *text)
{
    s->maps = bnf_lipschitz_maps_default(run);
    const bnf_option table[] = {
        {"samples", BNF_OPTION_INT, "16", "explain the first N samples", 1, &s->samples},
        {"split", BNF_OPTION_SPLIT, "test", "train or test", 0, &s->split},
        {"pictures", BNF_OPTION_INT, "32", "PNG files of the first N of them", 0, &s->pictures},
        {"of_label", BNF_OPTION_INT, "0", "1: explain the label's logit instead of the predicted class's", 0,
         &s->of_label},
        {"draws", BNF_OPTION_INT, "50", "smoothgrad: noisy copies of a sample", 1, &s->maps.draws},
        {"sigma", BNF_OPTION_REAL, "0.2", "smoothgrad: standard deviation of the noise, in pixels", 0, &s->maps.sigma},
        {"steps", BNF_OPTION_INT, "50", "integrated: points between baseline and sample", 2, &s->maps.steps},
        {"baseline", BNF_OPTION_REAL, "0", "integrated: value of the pixels where the path begins", -1e30,
         &s->maps.baseline},
        {"t", BNF_OPTION_REALS, "0,0.5,1,1.5,2,3,5,10", "counterfactuals x - t f(x) grad f(x)", 0, &s->t},
        {"scaled", BNF_OPTION_INT, "0", "1: counterfactuals x - t f(x) grad f(x) / |grad f(x)|^2", 0, &s->scaled},
    };
    enum { OWN = sizeof table / sizeof table[0] };
    bnf_option all[OWN + BNF_LIPSCHITZ_METRICS_OPTIONS];
    memcpy(all, table, sizeof table);
    bnf_lipschitz_metrics_table(&s->metrics, all + OWN);
    BNF_TRY(bnf_options_parse(all, OWN + BNF_LIPSCHITZ_METRICS_OPTIONS, request->options, request->n_options, text,
                              &s->help));
    return s->t.count > 0 ? BNF_OK : bnf_fail(BNF_ERR_CONFIG, "--option t=...: give one number at least");
}

static bnf_status check(explaining *e, const bnf_explain_request *request)
{
    bnf_dataset *dataset;
    BNF_TRY(bnf_run_dataset(e->run, e->set.split, &dataset));
    e->info = bnf_dataset_get_info(dataset);
    if (e->set.samples > e->info->count)
        return bnf_fail(BNF_ERR_CONFIG, "--option samples=%lld: the %s part of %s has %lld", (long long)e->set.samples,
                        e->info->name, e->info->path, (long long)e->info->count);
    BNF_TRY(bnf_lipschitz_net_create(e->run->job, e->run->params, e->info, &e->net));
    return bnf_lipschitz_methods_parse(request->methods, &e->net, e->set.method);
}

/* ---- metrics ---- */

static bnf_lipschitz_metrics_request metrics_of(const explaining *e, const bnf_explain_request *request)
{
    bnf_lipschitz_metrics_request r = {.metrics = request->metrics,
                                       .split = e->set.split,
                                       .of_label = e->set.of_label != 0,
                                       .maps = e->set.maps,
                                       .progress = request->progress};
    memcpy(r.method, e->set.method, sizeof r.method);
    return r;
}

static bnf_status check_metrics(const explaining *e, const bnf_explain_request *request)
{
    const bnf_lipschitz_metrics_request r = metrics_of(e, request);
    return bnf_lipschitz_metrics_check(e->run, &r, &e->set.metrics);
}

static bnf_status measure(const explaining *e, const bnf_explain_request *request, bnf_buf *text)
{
    const bnf_lipschitz_metrics_request r = metrics_of(e, request);
    return bnf_lipschitz_metrics_command(e->run, &e->net, &r, &e->set.metrics, text);
}

/* ---- room ---- */

enum { PER_THREAD = 4 /* rows of a round */ };

static bnf_status reserve(explaining *e)
{
    BNF_TRY(bnf_calloc((size_t)(e->hi - e->lo), sizeof *e->mine, "samples to explain", &e->mine));
    BNF_TRY(bnf_calloc((size_t)e->set.samples, sizeof *e->all, "samples to explain", &e->all));
    BNF_TRY(bnf_calloc((size_t)e->round, sizeof *e->samples, "samples to explain", &e->samples));
    BNF_TRY(bnf_lipschitz_explained_create(&e->net, e->set.method, &e->set.t, e->round, &e->now));
    e->now.scaled = e->set.scaled != 0;
    return bnf_lipschitz_maps_create(e->run, &e->net, &e->set.maps, e->round, &e->maps);
}

static bnf_status prepare(explaining *e, const bnf_explain_request *request)
{
    BNF_TRY(check(e, request));
    if (request->metrics)
        BNF_TRY(check_metrics(e, request));
    bnf_lipschitz_share(e->run->comm, e->set.samples, &e->lo, &e->hi);
    e->round = (int64_t)PER_THREAD * e->run->threads;
    BNF_TRY(reserve(e));
    BNF_TRY(bnf_lipschitz_share_progress(e->run, request->progress, e->set.samples, e->round, &e->progress));
    return bnf_comm_rank(e->run->comm) == 0 ? bnf_lipschitz_explain_clear(e->run) : BNF_OK;
}

static void release(explaining *e)
{
    bnf_progress_destroy(e->progress);
    bnf_lipschitz_maps_destroy(e->maps);
    bnf_lipschitz_explained_release(&e->now);
    bnf_lipschitz_net_release(&e->net);
    bnf_free(e->mine);
    bnf_free(e->all);
    bnf_free(e->samples);
}

/* ---- computing ---- */

/* Samples [first, first + n), n <= round; 0: this rank is through. */
static bnf_status one_round(explaining *e, int64_t first, int64_t n)
{
    e->now.n = n;
    if (n == 0)
        return BNF_OK;
    for (int64_t i = 0; i < n; i++)
        e->samples[i] = first + i;
    BNF_TRY(bnf_lipschitz_explain(e->run, e->set.split, e->maps, e->samples, n, e->set.of_label != 0, &e->now));
    memcpy(e->mine + (first - e->lo), e->now.facts, (size_t)n * sizeof *e->mine);
    for (int64_t i = 0; i < n && first + i < e->set.pictures; i++)
        BNF_TRY(bnf_lipschitz_explain_picture(e->run, &e->now, i));
    return BNF_OK;
}

/* All rounds of this rank, and as many as the others need. */
static bnf_status all_rounds(explaining *e, bnf_lipschitz_explain_file *file)
{
    int64_t most = bnf_lipschitz_share_most(e->run->comm, e->set.samples);
    for (int64_t done = 0, k = 1; done < most; done += e->round, k++) {
        int64_t first = e->lo + done < e->hi ? e->lo + done : e->hi;
        int64_t n = e->hi - first < e->round ? e->hi - first : e->round;
        bnf_status s = one_round(e, first, n);
        BNF_TRY(bnf_lipschitz_explain_file_put(file, first, &e->now, s));
        bnf_lipschitz_share_done(e->progress, k);
    }
    bnf_progress_finish(e->progress);
    return BNF_OK;
}

static bnf_status compute(explaining *e)
{
    bnf_lipschitz_explain_file *file;
    BNF_TRY(bnf_lipschitz_explain_file_create(e->run, &e->net, &e->set, &file));
    bnf_status s = all_rounds(e, file);
    if (s == BNF_OK) /* all facts to all ranks */
        s = bnf_lipschitz_share_gather(e->run->comm, e->set.samples, sizeof *e->mine, e->mine, e->all);
    return bnf_lipschitz_explain_file_finish(file, e->all, s);
}

/* ---- text ---- */

enum { ROWS = 24, NAME = 14 /* printed at most; characters of a name */ };

static void print_head(const explaining *e, bnf_buf *t)
{
    bnf_buf_printf(t, "%s part, the first %lld samples (step %lld, weights %s)\nmethods:", e->info->name,
                   (long long)e->set.samples, (long long)e->run->step, e->run->weights);
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        if (e->set.method[m])
            bnf_buf_printf(t, " %s", bnf_lipschitz_method_names[m]);
    bnf_buf_printf(t,
                   "\nf: lead of the explained class, its logit minus the largest other one%s\n"
                   "t: lead of that class at x - t f(x) grad f(x)%s, and the class there (its number)\n"
                   "turned: class and distance where the picture, following -grad f within its range, turns first\n\n",
                   e->net.outputs == 1 ? " (one output: the logit times the sign of the class)" : "",
                   e->set.scaled ? " / |grad f(x)|^2" : "");
    bnf_buf_printf(t, "%6s  %-*s  %-*s %8s %8s", "sample", NAME, "label", NAME, "explained", "f", "|grad f|");
    for (int i = 0; i < e->set.t.count; i++)
        bnf_buf_printf(t, "  t=%-8s", e->set.t.text[i]);
    bnf_buf_puts(t, "  turned\n");
}

static const char *name_of(const explaining *e, int32_t y)
{
    return y < e->info->classes ? e->info->class_names[y] : "?";
}

static void print_row(const explaining *e, const bnf_lipschitz_facts *f, bnf_buf *t)
{
    bnf_buf_printf(t, "%6lld  %-*.*s  %-*.*s %8.4f %8.4f", (long long)f->sample, NAME, NAME, name_of(e, f->label), NAME,
                   NAME, name_of(e, f->explained), f->lead, f->slope);
    for (int i = 0; i < e->set.t.count; i++)
        bnf_buf_printf(t, " %8.3f:%-2d", f->lead_at[i], f->class_at[i]);
    if (f->turned != f->predicted)
        bnf_buf_printf(t, "  %s, %.3f\n", name_of(e, f->turned), f->distance);
    else
        bnf_buf_printf(t, "  not up to %.3f\n", f->distance);
}

static void print(const explaining *e, bnf_buf *t)
{
    int64_t pictures = e->set.pictures < e->set.samples ? e->set.pictures : e->set.samples;
    print_head(e, t);
    for (int64_t i = 0; i < e->set.samples && i < ROWS; i++)
        print_row(e, &e->all[i], t);
    if (e->set.samples > ROWS)
        bnf_buf_printf(t, "(and %lld more in maps.h5)\n", (long long)(e->set.samples - ROWS));
    bnf_buf_printf(t, "\n%s/explain/maps.h5", e->run->folder);
    if (pictures > 0)
        bnf_buf_printf(t, " and %lld pictures: above sample, maps, turned; below the values of t", (long long)pictures);
    bnf_buf_puts(t, "\n");
}

bnf_status bnf_lipschitz_explain_command(bnf_run *run, const bnf_explain_request *request, bnf_buf *text)
{
    explaining e = {.run = run};
    BNF_TRY(parse(&e.set, request, run, text));
    if (e.set.help)
        return BNF_OK;
    bnf_status s = bnf_comm_agree(run->comm, prepare(&e, request));
    if (s == BNF_OK)
        s = compute(&e);
    if (s == BNF_OK)
        print(&e, text);
    if (s == BNF_OK && request->metrics)
        s = measure(&e, request, text);
    release(&e);
    return s == BNF_OK ? text->status : s;
}
