/* What constrained matrices are: known values, norms, state, settings, errors, independence of threads. */
#include "la_support.h"

#include "la/svd.h"
#include "la/vec.h"
#include "nn/constraint.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static bnf_constraint *make(const bnf_constraint_config *config, bnf_dtype t, int64_t rows, int64_t cols)
{
    bnf_constraint *c = NULL;
    assert_int_equal(bnf_constraint_create(config, t, rows, cols, &c), BNF_OK);
    return c;
}

/* Bjorck without eps and without early stop, power iteration to convergence. */
static bnf_constraint_config exact_bjorck(bnf_bjorck_form form, int steps)
{
    bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    config.form = form;
    config.eps = 0.0;
    config.power_cold_iterations = 5000;
    config.power_tolerance = 1e-16;
    config.bjorck_iterations = steps;
    config.bjorck_tolerance = 0.0;
    return config;
}

static void two_by_two(void **state)
{
    (void)state;
    const double w[] = {3, 0, 4, 5}, polar[] = {2, -1, 1, 2};
    for (int form = 0; form < 2; form++) {
        double eff[4];
        bnf_constraint_config config = exact_bjorck((bnf_bjorck_form)form, 30);
        bnf_constraint *c = make(&config, BNF_F64, 2, 2);
        assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
        assert_true(fabs(bnf_constraint_get_stats(c).sigma - sqrt(45.0)) < 1e-12);
        assert_int_equal(bnf_constraint_get_stats(c).bjorck_iterations, 30);
        for (int i = 0; i < 4; i++)
            assert_true(fabs(eff[i] - polar[i] / sqrt(5.0)) < 1e-12);
        bnf_constraint_destroy(c);
    }
}

/* The singular values follow x -> 1.5 x - 0.5 x^3. */
static void scalar_map(void **state)
{
    (void)state;
    const struct {
        double from, to;
        int steps;
    } oracle[] = {{0.5, 0.6875, 1}, {0.1, 0.658719, 5}, {0.001, 0.416520, 15}};
    for (int form = 0; form < 2; form++)
        for (int i = 0; i < 3; i++) {
            double w[] = {7.0, 0.0, 0.0, 7.0 * oracle[i].from}, eff[4];
            bnf_constraint_config config = exact_bjorck((bnf_bjorck_form)form, oracle[i].steps);
            bnf_constraint *c = make(&config, BNF_F64, 2, 2);
            assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
            assert_true(fabs(eff[0] - 1.0) < 1e-12 && fabs(eff[3] - oracle[i].to) < 5e-7);
            bnf_constraint_destroy(c);
        }
}

static void early_stop_counts(void **state)
{
    (void)state;
    double w[] = {1.0, 0.0, 0.0, 0.5}, eff[2][4];
    for (int form = 0; form < 2; form++) {
        bnf_constraint_config config = exact_bjorck((bnf_bjorck_form)form, 50);
        config.bjorck_tolerance = 1e-3;
        bnf_constraint *c = make(&config, BNF_F64, 2, 2);
        assert_int_equal(bnf_constraint_forward(c, w, eff[form]), BNF_OK);
        bnf_constraint_stats stats = bnf_constraint_get_stats(c);
        double x = 0.5, change = 1.0;
        int steps = 0;
        for (; change >= 1e-3; steps++) {
            change = 0.5 * x - 0.5 * x * x * x;
            x += change;
        }
        assert_int_equal(stats.bjorck_iterations, steps);
        assert_true(fabs(stats.bjorck_change - change) < 1e-12 && fabs(eff[form][3] - x) < 1e-12);
        bnf_constraint_destroy(c);
    }
}

/* After a warm-up the default settings give norms at most factor, up to f32 rounding; from the first call on, too. */
static void norms_are_bounded(void **state)
{
    (void)state;
    const int64_t extents[][2] = {{16, 9}, {64, 144}, {100, 30}, {1, 50}, {50, 1}, {48, 48}};
    const bnf_constraint_kind kinds[] = {BNF_CONSTRAINT_BJORCK, BNF_CONSTRAINT_SPECTRAL, BNF_CONSTRAINT_FROBENIUS};
    for (size_t e = 0; e < sizeof extents / sizeof *extents; e++)
        for (int k = 0; k < 3; k++) {
            int64_t rows = extents[e][0], cols = extents[e][1];
            bnf_constraint_config config = bnf_constraint_config_default(kinds[k]);
            config.factor = 1.0 / 3.0;
            bnf_constraint *c = make(&config, BNF_F32, rows, cols);
            float *w = random_array(BNF_F32, rows * cols, 41 + e), *eff = random_array(BNF_F32, rows * cols, 1);
            for (int call = 0; call < 4; call++) {
                double norm = 0.0, want = 1.0 / 3.0;
                w[0] += 0.01f;
                assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
                assert_int_equal(bnf_la_norm2_upper(BNF_F32, rows, cols, eff, &norm), BNF_OK);
                /* spectral alone is as good as its power iteration: it stops at a change of u below 1e-3 */
                assert_true(norm <= want * (1.0 + (kinds[k] == BNF_CONSTRAINT_SPECTRAL ? 0.01 : 2e-6)));
            }
            bnf_constraint_destroy(c);
            bnf_free(w);
            bnf_free(eff);
        }
}

