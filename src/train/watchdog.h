/* train/watchdog.h - ends a run in which nothing moves, and says which rank the others wait for.
 *
 * Each rank has two threads that never call MPI. One looks at the marks of the main thread (base/pulse.h): when they
 * have stood still for the limit, it ends this process, whatever hangs. It knows of the other ranks through the second
 * thread, which writes what this rank is at into a small file of the run folder twenty times per limit, and reads those
 * of the others once, when the limit has passed; if the file system does not answer, the first thread does not wait for
 * it. See docs/operations.md, "The watchdog". */
#ifndef BNF_TRAIN_WATCHDOG_H
#define BNF_TRAIN_WATCHDOG_H

#include <banff/comm.h>

#include "base/pulse.h"

typedef struct bnf_watchdog bnf_watchdog;

/* Tells the user and ends the process; does not return. Called by a thread of the watchdog while the others go on. */
typedef void (*bnf_watchdog_end)(const char *message) __attribute__((noreturn));

/* Starts to look after the calling thread. Collective. seconds: the limit. [out] dog owned; ends with
 * bnf_watchdog_stop. In tests, the environment's BNF_TEST_STALL=RANK:STEP:PHASE[:SECONDS] makes a rank stay in a phase
 * of a step (base/pulse.h), for ever without SECONDS. */
bnf_status bnf_watchdog_start(const bnf_comm *comm, double seconds, bnf_watchdog_end end, bnf_watchdog **dog);
/* From now on the ranks know of each other, by files in FOLDER/.watch, which is emptied first. Collective. */
bnf_status bnf_watchdog_share(bnf_watchdog *dog, const char *folder);
/* NULL is legal. Not collective; removes this rank's file. */
void bnf_watchdog_stop(bnf_watchdog *dog);

/* What is known of a rank when the limit has passed. */
typedef struct bnf_watch_rank {
    bool known;           /* its file could be read */
    bnf_pulse_record at;  /* count is not used */
    double still, silent; /* seconds since its last mark; since it last wrote its file */
    const char *host;
} bnf_watch_rank;

/* [out] text  one line that names who is late, or says that all wait for each other. ranks[n], me: an index in it. */
void bnf_watchdog_verdict(const bnf_watch_rank *ranks, int n, int me, double limit, char *text, size_t size);

#endif
