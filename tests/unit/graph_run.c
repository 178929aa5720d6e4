/* What a run does besides computing: states, knobs, checks, and what it says when something is wrong. */
#include "graph_nets.h"

#include "base/mem.h"

typedef struct bench {
    bnf_params *params;
    bnf_graph *graph;
    bnf_builder *b;
    bnf_plan *plan;
} bench;

static void bench_open(bench *t, int64_t leaves)
{
    memset(t, 0, sizeof *t);
    OK(bnf_params_create(BNF_F64, &t->params));
    OK(bnf_graph_create(t->params, leaves, true, &t->graph));
    t->b = bnf_graph_builder(t->graph);
}

static void bench_close(bench *t)
{
    bnf_plan_destroy(t->plan);
    bnf_graph_destroy(t->graph);
    bnf_params_destroy(t->params);
    bnf_error_clear();
}

static int add_state(bench *t, const char *name, int64_t n, double start)
{
    int index;
    bnf_param_info info = {.name = name, .desc = bnf_desc_1d(BNF_F64, n), .init = {BNF_INIT_CONSTANT, start, 0}};
    OK(bnf_params_add(t->params, &info, &index));
    return index;
}

static double state(bench *t, int index)
{
    return *(double *)bnf_params_value(t->params, index);
}

/* `status` and a message that holds all of the texts. */
static void assert_refused(bnf_status got, bnf_status expect, const char *a, const char *b)
{
    assert_int_equal(got, expect);
    if (!strstr(bnf_error_message(), a) || !strstr(bnf_error_message(), b))
        fail_msg("'%s' names not both '%s' and '%s'", bnf_error_message(), a, b);
    bnf_error_clear();
}

/* --- states ------------------------------------------------------------------------------------------------------- */

static _Alignas(64) double input[8] = {1, 2, 3, 4, 5, 6, 7, 8};

/* A run reads states as they were before it; new values arrive at its end, all at once. */
static void test_states_change_at_the_end(void **unused)
{
    (void)unused;
    for (int hold = 0; hold < 2; hold++)
        for (int eager = 0; eager < 2; eager++) {
            bench t;
            bench_open(&t, 4);
            int a = add_state(&t, "a", 1, 2), b = add_state(&t, "b", 1, 5), c = add_state(&t, "c", 1, 0);
            bnf_desc d = bnf_desc_1d(BNF_F64, 1);
            bnf_val x = bnf_graph_input(t.graph, "x", &d), va = bnf_graph_param(t.graph, a),
                    vb = bnf_graph_param(t.graph, b);
            bnf_val out = bnf_batch_sum(t.b, bnf_mul(t.b, x, va));
            bnf_graph_assign(t.graph, a, vb); /* exchanged */
            bnf_graph_assign(t.graph, b, bnf_stop_gradient(t.b, va));
            bnf_graph_assign(t.graph, c, bnf_affine(t.b, out, 1, 0));
            bnf_plan_config cfg = {.threads = 2, .hold_states = hold, .eager = eager};
            OK(bnf_graph_status(t.graph));
            OK(bnf_params_init(t.params, 1));
            OK(bnf_plan_create(&cfg, t.graph, &out, 1, &t.plan));
            OK(bnf_plan_bind(t.plan, x, input));
            for (int run = 0; run < 3; run++) {
                double before[3] = {state(&t, a), state(&t, b), state(&t, c)};
                uint64_t version = bnf_params_version(t.params);
                OK(bnf_plan_run(t.plan, run));
                assert_true(*(const double *)bnf_plan_output(t.plan, out) == 10 * before[0]);
                if (hold) {
                    assert_true(state(&t, a) == before[0] && state(&t, b) == before[1] && state(&t, c) == before[2]);
                    assert_true(bnf_params_version(t.params) == version);
                    bnf_plan_commit(t.plan);
                }
                assert_true(state(&t, a) == before[1] && state(&t, b) == before[0] && state(&t, c) == 10 * before[0]);
                assert_true(bnf_params_version(t.params) != version);
            }
            bench_close(&t);
        }
}

