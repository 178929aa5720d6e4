/* A set written anew: other chunks, other compression, another order of the samples. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/philox.h"
#include "comm/agree.h"
#include "data/digest.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_BYTES ((int64_t)64 << 20) /* all ranks together, between two collective writes */
#define CHUNK_BYTES ((int64_t)64 << 10) /* for sets that have no chunks yet, when compression needs them */

/* A sample's old and new place. */
struct place {
    int64_t from, to;
};

struct repack {
    const bnf_comm *comm;
    const char *in, *out;
    const bnf_repack_options *o;
    char temporary[PATH_MAX];
    bnf_h5_file *from, *to; /* from: this rank's own */
    bnf_dataset *set[BNF_SPLIT_COUNT];
    int64_t *order[BNF_SPLIT_COUNT]; /* old place of each new one; NULL: as it was */
    uint64_t digest_in[BNF_SPLIT_COUNT], digest_out[BNF_SPLIT_COUNT];
};

/* One data set with a row per sample. */
struct rows {
    bnf_h5_dataset *from, *to;
    bnf_split split;
    bool images;
    bnf_h5_dataset_info info; /* of `from` */
    int64_t row_bytes, chunk_rows, round_rows;
    uint8_t *data, *sorted; /* [a rank's part of a round] */
    struct place *places;   /* the same */
    int64_t *list;          /* the same */
    int32_t *labels;        /* the same */
};

/* ---- Rows ---- */

static int by_old_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static bnf_status read_part(const struct repack *r, struct rows *d, int64_t first, int64_t count)
{
    const int64_t *order = r->order[d->split];
    if (!order)
        return bnf_h5_dataset_read_rows(d->from, d->info.dtype, first, count, d->data);
    for (int64_t i = 0; i < count; i++)
        d->places[i] = (struct place){order[first + i], i};
    qsort(d->places, (size_t)count, sizeof *d->places, by_old_place);
    for (int64_t i = 0; i < count; i++)
        d->list[i] = d->places[i].from;
    BNF_TRY(bnf_h5_dataset_read_list(d->from, d->info.dtype, count, d->list, d->sorted));
    for (int64_t i = 0; i < count; i++)
        memcpy(d->data + d->places[i].to * d->row_bytes, d->sorted + i * d->row_bytes, (size_t)d->row_bytes);
    return BNF_OK;
}

static void digest_part(struct repack *r, struct rows *d, int64_t first, int64_t count)
{
    const int64_t *order = r->order[d->split];
    const int32_t *labels = bnf_dataset_labels(r->set[d->split]);

    for (int64_t i = 0; i < count; i++)
        d->labels[i] = labels[order ? order[first + i] : first + i];
    r->digest_out[d->split] += bnf_digest_samples(d->data, d->row_bytes, d->labels, first, count);
    for (int64_t i = 0; i < count && order; i++)
        r->digest_in[d->split] +=
            bnf_digest_samples(d->data + i * d->row_bytes, d->row_bytes, d->labels + i, order[first + i], 1);
    if (!order)
        r->digest_in[d->split] = r->digest_out[d->split];
}

/* Rounds are ranges of the whole set, cut into whole chunks for the ranks: chunks come into the file in the same order
 * for any number of ranks. */
static bnf_status copy_rounds(struct repack *r, struct rows *d)
{
    int64_t n = d->info.dim[0], rank = bnf_comm_rank(r->comm), ranks = bnf_comm_size(r->comm);

    for (int64_t lo = 0; lo < n; lo += d->round_rows) {
        int64_t hi = lo + d->round_rows < n ? lo + d->round_rows : n;
        int64_t chunks = (hi - lo + d->chunk_rows - 1) / d->chunk_rows;
        int64_t first = lo + chunks * rank / ranks * d->chunk_rows;
        int64_t last = lo + chunks * (rank + 1) / ranks * d->chunk_rows;
        last = last < hi ? last : hi;
        int64_t start[BNF_H5_MAX_DIMS] = {first}, count[BNF_H5_MAX_DIMS];
        memcpy(count, d->info.dim, sizeof count);
        count[0] = last > first ? last - first : 0;
        start[0] = count[0] > 0 ? first : 0; /* an empty selection may not lie beyond the end */
        bnf_status status = count[0] > 0 ? read_part(r, d, first, count[0]) : BNF_OK;
        if (status == BNF_OK && d->images && count[0] > 0)
            digest_part(r, d, first, count[0]);
        BNF_TRY(bnf_h5_dataset_write_slab_all(d->to, d->info.dtype, start, count, d->data, status));
    }
    return BNF_OK;
}

