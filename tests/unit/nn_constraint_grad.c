/* The derivative of every constraint against central differences in f64, for tall, wide, square, nearly rank-deficient,
 * one-row and one-column matrices, both forms of the Bjorck steps. */
#include "la_support.h"

#include "la/vec.h"
#include "nn/constraint.h"

#include <math.h>
#include <string.h>

typedef struct grad_case {
    int64_t rows, cols;
    bool low_rank; /* rank 1 plus 1e-3 noise */
} grad_case;

static const grad_case cases[] = {{6, 11, false}, {11, 6, false}, {7, 7, false}, {6, 9, true},
                                  {9, 6, true},   {1, 8, false},  {8, 1, false}, {1, 1, false}};

static double *case_matrix(grad_case g, uint64_t seed)
{
    double *w = random_array(BNF_F64, g.rows * g.cols, seed);
    if (g.low_rank) {
        double *x = random_array(BNF_F64, g.rows, seed + 1), *y = random_array(BNF_F64, g.cols, seed + 2);
        for (int64_t i = 0; i < g.rows * g.cols; i++)
            w[i] = 1e-3 * w[i] + x[i / g.cols] * y[i % g.cols];
        bnf_free(x);
        bnf_free(y);
    }
    return w;
}

/* <r, constraint(w)> with the state set first, so that every call begins alike. */
static double loss(bnf_constraint *c, const double *state, int64_t n, const double *w, const double *r, double *eff)
{
    assert_int_equal(bnf_constraint_state_set(c, state), BNF_OK);
    assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
    return bnf_la_dot(BNF_F64, n, r, eff);
}

/* state: where the constraint begins; its own u must not move in a forward for the differences to see u held constant.
 *        */
static void check_gradient(const bnf_constraint_config *config, grad_case g, const double *state)
{
    int64_t n = g.rows * g.cols;
    double *w = case_matrix(g, 5), *r = random_array(BNF_F64, n, 9), *eff = random_array(BNF_F64, n, 1);
    double *grad = random_array(BNF_F64, n, 2), scale = 0.0;
    bnf_constraint *c = NULL;
    assert_int_equal(bnf_constraint_create(config, BNF_F64, g.rows, g.cols, &c), BNF_OK);
    loss(c, state, n, w, r, eff);
    int steps = bnf_constraint_get_stats(c).bjorck_iterations;
    bnf_constraint_backward(c, w, r, grad);
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(grad[i]));
    for (int64_t i = 0; i < n; i++) {
        double h = g.low_rank ? 1e-6 : 1e-5, value = w[i], difference; /* truncation grows with 1 / noise */
        w[i] = value + h;
        difference = loss(c, state, n, w, r, eff);
        w[i] = value - h;
        difference = (difference - loss(c, state, n, w, r, eff)) / (2.0 * h);
        w[i] = value;
        assert_int_equal(bnf_constraint_get_stats(c).bjorck_iterations, steps);
        assert_true(fabs(difference - grad[i]) <= 1e-7 * fmax(scale, 1.0));
    }
    bnf_constraint_destroy(c);
    bnf_free(w);
    bnf_free(r);
    bnf_free(eff);
    bnf_free(grad);
}

/* A state with u held at a fixed unit vector; eps is large enough that the Bjorck steps converge with any u. */
static void check_spectral(bnf_constraint_kind kind, bnf_bjorck_form form, int steps, double beta, double tolerance)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grad_case g = cases[i];
        int64_t m = g.rows < g.cols ? g.rows : g.cols;
        bnf_constraint_config config = bnf_constraint_config_default(kind);
        config.form = form;
        config.power_iterations = 0;
        config.eps = 3.0;
        config.bjorck_iterations = steps;
        config.bjorck_beta = beta;
        config.bjorck_tolerance = tolerance;
        config.factor = 0.7;
        double *state = random_array(BNF_F64, m + 1, 77);
        bnf_la_axpby(BNF_F64, m, 1.0 / bnf_la_nrm2(BNF_F64, m, state + 1), state + 1, 0.0, state + 1);
        state[0] = 1.0;
        check_gradient(&config, g, state);
        bnf_free(state);
    }
}

