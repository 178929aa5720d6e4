/* train/restart.h - whether a job that has ended is started again: the rules of `banff run`, without its processes. */
#ifndef BNF_TRAIN_RESTART_H
#define BNF_TRAIN_RESTART_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bnf_restart_rules {
    int64_t max_restarts;
    int64_t max_idle;  /* starts in a row that may end without a new checkpoint */
    int64_t min_ranks; /* go down to so many ranks if the command cannot be started with more; 0: never change them */
    bool through_signals; /* go on after code 75, too */
} bnf_restart_rules;

/* How one start ended. */
typedef struct bnf_restart_end {
    int code;         /* exit code; 128 + number for a signal */
    bool asked;       /* the supervisor was told to stop */
    bool began;       /* training has begun: the run's log was written to */
    bool moved;       /* the newest checkpoint is another one than before the start */
    int64_t restarts; /* so far */
    int64_t idle;     /* starts in a row without a new checkpoint, this one included */
    int64_t ranks;    /* asked for; 0: not known */
} bnf_restart_end;

typedef struct bnf_restart_verdict {
    bool again;
    int64_t ranks;   /* for the next start; 0: not known */
    const char *why; /* what the code means */
    const char *but; /* why not again; NULL if again */
} bnf_restart_verdict;

bnf_restart_verdict bnf_restart_decide(const bnf_restart_rules *rules, const bnf_restart_end *end);

/* Step of the newest checkpoint by the names in RUN-FOLDER/checkpoints; -1 if there is none. */
int64_t bnf_restart_newest(const char *run_folder);

#endif
