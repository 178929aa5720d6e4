/* The constraint of a matrix that all ranks own: against the single owner's to the tolerance of constraint_shared.h,
 * the same bits as on a grid of one process, its derivative against finite differences, its state, its failures. */
#include "../unit/la_support.h"

#include "la/vec.h"
#include "nn/constraint_shared.h"
#include "on_ranks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const bnf_comm *world;
static int rank, ranks;

typedef struct shape {
    int64_t rows, cols;
} shape;

static const shape shapes[] = {{23, 40}, {40, 23}, {31, 31}, {9, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes, BLOCK = 8, MOST = 1600 };

static const bnf_constraint_kind kinds[] = {BNF_CONSTRAINT_NONE, BNF_CONSTRAINT_SPECTRAL, BNF_CONSTRAINT_BJORCK,
                                            BNF_CONSTRAINT_FROBENIUS_ROWS, BNF_CONSTRAINT_FROBENIUS};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Fixed numbers of iterations, so that no stop can fall differently. */
static bnf_constraint_config config_of(bnf_constraint_kind kind)
{
    bnf_constraint_config c = bnf_constraint_config_default(kind);
    c.power_tolerance = c.bjorck_tolerance = 0.0;
    c.power_cold_iterations = 6;
    c.power_iterations = 2;
    c.bjorck_iterations = 4;
    c.factor = 1.25;
    return c;
}

/* 16 n u (k + 1) (1 + b)^k times the factor: nn/constraint_shared.h. */
static double tolerance(const bnf_constraint_config *c, shape s)
{
    int k = c->kind == BNF_CONSTRAINT_BJORCK ? c->bjorck_iterations : 0;
    return 16.0 * (double)(s.rows + s.cols) * 0x1p-53 * (k + 1) * pow(1.0 + c->bjorck_beta, k) * c->factor;
}

/* A shared constraint, on all ranks or here alone, that takes and gives whole matrices. */
typedef struct shared {
    bnf_constraint_shared *c;
    bnf_dtype t;
    const bnf_comm *comm;
    int64_t offset[8], n;
} shared;

static void make(shared *x, const bnf_constraint_config *config, bnf_dtype t, shape s, const bnf_comm *comm,
                 bnf_product by, int threads)
{
    int size = bnf_comm_size(comm);
    *x = (shared){.t = t, .comm = comm, .n = s.rows * s.cols};
    for (int r = 0; r <= size; r++)
        x->offset[r] = x->n * r / size;
    bnf_constraint_spread spread = {comm, x->offset, BLOCK, by, threads};
    assert_int_equal(bnf_constraint_shared_create(config, t, s.rows, s.cols, &spread, &x->c), BNF_OK);
}

/* Own slices of the ranks, one behind the other, on all of them. */
static void join(const shared *x, const void *slice, void *full)
{
    int64_t bytes[8];
    for (int r = 0; r < bnf_comm_size(x->comm); r++)
        bytes[r] = (x->offset[r + 1] - x->offset[r]) * (int64_t)bnf_dtype_size(x->t);
    assert_int_equal(bnf_comm_allgatherv(x->comm, slice, bytes, full), BNF_OK);
}

static const void *own(const shared *x, const void *full)
{
    return (const char *)full + (size_t)x->offset[bnf_comm_rank(x->comm)] * bnf_dtype_size(x->t);
}

static void forward(shared *x, const void *raw, void *eff)
{
    double slice[MOST];
    assert_int_equal(bnf_constraint_shared_forward(x->c, own(x, raw), slice), BNF_OK);
    join(x, slice, eff);
}

static void backward(shared *x, const void *grad, void *raw_grad)
{
    double slice[MOST];
    assert_int_equal(bnf_constraint_shared_backward(x->c, own(x, grad), slice), BNF_OK);
    join(x, slice, raw_grad);
}

/* What the constraint divides by: the smallest norm. */
static double divisor(bnf_constraint_kind kind, shape s, const double *raw, double sigma)
{
    double least = bnf_la_nrm2(BNF_F64, s.rows * s.cols, raw);
    for (int64_t i = 0; kind == BNF_CONSTRAINT_FROBENIUS_ROWS && i < s.rows; i++)
        least = fmin(least, bnf_la_nrm2(BNF_F64, s.cols, raw + i * s.cols));
    return kind == BNF_CONSTRAINT_NONE ? 1.0 : sigma > 0.0 ? sigma : least;
}

/* Two forwards (a cold and a warm one) and a backward of the single owner, of all ranks by tiles and by PBLAS, and of a
 * grid of one. */
static void compare(bnf_constraint_kind kind, shape s, bnf_bjorck_form form)
{
    int64_t n = s.rows * s.cols;
    bnf_constraint_config config = config_of(kind);
    bnf_constraint *c = NULL;
    double *raw = random_array(BNF_F64, n, 1), *grad = random_array(BNF_F64, n, 2);
    double want[2][MOST], got[3][2][MOST], allowed = tolerance(&config, s);
    config.form = form;
    assert_int_equal(bnf_constraint_create(&config, BNF_F64, s.rows, s.cols, &c), BNF_OK);
    for (int k = 0; k < 2; k++)
        assert_int_equal(bnf_constraint_forward(c, raw, want[0]), BNF_OK);
    bnf_constraint_backward(c, raw, grad, want[1]);
    for (int k = 0; k < 3; k++) {
        shared x;
        make(&x, &config, BNF_F64, s, k == 1 ? NULL : world, k == 2 ? BNF_PRODUCT_PBLAS : BNF_PRODUCT_TILES,
             1 + (k == 0));
        forward(&x, raw, got[k][0]);
        forward(&x, raw, got[k][0]);
        backward(&x, grad, got[k][1]);
        backward(&x, grad, got[k][1]); /* may be called again */
        bnf_constraint_stats a = bnf_constraint_get_stats(c), b = bnf_constraint_shared_get_stats(x.c);
        assert_true(fabs(a.sigma - b.sigma) <= allowed * (1.0 + a.sigma));
        assert_int_equal(a.bjorck_iterations, b.bjorck_iterations);
        assert_int_equal(a.power_iterations, b.power_iterations);
        double scale[] = {bnf_la_nrm2(BNF_F64, n, want[0]),
                          bnf_la_nrm2(BNF_F64, n, grad) / divisor(kind, s, raw, a.sigma)};
        for (int i = 0; i < 2; i++)
            if (!(bnf_la_dist2(BNF_F64, n, got[k][i], want[i]) <= allowed * scale[i]))
                fail_msg("%s, %lld x %lld, product %d: %g is above %g", bnf_constraint_kind_name(kind),
                         (long long)s.rows, (long long)s.cols, k, bnf_la_dist2(BNF_F64, n, got[k][i], want[i]),
                         allowed * scale[i]);
        bnf_constraint_shared_destroy(x.c);
    }
    for (int i = 0; i < 2; i++)
        assert_memory_equal(got[0][i], got[1][i], (size_t)n * sizeof(double));
    bnf_constraint_destroy(c);
    bnf_free(raw);
    bnf_free(grad);
}

static void equals_the_single_owner(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++)
        for (int s = 0; s < SHAPES; s++) {
            compare(kinds[k], shapes[s], BNF_BJORCK_DIRECT);
            if (kinds[k] == BNF_CONSTRAINT_BJORCK)
                compare(kinds[k], shapes[s], BNF_BJORCK_EIGEN);
        }
}

