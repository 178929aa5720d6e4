/* Distances from a cloud of vectors against sums and substitutions written out. */
#include "../unit/la_support.h"

#include "la/mahalanobis.h"
#include "on_ranks.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define OK(expr) assert_int_equal((expr), BNF_OK)

static const bnf_comm *world;
static int rank;
static bnf_grid *grid, *alone;

/* rows vectors, correlated, far from 0. */
static float *vectors(int64_t rows, int64_t dims, uint64_t seed)
{
    float *x = random_array(BNF_F32, rows * dims, seed);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = dims - 1; k >= 0; k--)
            x[i * dims + k] = (float)(1 + k % 3) * (x[i * dims + k] + (k > 0 ? 0.7f * x[i * dims + k - 1] : 0)) + 20;
    return x;
}

/* Two passes, Cholesky and forward substitution, with the same ridge. */
static void expect(int64_t n, int64_t d, const float *x, double ridge, int64_t rows, const float *y, double *square)
{
    double *mean = random_array(BNF_F64, d, 1), *c = random_array(BNF_F64, d * d, 1), *z = random_array(BNF_F64, d, 1),
           trace = 0;
    for (int64_t k = 0; k < d; k++) {
        mean[k] = 0;
        for (int64_t i = 0; i < n; i++)
            mean[k] += (double)x[i * d + k] / (double)n;
    }
    for (int64_t k = 0; k < d; k++)
        for (int64_t l = 0; l < d; l++) {
            c[k * d + l] = 0;
            for (int64_t i = 0; i < n; i++)
                c[k * d + l] += ((double)x[i * d + k] - mean[k]) * ((double)x[i * d + l] - mean[l]) / (double)(n - 1);
        }
    for (int64_t k = 0; k < d; k++)
        trace += c[k * d + k];
    for (int64_t k = 0; k < d; k++)
        c[k * d + k] += ridge * trace / (double)d;
    for (int64_t k = 0; k < d; k++)
        for (int64_t l = 0; l <= k; l++) {
            double s = c[k * d + l];
            for (int64_t p = 0; p < l; p++)
                s -= c[k * d + p] * c[l * d + p];
            c[k * d + l] = k == l ? sqrt(s) : s / c[l * d + l];
        }
    for (int64_t i = 0; i < rows; i++) {
        square[i] = 0;
        for (int64_t k = 0; k < d; k++) {
            z[k] = (double)y[i * d + k] - mean[k];
            for (int64_t p = 0; p < k; p++)
                z[k] -= c[k * d + p] * z[p];
            z[k] /= c[k * d + k];
            square[i] += z[k] * z[k];
        }
    }
    bnf_free(mean);
    bnf_free(c);
    bnf_free(z);
}

/* A cloud of x[n,dims], added in two calls. */
static bnf_mahalanobis *cloud_of(const bnf_grid *g, int64_t n, int64_t dims, const float *x)
{
    bnf_mahalanobis *m = NULL;
    OK(bnf_mahalanobis_create(g, dims, &m));
    OK(bnf_mahalanobis_add(m, n / 3, x));
    OK(bnf_mahalanobis_add(m, n - n / 3, x + n / 3 * dims));
    assert_int_equal(bnf_mahalanobis_count(m), n);
    return m;
}

static void distances_equal_plain_loops(void **unused)
{
    (void)unused;
    static const struct {
        int64_t dims, n, rows;
        double ridge;
    } cases[] = {{1, 9, 5, 0}, {2, 40, 70, 0}, {63, 150, 3, 0}, {130, 400, 200, 0}, {90, 20, 65, 1e-2}, {5, 30, 0, 0}};
    for (size_t e = 0; e < sizeof cases / sizeof cases[0]; e++)
        for (int shared = 0; shared < 2; shared++) {
            int64_t d = cases[e].dims, n = cases[e].n, rows = cases[e].rows;
            float *x = vectors(n, d, 3 + e), *y = vectors(rows, d, 30 + e);
            double *got = random_array(BNF_F64, rows, 1), *want = random_array(BNF_F64, rows, 1),
                   *same = random_array(BNF_F64, rows, 1);
            bnf_mahalanobis *m = cloud_of(grid, n, d, x), *single = cloud_of(alone, n, d, x);
            OK(bnf_mahalanobis_fit(m, cases[e].ridge, shared ? grid : alone));
            OK(bnf_mahalanobis_squares(m, rows, y, got));
            expect(n, d, x, cases[e].ridge, rows, y, want);
            for (int64_t i = 0; i < rows; i++)
                assert_true(fabs(got[i] - want[i]) <= 1e-10 * want[i]);
            OK(bnf_mahalanobis_fit(single, cases[e].ridge, alone));
            OK(bnf_mahalanobis_squares(single, rows, y, same));
            if (!shared) /* the bits of one rank alone */
                assert_memory_equal(got, same, (size_t)rows * sizeof *got);
            assert_memory_equal(bnf_mahalanobis_mean(m), bnf_mahalanobis_mean(single), (size_t)d * sizeof(double));
            bnf_mahalanobis_destroy(m);
            bnf_mahalanobis_destroy(single);
            bnf_free(x);
            bnf_free(y);
            bnf_free(got);
            bnf_free(want);
            bnf_free(same);
        }
}

