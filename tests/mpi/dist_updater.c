/* One update path: reduced to owners, updated there, broadcast. Against a serial run of the same steps in this very
 * process: same bits for any number of ranks and threads and any owners; state goes out and in again; what is not
 * finite changes nothing; a failure of one rank is everybody's. */
#include "dist_training.h"
#include "on_ranks.h"

/* --- owners ------------------------------------------------------------------------------------------------------- */

static void test_owners_are_balanced(void **unused)
{
    (void)unused;
    training t = {0};
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
            training serial = {0}, t = {0};
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

/* Rates that follow norms of whole weights, of one owner or of all ranks together. */
static void test_norms_equal_a_serial_run(void **unused)
{
    (void)unused;
    static const bnf_optim_kind kinds[] = {BNF_OPTIM_LARS, BNF_OPTIM_LAMB};
    for (int k = 0; k < 4; k++) {
        training serial = {.shared_above = k / 2 ? 100 : 0}, t = serial;
        training *both[] = {&serial, &t};
        begin(&serial, NULL, 1, 0);
        begin(&t, world, 2, 0);
        for (int i = 0; i < 2; i++) {
            both[i]->optim.rule = kinds[k % 2];
            both[i]->optim.momentum = 0.9;
            both[i]->optim.trust = 0.1;
            both[i]->optim.weight_decay = 0.01;
            bnf_rule_release(&both[i]->rule);
            OK(bnf_rule_create(&both[i]->optim, both[i]->params, 10, 10, &both[i]->rule));
            OK(bnf_updater_create(both[i]->comm, both[i]->params, both[i]->owner, &both[i]->rule.rule, i + 1,
                                  &both[i]->updater));
        }
        for (int step = 0; step < 4; step++) {
            bnf_update_stats a = one_step(&t, step), b = one_step(&serial, step);
            assert_true(a.finite && a.grad_norm == b.grad_norm);
            assert_same_values(&t, &serial, "after a step by norms");
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
    training t = {0}, fresh = {0}, serial = {0};
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
        training t = {0}, serial = {0};
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
    training t = {0};
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
        training t = {0};
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
    training t = {0};
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
    training t = {0};
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owners_are_balanced),         cmocka_unit_test(test_steps_equal_a_serial_run),
        cmocka_unit_test(test_norms_equal_a_serial_run),    cmocka_unit_test(test_state_goes_out_and_in),
        cmocka_unit_test(test_nonfinite_changes_nothing),   cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_every_allocation_may_fail),   cmocka_unit_test(test_more_ranks_than_leaves),
        cmocka_unit_test(test_eager_failure_is_everybodys), cmocka_unit_test(test_damaged_state_is_refused),
    };
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &size, tests, NULL, NULL);
}
