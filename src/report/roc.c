/* report/roc.c - ROC curves from sorted events. */
#include "report/roc.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct event {
    double bin, score;
    bool signal;
} event;

/* By bin, then from high scores to low ones. */
static int order(const void *a, const void *b)
{
    const event *x = a, *y = b;
    if (x->bin != y->bin)
        return x->bin < y->bin ? -1 : 1;
    return x->score > y->score ? -1 : x->score < y->score;
}

/* Appends n events to list; hits NULL: all in one bin. */
static bnf_status take(const double *score, const double *hits, int64_t n, double width, bool signal, event *list)
{
    const char *name = signal ? "signal" : "background";
    for (int64_t i = 0; i < n; i++) {
        double bin = hits ? floor(hits[i] / width) : 0;
        if (isnan(score[i]) || !isfinite(bin))
            return bnf_fail(BNF_ERR_NUMERIC, "ROC curve: the %s of event %lld of the %s is not a number",
                            isnan(score[i]) ? "score" : "number of hits", (long long)i, name);
        list[i] = (event){bin, score[i], signal};
    }
    return BNF_OK;
}

/* All events, sorted. [out] list owned. */
static bnf_status sorted(const double *background, const double *background_hits, int64_t n_background,
                         const double *signal, const double *signal_hits, int64_t n_signal, double width, event **list)
{
    if (n_background < 1 || n_signal < 1)
        return bnf_fail(BNF_ERR_ARG, "ROC curve: %lld events of background and %lld of signal: both are needed",
                        (long long)n_background, (long long)n_signal);
    BNF_TRY(bnf_alloc((size_t)(n_background + n_signal) * sizeof **list, "ROC curve: events", list));
    bnf_status s = take(background, background_hits, n_background, width, false, *list);
    if (s == BNF_OK)
        s = take(signal, signal_hits, n_signal, width, true, *list + n_background);
    if (s != BNF_OK) {
        bnf_free(*list);
        return s;
    }
    qsort(*list, (size_t)(n_background + n_signal), sizeof **list, order);
    return BNF_OK;
}

/* Counts of one bin, from high scores to low ones. */
typedef struct counts {
    int64_t background, signal;
    int64_t twice_won; /* pairs that signal has won, twice; ties once */
} counts;

/* Adds the events from `at` on that share bin and score; returns the first that does not. */
static int64_t add_ties(const event *list, int64_t n, int64_t at, counts *c)
{
    int64_t i = at, signal = 0, background = 0;
    for (; i < n && list[i].bin == list[at].bin && list[i].score == list[at].score; i++) {
        signal += list[i].signal;
        background += !list[i].signal;
    }
    c->twice_won += background * (2 * c->signal + signal);
    c->signal += signal;
    c->background += background;
    return i;
}

static double auc_of(const counts *c)
{
    return (double)c->twice_won / (2 * (double)c->signal * (double)c->background);
}

bnf_status bnf_roc_create(const double *background, int64_t n_background, const double *signal, int64_t n_signal,
                          bnf_roc *roc)
{
    event *list;
    counts c = {0};
    int64_t n = n_background + n_signal;
    *roc = (bnf_roc){.background = n_background, .signal = n_signal, .count = 1};
    BNF_TRY(sorted(background, NULL, n_background, signal, NULL, n_signal, 1, &list));
    bnf_status s = bnf_alloc((size_t)(n + 1) * sizeof(double), "ROC curve", &roc->fpr);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(n + 1) * sizeof(double), "ROC curve", &roc->tpr);
    if (s == BNF_OK)
        roc->fpr[0] = roc->tpr[0] = 0;
    for (int64_t i = 0; s == BNF_OK && i < n; roc->count++) {
        i = add_ties(list, n, i, &c);
        roc->fpr[roc->count] = (double)c.background / (double)n_background;
        roc->tpr[roc->count] = (double)c.signal / (double)n_signal;
    }
    if (s == BNF_OK)
        roc->auc = auc_of(&c);
    bnf_free(list);
    return s;
}

void bnf_roc_release(bnf_roc *roc)
{
    bnf_free(roc->fpr);
    bnf_free(roc->tpr);
    *roc = (bnf_roc){0};
}

double bnf_roc_fpr_at(const bnf_roc *roc, double tpr)
{
    int64_t k = 0;
    while (k + 1 < roc->count && roc->tpr[k] < tpr)
        k++;
    if (k == 0)
        return roc->fpr[0];
    double share = (tpr - roc->tpr[k - 1]) / (roc->tpr[k] - roc->tpr[k - 1]);
    return roc->fpr[k - 1] + share * (roc->fpr[k] - roc->fpr[k - 1]);
}

bnf_status bnf_roc_auc_binned(const double *background, const double *background_hits, int64_t n_background,
                              const double *signal, const double *signal_hits, int64_t n_signal, double width,
                              bnf_roc_binned *result)
{
    event *list;
    int64_t n = n_background + n_signal, covered = 0;
    double sum = 0;
    *result = (bnf_roc_binned){.auc = NAN};
    if (!(width > 0))
        return bnf_fail(BNF_ERR_ARG, "ROC curve: bins of %g hits", width);
    BNF_TRY(sorted(background, background_hits, n_background, signal, signal_hits, n_signal, width, &list));
    for (int64_t i = 0; i < n;) {
        counts c = {0};
        double bin = list[i].bin;
        while (i < n && list[i].bin == bin)
            i = add_ties(list, n, i, &c);
        if (c.signal == 0 || c.background == 0)
            continue;
        sum += (double)c.signal * auc_of(&c);
        covered += c.signal;
        result->bins++;
    }
    bnf_free(list);
    if (covered > 0)
        result->auc = sum / (double)covered;
    result->covered = (double)covered / (double)n_signal;
    return BNF_OK;
}
