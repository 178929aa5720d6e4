/* data/synth_noise.h - noise of generated pictures: near enough to normal, and the same on every machine. */
#ifndef BNF_DATA_SYNTH_NOISE_H
#define BNF_DATA_SYNTH_NOISE_H

#include <stdint.h>

#define BNF_SYNTH_NOISE_STD 147.80 /* standard deviation of the sum of four random bytes: sqrt(4 (256^2 - 1) / 12) */
#define BNF_SYNTH_NOISE_MEAN 510

/* The sum of four random bytes less its mean. */
static inline double bnf_synth_noise(uint32_t bits)
{
    return (double)((int)(bits & 255) + (int)(bits >> 8 & 255) + (int)(bits >> 16 & 255) + (int)(bits >> 24) -
                    BNF_SYNTH_NOISE_MEAN);
}

#endif
