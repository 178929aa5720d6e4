#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "data/dataset_impl.h"
#include "data/digest.h"
#include "data/view.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VERIFY_BYTES ((int64_t)4 << 20) /* images read at a time for a checksum */

/* ---- Opening ---- */

static bnf_status optional_str(bnf_dataset *ds, const char *object, const char *name, char **value)
{
    bool exists;
    BNF_TRY(bnf_h5_attr_exists(ds->file, object, name, &exists));
    return exists ? bnf_h5_attr_get_str(ds->file, object, name, value) : BNF_OK;
}

static bnf_status open_version(bnf_dataset *ds)
{
    bool exists;
    int64_t version;

    BNF_TRY(bnf_h5_attr_exists(ds->file, "/", "format_version", &exists));
    if (!exists)
        return BNF_OK; /* made elsewhere: everything else is checked all the same */
    BNF_TRY(bnf_h5_attr_get_int(ds->file, "/", "format_version", &version));
    if (version < 1 || version > BNF_DATA_FORMAT_VERSION)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s': format version %lld; this program reads 1 to %d", ds->path,
                        (long long)version, BNF_DATA_FORMAT_VERSION);
    return BNF_OK;
}

static bnf_status open_events(bnf_dataset *ds)
{
    bool exists;
    ds->info.images_per_event = 1;
    BNF_TRY(bnf_h5_attr_exists(ds->file, "/", "images_per_event", &exists));
    if (!exists)
        return BNF_OK;
    BNF_TRY(bnf_h5_attr_get_int(ds->file, "/", "images_per_event", &ds->info.images_per_event));
    if (ds->info.images_per_event >= 1 && ds->info.count % ds->info.images_per_event == 0)
        return BNF_OK;
    return bnf_fail(BNF_ERR_FORMAT,
                    "file '%s', object '/': images_per_event is %lld, which %lld images of /%s are no multiple of",
                    ds->path, (long long)ds->info.images_per_event, (long long)ds->info.count, ds->info.name);
}

static bnf_status open_images(bnf_dataset *ds, const char *name)
{
    const int64_t any[] = {-1, -1, -1, -1};
    bnf_h5_dataset_info h5;
    bnf_dataset_info *info = &ds->info;

    BNF_TRY(bnf_h5_dataset_open(ds->file, name, &ds->images));
    BNF_TRY(bnf_h5_dataset_describe(ds->images, &h5));
    info->dtype = h5.dtype == BNF_F32 ? BNF_F32 : BNF_U8;
    BNF_TRY(bnf_h5_dataset_expect(ds->images, info->dtype, 4, any));
    info->count = h5.dim[0];
    info->h = h5.dim[1];
    info->w = h5.dim[2];
    info->c = h5.dim[3];
    if (info->count < 1 || info->h < 1 || info->w < 1 || info->c < 1 || info->c > BNF_DATA_MAX_CHANNELS)
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s': %s has the shape [%lld,%lld,%lld,%lld]; no extent may be 0, and the last at "
                        "most %d",
                        ds->path, name, (long long)info->count, (long long)info->h, (long long)info->w,
                        (long long)info->c, BNF_DATA_MAX_CHANNELS);
    info->sample_bytes = info->h * info->w * info->c * (int64_t)bnf_dtype_size(info->dtype);
    info->chunk_rows = h5.chunked ? h5.chunk[0] : 1;
    info->stored_bytes = info->count * info->sample_bytes;
    ds->stored_h = info->h;
    ds->stored_w = info->w;
    ds->stored_sample = info->sample_bytes;
    return BNF_OK;
}

static bnf_status open_pictures(bnf_dataset *ds)
{
    bnf_dataset_info *info = &ds->info;

    BNF_TRY(bnf_pictures_open(ds->file, ds->path, info->name, &ds->pictures));
    info->encoded = true;
    info->dtype = BNF_U8;
    info->count = ds->pictures.count;
    info->h = ds->pictures.h;
    info->w = ds->pictures.w;
    info->c = ds->pictures.channels;
    info->sample_bytes = info->h * info->w * info->c;
    info->stored_bytes = ds->pictures.total;
    info->chunk_rows = 1;
    return BNF_OK;
}

