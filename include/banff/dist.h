/* banff/dist.h - one update path for plain and constrained parameters: gradients are reduced to the owner, the owner
 * updates the raw weight and computes the effective one, owners broadcast.
 *
 * The owner of a parameter holds its raw weight, which may have a shape of its own, the optimiser's state and the
 * reparametrisation; every rank holds the effective weight (in bnf_params). Of what all ranks own together
 * (BNF_OWNER_ALL) each holds a slice. All functions are collective over the communicator unless they say otherwise, and
 * their results do not depend on the number of ranks or threads. */
#ifndef BANFF_DIST_H
#define BANFF_DIST_H

#include <banff/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives every parameter to a rank such that the dearest rank has little more than its share: in descending order of
 * cost, each to the rank with the least so far. Cost = the reparametrisation's flops plus the memory-bound update's.
 * A function of the store and the number of ranks alone; results of training do not depend on it.
 *   owner[bnf_params_count]  [out] */
bnf_status bnf_owners_assign(const bnf_params *params, int ranks, int *owner);

/* The same, but trainable parameters of more than `above` elements belong to all ranks together (BNF_OWNER_ALL), on one
 * rank as well: what they become depends on that, not on the number of ranks. 0: none does; nor do those whose
 * reparametrisation is made for one owner only. */
bnf_status bnf_owners_assign_shared(const bnf_params *params, int ranks, int64_t above, int *owner);

/* What the updater needs to know of an optimiser (src/optim is glued on in src/train). Thread-safe for different
 * parameters. */
typedef struct bnf_update_rule {
    void *self;
    int n_states; /* arrays of the raw weight's size, start as zeros */
    const char *(*state_name)(void *self, int i);
    /* NULL unless the step of an element depends on norms of the whole parameter. Before the update and with its
     * arguments: [out] sums[2] over n elements of the raw weight. Called with all elements, or of a parameter that all
     * ranks own together block by block (of 4096 elements), and the blocks' sums are added in their order. Changes
     * nothing else. */
    void (*measure)(void *self, int param, const float *value, const float *grad, float *const *state, int64_t n,
                    double grad_scale, int64_t step, double sums[2]);
    /* value -= step; grad_scale is the clipping factor; `step` counts from 0; sums[2] of the whole parameter, NULL
     * without `measure`. Element by element: any part of the arrays may be passed alone. */
    void (*update)(void *self, int param, float *value, const float *grad, float *const *state, int64_t n,
                   double grad_scale, int64_t step, const double *sums);
    double (*sumsq)(const float *x, int64_t n);     /* in a fixed order */
    double (*clip)(void *self, double total_sumsq); /* factor for all gradients */
    /* NULL, or the factor for the gradient of one (raw) parameter, from its sum of squares after the reduction, beside
     * that of `clip`: grad_scale is their product. The sum of a parameter that all ranks own together is over all. */
    double (*clip_variable)(void *self, double sumsq);
} bnf_update_rule;

typedef struct bnf_update_stats {
    double grad_norm; /* global, before clipping, of the raw parameters' gradients */
    bool finite;      /* false: nothing was updated */
    double reduce_seconds, update_seconds, broadcast_seconds; /* on this rank; update includes the reparametrisation */
    double exposed_seconds; /* in which this rank's main thread did nothing but start and wait for messages of gradients
                               and new values, in the step and in the run of the plan before it; waiting for ranks that
                               compute longer counts, too */
    double polling_seconds; /* in which it moved messages on between operations */
    double constraint_seconds; /* processor time of this rank's threads in reparametrisations, there and back, of what
                                  it owns alone */
} bnf_update_stats;

/* Who moves messages on while a plan computes. */
typedef enum bnf_dist_progress {
    BNF_DIST_BLOCKING = 0, /* nobody: sent after the run */
    BNF_DIST_POLL,         /* the main thread, between operations */
    BNF_DIST_THREAD        /* a thread of its own */
} bnf_dist_progress;

