/* data/view.h - images that are made when they are read: decoded from the bytes of picture files, cropped and scaled,
 * or from their cells that are not zero.
 *
 * First the stored content of some images is fetched (one thread: HDF5 has one lock), then each is made by itself, by
 * any thread. */
#ifndef BNF_DATA_VIEW_H
#define BNF_DATA_VIEW_H

#include "base/str.h"
#include "data/image.h"
#include "data/resize.h"

#include <banff/data.h>

/* Whether an image is more than a copy of what is stored: only then the functions below are of use. */
bool bnf_dataset_makes(const bnf_dataset *dataset);

/* Rows and columns of an image as stored, which a box counts in. */
bnf_image_extents bnf_dataset_extents(const bnf_dataset *dataset, int64_t index);

/* Stored content of some images. Zero-initialise before first use; used again it recycles its memory. */
typedef struct bnf_raw {
    bnf_buf bytes;
    int64_t *start; /* [count + 1] where each image's bytes begin */
    int64_t capacity;
} bnf_raw;
void bnf_raw_release(bnf_raw *raw);

/* [out] raw of the images index[0] <= index[1] <= ... Errors: those of bnf_dataset_read. Thread-safe. */
bnf_status bnf_dataset_fetch(const bnf_dataset *dataset, int64_t count, const int64_t *index, bnf_raw *raw);

/* A thread's work space. Zero-initialise before first use. */
typedef struct bnf_maker {
    bnf_image image;
    bnf_resizer resizer;
} bnf_maker;
void bnf_maker_release(bnf_maker *maker);

/* Makes one image[h, w, c] of the set's extents and type (u8 but for sparse sets) from bytes[size], the stored content
 * of image `index`.
 *   box  what of the stored picture is scaled to it; NULL: what evaluation sees (bnf_dataset_set_size). NULL for a
 *        sparse set
 * Errors: BNF_ERR_FORMAT (damaged: names file and image), BNF_ERR_NUMERIC, BNF_ERR_MEMORY. Thread-safe. */
bnf_status bnf_dataset_make(const bnf_dataset *dataset, bnf_maker *maker, const void *bytes, int64_t size,
                            int64_t index, const bnf_image_box *box, void *image);

#endif