static void frobenius_values(void **state)
{
    (void)state;
    const double w[] = {3, 4, 0, 0, 5, 12};
    double eff[6], grad[6];
    bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_FROBENIUS_ROWS);
    bnf_constraint *c = make(&config, BNF_F64, 3, 2);
    assert_int_equal(bnf_constraint_state_size(c), 0);
    assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
    const double rows[] = {0.6, 0.8, 0, 0, 5.0 / 13.0, 12.0 / 13.0};
    for (int i = 0; i < 6; i++)
        assert_true(fabs(eff[i] - rows[i]) < 1e-15);
    bnf_constraint_backward(c, w, w, grad); /* radial directions have no effect */
    for (int i = 0; i < 6; i++)
        assert_true(fabs(grad[i]) < 1e-15);
    bnf_constraint_destroy(c);
    config.kind = BNF_CONSTRAINT_FROBENIUS;
    c = make(&config, BNF_F64, 3, 2);
    assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
    for (int i = 0; i < 6; i++)
        assert_true(fabs(eff[i] - w[i] / sqrt(194.0)) < 1e-15);
    bnf_constraint_destroy(c);
}

/* A matrix of zeros is legal: the result is zero, and so is the gradient through sigma. */
static void zero_matrix(void **state)
{
    (void)state;
    float w[12] = {0}, eff[12], grad[12];
    for (int kind = BNF_CONSTRAINT_NONE; kind <= BNF_CONSTRAINT_FROBENIUS; kind++)
        for (int form = 0; form < 2; form++) {
            bnf_constraint_config config = bnf_constraint_config_default((bnf_constraint_kind)kind);
            config.form = (bnf_bjorck_form)form;
            bnf_constraint *c = make(&config, BNF_F32, 3, 4);
            assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
            assert_memory_equal(w, eff, sizeof w);
            bnf_constraint_backward(c, w, w, grad);
            assert_true(bnf_la_nrm2(BNF_F32, 12, grad) == 0.0);
            bnf_constraint_destroy(c);
        }
}

/* Five forwards on moving weights; then a second constraint takes over the state and must go on bit for bit. */
static void state_continues(bnf_constraint_kind kind, bnf_bjorck_form form, bnf_constraint_moment moment)
{
    enum { R = 20, C = 33, N = R * C };
    bnf_constraint_config config = bnf_constraint_config_default(kind);
    config.form = form;
    float *w = random_array(BNF_F32, N, 51), a[N], b[N];
    double state[R + 1];
    bnf_constraint *first = make(&config, BNF_F32, R, C), *second = make(&config, BNF_F32, R, C);
    assert_int_equal(bnf_constraint_state_size(first), R + 1);
    for (int call = 0; call < 5; call++) {
        w[call * 7] += 0.3f;
        assert_int_equal(bnf_constraint_forward(first, w, a), BNF_OK);
    }
    bnf_constraint_state_get(first, moment, state);
    assert_int_equal(bnf_constraint_state_set(second, state), BNF_OK);
    if (moment == BNF_CONSTRAINT_BEFORE) {
        assert_int_equal(bnf_constraint_forward(second, w, b), BNF_OK);
        assert_memory_equal(a, b, sizeof a);
    }
    for (int call = 0; call < 5; call++) {
        w[call * 11] -= 0.3f;
        assert_int_equal(bnf_constraint_forward(first, w, a), BNF_OK);
        assert_int_equal(bnf_constraint_forward(second, w, b), BNF_OK);
        assert_memory_equal(a, b, sizeof a);
    }
    bnf_constraint_destroy(first);
    bnf_constraint_destroy(second);
    bnf_free(w);
}

