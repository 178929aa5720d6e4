#include "ckpt/checkpoint.h"
#include "ckpt/table.h"

#include "base/mem.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

/* The checkpoint itself or a part. */
typedef struct ckpt_file {
    char *path;
    bnf_ckpt_table table;
} ckpt_file;

struct bnf_ckpt_reader {
    char *path;
    int64_t count; /* files: 1 + parts */
    ckpt_file *file;
    bnf_ckpt_table all; /* the entries of all files, by name */
    bnf_h5_file *h5;    /* of file[0] */
};

/* ---- bytes, before HDF5 looks at them -------------------------------------------------------------------------- */

/* An open file. */
typedef struct source {
    const char *path;
    int fd;
    int64_t bytes;
    char *buffer; /* [READ_BYTES] */
} source;

static bnf_status read_at(const source *s, int64_t at, void *to, int64_t bytes)
{
    for (int64_t done = 0; done < bytes;) {
        ssize_t got = pread(s->fd, (char *)to + done, (size_t)(bytes - done), (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return bnf_fail(BNF_ERR_IO, "cannot read checkpoint '%s' at byte %" PRId64 ": %s", s->path, at + done,
                            got < 0 ? strerror(errno) : "it became shorter");
        done += got;
    }
    return BNF_OK;
}

/* [out] sum  checksum of a part of the file. */
static bnf_status checksum_at(const source *s, int64_t at, int64_t bytes, uint64_t *sum)
{
    bnf_checksum_stream *stream;
    BNF_TRY(bnf_checksum_stream_create(&stream));
    bnf_status status = BNF_OK;
    for (int64_t done = 0; done < bytes && status == BNF_OK; done += READ_BYTES) {
        int64_t piece = bytes - done < READ_BYTES ? bytes - done : READ_BYTES;
        status = read_at(s, at + done, s->buffer, piece);
        if (status == BNF_OK)
            bnf_checksum_stream_add(stream, s->buffer, (size_t)piece);
    }
    *sum = bnf_checksum_stream_value(stream);
    bnf_checksum_stream_destroy(stream);
    return status;
}

/* [out] table  from the front of the file, released by the caller whatever the result. */
static bnf_status read_table(const source *s, bnf_ckpt_table *table)
{
    char head[BNF_CKPT_TABLE_HEAD];
    int64_t known = s->bytes < BNF_CKPT_TABLE_HEAD ? s->bytes : BNF_CKPT_TABLE_HEAD, block_bytes;
    BNF_TRY(read_at(s, 0, head, known));
    BNF_TRY(bnf_ckpt_table_size(s->path, head, known, &block_bytes));
    if (block_bytes > s->bytes)
        return bnf_fail(BNF_ERR_FORMAT,
                        "checkpoint '%s': truncated or damaged: the file has %" PRId64
                        " bytes, its table of contents alone is to have %" PRId64,
                        s->path, s->bytes, block_bytes);
    char *text;
    BNF_TRY(bnf_alloc((size_t)block_bytes, "table of a checkpoint", &text));
    bnf_status status = read_at(s, 0, text, block_bytes);
    if (status == BNF_OK)
        status = bnf_ckpt_table_parse(s->path, text, block_bytes, table);
    bnf_free(text);
    return status;
}

/* The file has the length that the table says; else names the first dataset, by place, that is cut. */
static bnf_status check_length(const source *s, const bnf_ckpt_table *table)
{
    int64_t expected = table->block_bytes + table->image_bytes;
    if (s->bytes == expected)
        return BNF_OK;
    if (s->bytes > expected)
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': %" PRId64 " bytes, where %" PRId64 " were expected", s->path,
                        s->bytes, expected);
    const bnf_ckpt_entry *cut = NULL;
    for (int64_t i = 0; i < table->count; i++) {
        const bnf_ckpt_entry *e = &table->entry[i];
        if (table->block_bytes + e->offset + e->bytes > s->bytes && (!cut || e->offset < cut->offset))
            cut = e;
    }
    return bnf_fail(BNF_ERR_FORMAT,
                    "checkpoint '%s': truncated: %" PRId64 " of %" PRId64
                    " bytes; the first dataset that is cut: %s%s%s",
                    s->path, s->bytes, expected, cut ? "'" : "", cut ? cut->name : "none", cut ? "'" : "");
}

/* Says which dataset is damaged, when the checksum of all HDF5 data is wrong. */
static bnf_status fail_damaged(const source *s, const bnf_ckpt_table *table)
{
    int64_t damaged = 0;
    const char *first = NULL;
    for (int64_t i = 0; i < table->count; i++) {
        const bnf_ckpt_entry *e = &table->entry[i];
        uint64_t sum;
        BNF_TRY(checksum_at(s, table->block_bytes + e->offset, e->bytes, &sum));
        if (sum == e->checksum)
            continue;
        first = first ? first : e->name;
        damaged++;
    }
    if (!first)
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': the HDF5 metadata do not match their checksum", s->path);
    if (damaged == 1)
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s', dataset '%s': does not match its checksum", s->path, first);
    return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s', dataset '%s' and %" PRId64 " more: do not match their checksums",
                    s->path, first, damaged - 1);
}

