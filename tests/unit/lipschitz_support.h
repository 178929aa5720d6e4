/* Networks of the recipe lipschitz with weights that are a function of their places. */
#ifndef TESTS_LIPSCHITZ_SUPPORT_H
#define TESTS_LIPSCHITZ_SUPPORT_H

#include <banff/graph.h>

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define OK(expr)                                            \
    do {                                                    \
        if ((expr) != BNF_OK)                               \
            fail_msg("%s: %s", #expr, bnf_error_message()); \
    } while (0)

/* In [-1, 1). */
static inline double noise(uint64_t i)
{
    i = (i + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 29) * 0x94d049bb133111ebu;
    return (double)((i ^ i >> 32) >> 11) * 0x1p-52 - 1;
}

/* Every parameter and state in [-size, size), variances in [0.3, 1.3). */
static inline void fill_params(bnf_params *params, double size)
{
    for (int p = 0; p < bnf_params_count(params); p++) {
        const bnf_param_info *info = bnf_params_info(params, p);
        float *w = bnf_params_value(params, p);
        const char *kind = strrchr(info->name, '.');
        for (int64_t i = 0; i < bnf_desc_count(&info->desc); i++) {
            double v = noise((uint64_t)(1000003 * (p + 1) + i));
            w[i] = (float)(strcmp(kind, ".var") == 0 ? 0.3 + fabs(v) : size * v);
        }
    }
    bnf_params_touch(params);
}

#endif
