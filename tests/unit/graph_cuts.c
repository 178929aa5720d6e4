/* Cuts: further segment ends in the backward pass. Upper layers' gradients come earlier, every bit stays, activations
 * are kept; the plan tells when a group is final; sums in bfloat16 against additions done here. */
#include "graph_nets.h"

#include "base/mem.h"
#include "graph/plan.h"

static void copy_gradients(fixture *f, float **grads)
{
    for (int i = 0; i < bnf_params_count(f->params); i++) {
        const bnf_param_info *info = bnf_params_info(f->params, i);
        size_t bytes = bnf_desc_bytes(&info->desc);
        const void *g = info->trainable ? fixture_gradient(f, i) : NULL;
        assert_true(g || !info->trainable);
        grads[i] = g ? memcpy(malloc(bytes), g, bytes) : NULL;
    }
}

static void free_gradients(fixture *f, float **grads)
{
    for (int i = 0; i < bnf_params_count(f->params); i++)
        free(grads[i]);
}

static void test_bits(void **unused)
{
    (void)unused;
    for (int net = 0; net < NETS; net++) {
        fixture f;
        float *want[64];
        bnf_plan_config plain = {.threads = 1, .seed = 3};
        nets_open(&f, net, BNF_F32, 2, 6, &plain);
        double loss = fixture_run(&f);
        copy_gradients(&f, want);
        for (int k = 0; k < 12; k++) {
            fixture g;
            bnf_plan_config cfg = {.threads = 1 + k % 2, .seed = 3, .cuts = 1 + k % 4, .eager = k >= 8};
            nets_open(&g, net, BNF_F32, 2, 6, &cfg);
            assert_true(fixture_run(&g) == loss);
            for (int i = 0; i < bnf_params_count(g.params); i++)
                if (want[i] &&
                    memcmp(want[i], fixture_gradient(&g, i), bnf_desc_bytes(&bnf_params_info(g.params, i)->desc)) != 0)
                    fail_msg("%s, %d cuts: gradient of '%s' differs", nets[net].name, cfg.cuts,
                             bnf_params_info(g.params, i)->name);
            fixture_close(&g);
        }
        free_gradients(&f, want);
        fixture_close(&f);
    }
}

/* conv1 ... conv5 with relu, dense, head. */
static bnf_val build_deep(fixture *f)
{
    bnf_val y = f->x;
    for (int i = 1; i <= 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "conv%d", i);
        y = bnf_relu(f->scope.b, nets_conv(f, name, y, 8 * i));
    }
    return nets_cross_entropy(f, nets_dense(f, "dense", bnf_global_avg(f->scope.b, y, 1), 32));
}

static int group_of(const bnf_plan *p, int param)
{
    int found = -1;
    for (int g = 0; g < bnf_plan_grad_groups(p); g++)
        for (int i = 0; i < bnf_plan_grad_layout(p, g)->n_params; i++)
            if (bnf_plan_grad_layout(p, g)->params[i] == param) {
                assert_int_equal(found, -1);
                found = g;
            }
    return found;
}

