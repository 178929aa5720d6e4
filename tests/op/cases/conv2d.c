/* op/cases/conv2d.c - convolution and its two gradients over shapes that kernels stumble on. */
#include "op/op_case.h"
#include "ops/conv2d.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* Output positions along one axis. */
#define POSITIONS(extent, kernel, stride, dilation, begin, end) \
    (((extent) + (begin) + (end) - ((kernel)-1) * (dilation)-1) / (stride) + 1)

/* S(label, differences?, n,h,w,i, o,kh,kw, stride y,x, pad top,left,bottom,right, dilation y,x, groups, bias) */
#define SHAPES(S)                                                                                 \
    S("one channel", true, 2, 7, 6, 1, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)                     \
    S("first layer", false, 3, 13, 11, 1, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)                 \
    S("first layer, several chunks", false, 3, 41, 37, 1, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1) \
    S("first layer, stride", false, 2, 14, 17, 1, 40, 5, 4, 2, 3, 2, 0, 1, 3, 1, 1, 1, 0)         \
    S("first layer, dilation", false, 2, 9, 8, 1, 32, 3, 3, 1, 1, 2, 4, 2, 1, 2, 3, 1, 1)         \
    S("colour, several chunks", false, 2, 50, 45, 3, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)       \
    S("colour", false, 2, 12, 9, 3, 8, 5, 5, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1)                        \
    S("1x1 kernel", true, 3, 4, 5, 10, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1)                     \
    S("1x1 image", true, 2, 1, 1, 5, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1)                       \
    S("1x1 image, padded", true, 1, 1, 1, 3, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)               \
    S("one sample", true, 1, 5, 5, 3, 5, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1)                      \
    S("asymmetric padding", true, 2, 5, 4, 3, 6, 3, 3, 1, 1, 1, 0, 2, 1, 1, 1, 1, 1)              \
    S("padding beyond kernel", true, 1, 4, 3, 2, 3, 2, 2, 1, 1, 3, 2, 2, 3, 1, 1, 1, 1)           \
    S("stride 2x1", true, 2, 5, 6, 3, 4, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0)                      \
    S("stride 3x2", true, 2, 8, 7, 2, 5, 2, 3, 3, 2, 0, 1, 1, 0, 1, 1, 1, 1)                      \
    S("narrower than the stride", false, 2, 3, 1, 8, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1)      \
    S("narrower than the stride 3", false, 2, 1, 2, 3, 8, 5, 5, 3, 3, 2, 2, 2, 2, 1, 1, 1, 0)     \
    S("stride beyond kernel", true, 1, 7, 7, 3, 3, 1, 2, 3, 3, 0, 0, 0, 0, 1, 1, 1, 1)            \
    S("4x1 kernel", true, 2, 6, 3, 3, 4, 4, 1, 1, 1, 2, 0, 1, 0, 1, 1, 1, 0)                      \
    S("dilation", true, 1, 7, 8, 2, 3, 3, 2, 1, 1, 2, 1, 2, 1, 2, 3, 1, 1)                        \
    S("dilation and stride", true, 2, 9, 8, 3, 4, 3, 3, 2, 2, 2, 1, 0, 3, 2, 2, 1, 1)             \
    S("two groups", true, 2, 4, 5, 6, 10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1)                     \
    S("wide groups", false, 2, 6, 6, 32, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4, 0)                  \
    S("depthwise 5", true, 2, 5, 4, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5, 1)                     \
    S("depthwise 17", false, 2, 7, 6, 17, 17, 5, 3, 2, 1, 2, 1, 2, 1, 1, 1, 17, 1)                \
    S("depthwise 32", false, 2, 7, 6, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 32, 1)                \
    S("depthwise, two each", true, 1, 5, 4, 3, 6, 2, 2, 1, 2, 1, 0, 0, 1, 1, 1, 3, 1)             \
    S("no bias", true, 2, 4, 6, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0)                         \
    S("blocks of 16", false, 2, 8, 7, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)                 \
    S("blocks of 16, stride 2", false, 2, 9, 8, 32, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1)       \
    S("one over 16", false, 2, 6, 5, 17, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)                  \
    S("ten to twenty", false, 2, 7, 7, 10, 20, 4, 5, 1, 2, 1, 2, 2, 2, 1, 1, 1, 0)                \
    S("leaf of a large layer", false, 4, 7, 7, 64, 128, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)

