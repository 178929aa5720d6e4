/* Parameters that all ranks own together: the bits of one rank alone, however gradients travel; the result of single
 * owners, to the last bit without constraints and to rounding with them; state goes out and in, also into other numbers
 * of ranks; memory is divided; failures are everybody's. */
#include "../dist_training.h"
#include "on_ranks.h"

#include "dist/shared.h"

enum { ABOVE = 5000, WIDE = 192 };

/* Dense layers of several blocks of elements and more than one tile. */
static void emit_dense(training *t, const bnf_lip *first, const bnf_lip *second, const bnf_lip *third)
{
    bnf_builder *b = bnf_graph_builder(t->graph);
    bnf_scope s = {t->params, t->graph, b, BNF_NONE, bnf_const(b, LEAVES * PER_LEAF), true};
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    bnf_val y = bnf_groupsort2(b, bnf_nn_dense(&s, "dense1", bnf_flatten(b, t->x), WIDE, true, first));
    y = bnf_groupsort2(b, bnf_nn_dense(&s, "dense2", y, 130, true, second));
    y = bnf_groupsort2(b, bnf_nn_dense(&s, "dense3", y, 50, true, third));
    t->loss = bnf_loss_cross_entropy(&s, bnf_nn_dense(&s, "head", y, CLASSES, true, &none), t->labels, 0);
}

static void emit_free(training *t)
{
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    emit_dense(t, &none, &none, &none);
}

static void emit_tight(training *t)
{
    bnf_lip bjorck = bnf_lip_default(BNF_LIP_BJORCK), spectral = bnf_lip_default(BNF_LIP_SPECTRAL),
            rows = bnf_lip_default(BNF_LIP_FROBENIUS_ROWS);
    bjorck.bjorck_iterations = 4;
    emit_dense(t, &bjorck, &spectral, &rows);
}

static training kind(void (*what)(training *), int64_t above)
{
    return (training){.emit = what, .shared_above = above};
}

static void test_slices(void **unused)
{
    (void)unused;
    static const int64_t counts[] = {1, 4096, 4097, 100000};
    for (int c = 0; c < 4; c++)
        for (int ranks = 1; ranks <= 5; ranks++) {
            int64_t offset[6];
            bnf_shared_slices(counts[c], ranks, offset);
            assert_true(offset[0] == 0 && offset[ranks] == counts[c]);
            for (int r = 0; r < ranks; r++) {
                int64_t n = offset[r + 1] - offset[r];
                assert_true(n >= 0 && n <= counts[c] / ranks + BNF_SHARED_BLOCK);
                assert_true(offset[r] % BNF_SHARED_BLOCK == 0 || offset[r] == counts[c]);
            }
        }
}

static void test_owners(void **unused)
{
    (void)unused;
    training t = kind(emit_tight, ABOVE);
    begin(&t, world, 1, 0);
    int all = 0;
    for (int i = 0; i < bnf_params_count(t.params); i++) {
        int64_t n = bnf_desc_count(&bnf_params_info(t.params, i)->desc);
        assert_int_equal(t.owner[i] == BNF_OWNER_ALL, n > ABOVE);
        all += t.owner[i] == BNF_OWNER_ALL;
    }
    assert_int_equal(all, 3);
    end(&t);
}

static void assert_same_steps(training *t, training *serial, const char *what)
{
    for (int step = 0; step < 2; step++) {
        bnf_update_stats a = one_step(t, step), b = one_step(serial, step);
        assert_true(a.finite && a.grad_norm == b.grad_norm && a.grad_norm > 0.5); /* clipped */
        assert_same_values(t, serial, what);
    }
}

static void test_bits_of_one_rank(void **unused)
{
    (void)unused;
    for (int what = 0; what < 4; what++) {
        training t = kind(what % 2 ? emit_tight : emit_free, ABOVE), serial = t;
        t.cuts = what >= 2 ? 2 : 0;
        t.bf16 = serial.bf16 = what == 2;
        start(&t, world, 1 + what / 2, 0);
        start(&serial, NULL, 1, 0);
        bnf_dist_config poll = {BNF_DIST_POLL, 1 + what % 2, 10000, 0};
        if (what >= 2)
            OK(bnf_updater_attach(t.updater, t.plan, &poll));
        assert_same_steps(&t, &serial, "shared");
        end(&t);
        end(&serial);
    }
}

