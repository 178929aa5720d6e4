/* The factor of constrained convolutions: the published values, that the exact bound is a bound for strides, dilations
 * and groups, that it cannot be replaced by a larger one, and that the published factor is no bound. */
#include "la_support.h"

#include "la/svd.h"
#include "nn/lip_factor.h"

#include <math.h>
#include <string.h>

static bnf_conv_geometry square(int64_t kernel, int64_t stride, int64_t dilation, int64_t extent)
{
    return (bnf_conv_geometry){kernel, kernel, stride, stride, dilation, dilation, extent, extent};
}

static double factor_of(bnf_lip_factor_kind kind, bnf_conv_geometry g)
{
    double factor = 0.0;
    assert_int_equal(bnf_lip_factor(kind, &g, &factor), BNF_OK);
    return factor;
}

static void published_values(void **state)
{
    (void)state;
    assert_true(fabs(factor_of(BNF_LIP_FACTOR_PUBLISHED, square(3, 1, 1, 28)) - 0.3414634) < 5e-8);
    assert_true(fabs(factor_of(BNF_LIP_FACTOR_PUBLISHED, square(3, 1, 1, 32)) - 0.3404255) < 5e-8);
    assert_true(fabs(factor_of(BNF_LIP_FACTOR_PUBLISHED, square(5, 1, 1, 28)) - 0.2089552) < 5e-8);
    assert_true(factor_of(BNF_LIP_FACTOR_PUBLISHED, square(3, 2, 1, 28)) == 0.5);
    assert_true(fabs(factor_of(BNF_LIP_FACTOR_PUBLISHED, square(5, 2, 1, 28)) - 1.0 / 3.0) < 1e-15);
    assert_true(fabs(factor_of(BNF_LIP_FACTOR_EXACT_BOUND, square(3, 1, 1, 0)) - 1.0 / 3.0) < 1e-15);
    assert_true(factor_of(BNF_LIP_FACTOR_EXACT_BOUND, square(3, 2, 1, 0)) == 0.5);
    assert_true(fabs(factor_of(BNF_LIP_FACTOR_EXACT_BOUND, square(3, 2, 2, 0)) - 1.0 / 3.0) < 1e-15);
    assert_true(factor_of(BNF_LIP_FACTOR_EXACT_BOUND, square(3, 2, 3, 0)) == 0.5);
    assert_true(factor_of(BNF_LIP_FACTOR_EXACT_BOUND, square(1, 1, 1, 0)) == 1.0);
}

/* y = all-equal 3 x 3 kernel of unit norm over x[n,n] with zero padding 1 (a symmetric operator). */
static void box_filter(int n, const double *x, double *y)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0.0;
            for (int a = i - 1; a <= i + 1; a++)
                for (int b = j - 1; b <= j + 1; b++)
                    sum += a >= 0 && a < n && b >= 0 && b < n ? x[a * n + b] : 0.0;
            y[i * n + j] = sum / 3.0;
        }
}

static double box_filter_norm(int n)
{
    static double x[64 * 64], y[64 * 64];
    double norm = 0.0;
    for (int i = 0; i < n * n; i++)
        x[i] = 1.0;
    for (int iteration = 0; iteration < 3000; iteration++) {
        double xx = 0.0, yy = 0.0;
        box_filter(n, x, y);
        for (int i = 0; i < n * n; i++) {
            xx += x[i] * x[i];
            yy += y[i] * y[i];
        }
        norm = sqrt(yy / xx);
        for (int i = 0; i < n * n; i++)
            x[i] = y[i] / sqrt(yy);
    }
    return norm;
}

static void published_factor_is_no_bound(void **state)
{
    (void)state;
    const int extents[] = {8, 28};
    const double spec[] = {1.00495, 1.01640};
    for (int e = 0; e < 2; e++) {
        int n = extents[e];
        double norm = box_filter_norm(n);
        double published = norm * factor_of(BNF_LIP_FACTOR_PUBLISHED, square(3, 1, 1, n));
        double exact = norm * factor_of(BNF_LIP_FACTOR_EXACT_BOUND, square(3, 1, 1, n));
        double root = 1.0 + 2.0 * cos(acos(-1.0) / (n + 1));
        assert_true(fabs(published - root * root / 3.0 * n / (3.0 * n - 2.0)) < 1e-9);
        assert_true(fabs(published - spec[e]) < 5e-6);
        assert_true(exact < 1.0);
        if (n == 28)
            assert_true(fabs(exact - 0.99220) < 5e-6);
    }
}

typedef struct conv_case {
    int kernel, stride, dilation, extent, groups, in, out;
} conv_case;

