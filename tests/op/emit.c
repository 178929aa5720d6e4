/* op/emit.c - the emit functions of banff/ops.h on an immediate builder: which operation they emit, what reaches the
 * gradient, what dropout depends on, what happens to NaN and after an error. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/close.h"
#include "op/immediate.h"
#include "ops/attr.h"

#include "base/bf16.h"
#include "base/mem.h"
#include "base/philox.h"

#include <float.h>
#include <math.h>
#include <string.h>

static bnf_immediate *im;
static bnf_builder *b;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(bnf_immediate_create(BNF_F32, &im), BNF_OK);
    b = bnf_immediate_builder(im);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bnf_immediate_destroy(im);
    return bnf_mem_live_blocks() == 0 ? 0 : -1;
}

static bnf_val value(int ndim, const int64_t *dim, const float *data)
{
    bnf_desc d = bnf_desc_make(BNF_F32, ndim, dim);
    return bnf_immediate_value(im, &d, data, true);
}

static bnf_val scalar(float x)
{
    return value(1, (int64_t[]){1}, &x);
}

static float first(bnf_val v)
{
    if (!bnf_val_ok(v))
        fail_msg("no value: %s", bnf_error_message());
    return *(const float *)bnf_immediate_data(im, v);
}

static void assert_shape(bnf_val v, int ndim, const int64_t *dim)
{
    bnf_desc want = bnf_desc_make(BNF_F32, ndim, dim);
    char text[96];
    if (!bnf_desc_equal(bnf_val_desc(b, v), &want))
        fail_msg("shape is %s", bnf_desc_format(bnf_val_desc(b, v), text, sizeof text));
}

static void test_unary(void **state)
{
    (void)state;
    bnf_val x = scalar(-0.7f), y = scalar(0.7f);
    assert_close(first(bnf_relu(b, x)), 0.0, 0.0);
    assert_close(first(bnf_leaky_relu(b, x, 0.1)), -0.07, 1e-7);
    assert_close(first(bnf_tanh(b, x)), tanh(-0.7), 1e-6);
    assert_close(first(bnf_sigmoid(b, x)), 1 / (1 + exp(0.7)), 1e-6);
    assert_close(first(bnf_softplus(b, x)), log1p(exp(-0.7)), 1e-6);
    assert_close(first(bnf_exp(b, x)), exp(-0.7), 1e-6);
    assert_close(first(bnf_log(b, y)), log(0.7), 1e-6);
    assert_close(first(bnf_sqrt(b, y)), sqrt(0.7), 1e-6);
    assert_close(first(bnf_rsqrt(b, y)), 1 / sqrt(0.7), 1e-6);
    assert_close(first(bnf_square(b, x)), 0.49, 1e-6);
    assert_close(first(bnf_abs(b, x)), 0.7, 1e-6);
    assert_close(first(bnf_affine(b, x, 3.0, 1.0)), -1.1, 1e-6);
    assert_close(first(bnf_clip(b, x, -0.5, 0.5)), -0.5, 0.0);
}

/* Far from 0 nothing overflows into NaN. */
static void test_extremes(void **state)
{
    (void)state;
    bnf_val large = scalar(1000.0f), small = scalar(-1000.0f);
    assert_close(first(bnf_softplus(b, large)), 1000.0, 0.0);
    assert_close(first(bnf_softplus(b, small)), 0.0, 0.0);
    assert_close(first(bnf_sigmoid(b, large)), 1.0, 0.0);
    assert_close(first(bnf_sigmoid(b, small)), 0.0, 0.0);
    assert_close(first(bnf_tanh(b, small)), -1.0, 0.0);
    bnf_val far = value(2, (int64_t[]){1, 2}, (float[]){1000.0f, -1000.0f});
    assert_close(first(bnf_softmax(b, far)), 1.0, 0.0);
    assert_close(first(bnf_log_softmax(b, far)), 0.0, 0.0);
    assert_close(first(bnf_slice(b, bnf_log_softmax(b, far), 1, 1)), -2000.0, 0.0);
}

