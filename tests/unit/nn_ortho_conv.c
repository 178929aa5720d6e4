/* Orthogonal convolutions: the identity of their products with shifted copies, singular values of the whole operator on
 * small images, derivatives against central differences, refusals; and the polar factor that they are made of. */
#include "la_support.h"

#include "la/svd.h"
#include "la/vec.h"
#include "nn/ortho_conv.h"
#include "nn/polar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- polar factor ---- */

static void known_polar_factor(void **state)
{
    (void)state;
    const double w[4] = {3, 0, 4, 5}, want[4] = {2, -1, 1, 2}; /* times 1 / sqrt(5) */
    double q[4];
    bnf_polar *p;
    assert_int_equal(bnf_polar_create(2, 2, &p), BNF_OK);
    assert_int_equal(bnf_polar_forward(p, w, q), BNF_OK);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(q[i] - want[i] / sqrt(5)) < 1e-14);
    const double flat[4] = {1, 2, 2, 4}, bad[4] = {1, NAN, 0, 1};
    assert_int_equal(bnf_polar_forward(p, flat, q), BNF_ERR_NUMERIC);
    assert_non_null(strstr(bnf_error_message(), "2 x 2"));
    assert_int_equal(bnf_polar_forward(p, bad, q), BNF_ERR_NUMERIC);
    bnf_error_clear();
    const double close[4] = {1, 0, 0, 1e-7}; /* the Gram matrix hardly sees the second value */
    assert_int_equal(bnf_polar_forward(p, close, q), BNF_OK);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(q[i] - (i % 3 ? 0 : 1)) < 1e-13);
    bnf_polar_destroy(p);
}

static double polar_loss(bnf_polar *p, int64_t n, const double *w, const double *r, double *q)
{
    assert_int_equal(bnf_polar_forward(p, w, q), BNF_OK);
    return bnf_la_dot(BNF_F64, n, r, q);
}

static void polar_gradient(void **state)
{
    (void)state;
    static const int64_t sides[][2] = {{5, 5}, {4, 9}, {9, 4}, {1, 6}, {6, 1}, {1, 1}};
    for (int k = 0; k < 6; k++) {
        int64_t n = sides[k][0] * sides[k][1];
        double *w = random_array(BNF_F64, n, 11), *r = random_array(BNF_F64, n, 12), *q = random_array(BNF_F64, n, 13),
               *dw = random_array(BNF_F64, n, 14);
        bnf_polar *p;
        assert_int_equal(bnf_polar_create(sides[k][0], sides[k][1], &p), BNF_OK);
        polar_loss(p, n, w, r, q);
        bnf_polar_backward(p, r, dw);
        for (int64_t i = 0; i < n; i++) {
            double was = w[i], h = 1e-5, up, down;
            w[i] = was + h;
            up = polar_loss(p, n, w, r, q);
            w[i] = was - h;
            down = polar_loss(p, n, w, r, q);
            w[i] = was;
            if (fabs((up - down) / (2 * h) - dw[i]) > 1e-6)
                fail_msg("%d, element %d: %g, differences say %g", k, (int)i, dw[i], (up - down) / (2 * h));
        }
        bnf_polar_destroy(p);
        bnf_free(w);
        bnf_free(r);
        bnf_free(q);
        bnf_free(dw);
    }
}

/* ---- convolutions ---- */

static const bnf_ortho_conv_config cases[] = {
    {4, 4, 1, {3, 3}, {1, 1}, {1, 1}},  {3, 6, 1, {3, 3}, {1, 1}, {1, 1}},  {6, 3, 1, {3, 3}, {1, 1}, {1, 1}},
    {1, 1, 1, {3, 3}, {1, 1}, {1, 1}},  {5, 1, 1, {2, 3}, {1, 1}, {1, 1}},  {5, 5, 1, {1, 1}, {1, 1}, {1, 1}},
    {4, 4, 1, {5, 1}, {1, 1}, {1, 1}},  {8, 2, 1, {2, 2}, {2, 2}, {1, 1}},  {3, 2, 1, {2, 2}, {2, 2}, {1, 1}},
    {8, 2, 1, {3, 3}, {2, 2}, {1, 1}},  {5, 3, 1, {3, 3}, {2, 2}, {1, 1}},  {18, 2, 1, {3, 3}, {2, 2}, {1, 1}},
    {16, 3, 1, {4, 5}, {2, 2}, {1, 1}}, {4, 2, 1, {3, 4}, {1, 2}, {1, 1}},  {6, 4, 2, {3, 3}, {1, 1}, {1, 1}},
    {4, 4, 4, {3, 3}, {1, 1}, {1, 1}},  {16, 4, 2, {3, 3}, {2, 2}, {1, 1}}, {4, 4, 1, {3, 3}, {1, 1}, {2, 2}},
    {3, 4, 1, {3, 3}, {2, 2}, {3, 3}},  {4, 2, 1, {3, 2}, {3, 1}, {1, 2}},
};
enum { CASES = sizeof cases / sizeof *cases };

