/* ops/op.h - what an operation is: shape rule, kernels in order of preference, gradient.
 *
 * An operation maps arrays of one leaf (a fixed slice of the global batch) to arrays of that leaf, on one thread. It
 * knows nothing of batches, ranks or threads. One file per operation (or family); ops/table.inc lists them. */
#ifndef BNF_OPS_OP_H
#define BNF_OPS_OP_H

#include <banff/ops.h>
#include <banff/tensor.h>

#define BNF_OP_MAX_IN 8
#define BNF_OP_MAX_OUT 3

typedef struct bnf_op bnf_op;

/* One use of an operation, as shape rules and kernels see it. Borrowed; lives as long as the plan. */
typedef struct bnf_op_inst {
    const bnf_op *op;
    const void *attr; /* op->attr_size bytes; NULL if the operation has none */
    int n_in, n_out;
    bnf_desc in[BNF_OP_MAX_IN], out[BNF_OP_MAX_OUT];
    bool in_is_param[BNF_OP_MAX_IN];   /* this input is a parameter: a kernel may ask for it packed */
    bool out_may_pack[BNF_OP_MAX_OUT]; /* this output is a parameter's gradient and nothing else: may be left packed */
    double occupancy[BNF_OP_MAX_IN];   /* share of this input's elements that are not zero, as measured; 0: unknown */
    uint32_t layer;                    /* distinct per node of a graph: the key of random operations */
    int threads;                       /* run() is called with ctx->thread in [0, threads) */
} bnf_op_inst;

/* What differs from run to run. */
typedef struct bnf_run_ctx {
    int thread;           /* 0 ... threads-1; calls with different values may run at the same time */
    int64_t leaf;         /* global leaf index, -1 for batch-level values */
    int64_t first_sample; /* position in the global batch of the leaf's sample 0 */
    uint64_t seed;        /* of the run */
    int64_t step;         /* training step */
} bnf_run_ctx;

/* A parameter layout that belongs to one kernel. pack: plain -> packed, unpack: packed -> plain. Either may be NULL
 * where it is never needed. Thread-safe (different buffers). Two packs with equal `key` and `bytes` are the same
 * layout. */
typedef struct bnf_pack {
    size_t bytes;
    uint64_t key;
    void *impl; /* owned by the kernel's state */
    void (*pack)(const struct bnf_pack *p, const void *plain, void *packed);
    void (*unpack)(const struct bnf_pack *p, const void *packed, void *plain);
} bnf_pack;

/* A kernel made for one use. Filled by create(). */
typedef struct bnf_kernel_plan {
    const struct bnf_kernel *kernel;
    void *state;
    size_t scratch_bytes;                     /* per thread, granted at run time, 64-byte aligned */
    const bnf_pack *in_pack[BNF_OP_MAX_IN];   /* non-NULL: wants this (parameter) input packed; borrowed from state */
    const bnf_pack *out_pack[BNF_OP_MAX_OUT]; /* non-NULL: leaves this (gradient) output packed; borrowed from state */
} bnf_kernel_plan;

typedef struct bnf_kernel {
    const char *name; /* "dnnl", "simd", "ref" */
    /* Fills k->state etc. BNF_ERR_UNSUPPORTED (with no message needed) = refuses this use: the next kernel in the
     * list is asked. NULL = always accepts, no state. After any failure nothing is left to destroy. */
    bnf_status (*create)(const bnf_op_inst *inst, bnf_kernel_plan *k);
    /* Never fails, never allocates. Arrays are aligned to their element at least. Outputs do not overlap inputs
     * unless op->inplace allows. */
    void (*run)(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                void *const *out, void *scratch);
    void (*destroy)(bnf_kernel_plan *k); /* NULL = nothing to do */
} bnf_kernel;