static void test_binary(void **state)
{
    (void)state;
    bnf_val x = scalar(3.0f), y = scalar(-4.0f);
    assert_close(first(bnf_add(b, x, y)), -1.0, 0.0);
    assert_close(first(bnf_sub(b, x, y)), 7.0, 0.0);
    assert_close(first(bnf_mul(b, x, y)), -12.0, 0.0);
    assert_close(first(bnf_div(b, x, y)), -0.75, 0.0);
    assert_close(first(bnf_maximum(b, x, y)), 3.0, 0.0);
    assert_close(first(bnf_maximum(b, y, x)), 3.0, 0.0);
}

/* NaN must reach the loss, where the run stops with a message; a comparison must not turn it into a number. */
static void test_nan(void **state)
{
    (void)state;
    bnf_val bad = scalar(NAN), good = scalar(1.0f);
    assert_true(isnan(first(bnf_relu(b, bad))));
    assert_true(isnan(first(bnf_leaky_relu(b, bad, 0.1))));
    assert_true(isnan(first(bnf_clip(b, bad, -1.0, 1.0))));
    assert_true(isnan(first(bnf_maximum(b, bad, good))));
    assert_true(isnan(first(bnf_maximum(b, good, bad))));
    assert_true(isnan(first(bnf_abs(b, bad))));
    bnf_val pair = bnf_concat(b, (bnf_val[]){bad, good}, 2);
    const float *sorted = bnf_immediate_data(im, bnf_groupsort2(b, pair));
    assert_int_equal(isnan(sorted[0]) + isnan(sorted[1]), 1);
    assert_true(isnan(first(bnf_sum_all(b, bnf_softmax(b, pair)))));
    bnf_val row = bnf_concat(b, (bnf_val[]){bad, good, scalar(-NAN), scalar(-INFINITY), scalar(0.0f)}, 5);
    const float *full = bnf_immediate_data(im, bnf_fullsort(b, row));
    assert_true(isnan(full[0]) && full[1] == -INFINITY && full[2] == 0.0f && full[3] == 1.0f && isnan(full[4]));
}

static void test_shapes(void **state)
{
    (void)state;
    float data[24];
    for (int i = 0; i < 24; i++)
        data[i] = (float)i;
    bnf_val x = value(4, (int64_t[]){2, 2, 2, 3}, data);
    assert_shape(bnf_flatten(b, x), 2, (int64_t[]){2, 12});
    assert_shape(bnf_pixel_unshuffle(b, x, 2), 4, (int64_t[]){2, 1, 1, 12});
    assert_shape(bnf_sum_all(b, x), 1, (int64_t[]){1});
    assert_close(first(bnf_sum_all(b, x)), 276.0, 0.0);
    assert_shape(bnf_sum_last(b, x), 4, (int64_t[]){2, 2, 2, 1});
    assert_close(first(bnf_sum_last(b, x)), 3.0, 0.0);
    bnf_desc channels = bnf_desc_1d(BNF_F32, 3);
    assert_shape(bnf_sum_to(b, x, &channels), 1, (int64_t[]){3});
    assert_int_equal(bnf_sum_to(b, x, bnf_val_desc(b, x)).id, x.id); /* nothing to do: nothing emitted */
    assert_int_equal(bnf_broadcast_to(b, x, bnf_val_desc(b, x)).id, x.id);
    bnf_val row = bnf_sum_to(b, x, &channels);
    assert_shape(bnf_broadcast_to(b, row, bnf_val_desc(b, x)), 4, (int64_t[]){2, 2, 2, 3});
    assert_shape(bnf_concat(b, (bnf_val[]){x, x}, 2), 4, (int64_t[]){2, 2, 2, 6});
    assert_close(first(bnf_slice(b, x, 1, 2)), 1.0, 0.0);
    assert_shape(bnf_fullsort(b, x), 4, (int64_t[]){2, 2, 2, 3});
}