static void state_round_trip(void **unused)
{
    (void)unused;
    for (int moment = 0; moment < 2; moment++) {
        state_continues(BNF_CONSTRAINT_SPECTRAL, BNF_BJORCK_DIRECT, (bnf_constraint_moment)moment);
        state_continues(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_DIRECT, (bnf_constraint_moment)moment);
        state_continues(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_EIGEN, (bnf_constraint_moment)moment);
    }
}

static void damaged_state_is_refused(void **unused)
{
    (void)unused;
    bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    bnf_constraint *c = make(&config, BNF_F32, 2, 3);
    double good[] = {1, 0.6, 0.8}, nan[] = {1, NAN, 0.8}, longer[] = {1, 0.7, 0.8}, negative[] = {-1, 0.6, 0.8};
    double broken[] = {0.5, 0.6, 0.8};
    assert_int_equal(bnf_constraint_state_set(c, good), BNF_OK);
    assert_int_equal(bnf_constraint_state_set(c, nan), BNF_ERR_FORMAT);
    assert_int_equal(bnf_constraint_state_set(c, longer), BNF_ERR_FORMAT);
    assert_int_equal(bnf_constraint_state_set(c, negative), BNF_ERR_FORMAT);
    assert_int_equal(bnf_constraint_state_set(c, broken), BNF_ERR_FORMAT);
    bnf_error_clear();
    bnf_constraint_destroy(c);
}

typedef struct step_result {
    float *eff, *grad;
} step_result;

static step_result one_step(bnf_constraint_kind kind, bnf_bjorck_form form, int64_t rows, int64_t cols)
{
    bnf_constraint_config config = bnf_constraint_config_default(kind);
    config.form = form;
    float *w = random_array(BNF_F32, rows * cols, 61), *g = random_array(BNF_F32, rows * cols, 62);
    step_result r = {random_array(BNF_F32, rows * cols, 1), random_array(BNF_F32, rows * cols, 1)};
    bnf_constraint *c = make(&config, BNF_F32, rows, cols);
    assert_int_equal(bnf_constraint_forward(c, w, r.eff), BNF_OK);
    bnf_constraint_backward(c, w, g, r.grad);
    bnf_constraint_destroy(c);
    bnf_free(w);
    bnf_free(g);
    return r;
}

/* 1 thread, 4 threads allowed, and two at once inside a parallel region: the same bits. */
static void threads_do_not_matter(void **unused)
{
    (void)unused;
    const int64_t rows = 128, cols = 300;
    int threads = omp_get_max_threads();
    for (int form = 0; form < 3; form++) {
        bnf_constraint_kind kind = form == 2 ? BNF_CONSTRAINT_SPECTRAL : BNF_CONSTRAINT_BJORCK;
        step_result r[4];
        for (int i = 0; i < 2; i++) {
            omp_set_num_threads(i ? 4 : 1);
            r[i] = one_step(kind, (bnf_bjorck_form)(form % 2), rows, cols);
        }
#pragma omp parallel for num_threads(2)
        for (int i = 2; i < 4; i++)
            r[i] = one_step(kind, (bnf_bjorck_form)(form % 2), rows, cols);
        for (int i = 0; i < 4; i++) {
            assert_memory_equal(r[0].eff, r[i].eff, (size_t)(rows * cols) * sizeof(float));
            assert_memory_equal(r[0].grad, r[i].grad, (size_t)(rows * cols) * sizeof(float));
        }
        for (int i = 0; i < 4; i++) {
            bnf_free(r[i].eff);
            bnf_free(r[i].grad);
        }
    }
    omp_set_num_threads(threads);
}

static void nothing_is_allocated_in_a_step(void **unused)
{
    (void)unused;
    enum { R = 12, C = 20, N = R * C };
    float *w = random_array(BNF_F32, N, 71), eff[N], grad[N];
    for (int kind = BNF_CONSTRAINT_NONE; kind <= BNF_CONSTRAINT_FROBENIUS; kind++)
        for (int form = 0; form < 2; form++) {
            bnf_constraint_config config = bnf_constraint_config_default((bnf_constraint_kind)kind);
            config.form = (bnf_bjorck_form)form;
            int64_t live = bnf_mem_live_blocks();
            bnf_constraint *c = make(&config, BNF_F32, R, C);
            int64_t before = bnf_mem_total_allocations();
            assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
            bnf_constraint_backward(c, w, eff, grad);
            assert_int_equal(bnf_mem_total_allocations(), before);
            bnf_constraint_destroy(c);
            assert_int_equal(bnf_mem_live_blocks(), live);
        }
    bnf_free(w);
}