static bnf_status open_sparse(bnf_dataset *ds)
{
    bnf_dataset_info *info = &ds->info;
    const bnf_sparse *s = &ds->sparse;

    BNF_TRY(bnf_sparse_open(ds->file, ds->path, info->name, &ds->sparse));
    info->sparse = true;
    info->entries = s->entries;
    info->dtype = s->dtype;
    info->count = s->count;
    info->h = ds->stored_h = s->h;
    info->w = ds->stored_w = s->w;
    info->c = s->c;
    info->sample_bytes = ds->stored_sample = s->size * (int64_t)bnf_dtype_size(s->dtype);
    info->stored_bytes = s->entries * (4 + (int64_t)bnf_dtype_size(s->dtype));
    double rows = (double)s->chunk_entries * (double)s->count / (double)(s->entries > 0 ? s->entries : 1);
    info->chunk_rows = rows < 1 ? 1 : rows < (double)s->count ? (int64_t)rows : s->count;
    return BNF_OK;
}

/* Opens the images in whatever form they are there. */
static bnf_status open_content(bnf_dataset *ds, const char *group)
{
    char name[32];
    bool encoded, sparse;

    snprintf(name, sizeof name, "%s/bytes", group);
    BNF_TRY(bnf_h5_exists(ds->file, name, &encoded));
    if (encoded)
        return open_pictures(ds);
    snprintf(name, sizeof name, "%s/cells", group);
    BNF_TRY(bnf_h5_exists(ds->file, name, &sparse));
    if (sparse)
        return open_sparse(ds);
    snprintf(name, sizeof name, "%s/images", group);
    return open_images(ds, name);
}

/* Reads integers of any of our types as i32. */
static bnf_status read_labels(bnf_dataset *ds, bnf_h5_dataset *labels, const char *name)
{
    int64_t n = ds->info.count;
    bnf_dtype type = bnf_h5_dataset_dtype(labels);
    void *raw = NULL;

    if (type != BNF_I32 && type != BNF_I64 && type != BNF_U8)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': %s has the type %s; labels are integers", ds->path, name,
                        bnf_dtype_name(type));
    BNF_TRY(bnf_h5_dataset_expect(labels, type, 1, &n));
    BNF_TRY(bnf_alloc((size_t)n * sizeof(int32_t), "labels of a set", &ds->labels));
    if (type == BNF_I32)
        return bnf_h5_dataset_read(labels, type, ds->labels);
    BNF_TRY(bnf_alloc((size_t)n * bnf_dtype_size(type), "labels as stored", &raw));
    bnf_status status = bnf_h5_dataset_read(labels, type, raw);
    for (int64_t i = 0; i < n && status == BNF_OK; i++) {
        int64_t v = type == BNF_U8 ? ((const uint8_t *)raw)[i] : ((const int64_t *)raw)[i];
        ds->labels[i] = v < 0 || v > INT32_MAX ? -1 : (int32_t)v; /* -1 is refused by the check of the range */
    }
    bnf_free(raw);
    return status;
}

static bnf_status open_labels(bnf_dataset *ds, const char *name)
{
    bnf_h5_dataset *labels = NULL;

    BNF_TRY(bnf_h5_dataset_open(ds->file, name, &labels));
    bnf_status status = read_labels(ds, labels, name);
    bnf_status closed = bnf_h5_dataset_close(labels);
    return status == BNF_OK ? closed : status;
}

/* Without names in the file: "0", "1", ... up to the largest label. */
static bnf_status number_classes(bnf_dataset *ds)
{
    int64_t classes = 1;

    for (int64_t i = 0; i < ds->info.count; i++)
        if (ds->labels[i] >= classes)
            classes = ds->labels[i] + 1;
    if (classes > 1 << 20)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': /%s/labels holds %lld; labels count from 0", ds->path, ds->info.name,
                        (long long)classes - 1);
    BNF_TRY(bnf_calloc((size_t)classes, sizeof *ds->names.name, "class names", &ds->names.name));
    for (int64_t i = 0; i < classes; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)i);
        BNF_TRY(bnf_strdup(number, &ds->names.name[i]));
        ds->names.count = i + 1;
    }
    return BNF_OK;
}

