/* Block-cyclic matrices against LAPACK and plain loops, at extents that leave some processes with little or nothing. */
#include "../unit/la_support.h"

#include "la/blas.h"
#include "la/blockcyclic.h"
#include "la/norm_shared.h"
#include "la/svd.h"

#include <math.h>
#include <string.h>

static bnf_grid *grid, *alone;

static bnf_blockcyclic *spread(int64_t rows, int64_t cols, int64_t block, const double *full)
{
    bnf_blockcyclic *m = NULL;
    assert_int_equal(bnf_blockcyclic_create(grid, rows, cols, block, &m), BNF_OK);
    assert_int_equal(bnf_blockcyclic_scatter(m, full), BNF_OK);
    return m;
}

static const int64_t extents[][3] = {{1, 1, 1},   {3, 2, 4},     {17, 40, 4}, {40, 17, 4},
                                     {64, 64, 8}, {33, 100, 16}, {5, 7, 1}};
enum { CASES = sizeof extents / sizeof *extents };

static void scatter_and_gather(void **state)
{
    (void)state;
    for (int e = 0; e < CASES; e++) {
        int64_t rows = extents[e][0], cols = extents[e][1], n = rows * cols;
        bool root = bnf_comm_rank(bnf_comm_world()) == 0;
        double *full = random_array(BNF_F64, n, 3), *back = random_array(BNF_F64, n, 4);
        bnf_blockcyclic *m = spread(rows, cols, extents[e][2], root ? full : NULL);
        assert_int_equal(bnf_blockcyclic_gather(m, root ? back : NULL), BNF_OK);
        if (root)
            assert_memory_equal(full, back, (size_t)n * sizeof(double));
        bnf_blockcyclic_destroy(m);
        bnf_free(full);
        bnf_free(back);
    }
}

static void product_equals_blas(void **state)
{
    (void)state;
    enum { M = 37, N = 29, K = 50 };
    for (int bits = 0; bits < 4; bits++) {
        bool ta = bits & 1, tb = bits & 2;
        double *a = random_array(BNF_F64, M * K, 1), *b = random_array(BNF_F64, K * N, 2),
               *c = random_array(BNF_F64, M * N, 3);
        double *got = random_array(BNF_F64, M * N, 4);
        bnf_blockcyclic *da = spread(ta ? K : M, ta ? M : K, 8, a), *db = spread(tb ? N : K, tb ? K : N, 8, b);
        bnf_blockcyclic *dc = spread(M, N, 8, c);
        bnf_blockcyclic_gemm(ta, tb, 0.5, da, db, -1.5, dc);
        assert_int_equal(bnf_blockcyclic_gather(dc, got), BNF_OK);
        bnf_la_gemm(BNF_F64, ta, tb, M, N, K, 0.5, a, ta ? M : K, b, tb ? K : N, -1.5, c, N);
        for (int i = 0; bnf_comm_rank(bnf_comm_world()) == 0 && i < M * N; i++)
            assert_true(fabs(got[i] - c[i]) < 1e-13);
        bnf_blockcyclic_destroy(da);
        bnf_blockcyclic_destroy(db);
        bnf_blockcyclic_destroy(dc);
        bnf_free(a);
        bnf_free(b);
        bnf_free(c);
        bnf_free(got);
    }
}

static void singular_values_equal_lapack(void **state)
{
    (void)state;
    for (int e = 0; e < CASES; e++) {
        int64_t rows = extents[e][0], cols = extents[e][1], n = rows < cols ? rows : cols;
        double *full = random_array(BNF_F64, rows * cols, 7), want[64], got[64], norm = 0.0;
        bnf_blockcyclic *m = spread(rows, cols, extents[e][2], full);
        assert_int_equal(bnf_la_singular_values(BNF_F64, rows, cols, full, want), BNF_OK);
        assert_int_equal(bnf_blockcyclic_singular_values(m, got), BNF_OK);
        for (int64_t i = 0; i < n; i++)
            assert_true(fabs(got[i] - want[i]) <= 1e-12 * want[0]);
        for (int again = 0; again < 5; again++) {
            assert_int_equal(bnf_blockcyclic_norm2(m, &norm), BNF_OK);
            assert_true(norm == got[0]); /* m was kept, and the order of arrival of messages does not matter */
        }
        bnf_blockcyclic_destroy(m);
        bnf_free(full);
    }
}