static void bad_numbers_are_errors(void **unused)
{
    (void)unused;
    enum { R = 3, C = 4, N = R * C };
    for (int kind = BNF_CONSTRAINT_SPECTRAL; kind <= BNF_CONSTRAINT_FROBENIUS; kind++)
        for (int form = 0; form < 2; form++) {
            float *w = random_array(BNF_F32, N, 81), eff[N];
            bnf_constraint_config config = bnf_constraint_config_default((bnf_constraint_kind)kind);
            config.form = (bnf_bjorck_form)form;
            bnf_constraint *c = make(&config, BNF_F32, R, C);
            w[7] = form ? INFINITY : NAN;
            assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_ERR_NUMERIC);
            assert_non_null(strstr(bnf_error_message(), "3 x 4"));
            bnf_error_clear();
            bnf_constraint_destroy(c);
            bnf_free(w);
        }
}

/* A vector u that misses the dominant direction makes the steps diverge: that is an error, not a NaN in the weights. */
static void divergence_is_an_error(void **unused)
{
    (void)unused;
    const double w[] = {10, 0, 0, 1}, state[] = {1, 0, 1};
    for (int form = 0; form < 2; form++) {
        double eff[4];
        bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
        config.form = (bnf_bjorck_form)form;
        config.power_iterations = 1;
        bnf_constraint *c = make(&config, BNF_F64, 2, 2);
        assert_int_equal(bnf_constraint_state_set(c, state), BNF_OK);
        assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_ERR_NUMERIC);
        bnf_error_clear();
        bnf_constraint_destroy(c);
    }
}

static void bad_settings_are_errors(void **unused)
{
    (void)unused;
    bnf_constraint *c = NULL;
    bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    assert_int_equal(bnf_constraint_create(&config, BNF_I32, 2, 2, &c), BNF_ERR_ARG);
    assert_int_equal(bnf_constraint_create(&config, BNF_F32, 0, 2, &c), BNF_ERR_ARG);
    config.bjorck_beta = 0.6;
    assert_int_equal(bnf_constraint_create(&config, BNF_F32, 2, 2, &c), BNF_ERR_ARG);
    bnf_error_clear();
    config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    config.factor = 0.0;
    assert_int_equal(bnf_constraint_create(&config, BNF_F32, 2, 2, &c), BNF_ERR_ARG);
    bnf_error_clear();
    config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
    int64_t live = bnf_mem_live_blocks();
    for (int form = 0; form < 2; form++) {
        config.form = (bnf_bjorck_form)form;
        for (int n = 1; n <= 10; n++) {
            bnf_mem_fail_at(n);
            assert_int_equal(bnf_constraint_create(&config, BNF_F32, 5, 6, &c), BNF_ERR_MEMORY);
            assert_int_equal(bnf_mem_live_blocks(), live);
            bnf_error_clear();
        }
    }
    bnf_mem_fail_at(0);
}

static void names_round_trip(void **unused)
{
    (void)unused;
    for (int k = BNF_CONSTRAINT_NONE; k <= BNF_CONSTRAINT_FROBENIUS; k++) {
        bnf_constraint_kind kind;
        assert_int_equal(bnf_constraint_kind_parse(bnf_constraint_kind_name((bnf_constraint_kind)k), &kind), BNF_OK);
        assert_int_equal(kind, k);
    }
    bnf_bjorck_form form;
    assert_int_equal(bnf_bjorck_form_parse("direct", &form), BNF_OK);
    assert_int_equal(form, BNF_BJORCK_DIRECT);
    assert_int_equal(bnf_bjorck_form_parse("fast", &form), BNF_ERR_CONFIG);
    bnf_constraint_kind kind;
    bnf_error_clear();
    assert_int_equal(bnf_constraint_kind_parse("ortho", &kind), BNF_ERR_CONFIG);
    assert_non_null(strstr(bnf_error_message(), "frobenius_rows"));
    bnf_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_by_two),
        cmocka_unit_test(scalar_map),
        cmocka_unit_test(early_stop_counts),
        cmocka_unit_test(norms_are_bounded),
        cmocka_unit_test(frobenius_values),
        cmocka_unit_test(zero_matrix),
        cmocka_unit_test(state_round_trip),
        cmocka_unit_test(damaged_state_is_refused),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(nothing_is_allocated_in_a_step),
        cmocka_unit_test(bad_numbers_are_errors),
        cmocka_unit_test(divergence_is_an_error),
        cmocka_unit_test(bad_settings_are_errors),
        cmocka_unit_test(names_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
