/* recipes/lipschitz/explain.h - why a sample has its class: attribution maps, and counterfactuals (spec 05), which are
 * pictures of what would make it another.
 *
 * f is the lead of the explained class: its logit minus the largest other one; with one output the logit times the sign
 * of the class. Two kinds of counterfactuals:
 *   strip   x - t f(x) grad f(x) for several t, as the paper has it for two classes; pixels are not kept in [0,1]. To
 *           first order the lead is 0 at t = 1 / |grad f|^2, so at 1 where the gradient has length 1.
 *           With `scaled`, x - t f(x) grad f(x) / |grad f(x)|^2: to first order the lead is 0 at t = 1, whatever the
 *           gradient's length, which for unconstrained networks is far from 1.
 *   turned  the picture follows the lead's gradient downwards, step by step, until its class turns; pixels of u8 images
 *           stay in [0,1]. Where |grad f| is 1 everywhere, the path is that straight line. */
#ifndef BNF_RECIPES_LIPSCHITZ_EXPLAIN_H
#define BNF_RECIPES_LIPSCHITZ_EXPLAIN_H

#include "recipes/lipschitz/maps.h"
#include "train/options.h"

/* Numbers of one sample; plain data. Distances and slopes are in pixels (net.h). */
typedef struct bnf_lipschitz_facts {
    int64_t sample;
    int32_t label, predicted, explained;  /* classes */
    int32_t turned;                       /* class at the end of the path; the predicted one if it never turned */
    double distance;                      /* from the sample to the end of the path */
    double lead, slope;                   /* f(x), |grad f(x)| */
    double lead_at[BNF_OPTION_MAX_REALS]; /* f at the strip's pictures, of the class explained at x */
    int32_t class_at[BNF_OPTION_MAX_REALS];
} bnf_lipschitz_facts;

/* Room for `room` samples; of the last call, the first `n` are filled. */
typedef struct bnf_lipschitz_explained {
    int64_t room, n;
    const bnf_lipschitz_net *net; /* borrowed */
    bnf_option_reals t;
    bool scaled;                       /* to be set before bnf_lipschitz_explain */
    bnf_lipschitz_facts *facts;        /* [room] */
    float *pixels;                     /* [room, h, w, c] */
    float *map[BNF_LIPSCHITZ_METHODS]; /* [room, h, w], NULL: not asked for */
    float *strip;                      /* [room, t.count, h, w, c] */
    float *turned;                     /* [room, h, w, c]: the first point of another class on the path */
    float *work, *gradient, *logits;   /* [room, h, w, c]; the same; [room max(1, t.count), outputs] */
    double *lead;                      /* [room] */
    int32_t *classes;                  /* [room] */
    int64_t *open;                     /* [room] */
} bnf_lipschitz_explained;

/* method[METHODS]: which maps. [out] out: release with bnf_lipschitz_explained_release, also after an error. */
bnf_status bnf_lipschitz_explained_create(const bnf_lipschitz_net *net, const bool *method, const bnf_option_reals *t,
                                          int64_t room, bnf_lipschitz_explained *out);
void bnf_lipschitz_explained_release(bnf_lipschitz_explained *out); /* legal on a zeroed one */

/* Explains samples[n], n <= out->room: the predicted class (the f32 network's), or the label's if of_label. Not
 * collective; what a sample gets does not depend on the others. */
bnf_status bnf_lipschitz_explain(bnf_run *run, bnf_split split, bnf_lipschitz_maps *maps, const int64_t *samples,
                                 int64_t n, bool of_label, bnf_lipschitz_explained *out);

#endif
