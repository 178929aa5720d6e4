/* tests/dist_training.h - a small training with every kind of parameter, on all ranks or in this process alone. */
#ifndef BNF_TESTS_DIST_TRAINING_H
#define BNF_TESTS_DIST_TRAINING_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/dist.h>
#include <banff/nn.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "comm/agree.h"
#include "dist/owners.h"
#include "train/rule.h"

#define OK(expr)                                                           \
    do {                                                                   \
        if ((expr) != BNF_OK)                                              \
            fail_msg("rank %d: %s: %s", rank, #expr, bnf_error_message()); \
    } while (0)

enum { LEAVES = 9, PER_LEAF = 2, SIDE = 8, CHANNELS = 3, CLASSES = 5, MAX_PARAMS = 32 };

static const bnf_comm *world;
static int rank, size;

/* A training, on `world` or, with comm NULL, all of it here. */
typedef struct training {
    const bnf_comm *comm;
    bnf_params *params;
    bnf_graph *graph;
    bnf_plan *plan;
    bnf_updater *updater;
    bnf_rule rule;
    bnf_optim_config optim;
    int owner[MAX_PARAMS];
    bnf_val x, labels, loss;
    float *x_data;
    int32_t *label_data;
    int lo, hi;                      /* leaves */
    int cuts;                        /* of the plan; set before begin */
    bool bf16, eager, plain;         /* likewise; plain: without states, batch sums come at the end only */
    int64_t shared_above;            /* likewise: bnf_owners_assign_shared */
    void (*emit)(struct training *); /* likewise; NULL: the network below */
} training;

/* Bjorck, spectral and unit-row weights, plain weights and biases, a normalisation with states, a soft loss with
 * another state. */
static inline void emit(training *t)
{
    bnf_builder *b = bnf_graph_builder(t->graph);
    bnf_scope s = {t->params, t->graph, b, BNF_NONE, bnf_const(b, LEAVES * PER_LEAF), true};
    bnf_conv2d_layer plain = bnf_conv2d_layer_default(6), tight = bnf_conv2d_layer_default(8);
    bnf_batch_norm_layer norm = bnf_batch_norm_layer_default();
    bnf_lip bjorck = bnf_lip_default(BNF_LIP_BJORCK), spectral = bnf_lip_default(BNF_LIP_SPECTRAL),
            rows = bnf_lip_default(BNF_LIP_FROBENIUS_ROWS);
    bnf_hkr hkr = {.kind = BNF_HKR_SOFT, .form = BNF_HKR_SUM, .alpha = 10, .min_margin = 0.5, .temperature = 2};
    bnf_pool2d_attr pool = {.kind = BNF_POOL_L2, .window = {2, 2}, .stride = {2, 2}};
    tight.lip = bjorck;
    bnf_val y = bnf_nn_conv2d(&s, "conv1", t->x, &plain);
    y = t->plain ? bnf_relu(b, y) : bnf_nn_batch_norm(&s, "norm1", y, &norm);
    y = bnf_pool2d(b, bnf_groupsort2(b, bnf_nn_conv2d(&s, "conv2", y, &tight)), &pool);
    y = bnf_tanh(b, bnf_nn_dense(&s, "dense1", bnf_flatten(b, y), 16, true, &spectral));
    if (t->plain)
        t->loss = bnf_loss_cross_entropy(&s, bnf_nn_dense(&s, "head", y, CLASSES, false, &rows), t->labels, 0);
    else
        t->loss = bnf_loss_hkr(&s, "loss", bnf_nn_dense(&s, "head", y, CLASSES, false, &rows), t->labels, &hkr).loss;
}

static inline void fill_data(training *t)
{
    int64_t sample = SIDE * SIDE * CHANNELS, leaf = PER_LEAF * sample;
    OK(bnf_alloc((size_t)((t->hi - t->lo) * leaf) * sizeof(float), "images", &t->x_data));
    OK(bnf_alloc((size_t)((t->hi - t->lo) * PER_LEAF) * sizeof(int32_t), "labels", &t->label_data));
    for (int64_t i = t->lo * leaf; i < t->hi * leaf; i++)
        t->x_data[i - t->lo * leaf] = (float)(sin(1.7 * (double)i + 0.3) + 0.1 * cos(5.1 * (double)i));
    for (int64_t i = t->lo * PER_LEAF; i < t->hi * PER_LEAF; i++)
        t->label_data[i - t->lo * PER_LEAF] = (int32_t)(i * i % CLASSES);
    OK(bnf_plan_bind(t->plan, t->x, t->x_data));
    OK(bnf_plan_bind(t->plan, t->labels, t->label_data));
}

/* Everything but the updater. shift: owners are moved on by so many ranks. */
static inline void begin(training *t, const bnf_comm *comm, int threads, int shift)
{
    *t = (training){.comm = comm,
                    .cuts = t->cuts,
                    .bf16 = t->bf16,
                    .eager = t->eager,
                    .plain = t->plain,
                    .shared_above = t->shared_above,
                    .emit = t->emit ? t->emit : emit};
    bnf_desc xd = bnf_desc_4d(BNF_F32, PER_LEAF, SIDE, SIDE, CHANNELS), yd = bnf_desc_1d(BNF_I32, PER_LEAF);
    OK(bnf_params_create(BNF_F32, &t->params));
    OK(bnf_graph_create(t->params, LEAVES, true, &t->graph));
    t->x = bnf_graph_input(t->graph, "x", &xd);
    t->labels = bnf_graph_input(t->graph, "labels", &yd);
    t->emit(t);
    OK(bnf_graph_status(t->graph));
    OK(bnf_graph_minimize(t->graph, t->loss));
    OK(bnf_params_init(t->params, 4));
    assert_true(bnf_params_count(t->params) <= MAX_PARAMS);
    OK(bnf_owners_assign_shared(t->params, bnf_comm_size(comm), t->shared_above, t->owner));
    for (int i = 0; i < bnf_params_count(t->params); i++)
        if (t->owner[i] != BNF_OWNER_ALL)
            t->owner[i] = (t->owner[i] + shift) % bnf_comm_size(comm);
    bnf_plan_config cfg = {.comm = comm,
                           .threads = threads,
                           .owner = t->owner,
                           .hold_states = true,
                           .seed = 4,
                           .cuts = t->cuts,
                           .bf16_sums = t->bf16,
                           .eager = t->eager};
    OK(bnf_plan_create(&cfg, t->graph, &t->loss, 1, &t->plan));
    bnf_plan_leaves(t->plan, &t->lo, &t->hi);
    fill_data(t);
    t->optim = (bnf_optim_config){.rule = BNF_OPTIM_ADAM,
                                  .schedule = BNF_SCHEDULE_COSINE,
                                  .lr = 0.02,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .clip_norm = 0.5,
                                  .gamma = 0.1,
                                  .power = 1};
    OK(bnf_rule_create(&t->optim, t->params, 10, 10, &t->rule));
}

static inline void start(training *t, const bnf_comm *comm, int threads, int shift)
{
    begin(t, comm, threads, shift);
    OK(bnf_updater_create(comm, t->params, t->owner, &t->rule.rule, threads, &t->updater));
}

static inline void end(training *t)
{
    if (t->updater)
        OK(bnf_updater_settle(t->updater));
    bnf_updater_destroy(t->updater);
    bnf_rule_release(&t->rule);
    bnf_plan_destroy(t->plan);
    bnf_graph_destroy(t->graph);
    bnf_params_destroy(t->params);
    bnf_free(t->x_data);
    bnf_free(t->label_data);
}

static inline bnf_update_stats one_step(training *t, int64_t step)
{
    bnf_update_stats stats;
    OK(bnf_plan_run(t->plan, step));
    OK(bnf_updater_step(t->updater, t->plan, step, &stats));
    if (stats.finite)
        bnf_plan_commit(t->plan);
    return stats;
}

static inline void assert_same_values(training *a, training *b, const char *when)
{
    OK(bnf_updater_settle(a->updater));
    OK(bnf_updater_settle(b->updater));
    for (int i = 0; i < bnf_params_count(a->params); i++) {
        const bnf_param_info *info = bnf_params_info(a->params, i);
        if (memcmp(bnf_params_value(a->params, i), bnf_params_value(b->params, i), bnf_desc_bytes(&info->desc)) != 0)
            fail_msg("rank %d of %d, %s: '%s' differs", rank, size, when, info->name);
    }
}

#endif
