#include "ckpt/checkpoint.h"
#include "ckpt/commit.h"
#include "ckpt/folder.h"
#include "ckpt/table.h"

#include "base/assert.h"
#include "base/fs.h"
#include "base/mem.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <string.h>

struct bnf_ckpt_writer {
    bnf_ckpt_name name;
    const bnf_fence *fence;
    char *folder;
    char *path;
    char *temporary;
    bnf_h5_file *image; /* the HDF5 data, in memory */
    bnf_ckpt_table table;
};

bnf_status bnf_ckpt_writer_open(const char *folder, int64_t step, bnf_ckpt_writer **writer)
{
    return bnf_ckpt_writer_open_at(&(bnf_ckpt_target){.folder = folder, .step = step, .part = BNF_CKPT_WHOLE}, writer);
}

bnf_status bnf_ckpt_writer_open_at(const bnf_ckpt_target *target, bnf_ckpt_writer **writer)
{
    const char *folder = target->folder;
    int64_t step = target->step;
    if (step < 0 || step > BNF_CKPT_MAX_STEP)
        return bnf_fail(BNF_ERR_ARG, "checkpoint in '%s': step %lld is not within 0..%lld", folder, (long long)step,
                        (long long)BNF_CKPT_MAX_STEP);
    bnf_ckpt_writer *w = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *w, "checkpoint writer", &w));
    bnf_status status;
    w->table.step = step;
    w->fence = target->fence;
    w->name = (bnf_ckpt_name){step, bnf_fence_generation(w->fence), target->part, false};
    bnf_ckpt_name temporary = w->name;
    temporary.temporary = true;
    BNF_TRY_GOTO(status, bnf_strdup(folder, &w->folder), failed);
    BNF_TRY_GOTO(status, bnf_ckpt_name_path(folder, &w->name, &w->path), failed);
    BNF_TRY_GOTO(status, bnf_ckpt_name_path(folder, &temporary, &w->temporary), failed);
    BNF_TRY_GOTO(status, bnf_fs_make_folders(folder), failed);
    BNF_TRY_GOTO(status, bnf_h5_file_create_memory(w->path, &w->image), failed);
    *writer = w;
    return BNF_OK;
failed:
    bnf_ckpt_writer_abort(w);
    return status;
}

void bnf_ckpt_writer_abort(bnf_ckpt_writer *writer)
{
    if (!writer)
        return;
    (void)bnf_h5_file_close(writer->image); /* it was in memory alone: nothing is lost */
    bnf_ckpt_table_release(&writer->table);
    bnf_free(writer->temporary);
    bnf_free(writer->path);
    bnf_free(writer->folder);
    bnf_free(writer);
}

/* Visible ASCII in parts that are neither empty nor ".", which HDF5 reads as "this group". */
static bool is_good_name(const char *name)
{
    const char *part = name;
    for (const char *c = name;; c++) {
        if (*c && *c != '/') {
            if (*c <= ' ' || *c > '~')
                return false;
            continue;
        }
        if (c == part || (c == part + 1 && *part == '.'))
            return false;
        part = c + 1;
        if (!*c)
            return true;
    }
}

/* Creates the dataset in the image and fills in where its elements are. */
static bnf_status add_dataset(bnf_ckpt_writer *w, bnf_ckpt_entry *entry, const void *data)
{
    bnf_h5_dataset *dataset = NULL;
    bnf_h5_dataset_info info = {0};
    char sum[BNF_CHECKSUM_HEX];
    BNF_TRY(bnf_h5_dataset_create(w->image, entry->name, entry->dtype, entry->ndim, entry->dim, NULL, &dataset));
    bnf_status status = bnf_h5_dataset_write(dataset, entry->dtype, data);
    if (status == BNF_OK)
        status = bnf_h5_dataset_describe(dataset, &info);
    bnf_status closed = bnf_h5_dataset_close(dataset);
    BNF_TRY(status);
    BNF_TRY(closed);
    BNF_ASSERT(!entry->bytes || info.offset > 0);
    entry->offset = entry->bytes ? info.offset : 0;
    entry->checksum = bnf_checksum(data, (size_t)entry->bytes);
    return bnf_h5_attr_set_str(w->image, entry->name, "xxh3_64", bnf_checksum_format(entry->checksum, sum));
}

