/* The convolution of active sites alone: where it is taken; its weight gradient by differences; images that are not as
 * sparse as was told; the benchmark that compares it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ops/bench.h"
#include "ops/conv2d.h"

#include <math.h>
#include <string.h>

enum { N = 2, H = 9, W = 13, I = 3, O = 32, OH = 5, OW = 7, MAX = N * OH * OW * O };

static const bnf_conv2d_bwd_attr attr = {
    .conv = {.stride = {2, 2}, .pad = {1, 1, 1, 1}, .dilation = {1, 1}, .groups = 1},
    .image = {H, W},
    .kernel = {3, 3},
    .has_bias = 1};
static const bnf_conv2d_bwd_attr grouped_attr = {
    .conv = {.stride = {2, 2}, .pad = {1, 1, 1, 1}, .dilation = {1, 1}, .groups = 3},
    .image = {H, W},
    .kernel = {3, 3},
    .has_bias = 1};

static bnf_op_inst use(const bnf_op *op, const bnf_conv2d_bwd_attr *a, bnf_dtype real, int64_t outputs, double share)
{
    int64_t groups = a->conv.groups;
    bnf_desc x = bnf_desc_4d(real, N, H, W, I), y = bnf_desc_4d(real, N, OH, OW, outputs);
    bnf_desc w = bnf_desc_4d(real, outputs, I / groups, 3, 3);
    bool forward = op == &bnf_op_conv2d, data = op == &bnf_op_conv2d_bwd_data;
    bnf_op_inst inst = {.op = op, .n_in = forward ? 3 : 2, .n_out = op->n_out, .threads = 1, .occupancy = {share}};
    inst.attr = forward ? (const void *)&a->conv : a;
    inst.in[0] = data ? y : x;
    inst.in[1] = forward || data ? w : y;
    inst.in[2] = bnf_desc_1d(real, outputs);
    assert_int_equal(op->infer(&inst), BNF_OK);
    return inst;
}

static bool takes_sites(const bnf_op *op, const bnf_conv2d_bwd_attr *a, bnf_dtype real, int64_t outputs, double share)
{
    bnf_op_inst inst = use(op, a, real, outputs, share);
    bnf_kernel_plan k;
    assert_int_equal(bnf_op_choose(&inst, false, &k), BNF_OK);
    bool sites = strcmp(k.kernel->name, "sites") == 0;
    if (k.kernel->destroy)
        k.kernel->destroy(&k);
    return sites;
}

static void test_choice(void **state)
{
    (void)state;
    const bnf_op *const passes[] = {&bnf_op_conv2d, &bnf_op_conv2d_bwd_weights};
    for (int p = 0; p < 2; p++) {
        assert_true(takes_sites(passes[p], &attr, BNF_F32, O, 0.02));
        assert_true(takes_sites(passes[p], &attr, BNF_F64, O, 0.02));
        assert_false(takes_sites(passes[p], &attr, BNF_F32, O, 0)); /* unknown */
        assert_false(takes_sites(passes[p], &attr, BNF_F32, O, 0.3));
        assert_false(takes_sites(passes[p], &attr, BNF_F32, O, 1));
        assert_false(takes_sites(passes[p], &attr, BNF_F32, 6, 0.02)); /* few outputs gain less */
        assert_true(takes_sites(passes[p], &attr, BNF_F32, 6, 0.001));
        assert_false(takes_sites(passes[p], &grouped_attr, BNF_F32, 33, 0.001));
    }
    assert_false(takes_sites(&bnf_op_conv2d_bwd_data, &attr, BNF_F32, O, 0.001));
}

/* Deterministic, in [-1, 1]; of an image, about one in seven cells is not zero. */
static void fill(double *v, int64_t n, int64_t salt, bool hits)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = hits && (i * 31 + salt) % 7 != 0 ? 0 : (double)((i * 7919 + salt * 104729) % 2003) / 1001.0 - 1;
}

/* Runs a use in f64 by its kernel of that name. */
static void run(const bnf_op_inst *inst, const char *name, const void *const *in, void *const *out)
{
    const bnf_kernel *kernel = inst->op->kernels;
    while (strcmp(kernel->name, name) != 0)
        kernel++;
    bnf_kernel_plan k = {.kernel = kernel};
    void *scratch;
    assert_int_equal(kernel->create ? kernel->create(inst, &k) : BNF_OK, BNF_OK);
    assert_int_equal(bnf_alloc(k.scratch_bytes + 1, "scratch", &scratch), BNF_OK);
    kernel->run(inst, &k, &(bnf_run_ctx){0}, in, out, scratch);
    bnf_free(scratch);
}

