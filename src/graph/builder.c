/* graph/builder.c - adding values and nodes; the first error sticks. */
#include "graph/graph.h"
#include "graph/graph_error.h"

#include "base/assert.h"
#include "ops/fuse.h"

#include <string.h>

void bnf_graph_fail(bnf_graph *g, bnf_status status)
{
    if (g->status != BNF_OK || status == BNF_OK)
        return;
    g->status = status;
    if (bnf_arena_strdup(g->arena, bnf_error_message(), &g->message) != BNF_OK)
        g->message = "out of memory while a graph was built";
}

void bnf_graph_refail(bnf_graph *g, bnf_status status)
{
    g->status = BNF_OK;
    bnf_graph_fail(g, status);
}

bnf_status bnf_graph_status(const bnf_graph *graph)
{
    if (graph->status == BNF_OK)
        return BNF_OK;
    bnf_error_clear();
    return bnf_fail(graph->status, "%s", graph->message);
}

static bnf_status grow(void *array /* really void ** */, int *capacity, int count, size_t size, const char *what)
{
    if (count < *capacity)
        return BNF_OK;
    int grown = *capacity ? 2 * *capacity : 64;
    BNF_TRY(bnf_realloc((size_t)*capacity * size, (size_t)grown * size, what, array));
    *capacity = grown;
    return BNF_OK;
}

int32_t bnf_graph_add_value(bnf_graph *g, const bnf_value *value)
{
    bnf_status s = grow(&g->values, &g->cap_values, g->n_values, sizeof *g->values, "graph values");
    if (s != BNF_OK) {
        bnf_graph_fail(g, s);
        return -1;
    }
    g->values[g->n_values] = *value;
    return g->n_values++;
}

int32_t bnf_graph_root(const bnf_graph *g, int32_t v)
{
    while (g->values[v].kind == BNF_V_RESULT && (g->nodes[g->values[v].node].op->flags & BNF_OP_ALIAS))
        v = g->nodes[g->values[v].node].in[0].id;
    return v;
}

/* Shape rule of a new node, and the rules about levels. */
static bnf_status check_node(bnf_graph *g, bnf_node *node, bnf_op_inst *inst)
{
    const bnf_op *op = node->op;
    if (node->n_in < op->n_in_min || node->n_in > op->n_in_max)
        return bnf_fail(BNF_ERR_ARG, "%s takes %d to %d inputs, not %d", op->name, op->n_in_min, op->n_in_max,
                        node->n_in);
    *inst = (bnf_op_inst){
        .op = op, .attr = node->attr, .n_in = node->n_in, .n_out = op->n_out, .layer = (uint32_t)g->n_nodes};
    node->leaf = op->flags & BNF_OP_LEAF;
    for (int i = 0; i < node->n_in; i++) {
        inst->in[i] = g->values[node->in[i].id].desc;
        node->leaf |= g->values[node->in[i].id].leaf;
    }
    if ((op->flags & BNF_OP_RANDOM) && !node->leaf)
        return bnf_fail(BNF_ERR_ARG, "%s of a batch-level value: random operations need samples", op->name);
    if ((op->flags & BNF_OP_BATCH_SUM) && !node->leaf)
        return bnf_fail(BNF_ERR_ARG, "%s of a value that is batch-level already", op->name);
    return op->infer(inst);
}

static bnf_status emit(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in, bnf_val *out)
{
    bnf_graph *g = (bnf_graph *)b;
    if (g->status != BNF_OK)
        return g->status;
    bnf_node node = {.op = op, .n_in = n_in, .layer = (uint32_t)g->n_nodes};
    bnf_op_inst inst;
    bnf_status s = BNF_OK;
    if (op->attr_size) {
        void *copy;
        BNF_TRY_GOTO(s, bnf_arena_alloc(g->arena, op->attr_size, &copy), fail);
        memcpy(copy, attr, op->attr_size);
        node.attr = copy;
    }
    for (int i = 0; i < n_in && i < BNF_OP_MAX_IN; i++)
        node.in[i] = in[i];
    if (bnf_fuse(b, op, attr, n_in, in, out))
        return g->status;
    BNF_TRY_GOTO(s, check_node(g, &node, &inst), fail);
    BNF_TRY_GOTO(s, grow(&g->nodes, &g->cap_nodes, g->n_nodes, sizeof *g->nodes, "graph nodes"), fail);
    for (int i = 0; i < op->n_out; i++) {
        bnf_value v = {.desc = inst.out[i], .kind = BNF_V_RESULT, .node = g->n_nodes, .out = i};
        v.leaf = node.leaf && !(op->flags & BNF_OP_BATCH_SUM);
        out[i] = node.out[i] = (bnf_val){bnf_graph_add_value(g, &v)};
        if (!bnf_val_ok(out[i]))
            return g->status;
    }
    g->nodes[g->n_nodes++] = node;
    return BNF_OK;
fail:
    bnf_graph_fail(g, s);
    return s;
}

