/* Draws: exact distributions on small sets, sizes of strata, functions of seed and step alone, work that does not grow
 * with the set. All seeds are fixed; bounds are such that a right sampler fails one with a probability below 1e-7. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "data/pick.h"
#include "data/sampler.h"

#include <math.h>

enum { ROOM = 4096 };

static bnf_sampler *make(const bnf_sampler_config *config)
{
    bnf_sampler *s;
    bnf_sampler_config c = *config;
    c.seed = c.seed ? c.seed : 17;
    c.chunk_rows = 1;
    assert_ok(bnf_sampler_create(&c, &s));
    return s;
}

static int64_t draw(bnf_sampler *s, int64_t step, int64_t *index)
{
    int64_t n = -1;
    assert_ok(bnf_sampler_draw(s, step, ROOM, index, &n));
    assert_in_range(n, 0, ROOM);
    return n;
}

/* Chi-square of counts against probabilities; outcomes of probability 0 may not occur. With d degrees of freedom it
 * exceeds d + 2 sqrt(d x) + 2 x with a probability below exp(-x) (Laurent and Massart 2000); x = 17: 4e-8. */
static void assert_distributed(const int64_t *seen, const double *probability, int outcomes, int64_t draws)
{
    double sum = 0, d = -1;
    for (int k = 0; k < outcomes; k++) {
        double expected = probability[k] * (double)draws;
        d += probability[k] > 0;
        if (probability[k] > 0)
            sum += ((double)seen[k] - expected) * ((double)seen[k] - expected) / expected;
        else
            assert_int_equal(seen[k], 0);
    }
    assert_true(sum < d + 2 * sqrt(17 * d) + 34);
}

/* Ordered outcomes of m of n by their digits. */
static void test_pick_is_uniform(void **state)
{
    (void)state;
    enum { N = 5, M = 3, CODES = N * N * N, DRAWS = 30000 };
    int64_t seen[CODES] = {0}, number[N], longer[N];
    double p[CODES];
    bnf_pick *pick;
    bnf_philox_key key = bnf_philox_key_make(3, BNF_STREAM_TEST);
    assert_ok(bnf_pick_create(N, &pick));
    for (int i = 0; i < DRAWS; i++) {
        bnf_pick_draw(pick, key, (uint32_t)i, N, M, number);
        seen[(number[0] * N + number[1]) * N + number[2]]++;
        bnf_pick_draw(pick, key, (uint32_t)i, N, N, longer);
        assert_memory_equal(number, longer, M * sizeof *number);
    }
    for (int k = 0; k < CODES; k++) {
        int a = k / N / N, b = k / N % N, c = k % N;
        p[k] = a != b && b != c && a != c ? 1.0 / 60 : 0;
    }
    assert_distributed(seen, p, CODES, DRAWS);
    bnf_pick_destroy(pick);
}

/* All of many: a permutation, with every place of the table in use. */
static void test_pick_of_all(void **state)
{
    (void)state;
    enum { N = 3000 };
    static int64_t number[N];
    static char there[N];
    bnf_pick *pick;
    assert_ok(bnf_pick_create(N, &pick));
    for (int round = 0; round < 20; round++) {
        memset(there, 0, sizeof there);
        bnf_pick_draw(pick, bnf_philox_key_make((uint64_t)round, BNF_STREAM_TEST), 0, N, N, number);
        for (int i = 0; i < N; i++) {
            assert_in_range(number[i], 0, N - 1);
            assert_false(there[number[i]]);
            there[number[i]] = 1;
        }
    }
    bnf_pick_destroy(pick);
}

/* Subsets of `count` <= 6 samples by their bits: counts how often each is drawn. */
static void count_subsets(bnf_sampler *s, int64_t steps, int64_t seen[64])
{
    int64_t index[ROOM];
    memset(seen, 0, 64 * sizeof *seen);
    for (int64_t step = 0; step < steps; step++) {
        int bits = 0;
        for (int64_t n = draw(s, step, index), i = 0; i < n; i++)
            bits |= 1 << index[i];
        seen[bits]++;
    }
}

