/* base/pulse.h - what the main thread of this process is at: marks that cost nothing, for a watchdog to look at.
 *
 * One thread marks (bnf_pulse_begin); what other threads mark is ignored. Any thread may read. */
#ifndef BNF_BASE_PULSE_H
#define BNF_BASE_PULSE_H

#include <stdbool.h>
#include <stdint.h>

/* Parts of a training step in their order, and what may come between steps. */
typedef enum bnf_phase {
    BNF_PHASE_START = 0,
    BNF_PHASE_LOAD,
    BNF_PHASE_COMPUTE,
    BNF_PHASE_REDUCE,
    BNF_PHASE_UPDATE,
    BNF_PHASE_SPREAD,
    BNF_PHASE_EVALUATE,
    BNF_PHASE_CHECKPOINT,
    BNF_PHASE_END,
    BNF_PHASE_COUNT
} bnf_phase;

/* "start", "load", ..., "end"; NULL-terminated. */
extern const char *const bnf_phase_names[BNF_PHASE_COUNT + 1];

typedef struct bnf_pulse_record {
    int64_t step;
    bnf_phase phase;
    bool waits;     /* in a call that waits for other ranks */
    uint64_t count; /* of marks so far: while it stands still, so does the thread */
} bnf_pulse_record;

/* The calling thread is the one whose marks count, from now on; the record starts anew. */
void bnf_pulse_begin(void);
/* A phase of a step begins; of the step that was marked last. */
void bnf_pulse(bnf_phase phase, int64_t step);
void bnf_pulse_phase(bnf_phase phase);
/* Before and after a call that waits for other ranks; such calls may be made of others. */
void bnf_pulse_wait(bool waits);

void bnf_pulse_read(bnf_pulse_record *record);

/* What the calling thread marks from now on, watchdog or not, becomes spans in the lane: steps (from one LOAD to the
 * next), their phases, and waiting for other ranks. NULL: no more; ends the spans under way. */
struct bnf_spans;
void bnf_pulse_spans(struct bnf_spans *spans, int lane);

/* For tests: when this phase of this step is marked, the thread stays there so long (INFINITY: for ever), once. */
void bnf_pulse_stall(bnf_phase phase, int64_t step, double seconds);

#endif
