/* The source of generated collider events (data/showers.h) as detector images: masks of 72 x 58 cells, whole or in
 * four sectors, or three planes of 286 x 360. Exponentials, logarithms and sines enter: the same build makes the same
 * images, another mathematical library may move a hit that lies on the border of two cells. */
#include "base/mem.h"
#include "data/showers.h"
#include "data/synth_parts.h"

#include <math.h>
#include <string.h>

#define BIN (2 * 3.14159265358979323846 / FINE_PHI) /* of fine cells, in eta and in phi */
enum { FINE_ETA = 286, FINE_PHI = 360, ETA = 58, PHI = 72, TOWER = 5, PLANES = 3 };
enum { TRACKS = 0, ECAL, HCAL };
enum {
    SECTORS = 4,
    SECTOR_PHI = 36,
    SECTOR_ETA = 28,
    MARGIN = 1
}; /* of an event; a column on either side is left out */

/* The planes of energy, which the model of the hits says nothing of: made to be hit as often as those of simulated QCD
 * events are (4.4 % and 1.4 % of the towers). */
#define ECAL_SHARE 0.3     /* of a charged particle's transverse momentum */
#define HCAL_CHANCE 0.7    /* that the rest reaches the HCAL */
#define PHOTONS 1.3        /* beside a charged particle, on average */
#define PHOTON_SPREAD 0.1  /* in eta and phi */
#define PHOTON_SOFTEST 0.7 /* GeV; more is exponential of mean 1 */

struct shower_source {
    bnf_source base; /* first: a bnf_source pointer is a shower_source pointer */
    uint64_t seed;
    double active;
    int64_t qcd[BNF_SPLIT_COUNT];
    int classes[BNF_SHOWER_CLASSES]; /* of the model, by the set's labels */
    int signals;                     /* classes but for QCD */
    bnf_hit hits[BNF_SHOWER_MAX_HITS];

    /* For sectors: the event that was drawn last. */
    bnf_split held_split;
    int64_t held; /* its number in the part; -1: none */
    int32_t held_label;
    uint8_t mask[PHI * ETA];
};

/* Fine cells of a point; false: outside of the detector. */
static bool fine_cell(double eta, double phi, int *y, int *x)
{
    double row = floor(eta / BIN + FINE_ETA / 2), column = floor(phi / BIN);

    if (!(row >= 0 && row < FINE_ETA))
        return false;
    *y = (int)row;
    *x = ((int)column % FINE_PHI + FINE_PHI) % FINE_PHI;
    return true;
}

/* The row of towers that a row of fine cells belongs to: 58 x 5 cells overlap the 286 by two on either side. */
static int tower_of(int y)
{
    return (y + (ETA * TOWER - FINE_ETA) / 2) / TOWER;
}

/* image[72, 58, 1]: 255 where a track is. */
static void draw_mask(const bnf_hit *hits, int count, uint8_t *image)
{
    int y, x;

    memset(image, 0, PHI * ETA);
    for (int i = 0; i < count; i++)
        if (fine_cell(hits[i].eta, hits[i].phi, &y, &x))
            image[x / TOWER * ETA + tower_of(y)] = 255;
}

static void add_fine(float *image, int plane, int y, int x, double energy)
{
    image[(y * FINE_PHI + x) * PLANES + plane] += (float)energy;
}

/* A tower of the HCAL is spread evenly over its fine cells. */
static void add_tower(float *image, int y, int x, double energy)
{
    int top = tower_of(y) * TOWER - (ETA * TOWER - FINE_ETA) / 2, left = x / TOWER * TOWER;

    for (int r = top < 0 ? 0 : top; r < top + TOWER && r < FINE_ETA; r++)
        for (int c = left; c < left + TOWER; c++)
            add_fine(image, HCAL, r, c, energy / (TOWER * TOWER));
}

