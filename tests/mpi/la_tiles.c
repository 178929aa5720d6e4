/* Tiles and slices of block-cyclic matrices against plain loops, and their promise: not a bit depends on the number of
 * ranks or threads. Every rank also computes alone, on a grid of its own, and compares. */
#include "../unit/la_support.h"

#include "la/blas.h"
#include "la/slices.h"
#include "la/tiles.h"

#include <math.h>
#include <string.h>

static bnf_grid *grid, *alone;

static const int64_t extents[][3] = {{1, 1, 4}, {3, 2, 4}, {17, 40, 4}, {40, 17, 4}, {64, 64, 8}, {33, 100, 16}};
enum { CASES = sizeof extents / sizeof *extents };

/* Element slices of unequal length, one empty on four ranks. */
static void cut(int64_t n, int ranks, int64_t *offset)
{
    for (int r = 0; r <= ranks; r++)
        offset[r] = r == ranks ? n : n * r * r / (ranks * ranks);
    if (ranks == 4)
        offset[2] = offset[1];
}

static bnf_blockcyclic *spread(const bnf_grid *g, int64_t rows, int64_t cols, int64_t block, const double *full)
{
    bnf_blockcyclic *m = NULL;
    bnf_slices *s = NULL;
    int64_t offset[8] = {0, rows * cols};
    if (g == grid)
        cut(rows * cols, bnf_comm_size(bnf_comm_world()), offset);
    assert_int_equal(bnf_blockcyclic_create(g, rows, cols, block, &m), BNF_OK);
    assert_int_equal(bnf_slices_create(m, offset, BNF_F64, &s), BNF_OK);
    int64_t mine = g == grid ? offset[bnf_comm_rank(bnf_comm_world())] : 0;
    assert_int_equal(bnf_slices_to_matrix(s, full + mine, m), BNF_OK);
    bnf_slices_destroy(s);
    return m;
}

/* The whole matrix on every rank. */
static double *whole(const bnf_grid *g, bnf_blockcyclic *m, int64_t n)
{
    double *full = random_array(BNF_F64, n, 99);
    assert_int_equal(bnf_blockcyclic_gather(m, full), BNF_OK);
    if (g == grid)
        assert_int_equal(bnf_comm_bcast(bnf_comm_world(), 0, full, n * 8), BNF_OK);
    return full;
}

static void slices_go_both_ways(void **state)
{
    (void)state;
    const bnf_comm *world = bnf_comm_world();
    int rank = bnf_comm_rank(world), ranks = bnf_comm_size(world);
    for (int e = 0; e < CASES; e++)
        for (int f = 0; f < 2; f++) {
            bnf_dtype t = f ? BNF_F64 : BNF_F32;
            int64_t rows = extents[e][0], cols = extents[e][1], n = rows * cols, offset[8];
            size_t size = bnf_dtype_size(t);
            char *full = random_array(t, n, 3), *back = random_array(t, n, 4);
            bnf_blockcyclic *m = NULL;
            bnf_slices *s = NULL;
            cut(n, ranks, offset);
            size_t lo = (size_t)offset[rank] * size, bytes = (size_t)offset[rank + 1] * size - lo;
            assert_int_equal(bnf_blockcyclic_create(grid, rows, cols, extents[e][2], &m), BNF_OK);
            assert_int_equal(bnf_slices_create(m, offset, t, &s), BNF_OK);
            assert_int_equal(bnf_slices_to_matrix(s, full + lo, m), BNF_OK);
            double *got = whole(grid, m, n);
            for (int64_t i = 0; i < n; i++)
                assert_true(got[i] == at(t, full, i));
            assert_int_equal(bnf_slices_from_matrix(s, m, back + lo), BNF_OK);
            assert_memory_equal(full + lo, back + lo, bytes);
            bnf_slices_destroy(s);
            bnf_blockcyclic_destroy(m);
            bnf_free(full);
            bnf_free(back);
            bnf_free(got);
        }
}

enum { M = 37, N = 29, K = 90, BLOCK = 8 };

static double *product(const bnf_grid *g, bnf_product by, int threads, bool ta, bool tb, const double *a,
                       const double *b, const double *c)
{
    bnf_tiles *t = NULL;
    bnf_blockcyclic *da = spread(g, ta ? K : M, ta ? M : K, BLOCK, a),
                    *db = spread(g, tb ? N : K, tb ? K : N, BLOCK, b);
    bnf_blockcyclic *dc = spread(g, M, N, BLOCK, c);
    assert_int_equal(bnf_tiles_create(g, K, BLOCK, by, threads, &t), BNF_OK);
    assert_int_equal(bnf_tiles_product(t, ta, tb, 0.5, da, db, -1.5, dc), BNF_OK);
    double *got = whole(g, dc, M * N);
    bnf_tiles_destroy(t);
    bnf_blockcyclic_destroy(da);
    bnf_blockcyclic_destroy(db);
    bnf_blockcyclic_destroy(dc);
    return got;
}

