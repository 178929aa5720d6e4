/* data/store.h - a set in the memory of all ranks together, and the exchange of a step's samples among them.
 *
 * Each rank reads a contiguous part of the set, its shard, once. Every rank knows the whole draw of a step, so each
 * knows what to send to whom and what it will be sent: nothing is asked for. A sample goes out from where it lies in
 * the shard and arrives at its row; samples of the receiver's own shard are not moved at all.
 *
 * A delivery is the exchange for one step. There are a fixed number of them, used in turn; each goes through
 *
 *   bnf_store_plan   who sends what: no MPI, any thread          bnf_store_post   starts it
 *   bnf_store_test / bnf_store_wait   until it is complete       bnf_store_image  what arrived: any thread
 *
 * All ranks post and complete the same deliveries with the same draws in the same order, so that messages match by
 * order alone; bnf_store_drain and bnf_store_destroy wait for what was posted and are only reached by all or none.
 * Post, test, wait and drain call MPI: main thread only. Nothing is allocated after creation. */
#ifndef BNF_DATA_STORE_H
#define BNF_DATA_STORE_H

#include <banff/data.h>

typedef struct bnf_store bnf_store;

typedef struct bnf_store_config {
    int64_t rows;           /* of the global batch */
    int64_t row_lo, row_hi; /* of this rank; the ranks' ranges follow one another. Empty is legal */
    int deliveries;         /* at least 1 */
} bnf_store_config;

/* Reads the shards. Collective over comm (NULL: this process alone), with messages on a communicator of its own. Every
 * rank returns the same success or failure.
 *   dataset  borrowed during creation only
 *   local    what the caller's own preparation returned: a failure is passed here instead of leaving the others waiting
 * [out] store owned, release with bnf_store_destroy. Errors: BNF_ERR_MEMORY (before anything is read, if a host has
 * less memory than its ranks' shards need: both are named), those of bnf_dataset_read_rows. */
bnf_status bnf_store_create(const bnf_comm *comm, const bnf_dataset *dataset, const bnf_store_config *config,
                            bnf_status local, bnf_store **store);

/* Collective. NULL is legal. */
void bnf_store_destroy(bnf_store *store);

/* index[n]: the samples of the whole step, n <= rows. They are copied. */
void bnf_store_plan(bnf_store *store, int delivery, const int64_t *index, int64_t n);

/* Errors of these: BNF_ERR_COMM, after which the store is of no further use. */
bnf_status bnf_store_post(bnf_store *store, int delivery);
bnf_status bnf_store_test(bnf_store *store, int delivery, bool *done);
bnf_status bnf_store_wait(bnf_store *store, int delivery);

/* Completes whatever is under way. */
bnf_status bnf_store_drain(bnf_store *store);

/* What a planned delivery holds: the samples of this rank's rows. [out] n of the whole step: only rows below it,
 * counted over all ranks, have one. Borrowed, valid until the delivery is planned anew. */
const int64_t *bnf_store_samples(const bnf_store *store, int delivery, int64_t *n);

/* The image as stored of a row of this rank (counted from row_lo) that has a sample. Borrowed, valid until the delivery
 * is planned anew. */
const void *bnf_store_image(const bnf_store *store, int delivery, int64_t row);

/* Bytes that this rank has sent so far. */
int64_t bnf_store_sent(const bnf_store *store);

#endif