static bnf_status make_buffers(const struct repack *r, struct rows *d)
{
    size_t rows = (size_t)(d->round_rows < d->info.dim[0] ? d->round_rows : d->info.dim[0]);
    bool ordered = r->order[d->split] != NULL;
    BNF_TRY(bnf_alloc(rows * (size_t)d->row_bytes, "samples to repack", &d->data));
    BNF_TRY(bnf_calloc(rows, sizeof *d->labels, "samples to repack", &d->labels));
    if (!ordered)
        return BNF_OK;
    BNF_TRY(bnf_alloc(rows * (size_t)d->row_bytes, "samples to repack", &d->sorted));
    BNF_TRY(bnf_calloc(rows, sizeof *d->places, "samples to repack", &d->places));
    return bnf_calloc(rows, sizeof *d->list, "samples to repack", &d->list);
}

/* How the new data set is stored: as the old one, but for what was asked for its images. */
static bnf_h5_storage storage_of(const struct repack *r, struct rows *d, int64_t chunk[BNF_H5_MAX_DIMS])
{
    const bnf_h5_dataset_info *info = &d->info;
    bnf_h5_storage s = {.deflate = info->deflate, .shuffle = info->shuffle, .fletcher32 = info->fletcher32};
    bool chunked = info->chunked;

    memcpy(chunk, info->chunked ? info->chunk : info->dim, sizeof info->chunk);
    if (d->images) {
        s.deflate = r->o->deflate >= 0 ? r->o->deflate : info->deflate;
        if (r->o->chunk_rows > 0)
            memcpy(chunk, info->dim, sizeof info->chunk); /* whole samples */
        if (r->o->chunk_rows > 0 || (s.deflate > 0 && !chunked))
            chunk[0] = r->o->chunk_rows > 0 ? r->o->chunk_rows : CHUNK_BYTES / d->row_bytes;
        chunk[0] = chunk[0] < 1 ? 1 : chunk[0] > info->dim[0] ? info->dim[0] : chunk[0];
        chunked |= r->o->chunk_rows > 0 || s.deflate > 0;
    }
    if (chunked)
        s.chunk = chunk;
    d->chunk_rows = chunked ? chunk[0] : 1;
    int64_t rows = ROUND_BYTES / d->row_bytes / d->chunk_rows * d->chunk_rows;
    d->round_rows = rows > 0 ? rows : d->chunk_rows;
    return s;
}

static bnf_status copy_rows(struct repack *r, struct rows *d, const char *name)
{
    int64_t chunk[BNF_H5_MAX_DIMS];

    d->row_bytes = (int64_t)bnf_dtype_size(d->info.dtype);
    for (int i = 1; i < d->info.ndim; i++)
        d->row_bytes *= d->info.dim[i];
    d->row_bytes = d->row_bytes > 0 ? d->row_bytes : 1;
    bnf_h5_storage storage = storage_of(r, d, chunk);
    BNF_TRY(bnf_comm_agree(r->comm, make_buffers(r, d)));
    BNF_TRY(bnf_h5_dataset_create(r->to, name, d->info.dtype, d->info.ndim, d->info.dim, &storage, &d->to));
    bnf_status status = copy_rounds(r, d);
    bnf_status closed = bnf_h5_dataset_close(d->to);
    return status == BNF_OK ? closed : status;
}

/* What has no row per sample: rank 0's content, as a whole. */
static bnf_status copy_whole(struct repack *r, struct rows *d, const char *name)
{
    int64_t bytes = (int64_t)bnf_dtype_size(d->info.dtype);
    bnf_h5_storage storage = {.chunk = d->info.chunked ? d->info.chunk : NULL,
                              .deflate = d->info.deflate,
                              .shuffle = d->info.shuffle,
                              .fletcher32 = d->info.fletcher32};

    for (int i = 0; i < d->info.ndim; i++)
        bytes *= d->info.dim[i];
    bnf_status status = bnf_alloc((size_t)bytes, "data to repack", &d->data);
    if (status == BNF_OK)
        status = bnf_h5_dataset_read(d->from, d->info.dtype, d->data);
    BNF_TRY(bnf_comm_agree(r->comm, status));
    BNF_TRY(bnf_h5_dataset_create(r->to, name, d->info.dtype, d->info.ndim, d->info.dim, &storage, &d->to));
    status = bnf_h5_dataset_write(d->to, d->info.dtype, d->data);
    bnf_status closed = bnf_h5_dataset_close(d->to);
    return status == BNF_OK ? closed : status;
}

