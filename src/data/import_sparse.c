/* Sparse sets: the cells of a source's images that are not zero, in two passes over the source. First every rank counts
 * the cells of its samples, which tells where each sample's entries go; then all write, chunk by chunk. A chunk holds
 * parts of samples, so a rank reads those that its chunks touch, and every chunk is written once and whole: the file
 * has the same bytes for any number of ranks. */
#include "base/mem.h"
#include "comm/agree.h"
#include "data/digest.h"
#include "data/moments.h"
#include "data/source.h"
#include "data/sparse.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SPARSE_VERSION 3               /* of format_version */
#define READ_BYTES ((int64_t)8 << 20)  /* images that a rank reads at a time */
#define ROUND_BYTES ((int64_t)8 << 20) /* cells that all ranks together write at a time */

struct sparse_job {
    const bnf_comm *comm;
    bnf_source *source;
    const bnf_import_output *output;
    char temporary[PATH_MAX];
    bnf_h5_file *file;
    bnf_dtype dtype;
    int64_t size, value_bytes;        /* cells of an image; bytes of a value */
    int64_t block_rows, read_rows;    /* samples of a block of the statistics; read at a time, whole blocks */
    int64_t chunk, round;             /* entries of a chunk; that are written at a time, whole chunks */
    void *images;                     /* [read_rows, size] */
    int32_t *labels;                  /* [read_rows] */
    int32_t *cells, *one_cells;       /* [round], [size]: to write; of one image */
    uint8_t *values, *one_values;     /* the same */
    int64_t *offsets, *sample_labels; /* [n + 1], [n] of the split at hand */
    int64_t sum[BNF_DATA_MAX_CHANNELS], squares[BNF_DATA_MAX_CHANNELS]; /* of the training images, u8 */
    bnf_moments *moments;                                               /* [blocks, c] of the same, f32 */
    uint64_t digest[BNF_SPLIT_COUNT];
};

/* ---- First pass ---- */

static void add_statistics(struct sparse_job *job, int64_t first, int64_t count)
{
    const bnf_source *s = job->source;
    int64_t area = s->h * s->w;

    if (job->dtype == BNF_U8)
        bnf_import_add_pixels(job->images, count * area, s->c, job->sum, job->squares);
    for (int64_t i = 0; i < count && job->dtype == BNF_F32; i += job->block_rows) {
        int64_t rows = count - i < job->block_rows ? count - i : job->block_rows;
        bnf_moments_take((const float *)job->images + i * job->size, rows * area, s->c,
                         job->moments + (first + i) / job->block_rows * s->c);
    }
}

/* Samples [first, first + count), first is that of a block: offsets[i + 1] becomes the number of cells of sample i. */
static bnf_status count_rows(struct sparse_job *job, bnf_split split, int64_t first, int64_t count)
{
    int64_t bytes = job->size * job->value_bytes;

    BNF_TRY(bnf_import_read(job->source, split, first, count, job->images, job->labels));
    job->digest[split] += bnf_digest_samples(job->images, bytes, job->labels, first, count);
    if (split == BNF_TRAIN)
        add_statistics(job, first, count);
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *image = (const uint8_t *)job->images + i * bytes;
        job->offsets[first + i + 1] = bnf_sparse_take(image, job->dtype, job->size, NULL, NULL);
        job->sample_labels[first + i] = job->labels[i];
    }
    return BNF_OK;
}

static bnf_status count_own(struct sparse_job *job, bnf_split split)
{
    int64_t n = job->source->count[split], rank = bnf_comm_rank(job->comm), ranks = bnf_comm_size(job->comm);
    int64_t blocks = (n + job->block_rows - 1) / job->block_rows;
    int64_t lo = blocks * rank / ranks * job->block_rows, hi = blocks * (rank + 1) / ranks * job->block_rows;

    hi = hi < n ? hi : n;
    for (int64_t first = lo; first < hi; first += job->read_rows)
        BNF_TRY(count_rows(job, split, first, first + job->read_rows < hi ? job->read_rows : hi - first));
    return BNF_OK;
}

