#include "data/showers.h"

#include "base/assert.h"

#include <math.h>

#define PI 3.14159265358979323846
#define SPREAD 0.45 /* of the logarithm of mean multiplicities */
#define MOST 600.0  /* mean of a Poisson number: exp(-mean) stays a normal number */
#define SOFTEST 0.7 /* GeV: what leaves a track */
#define EFFICIENCY 0.9
#define KICK 0.35 /* GeV, per component, where a quantum splits */

enum kind { QCD, SUEP, SVJ };

static const struct shower_class {
    const char *name;
    enum kind kind;
    double mass;     /* GeV, of the scalar */
    double pt;       /* GeV, scale of its transverse momentum: what passes the trigger */
    double rapidity; /* spread */
    double hits;     /* of a semi-visible jet */
} classes[BNF_SHOWER_CLASSES] = {
    {"qcd", QCD, 0, 0, 0, 0},
    {"suep125", SUEP, 125, 330, 0.9, 0},
    {"suep200", SUEP, 200, 330, 0.9, 0},
    {"suep300", SUEP, 300, 320, 0.7, 0},
    {"suep400", SUEP, 400, 300, 0.7, 0},
    {"suep700", SUEP, 700, 200, 0.7, 0},
    {"suep1000", SUEP, 1000, 110, 0.7, 0},
    {"svj44", SVJ, 0, 0, 0, 44},
    {"svj54", SVJ, 0, 0, 0, 54},
};

const char *bnf_shower_name(int class_index)
{
    BNF_ASSERT(class_index >= 0 && class_index < BNF_SHOWER_CLASSES);
    return classes[class_index].name;
}

/* ---- Random numbers ---- */

bnf_shower_random bnf_shower_random_make(uint64_t seed, int split, int class_index, int64_t event)
{
    return (bnf_shower_random){.key = bnf_philox_key_make(seed, BNF_STREAM_SYNTH),
                               .step = (uint32_t)(0x5300 + split * 256 * 256 + class_index),
                               .sample = (uint64_t)event};
}

static bnf_philox_block next_block(bnf_shower_random *r)
{
    return bnf_philox(r->key, bnf_philox_counter(r->step, r->sample, r->block++));
}

double bnf_shower_uniform(bnf_shower_random *r)
{
    bnf_philox_block b = next_block(r);
    return bnf_philox_unit_f64(b.v[0], b.v[1]);
}

double bnf_shower_normal(bnf_shower_random *r)
{
    double first;
    if (r->has_normal) {
        r->has_normal = 0;
        return r->normal;
    }
    bnf_philox_normal2(next_block(r), &first, &r->normal);
    r->has_normal = 1;
    return first;
}

double bnf_shower_exponential(bnf_shower_random *r)
{
    return -log(1 - bnf_shower_uniform(r));
}

/* By products of uniform numbers (Knuth). */
int64_t bnf_shower_poisson(bnf_shower_random *r, double mean)
{
    const double end = exp(-fmin(mean, MOST));
    double product = 1 - bnf_shower_uniform(r);
    int64_t n = 0;

    for (; product > end; n++)
        product *= 1 - bnf_shower_uniform(r);
    return n;
}

/* A Poisson number whose mean varies from event to event by a factor that is log-normal, of mean 1. */
static int64_t multiplicity(bnf_shower_random *r, double mean)
{
    return bnf_shower_poisson(r, mean * exp(SPREAD * bnf_shower_normal(r) - SPREAD * SPREAD / 2));
}

/* A momentum of density p^2 exp(-p / T) is the sum of three exponential ones; taken with probability
 * exp(-(E - p) / T) it has the density that is wanted. */
double bnf_shower_momentum(bnf_shower_random *r)
{
    const double m = BNF_SHOWER_MASS, t = BNF_SHOWER_TEMPERATURE;

    for (;;) {
        double p = 0;
        for (int i = 0; i < 3; i++)
            p += t * bnf_shower_exponential(r);
        if (bnf_shower_uniform(r) < exp((p - sqrt(p * p + m * m)) / t))
            return p;
    }
}

/* ---- Hits ---- */

struct event {
    bnf_shower_random *random;
    bnf_hit *hits;
    int count;
};

static void add_hit(struct event *e, double eta, double phi, double pt)
{
    if (e->count == BNF_SHOWER_MAX_HITS)
        return;
    phi = fmod(phi, 2 * PI);
    phi = phi < 0 ? phi + 2 * PI : phi;
    e->hits[e->count++] = (bnf_hit){eta, phi < 2 * PI ? phi : 0, pt};
}

/* What the model does not tell: a hit's transverse momentum, falling from the softest that leaves a track. */
static double soft_pt(bnf_shower_random *r)
{
    return SOFTEST + bnf_shower_exponential(r);
}

static void add_underlying(struct event *e)
{
    int64_t n = multiplicity(e->random, 50);
    for (int64_t i = 0; i < n; i++) {
        double eta = 5 * bnf_shower_uniform(e->random) - 2.5, phi = 2 * PI * bnf_shower_uniform(e->random);
        add_hit(e, eta, phi, soft_pt(e->random));
    }
}

/* How far from a jet's axis its hits are: an exponential core, else a half of a normal distribution. */
struct shape {
    double core, in_core, halo;
};
static const struct shape qcd_shape = {0.17, 0.6, 0.5}, svj_shape = {0.32, 0.55, 0.65};