/* How gradients and new values travel; changes no result. */
typedef struct bnf_dist_config {
    int progress;        /* bnf_dist_progress */
    int algorithm;       /* 0: by ranks and size; 1: direct to owners; 2: halving along the tree */
    int64_t bucket;      /* bytes that travel as one; 0: by ranks and algorithm */
    double poll_seconds; /* at least so long between two looks at messages */
} bnf_dist_config;
bnf_dist_config bnf_dist_config_default(void);

typedef struct bnf_updater bnf_updater;

/* params must hold the initial raw values (bnf_params_init) on every rank; afterwards they hold the effective ones.
 *   comm    borrowed; NULL = this process alone      owner[count]  as given to the plans; copied
 * Errors: BNF_ERR_MEMORY, those of the reparametrisations; the same status on every rank. */
bnf_status bnf_updater_create(const bnf_comm *comm, bnf_params *params, const int *owner, const bnf_update_rule *rule,
                              int threads, bnf_updater **updater);
void bnf_updater_destroy(bnf_updater *updater);

/* Says how the gradients of `plan` travel, until the next attach; hooks the updater into the plan where policies want
 * that. To be called between steps, with the plan of the steps before still alive or gone. Collective. Errors:
 * BNF_ERR_MEMORY, BNF_ERR_UNSUPPORTED (BNF_DIST_THREAD where MPI was started without threads). */
bnf_status bnf_updater_attach(bnf_updater *updater, bnf_plan *plan, const bnf_dist_config *config);

/* Waits for new values that are still on their way: with policies other than blocking, a step leaves them travelling,
 * and the next run of the attached plan waits for each when it is read. To be called before anything else looks at the
 * parameters. Collective. Errors: those of the last step. */
bnf_status bnf_updater_settle(bnf_updater *updater);

/* After a run of the attached plan that failed or whose gradients are not wanted, instead of a step: ends what the
 * run has started. */
bnf_status bnf_updater_drop(bnf_updater *updater);

/* One update from the gradients that `plan` has just computed. A plan that was not attached is, blocking. */
bnf_status bnf_updater_step(bnf_updater *updater, bnf_plan *plan, int64_t step, bnf_update_stats *stats);

/* --- state, for checkpoints and for export ------------------------------------------------------------------------ */

/* Arrays of a parameter: raw weight, optimiser states, state of the reparametrisation. A non-trainable state has one,
 * its value. */
int bnf_updater_arrays(const bnf_updater *updater, int param);
/* Name ("raw", "moment1", "reparam"), element type (f32, the reparametrisation's f64) and count; the same on every
 * rank. Not collective. */
void bnf_updater_array_info(const bnf_updater *updater, int param, int array, const char **name, bnf_dtype *dtype,
                            int64_t *count);
/* The rank that holds a parameter's arrays; rank 0 for a state, whose value every rank has, and for what all ranks own
 * together, which rank 0 gets by bnf_updater_gather. Not collective. */
int bnf_updater_owner(const bnf_updater *updater, int param);
/* Whether all ranks own it together: its arrays can be gathered and put on every rank. Not collective. */
bool bnf_updater_shared(const bnf_updater *updater, int param);
/* The array [count] on that rank, unless all ranks own it together. Borrowed, until the next update or the next call
 * for this parameter. Not collective. */
const void *bnf_updater_own(bnf_updater *updater, int param, int array);
/* Brings the array to rank 0: data[count] there, may be NULL elsewhere. */
bnf_status bnf_updater_gather(bnf_updater *updater, int param, int array, void *data);
/* Gives the owner the array that every rank passes in (only the owner's copy is read). Not collective. Errors:
 * BNF_ERR_FORMAT if it cannot be the state of a reparametrisation. */
bnf_status bnf_updater_put(bnf_updater *updater, int param, int array, const void *data);
/* After all arrays have been put: computes effective weights again and broadcasts them. Bits are those at the time of
 * the gather. */
bnf_status bnf_updater_restore(bnf_updater *updater);

#ifdef __cplusplus
}
#endif
#endif