/* All checksums of what stands behind the table. */
static bnf_status check_content(const source *s, const bnf_ckpt_table *table)
{
    uint64_t sum;
    BNF_TRY(checksum_at(s, table->block_bytes, table->image_bytes, &sum));
    if (sum != table->image_checksum)
        return fail_damaged(s, table);
    for (int64_t i = 0; i < table->count; i++) {
        const bnf_ckpt_entry *e = &table->entry[i];
        BNF_TRY(checksum_at(s, table->block_bytes + e->offset, e->bytes, &sum));
        if (sum != e->checksum)
            return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s', dataset '%s': does not match its checksum", s->path,
                            e->name);
    }
    return BNF_OK;
}

/* Checks everything that can be checked without HDF5; `lazy`: table and length alone. [out] table  released by the
 * caller whatever the result. */
static bnf_status check_bytes(const char *path, bool lazy, bnf_ckpt_table *table)
{
    source s = {path, open(path, O_RDONLY | O_CLOEXEC), 0, NULL};
    struct stat info;
    if (s.fd < 0)
        return bnf_fail(BNF_ERR_IO, "cannot open checkpoint '%s': %s", path, strerror(errno));
    bnf_status status = BNF_OK;
    if (fstat(s.fd, &info) != 0)
        status = bnf_fail(BNF_ERR_IO, "cannot stat checkpoint '%s': %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': not a regular file", path);
    if (status != BNF_OK)
        goto done;
    s.bytes = (int64_t)info.st_size;
    BNF_TRY_GOTO(status, bnf_alloc(READ_BYTES, "reading a checkpoint", &s.buffer), done);
    BNF_TRY_GOTO(status, read_table(&s, table), done);
    BNF_TRY_GOTO(status, check_length(&s, table), done);
    if (!lazy)
        status = check_content(&s, table);
done:
    bnf_free(s.buffer);
    close(s.fd);
    return status;
}

/* ---- HDF5 against the table ------------------------------------------------------------------------------------ */

static bnf_status check_entry(bnf_h5_file *file, const bnf_ckpt_table *table, const bnf_ckpt_entry *e)
{
    bnf_h5_dataset *dataset = NULL;
    bnf_h5_dataset_info info = {0};
    BNF_TRY(bnf_h5_dataset_open(file, e->name, &dataset));
    bnf_status status = bnf_h5_dataset_expect(dataset, e->dtype, e->ndim, e->dim);
    if (status == BNF_OK)
        status = bnf_h5_dataset_describe(dataset, &info);
    if (status == BNF_OK && e->bytes && info.offset != table->block_bytes + e->offset)
        status = bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s', dataset '%s': not where the table of contents says",
                          bnf_h5_file_path(file), e->name);
    bnf_status closed = bnf_h5_dataset_close(dataset);
    return status != BNF_OK ? status : closed;
}

/* Every entry is a dataset and the other way round. */
static bnf_status check_datasets(bnf_h5_file *file, const bnf_ckpt_table *table)
{
    bnf_h5_names names;
    BNF_TRY(bnf_h5_file_list_datasets(file, &names));
    bnf_status status = BNF_OK;
    for (int64_t i = 0; i < names.count && status == BNF_OK; i++)
        if (!bnf_ckpt_table_find(table, names.name[i] + 1)) /* without the leading slash */
            status = bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s', dataset '%s': not in the table of contents",
                              bnf_h5_file_path(file), names.name[i]);
    bnf_h5_names_destroy(&names);
    for (int64_t i = 0; i < table->count && status == BNF_OK; i++)
        status = check_entry(file, table, &table->entry[i]);
    return status;
}

