/* The conditional dual autoencoder and its supervised form in training: the bits of one rank alone, whoever owns the
 * parameters; scores of every event are those of one rank, too. */
#include "on_ranks.h"

#include <banff/dist.h>

#include "dist/owners.h"
#include "recipes/dark_showers/dark_showers.h"
#include "train/rule.h"

#include <math.h>
#include <string.h>

#define OK(expr)                                                           \
    do {                                                                   \
        if ((expr) != BNF_OK)                                              \
            fail_msg("rank %d: %s: %s", rank, #expr, bnf_error_message()); \
    } while (0)

enum { LEAVES = 5, PER_LEAF = 2, HEIGHT = 12, WIDTH = 10, CELLS = HEIGHT * WIDTH, CLASSES = 3, MAX_PARAMS = 128 };

static const bnf_comm *world;
static int rank, size;

/* A graph with its plan over this rank's leaves. */
typedef struct part {
    bnf_graph *graph;
    bnf_plan *plan;
    bnf_val x, labels, count;
    bnf_model_values values;
    int lo, hi;
    float *x_rows; /* of this rank */
    int32_t *label_rows;
} part;

typedef struct training {
    bnf_params *params;
    bnf_updater *updater;
    bnf_rule rule;
    int owner[MAX_PARAMS];
    part step, scores;
    bnf_dark_settings set;
    int threads;
} training;

static float masks[LEAVES * PER_LEAF * CELLS];
static int32_t labels[LEAVES * PER_LEAF];

static void fill_data(void)
{
    for (int i = 0; i < LEAVES * PER_LEAF; i++) {
        labels[i] = i % CLASSES;
        for (int k = 0; k < CELLS; k++)
            masks[i * CELLS + k] = sin(1.7 * (i * CELLS + k) + 0.3) + 0.02 * labels[i] > 0.8 ? 1 : 0;
    }
}

static void build(training *t, part *p, bool learns)
{
    bnf_desc xd = bnf_desc_4d(BNF_F32, PER_LEAF, HEIGHT, WIDTH, 1), yd = bnf_desc_1d(BNF_I32, PER_LEAF),
             one = bnf_desc_1d(BNF_F32, 1);
    OK(bnf_graph_create(t->params, LEAVES, learns, &p->graph));
    bnf_scope s = {t->params, p->graph, bnf_graph_builder(p->graph), BNF_NONE, BNF_NONE, learns};
    s.count = p->count = bnf_graph_knob(p->graph, "count", &one);
    p->x = bnf_graph_input(p->graph, "x", &xd);
    p->labels = bnf_graph_input(p->graph, "labels", &yd);
    bnf_recipe_dark_showers.build(&t->set, &s, p->x, p->labels, CLASSES, &p->values);
    OK(bnf_graph_status(p->graph));
    if (learns)
        OK(bnf_graph_minimize(p->graph, p->values.loss));
}

static void plan(training *t, part *p, const bnf_comm *comm)
{
    bnf_val kept[BNF_MODEL_MAX_OUTPUTS + 1] = {p->values.loss};
    bnf_plan_config cfg = {.comm = comm, .threads = t->threads, .owner = t->owner, .seed = 4};
    const float count = LEAVES * PER_LEAF;
    for (int i = 0; i < p->values.n_outputs; i++)
        kept[1 + i] = p->values.outputs[i].value;
    OK(bnf_plan_create(&cfg, p->graph, kept, 1 + p->values.n_outputs, &p->plan));
    bnf_plan_leaves(p->plan, &p->lo, &p->hi);
    OK(bnf_plan_set(p->plan, p->count, &count));
    const size_t rows = (size_t)(p->hi - p->lo) * PER_LEAF;
    OK(bnf_alloc(rows * CELLS * sizeof(float), "images", &p->x_rows));
    OK(bnf_alloc(rows * sizeof(int32_t), "labels", &p->label_rows));
    memcpy(p->x_rows, masks + p->lo * PER_LEAF * CELLS, rows * CELLS * sizeof(float));
    memcpy(p->label_rows, labels + p->lo * PER_LEAF, rows * sizeof(int32_t));
    OK(bnf_plan_bind(p->plan, p->x, p->x_rows));
    OK(bnf_plan_bind(p->plan, p->labels, p->label_rows));
}

static void begin(training *t, const bnf_comm *comm, int kind, int threads, int shift)
{
    static int64_t filters[] = {4, 4}, aux_filters[] = {2, 4};
    *t = (training){.threads = threads,
                    .set.model = {.kind = kind,
                                  .filters = {2, filters},
                                  .aux_filters = {2, aux_filters},
                                  .latent = 3,
                                  .aux = 2,
                                  .groups = 2,
                                  .aux_groups = 2,
                                  .slope = 0.2}};
    const bnf_optim_config adamw = {.rule = BNF_OPTIM_ADAMW,
                                    .schedule = BNF_SCHEDULE_CONSTANT,
                                    .lr = 0.01,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .eps = 1e-8,
                                    .weight_decay = 0.1,
                                    .gamma = 0.1,
                                    .power = 1};
    OK(bnf_params_create(BNF_F32, &t->params));
    build(t, &t->step, true);
    build(t, &t->scores, false);
    OK(bnf_params_init(t->params, 4));
    assert_true(bnf_params_count(t->params) <= MAX_PARAMS);
    OK(bnf_owners_assign(t->params, bnf_comm_size(comm), t->owner));
    for (int i = 0; i < bnf_params_count(t->params); i++)
        t->owner[i] = (t->owner[i] + shift) % bnf_comm_size(comm);
    plan(t, &t->step, comm);
    plan(t, &t->scores, comm);
    OK(bnf_rule_create(&adamw, t->params, 10, 10, &t->rule));
    OK(bnf_updater_create(comm, t->params, t->owner, &t->rule.rule, threads, &t->updater));
}

static void end(training *t)
{
    part *parts[] = {&t->step, &t->scores};
    bnf_updater_destroy(t->updater);
    bnf_rule_release(&t->rule);
    for (int i = 0; i < 2; i++) {
        bnf_plan_destroy(parts[i]->plan);
        bnf_graph_destroy(parts[i]->graph);
        bnf_free(parts[i]->x_rows);
        bnf_free(parts[i]->label_rows);
    }
    bnf_params_destroy(t->params);
}

static float step(training *t, int number)
{
    bnf_update_stats stats;
    OK(bnf_plan_run(t->step.plan, number));
    float loss = *(const float *)bnf_plan_output(t->step.plan, t->step.values.loss);
    OK(bnf_updater_step(t->updater, t->step.plan, number, &stats));
    OK(bnf_updater_settle(t->updater));
    assert_true(stats.finite && stats.grad_norm > 0);
    return loss;
}

static void assert_same_weights(training *a, training *b)
{
    for (int i = 0; i < bnf_params_count(a->params); i++) {
        const bnf_param_info *info = bnf_params_info(a->params, i);
        if (memcmp(bnf_params_value(a->params, i), bnf_params_value(b->params, i), bnf_desc_bytes(&info->desc)) != 0)
            fail_msg("rank %d of %d: '%s' differs", rank, size, info->name);
    }
}

/* This rank's rows of every output are those of the run of one rank. */
static void assert_same_scores(training *t, training *serial)
{
    const bnf_model_values *v = &t->scores.values;
    OK(bnf_plan_run(t->scores.plan, 0));
    OK(bnf_plan_run(serial->scores.plan, 0));
    assert_true(v->n_outputs > 0 && serial->scores.values.n_outputs == v->n_outputs);
    for (int i = 0; i < v->n_outputs; i++) {
        bnf_val value = v->outputs[i].value;
        size_t leaf = bnf_desc_bytes(bnf_val_desc(bnf_graph_builder(t->scores.graph), value));
        const char *all = bnf_plan_output(serial->scores.plan, serial->scores.values.outputs[i].value);
        if (memcmp(bnf_plan_output(t->scores.plan, value), all + (size_t)t->scores.lo * leaf,
                   leaf * (size_t)(t->scores.hi - t->scores.lo)) != 0)
            fail_msg("rank %d of %d: output '%s' differs", rank, size, v->outputs[i].name);
    }
}

static void test_training(void **unused)
{
    (void)unused;
    const int kinds[] = {BNF_DARK_CODAE, BNF_DARK_AUTOENCODER, BNF_DARK_SUPERVISED};
    for (int k = 0; k < 3; k++) {
        training t, serial;
        float first = 0, last = 0;
        begin(&serial, NULL, kinds[k], 1, 0);
        begin(&t, world, kinds[k], 1 + k % 2, k);
        for (int i = 0; i < 4; i++) {
            last = step(&t, i);
            assert_true(last == step(&serial, i));
            first = i == 0 ? last : first;
        }
        assert_true(last < first);
        assert_same_weights(&t, &serial);
        assert_same_scores(&t, &serial);
        end(&t);
        end(&serial);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_training)};
    fill_data();
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &size, tests, NULL, NULL);
}
