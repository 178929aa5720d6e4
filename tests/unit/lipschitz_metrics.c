/* Explanation metrics: the same numbers as an implementation of the definitions in NumPy and SciPy gives
 * (scripts/metrics_reference.py printed the constants), answers that can be worked out by hand for linear scores, and
 * that a sample's figures do not depend on what is computed beside it. */
#include "recipes/lipschitz/metrics.h"
#include "recipes/lipschitz/rank.h"

#include "base/mem.h"
#include "data/image.h"
#include "data/jpeg_write.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#define OK(expr)                                            \
    do {                                                    \
        if ((expr) != BNF_OK)                               \
            fail_msg("%s: %s", #expr, bnf_error_message()); \
    } while (0)

/* ---- the network of the script: f = B tanh(A x + a) + b ---- */

enum { H = 6, W = 5, C = 2, AREA = H * W, SIZE = AREA * C, HIDDEN = 8, CLASSES = 3, N = 3 };

typedef struct toy {
    double A[HIDDEN][SIZE], a[HIDDEN], B[CLASSES][HIDDEN], b[CLASSES];
    float x[N][SIZE], human[N][AREA];
    int64_t samples[N];
    int32_t classes[N];
    bool softmax, linear; /* linear: f_y = x[] A[y][], and the map is gradient times input */
    bool random;          /* maps depend on the sample's number */
    int64_t calls, fail_at;
} toy;

static double fixed(int64_t i, int64_t salt)
{
    return (double)((i * 7919 + salt * 104729 + 13) % 10007) / 10007 * 2 - 1;
}

static void toy_open(toy *t)
{
    memset(t, 0, sizeof *t);
    for (int i = 0; i < HIDDEN * SIZE; i++)
        t->A[i / SIZE][i % SIZE] = 0.5 * fixed(i, 1);
    for (int i = 0; i < HIDDEN; i++)
        t->a[i] = 0.5 * fixed(i, 2);
    for (int i = 0; i < CLASSES * HIDDEN; i++)
        t->B[i / HIDDEN][i % HIDDEN] = fixed(i, 3);
    for (int i = 0; i < CLASSES; i++)
        t->b[i] = 0.1 * fixed(i, 4);
    for (int i = 0; i < N * SIZE; i++)
        t->x[i / SIZE][i % SIZE] = (float)((fixed(i, 5) + 1) / 2);
    for (int i = 0; i < N * AREA; i++)
        t->human[i / AREA][i % AREA] = (float)fixed(i, 6);
    memcpy(t->samples, (int64_t[]){4, 7, 5000000000}, sizeof t->samples);
    memcpy(t->classes, (int32_t[]){1, 0, 1}, sizeof t->classes);
}

static void hidden_of(const toy *t, const float *x, double *tanhs)
{
    for (int k = 0; k < HIDDEN; k++) {
        double sum = t->a[k];
        for (int i = 0; i < SIZE; i++)
            sum += t->A[k][i] * x[i];
        tanhs[k] = tanh(sum);
    }
}

static void logits_of(const toy *t, const float *x, double *z)
{
    double tanhs[HIDDEN];
    hidden_of(t, x, tanhs);
    for (int j = 0; j < CLASSES; j++) {
        z[j] = t->linear ? 0 : t->b[j];
        for (int k = 0; k < HIDDEN && !t->linear; k++)
            z[j] += t->B[j][k] * tanhs[k];
        for (int i = 0; i < SIZE && t->linear; i++)
            z[j] += t->A[j][i] * x[i];
    }
}

/* Of sum_j weight[j] f_j. */
static void gradient_of(const toy *t, const float *x, const double *weight, double *g)
{
    double tanhs[HIDDEN];
    hidden_of(t, x, tanhs);
    memset(g, 0, SIZE * sizeof *g);
    for (int k = 0; k < HIDDEN && !t->linear; k++) {
        double out = 0;
        for (int j = 0; j < CLASSES; j++)
            out += weight[j] * t->B[j][k];
        for (int i = 0; i < SIZE; i++)
            g[i] += (1 - tanhs[k] * tanhs[k]) * out * t->A[k][i];
    }
    for (int j = 0; j < CLASSES && t->linear; j++)
        for (int i = 0; i < SIZE; i++)
            g[i] += weight[j] * t->A[j][i];
}

static bnf_status called(toy *t)
{
    return ++t->calls == t->fail_at ? bnf_fail(BNF_ERR_NUMERIC, "call %lld", (long long)t->calls) : BNF_OK;
}

static bnf_status toy_score(void *self, const float *x, const int32_t *classes, int64_t n, double *score)
{
    toy *t = self;
    for (int64_t r = 0; r < n; r++) {
        double z[CLASSES], sum = 0;
        logits_of(t, x + r * SIZE, z);
        for (int j = 0; j < CLASSES; j++)
            sum += exp(z[j] - z[0]);
        score[r] = (t->softmax ? exp(z[classes[r]] - z[0]) / sum : z[classes[r]]);
    }
    return called(t);
}

static void toy_one_map(const toy *t, const float *x, int32_t y, bool product, float *map)
{
    double g[SIZE], weight[CLASSES] = {0};
    weight[y] = 1;
    gradient_of(t, x, weight, g);
    for (int p = 0; p < AREA; p++) {
        double a = 0;
        for (int i = C * p; i < C * p + C; i++)
            a = product ? a + g[i] * x[i] : fmax(a, fabs(g[i]));
        map[p] = (float)a;
    }
}

static bnf_status toy_map(void *self, const float *x, const int32_t *classes, const int64_t *samples, int64_t n,
                          float *map)
{
    toy *t = self;
    for (int64_t r = 0; r < n; r++) {
        toy_one_map(t, x + r * SIZE, classes[r], t->linear, map + r * AREA);
        if (t->random)
            map[r * AREA] += 1e-3F * (float)(samples[r] % 5);
    }
    return called(t);
}

static void toy_reference(const toy *t, float map[N][AREA])
{
    for (int i = 0; i < N; i++)
        toy_one_map(t, t->x[i], t->classes[i], true, map[i]);
}

static bnf_status toy_lead(void *self, const float *x, const int32_t *classes, int64_t n, double *lead, float *gradient)
{
    toy *t = self;
    for (int64_t r = 0; r < n; r++) {
        double z[CLASSES], g[SIZE], weight[CLASSES] = {0};
        int y = classes[r], rival = y == 0;
        logits_of(t, x + r * SIZE, z);
        for (int j = 0; j < CLASSES; j++)
            if (j != y && z[j] > z[rival])
                rival = j;
        weight[y] = 1;
        weight[rival] = -1;
        gradient_of(t, x + r * SIZE, weight, g);
        lead[r] = z[y] - z[rival];
        for (int i = 0; i < SIZE; i++)
            gradient[r * SIZE + i] = (float)g[i];
    }
    return called(t);
}

static bnf_lipschitz_subject subject_of(toy *t, int64_t batch, int threads)
{
    return (bnf_lipschitz_subject){t, H, W, C, batch, threads, toy_score, toy_map, toy_lead};
}

/* As the script's constants. */
static bnf_lipschitz_metric_settings settings_of(void)
{
    bnf_lipschitz_metric_settings s = bnf_lipschitz_metric_defaults(12345);
    s.steps = 7;
    s.masks = 60;
    s.grid = 3;
    s.noises = 6;
    s.shares = 3;
    s.share[1] = 0.25;
    s.share[2] = 0.6;
    s.human_ceiling = 0.65753;
    return s;
}

static void measure(toy *t, const bnf_lipschitz_metric_settings *s, int64_t batch, int threads,
                    double value[N][BNF_METRIC_COUNT])
{
    bnf_lipschitz_subject subject = subject_of(t, batch, threads);
    const float *human[N] = {t->human[0], t->human[1], t->human[2]};
    float reference[N][AREA];
    toy_reference(t, reference);
    OK(bnf_lipschitz_measure(&subject, s, N, t->x[0], t->classes, t->samples, reference[0], human, value[0]));
}

static void close_to(double value, double expected, double tolerance, const char *what)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%s: %.9f, must be %.9f", what, value, expected);
}

