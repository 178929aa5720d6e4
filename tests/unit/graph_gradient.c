/* Derivatives of whole networks by finite differences in f64: by parameters, by inputs, by batch-level values that
 * leaves read, through shared weights, and of gradients themselves. */
#include "graph_nets.h"

#include "base/mem.h"

static bool sanitized(void)
{
    const char *s = getenv("BNF_SANITIZE");
    return s && *s;
}

/* hkr_soft holds its temperature constant in the backward pass, finite differences cannot; tests/unit/nn_loss.c has
 * it. */
static void test_parameters_of_all_nets(void **unused)
{
    (void)unused;
    bnf_plan_config cfg = {.threads = 1, .seed = 5};
    for (int net = 0; net < NETS; net++)
        for (int64_t leaves = 1; leaves <= 3; leaves += 2) {
            fixture f;
            if (nets[net].build == nets_hkr_soft || (sanitized() && leaves > 1))
                continue;
            nets_open(&f, net, BNF_F64, 2, leaves, &cfg);
            f.differences = sanitized() ? 5 : 12;
            fixture_check_gradients(&f, 2e-6);
            fixture_close(&f);
        }
}

/* --- by other values ---------------------------------------------------------------------------------------------- */

/* A graph of one's own: gradients are asked for by hand. */
typedef struct bench {
    bnf_params *params;
    bnf_graph *graph;
    bnf_builder *b;
    bnf_plan *plan;
} bench;

static void bench_open(bench *t, int64_t leaves)
{
    OK(bnf_params_create(BNF_F64, &t->params));
    OK(bnf_graph_create(t->params, leaves, true, &t->graph));
    t->b = bnf_graph_builder(t->graph);
}

static void bench_plan(bench *t, const bnf_val *keep, int n)
{
    bnf_plan_config cfg = {.threads = 2};
    OK(bnf_graph_status(t->graph));
    OK(bnf_params_init(t->params, 3));
    OK(bnf_plan_create(&cfg, t->graph, keep, n, &t->plan));
}

static void bench_close(bench *t)
{
    bnf_plan_destroy(t->plan);
    bnf_graph_destroy(t->graph);
    bnf_params_destroy(t->params);
}

static double scalar(const bench *t, bnf_val v)
{
    return *(const double *)bnf_plan_output(t->plan, v);
}

static void test_inputs(void **unused)
{
    (void)unused;
    for (int net = 0; net < NETS; net++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 1, .seed = 5};
        bnf_plan *plan;
        bnf_val grad;
        if (nets[net].build == nets_hkr_soft)
            continue;
        nets_open(&f, net, BNF_F64, 2, 3, &cfg);
        OK(bnf_graph_gradient(f.graph, f.loss, &f.x, 1, &grad));
        assert_true(bnf_val_ok(grad) && bnf_val_is_leaf(f.graph, grad));
        bnf_val keep[2] = {f.loss, grad};
        OK(bnf_plan_create(&cfg, f.graph, keep, 2, &plan));
        double count = (double)f.batch, *x = f.x_data;
        OK(bnf_plan_set(plan, f.count, &count));
        OK(bnf_plan_bind(plan, f.x, f.x_data));
        OK(bnf_plan_bind(plan, f.labels, f.label_data));
        OK(bnf_plan_bind(plan, f.weight, f.weight_data));
        OK(bnf_plan_run(plan, 0));
        int64_t n = bnf_desc_count(bnf_val_desc(f.scope.b, f.x)) * f.leaves;
        double *found = malloc((size_t)n * sizeof *found);
        assert_non_null(found);
        memcpy(found, bnf_plan_output(plan, grad), (size_t)n * sizeof *found);
        for (int64_t i = 0; i < n; i += 101) {
            double was = x[i], side[2];
            for (int k = 0; k < 2; k++) {
                x[i] = was + (k ? 1e-6 : -1e-6);
                OK(bnf_params_init(f.params, 7)); /* states as before */
                OK(bnf_plan_run(plan, 0));
                side[k] = *(const double *)bnf_plan_output(plan, f.loss);
            }
            x[i] = was;
            double fd = (side[1] - side[0]) / 2e-6;
            if (!(fabs(fd - found[i]) < 2e-6 * (1 + fabs(fd))))
                fail_msg("%s: d loss / d x[%lld] is %.12g, finite difference %.12g", nets[net].name, (long long)i,
                         found[i], fd);
        }
        free(found);
        bnf_plan_destroy(plan);
        fixture_close(&f);
    }
}