/* Rates that follow norms over all slices. */
static void test_norms_over_slices(void **unused)
{
    (void)unused;
    for (int k = 0; k < 2; k++) {
        training t = kind(k ? emit_tight : emit_free, ABOVE), serial = t;
        training *both[] = {&serial, &t};
        begin(&serial, NULL, 1, 0);
        begin(&t, world, 1, 0);
        for (int i = 0; i < 2; i++) {
            both[i]->optim.rule = k ? BNF_OPTIM_LAMB : BNF_OPTIM_LARS;
            both[i]->optim.momentum = 0.9;
            both[i]->optim.trust = 0.1;
            both[i]->optim.weight_decay = 0.01;
            bnf_rule_release(&both[i]->rule);
            OK(bnf_rule_create(&both[i]->optim, both[i]->params, 10, 10, &both[i]->rule));
            OK(bnf_updater_create(both[i]->comm, both[i]->params, both[i]->owner, &both[i]->rule.rule, 1,
                                  &both[i]->updater));
        }
        assert_same_steps(&t, &serial, "norms over slices");
        end(&t);
        end(&serial);
    }
}

static double largest_difference(training *a, training *b)
{
    double most = 0;
    for (int i = 0; i < bnf_params_count(a->params); i++) {
        const float *x = bnf_params_value(a->params, i), *y = bnf_params_value(b->params, i);
        for (int64_t k = 0; k < bnf_desc_count(&bnf_params_info(a->params, i)->desc); k++)
            most = fmax(most, fabs((double)x[k] - (double)y[k]));
    }
    return most;
}

static void plain_descent(training *t)
{
    t->optim = (bnf_optim_config){.rule = BNF_OPTIM_SGD,
                                  .schedule = BNF_SCHEDULE_CONSTANT,
                                  .lr = 0.05,
                                  .momentum = 0.9,
                                  .gamma = 0.1,
                                  .power = 1};
    bnf_updater_destroy(t->updater);
    bnf_rule_release(&t->rule);
    OK(bnf_rule_create(&t->optim, t->params, 10, 10, &t->rule));
}

/* Without constraints the same bits, as nothing is clipped. With them, f32 products of up to 192 terms by the single
 * owner: 192 2^-24 = 1.2e-5 of values below 1, forward and backward, in each of 3 steps of rates up to 0.05 (1 + 0.9 +
 * 0.81): below 1e-4. */
static void test_equals_single_owners(void **unused)
{
    (void)unused;
    for (int what = 0; what < 2; what++) {
        training t = kind(what ? emit_tight : emit_free, ABOVE), single = kind(t.emit, 0);
        begin(&t, world, 1, 0);
        begin(&single, world, 1, 0);
        plain_descent(&t);
        plain_descent(&single);
        OK(bnf_updater_create(world, t.params, t.owner, &t.rule.rule, 1, &t.updater));
        OK(bnf_updater_create(world, single.params, single.owner, &single.rule.rule, 1, &single.updater));
        for (int step = 0; step < 3; step++) {
            bnf_update_stats a = one_step(&t, step), b = one_step(&single, step);
            assert_true(fabs(a.grad_norm - b.grad_norm) <= 1e-4 * b.grad_norm);
            double difference = largest_difference(&t, &single);
            if (what ? difference > 1e-4 : difference != 0)
                fail_msg("step %d: %g", step, difference);
        }
        end(&t);
        end(&single);
    }
}

static void clip_each(training *t, int kind, double limit)
{
    t->optim = (bnf_optim_config){.rule = kind,
                                  .lr = 0.05,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .weight_decay = kind == BNF_OPTIM_ADAMW ? 1e-3 : 0,
                                  .decay = kind == BNF_OPTIM_ADAMW,
                                  .gamma = 0.1,
                                  .power = 1,
                                  .clip_variable = limit};
    bnf_updater_destroy(t->updater);
    bnf_rule_release(&t->rule);
    OK(bnf_rule_create(&t->optim, t->params, 10, 10, &t->rule));
    OK(bnf_updater_create(t->comm, t->params, t->owner, &t->rule.rule, 1, &t->updater));
}

