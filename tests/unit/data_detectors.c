/* Importing HDF5 files of detector images: 16-bit floats, sums over 5 x 5 cells, masks, whole planes, classes of files
 * and every error. */
#include "unit/data_support.h"
#include "unit/detector_files.h"

#include "h5/dataset.h"

#include <math.h>

enum { ETA = 26, PHI = 40, H = 8, W = 6, C = 2, N = 9, M = 3, PLANE = ETA * PHI };

static char folder[256], first[300], second[300], third[300], out[300];
static const char *const detectors[] = {"track", "ecal"};
static const char *const train_files[] = {first, second}, *const train_names[] = {"qcd", "qcd"};
static const char *const test_files[] = {third}, *const test_names[] = {"suep"};

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(first, sizeof first, "%s/a.h5", folder);
    snprintf(second, sizeof second, "%s/b.h5", folder);
    snprintf(third, sizeof third, "%s/c.h5", folder);
    snprintf(out, sizeof out, "%s/out.h5", folder);
    assert_int_equal(detector_write(first, 0, N - 4, ETA, PHI, C, detectors, false), 0);
    assert_int_equal(detector_write(second, N - 4, 4, ETA, PHI, C, detectors, false), 0);
    assert_int_equal(detector_write(third, N, M, ETA, PHI, C, detectors, false), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static bnf_import_h5_options options(void)
{
    return (bnf_import_h5_options){.files = {{2, train_files, train_names}, {1, test_files, test_names}},
                                   .channel_count = C,
                                   .channels = detectors};
}

/* All 65536 halves: numbers as they are, to the sign of a zero; infinities and NaN arrive, too, for the caller. */
static void test_halves(void **state)
{
    (void)state;
    static uint16_t bits[65536];
    static float values[65536];
    bnf_h5_file *file;
    bnf_h5_dataset *d;
    bnf_h5_dataset_info info;

    for (int k = 0; k < 65536; k++)
        bits[k] = (uint16_t)k;
    hid_t id = H5Fcreate(out, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_int_equal(detector_add(id, "x", 4, 128, 128, bits), 0);
    assert_true(H5Fclose(id) >= 0);
    assert_ok(bnf_h5_file_open(out, &file));
    assert_ok(bnf_h5_dataset_open(file, "x", &d));
    assert_ok(bnf_h5_dataset_describe(d, &info));
    assert_true(info.dtype == BNF_F32 && info.half && info.offset == -1);
    assert_ok(bnf_h5_dataset_read(d, BNF_F32, values));
    for (int k = 0; k < 65536; k++) {
        int e = k >> 10 & 31, m = k & 1023;
        float size = e == 31 ? (m ? NAN : INFINITY) : ldexpf((float)(e ? 1024 + m : m), e ? e - 25 : -24);
        assert_true(isnan(size) ? isnan(values[k]) : values[k] == (k >> 15 ? -size : size));
        assert_true(isnan(size) || !signbit(values[k]) == !(k >> 15));
    }
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_file_close(file));
}

/* The sum over the cells of a tower, the slow way: 26 cells make 6 towers, from two cells before the first on. */
static float tower(int64_t image, int y, int x, int d)
{
    double sum = 0;
    for (int eta = 5 * x - 2; eta < 5 * x + 3; eta++)
        for (int phi = 5 * y; phi < 5 * y + 5; phi++)
            if (eta >= 0 && eta < ETA)
                sum += detector_cell(image, eta * PHI + phi, d);
    return (float)sum;
}

static void test_sums(void **state)
{
    (void)state;
    static float x[N * H * W * C];
    static uint8_t mask[N * H * W];
    bnf_import_h5_options o = options();
    bnf_import_summary s, dense;
    bnf_dataset *ds;

    assert_ok(bnf_import_h5(NULL, &o, &(bnf_import_output){.path = out}, &dense));
    assert_ok(bnf_import_h5(NULL, &o, &(bnf_import_output){.path = out, .sparse = true, .deflate = 2}, &s));
    assert_string_equal(s.checksum, dense.checksum);
    assert_true(s.h == H && s.w == W && s.c == C && s.classes == 2 && s.count[0] == N && s.count[1] == M);
    for (int split = 0; split < 2; split++) {
        assert_ok(bnf_dataset_open(out, (bnf_split)split, &ds));
        assert_ok(bnf_dataset_read_rows(ds, 0, s.count[split], x));
        for (int64_t k = 0; k < s.count[split] * H * W * C; k++)
            assert_true(x[k] == tower(k / (H * W * C) + (split ? N : 0), k / (W * C) % H, k / C % W, k % C));
        for (int64_t i = 0; i < s.count[split]; i++)
            assert_int_equal(bnf_dataset_labels(ds)[i], split);
        assert_string_equal(bnf_dataset_get_info(ds)->class_names[1], "suep");
        bnf_dataset_close(ds);
    }
    o.mask = true;
    o.threshold = 200;
    o.channel_count = 1;
    o.channels = detectors + 1; /* which is the second array's name */
    assert_ok(bnf_import_h5(NULL, &o, &(bnf_import_output){.path = out}, &s));
    assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds));
    assert_ok(bnf_dataset_read_rows(ds, 0, N, mask));
    for (int k = 0; k < N * H * W; k++)
        assert_int_equal(mask[k], tower(k / (H * W), k / W % H, k % W, 1) > 200 ? 255 : 0);
    bnf_dataset_close(ds);
}