/* ---- against the script ---- */

typedef struct expected {
    bnf_lipschitz_metric metric;
    double value[N];
} expected;

static void check(double value[N][BNF_METRIC_COUNT], const expected *e, int n)
{
    for (int k = 0; k < n; k++)
        for (int i = 0; i < N; i++)
            close_to(value[i][e[k].metric], e[k].value[i], 2e-6, bnf_lipschitz_metric_names[e[k].metric]);
}

static void test_reference(void **state)
{
    (void)state;
    static const expected raw[] = {
        {BNF_METRIC_DELETION, {0.200129592, -0.199267448, 0.851019853}},
        {BNF_METRIC_INSERTION, {1.275913410, 0.491833000, 0.862225925}},
        {BNF_METRIC_MUFIDELITY_ZERO, {0.532386173, 0.207341602, 0.478077126}},
        {BNF_METRIC_MUFIDELITY_UNIFORM, {0.760786302, 0.177964578, 0.639639787}},
        {BNF_METRIC_STABILITY_L2, {0.020215321, 0.010626520, 0.067576252}},
        {BNF_METRIC_STABILITY_SPEARMAN, {0.004152762, 0.144901743, 0.001853912}},
        {BNF_METRIC_ROBUSTNESS, {1.865162330, 1.611192866, 0.737149587}},
        {BNF_METRIC_ROBUSTNESS_REACHED, {1, 1, 1}},
        {BNF_METRIC_SMOOTHGRAD, {0.325472747, -0.158175751, -0.007786429}},
        {BNF_METRIC_ALIGNMENT, {-0.234470369, -0.327175825, -0.526120380}},
    };
    toy t;
    double value[N][BNF_METRIC_COUNT];
    bnf_lipschitz_metric_settings s = settings_of();
    toy_open(&t);
    measure(&t, &s, 16, 1, value);
    check(value, raw, (int)(sizeof raw / sizeof raw[0]));
}

