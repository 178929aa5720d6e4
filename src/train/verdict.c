/* train/verdict.c - who is late, from what is known of all ranks. */
#include "train/watchdog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_NAMED 4

typedef struct line {
    char *text;
    size_t size, used;
} line;

static void put(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->used, l->size - l->used, format, args);
    va_end(args);
    if (n > 0)
        l->used = l->used + (size_t)n < l->size ? l->used + (size_t)n : l->size - 1;
}

typedef enum standing { WAITS, STUCK, SILENT } standing;

static standing standing_of(const bnf_watch_rank *r, double limit)
{
    if (!r->known || r->silent > limit / 2)
        return SILENT;
    return r->at.waits ? WAITS : STUCK;
}

static void put_place(line *l, const bnf_pulse_record *at)
{
    put(l, "step %lld, phase %s", (long long)at->step, bnf_phase_names[at->phase]);
}

static void put_rank(line *l, const bnf_watch_rank *ranks, int r)
{
    put(l, "rank %d on host %s", r, ranks[r].host);
}

/* A silent rank cannot be behind by more than what the others could still do without it: its place is where they are,
 * if its file is older. */
static bnf_pulse_record place_of_silent(const bnf_watch_rank *r, const bnf_watch_rank *other)
{
    return other && (!r->known || other->at.step > r->at.step) ? other->at : r->at;
}

/* Of the ranks of this standing, the one that has come least far; -1 if there is none. */
static int hindmost(const bnf_watch_rank *ranks, int n, double limit, standing kind)
{
    int at = -1;
    for (int r = 0; r < n; r++) {
        if (standing_of(&ranks[r], limit) != kind)
            continue;
        if (at < 0 || ranks[r].at.step < ranks[at].at.step ||
            (ranks[r].at.step == ranks[at].at.step && ranks[r].still > ranks[at].still))
            at = r;
    }
    return at;
}

static void put_late(line *l, const bnf_watch_rank *ranks, int n, double limit, standing kind)
{
    int named = 0, more = 0, other = hindmost(ranks, n, limit, WAITS);
    if (other < 0)
        other = hindmost(ranks, n, limit, STUCK);
    for (int r = 0; r < n; r++) {
        if (standing_of(&ranks[r], limit) != kind)
            continue;
        if (named == MAX_NAMED) {
            more++;
            continue;
        }
        put(l, "%s", named++ ? ", " : "");
        put_rank(l, ranks, r);
        put(l, " is late: ");
        bnf_pulse_record at =
            kind == STUCK ? ranks[r].at : place_of_silent(&ranks[r], other >= 0 ? &ranks[other] : NULL);
        put_place(l, &at);
        if (kind == STUCK)
            put(l, ", for %.1f s", ranks[r].still);
        else if (ranks[r].known)
            put(l, ", no sign of life for %.1f s", ranks[r].silent);
        else
            put(l, ", no sign of life since the start");
    }
    if (more)
        put(l, " and %d more", more);
}

void bnf_watchdog_verdict(const bnf_watch_rank *ranks, int n, int me, double limit, char *text, size_t size)
{
    line l = {.text = text, .size = size};
    int count[3] = {0};
    text[0] = '\0';
    for (int r = 0; r < n; r++)
        count[standing_of(&ranks[r], limit)]++;
    int waiting = hindmost(ranks, n, limit, WAITS);
    standing kind = count[SILENT] ? SILENT : STUCK;
    if (n > 1 && count[SILENT] == n - 1 && standing_of(&ranks[me], limit) == WAITS) {
        put(&l, "none of the others gave a sign of life: ");
        put_rank(&l, ranks, me);
        put(&l, " is cut off, or they are late; ");
    }
    if (count[SILENT] || count[STUCK]) {
        put_late(&l, ranks, n, limit, kind);
    } else {
        put(&l, "all %d ranks wait for each other, so messages are lost or MPI hangs; behind the others: ", n);
        put_rank(&l, ranks, waiting);
        put(&l, ", ");
        put_place(&l, &ranks[waiting].at);
        put(&l, ", for %.1f s", ranks[waiting].still);
    }
    if (count[WAITS] && count[WAITS] < n) {
        put(&l, "; %d other%s wait%s (", count[WAITS], count[WAITS] > 1 ? "s" : "", count[WAITS] > 1 ? "" : "s");
        put_place(&l, &ranks[waiting].at);
        put(&l, ")");
    }
    put(&l, "; run.watchdog allows %g s", limit);
}
