/* hKR losses over ranks: class counts and moving means are those of the whole batch, also where every rank sees samples
 * of one or two classes only; and a training with each of the losses, behind layers with learned angles, shares and
 * means, has the same bits as a serial one. */
#include "dist_training.h"
#include "on_ranks.h"

static bnf_hkr hkr;
static int64_t outputs;

/* ---- values: the first elements of a picture are the logits ---- */

static double pixel(int64_t i)
{
    return (float)(sin(1.7 * (double)i + 0.3) + 0.1 * cos(5.1 * (double)i)); /* as fill_data does it */
}

static double logit(int64_t sample, int64_t k)
{
    return pixel(sample * SIDE * SIDE * CHANNELS + k);
}

static void emit_logits(training *t)
{
    bnf_builder *b = bnf_graph_builder(t->graph);
    bnf_scope s = {t->params, t->graph, b, BNF_NONE, bnf_const(b, LEAVES * PER_LEAF), true};
    bnf_desc d = bnf_desc_1d(BNF_F32, outputs);
    bnf_val shift = bnf_nn_param(&s, &(bnf_param_info){.name = "shift", .desc = d, .trainable = true});
    bnf_val f = bnf_add(b, bnf_slice(b, bnf_flatten(b, t->x), 0, outputs), shift);
    t->loss = bnf_loss_hkr(&s, "loss", f, t->labels, &hkr).loss;
}

/* Samples of one class stand together, so that leaves and ranks have one or two classes each. Class 3 has none. */
static int sorted_label(int64_t i)
{
    return i < 3 ? 0 : i < 10 ? 1 : i < 12 ? 2 : 4;
}

static void sort_labels(training *t, int classes)
{
    for (int64_t i = t->lo * PER_LEAF; i < t->hi * PER_LEAF; i++)
        t->label_data[i - t->lo * PER_LEAF] = classes == 2 ? sorted_label(i) > 1 : sorted_label(i);
}

static double run_once(bnf_hkr_kind kind, int classes, double *mean_abs)
{
    training t = {.emit = emit_logits};
    hkr = (bnf_hkr){.kind = kind, .form = BNF_HKR_SUM, .alpha = 0, .min_margin = 0.5, .temperature = 2, .penalty = 1};
    if (kind == BNF_HKR_SOFT)
        hkr.alpha = 1;
    outputs = classes == 2 ? 1 : classes;
    start(&t, world, 1, 0);
    sort_labels(&t, classes);
    one_step(&t, 0);
    OK(bnf_updater_settle(t.updater));
    double loss = *(const float *)bnf_plan_output(t.plan, t.loss);
    if (mean_abs)
        *mean_abs = *(const float *)bnf_params_value(t.params, bnf_params_find(t.params, "loss.mean_abs"));
    end(&t);
    return loss;
}

/* With alpha 0 the loss is -KR, which needs the counts of the whole batch: E[f_k | k] - E[f_k | not k]. */
static void test_counts_are_of_the_whole_batch(void **unused)
{
    (void)unused;
    enum { ALL = LEAVES * PER_LEAF };
    double expect = 0;
    for (int k = 0; k < CLASSES; k++) {
        double with = 0, without = 0;
        int n = 0;
        for (int i = 0; i < ALL; i++) {
            *(sorted_label(i) == k ? &with : &without) += logit(i, k);
            n += sorted_label(i) == k;
        }
        expect += (with / (n > 0 ? n : 1) - without / (ALL - n)) / CLASSES;
    }
    assert_true(fabs(run_once(BNF_HKR_MULTICLASS, CLASSES, NULL) + expect) < 1e-6);
    double up = 0, down = 0;
    for (int i = 0; i < ALL; i++)
        *(sorted_label(i) > 1 ? &up : &down) += logit(i, 0) / (sorted_label(i) > 1 ? 8 : 10);
    assert_true(fabs(run_once(BNF_HKR_BINARY, 2, NULL) + up - down) < 1e-6);
}

/* The state follows the mean of |f| over all samples and classes. */
static void test_moving_mean_is_of_the_whole_batch(void **unused)
{
    (void)unused;
    double sum = 0, mean;
    for (int i = 0; i < LEAVES * PER_LEAF; i++)
        for (int k = 0; k < CLASSES; k++)
            sum += fabs(logit(i, k));
    run_once(BNF_HKR_SOFT, CLASSES, &mean);
    assert_true(fabs(mean - (0.99 * 0.5 + 0.01 * sum / (LEAVES * PER_LEAF * CLASSES))) < 1e-7);
}

/* ---- bits ---- */

static bnf_layer layer(bnf_layer_kind kind, int64_t out)
{
    bnf_layer l = bnf_layer_default(kind);
    l.out = out;
    return l;
}

static void emit_network(training *t)
{
    bnf_builder *b = bnf_graph_builder(t->graph);
    bnf_scope s = {t->params, t->graph, b, BNF_NONE, bnf_const(b, LEAVES * PER_LEAF), true};
    bnf_lip bjorck = bnf_lip_default(BNF_LIP_BJORCK);
    bnf_layer l[] = {layer(BNF_LAYER_CONV, 4),    layer(BNF_LAYER_HOUSEHOLDER, 0),  layer(BNF_LAYER_BLOCK, 0),
                     layer(BNF_LAYER_CONV, 4),    layer(BNF_LAYER_BATCH_CENTER, 0), layer(BNF_LAYER_ADD, 0),
                     layer(BNF_LAYER_L2_POOL, 0), layer(BNF_LAYER_HEAD, outputs)};
    l[5].learned = true;
    l[7].disjoint = hkr.kind != BNF_HKR_LSE;
    bnf_val f = bnf_nn_network(&s, t->x, l, sizeof l / sizeof *l, &bjorck);
    t->loss = bnf_loss_hkr(&s, "loss", f, t->labels, &hkr).loss;
}

static void test_bits_are_those_of_a_serial_run(void **unused)
{
    (void)unused;
    for (int kind = BNF_HKR_BINARY; kind <= BNF_HKR_LSE; kind++) {
        training serial = {.emit = emit_network}, t = serial;
        hkr = (bnf_hkr){.kind = (bnf_hkr_kind)kind,
                        .form = kind % 2 ? BNF_HKR_CONVEX : BNF_HKR_SUM,
                        .alpha = 0.9,
                        .min_margin = 0.2,
                        .temperature = 2,
                        .penalty = 1};
        outputs = kind == BNF_HKR_BINARY ? 1 : CLASSES;
        start(&serial, NULL, 1, 0);
        start(&t, world, 2, 0);
        sort_labels(&serial, kind == BNF_HKR_BINARY ? 2 : CLASSES);
        sort_labels(&t, kind == BNF_HKR_BINARY ? 2 : CLASSES);
        for (int step = 0; step < 4; step++) {
            bnf_update_stats a = one_step(&t, step), b = one_step(&serial, step);
            assert_true(a.finite && a.grad_norm > 0 && a.grad_norm == b.grad_norm);
            assert_memory_equal(bnf_plan_output(t.plan, t.loss), bnf_plan_output(serial.plan, serial.loss),
                                sizeof(float));
            assert_same_values(&t, &serial, "after a step");
        }
        const float *mix = bnf_params_value(t.params, bnf_params_find(t.params, "add1.mix"));
        assert_true(*mix != 0); /* it has been learned */
        end(&t);
        end(&serial);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_of_the_whole_batch),
        cmocka_unit_test(test_moving_mean_is_of_the_whole_batch),
        cmocka_unit_test(test_bits_are_those_of_a_serial_run),
    };
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &size, tests, NULL, NULL);
}
