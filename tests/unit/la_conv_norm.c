/* Bounds of convolutions' norms: never below the norm of the explicit matrix nor below what power iteration on the
 * convolution finds, close to it on large images, exact for orthogonal kernels, and sound for |w|. */
#include "la_support.h"

#include "la/conv_norm.h"
#include "la/svd.h"
#include "nn/ortho_conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t count(const bnf_la_conv *c)
{
    return c->out * c->in * c->kernel[0] * c->kernel[1];
}

/* Output positions along an axis of so many cells with `pad` zeros on both sides. */
static int64_t positions(const bnf_la_conv *c, int axis, int64_t side, int64_t pad)
{
    int64_t reach = c->dilation[axis] * (c->kernel[axis] - 1) + 1;
    return side + 2 * pad < reach ? 0 : (side + 2 * pad - reach) / c->stride[axis] + 1;
}

/* y = conv x, or with `back` x = conv' y, on images [h,w,channels] with zeros around. */
static void convolve(const bnf_la_conv *c, const float *w, const int64_t side[2], int64_t pad, bool back, double *x,
                     double *y)
{
    int64_t oh = positions(c, 0, side[0], pad), ow = positions(c, 1, side[1], pad);
    memset(back ? x : y, 0, (size_t)(back ? side[0] * side[1] * c->in : oh * ow * c->out) * sizeof(double));
    for (int64_t p = 0; p < oh * ow; p++)
        for (int64_t t = 0; t < c->kernel[0] * c->kernel[1]; t++) {
            int64_t h = p / ow * c->stride[0] + t / c->kernel[1] * c->dilation[0] - pad;
            int64_t v = p % ow * c->stride[1] + t % c->kernel[1] * c->dilation[1] - pad;
            if (h < 0 || v < 0 || h >= side[0] || v >= side[1])
                continue;
            for (int64_t o = 0; o < c->out; o++)
                for (int64_t i = 0; i < c->in; i++) {
                    double k = (double)w[(o * c->in + i) * c->kernel[0] * c->kernel[1] + t];
                    double *px = &x[(h * side[1] + v) * c->in + i], *py = &y[p * c->out + o];
                    if (back)
                        *px += k * *py;
                    else
                        *py += k * *px;
                }
        }
}

static double exact_norm(const bnf_la_conv *c, const float *w, const int64_t side[2], int64_t pad)
{
    int64_t n = side[0] * side[1] * c->in, m = positions(c, 0, side[0], pad) * positions(c, 1, side[1], pad) * c->out;
    double *a, *x = calloc((size_t)n, sizeof *x), *s = calloc((size_t)(m < n ? m : n), sizeof *s);
    assert_int_equal(bnf_alloc((size_t)(n * m) * sizeof *a, "test", &a), BNF_OK);
    for (int64_t i = 0; i < n; i++) {
        x[i] = 1;
        convolve(c, w, side, pad, false, x, a + i * m);
        x[i] = 0;
    }
    assert_int_equal(bnf_la_singular_values(BNF_F64, n, m, a, s), BNF_OK);
    double norm = s[0];
    bnf_free(a);
    free(x);
    free(s);
    return norm;
}

/* From below, by `steps` of power iteration from a random image. */
static double power(const bnf_la_conv *c, const float *w, const int64_t side[2], int64_t pad, int steps)
{
    int64_t n = side[0] * side[1] * c->in, m = positions(c, 0, side[0], pad) * positions(c, 1, side[1], pad) * c->out;
    double *x = random_array(BNF_F64, n, 5), *y = random_array(BNF_F64, m, 6), best = 0;
    for (int k = 0; k < steps; k++) {
        double xx = 0, yy = 0;
        for (int64_t i = 0; i < n; i++)
            xx += x[i] * x[i];
        convolve(c, w, side, pad, false, x, y);
        for (int64_t i = 0; i < m; i++)
            yy += y[i] * y[i];
        best = fmax(best, sqrt(yy / xx));
        for (int64_t i = 0; i < m; i++)
            y[i] /= sqrt(yy);
        convolve(c, w, side, pad, true, x, y);
    }
    bnf_free(x);
    bnf_free(y);
    return best;
}

static float *kernel(const bnf_la_conv *c, uint64_t seed)
{
    float *w = random_array(BNF_F32, count(c), seed);
    if (seed % 3 == 0) /* one that hardly changes from tap to tap, so that low frequencies win */
        for (int64_t i = 0; i < count(c); i++)
            w[i] = (float)(0.1 * (double)w[i] + 1);
    if (seed % 7 == 0) /* few taps */
        for (int64_t i = 0; i < count(c); i++)
            w[i] = i % 3 ? 0 : w[i];
    return w;
}

static double upper(const bnf_la_conv *c, const float *w)
{
    bnf_la_conv_bound b;
    if (bnf_la_conv_norm_upper(c, w, 1, &b) != BNF_OK)
        fail_msg("%s", bnf_error_message());
    assert_true(isfinite(b.norm) && b.by != BNF_LA_CONV_NOTHING);
    return b.norm;
}

