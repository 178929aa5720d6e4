/* op/close.h - assertion about doubles for list->check. Include cmocka.h before. */
#ifndef BNF_TESTS_OP_CLOSE_H
#define BNF_TESTS_OP_CLOSE_H

#include <math.h>

/* Fails unless |got - want| <= allowed; NaN fails. Names the line of the caller. */
#define assert_close(got, want, allowed) bnf_assert_close((got), (want), (allowed), __FILE__, __LINE__)

static inline void bnf_assert_close(double got, double want, double allowed, const char *file, int line)
{
    if (fabs(got - want) <= allowed)
        return;
    print_error("%.17g is not %.17g within %.3g\n", got, want, allowed);
    _fail(file, line);
}

#endif