/* loss = sum over leaves and elements of tanh(x * k) + (sum of k^2): k is read by leaves and by the batch. */
static void test_batch_level_value(void **unused)
{
    (void)unused;
    static _Alignas(64) double x[12];
    const double k[3] = {0.3, -0.7, 1.1};
    for (int64_t leaves = 1; leaves <= 4; leaves++) {
        bench t;
        bench_open(&t, leaves);
        bnf_desc xd = bnf_desc_2d(BNF_F64, 1, 3), kd = bnf_desc_1d(BNF_F64, 3);
        bnf_val vx = bnf_graph_input(t.graph, "x", &xd), knob = bnf_graph_knob(t.graph, "k", &kd), grad;
        bnf_val own = bnf_sum_all(t.b, bnf_square(t.b, knob));
        bnf_val loss = bnf_add(t.b, bnf_batch_sum(t.b, bnf_sum_all(t.b, bnf_tanh(t.b, bnf_mul(t.b, vx, knob)))), own);
        OK(bnf_graph_gradient(t.graph, loss, &knob, 1, &grad));
        assert_false(bnf_val_is_leaf(t.graph, grad));
        bnf_val keep[2] = {loss, grad};
        bench_plan(&t, keep, 2);
        for (int i = 0; i < 12; i++)
            x[i] = fixture_value(i);
        OK(bnf_plan_bind(t.plan, vx, x));
        OK(bnf_plan_set(t.plan, knob, k));
        OK(bnf_plan_run(t.plan, 0));
        double expect = 0;
        for (int c = 0; c < 3; c++) {
            double d = 2 * k[c];
            expect += k[c] * k[c];
            for (int l = 0; l < leaves; l++) {
                double y = tanh(x[3 * l + c] * k[c]);
                expect += y;
                d += x[3 * l + c] * (1 - y * y);
            }
            assert_float_equal(((const double *)bnf_plan_output(t.plan, grad))[c], d, 1e-12);
        }
        assert_float_equal(scalar(&t, loss), expect, 1e-12);
        bench_close(&t);
    }
}

/* A leaf-level loss is summed over leaves; leaf_share hands every leaf its part of a batch-level value. */
static void test_leaf_loss_and_share(void **unused)
{
    (void)unused;
    static _Alignas(64) double x[6];
    for (int64_t leaves = 1; leaves <= 6; leaves++) {
        bench t;
        bench_open(&t, leaves);
        bnf_desc one = bnf_desc_1d(BNF_F64, 1);
        bnf_val vx = bnf_graph_input(t.graph, "x", &one), k = bnf_graph_knob(t.graph, "k", &one), grads[2];
        bnf_val share = bnf_leaf_share(t.b, bnf_square(t.b, k)), again = bnf_batch_sum(t.b, share);
        bnf_val loss = bnf_add(t.b, share, bnf_mul(t.b, bnf_square(t.b, vx), bnf_square(t.b, again)));
        assert_true(bnf_val_is_leaf(t.graph, share) && bnf_val_is_leaf(t.graph, loss) &&
                    !bnf_val_is_leaf(t.graph, again));
        bnf_val wrt[2] = {vx, k};
        OK(bnf_graph_gradient(t.graph, loss, wrt, 2, grads));
        bnf_val keep[4] = {share, again, grads[0], grads[1]};
        bench_plan(&t, keep, 4);
        double kv = 1.3, squares = 0;
        for (int i = 0; i < leaves; i++) {
            x[i] = fixture_value(i);
            squares += x[i] * x[i];
        }
        OK(bnf_plan_bind(t.plan, vx, x));
        OK(bnf_plan_set(t.plan, k, &kv));
        OK(bnf_plan_run(t.plan, 0));
        assert_float_equal(scalar(&t, again), kv * kv, 1e-14);
        for (int i = 0; i < leaves; i++) {
            assert_float_equal(((const double *)bnf_plan_output(t.plan, share))[i], kv * kv / (double)leaves, 1e-14);
            assert_float_equal(((const double *)bnf_plan_output(t.plan, grads[0]))[i], 2 * x[i] * pow(kv, 4), 1e-12);
        }
        assert_float_equal(scalar(&t, grads[1]), 2 * kv + squares * 4 * pow(kv, 3), 1e-12);
        bench_close(&t);
    }
}

