/* la/power.c */
#include "la/power.h"

#include "la/blas.h"
#include "la/vec.h"

#include <math.h>
#include <stdbool.h>

void bnf_la_power_start(int64_t m, double *u)
{
    uint64_t x = 0;
    for (int64_t i = 0; i < m; i++) {
        x += 0x9e3779b97f4a7c15u; /* splitmix64 */
        uint64_t z = x;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        double magnitude = 0.5 + (double)(z >> 12) * 0x1p-53; /* in [0.5, 1): no coordinate is nearly absent */
        u[i] = z & 1 ? magnitude : -magnitude;
    }
    bnf_la_axpby(BNF_F64, m, 1.0 / bnf_la_nrm2(BNF_F64, m, u), u, 0.0, u);
}

void bnf_la_power(bnf_dtype t, int64_t rows, int64_t cols, const void *w, bnf_la_power_rule rule, double *u, void *ut,
                  void *v, void *scratch, bnf_la_power_result *result)
{
    bool tall = rows > cols;
    int64_t m = tall ? cols : rows, n = tall ? rows : cols;
    int k = 0;
    bnf_la_convert(BNF_F64, t, m, u, ut);
    bnf_la_gemv(t, !tall, rows, cols, w, ut, v);
    while (k < rule.max_iterations) {
        bnf_la_gemv(t, tall, rows, cols, w, v, scratch);
        double norm = bnf_la_nrm2(t, m, scratch);
        if (!(norm > 0.0))
            break;
        bnf_la_axpby(t, m, 1.0 / norm, scratch, 0.0, scratch);
        double change = bnf_la_dist2(t, m, scratch, ut);
        bnf_la_axpby(t, m, 1.0, scratch, 0.0, ut);
        bnf_la_gemv(t, !tall, rows, cols, w, ut, v);
        k++;
        if (change < rule.tolerance)
            break;
    }
    bnf_la_convert(t, BNF_F64, m, ut, u);
    result->sigma = bnf_la_nrm2(t, n, v);
    result->iterations = k;
    if (result->sigma > 0.0)
        bnf_la_axpby(t, n, 1.0 / result->sigma, v, 0.0, v);
}

void bnf_la_power_gram(int64_t m, const double *s, bnf_la_power_rule rule, double *u, double *scratch,
                       bnf_la_power_result *result)
{
    int k = 0;
    bnf_la_gemv(BNF_F64, false, m, m, s, u, scratch);
    while (k < rule.max_iterations) {
        double norm = bnf_la_nrm2(BNF_F64, m, scratch);
        if (!(norm > 0.0))
            break;
        bnf_la_axpby(BNF_F64, m, 1.0 / norm, scratch, 0.0, scratch);
        double change = bnf_la_dist2(BNF_F64, m, scratch, u);
        bnf_la_axpby(BNF_F64, m, 1.0, scratch, 0.0, u);
        bnf_la_gemv(BNF_F64, false, m, m, s, u, scratch);
        k++;
        if (change < rule.tolerance)
            break;
    }
    double square = bnf_la_dot(BNF_F64, m, u, scratch);
    result->sigma = square > 0.0 ? sqrt(square) : 0.0;
    result->iterations = k;
}
