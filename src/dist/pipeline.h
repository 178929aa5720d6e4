/* dist/pipeline.h - sums of gradients on their way to owners and new values on their way back, while others compute.
 *
 * The gradients of each group of a plan are a flow (comm/flow.h), which travels in buckets: a slice of every owner's
 * elements. So are new values, parcel by parcel. What is started when, and by whom it is moved on, is the policy;
 * results do not depend on it. All functions are called by the thread that runs the plan. */
#ifndef BNF_DIST_PIPELINE_H
#define BNF_DIST_PIPELINE_H

#include "dist/shared.h"

typedef struct bnf_pipeline bnf_pipeline;

/* New values that travel together: value[owner_offset[ranks]], ordered by owner. */
typedef struct bnf_parcel {
    float *value;
    int64_t *owner_offset; /* [ranks + 1] */
    int first_read;        /* segment of the plan that reads one of them first */
} bnf_parcel;

/* Called when parcel b is there. */
typedef void (*bnf_pipeline_arrived)(void *self, int b);

/* Makes the flows for a plan and for parcels, and hooks itself into the plan unless the policy is blocking. Memory that
 * is passed in is borrowed. shared[bnf_params_count]: what all ranks own together, NULL for other parameters; their
 * sums go to slices, each by a flow of its own. Collective. [out] pipeline owned. Errors: BNF_ERR_MEMORY,
 * BNF_ERR_UNSUPPORTED (a communication thread where MPI allows none), the same on every rank. */
bnf_status bnf_pipeline_create(const bnf_comm *comm, bnf_plan *plan, const bnf_dist_config *config,
                               const bnf_parcel *parcels, int n_parcels, bnf_shared *const *shared,
                               bnf_pipeline_arrived arrived, void *self, bnf_pipeline **pipeline);
/* Every flow must have ended (bnf_pipeline_drop). The plan may be gone already. NULL is legal. */
void bnf_pipeline_destroy(bnf_pipeline *pipeline);

bool bnf_pipeline_serves(const bnf_pipeline *pipeline, const bnf_plan *plan);

/* Waits for the sums of group g. [out] root: where the group's element i would be; only those that this rank owns
 * are there. Valid until the next run of the plan. */
bnf_status bnf_pipeline_collect(bnf_pipeline *pipeline, int g, float **root);

/* Sends parcel b on its way; all ranks do so in ascending order. It arrives when a segment of the plan needs it, or in
 * bnf_pipeline_settle. The status of a parcel that could not leave is told there. */
void bnf_pipeline_send(bnf_pipeline *pipeline, int b);
/* Waits for all parcels. */
bnf_status bnf_pipeline_settle(bnf_pipeline *pipeline);
/* Whether parcels may arrive during the next run of the plan. */
bool bnf_pipeline_open(const bnf_pipeline *pipeline);

/* Moves on what is under way. Cheap. */
void bnf_pipeline_poll(bnf_pipeline *pipeline);

/* Ends a step that goes no further: what other ranks may have started is started here, too, and all is waited for. */
bnf_status bnf_pipeline_drop(bnf_pipeline *pipeline);

/* Seconds since the last call in which this thread started or waited for messages and did nothing else, and in which it
 * moved them on between operations. */
void bnf_pipeline_seconds(bnf_pipeline *pipeline, double *exposed, double *polling);

#endif
