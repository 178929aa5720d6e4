/* op/cases/pool2d.c - pooling and global average, forward and backward. */
#include "op/op_case.h"
#include "ops/global_avg.h"
#include "ops/pool2d.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define POSITIONS(extent, window, stride, begin, end) (((extent) + (begin) + (end) - (window)) / (stride) + 1)

/* S(label, n,h,w,c, window y,x, stride y,x, pad top,left,bottom,right) */
#define SHAPES(S)                                              \
    S("2x2", 2, 4, 6, 5, 2, 2, 2, 2, 0, 0, 0, 0)               \
    S("2x2, odd image", 2, 5, 7, 3, 2, 2, 2, 2, 0, 0, 0, 0)    \
    S("2x2, odd rows", 1, 7, 4, 17, 2, 2, 2, 2, 0, 0, 0, 0)    \
    S("2x2, 16 channels", 1, 4, 4, 16, 2, 2, 2, 2, 0, 0, 0, 0) \
    S("2x2, one channel", 3, 6, 4, 1, 2, 2, 2, 2, 0, 0, 0, 0)  \
    S("2x2, padded", 2, 5, 4, 10, 2, 2, 2, 2, 1, 0, 0, 1)      \
    S("2x2, overlapping", 1, 4, 5, 3, 2, 2, 1, 1, 0, 0, 0, 0)  \
    S("3x3, overlapping", 2, 5, 7, 5, 3, 3, 2, 2, 1, 1, 1, 1)  \
    S("3x2", 1, 6, 6, 17, 3, 2, 3, 1, 0, 1, 2, 0)              \
    S("gaps", 2, 7, 8, 3, 2, 1, 3, 3, 0, 0, 0, 0)              \
    S("whole image", 2, 4, 3, 10, 4, 3, 1, 1, 0, 0, 0, 0)      \
    S("5x4, asymmetric", 1, 6, 5, 5, 5, 4, 2, 3, 4, 0, 1, 3)   \
    S("300 channels", 1, 4, 2, 300, 3, 2, 1, 2, 1, 0, 1, 0)

#define SINGLE(S) S("single cell", 2, 3, 2, 5, 1, 1, 1, 1, 0, 0, 0, 0)

#define POOL(k, wy, wx, sy, sx, pt, pl, pb, pr)                                      \
    {                                                                                \
        .kind = k, .window = {wy, wx}, .stride = {sy, sx}, .pad = { pt, pl, pb, pr } \
    }
#define IMAGE(v, d, n, h, w, c)                                \
    {                                                          \
        .ndim = 4, .dim = {n, h, w, c}, .values = v, .diff = d \
    }
#define OUTPUT(v, d, n, h, w, c, wy, wx, sy, sx, pt, pl, pb, pr) \
    IMAGE(v, d, n, POSITIONS(h, wy, sy, pt, pb), POSITIONS(w, wx, sx, pl, pr), c)

#define FORWARD(name, k, v, d, n, h, w, c, wy, wx, ...)            \
    {.label = name,                                                \
     .n_in = 1,                                                    \
     .in = {IMAGE(v, d, n, h, w, c)},                              \
     .attr = &(const bnf_pool2d_attr)POOL(k, wy, wx, __VA_ARGS__), \
     .terms = (wy) * (wx)},
#define MAX_FORWARD(name, ...) FORWARD("max " name, BNF_POOL_MAX, BNF_VALUES_DISTINCT, true, __VA_ARGS__)
#define MAX_TIED(name, ...) FORWARD("max, ties, " name, BNF_POOL_MAX, BNF_VALUES_TIED, false, __VA_ARGS__)
#define AVG_FORWARD(name, ...) FORWARD("avg " name, BNF_POOL_AVG, BNF_VALUES_ANY, true, __VA_ARGS__)
/* The 1e-6 in the gradient of L2 is visible to differences where y is small, as in windows of one cell. */
#define L2_SINGLE(name, ...) FORWARD("l2 " name, BNF_POOL_L2, BNF_VALUES_AWAY, false, __VA_ARGS__)
#define L2_FORWARD(name, ...) FORWARD("l2 " name, BNF_POOL_L2, BNF_VALUES_AWAY, true, __VA_ARGS__)

