/* train/stop.c - signals that ask to stop after the step under way. */
#include "train/stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t asked;
static const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
static struct sigaction before[3];

static void on_signal(int number)
{
    (void)number;
    asked = 1;
}

void bnf_stop_install(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    sigemptyset(&a.sa_mask);
    asked = 0;
    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], &a, &before[i]);
}

void bnf_stop_restore(void)
{
    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], &before[i], NULL);
}

bnf_status bnf_stop_agreed(const bnf_comm *comm, bool *stop)
{
    int64_t any = asked;
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_MAX, &any, 1));
    *stop = any != 0;
    return BNF_OK;
}