static bnf_status copy_dataset(struct repack *r, const char *name)
{
    struct rows d = {0};
    bool by_sample = false;
    bnf_status status = bnf_h5_dataset_open(r->from, name, &d.from);

    if (status == BNF_OK)
        status = bnf_h5_dataset_describe(d.from, &d.info);
    status = bnf_comm_agree(r->comm, status);
    for (int k = 0; k < BNF_SPLIT_COUNT && status == BNF_OK; k++) {
        size_t length = strlen(bnf_split_name((bnf_split)k));
        if (!r->set[k] || strncmp(name + 1, bnf_split_name((bnf_split)k), length) != 0 || name[1 + length] != '/')
            continue;
        d.split = (bnf_split)k;
        d.images = strcmp(name + 2 + length, "images") == 0;
        by_sample = d.info.ndim > 0 && d.info.dim[0] == bnf_dataset_get_info(r->set[k])->count;
    }
    if (status == BNF_OK)
        status = by_sample ? copy_rows(r, &d, name) : copy_whole(r, &d, name);
    if (status == BNF_OK)
        status = bnf_h5_attr_copy_all(r->from, r->to, name, NULL);
    (void)bnf_h5_dataset_close(d.from); /* read only: nothing is lost */
    bnf_free(d.data);
    bnf_free(d.sorted);
    bnf_free(d.places);
    bnf_free(d.list);
    bnf_free(d.labels);
    return status;
}

/* ---- The whole file ---- */

/* Attributes of the groups on the way to a data set, each group once: when the first data set below it comes. */
static bnf_status copy_group_attributes(struct repack *r, const char *name, const char *before)
{
    static const char *const ours[] = {"checksum", NULL};
    char group[512];

    for (const char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - name);
        if (length >= sizeof group)
            return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s': the name of %s is too long", r->in, name);
        if (before && strncmp(before, name, length + 1) == 0)
            continue;
        memcpy(group, name, length);
        group[length] = 0;
        BNF_TRY(bnf_h5_attr_copy_all(r->from, r->to, group, ours));
    }
    return BNF_OK;
}

/* The digest of what was read against what the file states, then that of what was written. */
static bnf_status settle_split(struct repack *r, bnf_split split)
{
    char group[16], text[BNF_CHECKSUM_HEX], *stated = NULL;
    bool exists;

    BNF_TRY(bnf_digest_reduce(r->comm, &r->digest_in[split]));
    BNF_TRY(bnf_digest_reduce(r->comm, &r->digest_out[split]));
    snprintf(group, sizeof group, "/%s", bnf_split_name(split));
    bnf_status status = bnf_h5_attr_exists(r->from, group, "checksum", &exists);
    if (status == BNF_OK && exists)
        status = bnf_h5_attr_get_str(r->from, group, "checksum", &stated);
    if (status == BNF_OK && stated && strcmp(stated, bnf_checksum_format(r->digest_in[split], text)) != 0)
        status = bnf_fail(BNF_ERR_FORMAT, "'%s': the content of %s is damaged: its checksum is %s, stated is %s", r->in,
                          group, text, stated);
    bnf_free(stated);
    BNF_TRY(bnf_comm_agree(r->comm, status));
    return bnf_h5_attr_set_str(r->to, group, "checksum", bnf_checksum_format(r->digest_out[split], text));
}

static uint64_t set_digest(const struct repack *r)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(r->set[BNF_TRAIN]);
    int64_t count[BNF_SPLIT_COUNT] = {info->count};
    if (r->set[BNF_TEST])
        count[BNF_TEST] = bnf_dataset_get_info(r->set[BNF_TEST])->count;
    return bnf_digest_set(r->digest_out, count, info->h, info->w, info->c);
}

static bnf_status write_all(struct repack *r, const bnf_h5_names *names)
{
    static const char *const ours[] = {"checksum", NULL};
    char text[BNF_CHECKSUM_HEX];

    for (int64_t i = 0; i < names->count; i++) {
        BNF_TRY(copy_dataset(r, names->name[i]));
        BNF_TRY(copy_group_attributes(r, names->name[i], i > 0 ? names->name[i - 1] : NULL));
    }
    for (int k = 0; k < BNF_SPLIT_COUNT; k++)
        if (r->set[k])
            BNF_TRY(settle_split(r, (bnf_split)k));
    BNF_TRY(bnf_h5_attr_copy_all(r->from, r->to, "/", ours));
    return bnf_h5_attr_set_str(r->to, "/", "checksum", bnf_checksum_format(set_digest(r), text));
}