static int64_t below(uint64_t *seed, int64_t n)
{
    return (int64_t)((random_next(seed) + 1) / 2 * (double)n);
}

static void never_below_the_exact_norm(void **state)
{
    (void)state;
    uint64_t seed = 3;
    int tight = 0;
    for (int n = 0; n < 160; n++) {
        bnf_la_conv c = {.out = 1 + below(&seed, 5), .in = 1 + below(&seed, 4)};
        int64_t side[2], pad = below(&seed, 4);
        for (int i = 0; i < 2; i++) {
            c.kernel[i] = 1 + below(&seed, 5);
            c.stride[i] = 1 + below(&seed, 3);
            c.dilation[i] = 1 + below(&seed, 8) / 5;
            side[i] = 3 + below(&seed, 6);
        }
        if (positions(&c, 0, side[0], pad) == 0 || positions(&c, 1, side[1], pad) == 0)
            continue;
        float *w = kernel(&c, (uint64_t)n);
        double bound = upper(&c, w), norm = exact_norm(&c, w, side, pad), absolute;
        if (!(bound >= norm * (1 - 1e-13)))
            fail_msg("case %d, %dx%d kernel %dx%d stride %dx%d dilation %dx%d: norm %.15g, bound %.15g", n, (int)c.out,
                     (int)c.in, (int)c.kernel[0], (int)c.kernel[1], (int)c.stride[0], (int)c.stride[1],
                     (int)c.dilation[0], (int)c.dilation[1], norm, bound);
        assert_true(bound >= power(&c, w, side, pad, 10) * (1 - 1e-13));
        tight += bound <= 1.2 * norm;
        assert_int_equal(bnf_la_conv_abs_upper(&c, w, &absolute), BNF_OK);
        assert_true(bound <= absolute * 1.02);
        for (int64_t i = 0; i < count(&c); i++)
            w[i] = fabsf(w[i]);
        assert_true(absolute >= exact_norm(&c, w, side, pad) * (1 - 1e-13));
        bnf_free(w);
    }
    assert_true(tight > 50);
}

/* On images of 24 cells and more the operator comes within 2 % of what it is without borders. */
static void close_on_large_images(void **state)
{
    (void)state;
    static const bnf_la_conv cases[] = {{2, 3, {3, 3}, {1, 1}, {1, 1}}, {4, 2, {3, 3}, {2, 2}, {1, 1}},
                                        {1, 1, {5, 5}, {1, 1}, {1, 1}}, {3, 1, {2, 4}, {1, 3}, {1, 1}},
                                        {2, 2, {3, 3}, {1, 1}, {2, 2}}, {2, 2, {3, 1}, {2, 1}, {3, 1}}};
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            const bnf_la_conv *c = &cases[n];
            float *w = kernel(c, 10 * n + seed);
            double bound = upper(c, w), norm = power(c, w, (int64_t[]){48, 48}, 2, 100);
            if (!(bound >= norm && bound <= 1.02 * norm))
                fail_msg("case %d, seed %d: from below %.6g, bound %.6g", (int)n, (int)seed, norm, bound);
            bnf_free(w);
        }
}

/* The grid alone: sup over all angles of |1 + 2 cos v| for the box kernel is 3 at v = 0, a grid point; shifted by a
 * modulation the maximum lies between points, where the factor is needed. */
static void between_grid_points(void **state)
{
    (void)state;
    bnf_la_conv c = {2, 2, {1, 3}, {1, 1}, {1, 1}};
    for (int n = 0; n < 40; n++) { /* rotation by phi per tap: X(v) has eigenvalues 1 + 2 cos(v +- phi) */
        double phi = 0.0123 * n;
        float w[12];
        for (int t = 0; t < 3; t++) {
            w[0 * 6 + 0 * 3 + t] = w[1 * 6 + 1 * 3 + t] = (float)cos(phi * (t - 1));
            w[0 * 6 + 1 * 3 + t] = (float)-sin(phi * (t - 1));
            w[1 * 6 + 0 * 3 + t] = (float)sin(phi * (t - 1));
        }
        bnf_la_conv_bound b;
        assert_int_equal(bnf_la_conv_norm_upper(&c, w, 1, &b), BNF_OK);
        assert_int_equal(b.by, BNF_LA_CONV_GRID);
        assert_int_equal(b.grid[0], 1);
        assert_true(b.norm >= 3 * (1 - 1e-7) && b.norm <= 3 * 1.002); /* taps are rounded to f32 */
    }
}

