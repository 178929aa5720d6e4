/* recipes/dark_showers/score.h - `banff score`: scores of events, their files, and how good they are. */
#ifndef BNF_RECIPES_DARK_SHOWERS_SCORE_H
#define BNF_RECIPES_DARK_SHOWERS_SCORE_H

#include "recipes/dark_showers/figures.h"

#define BNF_DARK_SHOWN \
    2 /* events of a class that are kept as pictures: the highest and the lowest reconstruction loss */

/* What was asked for, and what came out. */
typedef struct bnf_dark_scoring {
    bnf_run *run;
    bnf_split split;
    const bnf_dataset *dataset;
    int64_t images; /* of an event; 0: as the set says */
    int64_t fit;    /* background images of the training part for the covariance, at most; 0: all */
    double tpr, width, ridge;
    int distance; /* whether there are Mahalanobis distances */
    bnf_dark_events events;
    bnf_dark_figures figures; /* on rank 0 */
    int64_t n_shown;          /* events */
    int64_t *shown;           /* [n_shown] owned */
    float *seen, *made;       /* [n_shown * images, H, W, C] owned: images and reconstructions */
} bnf_dark_scoring;

/* See bnf_recipe.score. Writes FILE.h5 (RUN/scores.h5) and FILE.json, the same bytes for any number of ranks. */
bnf_status bnf_dark_score_command(bnf_run *run, const bnf_score_request *request, bnf_buf *text);

/* score_write.c: on rank 0. path: of the .h5 file; the .json file lies beside it. */
bnf_status bnf_dark_score_write(const bnf_dark_scoring *scoring, const char *path);
void bnf_dark_score_print(const bnf_dark_scoring *scoring, const char *path, bnf_buf *text);

#endif
