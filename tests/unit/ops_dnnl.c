/* oneDNN kernels: packed weights, several threads at once, failures at creation; the benchmark of one operation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ops/bench.h"
#include "ops/conv2d.h"
#include "ops/dense.h"

#include <omp.h>
#include <string.h>

/* 10 outputs: packed in blocks of 16 or more, so that a packed layout has padding. */
enum { N = 2, H = 6, W = 5, I = 7, O = 10, THREADS = 2, LEAVES = 8 };

static const bnf_conv2d_attr attr = {.stride = {1, 1}, .pad = {1, 1, 1, 1}, .dilation = {1, 1}, .groups = 1};
static const bnf_conv2d_bwd_attr bwd_attr = {
    .conv = {.stride = {1, 1}, .pad = {1, 1, 1, 1}, .dilation = {1, 1}, .groups = 1},
    .image = {H, W},
    .kernel = {3, 3},
    .has_bias = 1};

static float value(int64_t i)
{
    return (float)((i * 7919 + 13) % 2003) / 1001.0f - 1.0f;
}

static float *array(const bnf_desc *d, int64_t salt)
{
    float *p;
    assert_int_equal(bnf_alloc(bnf_desc_bytes(d), "array", &p), BNF_OK);
    for (int64_t i = 0; i < bnf_desc_count(d); i++)
        p[i] = value(i + salt);
    return p;
}

static bnf_op_inst conv_inst(const bnf_op *op, bool packed)
{
    bnf_desc x = bnf_desc_4d(BNF_F32, N, H, W, I), w = bnf_desc_4d(BNF_F32, O, I, 3, 3);
    bnf_desc y = bnf_desc_4d(BNF_F32, N, H, W, O);
    bnf_op_inst inst = {.op = op, .attr = &bwd_attr, .n_in = 2, .n_out = op->n_out, .threads = THREADS};
    inst.in[0] = op == &bnf_op_conv2d_bwd_data ? y : x;
    inst.in[1] = op == &bnf_op_conv2d_bwd_weights ? y : w;
    if (op == &bnf_op_conv2d)
        inst.attr = &attr;
    inst.in_is_param[1] = packed;
    inst.out_may_pack[0] = packed;
    assert_int_equal(op->infer(&inst), BNF_OK);
    return inst;
}

static bnf_kernel_plan dnnl_plan(const bnf_op_inst *inst)
{
    for (const bnf_kernel *k = inst->op->kernels; k->name; k++)
        if (strcmp(k->name, "dnnl") == 0) {
            bnf_kernel_plan plan = {.kernel = k};
            assert_int_equal(k->create(inst, &plan), BNF_OK);
            return plan;
        }
    fail_msg("%s has no kernel 'dnnl'", inst->op->name);
    return (bnf_kernel_plan){0};
}

static void check_round_trip(const bnf_pack *p)
{
    bnf_desc w = bnf_desc_4d(BNF_F32, O, I, 3, 3);
    float *plain = array(&w, 3), *back = array(&w, 4), *packed, *again;
    assert_int_equal(bnf_alloc(p->bytes, "packed", &packed), BNF_OK);
    assert_int_equal(bnf_alloc(p->bytes, "packed", &again), BNF_OK);
    memset(packed, 0xff, p->bytes); /* NaN: whatever is not written shows */
    p->pack(p, plain, packed);
    double sum = 0, sum_plain = 0;
    int64_t zeros = 0, elements = (int64_t)(p->bytes / sizeof(float));
    for (int64_t i = 0; i < elements; i++) {
        sum += (double)packed[i] * (double)packed[i];
        zeros += packed[i] == 0.0f;
    }
    for (int64_t i = 0; i < bnf_desc_count(&w); i++) {
        sum_plain += (double)plain[i] * (double)plain[i];
        zeros -= plain[i] == 0.0f;
    }
    assert_int_equal(zeros, elements - bnf_desc_count(&w)); /* padding is zero, and nothing else is lost */
    assert_true(sum - sum_plain < 1e-9 && sum_plain - sum < 1e-9);
    p->unpack(p, packed, back);
    assert_memory_equal(plain, back, bnf_desc_bytes(&w));
    p->pack(p, back, again);
    assert_memory_equal(packed, again, p->bytes);
    bnf_free(plain);
    bnf_free(back);
    bnf_free(packed);
    bnf_free(again);
}

