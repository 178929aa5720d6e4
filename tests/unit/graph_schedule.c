/* Segments: how many a network takes, what runs in which, and that nothing runs before its inputs are there. */
#include "graph_nets.h"

#include "base/mem.h"
#include "graph/plan.h"

static int net_index(const char *name)
{
    for (int i = 0; i < NETS; i++)
        if (strcmp(nets[i].name, name) == 0)
            return i;
    fail_msg("there is no net '%s'", name);
    return -1;
}

static void open_named(fixture *f, const char *name)
{
    bnf_plan_config cfg = {.threads = 1};
    nets_open(f, net_index(name), BNF_F32, 2, 4, &cfg);
}

/* Lowest and highest segment of the nodes whose operation's name begins with `op`. */
static void segments_of(const bnf_plan *p, const char *op, int *lowest, int *highest)
{
    bnf_plan_node_stat stat;
    *lowest = 1000;
    *highest = -1;
    for (int i = 0; bnf_plan_node(p, i, &stat); i++) {
        if (strncmp(stat.op, op, strlen(op)) != 0 || stat.segment < 0)
            continue;
        *lowest = stat.segment < *lowest ? stat.segment : *lowest;
        *highest = stat.segment > *highest ? stat.segment : *highest;
    }
    assert_true(*highest >= 0);
}

static void test_one_segment_without_batch_values(void **unused)
{
    (void)unused;
    static const char *const names[] = {"plain", "concat", "dropout"};
    for (int i = 0; i < 3; i++) {
        fixture f;
        open_named(&f, names[i]);
        assert_int_equal(bnf_plan_segments(f.plan), 1);
        assert_int_equal(bnf_plan_grad_groups(f.plan), 1);
        fixture_close(&f);
    }
}

/* The class counts need labels only: the network waits for them and then runs forward and backward in one go. */
static void test_hkr_runs_in_one_go(void **unused)
{
    (void)unused;
    static const char *const linear[] = {"conv2d", "dense", "groupsort", "fullsort", "pool"};
    fixture f;
    int lo, hi;
    open_named(&f, "hkr");
    assert_int_equal(bnf_plan_segments(f.plan), 2);
    for (int i = 0; i < 5; i++) {
        segments_of(f.plan, linear[i], &lo, &hi);
        assert_true(lo == 1 && hi == 1);
    }
    assert_int_equal(f.plan->segments[0].n_sums, 2); /* both counts, in one message */
    assert_true(f.plan->leaf_bytes <= 3 * 64);       /* of what segment 0 made only one-hot labels live on */
    fixture_close(&f);
}

/* The soft form needs the mean of |f| before its loss: forward, then the rest. */
static void test_soft_hkr_takes_two(void **unused)
{
    (void)unused;
    fixture f;
    int lo, hi;
    open_named(&f, "hkr_soft");
    assert_int_equal(bnf_plan_segments(f.plan), 2);
    segments_of(f.plan, "conv2d_bwd", &lo, &hi);
    assert_true(lo == 1 && hi == 1);
    segments_of(f.plan, "dense_bwd", &lo, &hi);
    assert_true(lo == 1 && hi == 1);
    segments_of(f.plan, "conv2d", &lo, &hi);
    assert_int_equal(lo, 0);
    fixture_close(&f);
}

/* Batch normalisation: both moments in one sum going forward, both their gradients in one coming back. */
static int norms;
static bnf_val build_norms(fixture *f)
{
    bnf_val y = f->x;
    for (int i = 0; i < norms; i++) {
        char name[2][16];
        snprintf(name[0], sizeof name[0], "conv%d", i + 1);
        snprintf(name[1], sizeof name[1], "norm%d", i + 1);
        y = bnf_relu(f->scope.b, nets_norm(f, name[1], nets_bare_conv(f, name[0], y, 4), false));
    }
    return nets_cross_entropy(f, nets_conv(f, "last", y, 4));
}

