/* Losses: the oracles of spec 05, independence of the number of leaves, gradients by finite differences. */
#include "graph_fixture.h"

#include "base/mem.h"

static bnf_hkr hkr;
static const double oracle_logits[6][3] = {{2, .2, -.5}, {-1, -1.2, .3},   {.8, 2, 0},
                                           {0, 1, -.5},  {2.4, -.4, -1.1}, {-.1, -1.7, .6}};
static const int32_t oracle_labels[6] = {0, 0, 0, 1, 1, 2};

/* The input itself is the network; a parameter times 0 keeps minimize() content. */
static bnf_val build_identity(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val shift =
        bnf_nn_param(&f->scope, &(bnf_param_info){.name = "shift", .desc = bnf_desc_1d(BNF_F64, 1), .trainable = true});
    bnf_val y = bnf_add(b, f->x, shift);
    bnf_hkr_terms t = bnf_loss_hkr(&f->scope, "loss", y, f->labels, &hkr);
    f->kept[0] = t.kr;
    f->kept[1] = t.hinge;
    f->n_kept = 2;
    return t.loss;
}

static void open_oracle(fixture *f, int64_t leaves, int threads)
{
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 3);
    bnf_plan_config cfg = {.threads = threads};
    fixture_open(f, BNF_F64, 6, leaves, &sample, 3, build_identity, &cfg);
    memcpy(f->x_data, oracle_logits, sizeof oracle_logits);
    memcpy(f->label_data, oracle_labels, sizeof oracle_labels);
}

static void test_multiclass_oracle(void **unused)
{
    (void)unused;
    for (int64_t leaves = 1; leaves <= 6; leaves = leaves == 3 ? 6 : leaves + 1) {
        fixture f;
        hkr = (bnf_hkr){.kind = BNF_HKR_MULTICLASS, .form = BNF_HKR_SUM, .alpha = 5, .min_margin = 2};
        open_oracle(&f, leaves, 2);
        assert_float_equal(fixture_run(&f), 1071.0 / 200, 1e-12);
        assert_float_equal(fixture_scalar(&f, f.kept[0]), 761.0 / 1800, 1e-12);
        fixture_close(&f);
    }
}

static void test_soft_oracle(void **unused)
{
    (void)unused;
    for (int64_t leaves = 1; leaves <= 3; leaves++) {
        fixture f;
        hkr = (bnf_hkr){.kind = BNF_HKR_SOFT, .form = BNF_HKR_SUM, .alpha = 5, .min_margin = 0.2, .temperature = 1};
        open_oracle(&f, leaves, 1);
        assert_float_equal(fixture_run(&f), 1.0897621, 5e-8);
        assert_float_equal(fixture_run(&f), 1.0834466, 5e-8); /* the moving mean has moved */
        fixture_close(&f);
        hkr.form = BNF_HKR_CONVEX;
        hkr.alpha = 5.0 / 6; /* how the public library maps alpha 5 */
        open_oracle(&f, leaves, 1);
        assert_float_equal(fixture_run(&f), 1.0897621 * 5 / 6, 5e-8);
        fixture_close(&f);
    }
}

static void test_binary_oracle(void **unused)
{
    (void)unused;
    static const double values[6] = {.5, 1.5, -.5, -.5, -1.5, .5};
    static const int32_t labels[6] = {1, 1, 1, 0, 0, 0};
    fixture f;
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 1);
    bnf_plan_config cfg = {.threads = 2};
    hkr = (bnf_hkr){.kind = BNF_HKR_BINARY, .form = BNF_HKR_SUM, .alpha = 1, .min_margin = 2};
    fixture_open(&f, BNF_F64, 6, 3, &sample, 2, build_identity, &cfg);
    memcpy(f.x_data, values, sizeof values);
    memcpy(f.label_data, labels, sizeof labels);
    fixture_run(&f);
    assert_float_equal(fixture_scalar(&f, f.kept[0]), 1.0, 1e-12);
    assert_float_equal(fixture_scalar(&f, f.kept[1]), 4.0 / 6, 1e-12);
    fixture_close(&f);
}

/* In f64; assert_float_equal compares floats. */
static void near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%.15g, not %.15g", got, want);
}

/* The largest other logit by log-sum-exp, straight from its definition. Logits are also scaled so far that exp(f) alone
 * is no number. */
