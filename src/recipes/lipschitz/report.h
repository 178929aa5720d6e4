/* recipes/lipschitz/report.h - the recipe's sections of the HTML report. */
#ifndef BNF_RECIPES_LIPSCHITZ_REPORT_H
#define BNF_RECIPES_LIPSCHITZ_REPORT_H

#include "report/html.h"
#include "train/run.h"

/* Certificates of the test part (without one, of the training part), the attack of FOLDER/attack.json if it was on
 * these weights, and explanations of a few samples. The recipe's `report`: collective; html is NULL on all ranks but
 * 0. */
bnf_status bnf_lipschitz_report(bnf_run *run, bnf_html *html);

#endif
