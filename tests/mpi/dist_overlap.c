/* Gradients that travel while others are computed: every policy, number of cuts, bucket and algorithm gives the bits of
 * one rank that does one thing after the other; steps that go no further end everywhere; nothing is allocated. */
#include "dist_training.h"
#include "on_ranks.h"

#include "dist/tune.h"

static bnf_dist_config config_of(int progress, int64_t bucket, int algorithm)
{
    return (bnf_dist_config){.progress = progress, .bucket = bucket, .algorithm = algorithm, .poll_seconds = 0};
}

static void start_attached(training *t, const bnf_comm *comm, int threads, const bnf_dist_config *config)
{
    start(t, comm, threads, 0);
    OK(bnf_updater_attach(t->updater, t->plan, config));
}

/* One way for gradients to travel against `values`, what a serial run has after each of 3 steps. */
static void check_bits(const training *kind, int cuts, int threads, const bnf_dist_config *config, training *serial)
{
    training t = *kind;
    t.cuts = cuts;
    start_attached(&t, world, threads, config);
    for (int step = 0; step < 3; step++) {
        bnf_update_stats stats = one_step(&t, step);
        assert_true(stats.finite && stats.exposed_seconds >= 0 && stats.polling_seconds >= 0);
        if (size == 1)
            assert_true(stats.exposed_seconds == 0);
    }
    char what[96];
    snprintf(what, sizeof what, "progress %d, cuts %d, bucket %lld, algorithm %d, %d threads, bf16 %d",
             config->progress, cuts, (long long)config->bucket, config->algorithm, threads, kind->bf16);
    assert_same_values(&t, serial, what);
    end(&t);
}

static void check_kind(bool bf16, bool plain, int stride)
{
    static const int64_t buckets[] = {64, 1000, 1 << 20};
    static const int cuts[] = {0, 1, 3};
    training kind = {.bf16 = bf16, .plain = plain}, serial = kind;
    start(&serial, NULL, 1, 0);
    for (int step = 0; step < 3; step++)
        one_step(&serial, step);
    for (int k = 0; k < 27; k += stride) {
        bnf_dist_config c = config_of(k % 3, buckets[k / 9], (k / 3 + k) % 3);
        check_bits(&kind, cuts[k / 3 % 3], 1 + k / 2 % 2, &c, &serial);
    }
    end(&serial);
}

static void test_travel_changes_no_bit(void **unused)
{
    (void)unused;
    check_kind(false, false, 1);
    check_kind(false, true, 2);
}

static void test_bf16_has_bits_of_its_own(void **unused)
{
    (void)unused;
    check_kind(true, true, 2);
    check_kind(true, false, 5);
    training f32 = {.plain = true}, bf16 = {.plain = true, .bf16 = true};
    start(&f32, world, 1, 0);
    start(&bf16, world, 1, 0);
    double a = one_step(&f32, 0).grad_norm, b = one_step(&bf16, 0).grad_norm;
    assert_true(a != b && fabs(a - b) < 0.02 * a); /* 9 leaves: 4 roundings of relative error 2^-9 each */
    end(&f32);
    end(&bf16);
}

/* Plans and policies change between steps, as they do while the fastest is looked for. */
static void test_changes_between_steps(void **unused)
{
    (void)unused;
    training t = {0}, serial = {0};
    start(&t, world, 2, 0);
    start(&serial, NULL, 1, 0);
    for (int step = 0; step < 6; step++) {
        bnf_dist_config c = config_of(step % 3, step % 2 ? 256 : 1 << 20, 0);
        bnf_plan_config plan = {
            .comm = world, .threads = 2, .owner = t.owner, .hold_states = true, .seed = 4, .cuts = step};
        bnf_plan_destroy(t.plan);
        OK(bnf_plan_create(&plan, t.graph, &t.loss, 1, &t.plan));
        OK(bnf_plan_bind(t.plan, t.x, t.x_data));
        OK(bnf_plan_bind(t.plan, t.labels, t.label_data));
        OK(bnf_updater_attach(t.updater, t.plan, &c));
        one_step(&t, step);
        one_step(&serial, step);
        assert_same_values(&t, &serial, "after a change");
    }
    end(&t);
    end(&serial);
}

/* A run whose gradients are not wanted, and one that a rank has not finished: all ranks go on afterwards. */
static void test_dropped_steps_end_everywhere(void **unused)
{
    (void)unused;
    for (int progress = 0; progress < 3; progress++) {
        training t = {.cuts = 2, .plain = true}, serial = {.plain = true};
        bnf_dist_config c = config_of(progress, 500, 0);
        start_attached(&t, world, 1, &c);
        start(&serial, NULL, 1, 0);
        for (int step = 0; step < 4; step++) {
            if (step % 2 == 0)
                OK(bnf_plan_run(t.plan, step + 100));
            if (step == 3 && rank == size - 1) /* as if the run had ended before its first gradients */
                bnf_plan_set_hooks(t.plan, NULL);
            if (step == 3)
                OK(bnf_plan_run(t.plan, step + 100));
            OK(bnf_updater_drop(t.updater));
            OK(bnf_comm_barrier(world));
            if (step == 3)
                OK(bnf_updater_attach(t.updater, t.plan, &c));
            one_step(&t, step);
            one_step(&serial, step);
            assert_same_values(&t, &serial, "after a dropped run");
        }
        end(&t);
        end(&serial);
    }
}

