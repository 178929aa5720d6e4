#include "data/sparse.h"

#include "base/mem.h"
#include "h5/attr.h"

#include <banff/data.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Opening ---- */

static bnf_status open_shape(bnf_h5_file *file, bnf_sparse *s)
{
    char group[16];
    int64_t count = 0, *shape = NULL;

    snprintf(group, sizeof group, "/%s", s->split);
    BNF_TRY(bnf_h5_attr_get_ints(file, group, "shape", &count, &shape));
    bool good = count == 3;
    for (int64_t i = 0; i < count && good; i++)
        good = shape[i] >= 1 && shape[i] <= INT32_MAX;
    good = good && shape[2] <= BNF_DATA_MAX_CHANNELS && shape[0] * shape[1] <= INT32_MAX / shape[2];
    if (good) {
        s->h = shape[0];
        s->w = shape[1];
        s->c = shape[2];
        s->size = s->h * s->w * s->c;
    }
    bnf_free(shape);
    return good ? BNF_OK
                : bnf_fail(BNF_ERR_FORMAT,
                           "'%s': the attribute 'shape' of %s must be rows, columns and channels (at most %d) of "
                           "less than 2^31 cells",
                           s->path, group, BNF_DATA_MAX_CHANNELS);
}

static bnf_status read_offsets(bnf_sparse *s, bnf_h5_dataset *d, const char *name)
{
    const int64_t any = -1;
    int ndim;

    BNF_TRY(bnf_h5_dataset_expect(d, BNF_I64, 1, &any));
    s->count = bnf_h5_dataset_dims(d, &ndim)[0] - 1;
    if (s->count < 1)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': %s states no image", s->path, name);
    BNF_TRY(bnf_alloc((size_t)(s->count + 1) * sizeof *s->offsets, "offsets of a set", &s->offsets));
    return bnf_h5_dataset_read(d, BNF_I64, s->offsets);
}

static bnf_status open_offsets(bnf_h5_file *file, bnf_sparse *s)
{
    char name[32];
    bnf_h5_dataset *d;

    snprintf(name, sizeof name, "/%s/offsets", s->split);
    BNF_TRY(bnf_h5_dataset_open(file, name, &d));
    bnf_status status = read_offsets(s, d, name);
    bnf_status closed = bnf_h5_dataset_close(d);
    return status == BNF_OK ? closed : status;
}

static bnf_status check_offsets(const bnf_sparse *s)
{
    bool good = s->offsets[0] == 0 && s->offsets[s->count] == s->entries;
    for (int64_t i = 0; i < s->count && good; i++)
        good = s->offsets[i] <= s->offsets[i + 1] && s->offsets[i + 1] - s->offsets[i] <= s->size;
    return good ? BNF_OK
                : bnf_fail(BNF_ERR_FORMAT,
                           "'%s': /%s/offsets do not ascend from 0 to the %lld entries of /%s/cells by at most the "
                           "%lld cells of an image",
                           s->path, s->split, (long long)s->entries, s->split, (long long)s->size);
}

bnf_status bnf_sparse_open(bnf_h5_file *file, const char *path, const char *split, bnf_sparse *s)
{
    const int64_t any = -1;
    char name[32];
    bnf_h5_dataset_info info;

    s->path = path;
    s->split = split;
    BNF_TRY(open_shape(file, s));
    BNF_TRY(open_offsets(file, s));
    snprintf(name, sizeof name, "/%s/cells", split);
    BNF_TRY(bnf_h5_dataset_open(file, name, &s->cells));
    BNF_TRY(bnf_h5_dataset_expect(s->cells, BNF_I32, 1, &any));
    BNF_TRY(bnf_h5_dataset_describe(s->cells, &info));
    s->entries = info.dim[0];
    s->chunk_entries = info.chunked ? info.chunk[0] : 1;
    snprintf(name, sizeof name, "/%s/values", split);
    BNF_TRY(bnf_h5_dataset_open(file, name, &s->values));
    s->dtype = bnf_h5_dataset_dtype(s->values) == BNF_F32 ? BNF_F32 : BNF_U8;
    BNF_TRY(bnf_h5_dataset_expect(s->values, s->dtype, 1, &s->entries));
    return check_offsets(s);
}

void bnf_sparse_release(bnf_sparse *s)
{
    (void)bnf_h5_dataset_close(s->cells); /* nothing was written */
    (void)bnf_h5_dataset_close(s->values);
    bnf_free(s->offsets);
    bnf_free(s->held_cells);
    bnf_free(s->held_values);
    *s = (bnf_sparse){0};
}

/* ---- Reading ---- */

static int64_t entries_of(const bnf_sparse *s, int64_t index)
{
    return s->offsets[index + 1] - s->offsets[index];
}

int64_t bnf_sparse_bytes(const bnf_sparse *s, int64_t index)
{
    int64_t n = entries_of(s, index);
    return 4 * n + (n * (int64_t)bnf_dtype_size(s->dtype) + 3) / 4 * 4;
}

