/* What bf16 uses of the linear operations are: f32 weights that count rounded, f32 gradients; and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bf16.h"
#include "base/mem.h"
#include "ops/conv2d.h"
#include "ops/dense.h"
#include "ops/wide.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIZE = 32 };

static float w[SIZE * SIZE];
static uint16_t unit[SIZE * SIZE]; /* the unit matrix: y = w', dx = w, dw = dy' */

static void fill(void)
{
    for (int i = 0; i < SIZE * SIZE; i++) {
        w[i] = sinf((float)i);
        unit[i] = bnf_bf16_of(i / SIZE == i % SIZE ? 1 : 0);
    }
}

/* Runs `kernel`; with packed parameters where it wants them. Returns whether it takes the use. */
static bool run(const bnf_op_inst *inst, const bnf_kernel *kernel, const void *const *in, void *const *out)
{
    bnf_kernel_plan k = {.kernel = kernel};
    bnf_run_ctx ctx = {0};
    void *packed[2] = {NULL, NULL}, *scratch;
    if (kernel->create(inst, &k) != BNF_OK) {
        bnf_error_clear();
        return false;
    }
    const void *src[3] = {in[0], in[1], in[2]};
    void *dst[2] = {out[0], out[1]};
    if (k.in_pack[1]) {
        assert_int_equal(bnf_calloc(1, k.in_pack[1]->bytes, "packed", &packed[0]), BNF_OK);
        k.in_pack[1]->pack(k.in_pack[1], in[1], packed[0]);
        src[1] = packed[0];
    }
    if (k.out_pack[0]) {
        assert_int_equal(bnf_calloc(1, k.out_pack[0]->bytes, "packed", &packed[1]), BNF_OK);
        dst[0] = packed[1];
    }
    assert_int_equal(bnf_calloc(1, k.scratch_bytes + 1, "scratch", &scratch), BNF_OK);
    kernel->run(inst, &k, &ctx, src, dst, scratch);
    if (k.out_pack[0])
        k.out_pack[0]->unpack(k.out_pack[0], packed[1], out[0]);
    bnf_free(scratch);
    bnf_free(packed[0]);
    bnf_free(packed[1]);
    kernel->destroy(&k);
    return true;
}

/* Every kernel of a use: the operation's bf16 ones and the two by conversion. */
static const bnf_kernel *kernel_number(const bnf_op *op, int i)
{
    for (const bnf_kernel *k = op->bf16_kernels; k && k->name; k++)
        if (i-- == 0)
            return k;
    return i == 0 ? bnf_wide_kernels : i == 1 ? bnf_wide_ref_kernels : NULL;
}

static void check_use(const bnf_op *op, const void *attr, const bnf_desc *x, const bnf_desc *y, bool transposed)
{
    bnf_op_inst inst = {.op = op, .attr = attr, .n_in = 2, .n_out = op->n_out, .in = {*x, *y}, .threads = 1};
    uint16_t out[SIZE * SIZE];
    assert_int_equal(op->infer(&inst), BNF_OK);
    assert_int_equal(inst.out[0].dtype, BNF_BF16);
    for (int i = 0; kernel_number(op, i); i++)
        for (int param = 0; param < 2; param++) {
            inst.in_is_param[1] = param;
            memset(out, 0xFF, sizeof out);
            if (!run(&inst, kernel_number(op, i), (const void *[]){unit, w, NULL}, (void *[]){out, NULL}))
                continue;
            for (int r = 0; r < SIZE; r++)
                for (int c = 0; c < SIZE; c++)
                    assert_int_equal(out[r * SIZE + c], bnf_bf16_of(w[transposed ? c * SIZE + r : r * SIZE + c]));
        }
}

static const bnf_conv2d_attr conv = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
static const bnf_conv2d_bwd_attr conv_bwd = {
    .conv = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1}, .image = {1, SIZE}, .kernel = {1, 1}, .has_bias = 1};