static void test_assign_refuses(void **unused)
{
    (void)unused;
    bnf_desc two = bnf_desc_1d(BNF_F64, 2);
    bench t;
    bench_open(&t, 2);
    int a = add_state(&t, "running", 1, 0);
    bnf_graph_assign(t.graph, a, bnf_batch_sum(t.b, bnf_graph_input(t.graph, "x", &two)));
    assert_refused(bnf_graph_status(t.graph), BNF_ERR_ARG, "'running'", "f64[2]");
    bench_close(&t);
    bench_open(&t, 2);
    a = add_state(&t, "running", 2, 0);
    bnf_graph_assign(t.graph, a, bnf_graph_input(t.graph, "x", &two));
    assert_refused(bnf_graph_status(t.graph), BNF_ERR_ARG, "'running'", "every leaf");
    bench_close(&t);
}

/* --- misuse that must be told, not crash -------------------------------------------------------------------------- */

static void test_unbound_input(void **unused)
{
    (void)unused;
    bnf_plan_config cfg = {.threads = 1};
    bnf_plan *plan;
    fixture f;
    nets_open(&f, 0, BNF_F32, 2, 2, &cfg);
    OK(bnf_plan_create(&cfg, f.graph, f.kept, f.n_kept, &plan));
    OK(bnf_plan_bind(plan, f.x, f.x_data));
    OK(bnf_plan_bind(plan, f.weight, f.weight_data));
    assert_refused(bnf_plan_run(plan, 0), BNF_ERR_ARG, "'labels'", "not bound");
    bnf_plan_destroy(plan);
    fixture_close(&f);
}

static void test_loss_must_be_a_scalar(void **unused)
{
    (void)unused;
    bench t;
    bench_open(&t, 2);
    bnf_desc d = bnf_desc_2d(BNF_F64, 2, 3);
    bnf_val x = bnf_graph_input(t.graph, "x", &d), grad;
    assert_refused(bnf_graph_gradient(t.graph, x, &x, 1, &grad), BNF_ERR_ARG, "scalar", "[2,3]");
    bench_close(&t);
}

static void test_loss_must_depend_on_parameters(void **unused)
{
    (void)unused;
    bench t;
    int index;
    bench_open(&t, 2);
    bnf_desc d = bnf_desc_1d(BNF_F64, 1);
    bnf_param_info info = {.name = "lost.weight", .desc = d, .trainable = true};
    OK(bnf_params_add(t.params, &info, &index));
    bnf_val x = bnf_graph_input(t.graph, "x", &d);
    bnf_val y = bnf_mul(t.b, x, bnf_stop_gradient(t.b, bnf_graph_param(t.graph, index)));
    assert_refused(bnf_graph_minimize(t.graph, bnf_batch_sum(t.b, y)), BNF_ERR_ARG, "'lost.weight'", "depend");
    bench_close(&t);
}

static void test_levels_are_checked(void **unused)
{
    (void)unused;
    bench t;
    bnf_desc d = bnf_desc_2d(BNF_F64, 2, 3);
    bench_open(&t, 2);
    bnf_batch_sum(t.b, bnf_graph_knob(t.graph, "k", &d));
    assert_refused(bnf_graph_status(t.graph), BNF_ERR_ARG, "batch_sum", "batch-level");
    bench_close(&t);
    bench_open(&t, 2);
    bnf_dropout(t.b, bnf_graph_knob(t.graph, "k", &d), 0.5);
    assert_refused(bnf_graph_status(t.graph), BNF_ERR_ARG, "dropout", "batch-level");
    bench_close(&t);
}

