/* Sparse sets: the cells of a source's images that are not zero, in two passes over the source. First every rank counts
 * the cells of its samples, which tells where each sample's entries go; then all write, chunk by chunk. A chunk holds
 * parts of samples, so a rank reads those that its chunks touch, and every chunk is written once and whole: the file
 * has the same bytes for any number of ranks. */
#include "base/mem.h"
#include "comm/agree.h"
#include "data/import_job.h"
#include "data/sparse.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <stdio.h>
#include <string.h>

#define ROUND_BYTES ((int64_t)8 << 20) /* cells that all ranks together write at a time */

/* One part of a set. */
struct cells_job {
    bnf_import_job *import;
    bnf_split split;
    int64_t n, size, value_bytes;     /* samples; cells of an image; bytes of a value */
    int64_t chunk, round;             /* entries of a chunk; that are written at a time, whole chunks */
    int32_t *cells, *one_cells;       /* [round], [size]: to write; of one image */
    uint8_t *values, *one_values;     /* the same */
    int64_t *offsets, *sample_labels; /* [n + 1], [n] */
};

/* ---- First pass ---- */

/* Samples [first, first + count), first is that of a block: offsets[i + 1] becomes the number of cells of sample i. */
static bnf_status count_rows(struct cells_job *job, int64_t first, int64_t count)
{
    bnf_import_job *in = job->import;

    BNF_TRY(bnf_import_take(in, job->split, first, count));
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *image = (const uint8_t *)in->images + i * in->sample_bytes;
        job->offsets[first + i + 1] = bnf_sparse_take(image, in->dtype, job->size, NULL, NULL);
        job->sample_labels[first + i] = in->labels[i];
    }
    return BNF_OK;
}

static bnf_status count_own(struct cells_job *job)
{
    int64_t lo, hi, rows = job->import->round_rows;

    bnf_import_own_rows(job->import, job->split, &lo, &hi);
    for (int64_t first = lo; first < hi; first += rows)
        BNF_TRY(count_rows(job, first, first + rows < hi ? rows : hi - first));
    return BNF_OK;
}

/* Collective; afterwards every rank knows all offsets and labels. */
static bnf_status count_all(struct cells_job *job)
{
    const bnf_comm *comm = job->import->comm;

    BNF_TRY(bnf_comm_agree(comm, count_own(job)));
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, job->offsets, job->n + 1));
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, job->sample_labels, job->n));
    for (int64_t i = 0; i < job->n; i++)
        job->offsets[i + 1] += job->offsets[i];
    if (job->offsets[job->n] == 0)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "all %s images are zero: a sparse set would be empty",
                        bnf_split_name(job->split));
    return BNF_OK;
}

/* ---- Second pass ---- */

