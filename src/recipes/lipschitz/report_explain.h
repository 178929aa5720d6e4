/* recipes/lipschitz/report_explain.h - attribution maps and counterfactuals as sections of the report. */
#ifndef BNF_RECIPES_LIPSCHITZ_REPORT_EXPLAIN_H
#define BNF_RECIPES_LIPSCHITZ_REPORT_EXPLAIN_H

#include "recipes/lipschitz/certify.h"
#include "report/html.h"

/* A few samples of c: maps of all methods, and counterfactuals; with run->twin the same of that network. Not
 * collective. */
bnf_status bnf_lipschitz_report_explanations(bnf_run *run, const bnf_lipschitz_certificate *c, bnf_html *html);

#endif
