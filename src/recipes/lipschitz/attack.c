/* recipes/lipschitz/attack.c - banff attack: inside certified radii, outside, and at fixed radii. */
#include "recipes/lipschitz/attack.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/certify.h"
#include "recipes/lipschitz/pgd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CUBES "1/255,2/255,4/255,8/255"

typedef enum attack_kind { PGD_L2 = 0, PGD_LINF, FGSM, LINE } attack_kind;

static const char *const kind_words[] = {"pgd_l2", "pgd_linf", "fgsm", "line", NULL};

static const struct {
    bnf_lipschitz_way way;
    const char *what, *norm, *radii, *file; /* radii: the default */
} kinds[] = {
    {BNF_LIPSCHITZ_L2, "L2 projected gradient ascent", "L2", BNF_LIPSCHITZ_RADII, "attack.json"},
    {BNF_LIPSCHITZ_LINF, "L-infinity projected gradient ascent", "L-infinity", CUBES, "attack-pgd_linf.json"},
    {BNF_LIPSCHITZ_LINF, "one step along the gradient's sign (FGSM)", "L-infinity", CUBES, "attack-fgsm.json"},
    {BNF_LIPSCHITZ_LINE, "search along the gradient for the boundary", "L2", BNF_LIPSCHITZ_RADII, "attack-line.json"},
};

typedef struct settings {
    int kind;
    int64_t samples, steps, restarts, outside_restarts, clip;
    double step;
    bnf_split split;
    bnf_option_reals factors, radii;
    bool help;
} settings;

typedef struct campaign {
    bnf_run *run;
    settings set;
    bnf_lipschitz_certificate cert;
    double unit;                    /* certified radius in the attack's norm: this times the L2 radius */
    int64_t n, scanned;             /* samples attacked: the certified ones among the first `scanned` of the split */
    int64_t *sample;                /* [n] */
    double *flip;                   /* [n] smallest distance at which an attack succeeded; INFINITY: none did */
    bnf_lipschitz_target *targets;  /* [n] work space */
    bnf_lipschitz_attacked *result; /* [n] work space */
    int64_t *who;                   /* [n] work space: which of the n a target is */
    uint32_t round;
    /* Results. */
    int64_t inside_f32, inside_f64,
        broken;     /* flips; broken: index of the first sample whose certificate is wrong, or -1 */
    double taken;   /* largest share of a margin that the attack inside took away */
    double nearest; /* largest distance that was tried, over the radius */
    double factor_share[BNF_OPTION_MAX_REALS];                              /* flipped within factor x radius */
    double certified[BNF_OPTION_MAX_REALS], attacked[BNF_OPTION_MAX_REALS]; /* accuracies at fixed radii */
    /* LINE: samples where a boundary was found; their mean distance to it and mean certified radius; the quotients. */
    int64_t found;
    double distance, radius, ratio_mean, ratio_least, ratio_median;
} campaign;

