/* Named networks have the published numbers of parameters, residual blocks add what they say and begin as their
 * shortcut where asked, gradients are those of differences, and lists that are no network are refused by number. */
#include "graph_fixture.h"

/* A graph of `n` layers over one image [h,w,c] per leaf; not planned, so that size costs nothing. */
typedef struct lab {
    bnf_params *params;
    bnf_graph *graph;
    bnf_val x, y, count;
    int64_t outputs;
} lab;

static void lab_open(lab *l, bnf_dtype real, int64_t samples, int64_t h, int64_t w, int64_t c, const bnf_layer *layers,
                     int n, bnf_lip_kind lip, bool training)
{
    bnf_desc d = bnf_desc_4d(real, samples, h, w, c), one = bnf_desc_1d(real, 1);
    bnf_lip config = bnf_lip_default(lip);
    OK(bnf_params_create(real, &l->params));
    OK(bnf_graph_create(l->params, 1, training, &l->graph));
    bnf_builder *b = bnf_graph_builder(l->graph);
    l->x = bnf_graph_input(l->graph, "images", &d);
    bnf_scope s = {.params = l->params, .graph = l->graph, .b = b, .weight = BNF_NONE, .training = training};
    s.count = l->count = bnf_graph_knob(l->graph, "count", &one);
    l->y = bnf_nn_network(&s, l->x, layers, n, &config);
    l->outputs = bnf_val_ok(l->y) ? bnf_desc_cols(bnf_val_desc(b, l->y)) : 0;
}

static void lab_close(lab *l)
{
    bnf_graph_destroy(l->graph);
    bnf_params_destroy(l->params);
}

/* ---- by name ---- */

static void count(bnf_network net, int64_t size, int64_t expected)
{
    static bnf_layer layers[BNF_NETWORK_MAX_LAYERS];
    lab l;
    net.width = net.width > 0 ? net.width : 1;
    net.activation = -1;
    int n = bnf_network_layers(&net, layers);
    OK(bnf_nn_layers_check(layers, n));
    lab_open(&l, BNF_F32, 1, size, size, 3, layers, n, net.constrained ? BNF_LIP_BJORCK : BNF_LIP_NONE, true);
    OK(bnf_graph_status(l.graph));
    int64_t have = bnf_params_elements(l.params, true);
    if (have != expected)
        fail_msg("%s: %lld parameters, not %lld", bnf_network_names[net.kind], (long long)have, (long long)expected);
    assert_int_equal(l.outputs, net.outputs);
    assert_true(bnf_params_find(l.params, "head.weight") >= 0);
    lab_close(&l);
}

static void published_counts(void **state)
{
    (void)state;
    count((bnf_network){.kind = BNF_NETWORK_RESNET18, .outputs = 1000}, 224, 11689512);
    count((bnf_network){.kind = BNF_NETWORK_RESNET34, .outputs = 1000}, 224, 21797672);
    count((bnf_network){.kind = BNF_NETWORK_RESNET50, .outputs = 1000}, 224, 25557032);
    count((bnf_network){.kind = BNF_NETWORK_RESNET101, .outputs = 1000}, 224, 44549160);
    count((bnf_network){.kind = BNF_NETWORK_VGG11, .outputs = 1000}, 224, 132863336);
    count((bnf_network){.kind = BNF_NETWORK_VGG16, .outputs = 1000}, 224, 138357544);
    /* The paper's 269722 and 853018 with shortcuts without weights; the two projections add 2752. */
    count((bnf_network){.kind = BNF_NETWORK_RESNET20, .outputs = 10}, 32, 272474);
    count((bnf_network){.kind = BNF_NETWORK_RESNET56, .outputs = 10}, 32, 855770);
}

/* The 1-Lipschitz forms have the same weights; a bias per channel stands for scale and shift. */
static void constrained_counts(void **state)
{
    (void)state;
    const int64_t channels_of_20 = 16 * 7 + 32 * 7 + 64 * 7; /* of all its norms */
    count((bnf_network){.kind = BNF_NETWORK_RESNET20, .outputs = 10, .constrained = true}, 32, 272474 - channels_of_20);
    count((bnf_network){.kind = BNF_NETWORK_RESNET50, .outputs = 1000, .constrained = true}, 224, 25557032 - 26560);
    count((bnf_network){.kind = BNF_NETWORK_VGG11, .outputs = 10, .constrained = true}, 32,
          9220480 + 512 * 513 + 10 * 513); /* convolutions, one dense layer, head */
    count((bnf_network){.kind = BNF_NETWORK_RESNET20, .outputs = 10, .norm = BNF_NORM_NONE, .constrained = true}, 32,
          272474 - channels_of_20);
}

