/* data/order.h - in which order the samples of a set are taken.
 *
 * The order is a pure function of (configuration, epoch, position): every rank computes the same, on any number of
 * ranks, and a resumed run needs to know nothing but its step. */
#ifndef BNF_DATA_ORDER_H
#define BNF_DATA_ORDER_H

#include <banff/base.h>
#include <stdbool.h>

typedef struct bnf_order bnf_order;

/* With a window smaller than the set, chunks are taken in random order, laid one behind the other, and shuffled within
 * windows of as many whole chunks as hold window_rows samples: only a window's chunks are in use at a time. */
typedef struct bnf_order_config {
    uint64_t seed;
    int64_t count;       /* samples in the set, >= 1 */
    bool shuffle;        /* false: 0, 1, 2, ... in every epoch */
    int64_t chunk_rows;  /* samples that lie together in the file, >= 1 */
    int64_t window_rows; /* samples among which a sample can move freely; 0 or >= count: the whole set */
} bnf_order_config;

/* [out] order owned, release with bnf_order_destroy. Errors: BNF_ERR_ARG, BNF_ERR_MEMORY. */
bnf_status bnf_order_create(const bnf_order_config *config, bnf_order **order);
void bnf_order_destroy(bnf_order *order); /* NULL is legal */

/* The order of an epoch (>= 0): index of the sample at each position, order[count]. Computed when the epoch changes,
 * without allocating. Borrowed, valid until the next call with another epoch. Not thread-safe. */
const int64_t *bnf_order_of_epoch(bnf_order *order, int64_t epoch);

#endif
