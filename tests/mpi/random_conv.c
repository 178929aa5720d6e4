/* Folded combinations of filters in training: the bits of one rank alone, frozen filters that stay as they were drawn
 * under weight decay, and kernels that remain combinations of them. */
#include "../dist_training.h"
#include "on_ranks.h"

#include "recipes/random_conv/fold.h"
#include "recipes/random_conv/net.h"

enum { WIDTH = 6, EXPANSION = 3, SEED = 12 };

/* Frozen combinations, learned ones, an ordinary convolution that is frozen, one that is followed by its norm. */
static void emit_arms(training *t)
{
    bnf_builder *b = bnf_graph_builder(t->graph);
    bnf_scope s = {t->params, t->graph, b, BNF_NONE, bnf_const(b, LEAVES * PER_LEAF), true};
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    bnf_random_conv_model m = {.kernel = 3, .expansion = EXPANSION, .frozen = true, .fold = true};
    s.seed = SEED;
    bnf_val y = bnf_relu(b, bnf_random_conv_layer(&s, &m, 0, "frozen", t->x, WIDTH, 1));
    m.frozen = false;
    y = bnf_relu(b, bnf_random_conv_layer(&s, &m, 1, "learned", y, WIDTH, 2));
    m.frozen = true;
    m.expansion = 0;
    y = bnf_relu(b, bnf_random_conv_layer(&s, &m, 2, "plain", y, WIDTH, 1));
    m.expansion = EXPANSION;
    m.between = BNF_RANDOM_CONV_BN_RELU;
    y = bnf_random_conv_layer(&s, &m, 3, "apart", y, WIDTH, 1);
    t->loss = bnf_loss_cross_entropy(&s, bnf_nn_dense(&s, "head", y, CLASSES, true, &none), t->labels, 0.1);
}

static void descend(training *t, int threads)
{
    t->optim = (bnf_optim_config){.rule = BNF_OPTIM_SGD,
                                  .schedule = BNF_SCHEDULE_COSINE,
                                  .lr = 0.05,
                                  .momentum = 0.9,
                                  .nesterov = true,
                                  .weight_decay = 0.01,
                                  .gamma = 0.1,
                                  .power = 1};
    bnf_rule_release(&t->rule);
    OK(bnf_rule_create(&t->optim, t->params, 10, 10, &t->rule));
    OK(bnf_updater_create(t->comm, t->params, t->owner, &t->rule.rule, threads, &t->updater));
}

static int find(const training *t, const char *name)
{
    int i = bnf_params_find(t->params, name);
    if (i < 0)
        fail_msg("no parameter '%s'", name);
    return i;
}

static void *copy_value(training *t, const char *name)
{
    int i = find(t, name);
    size_t bytes = bnf_desc_bytes(&bnf_params_info(t->params, i)->desc);
    void *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, bnf_params_value(t->params, i), bytes);
    return copy;
}

static void assert_kept(training *t, const char *name, void *before, bool kept)
{
    int i = find(t, name);
    const bnf_param_info *info = bnf_params_info(t->params, i);
    bool same = memcmp(before, bnf_params_value(t->params, i), bnf_desc_bytes(&info->desc)) == 0;
    if (same != kept)
        fail_msg("rank %d: '%s' %s", rank, name, kept ? "has changed" : "has not moved");
    free(before);
}

/* The kernel is P W, with W drawn here again. */
static void assert_combinations(training *t)
{
    const int64_t fan_in = 9 * CHANNELS, filters = WIDTH * EXPANSION;
    int i = find(t, "frozen.weight");
    const float *kernel = bnf_params_value(t->params, i);
    float p[WIDTH * WIDTH * EXPANSION];
    assert_int_equal(bnf_desc_count(bnf_param_raw_desc(bnf_params_info(t->params, i))), WIDTH * filters);
    if (bnf_updater_owner(t->updater, i) == rank)
        memcpy(p, bnf_updater_own(t->updater, i, 0), sizeof p);
    OK(bnf_comm_bcast(t->comm, bnf_updater_owner(t->updater, i), p, sizeof p));
    for (int64_t o = 0; o < WIDTH; o++)
        for (int64_t k = 0; k < fan_in; k++) {
            double sum = 0;
            for (int64_t j = 0; j < filters; j++)
                sum += (double)p[o * filters + j] * bnf_random_conv_filter(SEED, 0, fan_in, j * fan_in + k);
            assert_true(fabs(sum - (double)kernel[o * fan_in + k]) < 1e-6);
        }
}

static void test_training(void **unused)
{
    (void)unused;
    for (int k = 0; k < 3; k++) {
        training t = {.emit = emit_arms, .cuts = k == 1 ? 2 : 0}, serial = t;
        begin(&serial, NULL, 1, 0);
        begin(&t, world, 1 + k % 2, k);
        descend(&serial, 1);
        descend(&t, 1 + k % 2);
        bnf_dist_config poll = {BNF_DIST_POLL, 1, 1000, 0};
        if (k == 1)
            OK(bnf_updater_attach(t.updater, t.plan, &poll));
        assert_same_values(&t, &serial, "at the start");
        void *plain = copy_value(&t, "plain.weight"), *filters = copy_value(&t, "apart.filters.weight");
        void *frozen = copy_value(&t, "frozen.weight"), *learned = copy_value(&t, "learned.weight"),
             *mix = copy_value(&t, "apart.mix.weight");
        for (int step = 0; step < 4; step++) {
            bnf_update_stats a = one_step(&t, step), b = one_step(&serial, step);
            assert_true(a.finite && a.grad_norm > 0 && a.grad_norm == b.grad_norm);
            assert_same_values(&t, &serial, "after a step");
        }
        assert_kept(&t, "plain.weight", plain, true);
        assert_kept(&t, "apart.filters.weight", filters, true);
        assert_kept(&t, "frozen.weight", frozen, false);
        assert_kept(&t, "learned.weight", learned, false);
        assert_kept(&t, "apart.mix.weight", mix, false);
        if (k == 0)
            assert_combinations(&t);
        end(&t);
        end(&serial);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_training)};
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &size, tests, NULL, NULL);
}