static void test_weights_round(void **unused)
{
    (void)unused;
    fill();
    bnf_desc matrix = bnf_desc_2d(BNF_BF16, SIZE, SIZE), weight = bnf_desc_2d(BNF_F32, SIZE, SIZE);
    bnf_desc image = bnf_desc_4d(BNF_BF16, 1, 1, SIZE, SIZE), kernel = bnf_desc_4d(BNF_F32, SIZE, SIZE, 1, 1);
    check_use(&bnf_op_dense, NULL, &matrix, &weight, true);
    check_use(&bnf_op_dense_bwd_data, NULL, &matrix, &weight, false);
    check_use(&bnf_op_conv2d, &conv, &image, &kernel, true);
    check_use(&bnf_op_conv2d_bwd_data, &conv_bwd, &image, &kernel, false);
}

/* dw = x' dy and the sums of dy keep what bf16 would lose: sums of 1 and 2^-12. */
static void test_gradients_are_f32(void **unused)
{
    (void)unused;
    uint16_t ones[2 * SIZE], dy[2 * SIZE];
    float dw[SIZE * SIZE], dbias[SIZE];
    const bnf_desc rows = bnf_desc_2d(BNF_BF16, 2, SIZE), image = bnf_desc_4d(BNF_BF16, 1, 1, 2, SIZE);
    const bnf_dense_bwd_attr bias = {.has_bias = 1};
    bnf_conv2d_bwd_attr conv_attr = conv_bwd;
    conv_attr.image[1] = 2;
    for (int i = 0; i < 2 * SIZE; i++) {
        ones[i] = bnf_bf16_of(1);
        dy[i] = bnf_bf16_of(i < SIZE ? 1 : 0x1p-12f);
    }
    for (int which = 0; which < 2; which++) {
        const bnf_op *op = which ? &bnf_op_conv2d_bwd_weights : &bnf_op_dense_bwd_weights;
        const bnf_desc *d = which ? &image : &rows;
        bnf_op_inst inst = {.op = op,
                            .attr = which ? (const void *)&conv_attr : &bias,
                            .n_in = 2,
                            .n_out = 2,
                            .in = {*d, *d},
                            .threads = 1};
        assert_int_equal(op->infer(&inst), BNF_OK);
        assert_int_equal(inst.out[0].dtype, BNF_F32);
        assert_int_equal(inst.out[1].dtype, BNF_F32);
        for (int i = 0; kernel_number(op, i); i++)
            for (int pack = 0; pack < 2; pack++) {
                inst.out_may_pack[0] = pack;
                if (!run(&inst, kernel_number(op, i), (const void *[]){ones, dy, NULL}, (void *[]){dw, dbias}))
                    continue;
                for (int k = 0; k < SIZE * SIZE; k++)
                    assert_true(dw[k] == 1 + 0x1p-12f);
                for (int k = 0; k < SIZE; k++)
                    assert_true(dbias[k] == 1 + 0x1p-12f);
            }
    }
}

static void refused(const bnf_op *op, const void *attr, bnf_desc a, bnf_desc b, const char *why)
{
    bnf_op_inst inst = {.op = op, .attr = attr, .n_in = b.ndim ? 2 : 1, .n_out = op->n_out, .in = {a, b}};
    assert_int_equal(op->infer(&inst), BNF_ERR_ARG);
    if (!strstr(bnf_error_message(), why))
        fail_msg("'%s' does not say '%s'", bnf_error_message(), why);
    bnf_error_clear();
}

static void test_mixtures(void **unused)
{
    (void)unused;
    extern const bnf_op bnf_op_batch_sum, bnf_op_binary;
    const bnf_desc half = bnf_desc_2d(BNF_BF16, 4, 4), full = bnf_desc_2d(BNF_F32, 4, 4);
    const int64_t add[1] = {0};
    refused(&bnf_op_dense, NULL, half, half, "input 1 must be f32 beside bf16");
    refused(&bnf_op_dense, NULL, full, half, "one real type");
    refused(&bnf_op_dense_bwd_weights, &(bnf_dense_bwd_attr){0}, half, full, "one real type");
    refused(&bnf_op_binary, add, full, half, "one real type");
    refused(&bnf_op_binary, add, bnf_desc_2d(BNF_BF16, 1, 4), full, "must be the second");
    refused(&bnf_op_batch_sum, NULL, half, (bnf_desc){0}, "cast before");
}

