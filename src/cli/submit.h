/* cli/submit.h - the job script of a training run under SLURM, as text. */
#ifndef BNF_CLI_SUBMIT_H
#define BNF_CLI_SUBMIT_H

#include "base/str.h"
#include "cli/args.h"

/* What a script is written from. Strings are borrowed; paths are absolute unless said otherwise. */
typedef struct bnf_submit {
    const char *program, *config; /* the banff to run; the configuration file */
    const char *folder;           /* of the run, or of the sweep; as configured, relative to `workdir` */
    const char *workdir;
    const char *name, *time, *partition; /* partition NULL: the cluster's default */
    int64_t nodes, ranks, threads;       /* ranks per node, threads per rank */
    int64_t save_before;                 /* seconds before the time limit */
    int64_t tasks, at_once;              /* of a sweep; tasks 0: no sweep; at_once 0: as many as there is room for */
    const char *task_file;               /* one line per task */
    const bnf_arg_list *set, *option;    /* for banff train; for sbatch, with their dashes */
} bnf_submit;

/* Seconds of a time limit as sbatch reads it: minutes, m:s, h:m:s, d-h, d-h:m or d-h:m:s. Errors: BNF_ERR_CONFIG. */
bnf_status bnf_submit_seconds(const char *text, int64_t *seconds);

/* Appends the script that trains (tasks 0: one run; else one task of a sweep). It holds all that it needs, jobs/lib.sh
 * too, so that a job in the queue does not change with the sources. Errors: BNF_ERR_CONFIG for a text that cannot
 * stand in a line of sbatch's options. */
bnf_status bnf_submit_script(const bnf_submit *submit, bnf_buf *text);

/* Appends the script that collects a sweep's results. */
bnf_status bnf_submit_collect_script(const bnf_submit *submit, bnf_buf *text);

#endif
