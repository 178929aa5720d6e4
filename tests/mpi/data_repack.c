/* Repacking: images, labels and other data sets move together, attributes and what is not per sample stay; checksums
 * hold; damage and an existing target are refused, and nothing is left behind. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "h5/attr.h"
#include "h5/dataset.h"
#include "on_ranks.h"

#include <unistd.h>

enum { N = 53, M = 11, SIDE = 5, PIXELS = SIDE * SIDE };

static const bnf_comm *world;
static int rank, ranks;
static char folder[256], in_path[300], out_path[300];

static void write_array(bnf_h5_file *f, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                        const int64_t *chunk, const void *data)
{
    bnf_h5_dataset *d;
    assert_ok(bnf_h5_dataset_create(f, name, dtype, ndim, dim, &(bnf_h5_storage){.chunk = chunk}, &d));
    assert_ok(bnf_h5_dataset_write(d, dtype, data));
    assert_ok(bnf_h5_dataset_close(d));
}

/* A set as somebody else might write it, with things that the library knows nothing of. By rank 0. */
static void write_set(const char *path)
{
    static const char *const classes[] = {"zero", "one", "two"};
    uint8_t images[N * PIXELS];
    int32_t labels[N];
    int64_t ids[N], table[] = {3, 1, 4, 1, 5, 9};
    double pair[N * 2];
    bnf_h5_file *f;

    for (int i = 0; i < N; i++) {
        for (int k = 0; k < PIXELS; k++)
            images[i * PIXELS + k] = test_pixel(i, k / SIDE, k % SIDE, 0);
        labels[i] = i * 3 / N;
        ids[i] = i;
        pair[2 * i] = i;
        pair[2 * i + 1] = -i;
    }
    assert_ok(bnf_h5_file_create(path, &f));
    write_array(f, "/train/images", BNF_U8, 4, (int64_t[]){N, SIDE, SIDE, 1}, (int64_t[]){7, SIDE, SIDE, 1}, images);
    write_array(f, "/train/labels", BNF_I32, 1, (int64_t[]){N}, NULL, labels);
    write_array(f, "/train/id", BNF_I64, 1, (int64_t[]){N}, (int64_t[]){10}, ids);
    write_array(f, "/train/pair", BNF_F64, 2, (int64_t[]){N, 2}, NULL, pair);
    write_array(f, "/test/images", BNF_U8, 4, (int64_t[]){M, SIDE, SIDE, 1}, NULL, images);
    write_array(f, "/test/labels", BNF_I32, 1, (int64_t[]){M}, NULL, labels);
    write_array(f, "/meta/deep/table", BNF_I64, 2, (int64_t[]){2, 3}, NULL, table);
    write_array(f, "/meta/scalar", BNF_I64, 0, NULL, NULL, table + 4);
    assert_ok(bnf_h5_attr_set_strs(f, "/train", "classes", 3, classes));
    assert_ok(bnf_h5_attr_set_str(f, "/", "source", "a test, \xC3\xA4"));
    assert_ok(bnf_h5_attr_set_reals(f, "/", "mean", 1, (double[]){0.25}));
    assert_ok(bnf_h5_attr_set_ints(f, "/train/pair", "units", 0, NULL));
    assert_ok(bnf_h5_attr_set_int(f, "/meta/deep", "depth", 2));
    assert_ok(bnf_h5_file_close(f));
}

static int setup(void **state)
{
    (void)state;
    if (rank == 0)
        make_folder(folder);
    assert_ok(bnf_comm_bcast(world, 0, folder, sizeof folder));
    snprintf(in_path, sizeof in_path, "%s/in.h5", folder);
    snprintf(out_path, sizeof out_path, "%s/out.h5", folder);
    if (rank == 0)
        write_set(in_path);
    assert_ok(bnf_comm_barrier(world));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        remove_tree(folder);
    return 0;
}

static void remove_out(void)
{
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        unlink(out_path);
    assert_ok(bnf_comm_barrier(world));
}

static void read_array(bnf_h5_file *f, const char *name, bnf_dtype dtype, void *data, bnf_h5_dataset_info *info)
{
    bnf_h5_dataset *d;
    assert_ok(bnf_h5_dataset_open(f, name, &d));
    assert_ok(bnf_h5_dataset_describe(d, info));
    assert_ok(bnf_h5_dataset_read(d, dtype, data));
    assert_ok(bnf_h5_dataset_close(d));
}

