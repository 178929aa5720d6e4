/* comm/schedule.h - who sends which part of a sum to whom, as data. Nothing here talks to other ranks: flows
 * (comm/flow.h) are built from these lists, and a model can replay them for thousands of ranks.
 *
 * Elements are told apart by their owner only. A sum is described by where the value of each node of the tree is
 * computed: on the root's owner for the root, on a rank that knows the node for what a rank starts with, and for
 * nodes between on a rank of the algorithm's choice. Where a child is not computed on the rank of its parent, its
 * value moves. A spread is the same movement backward, over a tree with one leaf per rank. */
#ifndef BNF_COMM_SCHEDULE_H
#define BNF_COMM_SCHEDULE_H

#include "comm/flow.h"

/* A node of the tree of leaves that a rank knows from the start (left, right -1) or whose leaves lie on several
 * ranks. */
typedef struct bnf_route_node {
    bnf_tree_node leaves;
    int32_t left, right;      /* indices of the children */
    int32_t rank_lo, rank_hi; /* ranks that own leaves of it: [rank_lo, rank_hi) */
    int32_t cover;            /* without children: its place in its rank's cover */
    int32_t height;           /* 0 without children, else 1 + that of the higher child */
    int64_t set, set_count;   /* halving: candidates for computing it, bnf_routes.candidates[set...] */
} bnf_route_node;

/* The tree that all ranks share; see bnf_routes_create. */
typedef struct bnf_routes {
    int ranks;
    int32_t leaves;
    bool spread;
    bnf_flow_algorithm algorithm; /* never BNF_FLOW_AUTO */
    int32_t rounds;
    int64_t n_nodes; /* the root is the last one; children stand before their parents */
    bnf_route_node *nodes;
    int32_t *candidates;
} bnf_routes;

/* The value of a node on the elements of an owner. */
typedef struct bnf_route_part {
    int32_t node, owner;
} bnf_route_part;

/* A message: parts[first ... first + count) of the bnf_rank_moves it belongs to. Elements: those of the parts'
 * owners. A message of round k may depend on what its sender received in earlier rounds, and on nothing else. */
typedef struct bnf_move {
    int32_t round, from, to;
    int64_t first, count;
} bnf_move;

/* Everything that one rank does. */
typedef struct bnf_rank_moves {
    int64_t n_sends, n_recvs, n_sums;
    bnf_move *sends; /* by round, then by distance to the receiver, upward */
    bnf_move *recvs; /* by round, then by sender */
    bnf_route_part *parts;
    bnf_route_part *sums; /* nodes that this rank adds up from their children, in a possible order */
} bnf_rank_moves;

/* The choice of BNF_FLOW_AUTO for a sum or spread of `bytes` bytes; any other algorithm is returned as it is. */
bnf_flow_algorithm bnf_routes_choose(bnf_flow_algorithm algorithm, int ranks, int32_t leaves, int64_t bytes);

/* Sum over `leaves` leaves to owners; spread from owners (leaves is not used). algorithm: not BNF_FLOW_AUTO.
 * Local. [out] routes owned, release with bnf_routes_destroy. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_routes_create(int ranks, int32_t leaves, bool spread, bnf_flow_algorithm algorithm, bnf_routes **routes);
void bnf_routes_destroy(bnf_routes *routes); /* NULL is legal */

/* The moves of one rank, in time proportional to ranks * log(leaves). [out] moves owned, release with
 * bnf_rank_moves_destroy. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_routes_of_rank(const bnf_routes *routes, int rank, bnf_rank_moves **moves);
void bnf_rank_moves_destroy(bnf_rank_moves *moves); /* NULL is legal */

/* Elements of a message, where rank r owns [owner_offset[r], owner_offset[r+1]). */
int64_t bnf_move_elements(const bnf_rank_moves *moves, const bnf_move *move, const int64_t *owner_offset);

#endif
