#include "data/pictures.h"

#include "base/mem.h"
#include "data/image.h"
#include "h5/attr.h"
#include "h5/checksum.h"

#include <stdio.h>
#include <string.h>

/* Reads a whole data set of a known shape. [out] values owned. */
static bnf_status read_whole(bnf_h5_file *file, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                             void *values /* really void ** */)
{
    bnf_h5_dataset *d = NULL;
    size_t bytes = bnf_dtype_size(dtype);

    for (int i = 0; i < ndim; i++)
        bytes *= (size_t)dim[i];
    BNF_TRY(bnf_h5_dataset_open(file, name, &d));
    bnf_status status = bnf_h5_dataset_expect(d, dtype, ndim, dim);
    if (status == BNF_OK)
        status = bnf_alloc(bytes, "table of pictures", values);
    if (status == BNF_OK)
        status = bnf_h5_dataset_read(d, dtype, *(void **)values);
    bnf_status closed = bnf_h5_dataset_close(d);
    return status == BNF_OK ? closed : status;
}

static bnf_status check_offsets(const bnf_pictures *p)
{
    bool good = p->offsets[0] == 0 && p->offsets[p->count] == p->total;
    for (int64_t i = 0; i < p->count && good; i++)
        good = p->offsets[i] < p->offsets[i + 1];
    return good ? BNF_OK
                : bnf_fail(BNF_ERR_FORMAT, "'%s': /%s/offsets do not ascend from 0 to the %lld bytes of /%s/bytes",
                           p->path, p->split, (long long)p->total, p->split);
}

static bnf_status check_extents(bnf_pictures *p)
{
    p->h = p->extents[0];
    p->w = p->extents[1];
    for (int64_t i = 0; i < p->count; i++) {
        int32_t h = p->extents[2 * i], w = p->extents[2 * i + 1];
        if (h < 1 || w < 1 || h > BNF_IMAGE_MAX_SIDE || w > BNF_IMAGE_MAX_SIDE)
            return bnf_fail(BNF_ERR_FORMAT, "'%s': /%s/extents: picture %lld has %d x %d pixels", p->path, p->split,
                            (long long)i, (int)h, (int)w);
        if (h != p->h || w != p->w)
            p->h = p->w = 0;
    }
    return BNF_OK;
}

bnf_status bnf_pictures_open(bnf_h5_file *file, const char *path, const char *split, bnf_pictures *p)
{
    const int64_t any = -1;
    char name[32];
    bool sums;
    int ndim;

    p->path = path;
    p->split = split;
    BNF_TRY(bnf_h5_attr_get_int(file, "/", "channels", &p->channels));
    if (p->channels != 1 && p->channels != 3)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': the attribute 'channels' is %lld; it must be 1 or 3", path,
                        (long long)p->channels);
    snprintf(name, sizeof name, "/%s/bytes", split);
    BNF_TRY(bnf_h5_dataset_open(file, name, &p->bytes));
    BNF_TRY(bnf_h5_dataset_expect(p->bytes, BNF_U8, 1, &any));
    p->total = bnf_h5_dataset_dims(p->bytes, &ndim)[0];
    snprintf(name, sizeof name, "/%s/offsets", split);
    bnf_h5_dataset *offsets = NULL;
    BNF_TRY(bnf_h5_dataset_open(file, name, &offsets));
    const int64_t *dims = bnf_h5_dataset_dims(offsets, &ndim);
    p->count = ndim == 1 ? dims[0] - 1 : 0;
    BNF_TRY(bnf_h5_dataset_close(offsets));
    if (p->count < 1)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': %s states no picture", path, name);
    BNF_TRY(read_whole(file, name, BNF_I64, 1, &(int64_t){p->count + 1}, &p->offsets));
    BNF_TRY(check_offsets(p));
    snprintf(name, sizeof name, "/%s/extents", split);
    BNF_TRY(read_whole(file, name, BNF_I32, 2, (int64_t[]){p->count, 2}, &p->extents));
    BNF_TRY(check_extents(p));
    snprintf(name, sizeof name, "/%s/sums", split);
    BNF_TRY(bnf_h5_exists(file, name, &sums));
    return sums ? read_whole(file, name, BNF_I64, 1, &p->count, &p->sums) : BNF_OK;
}

void bnf_pictures_release(bnf_pictures *p)
{
    (void)bnf_h5_dataset_close(p->bytes); /* nothing was written */
    bnf_free(p->offsets);
    bnf_free(p->extents);
    bnf_free(p->sums);
    bnf_free(p->held);
    *p = (bnf_pictures){0};
}

/* Appends the pictures [first, first + count). */
static bnf_status read_run(const bnf_pictures *p, int64_t first, int64_t count, bnf_buf *bytes)
{
    int64_t from = p->offsets[first], size = p->offsets[first + count] - from;

    if (p->held)
        return bnf_buf_append(bytes, p->held + from, (size_t)size);
    BNF_TRY(bnf_buf_reserve(bytes, (size_t)size));
    BNF_TRY(bnf_h5_dataset_read_rows(p->bytes, BNF_U8, from, size, bytes->data + bytes->size));
    bytes->size += (size_t)size;
    return BNF_OK;
}

static bnf_status check_sums(const bnf_pictures *p, int64_t count, const int64_t *index, const uint8_t *bytes)
{
    for (int64_t i = 0; i < count && p->sums; i++) {
        size_t size = (size_t)(p->offsets[index[i] + 1] - p->offsets[index[i]]);
        if (bnf_checksum(bytes, size) != (uint64_t)p->sums[index[i]])
            return bnf_fail(BNF_ERR_FORMAT, "'%s': /%s/bytes: picture %lld is damaged: its bytes have another sum",
                            p->path, p->split, (long long)index[i]);
        bytes += size;
    }
    return BNF_OK;
}

bnf_status bnf_pictures_read(const bnf_pictures *p, int64_t count, const int64_t *index, bnf_buf *bytes)
{
    size_t before = bytes->size;

    for (int64_t i = 0; i < count; i++)
        if (index[i] < 0 || index[i] >= p->count)
            return bnf_fail(BNF_ERR_ARG, "'%s': picture %lld of 0..%lld", p->path, (long long)index[i],
                            (long long)p->count - 1);
    for (int64_t i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count && index[i + run] == index[i] + run;)
            run++;
        BNF_TRY(read_run(p, index[i], run, bytes));
    }
    return check_sums(p, count, index, (const uint8_t *)bytes->data + before);
}

bnf_status bnf_pictures_hold(bnf_pictures *p)
{
    void *bytes = NULL;

    if (p->held)
        return BNF_OK;
    BNF_TRY(bnf_alloc((size_t)p->total, "pictures of a set", &bytes));
    bnf_status status = bnf_h5_dataset_read(p->bytes, BNF_U8, bytes);
    if (status == BNF_OK)
        p->held = bytes;
    else
        bnf_free(bytes);
    return status;
}
