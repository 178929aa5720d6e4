/* train/npz.h - arrays in NumPy's .npz format: an archive (ZIP, entries stored without compression) of .npy files
 * (format 1.0), which numpy.load opens.
 *
 * Equal arrays give equal bytes: all entries bear the date 1980-01-01. Limits of the format without its 64-bit
 * extension: 65535 arrays and 4 GiB in all. */
#ifndef BNF_TRAIN_NPZ_H
#define BNF_TRAIN_NPZ_H

#include <banff/graph.h>

#include "base/str.h"

/* An archive under construction, in memory. Zero-initialise before first use, release with bnf_npz_release. */
typedef struct bnf_npz {
    bnf_buf data;    /* entries */
    bnf_buf central; /* the directory that will stand behind them */
    int64_t count;
} bnf_npz;

/* Appends an array of `shape`, little-endian, row-major. `name` becomes the key in
 * numpy.load; it must be new. Errors: BNF_ERR_MEMORY, BNF_ERR_UNSUPPORTED for more than the format holds. */
bnf_status bnf_npz_add(bnf_npz *npz, const char *name, const bnf_desc *shape, const void *values);

/* Ends the archive and replaces the file `path` by it at once and as a whole. Errors: BNF_ERR_IO naming the file,
 * BNF_ERR_UNSUPPORTED, BNF_ERR_MEMORY. */
bnf_status bnf_npz_write(bnf_npz *npz, const char *path);

void bnf_npz_release(bnf_npz *npz);

/* All parameters and states of a store, under their names: effective weights, or those of bnf_params_raw. Not
 * collective. Errors: as above. */
bnf_status bnf_npz_write_params(bnf_params *params, bool raw, const char *path);

#endif
