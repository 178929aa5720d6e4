/* The eigen form of the Bjorck steps against the direct one: f64 to rounding, f32 against f64 on ill-conditioned
 * matrices, and the time both take at the extents of the VGG-like Fashion-MNIST network. */
#include "la_support.h"

#include "la/svd.h"
#include "la/vec.h"
#include "nn/constraint.h"

#include <math.h>
#include <string.h>
#include <time.h>

typedef struct outcome {
    double *eff, *grad; /* f64 whatever the type */
    bnf_constraint_stats stats;
} outcome;

static void *cast(bnf_dtype t, int64_t n, const double *x)
{
    void *y = NULL;
    assert_int_equal(bnf_alloc((size_t)n * bnf_dtype_size(t), "test", &y), BNF_OK);
    bnf_la_convert(BNF_F64, t, n, x, y);
    return y;
}

/* One forward and backward in type t from the same u: the result and the gradient for the given gradient. */
static outcome run(const bnf_constraint_config *config, bnf_dtype t, int64_t rows, int64_t cols, const double *w,
                   const double *g)
{
    int64_t n = rows * cols;
    outcome o = {.eff = random_array(BNF_F64, n, 1), .grad = random_array(BNF_F64, n, 1)};
    void *wt = cast(t, n, w), *gt = cast(t, n, g), *eff = cast(t, n, w), *grad = cast(t, n, w);
    bnf_constraint *c = NULL;
    assert_int_equal(bnf_constraint_create(config, t, rows, cols, &c), BNF_OK);
    assert_int_equal(bnf_constraint_forward(c, wt, eff), BNF_OK);
    bnf_constraint_backward(c, wt, gt, grad);
    o.stats = bnf_constraint_get_stats(c);
    bnf_constraint_destroy(c);
    bnf_la_convert(t, BNF_F64, n, eff, o.eff);
    bnf_la_convert(t, BNF_F64, n, grad, o.grad);
    bnf_free(wt);
    bnf_free(gt);
    bnf_free(eff);
    bnf_free(grad);
    return o;
}

static void outcome_free(outcome o)
{
    bnf_free(o.eff);
    bnf_free(o.grad);
}

static double largest(int64_t n, const double *x)
{
    double max = 0.0;
    for (int64_t i = 0; i < n; i++)
        max = fmax(max, fabs(x[i]));
    return max;
}

static double largest_difference(int64_t n, const double *x, const double *y)
{
    double max = 0.0;
    for (int64_t i = 0; i < n; i++)
        max = fmax(max, fabs(x[i] - y[i]));
    return max;
}

static bnf_constraint_config config_of(bnf_bjorck_form form, int steps)
{
    bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    config.form = form;
    config.power_cold_iterations = 1000;
    config.power_tolerance = 1e-9;
    config.bjorck_iterations = steps;
    config.bjorck_tolerance = 0.0;
    return config;
}

static void forms_agree_in_f64(void **state)
{
    (void)state;
    const int64_t extents[][2] = {{9, 31}, {31, 9}, {24, 24}, {1, 12}, {12, 1}, {40, 90}, {90, 40}};
    for (size_t e = 0; e < sizeof extents / sizeof *extents; e++)
        for (int steps = 1; steps <= 15; steps += 7) {
            int64_t rows = extents[e][0], cols = extents[e][1], n = rows * cols;
            double *w = random_array(BNF_F64, n, 91 + e), *g = random_array(BNF_F64, n, 92);
            bnf_constraint_config direct = config_of(BNF_BJORCK_DIRECT, steps),
                                  eigen = config_of(BNF_BJORCK_EIGEN, steps);
            outcome a = run(&direct, BNF_F64, rows, cols, w, g), b = run(&eigen, BNF_F64, rows, cols, w, g);
            assert_true(largest_difference(n, a.eff, b.eff) < 1e-11);
            assert_true(largest_difference(n, a.grad, b.grad) < 1e-10 * fmax(1.0, largest(n, a.grad)));
            assert_true(fabs(a.stats.sigma - b.stats.sigma) < 1e-12 * a.stats.sigma);
            assert_true(fabs(a.stats.bjorck_change - b.stats.bjorck_change) < 1e-11);
            outcome_free(a);
            outcome_free(b);
            bnf_free(w);
            bnf_free(g);
        }
}

/* Singular values from 1 down to 1e-4. What f32 costs either form is compared with f64; the eigen form must not be
 * worse than the direct one by more than a small factor, and what it orthonormalised must be as orthonormal. */
