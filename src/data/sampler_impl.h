/* data/sampler_impl.h - what the files sampler*.c share. Nobody else includes it. */
#ifndef BNF_DATA_SAMPLER_IMPL_H
#define BNF_DATA_SAMPLER_IMPL_H

#include "base/philox.h"
#include "data/order.h"
#include "data/pick.h"
#include "data/sampler.h"

/* Strata or clusters: the samples of group h are member[start[h]..start[h+1]), or without
 * `member` just these numbers. */
typedef struct bnf_groups {
    int64_t n;
    int64_t *start;  /* [n + 1] */
    int64_t *member; /* [count] or NULL */
    int32_t *of;     /* [count] group of a sample, or NULL: found by `rows` */
    int64_t rows;
} bnf_groups;

/* One kind. */
typedef struct bnf_scheme {
    bool by_step;
    bnf_status (*prepare)(bnf_sampler *s); /* NULL: nothing to do */
    /* Writes the step's samples to index[room] if there is room for all of them; returns how many there are. */
    int64_t (*draw)(bnf_sampler *s, int64_t step, int64_t room, int64_t *index);
    int64_t (*room)(const bnf_sampler *s, double odds);
    double (*mean)(const bnf_sampler *s);
    double (*inclusion)(const bnf_sampler *s, int64_t sample);
    bnf_neighbours (*neighbours)(const bnf_sampler *s);
} bnf_scheme;

extern const bnf_scheme bnf_scheme_shuffle, bnf_scheme_sequential, bnf_scheme_replacement,
    bnf_scheme_without_replacement, bnf_scheme_poisson, bnf_scheme_stratified, bnf_scheme_cluster;

struct bnf_sampler {
    const bnf_scheme *scheme;
    bnf_sampler_config c;
    int64_t steps_per_epoch;
    double rate;
    bnf_order *order;
    bnf_pick *pick;
    bnf_groups groups;
    double *target; /* [groups] samples that a step takes of a stratum, with the fraction */
    int64_t *take;  /* [groups] the same in the step at hand */
};

/* What numbers are drawn for. Values are part of what a step means: append, never renumber. */
enum { BNF_SAMPLER_KEY_PICK = 16, BNF_SAMPLER_KEY_ROUND, BNF_SAMPLER_KEY_MIX };

/* Key for a purpose in a step; the counter's step is (uint32_t)step. */
bnf_philox_key bnf_sampler_key(const bnf_sampler *s, uint64_t purpose, int64_t step);

#endif