/* The sample that entry k belongs to: the last that begins at or before it and is not empty. */
static int64_t sample_of(const struct cells_job *job, int64_t k)
{
    int64_t lo = 0, hi = job->n - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (job->offsets[mid] <= k)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

/* Puts the entries of one image, of sample i, to their places among those from `a` to before `b`. */
static bnf_status place_entries(struct cells_job *job, int64_t i, const void *image, int64_t a, int64_t b)
{
    int64_t first = job->offsets[i], n = job->offsets[i + 1] - first;

    if (bnf_sparse_take(image, job->import->dtype, job->size, job->one_cells, job->one_values) != n) {
        char where[PATH_MAX + 64];
        job->import->source->locate(job->import->source, job->split, i, where, sizeof where);
        return bnf_fail(BNF_ERR_IO, "%s: the image has changed while it was imported", where);
    }
    int64_t from = first < a ? a : first, to = first + n < b ? first + n : b;
    if (from >= to)
        return BNF_OK;
    memcpy(job->cells + (from - a), job->one_cells + (from - first), (size_t)(to - from) * sizeof *job->cells);
    memcpy(job->values + (from - a) * job->value_bytes, job->one_values + (from - first) * job->value_bytes,
           (size_t)((to - from) * job->value_bytes));
    return BNF_OK;
}

/* Fills the job's cells and values with the entries from `a` to before `b`. */
static bnf_status collect(struct cells_job *job, int64_t a, int64_t b)
{
    bnf_import_job *in = job->import;
    int64_t n = job->n, first = a < b ? sample_of(job, a) : n;

    while (first < n && job->offsets[first] < b) {
        int64_t count = 0;
        while (count < in->round_rows && first + count < n && job->offsets[first + count] < b)
            count++;
        BNF_TRY(bnf_import_read(in, job->split, first, count));
        for (int64_t i = 0; i < count; i++) {
            const uint8_t *image = (const uint8_t *)in->images + i * in->sample_bytes;
            BNF_TRY(place_entries(job, first + i, image, a, b));
        }
        first += count;
    }
    return BNF_OK;
}

/* A round is a range of chunks of the whole set; each rank writes its part of them. */
static bnf_status write_rounds(struct cells_job *job, bnf_h5_dataset *cells, bnf_h5_dataset *values)
{
    int64_t total = job->offsets[job->n];
    int64_t rank = bnf_comm_rank(job->import->comm), ranks = bnf_comm_size(job->import->comm);

    for (int64_t lo = 0; lo < total; lo += job->round) {
        int64_t hi = lo + job->round < total ? lo + job->round : total;
        int64_t chunks = (hi - lo + job->chunk - 1) / job->chunk;
        int64_t a = lo + chunks * rank / ranks * job->chunk, b = lo + chunks * (rank + 1) / ranks * job->chunk;
        b = b < hi ? b : hi;
        int64_t count = a < b ? b - a : 0, start = count > 0 ? a : 0; /* an empty block may not lie beyond the end */
        bnf_status status = collect(job, start, start + count);
        BNF_TRY(bnf_h5_dataset_write_slab_all(cells, BNF_I32, &start, &count, job->cells, status));
        BNF_TRY(bnf_h5_dataset_write_slab_all(values, job->import->dtype, &start, &count, job->values, BNF_OK));
    }
    return BNF_OK;
}

static bnf_status write_entries(struct cells_job *job)
{
    char name[32];
    bnf_import_job *in = job->import;
    int64_t total = job->offsets[job->n], chunk = job->chunk < total ? job->chunk : total;
    bnf_h5_storage storage = {
        .chunk = &chunk, .deflate = in->output->deflate, .shuffle = in->output->deflate > 0, .fletcher32 = true};
    bnf_h5_dataset *cells = NULL, *values = NULL;

    snprintf(name, sizeof name, "/%s/cells", bnf_split_name(job->split));
    bnf_status status = bnf_h5_dataset_create(in->file, name, BNF_I32, 1, &total, &storage, &cells);
    snprintf(name, sizeof name, "/%s/values", bnf_split_name(job->split));
    if (status == BNF_OK)
        status = bnf_h5_dataset_create(in->file, name, in->dtype, 1, &total, &storage, &values);
    if (status == BNF_OK)
        status = write_rounds(job, cells, values);
    bnf_status closed = bnf_h5_dataset_close(cells);
    status = status == BNF_OK ? closed : status;
    closed = bnf_h5_dataset_close(values);
    return status == BNF_OK ? closed : status;
}

/* Every rank has all of it: rank 0's is written. */
static bnf_status write_whole(struct cells_job *job, const char *name, bnf_dtype dtype, int64_t count, const void *data)
{
    bnf_h5_dataset *d;
    BNF_TRY(bnf_h5_dataset_create(job->import->file, name, dtype, 1, &count, NULL, &d));
    bnf_status status = bnf_h5_dataset_write(d, dtype, data);
    bnf_status closed = bnf_h5_dataset_close(d);
    return status == BNF_OK ? closed : status;
}

static bnf_status write_labels(struct cells_job *job)
{
    int64_t n = job->n;
    int32_t *labels = NULL;
    char name[32];

    BNF_TRY(bnf_comm_agree(job->import->comm, bnf_alloc((size_t)n * sizeof *labels, "labels of a set", &labels)));
    for (int64_t i = 0; i < n; i++)
        labels[i] = (int32_t)job->sample_labels[i];
    snprintf(name, sizeof name, "/%s/labels", bnf_split_name(job->split));
    bnf_status status = write_whole(job, name, BNF_I32, n, labels);
    bnf_free(labels);
    return status;
}

static bnf_status prepare(struct cells_job *job)
{
    int64_t cell = (int64_t)sizeof *job->cells, entries = job->import->chunk_bytes / cell;

    job->chunk = entries > 0 ? entries : 1;
    int64_t chunks = ROUND_BYTES / (job->chunk * cell);
    job->round = job->chunk * (chunks > 0 ? chunks : 1);
    BNF_TRY(bnf_calloc((size_t)job->n + 1, sizeof *job->offsets, "offsets of a set", &job->offsets));
    BNF_TRY(bnf_calloc((size_t)job->n, sizeof *job->sample_labels, "labels of a set", &job->sample_labels));
    BNF_TRY(bnf_alloc((size_t)(job->round * cell), "cells of an import", &job->cells));
    BNF_TRY(bnf_alloc((size_t)(job->round * job->value_bytes), "values of an import", &job->values));
    BNF_TRY(bnf_alloc((size_t)(job->size * cell), "cells of an image", &job->one_cells));
    return bnf_alloc((size_t)job->import->sample_bytes, "values of an image", &job->one_values);
}

static bnf_status write_part(struct cells_job *job)
{
    const bnf_source *s = job->import->source;
    const int64_t shape[] = {s->h, s->w, s->c};
    char group[16], name[32];

    BNF_TRY(bnf_comm_agree(job->import->comm, prepare(job)));
    BNF_TRY(count_all(job));
    snprintf(group, sizeof group, "/%s", bnf_split_name(job->split));
    snprintf(name, sizeof name, "%s/offsets", group);
    BNF_TRY(write_whole(job, name, BNF_I64, job->n + 1, job->offsets));
    BNF_TRY(write_labels(job));
    BNF_TRY(write_entries(job));
    return bnf_h5_attr_set_ints(job->import->file, group, "shape", 3, shape);
}

bnf_status bnf_import_write_cells(bnf_import_job *import, bnf_split split)
{
    const bnf_source *s = import->source;
    struct cells_job job = {.import = import,
                            .split = split,
                            .n = s->count[split],
                            .size = s->h * s->w * s->c,
                            .value_bytes = (int64_t)bnf_dtype_size(import->dtype)};

    bnf_status status = write_part(&job);
    bnf_free(job.cells);
    bnf_free(job.one_cells);
    bnf_free(job.values);
    bnf_free(job.one_values);
    bnf_free(job.offsets);
    bnf_free(job.sample_labels);
    return status;
}
