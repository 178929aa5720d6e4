/* data/sampler.h - in which order the samples of a set are taken.
 *
 * The order is a pure function of (configuration, epoch, position): every rank computes the same, on any number of
 * ranks, and a resumed run needs to know nothing but its step. */
#ifndef BNF_DATA_SAMPLER_H
#define BNF_DATA_SAMPLER_H

#include <banff/base.h>
#include <stdbool.h>

typedef struct bnf_sampler bnf_sampler;

/* With a window smaller than the set, chunks are taken in random order, laid one behind the other, and shuffled within
 * windows of as many whole chunks as hold window_rows samples: only a window's chunks are in use at a time. */
typedef struct bnf_sampler_config {
    uint64_t seed;
    int64_t count;       /* samples in the set, >= 1 */
    bool shuffle;        /* false: 0, 1, 2, ... in every epoch */
    int64_t chunk_rows;  /* samples that lie together in the file, >= 1 */
    int64_t window_rows; /* samples among which a sample can move freely; 0 or >= count: the whole set */
} bnf_sampler_config;

/* [out] sampler owned, release with bnf_sampler_destroy. Errors: BNF_ERR_ARG, BNF_ERR_MEMORY. */
bnf_status bnf_sampler_create(const bnf_sampler_config *config, bnf_sampler **sampler);
void bnf_sampler_destroy(bnf_sampler *sampler); /* NULL is legal */

/* The order of an epoch (>= 0): index of the sample at each position, order[count]. Computed when the epoch changes,
 * without allocating. Borrowed, valid until the next call with another epoch. Not thread-safe. */
const int64_t *bnf_sampler_order(bnf_sampler *sampler, int64_t epoch);

#endif
