/* One update path: reduced to owners, updated there, broadcast. Against a serial run of the same steps in this very
 * process: same bits for any number of ranks and threads and any owners; state goes out and in again; what is not
 * finite changes nothing; a failure of one rank is everybody's. */
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
    int lo, hi; /* leaves */
} training;

/* Bjorck, spectral and unit-row weights, plain weights and biases, a normalisation with states, a soft loss with
 * another state. */
static void emit(training *t)
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
    bnf_val y = bnf_nn_batch_norm(&s, "norm1", bnf_nn_conv2d(&s, "conv1", t->x, &plain), &norm);
    y = bnf_pool2d(b, bnf_groupsort2(b, bnf_nn_conv2d(&s, "conv2", y, &tight)), &pool);
    y = bnf_tanh(b, bnf_nn_dense(&s, "dense1", bnf_flatten(b, y), 16, true, &spectral));
    t->loss = bnf_loss_hkr(&s, "loss", bnf_nn_dense(&s, "head", y, CLASSES, false, &rows), t->labels, &hkr).loss;
}

static void fill_data(training *t)
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
static void begin(training *t, const bnf_comm *comm, int threads, int shift)
{
    memset(t, 0, sizeof *t);
    t->comm = comm;
    bnf_desc xd = bnf_desc_4d(BNF_F32, PER_LEAF, SIDE, SIDE, CHANNELS), yd = bnf_desc_1d(BNF_I32, PER_LEAF);
    OK(bnf_params_create(BNF_F32, &t->params));
    OK(bnf_graph_create(t->params, LEAVES, true, &t->graph));
    t->x = bnf_graph_input(t->graph, "x", &xd);
    t->labels = bnf_graph_input(t->graph, "labels", &yd);
    emit(t);
    OK(bnf_graph_status(t->graph));
    OK(bnf_graph_minimize(t->graph, t->loss));
    OK(bnf_params_init(t->params, 4));
    assert_true(bnf_params_count(t->params) <= MAX_PARAMS);
    OK(bnf_owners_assign(t->params, bnf_comm_size(comm), t->owner));
    for (int i = 0; i < bnf_params_count(t->params); i++)
        t->owner[i] = (t->owner[i] + shift) % bnf_comm_size(comm);
    bnf_plan_config cfg = {.comm = comm, .threads = threads, .owner = t->owner, .hold_states = true, .seed = 4};
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

static void start(training *t, const bnf_comm *comm, int threads, int shift)
{
    begin(t, comm, threads, shift);
    OK(bnf_updater_create(comm, t->params, t->owner, &t->rule.rule, threads, &t->updater));
}

static void end(training *t)
{
    bnf_updater_destroy(t->updater);
    bnf_rule_release(&t->rule);
    bnf_plan_destroy(t->plan);
    bnf_graph_destroy(t->graph);
    bnf_params_destroy(t->params);
    bnf_free(t->x_data);
    bnf_free(t->label_data);
}

static bnf_update_stats one_step(training *t, int64_t step)
{
    bnf_update_stats stats;
    OK(bnf_plan_run(t->plan, step));
    OK(bnf_updater_step(t->updater, t->plan, step, &stats));
    if (stats.finite)
        bnf_plan_commit(t->plan);
    return stats;
}

static void assert_same_values(training *a, training *b, const char *when)
{
    for (int i = 0; i < bnf_params_count(a->params); i++) {
        const bnf_param_info *info = bnf_params_info(a->params, i);
        if (memcmp(bnf_params_value(a->params, i), bnf_params_value(b->params, i), bnf_desc_bytes(&info->desc)) != 0)
            fail_msg("rank %d of %d, %s: '%s' differs", rank, size, when, info->name);
    }
}

/* --- owners ------------------------------------------------------------------------------------------------------- */

static void test_owners_are_balanced(void **unused)
{
    (void)unused;
    training t;
    begin(&t, world, 1, 0);
    int n = bnf_params_count(t.params);
    for (int ranks = 1; ranks <= 6; ranks++) {
        int owner[MAX_PARAMS];
        double load[6] = {0}, all = 0, dearest = 0, most = 0;
        OK(bnf_owners_assign(t.params, ranks, owner));
        for (int i = 0; i < n; i++) {
            double cost = bnf_owners_cost(bnf_params_info(t.params, i));
            assert_true(owner[i] >= 0 && owner[i] < ranks);
            assert_int_equal(cost > 0, bnf_params_info(t.params, i)->trainable);
            load[owner[i]] += cost;
            all += cost;
            dearest = fmax(dearest, cost);
        }
        for (int r = 0; r < ranks; r++)
            most = fmax(most, load[r]);
        assert_true(most <= all / ranks + dearest);
        int64_t mine[MAX_PARAMS], highest[MAX_PARAMS];
        for (int i = 0; i < n; i++)
            mine[i] = highest[i] = owner[i];
        OK(bnf_comm_allreduce_i64(world, BNF_COMM_MAX, highest, n));
        assert_memory_equal(mine, highest, (size_t)n * sizeof *mine);
    }
    end(&t);
}

/* --- bits --------------------------------------------------------------------------------------------------------- */

static void test_steps_equal_a_serial_run(void **unused)
{
    (void)unused;
    for (int threads = 1; threads <= 2; threads++)
        for (int shift = 0; shift < (size > 1 ? 2 : 1); shift++) {
            training serial, t;
            start(&serial, NULL, 1, 0);
            start(&t, world, threads, shift);
            assert_same_values(&t, &serial, "at the start");
            for (int step = 0; step < 5; step++) {
                bnf_update_stats a = one_step(&t, step), b = one_step(&serial, step);
                assert_true(a.finite && a.grad_norm > 0.5 && a.grad_norm == b.grad_norm); /* clipped, too */
                assert_same_values(&t, &serial, "after a step");
            }
            end(&t);
            end(&serial);
        }
}

/* --- state out and in --------------------------------------------------------------------------------------------- */

/* All arrays of all parameters one behind the other, on every rank. The caller frees. */
static char *take_state(training *t, size_t *bytes)
{
    size_t at = 0;
    char *all = NULL;
    for (int i = 0; i < bnf_params_count(t->params); i++)
        for (int a = 0; a < bnf_updater_arrays(t->updater, i); a++) {
            const char *name;
            bnf_dtype dtype;
            int64_t count;
            bnf_updater_array_info(t->updater, i, a, &name, &dtype, &count);
            size_t n = (size_t)count * bnf_dtype_size(dtype);
            all = realloc(all, at + n);
            assert_non_null(all);
            OK(bnf_updater_gather(t->updater, i, a, rank == 0 || !t->comm ? all + at : NULL));
            OK(bnf_comm_bcast(t->comm, 0, all + at, (int64_t)n));
            at += n;
        }
    *bytes = at;
    return all;
}

static void put_state(training *t, const char *all)
{
    for (int i = 0; i < bnf_params_count(t->params); i++)
        for (int a = 0; a < bnf_updater_arrays(t->updater, i); a++) {
            const char *name;
            bnf_dtype dtype;
            int64_t count;
            char *copy;
            bnf_updater_array_info(t->updater, i, a, &name, &dtype, &count);
            size_t n = (size_t)count * bnf_dtype_size(dtype);
            OK(bnf_alloc(n, "array", &copy)); /* aligned */
            memcpy(copy, all, n);
            if (!bnf_params_info(t->params, i)->trainable) /* every rank holds states itself */
                memcpy(bnf_params_value(t->params, i), copy, n);
            OK(bnf_updater_put(t->updater, i, a, copy));
            bnf_free(copy);
            all += n;
        }
    OK(bnf_updater_restore(t->updater));
}

static void test_state_goes_out_and_in(void **unused)
{
    (void)unused;
    training t, fresh, serial;
    size_t bytes, again;
    start(&t, world, 1, 0);
    for (int step = 0; step < 3; step++)
        one_step(&t, step);
    char *state = take_state(&t, &bytes);
    start(&fresh, world, 2, size > 1); /* other owners */
    put_state(&fresh, state);
    assert_same_values(&fresh, &t, "restored");
    char *copy = take_state(&fresh, &again);
    assert_int_equal(bytes, again);
    assert_memory_equal(state, copy, bytes);
    start(&serial, NULL, 1, 0);
    put_state(&serial, state);
    for (int step = 3; step < 6; step++) {
        one_step(&t, step);
        one_step(&fresh, step);
        one_step(&serial, step);
        assert_same_values(&fresh, &t, "after going on");
        assert_same_values(&serial, &t, "after going on alone");
    }
    free(state);
    free(copy);
    end(&t);
    end(&fresh);
    end(&serial);
}

/* --- what is not finite ------------------------------------------------------------------------------------------- */

static void test_nonfinite_changes_nothing(void **unused)
{
    (void)unused;
    static const float bad[] = {NAN, INFINITY};
    for (int k = 0; k < 2; k++) {
        training t, serial;
        size_t bytes, again;
        start(&t, world, 1, 0);
        start(&serial, NULL, 1, 0);
        for (int step = 0; step < 2; step++) {
            one_step(&t, step);
            one_step(&serial, step);
        }
        char *before = take_state(&t, &bytes);
        float was = t.x_data[5];
        if (rank == size - 1)
            t.x_data[5] = bad[k];
        bnf_update_stats stats = one_step(&t, 2);
        assert_false(stats.finite);
        t.x_data[5] = was;
        char *after = take_state(&t, &again);
        assert_int_equal(bytes, again);
        assert_memory_equal(before, after, bytes);
        assert_same_values(&t, &serial, "after a step that was left out");
        for (int step = 3; step < 5; step++) {
            one_step(&t, step);
            one_step(&serial, step);
        }
        assert_same_values(&t, &serial, "after steps behind one that was left out");
        free(before);
        free(after);
        end(&t);
        end(&serial);
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void test_steps_allocate_nothing(void **unused)
{
    (void)unused;
    training t;
    start(&t, world, 2, 0);
    one_step(&t, 0);
    int64_t before = bnf_mem_total_allocations();
    for (int step = 1; step < 4; step++)
        one_step(&t, step);
    assert_int_equal(bnf_mem_total_allocations(), before);
    end(&t);
}

/* The n-th allocation of one rank fails: all ranks return the same error, and nothing is left. */
static void test_every_allocation_may_fail(void **unused)
{
    (void)unused;
    bnf_status s = BNF_ERR_MEMORY;
    for (int64_t n = 1; s != BNF_OK && n < 500; n++) {
        training t;
        begin(&t, world, 1, 0);
        int64_t blocks = bnf_mem_live_blocks();
        bnf_mem_fail_at(rank == size - 1 ? n : 0);
        s = bnf_updater_create(world, t.params, t.owner, &t.rule.rule, 1, &t.updater);
        bnf_mem_fail_at(0);
        int64_t lowest = s, highest = s;
        OK(bnf_comm_allreduce_i64(world, BNF_COMM_MIN, &lowest, 1));
        OK(bnf_comm_allreduce_i64(world, BNF_COMM_MAX, &highest, 1));
        assert_int_equal(lowest, highest);
        if (s != BNF_OK) {
            assert_int_equal(s, BNF_ERR_MEMORY);
            assert_non_null(strstr(bnf_error_message(), "cannot allocate"));
            assert_int_equal(bnf_mem_live_blocks(), blocks);
            t.updater = NULL;
        }
        bnf_error_clear();
        end(&t);
        if (s == BNF_OK)
            assert_true(n > 5);
    }
    assert_int_equal(s, BNF_OK);
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

static void test_more_ranks_than_leaves(void **unused)
{
    (void)unused;
    bnf_params *params;
    bnf_graph *graph;
    bnf_plan *plan;
    if (size == 1)
        skip();
    bnf_desc d = bnf_desc_1d(BNF_F32, 1);
    OK(bnf_params_create(BNF_F32, &params));
    OK(bnf_graph_create(params, size - 1, true, &graph));
    bnf_val sum = bnf_batch_sum(bnf_graph_builder(graph), bnf_graph_input(graph, "x", &d));
    bnf_plan_config cfg = {.comm = world, .threads = 1};
    assert_int_equal(bnf_plan_create(&cfg, graph, &sum, 1, &plan), BNF_ERR_ARG);
    char both[64];
    snprintf(both, sizeof both, "%d ranks but only %d leaves", size, size - 1);
    assert_non_null(strstr(bnf_error_message(), both));
    bnf_error_clear();
    bnf_graph_destroy(graph);
    bnf_params_destroy(params);
}

/* One rank meets a NaN in eager mode, in the middle of a network with batch sums: all ranks learn of it, none waits
 * for a sum. */
static void test_eager_failure_is_everybodys(void **unused)
{
    (void)unused;
    training t;
    bnf_plan *eager;
    begin(&t, world, 1, 0);
    bnf_plan_config cfg = {.comm = world, .threads = 1, .owner = t.owner, .eager = true};
    OK(bnf_plan_create(&cfg, t.graph, &t.loss, 1, &eager));
    OK(bnf_plan_bind(eager, t.x, t.x_data));
    OK(bnf_plan_bind(eager, t.labels, t.label_data));
    OK(bnf_plan_run(eager, 0));
    if (rank == size - 1)
        t.x_data[0] = NAN;
    assert_int_equal(bnf_plan_run(eager, 1), BNF_ERR_NUMERIC);
    char text[32];
    assert_non_null(strstr(bnf_error_message(), "conv2d"));
    snprintf(text, sizeof text, "rank %d: ", size - 1);
    assert_int_equal(strncmp(bnf_error_message(), text, strlen(text)) == 0, rank != size - 1);
    bnf_error_clear();
    bnf_plan_destroy(eager);
    end(&t);
}

static void test_damaged_state_is_refused(void **unused)
{
    (void)unused;
    training t;
    start(&t, world, 1, 0);
    int refused = 0;
    for (int i = 0; i < bnf_params_count(t.params); i++)
        for (int a = 0; a < bnf_updater_arrays(t.updater, i); a++) {
            const char *name;
            bnf_dtype dtype;
            int64_t count;
            bnf_updater_array_info(t.updater, i, a, &name, &dtype, &count);
            if (strcmp(name, "reparam") != 0)
                continue;
            assert_int_equal(dtype, BNF_F64);
            double *state;
            OK(bnf_alloc((size_t)count * sizeof *state, "state", &state));
            for (int64_t k = 0; k < count; k++)
                state[k] = NAN;
            bnf_status s = bnf_updater_put(t.updater, i, a, state);
            assert_int_equal(s, t.owner[i] == rank ? BNF_ERR_FORMAT : BNF_OK);
            refused++;
            bnf_error_clear();
            bnf_free(state);
        }
    assert_true(refused >= 2);
    end(&t);
}

int main(void)
{
    if (bnf_comm_init(BNF_THREAD_FUNNELED) != BNF_OK)
        return 1;
    world = bnf_comm_world();
    rank = bnf_comm_rank(world);
    size = bnf_comm_size(world);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owners_are_balanced),      cmocka_unit_test(test_steps_equal_a_serial_run),
        cmocka_unit_test(test_state_goes_out_and_in),    cmocka_unit_test(test_nonfinite_changes_nothing),
        cmocka_unit_test(test_steps_allocate_nothing),   cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_more_ranks_than_leaves),   cmocka_unit_test(test_eager_failure_is_everybodys),
        cmocka_unit_test(test_damaged_state_is_refused),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (failures)
        bnf_comm_abort(1); /* other ranks may wait where this one has given up */
    return bnf_comm_finalize() != BNF_OK || bnf_mem_live_blocks() != 0; /* the communicator keeps buffers until then */
}