/* By hand: instance normalisation of (1,2,3,6) with eps 1e-3, and [1,3] at twice the size. */
static void test_images(void **state)
{
    (void)state;
    const float four[] = {1, 2, 3, 6}, normal[] = {-1.06889f, -0.53445f, 0, 1.60334f}, wide[] = {1, 1.5f, 2.5f, 3};
    const float tiled[] = {5, -1, -1, 5, 1, -1, 5, -1, 1, 5, 1, 1};
    bnf_val x = value(4, (int64_t[]){1, 2, 2, 1}, four), pair = value(4, (int64_t[]){1, 1, 2, 1}, (float[]){1, 3});
    bnf_val one = value(1, (int64_t[]){1}, (float[]){1}), zero = value(1, (int64_t[]){1}, (float[]){0});
    const float *y = bnf_immediate_data(im, bnf_instance_norm(b, x, one, zero, 1e-3));
    for (int i = 0; i < 4; i++)
        assert_close(y[i], normal[i], 1e-5);
    y = bnf_immediate_data(im, bnf_upsample2(b, pair));
    for (int i = 0; i < 8; i++)
        assert_close(y[i], wide[i % 4], 0.0);
    y = bnf_immediate_data(im, bnf_spatial_tile(b, value(2, (int64_t[]){1, 1}, (float[]){5}), 2, 2));
    for (int i = 0; i < 12; i++)
        assert_close(y[i], tiled[i], 0.0);
    assert_close(first(bnf_crop2d(b, x, 1, 0, 1, 2)), 3.0, 0.0);
    assert_shape(bnf_crop2d(b, x, 1, 0, 1, 2), 4, (int64_t[]){1, 1, 2, 1});
    assert_close(first(bnf_sum_all(b, bnf_pad2d(b, x, 1, 0, 4, 3))), 12.0, 0.0);
    assert_shape(bnf_pad2d(b, x, 1, 0, 4, 3), 4, (int64_t[]){1, 4, 3, 1});
}

/* SAME: windows of 3 with stride 2 turn 6 into 3 with a cell at the end, 5 into 3 with one on either side; stride 5
 * turns 286 into 58; a window that is smaller than the stride needs none. Convolution in groups and pool take it. */
static void test_same_padding(void **state)
{
    (void)state;
    static const float zeros[6 * 5 * 4], ones[4 * 2 * 9];
    int64_t pad[4];
    bnf_same_padding((int64_t[]){286, 7}, (int64_t[]){5, 1}, (int64_t[]){5, 2}, pad);
    assert_memory_equal(pad, ((int64_t[]){2, 0, 2, 0}), sizeof pad);
    bnf_same_padding((int64_t[]){6, 5}, (int64_t[]){3, 3}, (int64_t[]){2, 2}, pad);
    assert_memory_equal(pad, ((int64_t[]){0, 1, 1, 1}), sizeof pad);
    bnf_val x = value(4, (int64_t[]){1, 6, 5, 4}, zeros), w = value(4, (int64_t[]){4, 2, 3, 3}, ones);
    bnf_conv2d_attr conv = {.stride = {2, 2}, .dilation = {1, 1}, .groups = 2};
    bnf_pool2d_attr pool = {.kind = BNF_POOL_MAX, .window = {3, 3}, .stride = {2, 2}};
    memcpy(conv.pad, pad, sizeof pad);
    memcpy(pool.pad, pad, sizeof pad);
    assert_shape(bnf_conv2d(b, x, w, BNF_NONE, &conv), 4, (int64_t[]){1, 3, 3, 4});
    assert_shape(bnf_pool2d(b, x, &pool), 4, (int64_t[]){1, 3, 3, 4});
}

