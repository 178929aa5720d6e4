/* base/pulse.c - marks of the main thread. */
#include "base/pulse.h"

#include "base/clock.h"
#include "base/spans.h"

#include <stdatomic.h>
#include <time.h>

const char *const bnf_phase_names[BNF_PHASE_COUNT + 1] = {"start",  "load",     "compute",    "reduce", "update",
                                                          "spread", "evaluate", "checkpoint", "end",    NULL};

static _Thread_local bool marks;      /* this is the thread */
static _Thread_local int waiting;     /* calls that wait for others, one within another */
static _Atomic uint64_t state, count; /* state: step, 8 bits of phase, 8 bits of waits; written by that thread alone */
static struct {
    bool set;
    uint64_t state;
    double seconds;
} stall;

/* Marks as spans: what is under way on this thread. */
static _Thread_local struct {
    bnf_spans *spans;
    int lane;
    int64_t step, step_begin; /* -1: none yet */
    bnf_phase phase;
    int64_t phase_begin, wait_begin;
    int waits; /* as `waiting`, since the trail began */
} trail;

static bnf_span_kind kind_of(bnf_phase phase)
{
    static const bnf_span_kind kinds[BNF_PHASE_COUNT] = {BNF_SPAN_BETWEEN,  BNF_SPAN_LOAD,       BNF_SPAN_COMPUTE,
                                                         BNF_SPAN_REDUCE,   BNF_SPAN_UPDATE,     BNF_SPAN_SPREAD,
                                                         BNF_SPAN_EVALUATE, BNF_SPAN_CHECKPOINT, BNF_SPAN_BETWEEN};
    return kinds[phase];
}

/* The phase under way ends, and with it the step if there is none to follow or LOAD begins another. */
static void turn(bool more, bnf_phase phase, int64_t step)
{
    int64_t now = bnf_clock_nanoseconds();
    bool next = !more || phase == BNF_PHASE_LOAD;
    if (trail.step >= 0)
        bnf_spans_add(trail.spans, trail.lane, kind_of(trail.phase), trail.step, -1, trail.phase_begin, now);
    if (trail.step >= 0 && next)
        bnf_spans_add(trail.spans, trail.lane, BNF_SPAN_STEP, trail.step, -1, trail.step_begin, now);
    if (next)
        trail.step_begin = now;
    if (next && more)
        trail.step = step;
    trail.phase = phase;
    trail.phase_begin = now;
}

void bnf_pulse_spans(bnf_spans *spans, int lane)
{
    if (trail.spans)
        turn(false, BNF_PHASE_END, 0);
    trail.spans = spans;
    trail.lane = lane;
    trail.step = -1;
    trail.waits = 0;
}

static void count_wait(bool waits)
{
    if (waits && trail.waits++ == 0)
        trail.wait_begin = bnf_clock_nanoseconds();
    else if (!waits && trail.waits > 0 && --trail.waits == 0)
        bnf_spans_add(trail.spans, trail.lane, BNF_SPAN_WAIT, -1, -1, trail.wait_begin, bnf_clock_nanoseconds());
}

static uint64_t pack(bnf_phase phase, int64_t step)
{
    return (uint64_t)step << 16 | (uint64_t)phase << 8;
}

void bnf_pulse_begin(void)
{
    marks = true;
    waiting = 0;
    atomic_store_explicit(&state, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
}

/* The phase under way lasts. */
static void stay(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    stall.set = false;
    for (double until = bnf_clock_seconds() + stall.seconds; bnf_clock_seconds() < until;)
        nanosleep(&pause, NULL);
}

static void set(uint64_t value)
{
    atomic_store_explicit(&state, value, memory_order_relaxed);
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    if (stall.set && value == stall.state)
        stay();
}

void bnf_pulse(bnf_phase phase, int64_t step)
{
    if (trail.spans)
        turn(true, phase, step);
    if (marks)
        set(pack(phase, step));
}

void bnf_pulse_phase(bnf_phase phase)
{
    if (trail.spans)
        turn(true, phase, trail.step);
    if (marks)
        set(pack(phase, (int64_t)(atomic_load_explicit(&state, memory_order_relaxed) >> 16)));
}

void bnf_pulse_wait(bool waits)
{
    if (trail.spans)
        count_wait(waits);
    waiting += waits ? 1 : waiting > 0 ? -1 : 0;
    if (marks)
        set((atomic_load_explicit(&state, memory_order_relaxed) & ~UINT64_C(255)) | (waiting > 0 ? 1 : 0));
}

void bnf_pulse_read(bnf_pulse_record *record)
{
    record->count = atomic_load_explicit(&count, memory_order_relaxed);
    uint64_t s = atomic_load_explicit(&state, memory_order_relaxed);
    record->step = (int64_t)(s >> 16);
    record->phase = (bnf_phase)(s >> 8 & 255);
    record->waits = (s & 255) != 0;
}

void bnf_pulse_stall(bnf_phase phase, int64_t step, double seconds)
{
    stall.set = true;
    stall.state = pack(phase, step);
    stall.seconds = seconds;
}
