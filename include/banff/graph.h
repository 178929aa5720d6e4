/* banff/graph.h - parameters, graph under construction, automatic differentiation, and the plan that replays a step.
 *
 * A graph describes the work of one leaf plus what is summed over all leaves of the global batch. Values are
 * leaf-level (one array per leaf: inputs and what depends on them) or batch-level (one array for the whole batch:
 * parameters, constants, batch sums and what depends only on them). A plan compiles a graph for given leaves, threads
 * and ranks and runs it without allocating. */
#ifndef BANFF_GRAPH_H
#define BANFF_GRAPH_H

#include <banff/comm.h>
#include <banff/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- parameters --------------------------------------------------------------------------------------------------- */

/* How the owner of a parameter turns the raw weight that is optimised into the effective one that the network uses,
 * e.g. spectral normalisation. Made by a factory on the owner only. Raw arrays have the elements of the raw shape,
 * effective ones those of the parameter's; all have the store's real type and do not overlap. */
typedef struct bnf_reparam {
    void *self;
    bnf_status (*forward)(void *self, const void *raw, void *effective);
    /* Gradient of the last forward, which saw the same raw: d_effective -> d_raw. Fails only where it is collective. */
    bnf_status (*backward)(void *self, const void *raw, const void *d_effective, void *d_raw);
    /* Persistent state (e.g. the singular vector). `get` gives the one in which the last forward began: after `set`
     * of it, forward on the same raw weight repeats that forward bit for bit, which is what a checkpoint needs.
     * state_count 0: none, both may be NULL. */
    int64_t state_count;
    void (*state_get)(void *self, double *state);
    bnf_status (*state_set)(void *self, const double *state);
    void (*destroy)(void *self);
} bnf_reparam;

typedef struct bnf_reparam_factory {
    const char *name; /* for reports: "spectral", "bjorck", ... */
    double cost;      /* estimated flops per step, forward and backward: balances owners */
    const void *config;
    size_t config_size; /* bytes copied into the store */
    bnf_desc raw;       /* shape of the raw weight, of the parameter's element type; zeroed: the parameter's */
    /* Initial raw values: w[raw elements] holds those that bnf_param_info.init draws, and gets those to begin with. A
     * function of its arguments alone. NULL: the drawn ones. */
    bnf_status (*init)(const void *config, const bnf_desc *raw, double *w);
    /* desc: of the effective weight. [out] made: self owned by the caller, released by made->destroy. */
    bnf_status (*make)(const void *config, const bnf_desc *desc, bnf_reparam *made);
    /* The same for a parameter that all ranks own together: rank r holds the elements [offset[r], offset[r+1]) of every
     * array, and all calls of what is made are collective over comm but state_get and state_set, whose state is whole
     * on every rank. NULL, or a raw weight of another shape: such a parameter has one owner whatever its size. */
    bnf_status (*make_shared)(const void *config, const bnf_desc *desc, const bnf_comm *comm, const int64_t *offset,
                              int threads, bnf_reparam *made);
} bnf_reparam_factory;

typedef enum bnf_init_kind {
    BNF_INIT_CONSTANT = 0, /* a */
    BNF_INIT_NORMAL,       /* mean a, standard deviation b */
    BNF_INIT_UNIFORM,      /* in [a, b) */
    BNF_INIT_ORTHOGONAL    /* rows or columns of the matrix [dim0, rest] orthonormal, times a */
} bnf_init_kind;

typedef struct bnf_init {
    bnf_init_kind kind;
    double a, b;
} bnf_init;

/* A set of named arrays shared by graphs: trainable parameters and state (running statistics). Every rank holds the
 * effective values, bit-identical. */
typedef struct bnf_params bnf_params;

typedef struct bnf_param_info {
    const char *name;
    bnf_desc desc;
    bool trainable;              /* false: state, written by bnf_graph_assign */
    bool decay;                  /* weight decay applies by default (weights yes, biases no) */
    bnf_init init;               /* of the raw weight */
    bnf_reparam_factory reparam; /* make == NULL: the raw weight is the effective one */
} bnf_param_info;