static void test_packing_is_exact(void **state)
{
    (void)state;
    const bnf_op *ops[] = {&bnf_op_conv2d, &bnf_op_conv2d_bwd_data, &bnf_op_conv2d_bwd_weights};
    int packed = 0;
    for (int i = 0; i < 3; i++) {
        bnf_op_inst inst = conv_inst(ops[i], true), plain = conv_inst(ops[i], false);
        bnf_kernel_plan a = dnnl_plan(&inst), b = dnnl_plan(&inst), c = dnnl_plan(&plain);
        const bnf_pack *p = i < 2 ? a.in_pack[1] : a.out_pack[0], *q = i < 2 ? b.in_pack[1] : b.out_pack[0];
        assert_null(c.in_pack[1]);
        assert_null(c.out_pack[0]);
        assert_int_equal(!p, !q);
        if (p) {
            packed++;
            assert_true(p->key == q->key && p->bytes == q->bytes);
            check_round_trip(p);
        }
        a.kernel->destroy(&a);
        b.kernel->destroy(&b);
        c.kernel->destroy(&c);
    }
    if (packed == 0)
        skip(); /* this CPU's kernels work on plain weights */
}

/* Arrays of LEAVES leaves; the weight, input 1 of the first two operations, is common to all. */
typedef struct leaves {
    bnf_op_inst inst;
    bnf_kernel_plan plan;
    float *in[LEAVES][2], *out[LEAVES][2];
    size_t bytes[2];
} leaves;

static void leaves_init(leaves *l, const bnf_op *op)
{
    *l = (leaves){.inst = conv_inst(op, true)};
    l->plan = dnnl_plan(&l->inst);
    bool weights = op == &bnf_op_conv2d_bwd_weights;
    float *w = NULL;
    if (!weights) {
        const bnf_pack *p = l->plan.in_pack[1];
        w = array(&l->inst.in[1], 5);
        if (p) {
            float *packed;
            assert_int_equal(bnf_calloc(1, p->bytes, "packed", &packed), BNF_OK);
            p->pack(p, w, packed);
            bnf_free(w);
            w = packed;
        }
    }
    for (int o = 0; o < op->n_out; o++) {
        l->bytes[o] = bnf_desc_bytes(&l->inst.out[o]);
        if (l->plan.out_pack[o])
            l->bytes[o] = l->plan.out_pack[o]->bytes;
    }
    for (int i = 0; i < LEAVES; i++) {
        l->in[i][0] = array(&l->inst.in[0], 100 * i);
        l->in[i][1] = weights ? array(&l->inst.in[1], 77 * i) : w;
        for (int o = 0; o < op->n_out; o++)
            assert_int_equal(bnf_calloc(1, l->bytes[o], "output", &l->out[i][o]), BNF_OK);
    }
}

static void leaves_free(leaves *l)
{
    for (int i = 0; i < LEAVES; i++) {
        bnf_free(l->in[i][0]);
        if (l->in[i][1] != l->in[0][1])
            bnf_free(l->in[i][1]);
        bnf_free(l->out[i][0]);
        bnf_free(l->out[i][1]);
    }
    bnf_free(l->in[0][1]);
    l->plan.kernel->destroy(&l->plan);
}

static void leaf_run(leaves *l, int leaf, int thread, void *scratch)
{
    bnf_run_ctx ctx = {.thread = thread, .leaf = leaf};
    l->plan.kernel->run(&l->inst, &l->plan, &ctx, (const void *const *)l->in[leaf], (void *const *)l->out[leaf],
                        scratch);
}

/* Two threads take leaves in no fixed order, many times over, from one plan. */
static void run_concurrently(leaves *l, void *const scratch[THREADS])
{
#pragma omp parallel num_threads(THREADS)
    {
        int t = omp_get_thread_num();
        for (int round = 0; round < 20; round++) {
#pragma omp for schedule(dynamic, 1)
            for (int leaf = 0; leaf < LEAVES; leaf++)
                leaf_run(l, leaf, t, scratch[t]);
        }
    }
}

