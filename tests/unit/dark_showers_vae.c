/* The categorical variational form of paper 04: the density of relaxed one-hot variables, the divergence from the
 * prior, gradients through the draws. */
#include "graph_fixture.h"

#include "base/mem.h"
#include "recipes/dark_showers/dark_showers.h"
#include "recipes/dark_showers/vae.h"

enum { POINTS = 4000, CATEGORIES = 4, SIDE = 8, FEATURES = 3, DRAWS = 3 };

static void set(fixture *f, const char *name, const double *values, int64_t n)
{
    int i = bnf_params_find(f->params, name);
    if (i < 0)
        fail_msg("no parameter '%s'", name);
    assert_int_equal(bnf_desc_count(&bnf_params_info(f->params, i)->desc), n);
    memcpy(bnf_params_value(f->params, i), values, (size_t)n * sizeof(double));
    bnf_params_touch(f->params);
}

static bnf_val learned(bnf_scope *s, const char *name, int64_t n)
{
    return bnf_nn_param(s, &(bnf_param_info){.name = name, .desc = bnf_desc_1d(BNF_F64, n), .trainable = true});
}

/* y = softmax(x) with x[1,2]. */
static bnf_val build_density(fixture *f)
{
    bnf_scope *s = &f->scope;
    bnf_val density = bnf_dark_relaxed_log_density(s, bnf_log_softmax(s->b, f->x), learned(s, "logits", 2),
                                                   bnf_exp(s->b, learned(s, "log_temperature", 1)));
    f->kept[f->n_kept++] = density;
    return bnf_nn_batch_mean(s, density);
}

/* Over y = (u, 1 - u), 0 < u < 1, with u the logistic function of t: du = u (1 - u) dt. */
static void density_integrates_to_one(void **state)
{
    (void)state;
    const double logits[][2] = {{0, 0}, {1.5, -0.5}, {-3, 0}}, temperatures[] = {0.4, 1, 2.5};
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 2);
    fixture f;
    fixture_open(&f, BNF_F64, POINTS, 1, &sample, 2, build_density, &cfg);
    double step = 200.0 / POINTS, *x = f.x_data;
    for (int i = 0; i < POINTS; i++) {
        x[2 * i] = -100 + step * (i + 0.5);
        x[2 * i + 1] = 0;
    }
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < 3; j++) {
            double log_temperature = log(temperatures[j]), sum = 0;
            set(&f, "logits", logits[k], 2);
            set(&f, "log_temperature", &log_temperature, 1);
            fixture_run(&f);
            const double *density = bnf_plan_output(f.plan, f.kept[0]);
            for (int i = 0; i < POINTS; i++) {
                double u = 1 / (1 + exp(-x[2 * i]));
                sum += exp(density[i]) * u * (1 / (1 + exp(x[2 * i]))) * step;
            }
            if (fabs(sum - 1) > 1e-6)
                fail_msg("logits %g, %g, temperature %g: the density's integral is %.9g", logits[k][0], logits[k][1],
                         temperatures[j], sum);
        }
    fixture_close(&f);
}

static void density_gradients(void **state)
{
    (void)state;
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 2);
    fixture f;
    fixture_open(&f, BNF_F64, 8, 2, &sample, 2, build_density, &cfg);
    set(&f, "logits", (double[]){0.7, -1.1}, 2);
    set(&f, "log_temperature", (double[]){0.3}, 1);
    fixture_check_gradients(&f, 1e-7);
    fixture_close(&f);
}

static const bnf_dark_model model = {.latent = CATEGORIES, .draws = DRAWS};

static bnf_val build_code(fixture *f)
{
    bnf_scope *s = &f->scope;
    s->seed = 5;
    bnf_dark_code code = bnf_dark_draw_code(s, &model, f->x);
    f->kept[f->n_kept++] = code.kl;
    f->kept[f->n_kept++] = code.z;
    bnf_val sum = bnf_sum_last(s->b, bnf_flatten(s->b, bnf_square(s->b, code.z)));
    return bnf_nn_batch_mean(s, bnf_add(s->b, sum, code.kl));
}

static void open_code(fixture *f)
{
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_4d(BNF_F64, 1, SIDE, SIDE, FEATURES);
    fixture_open(f, BNF_F64, 6, 3, &sample, 2, build_code, &cfg);
}

static void code_gradients(void **state)
{
    (void)state;
    fixture f;
    open_code(&f);
    fixture_check_gradients(&f, 1e-6);
    fixture_close(&f);
}

/* Codes lie on the simplex; with a prior that is the posterior the divergence is 0, with another it is not. */
static void divergence(void **state)
{
    (void)state;
    const double zeros[CATEGORIES * FEATURES] = {0}, logits[CATEGORIES] = {1, -2, 0.5, 0};
    const double softplus = log1p(exp(0.25)), temperature = softplus + 1;
    fixture f;
    open_code(&f);
    set(&f, "encoder.latent.weight", zeros, CATEGORIES * FEATURES);
    set(&f, "encoder.latent.bias", logits, CATEGORIES);
    set(&f, "encoder.temperature.weight", zeros, FEATURES);
    set(&f, "encoder.temperature.bias", (double[]){0.25}, 1);
    fixture_run(&f);
    const double *kl = bnf_plan_output(f.plan, f.kept[0]), *z = bnf_plan_output(f.plan, f.kept[1]);
    for (int i = 0; i < 6; i++)
        assert_true(kl[i] > 1);
    for (int i = 0; i < 6 * SIDE * SIDE; i++) {
        double sum = 0;
        for (int k = 0; k < CATEGORIES; k++) {
            assert_true(z[i * CATEGORIES + k] >= 0);
            sum += z[i * CATEGORIES + k];
        }
        assert_true(fabs(sum - 1) < 1e-12);
    }
    for (int i = 1; i <= 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "prior.logits%d", i);
        set(&f, name, logits, CATEGORIES);
        snprintf(name, sizeof name, "prior.temperature%d", i);
        set(&f, name, &temperature, 1);
    }
    fixture_run(&f);
    for (int i = 0; i < 6; i++)
        if (!(fabs(kl[i]) < 1e-9))
            fail_msg("sample %d: the divergence of a distribution from itself is %g", i, kl[i]);
    fixture_close(&f);
}

/* The prior: states, not learned, normal logits and temperatures in [0.1, 1). */
static void prior_start(void **state)
{
    (void)state;
    fixture f;
    open_code(&f);
    double sum = 0;
    for (int i = 1; i <= 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "prior.temperature%d", i);
        int t = bnf_params_find(f.params, name);
        snprintf(name, sizeof name, "prior.logits%d", i);
        int l = bnf_params_find(f.params, name);
        assert_true(t >= 0 && l >= 0);
        assert_false(bnf_params_info(f.params, t)->trainable || bnf_params_info(f.params, l)->trainable);
        double temperature = *(const double *)bnf_params_value(f.params, t);
        assert_true(temperature >= 0.1 && temperature < 1);
        for (int k = 0; k < CATEGORIES; k++)
            sum += pow(((const double *)bnf_params_value(f.params, l))[k], 2);
    }
    assert_true(sum > 6 && sum < 45); /* chi squared with 20 degrees of freedom */
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(density_integrates_to_one),
        cmocka_unit_test(density_gradients),
        cmocka_unit_test(code_gradients),
        cmocka_unit_test(divergence),
        cmocka_unit_test(prior_start),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures || bnf_mem_live_blocks() != 0;
}