/* Collective; afterwards every rank knows all offsets and labels. */
static bnf_status count_split(struct sparse_job *job, bnf_split split)
{
    int64_t n = job->source->count[split];

    bnf_status status = bnf_calloc((size_t)n + 1, sizeof *job->offsets, "offsets of a set", &job->offsets);
    if (status == BNF_OK)
        status = bnf_calloc((size_t)n, sizeof *job->sample_labels, "labels of a set", &job->sample_labels);
    if (status == BNF_OK)
        status = count_own(job, split);
    BNF_TRY(bnf_comm_agree(job->comm, status));
    BNF_TRY(bnf_comm_allreduce_i64(job->comm, BNF_COMM_SUM, job->offsets, n + 1));
    BNF_TRY(bnf_comm_allreduce_i64(job->comm, BNF_COMM_SUM, job->sample_labels, n));
    for (int64_t i = 0; i < n; i++)
        job->offsets[i + 1] += job->offsets[i];
    if (job->offsets[n] == 0)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "all %s images are zero: a sparse set would be empty",
                        bnf_split_name(split));
    return BNF_OK;
}

/* ---- Second pass ---- */

/* The sample that entry k belongs to: the last that begins at or before it and is not empty. */
static int64_t sample_of(const struct sparse_job *job, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1;
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
static bnf_status place_entries(struct sparse_job *job, bnf_split split, int64_t i, const void *image, int64_t a,
                                int64_t b)
{
    int64_t first = job->offsets[i], n = job->offsets[i + 1] - first;

    if (bnf_sparse_take(image, job->dtype, job->size, job->one_cells, job->one_values) != n) {
        char where[PATH_MAX + 64];
        job->source->locate(job->source, split, i, where, sizeof where);
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
static bnf_status collect(struct sparse_job *job, bnf_split split, int64_t a, int64_t b)
{
    int64_t n = job->source->count[split], first = a < b ? sample_of(job, n, a) : n;

    while (first < n && job->offsets[first] < b) {
        int64_t count = 0;
        while (count < job->read_rows && first + count < n && job->offsets[first + count] < b)
            count++;
        BNF_TRY(bnf_import_read(job->source, split, first, count, job->images, job->labels));
        for (int64_t i = 0; i < count; i++) {
            const uint8_t *image = (const uint8_t *)job->images + i * job->size * job->value_bytes;
            BNF_TRY(place_entries(job, split, first + i, image, a, b));
        }
        first += count;
    }
    return BNF_OK;
}

/* A round is a range of chunks of the whole set; each rank writes its part of them. */
static bnf_status write_rounds(struct sparse_job *job, bnf_split split, bnf_h5_dataset *cells, bnf_h5_dataset *values)
{
    int64_t total = job->offsets[job->source->count[split]];
    int64_t rank = bnf_comm_rank(job->comm), ranks = bnf_comm_size(job->comm);

    for (int64_t lo = 0; lo < total; lo += job->round) {
        int64_t hi = lo + job->round < total ? lo + job->round : total;
        int64_t chunks = (hi - lo + job->chunk - 1) / job->chunk;
        int64_t a = lo + chunks * rank / ranks * job->chunk, b = lo + chunks * (rank + 1) / ranks * job->chunk;
        b = b < hi ? b : hi;
        int64_t count = a < b ? b - a : 0, start = count > 0 ? a : 0; /* an empty block may not lie beyond the end */
        bnf_status status = collect(job, split, start, start + count);
        BNF_TRY(bnf_h5_dataset_write_slab_all(cells, BNF_I32, &start, &count, job->cells, status));
        BNF_TRY(bnf_h5_dataset_write_slab_all(values, job->dtype, &start, &count, job->values, BNF_OK));
    }
    return BNF_OK;
}

static bnf_status write_entries(struct sparse_job *job, bnf_split split)
{
    char name[32];
    int64_t total = job->offsets[job->source->count[split]], chunk = job->chunk < total ? job->chunk : total;
    bnf_h5_storage storage = {
        .chunk = &chunk, .deflate = job->output->deflate, .shuffle = job->output->deflate > 0, .fletcher32 = true};
    bnf_h5_dataset *cells = NULL, *values = NULL;

    snprintf(name, sizeof name, "/%s/cells", bnf_split_name(split));
    bnf_status status = bnf_h5_dataset_create(job->file, name, BNF_I32, 1, &total, &storage, &cells);
    snprintf(name, sizeof name, "/%s/values", bnf_split_name(split));
    if (status == BNF_OK)
        status = bnf_h5_dataset_create(job->file, name, job->dtype, 1, &total, &storage, &values);
    if (status == BNF_OK)
        status = write_rounds(job, split, cells, values);
    bnf_status closed = bnf_h5_dataset_close(cells);
    status = status == BNF_OK ? closed : status;
    closed = bnf_h5_dataset_close(values);
    return status == BNF_OK ? closed : status;
}

/* Every rank has all of it: rank 0's is written. */
static bnf_status write_whole(struct sparse_job *job, const char *name, bnf_dtype dtype, int64_t count,
                              const void *data)
{
    bnf_h5_dataset *d;
    BNF_TRY(bnf_h5_dataset_create(job->file, name, dtype, 1, &count, NULL, &d));
    bnf_status status = bnf_h5_dataset_write(d, dtype, data);
    bnf_status closed = bnf_h5_dataset_close(d);
    return status == BNF_OK ? closed : status;
}

static bnf_status write_labels(struct sparse_job *job, bnf_split split)
{
    int64_t n = job->source->count[split];
    int32_t *labels = NULL;
    char name[32];

    BNF_TRY(bnf_comm_agree(job->comm, bnf_alloc((size_t)n * sizeof *labels, "labels of a set", &labels)));
    for (int64_t i = 0; i < n; i++)
        labels[i] = (int32_t)job->sample_labels[i];
    snprintf(name, sizeof name, "/%s/labels", bnf_split_name(split));
    bnf_status status = write_whole(job, name, BNF_I32, n, labels);
    bnf_free(labels);
    return status;
}

static bnf_status write_split(struct sparse_job *job, bnf_split split)
{
    const bnf_source *s = job->source;
    const int64_t shape[] = {s->h, s->w, s->c};
    char group[16], name[32], text[BNF_CHECKSUM_HEX];

    snprintf(group, sizeof group, "/%s", bnf_split_name(split));
    snprintf(name, sizeof name, "%s/offsets", group);
    BNF_TRY(count_split(job, split));
    BNF_TRY(write_whole(job, name, BNF_I64, s->count[split] + 1, job->offsets));
    BNF_TRY(write_labels(job, split));
    BNF_TRY(write_entries(job, split));
    BNF_TRY(bnf_digest_reduce(job->comm, &job->digest[split]));
    BNF_TRY(bnf_h5_attr_set_ints(job->file, group, "shape", 3, shape));
    BNF_TRY(bnf_h5_attr_set_strs(job->file, group, "classes", s->classes, (const char *const *)s->class_names));
    return bnf_h5_attr_set_str(job->file, group, "checksum", bnf_checksum_format(job->digest[split], text));
}

static void free_split(struct sparse_job *job)
{
    bnf_free(job->offsets);
    bnf_free(job->sample_labels);
    job->offsets = job->sample_labels = NULL;
}

/* ---- The whole file ---- */

static bnf_status write_statistics(struct sparse_job *job)
{
    const bnf_source *s = job->source;
    int64_t area = s->h * s->w, pixels = s->count[BNF_TRAIN] * area;

    if (job->dtype == BNF_U8)
        return bnf_import_statistics(job->comm, job->file, pixels, s->c, job->sum, job->squares);
    return bnf_moments_write(job->comm, job->file, pixels, job->block_rows * area, s->c, job->moments);
}

static bnf_status write_content(struct sparse_job *job)
{
    const bnf_source *s = job->source;
    char text[BNF_CHECKSUM_HEX];

    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        bnf_status status = s->count[split] > 0 ? write_split(job, (bnf_split)split) : BNF_OK;
        free_split(job);
        BNF_TRY(status);
    }
    BNF_TRY(write_statistics(job));
    BNF_TRY(bnf_h5_attr_set_int(job->file, "/", "format_version", SPARSE_VERSION));
    BNF_TRY(bnf_h5_attr_set_str(job->file, "/", "source", s->description));
    bnf_checksum_format(bnf_digest_set(job->digest, s->count, s->h, s->w, s->c), text);
    return bnf_h5_attr_set_str(job->file, "/", "checksum", text);
}

static int64_t at_least_1(int64_t n)
{
    return n > 0 ? n : 1;
}

static bnf_status check_job(const struct sparse_job *job)
{
    const bnf_source *s = job->source;
    int deflate = job->output->deflate;

    if (deflate < 0 || deflate > 9)
        return bnf_fail(BNF_ERR_ARG, "a deflate level of %d: it must be 0 to 9", deflate);
    if (s->c > BNF_DATA_MAX_CHANNELS)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "%lld channels; at most %d", (long long)s->c, BNF_DATA_MAX_CHANNELS);
    if (s->h * s->w > INT32_MAX / s->c)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "images of %lld x %lld x %lld cells: at most 2^31 - 1", (long long)s->h,
                        (long long)s->w, (long long)s->c);
    return BNF_OK;
}