static bnf_status open_classes(bnf_dataset *ds, const char *group)
{
    bool exists;

    BNF_TRY(bnf_h5_attr_exists(ds->file, group, "classes", &exists));
    if (exists)
        BNF_TRY(bnf_h5_attr_get_strs(ds->file, group, "classes", &ds->names));
    else
        BNF_TRY(number_classes(ds));
    for (int64_t i = 0; i < ds->info.count; i++)
        if (ds->labels[i] < 0 || ds->labels[i] >= ds->names.count)
            return bnf_fail(BNF_ERR_FORMAT,
                            "'%s': %s/labels: label %d of sample %lld is out of range; there are %lld classes",
                            ds->path, group, (int)ds->labels[i], (long long)i, (long long)ds->names.count);
    return BNF_OK;
}

static bnf_status read_stats(bnf_dataset *ds, const char *name, double **values)
{
    int64_t count;

    BNF_TRY(bnf_h5_attr_get_reals(ds->file, "/", name, &count, values));
    if (count != ds->info.c)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': the attribute '%s' has %lld values; the images have %lld channels",
                        ds->path, name, (long long)count, (long long)ds->info.c);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite((*values)[i]))
            return bnf_fail(BNF_ERR_FORMAT, "'%s': the attribute '%s' is not finite", ds->path, name);
    return BNF_OK;
}

static bnf_status open_stats(bnf_dataset *ds)
{
    bool mean, std;

    BNF_TRY(bnf_h5_attr_exists(ds->file, "/", "mean", &mean));
    BNF_TRY(bnf_h5_attr_exists(ds->file, "/", "std", &std));
    ds->info.has_stats = mean && std;
    if (!ds->info.has_stats)
        return BNF_OK;
    BNF_TRY(read_stats(ds, "mean", &ds->mean));
    return read_stats(ds, "std", &ds->std);
}

static bnf_status open_all(bnf_dataset *ds, const char *path, bnf_split split)
{
    char group[16], name[32];

    BNF_TRY(bnf_strdup(path, &ds->path));
    ds->info.path = ds->path;
    ds->info.name = bnf_split_name(split);
    BNF_TRY(bnf_h5_file_open(path, &ds->file));
    BNF_TRY(open_version(ds));
    snprintf(group, sizeof group, "/%s", ds->info.name);
    BNF_TRY(open_content(ds, group));
    snprintf(name, sizeof name, "%s/labels", group);
    BNF_TRY(open_labels(ds, name));
    BNF_TRY(open_classes(ds, group));
    BNF_TRY(open_stats(ds));
    BNF_TRY(open_events(ds));
    BNF_TRY(optional_str(ds, "/", "source", &ds->source));
    BNF_TRY(optional_str(ds, "/", "checksum", &ds->checksum));
    return optional_str(ds, group, "checksum", &ds->split_checksum);
}

bnf_status bnf_dataset_open(const char *path, bnf_split split, bnf_dataset **dataset)
{
    bnf_dataset *ds;

    BNF_TRY(bnf_calloc(1, sizeof *ds, "dataset", &ds));
    bnf_status status = open_all(ds, path, split);
    if (status != BNF_OK) {
        bnf_dataset_close(ds);
        return status;
    }
    ds->info.source = ds->source ? ds->source : "";
    ds->info.checksum = ds->checksum ? ds->checksum : "";
    ds->info.classes = ds->names.count;
    ds->info.class_names = (const char *const *)ds->names.name;
    ds->info.mean = ds->mean;
    ds->info.std = ds->std;
    *dataset = ds;
    return BNF_OK;
}

void bnf_dataset_close(bnf_dataset *ds)
{
    if (!ds)
        return;
    bnf_pictures_release(&ds->pictures);
    bnf_sparse_release(&ds->sparse);
    (void)bnf_h5_dataset_close(ds->images); /* nothing was written: closing cannot lose anything */
    (void)bnf_h5_file_close(ds->file);
    bnf_h5_names_destroy(&ds->names);
    bnf_free(ds->labels);
    bnf_free(ds->mean);
    bnf_free(ds->std);
    bnf_free(ds->source);
    bnf_free(ds->checksum);
    bnf_free(ds->split_checksum);
    bnf_free(ds->held);
    bnf_free(ds->path);
    bnf_free(ds);
}

const bnf_dataset_info *bnf_dataset_get_info(const bnf_dataset *ds)
{
    return &ds->info;
}

const int32_t *bnf_dataset_labels(const bnf_dataset *ds)
{
    return ds->labels;
}

/* ---- Reading ---- */