static void test_labels(void **state)
{
    (void)state;
    bnf_desc d = bnf_desc_1d(BNF_I32, 3);
    bnf_val labels = bnf_immediate_value(im, &d, (int32_t[]){2, 0, -1}, false);
    bnf_val hot = bnf_one_hot(b, labels, 3);
    assert_shape(hot, 2, (int64_t[]){3, 3});
    assert_memory_equal(bnf_immediate_data(im, hot), ((float[]){0, 0, 1, 1, 0, 0, 0, 0, 0}), 9 * sizeof(float));
    bnf_val logits = value(2, (int64_t[]){3, 3}, (float[]){1, 2, 3, 1, 2, 3, 1, 2, 3});
    bnf_val right = bnf_correct(b, logits, labels);
    assert_shape(right, 2, (int64_t[]){3, 1});
    assert_memory_equal(bnf_immediate_data(im, right), ((float[]){1, 0, 0}), 3 * sizeof(float));
}

static void test_batch(void **state)
{
    (void)state;
    bnf_val x = value(1, (int64_t[]){2}, (float[]){8.0f, 3.0f});
    b->leaves = 4;
    assert_close(first(bnf_leaf_share(b, x)), 2.0, 0.0);
    assert_true(bnf_immediate_inst(im, bnf_leaf_share(b, x))->op->flags & BNF_OP_LEAF);
    assert_close(first(bnf_batch_sum(b, x)), 8.0, 0.0);
    assert_true(bnf_immediate_inst(im, bnf_batch_sum(b, x))->op->flags & BNF_OP_BATCH_SUM);
}

static void test_normalize(void **state)
{
    (void)state;
    bnf_val x = value(2, (int64_t[]){2, 1}, (float[]){1.0f, 5.0f}), w = value(1, (int64_t[]){2}, (float[]){1.0f, 1.0f});
    bnf_val sum = bnf_channel_sum(b, x, w);
    assert_close(first(sum), 6.0, 0.0);
    bnf_val mean = bnf_affine(b, sum, 0.5, 0.0), var = bnf_affine(b, bnf_channel_sqdev(b, x, w, mean), 0.5, 0.0);
    assert_close(first(var), 4.0, 0.0);
    assert_close(first(bnf_channel_normalize(b, x, mean, var, BNF_NONE, BNF_NONE, 0.0)), -1.0, 1e-6);
    bnf_val gamma = scalar(3.0f), beta = scalar(0.5f);
    assert_close(first(bnf_channel_normalize(b, x, mean, var, gamma, beta, 0.0)), -2.5, 1e-6);
}

static void test_stop_gradient(void **state)
{
    (void)state;
    bnf_val x = scalar(2.0f), y = bnf_stop_gradient(b, x), din = BNF_NONE;
    assert_close(first(y), 2.0, 0.0);
    const bnf_op_inst *inst = bnf_immediate_inst(im, y);
    inst->op->vjp(b, inst, &x, &y, &y, &din);
    assert_false(bnf_val_ok(din));
}

/* --- exp, sigmoid, tanh without the C library --------------------------------------------------------------------- */

/* Where the vector code clamps, under- and overflows, it must still agree with the reference to a few units in the
 * last place. */