static bnf_status prepare_job(struct sparse_job *job)
{
    const bnf_source *s = job->source;
    int64_t chunk_bytes = job->output->chunk_bytes > 0 ? job->output->chunk_bytes : BNF_IMPORT_CHUNK_BYTES;

    BNF_TRY(check_job(job));
    if (snprintf(job->temporary, sizeof job->temporary, "%s.tmp", job->output->path) >= (int)sizeof job->temporary)
        return bnf_fail(BNF_ERR_ARG, "the path '%s' is too long", job->output->path);
    job->dtype = s->read_f32 ? BNF_F32 : BNF_U8;
    job->size = s->h * s->w * s->c;
    job->value_bytes = (int64_t)bnf_dtype_size(job->dtype);
    int64_t bytes = job->size * job->value_bytes;
    job->block_rows = at_least_1(chunk_bytes / bytes); /* as in a decoded set: the same statistics */
    job->read_rows = job->block_rows * at_least_1(READ_BYTES / (job->block_rows * bytes));
    job->chunk = at_least_1(chunk_bytes / (int64_t)sizeof(int32_t));
    job->round = job->chunk * at_least_1(ROUND_BYTES / (job->chunk * (int64_t)sizeof(int32_t)));
    if (job->dtype == BNF_F32) {
        int64_t blocks = (s->count[BNF_TRAIN] + job->block_rows - 1) / job->block_rows;
        BNF_TRY(bnf_calloc((size_t)(blocks * s->c), sizeof *job->moments, "statistics of an import", &job->moments));
    }
    BNF_TRY(bnf_alloc((size_t)(job->read_rows * bytes), "images of an import", &job->images));
    BNF_TRY(bnf_alloc((size_t)job->read_rows * sizeof *job->labels, "labels of an import", &job->labels));
    BNF_TRY(bnf_alloc((size_t)job->round * sizeof *job->cells, "cells of an import", &job->cells));
    BNF_TRY(bnf_alloc((size_t)(job->round * job->value_bytes), "values of an import", &job->values));
    BNF_TRY(bnf_alloc((size_t)job->size * sizeof *job->cells, "cells of an image", &job->one_cells));
    return bnf_alloc((size_t)bytes, "values of an image", &job->one_values);
}