/* An op without bf16 kernels gets one by conversion; the choice names it. */
static void test_choice(void **unused)
{
    (void)unused;
    extern const bnf_op bnf_op_softmax;
    bnf_op_inst inst = {
        .op = &bnf_op_softmax, .n_in = 1, .n_out = 1, .in = {bnf_desc_2d(BNF_BF16, 4, 4)}, .threads = 1};
    bnf_kernel_plan k;
    assert_int_equal(inst.op->infer(&inst), BNF_OK);
    for (int reference = 0; reference < 2; reference++) {
        assert_int_equal(bnf_op_choose(&inst, reference, &k), BNF_OK);
        assert_string_equal(k.kernel->name, reference ? "wide ref" : "wide");
        k.kernel->destroy(&k);
    }
}

/* A packed weight is a function of the weight, padding included: nothing stays of what the buffer held before. */
static void packs_all(const bnf_op_inst *inst)
{
    bnf_kernel_plan k = {.kernel = inst->op->bf16_kernels};
    if (k.kernel->create(inst, &k) != BNF_OK) {
        bnf_error_clear();
        return;
    }
    if (k.in_pack[1]) {
        const bnf_pack *p = k.in_pack[1];
        unsigned char *a, *b;
        float *plain;
        assert_int_equal(bnf_alloc(p->bytes, "packed", &a), BNF_OK);
        assert_int_equal(bnf_alloc(p->bytes, "packed", &b), BNF_OK);
        assert_int_equal(bnf_alloc(bnf_desc_bytes(&inst->in[1]), "plain", &plain), BNF_OK);
        for (int64_t i = 0; i < bnf_desc_count(&inst->in[1]); i++)
            plain[i] = sinf((float)i);
        memset(a, 0xFF, p->bytes);
        memset(b, 0, p->bytes);
        p->pack(p, plain, a);
        p->pack(p, plain, b);
        char shape[96];
        if (memcmp(a, b, p->bytes) != 0)
            fail_msg("%s, %s: not all bytes are packed", inst->op->name,
                     bnf_desc_format(&inst->in[1], shape, sizeof shape));
        bnf_free(a);
        bnf_free(b);
        bnf_free(plain);
    }
    k.kernel->destroy(&k);
}

static void test_padding(void **unused)
{
    (void)unused;
    static const int64_t channels[] = {1, 3, 8, 12, 16, 24, 32, 40};
    for (int i = 0; i < 8; i++)
        for (int o = 0; o < 8; o++)
            for (int kernel = 1; kernel <= 3; kernel += 2)
                for (int stride = 1; stride <= 2; stride++) {
                    bnf_conv2d_attr a = {.stride = {stride, stride}, .dilation = {1, 1}, .groups = 1};
                    bnf_op_inst inst = {.op = &bnf_op_conv2d,
                                        .attr = &a,
                                        .n_in = 2,
                                        .n_out = 1,
                                        .in = {bnf_desc_4d(BNF_BF16, 2, 5, 5, channels[i]),
                                               bnf_desc_4d(BNF_F32, channels[o], channels[i], kernel, kernel)},
                                        .in_is_param = {false, true},
                                        .threads = 1};
                    assert_int_equal(inst.op->infer(&inst), BNF_OK);
                    packs_all(&inst);
                    bnf_conv2d_bwd_attr ba = {.conv = a, .image = {5, 5}, .kernel = {kernel, kernel}};
                    bnf_op_inst back = {.op = &bnf_op_conv2d_bwd_data,
                                        .attr = &ba,
                                        .n_in = 2,
                                        .n_out = 1,
                                        .in = {inst.out[0], inst.in[1]},
                                        .in_is_param = {false, true},
                                        .threads = 1};
                    assert_int_equal(back.op->infer(&back), BNF_OK);
                    packs_all(&back);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_round), cmocka_unit_test(test_gradients_are_f32), cmocka_unit_test(test_mixtures),
        cmocka_unit_test(test_choice),        cmocka_unit_test(test_padding),
    };
    return cmocka_run_group_tests_name("bf16", tests, NULL, NULL);
}
