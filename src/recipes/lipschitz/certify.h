/* recipes/lipschitz/certify.h - `banff certify`: how far every sample may be moved without changing its class,
 * proven. */
#ifndef BNF_RECIPES_LIPSCHITZ_CERTIFY_H
#define BNF_RECIPES_LIPSCHITZ_CERTIFY_H

#include "recipes/lipschitz/bound.h"
#include "train/options.h"
#include "train/run.h"

/* One sample. Radii are Euclidean distances of pixels (net.h), rounded down; 0: nothing is certified. Within its
 * radius a sample's class cannot change, whatever the perturbation. */
typedef struct bnf_lipschitz_sample {
    int32_t label, predicted; /* predicted: by the exact network (f64) */
    double radius;            /* of the exact function of the stored weights */
    double radius_f32;        /* and of its evaluation in f32, by whatever kernels, at every point of the ball */
    double half,
        root; /* the published forms (f1 - f2) / (2 L), L: of one logit; (f1 - f2) / (sqrt(2) L), L: of the network */
    double margin;               /* f1 - f2; with one output |f| */
    double error_f64, error_f32; /* bounds of the rounding error of that margin: at the sample; within the radius */
    double seen_f32;             /* how far the logits of the f32 kernels were from the f64 ones, at most */
    bool seen_ok;                /* that is within what rounding explains */
} bnf_lipschitz_sample;

typedef struct bnf_lipschitz_certificate {
    bnf_lipschitz_net net;
    bnf_lipschitz_bounds bounds;
    bnf_split split;
    int64_t count;
    bnf_lipschitz_sample *samples; /* [count], in the order of the file; the same on every rank */
    int64_t right, right_f32;      /* classified rightly by the exact network; by the f32 kernels */
} bnf_lipschitz_certificate;

/* The first `limit` samples of a split (0: all). Collective; the same bits on every rank and for any number of ranks
 * and threads.
 *
 * With y the largest logit f_y of a sample, L the bound from pixels to features (bound.h) and e the bound of the
 * rounding error (rounding.h): radius = min over j of (f_y - f_j - e) / (L ||w_y - w_j||), with one output |f| - e
 * over L ||w||. Logits are those of recipes/lipschitz/forward.h. [out] certificate owned, release with
 * bnf_lipschitz_certificate_release. Errors: BNF_ERR_NUMERIC also if the f32 kernels' logits differ from the f64 ones
 * by more than rounding explains (names the sample). */
bnf_status bnf_lipschitz_certificate_create(bnf_run *run, bnf_split split, int64_t limit,
                                            bnf_lipschitz_certificate *certificate);
/* One sample of c->net under c->bounds: fills all but label, seen_f32 and seen_ok. logits, norms: of forward.h;
 * pixels: bound of the norm of its pixels. */
void bnf_lipschitz_certify_sample(const bnf_lipschitz_certificate *c, const double *logits, const double *norms,
                                  double pixels, bnf_lipschitz_sample *sample);
void bnf_lipschitz_certificate_release(bnf_lipschitz_certificate *certificate); /* legal on a zeroed one */

/* Which of a sample's radii. */
typedef enum bnf_lipschitz_form {
    BNF_LIPSCHITZ_EXACT = 0,
    BNF_LIPSCHITZ_F32,
    BNF_LIPSCHITZ_HALF,
    BNF_LIPSCHITZ_ROOT,
    BNF_LIPSCHITZ_FORMS
} bnf_lipschitz_form;

/* The radius, 0 if the sample is classified wrongly. */
double bnf_lipschitz_radius(const bnf_lipschitz_sample *sample, bnf_lipschitz_form form);
/* Mean of it over all samples; share of samples where it is at least r > 0 (r = 0: the share that is right). */
double bnf_lipschitz_mean_radius(const bnf_lipschitz_certificate *certificate, bnf_lipschitz_form form);
double bnf_lipschitz_certified(const bnf_lipschitz_certificate *certificate, bnf_lipschitz_form form, double r);

/* Certificates too small to matter: the mean radius is below 1/255, the smallest change that a stored picture can
 * have. */
bool bnf_lipschitz_useless(const bnf_lipschitz_certificate *certificate);

#define BNF_LIPSCHITZ_RADII "36/255,72/255,108/255,1"

/* The recipe's `certify`: settings samples, split, radii; writes FOLDER/certificate.json and certificate.txt. */
bnf_status bnf_lipschitz_certify(bnf_run *run, const char *const *options, int n_options, bnf_buf *text);

#endif
