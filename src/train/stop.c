/* train/stop.c - signals and limits that ask to stop after the step under way. */
#include "train/stop.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

#define SAME_MS 1000 /* signals of a kind that are closer count as one */

static const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
static volatile sig_atomic_t asked;
static struct sigaction before[3];
static _Atomic int64_t first[3]; /* when, of each kind; 0: not yet. Lock-free, so a handler may use it. */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* may be called in a handler; base/clock.h does not promise it */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + 1;
}

static void on_signal(int number)
{
    int i = number == SIGINT ? 0 : number == SIGTERM ? 1 : 2;
    asked = 1;
    if (first[i] == 0) {
        first[i] = now();
    } else if (now() - first[i] > SAME_MS) {
        signal(number, SIG_DFL);
        raise(number); /* delivered when this handler returns */
    }
}

void bnf_stop_install(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    asked = 0;
    for (size_t i = 0; i < 3; i++) {
        first[i] = 0;
        sigaction(signals[i], &a, &before[i]);
    }
}

void bnf_stop_restore(void)
{
    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], &before[i], NULL);
}

bnf_status bnf_stop_agreed(const bnf_comm *comm, bool limit, bnf_stop *stop)
{
    int64_t any = asked ? BNF_STOP_SIGNAL : limit ? BNF_STOP_LIMIT : BNF_STOP_NO;
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_MAX, &any, 1));
    *stop = (bnf_stop)any;
    return BNF_OK;
}

const char *bnf_stop_text(bnf_stop stop)
{
    return stop == BNF_STOP_SIGNAL ? "by a signal" : stop == BNF_STOP_LIMIT ? "for the time limit" : "at the end";
}