static void test_simd_extremes(void **state)
{
    (void)state;
    static const float x[] = {0.0f,    -0.0f,    1e-40f,    -1e-40f, 1e-20f,  -1e-4f, 0.346f, -0.347f,
                              9.99f,   -10.01f,  50.0f,     -87.0f,  -103.5f, 88.7f,  88.8f,  -200.0f,
                              1000.0f, INFINITY, -INFINITY, NAN,     3e38f,   -3e38f};
    enum { N = sizeof x / sizeof x[0] };
    static const int64_t kinds[] = {BNF_UNARY_EXP, BNF_UNARY_SIGMOID, BNF_UNARY_TANH};
    for (int k = 0; k < 3; k++) {
        const bnf_unary_attr a = {.kind = kinds[k]};
        const bnf_op *op = bnf_op_find("unary");
        bnf_op_inst inst = {.op = op, .attr = &a, .n_in = 1, .n_out = 1, .in = {bnf_desc_1d(BNF_F32, N)}, .threads = 1};
        bnf_kernel_plan plan = {.kernel = op->kernels};
        const bnf_run_ctx ctx = {0};
        float fast[N], slow[N];
        assert_int_equal(op->infer(&inst), BNF_OK);
        assert_string_equal(plan.kernel->name, "simd");
        assert_int_equal(plan.kernel->create(&inst, &plan), BNF_OK);
        plan.kernel->run(&inst, &plan, &ctx, (const void *[]){x}, (void *[]){fast}, NULL);
        plan.kernel = op->kernels + 1;
        plan.kernel->run(&inst, &plan, &ctx, (const void *[]){x}, (void *[]){slow}, NULL);
        for (int i = 0; i < N; i++)
            if (isnan(slow[i]))
                assert_true(isnan(fast[i]));
            else if (isinf(slow[i]))
                assert_true(fast[i] == slow[i]);
            else
                assert_close(fast[i], slow[i], 5.0 * (FLT_EPSILON * fabs(slow[i]) + 0x1p-149));
    }
}

/* Against the C library in f64: what ops/unary_simd.c promises, over the range where the functions bend. */
static void test_simd_accuracy(void **state)
{
    (void)state;
    enum { N = 20001 };
    static float x[N], y[N];
    static const int64_t kinds[] = {BNF_UNARY_EXP, BNF_UNARY_SIGMOID, BNF_UNARY_TANH};
    const double ulps[] = {1.05, 2.5, 2.6};
    for (int i = 0; i < N; i++)
        x[i] = (float)((i - N / 2) * 1e-3);
    for (int k = 0; k < 3; k++) {
        const bnf_unary_attr a = {.kind = kinds[k]};
        const bnf_op *op = bnf_op_find("unary");
        bnf_op_inst inst = {.op = op, .attr = &a, .n_in = 1, .n_out = 1, .in = {bnf_desc_1d(BNF_F32, N)}, .threads = 1};
        const bnf_kernel_plan plan = {.kernel = op->kernels};
        const bnf_run_ctx ctx = {0};
        assert_int_equal(op->infer(&inst), BNF_OK);
        plan.kernel->run(&inst, &plan, &ctx, (const void *[]){x}, (void *[]){y}, NULL);
        for (int i = 0; i < N; i++) {
            const double z = x[i], want = k == 0 ? exp(z) : k == 1 ? 1.0 / (1.0 + exp(-z)) : tanh(z);
            assert_close(y[i], want, want == 0.0 ? 0.0 : ulps[k] * ldexp(1.0, ilogb(want) - 23));
        }
    }
}

/* --- dropout ------------------------------------------------------------------------------------------------------ */

enum { SAMPLES = 8, PER_SAMPLE = 500 };

/* Which of the ones survive; mask[SAMPLES * PER_SAMPLE]. */
static void draw_mask(uint64_t seed, int64_t step, int64_t first_sample, uint32_t layer, float *mask)
{
    float ones[SAMPLES * PER_SAMPLE];
    for (int i = 0; i < SAMPLES * PER_SAMPLE; i++)
        ones[i] = 1.0f;
    bnf_immediate_locate(im, seed, step, first_sample);
    bnf_immediate_set_layer(im, layer);
    bnf_val y = bnf_dropout(b, value(2, (int64_t[]){SAMPLES, PER_SAMPLE}, ones), 0.25);
    memcpy(mask, bnf_immediate_data(im, y), sizeof ones);
}

