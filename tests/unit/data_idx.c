/* IDX files: reading in pieces, and every way in which a file can be wrong. */
#include "unit/data_support.h"

#include "data/idx.h"

enum { N = 50, H = 6, W = 9 };

static char folder[256];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static void check_items(const uint8_t *items, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++)
                assert_int_equal(items[(i * H + y) * W + x], test_pixel(first + i, y, x, 0));
}

static void test_reads_any_range(void **state)
{
    (void)state;
    static const int64_t ranges[][2] = {{0, 50}, {10, 5}, {15, 20}, {3, 2}, {49, 1}, {0, 1}, {20, 0}};
    for (int gz = 0; gz < 2; gz++) {
        bnf_idx *idx;
        uint8_t items[N * H * W];
        write_idx_images(in(folder, "a"), gz, 0, N, H, W);
        assert_ok(bnf_idx_open(in(folder, "a"), &idx));
        assert_int_equal(bnf_idx_ndim(idx), 3);
        assert_int_equal(bnf_idx_dims(idx)[0], N);
        assert_int_equal(bnf_idx_dims(idx)[1], H);
        assert_int_equal(bnf_idx_dims(idx)[2], W);
        assert_int_equal(bnf_idx_item_bytes(idx), H * W);
        for (size_t k = 0; k < sizeof ranges / sizeof ranges[0]; k++) {
            assert_ok(bnf_idx_read(idx, ranges[k][0], ranges[k][1], items));
            check_items(items, ranges[k][0], ranges[k][1]);
        }
        bnf_idx_close(idx);
    }
}

/* Opens and reads all. */
static bnf_status read_whole(const char *path)
{
    bnf_idx *idx;
    static uint8_t items[N * H * W];
    BNF_TRY(bnf_idx_open(path, &idx));
    bnf_status status = BNF_OK;
    if (bnf_idx_dims(idx)[0] * bnf_idx_item_bytes(idx) <= N * H * W)
        status = bnf_idx_read(idx, 0, bnf_idx_dims(idx)[0], items);
    bnf_idx_close(idx);
    return status;
}

static void test_truncation(void **state)
{
    (void)state;
    for (int gz = 0; gz < 2; gz++) {
        size_t size;
        write_idx_images(in(folder, "whole"), gz, 0, N, H, W);
        unsigned char *data = read_back(in(folder, "whole"), &size);
        assert_ok(read_whole(in(folder, "whole")));
        for (size_t cut = 0; cut < size; cut += cut < 40 || cut + 40 > size ? 1 : 17) {
            write_file(in(folder, "cut"), data, cut);
            assert_fails(read_whole(in(folder, "cut")), BNF_ERR_FORMAT, in(folder, "cut"));
        }
        free(data);
    }
}

static void test_gzip_damage(void **state)
{
    (void)state;
    size_t size;
    write_idx_images(in(folder, "g"), true, 0, N, H, W);
    unsigned char *data = read_back(in(folder, "g"), &size);
    for (size_t i = size / 2; i < size; i += 5) { /* deflate stream, then its checksum and length */
        data[i] ^= 0x10;
        write_file(in(folder, "g"), data, size);
        assert_fails(read_whole(in(folder, "g")), BNF_ERR_FORMAT, in(folder, "g"));
        data[i] ^= 0x10;
    }
    free(data);
}

static void write_header(const char *path, uint32_t magic, uint32_t a, uint32_t b, uint32_t c)
{
    unsigned char data[16];
    put32(data, magic);
    put32(data + 4, a);
    put32(data + 8, b);
    put32(data + 12, c);
    write_file(path, data, sizeof data);
}

static void test_header(void **state)
{
    (void)state;
    const char *path = in(folder, "h");
    char name[600];
    snprintf(name, sizeof name, "%s", path);
    write_header(name, 0x12000803, 1, 1, 1);
    assert_fails(read_whole(name), BNF_ERR_FORMAT, name);
    write_header(name, 0x00000d03, 1, 1, 1); /* f32 */
    assert_fails(read_whole(name), BNF_ERR_UNSUPPORTED, "0x0d");
    write_header(name, 0x00000805, 1, 1, 1);
    assert_fails(read_whole(name), BNF_ERR_FORMAT, "5 dimensions");
    write_header(name, 0x00000800, 1, 1, 1);
    assert_fails(read_whole(name), BNF_ERR_FORMAT, "0 dimensions");
    write_header(name, 0x00000803, 0, 28, 28);
    assert_fails(read_whole(name), BNF_ERR_FORMAT, "dimension 0");
    write_header(name, 0x00000803, 4000000000u, 4000000000u, 4000000000u);
    assert_fails(read_whole(name), BNF_ERR_FORMAT, "dimension 1");
    assert_fails(read_whole(in(folder, "absent")), BNF_ERR_IO, "absent");
}

static void test_longer_than_stated(void **state)
{
    (void)state;
    for (int gz = 0; gz < 2; gz++) {
        unsigned char data[8 + 3 + 1] = {0};
        put32(data, 0x00000801);
        put32(data + 4, 3);
        write_maybe_gz(in(folder, "l"), gz, data, 11);
        assert_ok(read_whole(in(folder, "l")));
        write_maybe_gz(in(folder, "l"), gz, data, 12);
        assert_fails(read_whole(in(folder, "l")), BNF_ERR_FORMAT, "longer");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_any_range),    cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_gzip_damage),        cmocka_unit_test(test_header),
        cmocka_unit_test(test_longer_than_stated),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