/* Each element is a sum of K products of numbers below 1 and one more term: both orders are within (K + 3) u (K / 2 +
 * 1.5) < 5e-13 of the exact one. */
static void products_equal_blas(void **state)
{
    (void)state;
    for (int bits = 0; bits < 4; bits++) {
        bool ta = bits & 1, tb = bits & 2;
        double *a = random_array(BNF_F64, M * K, 1), *b = random_array(BNF_F64, K * N, 2),
               *c = random_array(BNF_F64, M * N, 3);
        double *tiles = product(grid, BNF_PRODUCT_TILES, 1, ta, tb, a, b, c);
        double *threads = product(grid, BNF_PRODUCT_TILES, 3, ta, tb, a, b, c);
        double *serial = product(alone, BNF_PRODUCT_TILES, 1, ta, tb, a, b, c);
        double *pblas = product(grid, BNF_PRODUCT_PBLAS, 1, ta, tb, a, b, c);
        assert_memory_equal(tiles, serial, M * N * sizeof(double));
        assert_memory_equal(tiles, threads, M * N * sizeof(double));
        bnf_la_gemm(BNF_F64, ta, tb, M, N, K, 0.5, a, ta ? M : K, b, tb ? K : N, -1.5, c, N);
        for (int i = 0; i < M * N; i++)
            assert_true(fabs(tiles[i] - c[i]) < 1e-12 && fabs(pblas[i] - c[i]) < 1e-12);
        double *all[] = {a, b, c, tiles, threads, serial, pblas};
        for (int i = 0; i < 7; i++)
            bnf_free(all[i]);
    }
}

/* All sums of one matrix pair: y, y', row dots, dot, squared distance, one behind the other in out. */
static void sums(const bnf_grid *g, const int64_t *e, const double *a, const double *b, const double *x, double *out)
{
    int64_t rows = e[0], cols = e[1];
    bnf_tiles *t = NULL;
    bnf_blockcyclic *da = spread(g, rows, cols, e[2], a), *db = spread(g, rows, cols, e[2], b);
    assert_int_equal(bnf_tiles_create(g, rows > cols ? rows : cols, e[2], BNF_PRODUCT_TILES, 2, &t), BNF_OK);
    assert_int_equal(bnf_tiles_gemv(t, false, da, x, out), BNF_OK);
    assert_int_equal(bnf_tiles_gemv(t, true, da, x, out + rows), BNF_OK);
    assert_int_equal(bnf_tiles_row_dots(t, da, db, out + rows + cols), BNF_OK);
    assert_int_equal(bnf_tiles_dot(t, da, db, out + 2 * rows + cols), BNF_OK);
    assert_int_equal(bnf_tiles_distance2(t, da, db, out + 2 * rows + cols + 1), BNF_OK);
    bnf_tiles_destroy(t);
    bnf_blockcyclic_destroy(da);
    bnf_blockcyclic_destroy(db);
}

static void sums_equal_loops(void **state)
{
    (void)state;
    for (int e = 0; e < CASES; e++) {
        int64_t rows = extents[e][0], cols = extents[e][1], n = 2 * rows + cols + 2;
        double *a = random_array(BNF_F64, rows * cols, 5), *b = random_array(BNF_F64, rows * cols, 6);
        double *x = random_array(BNF_F64, 100, 7), want[512] = {0}, got[512], serial[512];
        sums(grid, extents[e], a, b, x, got);
        sums(alone, extents[e], a, b, x, serial);
        assert_memory_equal(got, serial, (size_t)n * sizeof(double));
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++) {
                double p = a[i * cols + j], q = b[i * cols + j];
                want[i] += p * x[j];
                want[rows + j] += p * x[i];
                want[rows + cols + i] += p * q;
                want[2 * rows + cols] += p * q;
                want[2 * rows + cols + 1] += (p - q) * (p - q);
            }
        for (int64_t i = 0; i < n; i++) /* at most 4096 terms below 4, in any order */
            assert_true(fabs(got[i] - want[i]) <= 4096.0 * 4096.0 * 4.0 * 0x1p-52);
        bnf_free(a);
        bnf_free(b);
        bnf_free(x);
    }
}