/* Whole planes; divided by a fraction every image is in one of the parts. */
static void test_full(void **state)
{
    (void)state;
    static float x[PLANE * C];
    bnf_import_h5_options o = options();
    bnf_import_summary s;
    bnf_dataset *ds;
    int64_t next[2] = {0};

    o.full = true;
    o.files[BNF_TEST].count = 0;
    o.test_fraction = 0.4;
    assert_ok(bnf_import_h5(NULL, &o, &(bnf_import_output){.path = out, .sparse = true}, &s));
    assert_true(s.h == ETA && s.w == PHI && s.c == C && s.count[0] + s.count[1] == N && s.count[1] > 0);
    for (int64_t i = 0; i < N; i++) {
        int found = 0;
        for (int split = 0; split < 2; split++) {
            if (next[split] == s.count[split])
                continue;
            assert_ok(bnf_dataset_open(out, (bnf_split)split, &ds));
            assert_ok(bnf_dataset_read_rows(ds, next[split], 1, x));
            bnf_dataset_close(ds);
            int64_t k = 0;
            while (k < PLANE * C && x[k] == detector_cell(i, k / C, k % C))
                k++;
            if (k < PLANE * C)
                continue;
            next[split]++;
            found++;
        }
        assert_int_equal(found, 1);
    }
}

static void refused(const bnf_import_h5_options *o, bnf_status code, const char *file, const char *word)
{
    bnf_import_summary s;
    assert_fails(bnf_import_h5(NULL, o, &(bnf_import_output){.path = out, .sparse = true}, &s), code, word);
    assert_non_null(strstr(bnf_error_message(), file));
    assert_false(bnf_fs_exists(out));
    assert_false(bnf_fs_exists(in(folder, "out.h5.tmp")));
}

static void test_errors(void **state)
{
    (void)state;
    static const char *const wrong[] = {"track", "hcal"}, *const twice[] = {"ecal", "ecal"};
    bnf_import_h5_options o = options();

    o.channels = wrong;
    refused(&o, BNF_ERR_FORMAT, first, "no dataset '/hcal'; '/' holds: ecal, track");
    o.channels = twice;
    refused(&o, BNF_ERR_ARG, "ecal", "named twice");
    o = options();
    o.channel_count = 0;
    refused(&o, BNF_ERR_ARG, "", "0 channels");
    o = options();
    o.files[BNF_TRAIN].classes = NULL;
    refused(&o, BNF_ERR_ARG, "", "classes have to be named");
    o = options();
    o.mask = true;
    o.threshold = INFINITY;
    refused(&o, BNF_ERR_ARG, "", "threshold");
    o = options();
    assert_int_equal(detector_write(third, 0, M, ETA, PHI + 1, C, detectors, false), 0);
    refused(&o, BNF_ERR_FORMAT, third, "images of 26 x 41 x 2");
    assert_int_equal(detector_write(third, 0, M, ETA, PHI, C, detectors, true), 0);
    for (int form = 0; form < 4; form++) { /* neither sum nor mask hides it */
        o.mask = form & 1;
        o.full = form & 2;
        refused(&o, BNF_ERR_NUMERIC, third, "dataset 'ecal', image 2: cell (25, 38) is NaN or infinite");
    }
    o = options();
    write_file(third, "not HDF5", 8);
    refused(&o, BNF_ERR_FORMAT, third, "");
    assert_ok(bnf_fs_remove(third));
    refused(&o, BNF_ERR_IO, third, "");
    assert_int_equal(detector_write(third, 0, M, ETA, PHI, C, detectors, false), 0);
    cut_file(third, 600);
    refused(&o, BNF_ERR_FORMAT, third, "");
}

/* Planes of one file that differ, and those of another type. */
static void test_planes(void **state)
{
    (void)state;
    bnf_import_h5_options o = options();
    static uint16_t bits[N * PLANE];
    bnf_h5_file *file;
    bnf_h5_dataset *d;

    hid_t id = H5Fcreate(third, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_int_equal(detector_add(id, "track", 3, ETA, PHI, bits), 0);
    assert_int_equal(detector_add(id, "ecal", 2, ETA, PHI, bits), 0);
    assert_true(H5Fclose(id) >= 0);
    refused(&o, BNF_ERR_FORMAT, third, "expected f32[3,26,40], found f32[2,26,40]");
    assert_ok(bnf_h5_file_create(third, &file));
    assert_ok(bnf_h5_dataset_create(file, "track", BNF_I32, 3, (int64_t[]){1, ETA, PHI}, NULL, &d));
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_dataset_create(file, "ecal", BNF_F32, 3, (int64_t[]){0, ETA, PHI}, NULL, &d));
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_file_close(file));
    refused(&o, BNF_ERR_FORMAT, third, "expected f32[?,?,?], found i32[1,26,40]");
    o.channels = detectors + 1;
    o.channel_count = 1;
    refused(&o, BNF_ERR_FORMAT, third, "it has no images");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_halves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_planes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
