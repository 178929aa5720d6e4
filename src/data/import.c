/* What all importers share: ranks' ranges, statistics, checksum, the file. Storing images, too. */
#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "data/digest.h"
#include "data/import_job.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <math.h>
#include <stdio.h>

#define DECODED_VERSION 1 /* of format_version: programs that know no encoded sets can read these */
#define SPARSE_VERSION 3
#define CHUNK_BYTES ((int64_t)64 << 10) /* of a chunk, if nothing is asked for */
#define ROUND_BYTES ((int64_t)8 << 20)  /* images that a rank decodes between two collective writes */

__extension__ typedef __int128 wide; /* products of sums over all pixels */

const char *bnf_split_name(bnf_split split)
{
    return split == BNF_TRAIN ? "train" : "test";
}

/* ---- One split ---- */

void bnf_import_add_pixels(const uint8_t *pixels, int64_t count, int64_t channels, int64_t *sum, int64_t *squares)
{
    for (int64_t ch = 0; ch < channels; ch++) {
        int64_t s = 0, q = 0;
        for (int64_t i = 0; i < count; i++) {
            int64_t v = pixels[i * channels + ch];
            s += v;
            q += v * v;
        }
        sum[ch] += s;
        squares[ch] += q;
    }
}

static bnf_status check_labels(const bnf_source *s, bnf_split split, int64_t first, int64_t count,
                               const int32_t *labels)
{
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] >= 0 && labels[i] < s->classes)
            continue;
        char where[PATH_MAX + 64];
        s->locate(s, split, first + i, where, sizeof where);
        return bnf_fail(BNF_ERR_FORMAT, "%s: label %d is out of range; there are %lld classes", where, (int)labels[i],
                        (long long)s->classes);
    }
    return BNF_OK;
}

static bnf_status read_f32(bnf_source *s, bnf_split split, int64_t first, int64_t count, float *images, int32_t *labels)
{
    int64_t size = s->h * s->w * s->c;

    BNF_TRY(s->read_f32(s, split, first, count, images, labels));
    for (int64_t i = 0; i < count * size; i++) {
        if (isfinite(images[i]))
            continue;
        char where[PATH_MAX + 64];
        s->locate(s, split, first + i / size, where, sizeof where);
        return bnf_fail(BNF_ERR_NUMERIC, "%s: the image holds NaN or infinity", where);
    }
    return BNF_OK;
}

bnf_status bnf_import_read(bnf_import_job *job, bnf_split split, int64_t first, int64_t count)
{
    bnf_source *s = job->source;
    BNF_TRY(s->read_f32 ? read_f32(s, split, first, count, job->images, job->labels)
                        : s->read(s, split, first, count, job->images, job->labels));
    return check_labels(s, split, first, count, job->labels);
}

/* Samples [first, first + count) of the training part; first is that of a block. */
static void add_moments(bnf_import_job *job, int64_t first, int64_t count)
{
    const bnf_source *s = job->source;
    int64_t area = s->h * s->w, rows = job->chunk_rows;

    for (int64_t i = 0; i < count; i += rows)
        bnf_moments_take((const float *)job->images + i * area * s->c, (count - i < rows ? count - i : rows) * area,
                         s->c, job->moments + (first + i) / rows * s->c);
}

bnf_status bnf_import_take(bnf_import_job *job, bnf_split split, int64_t first, int64_t count)
{
    const bnf_source *s = job->source;

    if (count == 0)
        return BNF_OK;
    BNF_TRY(bnf_import_read(job, split, first, count));
    job->digest[split] += bnf_digest_samples(job->images, job->sample_bytes, job->labels, first, count);
    if (split == BNF_TRAIN && job->moments)
        add_moments(job, first, count);
    else if (split == BNF_TRAIN)
        bnf_import_add_pixels(job->images, count * s->h * s->w, s->c, job->sum, job->squares);
    return BNF_OK;
}

void bnf_import_own_rows(const bnf_import_job *job, bnf_split split, int64_t *lo, int64_t *hi)
{
    int64_t n = job->source->count[split], rank = bnf_comm_rank(job->comm), ranks = bnf_comm_size(job->comm);
    int64_t blocks = (n + job->chunk_rows - 1) / job->chunk_rows;

    *lo = blocks * rank / ranks * job->chunk_rows;
    *hi = blocks * (rank + 1) / ranks * job->chunk_rows;
    *lo = *lo < n ? *lo : n;
    *hi = *hi < n ? *hi : n;
}

static bnf_status write_rows(bnf_import_job *job, bnf_split split, int64_t first, int64_t count, bnf_h5_dataset *images,
                             bnf_h5_dataset *labels)
{
    const bnf_source *s = job->source;
    int64_t start[] = {first, 0, 0, 0}, extent[] = {count, s->h, s->w, s->c};

    bnf_status status = bnf_import_take(job, split, first, count);
    BNF_TRY(bnf_h5_dataset_write_slab_all(images, job->dtype, start, extent, job->images, status));
    return bnf_h5_dataset_write_slab_all(labels, BNF_I32, start, extent, job->labels, BNF_OK);
}

