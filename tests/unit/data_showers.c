/* Generated collider events: the thermal spectrum, multiplicities and how well they tell the classes apart, and that
 * the planes of fine cells and the sectors show the same events as the masks. */
#include "unit/data_support.h"

#include "data/showers.h"

#include <math.h>

enum { EVENTS = 1500, PHI = 72, ETA = 58, FINE_ETA = 286, FINE_PHI = 360, MASK = PHI * ETA };

static char folder[256], path[300], other[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/set.h5", folder);
    snprintf(other, sizeof other, "%s/other.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

/* The mean energy of p^2 exp(-E / T) is m K1(m/T) / K2(m/T) + 3 T. */
static void test_thermal_energy(void **state)
{
    (void)state;
    enum { N = 100000 };
    const double expected = 6.74088;
    bnf_shower_random r = bnf_shower_random_make(3, 0, 1, 0);
    double sum = 0, squares = 0;

    for (int i = 0; i < N; i++) {
        double e = hypot(bnf_shower_momentum(&r), BNF_SHOWER_MASS);
        sum += e;
        squares += e * e;
    }
    double mean = sum / N, error = sqrt((squares / N - mean * mean) / N);
    assert_true(error < 0.015);
    assert_true(fabs(mean - expected) < 4 * error);
}

/* Mean and variance of Poisson numbers. */
static void test_poisson(void **state)
{
    (void)state;
    enum { N = 20000 };
    const double mean[] = {0, 0.7, 50, 300};
    bnf_shower_random r = bnf_shower_random_make(4, 0, 0, 7);

    for (int k = 0; k < 4; k++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < N; i++) {
            double n = (double)bnf_shower_poisson(&r, mean[k]);
            sum += n;
            squares += n * n;
        }
        sum /= N;
        assert_true(fabs(sum - mean[k]) <= 4 * sqrt(mean[k] / N));
        assert_true(fabs(squares / N - sum * sum - mean[k]) <= 4 * mean[k] * sqrt(3.0 / N));
    }
}

static int hits_of(const uint8_t *mask)
{
    int n = 0;
    for (int k = 0; k < MASK; k++) {
        assert_true(mask[k] == 0 || mask[k] == 255);
        n += mask[k] != 0;
    }
    return n;
}

/* Area under the ROC curve of x against y, and its variance for n events of either class: Hanley and McNeil (1982). */
static double area(const int *x, const int *y, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            sum += x[i] > y[j] ? 1 : x[i] == y[j] ? 0.5 : 0;
    return sum / n / n;
}

static double area_variance(double a, double n)
{
    double q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
    return (a * (1 - a) + (n - 1) * (q1 - a * a) + (n - 1) * (q2 - a * a)) / (n * n);
}

/* The figures that a prototype of the same model gave; how many events they come from is not known: 300 are assumed. */
static void test_multiplicities(void **state)
{
    (void)state;
    static const char *const signals[] = {"suep125", "suep200", "svj44"};
    static const double expected[] = {0.745, 0.911, 0.819};
    const double reference = 300, mean = 82, spread = 28;
    static uint8_t mask[MASK];
    static int hits[4][EVENTS];
    int seen[4] = {0};
    double sum = 0, squares = 0;
    bnf_synth_showers_options o = {
        .qcd = {EVENTS, 3}, .each_signal = {EVENTS, 2}, .signal_count = 3, .signals = signals, .seed = 11};
    bnf_import_summary s;
    bnf_dataset *ds;

    assert_ok(bnf_synth_showers(NULL, &o, &(bnf_import_output){.path = path, .sparse = true, .deflate = 1}, &s));
    assert_true(s.h == PHI && s.w == ETA && s.c == 1 && s.classes == 4 && s.count[BNF_TEST] == 9);
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &ds));
    assert_ok(bnf_dataset_hold(ds));
    assert_string_equal(bnf_dataset_get_info(ds)->class_names[0], "qcd");
    assert_string_equal(bnf_dataset_get_info(ds)->class_names[3], "svj44");
    for (int64_t i = 0; i < 4 * EVENTS; i++) {
        int label = bnf_dataset_labels(ds)[i];
        assert_ok(bnf_dataset_read_rows(ds, i, 1, mask));
        hits[label][seen[label]++] = hits_of(mask);
    }
    bnf_dataset_close(ds);
    for (int i = 0; i < EVENTS; i++) {
        sum += hits[0][i];
        squares += hits[0][i] * hits[0][i];
    }
    sum /= EVENTS;
    double std = sqrt(squares / EVENTS - sum * sum), share = 1 / reference + 1.0 / EVENTS;
    print_message("QCD: %.1f +- %.1f hits\n", sum, std);
    assert_true(fabs(sum - mean) < 3 * spread * sqrt(share));
    assert_true(fabs(std - spread) < 3 * spread * sqrt(share / 2));
    for (int k = 1; k < 4; k++) {
        double a = area(hits[k], hits[0], EVENTS), e = expected[k - 1];
        print_message("%s: area %.3f\n", signals[k - 1], a);
        assert_int_equal(seen[k], EVENTS);
        assert_true(fabs(a - e) < 3 * sqrt(area_variance(e, reference) + area_variance(e, EVENTS)));
    }
}