static int64_t kernel_size(const bnf_ortho_conv_config *g)
{
    return g->out * (g->in / g->groups) * g->kernel[0] * g->kernel[1];
}

static double *random_kernel(const bnf_ortho_conv_config *g, uint64_t seed)
{
    double *raw = random_array(BNF_F64, bnf_ortho_conv_raw(g), seed),
           *kernel = random_array(BNF_F64, kernel_size(g), 1);
    bnf_ortho_conv *c;
    assert_int_equal(bnf_ortho_conv_create(g, BNF_F64, &c), BNF_OK);
    assert_int_equal(bnf_ortho_conv_forward(c, raw, kernel), BNF_OK);
    bnf_ortho_conv_destroy(c);
    bnf_free(raw);
    return kernel;
}

static double tap(const bnf_ortho_conv_config *g, const double *k, int64_t o, int64_t i, int64_t h, int64_t w)
{
    if (h < 0 || w < 0 || h >= g->kernel[0] || w >= g->kernel[1])
        return 0;
    return k[((o * (g->in / g->groups) + i) * g->kernel[0] + h) * g->kernel[1] + w];
}

/* Sum over t of K_t K_(t + s e)', or K_t' K_(t + e), of every group: the identity at e = 0, else zero. */
static void products_with_shifted_copies(void **state)
{
    (void)state;
    for (int n = 0; n < CASES; n++) {
        const bnf_ortho_conv_config *g = &cases[n];
        int64_t out = g->out / g->groups, in = g->in / g->groups;
        bool rows = out <= in * g->stride[0] * g->stride[1];
        if (!rows && g->stride[0] * g->stride[1] > 1)
            continue; /* below, by singular values */
        double *k = random_kernel(g, 21);
        int64_t side = rows ? out : in, sh = rows ? g->stride[0] : 1, sw = rows ? g->stride[1] : 1;
        for (int64_t group = 0; group < g->groups; group++)
            for (int64_t eh = -g->kernel[0]; eh <= g->kernel[0]; eh++)
                for (int64_t ew = -g->kernel[1]; ew <= g->kernel[1]; ew++)
                    for (int64_t i = 0; i < side * side; i++) {
                        double sum = 0;
                        int64_t a = i / side, b = i % side, first = group * out;
                        for (int64_t h = 0; h < g->kernel[0]; h++)
                            for (int64_t w = 0; w < g->kernel[1]; w++)
                                for (int64_t j = 0; j < (rows ? in : out); j++)
                                    sum += rows ? tap(g, k, first + a, j, h, w) *
                                                      tap(g, k, first + b, j, h + sh * eh, w + sw * ew)
                                                : tap(g, k, first + j, a, h, w) *
                                                      tap(g, k, first + j, b, h + sh * eh, w + sw * ew);
                        if (fabs(sum - (a == b && eh == 0 && ew == 0)) > 1e-12)
                            fail_msg("case %d, shift %d %d, element %d: %g", n, (int)eh, (int)ew, (int)i, sum);
                    }
        bnf_free(k);
    }
}

/* The matrix of the convolution on an image [side, side]: circular, or with zeros around it ("same" padding). */
static double *operator_matrix(const bnf_ortho_conv_config *g, const double *k, int64_t side, bool circular,
                               int64_t *rows, int64_t *cols)
{
    int64_t oh = (side + g->stride[0] - 1) / g->stride[0], ow = (side + g->stride[1] - 1) / g->stride[1];
    int64_t in = g->in / g->groups, out = g->out / g->groups;
    *rows = oh * ow * g->out;
    *cols = side * side * g->in;
    double *m;
    assert_int_equal(bnf_calloc((size_t)(*rows * *cols), sizeof *m, "test", &m), BNF_OK);
    for (int64_t r = 0; r < *rows; r++)
        for (int64_t i = 0; i < in; i++)
            for (int64_t t = 0; t < g->kernel[0] * g->kernel[1]; t++) {
                int64_t o = r % g->out, th = t / g->kernel[1], tw = t % g->kernel[1];
                int64_t y = r / g->out / ow * g->stride[0] + (th - g->kernel[0] / 2) * g->dilation[0];
                int64_t x = r / g->out % ow * g->stride[1] + (tw - g->kernel[1] / 2) * g->dilation[1];
                if (circular) {
                    y = (y + 8 * side) % side;
                    x = (x + 8 * side) % side;
                }
                if (y >= 0 && x >= 0 && y < side && x < side)
                    m[r * *cols + (y * side + x) * g->in + o / out * in + i] += tap(g, k, o, i, th, tw);
            }
    return m;
}