/* Every rank decodes a contiguous range of whole chunks; all take the same number of rounds, some of them empty. */
static bnf_status write_rounds(bnf_import_job *job, bnf_split split, bnf_h5_dataset *images, bnf_h5_dataset *labels)
{
    int64_t chunks = (job->source->count[split] + job->chunk_rows - 1) / job->chunk_rows;
    int64_t ranks = bnf_comm_size(job->comm), lo, hi;
    int64_t most = (chunks + ranks - 1) / ranks * job->chunk_rows; /* rows of the busiest rank */

    bnf_import_own_rows(job, split, &lo, &hi);
    for (int64_t done = 0; done < most; done += job->round_rows) {
        int64_t first = lo + done < hi ? lo + done : hi;
        int64_t last = first + job->round_rows < hi ? first + job->round_rows : hi;
        if (first == last)
            first = last = 0; /* an empty selection may not lie beyond the end */
        BNF_TRY(write_rows(job, split, first, last - first, images, labels));
    }
    return BNF_OK;
}

static bnf_status write_images(bnf_import_job *job, bnf_split split)
{
    const bnf_source *s = job->source;
    int64_t dim[] = {s->count[split], s->h, s->w, s->c};
    int64_t chunk[] = {job->chunk_rows < dim[0] ? job->chunk_rows : dim[0], s->h, s->w, s->c};
    bnf_h5_storage storage = {.chunk = chunk, .deflate = job->output->deflate, .shuffle = false};
    bnf_h5_dataset *images = NULL, *labels = NULL;
    char name[32];
    bnf_status status;

    snprintf(name, sizeof name, "/%s/images", bnf_split_name(split));
    BNF_TRY_GOTO(status, bnf_h5_dataset_create(job->file, name, job->dtype, 4, dim, &storage, &images), done);
    snprintf(name, sizeof name, "/%s/labels", bnf_split_name(split));
    BNF_TRY_GOTO(status, bnf_h5_dataset_create(job->file, name, BNF_I32, 1, dim, NULL, &labels), done);
    BNF_TRY_GOTO(status, write_rounds(job, split, images, labels), done);
done:;
    bnf_status closed = bnf_h5_dataset_close(labels);
    if (status == BNF_OK)
        status = closed;
    closed = bnf_h5_dataset_close(images);
    return status == BNF_OK ? closed : status;
}

static bnf_status write_split(bnf_import_job *job, bnf_split split)
{
    const bnf_source *s = job->source;
    char group[16], text[BNF_CHECKSUM_HEX];

    BNF_TRY(job->output->sparse ? bnf_import_write_cells(job, split) : write_images(job, split));
    BNF_TRY(bnf_digest_reduce(job->comm, &job->digest[split]));
    snprintf(group, sizeof group, "/%s", bnf_split_name(split));
    BNF_TRY(bnf_h5_attr_set_strs(job->file, group, "classes", s->classes, (const char *const *)s->class_names));
    return bnf_h5_attr_set_str(job->file, group, "checksum", bnf_checksum_format(job->digest[split], text));
}

/* ---- The whole file ---- */

bnf_status bnf_import_statistics(const bnf_comm *comm, bnf_h5_file *file, int64_t pixels, int64_t channels,
                                 int64_t *sum, int64_t *squares)
{
    double mean[BNF_DATA_MAX_CHANNELS], std[BNF_DATA_MAX_CHANNELS], n = (double)pixels;

    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, sum, channels));
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, squares, channels));
    for (int64_t c = 0; c < channels; c++) {
        wide spread = (wide)pixels * squares[c] - (wide)sum[c] * sum[c];
        mean[c] = (double)sum[c] / (255.0 * n);
        std[c] = sqrt((double)spread) / (255.0 * n);
    }
    BNF_TRY(bnf_h5_attr_set_reals(file, "/", "mean", channels, mean));
    return bnf_h5_attr_set_reals(file, "/", "std", channels, std);
}

static bnf_status write_statistics(bnf_import_job *job)
{
    const bnf_source *s = job->source;
    int64_t pixels = s->count[BNF_TRAIN] * s->h * s->w;

    if (!job->moments)
        return bnf_import_statistics(job->comm, job->file, pixels, s->c, job->sum, job->squares);
    return bnf_moments_write(job->comm, job->file, pixels, job->chunk_rows * s->h * s->w, s->c, job->moments);
}