/* The first error stands, whatever is emitted behind it; a plan of such a graph is refused with the same words. */
static void test_first_error_sticks(void **unused)
{
    (void)unused;
    bench t;
    bnf_desc d = bnf_desc_2d(BNF_F64, 2, 3), e = bnf_desc_2d(BNF_F64, 2, 4);
    bench_open(&t, 2);
    bnf_val x = bnf_graph_input(t.graph, "x", &d), y = bnf_graph_input(t.graph, "y", &e);
    bnf_val sum = bnf_add(t.b, x, y), later = bnf_square(t.b, bnf_slice(t.b, x, 2, 9));
    assert_false(bnf_val_ok(sum));
    assert_false(bnf_val_ok(later));
    assert_refused(bnf_graph_status(t.graph), BNF_ERR_ARG, "[2,3]", "[2,4]");
    bnf_plan_config cfg = {.threads = 1};
    assert_refused(bnf_plan_create(&cfg, t.graph, &x, 1, &t.plan), BNF_ERR_ARG, "[2,3]", "[2,4]");
    t.plan = NULL;
    bench_close(&t);
}

static void test_parameter_names_are_unique(void **unused)
{
    (void)unused;
    bench t;
    int index;
    bench_open(&t, 1);
    add_state(&t, "twice", 1, 0);
    bnf_param_info info = {.name = "twice", .desc = bnf_desc_1d(BNF_F64, 3)};
    assert_refused(bnf_params_add(t.params, &info, &index), BNF_ERR_ARG, "two parameters", "'twice'");
    assert_int_equal(bnf_params_count(t.params), 1);
    bench_close(&t);
}

/* --- eager mode finds the operation that first gave a NaN --------------------------------------------------------- */

static void test_eager_names_the_node(void **unused)
{
    (void)unused;
    static _Alignas(64) double x[8];
    bench t;
    bench_open(&t, 4);
    int s = add_state(&t, "seen", 1, 1);
    bnf_desc d = bnf_desc_2d(BNF_F64, 1, 2);
    bnf_val in = bnf_graph_input(t.graph, "x", &d), root = bnf_softmax(t.b, bnf_sqrt(t.b, in));
    bnf_val sum = bnf_batch_sum(t.b, bnf_sum_all(t.b, root));
    bnf_graph_assign(t.graph, s, sum);
    OK(bnf_params_init(t.params, 1));
    for (int eager = 0; eager < 2; eager++) {
        bnf_plan_config cfg = {.threads = 2, .eager = eager};
        OK(bnf_plan_create(&cfg, t.graph, &sum, 1, &t.plan));
        for (int i = 0; i < 8; i++)
            x[i] = i;
        OK(bnf_plan_bind(t.plan, in, x));
        OK(bnf_plan_run(t.plan, 0));
        x[5] = -1; /* leaf 2 */
        double before = state(&t, s);
        if (eager) {
            assert_int_equal(bnf_plan_run(t.plan, 17), BNF_ERR_NUMERIC);
            assert_non_null(strstr(bnf_error_message(), "node 0 (unary"));
            assert_non_null(strstr(bnf_error_message(), "f64[1,2]"));
            assert_refused(BNF_ERR_NUMERIC, BNF_ERR_NUMERIC, "leaf 2", "step 17");
            assert_true(state(&t, s) == before); /* the run left no trace */
        } else {
            OK(bnf_plan_run(t.plan, 17)); /* without checks the NaN goes through */
            assert_true(isnan(*(const double *)bnf_plan_output(t.plan, sum)));
            OK(bnf_params_init(t.params, 1));
        }
        bnf_plan_destroy(t.plan);
        t.plan = NULL;
    }
    bench_close(&t);
}

/* --- results are a function of seed and step ---------------------------------------------------------------------- */

