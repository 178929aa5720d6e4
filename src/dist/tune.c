/* dist/tune.c - candidates, times, medians. */
#include "dist/tune.h"

#include "base/assert.h"

#include <string.h>

static void add(bnf_tuner *t, int progress, int cuts)
{
    BNF_ASSERT(t->n < BNF_TUNE_MAX);
    t->candidate[t->n++] = (bnf_choice){progress, cuts};
}

void bnf_tuner_begin(bnf_tuner *tuner, int progress, int cuts, int ranks, bnf_thread_level level)
{
    *tuner = (bnf_tuner){0};
    if (ranks == 1) {
        add(tuner, progress == BNF_TUNE_AUTO ? BNF_DIST_BLOCKING : progress, cuts == BNF_TUNE_AUTO ? 0 : cuts);
        return;
    }
    int first = cuts == BNF_TUNE_AUTO ? 0 : cuts, last = cuts == BNF_TUNE_AUTO ? BNF_TUNE_MAX_CUTS : cuts;
    for (int c = first; c <= last; c++)
        for (int p = BNF_DIST_BLOCKING; p <= BNF_DIST_THREAD; p++) {
            if (progress != BNF_TUNE_AUTO && p != progress)
                continue;
            if (p == BNF_DIST_BLOCKING && c != first) /* cuts help only what is sent meanwhile */
                continue;
            if (p == BNF_DIST_THREAD && progress == BNF_TUNE_AUTO && level < BNF_THREAD_SERIALIZED)
                continue;
            add(tuner, p, c);
        }
}

bnf_choice bnf_tuner_choice(const bnf_tuner *tuner)
{
    return tuner->candidate[tuner->now];
}

bool bnf_tuner_settled(const bnf_tuner *tuner)
{
    return tuner->n == 1 || tuner->tries < 0;
}

static double median(const double *x, int n)
{
    double sorted[BNF_TUNE_TRIES];
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > x[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = x[i];
    }
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void decide(bnf_tuner *t)
{
    double least = 0;
    for (int i = 0; i < t->n; i++) {
        t->median[i] = median(t->seconds[i] + 1, BNF_TUNE_TRIES - 1);
        least = i == 0 || t->median[i] < least ? t->median[i] : least;
    }
    t->now = 0;
    while (t->median[t->now] > 1.02 * least)
        t->now++;
}

bnf_status bnf_tuner_step(bnf_tuner *tuner, const bnf_comm *comm, double seconds, bool *changed)
{
    bnf_tuner *t = tuner;
    *changed = false;
    if (bnf_tuner_settled(t))
        return BNF_OK;
    t->seconds[t->now][t->tries++] = seconds;
    if (t->tries < BNF_TUNE_TRIES)
        return BNF_OK;
    t->tries = 0;
    *changed = true;
    if (++t->now < t->n)
        return BNF_OK;
    decide(t);
    t->tries = -1;
    BNF_TRY(bnf_comm_bcast(comm, 0, t->median, sizeof t->median));
    return bnf_comm_bcast(comm, 0, &t->now, sizeof t->now);
}
