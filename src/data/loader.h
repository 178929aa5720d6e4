/* data/loader.h - batches for training and evaluation, read and augmented ahead of time.
 *
 * The batch of step s is a pure function of (set, configuration, s): the global batch has `batch` samples, cut into
 * `leaves` leaves of batch / leaves; a rank loads the samples of its own leaves [leaf_lo, leaf_hi). Putting the
 * parts of all ranks behind one another gives the same batch for any number of ranks.
 *
 *   steps per epoch  floor(count / batch) with drop_tail, else ceil
 *   epoch            step / steps_per_epoch
 *   sample i of the global batch of a step lies at position (step % steps_per_epoch) * batch + i of the epoch's order;
 *                    positions beyond the set (last batch without drop_tail) are padding: x = 0, label 0, weight 0 */
#ifndef BNF_DATA_LOADER_H
#define BNF_DATA_LOADER_H

#include "data/transform.h"

#define BNF_LOADER_HOLD_DEFAULT ((int64_t)256 << 20) /* bytes: a usual value of hold_bytes */
#define BNF_LOADER_WINDOW_BYTES ((int64_t)1 << 30)   /* sets up to this size are shuffled as a whole by default */
#define BNF_LOADER_WINDOW_ROWS 16384                 /* default window of larger sets, in samples */

typedef struct bnf_loader_config {
    uint64_t seed;
    int64_t batch; /* samples in the global batch: a multiple of leaves */
    int64_t leaves;
    int64_t leaf_lo, leaf_hi; /* leaves of this rank; an empty range is legal */
    bool shuffle;
    int64_t window_rows; /* of the shuffle (data/sampler.h); 0: chosen by the size of the set; count: the whole set */
    bool drop_tail;      /* leave out the samples behind the last full batch of an epoch */
    bnf_augment augment;
    bnf_normalise normalise;
    int prefetch;       /* batches read ahead by a thread; 0: read when asked, without a thread */
    int64_t hold_bytes; /* sets up to this size are read into memory once */
} bnf_loader_config;

/* One rank's part of a batch. All memory belongs to the loader. */
typedef struct bnf_batch {
    int64_t step;
    int64_t epoch;
    int64_t rows;           /* (leaf_hi - leaf_lo) * batch / leaves */
    int64_t first_position; /* of row 0 in the global batch: leaf_lo * batch / leaves */
    int64_t first_sample;   /* step * batch + first_position: numbers every row of a run, padding included */
    int64_t valid;          /* samples in the whole global batch that are no padding: the sum of all ranks' weights */
    const float *x;         /* [rows, h, w, c] normalised */
    const int32_t *labels;  /* [rows] */
    const float *weight;    /* [rows] 1, or 0 for padding */
    const int64_t *index;   /* [rows] sample in the set; -1 for padding */
} bnf_batch;

/* Since the loader was made. */
typedef struct bnf_loader_stats {
    double stall_seconds; /* that bnf_loader_next waited or, without a thread, read */
    double read_seconds;  /* that reading and augmenting took, in whatever thread */
    int64_t batches;      /* handed out */
} bnf_loader_stats;

typedef struct bnf_loader bnf_loader;

/* Not collective. `dataset` is borrowed until the loader is destroyed and may be shared with other loaders (it is
 * read into memory here if it is small enough, so create loaders of one dataset one after the other). The loader
 * stands at step 0. [out] loader owned, release with bnf_loader_destroy. Errors: BNF_ERR_CONFIG, BNF_ERR_MEMORY, and
 * those of reading. */
bnf_status bnf_loader_create(bnf_dataset *dataset, const bnf_loader_config *config, bnf_loader **loader);

/* Stops the thread. NULL is legal. */
void bnf_loader_destroy(bnf_loader *loader);

int64_t bnf_loader_steps_per_epoch(const bnf_loader *loader);

/* The next batch will be that of `step` >= 0. Forgets an earlier error. */
void bnf_loader_seek(bnf_loader *loader, int64_t step);

/* The batch of the next step. [out] batch borrowed until the next call on this loader. Does not allocate. Errors:
 * those of bnf_dataset_read, with the step in the message; the same again until bnf_loader_seek. Not collective:
 * ranks agree by themselves. */
bnf_status bnf_loader_next(bnf_loader *loader, const bnf_batch **batch);

/* [out] stats so far. */
void bnf_loader_get_stats(bnf_loader *loader, bnf_loader_stats *stats);

/* The normalisation in use. Borrowed. */
const bnf_transform *bnf_loader_transform(const bnf_loader *loader);

#endif
