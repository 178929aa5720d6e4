/* base/assert.h - what to do about a bug: say where, on which rank, and abort. Stays on in Release builds. */
#ifndef BNF_BASE_ASSERT_H
#define BNF_BASE_ASSERT_H

_Noreturn void bnf_assert_fail(const char *expr, const char *file, int line, const char *func);

/* Tells bnf_assert_fail (and the log) which rank this process is; -1 until known. */
void bnf_assert_set_rank(int rank);

/* The rank told last, -1 before. Thread-safe. */
int bnf_assert_rank(void);

#define BNF_ASSERT(expr) ((expr) ? (void)0 : bnf_assert_fail(#expr, __FILE__, __LINE__, __func__))

#endif
