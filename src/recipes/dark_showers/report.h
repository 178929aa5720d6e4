/* recipes/dark_showers/report.h - scores of events as sections of the report. */
#ifndef BNF_RECIPES_DARK_SHOWERS_REPORT_H
#define BNF_RECIPES_DARK_SHOWERS_REPORT_H

#include "recipes/dark_showers/figures.h"

/* What RUN/scores.h5 holds (score_write.c). */
typedef struct bnf_dark_file {
    bnf_dark_events events;
    bnf_dark_figures figures;
    double tpr, width;
    int64_t classes;
    char *part;
    char **class_names; /* [classes] */
    int64_t shown;      /* events that are shown, in */
    int64_t *event;     /* [shown] */
    int64_t h, w;       /* of an image */
    float *seen, *made; /* [shown, images, h, w] */
} bnf_dark_file;

/* See bnf_recipe.report: nothing without scores of the run's weights. */
bnf_status bnf_dark_report(bnf_run *run, bnf_html *html);

/* report_plots.c: ROC curves, histograms, displays of events. */
bnf_status bnf_dark_report_roc(const bnf_dark_file *file, bnf_html *html);
bnf_status bnf_dark_report_histograms(const bnf_dark_file *file, bnf_html *html);
bnf_status bnf_dark_report_events(const bnf_dark_file *file, bnf_html *html);

#endif
