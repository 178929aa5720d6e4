/* base/spans.h - what threads were at, and when: spans of time in arrays that are booked beforehand.
 *
 *     int64_t begin = bnf_spans_now(spans);
 *     ...
 *     bnf_spans_end(spans, lane, BNF_SPAN_OP, node, leaf, begin);
 *
 * Every thread has a lane of its own, to which only it adds, so nothing is locked and nothing allocated. A lane that is
 * full drops what comes and counts it. Without a recorder (NULL), or while it is off, a span costs a branch or two. */
#ifndef BNF_BASE_SPANS_H
#define BNF_BASE_SPANS_H

#include "base/clock.h"

#include <banff/base.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The first two are many; all others are a few per step. */
typedef enum bnf_span_kind {
    BNF_SPAN_OP = 0,     /* id: node of the plan; leaf, or -1 */
    BNF_SPAN_ADD,        /* gradients or batch sums over leaves; id: slot of the segment, -1: between threads */
    BNF_SPAN_PACK,       /* weights into kernels' layouts, or gradients out of them; id: segment */
    BNF_SPAN_SUM,        /* a segment's batch sums over ranks; id: segment */
    BNF_SPAN_MESSAGES,   /* gradients handed over for sending, new weights received; id: segment */
    BNF_SPAN_BARRIER,    /* waking and waiting for other threads; id: segment */
    BNF_SPAN_WAIT,       /* waiting for other ranks */
    BNF_SPAN_STEP,       /* id: step; from here on: phases of the main thread (base/pulse.h) */
    BNF_SPAN_LOAD,       /* waiting for a batch */
    BNF_SPAN_COMPUTE,    /* the plan's run */
    BNF_SPAN_REDUCE,     /* gradients from other ranks, and what owners make of them */
    BNF_SPAN_UPDATE,     /* optimiser and reparametrisations */
    BNF_SPAN_SPREAD,     /* new weights to other ranks */
    BNF_SPAN_EVALUATE,   /* on the test part */
    BNF_SPAN_CHECKPOINT, /* copying, and waiting for the one before */
    BNF_SPAN_BETWEEN,    /* progress, metrics, agreement to go on */
    BNF_SPAN_READ,       /* the loader's thread: reading, decoding, augmenting; id: step */
    BNF_SPAN_WRITE,      /* the saver's thread: a checkpoint */
    BNF_SPAN_KINDS
} bnf_span_kind;

typedef struct bnf_span {
    int64_t begin, end; /* bnf_clock_nanoseconds */
    int32_t kind, id, leaf, unused;
} bnf_span;

typedef struct bnf_spans_lane {
    bnf_span *span;
    _Alignas(64) _Atomic int64_t count; /* written by the lane's thread alone */
    _Atomic int64_t dropped;
} bnf_spans_lane;

typedef struct bnf_spans {
    atomic_bool on;
    int lanes;
    int64_t room, spare; /* of each lane; the last `spare` are not for ops and additions */
    bnf_spans_lane *lane;
} bnf_spans;

/* A recorder with so many lanes, off and without room. [out] spans owned. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_spans_create(int lanes, bnf_spans **spans);
/* Nobody may record any more. NULL is legal. */
void bnf_spans_destroy(bnf_spans *spans);
/* Books room and spare more spans in every lane, once, while it is off. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_spans_book(bnf_spans *spans, int64_t room, int64_t spare);
void bnf_spans_switch(bnf_spans *spans, bool on);
/* The slow half of bnf_spans_end, which reads no clock. Spans that nest are added inner first, so that a lane is in the
 * order of ends. */
void bnf_spans_add(bnf_spans *spans, int lane, bnf_span_kind kind, int64_t id, int64_t leaf, int64_t begin,
                   int64_t end);
/* What a lane holds, also while its thread adds; the first n stay as they are. Borrowed. */
const bnf_span *bnf_spans_get(const bnf_spans *spans, int lane, int64_t *n);
/* Over all lanes. */
int64_t bnf_spans_dropped(const bnf_spans *spans);

/* Time of the beginning of a span; 0: nothing is recorded. */
static inline int64_t bnf_spans_now(bnf_spans *spans)
{
    return spans && atomic_load_explicit(&spans->on, memory_order_relaxed) ? bnf_clock_nanoseconds() : 0;
}

/* Ends a span that began at `begin`, a result of bnf_spans_now. */
static inline void bnf_spans_end(bnf_spans *spans, int lane, bnf_span_kind kind, int64_t id, int64_t leaf,
                                 int64_t begin)
{
    if (begin != 0)
        bnf_spans_add(spans, lane, kind, id, leaf, begin, bnf_clock_nanoseconds());
}

#endif
