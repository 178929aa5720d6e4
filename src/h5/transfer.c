/* Elements between memory and file. */
#include "h5/impl.h"

#include "base/assert.h"

#include <string.h>

/* Element type in memory. Predefined: not to be released. */
static hid_t memory_type(bnf_dtype t)
{
    switch (t) {
    case BNF_F32:
        return H5T_NATIVE_FLOAT;
    case BNF_F64:
        return H5T_NATIVE_DOUBLE;
    case BNF_I32:
        return H5T_NATIVE_INT32;
    case BNF_I64:
        return H5T_NATIVE_INT64;
    case BNF_U8:
        return H5T_NATIVE_UINT8;
    default:
        BNF_ASSERT(!"a valid element type");
        return H5I_INVALID_HID;
    }
}

static bnf_status check_dtype(const bnf_h5_dataset *d, bnf_dtype dtype, bnf_status code)
{
    if (d->info.dtype == dtype)
        return BNF_OK;
    return bnf_fail(code, "file '%s', dataset '%s': expected elements %s, found %s", d->file->path, d->name,
                    bnf_dtype_name(dtype), bnf_dtype_name(d->info.dtype));
}

/* Whether the block lies inside the dataset. */
static bnf_status check_slab(const bnf_h5_dataset *d, const int64_t *start, const int64_t *count)
{
    for (int i = 0; i < d->info.ndim; i++)
        if (start[i] < 0 || count[i] < 0 || start[i] > d->info.dim[i] || count[i] > d->info.dim[i] - start[i])
            return bnf_fail(BNF_ERR_ARG,
                            "file '%s', dataset '%s': [%lld, %lld + %lld) is outside of dimension %d, extent %lld",
                            d->file->path, d->name, (long long)start[i], (long long)start[i], (long long)count[i], i,
                            (long long)d->info.dim[i]);
    return BNF_OK;
}

static bool is_empty(const bnf_h5_dataset *d, const int64_t *count)
{
    for (int i = 0; i < d->info.ndim; i++)
        if (!count[i])
            return true;
    return false;
}

/* The two sides of a transfer: a block of the dataset and dense memory. */
typedef struct slab {
    hid_t memory, file;
} slab;

static void slab_release(slab *s)
{
    bnf_h5_id_release(&s->memory);
    bnf_h5_id_release(&s->file);
}

/* Selects the block; an empty one selects nothing. False: HDF5 failed. */
static bool slab_select(const bnf_h5_dataset *d, const int64_t *start, const int64_t *count, slab *s)
{
    hsize_t from[BNF_H5_MAX_DIMS], extent[BNF_H5_MAX_DIMS];
    int ndim = d->info.ndim;
    for (int i = 0; i < ndim; i++) {
        from[i] = (hsize_t)start[i];
        extent[i] = (hsize_t)count[i];
    }
    s->file = H5Dget_space(d->id);
    s->memory = ndim ? H5Screate_simple(ndim, extent, NULL) : H5Screate(H5S_SCALAR);
    if (s->file < 0 || s->memory < 0)
        return false;
    if (is_empty(d, count))
        return H5Sselect_none(s->file) >= 0 && H5Sselect_none(s->memory) >= 0;
    return !ndim || H5Sselect_hyperslab(s->file, H5S_SELECT_SET, from, NULL, extent, NULL) >= 0;
}

/* ---- write ----------------------------------------------------------------------------------------------------- */

static bnf_status write_slab(bnf_h5_dataset *d, const int64_t *start, const int64_t *count, const void *data,
                             bool together)
{
    if (!is_empty(d, count))
        bnf_h5_note_written(d, start, count, data);
    slab s __attribute__((cleanup(slab_release))) = {H5I_INVALID_HID, H5I_INVALID_HID};
    BNF_H5_ID transfer = together ? H5Pcreate(H5P_DATASET_XFER) : H5P_DEFAULT;
    bool ready = slab_select(d, start, count, &s) && transfer >= 0;
    if (ready && together)
        ready = H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE) >= 0;
    static const char nothing; /* HDF5 wants an address even for an empty selection */
    if (!ready || H5Dwrite(d->id, memory_type(d->info.dtype), s.memory, s.file, transfer, data ? data : &nothing) < 0)
        return bnf_h5_fail(BNF_ERR_IO, "file '%s', dataset '%s': cannot write", d->file->path, d->name);
    return BNF_OK;
}

/* Everything that can fail before anything is written. */
static bnf_status check_write(const bnf_h5_dataset *d, bnf_dtype dtype, const int64_t *start, const int64_t *count,
                              const void *data)
{
    BNF_ASSERT(d->file->writable);
    BNF_TRY(check_dtype(d, dtype, BNF_ERR_ARG));
    BNF_TRY(check_slab(d, start, count));
    BNF_ASSERT(data || is_empty(d, count));
    return bnf_h5_note_reserve(d);
}

bnf_status bnf_h5_dataset_write_slab_all(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start,
                                         const int64_t *count, const void *data, bnf_status local)
{
    BNF_H5_LOCKED();
    if (local == BNF_OK)
        local = check_write(dataset, dtype, start, count, data);
    BNF_TRY(bnf_h5_agree(dataset->file, local));
    return bnf_h5_agree(dataset->file, write_slab(dataset, start, count, data, dataset->file->comm != NULL));
}