/* index NULL: the images first, first + 1, ... */
static bnf_status check_finite(const bnf_dataset *ds, int64_t first, int64_t count, const int64_t *index,
                               const void *images)
{
    int64_t n = ds->stored_sample / (int64_t)sizeof(float);

    if (ds->info.dtype != BNF_F32)
        return BNF_OK;
    for (int64_t i = 0; i < count; i++) {
        const float *x = (const float *)images + i * n;
        int bad = 0;
        for (int64_t k = 0; k < n; k++)
            bad |= !isfinite(x[k]);
        if (bad)
            return bnf_fail(BNF_ERR_NUMERIC, "'%s': /%s/images: image %lld holds NaN or infinity", ds->path,
                            ds->info.name, (long long)(index ? index[i] : first + i));
    }
    return BNF_OK;
}

/* The images first, ..., first + count - 1 of a decoded set as stored. */
static bnf_status read_stored_rows(const bnf_dataset *ds, int64_t first, int64_t count, void *images)
{
    if (ds->held) {
        memcpy(images, (const uint8_t *)ds->held + first * ds->stored_sample, (size_t)(count * ds->stored_sample));
        return BNF_OK;
    }
    BNF_TRY(bnf_h5_dataset_read_rows(ds->images, ds->info.dtype, first, count, images));
    return check_finite(ds, first, count, NULL, images);
}

bnf_status bnf_dataset_read_stored(const bnf_dataset *ds, int64_t count, const int64_t *index, void *images)
{
    size_t bytes = (size_t)ds->stored_sample;

    if (!ds->held) {
        BNF_TRY(bnf_h5_dataset_read_list(ds->images, ds->info.dtype, count, index, images));
        return check_finite(ds, 0, count, index, images);
    }
    for (int64_t i = 0; i < count; i++) {
        if (index[i] < 0 || index[i] >= ds->info.count || (i > 0 && index[i] < index[i - 1]))
            return bnf_fail(BNF_ERR_ARG, "'%s': the list of images to read is not sorted or leaves 0..%lld", ds->path,
                            (long long)ds->info.count - 1);
        memcpy((uint8_t *)images + (size_t)i * bytes, (const uint8_t *)ds->held + (size_t)index[i] * bytes, bytes);
    }
    return BNF_OK;
}

bnf_status bnf_dataset_read(const bnf_dataset *ds, int64_t count, const int64_t *index, void *images)
{
    return bnf_dataset_makes(ds) ? bnf_dataset_read_made(ds, 0, count, index, images)
                                 : bnf_dataset_read_stored(ds, count, index, images);
}

bnf_status bnf_dataset_hold(bnf_dataset *ds)
{
    void *images = NULL;

    if (ds->info.encoded)
        return bnf_pictures_hold(&ds->pictures);
    if (ds->info.sparse)
        return bnf_sparse_hold(&ds->sparse);
    if (ds->held)
        return BNF_OK;
    BNF_TRY(bnf_alloc((size_t)ds->info.stored_bytes, "images of a set", &images));
    bnf_status status = read_stored_rows(ds, 0, ds->info.count, images);
    if (status == BNF_OK)
        ds->held = images;
    else
        bnf_free(images);
    return status;
}

bnf_status bnf_dataset_read_rows(const bnf_dataset *ds, int64_t first, int64_t count, void *images)
{
    return bnf_dataset_makes(ds) ? bnf_dataset_read_made(ds, first, count, NULL, images)
                                 : read_stored_rows(ds, first, count, images);
}

/* ---- Other integers ---- */

static bnf_status read_integers(const bnf_dataset *ds, bnf_h5_dataset *d, const char *name, int64_t *values)
{
    int64_t n = ds->info.count;
    bnf_dtype type = bnf_h5_dataset_dtype(d);

    if (type != BNF_I32 && type != BNF_I64 && type != BNF_U8)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': %s has the type %s; integers are needed", ds->path, name,
                        bnf_dtype_name(type));
    BNF_TRY(bnf_h5_dataset_expect(d, type, 1, &n));
    BNF_TRY(bnf_h5_dataset_read(d, type, values)); /* narrower ones fill the front: widened from the back */
    const uint8_t *stored = (const uint8_t *)values;
    for (int64_t i = n; i-- > 0 && type != BNF_I64;) {
        int32_t narrow = stored[i];
        if (type == BNF_I32)
            memcpy(&narrow, stored + 4 * i, sizeof narrow);
        values[i] = narrow;
    }
    return BNF_OK;
}

