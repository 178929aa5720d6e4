/* data/idx.h - files of the IDX format (the form of MNIST and its kin), plain or compressed by gzip. */
#ifndef BNF_DATA_IDX_H
#define BNF_DATA_IDX_H

#include <banff/base.h>

#define BNF_IDX_MAX_DIMS 4

/* Layout of a file: two zero bytes, 0x08 (unsigned byte; other types are refused), number of dimensions, each dimension
 * as 32 bits big-endian, then the items in row-major order. */
typedef struct bnf_idx bnf_idx;

/* Opens and checks the header. [out] idx  owned, release with bnf_idx_close.
 * Errors: BNF_ERR_IO (cannot open), BNF_ERR_FORMAT (magic, type, dimensions, truncation), BNF_ERR_MEMORY. */
bnf_status bnf_idx_open(const char *path, bnf_idx **idx);
void bnf_idx_close(bnf_idx *idx); /* NULL is legal */

/* dim[0] is the number of items, dim[1..ndim) the extents of one item; item_bytes the product of those. Borrowed. */
int bnf_idx_ndim(const bnf_idx *idx);
const int64_t *bnf_idx_dims(const bnf_idx *idx);
int64_t bnf_idx_item_bytes(const bnf_idx *idx);

/* Reads items [first, first + count) to items[count * item_bytes]. Reading forward is cheap; going back starts a
 * compressed file anew. A read that ends with the last item also checks that the file ends there and that gzip's check
 * sum holds. Errors: BNF_ERR_FORMAT (truncated, corrupt, longer than its header says), BNF_ERR_IO. */
bnf_status bnf_idx_read(bnf_idx *idx, int64_t first, int64_t count, uint8_t *items);

#endif
