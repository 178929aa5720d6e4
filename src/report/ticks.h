/* report/ticks.h - round numbers for the axis of a chart. */
#ifndef BNF_REPORT_TICKS_H
#define BNF_REPORT_TICKS_H

#include <banff/base.h>
#include <stdbool.h>

#define BNF_TICKS_MAX 24
#define BNF_TICK_TEXT 24

typedef struct bnf_ticks {
    double min, max; /* range of the axis, at or beyond the data */
    int count;
    double at[BNF_TICKS_MAX];
    char text[BNF_TICKS_MAX]
             [BNF_TICK_TEXT]; /* all with the same number of decimals; thousands as "10k", percent as "85%" */
} bnf_ticks;

/* Linear axis: multiples of 1, 2 or 5 times a power of ten, about `wanted` of them (at most twice as many), covering
 * [low, high] with min and max on ticks. low == high is widened. Both must be finite. `percent` multiplies the text by
 * 100. */
bnf_ticks bnf_ticks_linear(double low, double high, int wanted, bool percent);

/* The same, but the axis ends at low and high exactly and only ticks inside are given: for axes of time. */
bnf_ticks bnf_ticks_inside(double low, double high, int wanted, bool percent);

/* Logarithmic axis: powers of ten, with 2 and 5 times them where the range is short. 0 < low <= high. */
bnf_ticks bnf_ticks_log(double low, double high);

/* A number for a person: at most `digits` significant ones, no trailing zeros, an exponent below 1e-4 and from 1e15 on.
 * */
void bnf_number_format(double value, int digits, size_t capacity, char *text);

#endif
