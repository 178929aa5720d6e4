/* data/import_job.h - an import on its way into a file of images, decoded or sparse. import.c runs it; how the content
 * of a part is stored is either its own affair or import_sparse.c's. */
#ifndef BNF_DATA_IMPORT_JOB_H
#define BNF_DATA_IMPORT_JOB_H

#include "data/moments.h"
#include "data/source.h"

#include <limits.h>

typedef struct bnf_import_job {
    const bnf_comm *comm;
    bnf_source *source;
    const bnf_import_output *output;
    char temporary[PATH_MAX];
    bnf_h5_file *file;
    bnf_dtype dtype;      /* of the images */
    int64_t sample_bytes; /* of an image */
    int64_t chunk_bytes;  /* aimed size of a chunk */
    int64_t chunk_rows;   /* images of that size, one at the least: blocks of the statistics, chunks of a decoded set */
    int64_t round_rows;   /* samples that are read at a time, whole blocks */
    void *images;         /* [round_rows, h, w, c] */
    int32_t *labels;      /* [round_rows] */
    int64_t sum[BNF_DATA_MAX_CHANNELS], squares[BNF_DATA_MAX_CHANNELS]; /* of the training pixels, u8 */
    bnf_moments *moments; /* [training blocks, c] of the training pixels, f32; zero for blocks of other ranks */
    uint64_t digest[BNF_SPLIT_COUNT];
} bnf_import_job;

/* The samples [lo, hi) that this rank takes: whole blocks. */
void bnf_import_own_rows(const bnf_import_job *job, bnf_split split, int64_t *lo, int64_t *hi);

/* Reads the samples [first, first + count) into the job's buffers: labels are in range, f32 images finite. */
bnf_status bnf_import_read(bnf_import_job *job, bnf_split split, int64_t first, int64_t count);

/* The same once for every sample, for the checksum and the statistics; first is that of a block. */
bnf_status bnf_import_take(bnf_import_job *job, bnf_split split, int64_t first, int64_t count);

/* Writes all of a part of a sparse set (data/sparse.h) but class names and checksum. Takes every sample, then reads
 * it again. The same bytes for any number of ranks. Collective. Errors: BNF_ERR_UNSUPPORTED if all images are zero. */
bnf_status bnf_import_write_cells(bnf_import_job *job, bnf_split split);

#endif
