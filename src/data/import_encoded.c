/* Encoded sets: the files of pictures, in two passes. First every rank turns samples into part files, which outlive an
 * interruption; then all write the parts into one file (docs/decisions/0014-import-parts.md). */
#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "data/digest.h"
#include "data/import_parts.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PART_ROWS 256
#define PIECE_BYTES ((int64_t)64 << 20) /* of a part that are written at a time: MPI counts bytes in an int */
#define ENCODED_VERSION 2               /* of format_version */

/* The data sets of a split. */
enum { BYTES = 0, OFFSETS, EXTENTS, SUMS, LABELS, TABLES };

struct encoded_job {
    const bnf_comm *comm;
    bnf_source *source;
    char temporary[PATH_MAX], folder[PATH_MAX];
    const char *out;
    char fingerprint[BNF_CHECKSUM_HEX];
    int64_t part_rows, parts[BNF_SPLIT_COUNT];
    bnf_import_part part; /* the one at hand */
    bnf_image image;
    int64_t *bytes[BNF_SPLIT_COUNT]; /* [parts] of each part; first this rank's, then everybody's */
    bnf_h5_file *file;
    bnf_h5_dataset *table[TABLES];
    int64_t sum[3], squares[3], pixels, total; /* of the training pictures; total: bytes of all */
    uint64_t digest[BNF_SPLIT_COUNT];
};

static int64_t part_count(const struct encoded_job *job, int split)
{
    return (job->source->count[split] + job->part_rows - 1) / job->part_rows;
}

/* Makes job->part stand for one part. [out] path of its file. */
static void select_part(struct encoded_job *job, int split, int64_t k, char path[PATH_MAX + 64])
{
    int64_t left = job->source->count[split] - k * job->part_rows;
    if (!job->part.sizes || job->part.split != (bnf_split)split || job->part.count < job->part_rows)
        bnf_import_part_release(&job->part); /* room for a whole part */
    job->part.split = (bnf_split)split;
    job->part.first = k * job->part_rows;
    job->part.count = left < job->part_rows ? left : job->part_rows;
    snprintf(path, PATH_MAX + 64, "%s/%s-%08lld.h5", job->folder, bnf_split_name((bnf_split)split), (long long)k);
}

/* ---- First pass: parts ---- */

static bnf_status make_parts(struct encoded_job *job)
{
    char path[PATH_MAX + 64];
    int64_t rank = bnf_comm_rank(job->comm), ranks = bnf_comm_size(job->comm);

    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        for (int64_t k = rank; k < job->parts[split]; k += ranks) {
            select_part(job, split, k, path);
            if (bnf_fs_exists(path)) {
                BNF_TRY(bnf_import_part_check(path, job->fingerprint));
                continue;
            }
            BNF_TRY(bnf_import_part_make(job->source, &job->image, &job->part));
            BNF_TRY(bnf_import_part_write(path, job->fingerprint, job->source->c, &job->part));
        }
    return BNF_OK;
}

/* ---- Second pass: one file ---- */

/* How many bytes each part has: every rank asks for its own. */
static bnf_status measure_parts(struct encoded_job *job)
{
    char path[PATH_MAX + 64];
    int64_t rank = bnf_comm_rank(job->comm), ranks = bnf_comm_size(job->comm);

    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        for (int64_t k = rank; k < job->parts[split]; k += ranks) {
            bnf_h5_file *file;
            bnf_h5_dataset *d = NULL;
            int ndim;
            select_part(job, split, k, path);
            BNF_TRY(bnf_h5_file_open(path, &file));
            bnf_status status = bnf_h5_dataset_open(file, "/bytes", &d);
            if (status == BNF_OK)
                job->bytes[split][k] = bnf_h5_dataset_dims(d, &ndim)[0];
            (void)bnf_h5_dataset_close(d); /* read only: nothing is lost */
            (void)bnf_h5_file_close(file);
            BNF_TRY(status);
        }
    return BNF_OK;
}

