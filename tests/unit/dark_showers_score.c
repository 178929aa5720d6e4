/* Scores of events from values of images worked out by hand, and figures of classes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "recipes/dark_showers/figures.h"

#include <math.h>
#include <string.h>

#define OK(expr) assert_int_equal((expr), BNF_OK)
#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

enum { IMAGES = 6 };

/* Three events of two images. */
static float hits[] = {1, 2, 3, 4, 0, 0}, bce[] = {10, 20, 30, 40, 0.5f, 0.25f}, energy[] = {1.5f, 2, 9, 1, 0, 1},
             squares[] = {1, 2, 3, 4, 5, 6}, overlap[] = {1, 0.5f, 2, 2, 0, 0},
             z_m[] = {3, 4, -3, 4, 0, 0, 0, 2, 5, 0, 5, 0},
             logits[] = {0, 0, 0, 1, 2, 3, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 9, 0};
static const int32_t labels[] = {0, 0, 1, 1, 0, 0};
static const double square[] = {9, 16, 1, 3, 0, 0};

static bnf_run_output outputs[] = {
    {.name = "hits", .columns = 1, .rows = hits},       {.name = "bce", .columns = 1, .rows = bce},
    {.name = "energy", .columns = 1, .rows = energy},   {.name = "squares", .columns = 1, .rows = squares},
    {.name = "overlap", .columns = 1, .rows = overlap}, {.name = "z_m", .columns = 2, .rows = z_m},
    {.name = "logits", .columns = 3, .rows = logits},
};
enum { OUTPUTS = sizeof outputs / sizeof outputs[0] };

static void expect(const bnf_dark_events *e, const char *name, double a, double b, double c)
{
    const double *value = bnf_dark_events_find(e, name);
    assert_non_null(value);
    NEAR(value[0], a);
    NEAR(value[1], b);
    NEAR(value[2], c);
}

static double softmax_rest(double a, double b, double c)
{
    return (exp(b) + exp(c)) / (exp(a) + exp(b) + exp(c));
}

static void images_make_events(void **unused)
{
    (void)unused;
    const bnf_dark_images images = {IMAGES, outputs, OUTPUTS, square, NULL};
    bnf_dark_events e;
    OK(bnf_dark_events_create(&images, labels, 2, &e));
    assert_int_equal(e.count, 3);
    assert_string_equal(e.score[0].name, "hits");
    assert_true(e.label[0] == 0 && e.label[1] == 1 && e.label[2] == 0);
    expect(&e, "hits", 3, 7, 0);
    expect(&e, "hits_spread", 0.5, 0.5, 0);
    expect(&e, "bce", 30, 70, 0.75);
    expect(&e, "energy", 3.5, 10, 1);
    expect(&e, "energy_diff", 0.5, 3, 1);
    expect(&e, "dice", 3 / (2 * 1.5), 7 / (2 * 4.0), 11 / 2e-6);
    expect(&e, "z_m0", 0, 0, 5);
    expect(&e, "z_m1", 4, 1, 0);
    expect(&e, "z_m_unit0", 0, 0, 1);
    expect(&e, "z_m_unit1", 0.8, 0.5, 0);
    expect(&e, "mahalanobis", 5, 2, 0);
    expect(&e, "signal", (softmax_rest(0, 0, 0) + softmax_rest(1, 2, 3)) / 2,
           (softmax_rest(5, 0, 0) + softmax_rest(0, 0, 0)) / 2, softmax_rest(0, 0, 9) / 2 + softmax_rest(0, 9, 0) / 2);
    expect(&e, "log_odds", log(2) + log(exp(1) + exp(2)), log(2) - 5 + log(2), 2 * log(1 + exp(9)));
    assert_null(bnf_dark_events_find(&e, "kl"));
    assert_null(bnf_dark_events_find(&e, "mahalanobis_z_m"));
    bnf_dark_events_release(&e);
}

static void refused(bnf_status got, bnf_status expected, const char *text)
{
    assert_int_equal(got, expected);
    if (!strstr(bnf_error_message(), text))
        fail_msg("%s", bnf_error_message());
    bnf_error_clear();
}

static void bad_events_are_refused(void **unused)
{
    (void)unused;
    bnf_dark_images images = {IMAGES, outputs, OUTPUTS, NULL, NULL};
    bnf_dark_events e;
    int64_t live = bnf_mem_live_blocks();
    refused(bnf_dark_events_create(&images, labels, 4, &e), BNF_ERR_CONFIG, "6 images do not make whole events");
    bnf_dark_events_release(&e);
    refused(bnf_dark_events_create(&images, labels, 3, &e), BNF_ERR_CONFIG,
            "image 2 has the label 1, the first of its event 0");
    bnf_dark_events_release(&e);
    images.count = 0;
    refused(bnf_dark_events_create(&images, labels, 1, &e), BNF_ERR_FORMAT, "no images");
    bnf_dark_events_release(&e);
    assert_int_equal(bnf_mem_live_blocks(), live);
}

static void figures_of_classes(void **unused)
{
    (void)unused;
    static const char *const names[] = {"qcd", "svj", "none"};
    bnf_dark_images images = {IMAGES, outputs, OUTPUTS, NULL, NULL};
    bnf_dark_events e;
    bnf_dark_figures f;
    OK(bnf_dark_events_create(&images, labels, 1, &e)); /* four images of background, two of svj */
    assert_null(bnf_dark_events_find(&e, "hits_spread"));
    OK(bnf_dark_figures_create(&e, 3, names, 0.5, 2, &f));
    assert_true(f.any && f.scores == e.n && f.events[0] == 4 && f.events[1] == 2 && f.events[2] == 0);
    const bnf_dark_figure *g = &f.figure[1 * f.scores];
    NEAR(g[0].auc, 1);
    NEAR(g[0].fpr, 0);
    NEAR(g[0].binned.covered, 0.5); /* 3 lies in one bin with 2, 4 alone */
    NEAR(g[0].binned.auc, 1);
    bnf_dark_figures_release(&f);
    refused(bnf_dark_figures_create(&e, 3, names, 0.5, 0, &f), BNF_ERR_ARG, "score 'hits' of class 'svj': ");
    bnf_dark_figures_release(&f);
    assert_string_equal(e.score[1].name, "bce");
    e.score[1].value[3] = NAN;
    refused(bnf_dark_figures_create(&e, 3, names, 0.5, 2, &f), BNF_ERR_NUMERIC, "score 'bce' of class 'svj': ");
    bnf_dark_figures_release(&f);
    memset(e.label, 0, (size_t)e.count * sizeof *e.label);
    OK(bnf_dark_figures_create(&e, 3, names, 0.5, 2, &f)); /* nothing to compare with */
    assert_true(!f.any && f.events[0] == 6);
    bnf_dark_figures_release(&f);
    bnf_dark_events_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_make_events),
        cmocka_unit_test(bad_events_are_refused),
        cmocka_unit_test(figures_of_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