static void test_lse_oracle(void **unused)
{
    (void)unused;
    static const double sizes[] = {1, 0.01, 400};
    for (int k = 0; k < 6; k++) {
        fixture f;
        double kr = 0, hinge = 0, size = sizes[k / 2];
        hkr = (bnf_hkr){.kind = BNF_HKR_LSE,
                        .form = (bnf_hkr_form)(k % 2),
                        .alpha = 0.7,
                        .min_margin = 0.8,
                        .temperature = 2,
                        .penalty = 1.5};
        const double t = log(2) / (0.8 * 1.5 / 2), h = 0.4;
        open_oracle(&f, 3, 1);
        for (int i = 0; i < 18; i++)
            ((double *)f.x_data)[i] *= size;
        for (int i = 0; i < 6; i++) {
            const int y = oracle_labels[i], a = (y + 1) % 3, b = (y + 2) % 3;
            const double fy = 2 * size * oracle_logits[i][y], fa = 2 * size * oracle_logits[i][a],
                         fb = 2 * size * oracle_logits[i][b], most = fmax(fa, fb);
            const double n = most + log1p(exp(-t * fabs(fa - fb))) / t;
            kr += (fy - n) / 6;
            hinge += (fmax(0, h - fy) + fmax(0, h + n)) / 6;
        }
        const double loss = k % 2 ? -0.3 * kr + 0.7 * hinge : -kr + 0.7 * hinge;
        near(fixture_run(&f), loss, 1e-13 * (1 + size));
        near(fixture_scalar(&f, f.kept[0]), kr, 1e-13 * (1 + size));
        near(fixture_scalar(&f, f.kept[1]), hinge, 1e-13 * (1 + size));
        fixture_close(&f);
    }
}

/* A class that is absent from the batch contributes its negative side only, and nothing is divided by zero. */
static void test_absent_class(void **unused)
{
    (void)unused;
    fixture f;
    hkr = (bnf_hkr){.kind = BNF_HKR_MULTICLASS, .form = BNF_HKR_SUM, .alpha = 0, .min_margin = 2};
    open_oracle(&f, 2, 1);
    for (int i = 0; i < 6; i++)
        f.label_data[i] = i < 3 ? 0 : 1;
    double expect = 0;
    for (int k = 0; k < 3; k++) {
        double pos = 0, neg = 0;
        for (int i = 0; i < 6; i++) {
            if (f.label_data[i] == k)
                pos += oracle_logits[i][k] / 3;
            else
                neg += oracle_logits[i][k] / (k == 2 ? 6 : 3);
        }
        expect += (pos - neg) / 3;
    }
    fixture_run(&f);
    assert_float_equal(fixture_scalar(&f, f.kept[0]), expect, 1e-12);
    fixture_close(&f);
}

/* All samples of one class: no negatives for it, no positives for the others, and neither count is divided by. */
static void test_one_class(void **unused)
{
    (void)unused;
    for (int label = 0; label < 3; label++) {
        fixture f;
        double expect = 0;
        hkr = (bnf_hkr){.kind = BNF_HKR_MULTICLASS, .form = BNF_HKR_SUM, .alpha = 0, .min_margin = 2};
        open_oracle(&f, 3, 1);
        for (int i = 0; i < 6; i++) {
            f.label_data[i] = label;
            for (int k = 0; k < 3; k++)
                expect += (k == label ? 1 : -1) * oracle_logits[i][k] / 18;
        }
        near(fixture_run(&f), -expect, 1e-14);
        fixture_check_gradients(&f, 1e-8);
        fixture_close(&f);
    }
    for (int label = 0; label < 2; label++) {
        static const double values[6] = {.5, 1.5, -.5, -.5, -1.5, 1.5};
        fixture f;
        bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 1);
        bnf_plan_config cfg = {.threads = 1};
        hkr = (bnf_hkr){.kind = BNF_HKR_BINARY, .form = BNF_HKR_SUM, .alpha = 0, .min_margin = 2};
        fixture_open(&f, BNF_F64, 6, 2, &sample, 2, build_identity, &cfg);
        memcpy(f.x_data, values, sizeof values);
        for (int i = 0; i < 6; i++)
            f.label_data[i] = label;
        near(fixture_run(&f), label ? -1.0 / 6 : 1.0 / 6, 1e-14);
        fixture_check_gradients(&f, 1e-8);
        fixture_close(&f);
    }
}

/* Padding samples have weight 0: the loss is that of the batch without them. */
static void test_padding(void **unused)
{
    (void)unused;
    static const bnf_hkr_kind kinds[] = {BNF_HKR_MULTICLASS, BNF_HKR_SOFT, BNF_HKR_LSE};
    for (int k = 0; k < 3; k++) {
        fixture f;
        hkr = (bnf_hkr){
            .kind = kinds[k], .form = BNF_HKR_SUM, .alpha = 5, .min_margin = 0.5, .temperature = 2, .penalty = 1};
        bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 3);
        bnf_plan_config cfg = {.threads = 1};
        open_oracle(&f, 3, 1);
        double expect = fixture_run(&f), six = 6;
        fixture_close(&f);
        fixture_open(&f, BNF_F64, 8, 4, &sample, 3, build_identity, &cfg);
        memcpy(f.x_data, oracle_logits, sizeof oracle_logits);
        memcpy(f.label_data, oracle_labels, sizeof oracle_labels);
        ((double *)f.weight_data)[6] = ((double *)f.weight_data)[7] = 0;
        OK(bnf_plan_set(f.plan, f.count, &six));
        assert_float_equal(fixture_run(&f), expect, 1e-12);
        fixture_close(&f);
    }
}