static bnf_status create_tables(struct encoded_job *job, int split, int64_t total)
{
    static const char *const name[TABLES] = {"bytes", "offsets", "extents", "sums", "labels"};
    static const bnf_dtype dtype[TABLES] = {BNF_U8, BNF_I64, BNF_I32, BNF_I64, BNF_I32};
    int64_t n = job->source->count[split];
    const int64_t dim[TABLES][2] = {{total}, {n + 1}, {n, 2}, {n}, {n}};

    for (int t = 0; t < TABLES; t++) {
        char path[32];
        snprintf(path, sizeof path, "/%s/%s", bnf_split_name((bnf_split)split), name[t]);
        BNF_TRY(bnf_h5_dataset_create(job->file, path, dtype[t], t == EXTENTS ? 2 : 1, dim[t], NULL, &job->table[t]));
    }
    return BNF_OK;
}

static bnf_status close_tables(struct encoded_job *job, bnf_status status)
{
    for (int t = 0; t < TABLES; t++) {
        bnf_status closed = bnf_h5_dataset_close(job->table[t]);
        job->table[t] = NULL;
        status = status == BNF_OK ? closed : status;
    }
    return status;
}

static void count_part(struct encoded_job *job)
{
    const bnf_import_part *p = &job->part;
    job->digest[p->split] += p->digest;
    if (p->split != BNF_TRAIN)
        return;
    job->pixels += p->pixels;
    for (int64_t c = 0; c < job->source->c; c++) {
        job->sum[c] += p->sum[c];
        job->squares[c] += p->squares[c];
    }
}

/* Writes the part's bytes from `from` on, piece by piece. most: of the ranks' parts, so that all take the same number
 * of pieces, some of them empty. */
static bnf_status write_bytes(struct encoded_job *job, int64_t bytes, int64_t from, int64_t most, bnf_status local)
{
    for (int64_t done = 0; done < most; done += PIECE_BYTES) {
        int64_t left = bytes > done ? bytes - done : 0;
        int64_t count = left < PIECE_BYTES ? left : PIECE_BYTES, start = count > 0 ? from + done : 0;
        const char *data = count > 0 ? job->part.bytes.data + done : NULL;
        BNF_TRY(bnf_h5_dataset_write_slab_all(job->table[BYTES], BNF_U8, &start, &count, data, local));
    }
    return BNF_OK;
}

/* Writes the tables of the part at hand; count 0: this rank has none in this round. The sizes become offsets from
 * `from` on; the last part also writes where the bytes end. */
static bnf_status write_tables(struct encoded_job *job, int split, int64_t count, int64_t from, int64_t *offsets)
{
    const bnf_import_part *p = &job->part;
    bool last = count > 0 && p->first + count == job->source->count[split];
    int64_t start[] = {count > 0 ? p->first : 0, 0}, extent[] = {count, 2}, ends = count + last;

    for (int64_t i = 0; i < count; i++) {
        offsets[i] = from;
        from += p->sizes[i];
    }
    offsets[count] = from;
    BNF_TRY(bnf_h5_dataset_write_slab_all(job->table[OFFSETS], BNF_I64, start, &ends, offsets, BNF_OK));
    BNF_TRY(bnf_h5_dataset_write_slab_all(job->table[EXTENTS], BNF_I32, start, extent, p->extents, BNF_OK));
    BNF_TRY(bnf_h5_dataset_write_slab_all(job->table[SUMS], BNF_I64, start, extent, p->sums, BNF_OK));
    return bnf_h5_dataset_write_slab_all(job->table[LABELS], BNF_I32, start, extent, p->labels, BNF_OK);
}

/* This rank's part of a round: part k, which the table of sizes says has so many bytes. */
static bnf_status load_part(struct encoded_job *job, int split, int64_t k)
{
    char path[PATH_MAX + 64];

    select_part(job, split, k, path);
    BNF_TRY(bnf_import_part_read(path, job->fingerprint, job->source->c, &job->part));
    if ((int64_t)job->part.bytes.size != job->bytes[split][k])
        return bnf_fail(BNF_ERR_IO, "'%s' has changed meanwhile", path);
    count_part(job);
    return BNF_OK;
}