bnf_status bnf_h5_dataset_write_slab(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start,
                                     const int64_t *count, const void *data)
{
    BNF_H5_LOCKED();
    const bnf_h5_dataset_info *info = &dataset->info;
    if (dataset->file->comm && (info->deflate || info->shuffle || info->fletcher32))
        return bnf_fail(BNF_ERR_UNSUPPORTED, "file '%s', dataset '%s': ranks can write through filters only together",
                        dataset->file->path, dataset->name);
    BNF_TRY(check_write(dataset, dtype, start, count, data));
    return write_slab(dataset, start, count, data, false);
}

bnf_status bnf_h5_dataset_write(bnf_h5_dataset *dataset, bnf_dtype dtype, const void *data)
{
    const int64_t zero[BNF_H5_MAX_DIMS] = {0};
    const bnf_comm *comm = dataset->file->comm;
    bool mine = !comm || bnf_comm_rank(comm) == 0;
    const int64_t *count = mine ? dataset->info.dim : zero;
    if (comm &&
        !dataset->info.ndim) { /* a scalar has no empty block: rank 0 writes alone, the others wait for the result */
        bnf_status status = mine ? bnf_h5_dataset_write_slab(dataset, dtype, zero, count, data) : BNF_OK;
        BNF_H5_LOCKED();
        return bnf_h5_agree(dataset->file, status);
    }
    return bnf_h5_dataset_write_slab_all(dataset, dtype, zero, count, data, BNF_OK);
}

/* ---- read ------------------------------------------------------------------------------------------------------ */

static bnf_status read_slab(bnf_h5_dataset *d, const int64_t *start, const int64_t *count, void *data)
{
    if (is_empty(d, count))
        return BNF_OK;
    slab s __attribute__((cleanup(slab_release))) = {H5I_INVALID_HID, H5I_INVALID_HID};
    if (!slab_select(d, start, count, &s) ||
        H5Dread(d->id, memory_type(d->info.dtype), s.memory, s.file, H5P_DEFAULT, data) < 0)
        return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': cannot read", d->file->path, d->name);
    return BNF_OK;
}

bnf_status bnf_h5_dataset_read_slab(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start,
                                    const int64_t *count, void *data)
{
    BNF_H5_LOCKED();
    return h5_dataset_read_slab(dataset, dtype, start, count, data);
}

bnf_status h5_dataset_read_slab(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start, const int64_t *count,
                                void *data)
{
    BNF_TRY(check_dtype(dataset, dtype, BNF_ERR_FORMAT));
    BNF_TRY(check_slab(dataset, start, count));
    return read_slab(dataset, start, count, data);
}

bnf_status bnf_h5_dataset_read(bnf_h5_dataset *dataset, bnf_dtype dtype, void *data)
{
    const int64_t zero[BNF_H5_MAX_DIMS] = {0};
    return bnf_h5_dataset_read_slab(dataset, dtype, zero, dataset->info.dim, data);
}

/* Reads [first, first + count) of the first dimension; the lock is held. */
static bnf_status read_rows(bnf_h5_dataset *d, int64_t first, int64_t count, void *data)
{
    int64_t start[BNF_H5_MAX_DIMS] = {first};
    int64_t extent[BNF_H5_MAX_DIMS];
    memcpy(extent, d->info.dim, sizeof extent);
    extent[0] = count;
    BNF_TRY(check_slab(d, start, extent));
    return read_slab(d, start, extent, data);
}

/* A scalar has no rows. */
static bnf_status check_rows(const bnf_h5_dataset *d, bnf_dtype dtype)
{
    BNF_TRY(check_dtype(d, dtype, BNF_ERR_FORMAT));
    if (!d->info.ndim)
        return bnf_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': a scalar, where rows were expected", d->file->path,
                        d->name);
    return BNF_OK;
}

bnf_status bnf_h5_dataset_read_rows(bnf_h5_dataset *dataset, bnf_dtype dtype, int64_t first, int64_t count, void *data)
{
    BNF_H5_LOCKED();
    BNF_TRY(check_rows(dataset, dtype));
    return read_rows(dataset, first, count, data);
}

bnf_status bnf_h5_dataset_read_list(bnf_h5_dataset *dataset, bnf_dtype dtype, int64_t count, const int64_t *row,
                                    void *data)
{
    BNF_H5_LOCKED();
    BNF_TRY(check_rows(dataset, dtype));
    for (int64_t i = 1; i < count; i++)
        if (row[i] < row[i - 1])
            return bnf_fail(BNF_ERR_ARG, "file '%s', dataset '%s': row %lld is asked for after row %lld: not sorted",
                            dataset->file->path, dataset->name, (long long)row[i], (long long)row[i - 1]);
    int64_t row_bytes = (int64_t)bnf_dtype_size(dtype);
    for (int i = 1; i < dataset->info.ndim; i++)
        row_bytes *= dataset->info.dim[i];
    char *to = data;
    for (int64_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && row[next] == row[next - 1] + 1;)
            next++;
        BNF_TRY(read_rows(dataset, row[i], next - i, to + i * row_bytes));
    }
    return BNF_OK;
}
