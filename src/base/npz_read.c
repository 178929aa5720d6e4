/* base/npz_read.c - NumPy's .npy and .npz files: what numpy.save, savez, savez_compressed and
 * train/npz.c write. */
#include "base/arrays.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define END_BYTES 22
#define CENTRAL_BYTES 46
#define LOCAL_BYTES 30
enum { STORED = 0, DEFLATED = 8 };

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* ---- .npy ---- */

/* Behind "'KEY':" and space in the header's dictionary; NULL if the key is not there. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    return at ? at + strlen(quoted) + strspn(at + strlen(quoted), " ") : NULL;
}

/* "(64, 3)", "(5,)", "()" */
static bool read_shape(const char *at, bnf_array *a)
{
    if (!at || *at++ != '(')
        return false;
    for (a->ndim = 0; *(at += strspn(at, " ,")) != ')'; a->ndim++) {
        char digits[24] = "";
        size_t n = strspn(at, "0123456789");
        if (n == 0 || n >= sizeof digits || a->ndim == BNF_ARRAY_MAX_DIMS)
            return false;
        memcpy(digits, at, n);
        if (!bnf_parse_int(digits, &a->dim[a->ndim]))
            return false;
        at += n;
    }
    return true;
}

static bool read_dictionary(const char *header, bnf_array *a, bool *fortran)
{
    const char *type = value_of(header, "descr"), *order = value_of(header, "fortran_order");
    if (!type || *type++ != '\'' || !order || !read_shape(value_of(header, "shape"), a))
        return false;
    size_t n = strcspn(type, "'");
    if (type[n] != '\'' || n >= sizeof a->dtype)
        return false;
    memcpy(a->dtype, type, n);
    *fortran = strncmp(order, "True", 4) == 0;
    return *fortran || strncmp(order, "False", 5) == 0;
}

/* Bytes of an element of the usual types, "<f4", "|u1"; 0: not known. */
static uint64_t element_bytes(const char *dtype)
{
    if ((dtype[0] == '<' || dtype[0] == '|') && strchr("fiub", dtype[1]) && dtype[1] && strchr("1248", dtype[2]) &&
        dtype[2] && !dtype[3])
        return (uint64_t)(dtype[2] - '0');
    return 0;
}

static bnf_status read_npy(const unsigned char *p, uint64_t size, const char *name, bnf_array *a)
{
    char header[1024];
    bool fortran;
    uint64_t length, begin;
    *a = (bnf_array){0};
    if (size < 12 || memcmp(p, "\x93NUMPY", 6) != 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is no array in NumPy's format", name);
    begin = p[6] == 1 ? 10 : 12;
    length = number(p + 8, p[6] == 1 ? 2 : 4);
    if (length >= sizeof header || begin + length > size)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': its header is damaged", name);
    memcpy(header, p + begin, length);
    header[length] = 0;
    if (!read_dictionary(header, a, &fortran))
        return bnf_fail(BNF_ERR_FORMAT, "'%s': its header is damaged", name);
    a->f32 = strcmp(a->dtype, "<f4") == 0;
    if (fortran && a->ndim > 1)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s' lies column by column: save numpy.ascontiguousarray of it", name);
    a->values = p + begin + length;
    int64_t n = bnf_array_elements(a);
    uint64_t each = element_bytes(a->dtype);
    if (each && (n < 0 || (uint64_t)n > size / each || (uint64_t)n * each != size - begin - length))
        return bnf_fail(BNF_ERR_FORMAT, "'%s': its shape and its size do not agree", name);
    return BNF_OK;
}

bnf_status bnf_arrays_parse_npy(bnf_arrays *arrays)
{
    bnf_array a;
    BNF_TRY(read_npy((const unsigned char *)arrays->content.data, arrays->content.size, "the array", &a));
    return bnf_arrays_add(arrays, &a, "");
}

/* ---- ZIP ---- */

/* The record at the end, behind which may be a comment. */
static const unsigned char *find_end(const unsigned char *p, size_t size)
{
    for (size_t back = END_BYTES; back <= size && back <= END_BYTES + 0xffff; back++)
        if (number(p + size - back, 4) == 0x06054b50 && number(p + size - back + 20, 2) == back - END_BYTES)
            return p + size - back;
    return NULL;
}

/* zlib counts in unsigned int. */
static uint32_t crc_of(const unsigned char *at, uint64_t size)
{
    uLong crc = crc32(0, NULL, 0);
    while (size > 0) {
        uint64_t n = size < (1u << 30) ? size : 1u << 30;
        crc = crc32(crc, at, (uInt)n);
        at += n;
        size -= n;
    }
    return (uint32_t)crc;
}

/* Unpacks an entry of `packed` bytes into size bytes. [out] out owned. */
static bnf_status unpack(const unsigned char *from, uint64_t packed, uint64_t size, const char *name, void **out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from, .avail_in = (uInt)packed}; /* zlib does not write to it */
    if (size / 1100 > packed) /* deflate saves a factor of at most 1032 */
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is damaged: its sizes do not agree", name);
    BNF_TRY(bnf_alloc(size + 1, "an unpacked array", out)); /* one more byte, so that too long a content shows */
    z.next_out = *out;
    z.avail_out = (uInt)size + 1;
    int code = inflateInit2(&z, -MAX_WBITS);
    if (code == Z_OK) {
        code = inflate(&z, Z_FINISH);
        inflateEnd(&z);
    }
    if (code == Z_STREAM_END && z.total_out == size)
        return BNF_OK;
    bnf_free(*out);
    *out = NULL;
    return code == Z_MEM_ERROR ? bnf_fail(BNF_ERR_MEMORY, "zlib: out of memory")
                               : bnf_fail(BNF_ERR_FORMAT, "'%s' is damaged: it cannot be unpacked", name);
}