static bnf_status write_content(bnf_import_job *job)
{
    const bnf_source *s = job->source;
    char text[BNF_CHECKSUM_HEX];

    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        if (s->count[split] > 0)
            BNF_TRY(write_split(job, (bnf_split)split));
    BNF_TRY(write_statistics(job));
    BNF_TRY(
        bnf_h5_attr_set_int(job->file, "/", "format_version", job->output->sparse ? SPARSE_VERSION : DECODED_VERSION));
    BNF_TRY(bnf_h5_attr_set_str(job->file, "/", "source", s->description));
    if (s->images_per_event > 1)
        BNF_TRY(bnf_h5_attr_set_int(job->file, "/", "images_per_event", s->images_per_event));
    bnf_checksum_format(bnf_digest_set(job->digest, s->count, s->h, s->w, s->c), text);
    return bnf_h5_attr_set_str(job->file, "/", "checksum", text);
}

static bnf_status prepare_job(bnf_import_job *job)
{
    const bnf_source *s = job->source;
    const bnf_import_output *o = job->output;

    if (o->deflate < 0 || o->deflate > 9)
        return bnf_fail(BNF_ERR_ARG, "a deflate level of %d: it must be 0 to 9", o->deflate);
    if (s->c > BNF_DATA_MAX_CHANNELS)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "%lld channels; at most %d", (long long)s->c, BNF_DATA_MAX_CHANNELS);
    if (o->sparse && s->h * s->w > INT32_MAX / s->c)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "images of %lld x %lld x %lld cells: at most 2^31 - 1", (long long)s->h,
                        (long long)s->w, (long long)s->c);
    if (snprintf(job->temporary, sizeof job->temporary, "%s.tmp", o->path) >= (int)sizeof job->temporary)
        return bnf_fail(BNF_ERR_ARG, "the path '%s' is too long", o->path);
    job->dtype = s->read_f32 ? BNF_F32 : BNF_U8;
    job->sample_bytes = s->h * s->w * s->c * (int64_t)bnf_dtype_size(job->dtype);
    job->chunk_bytes = o->chunk_bytes > 0 ? o->chunk_bytes : CHUNK_BYTES;
    job->chunk_rows = job->chunk_bytes / job->sample_bytes > 0 ? job->chunk_bytes / job->sample_bytes : 1;
    int64_t chunks = ROUND_BYTES / (job->chunk_rows * job->sample_bytes);
    job->round_rows = job->chunk_rows * (chunks > 0 ? chunks : 1);
    if (job->dtype == BNF_F32) {
        int64_t all = (s->count[BNF_TRAIN] + job->chunk_rows - 1) / job->chunk_rows;
        BNF_TRY(bnf_calloc((size_t)(all * s->c), sizeof *job->moments, "statistics of an import", &job->moments));
    }
    BNF_TRY(bnf_alloc((size_t)(job->round_rows * job->sample_bytes), "images of an import", &job->images));
    return bnf_alloc((size_t)job->round_rows * sizeof(int32_t), "labels of an import", &job->labels);
}

/* The end: rank 0 gives the finished file its name or, after a failure, removes it. Collective. */
static bnf_status settle(const bnf_comm *comm, const char *temporary, const char *path, bnf_status status)
{
    if (bnf_comm_rank(comm) == 0) {
        if (status == BNF_OK)
            status = bnf_fs_rename(temporary, path);
        if (status != BNF_OK)
            (void)bnf_fs_remove(temporary); /* the first failure is the one to report */
    }
    return bnf_comm_agree(comm, status);
}

static bnf_status run_job(bnf_import_job *job)
{
    BNF_TRY(bnf_comm_agree(job->comm, prepare_job(job)));
    bnf_status status = bnf_h5_file_create_parallel(job->temporary, job->comm, &job->file);
    if (status != BNF_OK)
        return settle(job->comm, job->temporary, job->output->path, status);
    status = write_content(job);
    bnf_status closed = bnf_h5_file_close(job->file);
    return settle(job->comm, job->temporary, job->output->path, status == BNF_OK ? closed : status);
}

static void summarise(const bnf_import_job *job, bnf_import_summary *summary)
{
    const bnf_source *s = job->source;
    *summary =
        (bnf_import_summary){.h = s->h, .w = s->w, .c = s->c, .classes = s->classes, .ignored_files = s->ignored_files};
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        summary->count[split] = s->count[split];
    bnf_checksum_format(bnf_digest_set(job->digest, s->count, s->h, s->w, s->c), summary->checksum);
}

bnf_status bnf_import_run(const bnf_comm *comm, bnf_source *source, const bnf_import_output *output,
                          bnf_import_summary *summary)
{
    bnf_import_job *job = NULL;
    bnf_status status = bnf_comm_agree(comm, bnf_calloc(1, sizeof *job, "import", &job));
    if (status == BNF_OK) {
        job->comm = comm;
        job->source = source;
        job->output = output;
        status = run_job(job);
    }
    if (status == BNF_OK)
        summarise(job, summary);
    if (job) {
        bnf_free(job->moments);
        bnf_free(job->images);
        bnf_free(job->labels);
    }
    bnf_free(job);
    source->destroy(source);
    return status;
}
