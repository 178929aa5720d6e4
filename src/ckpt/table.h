/* ckpt/table.h - the block of text in front of a checkpoint's HDF5 data.
 *
 *     BANFF CHECKPOINT 1
 *     table <bytes of this block: a power of two, 512 or more, as HDF5 wants it>
 *     step <step>
 *     image <bytes of the HDF5 data> <their checksum>
 *     parts <count>                             (only where the first line says CHECKPOINT 2)
 *     <name of the file> <its bytes> <checksum that its own block ends with>
 *     entries <count>
 *     <name> <type> <number of dimensions> <extents...> <offset in the HDF5 data> <bytes> <checksum>   (by name)
 *     zero bytes
 *     end <checksum of the block up to the line break before "end">
 *
 * Checksums are XXH3-64 in hex. */
#ifndef BNF_CKPT_TABLE_H
#define BNF_CKPT_TABLE_H

#include "ckpt/checkpoint.h"

typedef struct bnf_ckpt_part {
    char *name; /* of a file in the same folder */
    int64_t bytes;
    uint64_t checksum;
} bnf_ckpt_part;

typedef struct bnf_ckpt_table {
    int64_t step;
    int64_t image_bytes;
    uint64_t image_checksum;
    int64_t block_bytes;     /* of the block itself, when it was read or formatted */
    uint64_t block_checksum; /* its last line, likewise */
    int64_t part_count, part_room;
    bnf_ckpt_part *part; /* [part_count] */
    int64_t count;
    bnf_ckpt_entry *entry; /* [count], room for `room` */
    int64_t room;
} bnf_ckpt_table;

/* Appends a copy of `entry`. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_ckpt_table_add(bnf_ckpt_table *table, const bnf_ckpt_entry *entry);

bnf_status bnf_ckpt_table_add_part(bnf_ckpt_table *table, const bnf_ckpt_part *part);

/* The entry of that name; NULL if there is none. Linear. */
const bnf_ckpt_entry *bnf_ckpt_table_find(const bnf_ckpt_table *table, const char *name);
void bnf_ckpt_table_sort(bnf_ckpt_table *table);
void bnf_ckpt_table_release(bnf_ckpt_table *table); /* zeroed content is legal */

/* Appends the block to `block` (empty before) and sets block_bytes. */
bnf_status bnf_ckpt_table_format(bnf_ckpt_table *table, bnf_buf *block);

/* Bytes of the block by its first lines, text[size]. Errors: BNF_ERR_FORMAT naming `path`. */
bnf_status bnf_ckpt_table_size(const char *path, const char *text, int64_t size, int64_t *block_bytes);
#define BNF_CKPT_TABLE_HEAD 64 /* bytes that are enough for that */

/* Reads a block text[block_bytes], which is changed. [out] table released by the caller, whatever the result. Errors:
 * BNF_ERR_FORMAT naming `path`, BNF_ERR_MEMORY. */
bnf_status bnf_ckpt_table_parse(const char *path, char *text, int64_t block_bytes, bnf_ckpt_table *table);

/* "f32[64,3,3,3]". Returns text. */
const char *bnf_ckpt_shape(bnf_dtype dtype, int ndim, const int64_t *dim, char *text, size_t size);

#endif
