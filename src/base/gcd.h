/* base/gcd.h - the greatest common divisor. */
#ifndef BNF_BASE_GCD_H
#define BNF_BASE_GCD_H

#include <stdint.h>

/* Of numbers >= 0, not both 0. */
static inline int64_t bnf_gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

#endif