/* ---- reader ---------------------------------------------------------------------------------------------------- */

/* Its entries into r->all. */
static bnf_status take_entries(bnf_ckpt_reader *r, int64_t k)
{
    const bnf_ckpt_table *table = &r->file[k].table;
    for (int64_t i = 0; i < table->count; i++) {
        bnf_ckpt_entry e = table->entry[i];
        e.file = k;
        if (k > 0 && bnf_ckpt_table_find(&r->all, e.name))
            return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': dataset '%s' is there twice, the second time in '%s'",
                            r->path, e.name, r->file[k].path);
        BNF_TRY(bnf_ckpt_table_add(&r->all, &e));
    }
    return BNF_OK;
}

/* Part k = 1, 2, ... of the checkpoint is the file that was written with it, and sound. */
static bnf_status open_part(bnf_ckpt_reader *r, int64_t k, bool lazy)
{
    const bnf_ckpt_part *part = &r->file[0].table.part[k - 1];
    ckpt_file *f = &r->file[k];
    bnf_buf path = {0};
    const char *slash = strrchr(r->path, '/');
    bnf_buf_append(&path, r->path, slash ? (size_t)(slash - r->path + 1) : 0);
    bnf_status status = bnf_buf_puts(&path, part->name);
    if (status == BNF_OK)
        status = bnf_buf_take(&path, &f->path);
    bnf_buf_release(&path);
    BNF_TRY(status);
    BNF_TRY(check_bytes(f->path, lazy, &f->table));
    if (f->table.block_checksum != part->checksum || f->table.block_bytes + f->table.image_bytes != part->bytes ||
        f->table.step != r->file[0].table.step || f->table.part_count > 0)
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': it is not the part that was written with it", f->path);
    if (!lazy) {
        bnf_h5_file *h5;
        BNF_TRY(bnf_h5_file_open(f->path, &h5));
        status = check_datasets(h5, &f->table);
        (void)bnf_h5_file_close(h5); /* read only: nothing is lost */
        BNF_TRY(status);
    }
    return take_entries(r, k);
}

static bnf_status open_files(bnf_ckpt_reader *r, bool lazy)
{
    bnf_ckpt_table first = {0};
    bnf_status status = check_bytes(r->path, false, &first);
    if (status == BNF_OK)
        status = bnf_calloc((size_t)first.part_count + 1, sizeof *r->file, "checkpoint reader", &r->file);
    if (status != BNF_OK) {
        bnf_ckpt_table_release(&first);
        return status;
    }
    r->count = 1 + first.part_count;
    r->file[0].table = first;
    BNF_TRY(bnf_strdup(r->path, &r->file[0].path));
    BNF_TRY(bnf_h5_file_open(r->path, &r->h5));
    BNF_TRY(check_datasets(r->h5, &r->file[0].table));
    BNF_TRY(take_entries(r, 0));
    for (int64_t k = 1; k < r->count; k++) {
        status = open_part(r, k, lazy);
        if (status != BNF_OK)
            return bnf_fail_context(status, "checkpoint '%s'", r->path);
    }
    bnf_ckpt_table_sort(&r->all);
    return BNF_OK;
}

static bnf_status open_reader(const char *path, bool lazy, bnf_ckpt_reader **reader)
{
    bnf_ckpt_reader *r = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *r, "checkpoint reader", &r));
    bnf_status status = bnf_strdup(path, &r->path);
    if (status == BNF_OK)
        status = open_files(r, lazy);
    if (status == BNF_OK)
        *reader = r;
    else
        bnf_ckpt_reader_close(r);
    return status;
}

bnf_status bnf_ckpt_reader_open(const char *path, bnf_ckpt_reader **reader)
{
    return open_reader(path, false, reader);
}

bnf_status bnf_ckpt_reader_open_lazy(const char *path, bnf_ckpt_reader **reader)
{
    return open_reader(path, true, reader);
}

