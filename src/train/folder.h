/* train/folder.h - the files of a run folder that training writes. Rank 0 only; nothing is collective. */
#ifndef BNF_TRAIN_FOLDER_H
#define BNF_TRAIN_FOLDER_H

#include "ckpt/fence.h"
#include "report/events.h"
#include "report/metrics.h"
#include "report/progress.h"
#include "train/run.h"

#include <stdio.h>

typedef struct bnf_folder {
    const bnf_fence *fence; /* of the run's checkpoints, asked before every line; borrowed, NULL: none */
    bnf_metrics *metrics;
    bnf_events *events;
    FILE *log;
} bnf_folder;

/* FOLDER/name. [out] path owned. */
bnf_status bnf_folder_path(const bnf_job *job, const char *name, char **path);
/* Opens log.txt if the folder exists and it is not open: messages go there from now on. `folder` starts as zeros. */
bnf_status bnf_folder_open_log(const bnf_job *job, bnf_folder *folder);
/* Creates the folder, gives files of its own (copies) to a job that has followed another one, so that what the other
 * may still write goes nowhere; writes config.yaml, opens metrics, events and log for a run that goes on after `step`
 * (-1: a fresh one). */
bnf_status bnf_folder_open(const bnf_job *job, int64_t step, bnf_folder *folder);
/* Does the folder hold a run already? */
bool bnf_folder_used(const bnf_job *job);
/* Removes an earlier run's metrics, events and reports. */
bnf_status bnf_folder_clear(const bnf_job *job);
/* Begins a line of metrics, if this job still has the folder. Errors: BNF_ERR_FENCED. */
bnf_status bnf_folder_begin(bnf_folder *folder, const char *kind, int64_t step);
/* One scalar to both metrics (within a begun line) and events ("KIND/NAME"). */
bnf_status bnf_folder_scalar(bnf_folder *folder, const char *kind, const char *name, int64_t step, double value);
bnf_status bnf_folder_close(bnf_folder *folder);

#endif
