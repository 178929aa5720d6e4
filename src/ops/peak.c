/* ops/peak.c - what the floating-point units of this machine reach. */
#include "ops/peak.h"

#include "base/clock.h"
#include "base/simd.h"

#include <stdint.h>

#define LANES 16  /* floats of a 512-bit register; narrower machines use several registers for one */
#define CHAINS 10 /* independent accumulators: latency 4, two units */

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));

/* CHAINS x LANES x 2 flops per round. */
BNF_SIMD_CLONES
static float chains(int64_t rounds, float start)
{
    vec a[CHAINS], m, c;
    for (int i = 0; i < LANES; i++) {
        m[i] = 0.999999f;
        c[i] = 1e-6f;
    }
    for (int k = 0; k < CHAINS; k++)
        for (int i = 0; i < LANES; i++)
            a[k][i] = start + (float)k;
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 10
        for (int k = 0; k < CHAINS; k++)
            for (int i = 0; i < LANES; i++)
                a[k][i] = __builtin_fmaf(a[k][i], m[i], c[i]);
    }
    float sum = 0;
    for (int k = 0; k < CHAINS; k++)
        for (int i = 0; i < LANES; i++)
            sum += a[k][i];
    return sum;
}

double bnf_peak_gflops(int threads, double seconds)
{
    const int64_t rounds = 200000;
    volatile float sink = 0;
    double best = 0, began = bnf_clock_seconds();
    while (bnf_clock_seconds() - began < seconds || best == 0) {
        double start = bnf_clock_seconds();
#pragma omp parallel num_threads(threads)
        {
            float s = chains(rounds, 0.5f);
#pragma omp critical(bnf_peak_sink)
            sink += s;
        }
        double rate = 2.0 * LANES * CHAINS * (double)rounds * threads / (bnf_clock_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    (void)sink;
    return best;
}