/* f32 in and out, published settings with their stops: one f32 rounding of the single owner's result in f64. */
static void single_precision_is_rounded_once(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        shape s = shapes[0];
        int64_t n = s.rows * s.cols;
        bnf_constraint_config config = bnf_constraint_config_default(kinds[k]);
        bnf_constraint *c = NULL;
        shared x;
        float *raw = random_array(BNF_F32, n, 1), eff[MOST];
        double wide[MOST], want[MOST], allowed = 0x1p-24 + tolerance(&config, s);
        bnf_la_convert(BNF_F32, BNF_F64, n, raw, wide);
        assert_int_equal(bnf_constraint_create(&config, BNF_F64, s.rows, s.cols, &c), BNF_OK);
        assert_int_equal(bnf_constraint_forward(c, wide, want), BNF_OK);
        make(&x, &config, BNF_F32, s, world, BNF_PRODUCT_TILES, 1);
        forward(&x, raw, eff);
        for (int64_t i = 0; i < n; i++)
            assert_true(fabs((double)eff[i] - want[i]) <= allowed * fmax(1.0, fabs(want[i])));
        bnf_constraint_shared_destroy(x.c);
        bnf_constraint_destroy(c);
        bnf_free(raw);
    }
}

static double loss(shared *x, const double *state, const double *raw, const double *r)
{
    double eff[MOST];
    assert_int_equal(bnf_constraint_shared_state_set(x->c, state), BNF_OK);
    forward(x, raw, eff);
    return bnf_la_dot(BNF_F64, x->n, r, eff);
}

