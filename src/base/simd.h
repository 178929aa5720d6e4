/* base/simd.h - one kernel source, compiled for several x86-64 levels; the CPU picks at load time.
 *
 *     BNF_SIMD_CLONES
 *     static void relu_rows(int64_t n, const float *restrict x, float *restrict y)
 *     {
 *         for (int64_t i = 0; i < n; i++)
 *             y[i] = x[i] < 0.0f ? 0.0f : x[i];
 *     }
 *
 * Put it on a function that holds a whole loop, never on what the loop calls: the function is reached through an
 * indirect call and is never inlined, so the loop has to be inside. Checked with gcc 12:
 *   - static and external functions both work, also in a table of function pointers (the table holds the dispatcher's
 *     choice). External ones are marked in the .c file at the definition only.
 *   - `static inline` helpers called in the loop are inlined into every clone and compiled for that clone's level. A
 *     helper too large to be inlined stays at the baseline level: give it __attribute__((always_inline)) or clone it
 *     as well.
 *     Library calls (expf, fmaxf) stop vectorising; write `a < b ? b : a`.
 *   - the body of an OpenMP region inside the function is cloned with it.
 *
 * Bits: the build rounds a * b + c twice on every level (-ffp-contract=off), and a loop over independent elements gives
 * the same bits in vectors of any width. A sum must have one written-out order; without -ffast-math the compiler keeps
 * it.
 *
 * BNF_HAVE_TARGET_CLONES comes from CMake (option BNF_SIMD): gcc on x86-64 Linux without sanitizers, whose runtimes are
 * not ready when the dispatchers run. Elsewhere the macro is empty and the baseline (or CMAKE_C_FLAGS=-march=...)
 * counts. */
#ifndef BNF_BASE_SIMD_H
#define BNF_BASE_SIMD_H

#ifdef BNF_HAVE_TARGET_CLONES
#define BNF_SIMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BNF_SIMD_CLONES
#endif

#endif
