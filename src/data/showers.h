/* data/showers.h - collider events as hits of charged particles in a tracker: jets of ordinary quarks and gluons (QCD),
 * soft isotropic showers of a dark sector (SUEP), and semi-visible jets (SVJ). A simple model with the multiplicities
 * and shapes of detector simulations, not a simulation.
 *
 * An event is a pure function of (seed, split, class, number of the event in its class). */
#ifndef BNF_DATA_SHOWERS_H
#define BNF_DATA_SHOWERS_H

#include "base/philox.h"

#define BNF_SHOWER_CLASSES 9 /* class 0 is QCD */
#define BNF_SHOWER_MAX_HITS 4096
#define BNF_SHOWER_MASS 2.0        /* GeV, of a dark meson */
#define BNF_SHOWER_TEMPERATURE 2.0 /* GeV */

/* "qcd", "suep125" (mass of the scalar in GeV), ..., "svj44" (mean number of hits of a jet), ... */
const char *bnf_shower_name(int class_index);

typedef struct bnf_hit {
    double eta, phi; /* phi in [0, 2 pi) */
    double pt;       /* GeV */
} bnf_hit;

/* Random numbers of one event, one after the other. */
typedef struct bnf_shower_random {
    bnf_philox_key key;
    uint32_t step, block;
    uint64_t sample;
    double normal; /* the second of a pair, if has_normal */
    int has_normal;
} bnf_shower_random;
bnf_shower_random bnf_shower_random_make(uint64_t seed, int split, int class_index, int64_t event);
double bnf_shower_uniform(bnf_shower_random *r);     /* [0, 1) */
double bnf_shower_normal(bnf_shower_random *r);      /* mean 0, variance 1 */
double bnf_shower_exponential(bnf_shower_random *r); /* mean 1 */
int64_t bnf_shower_poisson(bnf_shower_random *r, double mean);

/* Momentum (GeV) of a dark meson: density p^2 exp(-E / T), E^2 = p^2 + m^2. */
double bnf_shower_momentum(bnf_shower_random *r);

/* The hits of an event, in or outside of the detector. Returns how many, at most BNF_SHOWER_MAX_HITS. */
int bnf_shower_event(bnf_shower_random *r, int class_index, bnf_hit *hits);

#endif
