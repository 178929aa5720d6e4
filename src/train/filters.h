/* train/filters.h - what the spatial filters of a layer look like taken together, after Gavrikov and Keuper. Local,
 * deterministic. */
#ifndef BNF_TRAIN_FILTERS_H
#define BNF_TRAIN_FILTERS_H

#include "ckpt/checkpoint.h"

/* Filter variance entropy of kernels w[n, positions]: the columns are centred, s_i are the singular values,
 * p_i = s_i^2 / sum of squares, and the entropy is -sum p_i log10 p_i: 0 where all kernels are multiples of one, at
 * most log10(positions) where they vary in all directions alike. 0 if they do not vary at all. Errors: BNF_ERR_MEMORY,
 * BNF_ERR_NUMERIC, BNF_ERR_UNSUPPORTED (more positions than la/eig.h takes). */
bnf_status bnf_filters_entropy(int64_t n, int64_t positions, const float *w, double *entropy);

/* About the entropy of n random 3 x 3 kernels: a fitted logistic curve of log2 n (the authors' library), by which
 * entropies of layers of different sizes are divided. Not positive for n < 3. */
double bnf_filters_random_entropy(int64_t n);

/* [out] map[positions]  variance over all kernels at each position, of kernels divided by the standard deviation of
 * all their elements: 1 everywhere for independent elements. 0 if they do not vary. */
void bnf_filters_variance(int64_t n, int64_t positions, const float *w, double *map);

/* One layer of a checkpoint. */
typedef struct bnf_filters_layer {
    char *name; /* of the weight */
    int64_t out, in, height, width;
    double entropy, relative; /* relative to random ones; NaN unless 3 x 3 and of 3 or more kernels */
    double *map;              /* [height, width] of bnf_filters_variance */
} bnf_filters_layer;

typedef struct bnf_filters {
    bnf_filters_layer *layer; /* [count] in the order of the checkpoint: by name */
    int64_t count;
    double most; /* the largest number in a map */
} bnf_filters;

/* All convolutions of a checkpoint whose kernels have more than one position, by their effective weights. [out] filters
 * owned, release with bnf_filters_release. Errors: BNF_ERR_FORMAT if there are none; BNF_ERR_NUMERIC,
 * BNF_ERR_UNSUPPORTED naming the weight;
 * BNF_ERR_MEMORY, BNF_ERR_IO. */
bnf_status bnf_filters_read(const char *checkpoint, bnf_filters *filters);
void bnf_filters_release(bnf_filters *filters); /* zeroed content is legal */

/* Writes a PNG of all maps on one scale, from 0 (dark) to `most` (light): 8 a row, in the order of the layers. */
bnf_status bnf_filters_draw(const bnf_filters *filters, const char *path);

#endif