static void test_batch_norm_segments(void **unused)
{
    (void)unused;
    bnf_desc sample = nets_sample();
    bnf_plan_config cfg = {.threads = 1};
    for (norms = 1; norms <= 3; norms++) {
        fixture f;
        fixture_open(&f, BNF_F32, 8, 4, &sample, NETS_CLASSES, build_norms, &cfg);
        assert_int_equal(bnf_plan_segments(f.plan), 1 + 2 * norms);
        /* Gradients are delivered as soon as they are final: those behind the last norm first, then layer by layer. */
        assert_int_equal(bnf_plan_grad_groups(f.plan), 1 + norms);
        for (int g = 0; g <= norms; g++) {
            const bnf_grad_group *group = bnf_plan_grad_group(f.plan, g);
            char name[32] = "last.weight";
            if (g > 0)
                snprintf(name, sizeof name, "conv%d.weight", norms + 1 - g);
            bool found = false;
            for (int i = 0; i < group->n_params; i++)
                found |= group->params[i] == bnf_params_find(f.params, name);
            assert_true(found);
        }
        fixture_close(&f);
    }
}

/* Every needed node reads only what was there when its turn came; nodes that nobody needs have no segment. */
static void check_order(const bnf_plan *p, const char *net)
{
    const bnf_graph *g = p->graph;
    int *done = calloc((size_t)g->n_nodes + 1, sizeof *done); /* 1: computed, 2: summed over the batch, too */
    assert_non_null(done);
    for (int s = 0; s <= p->n_segments; s++) {
        const bnf_segment *seg = &p->segments[s];
        for (int part = 0; part < 2; part++)
            for (int k = 0; k < (part ? seg->n_leaf : seg->n_batch); k++) {
                int n = part ? seg->leaf_nodes[k] : seg->batch_nodes[k];
                assert_int_equal(g->nodes[n].leaf, part == 1);
                for (int i = 0; i < g->nodes[n].n_in; i++) {
                    const bnf_value *v = &g->values[g->nodes[n].in[i].id];
                    if (v->kind != BNF_V_RESULT)
                        continue;
                    int need = g->nodes[v->node].op->flags & BNF_OP_BATCH_SUM ? 2 : 1;
                    if (done[v->node] < need)
                        fail_msg("%s: node %d (%s) runs before node %d (%s)", net, n, g->nodes[n].op->name, v->node,
                                 g->nodes[v->node].op->name);
                }
                done[n] = 1;
            }
        for (int i = 0; i < seg->n_sums; i++)
            done[g->values[seg->slots[i].result].node] = 2;
    }
    for (int n = 0; n < g->n_nodes; n++)
        assert_int_equal(done[n] > 0, p->node_segment[n] >= 0);
    free(done);
}

static void test_inputs_come_first(void **unused)
{
    (void)unused;
    for (int i = 0; i < NETS * 4; i++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 1, .cuts = i / NETS};
        nets_open(&f, i % NETS, BNF_F32, 2, 4, &cfg);
        check_order(f.plan, nets[i % NETS].name);
        fixture_close(&f);
    }
}

static void test_dead_nodes_do_not_run(void **unused)
{
    (void)unused;
    fixture f;
    bnf_plan_config cfg = {.threads = 1};
    bnf_plan *plan;
    bnf_plan_node_stat stat;
    nets_open(&f, net_index("plain"), BNF_F32, 2, 4, &cfg);
    bnf_val unused_value = bnf_fullsort(f.scope.b, f.x), wanted = bnf_softmax(f.scope.b, f.x);
    assert_true(bnf_val_ok(unused_value));
    OK(bnf_plan_create(&cfg, f.graph, &wanted, 1, &plan));
    int sorts = 0;
    for (int i = 0; bnf_plan_node(plan, i, &stat); i++) {
        if (strcmp(stat.op, "fullsort") == 0) {
            sorts++;
            assert_int_equal(stat.segment, -1);
        }
        if (strcmp(stat.op, "softmax") == 0)
            assert_int_equal(stat.segment, 0);
    }
    assert_int_equal(sorts, 1);
    bnf_plan_destroy(plan);
    fixture_close(&f);
}

static void test_balance(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_segment_without_batch_values),
        cmocka_unit_test(test_hkr_runs_in_one_go),
        cmocka_unit_test(test_soft_hkr_takes_two),
        cmocka_unit_test(test_batch_norm_segments),
        cmocka_unit_test(test_inputs_come_first),
        cmocka_unit_test(test_dead_nodes_do_not_run),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