static const bnf_desc *value_desc(const bnf_builder *b, bnf_val v)
{
    const bnf_graph *g = (const bnf_graph *)b;
    BNF_ASSERT(v.id >= 0 && v.id < g->n_values);
    return &g->values[v.id].desc;
}

static bool value_wanted(const bnf_builder *b, bnf_val v)
{
    const bnf_graph *g = (const bnf_graph *)b;
    return g->wants && v.id < g->n_wants && g->wants[v.id];
}

static bool producer(const bnf_builder *b, bnf_val v, bnf_op_use *use)
{
    const bnf_graph *g = (const bnf_graph *)b;
    const bnf_value *value = &g->values[v.id];
    if (value->kind != BNF_V_RESULT || value->out != 0)
        return false;
    const bnf_node *node = &g->nodes[value->node];
    *use = (bnf_op_use){.op = node->op, .attr = node->attr, .n_in = node->n_in};
    memcpy(use->in, node->in, sizeof use->in);
    return true;
}

static bnf_val constant(bnf_builder *b, double value)
{
    bnf_graph *g = (bnf_graph *)b;
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i].kind == BNF_V_CONST && g->values[i].constant == value)
            return (bnf_val){i};
    bnf_value v = {.desc = bnf_desc_1d(b->real, 1), .kind = BNF_V_CONST, .constant = value};
    return (bnf_val){bnf_graph_add_value(g, &v)};
}

bnf_status bnf_graph_create(bnf_params *params, int64_t leaves, bool training, bnf_graph **graph)
{
    BNF_ASSERT(leaves >= 1);
    bnf_graph *g;
    BNF_TRY(bnf_calloc(1, sizeof *g, "graph", &g));
    bnf_status s = bnf_arena_create(16384, "graph", &g->arena);
    if (s != BNF_OK) {
        bnf_free(g);
        return s;
    }
    g->params = params;
    bnf_dtype real = bnf_params_real(params);
    g->base = (bnf_builder){.emit = emit,
                            .desc = value_desc,
                            .needs_grad = value_wanted,
                            .constant = constant,
                            .producer = producer,
                            .real = real,
                            .training = training,
                            .leaves = leaves};
    *graph = g;
    return BNF_OK;
}

void bnf_graph_destroy(bnf_graph *graph)
{
    if (!graph)
        return;
    bnf_free(graph->values);
    bnf_free(graph->nodes);
    bnf_free(graph->sinks);
    bnf_free(graph->assigns);
    bnf_free(graph->marks);
    bnf_arena_destroy(graph->arena);
    bnf_free(graph);
}

bnf_builder *bnf_graph_builder(bnf_graph *graph)
{
    return &graph->base;
}

bool bnf_val_is_leaf(const bnf_graph *graph, bnf_val v)
{
    return graph->values[v.id].leaf;
}

static bnf_val add_named(bnf_graph *g, const char *name, const bnf_desc *desc, bnf_value_kind kind, int ref)
{
    if (g->status != BNF_OK)
        return BNF_NONE;
    bnf_value v = {.desc = *desc, .kind = kind, .leaf = kind == BNF_V_INPUT, .ref = ref};
    bnf_status s = bnf_arena_strdup(g->arena, name, &v.name);
    if (s != BNF_OK) {
        bnf_graph_fail(g, s);
        return BNF_NONE;
    }
    return (bnf_val){bnf_graph_add_value(g, &v)};
}

bnf_val bnf_graph_input(bnf_graph *graph, const char *name, const bnf_desc *desc)
{
    return add_named(graph, name, desc, BNF_V_INPUT, graph->n_inputs++);
}

void bnf_graph_set_occupancy(bnf_graph *graph, bnf_val input, double occupancy)
{
    if (!bnf_val_ok(input))
        return;
    BNF_ASSERT(graph->values[input.id].kind == BNF_V_INPUT && occupancy >= 0 && occupancy <= 1);
    graph->values[input.id].occupancy = occupancy;
}