/* [softmax][baseline][deletion, insertion] */
static void test_baselines(void **state)
{
    (void)state;
    static const expected table[2][3][2] = {{{{BNF_METRIC_DELETION, {0.200129592, -0.199267448, 0.851019853}},
                                              {BNF_METRIC_INSERTION, {1.275913410, 0.491833000, 0.862225925}}},
                                             {{BNF_METRIC_DELETION, {1.250337329, 0.077337661, 0.898288816}},
                                              {BNF_METRIC_INSERTION, {0.799420058, 0.283875673, 0.393430509}}},
                                             {{BNF_METRIC_DELETION, {1.128964634, 0.292288222, 0.892806754}},
                                              {BNF_METRIC_INSERTION, {1.004040189, 0.365541565, 0.726398849}}}},
                                            {{{BNF_METRIC_DELETION, {0.432236127, 0.302046724, 0.522646307}},
                                              {BNF_METRIC_INSERTION, {0.667036707, 0.551302687, 0.531957446}}},
                                             {{BNF_METRIC_DELETION, {0.725515639, 0.418532752, 0.604390095}},
                                              {BNF_METRIC_INSERTION, {0.603802672, 0.487177414, 0.451323538}}},
                                             {{BNF_METRIC_DELETION, {0.648508647, 0.490642662, 0.599757249}},
                                              {BNF_METRIC_INSERTION, {0.644510928, 0.575209899, 0.577935320}}}}};
    toy t;
    double value[N][BNF_METRIC_COUNT];
    toy_open(&t);
    for (int softmax = 0; softmax < 2; softmax++)
        for (int baseline = 0; baseline < 3; baseline++) {
            bnf_lipschitz_metric_settings s = settings_of();
            memset(s.wanted, 0, sizeof s.wanted);
            s.wanted[BNF_METRIC_DELETION] = s.wanted[BNF_METRIC_INSERTION] = true;
            s.baseline = (bnf_lipschitz_baseline)baseline;
            t.softmax = softmax;
            measure(&t, &s, 16, 1, value);
            check(value, table[softmax][baseline], 2);
            assert_true(isnan(value[0][BNF_METRIC_MUFIDELITY_ZERO])); /* not asked for */
        }
}