static bnf_status write_parts(struct encoded_job *job, int split, int64_t *offsets)
{
    const int64_t *bytes = job->bytes[split];
    int64_t rank = bnf_comm_rank(job->comm), ranks = bnf_comm_size(job->comm), parts = job->parts[split], from = 0;

    for (int64_t round = 0; round < parts; round += ranks) {
        int64_t k = round + rank, mine = from, most = 0;
        bool any = k < parts;
        for (int64_t j = round; j < round + ranks && j < parts; j++) {
            mine = j < k ? mine + bytes[j] : mine;
            from += bytes[j];
            most = bytes[j] > most ? bytes[j] : most;
        }
        bnf_status status = any ? load_part(job, split, k) : BNF_OK;
        BNF_TRY(write_bytes(job, any ? bytes[k] : 0, mine, most, status));
        BNF_TRY(write_tables(job, split, any ? job->part.count : 0, mine, offsets));
    }
    return BNF_OK;
}

static bnf_status write_split(struct encoded_job *job, int split)
{
    const bnf_source *s = job->source;
    char group[16], text[BNF_CHECKSUM_HEX];
    int64_t total = 0, *offsets = NULL;

    BNF_TRY(bnf_comm_allreduce_i64(job->comm, BNF_COMM_SUM, job->bytes[split], job->parts[split]));
    for (int64_t k = 0; k < job->parts[split]; k++)
        total += job->bytes[split][k];
    job->total += total;
    bnf_status status = bnf_comm_agree(
        job->comm, bnf_calloc((size_t)job->part_rows + 1, sizeof *offsets, "offsets of pictures", &offsets));
    if (status == BNF_OK)
        status = create_tables(job, split, total);
    if (status == BNF_OK)
        status = write_parts(job, split, offsets);
    status = close_tables(job, status);
    bnf_free(offsets);
    BNF_TRY(status);
    BNF_TRY(bnf_digest_reduce(job->comm, &job->digest[split]));
    snprintf(group, sizeof group, "/%s", bnf_split_name((bnf_split)split));
    BNF_TRY(bnf_h5_attr_set_strs(job->file, group, "classes", s->classes, (const char *const *)s->class_names));
    return bnf_h5_attr_set_str(job->file, group, "checksum", bnf_checksum_format(job->digest[split], text));
}

static bnf_status write_content(struct encoded_job *job)
{
    const bnf_source *s = job->source;
    char text[BNF_CHECKSUM_HEX];

    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        if (s->count[split] > 0)
            BNF_TRY(write_split(job, split));
    BNF_TRY(bnf_comm_allreduce_i64(job->comm, BNF_COMM_SUM, &job->pixels, 1));
    BNF_TRY(bnf_import_statistics(job->comm, job->file, job->pixels, s->c, job->sum, job->squares));
    BNF_TRY(bnf_h5_attr_set_int(job->file, "/", "format_version", ENCODED_VERSION));
    BNF_TRY(bnf_h5_attr_set_int(job->file, "/", "channels", s->c));
    BNF_TRY(bnf_h5_attr_set_str(job->file, "/", "source", s->description));
    bnf_checksum_format(bnf_digest_set(job->digest, s->count, 0, 0, s->c), text);
    return bnf_h5_attr_set_str(job->file, "/", "checksum", text);
}

static bnf_status write_file(struct encoded_job *job)
{
    bnf_status status = bnf_h5_file_create_parallel(job->temporary, job->comm, &job->file);
    if (status == BNF_OK) {
        status = write_content(job);
        bnf_status closed = bnf_h5_file_close(job->file);
        status = status == BNF_OK ? closed : status;
    }
    if (bnf_comm_rank(job->comm) == 0) {
        if (status == BNF_OK)
            status = bnf_fs_rename(job->temporary, job->out);
        if (status == BNF_OK)
            status = bnf_fs_remove(job->folder);
        else
            (void)bnf_fs_remove(job->temporary); /* the first failure is the one to report; the parts stay */
    }
    return bnf_comm_agree(job->comm, status);
}

/* ---- The whole ---- */

/* What decides the content of the parts, but for the files' bytes: names and labels in their order, and how they are
 * cut and decoded. */
static bnf_status take_fingerprint(struct encoded_job *job)
{
    const bnf_source *s = job->source;
    char where[PATH_MAX + 64];
    bnf_checksum_stream *stream;
    int64_t head[] = {job->part_rows, s->count[BNF_TRAIN], s->count[BNF_TEST], s->c, s->classes};

    BNF_TRY(bnf_checksum_stream_create(&stream));
    bnf_checksum_stream_add(stream, head, sizeof head);
    for (int64_t k = 0; k < s->classes; k++)
        bnf_checksum_stream_add(stream, s->class_names[k], strlen(s->class_names[k]) + 1);
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        for (int64_t i = 0; i < s->count[split]; i++) {
            s->locate(s, (bnf_split)split, i, where, sizeof where);
            bnf_checksum_stream_add(stream, where, strlen(where) + 1);
        }
    bnf_checksum_format(bnf_checksum_stream_value(stream), job->fingerprint);
    bnf_checksum_stream_destroy(stream);
    return BNF_OK;
}