bnf_status bnf_dataset_integers(const bnf_dataset *ds, const char *name, int64_t *values)
{
    char path[256];
    bnf_h5_dataset *d;

    if (strcmp(name, "label") == 0) {
        for (int64_t i = 0; i < ds->info.count; i++)
            values[i] = ds->labels[i];
        return BNF_OK;
    }
    snprintf(path, sizeof path, "/%s/%s", ds->info.name, name);
    BNF_TRY(bnf_h5_dataset_open(ds->file, path, &d));
    bnf_status status = read_integers(ds, d, path, values);
    bnf_status closed = bnf_h5_dataset_close(d);
    return status == BNF_OK ? closed : status;
}

/* ---- Checksum ---- */

static bnf_status digest_pictures(const bnf_dataset *ds, int64_t lo, int64_t hi, uint64_t *sum)
{
    bnf_raw raw = {0};
    bnf_status status = BNF_OK;

    for (int64_t i = lo; i < hi && status == BNF_OK; i++) {
        status = bnf_dataset_fetch(ds, 1, &i, &raw);
        if (status == BNF_OK)
            *sum += bnf_digest_samples(raw.bytes.data, raw.start[1], ds->labels + i, i, 1);
    }
    bnf_raw_release(&raw);
    return status;
}

static bnf_status digest_range(const bnf_dataset *ds, int64_t lo, int64_t hi, uint64_t *sum)
{
    if (ds->info.encoded)
        return digest_pictures(ds, lo, hi, sum);
    int64_t bytes = ds->stored_sample, rows = VERIFY_BYTES / bytes > 0 ? VERIFY_BYTES / bytes : 1;
    void *images = NULL;
    bnf_status status = BNF_OK;

    rows = rows < hi - lo ? rows : hi - lo;
    BNF_TRY(bnf_alloc((size_t)(rows * bytes), "images to verify", &images));
    for (int64_t first = lo; first < hi && status == BNF_OK; first += rows) {
        int64_t count = first + rows < hi ? rows : hi - first;
        status = ds->info.sparse ? bnf_dataset_read_made(ds, first, count, NULL, images)
                                 : read_stored_rows(ds, first, count, images);
        if (status == BNF_OK)
            *sum += bnf_digest_samples(images, bytes, ds->labels + first, first, count);
    }
    bnf_free(images);
    return status;
}

bnf_status bnf_dataset_checksum(const bnf_dataset *ds, const bnf_comm *comm, uint64_t *sum)
{
    int64_t rank = bnf_comm_rank(comm), ranks = bnf_comm_size(comm), n = ds->info.count;

    *sum = 0;
    BNF_TRY(bnf_comm_agree(comm, digest_range(ds, n * rank / ranks, n * (rank + 1) / ranks, sum)));
    return bnf_digest_reduce(comm, sum);
}

bnf_status bnf_dataset_verify(const bnf_dataset *ds, const bnf_comm *comm)
{
    uint64_t stated = 0, found;
    char text[BNF_CHECKSUM_HEX];
    bnf_status status;

    if (!ds->split_checksum)
        status = bnf_fail(BNF_ERR_FORMAT, "'%s': /%s states no checksum", ds->path, ds->info.name);
    else
        status = bnf_checksum_parse(ds->split_checksum, &stated);
    BNF_TRY(bnf_comm_agree(comm, status));
    BNF_TRY(bnf_dataset_checksum(ds, comm, &found));
    if (found != stated)
        status = bnf_fail(BNF_ERR_FORMAT, "'%s': the content of /%s is damaged: its checksum is %s, stated is %s",
                          ds->path, ds->info.name, bnf_checksum_format(found, text), ds->split_checksum);
    return bnf_comm_agree(comm, status);
}

bnf_status bnf_dataset_has(const char *path, bnf_split split, bool *has)
{
    bnf_h5_file *file;
    BNF_TRY(bnf_h5_file_open(path, &file));
    bnf_status s = bnf_h5_exists(file, bnf_split_name(split), has);
    const bnf_status closed = bnf_h5_file_close(file);
    return s != BNF_OK ? s : closed;
}