static void singular_values_of_the_operator(void **state)
{
    (void)state;
    for (int n = 0; n < CASES; n++)
        for (int circular = 0; circular < 2; circular++) {
            const bnf_ortho_conv_config *g = &cases[n];
            int64_t rows, cols, side = 6;
            if (g->in > 4 || g->out > 8)
                side = g->kernel[0] > 4 ? 6 : 4;
            if (side % g->stride[0] || side % g->stride[1])
                side = 6;
            double *k = random_kernel(g, 31), *m = operator_matrix(g, k, side, circular, &rows, &cols);
            int64_t least = rows < cols ? rows : cols;
            double *s = random_array(BNF_F64, least, 1);
            assert_int_equal(bnf_la_singular_values(BNF_F64, rows, cols, m, s), BNF_OK);
            if (s[0] > 1 + 1e-12 || (circular && (s[0] < 1 - 1e-12 || s[least - 1] < 1 - 1e-12)))
                fail_msg("case %d, %s: singular values from %.15g to %.15g", n, circular ? "circular" : "zeros",
                         s[least - 1], s[0]);
            if (!circular)
                assert_true(s[0] > 0.7); /* the middle of the image is not shrunk away */
            bnf_free(k);
            bnf_free(m);
            bnf_free(s);
        }
}

static double conv_loss(bnf_ortho_conv *c, int64_t n, const double *raw, const double *r, double *kernel)
{
    assert_int_equal(bnf_ortho_conv_forward(c, raw, kernel), BNF_OK);
    return bnf_la_dot(BNF_F64, n, r, kernel);
}

static void gradient(void **state)
{
    (void)state;
    for (int n = 0; n < CASES; n++) {
        const bnf_ortho_conv_config *g = &cases[n];
        int64_t size = kernel_size(g), count = bnf_ortho_conv_raw(g), skip = 1 + count / 60;
        double *raw = random_array(BNF_F64, count, 41), *r = random_array(BNF_F64, size, 42),
               *kernel = random_array(BNF_F64, size, 43), *d = random_array(BNF_F64, count, 44), most = 0;
        bnf_ortho_conv *c;
        assert_int_equal(bnf_ortho_conv_create(g, BNF_F64, &c), BNF_OK);
        int64_t blocks = bnf_mem_live_blocks();
        conv_loss(c, size, raw, r, kernel);
        bnf_ortho_conv_backward(c, r, d);
        assert_int_equal(bnf_mem_live_blocks(), blocks);
        for (int64_t i = 0; i < count; i++)
            most = fmax(most, fabs(d[i]));
        assert_true(most > 0 || (g->in == 1 && g->out == 1) || g->groups == g->in); /* one channel: only signs */
        for (int64_t i = 0; i < count; i += skip) {
            double was = raw[i], h = 1e-5, up, down;
            raw[i] = was + h;
            up = conv_loss(c, size, raw, r, kernel);
            raw[i] = was - h;
            down = conv_loss(c, size, raw, r, kernel);
            raw[i] = was;
            if (fabs((up - down) / (2 * h) - d[i]) > 1e-6 * fmax(most, 1))
                fail_msg("case %d, element %d: %g, differences say %g", n, (int)i, d[i], (up - down) / (2 * h));
        }
        bnf_ortho_conv_destroy(c);
        bnf_free(raw);
        bnf_free(r);
        bnf_free(kernel);
        bnf_free(d);
    }
}

