#include "h5/dataset.h"
#include "h5/impl.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- types and shapes ------------------------------------------------------------------------------------------ */

/* Element type in the file: little-endian everywhere. Predefined: not to be released. */
static hid_t file_type(bnf_dtype t)
{
    switch (t) {
    case BNF_F32:
        return H5T_IEEE_F32LE;
    case BNF_F64:
        return H5T_IEEE_F64LE;
    case BNF_I32:
        return H5T_STD_I32LE;
    case BNF_I64:
        return H5T_STD_I64LE;
    case BNF_U8:
        return H5T_STD_U8LE;
    default:
        BNF_ASSERT(!"a valid element type");
        return H5I_INVALID_HID;
    }
}

/* IEEE half precision. */
static bool is_half(hid_t type)
{
    size_t sign, exponent, exponent_bits, fraction, fraction_bits;
    return H5Tget_size(type) == 2 && H5Tget_precision(type) == 16 && H5Tget_offset(type) == 0 &&
           H5Tget_fields(type, &sign, &exponent, &exponent_bits, &fraction, &fraction_bits) >= 0 && sign == 15 &&
           exponent == 10 && exponent_bits == 5 && fraction == 0 && fraction_bits == 10 && H5Tget_ebias(type) == 15 &&
           H5Tget_norm(type) == H5T_NORM_IMPLIED;
}

/* [out] t  the element type in memory of what `type` is, in either byte order. */
static bool recognise_type(hid_t type, bnf_dtype *t)
{
    H5T_class_t class = H5Tget_class(type);
    size_t size = H5Tget_size(type);
    if (class == H5T_FLOAT && is_half(type)) {
        *t = BNF_F32;
        return true;
    }
    if (class == H5T_FLOAT && (size == 4 || size == 8)) {
        *t = size == 4 ? BNF_F32 : BNF_F64;
        return true;
    }
    if (class != H5T_INTEGER)
        return false;
    bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
    *t = size == 1 ? BNF_U8 : size == 4 ? BNF_I32 : BNF_I64;
    return size == 1 ? !is_signed : is_signed && (size == 4 || size == 8);
}

/* "f32[60000,28,28]"; an extent of -1 is written "?". */
static const char *format_shape(bnf_dtype dtype, int ndim, const int64_t *dim, char *text, size_t size)
{
    int used = snprintf(text, size, "%s[", bnf_dtype_name(dtype));
    for (int i = 0; i < ndim && used < (int)size; i++) {
        const char *comma = i ? "," : "";
        if (dim[i] < 0)
            used += snprintf(text + used, size - (size_t)used, "%s?", comma);
        else
            used += snprintf(text + used, size - (size_t)used, "%s%lld", comma, (long long)dim[i]);
    }
    if (used < (int)size)
        snprintf(text + used, size - (size_t)used, "]");
    return text;
}

/* Fills in type and extents of info from an open dataset. */
static bnf_status read_shape(bnf_h5_dataset *d)
{
    const char *path = d->file->path;
    BNF_H5_ID type = H5Dget_type(d->id);
    BNF_H5_ID space = H5Dget_space(d->id);
    if (type < 0 || space < 0)
        return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': cannot read its shape", path, d->name);
    if (!recognise_type(type, &d->info.dtype))
        return bnf_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': its elements are none of f16, f32, f64, i32, i64, u8",
                        path, d->name);
    d->info.half = H5Tget_size(type) < bnf_dtype_size(d->info.dtype);
    int ndim = H5Sget_simple_extent_ndims(space);
    hsize_t dims[H5S_MAX_RANK];
    if (H5Sget_simple_extent_type(space) == H5S_NULL || ndim < 0 || ndim > BNF_H5_MAX_DIMS ||
        H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        return bnf_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': %d dimensions, at most %d are possible", path,
                        d->name, ndim, BNF_H5_MAX_DIMS);
    d->info.ndim = ndim;
    uint64_t bytes = bnf_dtype_size(d->info.dtype);
    for (int i = 0; i < ndim; i++) {
        if (dims[i] > INT64_MAX || __builtin_mul_overflow(bytes, dims[i] ? dims[i] : 1, &bytes) || bytes > INT64_MAX)
            return bnf_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': more elements than a computer can address", path,
                            d->name);
        d->info.dim[i] = (int64_t)dims[i];
    }
    return BNF_OK;
}