static void widths(void **state)
{
    (void)state;
    bnf_layer layers[BNF_NETWORK_MAX_LAYERS];
    bnf_network net = {.kind = BNF_NETWORK_RESNET20, .outputs = 10, .activation = -1, .width = 0.3};
    bnf_network_layers(&net, layers);
    assert_int_equal(layers[0].out, 4); /* 4.8 to an even number */
    net.width = 0.01;
    bnf_network_layers(&net, layers);
    assert_int_equal(layers[0].out, 2);
    net.kind = BNF_NETWORK_RESNET101;
    assert_true(bnf_network_layers(&net, layers) < BNF_NETWORK_MAX_LAYERS);
}

/* ---- blocks ---- */

static bnf_layer layer(bnf_layer_kind kind, int64_t out)
{
    bnf_layer l = bnf_layer_default(kind);
    l.out = out;
    return l;
}

/* One leaf's x to the network's y[n]. */
static void run(lab *l, const double *x, double *y, int64_t n)
{
    bnf_plan *plan;
    bnf_plan_config cfg = {.threads = 1};
    OK(bnf_plan_create(&cfg, l->graph, &l->y, 1, &plan));
    OK(bnf_plan_bind(plan, l->x, x));
    OK(bnf_plan_run(plan, 0));
    memcpy(y, bnf_plan_output(plan, l->y), (size_t)n * sizeof *y);
    bnf_plan_destroy(plan);
}

/* tanh on one way, nothing or relu on the other: each element by hand. */
static void sums(void **state)
{
    (void)state;
    enum { N = 2 * 2 * 2 };
    _Alignas(64) double x[N];
    double y[N];
    for (int i = 0; i < N; i++)
        x[i] = 0.5 * i - 1.7;
    for (int lip = 0; lip < 2; lip++)
        for (int shortcut = 0; shortcut < 2; shortcut++) {
            lab l;
            bnf_layer layers[6];
            int n = 0;
            layers[n++] = layer(BNF_LAYER_BLOCK, 0);
            layers[n++] = layer(BNF_LAYER_TANH, 0);
            if (shortcut) {
                layers[n++] = layer(BNF_LAYER_SHORTCUT, 0);
                layers[n++] = layer(BNF_LAYER_RELU, 0);
            }
            layers[n++] = layer(BNF_LAYER_ADD, 0);
            lab_open(&l, BNF_F64, 1, 2, 2, 2, layers, n, lip ? BNF_LIP_SPECTRAL : BNF_LIP_NONE, false);
            OK(bnf_graph_status(l.graph));
            run(&l, x, y, N);
            for (int i = 0; i < N; i++) {
                double sum = tanh(x[i]) + (shortcut ? fmax(x[i], 0) : x[i]);
                assert_true(fabs(y[i] - (lip ? 0.5 * sum : sum)) < 1e-15);
            }
            lab_close(&l);
        }
}

/* A householder layer starts as groupsort2 and goes on from there: a quarter turn of the line gives other values. */
static void householder(void **state)
{
    (void)state;
    enum { N = 2 * 2 * 4 };
    _Alignas(64) double x[N];
    double y[N];
    lab l;
    bnf_layer layers[] = {layer(BNF_LAYER_HOUSEHOLDER, 0)};
    for (int i = 0; i < N; i++)
        x[i] = sin(3.0 * i) - 0.1;
    lab_open(&l, BNF_F64, 1, 2, 2, 4, layers, 1, BNF_LIP_BJORCK, false);
    OK(bnf_graph_status(l.graph));
    OK(bnf_params_init(l.params, 1));
    double *angle = bnf_params_value(l.params, bnf_params_find(l.params, "householder1.angle"));
    run(&l, x, y, N);
    for (int i = 0; i < N; i += 2) {
        assert_true(fabs(y[i] - fmin(x[i], x[i + 1])) < 1e-15);
        assert_true(fabs(y[i + 1] - fmax(x[i], x[i + 1])) < 1e-15);
    }
    angle[0] = 0;        /* the normal is (0, 1): (a, |b|) */
    angle[1] = acos(-1); /* (-1, 0): (-|a|, b) */
    bnf_params_touch(l.params);
    run(&l, x, y, N);
    for (int i = 0; i < N; i += 4) {
        assert_true(fabs(y[i] - x[i]) < 1e-15 && fabs(y[i + 1] - fabs(x[i + 1])) < 1e-15);
        assert_true(fabs(y[i + 2] + fabs(x[i + 2])) < 1e-15 && fabs(y[i + 3] - x[i + 3]) < 1e-15);
    }
    lab_close(&l);
}

