/* Linear combinations of filters: folded they give the outputs and gradients of the two convolutions, they start as the
 * paper says, and networks have its numbers of parameters. */
#include "graph_fixture.h"

#include "base/mem.h"
#include "recipes/random_conv/fgsm.h"
#include "recipes/random_conv/fold.h"
#include "recipes/random_conv/net.h"
#include "recipes/random_conv/random_conv.h"

enum { IN = 3, OUT = 4, SIDE = 7, FAN_IN = 9 * IN, LAYER = 5 };

static const double tiny = 1e-12;

/* What the next fixture is made of. */
static bnf_random_conv_model model;
static int64_t stride;

static bnf_val build(fixture *f)
{
    bnf_scope *s = &f->scope;
    s->seed = 9;
    bnf_val y = bnf_random_conv_layer(s, &model, LAYER, "conv", f->x, OUT, stride);
    f->kept[f->n_kept++] = y;
    return bnf_nn_batch_mean(s, bnf_sum_last(s->b, bnf_flatten(s->b, bnf_square(s->b, bnf_tanh(s->b, y)))));
}

static void open_one(fixture *f, bool fold)
{
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_4d(BNF_F64, 1, SIDE, SIDE, IN);
    model.fold = fold;
    fixture_open(f, BNF_F64, 4, 2, &sample, 3, build, &cfg);
}

static int find(const fixture *f, const char *name)
{
    int i = bnf_params_find(f->params, name);
    if (i < 0)
        fail_msg("no parameter '%s'", name);
    return i;
}

static void make_weight(fixture *f, bnf_reparam *made)
{
    int i = find(f, "conv.weight");
    const bnf_param_info *info = bnf_params_info(f->params, i);
    OK(info->reparam.make(info->reparam.config, &info->desc, made));
    OK(made->forward(made->self, bnf_params_raw(f->params, i), bnf_params_value(f->params, i)));
    bnf_params_touch(f->params);
}

static void assert_near(const double *a, const double *b, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= tiny))
            fail_msg("%s, stride %lld, E %lld, element %lld: %.17g and %.17g", what, (long long)stride,
                     (long long)model.expansion, (long long)i, a[i], b[i]);
}

/* Gradient of the raw weight by central differences. */
static void check_differences(fixture *f, bnf_reparam *made, const double *gradient, int64_t n)
{
    const double h = 1e-6;
    double *raw = bnf_params_raw(f->params, find(f, "conv.weight"));
    for (int64_t i = 0; i < n; i += 1 + n / 23) {
        double at = raw[i], loss[2];
        for (int side = 0; side < 2; side++) {
            raw[i] = at + (side ? h : -h);
            OK(made->forward(made->self, raw, bnf_params_value(f->params, find(f, "conv.weight"))));
            bnf_params_touch(f->params);
            loss[side] = fixture_run(f);
        }
        raw[i] = at;
        double difference = (loss[1] - loss[0]) / (2 * h);
        if (fabs(difference - gradient[i]) > 1e-7)
            fail_msg("raw element %lld: gradient %g, differences say %g", (long long)i, gradient[i], difference);
    }
}

static void compare(bool frozen)
{
    fixture folded, apart;
    bnf_reparam made;
    open_one(&folded, true);
    open_one(&apart, false);
    int mix = find(&apart, "conv.mix.weight"), filters = find(&apart, "conv.filters.weight");
    int weight = find(&folded, "conv.weight");
    const int64_t p = OUT * OUT * model.expansion, w = OUT * model.expansion * FAN_IN;
    assert_int_equal(bnf_desc_count(bnf_param_raw_desc(bnf_params_info(folded.params, weight))), frozen ? p : p + w);
    assert_int_equal(bnf_params_info(apart.params, filters)->trainable, !frozen);
    const double *raw = bnf_params_raw(folded.params, weight);
    double *to = bnf_params_value(apart.params, filters);
    for (int64_t i = 0; i < w; i++)
        to[i] = bnf_random_conv_filter(9, LAYER, FAN_IN, i);
    if (!frozen)
        assert_memory_equal(to, raw + p, (size_t)w * sizeof *to); /* both arms begin with the same filters */
    memcpy(bnf_params_value(apart.params, mix), raw, (size_t)p * sizeof *raw);
    bnf_params_touch(apart.params);
    make_weight(&folded, &made);
    fixture_run(&folded);
    fixture_run(&apart);
    int64_t side = stride == 1 ? SIDE : (SIDE + 1) / 2;
    assert_near(bnf_plan_output(folded.plan, folded.kept[0]), bnf_plan_output(apart.plan, apart.kept[0]),
                4 * side * side * OUT, "outputs");
    double *d_raw = fixture_aligned((size_t)(p + w) * sizeof *d_raw);
    OK(made.backward(made.self, raw, fixture_gradient(&folded, weight), d_raw));
    assert_near(d_raw, fixture_gradient(&apart, mix), p, "gradients of combinations");
    if (frozen)
        assert_null(fixture_gradient(&apart, filters));
    else
        assert_near(d_raw + p, fixture_gradient(&apart, filters), w, "gradients of filters");
    check_differences(&folded, &made, d_raw, frozen ? p : p + w);
    free(d_raw);
    made.destroy(made.self);
    fixture_close(&folded);
    fixture_close(&apart);
}