static void add_jet(struct event *e, const struct shape *shape, double eta, double phi, double mean)
{
    bnf_shower_random *r = e->random;
    int64_t n = multiplicity(r, mean);

    for (int64_t i = 0; i < n; i++) {
        double radius = bnf_shower_uniform(r) < shape->in_core ? shape->core * bnf_shower_exponential(r)
                                                               : fabs(shape->halo * bnf_shower_normal(r));
        double angle = 2 * PI * bnf_shower_uniform(r);
        add_hit(e, eta + radius * cos(angle), phi + radius * sin(angle), soft_pt(r));
    }
}

/* Pseudorapidity of a jet. */
static double jet_eta(bnf_shower_random *r, double spread)
{
    return fmax(-2.2, fmin(2.2, spread * bnf_shower_normal(r)));
}

static void add_qcd(struct event *e)
{
    bnf_shower_random *r = e->random;
    int64_t extra = bnf_shower_poisson(r, 0.7), jets = 2 + (extra < 2 ? extra : 2);
    double phi = 2 * PI * bnf_shower_uniform(r);

    for (int64_t i = 0; i < jets; i++) {
        if (i == 1)
            phi += PI + 0.3 * bnf_shower_normal(r);
        else if (i > 1)
            phi = 2 * PI * bnf_shower_uniform(r);
        double eta = jet_eta(r, 1);
        add_jet(e, &qcd_shape, eta, phi, i < 2 ? 20 : 10);
    }
}

static void add_svj(struct event *e, double hits)
{
    bnf_shower_random *r = e->random;
    double phi = 2 * PI * bnf_shower_uniform(r);

    for (int i = 0; i < 2; i++) {
        double eta = jet_eta(r, 0.7);
        add_jet(e, &svj_shape, eta, phi + i * PI, hits);
    }
}

/* ---- Soft isotropic showers ---- */

struct vec {
    double x, y, z;
};

static struct vec direction(bnf_shower_random *r, double length)
{
    double z = 2 * bnf_shower_uniform(r) - 1, phi = 2 * PI * bnf_shower_uniform(r), across = sqrt(1 - z * z);
    return (struct vec){length * across * cos(phi), length * across * sin(phi), length * z};
}

static double length_of(struct vec v)
{
    return sqrt(v.x * v.x + v.y * v.y + v.z * v.z);
}

/* A massless particle of momentum k, seen from where its frame moves with u = gamma beta. */
static struct vec boost(struct vec k, struct vec u)
{
    double gamma = sqrt(1 + u.x * u.x + u.y * u.y + u.z * u.z);
    double along = (k.x * u.x + k.y * u.y + k.z * u.z) / (1 + gamma) + length_of(k);
    return (struct vec){k.x + along * u.x, k.y + along * u.y, k.z + along * u.z};
}

/* How the whole shower moves. */
struct motion {
    struct vec transverse; /* gamma beta */
    double rapidity;
};

static void add_particle(struct event *e, struct vec k, const struct motion *motion)
{
    k = boost(k, motion->transverse);
    double pt = sqrt(k.x * k.x + k.y * k.y);
    double eta = pt > 0 ? asinh(k.z / pt) + motion->rapidity : 0;

    if (bnf_shower_uniform(e->random) < EFFICIENCY && pt > SOFTEST)
        add_hit(e, eta, atan2(k.y, k.x), pt);
}

/* A meson decays to two quanta of half its mass, back to back, of which each splits in two. Returns its energy. */
static double add_meson(struct event *e, const struct motion *motion)
{
    bnf_shower_random *r = e->random;
    const double m = BNF_SHOWER_MASS, p = bnf_shower_momentum(r);
    struct vec u = direction(r, p / m), decay = direction(r, m / 2);

    for (int side = 0; side < 2; side++) {
        struct vec k = boost(decay, u), kick;
        double z = 0.2 + 0.6 * bnf_shower_uniform(r);
        kick.x = KICK * bnf_shower_normal(r);
        kick.y = KICK * bnf_shower_normal(r);
        kick.z = KICK * bnf_shower_normal(r);
        add_particle(e, (struct vec){z * k.x + kick.x, z * k.y + kick.y, z * k.z + kick.z}, motion);
        z = 1 - z;
        add_particle(e, (struct vec){z * k.x - kick.x, z * k.y - kick.y, z * k.z - kick.z}, motion);
        decay = (struct vec){-decay.x, -decay.y, -decay.z};
    }
    return sqrt(p * p + m * m);
}

/* The scalar is produced beside a jet that it recoils from. */
static void add_suep(struct event *e, const struct shower_class *c)
{
    bnf_shower_random *r = e->random;
    double pt = 0.8 * c->pt + 0.3 * c->pt * bnf_shower_exponential(r), phi = 2 * PI * bnf_shower_uniform(r);
    struct motion motion = {{pt / c->mass * cos(phi), pt / c->mass * sin(phi), 0}, c->rapidity * bnf_shower_normal(r)};

    for (double energy = 0; energy < c->mass;)
        energy += add_meson(e, &motion);
    double eta = jet_eta(r, 1);
    add_jet(e, &qcd_shape, eta, phi + PI, 18);
}

int bnf_shower_event(bnf_shower_random *r, int class_index, bnf_hit *hits)
{
    const struct shower_class *c = &classes[class_index];
    struct event e = {r, hits, 0};

    add_underlying(&e);
    if (c->kind == QCD)
        add_qcd(&e);
    else if (c->kind == SVJ)
        add_svj(&e, c->hits);
    else
        add_suep(&e, c);
    return e.count;
}