/* The half sum at first, whatever the constraint; then shares of the learned number, the shortcut's first. */
static void learned_sum(void **state)
{
    (void)state;
    enum { N = 2 * 2 * 2 };
    _Alignas(64) double x[N];
    double y[N];
    for (int i = 0; i < N; i++)
        x[i] = 0.5 * i - 1.7;
    for (int shortcut = 0; shortcut < 2; shortcut++) {
        lab l;
        bnf_layer layers[5] = {layer(BNF_LAYER_BLOCK, 0), layer(BNF_LAYER_TANH, 0), layer(BNF_LAYER_SHORTCUT, 0),
                               layer(BNF_LAYER_RELU, 0)};
        int n = shortcut ? 4 : 2;
        layers[n] = layer(BNF_LAYER_ADD, 0);
        layers[n].learned = true;
        lab_open(&l, BNF_F64, 1, 2, 2, 2, layers, n + 1, shortcut ? BNF_LIP_SPECTRAL : BNF_LIP_NONE, false);
        OK(bnf_graph_status(l.graph));
        OK(bnf_params_init(l.params, 1));
        double *mix = bnf_params_value(l.params, bnf_params_find(l.params, "add1.mix"));
        for (int k = 0; k < 2; k++) {
            double a = 0.5;
            if (k == 1) {
                *mix = 1.25;
                a = 1 / (1 + exp(-1.25));
                bnf_params_touch(l.params);
            }
            run(&l, x, y, N);
            for (int i = 0; i < N; i++)
                assert_true(fabs(y[i] - (a * (shortcut ? fmax(x[i], 0) : x[i]) + (1 - a) * tanh(x[i]))) < 1e-15);
        }
        lab_close(&l);
    }
}

/* The head's constraint: rows of norm 1, or the whole matrix; none without a constraint of the network. */
static void heads(void **state)
{
    (void)state;
    bnf_desc raw_desc = bnf_desc_2d(BNF_F64, 3, 8);
    double raw[24], effective[24];
    for (int i = 0; i < 24; i++)
        raw[i] = sin(1.3 * i) + 0.2;
    for (int disjoint = 0; disjoint < 2; disjoint++) {
        lab l;
        bnf_reparam made = {0};
        bnf_layer head = layer(BNF_LAYER_HEAD, 3);
        assert_true(head.disjoint);
        head.disjoint = disjoint;
        lab_open(&l, BNF_F64, 1, 2, 2, 2, &head, 1, BNF_LIP_BJORCK, true);
        OK(bnf_graph_status(l.graph));
        const bnf_param_info *info = bnf_params_info(l.params, bnf_params_find(l.params, "head.weight"));
        OK(info->reparam.make(info->reparam.config, &raw_desc, &made));
        OK(made.forward(made.self, raw, effective));
        double whole = 0;
        for (int i = 0; i < 3; i++) {
            double row = 0;
            for (int k = 0; k < 8; k++)
                row += effective[i * 8 + k] * effective[i * 8 + k];
            assert_true((fabs(row - 1) < 1e-12) == disjoint);
            whole += row;
        }
        assert_true(fabs(whole - (disjoint ? 3 : 1)) < 1e-12);
        made.destroy(made.self);
        lab_close(&l);
        lab_open(&l, BNF_F64, 1, 2, 2, 2, &head, 1, BNF_LIP_NONE, true);
        assert_null(bnf_params_info(l.params, bnf_params_find(l.params, "head.weight"))->reparam.make);
        lab_close(&l);
    }
}

static void zero_init(void **state)
{
    (void)state;
    lab l;
    bnf_layer layers[] = {layer(BNF_LAYER_BATCH_NORM, 0), layer(BNF_LAYER_BATCH_NORM, 0)};
    layers[1].zero_init = true;
    lab_open(&l, BNF_F32, 1, 2, 2, 2, layers, 2, BNF_LIP_NONE, true);
    OK(bnf_graph_status(l.graph));
    OK(bnf_params_init(l.params, 1));
    const float *one = bnf_params_value(l.params, bnf_params_find(l.params, "norm1.weight"));
    const float *zero = bnf_params_value(l.params, bnf_params_find(l.params, "norm2.weight"));
    assert_true(one[0] == 1 && one[1] == 1 && zero[0] == 0 && zero[1] == 0);
    assert_string_equal(bnf_params_info(l.params, 4)->name, "norm2.weight");
    lab_close(&l);
}