/* Fills in chunks and filters of info from a creation list. */
static bnf_status read_storage(bnf_h5_dataset *d)
{
    BNF_H5_ID list = H5Dget_create_plist(d->id);
    if (list < 0)
        return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': cannot read how it is stored", d->file->path,
                           d->name);
    d->info.chunked = H5Pget_layout(list) == H5D_CHUNKED;
    hsize_t chunk[H5S_MAX_RANK] = {0};
    if (d->info.chunked && H5Pget_chunk(list, BNF_H5_MAX_DIMS, chunk) != d->info.ndim)
        return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': its chunks are damaged", d->file->path, d->name);
    for (int i = 0; i < d->info.ndim; i++)
        d->info.chunk[i] = (int64_t)chunk[i];
    int filters = H5Pget_nfilters(list);
    for (int i = 0; i < filters; i++) {
        unsigned flags, config, value[8] = {0};
        size_t values = 8;
        char name[64];
        H5Z_filter_t filter = H5Pget_filter2(list, (unsigned)i, &flags, &values, value, sizeof name, name, &config);
        d->info.shuffle |= filter == H5Z_FILTER_SHUFFLE;
        d->info.fletcher32 |= filter == H5Z_FILTER_FLETCHER32;
        if (filter == H5Z_FILTER_DEFLATE)
            d->info.deflate = values ? (int)value[0] : 1;
        if (filter > 0 && H5Zfilter_avail(filter) <= 0)
            return bnf_fail(BNF_ERR_FORMAT,
                            "file '%s', dataset '%s': stored with the filter '%s', which is not installed",
                            d->file->path, d->name, name);
    }
    return BNF_OK;
}

/* ---- create, open, close --------------------------------------------------------------------------------------- */

static void free_dataset(bnf_h5_dataset *d)
{
    if (!d)
        return;
    if (d->id >= 0)
        H5Dclose(d->id);
    bnf_free(d->name);
    bnf_free(d);
}

static bnf_status new_dataset(bnf_h5_file *file, const char *name, bnf_h5_dataset **dataset)
{
    bnf_h5_dataset *d = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *d, "HDF5 dataset", &d));
    d->file = file;
    d->id = H5I_INVALID_HID;
    bnf_status status = bnf_h5_path(name, &d->name);
    if (status != BNF_OK) {
        bnf_free(d);
        return status;
    }
    *dataset = d;
    return BNF_OK;
}

/* Creation list for a storage. A negative result is HDF5's failure. */
static hid_t creation_list(int ndim, const bnf_h5_storage *storage)
{
    hid_t list = bnf_h5_creation_list(H5P_DATASET_CREATE);
    bool failed = list < 0;
    if (!failed && storage && storage->chunk) {
        hsize_t chunk[BNF_H5_MAX_DIMS];
        for (int i = 0; i < ndim; i++)
            chunk[i] = (hsize_t)storage->chunk[i];
        failed = H5Pset_chunk(list, ndim, chunk) < 0 || (storage->shuffle && H5Pset_shuffle(list) < 0) ||
                 (storage->deflate && H5Pset_deflate(list, (unsigned)storage->deflate) < 0) ||
                 (storage->fletcher32 && H5Pset_fletcher32(list) < 0);
    }
    if (failed && list >= 0)
        H5Pclose(list);
    return failed ? H5I_INVALID_HID : list;
}