/* image[286, 360, 3]: transverse momentum of tracks, transverse energy in ECAL and HCAL, in GeV. */
static void draw_planes(bnf_shower_random *r, const bnf_hit *hits, int count, float *image)
{
    int y, x;

    memset(image, 0, FINE_ETA * FINE_PHI * PLANES * sizeof *image);
    for (int i = 0; i < count; i++) {
        double eta = hits[i].eta, phi = hits[i].phi, pt = hits[i].pt;
        bool hadron = bnf_shower_uniform(r) < HCAL_CHANCE;
        if (fine_cell(eta, phi, &y, &x)) {
            add_fine(image, TRACKS, y, x, pt);
            add_fine(image, ECAL, y, x, ECAL_SHARE * pt);
            if (hadron)
                add_tower(image, y, x, (1 - ECAL_SHARE) * pt);
        }
        for (int64_t k = bnf_shower_poisson(r, PHOTONS); k > 0; k--) {
            double dy = PHOTON_SPREAD * bnf_shower_normal(r), dx = PHOTON_SPREAD * bnf_shower_normal(r);
            double energy = PHOTON_SOFTEST + bnf_shower_exponential(r);
            if (fine_cell(eta + dy, phi + dx, &y, &x))
                add_fine(image, ECAL, y, x, energy);
        }
    }
}

/* ---- The source ---- */

/* QCD comes first, then the other classes in turn. An event does not depend on how many there are of others. */
static int make_event(struct shower_source *s, bnf_split split, int64_t index, bnf_shower_random *r, int32_t *label)
{
    int64_t event = index, beyond = index - s->qcd[split];

    *label = 0;
    if (beyond >= 0) {
        *label = 1 + (int32_t)(beyond % s->signals);
        event = beyond / s->signals;
    }
    *r = bnf_shower_random_make(s->seed, split, s->classes[*label], event);
    return bnf_shower_event(r, s->classes[*label], s->hits);
}

static bnf_status read_masks(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                             int32_t *labels)
{
    struct shower_source *s = (struct shower_source *)source;
    bnf_shower_random r;

    for (int64_t i = 0; i < count; i++) {
        int n = make_event(s, split, first + i, &r, &labels[i]);
        draw_mask(s->hits, n, images + i * PHI * ETA);
    }
    return BNF_OK;
}

/* Sample 4 k + q is sector q of event k: 0, 1 of rows 0..35 and columns 1..28, 29..56; 2, 3 of rows 36..71. */
static void cut_sector(const uint8_t *mask, int sector, uint8_t *image)
{
    const uint8_t *from = mask + sector / 2 * SECTOR_PHI * ETA + MARGIN + sector % 2 * SECTOR_ETA;
    for (int y = 0; y < SECTOR_PHI; y++)
        memcpy(image + y * SECTOR_ETA, from + y * ETA, SECTOR_ETA);
}

static bnf_status read_sectors(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                               int32_t *labels)
{
    struct shower_source *s = (struct shower_source *)source;
    bnf_shower_random r;

    for (int64_t i = 0; i < count; i++) {
        int64_t event = (first + i) / SECTORS;
        if (event != s->held || split != s->held_split) {
            draw_mask(s->hits, make_event(s, split, event, &r, &s->held_label), s->mask);
            s->held = event;
            s->held_split = split;
        }
        labels[i] = s->held_label;
        cut_sector(s->mask, (int)((first + i) % SECTORS), images + i * SECTOR_PHI * SECTOR_ETA);
    }
    return BNF_OK;
}

/* Leaves cells out, or adds some of 1 GeV anywhere, until about the share of them is active. */
static void set_active(bnf_shower_random *r, double share, float *image)
{
    enum { CELLS = FINE_ETA * FINE_PHI * PLANES };
    double wanted = share * CELLS, hit = 0;

    for (int i = 0; i < CELLS; i++)
        hit += image[i] != 0;
    for (int i = 0; i < CELLS && hit > wanted; i++)
        if (image[i] != 0 && bnf_shower_uniform(r) * hit >= wanted)
            image[i] = 0;
    for (; hit < wanted; hit += 1) {
        int cell;
        do
            cell = (int)(bnf_shower_uniform(r) * CELLS);
        while (image[cell] != 0);
        image[cell] = 1;
    }
}

static bnf_status read_planes(bnf_source *source, bnf_split split, int64_t first, int64_t count, float *images,
                              int32_t *labels)
{
    struct shower_source *s = (struct shower_source *)source;
    bnf_shower_random r;

    for (int64_t i = 0; i < count; i++) {
        int n = make_event(s, split, first + i, &r, &labels[i]);
        draw_planes(&r, s->hits, n, images + i * FINE_ETA * FINE_PHI * PLANES);
        if (s->active > 0)
            set_active(&r, s->active, images + i * FINE_ETA * FINE_PHI * PLANES);
    }
    return BNF_OK;
}

