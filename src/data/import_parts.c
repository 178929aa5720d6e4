#include "data/import_parts.h"

#include "base/fs.h"
#include "base/mem.h"
#include "data/digest.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

void bnf_import_part_release(bnf_import_part *part)
{
    bnf_buf_release(&part->bytes);
    bnf_free(part->sizes);
    bnf_free(part->sums);
    bnf_free(part->extents);
    bnf_free(part->labels);
    *part = (bnf_import_part){0};
}

/* ---- Making ---- */

static bnf_status make_room(bnf_import_part *part)
{
    size_t n = (size_t)part->count;

    bnf_buf_clear(&part->bytes);
    part->pixels = 0;
    part->digest = 0;
    memset(part->sum, 0, sizeof part->sum);
    memset(part->squares, 0, sizeof part->squares);
    if (part->sizes)
        return BNF_OK; /* of a part that was as large: the last one is the smallest */
    BNF_TRY(bnf_calloc(n, sizeof *part->sizes, "sizes of pictures", &part->sizes));
    BNF_TRY(bnf_calloc(n, sizeof *part->sums, "sums of pictures", &part->sums));
    BNF_TRY(bnf_calloc(2 * n, sizeof *part->extents, "extents of pictures", &part->extents));
    return bnf_calloc(n, sizeof *part->labels, "labels of pictures", &part->labels);
}

static bnf_status add_picture(bnf_source *source, bnf_import_part *part, int64_t i, bnf_buf *file, bnf_image *image)
{
    const char *name;

    BNF_TRY(source->fetch(source, part->split, part->first + i, file, &name, &part->labels[i]));
    BNF_TRY(bnf_image_decode((const uint8_t *)file->data, file->size, name, image));
    part->sizes[i] = (int64_t)file->size;
    part->sums[i] = (int64_t)bnf_checksum(file->data, file->size);
    part->extents[2 * i] = (int32_t)image->h;
    part->extents[2 * i + 1] = (int32_t)image->w;
    part->pixels += image->h * image->w;
    part->digest += bnf_digest_samples(file->data, part->sizes[i], &part->labels[i], part->first + i, 1);
    BNF_TRY(bnf_image_set_channels(image, source->c));
    bnf_import_add_pixels(image->pixels, image->h * image->w, source->c, part->sum, part->squares);
    return bnf_buf_append(&part->bytes, file->data, file->size);
}

bnf_status bnf_import_part_make(bnf_source *source, bnf_image *image, bnf_import_part *part)
{
    bnf_buf file = {0};
    bnf_status status = make_room(part);

    for (int64_t i = 0; i < part->count && status == BNF_OK; i++)
        status = add_picture(source, part, i, &file, image);
    bnf_buf_release(&file);
    return status;
}

/* ---- Writing ---- */

static bnf_status write_table(bnf_h5_file *file, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                              const void *data)
{
    bnf_h5_dataset *d;
    BNF_TRY(bnf_h5_dataset_create(file, name, dtype, ndim, dim, NULL, &d));
    bnf_status status = bnf_h5_dataset_write(d, dtype, data);
    bnf_status closed = bnf_h5_dataset_close(d);
    return status == BNF_OK ? closed : status;
}

static bnf_status write_content(bnf_h5_file *file, const char *fingerprint, int64_t channels,
                                const bnf_import_part *part)
{
    char text[BNF_CHECKSUM_HEX];
    int64_t n = part->count, bytes = (int64_t)part->bytes.size;

    BNF_TRY(write_table(file, "/bytes", BNF_U8, 1, &bytes, part->bytes.data));
    BNF_TRY(write_table(file, "/sizes", BNF_I64, 1, &n, part->sizes));
    BNF_TRY(write_table(file, "/sums", BNF_I64, 1, &n, part->sums));
    BNF_TRY(write_table(file, "/extents", BNF_I32, 2, (int64_t[]){n, 2}, part->extents));
    BNF_TRY(write_table(file, "/labels", BNF_I32, 1, &n, part->labels));
    BNF_TRY(bnf_h5_attr_set_str(file, "/", "import", fingerprint));
    BNF_TRY(bnf_h5_attr_set_str(file, "/", "digest", bnf_checksum_format(part->digest, text)));
    BNF_TRY(bnf_h5_attr_set_int(file, "/", "pixels", part->pixels));
    BNF_TRY(bnf_h5_attr_set_ints(file, "/", "sum", channels, part->sum));
    return bnf_h5_attr_set_ints(file, "/", "squares", channels, part->squares);
}

bnf_status bnf_import_part_write(const char *path, const char *fingerprint, int64_t channels,
                                 const bnf_import_part *part)
{
    char temporary[PATH_MAX];
    bnf_h5_file *file;

    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary)
        return bnf_fail(BNF_ERR_ARG, "the path '%s' is too long", path);
    BNF_TRY(bnf_h5_file_create(temporary, &file));
    bnf_status status = write_content(file, fingerprint, channels, part);
    bnf_status closed = bnf_h5_file_close(file); /* synced */
    status = status == BNF_OK ? closed : status;
    if (status == BNF_OK)
        return bnf_fs_rename(temporary, path);
    (void)bnf_fs_remove(temporary); /* the first failure is the one to report */
    return status;
}

