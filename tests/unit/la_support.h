/* Random matrices for the tests of la and of the constraints; the sequence depends on the seed alone. */
#ifndef TESTS_UNIT_LA_SUPPORT_H
#define TESTS_UNIT_LA_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include <banff/base.h>

/* Uniform in [-1, 1). */
static inline double random_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-52 - 1.0;
}

/* n uniform numbers of type t; free with bnf_free. */
static inline void *random_array(bnf_dtype t, int64_t n, uint64_t seed)
{
    void *x = NULL;
    assert_int_equal(bnf_alloc((size_t)n * bnf_dtype_size(t), "test", &x), BNF_OK);
    for (int64_t i = 0; i < n; i++) {
        double r = random_next(&seed);
        if (t == BNF_F32)
            ((float *)x)[i] = (float)r;
        else
            ((double *)x)[i] = r;
    }
    return x;
}

static inline double at(bnf_dtype t, const void *x, int64_t i)
{
    return t == BNF_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* q[rows,cols] becomes orthonormal along its smaller side (Gram-Schmidt, twice). */
static inline void orthonormalise_rows(int64_t rows, int64_t cols, double *q)
{
    for (int64_t i = 0; i < rows; i++)
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t k = 0; k < i; k++) {
                double dot = 0.0;
                for (int64_t j = 0; j < cols; j++)
                    dot += q[i * cols + j] * q[k * cols + j];
                for (int64_t j = 0; j < cols; j++)
                    q[i * cols + j] -= dot * q[k * cols + j];
            }
            double norm = 0.0;
            for (int64_t j = 0; j < cols; j++)
                norm += q[i * cols + j] * q[i * cols + j];
            for (int64_t j = 0; j < cols; j++)
                q[i * cols + j] /= __builtin_sqrt(norm);
        }
}

/* w[rows,cols] f64 with rows <= cols and the singular values sigma[rows]; free with bnf_free. */
static inline double *matrix_with_singular_values(int64_t rows, int64_t cols, const double *sigma, uint64_t seed)
{
    double *p = random_array(BNF_F64, rows * rows, seed), *q = random_array(BNF_F64, rows * cols, seed + 1000),
           *w = NULL;
    orthonormalise_rows(rows, rows, p);
    orthonormalise_rows(rows, cols, q);
    assert_int_equal(bnf_alloc((size_t)(rows * cols) * sizeof(double), "test", &w), BNF_OK);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < rows; k++)
                sum += p[i * rows + k] * sigma[k] * q[k * cols + j];
            w[i * cols + j] = sum;
        }
    bnf_free(p);
    bnf_free(q);
    return w;
}

#endif