bnf_status bnf_sparse_fetch(const bnf_sparse *s, int64_t index, bnf_buf *bytes)
{
    size_t value = bnf_dtype_size(s->dtype);

    if (index < 0 || index >= s->count)
        return bnf_fail(BNF_ERR_ARG, "'%s': image %lld of 0..%lld", s->path, (long long)index, (long long)s->count - 1);
    int64_t first = s->offsets[index], n = entries_of(s, index), size = bnf_sparse_bytes(s, index);
    BNF_TRY(bnf_buf_reserve(bytes, (size_t)size));
    if (n == 0)
        return BNF_OK;
    char *cells = bytes->data + bytes->size, *values = cells + 4 * n;
    memset(cells + size - 4, 0, 4); /* what fills up */
    if (s->held_cells) {
        memcpy(cells, s->held_cells + first, (size_t)(4 * n));
        memcpy(values, s->held_values + (size_t)first * value, (size_t)n * value);
    } else {
        BNF_TRY(bnf_h5_dataset_read_rows(s->cells, BNF_I32, first, n, cells));
        BNF_TRY(bnf_h5_dataset_read_rows(s->values, s->dtype, first, n, values));
    }
    bytes->size += (size_t)size;
    return BNF_OK;
}

static bnf_status check_entries(const bnf_sparse *s, const int32_t *cells, const void *values, int64_t index)
{
    int64_t n = entries_of(s, index), last = -1;

    for (int64_t i = 0; i < n; last = cells[i++])
        if (cells[i] <= last || cells[i] >= s->size)
            return bnf_fail(BNF_ERR_FORMAT, "'%s': /%s/cells: image %lld: cell %lld after %lld, of %lld in all",
                            s->path, s->split, (long long)index, (long long)cells[i], (long long)last,
                            (long long)s->size);
    for (int64_t i = 0; i < n && s->dtype == BNF_F32; i++)
        if (!isfinite(((const float *)values)[i]))
            return bnf_fail(BNF_ERR_NUMERIC, "'%s': /%s/values: image %lld holds NaN or infinity", s->path, s->split,
                            (long long)index);
    return BNF_OK;
}

bnf_status bnf_sparse_make(const bnf_sparse *s, const void *bytes, int64_t index, void *image)
{
    const int32_t *cells = bytes;
    int64_t n = entries_of(s, index);
    const void *values = cells + n;

    BNF_TRY(check_entries(s, cells, values, index));
    memset(image, 0, (size_t)s->size * bnf_dtype_size(s->dtype));
    for (int64_t i = 0; i < n && s->dtype == BNF_U8; i++)
        ((uint8_t *)image)[cells[i]] = ((const uint8_t *)values)[i];
    for (int64_t i = 0; i < n && s->dtype == BNF_F32; i++)
        ((float *)image)[cells[i]] = ((const float *)values)[i];
    return BNF_OK;
}

bnf_status bnf_sparse_hold(bnf_sparse *s)
{
    int32_t *cells = NULL;
    void *values = NULL;

    if (s->held_cells)
        return BNF_OK;
    bnf_status status = bnf_alloc((size_t)s->entries * sizeof *cells, "cells of a set", &cells);
    if (status == BNF_OK)
        status = bnf_alloc((size_t)s->entries * bnf_dtype_size(s->dtype), "values of a set", &values);
    if (status == BNF_OK)
        status = bnf_h5_dataset_read(s->cells, BNF_I32, cells);
    if (status == BNF_OK)
        status = bnf_h5_dataset_read(s->values, s->dtype, values);
    if (status == BNF_OK) {
        s->held_cells = cells;
        s->held_values = values;
    } else {
        bnf_free(cells);
        bnf_free(values);
    }
    return status;
}

/* ---- Writing ---- */

static int64_t take_u8(const uint8_t *image, int64_t size, int32_t *cells, uint8_t *values)
{
    int64_t n = 0;

    for (int64_t i = 0; i < size; i++) {
        if (image[i] == 0)
            continue;
        if (cells) {
            cells[n] = (int32_t)i;
            values[n] = image[i];
        }
        n++;
    }
    return n;
}

/* A zero with a sign is kept: its bits are not zero. */
static int64_t take_f32(const float *image, int64_t size, int32_t *cells, float *values)
{
    int64_t n = 0;

    for (int64_t i = 0; i < size; i++) {
        if (image[i] == 0 && !signbit(image[i]))
            continue;
        if (cells) {
            cells[n] = (int32_t)i;
            values[n] = image[i];
        }
        n++;
    }
    return n;
}

int64_t bnf_sparse_take(const void *image, bnf_dtype dtype, int64_t size, int32_t *cells, void *values)
{
    return dtype == BNF_F32 ? take_f32(image, size, cells, values) : take_u8(image, size, cells, values);
}
