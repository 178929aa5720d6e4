/* comm/flow_impl.h - what a flow does in its own rank, planned once.
 *
 * Elements travel in chunks: of every owner's elements the same share, so that each chunk runs through all rounds
 * of the schedule on its own and a few chunks are under way at once. All chunks but the last have the same sizes,
 * so two plans are made: one for them and one for the last. */
#ifndef BNF_COMM_FLOW_IMPL_H
#define BNF_COMM_FLOW_IMPL_H

#include "comm/flow.h"
#include "comm/impl.h"
#include "comm/schedule.h"

#define BNF_FLOW_SLOTS 3                        /* chunks under way at once */
#define BNF_FLOW_SPLIT_BYTES (INT64_C(1) << 14) /* from here on, a part is sent from where it is, as its own message */

/* Whose memory a piece lies in: from BNF_BASE_PARTIAL on, the caller's partial sums. */
enum {
    BNF_BASE_NONE = -1,
    BNF_BASE_OUT,     /* the caller's out, counted as the elements of all owners are; or value */
    BNF_BASE_SUMS,    /* sums between, of a slot */
    BNF_BASE_ARRIVED, /* what was received, of a slot, in the wire's type */
    BNF_BASE_PACKED,  /* what is sent, of a slot, in the wire's type */
    BNF_BASE_PARTIAL
};

/* Elements at, at + 1, ... of a base; `step` further in each next chunk. */
typedef struct bnf_piece {
    int32_t base;
    int64_t at, step;
} bnf_piece;

/* to[n] = a[n] + b[n], or a[n] if b has no base. Possible once the first `arrivals` messages are there. */
typedef struct bnf_flow_op {
    bnf_piece to, a, b;
    int64_t n;
    int32_t arrivals;
} bnf_flow_op;

/* A message of n elements. A send needs the first `arrivals` messages and the first `ops` operations, and then its own
 * copies into the buffer, copies[first_copy ... first_copy + copies). */
typedef struct bnf_flow_message {
    int32_t peer, arrivals, ops;
    int32_t first_copy, copies;
    bnf_piece buffer;
    int64_t n;
} bnf_flow_message;

/* One chunk's way. */
typedef struct bnf_flow_plan {
    int32_t n_recvs, n_sends, n_ops, n_copies;
    bnf_flow_message *recvs, *sends;
    bnf_flow_op *ops, *copies;
    int64_t sums, arrived, packed; /* elements that a slot needs of each */
    int64_t sent;                  /* elements in all sends */
} bnf_flow_plan;

/* What a plan is made for. */
typedef struct bnf_flow_shape {
    const bnf_routes *routes;
    const bnf_rank_moves *moves;
    int rank;
    const int64_t *at, *n, *step; /* [ranks] of each owner: the first element, how many, and the distance of chunks */
    int64_t
        split; /* parts of at least so many elements travel in messages of their own, from and to where they belong */
    bool convert; /* the wire's type is not that of the sums */
} bnf_flow_shape;

bnf_status bnf_flow_plan_make(const bnf_flow_shape *shape, bnf_flow_plan *plan);
void bnf_flow_plan_release(bnf_flow_plan *plan);

/* Types of operands. */
typedef enum bnf_flow_type { BNF_FLOW_F32, BNF_FLOW_F64, BNF_FLOW_BF16 } bnf_flow_type;

/* to[n] = a[n] + b[n], one rounding per element; `to` may be a, else nothing overlaps. With `rounded`, f32 operands are
 * rounded to bf16 first. to: f32 or f64; a and b: the same or, with `rounded`, bf16. */
void bnf_flow_add(bnf_flow_type type, bool rounded, void *to, bnf_flow_type a_type, const void *a, bnf_flow_type b_type,
                  const void *b, int64_t n);

/* to[n] = bf16 of from[n]. */
void bnf_flow_round(uint16_t *to, const float *from, int64_t n);

/* What flows of one communicator share. */
typedef struct bnf_flow_board {
    int64_t created;
    bnf_flow *active; /* in the order of starting */
} bnf_flow_board;

#endif