static void test_threads_give_serial_bits(void **state)
{
    (void)state;
    const bnf_op *ops[] = {&bnf_op_conv2d, &bnf_op_conv2d_bwd_data, &bnf_op_conv2d_bwd_weights};
    for (int i = 0; i < 3; i++) {
        leaves serial, threaded;
        void *scratch[THREADS];
        leaves_init(&serial, ops[i]);
        leaves_init(&threaded, ops[i]);
        for (int t = 0; t < THREADS; t++)
            assert_int_equal(bnf_alloc(serial.plan.scratch_bytes, "scratch", &scratch[t]), BNF_OK);
        for (int leaf = 0; leaf < LEAVES; leaf++)
            leaf_run(&serial, leaf, 0, scratch[0]);
        run_concurrently(&threaded, scratch);
        for (int leaf = 0; leaf < LEAVES; leaf++)
            for (int o = 0; o < ops[i]->n_out; o++)
                assert_memory_equal(serial.out[leaf][o], threaded.out[leaf][o], serial.bytes[o]);
        for (int t = 0; t < THREADS; t++)
            bnf_free(scratch[t]);
        leaves_free(&serial);
        leaves_free(&threaded);
    }
}

/* Whatever OpenMP is set to when a kernel is made and run: one thread, the same bits, and the setting stays. */
static void test_openmp_setting_does_not_matter(void **state)
{
    (void)state;
    int before = omp_get_max_threads();
    leaves one, four;
    void *scratch;
    omp_set_num_threads(1);
    leaves_init(&one, &bnf_op_conv2d_bwd_weights);
    assert_int_equal(bnf_alloc(one.plan.scratch_bytes, "scratch", &scratch), BNF_OK);
    leaf_run(&one, 0, 0, scratch);
    omp_set_num_threads(4);
    leaves_init(&four, &bnf_op_conv2d_bwd_weights);
    assert_int_equal(four.plan.scratch_bytes, one.plan.scratch_bytes);
    leaf_run(&four, 0, 0, scratch);
    assert_int_equal(omp_get_max_threads(), 4);
    omp_set_num_threads(before);
    assert_memory_equal(one.out[0][0], four.out[0][0], one.bytes[0]);
    assert_memory_equal(one.out[0][1], four.out[0][1], one.bytes[1]);
    bnf_free(scratch);
    leaves_free(&one);
    leaves_free(&four);
}

static void test_failed_allocations_leave_nothing(void **state)
{
    (void)state;
    bnf_op_inst inst = conv_inst(&bnf_op_conv2d, true);
    const bnf_kernel *k = inst.op->kernels;
    while (strcmp(k->name, "dnnl") != 0)
        k++;
    int64_t blocks = bnf_mem_live_blocks(), total = bnf_mem_total_allocations();
    bnf_kernel_plan plan = {.kernel = k};
    assert_int_equal(k->create(&inst, &plan), BNF_OK);
    int64_t allocations = bnf_mem_total_allocations() - total;
    k->destroy(&plan);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
    assert_true(allocations > 0);
    for (int64_t n = 1; n <= allocations; n++) {
        bnf_mem_fail_at(n);
        assert_int_equal(k->create(&inst, &plan), BNF_ERR_MEMORY);
        assert_int_equal(bnf_mem_live_blocks(), blocks);
        bnf_error_clear();
    }
    bnf_mem_fail_at(0);
}

static void test_bench(void **state)
{
    (void)state;
    int64_t blocks = bnf_mem_live_blocks();
    bnf_op_bench b = {.op = &bnf_op_dense,
                      .n_in = 2,
                      .in = {bnf_desc_2d(BNF_F32, 4, 32), bnf_desc_2d(BNF_F32, 16, 32)},
                      .packed = true,
                      .seconds = 1e-3};
    assert_int_equal(bnf_op_bench_run(&b), BNF_OK);
    assert_string_equal(b.used, b.op->kernels[0].name);
    assert_true(b.best > 0 && b.best < 1);
    assert_true(b.flops == 2.0 * 4 * 32 * 16);
    b.kernel = "ref";
    assert_int_equal(bnf_op_bench_run(&b), BNF_OK);
    assert_string_equal(b.used, "ref");
    b.kernel = "none such";
    assert_int_equal(bnf_op_bench_run(&b), BNF_ERR_UNSUPPORTED);
    assert_non_null(strstr(bnf_error_message(), "none such"));
    bnf_error_clear();
    b.in[1] = bnf_desc_2d(BNF_F32, 16, 31);
    assert_int_equal(bnf_op_bench_run(&b), BNF_ERR_ARG);
    bnf_error_clear();
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_is_exact),
        cmocka_unit_test(test_threads_give_serial_bits),
        cmocka_unit_test(test_openmp_setting_does_not_matter),
        cmocka_unit_test(test_failed_allocations_leave_nothing),
        cmocka_unit_test(test_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