static bnf_status run_job(struct sparse_job *job)
{
    BNF_TRY(bnf_comm_agree(job->comm, prepare_job(job)));
    bnf_status status = bnf_h5_file_create_parallel(job->temporary, job->comm, &job->file);
    if (status == BNF_OK) {
        status = write_content(job);
        bnf_status closed = bnf_h5_file_close(job->file);
        status = status == BNF_OK ? closed : status;
    }
    return bnf_import_settle(job->comm, job->temporary, job->output->path, status);
}

static void free_job(struct sparse_job *job)
{
    if (!job)
        return;
    bnf_free(job->moments);
    bnf_free(job->images);
    bnf_free(job->labels);
    bnf_free(job->cells);
    bnf_free(job->values);
    bnf_free(job->one_cells);
    bnf_free(job->one_values);
    bnf_free(job);
}

bnf_status bnf_import_run_sparse(const bnf_comm *comm, bnf_source *source, const bnf_import_output *output,
                                 bnf_import_summary *summary)
{
    struct sparse_job *job = NULL;
    bnf_status status = bnf_comm_agree(comm, bnf_calloc(1, sizeof *job, "import", &job));

    if (status == BNF_OK) {
        job->comm = comm;
        job->source = source;
        job->output = output;
        status = run_job(job);
    }
    if (status == BNF_OK) {
        *summary = (bnf_import_summary){.count = {source->count[BNF_TRAIN], source->count[BNF_TEST]},
                                        .h = source->h,
                                        .w = source->w,
                                        .c = source->c,
                                        .classes = source->classes,
                                        .ignored_files = source->ignored_files};
        bnf_checksum_format(bnf_digest_set(job->digest, source->count, source->h, source->w, source->c),
                            summary->checksum);
    }
    free_job(job);
    source->destroy(source);
    return status;
}