static void test_seed_and_step_decide(void **unused)
{
    (void)unused;
    double loss[4];
    for (int k = 0; k < 4; k++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 1 + k % 2, .seed = k == 2 ? 2 : 1};
        nets_open(&f, 3, BNF_F32, 2, 4, &cfg); /* dropout */
        OK(bnf_plan_run(f.plan, k == 3));
        loss[k] = fixture_scalar(&f, f.loss);
        fixture_close(&f);
    }
    assert_true(loss[0] == loss[1] && loss[0] != loss[2] && loss[0] != loss[3]);
}

/* --- memory runs out ---------------------------------------------------------------------------------------------- */

/* Everything from the parameter store to the plan; the n-th allocation fails. */
static bnf_status build_all(int net, int64_t fail_at)
{
    fixture f = {.leaves = 4, .batch = 8, .classes = NETS_CLASSES};
    bnf_desc xd = bnf_desc_4d(BNF_F32, 2, 8, 8, 4), yd = bnf_desc_1d(BNF_I32, 2), wd = bnf_desc_1d(BNF_F32, 2),
             one = bnf_desc_1d(BNF_F32, 1);
    bnf_plan_config cfg = {.threads = 2};
    bnf_status s;
    bnf_mem_fail_at(fail_at);
    BNF_TRY_GOTO(s, bnf_params_create(BNF_F32, &f.params), out);
    BNF_TRY_GOTO(s, bnf_graph_create(f.params, f.leaves, true, &f.graph), out);
    f.x = bnf_graph_input(f.graph, "x", &xd);
    f.labels = bnf_graph_input(f.graph, "labels", &yd);
    f.weight = bnf_graph_input(f.graph, "weight", &wd);
    f.count = bnf_graph_knob(f.graph, "count", &one);
    f.scope = (bnf_scope){f.params, f.graph, bnf_graph_builder(f.graph), f.weight, f.count, true};
    BNF_TRY_GOTO(s, bnf_graph_status(f.graph), out);
    f.loss = nets[net].build(&f);
    BNF_TRY_GOTO(s, bnf_graph_status(f.graph), out);
    BNF_TRY_GOTO(s, bnf_graph_minimize(f.graph, f.loss), out);
    BNF_TRY_GOTO(s, bnf_params_init(f.params, 7), out);
    s = bnf_plan_create(&cfg, f.graph, &f.loss, 1, &f.plan);
out:
    bnf_mem_fail_at(0);
    bnf_plan_destroy(f.plan);
    bnf_graph_destroy(f.graph);
    bnf_params_destroy(f.params);
    return s;
}

static void test_every_allocation_may_fail(void **unused)
{
    (void)unused;
    static const int chosen[] = {1, 4, 6}; /* residual, hkr, shared */
    for (int i = 0; i < 3; i++) {
        int64_t n = 1;
        bnf_status s = BNF_ERR_MEMORY;
        for (; s != BNF_OK && n < 2000; n++) {
            s = build_all(chosen[i], n);
            assert_int_equal(bnf_mem_live_blocks(), 0);
            if (s == BNF_OK)
                break;
            if (s != BNF_ERR_MEMORY || !strstr(bnf_error_message(), "cannot allocate"))
                fail_msg("%s, allocation %lld: status %d, '%s'", nets[chosen[i]].name, (long long)n, s,
                         bnf_error_message());
            bnf_error_clear();
        }
        assert_int_equal(s, BNF_OK);
        assert_true(n > 20); /* the loop did meet allocations */
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
        cmocka_unit_test(test_states_change_at_the_end),
        cmocka_unit_test(test_assign_refuses),
        cmocka_unit_test(test_unbound_input),
        cmocka_unit_test(test_loss_must_be_a_scalar),
        cmocka_unit_test(test_loss_must_depend_on_parameters),
        cmocka_unit_test(test_levels_are_checked),
        cmocka_unit_test(test_first_error_sticks),
        cmocka_unit_test(test_parameter_names_are_unique),
        cmocka_unit_test(test_eager_names_the_node),
        cmocka_unit_test(test_seed_and_step_decide),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