static void spectral(void **state)
{
    (void)state;
    check_spectral(BNF_CONSTRAINT_SPECTRAL, BNF_BJORCK_DIRECT, 1, 0.5, 0.0);
}

static void bjorck_direct(void **state)
{
    (void)state;
    check_spectral(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_DIRECT, 1, 0.5, 0.0);
    check_spectral(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_DIRECT, 6, 0.3, 0.0);
    check_spectral(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_DIRECT, 15, 0.5, 1e-3);
}

static void bjorck_eigen(void **state)
{
    (void)state;
    check_spectral(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_EIGEN, 1, 0.5, 0.0);
    check_spectral(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_EIGEN, 6, 0.3, 0.0);
    check_spectral(BNF_CONSTRAINT_BJORCK, BNF_BJORCK_EIGEN, 15, 0.5, 1e-3);
}

/* With a converged power iteration sigma is stationary in u, so the derivative with u held constant is the whole one.
 * */
static void converged_power_iteration(void **unused)
{
    (void)unused;
    grad_case g = {6, 11, false};
    for (int form = 0; form < 2; form++) {
        bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
        config.form = (bnf_bjorck_form)form;
        config.power_cold_iterations = 2000;
        config.power_tolerance = 1e-15;
        config.bjorck_iterations = 4;
        config.bjorck_tolerance = 0.0;
        double state[7];
        bnf_constraint *c = NULL;
        assert_int_equal(bnf_constraint_create(&config, BNF_F64, g.rows, g.cols, &c), BNF_OK);
        bnf_constraint_state_get(c, BNF_CONSTRAINT_AFTER, state);
        assert_true(state[0] == 0.0); /* cold: every forward runs to convergence */
        bnf_constraint_destroy(c);
        check_gradient(&config, g, state);
    }
}

/* Singular values all equal: the eigenvectors are arbitrary, the divided differences are derivatives. */
static void equal_singular_values(void **unused)
{
    (void)unused;
    enum { R = 5, C = 8, N = R * C };
    const double sigma[R] = {1, 1, 1, 1, 1};
    double *w = matrix_with_singular_values(R, C, sigma, 3), *r = random_array(BNF_F64, N, 4), grad[2][N], eff[N];
    for (int form = 0; form < 2; form++) {
        bnf_constraint_config config = bnf_constraint_config_default(BNF_CONSTRAINT_BJORCK);
        bnf_constraint *c = NULL;
        config.form = (bnf_bjorck_form)form;
        config.eps = 0.5;
        config.power_cold_iterations = 0; /* both keep the same u: any unit vector is a singular vector here */
        assert_int_equal(bnf_constraint_create(&config, BNF_F64, R, C, &c), BNF_OK);
        assert_int_equal(bnf_constraint_forward(c, w, eff), BNF_OK);
        bnf_constraint_backward(c, w, r, grad[form]);
        bnf_constraint_destroy(c);
    }
    for (int i = 0; i < N; i++)
        assert_true(fabs(grad[0][i] - grad[1][i]) < 1e-12);
    bnf_free(w);
    bnf_free(r);
}

static void frobenius_kinds_and_none(void **state)
{
    (void)state;
    const bnf_constraint_kind kinds[] = {BNF_CONSTRAINT_NONE, BNF_CONSTRAINT_FROBENIUS_ROWS, BNF_CONSTRAINT_FROBENIUS};
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            bnf_constraint_config config = bnf_constraint_config_default(kinds[k]);
            config.factor = 1.3;
            check_gradient(&config, cases[i], NULL);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spectral),
        cmocka_unit_test(bjorck_direct),
        cmocka_unit_test(bjorck_eigen),
        cmocka_unit_test(converged_power_iteration),
        cmocka_unit_test(equal_singular_values),
        cmocka_unit_test(frobenius_kinds_and_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
