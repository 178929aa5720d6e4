/* recipes/lipschitz/pgd.h - attacks by gradients: they try to find, in a ball around each sample, a point of another
 * class. Projected gradient ascent in L2 and L-infinity (Madry et al., Towards Deep Learning Models Resistant to
 * Adversarial Attacks, 2018; with one step from the sample the latter is FGSM, Goodfellow et al., Explaining and
 * Harnessing Adversarial Examples, 2015), and a search along the gradient for the boundary. */
#ifndef BNF_RECIPES_LIPSCHITZ_PGD_H
#define BNF_RECIPES_LIPSCHITZ_PGD_H

#include "recipes/lipschitz/net.h"
#include "train/run.h"

typedef enum bnf_lipschitz_way {
    BNF_LIPSCHITZ_L2 = 0, /* steps along the gradient; balls and distances in L2 */
    BNF_LIPSCHITZ_LINF,   /* steps along its sign; balls (cubes) and distances in L-infinity */
    BNF_LIPSCHITZ_LINE    /* one straight way from the sample along its gradient, in L2: the radius is doubled until the
                           * class turns, then the crossing is closed in by bisection. step and restarts play no part */
} bnf_lipschitz_way;

typedef struct bnf_lipschitz_pgd {
    int64_t steps, restarts; /* the first start is the sample itself, the others are drawn uniformly from the ball */
    double step;             /* length of a step: this times radius / steps */
    bool clip;               /* keep pixels in [0,1] */
    uint32_t round;          /* draws other starts: an attack's number within the run */
    bnf_lipschitz_way way;
} bnf_lipschitz_pgd;

typedef struct bnf_lipschitz_target {
    int64_t sample; /* index in the set */
    int32_t label;  /* right class: that of the unperturbed sample */
    double radius;  /* in pixels, in the way's norm */
} bnf_lipschitz_target;

/* The best over steps and restarts. */
typedef struct bnf_lipschitz_attacked {
    double rival;    /* largest (other logit - label's) that was seen in f32 */
    double flip_f32; /* smallest distance at which the f32 kernels gave another class, in the way's norm; INFINITY:
                      * none */
    double flip;     /* ... and the network in f64 did, too */
    double farthest; /* largest distance that was tried */
} bnf_lipschitz_attacked;

/* Attacks targets[n], in ascending order of samples, which must be the same on every rank. The points stay within (1
 * - 1e-6) radius, so that rounding of f32 inputs does not leave the ball; distances are measured on the f32 inputs as
 * they were fed. A row that flipped in f64 stops. LINE leaves the ball and looks for the nearest flip on its way, to
 * within 1e-5 of its distance, up to 2^20 radii, in at most `steps` evaluations. [out] results[n]. Collective; the same
 * on every rank and for any number of ranks and threads. */
bnf_status bnf_lipschitz_pgd_run(bnf_run *run, bnf_split split, const bnf_lipschitz_net *net,
                                 const bnf_lipschitz_pgd *pgd, const bnf_lipschitz_target *targets, int64_t n,
                                 bnf_lipschitz_attacked *results);

#endif