/* What the arguments of create may be; for anything else the caller is wrong. */
static bnf_status check_creation(const bnf_h5_file *file, const char *name, int ndim, const int64_t *dim,
                                 const bnf_h5_storage *storage)
{
    BNF_ASSERT(file->writable);
    if (ndim < 0 || ndim > BNF_H5_MAX_DIMS)
        return bnf_fail(BNF_ERR_ARG, "file '%s', dataset '%s': %d dimensions, at most %d are possible", file->path,
                        name, ndim, BNF_H5_MAX_DIMS);
    bool filters = storage && (storage->deflate || storage->shuffle || storage->fletcher32);
    bool chunked = storage && storage->chunk;
    if ((filters && !chunked) || (chunked && !ndim) || (storage && (storage->deflate < 0 || storage->deflate > 9)))
        return bnf_fail(BNF_ERR_ARG, "file '%s', dataset '%s': filters need chunks, chunks a dimension, deflate 0..9",
                        file->path, name);
    for (int i = 0; i < ndim; i++)
        if (dim[i] < 0 || (chunked && (storage->chunk[i] < 1 || storage->chunk[i] > (dim[i] ? dim[i] : 1))))
            return bnf_fail(BNF_ERR_ARG,
                            "file '%s', dataset '%s': extent %lld of dimension %d and its chunk do not fit", file->path,
                            name, (long long)dim[i], i);
    return BNF_OK;
}