/* The share of subsets that hold a sample is what bnf_sampler_inclusion says. */
static void check_inclusion(const bnf_sampler *s, const int64_t seen[64], int count, int64_t steps)
{
    for (int i = 0; i < count; i++) {
        double p = bnf_sampler_inclusion(s, i), with = 0;
        for (int bits = 0; bits < 64; bits++)
            with += bits >> i & 1 ? (double)seen[bits] : 0;
        assert_true(fabs(with - p * (double)steps) <= 6 * sqrt(p * (1 - p) * (double)steps) + 1e-9);
    }
}

static void test_replacement(void **state)
{
    (void)state;
    enum { N = 4, STEPS = 16000 };
    int64_t seen[16] = {0}, subsets[64], index[ROOM];
    double p[16];
    bnf_sampler *s = make(&(bnf_sampler_config){.kind = BNF_SAMPLER_REPLACEMENT, .count = N, .batch = 2});
    for (int64_t step = 0; step < STEPS; step++) {
        assert_int_equal(draw(s, step, index), 2);
        seen[index[0] * N + index[1]]++;
    }
    for (int k = 0; k < 16; k++)
        p[k] = 1.0 / 16;
    assert_distributed(seen, p, 16, STEPS);
    assert_true(fabs(bnf_sampler_inclusion(s, 0) - (1 - 0.75 * 0.75)) < 1e-15);
    count_subsets(s, STEPS, subsets);
    check_inclusion(s, subsets, N, STEPS);
    assert_int_equal(bnf_sampler_neighbours(s), BNF_NEIGHBOURS_REPLACE);
    bnf_sampler_destroy(s);
}

static void test_without_replacement(void **state)
{
    (void)state;
    enum { N = 6, M = 3, STEPS = 20000 };
    int64_t seen[64];
    double p[64];
    bnf_sampler *s = make(&(bnf_sampler_config){.kind = BNF_SAMPLER_WITHOUT_REPLACEMENT, .count = N, .batch = M});
    count_subsets(s, STEPS, seen);
    for (int bits = 0; bits < 64; bits++)
        p[bits] = __builtin_popcount((unsigned)bits) == M ? 1.0 / 20 : 0;
    assert_distributed(seen, p, 64, STEPS);
    check_inclusion(s, seen, N, STEPS);
    assert_int_equal(bnf_sampler_neighbours(s), BNF_NEIGHBOURS_REPLACE);
    assert_int_equal(bnf_sampler_steps_per_epoch(s), 2);
    bnf_sampler_destroy(s);
}

/* Every sample for itself: all 2^5 subsets have the product of their probabilities, the empty one too. */
static void test_poisson(void **state)
{
    (void)state;
    enum { N = 5, STEPS = 30000 };
    static const double rates[] = {0.3, 0.05, 0.9};
    int64_t seen[64], index[ROOM];
    for (int k = 0; k < 3; k++) {
        double p[64] = {0};
        bnf_sampler *s =
            make(&(bnf_sampler_config){.kind = BNF_SAMPLER_POISSON, .count = N, .batch = 2, .rate = rates[k]});
        for (int bits = 0; bits < 32; bits++) {
            int in = __builtin_popcount((unsigned)bits);
            p[bits] = pow(rates[k], in) * pow(1 - rates[k], N - in);
            if (p[bits] * STEPS < 1)
                p[bits] = 0; /* too rare to be counted: the next line of the test allows for them */
        }
        count_subsets(s, STEPS, seen);
        for (int bits = 0; bits < 32; bits++)
            if (p[bits] == 0) {
                assert_true(seen[bits] < 12);
                seen[bits] = 0;
            }
        assert_distributed(seen, p, 64, STEPS);
        check_inclusion(s, seen, N, STEPS);
        assert_int_equal(bnf_sampler_neighbours(s), BNF_NEIGHBOURS_ADD_REMOVE);
        bnf_sampler_destroy(s);
    }
    bnf_sampler *all = make(&(bnf_sampler_config){.kind = BNF_SAMPLER_POISSON, .count = 9, .batch = 2, .rate = 1});
    for (int64_t step = 0; step < 5; step++) {
        assert_int_equal(draw(all, step, index), 9);
        for (int i = 0; i < 9; i++)
            assert_int_equal(index[i], i);
    }
    bnf_sampler_destroy(all);
}