/* Shape of the raw weight: the parameter's own unless its reparametrisation says another. */
static inline const bnf_desc *bnf_param_raw_desc(const bnf_param_info *info)
{
    return info->reparam.make && info->reparam.raw.ndim > 0 ? &info->reparam.raw : &info->desc;
}

/* [out] params owned. real: BNF_F32, or BNF_F64 for gradient checks. */
bnf_status bnf_params_create(bnf_dtype real, bnf_params **params);
void bnf_params_destroy(bnf_params *params);
/* Adds an array; the name must be new. [out] index. Values are zero until bnf_params_init. Copies what info points to.
 * */
bnf_status bnf_params_add(bnf_params *params, const bnf_param_info *info, int *index);
bnf_dtype bnf_params_real(const bnf_params *params);
int bnf_params_count(const bnf_params *params);
int bnf_params_find(const bnf_params *params, const char *name);            /* -1 if absent */
const bnf_param_info *bnf_params_info(const bnf_params *params, int index); /* borrowed */
void *bnf_params_value(bnf_params *params, int index); /* borrowed; call bnf_params_touch after writing */
/* Whether the raw weight has another shape, and so an array of its own: of raw values as the training begins with them,
 * which the updater copies and then leaves alone. Else the place of bnf_params_value. */
bool bnf_params_raw_apart(const bnf_params *params, int index);
void *bnf_params_raw(bnf_params *params, int index);
void bnf_params_touch(bnf_params *params); /* plans repack parameters before the next run */
uint64_t bnf_params_version(const bnf_params *params);
int64_t bnf_params_elements(const bnf_params *params, bool trainable_only); /* of effective values */
int64_t bnf_params_raw_elements(const bnf_params *params, bool trainable_only);
/* Initial raw values: a function of (seed, index, element) only. */
bnf_status bnf_params_init(bnf_params *params, uint64_t seed);

/* --- graph -------------------------------------------------------------------------------------------------------- */

typedef struct bnf_graph bnf_graph;

/* leaves: of the global batch; training: dropout and batch statistics on. params is borrowed and must outlive the
 * graph. */
bnf_status bnf_graph_create(bnf_params *params, int64_t leaves, bool training, bnf_graph **graph);
void bnf_graph_destroy(bnf_graph *graph);
bnf_builder *bnf_graph_builder(bnf_graph *graph);
/* First error of the construction so far (message recorded again). */
bnf_status bnf_graph_status(const bnf_graph *graph);

/* A leaf-level input. desc: shape of one leaf's slice. */
bnf_val bnf_graph_input(bnf_graph *graph, const char *name, const bnf_desc *desc);
/* Says which share of an input's elements is not zero, as measured over a data set: plans choose kernels by it, so that
 * it has to be the same on every rank. 0, as at first: unknown. Results are right whatever the data, but may round
 * otherwise. */
void bnf_graph_set_occupancy(bnf_graph *graph, bnf_val input, double occupancy);
/* The effective value of a parameter or state (the same value at every call). */
bnf_val bnf_graph_param(bnf_graph *graph, int index);
/* Store index of a value that came from bnf_graph_param. */
int bnf_graph_param_index(const bnf_graph *graph, bnf_val param);
/* At the end of each run (bnf_plan_config), state `index` := batch-level `value` (same shape); all states at once, so
 * that values may be those of other states. */
void bnf_graph_assign(bnf_graph *graph, int index, bnf_val value);
/* A batch-level array given by the caller, e.g. a schedule's value; set with bnf_plan_set. */
bnf_val bnf_graph_knob(bnf_graph *graph, const char *name, const bnf_desc *desc);
/* Says that what comes behind `value` may be computed again from it in the backward pass: a good place is where little
 * is alive, such as the input of a residual block (BNF_RECOMPUTE_BLOCKS). */
void bnf_graph_mark(bnf_graph *graph, bnf_val value);
bool bnf_val_is_leaf(const bnf_graph *graph, bnf_val v);
/* The first output of the operation of that name ("conv2d") that was emitted last; BNF_NONE if there is none. */
bnf_val bnf_graph_last(const bnf_graph *graph, const char *op);

