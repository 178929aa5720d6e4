/* data/import_parts.h - the parts of an encoded set's import: what is done stays done.
 *
 * A part holds the samples [first, first + count) of a split. It is written by one process under a temporary name,
 * synced and renamed: a part that has its name is complete. Its content depends on nothing but the list of samples. */
#ifndef BNF_DATA_IMPORT_PARTS_H
#define BNF_DATA_IMPORT_PARTS_H

#include "data/image.h"
#include "data/source.h"

typedef struct bnf_import_part {
    bnf_split split;
    int64_t first, count;
    bnf_buf bytes;
    int64_t *sizes, *sums; /* [count] of each picture's bytes; XXH3-64 of them */
    int32_t *extents;      /* [count, 2] */
    int32_t *labels;       /* [count] */
    int64_t pixels;        /* of all its pictures */
    int64_t sum[3], squares[3];
    uint64_t digest; /* of its samples: see digest.h */
} bnf_import_part;

void bnf_import_part_release(bnf_import_part *part);

/* Fills a part from the source: reads, decodes and counts. `image` is work space. Errors name the picture's file. */
bnf_status bnf_import_part_make(bnf_source *source, bnf_image *image, bnf_import_part *part);

/* `fingerprint` says which import a part belongs to. Not collective. Errors of reading: BNF_ERR_CONFIG (a part of
 * another import), BNF_ERR_FORMAT (damaged; compared with its sums), BNF_ERR_IO; all name the file. */
bnf_status bnf_import_part_write(const char *path, const char *fingerprint, int64_t channels,
                                 const bnf_import_part *part);
bnf_status bnf_import_part_read(const char *path, const char *fingerprint, int64_t channels, bnf_import_part *part);

/* Looks at a part's head alone: enough to know that it is there and belongs here. */
bnf_status bnf_import_part_check(const char *path, const char *fingerprint);

#endif