static void test_spearman(void **state)
{
    (void)state;
    const double u[] = {3, 1, 2, 2, 5, 2, 3}, v[] = {0.5, -1, 4, 4, 4, 0.25, 7}, flat[7] = {2, 2, 2, 2, 2, 2, 2};
    double bad[7] = {1, 2, NAN, 4, 5, 6, 7}, down[7] = {7, 6, 5, 4, 3, 2, -1e300};
    const float x[] = {1, 3, NAN, 3, -2, 1};
    const int32_t places[] = {2, 0, 5, 1, 4, 3};
    bnf_rank_item scratch[21];
    int32_t place[6];
    close_to(bnf_rank_spearman(7, u, v, scratch), 0.582551728035463, 1e-14, "ties");
    close_to(bnf_rank_spearman(7, u, u, scratch), 1, 1e-15, "itself");
    for (int i = 0; i < 7; i++)
        bad[i] = i == 2 ? bad[i] : (double)i;
    assert_true(bnf_rank_spearman(7, u, flat, scratch) == 0);
    assert_true(bnf_rank_spearman(7, bad, u, scratch) == 0);
    assert_true(bnf_rank_spearman(1, u, v, scratch) == 0);
    bad[2] = 2;
    close_to(bnf_rank_spearman(7, bad, down, scratch), -1, 1e-15, "reversed");
    bnf_rank_places(6, x, scratch, place);
    assert_memory_equal(place, places, sizeof places);
}

/* ---- what can be worked out ---- */

/* With a linear score and gradient times input as map, the score falls by exactly what was dropped: MuFidelity is 1,
 * and the curve of deletion is the score less the largest attributions. */
static void test_linear(void **state)
{
    (void)state;
    toy t;
    double value[N][BNF_METRIC_COUNT];
    bnf_lipschitz_metric_settings s = settings_of();
    toy_open(&t);
    t.linear = true;
    s.steps = AREA;
    measure(&t, &s, 64, 1, value);
    for (int i = 0; i < N; i++) {
        float map[AREA];
        bnf_rank_item scratch[AREA];
        int32_t place[AREA];
        double left = 0, area = 0, sorted[AREA], z[CLASSES];
        toy_one_map(&t, t.x[i], t.classes[i], true, map);
        bnf_rank_places(AREA, map, scratch, place);
        for (int p = 0; p < AREA; p++)
            sorted[place[p]] = map[p];
        logits_of(&t, t.x[i], z);
        left = z[t.classes[i]];
        for (int p = 0; p < AREA; p++) {
            area += left - sorted[p] / 2;
            left -= sorted[p];
        }
        close_to(value[i][BNF_METRIC_DELETION], area / AREA, 1e-6, "deletion");
        assert_true(value[i][BNF_METRIC_MUFIDELITY_ZERO] > 0.999); /* sums of rounded attributions may swap ranks */
        assert_true(value[i][BNF_METRIC_INSERTION] > value[i][BNF_METRIC_DELETION]);
    }
}

/* Two classes with a linear lead: the nearest point of the other class within some pixels is at lead / |g there|. */
static void test_linear_robustness(void **state)
{
    (void)state;
    toy t;
    double value[N][BNF_METRIC_COUNT];
    bnf_lipschitz_metric_settings s = settings_of();
    toy_open(&t);
    t.linear = true;
    for (int i = 0; i < SIZE; i++) /* classes 0 and 1 are opposite, 2 is out of reach */
        t.A[0][i] = -t.A[1][i], t.A[2][i] = 0;
    memset(s.wanted, 0, sizeof s.wanted);
    s.wanted[BNF_METRIC_ROBUSTNESS] = true;
    s.attack_steps = 400;
    for (int i = 0; i < N; i++) {
        double z[CLASSES];
        logits_of(&t, t.x[i], z);
        t.classes[i] = z[1] > z[0];
    }
    measure(&t, &s, 16, 1, value);
    for (int i = 0; i < N; i++) {
        float map[AREA];
        bnf_rank_item scratch[AREA];
        int32_t place[AREA];
        double z[CLASSES], mean = 0, total = 0;
        logits_of(&t, t.x[i], z);
        toy_one_map(&t, t.x[i], t.classes[i], true, map);
        bnf_rank_places(AREA, map, scratch, place);
        for (int k = 0; k < s.shares; k++) {
            double sum = 0;
            for (int j = 0; j < SIZE; j++)
                if (place[j / C] < ceil(s.share[k] * AREA - 1e-9))
                    sum += 4 * t.A[1][j] * t.A[1][j];
            /* While f_1 > 0 > f_0 the best rival is 2, whose lead falls half as fast and from half the height: the
             * direction is the same, and so is the way. */
            mean += fabs(z[1] - z[0]) / sqrt(sum) / s.shares;
            total += sum;
        }
        assert_true(total > 0);
        close_to(value[i][BNF_METRIC_ROBUSTNESS], mean, 2e-3 * mean, "robustness of a linear network");
        assert_true(value[i][BNF_METRIC_ROBUSTNESS] >= mean * (1 - 1e-6)); /* an upper bound */
        assert_true(value[i][BNF_METRIC_ROBUSTNESS_REACHED] == 1);
    }
    s.attack_steps = 1; /* too few: the longest way counts */
    measure(&t, &s, 16, 1, value);
    for (int i = 0; i < N; i++)
        if (value[i][BNF_METRIC_ROBUSTNESS_REACHED] == 0)
            close_to(value[i][BNF_METRIC_ROBUSTNESS], 0.01 * sqrt(SIZE), 1e-12, "longest way");
}