/* Parameters of one owner and of all, constrained or not, f32 and bf16 on the wire, while others compute. */
static void test_clipping_each_has_the_bits_of_one_rank(void **unused)
{
    (void)unused;
    for (int what = 1; what < 3; what++) {
        training t = kind(what % 2 ? emit_tight : emit_free, ABOVE), serial = t;
        t.cuts = 2 * what;
        t.bf16 = serial.bf16 = what == 2;
        begin(&t, world, 1, 0);
        begin(&serial, NULL, 1, 0);
        clip_each(&t, BNF_OPTIM_ADAMW, 0.1);
        clip_each(&serial, BNF_OPTIM_ADAMW, 0.1);
        bnf_dist_config poll = {BNF_DIST_POLL, 1 + what % 2, 10000, 0};
        OK(bnf_updater_attach(t.updater, t.plan, &poll));
        assert_same_steps(&t, &serial, "each clipped");
        end(&t);
        end(&serial);
    }
}

/* One step of plain descent from the same start gives the gradients, the clipped step follows from them in f64: a
 * difference of two f32 values below 2 has an error of 2^-23, and gradients are larger by 1 / 0.05. */
static void test_clipping_each_against_f64(void **unused)
{
    (void)unused;
    const double limit = 0.2, lr = 0.05;
    training free = kind(emit_free, ABOVE), t = free, start_values = free;
    int clipped = 0, kept = 0, shared = 0;
    begin(&free, world, 1, 0);
    begin(&t, world, 1, 0);
    begin(&start_values, world, 1, 0);
    clip_each(&free, BNF_OPTIM_SGD, 0);
    clip_each(&t, BNF_OPTIM_SGD, limit);
    assert_true(one_step(&free, 0).grad_norm == one_step(&t, 0).grad_norm); /* of what arrives, before clipping */
    for (int i = 0; i < bnf_params_count(t.params); i++) {
        const float *from = bnf_params_value(start_values.params, i), *to = bnf_params_value(t.params, i),
                    *other = bnf_params_value(free.params, i);
        int64_t n = bnf_desc_count(&bnf_params_info(t.params, i)->desc);
        double sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += pow(((double)from[k] - (double)other[k]) / lr, 2);
        double norm = sqrt(sum), factor = norm > limit ? limit / norm : 1;
        for (int64_t k = 0; k < n; k++) {
            double want = (double)from[k] + factor * ((double)other[k] - (double)from[k]);
            assert_true(fabs((double)to[k] - want) <= 1e-6);
        }
        clipped += norm > limit;
        kept += norm < limit;
        shared += norm > limit && t.owner[i] == BNF_OWNER_ALL;
    }
    assert_true(clipped > shared && shared > 0 && kept > 0);
    end(&free);
    end(&t);
    end(&start_values);
}

/* --- state out and in --------------------------------------------------------------------------------------------- */

static void *array(training *t, int i, int a, int64_t *bytes)
{
    const char *name;
    bnf_dtype dtype;
    int64_t count;
    void *data;
    bnf_updater_array_info(t->updater, i, a, &name, &dtype, &count);
    *bytes = count * (int64_t)bnf_dtype_size(dtype);
    OK(bnf_alloc((size_t)*bytes, "array", &data));
    return data;
}

/* From one training into another, through every rank. */
static void hand_over(training *from, training *to)
{
    for (int i = 0; i < bnf_params_count(from->params); i++)
        for (int a = 0; a < bnf_updater_arrays(from->updater, i); a++) {
            int64_t bytes, there;
            void *data = array(from, i, a, &bytes);
            OK(bnf_updater_gather(from->updater, i, a, data));
            OK(bnf_comm_bcast(from->comm, 0, data, bytes));
            void *same = array(to, i, a, &there);
            assert_int_equal(bytes, there);
            OK(bnf_updater_put(to->updater, i, a, data));
            bnf_free(data);
            bnf_free(same);
        }
    OK(bnf_updater_restore(to->updater));
}

static void test_state_goes_out_and_in(void **unused)
{
    (void)unused;
    training t = kind(emit_tight, ABOVE), fresh = t, serial = t;
    start(&t, world, 1, 0);
    start(&fresh, world, 2, size > 1);
    start(&serial, NULL, 1, 0);
    for (int step = 0; step < 2; step++)
        one_step(&t, step);
    hand_over(&t, &serial);
    hand_over(&serial, &fresh);
    assert_same_values(&serial, &t, "handed over");
    assert_same_values(&fresh, &t, "handed over twice");
    for (int step = 2; step < 3; step++) {
        one_step(&t, step);
        one_step(&fresh, step);
        one_step(&serial, step);
        assert_same_values(&serial, &t, "going on alone");
        assert_same_values(&fresh, &t, "going on");
    }
    end(&t);
    end(&fresh);
    end(&serial);
}