/* P(X > k) for X binomial, summed from the far end in logarithms. */
static double binomial_above(int n, double q, int k)
{
    double sum = 0;
    for (int i = n; i > k; i--)
        sum += exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) + i * log(q) + (n - i) * log1p(-q));
    return sum;
}

/* The room is enough, and no more than what is enough for the odds' power 3/2. A draw beyond the room is refused. */
static void test_poisson_room(void **state)
{
    (void)state;
    static const struct {
        int n;
        double q, odds;
    } cases[] = {{1000, 0.01, 1e-6}, {1000, 0.01, 1e-12}, {200, 0.5, 1e-9}, {50, 0.9, 1e-3}, {10, 0.5, 1e-12}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        bnf_sampler *s = make(
            &(bnf_sampler_config){.kind = BNF_SAMPLER_POISSON, .count = cases[k].n, .batch = 1, .rate = cases[k].q});
        int room = (int)bnf_sampler_room(s, cases[k].odds);
        assert_true(binomial_above(cases[k].n, cases[k].q, room) <= cases[k].odds);
        assert_true(room == cases[k].n ||
                    binomial_above(cases[k].n, cases[k].q, room - 1) > pow(cases[k].odds, 1.5) * 1e-2);
        bnf_sampler_destroy(s);
    }
    bnf_sampler *s = make(&(bnf_sampler_config){.kind = BNF_SAMPLER_POISSON, .count = 1000, .batch = 10});
    int64_t index[8], n, refused = 0;
    for (int64_t step = 0; step < 200; step++) {
        index[7] = -7;
        if (bnf_sampler_draw(s, step, 7, index, &n) == BNF_OK)
            continue;
        refused++;
        assert_true(n > 7);
        assert_int_equal(index[7], -7);
        assert_non_null(strstr(bnf_error_message(), "data.capacity"));
    }
    assert_in_range(refused, 120, 190); /* P(X > 7) = 0.78 */
    bnf_sampler_destroy(s);
}

/* ---- Strata and clusters ---- */

enum { STRATA_N = 60 };

/* Three strata of 10, 20 and 30 samples, with values that are neither dense nor ascending in the file. */
static const int64_t *strata(void)
{
    static int64_t group[STRATA_N];
    for (int i = 0; i < STRATA_N; i++)
        group[i] = i % 6 == 0 ? -5 : i % 6 < 3 ? 7 : 1000000000000;
    return group;
}

static int stratum_of(int64_t sample)
{
    return sample % 6 == 0 ? 0 : sample % 6 < 3 ? 1 : 2;
}

/* Draws a step; checks that nothing is there twice; [out] sizes of the three strata. */
static void strata_sizes(bnf_sampler *s, int64_t step, int64_t sizes[3])
{
    int64_t index[ROOM], n = draw(s, step, index);
    char there[STRATA_N] = {0};
    memset(sizes, 0, 3 * sizeof *sizes);
    for (int64_t i = 0; i < n; i++) {
        assert_in_range(index[i], 0, STRATA_N - 1);
        assert_false(there[index[i]]);
        there[index[i]] = 1;
        sizes[stratum_of(index[i])]++;
    }
}

static bnf_sampler_config stratified(int64_t batch)
{
    return (bnf_sampler_config){.kind = BNF_SAMPLER_STRATIFIED, .count = STRATA_N, .batch = batch, .group = strata()};
}

