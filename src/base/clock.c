/* Time. */
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

int64_t bnf_clock_nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double bnf_clock_seconds(void)
{
    return (double)bnf_clock_nanoseconds() * 1e-9;
}

double bnf_clock_thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bnf_clock_wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

const char *bnf_clock_iso_at(double wall_seconds, char *text)
{
    /* Cut to milliseconds first, so that 59.9996 s does not print as 60.000. */
    const double whole = floor(wall_seconds);
    const int cut = (int)((wall_seconds - whole) * 1000.0);
    const unsigned milli = cut < 0 ? 0 : cut > 999 ? 999 : (unsigned)cut;
    const time_t seconds = (time_t)whole;
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL || utc.tm_year > 99999 - 1900) {
        snprintf(text, BNF_CLOCK_ISO_BYTES, "time out of range");
        return text;
    }
    char date[BNF_CLOCK_ISO_BYTES];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, BNF_CLOCK_ISO_BYTES, "%.20s.%03uZ", date, milli);
    return text;
}

const char *bnf_clock_iso(char *text)
{
    return bnf_clock_iso_at(bnf_clock_wall_seconds(), text);
}