/* f32 arrays hold the f64 kernel rounded; the initial raw weight is made of orthonormal matrices. */
static void as_a_parameter(void **state)
{
    (void)state;
    const bnf_ortho_conv_config g = {6, 4, 1, {3, 3}, {1, 1}, {1, 1}};
    bnf_param_info info = {
        .name = "w", .desc = bnf_desc_4d(BNF_F32, 6, 4, 3, 3), .trainable = true, .init = {BNF_INIT_NORMAL, 0, 1}};
    bnf_params *params;
    bnf_reparam made;
    int index;
    bnf_ortho_conv_describe(&g, BNF_F32, &info.reparam);
    assert_int_equal(bnf_params_create(BNF_F32, &params), BNF_OK);
    assert_int_equal(bnf_params_add(params, &info, &index), BNF_OK);
    assert_int_equal(bnf_params_init(params, 1), BNF_OK);
    const float *raw = bnf_params_raw(params, 0);
    assert_int_equal(bnf_ortho_conv_raw(&g), 4 * 6 + 4 * 6 * 3); /* R[4,6], four [6,3] */
    for (int i = 0; i < 4; i++)
        for (int j = 0; j <= i; j++) {
            double dot = 0;
            for (int k = 0; k < 6; k++)
                dot += (double)raw[i * 6 + k] * (double)raw[j * 6 + k];
            assert_true(fabs(dot - (i == j)) < 1e-6);
        }
    double *raw64 = random_array(BNF_F64, bnf_ortho_conv_raw(&g), 1), *k64 = random_array(BNF_F64, 216, 1);
    float *k32 = random_array(BNF_F32, 216, 1);
    bnf_la_convert(BNF_F32, BNF_F64, bnf_ortho_conv_raw(&g), raw, raw64);
    bnf_ortho_conv *c;
    assert_int_equal(bnf_ortho_conv_create(&g, BNF_F64, &c), BNF_OK);
    assert_int_equal(bnf_ortho_conv_forward(c, raw64, k64), BNF_OK);
    assert_int_equal(info.reparam.make(info.reparam.config, &info.desc, &made), BNF_OK);
    assert_int_equal(made.state_count, 0);
    assert_int_equal(made.forward(made.self, raw, k32), BNF_OK);
    for (int i = 0; i < 216; i++)
        assert_true(k32[i] == (float)k64[i]);
    made.destroy(made.self);
    bnf_ortho_conv_destroy(c);
    bnf_params_destroy(params);
    bnf_free(raw64);
    bnf_free(k64);
    bnf_free(k32);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        bnf_ortho_conv_config config;
        bnf_status status;
        const char *word;
    } bad[] = {
        {{4, 4, 1, {1, 3}, {2, 2}, {1, 1}}, BNF_ERR_UNSUPPORTED, "kernel of 1 is not possible at stride 2"},
        {{4, 4, 1, {3, 3}, {2, 2}, {2, 1}}, BNF_ERR_UNSUPPORTED, "dilation 2 is not possible at stride 2"},
        {{4, 4, 3, {3, 3}, {1, 1}, {1, 1}}, BNF_ERR_ARG, "3 groups"},
        {{4, 4, 1, {3, 0}, {1, 1}, {1, 1}}, BNF_ERR_ARG, "at least 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bnf_ortho_conv *c;
        assert_int_equal(bnf_ortho_conv_create(&bad[i].config, BNF_F64, &c), bad[i].status);
        assert_non_null(strstr(bnf_error_message(), bad[i].word));
        bnf_error_clear();
    }
    bnf_ortho_conv *c;
    float *raw = random_array(BNF_F32, bnf_ortho_conv_raw(&cases[0]), 1), *kernel = random_array(BNF_F32, 144, 1);
    memset(raw, 0, 4 * sizeof *raw);
    assert_int_equal(bnf_ortho_conv_create(&cases[0], BNF_F32, &c), BNF_OK);
    assert_int_equal(bnf_ortho_conv_forward(c, raw, kernel), BNF_ERR_NUMERIC);
    assert_non_null(strstr(bnf_error_message(), "orthogonal convolution"));
    bnf_error_clear();
    bnf_ortho_conv_destroy(c);
    for (int64_t n = 1; n < 200; n++) { /* the n-th allocation fails */
        int64_t blocks = bnf_mem_live_blocks();
        bnf_mem_fail_at(n);
        bnf_status s = bnf_ortho_conv_create(&cases[9], BNF_F32, &c);
        bnf_mem_fail_at(0);
        if (s == BNF_OK) {
            bnf_ortho_conv_destroy(c);
            assert_true(n > 20);
            break;
        }
        assert_int_equal(s, BNF_ERR_MEMORY);
        assert_int_equal(bnf_mem_live_blocks(), blocks);
        bnf_error_clear();
    }
    bnf_free(raw);
    bnf_free(kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_polar_factor),
        cmocka_unit_test(polar_gradient),
        cmocka_unit_test(products_with_shifted_copies),
        cmocka_unit_test(singular_values_of_the_operator),
        cmocka_unit_test(gradient),
        cmocka_unit_test(as_a_parameter),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