static void test_strata_proportional(void **state)
{
    (void)state;
    enum { STEPS = 4000 };
    bnf_sampler_config c = stratified(13); /* targets 13/6, 13/3, 13/2 */
    bnf_sampler *s = make(&c);
    int64_t sizes[3], up[3] = {0};
    const double fraction[3] = {13.0 / 6 - 2, 13.0 / 3 - 4, 0.5};
    for (int64_t step = 0; step < STEPS; step++) {
        strata_sizes(s, step, sizes);
        for (int h = 0; h < 3; h++) {
            int64_t low = h == 0 ? 2 : h == 1 ? 4 : 6;
            assert_in_range(sizes[h], low, low + 1);
            up[h] += sizes[h] - low;
        }
    }
    for (int h = 0; h < 3; h++)
        assert_true(fabs((double)up[h] - fraction[h] * STEPS) < 6 * sqrt(STEPS * fraction[h] * (1 - fraction[h])));
    for (int64_t i = 0; i < STRATA_N; i++)
        assert_true(fabs(bnf_sampler_inclusion(s, i) - 13.0 / 60) < 1e-12);
    assert_int_equal(bnf_sampler_room(s, 1e-12), 3 + 5 + 7);
    assert_int_equal(bnf_sampler_neighbours(s), BNF_NEIGHBOURS_ADD_REMOVE);
    bnf_sampler_destroy(s);
    c.rounding = BNF_ROUNDING_DETERMINISTIC;
    s = make(&c);
    strata_sizes(s, 3, sizes);
    assert_true(sizes[0] == 2 && sizes[1] == 4 && sizes[2] == 7);
    assert_true(fabs(bnf_sampler_inclusion(s, 5) - 7.0 / 30) < 1e-12);
    assert_int_equal(bnf_sampler_room(s, 1e-12), 13);
    bnf_sampler_destroy(s);
}

/* Within a stratum all subsets are alike: pairs of ten. */
static void test_strata_are_uniform_inside(void **state)
{
    (void)state;
    enum { STEPS = 20000 };
    static const int64_t sizes[3] = {2, 0, 1};
    bnf_sampler_config c = stratified(3);
    c.allocation = BNF_ALLOCATION_FIXED;
    c.sizes = sizes;
    c.n_sizes = 3;
    bnf_sampler *s = make(&c);
    int64_t pairs[100] = {0}, singles[STRATA_N] = {0}, index[ROOM];
    double p[100], q[STRATA_N];
    for (int64_t step = 0; step < STEPS; step++) {
        int64_t n = draw(s, step, index), found[2], k = 0;
        assert_int_equal(n, 3);
        for (int64_t i = 0; i < n; i++)
            if (stratum_of(index[i]) == 0)
                found[k++] = index[i] / 6;
            else
                singles[index[i]]++;
        assert_int_equal(k, 2);
        pairs[found[0] < found[1] ? found[0] * 10 + found[1] : found[1] * 10 + found[0]]++;
    }
    for (int k = 0; k < 100; k++)
        p[k] = k / 10 < k % 10 ? 1.0 / 45 : 0;
    for (int i = 0; i < STRATA_N; i++)
        q[i] = stratum_of(i) == 2 ? 1.0 / 30 : 0;
    assert_distributed(pairs, p, 100, STEPS);
    assert_distributed(singles, q, STRATA_N, STEPS);
    assert_int_equal(bnf_sampler_neighbours(s), BNF_NEIGHBOURS_REPLACE_IN_STRATUM);
    bnf_sampler_destroy(s);
}

static void test_strata_neyman(void **state)
{
    (void)state;
    static const double plain[3] = {3, 0, 1}, full[3] = {100, 1, 1};
    bnf_sampler_config c = stratified(24);
    int64_t sizes[3];
    c.allocation = BNF_ALLOCATION_NEYMAN;
    c.rounding = BNF_ROUNDING_DETERMINISTIC;
    c.deviations = plain;
    c.n_deviations = 3;
    c.batch = 12;
    bnf_sampler *s = make(&c); /* weights 30, 0, 30 */
    strata_sizes(s, 0, sizes);
    assert_true(sizes[0] == 6 && sizes[1] == 0 && sizes[2] == 6);
    assert_int_equal(bnf_sampler_neighbours(s), BNF_NEIGHBOURS_NONE);
    bnf_sampler_destroy(s);
    c.deviations = full;
    c.batch = 40;
    s = make(&c); /* the first stratum's share would be 38: it gives its 10, and 30 are left for 20 : 30 */
    strata_sizes(s, 0, sizes);
    assert_true(sizes[0] == 10 && sizes[1] == 12 && sizes[2] == 18);
    bnf_sampler_destroy(s);
}

