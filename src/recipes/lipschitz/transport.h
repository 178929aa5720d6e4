/* recipes/lipschitz/transport.h - how near a trained network is to a potential of optimal transport (spec 05): slopes,
 * where x - f grad f leads, and the distance of the classes that it proves. */
#ifndef BNF_RECIPES_LIPSCHITZ_TRANSPORT_H
#define BNF_RECIPES_LIPSCHITZ_TRANSPORT_H

#include "recipes/lipschitz/certify.h"

/* One sample x, as the f32 kernels see it. Its lead is f_y - f_j, the predicted logit minus the largest other one; with
 * one output |f|. g is the gradient of the lead with respect to the pixels. */
typedef struct bnf_lipschitz_transported {
    double lead, slope; /* slope: |g| */
    double plain;       /* |lead at x - lead g| / lead: 0 if that point is on the boundary, as where |g| = 1 */
    double scaled;      /* |lead at x - lead g / |g|^2| / lead: the same for a network of any slope */
} bnf_lipschitz_transported;

typedef struct bnf_lipschitz_transport {
    int64_t count, size;             /* samples; elements of one */
    bnf_lipschitz_transported *item; /* [count] in the order of the file; the same on every rank */
    double *end;                     /* [count, size] x - lead g in pixels; NULL if not asked for */
    /* With one output and both classes among the samples, else NaN: the mean of f over class 1 minus that over class 0,
     * in f64. Divided by a bound of f's Lipschitz constant it is a lower bound of the Wasserstein-1 distance of the two
     * classes' samples (Kantorovich and Rubinstein). It cannot exceed that distance by more than the constant exceeds
     * 1. */
    double kr;
} bnf_lipschitz_transport;

/* Measures the first `limit` samples of a certificate (0: all). ends: keep where x - lead g is. Collective; the same
 * bits on every rank and for any number of ranks and threads. [out] transport owned, release with
 * bnf_lipschitz_transport_release. */
bnf_status bnf_lipschitz_transport_create(bnf_run *run, const bnf_lipschitz_certificate *certificate, int64_t limit,
                                          bool ends, bnf_lipschitz_transport *transport);
void bnf_lipschitz_transport_release(bnf_lipschitz_transport *transport); /* legal on a zeroed one */

/* Which figure of the samples. */
typedef enum bnf_lipschitz_transport_figure {
    BNF_LIPSCHITZ_SLOPE = 0,
    BNF_LIPSCHITZ_PLAIN,
    BNF_LIPSCHITZ_SCALED,
    BNF_LIPSCHITZ_TRANSPORT_FIGURES
} bnf_lipschitz_transport_figure;

/* Its quantiles (linear between neighbours) at share[n], each in [0,1]. value[n]. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_lipschitz_transport_quantiles(const bnf_lipschitz_transport *transport,
                                             bnf_lipschitz_transport_figure figure, int n, const double *share,
                                             double *value);

/* What `banff certify --option transport=1` adds to its text and writes to FOLDER/transport.json. Not collective. */
bnf_status bnf_lipschitz_transport_write(const bnf_run *run, const bnf_lipschitz_certificate *certificate,
                                         const bnf_lipschitz_transport *transport, bnf_buf *text);

#endif
