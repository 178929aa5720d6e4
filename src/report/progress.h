/* report/progress.h - a progress line for a person at a terminal, and quiet plain lines for a log.
 *
 * On a terminal one line is redrawn in place, at most ten times a second. Anywhere else a whole line is printed at
 * the end of every epoch and at most every `plain_seconds` between. Time is handed in, never read, so the output is
 * a function of the calls. Use it on one rank; not thread-safe. */
#ifndef BNF_REPORT_PROGRESS_H
#define BNF_REPORT_PROGRESS_H

#include <banff/base.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct bnf_progress bnf_progress;

typedef enum bnf_progress_mode {
    BNF_PROGRESS_AUTO = 0, /* bar if `out` is a terminal, else plain */
    BNF_PROGRESS_BAR,
    BNF_PROGRESS_PLAIN,
    BNF_PROGRESS_OFF
} bnf_progress_mode;

typedef struct bnf_progress_options {
    FILE *out; /* borrowed; the caller does not close it before bnf_progress_destroy */
    bnf_progress_mode mode;
    int64_t epochs;
    int64_t steps_per_epoch;
    int64_t first_step;       /* steps done before this process started (resume) */
    int64_t samples_per_step; /* global batch */
    double plain_seconds;     /* plain mode: seconds between lines; 0: only at the ends of epochs */
    int width;                /* columns; 0: ask the terminal, 80 if it does not know */
} bnf_progress_options;

/* What is shown. A value that is NaN is left out. */
typedef struct bnf_progress_state {
    int64_t step;    /* steps done since the start of training */
    double loss;     /* of the epoch so far, or a moving mean: the caller decides */
    double accuracy; /* in [0, 1], shown in percent */
    double lr;
    double seconds; /* a monotonic clock at this moment */
} bnf_progress_state;

/* [out] progress owned. `options` is copied. `seconds`: the monotonic clock now. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_progress_create(const bnf_progress_options *options, double seconds, bnf_progress **progress);

/* Tells that `state->step` steps are done; draws if it is time. Call it after every step. The rate shown is a moving
 * mean over about the last ten seconds. Never fails: what cannot be printed is dropped. */
void bnf_progress_update(bnf_progress *progress, const bnf_progress_state *state);

/* Prints a line of text above the bar (or as a line of its own). */
void bnf_progress_note(bnf_progress *progress, const char *text);

/* Ends the bar's line, so that what follows begins on a fresh one. */
void bnf_progress_finish(bnf_progress *progress);

/* Samples per second as last shown, 0 before there is any. */
double bnf_progress_rate(const bnf_progress *progress);

void bnf_progress_destroy(bnf_progress *progress); /* finishes first; NULL is legal */

/* Writes a duration in at most 8 characters: "42s", "3m07s", "2h05m", "4d03h"; "--" if it is not finite or negative. */
void bnf_duration_format(double seconds, size_t capacity, char *text);

#endif
