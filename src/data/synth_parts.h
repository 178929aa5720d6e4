/* data/synth_parts.h - what generators of pictures share. */
#ifndef BNF_DATA_SYNTH_PARTS_H
#define BNF_DATA_SYNTH_PARTS_H

#include "base/philox.h"
#include "data/source.h"

/* ---- Sources ---- */

/* The locate function of a generator. */
void bnf_synth_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size);

/* Sets the numbers of samples. Errors: BNF_ERR_ARG (no training sample, or a negative number). */
bnf_status bnf_synth_set_counts(bnf_source *source, const int64_t count[BNF_SPLIT_COUNT]);

/* Sets the extents of pictures with noise, whose standard deviation in grey levels becomes a factor of bnf_synth_noise.
 * Errors: BNF_ERR_ARG (sides of 8 to 4096, noise of 0 to 64). */
bnf_status bnf_synth_set_canvas(bnf_source *source, int64_t height, int64_t width, double noise, double *factor);

/* ---- Random numbers: the same on every machine ---- */

/* The first 2 * blocks random numbers in [0, 1) of a sample. */
void bnf_synth_units(bnf_philox_key key, bnf_split split, int64_t index, uint32_t blocks, double *unit);

#define BNF_SYNTH_NOISE_STD 147.80 /* standard deviation of the sum of four random bytes: sqrt(4 (256^2 - 1) / 12) */
#define BNF_SYNTH_NOISE_MEAN 510

/* The sum of four random bytes less its mean: near enough to normal. */
static inline double bnf_synth_noise(uint32_t bits)
{
    return (double)((int)(bits & 255) + (int)(bits >> 8 & 255) + (int)(bits >> 16 & 255) + (int)(bits >> 24) -
                    BNF_SYNTH_NOISE_MEAN);
}

/* A grey level as a pixel. */
static inline uint8_t bnf_synth_pixel(double v)
{
    return v <= 0.0 ? 0 : v >= 255.0 ? 255 : (uint8_t)(v + 0.5);
}

#endif
