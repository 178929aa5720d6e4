#include "data/idx.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#define IDX_UNSIGNED_BYTE 0x08
#define IDX_MAX_BYTES ((int64_t)1 << 46)

struct bnf_idx {
    gzFile file;
    char *path;
    int ndim;
    int64_t dim[BNF_IDX_MAX_DIMS];
    int64_t item_bytes;
    int64_t header_bytes;
    int64_t position; /* of the next byte, in the uncompressed stream */
};

static bnf_status idx_damaged(const bnf_idx *idx, int64_t expected, int64_t got)
{
    int code = Z_OK;
    const char *text = gzerror(idx->file, &code);

    if (code == Z_ERRNO)
        return bnf_fail(BNF_ERR_IO, "cannot read '%s': %s", idx->path, strerror(errno));
    if (code != Z_OK && code != Z_BUF_ERROR && code != Z_STREAM_END)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is a damaged gzip file: %s", idx->path, text);
    return bnf_fail(BNF_ERR_FORMAT, "'%s' is truncated: %lld bytes of content expected, %lld found", idx->path,
                    (long long)expected, (long long)got);
}

static bnf_status idx_bytes(bnf_idx *idx, void *out, int64_t count, int64_t total)
{
    uint8_t *p = out;
    while (count > 0) {
        unsigned part = count < (1 << 30) ? (unsigned)count : 1u << 30;
        int got = gzread(idx->file, p, part);
        if (got <= 0)
            return idx_damaged(idx, total, idx->position);
        idx->position += got;
        p += got;
        count -= got;
    }
    return BNF_OK;
}

static bnf_status idx_header(bnf_idx *idx)
{
    uint8_t magic[4], dim[4];
    int64_t bytes = 1;

    BNF_TRY(idx_bytes(idx, magic, 4, 4));
    if (magic[0] != 0 || magic[1] != 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is not an IDX file: its first two bytes are 0x%02x%02x instead of zero",
                        idx->path, magic[0], magic[1]);
    if (magic[2] != IDX_UNSIGNED_BYTE)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s': IDX type 0x%02x; only unsigned bytes (0x08) can be read", idx->path,
                        magic[2]);
    if (magic[3] < 1 || magic[3] > BNF_IDX_MAX_DIMS)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': an IDX file of %d dimensions; 1 to %d can be read", idx->path, magic[3],
                        BNF_IDX_MAX_DIMS);
    idx->ndim = magic[3];
    for (int i = 0; i < idx->ndim; i++) {
        BNF_TRY(idx_bytes(idx, dim, 4, 4 + 4 * idx->ndim));
        idx->dim[i] = (int64_t)dim[0] << 24 | dim[1] << 16 | dim[2] << 8 | dim[3];
        if (idx->dim[i] < 1 || idx->dim[i] > IDX_MAX_BYTES / bytes)
            return bnf_fail(BNF_ERR_FORMAT, "'%s': dimension %d of the IDX header is %lld", idx->path, i,
                            (long long)idx->dim[i]);
        bytes *= idx->dim[i];
    }
    idx->item_bytes = bytes / idx->dim[0];
    idx->header_bytes = idx->position;
    return BNF_OK;
}

bnf_status bnf_idx_open(const char *path, bnf_idx **out)
{
    bnf_idx *idx;
    bnf_status status;

    BNF_TRY(bnf_calloc(1, sizeof *idx, "IDX reader", &idx));
    BNF_TRY_GOTO(status, bnf_strdup(path, &idx->path), fail);
    errno = 0;
    idx->file = gzopen(path, "rb");
    if (!idx->file) {
        status = bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", path, errno ? strerror(errno) : "out of memory in zlib");
        goto fail;
    }
    gzbuffer(idx->file, 1u << 18);
    BNF_TRY_GOTO(status, idx_header(idx), fail);
    *out = idx;
    return BNF_OK;
fail:
    bnf_idx_close(idx);
    return status;
}

void bnf_idx_close(bnf_idx *idx)
{
    if (!idx)
        return;
    if (idx->file)
        gzclose(idx->file);
    bnf_free(idx->path);
    bnf_free(idx);
}

int bnf_idx_ndim(const bnf_idx *idx)
{
    return idx->ndim;
}

const int64_t *bnf_idx_dims(const bnf_idx *idx)
{
    return idx->dim;
}

int64_t bnf_idx_item_bytes(const bnf_idx *idx)
{
    return idx->item_bytes;
}

static bnf_status idx_check_end(bnf_idx *idx)
{
    uint8_t more;
    int code = Z_OK;
    int got = gzread(idx->file, &more, 1);

    if (got > 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is longer than its IDX header says (%lld bytes)", idx->path,
                        (long long)idx->position);
    gzerror(idx->file, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
        return idx_damaged(idx, idx->position, idx->position);
    return BNF_OK;
}

bnf_status bnf_idx_read(bnf_idx *idx, int64_t first, int64_t count, uint8_t *items)
{
    int64_t total = idx->header_bytes + idx->dim[0] * idx->item_bytes;
    int64_t start = idx->header_bytes + first * idx->item_bytes;

    BNF_ASSERT(first >= 0 && count >= 0 && first + count <= idx->dim[0]);
    if (count == 0)
        return BNF_OK;
    if (start != idx->position) {
        z_off_t at = gzseek(idx->file, (z_off_t)start, SEEK_SET);
        if (at != (z_off_t)start)
            return idx_damaged(idx, total, idx->position);
        idx->position = start;
    }
    BNF_TRY(idx_bytes(idx, items, count * idx->item_bytes, total));
    return first + count == idx->dim[0] ? idx_check_end(idx) : BNF_OK;
}
