/* graph/plan.h - the inside of a plan. Only src/graph includes this.
 *
 * A segment is what leaves compute between two batch-wide sums. Segment s: first the batch-level nodes that became
 * computable (prologue), then the leaf-level nodes on every leaf, then its reduce slots are summed: batch sums over
 * all ranks at once, parameter gradients over this rank's leaves (owners do the rest). Segment n_segments has a
 * prologue only. */
#ifndef BNF_GRAPH_PLAN_H
#define BNF_GRAPH_PLAN_H

#include "comm/tree.h"
#include "graph/graph.h"

/* Where a value lives. */
typedef enum bnf_place_kind {
    BNF_AT_NONE = 0,
    BNF_AT_FIXED,  /* base: parameters, constants, knobs, batch-level results */
    BNF_AT_THREAD, /* offset in the arena of the thread that runs the leaf: dies within the segment */
    BNF_AT_LEAF,   /* offset in the leaf's arena: lives across segments */
    BNF_AT_ROWS,   /* base + leaf * stride: bound inputs and kept outputs */
    BNF_AT_REDUCE  /* offset in the buffer that the leaf's reduce slots go to */
} bnf_place_kind;

typedef struct bnf_place {
    bnf_place_kind kind;
    size_t offset; /* THREAD, LEAF, REDUCE: bytes */
    size_t stride; /* ROWS: bytes of one leaf; REDUCE: bytes, in the window of a thread (bnf_walk_op) */
    int slot;      /* REDUCE: of the segment */
    char *base;    /* FIXED, ROWS */
} bnf_place;

/* One thing that a segment sums over leaves. */
typedef struct bnf_slot {
    int32_t value;        /* leaf-level value that is summed */
    int32_t result;       /* batch sum: the batch-level value; -1 for a gradient */
    int param;            /* gradient: which parameter */
    bool copied;          /* the value lives elsewhere: copy it into the slot after the leaf's nodes */
    int64_t offset;       /* elements, in the reduce buffer */
    int64_t elements;     /* in the reduce buffer */
    int64_t plain;        /* gradient: elements, in the plain buffer of its group */
    const bnf_pack *pack; /* gradient left in a kernel's layout, or NULL */
} bnf_slot;

typedef struct bnf_segment {
    int *batch_nodes, n_batch;
    int *leaf_nodes, n_leaf;
    bnf_slot *slots;
    int n_slots, n_sums;  /* the first n_sums are batch sums */
    int64_t sum_elements; /* reduce buffer: sums, then gradients */
    int64_t elements;
    char *pool;           /* (threads' buffers) x elements */
    void *sum_root;       /* [sum_elements] batch sums over all ranks */
    bool packed;          /* some gradient slot has a pack */
    char *plain;          /* n_cover x plain_elements, if packed */
    bnf_grad_group group; /* valid if n_slots > n_sums */
    const void **partial; /* [n_cover] for group.partial */
    int *group_params;
    int64_t *group_offset, *group_owner;
} bnf_segment;

/* One instruction of a thread's walk over its leaves: compute a leaf into buffer dst, or add it to dst, or dst += src.
 * A leaf that is added has no buffer: each of its slots is computed in the thread's window and added at once, while it
 * is in cache; and the additions that follow a leaf are done slot by slot, too. */
typedef struct bnf_walk_op {
    int leaf; /* local index, or -1: dst += src */
    int dst, src;
    bool add; /* leaf: to what dst holds */
} bnf_walk_op;

typedef struct bnf_walk {
    bnf_walk_op *ops;
    int n_ops;
    int first_buffer, n_buffers; /* range in the segment's pool */
} bnf_walk;

typedef struct bnf_packed_param {
    int param;
    const bnf_pack *pack;
    void *data;
    int segment;      /* the first that reads it */
    uint64_t version; /* of the parameters when it was packed */
} bnf_packed_param;

typedef struct bnf_node_run {
    bnf_op_inst inst;
    bnf_kernel_plan kernel;
    bnf_place in[BNF_OP_MAX_IN], out[BNF_OP_MAX_OUT];
    double *seconds; /* [threads] with profile */
    int64_t calls;
} bnf_node_run;

struct bnf_plan {
    bnf_graph *graph;
    bnf_plan_config cfg;
    bnf_plan_hooks hooks;
    bnf_arena *arena;
    int n_nodes, n_values, n_assigns;  /* of the graph when the plan was made: it may have grown since */
    int rank, ranks, leaf_lo, leaf_hi; /* leaves of this rank */
    int64_t leaf_samples;              /* samples per leaf: extent 0 of the first input */
    int n_segments;
    bnf_segment *segments;  /* [n_segments + 1] */
    int *node_segment;      /* [n_nodes] -1: not needed */
    bnf_node_run *runs;     /* [n_nodes] */
    bnf_place *places;      /* [n_values] of roots */
    bool *kept;             /* [n_values] root is an output */
    const bnf_val *outputs; /* copy */
    int n_outputs;
    bnf_walk *walks;     /* [threads] */
    int n_buffers;       /* over all threads */
    bnf_walk_op *merges; /* rank-level additions after all threads are done: dst, src are pool indices */
    int n_merges;
    bnf_tree_node *cover; /* [n_cover] tree nodes of this rank */
    int *cover_buffer;    /* [n_cover] pool index */
    int n_cover;
    size_t thread_bytes, leaf_bytes, scratch_bytes, unshared_bytes;
    size_t window_bytes;
    char **thread_arena, **scratch, **window; /* [threads] */
    char *leaf_arena;                         /* leaves x leaf_bytes */
    bnf_packed_param *packed;
    int n_packed;
};

/* recompute.c: gives the plan a copy of the graph in which some activations are computed again (cfg.recompute). */
bnf_status bnf_plan_recompute(bnf_plan *p);
/* schedule.c: node_segment and n_segments of the graph as it is. */
bnf_status bnf_plan_assign_segments(bnf_plan *p);
/* schedule.c: which nodes are needed, in which segment. Fills node_segment, n_segments, segments' node lists. */
bnf_status bnf_plan_schedule(bnf_plan *p);
/* cuts.c: divides segments further (bnf_plan_config.cuts); node_segment and n_segments change. */
bnf_status bnf_plan_cut(bnf_plan *p);
/* memory.c: where every value lives. Early: lives, reduce slots, fixed memory. Late, when kernels have been chosen:
 * sizes of slots, offsets. */
bnf_status bnf_plan_place_early(bnf_plan *p, void **lives);
bnf_status bnf_plan_place_late(bnf_plan *p, void *lives);
/* walk.c: order of leaves and additions for threads and rank. */
bnf_status bnf_plan_walks(bnf_plan *p);

/* Size of the graph's real type. */
static inline size_t bnf_plan_real(const bnf_plan *p)
{
    return bnf_dtype_size(p->graph->base.real);
}

/* Buffer `index` of the segment's pool. */
static inline char *bnf_plan_buffer(const bnf_plan *p, const bnf_segment *s, int index)
{
    return s->pool + (size_t)index * (size_t)s->elements * bnf_plan_real(p);
}

#endif