/* Reads v where x has the value y; x and y with many equal values. */
#define SELECT(name, n, h, w, c, ...)                                                           \
    {.label = "select " name,                                                                   \
     .n_in = 3,                                                                                 \
     .in = {IMAGE(BNF_VALUES_ANY, true, n, h, w, c), IMAGE(BNF_VALUES_TIED, false, n, h, w, c), \
            OUTPUT(BNF_VALUES_TIED, false, n, h, w, c, __VA_ARGS__)},                           \
     .attr = &(const bnf_pool2d_attr)POOL(BNF_POOL_MAX, __VA_ARGS__)},

#define REFUSED(name, count, a, ...)                                                  \
    {                                                                                 \
        .label = name, .n_in = count, .in = {__VA_ARGS__}, .attr = a, .refused = true \
    }
#define BAD(...) &(const bnf_pool2d_attr)POOL(__VA_ARGS__)
#define SMALL IMAGE(BNF_VALUES_ANY, false, 1, 4, 4, 2)
#define SMALL_OUT IMAGE(BNF_VALUES_ANY, false, 1, 2, 2, 2)

static const bnf_op_case forward[] = {
    SHAPES(MAX_FORWARD) SHAPES(MAX_TIED) SHAPES(AVG_FORWARD) SHAPES(L2_FORWARD) SHAPES(SELECT) //
    SINGLE(MAX_FORWARD) SINGLE(AVG_FORWARD) SINGLE(L2_SINGLE)                                  //
    REFUSED("unknown kind", 1, BAD(3, 2, 2, 2, 2, 0, 0, 0, 0), SMALL),
    REFUSED("window 0", 1, BAD(BNF_POOL_MAX, 0, 2, 2, 2, 0, 0, 0, 0), SMALL),
    REFUSED("stride 0", 1, BAD(BNF_POOL_MAX, 2, 2, 2, 0, 0, 0, 0, 0), SMALL),
    REFUSED("negative padding", 1, BAD(BNF_POOL_AVG, 2, 2, 2, 2, 0, 0, -1, 0), SMALL),
    REFUSED("padding as large as the window", 1, BAD(BNF_POOL_L2, 2, 2, 2, 2, 0, 2, 0, 0), SMALL),
    REFUSED("window too large", 1, BAD(BNF_POOL_MAX, 5, 2, 2, 2, 0, 0, 0, 0), SMALL),
    REFUSED("matrix", 1, BAD(BNF_POOL_MAX, 2, 2, 2, 2, 0, 0, 0, 0), {.ndim = 2, .dim = {4, 4}}),
    REFUSED("select with average", 3, BAD(BNF_POOL_AVG, 2, 2, 2, 2, 0, 0, 0, 0), SMALL, SMALL, SMALL_OUT),
    REFUSED("select from another shape", 3, BAD(BNF_POOL_MAX, 2, 2, 2, 2, 0, 0, 0, 0), SMALL, SMALL, SMALL),
    REFUSED("select without values", 2, BAD(BNF_POOL_MAX, 2, 2, 2, 2, 0, 0, 0, 0), SMALL, SMALL),
};

#define BWD_ATTR(k, h, w, ...)                          \
    &(const bnf_pool2d_bwd_attr)                        \
    {                                                   \
        .pool = POOL(k, __VA_ARGS__), .image = { h, w } \
    }
/* dy, x, y with unrelated y: what the operation computes is defined for any. Windows overlap: sums of some terms. */
#define BACKWARD(name, k, vx, vy, d, n, h, w, c, ...)                                        \
    {.label = name,                                                                          \
     .n_in = 3,                                                                              \
     .in = {OUTPUT(BNF_VALUES_ANY, true, n, h, w, c, __VA_ARGS__), IMAGE(vx, d, n, h, w, c), \
            OUTPUT(vy, d, n, h, w, c, __VA_ARGS__)},                                         \
     .attr = BWD_ATTR(k, h, w, __VA_ARGS__),                                                 \
     .terms = 16},
