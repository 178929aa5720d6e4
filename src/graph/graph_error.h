/* graph/graph_error.h - for the layers above: put a failure of their own into the graph's sticky status. */
#ifndef BNF_GRAPH_GRAPH_ERROR_H
#define BNF_GRAPH_GRAPH_ERROR_H

#include <banff/graph.h>
#include "ops/op.h"

/* Records `status` and the calling thread's message unless an earlier error stands; BNF_OK changes nothing. */
void bnf_graph_fail(bnf_graph *graph, bnf_status status);
/* Replaces the recorded failure, e.g. by the same with context in front. */
void bnf_graph_refail(bnf_graph *graph, bnf_status status);

#endif
