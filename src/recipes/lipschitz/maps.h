/* recipes/lipschitz/maps.h - attribution maps: how much each pixel of a picture has to do with the logit of a class.
 *
 * With f the logit that is explained (one output: times the sign of the class) and g its gradient with respect to the
 * pixels (net.h: u8 images in [0,1]), the maps of a picture x[h,w,c] are, with k over channels:
 *
 *   saliency        max_k |g_k(x)|
 *   smoothgrad      max_k |mean over `draws` of g_k(x + sigma z)|, z standard normal: saliency of an averaged gradient
 *   integrated      sum_k (x_k - baseline) * mean of g_k over the path from the baseline to x, by the trapezoidal rule
 *                   over `steps` points; the sum over a map is f(x) - f(baseline) up to the rule's error
 *   gradient_input  sum_k x_k g_k(x)
 *   gradcam         max(0, sum_j w_j A_j), A_j the channels of the last convolution's output (with its bias, before
 *                   norm and activation), w_j the mean of df/dA_j over positions; bilinear to h x w, pixel centres
 *                   at halves, edges held
 *
 * saliency, smoothgrad and gradcam are never negative; integrated and gradient_input have a sign: positive speaks for
 * the class. The sum over channels is c times the mean that other tools take, which changes no rank and no correlation.
 *
 * All is local to the process: no function here is collective. A row's result is a function of the weights, the
 * settings, its pixels, its class and (smoothgrad) its sample number alone: not of the other rows, of `rows`, of the
 * number of threads or of ranks. */
#ifndef BNF_RECIPES_LIPSCHITZ_MAPS_H
#define BNF_RECIPES_LIPSCHITZ_MAPS_H

#include "recipes/lipschitz/net.h"
#include "train/run.h"

typedef enum bnf_lipschitz_method {
    BNF_LIPSCHITZ_SALIENCY = 0,
    BNF_LIPSCHITZ_SMOOTHGRAD,
    BNF_LIPSCHITZ_INTEGRATED,
    BNF_LIPSCHITZ_GRADIENT_INPUT,
    BNF_LIPSCHITZ_GRADCAM,
    BNF_LIPSCHITZ_METHODS
} bnf_lipschitz_method;

extern const char *const bnf_lipschitz_method_names[BNF_LIPSCHITZ_METHODS + 1]; /* ends with NULL */

/* Can its values be negative? */
static inline bool bnf_lipschitz_method_signed(bnf_lipschitz_method method)
{
    return method == BNF_LIPSCHITZ_INTEGRATED || method == BNF_LIPSCHITZ_GRADIENT_INPUT;
}

/* Is it defined for this network? (gradcam needs a convolution) */
bool bnf_lipschitz_method_suits(bnf_lipschitz_method method, const bnf_lipschitz_net *net);

/* "saliency,gradcam" to chosen[METHODS]; NULL: all that suit the network. Errors: BNF_ERR_CONFIG (unknown name: lists
 * the valid ones; gradcam of a network without convolutions; none at all). */
bnf_status bnf_lipschitz_methods_parse(const char *list, const bnf_lipschitz_net *net, bool *chosen);

typedef struct bnf_lipschitz_maps_settings {
    int64_t draws;   /* smoothgrad: >= 1; like steps at most INT32_MAX */
    double sigma;    /* smoothgrad: standard deviation of the noise, in pixels */
    int64_t steps;   /* integrated: points on the path, >= 2 */
    double baseline; /* integrated: value of all pixels where the path begins */
    uint64_t seed;   /* smoothgrad: z is Philox at (seed, BNF_STREAM_EXPLAIN, layer 0; draw, sample, element / 2) */
} bnf_lipschitz_maps_settings;

/* 50 draws of sigma 0.2, 50 steps from 0, the run's seed. */
bnf_lipschitz_maps_settings bnf_lipschitz_maps_default(const bnf_run *run);

typedef struct bnf_lipschitz_maps bnf_lipschitz_maps;

/* `rows` inputs go through the network at a time, on the run's threads: a multiple of run->threads, and at most what is
 * asked for in one call (rows * draws for smoothgrad), wastes nothing. net and run are borrowed. [out] maps owned. */
bnf_status bnf_lipschitz_maps_create(bnf_run *run, const bnf_lipschitz_net *net,
                                     const bnf_lipschitz_maps_settings *settings, int64_t rows,
                                     bnf_lipschitz_maps **maps);
void bnf_lipschitz_maps_destroy(bnf_lipschitz_maps *maps); /* NULL is legal */

/* Maps of n pictures, any n >= 0: pixels[n,h,w,c], classes[n] (one output: 0 or 1), samples[n] (numbers in the whole
 * split; only smoothgrad reads them, else NULL is legal) -> out[n,h,w]. The networks are built at the first call that
 * needs them. Errors: BNF_ERR_UNSUPPORTED (gradcam without convolutions), BNF_ERR_MEMORY. */
bnf_status bnf_lipschitz_maps_run(bnf_lipschitz_maps *maps, bnf_lipschitz_method method, const float *pixels,
                                  const int32_t *classes, const int64_t *samples, int64_t n, float *out);

/* Logits of n pictures: pixels[n,h,w,c] -> logits[n, net->outputs]. Forward only. */
bnf_status bnf_lipschitz_maps_scores(bnf_lipschitz_maps *maps, const float *pixels, int64_t n, float *logits);

/* Logits, the lead (own logit minus the largest other one; one output: the logit times the sign of the class) and its
 * gradient with respect to the pixels: -> logits[n, net->outputs], lead[n], gradient[n,h,w,c]. */
bnf_status bnf_lipschitz_maps_lead(bnf_lipschitz_maps *maps, const float *pixels, const int32_t *classes, int64_t n,
                                   float *logits, double *lead, float *gradient);

/* Images first...first+n-1 of a split: -> pixels[n,h,w,c] f32, labels[n]. */
bnf_status bnf_lipschitz_read_pixels(bnf_run *run, bnf_split split, const bnf_lipschitz_net *net, int64_t first,
                                     int64_t n, float *pixels, int32_t *labels);

#endif
