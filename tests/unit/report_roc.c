/* ROC curves with answers worked out by hand, and against all pairs. */
#include "la_support.h"

#include "report/roc.h"

#include <math.h>
#include <string.h>

#define OK(expr) assert_int_equal((expr), BNF_OK)
#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-15)

/* Scores from high to low: s | s b | b | b s: ties at 3 and 0. */
static void test_by_hand(void **unused)
{
    (void)unused;
    const double background[] = {3, 1, 0, 1}, signal[] = {5, 0, 3};
    const double fpr[] = {0, 0, 0.25, 0.75, 1}, tpr[] = {0, 1 / 3.0, 2 / 3.0, 2 / 3.0, 1};
    bnf_roc roc;
    OK(bnf_roc_create(background, 4, signal, 3, &roc));
    assert_int_equal(roc.count, 5);
    for (int i = 0; i < 5; i++) {
        NEAR(roc.fpr[i], fpr[i]);
        NEAR(roc.tpr[i], tpr[i]);
    }
    NEAR(roc.auc, (4 + 3.5 + 0.5) / 12);
    NEAR(bnf_roc_fpr_at(&roc, 0), 0);
    NEAR(bnf_roc_fpr_at(&roc, 1 / 3.0), 0);
    NEAR(bnf_roc_fpr_at(&roc, 0.5), 0.125);
    NEAR(bnf_roc_fpr_at(&roc, 0.4), 0.25 * (0.4 - 1 / 3.0) * 3);
    NEAR(bnf_roc_fpr_at(&roc, 2 / 3.0), 0.25); /* the lowest of the level piece */
    NEAR(bnf_roc_fpr_at(&roc, 5 / 6.0), 0.875);
    NEAR(bnf_roc_fpr_at(&roc, 1), 1);
    bnf_roc_release(&roc);
}

static void test_extremes(void **unused)
{
    (void)unused;
    const double low[] = {-INFINITY, 1, 2}, high[] = {3, INFINITY}, same[] = {7, 7, 7};
    bnf_roc roc;
    OK(bnf_roc_create(low, 3, high, 2, &roc));
    assert_true(roc.auc == 1 && bnf_roc_fpr_at(&roc, 0.4) == 0 && bnf_roc_fpr_at(&roc, 1) == 0);
    bnf_roc_release(&roc);
    OK(bnf_roc_create(high, 2, low, 3, &roc));
    assert_true(roc.auc == 0 && bnf_roc_fpr_at(&roc, 0.4) == 1);
    bnf_roc_release(&roc);
    OK(bnf_roc_create(same, 3, same, 2, &roc));
    assert_true(roc.auc == 0.5 && roc.count == 2);
    NEAR(bnf_roc_fpr_at(&roc, 0.4), 0.4);
    bnf_roc_release(&roc);
}

enum { B = 300, S = 170 };

static double pairs(const double *b, const double *bh, const double *s, const double *sh, double width, int64_t bin,
                    int64_t *signal)
{
    double won = 0, n = 0;
    *signal = 0;
    for (int i = 0; i < S; i++) {
        if ((int64_t)floor(sh[i] / width) != bin)
            continue;
        ++*signal;
        for (int j = 0; j < B; j++)
            if ((int64_t)floor(bh[j] / width) == bin) {
                won += s[i] > b[j] ? 1 : s[i] == b[j] ? 0.5 : 0;
                n++;
            }
    }
    return n > 0 ? won / n : NAN;
}

