/* dist/pipeline.h - sums of gradients on their way to owners and new values on their way back, while others compute.
 *
 * The gradients of each group of a plan are cut into buckets, contiguous slices that are flows of their own
 * (comm/flow.h). What is started when, and by whom it is moved on, is the policy; results do not depend on it. All
 * functions are called by the thread that runs the plan. */
#ifndef BNF_DIST_PIPELINE_H
#define BNF_DIST_PIPELINE_H

#include "dist/shared.h"

typedef struct bnf_pipeline bnf_pipeline;

/* New values that travel together: value[owner_offset[ranks]], ordered by owner. */
typedef struct bnf_pipeline_spread {
    float *value;
    const int64_t *owner_offset; /* [ranks + 1] */
} bnf_pipeline_spread;

/* Makes the flows for a plan and for n_spreads sets of new values, and hooks itself into the plan unless the policy
 * is blocking. Memory that is passed in is borrowed. Collective. [out] pipeline owned. Errors: BNF_ERR_MEMORY,
 * shared[bnf_params_count]: what all ranks own together, NULL for other parameters; their sums go to slices, each by a
 * flow of its own. BNF_ERR_UNSUPPORTED (a communication thread where MPI allows none), the same on every rank. */
bnf_status bnf_pipeline_create(const bnf_comm *comm, bnf_plan *plan, const bnf_dist_config *config,
                               const bnf_pipeline_spread *spreads, int n_spreads, bnf_shared *const *shared,
                               bnf_pipeline **pipeline);
/* Every flow must have ended (bnf_pipeline_drop). The plan may be gone already. NULL is legal. */
void bnf_pipeline_destroy(bnf_pipeline *pipeline);

bool bnf_pipeline_serves(const bnf_pipeline *pipeline, const bnf_plan *plan);

/* Waits for the sums of group g. [out] root: where the group's element i would be; only those that this rank owns
 * are there. Valid until the next run of the plan. */
bnf_status bnf_pipeline_collect(bnf_pipeline *pipeline, int g, float **root);

/* Starts the spread of set b; waits for it. All ranks start them in the same order. */
bnf_status bnf_pipeline_spread_start(bnf_pipeline *pipeline, int b);
bnf_status bnf_pipeline_spread_wait(bnf_pipeline *pipeline, int b);

/* Moves on what is under way. Cheap. */
void bnf_pipeline_poll(bnf_pipeline *pipeline);

/* Ends a step that goes no further: what other ranks may have started is started here, too, and all is waited for. */
bnf_status bnf_pipeline_drop(bnf_pipeline *pipeline);

/* Seconds since the last call in which this thread started or waited for messages and did nothing else, and in which it
 * moved them on between operations. */
void bnf_pipeline_seconds(bnf_pipeline *pipeline, double *exposed, double *polling);

#endif
