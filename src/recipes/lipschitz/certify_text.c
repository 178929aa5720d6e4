/* recipes/lipschitz/certify_text.c - certificates as text and JSON, and the command. */
#include "recipes/lipschitz/transport.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"

#include <math.h>

enum { CURVE = 101 /* points of the curve in certificate.json */ };

static const char *const form_names[BNF_LIPSCHITZ_FORMS] = {"exact", "f32", "published_2L", "published_sqrt2L"};

static double largest_radius(const bnf_lipschitz_certificate *c)
{
    double r = 0;
    for (int64_t i = 0; i < c->count; i++)
        r = fmax(r, bnf_lipschitz_radius(&c->samples[i], BNF_LIPSCHITZ_EXACT));
    return r;
}

/* Largest over all samples of one figure. */
static double largest(const bnf_lipschitz_certificate *c, size_t offset)
{
    double v = 0;
    for (int64_t i = 0; i < c->count; i++)
        v = fmax(v, *(const double *)((const char *)&c->samples[i] + offset));
    return v;
}
#define LARGEST(c, field) largest(c, offsetof(bnf_lipschitz_sample, field))

/* ---- text ---- */

static void print_layers(const bnf_lipschitz_certificate *c, bnf_buf *t)
{
    bnf_buf_printf(t, "%-24s %12s  %s\n", "layer", "bound", "from");
    for (int i = 0; i < c->net.count; i++) {
        const bnf_lipschitz_stage *s = &c->net.stages[i];
        bnf_buf_printf(t, "%-24s %12.6f  %s\n", s->name, c->bounds.stages[i].lipschitz, c->bounds.stages[i].from);
    }
    bnf_buf_printf(t, "%-24s %12.6f  pixels in [0,1] to network input: largest |scale| of a channel\n", "input",
                   c->bounds.input);
    bnf_buf_printf(t, "Lipschitz constant, pixels to %s at most %.6g, to any one logit %.6g, to all logits %.6g\n",
                   c->bounds.linear ? "features (input of the last layer)" : "logits", c->bounds.features,
                   c->bounds.logit, c->bounds.network);
}

static void print_radii(const bnf_lipschitz_certificate *c, const bnf_option_reals *radii, bnf_buf *t)
{
    bnf_buf_printf(t, "\n%-44s %9s", "certified for L2 perturbations of pixels", "mean");
    for (int i = 0; i < radii->count; i++)
        bnf_buf_printf(t, " %9s", radii->text[i]);
    static const char *const what[BNF_LIPSCHITZ_FORMS] = {"this network", "... and its f32 evaluation, any rounding",
                                                          "for comparison: (f1 - f2) / (2 L)",
                                                          "for comparison: (f1 - f2) / (sqrt(2) L)"};
    for (int f = 0; f < BNF_LIPSCHITZ_FORMS; f++) {
        bnf_buf_printf(t, "\n%-44s %9.4f", what[f], bnf_lipschitz_mean_radius(c, (bnf_lipschitz_form)f));
        for (int i = 0; i < radii->count; i++)
            bnf_buf_printf(t, " %7.2f %%", 100 * bnf_lipschitz_certified(c, (bnf_lipschitz_form)f, radii->value[i]));
    }
    bnf_buf_puts(t, "\n");
}

static const char meaning[] =
    "\nMean: of the certified radius, 0 for samples that are classified wrongly. Radii: Euclidean, of %s.\n"
    "Rounding of a margin is at most %.2g in f64 (subtracted above) and %.2g in f32 within the radius (subtracted in\n"
    "the second line); the f32 logits were seen to be off by %.2g.\n";

static const char no_use[] =
    "There is no useful certificate: below 1/255 on average, less than the smallest change that a picture can have. "
    "The\n"
    "bound of the Lipschitz constant is too large for the margins. Networks are certified well when they are trained\n"
    "under the constraint (model.constraint: bjorck, orthogonal or spectral), without batch normalisation.\n";

static void print_text(const bnf_run *run, const bnf_lipschitz_certificate *c, const bnf_option_reals *radii,
                       bnf_buf *t)
{
    bnf_buf_printf(t, "%s part, %lld samples, step %lld, weights %s\n\n", bnf_split_name(c->split), (long long)c->count,
                   (long long)run->step, run->weights);
    print_layers(c, t);
    bnf_buf_printf(t, "accuracy %.4f (exact network), %.4f (f32 kernels)\n", (double)c->right / (double)c->count,
                   (double)c->right_f32 / (double)c->count);
    print_radii(c, radii, t);
    bnf_buf_printf(t, meaning, c->net.bytes ? "pixels in [0,1]" : "pixels in the units of the file",
                   LARGEST(c, error_f64), LARGEST(c, error_f32), LARGEST(c, seen_f32));
    if (bnf_lipschitz_useless(c))
        bnf_buf_puts(t, no_use);
}

/* ---- JSON ---- */

static void json_layers(const bnf_lipschitz_certificate *c, bnf_json *j)
{
    bnf_json_begin_array(j, "layers");
    for (int i = 0; i < c->net.count; i++) {
        const bnf_lipschitz_stage_bound *b = &c->bounds.stages[i];
        bnf_json_begin_object(j, NULL);
        bnf_json_string(j, "name", c->net.stages[i].name);
        bnf_json_string(j, "kind", bnf_layer_kind_names[c->net.stages[i].layer.kind]);
        bnf_json_real(j, "bound", b->lipschitz);
        if (b->by)
            bnf_json_string(j, "by", b->by);
        bnf_json_string(j, "from", b->from);
        bnf_json_end_object(j);
    }
    bnf_json_end_array(j);
}

