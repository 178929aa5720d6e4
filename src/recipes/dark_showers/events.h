/* recipes/dark_showers/events.h - scores of events, from what the network says of their images.
 *
 * An event is one image, or several that stand one after the other in the set (the sectors of
 * `banff synth showers --sectors`). */
#ifndef BNF_RECIPES_DARK_SHOWERS_EVENTS_H
#define BNF_RECIPES_DARK_SHOWERS_EVENTS_H

#include "train/run.h"

#define BNF_DARK_MAX_SCORES 32
#define BNF_DARK_MAX_AUX 4 /* components of Z_m that are scores */

/* What is high for signal, if the score is any good. Over the images of an event:
 *
 *   hits              cells that are hit                      sum
 *   hits_spread       how unevenly they lie in its images     standard deviation, of several images
 *   bce, mse, kl      of the reconstruction; of Z             sum
 *   energy            predicted cells                         sum
 *   energy_diff       |predicted - true|                      of the sums
 *   dice              (sum p^2 + sum x^2) / (2 sum p x)       of the sums
 *   z_m0, z_m1, ...   components of Z_m                       mean
 *   z_m_unit0, ...    of Z_m / |Z_m| (0 where Z_m is 0)       mean
 *   mahalanobis       of Z from that of the background        root of the sum of squares
 *   mahalanobis_z_m   the same of Z_m
 *   signal            1 - P(class 0)                          mean
 *   log_odds          log of (1 - P) / P of class 0           sum
 *
 * Which there are depends on the network. */
typedef struct bnf_dark_score {
    char name[24];
    double *value; /* [events] owned */
} bnf_dark_score;

typedef struct bnf_dark_events {
    int64_t count, images; /* events; images of each */
    int32_t *label;        /* [count] owned */
    int n;                 /* scores; the first is hits */
    bnf_dark_score score[BNF_DARK_MAX_SCORES];
} bnf_dark_events;

/* Values of all images of a part, on every rank. */
typedef struct bnf_dark_images {
    int64_t count;
    const bnf_run_output *outputs; /* [n] of the names "hits", "bce", ... and "logits"; [count, columns] each */
    int n;
    const double *z_square, *z_m_square; /* [count] squared Mahalanobis distances; NULL: none */
} bnf_dark_images;

/* labels[images->count]. Local. [out] events, release with bnf_dark_events_release whatever the result. Errors:
 * BNF_ERR_CONFIG if the images do not make whole events of one label; BNF_ERR_FORMAT without images; BNF_ERR_MEMORY. */
bnf_status bnf_dark_events_create(const bnf_dark_images *images, const int32_t *labels, int64_t images_per_event,
                                  bnf_dark_events *events);
void bnf_dark_events_release(bnf_dark_events *events); /* legal on a zeroed one */

/* The score of that name; NULL if there is none. */
const double *bnf_dark_events_find(const bnf_dark_events *events, const char *name);

#endif