/* --- what goes wrong ---------------------------------------------------------------------------------------------- */

static void test_nonfinite_changes_nothing(void **unused)
{
    (void)unused;
    training t = kind(emit_tight, ABOVE), serial = t;
    start(&t, world, 1, 0);
    start(&serial, NULL, 1, 0);
    one_step(&t, 0);
    one_step(&serial, 0);
    float was = t.x_data[5];
    if (rank == size - 1)
        t.x_data[5] = NAN;
    assert_false(one_step(&t, 1).finite);
    t.x_data[5] = was;
    assert_same_values(&t, &serial, "after a step that was left out");
    one_step(&t, 2);
    one_step(&serial, 2);
    assert_same_values(&t, &serial, "after a step behind one that was left out");
    end(&t);
    end(&serial);
}

static void test_steps_allocate_nothing(void **unused)
{
    (void)unused;
    training t = kind(emit_tight, ABOVE);
    start(&t, world, 2, 0);
    one_step(&t, 0);
    int64_t before = bnf_mem_total_allocations();
    for (int step = 1; step < 3; step++)
        one_step(&t, step);
    assert_int_equal(bnf_mem_total_allocations(), before);
    end(&t);
}

/* Beside the values and the plan, which every rank needs whole, a rank holds its share. */
static void test_memory_is_divided(void **unused)
{
    (void)unused;
    training t = kind(emit_free, ABOVE), serial = t;
    begin(&t, world, 1, 0);
    begin(&serial, NULL, 1, 0);
    int64_t bytes[3] = {bnf_mem_live_bytes()};
    OK(bnf_updater_create(world, t.params, t.owner, &t.rule.rule, 1, &t.updater));
    bytes[1] = bnf_mem_live_bytes();
    OK(bnf_updater_create(NULL, serial.params, serial.owner, &serial.rule.rule, 1, &serial.updater));
    bytes[2] = bnf_mem_live_bytes() - bytes[1];
    bytes[1] -= bytes[0];
    int64_t slices = 0;
    for (int i = 0; i < bnf_params_count(t.params); i++)
        if (t.owner[i] == BNF_OWNER_ALL) {
            int64_t offset[8];
            bnf_shared_slices(bnf_desc_count(&bnf_params_info(t.params, i)->desc), size, offset);
            slices += offset[rank + 1] - offset[rank];
        }
    assert_true(bytes[2] >= 2 * 4 * 60000);                         /* two moments of three matrices */
    assert_true(bytes[1] <= 3 * 4 * slices + 4 * 4 * 2000 + 30000); /* moments, sums; the small ones; lists */
    end(&t);
    end(&serial);
}

/* Allocations of one rank fail, one at a time: all ranks return the same error, and nothing is left. */
static void test_allocations_may_fail(void **unused)
{
    (void)unused;
    bnf_status s = BNF_ERR_MEMORY;
    for (int64_t n = 1; s != BNF_OK; n += 5 + n / 2) {
        training fresh = kind(emit_tight, ABOVE);
        begin(&fresh, world, 1, 0);
        int64_t blocks = bnf_mem_live_blocks();
        bnf_mem_fail_at(rank == size - 1 ? n : 0);
        s = bnf_updater_create(world, fresh.params, fresh.owner, &fresh.rule.rule, 1, &fresh.updater);
        bnf_mem_fail_at(0);
        int64_t extremes[2] = {s, -(int64_t)s};
        OK(bnf_comm_allreduce_i64(world, BNF_COMM_MAX, extremes, 2));
        assert_true(extremes[0] == -extremes[1] && (s == BNF_OK || s == BNF_ERR_MEMORY));
        if (s != BNF_OK) {
            assert_int_equal(bnf_mem_live_blocks(), blocks);
            fresh.updater = NULL;
        }
        bnf_error_clear();
        end(&fresh);
        assert_true(s != BNF_OK || n > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_bits_of_one_rank),
        cmocka_unit_test(test_norms_over_slices),
        cmocka_unit_test(test_equals_single_owners),
        cmocka_unit_test(test_clipping_each_has_the_bits_of_one_rank),
        cmocka_unit_test(test_clipping_each_against_f64),
        cmocka_unit_test(test_state_goes_out_and_in),
        cmocka_unit_test(test_nonfinite_changes_nothing),
        cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_memory_is_divided),
        cmocka_unit_test(test_allocations_may_fail),
    };
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &size, tests, NULL, NULL);
}
