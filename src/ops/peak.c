/* ops/peak.c - what the floating-point units of this machine reach. */
#include "ops/peak.h"

#include "base/bf16.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/simd.h"
#if defined __x86_64__ && defined __GNUC__
#include <immintrin.h>
#endif

#include <stdint.h>
#include <string.h>

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

/* Runs `rounds` rounds of work(rounds, start) on all threads until `seconds` are over. Returns the best rate. */
static double best_rate(int threads, double seconds, int64_t rounds, double flops, float (*work)(int64_t, float))
{
    volatile float sink = 0;
    double best = 0, began = bnf_clock_seconds();
    while (bnf_clock_seconds() - began < seconds || best == 0) {
        double start = bnf_clock_seconds();
#pragma omp parallel num_threads(threads)
        {
            float s = work(rounds, 0.5f);
#pragma omp critical(bnf_peak_sink)
            sink += s;
        }
        double rate = flops * (double)rounds * threads / (bnf_clock_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    (void)sink;
    return best;
}

double bnf_peak_gflops(int threads, double seconds)
{
    return best_rate(threads, seconds, 200000, 2.0 * LANES * CHAINS, chains);
}

#if defined __x86_64__ && defined __GNUC__
/* CHAINS x LANES x 4 flops per round. */
__attribute__((target("avx512f,avx512bf16"))) static float bf16_chains(int64_t rounds, float start)
{
    __m512 a[CHAINS];
    const __m512i pairs = _mm512_set1_epi32(0x3c003c00); /* 2^-7 twice */
    for (int k = 0; k < CHAINS; k++)
        a[k] = _mm512_set1_ps(start + (float)k);
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 10
        for (int k = 0; k < CHAINS; k++)
            a[k] = _mm512_dpbf16_ps(a[k], (__m512bh)pairs, (__m512bh)pairs);
    }
    float sum = 0;
    for (int k = 0; k < CHAINS; k++)
        sum += _mm512_reduce_add_ps(a[k]);
    return sum;
}

double bnf_peak_bf16_gflops(int threads, double seconds)
{
    return bnf_bf16_native() ? best_rate(threads, seconds, 200000, 4.0 * LANES * CHAINS, bf16_chains) : 0;
}
#else
double bnf_peak_bf16_gflops(int threads, double seconds)
{
    (void)threads, (void)seconds;
    return 0;
}
#endif

BNF_SIMD_CLONES
static void add_into(int64_t n, float *restrict x, const float *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        x[i] += y[i];
}

bnf_status bnf_peak_gbytes(int threads, size_t bytes, double seconds, double *gbytes)
{
    int64_t n = (int64_t)(bytes / sizeof(float)), passes = 1 + (int64_t)((size_t)1 << 26) / (int64_t)bytes;
    float *x = NULL;
    BNF_TRY(bnf_alloc(2 * (size_t)threads * (size_t)n * sizeof *x, "bandwidth", &x));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) /* by the thread that reads it later: on that thread's memory */
        memset(x + 2 * t * n, 0, 2 * (size_t)n * sizeof *x);
    double began = bnf_clock_seconds();
    *gbytes = 0;
    for (int i = 0; i < 2 || bnf_clock_seconds() - began < seconds; i++) {
        double start = bnf_clock_seconds();
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++)
            for (int64_t p = 0; p < passes; p++)
                add_into(n, x + 2 * t * n, x + (2 * t + 1) * n);
        double rate = 12.0 * (double)n * (double)passes * threads / (bnf_clock_seconds() - start) / 1e9;
        *gbytes = rate > *gbytes ? rate : *gbytes;
    }
    bnf_free(x);
    return BNF_OK;
}
