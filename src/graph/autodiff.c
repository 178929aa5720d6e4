/* graph/autodiff.c - reverse-mode differentiation by emitting nodes into the same graph.
 *
 * The loss is summed over leaves. So a leaf-level value's gradient is an array per leaf, and a batch-level value that
 * leaves read receives the sum of what its readers on all leaves contribute: a batch sum. A parameter's gradient is
 * left as the leaf's contribution: the sum over leaves and ranks is the owners' reduction. */
#include "graph/graph.h"

#include "base/assert.h"

#include <string.h>

/* What has flowed into a value so far: contributions of leaf-level nodes and of batch-level nodes apart. */
typedef struct flow {
    bnf_val leaf, batch;
} flow;

static void mark_wanted(bnf_graph *g, const bnf_val *wrt, int n)
{
    for (int i = 0; i < n; i++)
        g->wants[wrt[i].id] = true;
    for (int i = 0; i < g->n_nodes; i++) {
        const bnf_node *node = &g->nodes[i];
        bool any = false;
        for (int k = 0; k < node->n_in; k++)
            any |= g->wants[node->in[k].id];
        for (int k = 0; k < node->op->n_out && any; k++)
            g->wants[node->out[k].id] = true;
    }
}

static void accumulate(bnf_builder *b, bnf_val *sum, bnf_val term)
{
    *sum = bnf_val_ok(*sum) ? bnf_add(b, *sum, term) : term;
}

/* Gradient of a value after all its readers have contributed. */
static bnf_val total(bnf_graph *g, const flow *f, int32_t v)
{
    bnf_builder *b = &g->base;
    bnf_val sum = f->leaf;
    if (bnf_val_ok(sum) && !g->values[v].leaf)
        sum = g->values[sum.id].leaf ? bnf_batch_sum(b, sum) : bnf_affine(b, sum, (double)b->leaves, 0);
    if (bnf_val_ok(f->batch))
        accumulate(b, &sum, f->batch);
    return sum;
}

/* A parameter's gradient as a leaf's contribution. */
static bnf_val contribution(bnf_graph *g, const flow *f)
{
    bnf_builder *b = &g->base;
    bnf_val sum = f->leaf;
    if (bnf_val_ok(sum) && !g->values[sum.id].leaf) /* the same on every leaf */
        sum = bnf_leaf_share(b, bnf_affine(b, sum, (double)b->leaves, 0));
    if (bnf_val_ok(f->batch))
        accumulate(b, &sum, bnf_leaf_share(b, f->batch));
    return sum;
}

static bnf_status backward_node(bnf_graph *g, const bnf_node *node, uint32_t layer, flow *flows)
{
    const bnf_op *op = node->op;
    bnf_val dout[BNF_OP_MAX_OUT], din[BNF_OP_MAX_IN];
    bool any = false;
    for (int i = 0; i < op->n_out; i++) {
        dout[i] = g->wants[node->out[i].id] ? total(g, &flows[node->out[i].id], node->out[i].id) : BNF_NONE;
        any |= bnf_val_ok(dout[i]);
    }
    if (!any)
        return BNF_OK;
    if (!op->vjp)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "operation '%s' has no gradient", op->name);
    bnf_op_inst inst = {.op = op, .attr = node->attr, .n_in = node->n_in, .n_out = op->n_out, .layer = layer};
    for (int i = 0; i < node->n_in; i++) {
        inst.in[i] = g->values[node->in[i].id].desc;
        din[i] = BNF_NONE;
    }
    for (int i = 0; i < op->n_out; i++)
        inst.out[i] = g->values[node->out[i].id].desc;
    op->vjp(&g->base, &inst, node->in, node->out, dout, din);
    BNF_TRY(bnf_graph_status(g));
    for (int i = 0; i < node->n_in; i++) {
        int32_t v = node->in[i].id;
        if (!bnf_val_ok(din[i]) || !g->wants[v])
            continue;
        BNF_ASSERT(bnf_desc_same_shape(&g->values[din[i].id].desc, &g->values[v].desc));
        din[i] = bnf_cast(&g->base, din[i], g->values[v].desc.dtype); /* f32 for what is f32 beside bf16 */
        accumulate(&g->base, node->leaf ? &flows[v].leaf : &flows[v].batch, din[i]);
    }
    return BNF_OK;
}

static bnf_status check_loss(const bnf_graph *g, bnf_val loss)
{
    if (bnf_desc_count(&g->values[loss.id].desc) == 1)
        return BNF_OK;
    char shape[96];
    return bnf_fail(BNF_ERR_ARG, "the loss must be a scalar, not %s",
                    bnf_desc_format(&g->values[loss.id].desc, shape, sizeof shape));
}

bnf_status bnf_graph_gradient(bnf_graph *graph, bnf_val loss, const bnf_val *wrt, int n, bnf_val *grads)
{
    BNF_TRY(bnf_graph_status(graph));
    BNF_TRY(check_loss(graph, loss));
    int n_values = graph->n_values;
    if (graph->n_forward == 0)
        graph->n_forward = graph->n_nodes;
    flow *flows;
    BNF_TRY(bnf_alloc((size_t)n_values * sizeof *flows, "gradient flow", &flows));
    bnf_status s = bnf_calloc((size_t)n_values, sizeof *graph->wants, "gradient flow", &graph->wants);
    if (s != BNF_OK) {
        bnf_free(flows);
        return s;
    }
    graph->n_wants = n_values;
    for (int i = 0; i < n_values; i++)
        flows[i] = (flow){BNF_NONE, BNF_NONE};
    mark_wanted(graph, wrt, n);
    bnf_val seed = bnf_const(&graph->base, 1);
    seed = bnf_broadcast_to(&graph->base, seed, &graph->values[loss.id].desc);
    if (graph->values[loss.id].leaf)
        flows[loss.id].leaf = seed;
    else
        flows[loss.id].batch = seed;
    int start = graph->values[loss.id].kind == BNF_V_RESULT ? graph->values[loss.id].node : -1;
    for (int i = start; i >= 0 && s == BNF_OK; i--) {
        bnf_node node = graph->nodes[i]; /* a copy: emitting may move the array */
        s = backward_node(graph, &node, node.layer, flows);
    }
    for (int i = 0; i < n && s == BNF_OK; i++) {
        const bnf_value *v = &graph->values[wrt[i].id];
        grads[i] = v->kind == BNF_V_PARAM ? contribution(graph, &flows[wrt[i].id])
                                          : total(graph, &flows[wrt[i].id], wrt[i].id);
    }
    bnf_free(graph->wants);
    graph->wants = NULL;
    bnf_free(flows);
    return s != BNF_OK ? s : bnf_graph_status(graph);
}
