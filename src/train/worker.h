/* train/worker.h - one thread that does one thing at a time when it is asked. */
#ifndef BNF_TRAIN_WORKER_H
#define BNF_TRAIN_WORKER_H

#include <banff/base.h>
#include <stdbool.h>

typedef struct bnf_worker bnf_worker;
typedef bnf_status (*bnf_work)(void *self);

/* thread: false: asking does the work at once, in the caller. [out] worker owned. */
bnf_status bnf_worker_create(bool thread, bnf_worker **worker);
/* Waits for what is under way and ends the thread; its result is forgotten. NULL is legal. */
void bnf_worker_destroy(bnf_worker *worker);

/* Starts work(self); nothing may be under way, and the last result must have been taken. */
void bnf_worker_ask(bnf_worker *worker, bnf_work work, void *self);
/* Is nothing under way? (A result may have to be taken.) */
bool bnf_worker_idle(bnf_worker *worker);
/* From now on the thread, if there is one, tells a recorder (base/spans.h) when it works. Nothing may be under way. */
struct bnf_spans;
void bnf_worker_record(bnf_worker *worker, struct bnf_spans *spans, int lane);
/* Waits, and returns the status of what was asked last, with its message, once; then BNF_OK. */
bnf_status bnf_worker_result(bnf_worker *worker);

#endif