/* ---- the same whatever is computed beside ---- */

static void test_independence(void **state)
{
    (void)state;
    static const struct {
        int64_t batch;
        int threads;
    } ways[] = {{1, 1}, {8, 2}, {20, 3}, {500, 1}};
    toy t;
    double all[N][BNF_METRIC_COUNT], other[N][BNF_METRIC_COUNT];
    float reference[N][AREA];
    bnf_lipschitz_metric_settings s = settings_of();
    toy_open(&t);
    t.random = true;
    measure(&t, &s, 12, 1, all);
    for (size_t k = 0; k < sizeof ways / sizeof ways[0]; k++) {
        measure(&t, &s, ways[k].batch, ways[k].threads, other);
        assert_memory_equal(all, other, sizeof all);
    }
    toy_reference(&t, reference);
    for (int i = 0; i < N; i++) {
        bnf_lipschitz_subject one = subject_of(&t, 8, 1);
        const float *human = t.human[i];
        OK(bnf_lipschitz_measure(&one, &s, 1, t.x[i], &t.classes[i], &t.samples[i], reference[i], &human, other[i]));
    }
    assert_memory_equal(all, other, sizeof all);
    s.seed++; /* but not whatever the seed */
    measure(&t, &s, 12, 1, other);
    for (int i = 0; i < N; i++) {
        assert_true(all[i][BNF_METRIC_MUFIDELITY_ZERO] != other[i][BNF_METRIC_MUFIDELITY_ZERO]);
        assert_true(all[i][BNF_METRIC_STABILITY_L2] != other[i][BNF_METRIC_STABILITY_L2]);
        assert_true(all[i][BNF_METRIC_DELETION] == other[i][BNF_METRIC_DELETION]);
    }
}

/* Every error of a function and of memory arrives, and nothing stays behind. */
static void test_errors(void **state)
{
    (void)state;
    toy t;
    double value[N][BNF_METRIC_COUNT];
    bnf_lipschitz_metric_settings s = settings_of();
    const float *human[N] = {0};
    int64_t blocks = bnf_mem_live_blocks(), n = 0;
    s.baseline = BNF_LIPSCHITZ_BASELINE_MEAN;
    toy_open(&t);
    bnf_lipschitz_subject subject = subject_of(&t, 64, 1);
    OK(bnf_lipschitz_measure(&subject, &s, N, t.x[0], t.classes, t.samples, NULL, human, value[0]));
    assert_true(isnan(value[0][BNF_METRIC_ALIGNMENT]) && isnan(value[0][BNF_METRIC_SMOOTHGRAD]));
    for (int64_t calls = t.calls, k = 1; k <= calls; k++) {
        t.calls = 0;
        t.fail_at = k;
        assert_int_equal(bnf_lipschitz_measure(&subject, &s, N, t.x[0], t.classes, t.samples, NULL, human, value[0]),
                         BNF_ERR_NUMERIC);
        bnf_error_clear();
    }
    t.fail_at = 0;
    for (;; n++) {
        bnf_mem_fail_at(n + 1);
        bnf_status status = bnf_lipschitz_measure(&subject, &s, N, t.x[0], t.classes, t.samples, NULL, human, value[0]);
        bnf_mem_fail_at(0);
        if (status == BNF_OK)
            break;
        assert_int_equal(status, BNF_ERR_MEMORY);
        bnf_error_clear();
    }
    assert_true(n >= 20);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
    OK(bnf_lipschitz_measure(&subject, &s, 0, NULL, NULL, NULL, NULL, NULL, NULL));
}

