/* data/digest.h - the checksum of a set, made so that parts can be summed in any order and on any rank. */
#ifndef BNF_DATA_DIGEST_H
#define BNF_DATA_DIGEST_H

#include <banff/data.h>

/* Sum, modulo 2^64, of one hash per sample over (XXH3-64 of the image's bytes, its index in the split, its label).
 * Sums of disjoint ranges add up to the sum of the whole; exchanging two samples changes it. */
uint64_t bnf_digest_samples(const void *images, int64_t sample_bytes, const int32_t *labels, int64_t first,
                            int64_t count);

/* Adds `sum` over all ranks, modulo 2^64. Collective. [in,out] sum. */
bnf_status bnf_digest_reduce(const bnf_comm *comm, uint64_t *sum);

/* The checksum of a whole set from those of its splits (0 for a split without samples) and its extents. */
uint64_t bnf_digest_set(const uint64_t sum[BNF_SPLIT_COUNT], const int64_t count[BNF_SPLIT_COUNT], int64_t h, int64_t w,
                        int64_t c);

#endif
