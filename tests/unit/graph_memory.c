/* Where a plan puts values: what is reused must never be seen. Every network runs in buffers full of NaN, and gives
 * the same bits as an eager plan, which shares nothing, for several leaves and threads; the places themselves are
 * checked pair by pair. */
#include "graph_nets.h"

#include "base/mem.h"
#include "graph/plan.h"

#include <malloc.h>

static bool sanitized(void)
{
    const char *s = getenv("BNF_SANITIZE");
    return s && *s;
}

/* All memory that a run must write before it reads: 0xff bytes are NaN in f32 and f64. */
static void poison(bnf_plan *p)
{
    for (int t = 0; t < p->cfg.threads; t++) {
        memset(p->thread_arena[t], 0xff, p->thread_bytes);
        memset(p->scratch[t], 0xff, p->scratch_bytes);
    }
    memset(p->leaf_arena, 0xff, p->leaf_bytes * (size_t)(p->leaf_hi - p->leaf_lo));
    for (int s = 0; s < p->n_segments; s++) {
        bnf_segment *seg = &p->segments[s];
        if (seg->elements == 0)
            continue;
        memset(seg->pool, 0xff, (size_t)seg->elements * bnf_plan_real(p) * (size_t)p->n_buffers);
        memset(seg->sum_root, 0xff, (size_t)seg->sum_elements * bnf_plan_real(p));
        if (seg->packed)
            memset(seg->plain, 0xff, (size_t)p->n_cover * (size_t)seg->group.n * bnf_plan_real(p));
    }
}

/* Everything that a run gives: kept values, gradients, states. */
typedef struct image {
    char *bytes;
    size_t size, capacity;
} image;

static void append(image *m, const void *data, size_t bytes)
{
    if (m->size + bytes > m->capacity) {
        m->capacity = 2 * (m->size + bytes);
        m->bytes = realloc(m->bytes, m->capacity);
        assert_non_null(m->bytes);
    }
    memcpy(m->bytes + m->size, data, bytes);
    m->size += bytes;
}

static image run(fixture *f, bnf_plan *plan, int64_t step)
{
    image m = {0};
    size_t real = bnf_dtype_size(bnf_params_real(f->params));
    OK(bnf_params_init(f->params, 7));
    OK(bnf_plan_run(plan, step));
    for (int i = 0; i < f->n_kept; i++) {
        bool leaf = bnf_val_is_leaf(f->graph, f->kept[i]);
        append(&m, bnf_plan_output(plan, f->kept[i]),
               bnf_desc_bytes(bnf_val_desc(f->scope.b, f->kept[i])) * (leaf ? (size_t)f->leaves : 1));
    }
    for (int i = 0; i < bnf_params_count(f->params); i++) {
        const bnf_param_info *info = bnf_params_info(f->params, i);
        const void *data = bnf_params_value(f->params, i);
        for (int g = 0; info->trainable && g < bnf_plan_grad_groups(plan); g++) {
            const bnf_grad_group *group = bnf_plan_grad_group(plan, g);
            assert_int_equal(group->n_partials, 1);
            for (int k = 0; k < group->n_params; k++)
                if (group->params[k] == i)
                    data = (const char *)group->partial[0] + (size_t)group->offset[k] * real;
        }
        assert_true(!info->trainable || data != bnf_params_value(f->params, i));
        append(&m, data, bnf_desc_bytes(&info->desc));
    }
    return m;
}

static void assert_same(const image *a, const image *b, const char *what, const fixture *f, const char *net)
{
    if (a->size != b->size || memcmp(a->bytes, b->bytes, a->size) != 0)
        fail_msg("%s: %s differs (%s, %lld leaves)", net, what, bnf_dtype_name(bnf_params_real(f->params)),
                 (long long)f->leaves);
}

static bool all_finite(const image *m, bnf_dtype real)
{
    size_t n = m->size / bnf_dtype_size(real);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(real == BNF_F32 ? (double)((const float *)m->bytes)[i] : ((const double *)m->bytes)[i]))
            return false;
    return true;
}

