/* recipes/lipschitz/report_metrics.h - the metrics of explanations as a section of the report. */
#ifndef BNF_RECIPES_LIPSCHITZ_REPORT_METRICS_H
#define BNF_RECIPES_LIPSCHITZ_REPORT_METRICS_H

#include "report/html.h"
#include "train/run.h"

/* What FOLDER/explain/metrics.json of the run and of run->twin says, where it is about these weights; nothing if this
 * run has none. Not collective. Errors: BNF_ERR_IO, BNF_ERR_FORMAT for a file that is no such object. */
bnf_status bnf_lipschitz_report_metrics(const bnf_run *run, bnf_html *html);

#endif
