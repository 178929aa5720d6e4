/* base/philox.h - counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers:
 * as easy as 1, 2, 3. SC 2011).
 *
 * A draw is a pure function of a key and a counter. There is no state to save, to share between threads or to get
 * out of step when a run resumes on another number of ranks.
 *
 *   key      (seed of the run, stream)  what the numbers are for; bnf_philox_key_layer refines it by layer or parameter
 *   counter  (step, sample, index)      step of training or epoch, sample by its index in the whole data set (or, where
 *                                       there is no sample, element), and the running number of the block
 *
 * One block is 128 random bits, enough for four f32. Nothing may enter a key or a counter that depends on the number of
 * ranks, threads or leaves: not the rank, not the index inside the local batch. */
#ifndef BNF_BASE_PHILOX_H
#define BNF_BASE_PHILOX_H

#include <math.h>
#include <stdint.h>

/* What the numbers are for. The values are part of what a checkpoint means: append, never renumber. */
typedef enum bnf_stream {
    BNF_STREAM_INIT = 1,     /* initial parameters: counter (0, element, parameter) */
    BNF_STREAM_ORDER = 2,    /* order of the samples: counter (epoch, position, .) */
    BNF_STREAM_AUGMENT = 3,  /* augmentation: counter (epoch or step, sample, .) */
    BNF_STREAM_DROPOUT = 4,  /* dropout: key by layer, counter (step, sample, block of elements) */
    BNF_STREAM_ATTACK = 5,   /* random starts of adversarial attacks: counter (step, sample, .) */
    BNF_STREAM_SYNTH = 6,    /* generated data sets: counter (split, sample, .) */
    BNF_STREAM_NOISE = 7,    /* noise that a method adds: latent codes, smoothing, privacy */
    BNF_STREAM_POWER = 8,    /* start vectors of power iterations: key by parameter */
    BNF_STREAM_SPLIT = 9,    /* division of a data set into parts */
    BNF_STREAM_EXPLAIN = 10, /* explanation and evaluation: masks, baselines */
    BNF_STREAM_TEST = 11,    /* tests and benchmarks */
    BNF_STREAM_RECIPE = 1000 /* recipes count up from here for purposes of their own */
} bnf_stream;

typedef struct bnf_philox_key {
    uint32_t k[2];
} bnf_philox_key;

/* A counter before, 128 random bits after. */
typedef struct bnf_philox_block {
    uint32_t v[4];
} bnf_philox_block;

/* The bijection of 128 bits with 10 rounds. */
static inline bnf_philox_block bnf_philox(bnf_philox_key key, bnf_philox_block counter)
{
    uint32_t k0 = key.k[0], k1 = key.k[1];
    uint32_t c0 = counter.v[0], c1 = counter.v[1], c2 = counter.v[2], c3 = counter.v[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = UINT64_C(0xD2511F53) * c0, p1 = UINT64_C(0xCD9E8D57) * c2;
        const uint32_t t0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, t2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = t0;
        c1 = (uint32_t)p1;
        c2 = t2;
        c3 = (uint32_t)p0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    return (bnf_philox_block){{c0, c1, c2, c3}};
}

/* Key of a stream (bnf_stream or BNF_STREAM_RECIPE + i) of a run. 96 bits are mapped to the key's 64 by the
 * generator itself: two streams share a key with probability 2^-64. */
static inline bnf_philox_key bnf_philox_key_make(uint64_t seed, uint32_t stream)
{
    const bnf_philox_key run = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const bnf_philox_block b = bnf_philox(run, (bnf_philox_block){{stream, 0x62616e66, 0, 0}});
    return (bnf_philox_key){{b.v[0], b.v[1]}};
}

/* Key of one layer or parameter within a stream. */
static inline bnf_philox_key bnf_philox_key_layer(bnf_philox_key key, uint64_t layer)
{
    const bnf_philox_block b =
        bnf_philox(key, (bnf_philox_block){{(uint32_t)layer, (uint32_t)(layer >> 32), 0x6c617972, UINT32_MAX}});
    return (bnf_philox_key){{b.v[0], b.v[1]}};
}

static inline bnf_philox_block bnf_philox_counter(uint32_t step, uint64_t sample, uint32_t index)
{
    return (bnf_philox_block){{index, (uint32_t)sample, (uint32_t)(sample >> 32), step}};
}

/* ---- from bits to numbers -------------------------------------------------------------------------------------- */

/* Uniform in [0, 1): the upper 24 bits, so every value is exact. */
static inline float bnf_philox_unit_f32(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

/* Uniform in (0, 1]: may go into a logarithm. */
static inline float bnf_philox_unit_open_f32(uint32_t bits)
{
    return (float)((bits >> 8) + 1) * 0x1p-24f;
}

/* Uniform in [0, 1) and (0, 1] with 53 bits. */
static inline double bnf_philox_unit_f64(uint32_t low, uint32_t high)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

static inline double bnf_philox_unit_open_f64(uint32_t low, uint32_t high)
{
    return (double)((((uint64_t)high << 32 | low) >> 11) + 1) * 0x1p-53;
}

/* Two independent standard normals from the four words (Box and Muller), computed in f64. */
static inline void bnf_philox_normal2(bnf_philox_block bits, double *a, double *b)
{
    const double radius = sqrt(-2.0 * log(bnf_philox_unit_open_f64(bits.v[0], bits.v[1])));
    const double angle = 6.283185307179586 * bnf_philox_unit_f64(bits.v[2], bits.v[3]);
    *a = radius * cos(angle);
    *b = radius * sin(angle);
}

/* ---- draws that may need more than one block ------------------------------------------------------------------- */

/* Uniform in {0, ..., n - 1}, n > 0, without bias: a word that would favour small numbers is refused and the next one
 * taken, in the order of (step, sample, index), (step, sample, index + 1), ... A word is refused with a probability
 * below n / 2^32, and a block has four, so leave a few indices free behind `index`. */
uint32_t bnf_philox_below(bnf_philox_key key, uint32_t step, uint64_t sample, uint32_t index, uint32_t n);

/* The same for n up to 2^63 - 1, two words at a time. */
uint64_t bnf_philox_below_u64(bnf_philox_key key, uint32_t step, uint64_t sample, uint32_t index, uint64_t n);

/* A uniformly drawn order of 0, ..., n - 1 (Fisher and Yates): a function of (key, step, n) alone.
 *   order[n] [out] */
void bnf_philox_permutation(bnf_philox_key key, uint32_t step, int64_t n, int64_t *order);

#endif