/* ---- Reading ---- */

static bnf_status read_table(bnf_h5_file *file, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                             void *data)
{
    bnf_h5_dataset *d;
    BNF_TRY(bnf_h5_dataset_open(file, name, &d));
    bnf_status status = bnf_h5_dataset_expect(d, dtype, ndim, dim);
    if (status == BNF_OK)
        status = bnf_h5_dataset_read(d, dtype, data);
    bnf_status closed = bnf_h5_dataset_close(d);
    return status == BNF_OK ? closed : status;
}

static bnf_status read_counts(bnf_h5_file *file, const char *path, const char *name, int64_t channels, int64_t *values)
{
    int64_t count, *read = NULL;
    BNF_TRY(bnf_h5_attr_get_ints(file, "/", name, &count, &read));
    if (count == channels)
        memcpy(values, read, (size_t)channels * sizeof *values);
    bnf_free(read);
    return count == channels ? BNF_OK
                             : bnf_fail(BNF_ERR_FORMAT, "'%s': '%s' has %lld values for %lld channels", path, name,
                                        (long long)count, (long long)channels);
}

static bnf_status check_import(bnf_h5_file *file, const char *path, const char *fingerprint)
{
    char *stated = NULL;
    BNF_TRY(bnf_h5_attr_get_str(file, "/", "import", &stated));
    bool same = strcmp(stated, fingerprint) == 0;
    bnf_free(stated);
    return same ? BNF_OK
                : bnf_fail(BNF_ERR_CONFIG,
                           "'%s' is left of an import of other pictures, or with other options: remove its folder to "
                           "begin anew",
                           path);
}

static bnf_status check_content(const char *path, const bnf_import_part *part)
{
    int64_t at = 0;
    bool good = true;

    for (int64_t i = 0; i < part->count && good; i++) {
        good = part->sizes[i] > 0 && part->sizes[i] <= (int64_t)part->bytes.size - at &&
               bnf_checksum(part->bytes.data + at, (size_t)part->sizes[i]) == (uint64_t)part->sums[i];
        at += part->sizes[i];
    }
    return good && at == (int64_t)part->bytes.size
               ? BNF_OK
               : bnf_fail(BNF_ERR_FORMAT, "'%s' is damaged: remove it and resume again", path);
}

static bnf_status read_content(bnf_h5_file *file, const char *path, int64_t channels, bnf_import_part *part)
{
    char *digest = NULL;
    bnf_h5_dataset *bytes;
    int64_t n = part->count, size;
    int ndim;

    BNF_TRY(make_room(part));
    BNF_TRY(bnf_h5_dataset_open(file, "/bytes", &bytes));
    size = bnf_h5_dataset_dims(bytes, &ndim)[0];
    BNF_TRY(bnf_h5_dataset_close(bytes));
    BNF_TRY(bnf_buf_reserve(&part->bytes, (size_t)size));
    BNF_TRY(read_table(file, "/bytes", BNF_U8, 1, &size, part->bytes.data));
    part->bytes.size = (size_t)size;
    BNF_TRY(read_table(file, "/sizes", BNF_I64, 1, &n, part->sizes));
    BNF_TRY(read_table(file, "/sums", BNF_I64, 1, &n, part->sums));
    BNF_TRY(read_table(file, "/extents", BNF_I32, 2, (int64_t[]){n, 2}, part->extents));
    BNF_TRY(read_table(file, "/labels", BNF_I32, 1, &n, part->labels));
    BNF_TRY(bnf_h5_attr_get_int(file, "/", "pixels", &part->pixels));
    BNF_TRY(read_counts(file, path, "sum", channels, part->sum));
    BNF_TRY(read_counts(file, path, "squares", channels, part->squares));
    BNF_TRY(bnf_h5_attr_get_str(file, "/", "digest", &digest));
    bnf_status status = bnf_checksum_parse(digest, &part->digest);
    bnf_free(digest);
    BNF_TRY(status);
    return check_content(path, part);
}

bnf_status bnf_import_part_read(const char *path, const char *fingerprint, int64_t channels, bnf_import_part *part)
{
    bnf_h5_file *file;
    BNF_TRY(bnf_h5_file_open(path, &file));
    bnf_status status = check_import(file, path, fingerprint);
    if (status == BNF_OK)
        status = read_content(file, path, channels, part);
    bnf_status closed = bnf_h5_file_close(file);
    return status == BNF_OK ? closed : status;
}

bnf_status bnf_import_part_check(const char *path, const char *fingerprint)
{
    bnf_h5_file *file;
    BNF_TRY(bnf_h5_file_open(path, &file));
    bnf_status status = check_import(file, path, fingerprint);
    bnf_status closed = bnf_h5_file_close(file);
    return status == BNF_OK ? closed : status;
}
