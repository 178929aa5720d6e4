/* Compressed .npz archives, made from stored ones. */
#ifndef TESTS_NPZ_SUPPORT_H
#define TESTS_NPZ_SUPPORT_H

#include "base/fs.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static inline uint32_t npz_number(const char *p, int bytes)
{
    uint32_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static inline void npz_put(char *p, int bytes, uint32_t v)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (char)(v >> (8 * i) & 0xff);
}

/* Rewrites an archive of train/npz.c as numpy.savez_compressed would: all entries deflated. */
static inline void npz_deflate(const char *path)
{
    bnf_buf in = {0}, out = {0}, directory = {0};
    assert_int_equal(bnf_fs_read(path, &in), BNF_OK);
    char *end = in.data + in.size - 22, *at = in.data + npz_number(end + 16, 4);
    uint32_t count = npz_number(end + 10, 2);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t name = npz_number(at + 28, 2), size = npz_number(at + 24, 4);
        char *local = in.data + npz_number(at + 42, 4);
        z_stream z = {.next_in = (Bytef *)(local + 30 + name), .avail_in = size};
        Bytef *packed = malloc(size + 1000);
        assert_non_null(packed);
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_out = packed;
        z.avail_out = size + 1000;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        npz_put(local + 8, 2, 8);
        npz_put(local + 18, 4, (uint32_t)z.total_out);
        npz_put(at + 10, 2, 8);
        npz_put(at + 20, 4, (uint32_t)z.total_out);
        npz_put(at + 42, 4, (uint32_t)out.size);
        bnf_buf_append(&out, local, 30 + name);
        bnf_buf_append(&out, (const char *)packed, z.total_out);
        bnf_buf_append(&directory, at, 46 + name);
        deflateEnd(&z);
        free(packed);
        at += 46 + name;
    }
    npz_put(end + 12, 4, (uint32_t)directory.size);
    npz_put(end + 16, 4, (uint32_t)out.size);
    bnf_buf_append(&out, directory.data, directory.size);
    bnf_buf_append(&out, end, 22);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(out.data, 1, out.size, f), out.size);
    assert_int_equal(fclose(f), 0);
    bnf_buf_release(&in);
    bnf_buf_release(&out);
    bnf_buf_release(&directory);
}

/* Replaces the first `from` in a stored archive with `to`, of the same length, and sets the checksums right. */
static inline void npz_replace(const char *path, const char *from, const char *to)
{
    bnf_buf in = {0};
    assert_int_equal(strlen(from), strlen(to));
    assert_int_equal(bnf_fs_read(path, &in), BNF_OK);
    char *found = memmem(in.data, in.size, from, strlen(from));
    char *end = in.data + in.size - 22, *at = in.data + npz_number(end + 16, 4);
    assert_non_null(found);
    memcpy(found, to, strlen(to));
    for (uint32_t i = 0; i < npz_number(end + 10, 2); i++) {
        uint32_t name = npz_number(at + 28, 2), size = npz_number(at + 24, 4);
        char *local = in.data + npz_number(at + 42, 4);
        const char *content = local + 30 + name + npz_number(local + 28, 2);
        uint32_t crc = (uint32_t)crc32(0, (const Bytef *)content, size);
        npz_put(local + 14, 4, crc);
        npz_put(at + 16, 4, crc);
        at += 46 + name + npz_number(at + 30, 2) + npz_number(at + 32, 2);
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(in.data, 1, in.size, f), in.size);
    assert_int_equal(fclose(f), 0);
    bnf_buf_release(&in);
}

#endif