static void test_upper_layers_first(void **unused)
{
    (void)unused;
    bnf_desc sample = nets_sample();
    size_t kept[4] = {0};
    for (int cuts = 0; cuts < 4; cuts++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 1, .cuts = cuts};
        fixture_open(&f, BNF_F32, 8, 4, &sample, NETS_CLASSES, build_deep, &cfg);
        assert_int_equal(bnf_plan_segments(f.plan), cuts ? 2 + cuts : 1); /* one in the forward pass, too */
        int before = 0;
        for (int i = 1; i <= 5; i++) { /* layers are read in order; the last ones may arrive late */
            char name[32];
            snprintf(name, sizeof name, "conv%d.weight", i);
            int at = bnf_plan_first_read(f.plan, bnf_params_find(f.params, name));
            assert_true(at >= before && at <= (cuts > 0));
            before = at;
        }
        assert_int_equal(bnf_plan_first_read(f.plan, bnf_params_find(f.params, "conv1.weight")), 0);
        assert_int_equal(bnf_plan_first_read(f.plan, bnf_params_find(f.params, "head.weight")), cuts > 0);
        assert_int_equal(bnf_plan_grad_groups(f.plan), 1 + cuts);
        assert_int_equal(group_of(f.plan, bnf_params_find(f.params, "head.weight")), 0);
        assert_int_equal(group_of(f.plan, bnf_params_find(f.params, "conv1.weight")), cuts);
        int last = cuts;
        for (int i = 1; i <= 5; i++) { /* never later than a layer below */
            char name[32];
            snprintf(name, sizeof name, "conv%d.weight", i);
            int g = group_of(f.plan, bnf_params_find(f.params, name));
            assert_true(g >= 0 && g <= last);
            last = g;
        }
        bnf_plan_memory m;
        bnf_plan_get_memory(f.plan, &m);
        kept[cuts] = m.leaf_bytes;
        if (cuts == 1) { /* both sides have something: neither all bytes nor none */
            double first = (double)bnf_plan_grad_layout(f.plan, 0)->n,
                   rest = (double)bnf_plan_grad_layout(f.plan, 1)->n;
            assert_true(first > 0.2 * (first + rest) && rest > 0.01 * (first + rest));
        }
        fixture_close(&f);
    }
    assert_int_equal(kept[0], 0); /* nothing lives across segments without a cut, and the more the more cuts */
    assert_true(kept[1] > 0 && kept[2] >= kept[1] && kept[3] >= kept[2]);
}

/* Asking for more than there are gradients gives what there is; a graph without gradients is not cut. */
static void test_no_more_than_makes_sense(void **unused)
{
    (void)unused;
    fixture f;
    bnf_plan *forward;
    bnf_plan_config cfg = {.threads = 1, .cuts = 64};
    nets_open(&f, 0, BNF_F32, 2, 4, &cfg);
    assert_true(bnf_plan_segments(f.plan) > 1 && bnf_plan_segments(f.plan) <= bnf_params_count(f.params) + 1);
    bnf_graph *g;
    OK(bnf_graph_create(f.params, 4, false, &g));
    bnf_desc d = bnf_desc_1d(BNF_F32, 2);
    bnf_val y = bnf_relu(bnf_graph_builder(g), bnf_graph_input(g, "x", &d));
    OK(bnf_plan_create(&cfg, g, &y, 1, &forward));
    assert_int_equal(bnf_plan_segments(forward), 1);
    bnf_plan_destroy(forward);
    bnf_graph_destroy(g);
    fixture_close(&f);
}

/* --- hooks -------------------------------------------------------------------------------------------------------- */

typedef struct witness {
    bnf_plan *plan;
    int groups, segments, polls, silences, polls_at[8];
    bool silent;
    float first[8]; /* of every group when it was announced */
    bnf_status fail;
} witness;

static bnf_status on_ready(void *self, int g)
{
    witness *w = self;
    assert_int_equal(g, w->groups);
    assert_false(w->silent);
    w->first[g] = ((const float *)bnf_plan_grad_layout(w->plan, g)->partial[0])[0];
    w->polls_at[w->groups++] = w->polls;
    return w->fail;
}

static bnf_status on_need(void *self, int segment)
{
    witness *w = self;
    assert_int_equal(segment, w->segments++);
    assert_false(w->silent);
    return BNF_OK;
}

static void on_poll(void *self)
{
    witness *w = self;
    assert_false(w->silent);
    w->polls++;
}

static void on_silence(void *self, bool begin)
{
    witness *w = self;
    assert_true(begin != w->silent);
    w->silent = begin;
    w->silences += begin;
}