/* Element e of a sample survives if word e % 4 of block e / 4 of that sample, layer and step says so. */
static void test_dropout_words(void **state)
{
    (void)state;
    static float mask[SAMPLES * PER_SAMPLE];
    b->training = true;
    draw_mask(7, 3, 100, 5, mask);
    const bnf_philox_key key = bnf_philox_key_layer(bnf_philox_key_make(7, BNF_STREAM_DROPOUT), 5);
    for (int i = 0; i < SAMPLES * PER_SAMPLE; i++) {
        const uint32_t e = (uint32_t)(i % PER_SAMPLE);
        const bnf_philox_block block = bnf_philox(key, bnf_philox_counter(3, 100 + (uint64_t)(i / PER_SAMPLE), e / 4));
        const bool keep = bnf_philox_unit_f32(block.v[e % 4]) >= 0.25f;
        assert_close(mask[i], keep ? 1.0 / 0.75 : 0.0, 1e-7);
    }
}

static void test_dropout(void **state)
{
    (void)state;
    enum { N = SAMPLES * PER_SAMPLE };
    float mask[N], other[N];
    bnf_val x = scalar(1.0f);
    assert_int_equal(bnf_dropout(b, x, 0.5).id, x.id); /* not training: nothing is emitted */
    b->training = true;
    draw_mask(7, 3, 100, 5, mask);
    int dropped = 0;
    for (int i = 0; i < N; i++)
        dropped += mask[i] == 0.0f;
    assert_in_range(dropped, N / 4 - 110, N / 4 + 110); /* 4 standard deviations of 4000 draws at 1/4 */
    draw_mask(7, 3, 100, 5, other);
    assert_memory_equal(mask, other, sizeof mask);
    /* The same samples in another leaf keep their masks. */
    draw_mask(7, 3, 104, 5, other);
    assert_memory_equal(mask + 4 * PER_SAMPLE, other, sizeof mask / 2);
    assert_memory_not_equal(mask, other, sizeof mask / 2);
    const uint64_t seeds[] = {8, 7, 7};
    const int64_t steps[] = {3, 4, 3};
    const uint32_t layers[] = {5, 5, 6};
    for (int i = 0; i < 3; i++) {
        draw_mask(seeds[i], steps[i], 100, layers[i], other);
        int equal = 0;
        for (int j = 0; j < N; j++)
            equal += mask[j] == other[j];
        assert_in_range(equal, N * 10 / 16 - 125, N * 10 / 16 + 125); /* independent: 3/4 3/4 + 1/4 1/4 */
    }
}

/* Noise of one sample of zeros. */
static void draw_noise(int64_t step, int64_t sample, uint32_t layer, float noise[5])
{
    bnf_immediate_locate(im, 7, step, sample);
    bnf_immediate_set_layer(im, layer);
    memcpy(noise, bnf_immediate_data(im, bnf_gumbel(b, value(2, (int64_t[]){1, 5}, (float[5]){0}))), 5 * sizeof(float));
}

/* Element e takes word e % 4 of block e / 4 of the sample and layer, in training of the step, too. */
static void test_gumbel(void **state)
{
    (void)state;
    float noise[5], other[5];
    const bnf_philox_key key = bnf_philox_key_layer(bnf_philox_key_make(7, BNF_STREAM_NOISE), 4);
    for (int training = 0; training < 2; training++) {
        b->training = training;
        draw_noise(3, 11, 4, noise);
        for (uint32_t e = 0; e < 5; e++) {
            const bnf_philox_block block = bnf_philox(key, bnf_philox_counter(training ? 3 : 0, 11, e / 4));
            assert_close(noise[e], -log(-log(((double)(block.v[e % 4] >> 8) + 0.5) * 0x1p-24)), 1e-6);
        }
        draw_noise(4, 11, 4, other);
        assert_int_equal(memcmp(noise, other, sizeof noise) == 0, !training);
        draw_noise(3, 12, 4, other);
        assert_memory_not_equal(noise, other, sizeof noise);
        draw_noise(3, 11, 5, other);
        assert_memory_not_equal(noise, other, sizeof noise);
    }
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

static void test_errors_stick(void **state)
{
    (void)state;
    bnf_val x = value(2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6});
    bnf_val wrong = bnf_relu(b, bnf_add(b, bnf_groupsort2(b, x), x)); /* 3 channels */
    assert_false(bnf_val_ok(wrong));
    assert_int_equal(bnf_immediate_status(im), BNF_ERR_ARG);
    assert_non_null(strstr(bnf_error_message(), "groupsort2"));
    assert_non_null(strstr(bnf_error_message(), "f32[2,3]"));
    assert_false(bnf_val_ok(bnf_flatten(b, wrong)));
    assert_false(bnf_val_ok(bnf_slice(b, wrong, 0, 1)));
    assert_false(bnf_val_ok(bnf_sum_last(b, wrong)));
    assert_false(bnf_val_ok(bnf_sum_all(b, wrong)));
    assert_false(bnf_val_ok(bnf_fullsort(b, wrong)));
    assert_non_null(strstr(bnf_error_message(), "groupsort2"));
    bnf_error_clear();
}

