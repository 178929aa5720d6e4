/* dist/scale.h - how long a training step takes on a cluster that is not there: the real communication schedule
 * (comm/schedule.h) replayed message by message on a described network.
 *
 * What is modelled: every rank computes, with a spread between ranks; a bucket of gradients becomes final at its time
 * in the backward pass and its sum starts; each message waits for the messages that its sender needs, for the sender's
 * host's way out, the receiver's host's way in and the trunks between switches, which carry one message after the other
 * at their bandwidth; ranks of one host exchange through its memory. Additions and a fixed cost per message take time
 * of the rank. Then owners update and the new values spread.
 *
 * What is not: contention inside the switches beyond the trunks' bandwidth, packet loss, the file system, and messages
 * of other jobs. docs/scaling.md has the figures and how the model compares
 * with real runs. Nothing here talks to other ranks. */
#ifndef BNF_DIST_SCALE_H
#define BNF_DIST_SCALE_H

#include "comm/flow.h"

#define BNF_SCALE_MAX_BUCKETS 256

/* Bandwidths in bytes/s, times in s. */
typedef struct bnf_scale_cluster {
    int ranks_per_host;      /* neighbours in rank order share a host */
    int hosts_per_switch;    /* neighbours share a leaf switch; 0: one switch for all */
    double oversubscription; /* bandwidth of a switch's hosts over that of its trunk to the core; 1: full bisection */
    double bandwidth;        /* of a host, each way */
    double latency;          /* between hosts, beside bytes / bandwidth */
    double memory_bandwidth, memory_latency; /* of messages inside a host; its ranks share them */
    double message_seconds;                  /* of a rank's time per message sent or received */
    double add_bandwidth;                    /* bytes of a received message that a rank adds up per second */
} bnf_scale_cluster;

/* f32 elements that travel together. */
typedef struct bnf_scale_bucket {
    const int64_t *owner_offset; /* [ranks + 1] as in a flow; borrowed */
    double at; /* fraction of the computing of a step: gradients are final then, new values needed (the next step) */
} bnf_scale_bucket;

/* A step of one rank. Buckets in the order in which they are started. */
typedef struct bnf_scale_load {
    double compute_seconds; /* forward and backward */
    double spread;          /* relative standard deviation of compute_seconds between ranks and steps */
    double update_seconds;  /* of the owner that has most to do */
    int n_gradients, n_values;
    bnf_scale_bucket gradients[BNF_SCALE_MAX_BUCKETS], values[BNF_SCALE_MAX_BUCKETS];
    int bytes_per_element; /* of gradients on the wire: 4, or 2 with bf16; new values take 4 */
    int32_t leaves_per_rank;
    bnf_flow_algorithm algorithm;
    bool overlap; /* false: nothing travels while ranks compute, as with dist.progress: blocking */
} bnf_scale_load;

typedef struct bnf_scale_result {
    double step_seconds;                   /* from the start to the last rank's last value */
    double compute_seconds;                /* of the slowest rank */
    double reduce_exposed, spread_exposed; /* what the step is longer by */
    double efficiency;       /* compute_seconds of the load, without spread and communication, over step_seconds */
    int64_t bytes, messages; /* most that any rank sends per step */
} bnf_scale_result;

/* Simulates `steps` steps with random numbers of `seed` and averages. A function of its arguments. Memory grows
 * with ranks * log(ranks) * buckets for BNF_FLOW_HALVING, with ranks^2 * buckets for BNF_FLOW_DIRECT, time with
 * ranks^2 * buckets. Errors: BNF_ERR_ARG,
 * BNF_ERR_MEMORY. */
bnf_status bnf_scale_run(const bnf_scale_cluster *cluster, const bnf_scale_load *load, int ranks, int steps,
                         uint64_t seed, bnf_scale_result *result);

#endif
