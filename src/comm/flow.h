/* comm/flow.h - sums to owners and values from owners that travel while the caller computes.
 *
 * A flow is a collective data movement over a communicator whose memory and messages are planned once and which is
 * then started, polled and waited for once per step. A sum is the value of the root of the tree of leaves
 * (comm/tree.h), bit for bit, whatever the algorithm and the number of ranks. Who sends what to whom is in
 * comm/schedule.h.
 *
 * Several flows of one communicator may be under way at once; every rank creates and starts them in the same
 * order, and waits in any. Between start and the end, the arrays of the flow belong to it. Nothing is allocated
 * after creation. One thread at a time may call these functions on the flows of one communicator. At most 4000
 * flows of a communicator exist at a time. After an error the communicator is of no further use, and flows are
 * only destroyed. */
#ifndef BNF_COMM_FLOW_H
#define BNF_COMM_FLOW_H

#include "comm/tree.h"

typedef enum bnf_flow_algorithm {
    BNF_FLOW_AUTO,   /* by the number of ranks and elements; the same choice on every rank */
    BNF_FLOW_DIRECT, /* every rank to every owner: one round of size - 1 messages */
    BNF_FLOW_HALVING /* partner by partner along the tree, half of what is left in each round: log2(size) messages;
                        neighbours first, so that the largest messages stay inside a host */
} bnf_flow_algorithm;

/* bf16: f32 only. Both operands of every addition of the tree are rounded to bfloat16 (the caller does so inside
 * its range, with bnf_tree_add_bf16), so that partial sums travel in half the bytes; a spread adds nothing and
 * sends values as they are. chunk_bytes: how finely a flow is cut, see bnf_flow_chunk_bytes; 0: by that function.
 * The same on every rank. */
typedef struct bnf_flow_config {
    bnf_flow_algorithm algorithm;
    bool bf16;
    int64_t chunk_bytes;
} bnf_flow_config;

/* Elements travel in chunks that overlap. DIRECT: about so many bytes of the largest owner's elements at a time;
 * HALVING: of all elements. The same on every rank. */
int64_t bnf_flow_chunk_bytes(bnf_flow_algorithm algorithm, int ranks);

typedef struct bnf_flow bnf_flow;

/* The sum over all leaves of partials[k][n] (values of this rank's cover nodes, see comm/tree.h), each element on its
 * owner: rank r owns [owner_offset[r], owner_offset[r+1]) and gets them in out[own elements].
 *   partials, out   addresses are fixed here; contents are read and written between start and end. partials are kept.
 *   dtype           BNF_F32 or BNF_F64
 * Collective. [out] flow owned, release with bnf_flow_destroy. Errors: BNF_ERR_MEMORY (agreed on by all ranks). */
bnf_status bnf_flow_reduce_create(const bnf_comm *comm, const bnf_flow_config *config, int32_t leaves, bnf_dtype dtype,
                                  const void *const *partials, int64_t n, const int64_t *owner_offset, void *out,
                                  bnf_flow **flow);

/* value[n] is right on its owners' elements and becomes so everywhere. Collective. */
bnf_status bnf_flow_spread_create(const bnf_comm *comm, const bnf_flow_config *config, bnf_dtype dtype,
                                  const int64_t *owner_offset, void *value, bnf_flow **flow);

/* Local, although every rank must have ended the same flows. NULL is legal. */
void bnf_flow_destroy(bnf_flow *flow);

/* Posts the first messages. Does not wait. Legal again after the end. Errors: BNF_ERR_COMM. */
bnf_status bnf_flow_start(bnf_flow *flow);

/* Moves on as far as is possible without waiting. [out] done. Cheap when nothing has arrived. A flow that was not
 * started counts as done. */
bnf_status bnf_flow_poll(bnf_flow *flow, bool *done);

/* Waits for the end; meanwhile all flows of the communicator that are under way move on. */
bnf_status bnf_flow_wait(bnf_flow *flow);

/* Bytes that this rank sends per start, and messages. */
void bnf_flow_traffic(const bnf_flow *flow, int64_t *bytes, int64_t *messages);

#endif
