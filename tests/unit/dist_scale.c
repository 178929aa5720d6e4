/* The model of a cluster against closed forms. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "dist/scale.h"

#include <math.h>
#include <stdlib.h>

#define MIB INT64_C(1048576)

static bnf_scale_cluster quiet_cluster(void)
{
    return (bnf_scale_cluster){.ranks_per_host = 1,
                               .oversubscription = 1,
                               .bandwidth = 1e9,
                               .latency = 1e-5,
                               .memory_bandwidth = 1e10,
                               .memory_latency = 1e-6,
                               .add_bandwidth = 1e30};
}

static int64_t bucket, owners[1025]; /* elements; where each rank's begin */

static bnf_scale_load one_bucket(int64_t elements)
{
    bucket = elements;
    return (bnf_scale_load){.compute_seconds = 1,
                            .n_gradients = 1,
                            .n_values = 1,
                            .gradients = {{owners, 1}},
                            .values = {{owners, 0}},
                            .bytes_per_element = 4,
                            .leaves_per_rank = 2,
                            .algorithm = BNF_FLOW_HALVING,
                            .overlap = true};
}

/* With equal parts for all ranks. */
static bnf_scale_result run(const bnf_scale_cluster *c, const bnf_scale_load *l, int ranks)
{
    bnf_scale_result r;
    for (int i = 0; i <= ranks; i++)
        owners[i] = bucket * i / ranks;
    assert_int_equal(bnf_scale_run(c, l, ranks, 2, 7, &r), BNF_OK);
    return r;
}

/* Powers of two, one rank per host: each direction moves (P - 1) / P of the bytes in log2(P) rounds. */
static void test_halving_meets_its_floor(void **unused)
{
    (void)unused;
    const int64_t n = 4 * MIB;
    bnf_scale_cluster c = quiet_cluster();
    bnf_scale_load l = one_bucket(n);
    for (int rounds = 1; rounds <= 8; rounds++) {
        int ranks = 1 << rounds;
        bnf_scale_result r = run(&c, &l, ranks);
        double one_way = (double)n * 4 * (ranks - 1) / ranks / c.bandwidth + rounds * c.latency;
        assert_true(fabs(r.reduce_exposed - one_way) < 1e-9);
        assert_true(fabs(r.spread_exposed - one_way) < 1e-9);
        assert_true(fabs(r.step_seconds - (1 + 2 * one_way)) < 1e-9);
        assert_true(fabs(r.efficiency - 1 / (1 + 2 * one_way)) < 1e-9);
        assert_true(llabs(r.bytes - 8 * n / ranks * (ranks - 1)) <= 8);
        assert_int_equal(r.messages, 2 * rounds);
    }
}

/* bf16 halves the gradients' way, not that of the values. */
static void test_bf16_halves_one_direction(void **unused)
{
    (void)unused;
    bnf_scale_cluster c = quiet_cluster();
    c.latency = 0;
    bnf_scale_load l = one_bucket(MIB);
    double full = run(&c, &l, 16).reduce_exposed;
    l.bytes_per_element = 2;
    bnf_scale_result r = run(&c, &l, 16);
    assert_true(fabs(r.reduce_exposed - full / 2) < 1e-12);
    assert_true(fabs(r.spread_exposed - full) < 1e-12);
}

/* What is final early and takes less time than the computing that is left costs nothing; without overlap it does. */
static void test_overlap_hides_what_fits(void **unused)
{
    (void)unused;
    bnf_scale_cluster c = quiet_cluster();
    bnf_scale_load l = one_bucket(4 * MIB); /* 16 MiB at 1 GB/s: 17 ms of 500 */
    l.gradients[0].at = 0.5;
    assert_true(run(&c, &l, 8).reduce_exposed < 1e-12);
    l.overlap = false;
    assert_true(run(&c, &l, 8).reduce_exposed > 0.014);
    l.overlap = true;
    c.bandwidth = 1e7; /* 1.5 s of transfer: one of it is left over */
    double left = run(&c, &l, 8).reduce_exposed;
    double one_way = 4.0 * 4 * MIB * 7 / 8 / 1e7 + 3e-5;
    assert_true(fabs(left - (one_way - 0.5)) < 1e-9);
    assert_true(fabs(run(&c, &l, 8).spread_exposed - one_way) < 1e-9);
    l.values[0].at = 0.25; /* not read in the first quarter of the next step */
    assert_true(fabs(run(&c, &l, 8).spread_exposed - (one_way - 0.25)) < 1e-9);
}