/* Gradients of the sum over leaves of scalar `loss` (or of a batch-level scalar). For a parameter: the leaf's
 * contribution, to be summed over leaves; for other values the gradient itself. grads[i] is BNF_NONE where the loss
 * does not depend on wrt[i]. */
bnf_status bnf_graph_gradient(bnf_graph *graph, bnf_val loss, const bnf_val *wrt, int n, bnf_val *grads);
/* Registers the gradients of `loss` with respect to every trainable parameter used so far, for delivery to owners. */
bnf_status bnf_graph_minimize(bnf_graph *graph, bnf_val loss);

/* --- plan --------------------------------------------------------------------------------------------------------- */

typedef struct bnf_plan bnf_plan;

#define BNF_OWNER_ALL (-1) /* all ranks own the parameter together, by slices of its elements */

/* Activations that the backward pass needs: kept, or computed again to save memory. Changes no bit. */
typedef enum bnf_recompute {
    BNF_RECOMPUTE_NEVER = 0,
    BNF_RECOMPUTE_ELEMENTWISE, /* cheap operations of one array, where the array is kept anyway */
    BNF_RECOMPUTE_BLOCKS       /* everything between marked values (bnf_graph_mark), too: one more forward pass */
} bnf_recompute;

struct bnf_spans; /* a recorder of the library's own, for profiles */

typedef struct bnf_plan_config {
    const bnf_comm *comm; /* borrowed; NULL = this process alone */
    int threads;          /* OpenMP threads that take leaves */
    const int *owner; /* [bnf_params_count] rank that owns each parameter, or BNF_OWNER_ALL; NULL = rank 0 owns all */
    bool reference;   /* only reference kernels */
    bool eager;   /* one operation at a time over all leaves, no buffer shared, results checked for NaN and infinity */
    bool profile; /* count time per node */
    bool hold_states; /* states take their new values at bnf_plan_commit, not at the end of a run */
    uint64_t seed;    /* of random operations */
    int cuts; /* at most so many further segment ends in the backward pass, so that gradients of upper layers are final
                 before those of lower ones are computed, and if there are any, one in the forward pass, so that upper
                 layers' weights may arrive late; costs memory for activations of all leaves, changes no bit */
    bnf_recompute recompute;
    int recompute_blocks; /* BNF_RECOMPUTE_BLOCKS: only what stands before the mark of this number, from 0; 0: all */
    bool bf16_sums; /* f32 only: gradients are rounded to bfloat16 before every addition over leaves; other bits, the
                       same for any number of ranks and threads */
    struct bnf_spans *spans; /* borrowed; where threads tell what they are at (lane: thread); NULL: nowhere */
} bnf_plan_config;

/* Compiles; outputs: values to keep after a run. Collective over cfg->comm in effect (ranks must build the same
 * graph), but does not communicate. The graph must outlive the plan; what is emitted later is not part of it. Errors:
 * BNF_ERR_ARG (more ranks than leaves names both numbers), BNF_ERR_UNSUPPORTED, BNF_ERR_MEMORY. */
bnf_status bnf_plan_create(const bnf_plan_config *cfg, bnf_graph *graph, const bnf_val *outputs, int n,
                           bnf_plan **plan);
void bnf_plan_destroy(bnf_plan *plan);

/* Leaves [lo, hi) of this rank. */
void bnf_plan_leaves(const bnf_plan *plan, int *lo, int *hi);
/* data[(hi-lo) * leaf elements], 64-byte aligned, borrowed during runs. */
bnf_status bnf_plan_bind(bnf_plan *plan, bnf_val input, const void *data);
/* Copies `data` into a knob. */
bnf_status bnf_plan_set(bnf_plan *plan, bnf_val knob, const void *data);
/* Runs one step. Collective if the plan has batch sums. The result is a function of the inputs, parameters, seed and
 * step only. */
bnf_status bnf_plan_run(bnf_plan *plan, int64_t step);
/* With hold_states: gives the states the values that the last run computed. Without this call the run leaves no
 * trace, which is what a caller wants who finds that its loss is not finite. Not collective. */
