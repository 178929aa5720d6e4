/* data/sparse.h - the images of a split as their cells that are not zero: detector images, of which few cells are hit.
 *
 *   /train          attribute shape: H, W, C
 *   /train/offsets  [N+1]   i64  image i has the entries offsets[i] <= k < offsets[i+1]; offsets[0] = 0, offsets[N] = E
 *   /train/cells    [E]     i32  (y W + x) C + c, ascending within an image
 *   /train/values   [E]     u8 or f32, the type of the images
 *
 * Images are read in two steps like pictures: the entries of some are fetched, then each is made by itself. */
#ifndef BNF_DATA_SPARSE_H
#define BNF_DATA_SPARSE_H

#include "base/str.h"
#include "h5/dataset.h"

typedef struct bnf_sparse {
    const char *path, *split; /* borrowed: for messages */
    bnf_h5_dataset *cells, *values;
    bnf_dtype dtype;              /* of the values */
    int64_t count, h, w, c, size; /* size: h w c */
    int64_t entries;              /* of all images */
    int64_t chunk_entries;        /* of a chunk; 1 if there are no chunks */
    int64_t *offsets;             /* [count + 1] */
    int32_t *held_cells;          /* [entries]; NULL: read from the file */
    uint8_t *held_values;         /* [entries] values */
} bnf_sparse;

/* Opens and checks everything but cells and values. `sparse` is zeroed before; release it whatever the result. Errors:
 * BNF_ERR_FORMAT (names file and data set), BNF_ERR_IO, BNF_ERR_MEMORY. */
bnf_status bnf_sparse_open(bnf_h5_file *file, const char *path, const char *split, bnf_sparse *sparse);
void bnf_sparse_release(bnf_sparse *sparse);

/* Bytes that an image takes when it is fetched: its cells, then its values, filled up to four bytes. */
int64_t bnf_sparse_bytes(const bnf_sparse *sparse, int64_t index);

/* Appends the entries of one image to `bytes`, which are aligned to 4 bytes if what is there is. Thread-safe. Errors:
 * BNF_ERR_ARG, BNF_ERR_FORMAT (a chunk is damaged), BNF_ERR_IO, BNF_ERR_MEMORY. */
bnf_status bnf_sparse_fetch(const bnf_sparse *sparse, int64_t index, bnf_buf *bytes);

/* Makes image[h, w, c] of the values' type from what was fetched of image `index`. Thread-safe. Errors: BNF_ERR_FORMAT
 * (cells do not ascend, or leave the image), BNF_ERR_NUMERIC (NaN or infinity); the message names file and image. */
bnf_status bnf_sparse_make(const bnf_sparse *sparse, const void *bytes, int64_t index, void *image);

/* Reads all entries into memory. Not thread-safe. */
bnf_status bnf_sparse_hold(bnf_sparse *sparse);

/* The other way round: the cells of image[size] whose bits are not zero, in ascending order. cells, values[as many] may
 * be NULL: then they are counted alone. Returns how many there are. */
int64_t bnf_sparse_take(const void *image, bnf_dtype dtype, int64_t size, int32_t *cells, void *values);

#endif
