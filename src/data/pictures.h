/* data/pictures.h - the pictures of a split as the bytes of their files: JPEG, PNG, PGM, PPM, one behind another.
 *
 *   /train/bytes    [B]     u8   all files' bytes
 *   /train/offsets  [N+1]   i64  picture i has the bytes offsets[i] <= k < offsets[i+1]; offsets[0] = 0, offsets[N] = B
 *   /train/extents  [N,2]   i32  rows and columns of each picture, decoded
 *   /train/sums     [N]     i64  XXH3-64 of each picture's bytes; optional to read
 *
 * and the root's attribute `channels`, 1 or 3, to which every picture is brought when it is decoded. */
#ifndef BNF_DATA_PICTURES_H
#define BNF_DATA_PICTURES_H

#include "base/str.h"
#include "h5/dataset.h"

typedef struct bnf_pictures {
    const char *path, *split;       /* borrowed: for messages */
    bnf_h5_dataset *bytes;          /* the only one that stays open */
    int64_t count, channels, total; /* total: all bytes */
    int64_t *offsets;               /* [count + 1] */
    int32_t *extents;               /* [count, 2] */
    int64_t *sums;                  /* [count]; NULL: not stated */
    int64_t h, w;                   /* of all pictures; 0: they differ */
    uint8_t *held;                  /* [total]; NULL: read from the file */
} bnf_pictures;

/* Opens and checks everything but the bytes. `pictures` is zeroed before; release it whatever the result. Errors:
 * BNF_ERR_FORMAT (names file and data set), BNF_ERR_IO, BNF_ERR_MEMORY. */
bnf_status bnf_pictures_open(bnf_h5_file *file, const char *path, const char *split, bnf_pictures *pictures);
void bnf_pictures_release(bnf_pictures *pictures);

/* Appends the bytes of the pictures index[0], ..., index[count - 1], neighbours by one request, and compares them with
 * their sums. Thread-safe. Errors: BNF_ERR_FORMAT (names file and picture), BNF_ERR_IO, BNF_ERR_MEMORY. */
bnf_status bnf_pictures_read(const bnf_pictures *pictures, int64_t count, const int64_t *index, bnf_buf *bytes);

/* Reads all bytes into memory. Not thread-safe. */
bnf_status bnf_pictures_hold(bnf_pictures *pictures);

#endif
