/* la/vec.h - sums and updates of vectors in a summation order that is fixed by the length alone.
 *
 * `t` is BNF_F32 or BNF_F64. Sums accumulate in f64 over 16 interleaved lanes that are added pairwise at the end.
 * Local, never fail, allocate nothing. No scaling against overflow: a f64 vector's squares must be representable. */
#ifndef BNF_LA_VEC_H
#define BNF_LA_VEC_H

#include <banff/base.h>
#include <stdbool.h>

/* Sum of x[i] y[i]. */
double bnf_la_dot(bnf_dtype t, int64_t n, const void *x, const void *y);

/* Euclidean norm. */
double bnf_la_nrm2(bnf_dtype t, int64_t n, const void *x);

/* Euclidean norm of x - y. */
double bnf_la_dist2(bnf_dtype t, int64_t n, const void *x, const void *y);

/* y = a x + b y; y is not read when b is 0. y may be x. */
void bnf_la_axpby(bnf_dtype t, int64_t n, double a, const void *x, double b, void *y);

/* Copies with a change of type (f32 to f64 is exact). */
void bnf_la_convert(bnf_dtype from, bnf_dtype to, int64_t n, const void *x, void *y);

/* True if no element is NaN or infinite. */
bool bnf_la_finite(bnf_dtype t, int64_t n, const void *x);

#endif
