/* recipes/lipschitz/report.c - certificates, attacks and explanations as sections of the report. */
#include "recipes/lipschitz/report.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/certify.h"
#include "recipes/lipschitz/report_explain.h"
#include "recipes/lipschitz/transport_plot.h"
#include "recipes/lipschitz/report_metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 24 };

/* ---- what it is ---- */

static const char limit_explained[] =
    "The network turns a picture into one number per class, its outputs; the class of the largest is its answer, and "
    "its lead over the second largest says how clear the case is. What is special about a 1-Lipschitz network is a "
    "limit that is built in: every layer may keep distances or shrink them, but never stretch them. So when a picture "
    "is changed by some distance, the features that the last layer reads change by no more than that.";

static const char limit_consequences[] =
    "Two things follow. A lead can be lost only by a change that is large enough: this gives each answer a certificate "
    "(see below). And training, which under this limit can only pull the outputs of two classes apart by finding the "
    "shortest ways between their pictures (a problem of optimal transport), makes the gradient of an output point "
    "along "
    "such a way: this is why gradients explain the answer, and lead to pictures of another class.";

static const char free_explained[] =
    "The network turns a picture into one number per class, its outputs; the class of the largest is its answer, and "
    "its lead over the second largest says how clear the case is. This one is an ordinary, unconstrained network: its "
    "layers may stretch distances as training likes. It is what 1-Lipschitz networks, whose layers never stretch "
    "distances, are compared with.";

static const char units_explained[] = "Distances between pictures are Euclidean (L2): the root of the sum of the "
                                      "squared differences of all pixel values, "
                                      "which are %s.";

static void introduction(const bnf_lipschitz_certificate *c, bool constrained, bnf_html *html)
{
    char units[160];
    bnf_html_section(html, constrained ? "What a 1-Lipschitz network is" : "What this network is");
    bnf_html_text(html, "%s", constrained ? limit_explained : free_explained);
    if (constrained)
        bnf_html_text(html, "%s", limit_consequences);
    if (c->net.bytes)
        snprintf(
            units, sizeof units,
            "from 0 (black) to 1 (white): one pixel from black to white is a distance of 1, the whole picture %.4g",
            sqrt((double)bnf_lipschitz_size(&c->net.in)));
    else
        snprintf(units, sizeof units, "in the units of the data set");
    bnf_html_text(html, units_explained, units);
}

/* ---- certificates ---- */

static void headline(const bnf_lipschitz_certificate *c, bnf_html *html)
{
    char value[32];
    snprintf(value, sizeof value, "%.3f", bnf_lipschitz_mean_radius(c, BNF_LIPSCHITZ_EXACT));
    bnf_html_headline(html, "Mean certificate", value, "L2 distance of pixels; no smaller change can turn the class");
    snprintf(value, sizeof value, "%.1f %%", 100 * bnf_lipschitz_certified(c, BNF_LIPSCHITZ_EXACT, 36 / 255.0));
    bnf_html_headline(html, "Certified accuracy", value, "at L2 radius 36/255: right, and proven to stay so");
}

static const char what_it_is[] =
    "A certificate is a distance that belongs to one picture: no change of its pixels that is shorter, however "
    "clever, makes this network give another class. Distances are Euclidean (L2), with pixels %s. A certificate is "
    "not the outcome of an experiment. It is proven, from two things: how fast the network's outputs can change at "
    "all (its Lipschitz constant), and by how much the winning class leads the others for this picture.";

static const char how_it_is_made[] =
    "From the pixels to the features that the last layer reads, distances grow by a factor of at most L = %.7g. "
    "Class i leads class j by (w_i - w_j) times the features, so a lead of m cannot be lost by a change shorter than "
    "m / (L |w_i - w_j|); a picture's certificate is the smallest of these over all other classes. Leads are "
    "computed in double precision, what rounding can have done to them is subtracted, and every number is rounded to "
    "the safe side.";

static const char without_linear[] =
    "From the pixels to the outputs, distances grow by a factor of at most L = %.7g, so a lead of m cannot be lost "
    "by a change shorter than m / (sqrt(2) L). Leads are computed in double precision, what rounding can have done "
    "to them is subtracted, and every number is rounded to the safe side.";

static const char no_use[] =
    "This network has no useful certificate: its layers may stretch distances by a factor of %.3g in all, so its "
    "certificates are near 0 (mean %.2g). That does not prove that it is fragile, only that nothing can be promised. "
    "Networks are certified well when they are trained under the constraint (model.constraint: bjorck or spectral).";

static const char four_forms[] =
    "The first column below is the certificate. The second also holds when the network is evaluated in single "
    "precision, with any order of summation: the proof then covers the program, not only the formula. The last two "
    "are the forms published with the method, with f1 and f2 the two largest outputs; they know less of the last "
    "layer.";

static const char layers_explained[] =
    "The factor L is the product of what every layer can stretch a distance by. The bounds are computed from the "
    "trained weights, apart from the training: norms of matrices W in double precision, rounded up. A convolution's "
    "is the smaller of two: the norm of its kernel as a matrix times the root of the largest number of patches that "
    "share a pixel, and the largest norm of its frequency response, proven between the frequencies that are computed.";

