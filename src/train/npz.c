/* train/npz.c - arrays in NumPy's .npz format. */
#include "train/npz.h"

#include "base/fs.h"

#include <string.h>
#include <zlib.h>

#define MAX_BYTES UINT32_C(0xfffffffe)
#define DATE 0x21 /* 1980-01-01 */

/* ---- .npy ---- */

static const char *const npy_types[BNF_DTYPE_COUNT] = {
    [BNF_F32] = "<f4", [BNF_F64] = "<f8", [BNF_I32] = "<i4", [BNF_I64] = "<i8", [BNF_U8] = "|u1"};

/* Magic, version, length, and a Python literal padded so that the values begin at a multiple of 64 bytes. */
static bnf_status npy_header(const bnf_desc *shape, bnf_buf *header)
{
    bnf_buf text = {0};
    bnf_buf_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", npy_types[shape->dtype]);
    for (int i = 0; i < shape->ndim; i++)
        bnf_buf_printf(&text, "%lld%s", (long long)shape->dim[i],
                       shape->ndim == 1      ? ","
                       : i + 1 < shape->ndim ? ", "
                                             : "");
    bnf_buf_puts(&text, "), }");
    while ((10 + text.size + 1) % 64 != 0 && text.status == BNF_OK)
        bnf_buf_putc(&text, ' ');
    bnf_buf_putc(&text, '\n');
    const char prefix[10] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(text.size & 0xff), (char)(text.size >> 8)};
    bnf_buf_append(header, prefix, sizeof prefix);
    bnf_buf_append(header, bnf_buf_text(&text), text.size);
    bnf_status s = text.status != BNF_OK ? text.status : header->status;
    bnf_buf_release(&text);
    return s;
}

/* ---- ZIP ---- */

static void put(bnf_buf *out, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++)
        bnf_buf_putc(out, (char)(value >> (8 * i) & 0xff));
}

typedef struct entry {
    const char *name; /* with .npy */
    uint32_t crc, size, offset;
} entry;

/* The fields that the header before an entry and the one in the directory share. */
static void put_common(bnf_buf *out, const entry *e)
{
    put(out, 2, 20); /* version needed */
    put(out, 2, 0);  /* flags */
    put(out, 2, 0);  /* stored */
    put(out, 2, 0);  /* time */
    put(out, 2, DATE);
    put(out, 4, e->crc);
    put(out, 4, e->size);
    put(out, 4, e->size);
    put(out, 2, strlen(e->name));
    put(out, 2, 0); /* extra field */
}

static void put_local(bnf_buf *out, const entry *e)
{
    put(out, 4, 0x04034b50);
    put_common(out, e);
    bnf_buf_puts(out, e->name);
}

static void put_central(bnf_buf *out, const entry *e)
{
    put(out, 4, 0x02014b50);
    put(out, 2, 3 << 8 | 20); /* made by: Unix */
    put_common(out, e);
    put(out, 2, 0);                       /* comment */
    put(out, 2, 0);                       /* disk */
    put(out, 2, 0);                       /* internal attributes */
    put(out, 4, UINT64_C(0100644) << 16); /* a plain file that all may read */
    put(out, 4, e->offset);
    bnf_buf_puts(out, e->name);
}

/* zlib counts in unsigned int. */
static uint32_t crc_of(uint32_t crc, const void *data, size_t size)
{
    const unsigned char *at = data;
    for (; size > 0;) {
        size_t n = size < (1u << 30) ? size : 1u << 30;
        crc = (uint32_t)crc32(crc, at, (uInt)n);
        at += n;
        size -= n;
    }
    return crc;
}

static bnf_status check_size(const bnf_npz *npz, const char *name, uint64_t more)
{
    if (npz->count == 0xffff || npz->data.size + npz->central.size + more > MAX_BYTES)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s': an .npz file holds at most 65535 arrays and 4 GiB", name);
    return BNF_OK;
}

bnf_status bnf_npz_add(bnf_npz *npz, const char *name, const bnf_desc *shape, const void *values)
{
    size_t bytes = bnf_desc_bytes(shape);
    bnf_buf header = {0}, full = {0};
    BNF_TRY(check_size(npz, name, (uint64_t)bytes + 3 * strlen(name) + 1024));
    bnf_status s = bnf_buf_printf(&full, "%s.npy", name);
    if (s == BNF_OK)
        s = npy_header(shape, &header);
    if (s == BNF_OK) {
        entry e = {
            .name = bnf_buf_text(&full), .size = (uint32_t)(header.size + bytes), .offset = (uint32_t)npz->data.size};
        e.crc = crc_of(crc_of(0, header.data, header.size), values, bytes);
        put_local(&npz->data, &e);
        bnf_buf_append(&npz->data, header.data, header.size);
        bnf_buf_append(&npz->data, values, bytes);
        put_central(&npz->central, &e);
        npz->count++;
        s = npz->data.status != BNF_OK ? npz->data.status : npz->central.status;
    }
    bnf_buf_release(&header);
    bnf_buf_release(&full);
    return s;
}

bnf_status bnf_npz_write(bnf_npz *npz, const char *path)
{
    BNF_TRY(check_size(npz, path, 64));
    uint64_t directory = npz->data.size;
    bnf_buf *out = &npz->data;
    bnf_buf_append(out, bnf_buf_text(&npz->central), npz->central.size);
    put(out, 4, 0x06054b50);
    put(out, 4, 0); /* disks */
    put(out, 2, (uint64_t)npz->count);
    put(out, 2, (uint64_t)npz->count);
    put(out, 4, npz->central.size);
    put(out, 4, directory);
    put(out, 2, 0); /* comment */
    BNF_TRY(out->status);
    return bnf_fs_write_atomic(path, out->data, out->size);
}

void bnf_npz_release(bnf_npz *npz)
{
    bnf_buf_release(&npz->data);
    bnf_buf_release(&npz->central);
    npz->count = 0;
}

bnf_status bnf_npz_write_params(bnf_params *params, bool raw, const char *path)
{
    bnf_npz npz = {0};
    bnf_status s = BNF_OK;
    for (int i = 0; i < bnf_params_count(params) && s == BNF_OK; i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        s = bnf_npz_add(&npz, info->name, raw ? bnf_param_raw_desc(info) : &info->desc,
                        raw ? bnf_params_raw(params, i) : bnf_params_value(params, i));
    }
    if (s == BNF_OK)
        s = bnf_npz_write(&npz, path);
    bnf_npz_release(&npz);
    return s;
}