#define MAX_BACKWARD(name, ...) \
    BACKWARD("max " name, BNF_POOL_MAX, BNF_VALUES_TIED, BNF_VALUES_TIED, false, __VA_ARGS__)
#define L2_BACKWARD(name, ...) BACKWARD("l2 " name, BNF_POOL_L2, BNF_VALUES_ANY, BNF_VALUES_POSITIVE, true, __VA_ARGS__)
#define AVG_BACKWARD(name, n, h, w, c, ...)                         \
    {.label = "avg " name,                                          \
     .n_in = 1,                                                     \
     .in = {OUTPUT(BNF_VALUES_ANY, true, n, h, w, c, __VA_ARGS__)}, \
     .attr = BWD_ATTR(BNF_POOL_AVG, h, w, __VA_ARGS__),             \
     .terms = 16},

static const bnf_op_case backward[] = {
    SHAPES(MAX_BACKWARD) SHAPES(AVG_BACKWARD) SHAPES(L2_BACKWARD) //
    SINGLE(MAX_BACKWARD) SINGLE(AVG_BACKWARD) SINGLE(L2_BACKWARD) //
    REFUSED("other image", 1, BWD_ATTR(BNF_POOL_AVG, 6, 4, 2, 2, 2, 2, 0, 0, 0, 0), SMALL_OUT),
    REFUSED("average with x", 3, BWD_ATTR(BNF_POOL_AVG, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0), SMALL_OUT, SMALL, SMALL_OUT),
    REFUSED("max without x", 1, BWD_ATTR(BNF_POOL_MAX, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0), SMALL_OUT),
    REFUSED("l2 with x of another shape", 3, BWD_ATTR(BNF_POOL_L2, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0), SMALL_OUT, SMALL_OUT,
            SMALL_OUT),
    REFUSED("matrix", 1, BWD_ATTR(BNF_POOL_AVG, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0), {.ndim = 2, .dim = {4, 4}}),
};

/* Every cell of the image tells each window that holds it: the opposite order of loops from the kernels'. */
static void check_forward(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_pool2d_attr *a = inst->attr;
    const int64_t *x = inst->in[0].dim, *y = inst->out[0].dim;
    int64_t count = bnf_desc_count(&inst->out[0]);
    double *sum = test_calloc((size_t)count, sizeof *sum), *square = test_calloc((size_t)count, sizeof *square);
    double *max = test_malloc((size_t)count * sizeof *max);
    for (int64_t p = 0; p < count; p++)
        max[p] = -INFINITY;
    for (int64_t q = 0; inst->n_in == 1 && q < bnf_desc_count(&inst->in[0]); q++) {
        int64_t c = q % x[3], w = q / x[3] % x[2], h = q / x[3] / x[2] % x[1], n = q / x[3] / x[2] / x[1];
        for (int64_t oh = 0; oh < y[1]; oh++)
            for (int64_t ow = 0; ow < y[2]; ow++) {
                int64_t dy = h + a->pad[0] - oh * a->stride[0], dx = w + a->pad[1] - ow * a->stride[1];
                if (dy < 0 || dy >= a->window[0] || dx < 0 || dx >= a->window[1])
                    continue;
                int64_t p = ((n * y[1] + oh) * y[2] + ow) * y[3] + c;
                sum[p] += in[0][q];
                square[p] += in[0][q] * in[0][q];
                max[p] = in[0][q] > max[p] ? in[0][q] : max[p];
            }
    }
    for (int64_t p = 0; inst->n_in == 1 && p < count; p++) {
        double cells = (double)(a->window[0] * a->window[1]);
        double expect = a->kind == BNF_POOL_MAX ? max[p] : a->kind == BNF_POOL_AVG ? sum[p] / cells : sqrt(square[p]);
        assert_true(fabs(expect - out[0][p]) < 1e-12);
    }
    test_free(sum);
    test_free(square);
    test_free(max);
}