/* Images of few active sites: kernel "sites". */
#define SITES(S)                                                                                \
    S("sites", true, 2, 9, 8, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)                         \
    S("sites, no bias", true, 2, 9, 8, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0)                \
    S("sites, stride 2", true, 1, 11, 10, 3, 4, 3, 3, 2, 2, 0, 0, 1, 1, 1, 1, 1, 1)             \
    S("sites, stride beyond kernel", true, 2, 13, 12, 2, 3, 1, 2, 3, 3, 0, 0, 0, 0, 1, 1, 1, 1) \
    S("sites, padding beyond kernel", true, 1, 8, 9, 2, 3, 2, 2, 1, 1, 3, 2, 2, 3, 1, 1, 1, 1)  \
    S("sites, dilation and stride", true, 2, 9, 8, 3, 4, 3, 3, 2, 2, 2, 1, 0, 3, 2, 2, 1, 1)    \
    S("sites, 1x1 kernel", true, 2, 9, 8, 4, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1)             \
    S("sites, none hit", true, 1, 2, 2, 1, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)               \
    S("sites, whole blocks", false, 2, 13, 43, 3, 33, 5, 4, 2, 3, 2, 0, 1, 3, 1, 1, 1, 1)       \
    S("sites, detector", false, 2, 72, 58, 1, 64, 3, 3, 2, 2, 0, 0, 1, 1, 1, 1, 1, 1)           \
    S("sites, two groups", true, 2, 9, 8, 4, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1)

#define ATTR(sy, sx, pt, pl, pb, pr, dy, dx, g)                                        \
    {                                                                                  \
        .stride = {sy, sx}, .pad = {pt, pl, pb, pr}, .dilation = {dy, dx}, .groups = g \
    }
#define BWD_ATTR(h, w, kh, kw, sy, sx, pt, pl, pb, pr, dy, dx, g, b)                                        \
    &(const bnf_conv2d_bwd_attr)                                                                            \
    {                                                                                                       \
        .conv = ATTR(sy, sx, pt, pl, pb, pr, dy, dx, g), .image = {h, w}, .kernel = {kh, kw}, .has_bias = b \
    }
#define INPUT(d, ...)                              \
    {                                              \
        .ndim = 4, .dim = {__VA_ARGS__}, .diff = d \
    }
#define HITS(share, d, ...)                                            \
    {                                                                  \
        .ndim = 4, .dim = {__VA_ARGS__}, .diff = d, .occupancy = share \
    }
#define PARAM(d, ...)                                             \
    {                                                             \
        .ndim = 4, .dim = {__VA_ARGS__}, .diff = d, .param = true \
    }

#define FORWARD(...) FORWARD_OF(0, __VA_ARGS__)
#define FORWARD_SITES(...) FORWARD_OF(0.2, __VA_ARGS__)
#define FORWARD_OF(share, name, d, n, h, w, i, o, kh, kw, sy, sx, pt, pl, pb, pr, dy, dx, g, b)              \
    {.label = name,                                                                                          \
     .n_in = 2 + (b),                                                                                        \
     .in = {HITS(share, d, n, h, w, i), PARAM(d, o, (i) / (g), kh, kw), {.ndim = 1, .dim = {o}, .diff = d}}, \
     .attr = &(const bnf_conv2d_attr)ATTR(sy, sx, pt, pl, pb, pr, dy, dx, g),                                \
     .terms = (i) / (g) * (kh) * (kw) + (b)},