struct bnf_op {
    const char *name;
    int n_in_min, n_in_max, n_out;
    size_t attr_size;
    /* Checks in[] and attr, sets out[]. Errors: BNF_ERR_ARG with a message naming the operation and the shapes. */
    bnf_status (*infer)(bnf_op_inst *inst);
    /* Emits the nodes of the vector-Jacobian product. dout[i] invalid (id < 0) = no gradient flows into output i; set
     * din[i] for every input where bnf_needs_grad(b, in[i]); leave the others. `out` = the node's outputs. NULL = not
     * differentiable: an error if a gradient is asked for. Gradients have the shape of their value. */
    void (*vjp)(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out, const bnf_val *dout,
                bnf_val *din);
    const bnf_kernel
        *kernels; /* order of preference; the last is the plain C reference for f32 and f64; ends with name NULL */
    /* The same for uses with bf16 arrays; NULL = none. What none of them takes runs on `kernels` in f32, converted on
     * the way in and out (ops/wide.h): no operation has to care about bf16. */
    const bnf_kernel *bf16_kernels;
    uint32_t f32_in;  /* bit i: input i is a weight, statistic or the like, which is f32 where the others are bf16 */
    uint32_t inplace; /* bit i: output 0 may share the buffer of input i (same bytes) */
    uint32_t flags;
    double (*flops)(const bnf_op_inst *inst); /* multiply-adds count 2; NULL = not counted */
};

enum {
    BNF_OP_ALIAS = 1,     /* output 0 is input 0 under another shape: no kernel runs */
    BNF_OP_BATCH_SUM = 2, /* sum over all leaves of the batch; the executor does it */
    BNF_OP_LEAF = 4,      /* result belongs to the leaf even if all inputs are batch-level */
    BNF_OP_RANDOM = 8,    /* uses ctx->seed, step, sample */
    BNF_OP_CHEAP = 16,    /* one pass over its inputs: computing it again costs little more than reading its result */
    /* What may be computed piece by piece, where all arrays of a use but those of f32_in have that many pieces. */
    BNF_OP_BY_ELEMENT = 32, /* element i of the outputs depends on element i of the inputs */
    BNF_OP_BY_ROW = 64,     /* likewise rows: all dimensions but the last */
    BNF_OP_BY_SAMPLE = 128, /* likewise samples: dimension 0 */
    BNF_OP_WEIGHT = 256     /* input 1 is a weight: beside a bf16 input 0 it is f32 and counts rounded to bf16 */
};

/* Which use of an operation made a value. Borrowed pointers, valid until the next emit. */
typedef struct bnf_op_use {
    const bnf_op *op;
    const void *attr;
    int n_in;
    bnf_val in[BNF_OP_MAX_IN];
} bnf_op_use;

/* The builder that operations emit into: bnf_graph implements it, operations only see this face. */
struct bnf_builder {
    /* Adds a node. Returns BNF_OK and the outputs, or records the error in the builder. */
    bnf_status (*emit)(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in, bnf_val *out);
    const bnf_desc *(*desc)(const bnf_builder *b, bnf_val v); /* borrowed; v must be valid */
    bool (*needs_grad)(const bnf_builder *b, bnf_val v);
    bnf_val (*constant)(bnf_builder *b, double value); /* scalar [1] of the graph's real type */
    /* [out] use  that made v; false if v is no operation's output 0. NULL: operations are not joined (ops/fuse.h). */
    bool (*producer)(const bnf_builder *b, bnf_val v, bnf_op_use *use);
    bnf_dtype real; /* BNF_F32 or BNF_F64 */
    bool training;
    int64_t leaves; /* leaves of the global batch */
};

/* Emits a node; returns output 0, or an invalid value after an error (recorded in the builder; later emits with an
 * invalid input quietly return invalid values, so that a builder function can be written as one expression). */
bnf_val bnf_emit(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in);
/* The same for operations with several outputs: all go to out[op->n_out]. */
void bnf_emit_multi(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in, bnf_val *out);

/* All operations, in the order of ops/table.inc. */
extern const bnf_op *const bnf_op_table[];
extern const int bnf_op_table_size;
/* By name; NULL if there is none. */
const bnf_op *bnf_op_find(const char *name);

/* The kernel for a use with inferred outputs: the first that takes it; with `reference`, the last of the operation's
 * list. [out] k  made; the caller ends it with k->kernel->destroy, if that is set. Errors: BNF_ERR_UNSUPPORTED. */
bnf_status bnf_op_choose(const bnf_op_inst *inst, bool reference, bnf_kernel_plan *k);

/* Shared by shape rules: fails with "op: message (in0 f32[..], in1 ...)". */
bnf_status bnf_op_fail(const bnf_op_inst *inst, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