/* Everything in the result against what was written into the input. order[N]: [out] old places. */
static void check_result(const char *path, int64_t order[N], int64_t chunk_rows, int deflate)
{
    uint8_t images[N * PIXELS];
    int32_t labels[N];
    int64_t table[6], count;
    double pair[N * 2], *mean;
    char *text;
    bnf_h5_file *f;
    bnf_h5_dataset_info info;
    bnf_h5_names classes = {0};

    assert_ok(bnf_h5_file_open(path, &f));
    read_array(f, "/train/id", BNF_I64, order, &info);
    assert_int_equal(info.chunk[0], 10);
    read_array(f, "/train/pair", BNF_F64, pair, &info);
    read_array(f, "/train/labels", BNF_I32, labels, &info);
    read_array(f, "/train/images", BNF_U8, images, &info);
    assert_int_equal(info.chunk[0], chunk_rows);
    assert_int_equal(info.deflate, deflate);
    for (int i = 0; i < N; i++) {
        assert_in_range(order[i], 0, N - 1);
        assert_int_equal(labels[i], order[i] * 3 / N);
        assert_true(pair[2 * i] == (double)order[i] && pair[2 * i + 1] == -(double)order[i]);
        for (int k = 0; k < PIXELS; k++)
            assert_int_equal(images[i * PIXELS + k], test_pixel(order[i], k / SIDE, k % SIDE, 0));
    }
    read_array(f, "/test/images", BNF_U8, images, &info);
    assert_int_equal(images[3 * PIXELS + 7], test_pixel(3, 1, 2, 0));
    read_array(f, "/meta/deep/table", BNF_I64, table, &info);
    assert_true(info.ndim == 2 && table[0] == 3 && table[5] == 9);
    read_array(f, "/meta/scalar", BNF_I64, table, &info);
    assert_true(info.ndim == 0 && table[0] == 5);
    assert_ok(bnf_h5_attr_get_strs(f, "/train", "classes", &classes));
    assert_string_equal(classes.name[2], "two");
    bnf_h5_names_destroy(&classes);
    assert_ok(bnf_h5_attr_get_str(f, "/", "source", &text));
    assert_string_equal(text, "a test, \xC3\xA4");
    bnf_free(text);
    assert_ok(bnf_h5_attr_get_reals(f, "/", "mean", &count, &mean));
    assert_true(count == 1 && mean[0] == 0.25);
    bnf_free(mean);
    int64_t depth, *units;
    assert_ok(bnf_h5_attr_get_int(f, "/meta/deep", "depth", &depth));
    assert_int_equal(depth, 2);
    assert_ok(bnf_h5_attr_get_ints(f, "/train/pair", "units", &count, &units));
    assert_int_equal(count, 0);
    bnf_free(units);
    assert_ok(bnf_h5_file_close(f));
}

static void verify(const char *path)
{
    for (int k = 0; k < BNF_SPLIT_COUNT; k++) {
        bnf_dataset *set;
        assert_ok(bnf_dataset_open(path, (bnf_split)k, &set));
        assert_ok(bnf_dataset_verify(set, world));
        bnf_dataset_close(set);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        bnf_repack_options o;
        int64_t chunk;
        int deflate;
    } cases[] = {{{.deflate = -1}, 7, 0},
                 {{.chunk_rows = 1, .deflate = -1}, 1, 0},
                 {{.chunk_rows = 1000, .deflate = 4}, N, 4},
                 {{.deflate = 1, .shuffle = true, .seed = 5}, 7, 1},
                 {{.chunk_rows = 9, .deflate = 0, .shuffle = true, .seed = 6}, 9, 0}};
    int64_t live = bnf_mem_live_blocks();
    for (int k = 0; k < 5; k++) {
        int64_t order[N];
        char checksum[17], seen[N] = {0};
        int moved = 0;
        assert_ok(bnf_dataset_repack(world, in_path, out_path, &cases[k].o, checksum));
        check_result(out_path, order, cases[k].chunk, cases[k].deflate);
        verify(out_path);
        for (int i = 0; i < N; i++) {
            assert_false(seen[order[i]]);
            seen[order[i]] = 1;
            moved += order[i] != i;
        }
        assert_true(cases[k].o.shuffle ? moved > N / 2 : moved == 0);
        remove_out();
    }
    assert_int_equal(bnf_mem_live_blocks(), live);
}

static void nothing_left(void)
{
    char name[320];
    snprintf(name, sizeof name, "%s.tmp", out_path);
    assert_ok(bnf_comm_barrier(world));
    assert_int_not_equal(access(name, F_OK), 0);
    assert_int_not_equal(access(out_path, F_OK), 0);
}

/* A target that is there; a pixel changed behind the stated checksum; no file; one that is cut off. */
static void test_refusals(void **state)
{
    (void)state;
    char checksum[17], bad[300];
    const bnf_repack_options o = {.deflate = -1};
    int64_t live = bnf_mem_live_blocks();
    snprintf(bad, sizeof bad, "%s/bad.h5", folder);
    assert_ok(bnf_dataset_repack(world, in_path, bad, &o, checksum));
    bnf_error_clear();
    assert_fails(bnf_dataset_repack(world, in_path, bad, &o, checksum), BNF_ERR_CONFIG, "exists");
    verify(bad);
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0) {
        size_t size, at = 0;
        unsigned char *file = read_back(bad, &size), pattern[8];
        for (int k = 0; k < 8; k++)
            pattern[k] = test_pixel(20, k / SIDE, k % SIDE, 0);
        while (at + 8 <= size && memcmp(file + at, pattern, 8) != 0)
            at++;
        assert_true(at + 8 <= size);
        file[at + 2] ^= 1;
        write_file(bad, file, size);
        free(file);
    }
    assert_ok(bnf_comm_barrier(world));
    bnf_error_clear();
    assert_fails(bnf_dataset_repack(world, bad, out_path, &o, checksum), BNF_ERR_FORMAT, "damaged");
    assert_non_null(strstr(bnf_error_message(), bad));
    nothing_left();
    bnf_error_clear();
    assert_fails(bnf_dataset_repack(world, "/nowhere/set.h5", out_path, &o, checksum), BNF_ERR_IO, "/nowhere/set.h5");
    nothing_left();
    if (rank == 0)
        cut_file(bad, 700);
    assert_ok(bnf_comm_barrier(world));
    bnf_error_clear();
    assert_fails(bnf_dataset_repack(world, bad, out_path, &o, checksum), BNF_ERR_FORMAT, bad);
    nothing_left();
    assert_int_equal(bnf_mem_live_blocks(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
    };
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &ranks, tests, setup, teardown);
}
