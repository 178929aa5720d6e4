/* graph/graph.h - the inside of a graph: values, nodes, what is delivered. Only src/graph includes this. */
#ifndef BNF_GRAPH_GRAPH_H
#define BNF_GRAPH_GRAPH_H

#include <banff/graph.h>

#include "base/mem.h"
#include "ops/op.h"

typedef enum bnf_value_kind { BNF_V_INPUT, BNF_V_KNOB, BNF_V_PARAM, BNF_V_CONST, BNF_V_RESULT } bnf_value_kind;

typedef struct bnf_value {
    bnf_desc desc;
    bnf_value_kind kind;
    bool leaf;    /* one array per leaf; else one for the whole batch */
    int32_t node; /* RESULT: which node, and which of its outputs */
    int32_t out;
    int32_t ref;      /* PARAM: index in the store; INPUT, KNOB: running number */
    double constant;  /* CONST */
    double occupancy; /* INPUT: share of its elements that are not zero; 0: unknown */
    const char *name;
} bnf_value;

typedef struct bnf_node {
    const bnf_op *op;
    const void *attr;
    int n_in;
    bnf_val in[BNF_OP_MAX_IN], out[BNF_OP_MAX_OUT];
    bool leaf;      /* runs once per leaf; else once per batch */
    bool again;     /* repeats what another node computes (recompute.c) */
    uint32_t layer; /* the key of random operations: the node's number when it was emitted */
} bnf_node;

/* "value goes to ref": a parameter's gradient (leaf-level) or a state's new value (batch-level). */
typedef struct bnf_delivery {
    int ref;
    bnf_val value;
} bnf_delivery;

struct bnf_graph {
    bnf_builder base; /* first member: a bnf_builder * is a bnf_graph * */
    bnf_params *params;
    bnf_arena *arena;
    bnf_value *values;
    int n_values, cap_values;
    bnf_node *nodes;
    int n_nodes, cap_nodes;
    bnf_delivery *sinks, *assigns;
    int n_sinks, n_assigns, n_inputs, n_knobs;
    int n_forward;  /* nodes when the first gradient was asked for; 0: none was */
    int32_t *marks; /* values where recomputing may begin (bnf_graph_mark) */
    int n_marks;
    bool *wants; /* [n_values at the start of a gradient] valid while one is built */
    int n_wants;
    bnf_status status; /* sticky */
    const char *message;
};

/* Adds a value; returns its id or -1 after recording an error. */
int32_t bnf_graph_add_value(bnf_graph *g, const bnf_value *value);
/* Follows BNF_OP_ALIAS nodes to the value that holds the storage. */
int32_t bnf_graph_root(const bnf_graph *g, int32_t value);

#endif