static void folded_is_both(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        model = (bnf_random_conv_model){.kernel = 3, .expansion = i & 1 ? 5 : 1, .frozen = (i & 2) != 0};
        stride = i & 4 ? 2 : 1;
        compare(model.frozen);
    }
}

/* Combinations that pick filter o for output o: the ordinary convolution, to the bit. */
static void identity(void **state)
{
    (void)state;
    fixture folded, plain;
    bnf_reparam made;
    stride = 1;
    model = (bnf_random_conv_model){.kernel = 3, .expansion = 1, .frozen = true};
    open_one(&folded, true);
    double *p = bnf_params_raw(folded.params, find(&folded, "conv.weight"));
    for (int i = 0; i < OUT * OUT; i++)
        p[i] = i % OUT == i / OUT;
    make_weight(&folded, &made);
    model.expansion = 0;
    open_one(&plain, true);
    double *w = bnf_params_value(plain.params, find(&plain, "conv.weight"));
    for (int64_t i = 0; i < OUT * FAN_IN; i++)
        w[i] = bnf_random_conv_filter(9, LAYER, FAN_IN, i);
    bnf_params_touch(plain.params);
    assert_true(fixture_run(&folded) == fixture_run(&plain));
    assert_memory_equal(bnf_params_value(folded.params, find(&folded, "conv.weight")), w, OUT * FAN_IN * sizeof *w);
    made.destroy(made.self);
    fixture_close(&folded);
    fixture_close(&plain);
}

/* Uniform in [-1/12, 1/12) for 16 channels: standard deviation 1/12 / sqrt 3 = 0.0481125. */
static void filters_start(void **state)
{
    (void)state;
    enum { N = 60000 };
    double sum = 0, square = 0, most = 0;
    assert_true(fabs(bnf_random_conv_bound(16 * 9) - 1.0 / 12) < 1e-15);
    for (int64_t i = 0; i < N; i++) {
        double v = bnf_random_conv_filter(3, 2, 16 * 9, i);
        sum += v;
        square += v * v;
        most = fmax(most, fabs(v));
    }
    double std = sqrt(square / N - sum / N * (sum / N));
    assert_true(most <= 1.0 / 12 && most > 0.9999 / 12);
    assert_true(fabs(std - 0.0481125) < 0.0481125 * 0.01);
    assert_true(fabs(sum / N) < 5 * 0.0481125 / sqrt(N));
    assert_true(bnf_random_conv_filter(3, 2, 144, 0) != bnf_random_conv_filter(3, 3, 144, 0));
    assert_true(bnf_random_conv_filter(3, 2, 144, 0) != bnf_random_conv_filter(4, 2, 144, 0));
}

static void count(bnf_random_conv_model m, int64_t trainable)
{
    bnf_params *params;
    bnf_graph *graph;
    bnf_desc x = bnf_desc_4d(BNF_F32, 1, 32, 32, 3), one = bnf_desc_1d(BNF_F32, 1);
    m.width = 16;
    m.kernel = 3;
    OK(bnf_params_create(BNF_F32, &params));
    OK(bnf_graph_create(params, 1, true, &graph));
    bnf_scope s = {.params = params, .graph = graph, .b = bnf_graph_builder(graph), .training = true};
    s.weight = BNF_NONE;
    s.count = bnf_graph_knob(graph, "count", &one);
    bnf_val y = bnf_random_conv_network(&s, &m, bnf_graph_input(graph, "x", &x), 10);
    OK(bnf_graph_status(graph));
    assert_int_equal(bnf_desc_cols(bnf_val_desc(s.b, y)), 10);
    if (bnf_params_raw_elements(params, true) != trainable)
        fail_msg("%lld learned numbers, not %lld", (long long)bnf_params_raw_elements(params, true),
                 (long long)trainable);
    bnf_graph_destroy(graph);
    bnf_params_destroy(params);
}