/* A NaN that one rank alone holds is an error on every rank, and nobody hangs. */
static void bad_numbers_are_errors_everywhere(void **state)
{
    (void)state;
    enum { R = 12, C = 12 };
    double *full = random_array(BNF_F64, R * C, 7), norm = 0.0;
    full[0] = NAN;
    bnf_blockcyclic *m = spread(R, C, 4, full);
    assert_int_equal(bnf_blockcyclic_norm2(m, &norm), BNF_ERR_NUMERIC);
    bnf_error_clear();
    bnf_blockcyclic_destroy(m);
    assert_int_equal(bnf_blockcyclic_create(grid, 0, 2, 2, &m), BNF_ERR_ARG);
    bnf_error_clear();
    bnf_free(full);
}

/* Against LAPACK's singular values and the bound of a single owner: never below, within 1e-6 above, the same on every
 * rank, and on these matrices the same bits as on a grid of one process. */
static void bounds_hold(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = {{1, 1}, {3, 70}, {130, 20}, {100, 100}, {150, 200}};
    for (int e = 0; e < 5; e++)
        for (int absolute = 0; absolute < 2; absolute++) {
            int64_t rows = shapes[e][0], cols = shapes[e][1], n = rows * cols;
            float *w = random_array(BNF_F32, n, 11), *other = random_array(BNF_F32, n, 11);
            double sigma[256], local = 0.0, serial = 0.0, range[2];
            if (absolute)
                for (int64_t i = 0; i < n; i++)
                    other[i] = fabsf(other[i]);
            assert_int_equal(bnf_la_singular_values(BNF_F32, rows, cols, other, sigma), BNF_OK);
            assert_int_equal(bnf_la_norm2_upper(BNF_F32, rows, cols, other, &local), BNF_OK);
            assert_int_equal(bnf_la_norm2_upper_shared(grid, rows, cols, w, absolute, &range[0]), BNF_OK);
            assert_int_equal(bnf_la_norm2_upper_shared(alone, rows, cols, w, absolute, &serial), BNF_OK);
            assert_true(range[0] >= sigma[0] && range[0] <= local * (1.0 + 1e-6) && serial == range[0]);
            range[1] = -range[0];
            assert_int_equal(bnf_comm_allreduce_f64(bnf_comm_world(), BNF_COMM_MAX, range, 2), BNF_OK);
            assert_true(range[0] == -range[1]);
            bnf_free(w);
            bnf_free(other);
        }
    float *zero = random_array(BNF_F32, 30, 1);
    double upper = 1.0;
    memset(zero, 0, 30 * sizeof *zero);
    assert_int_equal(bnf_la_norm2_upper_shared(grid, 5, 6, zero, false, &upper), BNF_OK);
    assert_true(upper == 0.0);
    zero[7] = 0x1p-149f; /* the smallest */
    assert_int_equal(bnf_la_norm2_upper_shared(grid, 5, 6, zero, false, &upper), BNF_OK);
    assert_true(upper >= 0x1p-149);
    zero[7] = INFINITY;
    assert_int_equal(bnf_la_norm2_upper_shared(grid, 5, 6, zero, false, &upper), BNF_ERR_NUMERIC);
    bnf_error_clear();
    bnf_free(zero);
}

static void failed_allocation_on_one_rank(void **state)
{
    (void)state;
    const bnf_comm *world = bnf_comm_world();
    int last = bnf_comm_size(world) - 1;
    bnf_blockcyclic *m = NULL;
    int64_t live = bnf_mem_live_blocks();
    bnf_mem_fail_at(bnf_comm_rank(world) == last ? 2 : 0);
    assert_int_equal(bnf_blockcyclic_create(grid, 9, 9, 2, &m), BNF_ERR_MEMORY);
    bnf_mem_fail_at(0);
    bnf_error_clear();
    assert_int_equal(bnf_mem_live_blocks(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scatter_and_gather),
        cmocka_unit_test(product_equals_blas),
        cmocka_unit_test(singular_values_equal_lapack),
        cmocka_unit_test(bad_numbers_are_errors_everywhere),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(failed_allocation_on_one_rank),
    };
    if (bnf_comm_init(BNF_THREAD_SINGLE) != BNF_OK || bnf_grid_create(bnf_comm_world(), &grid) != BNF_OK ||
        bnf_grid_create(NULL, &alone) != BNF_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bnf_grid_destroy(alone);
    bnf_grid_destroy(grid);
    return bnf_comm_finalize() != BNF_OK || failed + (int)bnf_mem_live_blocks() != 0;
}