/* The batch's mean in training, which the state follows; the state in evaluation. */
static void batch_center(void **state)
{
    (void)state;
    enum { SAMPLES = 3, C = 2, N = SAMPLES * 2 * 2 * C };
    _Alignas(64) double x[N];
    double y[N], mean[C] = {0};
    bnf_layer layers[] = {layer(BNF_LAYER_BATCH_CENTER, 0)};
    for (int i = 0; i < N; i++) {
        x[i] = sin(3.0 * i) + i % C;
        mean[i % C] += x[i] / (N / C);
    }
    for (int training = 0; training < 2; training++) {
        lab l;
        double count = SAMPLES;
        bnf_plan *plan;
        bnf_plan_config cfg = {.threads = 1};
        lab_open(&l, BNF_F64, SAMPLES, 2, 2, C, layers, 1, BNF_LIP_NONE, training);
        OK(bnf_graph_status(l.graph));
        double *bias = bnf_params_value(l.params, bnf_params_find(l.params, "center1.bias"));
        double *running = bnf_params_value(l.params, bnf_params_find(l.params, "center1.mean"));
        for (int c = 0; c < C; c++) {
            bias[c] = 0.25 + c;
            running[c] = 0.5 - c;
        }
        bnf_params_touch(l.params);
        OK(bnf_plan_create(&cfg, l.graph, &l.y, 1, &plan));
        OK(bnf_plan_bind(plan, l.x, x));
        if (training)
            OK(bnf_plan_set(plan, l.count, &count));
        OK(bnf_plan_run(plan, 0));
        memcpy(y, bnf_plan_output(plan, l.y), sizeof y);
        for (int i = 0; i < N; i++) {
            int c = i % C;
            double away = training ? mean[c] : 0.5 - c;
            assert_true(fabs(y[i] - (x[i] - away + 0.25 + c)) < 1e-14);
        }
        for (int c = 0; c < C; c++)
            assert_true(fabs(running[c] - (training ? 0.9 * (0.5 - c) + 0.1 * mean[c] : 0.5 - c)) < 1e-14);
        bnf_plan_destroy(plan);
        lab_close(&l);
    }
}

/* ---- gradients, over leaves whose means differ ---- */

/* Pairs are reflected before and behind a sum; angles and the shares of the sum are learned. */
static bnf_val build_householder(fixture *f)
{
    bnf_layer l[] = {layer(BNF_LAYER_CONV, 4),  layer(BNF_LAYER_HOUSEHOLDER, 0), layer(BNF_LAYER_BLOCK, 0),
                     layer(BNF_LAYER_CONV, 4),  layer(BNF_LAYER_HOUSEHOLDER, 0), layer(BNF_LAYER_ADD, 0),
                     layer(BNF_LAYER_DENSE, 6), layer(BNF_LAYER_HOUSEHOLDER, 0), layer(BNF_LAYER_HEAD, 3)};
    l[5].learned = true;
    bnf_lip lip = bnf_lip_default(BNF_LIP_NONE);
    bnf_val y = bnf_nn_network(&f->scope, f->x, l, sizeof l / sizeof *l, &lip);
    return bnf_loss_cross_entropy(&f->scope, y, f->labels, 0.1);
}

/* What the backward pass reads is cheap, and so is what that was made of, in an earlier segment. */
static bnf_val build_cheap_behind_cheap(fixture *f)
{
    bnf_layer l[] = {layer(BNF_LAYER_CONV, 4), layer(BNF_LAYER_GROUPSORT2, 0), layer(BNF_LAYER_BATCH_CENTER, 0),
                     layer(BNF_LAYER_MAX_POOL, 0), layer(BNF_LAYER_HEAD, 3)};
    bnf_lip lip = bnf_lip_default(BNF_LIP_NONE);
    bnf_hkr hkr = {.kind = BNF_HKR_SOFT, .alpha = 5, .min_margin = 100, .temperature = 2}; /* |f| is below the margin */
    bnf_val y = bnf_nn_network(&f->scope, f->x, l, sizeof l / sizeof *l, &lip);
    return bnf_loss_hkr(&f->scope, "loss", y, f->labels, &hkr).loss;
}