#define DATA(name, d, n, h, w, i, o, kh, kw, sy, sx, pt, pl, pb, pr, dy, dx, g, b)              \
    {.label = name,                                                                             \
     .n_in = 2,                                                                                 \
     .in = {INPUT(d, n, POSITIONS(h, kh, sy, dy, pt, pb), POSITIONS(w, kw, sx, dx, pl, pr), o), \
            PARAM(d, o, (i) / (g), kh, kw)},                                                    \
     .attr = BWD_ATTR(h, w, kh, kw, sy, sx, pt, pl, pb, pr, dy, dx, g, 0),                      \
     .terms = (o) / (g) * (kh) * (kw)},

#define WEIGHTS(...) WEIGHTS_OF(0, __VA_ARGS__)
#define WEIGHTS_SITES(...) WEIGHTS_OF(0.2, __VA_ARGS__)
#define WEIGHTS_OF(share, name, d, n, h, w, i, o, kh, kw, sy, sx, pt, pl, pb, pr, dy, dx, g, b)  \
    {.label = name,                                                                              \
     .n_in = 2,                                                                                  \
     .in = {HITS(share, d, n, h, w, i),                                                          \
            INPUT(d, n, POSITIONS(h, kh, sy, dy, pt, pb), POSITIONS(w, kw, sx, dx, pl, pr), o)}, \
     .attr = BWD_ATTR(h, w, kh, kw, sy, sx, pt, pl, pb, pr, dy, dx, g, b),                       \
     .terms = (n)*POSITIONS(h, kh, sy, dy, pt, pb) * POSITIONS(w, kw, sx, dx, pl, pr),           \
     .pack_out = true},

/* --- refusals
 * --------------------------------------------------------------------------------------------------------- */

#define PLAIN ATTR(1, 1, 0, 0, 0, 0, 1, 1, 1)
#define REFUSED(name, count, a, ...)                                                  \
    {                                                                                 \
        .label = name, .n_in = count, .in = {__VA_ARGS__}, .attr = a, .refused = true \
    }
#define VECTOR(n)               \
    {                           \
        .ndim = 1, .dim = { n } \
    }
#define ARRAY(n, ...)                     \
    {                                     \
        .ndim = n, .dim = { __VA_ARGS__ } \
    }
#define CONV(...) &(const bnf_conv2d_attr)ATTR(__VA_ARGS__)