/* Average: what a window gives to its cells is its gradient times the share of the window that lies in the image. */
static void check_backward(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_pool2d_bwd_attr *a = inst->attr;
    if (a->pool.kind != BNF_POOL_AVG)
        return;
    double given = 0, got = 0, cells = (double)(a->pool.window[0] * a->pool.window[1]);
    bnf_pool2d_shape s = bnf_pool2d_shape_of(inst);
    for (int64_t p = 0; p < bnf_desc_count(&inst->in[0]); p++) {
        bnf_pool2d_range r = bnf_pool2d_range_of(&s, p / s.c / s.ow % s.oh, p / s.c % s.ow);
        given += in[0][p] * (double)((r.h1 - r.h0) * (r.w1 - r.w0)) / cells;
    }
    for (int64_t p = 0; p < bnf_desc_count(&inst->out[0]); p++)
        got += out[0][p];
    assert_true(fabs(given - got) < 1e-10);
}

/* --- global average
 * --------------------------------------------------------------------------------------------------- */

#define GLOBAL(name, s, ...)                                                               \
    {                                                                                      \
        .label = name, .n_in = 1, .in = {{.ndim = 4, .dim = {__VA_ARGS__}, .diff = true}}, \
        .attr = &(const bnf_global_avg_attr)                                               \
        {                                                                                  \
            s                                                                              \
        }                                                                                  \
    }

static const bnf_op_case global[] = {
    GLOBAL("one position", 1.0, 3, 1, 1, 5),
    GLOBAL("one channel", 1.0, 2, 4, 3, 1),
    GLOBAL("odd", 0.75, 2, 5, 3, 17),
    GLOBAL("isometric", 7.0, 2, 7, 7, 16),
    REFUSED("matrix", 1, &(const bnf_global_avg_attr){1.0}, {.ndim = 2, .dim = {4, 4}}),
};

#define GLOBAL_BWD_ATTR(s, h, w)      \
    &(const bnf_global_avg_bwd_attr)  \
    {                                 \
        .scale = s, .image = { h, w } \
    }
#define GLOBAL_BWD(name, s, h, w, n, c)                                                                              \
    {                                                                                                                \
        .label = name, .n_in = 1, .in = {{.ndim = 2, .dim = {n, c}, .diff = true}}, .attr = GLOBAL_BWD_ATTR(s, h, w) \
    }

static const bnf_op_case global_bwd[] = {
    GLOBAL_BWD("one position", 1.0, 1, 1, 3, 5),
    GLOBAL_BWD("one channel", 1.0, 4, 3, 2, 1),
    GLOBAL_BWD("odd", 0.75, 5, 3, 2, 17),
    REFUSED("image", 1, GLOBAL_BWD_ATTR(1, 4, 4), SMALL),
    REFUSED("empty image", 1, GLOBAL_BWD_ATTR(1, 0, 4), {.ndim = 2, .dim = {4, 4}}),
};

static void check_global(const bnf_op_inst *inst, const double *const *in, const double *const *out)
{
    const bnf_global_avg_attr *a = inst->attr;
    const int64_t *x = inst->in[0].dim;
    for (int64_t p = 0; p < x[0] * x[3]; p++) {
        double sum = 0;
        for (int64_t q = x[1] * x[2] - 1; q >= 0; q--)
            sum += in[0][(p / x[3] * x[1] * x[2] + q) * x[3] + p % x[3]];
        assert_true(fabs(a->scale * sum / (double)(x[1] * x[2]) - out[0][p]) < 1e-12);
    }
}

const bnf_op_case_list bnf_op_cases_pool2d = BNF_OP_CASES(forward, check_forward);
const bnf_op_case_list bnf_op_cases_pool2d_bwd = BNF_OP_CASES(backward, check_backward);
const bnf_op_case_list bnf_op_cases_global_avg = BNF_OP_CASES(global, check_global);
const bnf_op_case_list bnf_op_cases_global_avg_bwd = BNF_OP_CASES(global_bwd, NULL);
