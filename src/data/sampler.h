/* data/sampler.h - which samples a step takes.
 *
 * A draw is a pure function of (configuration, seed, step): every rank computes the whole of it, on any number of
 * ranks, and a resumed run needs to know nothing but its step. Samplers by epoch take every sample once per epoch;
 * samplers by step draw anew in every step, independently of all others.
 *
 *   kind                 by     samples of a step                                            size of a step
 *   shuffle              epoch  the next of the epoch's random order (data/order.h)          batch; the rest at the end
 *   sequential           epoch  the next in the order of the file                            the same
 *   replacement          step   each drawn from all                                          batch
 *   without_replacement  step   a random subset of that size                                 batch
 *   poisson              step   every sample for itself with probability `rate`              varies around rate * count
 *   stratified           step   a random subset of given size of every stratum               see bnf_allocation
 *   cluster              step   all samples of some clusters, which are drawn without        varies if clusters do
 *                               replacement
 *
 * A subset is laid out in random order, but for poisson's, which ascends. */
#ifndef BNF_DATA_SAMPLER_H
#define BNF_DATA_SAMPLER_H

#include <banff/base.h>
#include <stdbool.h>

typedef enum bnf_sampler_kind {
    BNF_SAMPLER_SHUFFLE = 0,
    BNF_SAMPLER_SEQUENTIAL,
    BNF_SAMPLER_REPLACEMENT,
    BNF_SAMPLER_WITHOUT_REPLACEMENT,
    BNF_SAMPLER_POISSON,
    BNF_SAMPLER_STRATIFIED,
    BNF_SAMPLER_CLUSTER,
    BNF_SAMPLER_COUNT
} bnf_sampler_kind;

/* How many samples a step takes of stratum h, which has n_h of the n samples. */
typedef enum bnf_allocation {
    BNF_ALLOCATION_PROPORTIONAL = 0, /* rate * n_h */
    BNF_ALLOCATION_FIXED,            /* sizes[h] */
    BNF_ALLOCATION_NEYMAN, /* batch * n_h s_h / sum n_k s_k with the deviations s (Neyman 1934); a stratum that
                                        would give more than it has gives all, and the others share what is left */
    BNF_ALLOCATION_COUNT
} bnf_allocation;

/* What becomes of the fraction f of a size, stratum by stratum (so the sizes need not add up to the batch). */
typedef enum bnf_rounding {
    BNF_ROUNDING_RANDOMISED = 0, /* up with probability f, anew in every step: exact inclusion probabilities */
    BNF_ROUNDING_DETERMINISTIC,  /* up if f >= 1/2 */
    BNF_ROUNDING_COUNT
} bnf_rounding;

/* Zeros: not given. What a kind does not use must not be given. */
typedef struct bnf_sampler_config {
    uint64_t seed;
    bnf_sampler_kind kind;
    int64_t count; /* samples in the set, >= 1 */
    int64_t batch; /* samples of a step, >= 1; where the size varies: aimed at */
    /* by epoch */
    int64_t chunk_rows;  /* samples that lie together in the file, >= 1 */
    int64_t window_rows; /* of the shuffle (data/order.h) */
    bool drop_tail;      /* leave out the samples behind the last full batch of an epoch */
    /* poisson, stratified proportionally */
    double rate; /* in (0,1]; 0: batch / count */
    /* stratified; strata are numbered in ascending order of their values */
    bnf_allocation allocation;
    bnf_rounding rounding;
    int64_t n_sizes, n_deviations; /* as many as there are strata */
    const int64_t *sizes;          /* >= 0, for fixed; borrowed during creation only, like all arrays here */
    const double *deviations;      /* >= 0, for neyman */
    /* cluster */
    int64_t cluster_rows; /* without `group`: clusters are so many neighbours in the file; the last may be smaller */
    int64_t clusters;     /* to draw in a step; 0: so many that they hold `batch` samples on average, one at least */
    /* stratified, cluster */
    const int64_t *group; /* [count] any integer that tells strata or clusters apart */
} bnf_sampler_config;

/* Pairs of data sets that count as neighbours where a step's draw is analysed (privacy): the relation for which the
 * kind's inclusion probabilities say something. */
typedef enum bnf_neighbours {
    BNF_NEIGHBOURS_NONE = 0,           /* steps depend on each other, or sizes on the data: no relation is declared */
    BNF_NEIGHBOURS_ADD_REMOVE,         /* one has one sample more */
    BNF_NEIGHBOURS_REPLACE,            /* one sample differs */
    BNF_NEIGHBOURS_REPLACE_IN_STRATUM, /* one sample differs and stays in its stratum */
    BNF_NEIGHBOURS_REPLACE_CLUSTER     /* one cluster differs */
} bnf_neighbours;

typedef struct bnf_sampler bnf_sampler;

/* [out] sampler owned, release with bnf_sampler_destroy. Errors: BNF_ERR_CONFIG (what does not fit together, in terms
 * of the configuration's keys), BNF_ERR_MEMORY. */
bnf_status bnf_sampler_create(const bnf_sampler_config *config, bnf_sampler **sampler);
void bnf_sampler_destroy(bnf_sampler *sampler); /* NULL is legal */

const char *bnf_sampler_name(bnf_sampler_kind kind); /* "without_replacement" */

/* Whether every step is a draw of its own. */
bool bnf_sampler_by_step(const bnf_sampler *sampler);

/* floor(count / batch) with drop_tail, else ceil: for samplers by step, too, so that an epoch is as long as one that
 * takes every sample once. */
int64_t bnf_sampler_steps_per_epoch(const bnf_sampler *sampler);

/* The samples of a step: index[n], n <= room. A sample may be there twice with replacement only. n may be 0. [out] n.
 * Does not allocate; computes no more than the step's samples need, but for the order of a new epoch. Not thread-safe.
 * Errors: BNF_ERR_CONFIG if there are more than `room`: a draw is never cut short. */
bnf_status bnf_sampler_draw(bnf_sampler *sampler, int64_t step, int64_t room, int64_t *index, int64_t *n);

/* The least room that a step exceeds with a probability of at most `odds` > 0. For all kinds but poisson no step
 * exceeds it at all; for poisson by Chernoff's bound, so the room may be a little more than needed. */
int64_t bnf_sampler_room(const bnf_sampler *sampler, double odds);

/* Samples of a step on average. */
double bnf_sampler_mean(const bnf_sampler *sampler);

/* The probability that a step holds the sample (at least once). By epoch: of a step drawn at random from an epoch. */
double bnf_sampler_inclusion(const bnf_sampler *sampler, int64_t sample);

bnf_neighbours bnf_sampler_neighbours(const bnf_sampler *sampler);

#endif