/* The sum over 5 x 5 cells of the plane of tracks, transposed, is not zero where the mask has a hit. Sparse and dense
 * sets are the same. An event does not depend on the counts. */
static void test_fine(void **state)
{
    (void)state;
    enum { N = 4, SIZE = FINE_ETA * FINE_PHI * 3 };
    static float image[SIZE];
    static uint8_t mask[MASK], found[MASK];
    bnf_import_summary s[3];
    bnf_dataset *masks, *planes;
    bnf_synth_showers_options o = {.qcd = {3, 0}, .each_signal = {1, 0}, .seed = 5}, few = o;

    few.qcd[BNF_TRAIN] = 1;
    assert_ok(bnf_synth_showers(NULL, &few, &(bnf_import_output){.path = path, .sparse = true}, &s[0]));
    o.fine = true;
    assert_ok(bnf_synth_showers(NULL, &o, &(bnf_import_output){.path = other, .sparse = true, .deflate = 3}, &s[1]));
    assert_true(s[1].h == FINE_ETA && s[1].w == FINE_PHI && s[1].c == 3 && s[1].count[BNF_TRAIN] == 11);
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &masks));
    assert_ok(bnf_dataset_open(other, BNF_TRAIN, &planes));
    for (int i = 0; i < N; i++) {
        double ecal = 0, hcal = 0;
        assert_ok(bnf_dataset_read_rows(masks, i, 1, mask));
        assert_ok(bnf_dataset_read_rows(planes, i ? i + 2 : 0, 1, image));
        memset(found, 0, sizeof found);
        for (int y = 0; y < FINE_ETA; y++)
            for (int x = 0; x < FINE_PHI; x++) {
                const float *cell = image + (y * FINE_PHI + x) * 3;
                assert_true(cell[0] >= 0 && cell[1] >= 0 && cell[2] >= 0);
                found[x / 5 * ETA + (y + 2) / 5] |= cell[0] > 0 ? 255 : 0;
                ecal += cell[1];
                hcal += cell[2];
            }
        assert_memory_equal(mask, found, MASK);
        assert_true(ecal > 10 && hcal > 10);
    }
    bnf_dataset_close(masks);
    bnf_dataset_close(planes);
    assert_ok(bnf_synth_showers(NULL, &o, &(bnf_import_output){.path = other}, &s[2]));
    assert_string_equal(s[1].checksum, s[2].checksum);
}