static void test_clusters(void **state)
{
    (void)state;
    enum { STEPS = 12000 };
    static const int64_t group[6] = {9, 1, 9, 1, 4, 9};
    static const int bits_of[3] = {1 << 1 | 1 << 3, 1 << 4, 1 << 0 | 1 << 2 | 1 << 5};
    int64_t seen[64], index[ROOM];
    double p[64] = {0};
    bnf_sampler *s =
        make(&(bnf_sampler_config){.kind = BNF_SAMPLER_CLUSTER, .count = 6, .batch = 4, .group = group, .clusters = 2});
    count_subsets(s, STEPS, seen);
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < a; b++)
            p[bits_of[a] | bits_of[b]] = 1.0 / 3;
    assert_distributed(seen, p, 64, STEPS);
    check_inclusion(s, seen, 6, STEPS);
    assert_int_equal(bnf_sampler_room(s, 0.5), 5);
    assert_int_equal(bnf_sampler_neighbours(s), BNF_NEIGHBOURS_REPLACE_CLUSTER);
    bnf_sampler_destroy(s);
    /* Neighbours in the file: 20 samples by 6, the last cluster has 2; a batch of 12 is 2.4 clusters of 5: two. */
    s = make(&(bnf_sampler_config){.kind = BNF_SAMPLER_CLUSTER, .count = 20, .batch = 12, .cluster_rows = 6});
    for (int64_t step = 0; step < 100; step++) {
        int64_t n = draw(s, step, index);
        int of[4] = {0};
        for (int64_t i = 0; i < n; i++)
            of[index[i] / 6]++;
        int whole = (of[0] == 6) + (of[1] == 6) + (of[2] == 6) + (of[3] == 2);
        assert_int_equal(whole, 2);
        assert_int_equal(n, of[3] ? 8 : 12);
    }
    bnf_sampler_destroy(s);
}

/* ---- All kinds ---- */

static const bnf_sampler_config every_kind[] = {
    {.kind = BNF_SAMPLER_SHUFFLE},     {.kind = BNF_SAMPLER_SEQUENTIAL},
    {.kind = BNF_SAMPLER_REPLACEMENT}, {.kind = BNF_SAMPLER_WITHOUT_REPLACEMENT},
    {.kind = BNF_SAMPLER_POISSON},     {.kind = BNF_SAMPLER_STRATIFIED},
    {.kind = BNF_SAMPLER_CLUSTER},
};

static bnf_sampler *make_kind(int k, uint64_t seed)
{
    bnf_sampler_config c = every_kind[k];
    c.count = STRATA_N;
    c.batch = 16;
    c.seed = seed;
    if (c.kind == BNF_SAMPLER_STRATIFIED || c.kind == BNF_SAMPLER_CLUSTER)
        c.group = strata();
    return make(&c);
}

/* The same draw whatever was drawn before, also far out; other steps and seeds give others; nothing is allocated. */
static void test_pure_functions(void **state)
{
    (void)state;
    static const int64_t steps[] = {0, 1, 5, 100000, (int64_t)1 << 32, ((int64_t)1 << 32) + 1};
    for (int k = 0; k < BNF_SAMPLER_COUNT; k++) {
        bnf_sampler *s = make_kind(k, 5), *t = make_kind(k, 5), *u = make_kind(k, 6);
        int64_t a[6][ROOM], b[ROOM], n[6], live = bnf_mem_total_allocations();
        int same_seed = 0, same_step = 0;
        for (int i = 0; i < 6; i++)
            n[i] = draw(s, steps[i], a[i]);
        for (int i = 5; i >= 0; i--) {
            assert_int_equal(draw(t, steps[i], b), n[i]);
            assert_memory_equal(a[i], b, (size_t)n[i] * sizeof *b);
            same_seed += draw(u, steps[i], b) == n[i] && memcmp(a[i], b, (size_t)n[i] * sizeof *b) == 0;
            same_step += i > 0 && n[i] == n[0] && memcmp(a[i], a[0], (size_t)n[i] * sizeof *b) == 0;
        }
        assert_int_equal(bnf_mem_total_allocations(), live);
        assert_true(every_kind[k].kind == BNF_SAMPLER_SEQUENTIAL || (same_seed == 0 && same_step == 0));
        assert_int_equal(bnf_sampler_steps_per_epoch(s), 4);
        bnf_sampler_destroy(s);
        bnf_sampler_destroy(t);
        bnf_sampler_destroy(u);
    }
}