/* Makes the folder of the parts, beside the file that is to come. */
static bnf_status start_folder(const struct encoded_job *job, bool resume)
{
    char beside[PATH_MAX];
    char *slash;

    snprintf(beside, sizeof beside, "%s", job->out);
    slash = strrchr(beside, '/');
    if (slash)
        slash[slash == beside] = 0;
    if (slash && !bnf_fs_is_folder(beside))
        return bnf_fail(BNF_ERR_IO, "cannot write '%s': there is no folder '%s'", job->out, beside);
    if (bnf_fs_exists(job->folder) && !resume)
        return bnf_fail(BNF_ERR_CONFIG,
                        "'%s' holds what an interrupted import has done: --resume goes on from there; remove it to "
                        "begin anew",
                        job->folder);
    return bnf_fs_make_folders(job->folder);
}

static bnf_status prepare(struct encoded_job *job, const bnf_import_output *o, bool resume, int64_t part_rows)
{
    if (o->deflate != 0 || o->chunk_bytes != 0 || o->sparse)
        return bnf_fail(BNF_ERR_ARG, "pictures that are stored as their files are packed already, and in no chunks");
    if (part_rows < 0 || part_rows > 1 << 20)
        return bnf_fail(BNF_ERR_ARG, "parts of %lld pictures: it must be 1 to 1048576", (long long)part_rows);
    job->part_rows = part_rows > 0 ? part_rows : PART_ROWS;
    job->out = o->path;
    if (snprintf(job->temporary, sizeof job->temporary, "%s.tmp", o->path) >= (int)sizeof job->temporary ||
        snprintf(job->folder, sizeof job->folder, "%s.parts", o->path) >= (int)sizeof job->folder)
        return bnf_fail(BNF_ERR_ARG, "the path '%s' is too long", o->path);
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        job->parts[split] = part_count(job, split);
        BNF_TRY(bnf_calloc((size_t)job->parts[split], sizeof **job->bytes, "sizes of parts", &job->bytes[split]));
    }
    BNF_TRY(take_fingerprint(job));
    return bnf_comm_rank(job->comm) == 0 ? start_folder(job, resume) : BNF_OK;
}

static bnf_status run(struct encoded_job *job, const bnf_import_output *output, bool resume, int64_t part_rows)
{
    BNF_TRY(bnf_comm_agree(job->comm, prepare(job, output, resume, part_rows)));
    BNF_TRY(bnf_comm_agree(job->comm, make_parts(job)));
    BNF_TRY(bnf_comm_agree(job->comm, measure_parts(job)));
    return write_file(job);
}

bnf_status bnf_import_run_encoded(const bnf_comm *comm, bnf_source *source, const bnf_import_output *output,
                                  bool resume, int64_t part_rows, bnf_import_summary *summary)
{
    struct encoded_job *job = NULL;
    bnf_status status = bnf_comm_agree(comm, bnf_calloc(1, sizeof *job, "import", &job));

    if (status == BNF_OK) {
        job->comm = comm;
        job->source = source;
        status = run(job, output, resume, part_rows);
    }
    if (status == BNF_OK) {
        *summary = (bnf_import_summary){.c = source->c,
                                        .classes = source->classes,
                                        .bytes = job->total,
                                        .ignored_files = source->ignored_files,
                                        .count = {source->count[BNF_TRAIN], source->count[BNF_TEST]}};
        bnf_checksum_format(bnf_digest_set(job->digest, source->count, 0, 0, source->c), summary->checksum);
    }
    if (job) {
        bnf_import_part_release(&job->part);
        bnf_image_release(&job->image);
        for (int split = 0; split < BNF_SPLIT_COUNT; split++)
            bnf_free(job->bytes[split]);
    }
    bnf_free(job);
    source->destroy(source);
    return status;
}