static bnf_status create_dataset(bnf_h5_dataset *d, bnf_dtype dtype, int ndim, const int64_t *dim,
                                 const bnf_h5_storage *storage)
{
    hsize_t dims[BNF_H5_MAX_DIMS];
    for (int i = 0; i < ndim; i++)
        dims[i] = (hsize_t)dim[i];
    BNF_H5_ID space = ndim ? H5Screate_simple(ndim, dims, NULL) : H5Screate(H5S_SCALAR);
    BNF_H5_ID list = creation_list(ndim, storage);
    BNF_TRY(bnf_h5_make_groups(d->file, d->name, false));
    if (space >= 0 && list >= 0)
        d->id = H5Dcreate2(d->file->id, d->name, file_type(dtype), space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (d->id < 0)
        return bnf_h5_fail(BNF_ERR_IO, "file '%s': cannot create dataset '%s'", d->file->path, d->name);
    BNF_TRY(read_shape(d));
    return read_storage(d);
}

bnf_status bnf_h5_dataset_create(bnf_h5_file *file, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                                 const bnf_h5_storage *storage, bnf_h5_dataset **dataset)
{
    BNF_H5_LOCKED();
    bnf_h5_dataset *d = NULL;
    bnf_status status = check_creation(file, name, ndim, dim, storage);
    if (status == BNF_OK)
        status = new_dataset(file, name, &d);
    status = bnf_h5_agree(file, status);
    if (status == BNF_OK)
        status = bnf_h5_agree(file, create_dataset(d, dtype, ndim, dim, storage));
    if (status != BNF_OK) {
        free_dataset(d);
        return status;
    }
    file->open_datasets++;
    *dataset = d;
    return BNF_OK;
}

/* Access list whose chunk cache holds two chunks at least, so that rows of one chunk, read one after the other, are
 * decompressed once. */
static hid_t access_for(hid_t probe)
{
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    BNF_H5_ID list = H5Dget_create_plist(probe);
    BNF_H5_ID type = H5Dget_type(probe);
    hsize_t chunk[H5S_MAX_RANK];
    int ndim = list >= 0 && H5Pget_layout(list) == H5D_CHUNKED ? H5Pget_chunk(list, H5S_MAX_RANK, chunk) : 0;
    const size_t usual = (size_t)1 << 20, most = (size_t)1 << 28;
    size_t bytes = 2 * H5Tget_size(type);
    for (int i = 0; i < ndim && bytes < most; i++)
        bytes = chunk[i] < most ? bytes * (size_t)chunk[i] : most;
    if (access >= 0 && ndim > 0 && bytes > usual && bytes < most)
        H5Pset_chunk_cache(access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, bytes, 1.0);
    return access;
}

static bnf_status open_dataset(bnf_h5_dataset *d)
{
    bool exists = false;
    size_t above = 1;
    BNF_TRY(bnf_h5_find(d->file, d->name, &exists, &above));
    if (!exists)
        return bnf_h5_fail_missing(d->file, "dataset", d->name, above);
    BNF_H5_ID probe = H5Dopen2(d->file->id, d->name, H5P_DEFAULT);
    if (probe >= 0) {
        BNF_H5_ID access = access_for(probe);
        H5Dclose(probe);
        probe = H5I_INVALID_HID;
        d->id = access < 0 ? access : H5Dopen2(d->file->id, d->name, access);
    }
    if (d->id < 0)
        return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s': cannot open '%s' as a dataset", d->file->path, d->name);
    BNF_TRY(read_shape(d));
    return read_storage(d);
}

bnf_status bnf_h5_dataset_open(bnf_h5_file *file, const char *name, bnf_h5_dataset **dataset)
{
    BNF_H5_LOCKED();
    return h5_dataset_open(file, name, dataset);
}

bnf_status h5_dataset_open(bnf_h5_file *file, const char *name, bnf_h5_dataset **dataset)
{
    bnf_h5_dataset *d = NULL;
    BNF_TRY(new_dataset(file, name, &d));
    bnf_status status = open_dataset(d);
    if (status != BNF_OK) {
        free_dataset(d);
        return status;
    }
    file->open_datasets++;
    *dataset = d;
    return BNF_OK;
}

bnf_status bnf_h5_dataset_close(bnf_h5_dataset *dataset)
{
    if (!dataset)
        return BNF_OK;
    BNF_H5_LOCKED();
    return h5_dataset_close(dataset);
}

bnf_status h5_dataset_close(bnf_h5_dataset *dataset)
{
    bnf_h5_file *file = dataset->file;
    bnf_status status = BNF_OK;
    if (H5Dclose(dataset->id) < 0)
        status = bnf_h5_fail(file->writable ? BNF_ERR_IO : BNF_ERR_FORMAT, "file '%s', dataset '%s': cannot close",
                             file->path, dataset->name);
    dataset->id = H5I_INVALID_HID;
    free_dataset(dataset);
    file->open_datasets--;
    return bnf_h5_agree(file, status);
}

/* ---- describe and check ---------------------------------------------------------------------------------------- */

bnf_status bnf_h5_dataset_describe(bnf_h5_dataset *dataset, bnf_h5_dataset_info *info)
{
    BNF_H5_LOCKED();
    haddr_t offset = dataset->info.chunked || dataset->info.half ? HADDR_UNDEF : H5Dget_offset(dataset->id);
    H5Eclear2(H5E_DEFAULT);
    *info = dataset->info;
    info->stored_bytes = (int64_t)H5Dget_storage_size(dataset->id);
    info->offset = offset == HADDR_UNDEF ? -1 : (int64_t)offset;
    return BNF_OK;
}

const int64_t *bnf_h5_dataset_dims(const bnf_h5_dataset *dataset, int *ndim)
{
    *ndim = dataset->info.ndim;
    return dataset->info.dim;
}

bnf_dtype bnf_h5_dataset_dtype(const bnf_h5_dataset *dataset)
{
    return dataset->info.dtype;
}

bnf_status bnf_h5_dataset_expect(const bnf_h5_dataset *dataset, bnf_dtype dtype, int ndim, const int64_t *dim)
{
    const bnf_h5_dataset_info *info = &dataset->info;
    bool same = info->dtype == dtype && info->ndim == ndim;
    for (int i = 0; same && i < ndim; i++)
        same = dim[i] < 0 || dim[i] == info->dim[i];
    if (same)
        return BNF_OK;
    char expected[256], found[256];
    return bnf_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': expected %s, found %s", dataset->file->path,
                    dataset->name, format_shape(dtype, ndim, dim, expected, sizeof expected),
                    format_shape(info->dtype, info->ndim, info->dim, found, sizeof found));
}