void bnf_ckpt_reader_close(bnf_ckpt_reader *reader)
{
    if (!reader)
        return;
    (void)bnf_h5_file_close(reader->h5); /* read only: nothing is lost */
    for (int64_t k = 0; reader->file && k < reader->count; k++) {
        bnf_ckpt_table_release(&reader->file[k].table);
        bnf_free(reader->file[k].path);
    }
    bnf_free(reader->file);
    bnf_ckpt_table_release(&reader->all);
    bnf_free(reader->path);
    bnf_free(reader);
}

bnf_status bnf_ckpt_verify(const char *path)
{
    bnf_ckpt_reader *reader;
    BNF_TRY(bnf_ckpt_reader_open(path, &reader));
    bnf_ckpt_reader_close(reader);
    return BNF_OK;
}

int64_t bnf_ckpt_reader_step(const bnf_ckpt_reader *reader)
{
    return reader->file[0].table.step;
}

int64_t bnf_ckpt_reader_parts(const bnf_ckpt_reader *reader)
{
    return reader->count - 1;
}

int64_t bnf_ckpt_reader_bytes(const bnf_ckpt_reader *reader)
{
    int64_t bytes = 0;
    for (int64_t k = 0; k < reader->count; k++)
        bytes += reader->file[k].table.block_bytes + reader->file[k].table.image_bytes;
    return bytes;
}

int64_t bnf_ckpt_reader_count(const bnf_ckpt_reader *reader)
{
    return reader->all.count;
}

const bnf_ckpt_entry *bnf_ckpt_reader_entry(const bnf_ckpt_reader *reader, int64_t i)
{
    return i >= 0 && i < reader->all.count ? &reader->all.entry[i] : NULL;
}

const bnf_ckpt_entry *bnf_ckpt_reader_find(const bnf_ckpt_reader *reader, const char *name)
{
    return bnf_ckpt_table_find(&reader->all, name);
}

static bnf_status check_shape(const bnf_ckpt_reader *r, const bnf_ckpt_entry *e, bnf_dtype dtype, int ndim,
                              const int64_t *dim)
{
    if (e->dtype == dtype && e->ndim == ndim && (!ndim || memcmp(e->dim, dim, (size_t)ndim * sizeof *dim) == 0))
        return BNF_OK;
    char expected[256], found[256];
    return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s', dataset '%s': expected %s, found %s", r->path, e->name,
                    bnf_ckpt_shape(dtype, ndim, dim, expected, sizeof expected),
                    bnf_ckpt_shape(e->dtype, e->ndim, e->dim, found, sizeof found));
}

bnf_status bnf_ckpt_reader_read(bnf_ckpt_reader *reader, const char *name, bnf_dtype dtype, int ndim,
                                const int64_t *dim, void *data)
{
    const bnf_ckpt_entry *e = bnf_ckpt_table_find(&reader->all, name);
    if (!e)
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': it has no dataset '%s'", reader->path, name);
    BNF_TRY(check_shape(reader, e, dtype, ndim, dim));
    const ckpt_file *f = &reader->file[e->file];
    source s = {f->path, open(f->path, O_RDONLY | O_CLOEXEC), 0, NULL};
    if (s.fd < 0)
        return bnf_fail(BNF_ERR_IO, "cannot open checkpoint '%s': %s", f->path, strerror(errno));
    bnf_status status = read_at(&s, f->table.block_bytes + e->offset, data, e->bytes);
    close(s.fd);
    BNF_TRY(status);
    if (bnf_checksum(data, (size_t)e->bytes) != e->checksum) /* not looked at before, or changed since */
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s', dataset '%s': does not match its checksum", f->path, name);
    return BNF_OK;
}

bnf_status bnf_ckpt_reader_attr_int(bnf_ckpt_reader *reader, const char *name, int64_t *value)
{
    return bnf_h5_attr_get_int(reader->h5, "/", name, value);
}

bnf_status bnf_ckpt_reader_attr_real(bnf_ckpt_reader *reader, const char *name, double *value)
{
    return bnf_h5_attr_get_real(reader->h5, "/", name, value);
}

bnf_status bnf_ckpt_reader_attr_str(bnf_ckpt_reader *reader, const char *name, char **value)
{
    return bnf_h5_attr_get_str(reader->h5, "/", name, value);
}