static bnf_val build_blocks(fixture *f)
{
    bnf_layer l[] = {layer(BNF_LAYER_BATCH_CENTER, 0), layer(BNF_LAYER_BLOCK, 0), layer(BNF_LAYER_CONV, 3),
                     layer(BNF_LAYER_BATCH_CENTER, 0), layer(BNF_LAYER_TANH, 0),  layer(BNF_LAYER_SHORTCUT, 0),
                     layer(BNF_LAYER_CONV, 3),         layer(BNF_LAYER_ADD, 0),   layer(BNF_LAYER_BLOCK, 0),
                     layer(BNF_LAYER_TANH, 0),         layer(BNF_LAYER_ADD, 0),   layer(BNF_LAYER_GLOBAL_AVG_POOL, 0),
                     layer(BNF_LAYER_HEAD, 3)};
    l[6].kernel = 1;
    bnf_lip lip = bnf_lip_default(BNF_LIP_NONE);
    bnf_val y = bnf_nn_network(&f->scope, f->x, l, sizeof l / sizeof *l, &lip);
    return bnf_loss_cross_entropy(&f->scope, y, f->labels, 0.1);
}

static void gradients(void **state)
{
    (void)state;
    bnf_desc sample = bnf_desc_4d(BNF_F64, 1, 4, 3, 2);
    for (int recompute = BNF_RECOMPUTE_NEVER; recompute <= BNF_RECOMPUTE_BLOCKS; recompute++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 1, .recompute = (bnf_recompute)recompute};
        fixture_open(&f, BNF_F64, 6, 3, &sample, 3, build_blocks, &cfg);
        fixture_check_gradients(&f, 1e-7);
        fixture_close(&f);
        fixture_open(&f, BNF_F64, 6, 3, &sample, 3, build_householder, &cfg);
        assert_true(bnf_params_find(f.params, "householder3.angle") >= 0 && bnf_params_find(f.params, "add1.mix") >= 0);
        fixture_check_gradients(&f, 1e-7);
        fixture_close(&f);
        fixture_open(&f, BNF_F64, 6, 3, &sample, 3, build_cheap_behind_cheap, &cfg);
        fixture_check_gradients(&f, 1e-7);
        fixture_close(&f);
    }
}

/* ---- lists that are no network ---- */

static void refused(const bnf_layer *layers, int n, const char *message)
{
    lab l;
    lab_open(&l, BNF_F32, 1, 4, 4, 2, layers, n, BNF_LIP_NONE, true);
    assert_int_equal(bnf_graph_status(l.graph), BNF_ERR_ARG);
    if (!strstr(bnf_error_message(), message))
        fail_msg("'%s' is not in '%s'", message, bnf_error_message());
    bnf_error_clear();
    lab_close(&l);
}

static void wrong_order(void **state)
{
    (void)state;
    bnf_layer pairs = layer(BNF_LAYER_HOUSEHOLDER, 0);
    bnf_layer block = layer(BNF_LAYER_BLOCK, 0), cut = layer(BNF_LAYER_SHORTCUT, 0), add = layer(BNF_LAYER_ADD, 0);
    bnf_layer relu = layer(BNF_LAYER_RELU, 0), conv = layer(BNF_LAYER_CONV, 3);
    refused((bnf_layer[]){relu, add}, 2, "layer 2 (add): there is no block");
    refused((bnf_layer[]){conv, pairs}, 2, "layer 2 (householder): householder: needs an even number of channels");
    refused((bnf_layer[]){cut}, 1, "layer 1 (shortcut): there is no block");
    refused((bnf_layer[]){relu, block, relu}, 3, "layer 2 (block): no add");
    refused((bnf_layer[]){block, relu, block, add}, 4, "layer 3 (block): the block that begins at layer 1");
    refused((bnf_layer[]){block, cut, relu, cut, add}, 5, "layer 4 (shortcut): the block has one already, layer 2");
    refused((bnf_layer[]){block, relu, add, add}, 4, "layer 4 (add): there is no block");
    refused((bnf_layer[]){block, conv, add}, 3,
            "layer 3 (add): the branch gives f32[1,4,4,3], the shortcut f32[1,4,4,2]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_counts),
        cmocka_unit_test(constrained_counts),
        cmocka_unit_test(widths),
        cmocka_unit_test(sums),
        cmocka_unit_test(zero_init),
        cmocka_unit_test(batch_center),
        cmocka_unit_test(gradients),
        cmocka_unit_test(wrong_order),
        cmocka_unit_test(householder),
        cmocka_unit_test(learned_sum),
        cmocka_unit_test(heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
