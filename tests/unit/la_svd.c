/* Singular values, eigenvalues, power iteration, and that the proven bound of the spectral norm is one and is tight. */
#include "la_support.h"

#include "la/blas.h"
#include "la/eig.h"
#include "la/power.h"
#include "la/svd.h"
#include "la/vec.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void two_by_two(void **state)
{
    (void)state;
    const double w[] = {3, 0, 4, 5};
    double s[2], upper = 0.0;
    assert_int_equal(bnf_la_singular_values(BNF_F64, 2, 2, w, s), BNF_OK);
    assert_true(fabs(s[0] - sqrt(45.0)) < 1e-14 * 7 && fabs(s[1] - sqrt(5.0)) < 1e-14 * 3);
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, 2, 2, w, &upper), BNF_OK);
    assert_true(upper >= sqrtl(45.0L) && upper <= sqrt(45.0) * (1.0 + 1e-13));
}

/* ||W||_2 from below in long double: power iteration started at the dominant vector that f64 finds. */
static long double norm_from_below(bnf_dtype t, int64_t rows, int64_t cols, const void *w)
{
    long double x[64], y[64], norm = 0.0L;
    assert_true(rows <= 64 && cols <= 64);
    for (int64_t j = 0; j < cols; j++)
        x[j] = 1.0L + (long double)j * 0.01L;
    for (int iteration = 0; iteration < 4000; iteration++) {
        long double xx = 0.0L, yy = 0.0L;
        for (int64_t j = 0; j < cols; j++)
            xx += x[j] * x[j];
        for (int64_t i = 0; i < rows; i++) {
            y[i] = 0.0L;
            for (int64_t j = 0; j < cols; j++)
                y[i] += (long double)at(t, w, i * cols + j) * x[j] / sqrtl(xx);
            yy += y[i] * y[i];
        }
        norm = sqrtl(yy);
        for (int64_t j = 0; j < cols; j++) {
            x[j] = 0.0L;
            for (int64_t i = 0; i < rows; i++)
                x[j] += (long double)at(t, w, i * cols + j) * y[i];
        }
    }
    return norm;
}

static void bound_holds_and_is_tight(void **state)
{
    (void)state;
    const int64_t extents[][2] = {{1, 1}, {1, 40}, {40, 1}, {7, 13}, {13, 7}, {32, 32}, {20, 64}};
    for (size_t e = 0; e < sizeof extents / sizeof *extents; e++)
        for (int type = 0; type < 2; type++) {
            bnf_dtype t = type ? BNF_F64 : BNF_F32;
            int64_t rows = extents[e][0], cols = extents[e][1];
            void *w = random_array(t, rows * cols, 11 + e);
            double upper = 0.0, s[64];
            long double lower = norm_from_below(t, rows, cols, w);
            assert_int_equal(bnf_la_norm2_upper(t, rows, cols, w, &upper), BNF_OK);
            assert_int_equal(bnf_la_singular_values(t, rows, cols, w, s), BNF_OK);
            assert_true((long double)upper >= lower * (1.0L - 1e-18L));
            assert_true((double)lower >=
                        s[0] * (1.0 - 1e-6)); /* the lower bound is near: the comparison means something */
            assert_true(upper <= s[0] * (1.0 + (double)(rows * cols + 20) * 0x1p-48));
            bnf_free(w);
        }
}

/* Norms that are known exactly: powers of two on a diagonal, a Hadamard matrix (norm sqrt(n)), an orthogonal matrix
 * with every singular value equal (clustered eigenvalues), rank 1. */
static void bound_on_exact_norms(void **state)
{
    (void)state;
    enum { N = 64 };
    static double w[N * N];
    double upper = 0.0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            w[i * N + j] = __builtin_popcount((unsigned)(i & j)) % 2 ? -1.0 : 1.0;
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, N, N, w, &upper), BNF_OK);
    assert_true(upper >= 8.0 && upper <= 8.0 * (1.0 + 1e-10));
    for (int i = 0; i < N * N; i++)
        w[i] = 1.0; /* rank 1, norm N */
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, N, N, w, &upper), BNF_OK);
    assert_true(upper >= N && upper <= N * (1.0 + 1e-10));
    memset(w, 0, sizeof w);
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, N, N, w, &upper), BNF_OK);
    assert_true(upper == 0.0);
    for (int i = 0; i < N; i++)
        w[i * N + i] = ldexp(1.0, -i);
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, N, N, w, &upper), BNF_OK);
    assert_true(upper >= 1.0 && upper <= 1.0 + 1e-10);
    memset(w, 0, sizeof w);
    w[5] = 1e-200; /* its square underflows */
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, N, N, w, &upper), BNF_OK);
    assert_true(upper >= 1e-200 && upper < 1e-150);
}