static void radii_table(const bnf_lipschitz_certificate *c, const bnf_option_reals *radii, bnf_html *html)
{
    enum { WIDTH = BNF_LIPSCHITZ_FORMS + 1, CELLS = (BNF_OPTION_MAX_REALS + 1) * WIDTH };
    static const bnf_html_column columns[WIDTH] = {{"L2 radius", false},
                                                   {"certificate", true},
                                                   {"also in f32", true},
                                                   {"(f1 - f2) / (2 L)", true},
                                                   {"(f1 - f2) / (\u221a2 L)", true}};
    char text[CELLS][CELL];
    const char *cells[CELLS];
    int n = 0;
    for (int r = 0; r <= radii->count; r++)
        for (int f = -1; f < BNF_LIPSCHITZ_FORMS; f++, n++) {
            bnf_lipschitz_form form = (bnf_lipschitz_form)f;
            cells[n] = text[n];
            if (f < 0)
                snprintf(text[n], CELL, "%s", r < radii->count ? radii->text[r] : "mean certificate");
            else if (r < radii->count)
                snprintf(text[n], CELL, "%.2f %%", 100 * bnf_lipschitz_certified(c, form, radii->value[r]));
            else
                snprintf(text[n], CELL, "%.4f", bnf_lipschitz_mean_radius(c, form));
        }
    bnf_html_table(html, "Certified accuracy in four forms", columns, WIDTH, cells, n / WIDTH);
}

static bnf_status curve(const bnf_lipschitz_certificate *c, const bnf_option_reals *radii, bnf_html *html)
{
    double *radius;
    bnf_html_mark marks[BNF_OPTION_MAX_REALS];
    BNF_TRY(bnf_alloc((size_t)c->count * sizeof *radius, "certified radii", &radius));
    for (int64_t i = 0; i < c->count; i++)
        radius[i] = bnf_lipschitz_radius(&c->samples[i], BNF_LIPSCHITZ_EXACT);
    for (int i = 0; i < radii->count; i++)
        marks[i] = (bnf_html_mark){radii->value[i], radii->text[i]};
    bnf_html_certified(html, "Certified accuracy", c->net.bytes ? "radius (L2, pixels in [0,1])" : "radius (L2)",
                       radius, c->count, marks, radii->count);
    bnf_free(radius);
    return BNF_OK;
}

static bnf_status layer_table(const bnf_lipschitz_certificate *c, bnf_html *html)
{
    enum { WIDTH = 3 };
    static const bnf_html_column columns[WIDTH] = {{"Layer", false}, {"Bound", true}, {"From", false}};
    int64_t rows = c->net.count + 1;
    const char **cells;
    char(*bound)[CELL];
    BNF_TRY(bnf_alloc((size_t)rows * WIDTH * sizeof *cells, "table of layers", &cells));
    bnf_status s = bnf_alloc((size_t)rows * sizeof *bound, "table of layers", &bound);
    for (int64_t i = 0; i < rows && s == BNF_OK; i++) {
        snprintf(bound[i], CELL, "%.6f", i ? c->bounds.stages[i - 1].lipschitz : c->bounds.input);
        cells[WIDTH * i] = i ? c->net.stages[i - 1].name : "input";
        cells[WIDTH * i + 1] = bound[i];
        cells[WIDTH * i + 2] = i ? c->bounds.stages[i - 1].from : "normalisation of the pixels: largest |scale|";
    }
    if (s == BNF_OK) {
        bnf_html_table(html, "Bounds of the layers", columns, WIDTH, cells, rows);
        bnf_free(bound);
    }
    bnf_free(cells);
    return s;
}

static bnf_status certificates(const bnf_lipschitz_certificate *c, bnf_html *html)
{
    bnf_option_reals radii;
    BNF_TRY(bnf_option_reals_parse("radii", BNF_LIPSCHITZ_RADII, 0, &radii));
    bnf_html_section(html, "Certificates");
    bnf_html_text(html, what_it_is, c->net.bytes ? "from 0 (black) to 1 (white)" : "in the units of the data set");
    bnf_html_text(html, c->bounds.linear ? how_it_is_made : without_linear, c->bounds.features);
    if (bnf_lipschitz_useless(c))
        bnf_html_warning(html, no_use, c->bounds.network, bnf_lipschitz_mean_radius(c, BNF_LIPSCHITZ_EXACT));
    else
        headline(c, html);
    BNF_TRY(curve(c, &radii, html));
    bnf_html_text(html, four_forms);
    radii_table(c, &radii, html);
    bnf_html_text(html, layers_explained);
    return layer_table(c, html);
}

/* ---- attack ---- */

static double number_of(const bnf_json_object *o, const char *name)
{
    const bnf_json_field *f = bnf_json_object_find(o, name);
    return f && f->type == BNF_JSON_NUMBER ? f->number : NAN;
}

static const bnf_json_field *numbers_of(const bnf_json_object *o, const char *name, int64_t count)
{
    const bnf_json_field *f = bnf_json_object_find(o, name);
    return f && f->type == BNF_JSON_NUMBERS && f->count >= count ? f : NULL;
}