/* Central differences along random directions with u held: the truncation h^2 f''' / 6 and the rounding 2^-52 / h stay
 * below 1e-7 for these sizes; gradients are some 0.1 to 10. */
static void gradient_equals_differences(void **state)
{
    (void)state;
    const shape small[] = {{6, 11}, {11, 6}, {7, 7}};
    for (int k = 0; k < KINDS; k++)
        for (int f = 0; f < 3; f++) {
            bnf_constraint_config config = config_of(kinds[k]);
            config.power_iterations = 0;
            config.eps = 3.0;
            shared x;
            make(&x, &config, BNF_F64, small[f], world, BNF_PRODUCT_TILES, 1);
            int64_t n = x.n, size = bnf_constraint_shared_state_size(x.c);
            double *w = random_array(BNF_F64, n, 5), *r = random_array(BNF_F64, n, 9), grad[MOST], from[64] = {1.0};
            for (int64_t i = 1; i < size; i++)
                from[i] = (i % 2 ? 1.0 : -1.0) / sqrt((double)size - 1.0);
            loss(&x, from, w, r);
            backward(&x, r, grad);
            for (uint64_t direction = 0; direction < 3; direction++) {
                double h = 1e-5, *d = random_array(BNF_F64, n, 20 + direction), difference;
                bnf_la_axpby(BNF_F64, n, h, d, 1.0, w);
                difference = loss(&x, from, w, r);
                bnf_la_axpby(BNF_F64, n, -2.0 * h, d, 1.0, w);
                difference = (difference - loss(&x, from, w, r)) / (2.0 * h);
                bnf_la_axpby(BNF_F64, n, h, d, 1.0, w);
                assert_true(fabs(difference - bnf_la_dot(BNF_F64, n, d, grad)) <= 1e-6);
                bnf_free(d);
            }
            bnf_constraint_shared_destroy(x.c);
            bnf_free(w);
            bnf_free(r);
        }
}

/* The state before the last forward repeats it bit for bit, also in a single owner's format: one takes the other's. */
static void state_goes_out_and_in(void **state)
{
    (void)state;
    shape s = shapes[1];
    int64_t n = s.rows * s.cols;
    bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    double *raw = random_array(BNF_F64, n, 1), first[MOST], again[MOST], out[64], back[64];
    shared x, y;
    bnf_constraint *c = NULL;
    make(&x, &config, BNF_F64, s, world, BNF_PRODUCT_TILES, 1);
    make(&y, &config, BNF_F64, s, NULL, BNF_PRODUCT_TILES, 1);
    for (int k = 0; k < 3; k++)
        forward(&x, raw, first);
    int64_t size = bnf_constraint_shared_state_size(x.c);
    assert_int_equal(size, 1 + s.cols);
    bnf_constraint_shared_state_get(x.c, BNF_CONSTRAINT_BEFORE, out);
    assert_true(out[0] == 2.0);
    assert_int_equal(bnf_constraint_shared_state_set(y.c, out), BNF_OK);
    forward(&y, raw, again);
    assert_memory_equal(first, again, (size_t)n * sizeof(double));
    assert_int_equal(bnf_constraint_create(&config, BNF_F64, s.rows, s.cols, &c), BNF_OK);
    assert_int_equal(bnf_constraint_state_size(c), size);
    assert_int_equal(bnf_constraint_state_set(c, out), BNF_OK);
    bnf_constraint_state_get(c, BNF_CONSTRAINT_AFTER, back);
    assert_memory_equal(out, back, (size_t)size * sizeof(double));
    out[1] = NAN;
    assert_int_equal(bnf_constraint_shared_state_set(x.c, out), BNF_ERR_FORMAT);
    bnf_error_clear();
    bnf_constraint_destroy(c);
    bnf_constraint_shared_destroy(x.c);
    bnf_constraint_shared_destroy(y.c);
    bnf_free(raw);
}