/* The class of a name but for QCD; BNF_SHOWER_CLASSES: there is none. */
static int class_of(const char *name)
{
    int k = 1;
    while (k < BNF_SHOWER_CLASSES && strcmp(name, bnf_shower_name(k)) != 0)
        k++;
    return k;
}

static bnf_status choose_classes(struct shower_source *s, const bnf_synth_showers_options *o)
{
    const char *names[BNF_SHOWER_CLASSES] = {bnf_shower_name(0)};
    int64_t n = o->signal_count > 0 ? o->signal_count : BNF_SHOWER_CLASSES - 1;

    for (int64_t i = 0; i < n; i++) {
        int k = o->signal_count > 0 ? class_of(o->signals[i]) : 1 + (int)i;
        if (k == BNF_SHOWER_CLASSES)
            return bnf_fail(BNF_ERR_ARG,
                            "'%s' is no class of events; there are: suep125, suep200, suep300, suep400, suep700, "
                            "suep1000, svj44, svj54 (and qcd, which is always there)",
                            o->signals[i]);
        for (int j = 1; j <= s->signals; j++)
            if (s->classes[j] == k)
                return bnf_fail(BNF_ERR_ARG, "the class '%s' is named twice", o->signals[i]);
        s->classes[1 + s->signals++] = k;
        names[s->signals] = bnf_shower_name(k);
    }
    return bnf_source_set_names(&s->base, 1 + s->signals, names);
}

static bnf_status showers_open(struct shower_source *s, const bnf_synth_showers_options *o)
{
    for (int k = 0; k < BNF_SPLIT_COUNT; k++)
        if (o->qcd[k] < (k == BNF_TRAIN) || o->each_signal[k] < 0 || o->qcd[k] > UINT32_MAX ||
            o->each_signal[k] > UINT32_MAX)
            return bnf_fail(BNF_ERR_ARG, "%lld QCD events and %lld of every other class for /%s: at least %d and 0",
                            (long long)o->qcd[k], (long long)o->each_signal[k], bnf_split_name((bnf_split)k),
                            k == BNF_TRAIN);
    if (o->fine && o->sectors)
        return bnf_fail(BNF_ERR_ARG, "sectors are cut out of masks: they and fine cells exclude each other");
    BNF_TRY(choose_classes(s, o));
    if (!(o->active >= 0 && o->active <= 0.5) || (o->active > 0 && !o->fine))
        return bnf_fail(BNF_ERR_ARG, "active: %g of the cells; fine images may have a share of up to 0.5", o->active);
    s->seed = o->seed;
    s->active = o->active;
    s->held = -1;
    for (int k = 0; k < BNF_SPLIT_COUNT; k++) {
        s->qcd[k] = o->qcd[k];
        s->base.count[k] = (o->qcd[k] + s->signals * o->each_signal[k]) * (o->sectors ? SECTORS : 1);
    }
    s->base.h = o->fine ? FINE_ETA : o->sectors ? SECTOR_PHI : PHI;
    s->base.w = o->fine ? FINE_PHI : o->sectors ? SECTOR_ETA : ETA;
    s->base.c = o->fine ? PLANES : 1;
    s->base.images_per_event = o->sectors ? SECTORS : 1;
    if (o->fine)
        s->base.read_f32 = read_planes;
    else
        s->base.read = o->sectors ? read_sectors : read_masks;
    return bnf_source_describe(&s->base, "generated collider events, %s%s, seed %llu",
                               o->fine      ? "tracks, ECAL and HCAL"
                               : o->sectors ? "masks of tracks in four sectors"
                                            : "masks of tracks",
                               o->active > 0 ? ", another share of cells active" : "", (unsigned long long)o->seed);
}

bnf_status bnf_source_showers(const bnf_comm *comm, const bnf_synth_showers_options *options, bnf_source **source)
{
    struct shower_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "generated events", &s);

    if (status == BNF_OK) {
        s->base.locate = bnf_synth_locate;
        s->base.destroy = bnf_source_free;
        status = showers_open(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_synth_showers(const bnf_comm *comm, const bnf_synth_showers_options *options,
                             const bnf_import_output *output, bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_showers(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