static bnf_status parse(settings *s, const char *const *options, int n, bnf_buf *text)
{
    bool given_radii = false;
    for (int i = 0; i < n; i++)
        given_radii = given_radii || strncmp(options[i], "radii=", 6) == 0;
    bnf_option_reals none;
    const bnf_option table[] = {
        {"kind", BNF_OPTION_WORD, "pgd_l2",
         "pgd_l2 or pgd_linf: projected gradient ascent; fgsm: one step along the sign; line: distance to the boundary "
         "along the gradient",
         0, &s->kind, kind_words},
        {"samples", BNF_OPTION_INT, "1000", "attack the first N samples that have a certificate", 1, &s->samples},
        {"split", BNF_OPTION_SPLIT, "test", "train or test", 0, &s->split},
        {"steps", BNF_OPTION_INT, "100", "gradient steps (fgsm: 1); line: evaluations at most", 1, &s->steps},
        {"restarts", BNF_OPTION_INT, "10", "starts inside the radius: the sample, then random points of the ball", 1,
         &s->restarts},
        {"outside_restarts", BNF_OPTION_INT, "1", "starts of the other attacks", 1, &s->outside_restarts},
        {"step", BNF_OPTION_REAL, "2.5", "length of a step, in units of radius / steps", 1e-6, &s->step},
        {"clip", BNF_OPTION_INT, "0", "1: keep pixels in [0,1]", 0, &s->clip},
        {"factors", BNF_OPTION_REALS, "2,4,8", "attacks outside: multiples of the certified radius", 1, &s->factors},
        {"radii", BNF_OPTION_REALS, "",
         "fixed radii for the accuracy under attack (by default L2: " BNF_LIPSCHITZ_RADII "; L-infinity: " CUBES ")", 0,
         given_radii ? &s->radii : &none},
    };
    BNF_TRY(bnf_options_parse(table, (int)(sizeof table / sizeof table[0]), options, n, text, &s->help));
    if (s->kind == FGSM) {
        s->steps = s->restarts = s->outside_restarts = 1;
        s->step = 1;
    }
    if (s->kind == LINE)
        s->restarts = s->outside_restarts = 1;
    return given_radii ? BNF_OK : bnf_option_reals_parse("radii", kinds[s->kind].radii, 0, &s->radii);
}

/* ---- who is attacked ---- */

static bool certified(const bnf_lipschitz_sample *s)
{
    return s->predicted == s->label && s->radius > 0 && isfinite(s->radius);
}

/* Certified radius of the i-th sample in the attack's norm. A cube of half-side r / sqrt(d) lies in the ball of radius
 * r; the factor is rounded down. */
static double radius_of(const campaign *c, int64_t i)
{
    return c->unit * c->cert.samples[c->sample[i]].radius;
}

static bnf_status choose(campaign *c)
{
    int64_t room = c->set.samples < c->cert.count ? c->set.samples : c->cert.count;
    BNF_TRY(bnf_alloc((size_t)room * sizeof *c->sample, "samples under attack", &c->sample));
    BNF_TRY(bnf_alloc((size_t)room * sizeof *c->flip, "samples under attack", &c->flip));
    BNF_TRY(bnf_alloc((size_t)room * sizeof *c->targets, "samples under attack", &c->targets));
    BNF_TRY(bnf_alloc((size_t)room * sizeof *c->result, "samples under attack", &c->result));
    BNF_TRY(bnf_alloc((size_t)room * sizeof *c->who, "samples under attack", &c->who));
    for (; c->scanned < c->cert.count && c->n < room; c->scanned++)
        if (certified(&c->cert.samples[c->scanned])) {
            c->flip[c->n] = INFINITY;
            c->sample[c->n++] = c->scanned;
        }
    return BNF_OK;
}

/* Attacks targets[count] and notes what flipped. */
static bnf_status run_attack(campaign *c, int64_t count, int64_t restarts)
{
    bnf_lipschitz_pgd pgd = {c->set.steps, restarts, c->set.step, c->set.clip != 0, c->round++, kinds[c->set.kind].way};
    BNF_TRY(bnf_lipschitz_pgd_run(c->run, c->set.split, &c->cert.net, &pgd, c->targets, count, c->result));
    for (int64_t i = 0; i < count; i++)
        c->flip[c->who[i]] = fmin(c->flip[c->who[i]], c->result[i].flip);
    return BNF_OK;
}

static void aim(campaign *c, int64_t i, double radius, int64_t *count)
{
    c->who[*count] = i;
    c->targets[(*count)++] = (bnf_lipschitz_target){c->sample[i], c->cert.samples[c->sample[i]].label, radius};
}

/* ---- the attacks ---- */