/* The convolution's matrix [out oy ox, in y x] for the kernel w[out, in/groups, k, k], padding (k-1) d / 2. */
static double *operator_matrix(conv_case c, const double *w, int64_t *rows, int64_t *cols)
{
    int pad = (c.kernel - 1) * c.dilation / 2,
        oh = (c.extent + 2 * pad - (c.kernel - 1) * c.dilation - 1) / c.stride + 1;
    int ipg = c.in / c.groups, opg = c.out / c.groups, pixels = c.extent * c.extent;
    double *a = NULL;
    *rows = (int64_t)c.out * oh * oh;
    *cols = (int64_t)c.in * pixels;
    assert_int_equal(bnf_calloc((size_t)(*rows * *cols), sizeof(double), "test", &a), BNF_OK);
    for (int o = 0; o < c.out; o++)
        for (int y = 0; y < oh; y++)
            for (int x = 0; x < oh; x++)
                for (int i = 0; i < ipg; i++)
                    for (int t = 0; t < c.kernel * c.kernel; t++) {
                        int iy = y * c.stride + t / c.kernel * c.dilation - pad,
                            ix = x * c.stride + t % c.kernel * c.dilation - pad;
                        if (iy < 0 || ix < 0 || iy >= c.extent || ix >= c.extent)
                            continue;
                        int64_t row = ((int64_t)o * oh + y) * oh + x;
                        int64_t col = (int64_t)(o / opg * ipg + i) * pixels + iy * c.extent + ix;
                        a[row * *cols + col] = w[(o * ipg + i) * c.kernel * c.kernel + t];
                    }
    return a;
}

/* ||convolution|| * factor / ||W||_2. */
static double lipschitz_ratio(conv_case c, const double *w)
{
    int64_t rows, cols;
    double *a = operator_matrix(c, w, &rows, &cols), norm = 0.0, kernel_norm = 0.0;
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, rows, cols, a, &norm), BNF_OK);
    assert_int_equal(bnf_la_norm2_upper(BNF_F64, c.out, c.in / c.groups * c.kernel * c.kernel, w, &kernel_norm),
                     BNF_OK);
    bnf_free(a);
    return norm / kernel_norm * factor_of(BNF_LIP_FACTOR_EXACT_BOUND, square(c.kernel, c.stride, c.dilation, c.extent));
}

static void exact_factor_is_a_bound(void **state)
{
    (void)state;
    const conv_case cases[] = {
        {3, 1, 1, 7, 1, 2, 3}, {3, 2, 1, 7, 1, 2, 3}, {3, 2, 2, 9, 1, 2, 2}, {3, 3, 2, 9, 1, 1, 2},
        {5, 2, 1, 9, 1, 1, 2}, {2, 1, 1, 6, 1, 2, 2}, {1, 2, 1, 6, 1, 3, 2}, {3, 1, 1, 6, 2, 4, 4},
        {3, 2, 2, 9, 3, 3, 3}, {4, 2, 1, 8, 1, 2, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        conv_case c = cases[i];
        int count = c.out * (c.in / c.groups) * c.kernel * c.kernel;
        double *w = random_array(BNF_F64, count, 31 + i);
        assert_true(lipschitz_ratio(c, w) <= 1.0 + 1e-10);
        for (int k = 0; k < count; k++)
            w[k] = 1.0; /* the worst kernel for the patch argument */
        double ratio = lipschitz_ratio(c, w);
        assert_true(ratio <= 1.0 + 1e-10);
        bnf_free(w);
    }
}

/* One more patch per pixel in the denominator would be wrong: with dilation 2 at stride 2 the factor 1/ceil(k/s) = 1/2,
 * right for dilation 1, is exceeded, and at stride 1 the all-equal kernel comes close to the bound. */
static void exact_factor_is_needed(void **state)
{
    (void)state;
    double ones[25];
    for (int i = 0; i < 25; i++)
        ones[i] = 1.0;
    conv_case dilated = {3, 2, 2, 15, 1, 1, 1}, plain = {3, 1, 1, 20, 1, 1, 1};
    double ratio = lipschitz_ratio(dilated, ones);
    assert_true(ratio <= 1.0 + 1e-10 && ratio * 3.0 / 2.0 > 1.2);
    assert_true(lipschitz_ratio(plain, ones) > 0.98);
}

static void bad_geometry_is_an_error(void **state)
{
    (void)state;
    double factor = 0.0;
    bnf_conv_geometry g = square(0, 1, 1, 8);
    assert_int_equal(bnf_lip_factor(BNF_LIP_FACTOR_EXACT_BOUND, &g, &factor), BNF_ERR_ARG);
    g = square(3, 1, 1, 0);
    assert_int_equal(bnf_lip_factor(BNF_LIP_FACTOR_PUBLISHED, &g, &factor), BNF_ERR_ARG);
    g = square(3, 1, 2, 8);
    assert_int_equal(bnf_lip_factor(BNF_LIP_FACTOR_PUBLISHED, &g, &factor), BNF_ERR_UNSUPPORTED);
    bnf_error_clear();
    bnf_lip_factor_kind kind;
    assert_int_equal(bnf_lip_factor_kind_parse("published", &kind), BNF_OK);
    assert_int_equal(kind, BNF_LIP_FACTOR_PUBLISHED);
    assert_int_equal(bnf_lip_factor_kind_parse("exact", &kind), BNF_ERR_CONFIG);
    assert_non_null(strstr(bnf_error_message(), "exact_bound"));
    bnf_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),         cmocka_unit_test(published_factor_is_no_bound),
        cmocka_unit_test(exact_factor_is_a_bound),  cmocka_unit_test(exact_factor_is_needed),
        cmocka_unit_test(bad_geometry_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