/* ResNet-20 with 16 channels: 267,696 in spatial convolutions, 2,560 in shortcuts, 1,568 in norms, 650 in the head. */
static void published_counts(void **state)
{
    (void)state;
    const bnf_random_conv_model base = {.depth = 20, .fold = true};
    bnf_random_conv_model m = base;
    count(m, 272474);
    m.frozen = true;
    count(m, 4778);
    m.expansion = 8;
    count(m, 264874);
    m.fold = false;
    count(m, 264874);
    m.fold = true;
    m.expansion = 128;
    count(m, 4166314);
    m = base;
    m.expansion = 2; /* 2 x 32,512 combinations and the filters, twice as many as before */
    count(m, 4778 + 2 * 32512 + 2 * 267696);
    m.between = BNF_RANDOM_CONV_BN_RELU; /* scale and shift of every filter: 7 x 16 + 6 x 32 + 6 x 64 channels */
    count(m, 4778 + 2 * 32512 + 2 * 267696 + 2 * 2 * 688);
    m = base;
    m.depth = 8;
    m.expansion = 1;
    m.frozen = true;
    count(m, 2560 + 2 * (3 * 16 + 2 * 32 + 2 * 64 + 32 + 64) + 650 + 3 * 256 + 2 * 1024 + 2 * 4096);
}

static void refuses(int64_t depth, int64_t kernel, int64_t expansion, int between, const char *text)
{
    bnf_random_conv_settings set = {
        .model = {.depth = depth, .width = 16, .kernel = kernel, .expansion = expansion, .between = between}};
    assert_int_equal(bnf_recipe_random_conv.check(&set), BNF_ERR_CONFIG);
    if (!strstr(bnf_error_message(), text))
        fail_msg("'%s' does not say '%s'", bnf_error_message(), text);
    bnf_error_clear();
}

static void refusals(void **state)
{
    (void)state;
    refuses(18, 3, 0, 0, "model.depth: 18");
    refuses(20, 4, 0, 0, "model.kernel: 4");
    refuses(20, 3, 0, BNF_RANDOM_CONV_RELU, "model.between: relu");
    OK(bnf_recipe_random_conv.check(&(bnf_random_conv_settings){.model = {.depth = 20, .kernel = 3}}));
}

/* Two channels of scale 2 and -4: a step of 0.1 up or down in pixels, which end at 0 and 1. */
static void fgsm_step(void **state)
{
    (void)state;
    const double scale[2] = {2, -4}, shift[2] = {-1, 3};
    const double pixel[6] = {0.5, 0.5, 0.95, 0.95, 0.05, 0.3};
    const float gradient[6] = {3, 3, 1, -1e-9f, -2, 0};
    const double clipped[6] = {0.6, 0.4, 1, 1, 0, 0.3}, free_to_go[6] = {0.6, 0.4, 1.05, 1.05, -0.05, 0.3};
    float x[6], moved[6];
    for (int i = 0; i < 6; i++)
        x[i] = (float)(pixel[i] * scale[i % 2] + shift[i % 2]);
    for (int clip = 0; clip < 2; clip++) {
        bnf_random_conv_step(6, 2, scale, shift, 0.1, clip, x, gradient, moved);
        for (int i = 0; i < 6; i++) {
            double u = ((double)moved[i] - shift[i % 2]) / scale[i % 2];
            assert_true(fabs(u - (clip ? clipped[i] : free_to_go[i])) < 1e-6);
        }
        assert_true(moved[5] == x[5]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folded_is_both),   cmocka_unit_test(identity), cmocka_unit_test(filters_start),
        cmocka_unit_test(published_counts), cmocka_unit_test(refusals), cmocka_unit_test(fgsm_step),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures || bnf_mem_live_blocks() != 0;
}