static bnf_status inside(campaign *c)
{
    int64_t count = 0;
    c->broken = -1;
    for (int64_t i = 0; i < c->n; i++)
        aim(c, i, radius_of(c, i), &count);
    BNF_TRY(run_attack(c, count, c->set.restarts));
    for (int64_t i = 0; i < count; i++) {
        const bnf_lipschitz_sample *s = &c->cert.samples[c->sample[i]];
        const bnf_lipschitz_attacked *r = &c->result[i];
        bool within = c->set.kind != LINE; /* all that was tried was inside, to within the rounding of f32 inputs */
        c->inside_f32 += r->flip_f32 <= radius_of(c, i);
        c->inside_f64 += r->flip <= radius_of(c, i);
        c->taken = fmax(c->taken, within ? (r->rival + s->margin) / s->margin : NAN);
        c->nearest = fmax(c->nearest, within ? r->farthest / radius_of(c, i) : NAN);
        if (c->broken < 0 && (r->flip <= radius_of(c, i) || r->flip_f32 <= c->unit * s->radius_f32))
            c->broken = c->sample[i];
    }
    return BNF_OK;
}

static bnf_status outside(campaign *c, int f)
{
    int64_t count = 0, flipped = 0;
    double factor = c->set.factors.value[f];
    for (int64_t i = 0; i < c->n; i++)
        if (!isfinite(c->flip[i]))
            aim(c, i, factor * radius_of(c, i), &count);
    if (count > 0 && c->set.kind != LINE)
        BNF_TRY(run_attack(c, count, c->set.outside_restarts));
    for (int64_t i = 0; i < c->n; i++)
        flipped += c->flip[i] <= factor * radius_of(c, i);
    c->factor_share[f] = c->n > 0 ? (double)flipped / (double)c->n : 0;
    return BNF_OK;
}