/* L L' is the covariance, nothing is above L's diagonal. */
static void factor_is_of_the_covariance(void **unused)
{
    (void)unused;
    const float x[] = {1, 0, 3, 2, 2, 4}; /* variances 1 and 4, covariance 2 without the third */
    bnf_mahalanobis *m = NULL;
    OK(bnf_mahalanobis_create(grid, 2, &m));
    OK(bnf_mahalanobis_add(m, 3, x));
    OK(bnf_mahalanobis_fit(m, 0, grid));
    const double *l = bnf_mahalanobis_factor(m), *mean = bnf_mahalanobis_mean(m);
    assert_true(mean[0] == 2 && mean[1] == 2 && l[1] == 0);
    assert_true(fabs(l[0] - 1) < 1e-15 && fabs(l[2] - 1) < 1e-15 && fabs(l[3] - sqrt(3)) < 1e-15);
    bnf_mahalanobis_destroy(m);
}

static void refused(bnf_status got, bnf_status expected, const char *text)
{
    assert_int_equal(got, expected);
    if (!strstr(bnf_error_message(), text))
        fail_msg("%s", bnf_error_message());
    bnf_error_clear();
}

static void errors_are_everywhere(void **unused)
{
    (void)unused;
    enum { D = 4, N = 12 };
    bnf_mahalanobis *m = NULL;
    float *x = vectors(N, D, 8);
    refused(bnf_mahalanobis_create(grid, 0, &m), BNF_ERR_ARG, "0 numbers");
    for (int shared = 0; shared < 2; shared++) {
        OK(bnf_mahalanobis_create(grid, D, &m));
        refused(bnf_mahalanobis_fit(m, 0, grid), BNF_ERR_ARG, "0 vectors");
        OK(bnf_mahalanobis_add(m, D, x));
        refused(bnf_mahalanobis_fit(m, -1, grid), BNF_ERR_ARG, "ridge of -1");
        refused(bnf_mahalanobis_fit(m, 0, grid), BNF_ERR_NUMERIC, "not more vectors than numbers");
        float hole[2 * D] = {0, 1, 2, 3, 4, 5, NAN, 7};
        if (rank > 0)
            hole[6] = 1;
        refused(bnf_mahalanobis_add(m, 2, hole), BNF_ERR_NUMERIC, "component 2 of vector 5 is NaN");
        for (int i = 0; i < N; i++)
            x[i * D + 2] = 2 * x[i * D]; /* no dimension of its own */
        OK(bnf_mahalanobis_add(m, 0, x));
        bnf_mahalanobis_destroy(m);
        OK(bnf_mahalanobis_create(grid, D, &m));
        OK(bnf_mahalanobis_add(m, N, x));
        refused(bnf_mahalanobis_fit(m, 0, shared ? grid : alone), BNF_ERR_NUMERIC, "not positive definite: take");
        bnf_mahalanobis_destroy(m);
        OK(bnf_mahalanobis_create(grid, D, &m));
        OK(bnf_mahalanobis_add(m, N, x));
        OK(bnf_mahalanobis_fit(m, 1e-3, shared ? grid : alone));
        double square[3];
        x[D] = INFINITY;
        x[2 * D] = NAN;
        OK(bnf_mahalanobis_squares(m, 3, x, square));
        assert_true(isfinite(square[0]) && isnan(square[1]) && isnan(square[2]));
        bnf_mahalanobis_destroy(m);
        bnf_free(x);
        x = vectors(N, D, 8);
    }
    bnf_free(x);
}

static void failed_allocation_on_one_rank(void **unused)
{
    (void)unused;
    enum { D = 3, N = 8 };
    float *x = vectors(N, D, 8);
    int64_t live = bnf_mem_live_blocks();
    bool done = false;
    for (int k = 1; k < 60 && !done; k++) {
        bnf_mahalanobis *m = NULL;
        double square[N];
        bnf_mem_fail_at(rank == bnf_comm_size(world) - 1 ? k : 0);
        bnf_status s = bnf_mahalanobis_create(grid, D, &m);
        if (s == BNF_OK) {
            s = bnf_mahalanobis_add(m, N, x);
            s = s == BNF_OK ? bnf_mahalanobis_fit(m, 0, grid) : s;
            s = s == BNF_OK ? bnf_mahalanobis_squares(m, N, x, square) : s;
            bnf_mahalanobis_destroy(m);
        }
        bnf_mem_fail_at(0);
        bnf_error_clear();
        assert_true(s == BNF_OK || s == BNF_ERR_MEMORY);
        assert_int_equal(bnf_mem_live_blocks(), live);
        done = s == BNF_OK;
    }
    assert_true(done);
    bnf_free(x);
}

static int open_grids(void **unused)
{
    (void)unused;
    return bnf_grid_create(world, &grid) != BNF_OK || bnf_grid_create(NULL, &alone) != BNF_OK;
}

static int close_grids(void **unused)
{
    (void)unused;
    bnf_grid_destroy(alone);
    bnf_grid_destroy(grid);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_equal_plain_loops),
        cmocka_unit_test(factor_is_of_the_covariance),
        cmocka_unit_test(errors_are_everywhere),
        cmocka_unit_test(failed_allocation_on_one_rank),
    };
    return ON_RANKS(BNF_THREAD_SINGLE, &world, &rank, NULL, tests, open_grids, close_grids);
}