static void bind_all(const fixture *f, bnf_plan *plan)
{
    double count = (double)f->batch;
    float count32 = (float)f->batch;
    OK(bnf_plan_set(plan, f->count, bnf_params_real(f->params) == BNF_F64 ? (void *)&count : (void *)&count32));
    OK(bnf_plan_bind(plan, f->x, f->x_data));
    OK(bnf_plan_bind(plan, f->labels, f->label_data));
    OK(bnf_plan_bind(plan, f->weight, f->weight_data));
}

static void check_net(int net, bnf_dtype real, int64_t leaves)
{
    fixture f;
    bnf_plan *eager;
    bnf_plan_config cfg = {.threads = 1, .seed = 3};
    nets_open(&f, net, real, 2, leaves, &cfg);
    cfg.eager = true;
    OK(bnf_plan_create(&cfg, f.graph, f.kept, f.n_kept, &eager));
    bind_all(&f, eager);
    image expect = run(&f, eager, 5);
    assert_true(all_finite(&expect, real));
    cfg.eager = false;
    for (cfg.threads = 1; cfg.threads <= 3; cfg.threads += sanitized() ? 2 : 1) {
        bnf_plan *plan;
        OK(bnf_plan_create(&cfg, f.graph, f.kept, f.n_kept, &plan));
        bind_all(&f, plan);
        for (int again = 0; again < 2; again++) {
            poison(plan);
            image got = run(&f, plan, 5);
            assert_same(&got, &expect, "the plan in poisoned memory", &f, nets[net].name);
            free(got.bytes);
        }
        bnf_plan_destroy(plan);
    }
    free(expect.bytes);
    bnf_plan_destroy(eager);
    fixture_close(&f);
}

static void test_poisoned_equals_eager(void **unused)
{
    (void)unused;
    for (int net = 0; net < NETS; net++)
        for (int64_t leaves = 1; leaves <= 8; leaves += sanitized() && leaves == 3 ? 5 : sanitized() ? 2 : 1) {
            check_net(net, BNF_F32, leaves);
            check_net(net, BNF_F64, leaves);
        }
}

/* --- pair by pair ------------------------------------------------------------------------------------------------- */

typedef struct span {
    int first, last; /* positions in the order of leaf nodes */
    int first_seg, last_seg;
    bool lives;
} span;

/* When every root value is written and last read, by a straightforward look at all nodes; copies into slots come at a
 * segment's end. */
static void find_spans(const bnf_plan *p, span *spans)
{
    const bnf_graph *g = p->graph;
    int position = 0;
    for (int s = 0; s < p->n_segments; s++) {
        const bnf_segment *seg = &p->segments[s];
        for (int k = 0; k < seg->n_leaf; k++, position++) {
            const bnf_node *node = &g->nodes[seg->leaf_nodes[k]];
            for (int i = 0; i < node->n_in; i++) {
                span *in = &spans[bnf_graph_root(g, node->in[i].id)];
                in->last = position;
                in->last_seg = s;
            }
            for (int i = 0; i < node->op->n_out; i++)
                if (bnf_graph_root(g, node->out[i].id) == node->out[i].id)
                    spans[node->out[i].id] = (span){position, position, s, s, true};
        }
        for (int i = 0; i < seg->n_slots; i++) {
            span *in = &spans[bnf_graph_root(g, seg->slots[i].value)];
            if (seg->slots[i].copied) {
                in->last = position;
                in->last_seg = s;
            }
        }
        position++;
    }
}

/* The later of two values may take the earlier one's place at the very node that reads it last, if that node works in
 * place. */
static bool may_follow(const bnf_plan *p, const span *spans, int32_t earlier, int32_t later)
{
    const bnf_graph *g = p->graph;
    const bnf_node *node = &g->nodes[g->values[later].node];
    if (spans[earlier].last != spans[later].first)
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (bnf_graph_root(g, node->in[i].id) == earlier && (node->op->inplace >> i & 1) &&
            p->places[earlier].offset == p->places[later].offset)
            return true;
    return false;
}

