/* data/moments.h - mean and standard deviation of f32 pixels, so that they do not depend on which rank saw what: blocks
 * of pixels have moments of their own, and all ranks merge them in the order of the blocks. */
#ifndef BNF_DATA_MOMENTS_H
#define BNF_DATA_MOMENTS_H

#include "h5/file.h"

#include <banff/comm.h>

/* Of one channel of a block: its mean, and the sum of squared distances from it. */
typedef struct bnf_moments {
    double mean, spread;
} bnf_moments;

/* pixels[count, channels], count >= 1 -> moments[channels]. */
void bnf_moments_take(const float *pixels, int64_t count, int64_t channels, bnf_moments *moments);

/* Merges the blocks and writes the attributes mean[channels] and std[channels]. Every block has block_pixels of all
 * `pixels`, the last the rest. moments[blocks, channels]: a rank's own blocks, zero for those of others; overwritten.
 * Merged pairwise as in Chan, Golub, LeVeque (Updating Formulae, 1979). Collective. */
bnf_status bnf_moments_write(const bnf_comm *comm, bnf_h5_file *file, int64_t pixels, int64_t block_pixels,
                             int64_t channels, bnf_moments *moments);

#endif