static double x[N * H * W * I], w[O * I * 9], bias[O], y[MAX], dy[MAX], dw[O * I * 9], dbias[O];

/* sum of dy times the output. */
static double projected(const bnf_op_inst *forward)
{
    double sum = 0;
    run(forward, "sites", (const void *const[]){x, w, bias}, (void *const[]){y});
    for (int64_t i = 0; i < MAX; i++)
        sum += dy[i] * y[i];
    return sum;
}

static void check_differences(const bnf_op_inst *forward, double *v, const double *gradient, int64_t n)
{
    const double step = 1e-4;
    for (int64_t i = 0; i < n; i += 5) {
        double kept = v[i];
        v[i] = kept + step;
        double above = projected(forward);
        v[i] = kept - step;
        double quotient = (above - projected(forward)) / (2 * step);
        v[i] = kept;
        if (!(fabs(quotient - gradient[i]) < 1e-7))
            fail_msg("element %d: gradient %.12g, difference quotient %.12g", (int)i, gradient[i], quotient);
    }
}

static void test_differences(void **state)
{
    (void)state;
    bnf_op_inst forward = use(&bnf_op_conv2d, &attr, BNF_F64, O, 0.02);
    bnf_op_inst gradient = use(&bnf_op_conv2d_bwd_weights, &attr, BNF_F64, O, 0.02);
    fill(x, N * H * W * I, 1, true);
    fill(w, O * I * 9, 2, false);
    fill(bias, O, 3, false);
    fill(dy, MAX, 4, false);
    run(&gradient, "sites", (const void *const[]){x, dy}, (void *const[]){dw, dbias});
    check_differences(&forward, w, dw, O * I * 9);
    check_differences(&forward, bias, dbias, O);
}

/* What was told of the image decides who computes, never what comes out. */
static void test_full_image(void **state)
{
    (void)state;
    static double same[MAX], same_w[O * I * 9], same_bias[O];
    bnf_op_inst forward = use(&bnf_op_conv2d, &attr, BNF_F64, O, 0.02);
    bnf_op_inst gradient = use(&bnf_op_conv2d_bwd_weights, &attr, BNF_F64, O, 0.02);
    fill(x, N * H * W * I, 5, false);
    fill(w, O * I * 9, 6, false);
    fill(dy, MAX, 7, false);
    run(&forward, "sites", (const void *const[]){x, w, bias}, (void *const[]){y});
    run(&forward, "ref", (const void *const[]){x, w, bias}, (void *const[]){same});
    for (int64_t i = 0; i < MAX; i++)
        assert_true(fabs(y[i] - same[i]) < 1e-13);
    run(&gradient, "sites", (const void *const[]){x, dy}, (void *const[]){dw, dbias});
    run(&gradient, "ref", (const void *const[]){x, dy}, (void *const[]){same_w, same_bias});
    for (int64_t i = 0; i < O * I * 9; i++)
        assert_true(fabs(dw[i] - same_w[i]) < 1e-12);
    for (int64_t i = 0; i < O; i++)
        assert_true(fabs(dbias[i] - same_bias[i]) < 1e-12);
}

static void test_bench(void **state)
{
    (void)state;
    int64_t blocks = bnf_mem_live_blocks();
    bnf_op_bench b = {.op = &bnf_op_conv2d,
                      .attr = &attr.conv,
                      .n_in = 2,
                      .in = {bnf_desc_4d(BNF_F32, N, H, W, I), bnf_desc_4d(BNF_F32, O, I, 3, 3)},
                      .seconds = 1e-3};
    assert_int_equal(bnf_op_bench_run(&b), BNF_OK);
    assert_string_equal(b.used, "dnnl");
    b.occupancy = 0.02;
    assert_int_equal(bnf_op_bench_run(&b), BNF_OK);
    assert_string_equal(b.used, "sites");
    b.occupancy = 0.5; /* by itself it would not be taken */
    assert_int_equal(bnf_op_bench_run(&b), BNF_OK);
    assert_string_equal(b.used, "dnnl");
    b.kernel = "sites";
    assert_int_equal(bnf_op_bench_run(&b), BNF_OK);
    assert_string_equal(b.used, "sites");
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_full_image),
        cmocka_unit_test(test_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