static void test_hooks(void **unused)
{
    (void)unused;
    bnf_desc sample = nets_sample();
    fixture f;
    bnf_plan_config cfg = {.threads = 2, .cuts = 2};
    fixture_open(&f, BNF_F32, 8, 4, &sample, NETS_CLASSES, build_deep, &cfg);
    witness w = {.plan = f.plan, .silent = true};
    bnf_plan_hooks hooks = {&w, on_ready, on_need, on_poll, on_silence};
    bnf_plan_set_hooks(f.plan, &hooks);
    fixture_run(&f);
    assert_int_equal(w.groups, 3);
    assert_true(w.silent && w.silences == 1);
    assert_int_equal(w.segments, bnf_plan_segments(f.plan) + 1);
    assert_true(0 < w.polls_at[0] && w.polls_at[0] < w.polls_at[1] && w.polls_at[1] < w.polls_at[2]);
    for (int g = 0; g < 3; g++) /* final: the same after the run */
        assert_true(w.first[g] == ((const float *)bnf_plan_grad_group(f.plan, g)->partial[0])[0]);
    w.groups = w.segments = 0;
    w.fail = BNF_ERR_COMM;
    assert_int_equal(bnf_plan_run(f.plan, 1), BNF_ERR_COMM);
    assert_true(w.groups == 1 && w.silent);
    bnf_plan_set_hooks(f.plan, NULL);
    fixture_run(&f);
    assert_int_equal(w.groups, 1);
    fixture_close(&f);
}

/* --- bfloat16 ----------------------------------------------------------------------------------------------------- */

static float rounded(float x) /* to the nearest of 8 significant bits, ties to even */
{
    int e;
    double m = frexp((double)x, &e);
    return (float)ldexp(nearbyint(ldexp(m, 8)), e - 8);
}

static float tree(const float *leaf, int64_t stride, int lo, int hi)
{
    if (hi - lo == 1)
        return leaf[lo * stride];
    int mid = bnf_tree_split(lo, hi);
    return rounded(tree(leaf, stride, lo, mid)) + rounded(tree(leaf, stride, mid, hi));
}

/* A leaf's own gradient is that of a batch in which only its samples have weight: adding zeros is exact. */
static void test_sums_in_bf16(void **unused)
{
    (void)unused;
    enum { LEAVES = 5, PER_LEAF = 2 };
    for (int threads = 1; threads <= 2; threads++) {
        fixture f, h;
        bnf_plan_config exact = {.threads = 1}, cfg = {.threads = threads, .bf16_sums = true, .cuts = threads};
        nets_open(&f, 0, BNF_F32, PER_LEAF, LEAVES, &exact);
        nets_open(&h, 0, BNF_F32, PER_LEAF, LEAVES, &cfg);
        fixture_run(&h);
        for (int i = 0; i < bnf_params_count(f.params); i++) {
            int64_t n = bnf_desc_count(&bnf_params_info(f.params, i)->desc), different = 0;
            float *leaf = malloc((size_t)(LEAVES * n) * sizeof *leaf);
            for (int k = 0; k < LEAVES; k++) {
                for (int s = 0; s < LEAVES * PER_LEAF; s++)
                    ((float *)f.weight_data)[s] = s / PER_LEAF == k ? 1 : 0;
                fixture_run(&f);
                memcpy(leaf + k * n, fixture_gradient(&f, i), (size_t)n * sizeof *leaf);
            }
            const float *got = fixture_gradient(&h, i);
            for (int64_t e = 0; e < n; e++) {
                float sum = tree(leaf + e, n, 0, LEAVES), full = 0;
                for (int k = 0; k < LEAVES; k++)
                    full += leaf[k * n + e];
                if (got[e] != sum)
                    fail_msg("%s[%lld]: %.9g, not %.9g", bnf_params_info(f.params, i)->name, (long long)e,
                             (double)got[e], (double)sum);
                different += full != sum;
            }
            assert_true(different > 0);
            free(leaf);
        }
        fixture_close(&f);
        fixture_close(&h);
    }
}

static void test_balance(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_upper_layers_first),
        cmocka_unit_test(test_no_more_than_makes_sense),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_sums_in_bf16),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
