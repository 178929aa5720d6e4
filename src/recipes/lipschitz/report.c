/* recipes/lipschitz/report.c - certificates, attacks and explanations as sections of the report. */
#include "recipes/lipschitz/report.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/certify.h"
#include "recipes/lipschitz/explain.h"
#include "report/colormap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 24, PER_CLASS = 10, WRONG = 2 };

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
    "is the norm of its kernel as a matrix times the root of the largest number of patches that share a pixel.";

static void radii_table(const bnf_lipschitz_certificate *c, const bnf_lipschitz_reals *radii, bnf_html *html)
{
    enum { WIDTH = BNF_LIPSCHITZ_FORMS + 1, CELLS = (BNF_LIPSCHITZ_MAX_REALS + 1) * WIDTH };
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

static bnf_status curve(const bnf_lipschitz_certificate *c, const bnf_lipschitz_reals *radii, bnf_html *html)
{
    double *radius;
    bnf_html_mark marks[BNF_LIPSCHITZ_MAX_REALS];
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
    bnf_lipschitz_reals radii;
    BNF_TRY(bnf_lipschitz_reals_parse("radii", BNF_LIPSCHITZ_RADII, 0, &radii));
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
    enum { MOST = BNF_LIPSCHITZ_MAX_REALS };
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

/* ---- explanations ---- */

typedef struct pictures {
    uint8_t *bytes; /* of all pictures of all cards */
    bnf_html_image *images;
    bnf_html_card *cards;
    char (*text)[2][160]; /* [count] title, note */
} pictures;

enum { PICTURES = 4 };

/* The first sample of every class that is right, and the first few that are wrong; ascending. */
static int64_t choose(const bnf_lipschitz_certificate *c, int64_t *samples, int32_t *predicted)
{
    bool shown[PER_CLASS] = {false};
    int64_t n = 0, wrong = 0, right = 0;
    for (int64_t i = 0; i < c->count && (right < PER_CLASS || wrong < WRONG); i++) {
        const bnf_lipschitz_sample *s = &c->samples[i];
        bool ok = s->predicted == s->label;
        if (ok ? (s->label >= PER_CLASS || shown[s->label]) : wrong == WRONG)
            continue;
        if (ok) {
            shown[s->label] = true;
            right++;
        } else {
            wrong++;
        }
        samples[n] = i;
        predicted[n++] = s->predicted;
    }
    return n;
}

/* Where the pictures of one card stand behind one another: two as the data set has them, two maps in colour. */
static int64_t card_bytes(const bnf_lipschitz_net *net)
{
    return net->in.h * net->in.w * (2 * (net->in.c == 3 ? 3 : 1) + 2 * 3);
}

/* h x w x (1 or 3) values in [0,1]; of another number of channels the first is shown. Returns the bytes used. */
static int64_t put_photo(const bnf_lipschitz_net *net, const float *x, const char *label, uint8_t *at,
                         bnf_html_image *image)
{
    int channels = net->in.c == 3 ? 3 : 1;
    int64_t area = net->in.h * net->in.w;
    for (int64_t i = 0; i < area; i++)
        bnf_colormap_gray(x + i * net->in.c, channels, 0, 1, at + i * channels);
    *image = (bnf_html_image){at, net->in.h, net->in.w, channels, label, label};
    return area * channels;
}

static int64_t put_map(const bnf_lipschitz_net *net, bnf_colormap map, const float *x, const char *label, uint8_t *at,
                       bnf_html_image *image)
{
    int64_t area = net->in.h * net->in.w;
    double limit = 1;
    if (bnf_colormap_limit(x, area, 0.99, &limit) != BNF_OK)
        limit = 1;
    bnf_colormap_apply(map, x, area, limit, at);
    *image = (bnf_html_image){at, net->in.h, net->in.w, 3, label, label};
    return area * 3;
}

static void card(const bnf_lipschitz_certificate *c, const char *const *names, const bnf_lipschitz_explained *e,
                 uint8_t *bytes, bnf_html_image *images, char (*text)[160], bnf_html_card *out)
{
    const bnf_lipschitz_sample *s = &c->samples[e->sample];
    bool right = s->predicted == s->label, turned = e->turned != e->predicted;
    bytes += put_photo(&c->net, e->pixels, "input", bytes, &images[0]);
    bytes += put_map(&c->net, BNF_COLORMAP_MAGNITUDE, e->saliency, "saliency", bytes, &images[1]);
    bytes += put_photo(&c->net, e->turning, turned ? "turned" : "end of path", bytes, &images[2]);
    put_map(&c->net, BNF_COLORMAP_SIGNED, e->change, "change", bytes, &images[3]);
    snprintf(text[0], 160, right ? "%s" : "%s, taken for %s", names[s->label], names[s->predicted]);
    if (turned)
        snprintf(text[1], 160, "Certificate %.2g; turns into %s at distance %.2g.", s->radius, names[e->turned],
                 e->distance);
    else
        snprintf(text[1], 160, "Certificate %.2g; does not turn to distance %.2g.", s->radius, e->distance);
    *out = (bnf_html_card){text[0], text[1], !right, images, PICTURES};
}

static const char saliency_explained[] =
    "Saliency shows which pixels the winning output depends on: the size of its derivative with respect to each "
    "pixel (the largest over colour channels), on a scale of each picture's own. The derivative's length is %.3g on "
    "average over the pictures shown; the proven limit is %.4g.";

static const char turned_explained[] =
    "Turned answers the question \"what would have to be different?\". The picture is changed along the gradient of "
    "its lead over the best other class, step by step, until the class turns; change shows what was made lighter or "
    "darker on the way. The distance can be compared with the certificate, which it can never undercut. Training by "
    "optimal transport makes the gradient point from one class towards the other, so that the change should look "
    "like parts of the other class; for ordinary networks it looks more like noise.";

static void explain_text(const bnf_lipschitz_certificate *c, const bnf_lipschitz_explanations *x, bnf_html *html)
{
    double slope = 0;
    for (int64_t i = 0; i < x->count; i++)
        slope += x->item[i].slope / (double)x->count;
    bnf_html_text(html, saliency_explained, slope, c->bounds.logit);
    bnf_html_text(html, turned_explained);
}

static void explain_cards(const bnf_lipschitz_certificate *c, const bnf_dataset_info *info,
                          const bnf_lipschitz_explanations *x, pictures *p, bnf_html *html)
{
    static const char *const binary[] = {"negative", "positive"};
    const char *const *names = c->bounds.outputs == 1 && info->classes < 2 ? binary : info->class_names;
    int64_t each = card_bytes(&c->net);
    for (int64_t i = 0; i < x->count; i++)
        card(c, names, &x->item[i], p->bytes + i * each, p->images + i * PICTURES, p->text[i], &p->cards[i]);
    bnf_html_images(html, "One picture of each class, and the first that are classified wrongly.", p->cards, x->count);
    bnf_html_scale(html, BNF_COLORMAP_MAGNITUDE, "saliency: no influence", "large influence");
    bnf_html_scale(html, BNF_COLORMAP_SIGNED, "change: darker", "lighter");
}

static bnf_status explanations(bnf_run *run, const bnf_lipschitz_certificate *c, bnf_html *html)
{
    int64_t samples[PER_CLASS + WRONG];
    int32_t predicted[PER_CLASS + WRONG];
    int64_t n = choose(c, samples, predicted);
    bnf_lipschitz_explanations x = {0};
    pictures p = {0};
    if (n == 0)
        return BNF_OK;
    bnf_dataset *dataset;
    BNF_TRY(bnf_run_dataset(run, c->split, &dataset));
    BNF_TRY(bnf_lipschitz_explain(run, c->split, &c->net, samples, predicted, n, &x));
    bnf_status s = bnf_calloc((size_t)(n * card_bytes(&c->net)), 1, "pictures", &p.bytes);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)(n * PICTURES), sizeof *p.images, "pictures", &p.images);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)n, sizeof *p.cards, "pictures", &p.cards);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)n, sizeof *p.text, "pictures", &p.text);
    if (s == BNF_OK) {
        bnf_html_section(html, "Explanations");
        explain_text(c, &x, html);
        explain_cards(c, bnf_dataset_get_info(dataset), &x, &p, html);
    }
    bnf_free(p.bytes);
    bnf_free(p.images);
    bnf_free(p.cards);
    bnf_free(p.text);
    bnf_lipschitz_explanations_release(&x);
    return s;
}

/* ---- all ---- */

bnf_status bnf_lipschitz_report(bnf_run *run, bnf_html *html)
{
    bnf_lipschitz_certificate c;
    bnf_status s = BNF_OK;
    BNF_TRY(bnf_lipschitz_certificate_create(run, run->test ? BNF_TEST : BNF_TRAIN, 0, &c));
    if (html) {
        s = certificates(&c, html);
        if (s == BNF_OK)
            s = attack(run, html);
        if (s == BNF_OK)
            s = explanations(run, &c, html);
    }
    bnf_lipschitz_certificate_release(&c);
    return bnf_comm_agree(run->comm, s);
}