/* bf16 rows and an f32 vector: each result is rounded once, the vector's gradient is an f32 sum. */
static void test_bf16_and_vector(void **state)
{
    enum { ROWS = 301, COLS = 16 };
    static bnf_val (*const emit[4])(bnf_builder *, bnf_val, bnf_val) = {bnf_add, bnf_sub, bnf_mul, bnf_div};
    static uint16_t x[ROWS * COLS], ones[ROWS * COLS];
    float v[COLS];
    (void)state;
    for (int i = 0; i < ROWS * COLS; i++) {
        x[i] = bnf_bf16_of(sinf((float)i));
        ones[i] = bnf_bf16_of(1);
    }
    for (int i = 0; i < COLS; i++)
        v[i] = 1.5f + cosf((float)i);
    bnf_desc rows = bnf_desc_2d(BNF_BF16, ROWS, COLS);
    bnf_val a = bnf_immediate_value(im, &rows, x, true), w = value(1, (int64_t[]){COLS}, v);
    for (int k = 0; k < 4; k++) {
        bnf_val y = emit[k](b, a, w);
        assert_true(bnf_val_ok(y) && bnf_desc_equal(bnf_val_desc(b, y), &rows));
        const uint16_t *got = bnf_immediate_data(im, y);
        for (int i = 0; i < ROWS * COLS; i++) {
            float p = bnf_bf16_wide(x[i]), q = v[i % COLS];
            assert_int_equal(got[i], bnf_bf16_of(k == 0 ? p + q : k == 1 ? p - q : k == 2 ? p * q : p / q));
        }
    }
    bnf_val y = bnf_add(b, a, w), dy = bnf_immediate_value(im, &rows, ones, false), in[2] = {a, w}, din[2];
    const bnf_op_inst *inst = bnf_immediate_inst(im, y);
    inst->op->vjp(b, inst, in, &y, &dy, din);
    assert_int_equal(bnf_val_desc(b, din[0])->dtype, BNF_BF16);
    assert_shape(din[1], 1, (int64_t[]){COLS});
    assert_true(first(din[1]) == ROWS); /* bf16 has no 301 */
    assert_false(bnf_val_ok(bnf_add(b, w, a)));
    assert_non_null(strstr(bnf_error_message(), "one real type"));
    bnf_error_clear();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_unary),         CASE(test_extremes),        CASE(test_binary),        CASE(test_nan),
        CASE(test_shapes),        CASE(test_images),          CASE(test_same_padding),  CASE(test_labels),
        CASE(test_batch),         CASE(test_normalize),       CASE(test_dropout),       CASE(test_gumbel),
        CASE(test_stop_gradient), CASE(test_errors_stick),    CASE(test_dropout_words), CASE(test_simd_extremes),
        CASE(test_simd_accuracy), CASE(test_bf16_and_vector),
    };
    return cmocka_run_group_tests_name("emit functions", tests, NULL, NULL);
}