static bnf_val build_small(fixture *f)
{
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    bnf_val y = bnf_nn_dense(&f->scope, "dense1", f->x, 6, true, &none);
    y = bnf_groupsort2(f->scope.b, y);
    y = bnf_nn_dense(&f->scope, "head", y, f->classes == 2 ? 1 : f->classes, true, &none);
    return bnf_loss_hkr(&f->scope, "loss", y, f->labels, &hkr).loss;
}

static void test_hkr_gradients(void **unused)
{
    (void)unused;
    static const bnf_hkr cases[] = {
        {.kind = BNF_HKR_BINARY, .form = BNF_HKR_SUM, .alpha = 10, .min_margin = 1},
        {.kind = BNF_HKR_BINARY, .form = BNF_HKR_CONVEX, .alpha = 0.9, .min_margin = 1},
        {.kind = BNF_HKR_MULTICLASS, .form = BNF_HKR_SUM, .alpha = 10, .min_margin = 1},
        {.kind = BNF_HKR_MULTICLASS, .form = BNF_HKR_CONVEX, .alpha = 0.9, .min_margin = 1},
        {.kind = BNF_HKR_LSE, .form = BNF_HKR_SUM, .alpha = 10, .min_margin = 1, .temperature = 2, .penalty = 0.5},
        {.kind = BNF_HKR_LSE, .form = BNF_HKR_CONVEX, .alpha = 0.9, .min_margin = 1, .temperature = 2, .penalty = 0.5},
    };
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 5);
    bnf_plan_config cfg = {.threads = 2};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int64_t leaves = 1; leaves <= 4; leaves *= 4) {
            fixture f;
            hkr = cases[i];
            fixture_open(&f, BNF_F64, 8, leaves, &sample, hkr.kind == BNF_HKR_BINARY ? 2 : 4, build_small, &cfg);
            fixture_check_gradients(&f, 1e-7);
            fixture_close(&f);
        }
}

/* The soft form stops the gradient through its temperature, which finite differences cannot: hold the temperature at
 * its upper clip. */
static void test_soft_gradient(void **unused)
{
    (void)unused;
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 5);
    bnf_plan_config cfg = {.threads = 2};
    for (int form = 0; form < 2; form++) {
        fixture f;
        hkr = (bnf_hkr){.kind = BNF_HKR_SOFT,
                        .form = (bnf_hkr_form)form,
                        .alpha = form ? 0.9 : 10,
                        .min_margin = 10,
                        .temperature = 3};
        fixture_open(&f, BNF_F64, 8, 4, &sample, 4, build_small, &cfg);
        fixture_check_gradients(&f, 1e-7); /* |f| stays below min_margin, so the clipped mean is min_margin */
        fixture_close(&f);
    }
}

static bnf_val build_shifts(fixture *f)
{
    bnf_val shift =
        bnf_nn_param(&f->scope, &(bnf_param_info){.name = "shift", .desc = bnf_desc_1d(BNF_F64, 3), .trainable = true});
    return bnf_loss_hkr(&f->scope, "loss", bnf_add(f->scope.b, f->x, shift), f->labels, &hkr).loss;
}

/* Where the temperature does depend on the logits: the gradient of the spec's formula, which flows through the softmax
 * weights w and not through the temperature tau. For a score sum of w_k a_k it is w_j a'_j + tau w_j (a_j - sum w a);
 * without the second term it would be another one. */