static const bnf_op_case forward[] = {
    SHAPES(FORWARD) SITES(FORWARD_SITES) //
    REFUSED("image of 3 dimensions", 2, &(const bnf_conv2d_attr)PLAIN, ARRAY(3, 4, 4, 3), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("weight of 2 dimensions", 2, &(const bnf_conv2d_attr)PLAIN, ARRAY(4, 1, 4, 4, 3), ARRAY(2, 2, 27)),
    REFUSED("other channels", 2, &(const bnf_conv2d_attr)PLAIN, ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 4, 3, 3)),
    REFUSED("other bias", 3, &(const bnf_conv2d_attr)PLAIN, ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 3), VECTOR(3)),
    REFUSED("bias matrix", 3, &(const bnf_conv2d_attr)PLAIN, ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 3),
            ARRAY(2, 1, 2)),
    REFUSED("kernel too large", 2, &(const bnf_conv2d_attr)PLAIN, ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 5)),
    REFUSED("dilated kernel too large", 2, CONV(1, 1, 0, 0, 0, 0, 2, 1, 1), ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("groups do not divide", 2, CONV(1, 1, 0, 0, 0, 0, 1, 1, 2), ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 1, 3, 3)),
    REFUSED("no groups", 2, CONV(1, 1, 0, 0, 0, 0, 1, 1, 0), ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("stride 0", 2, CONV(1, 0, 0, 0, 0, 0, 1, 1, 1), ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("dilation 0", 2, CONV(1, 1, 0, 0, 0, 0, 0, 1, 1), ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("negative padding", 2, CONV(1, 1, 0, 0, 0, -1, 1, 1, 1), ARRAY(4, 1, 4, 4, 3), ARRAY(4, 2, 3, 3, 3)),
};

#define BWD(h, w, kh, kw) BWD_ATTR(h, w, kh, kw, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0)

static const bnf_op_case data[] = {
    SHAPES(DATA) //
    REFUSED("other output channels", 2, BWD(5, 5, 3, 3), ARRAY(4, 1, 3, 3, 4), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("other output size", 2, BWD(6, 5, 3, 3), ARRAY(4, 1, 3, 3, 2), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("other kernel", 2, BWD(5, 5, 3, 2), ARRAY(4, 1, 3, 3, 2), ARRAY(4, 2, 3, 3, 3)),
    REFUSED("gradient of 2 dimensions", 2, BWD(5, 5, 3, 3), ARRAY(2, 1, 18), ARRAY(4, 2, 3, 3, 3)),
};

static const bnf_op_case weights[] = {
    SHAPES(WEIGHTS) SITES(WEIGHTS_SITES) //
    REFUSED("other batch", 2, BWD(5, 5, 3, 3), ARRAY(4, 1, 5, 5, 3), ARRAY(4, 2, 3, 3, 2)),
    REFUSED("other image", 2, BWD(5, 6, 3, 3), ARRAY(4, 1, 5, 5, 3), ARRAY(4, 1, 3, 3, 2)),
    REFUSED("other output size", 2, BWD(5, 5, 3, 3), ARRAY(4, 1, 5, 5, 3), ARRAY(4, 1, 3, 2, 2)),
    REFUSED("image of 2 dimensions", 2, BWD(5, 5, 3, 3), ARRAY(2, 1, 75), ARRAY(4, 1, 3, 3, 2)),
};

/* Adds every product of an input element and a weight to the output it belongs to, if that exists: the opposite
 * order of loops from the reference's. */
static void check_forward(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_conv2d_attr *a = inst->attr;
    const int64_t *x = inst->in[0].dim, *w = inst->in[1].dim, *y = inst->out[0].dim;
    int64_t count = bnf_desc_count(&inst->out[0]), og = w[0] / a->groups;
    double *expect = test_malloc((size_t)count * sizeof *expect);
    for (int64_t p = 0; p < count; p++)
        expect[p] = inst->n_in == 3 ? in[2][p % y[3]] : 0;
    for (int64_t q = 0; q < bnf_desc_count(&inst->in[1]); q++) {
        int64_t kw = q % w[3], kh = q / w[3] % w[2], i = q / w[3] / w[2] % w[1], o = q / w[3] / w[2] / w[1];
        for (int64_t n = 0; n < x[0]; n++)
            for (int64_t h = 0; h < x[1]; h++)
                for (int64_t v = 0; v < x[2]; v++) {
                    int64_t ty = h + a->pad[0] - kh * a->dilation[0], tx = v + a->pad[1] - kw * a->dilation[1];
                    if (ty < 0 || tx < 0 || ty % a->stride[0] || tx % a->stride[1])
                        continue;
                    int64_t oh = ty / a->stride[0], ow = tx / a->stride[1];
                    if (oh < y[1] && ow < y[2])
                        expect[((n * y[1] + oh) * y[2] + ow) * y[3] + o] +=
                            in[0][((n * x[1] + h) * x[2] + v) * x[3] + o / og * w[1] + i] * in[1][q];
                }
    }
    for (int64_t p = 0; p < count; p++)
        assert_true(fabs(expect[p] - out[0][p]) < 1e-10);
    test_free(expect);
}

const bnf_op_case_list bnf_op_cases_conv2d = BNF_OP_CASES(forward, check_forward);
const bnf_op_case_list bnf_op_cases_conv2d_bwd_data = BNF_OP_CASES(data, NULL);
const bnf_op_case_list bnf_op_cases_conv2d_bwd_weights = BNF_OP_CASES(weights, NULL);
