/* unit/graph_recompute.c - computing activations again and joining operations: the same bits, less memory. */
#include "graph_nets.h"

#include "base/mem.h"
#include "graph/plan.h"

static bool joined;

/* Two residual blocks with a projection, marked; dropout, so that copies must draw the same numbers. */
static bnf_val build(fixture *f)
{
    bnf_builder *b = f->scope.b;
    if (!joined)
        b->producer = NULL;
    bnf_val y = bnf_relu(b, nets_norm(f, "norm0", nets_bare_conv(f, "conv0", f->x, 8), false));
    for (int i = 0; i < 2; i++) {
        char name[6][32];
        for (int k = 0; k < 3; k++) {
            snprintf(name[k], sizeof name[k], "conv%d%d", i, k);
            snprintf(name[3 + k], sizeof name[k], "norm%d%d", i, k);
        }
        bnf_graph_mark(f->graph, y);
        bnf_val x = y;
        y = bnf_relu(b, nets_norm(f, name[3], nets_bare_conv(f, name[0], y, 8), false));
        y = bnf_dropout(b, y, 0.25);
        y = bnf_groupsort2(b, nets_conv(f, name[1], y, 8));
        y = nets_norm(f, name[4], y, i == 1);
        if (i == 0)
            x = nets_norm(f, name[5], nets_bare_conv(f, name[2], x, 8), false);
        y = bnf_relu(b, bnf_nn_residual(&f->scope, x, y, false));
    }
    bnf_graph_mark(f->graph, y);
    return nets_cross_entropy(f, bnf_global_avg(b, y, 1));
}

typedef struct outcome {
    double loss;
    float *grads;
    int64_t n;
    size_t leaf_bytes;
    int nodes;
} outcome;

static outcome run(bnf_dtype real, const bnf_plan_config *cfg)
{
    fixture f;
    bnf_desc sample = nets_sample();
    outcome o = {0};
    bnf_plan_memory m;
    fixture_open(&f, real, 8, 4, &sample, NETS_CLASSES, build, cfg);
    o.loss = fixture_run(&f);
    bnf_plan_get_memory(f.plan, &m);
    o.leaf_bytes = m.leaf_bytes;
    o.nodes = f.plan->n_nodes;
    o.n = bnf_params_elements(f.params, true);
    o.grads = calloc((size_t)o.n, sizeof *o.grads);
    assert_non_null(o.grads);
    int64_t at = 0;
    for (int i = 0; i < bnf_params_count(f.params); i++) {
        const float *g = fixture_gradient(&f, i);
        int64_t n = bnf_desc_count(&bnf_params_info(f.params, i)->desc);
        if (!bnf_params_info(f.params, i)->trainable)
            continue;
        assert_non_null(g);
        memcpy(o.grads + at, g, (size_t)n * sizeof *g);
        at += n;
    }
    assert_int_equal(at, o.n);
    fixture_close(&f);
    return o;
}

static void same_bits(const outcome *a, const outcome *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(&a->loss, &b->loss, sizeof a->loss);
    assert_memory_equal(a->grads, b->grads, (size_t)a->n * sizeof *a->grads);
}

static void test_recompute(void **unused)
{
    (void)unused;
    joined = true;
    bnf_plan_config cfg = {.threads = 2, .seed = 3};
    outcome never = run(BNF_F32, &cfg);
    cfg.recompute = BNF_RECOMPUTE_ELEMENTWISE;
    outcome elementwise = run(BNF_F32, &cfg);
    cfg.recompute = BNF_RECOMPUTE_BLOCKS;
    outcome blocks = run(BNF_F32, &cfg);
    same_bits(&never, &elementwise);
    same_bits(&never, &blocks);
    assert_true(elementwise.nodes > never.nodes);
    assert_true(blocks.nodes > elementwise.nodes);
    assert_true(elementwise.leaf_bytes < never.leaf_bytes);
    assert_true(blocks.leaf_bytes < elementwise.leaf_bytes);
    cfg.recompute_blocks = 1;
    outcome first = run(BNF_F32, &cfg);
    same_bits(&never, &first);
    assert_true(first.nodes > elementwise.nodes && first.nodes < blocks.nodes);
    cfg.recompute_blocks = 0;
    cfg.cuts = 2; /* cuts come after */
    outcome cut = run(BNF_F32, &cfg);
    same_bits(&never, &cut);
    free(never.grads), free(elementwise.grads), free(blocks.grads), free(first.grads), free(cut.grads);
}

static void test_joined(void **unused)
{
    (void)unused;
    bnf_plan_config cfg = {.threads = 1, .seed = 3};
    joined = false;
    outcome apart = run(BNF_F32, &cfg);
    joined = true;
    outcome together = run(BNF_F32, &cfg);
    same_bits(&apart, &together);
    assert_true(together.leaf_bytes <= apart.leaf_bytes);
    free(apart.grads), free(together.grads);
}

static void test_gradients(void **unused)
{
    (void)unused;
    bnf_desc sample = nets_sample();
    joined = true;
    for (int mode = 0; mode < 3; mode++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 2, .seed = 3, .recompute = (bnf_recompute)mode};
        fixture_open(&f, BNF_F64, 8, 4, &sample, NETS_CLASSES, build, &cfg);
        f.differences = 2;
        fixture_check_gradients(&f, 1e-6);
        fixture_close(&f);
    }
}

static void test_balance(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recompute), cmocka_unit_test(test_joined),
                                       cmocka_unit_test(test_gradients), cmocka_unit_test(test_balance)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
