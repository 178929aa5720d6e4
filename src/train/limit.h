/* train/limit.h - a run's time limit: when to stop so that the checkpoint is written in time. */
#ifndef BNF_TRAIN_LIMIT_H
#define BNF_TRAIN_LIMIT_H

#include <banff/base.h>
#include <stdbool.h>

/* A length of time: seconds ("90", "7.5s"), "15m", "2h", "3d", or as SLURM writes it: "minutes:seconds",
 * "hours:minutes:seconds", "days-hours", "days-hours:minutes", "days-hours:minutes:seconds". (A bare number is
 * seconds, where SLURM takes minutes.) Errors: BNF_ERR_CONFIG. */
bnf_status bnf_duration_parse(const char *text, double *seconds);

/* Times are those of bnf_clock_seconds. */
typedef struct bnf_limit {
    double end;        /* when everything must be over; INFINITY: never */
    double look;       /* when the loop last looked */
    double step, save; /* the longest so far: between two looks; of a checkpoint, in the background or not */
    bool measured;     /* a checkpoint was written; until then `save` is a guess */
    bool slurm;        /* it is SLURM's end */
} bnf_limit;

/* Whether a setting is one: "auto" (the end of SLURM's job, if under SLURM), "none", or a duration (counted from now;
 * SLURM's end counts where it is earlier). Errors: BNF_ERR_CONFIG. */
bnf_status bnf_limit_check(const char *setting);

/* Starts the clock. Rank 0 only: what it finds due, the others learn by bnf_stop_agreed. Under SLURM, the job's end is
 * SLURM_JOB_END_TIME or, where that is not set, asked once of `squeue`; a limit that is changed later is not seen. */
bnf_status bnf_limit_start(bnf_limit *limit, const char *setting);
/* The loop begins, after the preparations. bytes: of a checkpoint; a guess of its time until one was written. */
void bnf_limit_loop(bnf_limit *limit, double now, int64_t bytes);
/* A checkpoint took so long. */
void bnf_limit_saved(bnf_limit *limit, double seconds);
/* After a step: is it time? That is, would one more step as long as the longest yet, and then a checkpoint in three
 * times the time of the longest yet (one may be under way), not be over at the end? */
bool bnf_limit_due(bnf_limit *limit, double now);

/* Seconds until SLURM ends this job; INFINITY without SLURM, without a limit or when it cannot be known. Takes at most
 * 5 s. */
double bnf_limit_slurm(void);

#endif