/* Samples that are proven, or that an earlier attack flipped within the radius, need none. */
static bnf_status at_radius(campaign *c, int k)
{
    int64_t count = 0, standing = 0, proven = 0;
    double radius = c->set.radii.value[k];
    for (int64_t i = 0; i < c->n; i++)
        if (radius_of(c, i) < radius && !(c->flip[i] <= radius))
            aim(c, i, radius, &count);
    if (count > 0 && c->set.kind != LINE)
        BNF_TRY(run_attack(c, count, c->set.outside_restarts));
    for (int64_t i = 0; i < c->n; i++) {
        proven += radius_of(c, i) >= radius;
        standing += !(c->flip[i] <= radius);
    }
    c->certified[k] = c->scanned > 0 ? (double)proven / (double)c->scanned : 0;
    c->attacked[k] = c->scanned > 0 ? (double)standing / (double)c->scanned : 0;
    return BNF_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How far the boundaries that LINE found are, beside the certified radii. */
static bnf_status compare(campaign *c)
{
    double *ratio;
    BNF_TRY(bnf_alloc((size_t)c->n * sizeof *ratio, "quotients of distances", &ratio));
    for (int64_t i = 0; i < c->n; i++)
        if (isfinite(c->flip[i])) {
            c->distance += c->flip[i];
            c->radius += radius_of(c, i);
            c->ratio_mean += c->flip[i] / radius_of(c, i);
            ratio[c->found++] = c->flip[i] / radius_of(c, i);
        }
    if (c->found > 0) {
        qsort(ratio, (size_t)c->found, sizeof *ratio, ascending);
        c->ratio_least = ratio[0];
        c->ratio_median = (ratio[(c->found - 1) / 2] + ratio[c->found / 2]) / 2;
        c->distance /= (double)c->found;
        c->radius /= (double)c->found;
        c->ratio_mean /= (double)c->found;
    }
    bnf_free(ratio);
    return BNF_OK;
}

static bnf_status run_all(campaign *c)
{
    if (c->n == 0)
        return BNF_OK;
    BNF_TRY(inside(c));
    if (c->set.kind == LINE)
        BNF_TRY(bnf_comm_agree(c->run->comm, compare(c)));
    for (int f = 0; f < c->set.factors.count; f++)
        BNF_TRY(outside(c, f));
    for (int k = 0; k < c->set.radii.count; k++)
        BNF_TRY(at_radius(c, k));
    return BNF_OK;
}

/* ---- results ---- */

static void print_line(const campaign *c, bnf_buf *t)
{
    bnf_buf_printf(
        t,
        "%lld of %lld have a boundary on their way, at the mean distance %.6f; their mean certified radius is "
        "%.6f\ndistance / certified radius: mean %.4f, least %.6f, median %.4f\n%lld are nearer than their "
        "certified radius\n",
        (long long)c->found, (long long)c->n, c->distance, c->radius, c->ratio_mean, c->ratio_least, c->ratio_median,
        (long long)c->inside_f64);
}

static void print_inside(const campaign *c, bnf_buf *t)
{
    if (c->unit != 1)
        bnf_buf_printf(t,
                       "radii are of L-infinity: a certified L2 radius divided by the root of the %lld elements of an "
                       "image\n",
                       (long long)bnf_lipschitz_size(&c->cert.net.in));
    bnf_buf_printf(t,
                   "inside the certified radius (%lld starts): %lld of %lld flipped; the attack took at most %.1f %% "
                   "of a margin, at up to %.6f of the "
                   "radius\n",
                   (long long)c->set.restarts, (long long)c->inside_f64, (long long)c->n, 100 * c->taken, c->nearest);
}

static void print_text(const campaign *c, bnf_buf *t)
{
    const settings *s = &c->set;
    bnf_buf_printf(
        t,
        "%s part: the %lld samples with a certificate among the first %lld (step %lld, weights %s)\n%s, %lld steps\n\n",
        bnf_split_name(s->split), (long long)c->n, (long long)c->scanned, (long long)c->run->step, c->run->weights,
        kinds[s->kind].what, (long long)s->steps);
    if (c->n == 0) {
        bnf_buf_puts(t, "Nothing to attack: no sample has a certificate.\n");
        return;
    }
    if (s->kind == LINE)
        print_line(c, t);
    else
        print_inside(c, t);
    if (c->inside_f32 != c->inside_f64)
        bnf_buf_printf(t, "  %lld flipped in f32 only: rounding\n", (long long)(c->inside_f32 - c->inside_f64));
    for (int f = 0; f < s->factors.count; f++)
        bnf_buf_printf(t, "within %5s x the radius (%lld start%s): %.1f %% flipped\n", s->factors.text[f],
                       (long long)s->outside_restarts, s->outside_restarts > 1 ? "s" : "", 100 * c->factor_share[f]);
    bnf_buf_printf(t, "\n%-16s %22s %22s\n", "radius", "accuracy: certified", "under attack");
    for (int k = 0; k < s->radii.count; k++)
        bnf_buf_printf(t, "%-16s %20.2f %% %20.2f %%\n", s->radii.text[k], 100 * c->certified[k], 100 * c->attacked[k]);
    if (s->radii.count > 0)
        bnf_buf_puts(t, "The share of samples that no perturbation of that size turns lies between the two.\n");
}

static void json_line(const campaign *c, bnf_json *j)
{
    bnf_json_int(j, "found", c->found);
    bnf_json_real(j, "distance_mean", c->found > 0 ? c->distance : NAN);
    bnf_json_real(j, "certified_mean", c->found > 0 ? c->radius : NAN);
    bnf_json_real(j, "ratio_mean", c->found > 0 ? c->ratio_mean : NAN);
    bnf_json_real(j, "ratio_least", c->found > 0 ? c->ratio_least : NAN);
    bnf_json_real(j, "ratio_median", c->found > 0 ? c->ratio_median : NAN);
}

/* Flat, so that base/json.h can read it back for the report. */
static bnf_status write_json(const campaign *c)
{
    const settings *s = &c->set;
    bnf_buf out = {0}, path = {0};
    bnf_json j = bnf_json_start(&out, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "weights", c->run->weights);
    bnf_json_int(&j, "step", c->run->step);
    bnf_json_string(&j, "split", bnf_split_name(s->split));
    bnf_json_int(&j, "samples", c->n);
    bnf_json_int(&j, "scanned", c->scanned);
    bnf_json_string(&j, "kind", kind_words[s->kind]);
    bnf_json_string(&j, "norm", kinds[s->kind].norm);
    bnf_json_int(&j, "steps", s->steps);
    bnf_json_int(&j, "restarts", s->restarts);
    bnf_json_int(&j, "outside_restarts", s->outside_restarts);
    bnf_json_bool(&j, "clip", s->clip != 0);
    bnf_json_int(&j, "inside_flipped", c->inside_f64);
    bnf_json_int(&j, "inside_flipped_f32", c->inside_f32);
    bnf_json_bool(&j, "broken", c->broken >= 0);
    if (s->kind == LINE) {
        json_line(c, &j);
    } else {
        bnf_json_real(&j, "inside_margin_taken", c->taken);
        bnf_json_real(&j, "inside_nearest", c->nearest);
    }
    bnf_json_reals(&j, "factors", s->factors.value, s->factors.count);
    bnf_json_reals(&j, "factors_flipped", c->factor_share, s->factors.count);
    bnf_json_reals(&j, "radii", s->radii.value, s->radii.count);
    bnf_json_reals(&j, "certified_accuracy", c->certified, s->radii.count);
    bnf_json_reals(&j, "attacked_accuracy", c->attacked, s->radii.count);
    bnf_json_end_object(&j);
    bnf_status status = bnf_json_finish(&j);
    bnf_buf_putc(&out, '\n');
    if (status == BNF_OK)
        status = bnf_fs_join(&path, c->run->folder, kinds[s->kind].file);
    if (status == BNF_OK)
        status = bnf_fs_write_atomic(bnf_buf_text(&path), bnf_buf_text(&out), out.size);
    bnf_buf_release(&out);
    bnf_buf_release(&path);
    return status;
}

static bnf_status conclude(const campaign *c, bnf_buf *text)
{
    bnf_status s = BNF_OK;
    print_text(c, text);
    if (bnf_comm_rank(c->run->comm) == 0)
        s = write_json(c);
    BNF_TRY(bnf_comm_agree(c->run->comm, s != BNF_OK ? s : text->status));
    if (c->broken < 0)
        return BNF_OK;
    const bnf_lipschitz_sample *b = &c->cert.samples[c->broken];
    return bnf_fail(
        BNF_ERR_NUMERIC,
        "a certificate is broken: of %lld samples, %lld changed class inside their certified radius (%lld in "
        "f32), first sample %lld (radius %g)",
        (long long)c->n, (long long)c->inside_f64, (long long)c->inside_f32, (long long)c->broken, b->radius);
}

bnf_status bnf_lipschitz_attack(bnf_run *run, const char *const *options, int n_options, bnf_buf *text)
{
    campaign c = {.run = run, .broken = -1};
    BNF_TRY(parse(&c.set, options, n_options, text));
    if (c.set.help)
        return BNF_OK;
    BNF_TRY(bnf_lipschitz_certificate_create(run, c.set.split, 0, &c.cert));
    bool cube = kinds[c.set.kind].way == BNF_LIPSCHITZ_LINF;
    c.unit = cube ? bnf_lipschitz_down(1 / sqrt((double)bnf_lipschitz_size(&c.cert.net.in)), 2) : 1;
    bnf_status s = bnf_comm_agree(run->comm, choose(&c));
    if (s == BNF_OK)
        s = run_all(&c);
    if (s == BNF_OK)
        s = conclude(&c, text);
    bnf_lipschitz_certificate_release(&c.cert);
    bnf_free(c.sample);
    bnf_free(c.flip);
    bnf_free(c.targets);
    bnf_free(c.result);
    bnf_free(c.who);
    return s;
}