bnf_status bnf_ckpt_writer_add(bnf_ckpt_writer *writer, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                               const void *data)
{
    if (!is_good_name(name))
        return bnf_fail(BNF_ERR_ARG, "checkpoint '%s': '%s' is no name for a dataset", writer->path, name);
    if (bnf_ckpt_table_find(&writer->table, name))
        return bnf_fail(BNF_ERR_ARG, "checkpoint '%s': dataset '%s' is added twice", writer->path, name);
    if (ndim < 0 || ndim > BNF_CKPT_MAX_DIMS)
        return bnf_fail(BNF_ERR_ARG, "checkpoint '%s', dataset '%s': %d dimensions, at most %d are possible",
                        writer->path, name, ndim, BNF_CKPT_MAX_DIMS);
    bnf_ckpt_entry entry = {
        .name = (char *)name, .dtype = dtype, .ndim = ndim, .bytes = (int64_t)bnf_dtype_size(dtype)};
    for (int i = 0; i < ndim; i++) {
        entry.dim[i] = dim[i];
        if (dim[i] < 0 || __builtin_mul_overflow(entry.bytes, dim[i], &entry.bytes))
            return bnf_fail(BNF_ERR_ARG, "checkpoint '%s', dataset '%s': extent %lld of dimension %d", writer->path,
                            name, (long long)dim[i], i);
    }
    BNF_TRY(add_dataset(writer, &entry, data));
    return bnf_ckpt_table_add(&writer->table, &entry);
}

bnf_status bnf_ckpt_writer_attr_int(bnf_ckpt_writer *writer, const char *name, int64_t value)
{
    return bnf_h5_attr_set_int(writer->image, "/", name, value);
}

bnf_status bnf_ckpt_writer_attr_real(bnf_ckpt_writer *writer, const char *name, double value)
{
    return bnf_h5_attr_set_real(writer->image, "/", name, value);
}

bnf_status bnf_ckpt_writer_attr_str(bnf_ckpt_writer *writer, const char *name, const char *value)
{
    return bnf_h5_attr_set_str(writer->image, "/", name, value);
}

bnf_status bnf_ckpt_writer_refer(bnf_ckpt_writer *writer, int part, const bnf_ckpt_seal *seal)
{
    BNF_ASSERT(writer->name.part == BNF_CKPT_WHOLE && part >= 0 && part <= BNF_CKPT_MAX_PART);
    bnf_buf text = {0};
    bnf_ckpt_name name = writer->name;
    name.part = part;
    bnf_status status = bnf_ckpt_name_format(&name, &text);
    if (status == BNF_OK)
        status = bnf_ckpt_table_add_part(&writer->table, &(bnf_ckpt_part){text.data, seal->bytes, seal->checksum});
    bnf_buf_release(&text);
    return status;
}

bool bnf_ckpt_writer_checksum(const bnf_ckpt_writer *writer, const char *name, uint64_t *sum)
{
    const bnf_ckpt_entry *e = bnf_ckpt_table_find(&writer->table, name);
    if (e)
        *sum = e->checksum;
    return e != NULL;
}

bnf_status bnf_ckpt_writer_commit(bnf_ckpt_writer *writer)
{
    bnf_ckpt_seal seal;
    return bnf_ckpt_writer_commit_part(writer, &seal);
}

bnf_status bnf_ckpt_writer_commit_part(bnf_ckpt_writer *writer, bnf_ckpt_seal *seal)
{
    const void *image;
    bnf_buf block = {0};
    bnf_ckpt_table *table = &writer->table;
    bnf_status status;
    BNF_TRY_GOTO(status, bnf_h5_file_image(writer->image, &image, &table->image_bytes), done);
    table->image_checksum = bnf_checksum(image, (size_t)table->image_bytes);
    bnf_ckpt_table_sort(table);
    BNF_TRY_GOTO(status, bnf_ckpt_table_format(table, &block), done);
    BNF_TRY_GOTO(status,
                 bnf_ckpt_commit(writer->fence, writer->folder, writer->temporary, writer->path, block.data,
                                 (int64_t)block.size, image, table->image_bytes),
                 done);
    *seal = (bnf_ckpt_seal){(int64_t)block.size + table->image_bytes, table->block_checksum};
    if (writer->name.part == BNF_CKPT_WHOLE)
        bnf_ckpt_clean(writer->folder, writer->name.generation, writer->fence);
done:
    bnf_buf_release(&block);
    bnf_ckpt_writer_abort(writer);
    return status;
}