static void ill_conditioned_in_f32(void **state)
{
    (void)state;
    enum { R = 64, C = 160, N = R * C };
    double sigma[R];
    for (int i = 0; i < R; i++)
        sigma[i] = pow(10.0, -4.0 * i / (R - 1));
    double *w = matrix_with_singular_values(R, C, sigma, 13), *g = random_array(BNF_F64, N, 14), s[R];
    float *single = cast(BNF_F32, N, w);
    bnf_la_convert(BNF_F32, BNF_F64, N, single, w); /* so that both types see the same matrix */
    double error[2], grad_error[2];
    bnf_constraint_config direct = config_of(BNF_BJORCK_DIRECT, 15);
    outcome truth = run(&direct, BNF_F64, R, C, w, g);
    for (int form = 0; form < 2; form++) {
        bnf_constraint_config config = config_of((bnf_bjorck_form)form, 15);
        outcome o = run(&config, BNF_F32, R, C, w, g);
        error[form] = largest_difference(N, o.eff, truth.eff);
        grad_error[form] = largest_difference(N, o.grad, truth.grad) / largest(N, truth.grad);
        assert_int_equal(bnf_la_singular_values(BNF_F64, R, C, o.eff, s), BNF_OK);
        assert_true(s[0] <= 1.0 + 2e-4);
        print_message(
            "f32, condition 1e4, 15 steps, %-6s: error %.1e, of the gradient %.1e relative, largest singular value "
            "1%+.1e\n",
            bnf_bjorck_form_name((bnf_bjorck_form)form), error[form], grad_error[form], s[0] - 1.0);
        outcome_free(o);
    }
    assert_true(error[BNF_BJORCK_EIGEN] < 1e-4);
    assert_true(error[BNF_BJORCK_EIGEN] <= 4.0 * error[BNF_BJORCK_DIRECT]);
    assert_true(grad_error[BNF_BJORCK_EIGEN] <= 4.0 * grad_error[BNF_BJORCK_DIRECT] + 1e-6);
    outcome_free(truth);
    bnf_free(single);
    bnf_free(w);
    bnf_free(g);
}

static void well_conditioned_in_f32(void **state)
{
    (void)state;
    enum { R = 64, C = 576, N = R * C };
    double *w = random_array(BNF_F64, N, 15), *g = random_array(BNF_F64, N, 16);
    float *single = cast(BNF_F32, N, w);
    bnf_la_convert(BNF_F32, BNF_F64, N, single, w);
    bnf_constraint_config direct = config_of(BNF_BJORCK_DIRECT, 15);
    outcome truth = run(&direct, BNF_F64, R, C, w, g);
    for (int form = 0; form < 2; form++) {
        bnf_constraint_config config = config_of((bnf_bjorck_form)form, 15);
        outcome o = run(&config, BNF_F32, R, C, w, g);
        assert_true(largest_difference(N, o.eff, truth.eff) < 2e-6);
        assert_true(largest_difference(N, o.grad, truth.grad) < 1e-5 * largest(N, truth.grad));
        outcome_free(o);
    }
    outcome_free(truth);
    bnf_free(single);
    bnf_free(w);
    bnf_free(g);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Best of a few steps with the vector u warm. */
static void time_step(const bnf_constraint_config *config, int64_t rows, int64_t cols, double *forward,
                      double *backward)
{
    int64_t n = rows * cols;
    float *w = random_array(BNF_F32, n, 17), *g = random_array(BNF_F32, n, 18), *eff = random_array(BNF_F32, n, 1);
    float *grad = random_array(BNF_F32, n, 1);
    bnf_constraint *c = NULL;
    *forward = *backward = 1e30;
    assert_int_equal(bnf_constraint_create(config, BNF_F32, rows, cols, &c), BNF_OK);
    for (int i = 0; i < 4; i++) {
        double t0 = now_ms();
        assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
        double t1 = now_ms();
        bnf_constraint_backward(c, w, g, grad);
        double t2 = now_ms();
        *forward = fmin(*forward, t1 - t0);
        *backward = fmin(*backward, t2 - t1);
    }
    bnf_constraint_destroy(c);
    bnf_free(w);
    bnf_free(g);
    bnf_free(eff);
    bnf_free(grad);
}

/* Rounded-up work in 1e9 operations: 2 products per step forward and 3 backward, against 1 Gram matrix and 4 products.
 * */
static void eigen_form_is_cheaper(void **state)
{
    (void)state;
    const int64_t extents[][2] = {{64, 576}, {128, 576}, {128, 1152}, {256, 1152}, {256, 2304}, {512, 256}};
    double total[2] = {0.0, 0.0};
    print_message("      matrix   form    GFLOP  forward ms  backward ms (15 steps, one thread, f32)\n");
    for (size_t e = 0; e < sizeof extents / sizeof *extents; e++)
        for (int form = 0; form < 2; form++) {
            double forward, backward;
            bnf_constraint_config config = config_of((bnf_bjorck_form)form, 15);
            config.power_tolerance = 1e-3;
            time_step(&config, extents[e][0], extents[e][1], &forward, &backward);
            total[form] += forward + backward;
            print_message("  %4d x %4d   %-6s  %5.2f  %10.2f  %11.2f\n", (int)extents[e][0], (int)extents[e][1],
                          bnf_bjorck_form_name((bnf_bjorck_form)form),
                          bnf_constraint_cost(&config, extents[e][0], extents[e][1]) * 1e-9, forward, backward);
        }
    print_message("  sum of a step: eigen %.1f ms, direct %.1f ms\n", total[BNF_BJORCK_EIGEN],
                  total[BNF_BJORCK_DIRECT]);
    assert_true(total[BNF_BJORCK_EIGEN] < total[BNF_BJORCK_DIRECT]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_agree_in_f64),
        cmocka_unit_test(ill_conditioned_in_f32),
        cmocka_unit_test(well_conditioned_in_f32),
        cmocka_unit_test(eigen_form_is_cheaper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