/* An update that fails on its owner is known to all, though values were on their way. */
static double broken(void *self, double total)
{
    (void)self;
    (void)total;
    return rank == size - 1 ? NAN : 1; /* the owner's raw weights become NaN: reparametrisations refuse or hand it on */
}

static void test_failure_in_the_update(void **unused)
{
    (void)unused;
    training t = {.plain = true, .cuts = 1};
    bnf_dist_config c = config_of(BNF_DIST_POLL, 128, 0);
    start_attached(&t, world, 1, &c);
    one_step(&t, 0);
    end(&t);
    t.updater = NULL;
    begin(&t, world, 1, 0);
    t.rule.rule.clip = broken;
    OK(bnf_updater_create(world, t.params, t.owner, &t.rule.rule, 1, &t.updater));
    OK(bnf_updater_attach(t.updater, t.plan, &c));
    OK(bnf_plan_run(t.plan, 0));
    bnf_update_stats stats;
    int64_t low = bnf_updater_step(t.updater, t.plan, 0, &stats);
    low =
        low != BNF_OK ? low : bnf_updater_settle(t.updater); /* with several ranks values are on their way until here */
    int64_t high = low;                                      /* new values are on their way until here */
    bnf_error_clear();
    OK(bnf_comm_allreduce_i64(world, BNF_COMM_MIN, &low, 1));
    OK(bnf_comm_allreduce_i64(world, BNF_COMM_MAX, &high, 1));
    assert_int_equal(low, high);
    end(&t);
}

static void test_steps_allocate_nothing(void **unused)
{
    (void)unused;
    for (int progress = 0; progress < 3; progress++) {
        training t = {.cuts = 1};
        bnf_dist_config c = config_of(progress, 700, 0);
        start_attached(&t, world, 2, &c);
        one_step(&t, 0);
        int64_t before = bnf_mem_total_allocations();
        for (int step = 1; step < 4; step++)
            one_step(&t, step);
        assert_int_equal(bnf_mem_total_allocations(), before);
        end(&t);
    }
}

/* The n-th allocation of one rank fails while it attaches: all ranks say so, and a later attach works. */
static void test_attaching_may_fail(void **unused)
{
    (void)unused;
    training t = {.cuts = 1};
    bnf_status s = BNF_ERR_MEMORY;
    int64_t n = 1;
    start(&t, world, 1, 0);
    for (; s != BNF_OK && n < 500; n++) {
        bnf_dist_config c = config_of((int)(n % 3), 2000, 0);
        bnf_mem_fail_at(rank == size - 1 ? n : 0);
        s = bnf_updater_attach(t.updater, t.plan, &c);
        bnf_mem_fail_at(0);
        int64_t lowest = s, highest = s;
        OK(bnf_comm_allreduce_i64(world, BNF_COMM_MIN, &lowest, 1));
        OK(bnf_comm_allreduce_i64(world, BNF_COMM_MAX, &highest, 1));
        assert_int_equal(lowest, highest);
        assert_true(s == BNF_OK || s == BNF_ERR_MEMORY);
        bnf_error_clear();
    }
    assert_true(s == BNF_OK && n > 3);
    one_step(&t, 0);
    end(&t);
}

/* Rank 0's medians decide, for all; ranks measure differently. */
static void test_rank_0_decides(void **unused)
{
    (void)unused;
    bnf_tuner t;
    bool changed = false;
    bnf_tuner_begin(&t, BNF_TUNE_AUTO, BNF_TUNE_AUTO, size, BNF_THREAD_SERIALIZED);
    int n = t.n, steps = 0;
    assert_int_equal(n, size == 1 ? 1 : 7);
    for (; !bnf_tuner_settled(&t); steps++) {
        bnf_choice c = bnf_tuner_choice(&t);
        double good = rank == 0 ? c.progress == BNF_DIST_POLL && c.cuts == 1 : c.progress == BNF_DIST_THREAD;
        OK(bnf_tuner_step(&t, world, steps % BNF_TUNE_TRIES == 0 ? 100 - good : 2 - good + 0.001 * (steps % 3),
                          &changed));
    }
    bnf_choice c = bnf_tuner_choice(&t);
    assert_int_equal(steps, size == 1 ? 0 : n * BNF_TUNE_TRIES);
    assert_true(size == 1 ? c.progress == BNF_DIST_BLOCKING && c.cuts == 0
                          : c.progress == BNF_DIST_POLL && c.cuts == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_travel_changes_no_bit), cmocka_unit_test(test_bf16_has_bits_of_its_own),
        cmocka_unit_test(test_changes_between_steps), cmocka_unit_test(test_dropped_steps_end_everywhere),
        cmocka_unit_test(test_failure_in_the_update), cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_attaching_may_fail),    cmocka_unit_test(test_rank_0_decides),
    };
    return ON_RANKS(BNF_THREAD_SERIALIZED, &world, &rank, &size, tests, NULL, NULL);
}