static void bad_input_is_an_error(void **state)
{
    (void)state;
    float w[] = {1.0f, NAN, 2.0f, 3.0f};
    double upper = 0.0, s[2], huge[] = {1e200, 1e200};
    assert_int_equal(bnf_la_norm2_upper(BNF_F32, 2, 2, w, &upper), BNF_ERR_NUMERIC);
    assert_int_equal(bnf_la_singular_values(BNF_F32, 2, 2, w, s), BNF_ERR_NUMERIC);
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, 1, 2, huge, &upper), BNF_ERR_NUMERIC);
    assert_int_equal(bnf_la_norm2_upper(BNF_F32, 0, 2, w, &upper), BNF_ERR_ARG);
    bnf_error_clear();
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    double w[] = {3, 0, 4, 5}, upper = 0.0;
    int64_t live = bnf_mem_live_blocks();
    for (int n = 1; n <= 4; n++) {
        bnf_mem_fail_at(n);
        assert_int_equal(bnf_la_norm2_upper(BNF_F64, 2, 2, w, &upper), BNF_ERR_MEMORY);
        assert_int_equal(bnf_mem_live_blocks(), live);
    }
    bnf_mem_fail_at(0);
    bnf_error_clear();
}

static void eigenvectors_are_rows(void **state)
{
    (void)state;
    double a[] = {2, 1, 0, 1, 2, 0, 0, 0, 5}, lambda[3];
    void *scratch = NULL;
    assert_int_equal(bnf_alloc(bnf_la_eig_scratch(3, true), "test", &scratch), BNF_OK);
    assert_int_equal(bnf_la_eig(3, true, a, lambda, scratch), BNF_OK);
    assert_true(fabs(lambda[0] - 1) < 1e-14 && fabs(lambda[1] - 3) < 1e-14 && fabs(lambda[2] - 5) < 1e-14);
    assert_true(fabs(a[0] + a[1]) < 1e-14 && fabs(a[3] - a[4]) < 1e-14 && fabs(fabs(a[8]) - 1) < 1e-14);
    bnf_free(scratch);
}

static void power_converges_and_persists(void **state)
{
    (void)state;
    const int64_t extents[][2] = {{12, 30}, {30, 12}, {9, 9}, {1, 8}, {8, 1}};
    for (size_t e = 0; e < sizeof extents / sizeof *extents; e++) {
        int64_t rows = extents[e][0], cols = extents[e][1], m = rows < cols ? rows : cols, n = rows + cols - m;
        double *w = random_array(BNF_F64, rows * cols, 21 + e), u[64], ug[64], ut[64], v[64], tmp[64], s[64],
               gram[64 * 64];
        bnf_la_power_result on_w, on_gram;
        bnf_la_power_start(m, u);
        bnf_la_power_start(m, ug);
        bnf_la_power_rule rule = {2000, 1e-15};
        bnf_la_power(BNF_F64, rows, cols, w, rule, u, ut, v, tmp, &on_w);
        bnf_la_gram_f64(BNF_F64, rows, cols, w, NULL, gram);
        bnf_la_power_gram(m, gram, rule, ug, tmp, &on_gram);
        assert_int_equal(bnf_la_singular_values(BNF_F64, rows, cols, w, s), BNF_OK);
        assert_true(fabs(on_w.sigma - s[0]) < 1e-12 * s[0] && fabs(on_gram.sigma - s[0]) < 1e-12 * s[0]);
        assert_true(fabs(bnf_la_nrm2(BNF_F64, n, v) - 1.0) < 1e-14);
        assert_true(fabs(bnf_la_dist2(BNF_F64, m, u, ug)) < 1e-6);
        rule.tolerance = 1e-6;
        bnf_la_power(BNF_F64, rows, cols, w, rule, u, ut, v, tmp, &on_w);
        assert_int_equal(on_w.iterations, 1); /* it starts where it stopped */
        bnf_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_by_two),
        cmocka_unit_test(bound_holds_and_is_tight),
        cmocka_unit_test(bound_on_exact_norms),
        cmocka_unit_test(bad_input_is_an_error),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(eigenvectors_are_rows),
        cmocka_unit_test(power_converges_and_persists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