/* Four sectors of every event, in order, are its mask without the outer columns; sparse and dense sets are the same. */
static void test_sectors(void **state)
{
    (void)state;
    enum { H = 36, W = 28 };
    static uint8_t mask[MASK], sector[4][H * W];
    static const char *const signals[] = {"suep400", "svj44"};
    bnf_import_summary s[3];
    bnf_dataset *masks, *sectors;
    bnf_synth_showers_options o = {
        .qcd = {40, 3}, .each_signal = {5, 2}, .signal_count = 2, .signals = signals, .seed = 5};

    assert_ok(bnf_synth_showers(NULL, &o, &(bnf_import_output){.path = path}, &s[0]));
    o.sectors = true;
    assert_ok(bnf_synth_showers(NULL, &o, &(bnf_import_output){.path = other}, &s[1]));
    assert_ok(bnf_synth_showers(NULL, &o, &(bnf_import_output){.path = other, .sparse = true}, &s[2]));
    assert_string_equal(s[1].checksum, s[2].checksum);
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        int64_t n = split == BNF_TRAIN ? 50 : 7;
        assert_true(s[0].count[split] == n && s[2].count[split] == 4 * n && s[2].h == H && s[2].w == W);
        assert_ok(bnf_dataset_open(path, (bnf_split)split, &masks));
        assert_ok(bnf_dataset_open(other, (bnf_split)split, &sectors));
        assert_int_equal(bnf_dataset_get_info(masks)->images_per_event, 1);
        assert_int_equal(bnf_dataset_get_info(sectors)->images_per_event, 4);
        for (int64_t i = 0; i < n; i++) {
            assert_ok(bnf_dataset_read_rows(masks, i, 1, mask));
            assert_ok(bnf_dataset_read_rows(sectors, 4 * i, 4, sector[0]));
            for (int q = 0; q < 4; q++)
                assert_int_equal(bnf_dataset_labels(sectors)[4 * i + q], bnf_dataset_labels(masks)[i]);
            for (int y = 0; y < PHI; y++)
                for (int x = 1; x < ETA - 1; x++) {
                    int q = (y < H ? 0 : 2) + (x <= W ? 0 : 1);
                    assert_int_equal(sector[q][y % H * W + (x - 1) % W], mask[y * ETA + x]);
                }
        }
        bnf_dataset_close(masks);
        bnf_dataset_close(sectors);
    }
}

/* More and fewer cells than events hit by themselves. */
static void test_active(void **state)
{
    (void)state;
    const double shares[] = {0.001, 0.05};
    for (int i = 0; i < 2; i++) {
        bnf_import_summary s;
        bnf_dataset *set;
        bnf_synth_showers_options o = {.qcd = {4, 0}, .fine = true, .active = shares[i], .seed = 5};
        assert_ok(bnf_synth_showers(NULL, &o, &(bnf_import_output){.path = path, .sparse = true}, &s));
        assert_ok(bnf_dataset_open(path, BNF_TRAIN, &set));
        double share = (double)bnf_dataset_get_info(set)->entries / (4 * 286 * 360 * 3);
        assert_true(fabs(share / shares[i] - 1) < 0.1); /* about 1200 cells at least: three standard deviations */
        bnf_dataset_close(set);
    }
}

static void test_bad_options(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_import_output out = {.path = path};
    bnf_synth_showers_options o = {
        .qcd = {5, 0}, .signal_count = 2, .signals = (const char *const[]){"svj44", "suep126"}};

    assert_fails(bnf_synth_showers(NULL, &o, &out, &s), BNF_ERR_ARG, "'suep126' is no class");
    o.signals = (const char *const[]){"svj44", "svj44"};
    assert_fails(bnf_synth_showers(NULL, &o, &out, &s), BNF_ERR_ARG, "named twice");
    o.signal_count = 0;
    o.fine = o.sectors = true;
    assert_fails(bnf_synth_showers(NULL, &o, &out, &s), BNF_ERR_ARG, "exclude each other");
    o.sectors = false;
    o.active = 0.6;
    assert_fails(bnf_synth_showers(NULL, &o, &out, &s), BNF_ERR_ARG, "up to 0.5");
    o.fine = false;
    o.active = 0.1;
    assert_fails(bnf_synth_showers(NULL, &o, &out, &s), BNF_ERR_ARG, "fine images");
    o.active = 0;
    o.qcd[BNF_TRAIN] = 0;
    assert_fails(bnf_synth_showers(NULL, &o, &out, &s), BNF_ERR_ARG, "0 QCD events");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thermal_energy), cmocka_unit_test(test_poisson), cmocka_unit_test(test_multiplicities),
        cmocka_unit_test(test_fine),           cmocka_unit_test(test_sectors), cmocka_unit_test(test_active),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