static void json_form(const bnf_lipschitz_certificate *c, bnf_lipschitz_form form, const bnf_option_reals *radii,
                      bnf_json *j)
{
    double share[BNF_OPTION_MAX_REALS];
    for (int i = 0; i < radii->count; i++)
        share[i] = bnf_lipschitz_certified(c, form, radii->value[i]);
    bnf_json_begin_object(j, form_names[form]);
    bnf_json_real(j, "mean_radius", bnf_lipschitz_mean_radius(c, form));
    bnf_json_reals(j, "certified_accuracy", share, radii->count);
    bnf_json_end_object(j);
}

static void json_curve(const bnf_lipschitz_certificate *c, bnf_json *j)
{
    double r[CURVE], share[CURVE], top = largest_radius(c);
    for (int i = 0; i < CURVE; i++) {
        r[i] = top * i / (CURVE - 1);
        share[i] = bnf_lipschitz_certified(c, BNF_LIPSCHITZ_EXACT, r[i]);
    }
    bnf_json_begin_object(j, "curve");
    bnf_json_reals(j, "radius", r, CURVE);
    bnf_json_reals(j, "certified_accuracy", share, CURVE);
    bnf_json_end_object(j);
}

static bnf_status print_json(const bnf_run *run, const bnf_lipschitz_certificate *c, const bnf_option_reals *radii,
                             bnf_buf *out)
{
    bnf_json j = bnf_json_start(out, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "weights", run->weights);
    bnf_json_int(&j, "step", run->step);
    bnf_json_string(&j, "split", bnf_split_name(c->split));
    bnf_json_int(&j, "samples", c->count);
    bnf_json_int(&j, "right", c->right);
    bnf_json_int(&j, "right_f32", c->right_f32);
    bnf_json_string(&j, "unit", c->net.bytes ? "L2 norm of pixels in [0,1]" : "L2 norm of pixels as stored");
    bnf_json_real(&j, "lipschitz_input", c->bounds.input);
    bnf_json_real(&j, "lipschitz_features", c->bounds.features);
    bnf_json_real(&j, "lipschitz_logit", c->bounds.logit);
    bnf_json_real(&j, "lipschitz_network", c->bounds.network);
    bnf_json_bool(&j, "useful", !bnf_lipschitz_useless(c));
    bnf_json_reals(&j, "radii", radii->value, radii->count);
    for (int f = 0; f < BNF_LIPSCHITZ_FORMS; f++)
        json_form(c, (bnf_lipschitz_form)f, radii, &j);
    bnf_json_real(&j, "rounding_f64", LARGEST(c, error_f64));
    bnf_json_real(&j, "rounding_f32", LARGEST(c, error_f32));
    bnf_json_real(&j, "difference_f32", LARGEST(c, seen_f32));
    json_layers(c, &j);
    json_curve(c, &j);
    bnf_json_end_object(&j);
    BNF_TRY(bnf_json_finish(&j));
    return bnf_buf_putc(out, '\n');
}

/* ---- command ---- */

static bnf_status write_file(const bnf_run *run, const char *name, const bnf_buf *content)
{
    bnf_buf path = {0};
    bnf_status s = bnf_fs_join(&path, run->folder, name);
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(bnf_buf_text(&path), bnf_buf_text(content), content->size);
    bnf_buf_release(&path);
    return s;
}

/* transport: NULL if it was not asked for. */
static bnf_status write_results(const bnf_run *run, const bnf_lipschitz_certificate *c, const bnf_option_reals *radii,
                                const bnf_lipschitz_transport *transport, bnf_buf *text)
{
    bnf_buf json = {0};
    print_text(run, c, radii, text);
    bnf_status s = text->status;
    if (s == BNF_OK && transport)
        s = bnf_lipschitz_transport_write(run, c, transport, text);
    if (s == BNF_OK)
        s = print_json(run, c, radii, &json);
    if (s == BNF_OK)
        s = write_file(run, "certificate.json", &json);
    if (s == BNF_OK)
        s = write_file(run, "certificate.txt", text);
    bnf_buf_release(&json);
    return s;
}

bnf_status bnf_lipschitz_certify(bnf_run *run, const char *const *options, int n_options, bnf_buf *text)
{
    int64_t samples, transport;
    bnf_split split;
    bnf_option_reals radii;
    bool help;
    const bnf_option table[] = {
        {"samples", BNF_OPTION_INT, "0", "certify the first N samples; 0: all", 0, &samples},
        {"split", BNF_OPTION_SPLIT, "test", "train or test", 0, &split},
        {"radii", BNF_OPTION_REALS, BNF_LIPSCHITZ_RADII, "radii to state the certified accuracy at", 0, &radii},
        {"transport", BNF_OPTION_INT, "0",
         "1: also measure slopes, where x - f grad f leads, and the classes' distance (transport.json)", 0, &transport},
    };
    BNF_TRY(bnf_options_parse(table, (int)(sizeof table / sizeof table[0]), options, n_options, text, &help));
    if (help)
        return BNF_OK;
    bnf_lipschitz_certificate c;
    BNF_TRY(bnf_lipschitz_certificate_create(run, split, samples, &c));
    bnf_lipschitz_transport t = {0};
    bnf_status s = transport ? bnf_lipschitz_transport_create(run, &c, 0, false, &t) : BNF_OK;
    if (s == BNF_OK && bnf_comm_rank(run->comm) == 0)
        s = write_results(run, &c, &radii, transport ? &t : NULL, text);
    bnf_lipschitz_transport_release(&t);
    bnf_lipschitz_certificate_release(&c);
    return bnf_comm_agree(run->comm, s);
}
