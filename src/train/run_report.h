/* train/run_report.h - the HTML report of a run. */
#ifndef BNF_TRAIN_RUN_REPORT_H
#define BNF_TRAIN_RUN_REPORT_H

#include "train/run.h"

/* Writes FOLDER/report.html: key facts, curves, throughput, the recipe's sections, the resolved configuration.
 * Collective. [out] path owned (on every rank). Errors: BNF_ERR_IO, BNF_ERR_FORMAT naming the file. */
bnf_status bnf_run_report(bnf_run *run, char **path);

#endif
