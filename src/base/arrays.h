/* base/arrays.h - named arrays of a file in memory, and NumPy's .npz archives and .npy files. */
#ifndef BNF_BASE_ARRAYS_H
#define BNF_BASE_ARRAYS_H

#include "base/str.h"

#include <stdbool.h>

#define BNF_ARRAY_MAX_DIMS 8

typedef struct bnf_array {
    char *name;     /* owned */
    char dtype[16]; /* as the file says it: "<f4", "F32" */
    bool f32;
    int ndim;
    int64_t dim[BNF_ARRAY_MAX_DIMS];
    const void *values; /* borrowed from the file's content or `unpacked`; at any address, so copy before use */
    void *unpacked;     /* owned: what a compressed entry was; NULL if it was none */
} bnf_array;

/* A file's arrays in the order of the file. Zero-initialise, release with bnf_arrays_release. */
typedef struct bnf_arrays {
    bnf_buf content;
    bnf_array *item; /* [count] */
    int64_t count, room;
} bnf_arrays;

void bnf_arrays_release(bnf_arrays *arrays);

/* Elements of the shape; -1 if the product is not an int64_t or an extent is negative. */
int64_t bnf_array_elements(const bnf_array *array);

/* The array of that name; NULL if there is none. */
const bnf_array *bnf_arrays_find(const bnf_arrays *arrays, const char *name);

/* "[64, 3, 7, 7]" in `text`, which is returned. */
const char *bnf_array_shape_text(int ndim, const int64_t *dim, char *text, size_t size);

/* Appends an array, whose values point into the content. The name is copied; `unpacked` is taken over, also after an
 * error. */
bnf_status bnf_arrays_add(bnf_arrays *arrays, const bnf_array *array, const char *name);

/* The content is there and is an .npz archive: a ZIP file of .npy files, stored or deflated. Where the size of an
 * element follows from the type, shape and size of every array agree. Errors: BNF_ERR_FORMAT (cut off, damaged: entries
 * have checksums), BNF_ERR_UNSUPPORTED (larger than 4 GiB, packed in another way, arrays that lie column by column),
 * BNF_ERR_MEMORY; messages name the array, not the file. */
bnf_status bnf_arrays_parse_npz(bnf_arrays *arrays);
/* The same of an .npy file: one array, whose name is "". */
bnf_status bnf_arrays_parse_npy(bnf_arrays *arrays);

#endif
