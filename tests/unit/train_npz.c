/* Archives for NumPy: read back by a parser of ZIP and .npy that knows nothing of the writer, byte for byte equal
 * when written twice, and refused by their checksum when a byte is changed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "train/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the parser ---- */

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* CRC-32 of ZIP, bit by bit. */
static uint32_t crc(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

typedef struct array {
    char name[64], type[8], shape[64];
    const unsigned char *values;
    size_t bytes;
} array;

/* The value of a key of the header's dictionary, up to one of the characters in `end`. */
static void literal(const char *header, const char *key, const char *end, char *out, size_t size)
{
    const char *at = strstr(header, key);
    assert_non_null(at);
    at += strlen(key);
    size_t n = strcspn(at, end);
    assert_true(n < size);
    memcpy(out, at, n);
    out[n] = 0;
}

static void parse_npy(const unsigned char *p, size_t size, array *a)
{
    char header[512];
    assert_memory_equal(p, "\x93NUMPY\x01\x00", 8);
    size_t length = (size_t)number(p + 8, 2);
    assert_true(10 + length <= size && length < sizeof header);
    assert_int_equal((10 + length) % 64, 0);
    memcpy(header, p + 10, length);
    header[length] = 0;
    assert_int_equal(header[length - 1], '\n');
    assert_non_null(strstr(header, "'fortran_order': False"));
    literal(header, "'descr': '", "'", a->type, sizeof a->type);
    literal(header, "'shape': (", ")", a->shape, sizeof a->shape);
    a->values = p + 10 + length;
    a->bytes = size - 10 - length;
}

/* Walks the directory at the end of the archive; returns how many arrays there are, or -1 - i if entry i's checksum
 * is wrong. */
static int parse(const unsigned char *p, size_t size, array *arrays, int room)
{
    const unsigned char *end = p + size - 22;
    assert_int_equal(number(end, 4), 0x06054b50);
    int count = (int)number(end + 10, 2);
    const unsigned char *at = p + number(end + 16, 4);
    assert_int_equal(number(end + 12, 4), (uint64_t)(end - at));
    assert_true(count <= room);
    for (int i = 0; i < count; i++) {
        assert_int_equal(number(at, 4), 0x02014b50);
        const unsigned char *local = p + number(at + 42, 4);
        uint64_t stored = number(at + 20, 4), name = number(at + 28, 2);
        assert_int_equal(number(at + 10, 2), 0); /* not compressed */
        assert_int_equal(number(local, 4), 0x04034b50);
        assert_memory_equal(local + 4, at + 6, 26); /* both headers say the same */
        assert_int_equal(number(local + 26, 2), name);
        assert_memory_equal(local + 30, at + 46, name);
        assert_memory_equal(at + 46 + name - 4, ".npy", 4);
        snprintf(arrays[i].name, sizeof arrays[i].name, "%.*s", (int)name - 4, (const char *)at + 46);
        const unsigned char *data = local + 30 + name + number(local + 28, 2);
        if (crc(data, stored) != number(at + 16, 4))
            return -1 - i;
        parse_npy(data, stored, &arrays[i]);
        at += 46 + name + number(at + 30, 2) + number(at + 32, 2);
    }
    return count;
}

/* ---- tests ---- */

static char folder[] = "/tmp/bnf-test-npz-XXXXXX";

static int open_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int close_folder(void **state)
{
    (void)state;
    return bnf_fs_remove(folder) == BNF_OK ? 0 : -1;
}

static void path_of(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", folder, name);
}

static void write_sample(const char *name, bnf_buf *content)
{
    float f[6] = {1.5f, -2, 0, 3e-39f, 1e30f, -0.0f};
    double d = 0.1;
    int64_t l[2] = {INT64_MIN, 7};
    uint8_t u[3] = {0, 128, 255};
    char path[128];
    bnf_npz npz = {0};
    bnf_desc fd = bnf_desc_make(BNF_F32, 3, (int64_t[]){1, 2, 3}), dd = bnf_desc_1d(BNF_F64, 1),
             ld = bnf_desc_2d(BNF_I64, 2, 1);
    bnf_desc ud = bnf_desc_1d(BNF_U8, 3);
    assert_int_equal(bnf_npz_add(&npz, "conv1.weight", &fd, f), BNF_OK);
    assert_int_equal(bnf_npz_add(&npz, "d", &dd, &d), BNF_OK);
    assert_int_equal(bnf_npz_add(&npz, "long", &ld, l), BNF_OK);
    assert_int_equal(bnf_npz_add(&npz, "bytes", &ud, u), BNF_OK);
    path_of(name, path, sizeof path);
    assert_int_equal(bnf_npz_write(&npz, path), BNF_OK);
    bnf_npz_release(&npz);
    assert_int_equal(bnf_fs_read(path, content), BNF_OK);
}

static void read_back(void **state)
{
    (void)state;
    bnf_buf content = {0};
    array a[8];
    write_sample("a.npz", &content);
    assert_int_equal(parse((unsigned char *)content.data, content.size, a, 8), 4);
    const float f[6] = {1.5f, -2, 0, 3e-39f, 1e30f, -0.0f};
    const int64_t l[2] = {INT64_MIN, 7};
    assert_string_equal(a[0].name, "conv1.weight");
    assert_string_equal(a[0].type, "<f4");
    assert_string_equal(a[0].shape, "1, 2, 3");
    assert_int_equal(a[0].bytes, sizeof f);
    assert_memory_equal(a[0].values, f, sizeof f);
    assert_string_equal(a[1].type, "<f8");
    assert_string_equal(a[1].shape, "1,");
    assert_memory_equal(a[1].values, &(double){0.1}, 8);
    assert_string_equal(a[2].type, "<i8");
    assert_string_equal(a[2].shape, "2, 1");
    assert_memory_equal(a[2].values, l, sizeof l);
    assert_string_equal(a[3].type, "|u1");
    assert_memory_equal(a[3].values, "\x00\x80\xff", 3);
    bnf_buf_release(&content);
}

static void same_bytes_and_checksums(void **state)
{
    (void)state;
    bnf_buf first = {0}, second = {0};
    array a[8];
    write_sample("a.npz", &first);
    sleep(2); /* the resolution of dates in an archive */
    write_sample("b.npz", &second);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    assert_int_equal(parse((unsigned char *)first.data, first.size, a, 8), 4);
    first.data[a[2].values - (unsigned char *)first.data] ^= 1;
    assert_int_equal(parse((unsigned char *)first.data, first.size, a, 8), -1 - 2);
    bnf_buf_release(&first);
    bnf_buf_release(&second);
}

static void params_by_name(void **state)
{
    (void)state;
    bnf_params *params;
    bnf_buf content = {0};
    array a[8];
    char path[128];
    int index;
    assert_int_equal(bnf_params_create(BNF_F32, &params), BNF_OK);
    for (int i = 0; i < 2; i++) {
        bnf_param_info info = {.name = i ? "head.weight" : "norm1.mean",
                               .desc = bnf_desc_2d(BNF_F32, 2 + i, 3),
                               .trainable = i,
                               .init = {BNF_INIT_UNIFORM, 0, 1}};
        assert_int_equal(bnf_params_add(params, &info, &index), BNF_OK);
    }
    assert_int_equal(bnf_params_init(params, 5), BNF_OK);
    path_of("p.npz", path, sizeof path);
    assert_int_equal(bnf_npz_write_params(params, false, path), BNF_OK);
    assert_int_equal(bnf_fs_read(path, &content), BNF_OK);
    assert_int_equal(parse((unsigned char *)content.data, content.size, a, 8), 2);
    assert_string_equal(a[1].name, "head.weight");
    assert_string_equal(a[1].shape, "3, 3");
    for (int i = 0; i < 2; i++)
        assert_memory_equal(a[i].values, bnf_params_value(params, i), a[i].bytes);
    assert_int_equal(bnf_npz_write_params(params, false, "/no/such/folder/p.npz"), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/no/such/folder/p.npz"));
    bnf_error_clear();
    bnf_buf_release(&content);
    bnf_params_destroy(params);
}

static void out_of_memory(void **state)
{
    (void)state;
    float x[100] = {0};
    bnf_desc d = bnf_desc_1d(BNF_F32, 100);
    int64_t live = bnf_mem_live_blocks();
    int failures = 0;
    for (int64_t at = 1; at < 100; at++) {
        bnf_npz npz = {0};
        bnf_mem_fail_at(at);
        bnf_status s = bnf_npz_add(&npz, "x", &d, x);
        bnf_mem_fail_at(0);
        failures += s != BNF_OK;
        assert_true(s == BNF_OK || s == BNF_ERR_MEMORY);
        bnf_error_clear();
        bnf_npz_release(&npz);
        assert_int_equal(bnf_mem_live_blocks(), live);
        if (s == BNF_OK)
            break;
    }
    assert_true(failures >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_back),
        cmocka_unit_test(same_bytes_and_checksums),
        cmocka_unit_test(params_by_name),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