/* Sum over leaves of a loss that is the same on every leaf counts it once per leaf. */
static void test_parameter_that_no_leaf_varies(void **unused)
{
    (void)unused;
    static _Alignas(64) double x[8];
    bench t;
    int index;
    bench_open(&t, 4);
    bnf_desc one = bnf_desc_1d(BNF_F64, 1);
    bnf_param_info info = {.name = "p", .desc = one, .trainable = true, .init = {BNF_INIT_CONSTANT, 0.5, 0}};
    OK(bnf_params_add(t.params, &info, &index));
    bnf_val vx = bnf_graph_input(t.graph, "x", &one), p = bnf_graph_param(t.graph, index);
    assert_int_equal(bnf_graph_param(t.graph, index).id, p.id);
    bnf_val decay = bnf_square(t.b, p); /* batch-level: counts once */
    bnf_val data = bnf_batch_sum(t.b, bnf_add(t.b, bnf_square(t.b, p), bnf_affine(t.b, vx, 0, 0))); /* once per leaf */
    OK(bnf_graph_minimize(t.graph, bnf_add(t.b, decay, data)));
    bench_plan(&t, NULL, 0);
    OK(bnf_plan_bind(t.plan, vx, x));
    OK(bnf_plan_run(t.plan, 0));
    double sum = 0;
    for (int g = 0; g < bnf_plan_grad_groups(t.plan); g++)
        sum += *(const double *)bnf_plan_grad_group(t.plan, g)->partial[0];
    assert_float_equal(sum, 2 * 0.5 + 4 * 2 * 0.5, 1e-14);
    bench_close(&t);
}

static void test_independent_values_have_no_gradient(void **unused)
{
    (void)unused;
    bench t;
    bench_open(&t, 2);
    bnf_desc d = bnf_desc_2d(BNF_F64, 2, 3);
    bnf_val x = bnf_graph_input(t.graph, "x", &d), y = bnf_graph_input(t.graph, "y", &d), grads[3];
    bnf_val stopped = bnf_mul(t.b, x, bnf_stop_gradient(t.b, y)), loss = bnf_batch_sum(t.b, bnf_sum_all(t.b, stopped));
    bnf_val wrt[3] = {x, y, loss};
    OK(bnf_graph_gradient(t.graph, loss, wrt, 3, grads));
    assert_true(bnf_val_ok(grads[0]) && !bnf_val_ok(grads[1]) && bnf_val_ok(grads[2]));
    t.plan = NULL;
    bench_close(&t);
}

/* --- the gradient of a gradient: a penalty on the slope at the input ---------------------------------------------- */

static bnf_val build_slope_penalty(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val y = bnf_tanh(b, nets_dense(f, "dense1", bnf_flatten(b, f->x), 12)), slope;
    y = bnf_sum_all(b, bnf_tanh(b, nets_dense(f, "dense2", y, 5)));
    if (bnf_graph_gradient(f->graph, y, &f->x, 1, &slope) != BNF_OK)
        fail_msg("%s", bnf_error_message());
    bnf_val norm = bnf_batch_sum(b, bnf_sum_all(b, bnf_square(b, slope)));
    return bnf_add(b, bnf_square(b, bnf_affine(b, norm, 1, -1)), bnf_affine(b, bnf_batch_sum(b, y), 0.1, 0));
}

static void test_gradient_of_gradient(void **unused)
{
    (void)unused;
    bnf_desc sample = bnf_desc_2d(BNF_F64, 1, 6);
    bnf_plan_config cfg = {.threads = 2};
    for (int64_t leaves = 1; leaves <= 3; leaves++) {
        fixture f;
        fixture_open(&f, BNF_F64, 2 * leaves, leaves, &sample, 2, build_slope_penalty, &cfg);
        fixture_check_gradients(&f, 1e-6);
        fixture_close(&f);
    }
}

static void test_balance(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_of_all_nets),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_batch_level_value),
        cmocka_unit_test(test_leaf_loss_and_share),
        cmocka_unit_test(test_parameter_that_no_leaf_varies),
        cmocka_unit_test(test_independent_values_have_no_gradient),
        cmocka_unit_test(test_gradient_of_gradient),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