/* The slowest rank of many sets the pace, and the more ranks the slower. */
static void test_spread_costs_more_on_more_ranks(void **unused)
{
    (void)unused;
    bnf_scale_cluster c = quiet_cluster();
    bnf_scale_load l = one_bucket(1024);
    l.spread = 0.02;
    double before = 1;
    for (int ranks = 4; ranks <= 1024; ranks *= 16) {
        bnf_scale_result r = run(&c, &l, ranks);
        assert_true(r.compute_seconds > before);
        assert_true(r.efficiency < 1 / before + 1e-12);
        before = r.compute_seconds;
    }
    assert_true(before < 1.1); /* five standard deviations */
}

/* Neighbours share hosts, so what crosses hosts is what one rank per host would send; a narrow trunk is felt. */
static void test_hosts_and_trunks(void **unused)
{
    (void)unused;
    bnf_scale_cluster c = quiet_cluster();
    c.latency = c.memory_latency = 0;
    c.memory_bandwidth = 1e15;
    bnf_scale_load l = one_bucket(MIB);
    double hosts_alone = run(&c, &l, 16).reduce_exposed;
    c.ranks_per_host = 4;
    double shared = run(&c, &l, 64).reduce_exposed;
    assert_true(shared < 1.02 * hosts_alone && shared > 0.98 * hosts_alone);
    c.ranks_per_host = 1;
    c.hosts_per_switch = 4;
    assert_true(fabs(run(&c, &l, 16).reduce_exposed - hosts_alone) < 0.01 * hosts_alone);
    c.oversubscription = 8;
    assert_true(run(&c, &l, 16).reduce_exposed > 1.2 * hosts_alone);
}

/* One owner of everything gets all of it in every round: what owning by whole tensors costs. */
static void test_one_owner_receives_in_every_round(void **unused)
{
    (void)unused;
    const int64_t n = MIB;
    bnf_scale_cluster c = quiet_cluster();
    bnf_scale_load l = one_bucket(n);
    bnf_scale_result r;
    owners[0] = 0;
    for (int i = 1; i <= 16; i++)
        owners[i] = n;
    assert_int_equal(bnf_scale_run(&c, &l, 16, 1, 7, &r), BNF_OK);
    assert_true(fabs(r.reduce_exposed - 4 * (4.0 * n / c.bandwidth + c.latency)) < 1e-9);
}

static void test_any_number_of_ranks_and_bad_arguments(void **unused)
{
    (void)unused;
    bnf_scale_cluster c = quiet_cluster();
    bnf_scale_load l = one_bucket(MIB);
    bnf_scale_result r;
    for (int ranks = 1; ranks <= 24; ranks++)
        for (int a = BNF_FLOW_DIRECT; a <= BNF_FLOW_HALVING; a++) {
            l.algorithm = (bnf_flow_algorithm)a;
            r = run(&c, &l, ranks);
            double floor = 4.0 * MIB * (ranks - 1) / ranks / c.bandwidth;
            assert_true(r.reduce_exposed >= floor * (1 - 1e-9) && r.reduce_exposed < 3 * floor + 1e-3);
        }
    assert_int_equal(bnf_scale_run(&c, &l, 0, 1, 1, &r), BNF_ERR_ARG);
    bnf_error_clear();
    c.bandwidth = 0;
    assert_int_equal(bnf_scale_run(&c, &l, 2, 1, 1, &r), BNF_ERR_ARG);
    bnf_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halving_meets_its_floor),
        cmocka_unit_test(test_bf16_halves_one_direction),
        cmocka_unit_test(test_overlap_hides_what_fits),
        cmocka_unit_test(test_spread_costs_more_on_more_ranks),
        cmocka_unit_test(test_hosts_and_trunks),
        cmocka_unit_test(test_one_owner_receives_in_every_round),
        cmocka_unit_test(test_any_number_of_ranks_and_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
