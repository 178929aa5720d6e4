/* dist/tune.h - which way for gradients to travel is fastest, found out in the first steps of a run. Results do not
 * depend on it, so the choice may differ from run to run. */
#ifndef BNF_DIST_TUNE_H
#define BNF_DIST_TUNE_H

#include <banff/dist.h>

enum {
    BNF_TUNE_AUTO = -1,
    BNF_TUNE_MAX_CUTS = 2,
    BNF_TUNE_TRIES = 4, /* steps of a candidate; the first is not counted */
    BNF_TUNE_MAX = 16
};

typedef struct bnf_choice {
    int progress; /* bnf_dist_progress */
    int cuts;
} bnf_choice;

typedef struct bnf_tuner {
    bnf_choice candidate[BNF_TUNE_MAX];
    int n, now, tries;
    double seconds[BNF_TUNE_MAX][BNF_TUNE_TRIES];
    double median[BNF_TUNE_MAX]; /* known when settled */
} bnf_tuner;

/* progress: a policy, or BNF_TUNE_AUTO for all that `level` allows; cuts: a number, or BNF_TUNE_AUTO. One rank alone
 * has nothing to send: it gets no cuts unless asked for. The first candidate is the one to begin with. */
void bnf_tuner_begin(bnf_tuner *tuner, int progress, int cuts, int ranks, bnf_thread_level level);

/* The candidate to use now; true once there is nothing more to try. */
bnf_choice bnf_tuner_choice(const bnf_tuner *tuner);
bool bnf_tuner_settled(const bnf_tuner *tuner);

/* Takes the time of a step that used the current choice. When every candidate has had its steps, rank 0 decides by
 * medians: the first of those that are within 2 % of the fastest, since earlier ones keep less in memory. [out]
 * changed: bnf_tuner_choice is another one now, on every rank. Collective. */
bnf_status bnf_tuner_step(bnf_tuner *tuner, const bnf_comm *comm, double seconds, bool *changed);

#endif