/* A NaN in one rank's slice is everybody's error, and the next call works. */
static void bad_numbers_are_errors_everywhere(void **state)
{
    (void)state;
    for (int k = 1; k < KINDS; k++) {
        bnf_constraint_config config = bnf_constraint_config_default(kinds[k]);
        double *raw = random_array(BNF_F64, 31 * 31, 1), slice[MOST];
        shared x;
        make(&x, &config, BNF_F64, shapes[2], world, BNF_PRODUCT_TILES, 1);
        double value = raw[x.n - 1];
        if (rank == ranks - 1)
            raw[x.n - 1] = NAN;
        assert_int_equal(bnf_constraint_shared_forward(x.c, own(&x, raw), slice), BNF_ERR_NUMERIC);
        assert_non_null(strstr(bnf_error_message(), "31 x 31"));
        bnf_error_clear();
        raw[x.n - 1] = value;
        assert_int_equal(bnf_constraint_shared_forward(x.c, own(&x, raw), slice), BNF_OK);
        bnf_constraint_shared_destroy(x.c);
        bnf_free(raw);
    }
}

static void settings_are_checked(void **state)
{
    (void)state;
    int64_t offset[8] = {0};
    bnf_constraint_spread spread = {world, offset, BLOCK, BNF_PRODUCT_TILES, 1};
    bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    bnf_constraint_shared *c = NULL;
    config.bjorck_beta = 0.75;
    assert_int_equal(bnf_constraint_shared_create(&config, BNF_F32, 4, 4, &spread, &c), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "bjorck_beta"));
    bnf_error_clear();
}

/* What a rank holds shrinks with the number of ranks, and calls allocate nothing. */
static void memory_is_divided(void **state)
{
    (void)state;
    enum { E = 256 };
    bnf_constraint_config config = config_of(BNF_CONSTRAINT_BJORCK);
    int64_t was = bnf_mem_live_bytes(), bytes[2];
    static double slice[E * E], out[E * E];
    for (int i = 0; i < E * E; i++)
        slice[i] = sin((double)(i % 1013) * 1.7);
    for (int k = 0; k < 2; k++) {
        shared x;
        make(&x, &config, BNF_F64, (shape){E, E}, k ? world : NULL, BNF_PRODUCT_TILES, 1);
        bytes[k] = bnf_mem_live_bytes() - was;
        int64_t before = bnf_mem_total_allocations();
        assert_int_equal(bnf_constraint_shared_forward(x.c, slice, out), BNF_OK);
        assert_int_equal(bnf_constraint_shared_backward(x.c, slice, out), BNF_OK);
        assert_int_equal(bnf_mem_total_allocations(), before);
        bnf_constraint_shared_destroy(x.c);
    }
    /* blocks do not divide evenly among three; panels of tiles and sums are divided by process rows only */
    if (bytes[1] > bytes[0] / ranks * 5 / 4 + E * E * 8 / 4)
        fail_msg("rank %d of %d holds %lld of %lld bytes", rank, ranks, (long long)bytes[1], (long long)bytes[0]);
    assert_int_equal(bnf_mem_live_bytes(), was);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    bnf_constraint_config config = config_of(BNF_CONSTRAINT_BJORCK);
    int64_t offset[8], live = bnf_mem_live_blocks(), n = 1;
    config.bjorck_iterations = 2;
    for (int r = 0; r <= ranks; r++)
        offset[r] = 12 * 9 * r / ranks;
    bnf_constraint_spread spread = {world, offset, 4, BNF_PRODUCT_TILES, 1};
    for (bnf_status s = BNF_ERR_MEMORY; s != BNF_OK; n++) {
        bnf_constraint_shared *c = NULL;
        bnf_mem_fail_at(rank == ranks - 1 ? n : 0);
        s = bnf_constraint_shared_create(&config, BNF_F32, 12, 9, &spread, &c);
        bnf_mem_fail_at(0);
        bnf_error_clear();
        assert_true(s == BNF_OK || s == BNF_ERR_MEMORY);
        bnf_constraint_shared_destroy(c);
        assert_int_equal(bnf_mem_live_blocks(), live);
    }
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_single_owner),     cmocka_unit_test(single_precision_is_rounded_once),
        cmocka_unit_test(gradient_equals_differences), cmocka_unit_test(state_goes_out_and_in),
        cmocka_unit_test(settings_are_checked),        cmocka_unit_test(bad_numbers_are_errors_everywhere),
        cmocka_unit_test(memory_is_divided),           cmocka_unit_test(every_allocation_may_fail),
    };
    return ON_RANKS(BNF_THREAD_SINGLE, &world, &rank, &ranks, tests, NULL, NULL);
}
