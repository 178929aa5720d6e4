/* report/trace.h - spans of time per rank and thread, in the JSON that chrome://tracing and Perfetto read.
 *
 *     bnf_trace_begin("forward");
 *     ...
 *     bnf_trace_end();
 *
 * When no trace is open a span costs one load and one branch. When one is, every thread fills its own buffer
 * (allocated at the thread's first span) and takes a lock only when that is full. One trace per process at a time;
 * each rank writes its own file, and the viewer can load several into one picture, because the process id in it is
 * the rank. */
#ifndef BNF_REPORT_TRACE_H
#define BNF_REPORT_TRACE_H

#include <banff/base.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Read by the inline functions below; set by open and close only. */
extern atomic_bool bnf_trace_is_open;

/* Starts writing to `path` (replaced if it exists). Call it while no other thread is inside a span.
 * Errors: BNF_ERR_IO naming the file, BNF_ERR_ARG if a trace is already open. */
bnf_status bnf_trace_open(const char *path, int rank);

/* Writes what is left, completes the JSON and closes. No other thread may be inside a span. Without an open trace it
 * does nothing. Errors: BNF_ERR_IO if anything could not be written since open; BNF_ERR_MEMORY if memory was
 * missing for some spans (the rest is written). */
bnf_status bnf_trace_close(void);

/* Names this thread in the picture; a thread without a name is shown by its number. `name` must outlive the trace. */
void bnf_trace_name_thread(const char *name);

/* The slow halves: call the inline functions instead. */
void bnf_trace_record_begin(const char *name);
void bnf_trace_record_end(void);

/* Begins a span on this thread; spans nest. `name` must outlive the trace: a string literal. */
static inline void bnf_trace_begin(const char *name)
{
    if (atomic_load_explicit(&bnf_trace_is_open, memory_order_acquire))
        bnf_trace_record_begin(name);
}

/* Ends the innermost span of this thread. */
static inline void bnf_trace_end(void)
{
    if (atomic_load_explicit(&bnf_trace_is_open, memory_order_acquire))
        bnf_trace_record_end();
}

#endif
