/* Generated sets of optimal transport: the distance of the classes, and where the points of snowflakes lie. */
#include "unit/data_support.h"

#include <math.h>

static char folder[256], path[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/set.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

/* All images of a split, to be freed, and its description. */
static float *images_of(bnf_split split, bnf_dataset **ds, const bnf_dataset_info **info)
{
    assert_ok(bnf_dataset_open(path, split, ds));
    *info = bnf_dataset_get_info(*ds);
    assert_int_equal((*info)->dtype, BNF_F32);
    assert_int_equal((*info)->classes, 2);
    float *x = malloc((size_t)(*info)->stored_bytes);
    assert_non_null(x);
    assert_ok(bnf_dataset_read_rows(*ds, 0, (*info)->count, x));
    assert_ok(bnf_dataset_verify(*ds, NULL));
    return x;
}

/* The squares' norm is the side; both signs are as frequent; the file's statistics are those of the pixels. */
static void test_wasserstein(void **state)
{
    (void)state;
    enum { SIZE = 12, SIDE = 7, N = 40 };
    bnf_synth_wasserstein_options o = {.count = {N, 4}, .size = SIZE, .side = SIDE};
    bnf_import_summary s;
    bnf_dataset *ds;
    const bnf_dataset_info *info;
    int seen[3] = {0};
    double square = 0, sum = 0;

    assert_ok(
        bnf_synth_wasserstein(NULL, &o, &(bnf_import_output){.path = path, .chunk_bytes = 3 * SIZE * SIZE * 4}, &s));
    float *x = images_of(BNF_TRAIN, &ds, &info);
    assert_true(info->h == SIZE && info->w == SIZE && info->c == 1 && info->count == N);
    assert_string_equal(info->class_names[1], "square");
    for (int i = 0; i < N; i++) {
        double norm = 0;
        const float *image = x + i * SIZE * SIZE;
        for (int k = 0; k < SIZE * SIZE; k++) {
            int y = k / SIZE - 2, z = k % SIZE - 2; /* (12 - 7) / 2 rows before the square */
            bool inside = y >= 0 && y < SIDE && z >= 0 && z < SIDE;
            assert_true(inside && bnf_dataset_labels(ds)[i] == 1 ? fabsf(image[k]) == 1 : image[k] == 0);
            norm += image[k] * image[k];
            sum += image[k];
        }
        square += norm;
        assert_true(sqrt(norm) == (bnf_dataset_labels(ds)[i] ? SIDE : 0));
        seen[(int)image[SIZE / 2 * SIZE + SIZE / 2] + 1]++;
    }
    assert_true(seen[0] == N / 4 && seen[1] == N / 2 && seen[2] == N / 4);
    assert_true(sum == 0 && fabs(info->mean[0]) < 1e-15);
    assert_true(fabs(info->std[0] - sqrt(square / (N * SIZE * SIZE))) < 1e-14);
    free(x);
    bnf_dataset_close(ds);
    o.side = SIZE + 1;
    assert_fails(bnf_synth_wasserstein(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_ARG, "side 13");
}

/* Distance of a point from the curve that runs from a to b: refined here by recursion, apart from the generator. */
static double to_curve(const double *p, const double *a, const double *b, int order)
{
    double d[2] = {b[0] - a[0], b[1] - a[1]};
    if (order == 0) {
        double t = ((p[0] - a[0]) * d[0] + (p[1] - a[1]) * d[1]) / (d[0] * d[0] + d[1] * d[1]);
        t = fmin(fmax(t, 0), 1);
        return hypot(p[0] - a[0] - t * d[0], p[1] - a[1] - t * d[1]);
    }
    double c[5][2] = {
        {a[0], a[1]}, {a[0] + d[0] / 3, a[1] + d[1] / 3}, {0}, {b[0] - d[0] / 3, b[1] - d[1] / 3}, {b[0], b[1]}};
    double angle = atan2(d[1], d[0]) - acos(-1.0) / 3, length = hypot(d[0], d[1]) / 3, least = INFINITY;
    c[2][0] = c[1][0] + length * cos(angle);
    c[2][1] = c[1][1] + length * sin(angle);
    for (int i = 0; i < 4; i++)
        least = fmin(least, to_curve(p, c[i], c[i + 1], order - 1));
    return least;
}

static double to_snowflake(const double *p, double radius, int order)
{
    double least = INFINITY, corner[4][2];
    for (int i = 0; i < 4; i++) {
        double angle = acos(-1.0) * (0.5 + 2 * (i % 3) / 3.0);
        corner[i][0] = radius * cos(angle);
        corner[i][1] = radius * sin(angle);
    }
    for (int i = 0; i < 3; i++)
        least = fmin(least, to_curve(p, corner[i], corner[i + 1], order));
    return least;
}

/* Points lie on their own curve, at least 1/6 from the other one and hardly more where they are nearest; sextants hold
 * the same number of points, as the curve's symmetry wants. */
static void test_koch(void **state)
{
    (void)state;
    enum { N = 6000 };
    bnf_synth_koch_options o = {.count = {N, 10}, .order = 3, .radius = {1, 0.5}, .seed = 5};
    bnf_import_summary s;
    bnf_dataset *ds;
    const bnf_dataset_info *info;
    double off = 0, nearest = INFINITY;
    int sextant[6] = {0};

    assert_ok(bnf_synth_koch(NULL, &o, &(bnf_import_output){.path = path}, &s));
    float *x = images_of(BNF_TRAIN, &ds, &info);
    assert_true(info->h == 1 && info->w == 1 && info->c == 2 && info->count == N);
    assert_string_equal(info->class_names[0], "outer");
    for (int i = 0; i < N; i++) {
        int label = bnf_dataset_labels(ds)[i];
        double p[2] = {x[2 * i], x[2 * i + 1]};
        assert_int_equal(label, i % 2);
        off = fmax(off, to_snowflake(p, o.radius[label], 3));
        nearest = fmin(nearest, to_snowflake(p, o.radius[!label], 3));
        sextant[(int)floor((atan2(p[1], p[0]) / acos(-1.0) + 1) * 3) % 6]++;
    }
    assert_true(off < 1e-6);
    assert_true(nearest > 1.0 / 6 - 1e-6 && nearest < 0.175);
    for (int i = 0; i < 6; i++)
        assert_true(abs(sextant[i] - N / 6) < 5 * sqrt(N * 5 / 36.0));
    free(x);
    bnf_dataset_close(ds);

    x = images_of(BNF_TEST, &ds, &info);
    assert_int_equal(info->count, 10);
    free(x);
    bnf_dataset_close(ds);
    o.radius[1] = 1;
    assert_fails(bnf_synth_koch(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_ARG, "radii 1 and 1");
    o.order = 9;
    assert_fails(bnf_synth_koch(NULL, &o, &(bnf_import_output){.path = path}, &s), BNF_ERR_ARG, "order 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wasserstein, setup, teardown),
        cmocka_unit_test_setup_teardown(test_koch, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
