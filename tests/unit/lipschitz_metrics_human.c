/* Human maps: prepared as NumPy prepares them (scripts/metrics_reference.py printed the constants), read from each kind
 * of file, and refused with the file's name when they are not what they should be. */
#include "unit/h5_support.h"

#include "base/fs.h"
#include "base/mem.h"
#include "h5/dataset.h"
#include "recipes/lipschitz/metrics_human.h"
#include "train/npz.h"

#include <math.h>

enum { ROWS = 9, COLUMNS = 13, H = 4, W = 5, MAPS = 3 };

static char folder[256], path[300];

static int open_folder(void **state)
{
    (void)state;
    make_folder(folder);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    remove_folder(folder);
    return 0;
}

static float fixed(int64_t i, int64_t salt)
{
    return (float)((double)((i * 7919 + salt * 104729 + 13) % 10007) / 10007 * 2 - 1);
}

static const bnf_lipschitz_human_settings broad = {16, 10, 10}, narrow = {16, 5, 2}, plain = {0, 0, 1};

/* ---- files ---- */

static const char *file_of(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void maps_of(float *maps)
{
    for (int i = 0; i < MAPS * ROWS * COLUMNS; i++)
        maps[i] = fixed(i % (ROWS * COLUMNS), 7 + i / (ROWS * COLUMNS));
}

static const char *write_h5(const char *name, bnf_dtype dtype, int ndim, const int64_t *dim, const void *maps,
                            const int64_t *samples, int64_t n)
{
    bnf_h5_file *file;
    bnf_h5_dataset *d;
    assert_ok(bnf_h5_file_create(file_of(name), &file));
    assert_ok(bnf_h5_dataset_create(file, "/maps", dtype, ndim, dim, NULL, &d));
    assert_ok(bnf_h5_dataset_write(d, dtype, maps));
    assert_ok(bnf_h5_dataset_close(d));
    if (samples) {
        assert_ok(bnf_h5_dataset_create(file, "/samples", BNF_I64, 1, &n, NULL, &d));
        assert_ok(bnf_h5_dataset_write(d, BNF_I64, samples));
        assert_ok(bnf_h5_dataset_close(d));
    }
    assert_ok(bnf_h5_file_close(file));
    return path;
}

static const char *write_npz(const char *name, const float *maps)
{
    bnf_npz npz = {0};
    bnf_desc desc = {.dtype = BNF_F32, .ndim = 3, .dim = {MAPS, ROWS, COLUMNS}};
    assert_ok(bnf_npz_add(&npz, "maps", &desc, maps));
    assert_ok(bnf_npz_write(&npz, file_of(name)));
    bnf_npz_release(&npz);
    return path;
}

/* As numpy.save writes it; `shape` is the tuple's text. */
static const char *write_npy(const char *name, const char *type, const char *shape, const void *values, size_t bytes)
{
    bnf_buf b = {0};
    char header[118];
    int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    memset(header + n, ' ', sizeof header - (size_t)n);
    header[sizeof header - 1] = '\n';
    bnf_buf_append(&b, "\x93NUMPY\x01\x00\x76\x00", 10);
    bnf_buf_append(&b, header, sizeof header);
    bnf_buf_append(&b, values, bytes);
    assert_ok(bnf_fs_write_atomic(file_of(name), bnf_buf_text(&b), b.size));
    bnf_buf_release(&b);
    return path;
}

/* ---- tests ---- */

static void test_prepared(void **state)
{
    (void)state;
    static const double by_ten[H * W] = {-0.031817966, -0.048624410, -0.036780851, -0.015984688, 0.006600913,
                                         0.008952914,  -0.008367306, -0.023703008, -0.028162573, -0.019869043,
                                         0.025387794,  0.015689895,  -0.021774784, -0.014878812, -0.007074204,
                                         0.021800827,  -0.006155419, -0.006991464, -0.019912825, 0.000527692};
    static const double by_five[H * W] = {-0.117789827, 0.016811652,  -0.175128516, 0.067898794,  -0.048633516,
                                          0.102914031,  -0.093257442, -0.011856829, -0.016337479, 0.002800855,
                                          0.122905998,  0.014999880,  0.028549179,  -0.070489431, 0.011755717,
                                          -0.061439038, 0.078354424,  -0.111517596, 0.039670133,  0.006950832};
    float maps[MAPS * ROWS * COLUMNS];
    bnf_lipschitz_human human;
    maps_of(maps);
    write_npz("prepared.npz", maps);
    for (int k = 0; k < 2; k++) {
        assert_ok(bnf_lipschitz_human_read(path, k ? &narrow : &broad, 0, 2, H, W, &human));
        assert_int_equal(human.count, 2);
        for (int i = 0; i < H * W; i++)
            if (!(fabs(human.map[0][i] - (k ? by_five : by_ten)[i]) < 1e-7))
                fail_msg("pixel %d: %.9f, must be %.9f", i, human.map[0][i], (k ? by_five : by_ten)[i]);
        bnf_lipschitz_human_release(&human);
    }
    /* The same size without blur: as they are. */
    assert_ok(bnf_lipschitz_human_read(path, &plain, 1, 1, ROWS, COLUMNS, &human));
    assert_memory_equal(human.map[0], maps + ROWS * COLUMNS, ROWS * COLUMNS * sizeof(float));
    bnf_lipschitz_human_release(&human);
}

/* Which sample has which map, from every kind of file. */
static void test_files(void **state)
{
    (void)state;
    static const int64_t dim[3] = {MAPS, ROWS, COLUMNS}, numbers[MAPS] = {12, INT64_MIN, 11};
    float maps[MAPS * ROWS * COLUMNS];
    bnf_lipschitz_human human;
    const size_t one = ROWS * COLUMNS * sizeof(float);
    maps_of(maps);
    assert_ok(bnf_lipschitz_human_read(write_h5("numbered.h5", BNF_F32, 3, dim, maps, numbers, MAPS), &plain, 10, 3,
                                       ROWS, COLUMNS, &human));
    assert_int_equal(human.count, 2);
    assert_null(human.map[0]);
    assert_memory_equal(human.map[1], maps + 2 * ROWS * COLUMNS, one);
    assert_memory_equal(human.map[2], maps, one);
    bnf_lipschitz_human_release(&human);
    for (int k = 0; k < 3; k++) {
        const char *file = k == 0   ? write_h5("plain.h5", BNF_F32, 3, dim, maps, NULL, 0)
                           : k == 1 ? write_npz("plain.npz", maps)
                                    : write_npy("plain.npy", "<f4", "(3, 9, 13)", maps, sizeof maps);
        assert_ok(bnf_lipschitz_human_read(file, &plain, 2, 4, ROWS, COLUMNS, &human));
        assert_int_equal(human.count, 1);
        assert_memory_equal(human.map[0], maps + 2 * ROWS * COLUMNS, one);
        assert_null(human.map[1]);
        bnf_lipschitz_human_release(&human);
    }
}

static bnf_status refuse(const char *file)
{
    bnf_lipschitz_human human;
    int64_t blocks = bnf_mem_live_blocks();
    bnf_status s = bnf_lipschitz_human_read(file, &plain, 0, 20, ROWS, COLUMNS, &human);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
    assert_null(human.values);
    return s;
}

static void test_refused(void **state)
{
    (void)state;
    static const int64_t dim[3] = {MAPS, ROWS, COLUMNS}, twice[MAPS] = {1, 3, 1}, few[2] = {1, 2};
    float maps[MAPS * ROWS * COLUMNS];
    double wide[MAPS * ROWS * COLUMNS] = {0};
    maps_of(maps);
    assert_fails(refuse(file_of("none.h5")), BNF_ERR_IO, "none.h5");
    assert_fails(refuse(file_of("none.npz")), BNF_ERR_IO, "none.npz");
    assert_fails(refuse(write_h5("flat.h5", BNF_F32, 2, dim, maps, NULL, 0)), BNF_ERR_FORMAT, "flat.h5");
    assert_fails(refuse(write_h5("wide.h5", BNF_F64, 3, dim, wide, NULL, 0)), BNF_ERR_FORMAT, "expected f32");
    assert_fails(refuse(write_h5("twice.h5", BNF_F32, 3, dim, maps, twice, MAPS)), BNF_ERR_FORMAT,
                 "two maps of sample 1");
    assert_fails(refuse(write_h5("few.h5", BNF_F32, 3, dim, maps, few, 2)), BNF_ERR_FORMAT, "few.h5");
    assert_fails(refuse(write_npy("flat.npy", "<f4", "(27, 13)", maps, sizeof maps)), BNF_ERR_FORMAT, "flat.npy");
    assert_fails(refuse(write_npy("wide.npy", "<f8", "(3, 9, 13)", wide, sizeof wide)), BNF_ERR_FORMAT, "<f8");
    assert_fails(refuse(write_npy("cut.npy", "<f4", "(3, 9, 13)", maps, sizeof maps - 4)), BNF_ERR_FORMAT, "cut.npy");
    maps[200] = NAN;
    assert_fails(refuse(write_npz("nan.npz", maps)), BNF_ERR_FORMAT, "nan.npz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepared),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
