/* h5/dataset.h - arrays in a file: create, describe, check, write, read. See file.h for locking, errors, collective
 * calls.
 *
 * Data in memory are dense, row-major, in the machine's byte order; in the file they are little-endian. Element types
 * are not converted: the type that the caller names must be that of the dataset. One exception: 16-bit floats of a file
 * (IEEE half precision, as NumPy's float16) are f32 in memory; they are read, but never written. */
#ifndef BNF_H5_DATASET_H
#define BNF_H5_DATASET_H

#include "h5/file.h"

#define BNF_H5_MAX_DIMS 8

typedef struct bnf_h5_dataset bnf_h5_dataset;

/* How the elements are stored. All zeros: one contiguous block. */
typedef struct bnf_h5_storage {
    const int64_t *chunk; /* [ndim] extents of a chunk, at most those of the dataset; NULL: not chunked */
    int deflate;          /* zlib level 1..9; 0: not compressed. Filters need chunks */
    bool shuffle;         /* regroup bytes before deflate */
    bool fletcher32;      /* a checksum per chunk, so that damage is seen when it is read */
} bnf_h5_storage;

typedef struct bnf_h5_dataset_info {
    bnf_dtype dtype;
    bool half; /* f32 in memory, 16-bit floats in the file */
    int ndim;  /* 0: a scalar */
    int64_t dim[BNF_H5_MAX_DIMS];
    bool chunked;
    int64_t chunk[BNF_H5_MAX_DIMS]; /* if chunked */
    int deflate;                    /* level; 0 if there is no such filter */
    bool shuffle;
    bool fletcher32;
    int64_t stored_bytes; /* what the elements take in the file */
    int64_t offset;       /* of the elements in the file if they are one block of the type in memory, else -1 */
} bnf_h5_dataset_info;

/* Creates a dataset and the groups of its path. Collective for a parallel file, with the same arguments on every rank.
 *   name      e.g. "/train/images"; may not exist yet
 *   dim[ndim] extents >= 0; ndim <= BNF_H5_MAX_DIMS, 0 makes a scalar (dim may then be NULL)
 *   storage   NULL: contiguous
 * [out] dataset owned, release with bnf_h5_dataset_close before the file. */
bnf_status bnf_h5_dataset_create(bnf_h5_file *file, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                                 const bnf_h5_storage *storage, bnf_h5_dataset **dataset);

/* Opens an existing dataset; the message for a missing one lists what there is instead. [out] dataset owned. Errors:
 * BNF_ERR_FORMAT also for an element type that is no bnf_dtype. */
bnf_status bnf_h5_dataset_open(bnf_h5_file *file, const char *name, bnf_h5_dataset **dataset);

/* `dataset` is gone whatever the result; NULL is legal. Collective for a parallel file. */
bnf_status bnf_h5_dataset_close(bnf_h5_dataset *dataset);

/* Type, extents and storage. [out] info. */
bnf_status bnf_h5_dataset_describe(bnf_h5_dataset *dataset, bnf_h5_dataset_info *info);

/* Its extents: [ndim], borrowed from the dataset. */
const int64_t *bnf_h5_dataset_dims(const bnf_h5_dataset *dataset, int *ndim);
bnf_dtype bnf_h5_dataset_dtype(const bnf_h5_dataset *dataset);

/* Ok if the dataset has this type and shape, where an extent of -1 stands for any. Errors: BNF_ERR_FORMAT, the
 * message says what was expected and what found: "... expected u8[?,28,28,1], found f32[60000,28,28]". */
bnf_status bnf_h5_dataset_expect(const bnf_h5_dataset *dataset, bnf_dtype dtype, int ndim, const int64_t *dim);

/* Writes all elements. In a parallel file collective: every rank passes all of them, and rank 0's are written. */
bnf_status bnf_h5_dataset_write(bnf_h5_dataset *dataset, bnf_dtype dtype, const void *data);

/* Writes the block data[count[0],...,count[ndim-1]] at start[ndim]. Any extent of `count` may be 0: nothing is written.
 * By this rank alone; in a parallel file that is possible without filters only (else BNF_ERR_UNSUPPORTED). */
bnf_status bnf_h5_dataset_write_slab(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start,
                                     const int64_t *count, const void *data);

/* The same, collective over the ranks of a parallel file: every rank writes its own block, which may be empty; blocks
 * may share chunks but no elements. If the arguments of any rank are bad, all return an error and nothing is written.
 * `local` is what the caller's own preparation of the data returned: pass a failure here instead of leaving the
 * others waiting. */
bnf_status bnf_h5_dataset_write_slab_all(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start,
                                         const int64_t *count, const void *data, bnf_status local);

/* Reads all elements. [out] data, room for all of them. */
bnf_status bnf_h5_dataset_read(bnf_h5_dataset *dataset, bnf_dtype dtype, void *data);

/* Reads the block at start[ndim] of extents count[ndim]. [out] data[count[0],...]. */
bnf_status bnf_h5_dataset_read_slab(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start,
                                    const int64_t *count, void *data);

/* Reads `count` rows (entries of the first dimension) from row `first` on. [out] data[count, dims 1...]. */
bnf_status bnf_h5_dataset_read_rows(bnf_h5_dataset *dataset, bnf_dtype dtype, int64_t first, int64_t count, void *data);

/* Reads the rows row[0] <= row[1] <= ... into data[count, dims 1...], each run of neighbours with one request.
 * Errors: BNF_ERR_ARG if they are not sorted or outside of the dataset. */
bnf_status bnf_h5_dataset_read_list(bnf_h5_dataset *dataset, bnf_dtype dtype, int64_t count, const int64_t *row,
                                    void *data);

#endif