static void test_soft_gradient_formula(void **unused)
{
    (void)unused;
    const double mm = 0.2, h = mm / 2, alpha = 5;
    double mean = 0, expect[3] = {0}, without = 0;
    for (int i = 0; i < 18; i++)
        mean += fabs(oracle_logits[i / 3][i % 3]) / 18;
    const double moved = 0.99 * mm + 0.01 * mean, tau = 3 * mm / moved;
    assert_true(moved > mm);
    for (int i = 0; i < 6; i++) {
        const double *f = oracle_logits[i];
        const int y = oracle_labels[i];
        double all = 0, wf = 0, wa = 0;
        for (int k = 0; k < 3; k++)
            all += k == y ? 0 : exp(tau * f[k]);
        for (int k = 0; k < 3; k++) {
            wf += k == y ? 0 : exp(tau * f[k]) / all * f[k];
            wa += k == y ? 0 : exp(tau * f[k]) / all * fmax(0, h + f[k]);
        }
        for (int j = 0; j < 3; j++) {
            const double w = exp(tau * f[j]) / all, through = tau * w * ((f[j] - wf) / alpha + fmax(0, h + f[j]) - wa);
            if (j == y)
                expect[j] += (-1 / alpha - (h - f[j] > 0)) / 6;
            else
                expect[j] += (w / alpha + w * (h + f[j] > 0) + through) / 6;
            without += j == y ? 0 : fabs(through);
        }
    }
    assert_true(without > 0.1);
    for (int64_t leaves = 1; leaves <= 3; leaves++) {
        fixture f;
        bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 3);
        bnf_plan_config cfg = {.threads = 1};
        hkr = (bnf_hkr){.kind = BNF_HKR_SOFT, .form = BNF_HKR_SUM, .alpha = alpha, .min_margin = mm, .temperature = 3};
        fixture_open(&f, BNF_F64, 6, leaves, &sample, 3, build_shifts, &cfg);
        memcpy(f.x_data, oracle_logits, sizeof oracle_logits);
        memcpy(f.label_data, oracle_labels, sizeof oracle_labels);
        fixture_run(&f);
        const double *found = fixture_gradient(&f, bnf_params_find(f.params, "shift"));
        for (int j = 0; j < 3; j++)
            near(found[j], expect[j], 1e-14);
        fixture_close(&f);
    }
}

static int loss_kind;
static bnf_val build_other(fixture *f)
{
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    bnf_batch_norm_layer norm = bnf_batch_norm_layer_default();
    norm.per_leaf = loss_kind == 4;
    bnf_scope *s = &f->scope;
    bnf_val y = bnf_nn_dense(s, "dense1", f->x, 6, true, &none);
    if (loss_kind >= 3)
        y = bnf_nn_batch_norm(s, "norm1", y, &norm);
    y = bnf_nn_dense(s, "head", bnf_tanh(s->b, y), f->classes, true, &none);
    if (loss_kind == 1)
        return bnf_loss_mse(s, y, bnf_one_hot(s->b, f->labels, f->classes));
    if (loss_kind == 2)
        return bnf_loss_bce_logits(s, y, bnf_one_hot(s->b, f->labels, f->classes));
    return bnf_loss_cross_entropy(s, y, f->labels, loss_kind == 0 ? 0.1 : 0);
}

static void test_other_gradients(void **unused)
{
    (void)unused;
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 5);
    for (loss_kind = 0; loss_kind < 5; loss_kind++)
        for (int eager = 0; eager < 2; eager++) {
            fixture f;
            bnf_plan_config cfg = {.threads = 2, .eager = eager};
            fixture_open(&f, BNF_F64, 8, 4, &sample, 3, build_other, &cfg);
            if (!eager) { /* with a padding sample */
                const double seven = 7;
                ((double *)f.weight_data)[7] = 0;
                assert_int_equal(bnf_plan_set(f.plan, f.count, &seven), BNF_OK);
            }
            fixture_check_gradients(&f, 1e-7);
            fixture_close(&f);
        }
}

static void test_refusals(void **unused)
{
    (void)unused;
    bnf_params *params;
    bnf_graph *graph;
    OK(bnf_params_create(BNF_F64, &params));
    OK(bnf_graph_create(params, 2, true, &graph));
    bnf_desc fd = bnf_desc_2d(BNF_F64, 4, 2), yd = bnf_desc_1d(BNF_I32, 4);
    bnf_scope s = {params, graph, bnf_graph_builder(graph), BNF_NONE, bnf_const(bnf_graph_builder(graph), 8), true};
    bnf_val f = bnf_graph_input(graph, "f", &fd), y = bnf_graph_input(graph, "y", &yd);
    hkr = (bnf_hkr){.kind = BNF_HKR_LSE, .alpha = 1, .min_margin = 1, .temperature = 1, .penalty = 1};
    bnf_loss_hkr(&s, "loss", f, y, &hkr);
    assert_int_equal(bnf_graph_status(graph), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "3 classes"));
    bnf_graph_destroy(graph);
    bnf_params_destroy(params);
    bnf_error_clear();
}

static void test_balance(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiclass_oracle),
        cmocka_unit_test(test_soft_oracle),
        cmocka_unit_test(test_binary_oracle),
        cmocka_unit_test(test_absent_class),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_hkr_gradients),
        cmocka_unit_test(test_soft_gradient),
        cmocka_unit_test(test_other_gradients),
        cmocka_unit_test(test_lse_oracle),
        cmocka_unit_test(test_one_class),
        cmocka_unit_test(test_soft_gradient_formula),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
