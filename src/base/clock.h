/* base/clock.h - time. */
#ifndef BNF_BASE_CLOCK_H
#define BNF_BASE_CLOCK_H

#include <stdint.h>

/* Seconds since some fixed moment; never goes backward, not comparable between hosts. Thread-safe. */
double bnf_clock_seconds(void);

/* The same in nanoseconds, for traces. */
int64_t bnf_clock_nanoseconds(void);

/* Processor seconds of the calling thread: what it computed, not what it waited, also where threads share
 * processors. */
double bnf_clock_thread_seconds(void);

/* Seconds since 1970-01-01 UTC by the wall clock (which can be set, so do not measure with it). */
double bnf_clock_wall_seconds(void);

#define BNF_CLOCK_ISO_BYTES 28 /* "2026-01-31T12:34:56.789Z" and the final zero, with room for year 99999 */

/* Wall-clock time, or any given one, as ISO 8601 in UTC with milliseconds. text[BNF_CLOCK_ISO_BYTES]; returns
 * `text`. */
const char *bnf_clock_iso(char *text);
const char *bnf_clock_iso_at(double wall_seconds, char *text);

#endif