static void attack_factors(const bnf_json_object *o, bnf_html *html)
{
    const bnf_json_field *factors = numbers_of(o, "factors", 1);
    const bnf_json_field *share = factors ? numbers_of(o, "factors_flipped", factors->count) : NULL;
    char text[256] = "";
    size_t used = 0;
    for (int64_t i = 0; share && i < factors->count && used + 48 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.1f %% within %g times the radius", i ? ", " : "",
                                 100 * share->numbers[i], factors->numbers[i]);
    if (used > 0)
        bnf_html_text(html, "Outside, where nothing is promised, the same attack turned %s.", text);
}

static void attack_radii(const bnf_json_object *o, bnf_html *html)
{
    enum { MOST = BNF_OPTION_MAX_REALS };
    static const bnf_html_column columns[] = {{"L2 radius", false}, {"proven", true}, {"left by the attack", true}};
    const bnf_json_field *radii = numbers_of(o, "radii", 1);
    const bnf_json_field *certified = radii ? numbers_of(o, "certified_accuracy", radii->count) : NULL;
    const bnf_json_field *attacked = radii ? numbers_of(o, "attacked_accuracy", radii->count) : NULL;
    char text[3 * MOST][CELL];
    const char *cells[3 * MOST];
    int64_t rows = 0;
    for (; certified && attacked && rows < radii->count && rows < MOST; rows++) {
        snprintf(text[3 * rows], CELL, "%.4g", radii->numbers[rows]);
        snprintf(text[3 * rows + 1], CELL, "%.1f %%", 100 * certified->numbers[rows]);
        snprintf(text[3 * rows + 2], CELL, "%.1f %%", 100 * attacked->numbers[rows]);
        for (int64_t k = 3 * rows; k < 3 * rows + 3; k++)
            cells[k] = text[k];
    }
    if (rows > 0)
        bnf_html_table(html, "Accuracy at fixed radii: the truth lies between the two columns", columns, 3, cells,
                       rows);
}

static const char attack_explained[] =
    "Certificates were put to the test by banff attack: it looked for changes that turn the class, by gradient "
    "ascent on the lead of the best other class (%.0f steps from %.0f starting points per picture). Inside the "
    "certified radii it turned %.0f of %.0f pictures; the most that it took away of any lead was %.0f %%.";

static void attack_section(const bnf_json_object *o, bnf_html *html)
{
    const bnf_json_field *broken = bnf_json_object_find(o, "broken");
    double flipped = number_of(o, "inside_flipped"), samples = number_of(o, "samples");
    bnf_html_section(html, "Attack");
    if (broken && broken->boolean)
        bnf_html_warning(html, "A certificate was broken: %.0f of %.0f pictures turned. This is a bug.", flipped,
                         samples);
    bnf_html_text(html, attack_explained, number_of(o, "steps"), number_of(o, "restarts"), flipped, samples,
                  100 * number_of(o, "inside_margin_taken"));
    attack_factors(o, html);
    attack_radii(o, html);
}

/* FOLDER/attack.json, if there is one and it is about these weights. */
static bnf_status attack(const bnf_run *run, bnf_html *html)
{
    bnf_buf path = {0}, content = {0};
    bnf_json_object *o = NULL;
    bnf_status s = bnf_fs_join(&path, run->folder, "attack.json");
    bool there = s == BNF_OK && bnf_fs_exists(bnf_buf_text(&path));
    if (there)
        s = bnf_fs_read(bnf_buf_text(&path), &content);
    if (there && s == BNF_OK)
        s = bnf_json_object_parse(bnf_buf_text(&content), content.size, &o);
    if (there && s != BNF_OK)
        s = bnf_fail_context(s, "%s", bnf_buf_text(&path));
    const bnf_json_field *weights = o ? bnf_json_object_find(o, "weights") : NULL;
    if (weights && weights->type == BNF_JSON_STRING && strcmp(weights->string, run->weights) == 0)
        attack_section(o, html);
    bnf_json_object_destroy(o);
    bnf_buf_release(&content);
    bnf_buf_release(&path);
    return s;
}

/* ---- all ---- */

bnf_status bnf_lipschitz_report(bnf_run *run, bnf_html *html)
{
    bnf_lipschitz_certificate c;
    bnf_status s = BNF_OK;
    BNF_TRY(bnf_lipschitz_certificate_create(run, run->test ? BNF_TEST : BNF_TRAIN, 0, &c));
    if (html) {
        introduction(&c, bnf_lipschitz_constrained(run->job->settings), html);
        s = certificates(&c, html);
        if (s == BNF_OK)
            s = attack(run, html);
        if (s == BNF_OK && c.net.in.h * c.net.in.w > 1) /* one pixel is no picture */
            s = bnf_lipschitz_report_explanations(run, &c, html);
        if (s == BNF_OK)
            s = bnf_lipschitz_report_metrics(run, html);
    }
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = bnf_lipschitz_transport_plot(run, &c, html);
    bnf_lipschitz_certificate_release(&c);
    return s;
}