void bnf_plan_commit(bnf_plan *plan);
/* Kept output: leaf-level [(hi-lo) * leaf elements], batch-level [elements]. Borrowed, valid until the next run. */
const void *bnf_plan_output(const bnf_plan *plan, bnf_val v);

/* Gradient sums of this rank after a run, one group per segment that has any; within a group ordered by owner.
 * partial[c]: sum over tree node c of this rank's cover (comm/tree.h), n elements; offset[i]: where params[i]'s
 * gradient starts. */
typedef struct bnf_grad_group {
    int n_params;
    const int *params;           /* parameter indices */
    const int64_t *offset;       /* [n_params] in elements */
    const int64_t *owner_offset; /* [ranks+1] element range of each owner; behind the last: what all own together */
    int64_t n;
    int n_partials;
    const void *const *partial;
    int segment; /* after which it is final */
} bnf_grad_group;
int bnf_plan_grad_groups(const bnf_plan *plan);
/* The same description at any time, without touching the sums. */
const bnf_grad_group *bnf_plan_grad_layout(const bnf_plan *plan, int g);

/* What is told to somebody who sends gradients while the plan computes. All calls come from the thread that called
 * bnf_plan_run; NULL functions are left out. */
typedef struct bnf_plan_hooks {
    void *self;
    /* Group g is final and in plain layout; it stays so until the next run. An error ends the run. */
    bnf_status (*ready)(void *self, int g);
    /* Segment s is about to run: parameters that it reads (bnf_plan_first_read) must be there. */
    bnf_status (*need)(void *self, int s);
    void (*poll)(void *self); /* often: between any two operations of this thread */
    /* Outside of runs, and in runs around the plan's own collective calls, nobody else may send: begins with the end of
     * a run, ends with the beginning of the next. */
    void (*silence)(void *self, bool begin);
} bnf_plan_hooks;
/* hooks: copied; NULL takes them away. */
void bnf_plan_set_hooks(bnf_plan *plan, const bnf_plan_hooks *hooks);
/* The first segment that reads a parameter; above all segments if none does. */
int bnf_plan_first_read(const bnf_plan *plan, int param);
/* Brings group g into plain layout if kernels left it packed, and describes it. Borrowed until the next run. */
const bnf_grad_group *bnf_plan_grad_group(bnf_plan *plan, int g);

/* Planned bytes. */
typedef struct bnf_plan_memory {
    size_t thread_bytes;   /* activations that live within a segment, per thread */
    size_t leaf_bytes;     /* activations that live across segments, per leaf */
    size_t reduce_bytes;   /* gradient and batch-sum buffers, all threads */
    size_t packed_bytes;   /* parameters in kernels' layouts */
    size_t scratch_bytes;  /* per thread */
    size_t unshared_bytes; /* what one leaf's activations would take without reuse */
} bnf_plan_memory;
void bnf_plan_get_memory(const bnf_plan *plan, bnf_plan_memory *memory);
int bnf_plan_segments(const bnf_plan *plan);
bool bnf_plan_bf16_sums(const bnf_plan *plan); /* as configured */
/* Leaves of the global batch. */
int bnf_plan_leaf_count(const bnf_plan *plan);
/* Flops of convolutions and dense layers per run over the whole batch; what is computed again counts once. */
double bnf_plan_flops(const bnf_plan *plan);
/* Per node, with cfg.profile: operation, kernel, shape, seconds over all threads, flops per run on this rank. Returns
 * false past the last node. */
typedef struct bnf_plan_node_stat {
    const char *op, *kernel;
    bnf_desc in[2], out; /* the first inputs and output; zeros where there are fewer */
    bool leaf;           /* runs once per leaf; else once per batch */
    int segment;
    double seconds, flops, bytes;
    int64_t calls;
} bnf_plan_node_stat;
bool bnf_plan_node(const bnf_plan *plan, int index, bnf_plan_node_stat *stat);

#ifdef __cplusplus
}
#endif
#endif