static void orthogonal_kernels(void **state)
{
    (void)state;
    static const bnf_ortho_conv_config cases[] = {{8, 8, 1, {3, 3}, {1, 1}, {1, 1}},
                                                  {16, 4, 1, {3, 3}, {1, 1}, {1, 1}},
                                                  {6, 3, 1, {4, 4}, {2, 2}, {1, 1}},
                                                  {20, 3, 1, {5, 5}, {2, 2}, {1, 1}},
                                                  {4, 4, 1, {3, 3}, {1, 1}, {2, 2}}};
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        const bnf_ortho_conv_config *g = &cases[n];
        bnf_la_conv c = {g->out,
                         g->in,
                         {g->kernel[0], g->kernel[1]},
                         {g->stride[0], g->stride[1]},
                         {g->dilation[0], g->dilation[1]}};
        float *raw = random_array(BNF_F32, bnf_ortho_conv_raw(g), 8), *w = random_array(BNF_F32, count(&c), 9);
        bnf_ortho_conv *ortho;
        bnf_la_conv_bound b;
        assert_int_equal(bnf_ortho_conv_create(g, BNF_F32, &ortho), BNF_OK);
        assert_int_equal(bnf_ortho_conv_forward(ortho, raw, w), BNF_OK);
        assert_int_equal(bnf_la_conv_norm_upper(&c, w, 1, &b), BNF_OK);
        if (!(b.norm >= 1 - 1e-6 && b.norm <= 1 + 3e-6))
            fail_msg("case %d: %.9g", (int)n, b.norm);
        assert_int_equal(b.by, BNF_LA_CONV_SHIFTS);
        bnf_ortho_conv_destroy(ortho);
        bnf_free(raw);
        bnf_free(w);
    }
}

/* Taps far apart: the bound for |w| needs the sums over each phase's taps alone. 9 x 9 ones at stride 2 with an odd
 * dilation are 25, 20, 20 and 16 taps on the four phases. */
static void sparse_taps(void **state)
{
    (void)state;
    const bnf_la_conv c = {1, 1, {9, 9}, {2, 2}, {1001, 1001}};
    float w[81];
    double absolute;
    int64_t peak = bnf_mem_peak_bytes();
    for (int i = 0; i < 81; i++)
        w[i] = i % 2 ? -1 : 1;
    assert_int_equal(bnf_la_conv_abs_upper(&c, w, &absolute), BNF_OK);
    assert_true(absolute >= 41 && absolute <= 41 * (1 + 1e-8));
    assert_true(bnf_mem_peak_bytes() - peak < 1 << 20);
}

static void corners(void **state)
{
    (void)state;
    bnf_la_conv c = {2, 2, {3, 3}, {1, 1}, {1, 1}}, huge = {4096, 4096, {3, 3}, {1, 1}, {1, 1}};
    float *w = random_array(BNF_F32, 36, 1);
    bnf_la_conv_bound b;
    w[7] = NAN;
    assert_int_equal(bnf_la_conv_norm_upper(&c, w, 1, &b), BNF_ERR_NUMERIC);
    bnf_error_clear();
    memset(w, 0, 36 * sizeof *w);
    assert_true(upper(&c, w) == 0);
    w[3] = 0x1p-149f;
    double tiny = upper(&c, w);
    assert_true(tiny >= 0x1p-149 && tiny < 1e-30);
    w[3] = 3e38f;
    assert_true(upper(&c, w) >= 3e38 * (1 - 1e-7) && upper(&c, w) <= 3.1e38);
    for (int64_t n = 1; n < 100; n++) { /* the n-th allocation fails */
        int64_t blocks = bnf_mem_live_blocks();
        bnf_mem_fail_at(n);
        bnf_status s = bnf_la_conv_norm_upper(&c, w, 1, &b);
        bnf_mem_fail_at(0);
        assert_int_equal(bnf_mem_live_blocks(), blocks);
        if (s == BNF_OK) {
            assert_true(n > 6);
            break;
        }
        assert_int_equal(s, BNF_ERR_MEMORY);
        bnf_error_clear();
    }
    for (int64_t i = 0; i < 36; i++) /* less work: a coarser grid and a larger bound, then none */
        w[i] = (float)(i % 5) - 1.5f;
    double fine = upper(&c, w);
    assert_int_equal(bnf_la_conv_norm_upper(&c, w, 1e-4, &b), BNF_OK);
    assert_true(b.by == BNF_LA_CONV_GRID && b.grid[0] < 64 && b.norm > fine && b.norm < 1.3 * fine);
    assert_int_equal(bnf_la_conv_norm_upper(&c, w, 1e-12, &b), BNF_OK);
    assert_true(isinf(b.norm));
    bnf_free(w);
    float *much = calloc((size_t)count(&huge), sizeof *much); /* never touched but for a look */
    assert_non_null(much);
    assert_int_equal(bnf_la_conv_norm_upper(&huge, much, 1, &b), BNF_OK);
    assert_true(isinf(b.norm) && b.by == BNF_LA_CONV_NOTHING);
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_below_the_exact_norm),
        cmocka_unit_test(close_on_large_images),
        cmocka_unit_test(between_grid_points),
        cmocka_unit_test(orthogonal_kernels),
        cmocka_unit_test(sparse_taps),
        cmocka_unit_test(corners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