static void local_updates_equal_loops(void **state)
{
    (void)state;
    enum { R = 19, C = 26 };
    double *a = random_array(BNF_F64, R * C, 5), *b = random_array(BNF_F64, R * C, 6), *x = random_array(BNF_F64, R, 7),
           *y = random_array(BNF_F64, C, 8);
    bnf_blockcyclic *da = spread(grid, R, C, 4, a), *db = spread(grid, R, C, 4, b);
    bnf_tiles_axpby(0.5, da, 2.0, db);
    bnf_tiles_ger(-1.25, x, y, db);
    bnf_tiles_scale_rows(x, da, 1.0, db);
    double *got = whole(grid, db, R * C);
    for (int i = 0; i < R; i++)
        for (int j = 0; j < C; j++) {
            int k = i * C + j;
            double want = 0.5 * a[k] + 2.0 * b[k] - 1.25 * x[i] * y[j] + x[i] * a[k];
            assert_true(fabs(got[k] - want) < 1e-14);
        }
    bnf_blockcyclic_destroy(da);
    bnf_blockcyclic_destroy(db);
    double *all[] = {a, b, x, y, got};
    for (int i = 0; i < 5; i++)
        bnf_free(all[i]);
}

/* A matrix, its slices and the workspace of products: what a rank holds shrinks with the number of ranks. */
static void memory_is_divided(void **state)
{
    (void)state;
    enum { E = 512, B = 16 };
    int ranks = bnf_comm_size(bnf_comm_world());
    int64_t before = bnf_mem_live_bytes(), offset[8], all[2];
    for (int k = 0; k < 2; k++) {
        const bnf_grid *g = k ? grid : alone;
        int64_t was = bnf_mem_live_bytes();
        bnf_blockcyclic *m = NULL;
        bnf_slices *s = NULL;
        bnf_tiles *t = NULL;
        for (int r = 0; r <= ranks; r++)
            offset[r] = k ? (int64_t)E * E * r / ranks : (int64_t)E * E * (r > 0);
        assert_int_equal(bnf_blockcyclic_create(g, E, E, B, &m), BNF_OK);
        assert_int_equal(bnf_slices_create(m, offset, BNF_F32, &s), BNF_OK);
        int64_t parts = bnf_mem_live_bytes() - was;
        assert_in_range(parts, (int64_t)E * E * 16 / (k ? ranks : 1) * 9 / 10,
                        (int64_t)E * E * 16 / (k ? ranks : 1) * 11 / 10);
        assert_int_equal(bnf_tiles_create(g, E, B, BNF_PRODUCT_TILES, 1, &t), BNF_OK);
        all[k] = bnf_mem_live_bytes() - was;
        bnf_tiles_destroy(t);
        bnf_slices_destroy(s);
        bnf_blockcyclic_destroy(m);
    }
    assert_true(ranks < 4 || all[1] * 2 < all[0] + 0x8000);
    assert_int_equal(bnf_mem_live_bytes(), before);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const bnf_comm *world = bnf_comm_world();
    int last = bnf_comm_size(world) - 1;
    int64_t offset[8], live = bnf_mem_live_blocks();
    cut(12 * 9, last + 1, offset);
    bnf_blockcyclic *m = NULL;
    assert_int_equal(bnf_blockcyclic_create(grid, 12, 9, 4, &m), BNF_OK);
    for (int what = 0; what < 2; what++) {
        bnf_status s = BNF_ERR_MEMORY;
        int64_t n = 1;
        for (; s != BNF_OK; n++) {
            bnf_slices *slices = NULL;
            bnf_tiles *t = NULL;
            bnf_mem_fail_at(bnf_comm_rank(world) == last ? n : 0);
            s = what ? bnf_tiles_create(grid, 12, 4, BNF_PRODUCT_TILES, 1, &t)
                     : bnf_slices_create(m, offset, BNF_F32, &slices);
            bnf_mem_fail_at(0);
            bnf_error_clear();
            assert_true(s == BNF_OK || s == BNF_ERR_MEMORY);
            bnf_tiles_destroy(t);
            bnf_slices_destroy(slices);
        }
        assert_true(n > 4);
    }
    bnf_blockcyclic_destroy(m);
    assert_int_equal(bnf_mem_live_blocks(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_go_both_ways), cmocka_unit_test(products_equal_blas),
        cmocka_unit_test(sums_equal_loops),    cmocka_unit_test(local_updates_equal_loops),
        cmocka_unit_test(memory_is_divided),   cmocka_unit_test(every_allocation_may_fail),
    };
    if (bnf_comm_init(BNF_THREAD_SINGLE) != BNF_OK || bnf_grid_create(bnf_comm_world(), &grid) != BNF_OK ||
        bnf_grid_create(NULL, &alone) != BNF_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed)
        bnf_comm_abort(1);
    bnf_grid_destroy(alone);
    bnf_grid_destroy(grid);
    return bnf_comm_finalize() != BNF_OK || bnf_mem_live_blocks() != 0;
}