/* The entry that the directory describes at `at`. */
static bnf_status read_entry(bnf_arrays *arrays, const unsigned char *at, const char *name)
{
    const unsigned char *p = (const unsigned char *)arrays->content.data;
    uint64_t file = arrays->content.size, stored = number(at + 20, 4), size = number(at + 24, 4);
    uint64_t local = number(at + 42, 4), method = number(at + 10, 2);
    void *unpacked = NULL;
    bnf_array a;
    if (method != STORED && method != DEFLATED)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s' is compressed in a way that numpy does not write", name);
    if (stored == UINT32_MAX || size == UINT32_MAX || local == UINT32_MAX)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "'%s' is beyond the 4 GiB of an .npz file: use safetensors", name);
    if (local + LOCAL_BYTES > file || number(p + local, 4) != 0x04034b50)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is not where the directory says", name);
    uint64_t begin = local + LOCAL_BYTES + number(p + local + 26, 2) + number(p + local + 28, 2);
    if (begin + stored > file)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is cut off", name);
    if (method == STORED)
        size = stored;
    else
        BNF_TRY(unpack(p + begin, stored, size, name, &unpacked));
    const unsigned char *npy = unpacked ? unpacked : p + begin;
    bnf_status s = crc_of(npy, size) == number(at + 16, 4)
                       ? read_npy(npy, size, name, &a)
                       : bnf_fail(BNF_ERR_FORMAT, "'%s' is damaged: its checksum is wrong", name);
    if (s != BNF_OK) {
        bnf_free(unpacked);
        return s;
    }
    a.unpacked = unpacked;
    return bnf_arrays_add(arrays, &a, name);
}

bnf_status bnf_arrays_parse_npz(bnf_arrays *arrays)
{
    const unsigned char *p = (const unsigned char *)arrays->content.data, *end = find_end(p, arrays->content.size);
    if (!end)
        return bnf_fail(BNF_ERR_FORMAT, "the archive has no end: it is cut off");
    uint64_t count = number(end + 10, 2), at = number(end + 16, 4), limit = (uint64_t)(end - p);
    for (uint64_t i = 0; i < count; i++) {
        char name[256];
        if (at + CENTRAL_BYTES > limit || number(p + at, 4) != 0x02014b50)
            return bnf_fail(BNF_ERR_FORMAT, "the archive's directory is damaged");
        uint64_t length = number(p + at + 28, 2);
        uint64_t next = at + CENTRAL_BYTES + length + number(p + at + 30, 2) + number(p + at + 32, 2);
        if (next > limit || length < 4 || length >= sizeof name ||
            memcmp(p + at + CENTRAL_BYTES + length - 4, ".npy", 4) != 0)
            return bnf_fail(BNF_ERR_FORMAT, "entry %lld of the archive is no array", (long long)i);
        memcpy(name, p + at + CENTRAL_BYTES, length - 4);
        name[length - 4] = 0;
        BNF_TRY(read_entry(arrays, p + at, name));
        at = next;
    }
    return BNF_OK;
}