/* What each rank can do alone. */
static bnf_status prepare(struct repack *r, bnf_h5_names *names)
{
    bool test = false;

    if (bnf_comm_rank(r->comm) == 0 && bnf_fs_exists(r->out))
        return bnf_fail(BNF_ERR_CONFIG, "'%s' exists: give another name, or remove it", r->out);
    if (r->o->deflate > 9 || r->o->chunk_rows < 0)
        return bnf_fail(BNF_ERR_CONFIG, "chunks of %lld rows with deflate %d", (long long)r->o->chunk_rows,
                        r->o->deflate);
    if (snprintf(r->temporary, sizeof r->temporary, "%s.tmp", r->out) >= (int)sizeof r->temporary)
        return bnf_fail(BNF_ERR_ARG, "the path '%s' is too long", r->out);
    BNF_TRY(bnf_dataset_open(r->in, BNF_TRAIN, &r->set[BNF_TRAIN]));
    if (bnf_dataset_get_info(r->set[BNF_TRAIN])->encoded)
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "'%s' holds picture files, which are packed already and have no chunks: nothing to repack",
                        r->in);
    if (bnf_dataset_get_info(r->set[BNF_TRAIN])->sparse)
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "'%s' is stored as cells, in chunks that hold parts of images: it cannot be repacked", r->in);
    BNF_TRY(bnf_dataset_has(r->in, BNF_TEST, &test));
    if (test)
        BNF_TRY(bnf_dataset_open(r->in, BNF_TEST, &r->set[BNF_TEST]));
    BNF_TRY(bnf_h5_file_open(r->in, &r->from));
    BNF_TRY(bnf_h5_file_list_datasets(r->from, names));
    if (!r->o->shuffle)
        return BNF_OK;
    int64_t n = bnf_dataset_get_info(r->set[BNF_TRAIN])->count;
    BNF_TRY(bnf_calloc((size_t)n, sizeof **r->order, "order of samples", &r->order[BNF_TRAIN]));
    bnf_philox_permutation(bnf_philox_key_make(r->o->seed, BNF_STREAM_SPLIT), 0, n, r->order[BNF_TRAIN]);
    return BNF_OK;
}

/* Rank 0 gives the finished file its name, unless somebody else has taken it meanwhile; or removes it. */
static bnf_status settle_file(struct repack *r, bnf_status status)
{
    if (bnf_comm_rank(r->comm) == 0) {
        if (status == BNF_OK && bnf_fs_exists(r->out))
            status = bnf_fail(BNF_ERR_IO, "'%s' has come into being meanwhile: it is left as it is", r->out);
        if (status == BNF_OK)
            status = bnf_fs_rename(r->temporary, r->out);
        if (status != BNF_OK)
            (void)bnf_fs_remove(r->temporary); /* the first failure is the one to report */
    }
    return bnf_comm_agree(r->comm, status);
}

static bnf_status run(struct repack *r)
{
    bnf_h5_names names = {0};
    bnf_status status = bnf_comm_agree(r->comm, prepare(r, &names));

    if (status == BNF_OK) {
        status = bnf_h5_file_create_parallel(r->temporary, r->comm, &r->to);
        if (status == BNF_OK) {
            status = write_all(r, &names);
            bnf_status closed = bnf_h5_file_close(r->to);
            status = status == BNF_OK ? closed : status;
        }
        status = settle_file(r, status);
    }
    bnf_h5_names_destroy(&names);
    return status;
}

bnf_status bnf_dataset_repack(const bnf_comm *comm, const char *in, const char *out, const bnf_repack_options *options,
                              char checksum[17])
{
    struct repack *r = NULL;
    BNF_TRY(bnf_comm_agree(comm, bnf_calloc(1, sizeof *r, "repacking", &r)));
    r->comm = comm;
    r->in = in;
    r->out = out;
    r->o = options;
    bnf_status status = run(r);
    if (status == BNF_OK)
        bnf_checksum_format(set_digest(r), checksum);
    (void)bnf_h5_file_close(r->from); /* read only: nothing is lost */
    for (int k = 0; k < BNF_SPLIT_COUNT; k++) {
        bnf_dataset_close(r->set[k]);
        bnf_free(r->order[k]);
    }
    bnf_free(r);
    return status;
}