/* A set that no machine could hold a list of: work and memory go with the batch alone. */
static void test_huge_sets(void **state)
{
    (void)state;
    const int64_t huge = (int64_t)1 << 50;
    static const bnf_sampler_kind kinds[] = {BNF_SAMPLER_SEQUENTIAL, BNF_SAMPLER_REPLACEMENT,
                                             BNF_SAMPLER_WITHOUT_REPLACEMENT, BNF_SAMPLER_POISSON};
    for (int k = 0; k < 4; k++) {
        int64_t index[ROOM];
        bnf_sampler *s = make(&(bnf_sampler_config){.kind = kinds[k], .count = huge, .batch = 100});
        assert_in_range(bnf_sampler_room(s, 1e-12), 100, 200);
        double sum = 0, drawn = 0;
        for (int64_t step = 0; step < 50; step++)
            for (int64_t n = draw(s, step, index), i = 0; i < n; i++) {
                assert_in_range(index[i], 0, huge - 1);
                sum += (double)index[i] / (double)huge;
                drawn++;
            }
        if (kinds[k] != BNF_SAMPLER_SEQUENTIAL)
            assert_true(fabs(sum / drawn - 0.5) < 6 * sqrt(1.0 / 12 / drawn));
        assert_true(fabs(drawn - 5000) < 6 * sqrt(5000));
        bnf_sampler_destroy(s);
    }
}

static void refuse(bnf_sampler_config c, const char *text)
{
    bnf_sampler *s;
    c.chunk_rows = 1;
    c.count = c.count ? c.count : STRATA_N;
    c.batch = c.batch ? c.batch : 8;
    assert_fails(bnf_sampler_create(&c, &s), BNF_ERR_CONFIG, text);
}

static void test_refusals(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 31};
    static const double none[] = {1, 0, 0};
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_WITHOUT_REPLACEMENT, .batch = 61}, "larger than the set");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_POISSON, .batch = 61}, "larger than the set");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_POISSON, .rate = 1.5}, "data.rate");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_POISSON, .drop_tail = true}, "data.drop_tail");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_SEQUENTIAL, .window_rows = 9}, "data.window");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_SHUFFLE, .rate = 0.5}, "data.rate");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_SHUFFLE, .drop_tail = true, .batch = 61}, "61");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_CLUSTER}, "data.cluster_rows");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_CLUSTER, .cluster_rows = 30, .clusters = 3}, "draw_clusters");
    refuse((bnf_sampler_config){.kind = BNF_SAMPLER_STRATIFIED}, "data.strata");
    bnf_sampler_config c = stratified(8);
    c.allocation = BNF_ALLOCATION_FIXED;
    refuse(c, "0 entries; there are 3");
    c.n_sizes = 3;
    c.sizes = sizes;
    refuse(c, "takes 31 samples of stratum 2, which has 30");
    c = stratified(20);
    c.allocation = BNF_ALLOCATION_NEYMAN;
    c.n_deviations = 3;
    c.deviations = none;
    refuse(c, "fewer than data.batch (20)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pick_is_uniform),
        cmocka_unit_test(test_pick_of_all),
        cmocka_unit_test(test_replacement),
        cmocka_unit_test(test_without_replacement),
        cmocka_unit_test(test_poisson),
        cmocka_unit_test(test_poisson_room),
        cmocka_unit_test(test_strata_proportional),
        cmocka_unit_test(test_strata_are_uniform_inside),
        cmocka_unit_test(test_strata_neyman),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_pure_functions),
        cmocka_unit_test(test_huge_sets),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
