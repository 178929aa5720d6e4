/* banff/tensor.h - element type and shape of a dense array.
 *
 * Every array that an operation sees is plain row-major and contiguous. Images are channels-last: x[N,H,W,C]. The
 * only arrays in another layout are parameters packed for a kernel (ops/op.h, bnf_pack); nobody but that kernel reads
 * them. */
#ifndef BANFF_TENSOR_H
#define BANFF_TENSOR_H

#include <banff/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BNF_MAX_DIMS 5

/* Shape and element type. A scalar has ndim 1 and dim[0] 1. Extents are positive. */
typedef struct bnf_desc {
    bnf_dtype dtype;
    int32_t ndim;
    int64_t dim[BNF_MAX_DIMS];
} bnf_desc;

/* Builds a descriptor from `ndim` extents. */
bnf_desc bnf_desc_make(bnf_dtype dtype, int ndim, const int64_t *dim);
bnf_desc bnf_desc_1d(bnf_dtype dtype, int64_t n);
bnf_desc bnf_desc_2d(bnf_dtype dtype, int64_t n, int64_t c);
bnf_desc bnf_desc_4d(bnf_dtype dtype, int64_t n, int64_t h, int64_t w, int64_t c);

/* Number of elements; bytes. */
int64_t bnf_desc_count(const bnf_desc *d);
size_t bnf_desc_bytes(const bnf_desc *d);

/* Same shape, element type aside; the same in both. */
bool bnf_desc_same_shape(const bnf_desc *a, const bnf_desc *b);
bool bnf_desc_equal(const bnf_desc *a, const bnf_desc *b);

/* Number of elements before the last dimension, and the last extent: x[rows, cols]. */
int64_t bnf_desc_rows(const bnf_desc *d);
int64_t bnf_desc_cols(const bnf_desc *d);

/* "f32[8,28,28,1]" for messages. Writes at most `size` bytes with the final zero; returns `text`. */
const char *bnf_desc_format(const bnf_desc *d, char *text, size_t size);

/* Shape of a op b with trailing dimensions aligned and extents of 1 stretched. Errors: BNF_ERR_ARG. */
bnf_status bnf_desc_broadcast(const bnf_desc *a, const bnf_desc *b, bnf_desc *out);

#ifdef __cplusplus
}
#endif
#endif