/* ---- JPEG ---- */

static void test_jpeg(void **state)
{
    (void)state;
    enum { SIDE_H = 31, SIDE_W = 45 };
    uint8_t smooth[SIDE_H * SIDE_W], rough[SIDE_H * SIDE_W], *file = NULL, *again = NULL;
    size_t bytes, bytes_again, bytes_rough, bytes_low;
    bnf_image image = {0};
    for (int i = 0; i < SIDE_H * SIDE_W; i++) {
        smooth[i] = (uint8_t)(i / SIDE_W * 3 + i % SIDE_W);
        rough[i] = (uint8_t)(127.5 + 127 * fixed(i, 9));
    }
    OK(bnf_jpeg_encode_grey(smooth, SIDE_H, SIDE_W, 75, &file, &bytes));
    OK(bnf_jpeg_encode_grey(smooth, SIDE_H, SIDE_W, 75, &again, &bytes_again));
    assert_int_equal(bytes, bytes_again);
    assert_memory_equal(file, again, bytes);
    OK(bnf_image_decode(file, bytes, "smooth", &image));
    assert_int_equal(image.h * 1000000 + image.w * 1000 + image.c, SIDE_H * 1000000 + SIDE_W * 1000 + 1);
    for (int i = 0; i < SIDE_H * SIDE_W; i++)
        assert_in_range(image.pixels[i] + 8 - smooth[i], 0, 16);
    bnf_image_release(&image);
    bnf_free(file);
    bnf_free(again);
    OK(bnf_jpeg_encode_grey(rough, SIDE_H, SIDE_W, 75, &file, &bytes_rough));
    bnf_free(file);
    OK(bnf_jpeg_encode_grey(rough, SIDE_H, SIDE_W, 20, &file, &bytes_low));
    bnf_free(file);
    assert_true(bytes_rough > 2 * bytes && bytes_low < bytes_rough);
    assert_int_equal(bnf_jpeg_encode_grey(rough, 0, 4, 75, &file, &bytes_low), BNF_ERR_ARG);
    bnf_error_clear();
}

/* A constant map and a rough one, through the metric: kB, and the constant one is grey 0. */
static void test_complexity(void **state)
{
    (void)state;
    toy t;
    double value[N][BNF_METRIC_COUNT];
    bnf_lipschitz_metric_settings s = settings_of();
    uint8_t black[AREA] = {0}, *file;
    size_t bytes;
    toy_open(&t);
    measure(&t, &s, 16, 1, value);
    memset(t.A, 0, sizeof t.A);
    OK(bnf_jpeg_encode_grey(black, H, W, 75, &file, &bytes));
    bnf_free(file);
    double rough = value[0][BNF_METRIC_COMPLEXITY];
    measure(&t, &s, 16, 1, value);
    close_to(value[0][BNF_METRIC_COMPLEXITY], (double)bytes / 1000, 1e-12, "complexity of a constant map");
    assert_true(rough > value[0][BNF_METRIC_COMPLEXITY]);
    assert_true(value[0][BNF_METRIC_MUFIDELITY_ZERO] == 0);    /* no variation: 0, not NaN */
    assert_true(value[0][BNF_METRIC_STABILITY_SPEARMAN] == 1); /* the same */
    assert_true(value[0][BNF_METRIC_ROBUSTNESS_REACHED] == 0); /* no gradient */
    close_to(value[0][BNF_METRIC_ROBUSTNESS], 0.5 * sqrt(SIZE), 1e-12, "longest way");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_baselines),
        cmocka_unit_test(test_spearman),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_robustness),
        cmocka_unit_test(test_independence),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_complexity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
