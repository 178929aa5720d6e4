/* base/pulse.c - marks of the main thread. */
#include "base/pulse.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

const char *const bnf_phase_names[BNF_PHASE_COUNT + 1] = {"start",  "load",     "compute",    "reduce", "update",
                                                          "spread", "evaluate", "checkpoint", "end",    NULL};

static _Thread_local bool marks;      /* this is the thread */
static _Atomic uint64_t state, count; /* state: step, 8 bits of phase, 8 bits of waits; written by that thread alone */
static struct {
    bool set;
    uint64_t state;
    double seconds;
} stall;

static uint64_t pack(bnf_phase phase, int64_t step)
{
    return (uint64_t)step << 16 | (uint64_t)phase << 8;
}

void bnf_pulse_begin(void)
{
    marks = true;
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
    if (marks)
        set(pack(phase, step));
}

void bnf_pulse_phase(bnf_phase phase)
{
    if (marks)
        set(pack(phase, (int64_t)(atomic_load_explicit(&state, memory_order_relaxed) >> 16)));
}

void bnf_pulse_wait(bool waits)
{
    if (marks)
        set((atomic_load_explicit(&state, memory_order_relaxed) & ~UINT64_C(255)) | (waits ? 1 : 0));
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
