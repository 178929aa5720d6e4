/* Products, Gram matrices and sums of src/la against plain loops, at awkward extents, and their independence of
 * threads. */
#include "la_support.h"

#include "la/blas.h"
#include "la/vec.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static void gemm_case(bnf_dtype t, bool ta, bool tb, int64_t m, int64_t n, int64_t k, double beta)
{
    void *a = random_array(t, m * k, 1), *b = random_array(t, k * n, 2), *c = random_array(t, m * n, 3);
    void *before = random_array(t, m * n, 3);
    bnf_la_gemm(t, ta, tb, m, n, k, 0.5, a, ta ? m : k, b, tb ? k : n, beta, c, n);
    double eps = t == BNF_F32 ? 0x1p-23 : 0x1p-52;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (int64_t l = 0; l < k; l++)
                sum += at(t, a, ta ? l * m + i : i * k + l) * at(t, b, tb ? j * k + l : l * n + j);
            double want = 0.5 * sum + beta * at(t, before, i * n + j);
            assert_true(fabs(at(t, c, i * n + j) - want) <= eps * (double)(k + 2));
        }
    bnf_free(a);
    bnf_free(b);
    bnf_free(c);
    bnf_free(before);
}

static void gemm_equals_loops(void **state)
{
    (void)state;
    const int64_t extents[][3] = {{1, 1, 1}, {5, 7, 3}, {17, 1, 33}, {1, 19, 8}, {64, 48, 100}};
    for (size_t e = 0; e < sizeof extents / sizeof *extents; e++)
        for (int bits = 0; bits < 8; bits++)
            gemm_case(bits & 1 ? BNF_F32 : BNF_F64, bits & 2, bits & 4, extents[e][0], extents[e][1], extents[e][2],
                      bits & 1 ? 0.25 : 0.0);
}

static void gram_case(bnf_dtype t, int64_t rows, int64_t cols)
{
    bool tall = rows > cols;
    int64_t m = tall ? cols : rows, n = tall ? rows : cols;
    void *w = random_array(t, rows * cols, 7), *scratch = NULL;
    double *s = random_array(BNF_F64, m * m, 8);
    assert_int_equal(bnf_alloc(bnf_la_gram_scratch(t, rows, cols), "test", &scratch), BNF_OK);
    bnf_la_gram_f64(t, rows, cols, w, scratch, s);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0.0, magnitude = 0.0;
            for (int64_t l = 0; l < n; l++) {
                double x = at(t, w, tall ? l * cols + i : i * cols + l),
                       y = at(t, w, tall ? l * cols + j : j * cols + l);
                sum += x * y;
                magnitude += fabs(x * y);
            }
            assert_true(fabs(s[i * m + j] - sum) <= 0x1p-52 * (double)n * magnitude); /* each of the two errs by half */
            assert_true(s[i * m + j] == s[j * m + i]);
        }
    bnf_free(w);
    bnf_free(scratch);
    bnf_free(s);
}

static void gram_equals_loops(void **state)
{
    (void)state;
    const int64_t extents[][2] = {{1, 1}, {1, 600}, {600, 1}, {5, 9}, {9, 5}, {8, 8}, {13, 1025}, {1025, 13}};
    for (size_t e = 0; e < sizeof extents / sizeof *extents; e++) {
        gram_case(BNF_F32, extents[e][0], extents[e][1]);
        gram_case(BNF_F64, extents[e][0], extents[e][1]);
    }
}

static void vectors_equal_loops(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 40; n++) {
        float *x = random_array(BNF_F32, n, 1), *y = random_array(BNF_F32, n, 2);
        double dot = 0.0, dist = 0.0;
        for (int64_t i = 0; i < n; i++) {
            dot += (double)x[i] * (double)y[i];
            dist += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        }
        assert_true(fabs(bnf_la_dot(BNF_F32, n, x, y) - dot) <= 1e-14 * (double)n);
        assert_true(fabs(bnf_la_dist2(BNF_F32, n, x, y) - sqrt(dist)) <= 1e-14 * (double)n);
        bnf_la_axpby(BNF_F32, n, 2.0, x, 0.0, y);
        for (int64_t i = 0; i < n; i++)
            assert_true(y[i] == 2.0f * x[i]);
        assert_true(bnf_la_finite(BNF_F32, n, x));
        if (n > 0) {
            x[n - 1] = NAN;
            assert_false(bnf_la_finite(BNF_F32, n, x));
        }
        bnf_free(x);
        bnf_free(y);
    }
}

/* The same bits with 1 and with 4 threads allowed, and from inside a parallel region. */
static void threads_do_not_matter(void **state)
{
    (void)state;
    enum { M = 96, N = 700 };
    float *a = random_array(BNF_F32, M * N, 1), *c[4];
    double *s[4];
    void *scratch[4];
    for (int i = 0; i < 4; i++) {
        c[i] = random_array(BNF_F32, M * M, 5);
        s[i] = random_array(BNF_F64, M * M, 5);
        assert_int_equal(bnf_alloc(bnf_la_gram_scratch(BNF_F32, M, N), "test", &scratch[i]), BNF_OK);
    }
    int threads = omp_get_max_threads();
    for (int i = 0; i < 2; i++) {
        omp_set_num_threads(i ? 4 : 1);
        bnf_la_gemm(BNF_F32, false, true, M, M, N, 1.0, a, N, a, N, 0.0, c[i], M);
        bnf_la_gram_f64(BNF_F32, M, N, a, scratch[i], s[i]);
        assert_int_equal(omp_get_max_threads(), i ? 4 : 1);
    }
#pragma omp parallel for num_threads(2)
    for (int i = 2; i < 4; i++) {
        bnf_la_gemm(BNF_F32, false, true, M, M, N, 1.0, a, N, a, N, 0.0, c[i], M);
        bnf_la_gram_f64(BNF_F32, M, N, a, scratch[i], s[i]);
    }
    omp_set_num_threads(threads);
    for (int i = 0; i < 4; i++) {
        assert_memory_equal(c[0], c[i], M * M * sizeof(float));
        assert_memory_equal(s[0], s[i], M * M * sizeof(double));
    }
    for (int i = 0; i < 4; i++) {
        bnf_free(c[i]);
        bnf_free(s[i]);
        bnf_free(scratch[i]);
    }
    bnf_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_equals_loops),
        cmocka_unit_test(gram_equals_loops),
        cmocka_unit_test(vectors_equal_loops),
        cmocka_unit_test(threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