bnf_val bnf_graph_knob(bnf_graph *graph, const char *name, const bnf_desc *desc)
{
    return add_named(graph, name, desc, BNF_V_KNOB, graph->n_knobs++);
}

bnf_val bnf_graph_param(bnf_graph *graph, int index)
{
    for (int i = 0; i < graph->n_values; i++)
        if (graph->values[i].kind == BNF_V_PARAM && graph->values[i].ref == index)
            return (bnf_val){i};
    const bnf_param_info *info = bnf_params_info(graph->params, index);
    return add_named(graph, info->name, &info->desc, BNF_V_PARAM, index);
}

bnf_val bnf_graph_last(const bnf_graph *graph, const char *op)
{
    for (int n = graph->n_nodes - 1; n >= 0; n--)
        if (strcmp(graph->nodes[n].op->name, op) == 0)
            return graph->nodes[n].out[0];
    return BNF_NONE;
}

int bnf_graph_param_index(const bnf_graph *graph, bnf_val param)
{
    BNF_ASSERT(graph->values[param.id].kind == BNF_V_PARAM);
    return graph->values[param.id].ref;
}

static void deliver(bnf_graph *g, bnf_delivery **list, int *count, int ref, bnf_val value)
{
    if (!bnf_val_ok(value) || g->status != BNF_OK)
        return;
    bnf_status s =
        bnf_realloc((size_t)*count * sizeof **list, (size_t)(*count + 1) * sizeof **list, "graph deliveries", list);
    if (s != BNF_OK) {
        bnf_graph_fail(g, s);
        return;
    }
    (*list)[(*count)++] = (bnf_delivery){.ref = ref, .value = value};
}

void bnf_graph_mark(bnf_graph *graph, bnf_val value)
{
    if (!bnf_val_ok(value) || graph->status != BNF_OK)
        return;
    size_t n = (size_t)graph->n_marks, size = sizeof *graph->marks;
    bnf_status s = bnf_realloc(n * size, (n + 1) * size, "graph marks", &graph->marks);
    if (s != BNF_OK)
        bnf_graph_fail(graph, s);
    else
        graph->marks[graph->n_marks++] = value.id;
}

void bnf_graph_assign(bnf_graph *graph, int index, bnf_val value)
{
    if (!bnf_val_ok(value))
        return;
    const bnf_param_info *info = bnf_params_info(graph->params, index);
    if (graph->values[value.id].leaf || !bnf_desc_equal(&info->desc, &graph->values[value.id].desc)) {
        char want[96], got[96];
        bnf_graph_fail(graph, bnf_fail(BNF_ERR_ARG, "state '%s' is %s batch-level; it cannot take %s%s", info->name,
                                       bnf_desc_format(&info->desc, want, sizeof want),
                                       bnf_desc_format(&graph->values[value.id].desc, got, sizeof got),
                                       graph->values[value.id].leaf ? " of every leaf" : ""));
        return;
    }
    if (graph->values[bnf_graph_root(graph, value.id)].kind ==
        BNF_V_PARAM) /* as it was before other states changed: a copy */
        value = bnf_affine(&graph->base, value, 1, 0);
    deliver(graph, &graph->assigns, &graph->n_assigns, index, value);
}

bnf_status bnf_graph_minimize(bnf_graph *graph, bnf_val loss)
{
    BNF_TRY(bnf_graph_status(graph));
    bnf_val *wrt, *grads;
    int n = 0;
    BNF_TRY(bnf_alloc(2 * (size_t)graph->n_values * sizeof *wrt, "gradient list", &wrt));
    grads = wrt + graph->n_values;
    for (int i = 0; i < graph->n_values; i++)
        if (graph->values[i].kind == BNF_V_PARAM && bnf_params_info(graph->params, graph->values[i].ref)->trainable)
            wrt[n++] = (bnf_val){i};
    bnf_status s = bnf_graph_gradient(graph, loss, wrt, n, grads);
    for (int i = 0; i < n && s == BNF_OK; i++) {
        const bnf_value *v = &graph->values[wrt[i].id];
        if (bnf_val_ok(grads[i]))
            deliver(graph, &graph->sinks, &graph->n_sinks, v->ref, grads[i]);
        else
            s = bnf_fail(BNF_ERR_ARG, "the loss does not depend on parameter '%s'", v->name);
    }
    bnf_free(wrt);
    return s != BNF_OK ? s : bnf_graph_status(graph);
}
