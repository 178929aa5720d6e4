/* recipes/lipschitz/metrics_parts.h - what the files of the metrics share. */
#ifndef BNF_RECIPES_LIPSCHITZ_METRICS_PARTS_H
#define BNF_RECIPES_LIPSCHITZ_METRICS_PARTS_H

#include "base/philox.h"
#include "recipes/lipschitz/metrics.h"
#include "recipes/lipschitz/rank.h"

/* What random numbers are for: keys within BNF_STREAM_EXPLAIN. Counters are (mask, sample, block of numbers). */
typedef enum bnf_metric_draw {
    BNF_METRIC_DRAW_CELLS = 0x6d657401, /* which cells of the board are dropped */
    BNF_METRIC_DRAW_BASELINE,           /* uniform baseline of mufidelity */
    BNF_METRIC_DRAW_NOISE,              /* of stability */
    BNF_METRIC_DRAW_CAUSAL              /* uniform baseline of deletion and insertion */
} bnf_metric_draw;

/* One call of bnf_lipschitz_measure. */
typedef struct bnf_metric_job {
    const bnf_lipschitz_subject *subject;
    const bnf_lipschitz_metric_settings *set;
    int64_t n, area, size; /* samples; pixels; values of a picture */
    const float *pixels;   /* [n, size] */
    const int32_t *classes;
    const int64_t *samples;
    const float *reference;
    const float *const *human;
    double *value;  /* [n, BNF_METRIC_COUNT] */
    float *map;     /* [n, area] the method's */
    int32_t *place; /* [n, area] ranks of pixels (rank.h) */
    /* Rows on their way through the subject's functions. */
    int64_t rows; /* how many there is room for */
    float *x;     /* [rows, size] */
    int32_t *row_class;
    int64_t *row_sample;
    float *y;             /* [rows, size] maps (of area values each) or gradients */
    double *lead;         /* [rows] */
    bnf_rank_item *items; /* [threads, item_count] for correlations */
    int64_t item_count;
} bnf_metric_job;

/* Changed picture `index` of a sample (0..n-1 of the call). May be called by several threads. */
typedef void (*bnf_metric_fill)(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, float *x);
/* Takes the map of that picture. */
typedef void (*bnf_metric_take)(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, const float *map);

/* Scores of `count` changed pictures of every sample: score[n, count]. */
bnf_status bnf_metric_scores(bnf_metric_job *job, int64_t count, bnf_metric_fill fill, void *self, double *score);
/* Maps of them. */
bnf_status bnf_metric_maps(bnf_metric_job *job, int64_t count, bnf_metric_fill fill, bnf_metric_take take, void *self);

/* Uniform numbers of [0,1): out[size], a function of (seed, draw, sample's number, mask). */
void bnf_metric_uniform(const bnf_metric_job *job, bnf_metric_draw draw, int64_t sample, int64_t mask, float *out);

/* This thread's scratch for correlations. */
bnf_rank_item *bnf_metric_items(const bnf_metric_job *job);

static inline double *bnf_metric_at(const bnf_metric_job *job, int64_t sample, bnf_lipschitz_metric m)
{
    return job->value + sample * BNF_METRIC_COUNT + m;
}

bnf_status bnf_metric_causal(bnf_metric_job *job, bool insertion);   /* metrics_masks.c */
bnf_status bnf_metric_mufidelity(bnf_metric_job *job, bool uniform); /* the same */
bnf_status bnf_metric_robustness(bnf_metric_job *job);               /* metrics_attack.c */

#endif
