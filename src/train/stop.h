/* train/stop.h - what ends a run early, after the step under way: SIGINT, SIGTERM and SIGUSR1, or a time limit. */
#ifndef BNF_TRAIN_STOP_H
#define BNF_TRAIN_STOP_H

#include <banff/comm.h>
#include <stdbool.h>

typedef enum bnf_stop { BNF_STOP_NO = 0, BNF_STOP_LIMIT, BNF_STOP_SIGNAL } bnf_stop;

/* Puts the handlers in place. A signal that was sent on two ways (to the ranks, and to a launcher that passes it on)
 * counts as one: only a second one of a kind that comes more than a second after the first ends the process at once, by
 * the signal. */
void bnf_stop_install(void);
void bnf_stop_restore(void);
/* [out] stop  why to stop: the strongest reason that any rank has. `limit`: this rank's time limit is near.
 * Collective. */
bnf_status bnf_stop_agreed(const bnf_comm *comm, bool limit, bnf_stop *stop);
/* "by a signal", "for the time limit" */
const char *bnf_stop_text(bnf_stop stop);

#endif
