/* train/stop.h - SIGINT, SIGTERM and SIGUSR1 ask to stop after the step under way. */
#ifndef BNF_TRAIN_STOP_H
#define BNF_TRAIN_STOP_H

#include <banff/comm.h>
#include <stdbool.h>

/* Puts the handlers in place; a second signal of a kind ends the process at once. */
void bnf_stop_install(void);
void bnf_stop_restore(void);
/* [out] stop  whether any rank was asked to. Collective. */
bnf_status bnf_stop_agreed(const bnf_comm *comm, bool *stop);

#endif
