/* recipes/dark_showers/figures.c */
#include "recipes/dark_showers/figures.h"

#include "base/mem.h"

bnf_status bnf_dark_scores_of(const bnf_dark_events *events, int32_t label, const double *score, double **value,
                              int64_t *n)
{
    *n = 0;
    BNF_TRY(bnf_alloc((size_t)events->count * sizeof **value, "scores of a class", value));
    for (int64_t i = 0; i < events->count; i++)
        if (events->label[i] == label)
            (*value)[(*n)++] = score[i];
    return BNF_OK;
}

/* Scores and hits of background and of one class of signal. */
typedef struct pair {
    double *score[2], *hits[2]; /* 0: background, 1: signal */
    int64_t n[2];
} pair;

static bnf_status pair_open(const bnf_dark_events *e, int32_t label, const double *score, pair *p)
{
    for (int side = 0; side < 2; side++) {
        BNF_TRY(bnf_dark_scores_of(e, side ? label : 0, score, &p->score[side], &p->n[side]));
        BNF_TRY(bnf_dark_scores_of(e, side ? label : 0, e->score[0].value, &p->hits[side], &p->n[side]));
    }
    return BNF_OK;
}

static bnf_status measure(const pair *p, double tpr, double width, bnf_dark_figure *f)
{
    bnf_roc roc;
    bnf_status s = bnf_roc_create(p->score[0], p->n[0], p->score[1], p->n[1], &roc);
    if (s == BNF_OK) {
        f->auc = roc.auc;
        f->fpr = bnf_roc_fpr_at(&roc, tpr);
        s = bnf_roc_auc_binned(p->score[0], p->hits[0], p->n[0], p->score[1], p->hits[1], p->n[1], width, &f->binned);
    }
    bnf_roc_release(&roc);
    return s;
}

static void count_events(const bnf_dark_events *events, bnf_dark_figures *f)
{
    for (int64_t i = 0; i < events->count; i++)
        f->events[events->label[i]]++;
    f->any = f->events[0] > 0 && f->events[0] < events->count;
}

bnf_status bnf_dark_figures_create(const bnf_dark_events *events, int64_t classes, const char *const *class_names,
                                   double tpr, double width, bnf_dark_figures *figures)
{
    *figures = (bnf_dark_figures){.classes = classes, .scores = events->n};
    BNF_TRY(bnf_calloc((size_t)classes, sizeof(int64_t), "figures", &figures->events));
    BNF_TRY(bnf_calloc((size_t)(classes * events->n), sizeof(bnf_dark_figure), "figures", &figures->figure));
    count_events(events, figures);
    for (int32_t k = 1; figures->any && k < classes; k++)
        for (int i = 0; figures->events[k] > 0 && i < events->n; i++) {
            pair p = {0};
            bnf_status s = pair_open(events, k, events->score[i].value, &p);
            if (s == BNF_OK)
                s = measure(&p, tpr, width, &figures->figure[k * events->n + i]);
            for (int side = 0; side < 2; side++) {
                bnf_free(p.score[side]);
                bnf_free(p.hits[side]);
            }
            if (s != BNF_OK)
                return bnf_fail_context(s, "score '%s' of class '%s'", events->score[i].name, class_names[k]);
        }
    return BNF_OK;
}

void bnf_dark_figures_release(bnf_dark_figures *figures)
{
    bnf_free(figures->events);
    bnf_free(figures->figure);
    *figures = (bnf_dark_figures){0};
}