static int64_t check_pairs(const bnf_plan *p, const span *spans, const char *net)
{
    const bnf_graph *g = p->graph;
    int64_t reused = 0;
    for (int a = 0; a < g->n_values; a++)
        for (int b = 0; b < g->n_values; b++) {
            const bnf_place *x = &p->places[a], *y = &p->places[b];
            if (a == b || !spans[a].lives || !spans[b].lives || x->kind != y->kind || spans[a].first > spans[b].first ||
                (x->kind != BNF_AT_THREAD && x->kind != BNF_AT_LEAF) ||
                (x->kind == BNF_AT_THREAD && spans[a].first_seg != spans[b].first_seg))
                continue;
            bool apart = x->offset + bnf_desc_bytes(&g->values[a].desc) <= y->offset ||
                         y->offset + bnf_desc_bytes(&g->values[b].desc) <= x->offset;
            if (apart)
                continue;
            reused++;
            if (spans[a].last >= spans[b].first && !may_follow(p, spans, a, b))
                fail_msg("%s: values %d (%d..%d) and %d (%d..%d) live at the same time in the same bytes", net, a,
                         spans[a].first, spans[a].last, b, spans[b].first, spans[b].last);
        }
    return reused;
}

static void test_no_two_live_values_share_bytes(void **unused)
{
    (void)unused;
    for (int net = 0; net < NETS; net++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 2};
        nets_open(&f, net, BNF_F32, 3, 4, &cfg);
        span *spans = calloc((size_t)f.plan->graph->n_values, sizeof *spans);
        assert_non_null(spans);
        find_spans(f.plan, spans);
        for (int i = 0; i < f.plan->graph->n_values; i++) {
            bnf_place_kind kind = f.plan->places[i].kind;
            if (spans[i].lives && kind == BNF_AT_THREAD)
                assert_int_equal(spans[i].first_seg, spans[i].last_seg);
            if (spans[i].lives && (kind == BNF_AT_THREAD || kind == BNF_AT_LEAF))
                assert_true(f.plan->places[i].offset + bnf_desc_bytes(&f.plan->graph->values[i].desc) <=
                            (kind == BNF_AT_THREAD ? f.plan->thread_bytes : f.plan->leaf_bytes));
        }
        assert_true(check_pairs(f.plan, spans, nets[net].name) > 0);
        bnf_plan_memory m;
        bnf_plan_get_memory(f.plan, &m);
        assert_true(m.thread_bytes + m.leaf_bytes < m.unshared_bytes);
        free(spans);
        fixture_close(&f);
    }
}

/* --- a run allocates nothing -------------------------------------------------------------------------------------- */

static void test_run_allocates_nothing(void **unused)
{
    (void)unused;
    for (int net = 0; net < NETS; net++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 2};
        nets_open(&f, net, BNF_F32, 2, 4, &cfg);
        int64_t before = bnf_mem_total_allocations();
        for (int step = 0; step < 3; step++) {
            OK(bnf_plan_run(f.plan, step));
            for (int g = 0; g < bnf_plan_grad_groups(f.plan); g++)
                assert_true(bnf_plan_grad_group(f.plan, g)->n > 0);
            bnf_params_touch(f.params);
        }
        assert_int_equal(bnf_mem_total_allocations(), before);
        fixture_close(&f);
    }
}

/* Nor do the libraries below it keep anything: the heap is as large after many runs as after one. */
static void test_runs_leave_the_heap_alone(void **unused)
{
    (void)unused;
    if (sanitized()) {
        print_message("skipped: sanitizers have an allocator of their own, which does not tell how much is in use\n");
        skip();
    }
    for (int net = 0; net < NETS; net++) {
        fixture f;
        bnf_plan_config cfg = {.threads = 1};
        nets_open(&f, net, BNF_F32, 2, 4, &cfg);
        fixture_run(&f);
        size_t before = mallinfo2().uordblks;
        for (int i = 0; i < 20; i++)
            fixture_run(&f);
        assert_int_equal(mallinfo2().uordblks, before);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poisoned_equals_eager),
        cmocka_unit_test(test_no_two_live_values_share_bytes),
        cmocka_unit_test(test_run_allocates_nothing),
        cmocka_unit_test(test_runs_leave_the_heap_alone),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