/* Many ties, bins with and without background; the area under the curve is the share of pairs. */
static void test_against_all_pairs(void **unused)
{
    (void)unused;
    double b[B], bh[B], s[S], sh[S], area = 0, sum = 0, covered = 0;
    uint64_t seed = 5;
    for (int i = 0; i < B; i++) {
        bh[i] = floor(40 + 15 * random_next(&seed));
        b[i] = floor(10 * random_next(&seed)) + 0.1 * bh[i];
    }
    for (int i = 0; i < S; i++) {
        sh[i] = floor(52 + 20 * random_next(&seed));
        s[i] = floor(10 * random_next(&seed)) + 0.1 * sh[i] + 1;
    }
    bnf_roc roc;
    OK(bnf_roc_create(b, B, s, S, &roc));
    for (int64_t i = 1; i < roc.count; i++)
        area += (roc.fpr[i] - roc.fpr[i - 1]) * (roc.tpr[i] + roc.tpr[i - 1]) / 2;
    int64_t signal, bins = 0;
    assert_true(fabs(roc.auc - pairs(b, bh, s, sh, 1e9, 0, &signal)) < 1e-12 && fabs(roc.auc - area) < 1e-12);
    bnf_roc_release(&roc);

    for (int64_t bin = 0; bin < 100; bin++) {
        double auc = pairs(b, bh, s, sh, 7, bin, &signal);
        if (isnan(auc))
            continue;
        sum += (double)signal * auc;
        covered += (double)signal;
        bins++;
    }
    bnf_roc_binned got;
    OK(bnf_roc_auc_binned(b, bh, B, s, sh, S, 7, &got));
    assert_int_equal(got.bins, bins);
    assert_true(covered < S && fabs(got.auc - sum / covered) < 1e-12 && fabs(got.covered - covered / S) < 1e-15);
    OK(bnf_roc_auc_binned(b, bh, B, s, sh, S, 1e6, &got)); /* one bin: the plain AUC */
    assert_true(got.bins == 1 && got.covered == 1 && fabs(got.auc - area) < 1e-12);
}

/* A score that only counts hits says nothing among events of equal hits. */
static void test_hits_within_bins(void **unused)
{
    (void)unused;
    const double b[] = {1, 2, 3, 4}, s[] = {3, 4, 9};
    bnf_roc_binned got;
    OK(bnf_roc_auc_binned(b, b, 4, s, s, 3, 1, &got));
    assert_true(got.auc == 0.5 && got.bins == 2);
    NEAR(got.covered, 2 / 3.0);
    OK(bnf_roc_auc_binned(b, b, 4, s + 2, s + 2, 1, 1, &got));
    assert_true(isnan(got.auc) && got.covered == 0 && got.bins == 0);
}

static void refused(bnf_status got, bnf_status expected, const char *text)
{
    assert_int_equal(got, expected);
    assert_non_null(strstr(bnf_error_message(), text));
    bnf_error_clear();
}

static void test_errors(void **unused)
{
    (void)unused;
    const double x[] = {1, 2, NAN};
    bnf_roc roc;
    bnf_roc_binned binned;
    int64_t live = bnf_mem_live_blocks();
    refused(bnf_roc_create(x, 2, x, 0, &roc), BNF_ERR_ARG, "2 events of background and 0 of signal");
    refused(bnf_roc_create(x, 0, x, 2, &roc), BNF_ERR_ARG, "0 events of background");
    refused(bnf_roc_create(x, 3, x, 2, &roc), BNF_ERR_NUMERIC, "score of event 2 of the background");
    refused(bnf_roc_create(x, 2, x, 3, &roc), BNF_ERR_NUMERIC, "score of event 2 of the signal");
    refused(bnf_roc_auc_binned(x, x, 2, x, x, 2, 0, &binned), BNF_ERR_ARG, "bins of 0 hits");
    refused(bnf_roc_auc_binned(x, x + 1, 2, x, x, 2, 1, &binned), BNF_ERR_NUMERIC, "hits of event 1 of the background");
    for (int k = 1; k <= 3; k++) {
        bnf_mem_fail_at(k);
        assert_int_equal(bnf_roc_create(x, 2, x, 2, &roc), BNF_ERR_MEMORY);
        bnf_mem_fail_at(0);
        bnf_roc_release(&roc);
        bnf_error_clear();
    }
    assert_int_equal(bnf_mem_live_blocks(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_against_all_pairs),
        cmocka_unit_test(test_hits_within_bins),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
