/* data/loader.h - batches for training and evaluation, read and augmented ahead of time.
 *
 * The batch of step s is a pure function of (set, configuration, s): the global batch has `batch` rows, cut into
 * `leaves` leaves of batch / leaves; a rank loads the rows of its own leaves [leaf_lo, leaf_hi). Putting the
 * parts of all ranks behind one another gives the same batch for any number of ranks.
 *
 *   samples  what the sampler (data/sampler.h) draws for the step, in its order, in the first rows of the batch; the
 *            rows behind them are padding: x = 0, label 0, weight 0. A step may have no samples, and so may a rank
 *   epoch    step / steps_per_epoch
 *   changes  augmentation is drawn by (seed, epoch, sample); where every step draws its samples anew, by (seed, step,
 *            row of the global batch)
 *
 * Where samples come from changes none of this: from the file by each rank for itself, from a copy in each rank's
 * memory (small sets), or from the memory of all ranks together (data/store.h). */
#ifndef BNF_DATA_LOADER_H
#define BNF_DATA_LOADER_H

#include "data/sampler.h"
#include "data/transform.h"

#define BNF_LOADER_HOLD_DEFAULT ((int64_t)256 << 20) /* bytes: a usual value of hold_bytes */
#define BNF_LOADER_WINDOW_BYTES ((int64_t)1 << 30)   /* sets up to this size are shuffled as a whole by default */
#define BNF_LOADER_WINDOW_ROWS 16384                 /* default window of larger sets, in samples */

typedef struct bnf_loader_config {
    uint64_t seed;
    int64_t batch; /* rows of the global batch: a multiple of leaves, and room for the samples of a step */
    int64_t leaves;
    int64_t leaf_lo, leaf_hi; /* leaves of this rank; an empty range is legal */
    /* What a step takes. batch 0: the rows of a batch; window_rows 0: chosen by the size of the set. Seed, count,
     * chunk_rows and group are filled in. */
    bnf_sampler_config sampler;
    const char *groups; /* strata or clusters: "label" or a data set of integers beside the images; NULL: none */
    bnf_augment augment;
    bnf_normalise normalise;
    int prefetch;       /* batches read ahead by a thread; 0: read when asked, without a thread */
    int64_t hold_bytes; /* sets up to this size are read into memory once, by every rank; not with `memory` */
    int decode_threads; /* that make images where that takes more than copying (data/view.h); 0: one. Changes no bit */
    bool memory;        /* hold the set in the memory of all ranks of `comm` together */
    const bnf_comm *comm;
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
    double stall_seconds; /* that bnf_loader_next took: waiting, messages or, without a thread, reading */
    double read_seconds;  /* that reading and augmenting took, in whatever thread */
    int64_t batches;      /* handed out */
    int64_t sent_bytes;   /* to other ranks */
} bnf_loader_stats;

typedef struct bnf_loader bnf_loader;

/* The sampler that a loader with this configuration uses. [out] sampler owned. Errors: those of bnf_sampler_create and
 * bnf_dataset_integers. */
bnf_status bnf_loader_sampler(const bnf_dataset *dataset, const bnf_loader_config *config, bnf_sampler **sampler);

/* `dataset` is borrowed until the loader is destroyed and may be shared with other loaders (it is read into memory here
 * if it is small enough, so create loaders of one dataset one after the other). The loader stands at step 0. Not
 * collective, unless config->memory: then all ranks of config->comm make each call that creates, seeks, takes or
 * destroys, in the same order and from the main thread, and creation agrees on its result. [out] loader owned, release
 * with bnf_loader_destroy. Errors: BNF_ERR_CONFIG, BNF_ERR_MEMORY, and those of reading. */
bnf_status bnf_loader_create(bnf_dataset *dataset, const bnf_loader_config *config, bnf_loader **loader);

/* Stops the thread. NULL is legal. */
void bnf_loader_destroy(bnf_loader *loader);

int64_t bnf_loader_steps_per_epoch(const bnf_loader *loader);

/* The next batch will be that of `step` >= 0. Forgets an earlier error. */
void bnf_loader_seek(bnf_loader *loader, int64_t step);

/* The batch of the next step. [out] batch borrowed until the next call on this loader. Does not allocate, except
 * that where pictures are decoded, room for them grows to that of the largest. Errors:
 * those of bnf_dataset_read, with the step in the message; the same again until bnf_loader_seek. Not collective:
 * ranks agree by themselves. */
bnf_status bnf_loader_next(bnf_loader *loader, const bnf_batch **batch);

/* From now on the thread, if there is one, tells a recorder (base/spans.h) when it works; another lane for each
 * loader. NULL: no more. */
struct bnf_spans;
void bnf_loader_record(bnf_loader *loader, struct bnf_spans *spans, int lane);

/* [out] stats so far. */
void bnf_loader_get_stats(bnf_loader *loader, bnf_loader_stats *stats);

/* The normalisation in use. Borrowed. */
const bnf_transform *bnf_loader_transform(const bnf_loader *loader);

#endif
