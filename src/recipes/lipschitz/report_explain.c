/* recipes/lipschitz/report_explain.c - attribution maps and counterfactuals in the report. */
#include "recipes/lipschitz/report_explain.h"

#include "base/mem.h"
#include "recipes/lipschitz/explain.h"
#include "report/colormap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PER_CLASS = 10, WRONG = 2, MOST = PER_CLASS + WRONG, COLUMNS = 8, NETWORKS = 2, CELLS = COLUMNS * NETWORKS };

#define STRIP "0,0.5,1,1.5,2,5,10"

/* ---- pictures of cards ---- */

typedef struct album {
    const bnf_lipschitz_net *net;
    int64_t cells;   /* used so far, of MOST * CELLS */
    int64_t cards;   /* of MOST */
    int64_t columns; /* of every card */
    uint8_t *bytes;  /* [cells, h, w, 3] */
    bnf_html_image image[MOST * CELLS];
    char label[MOST * CELLS][96];
    bnf_html_card card[MOST];
    const char *row[MOST][NETWORKS];
    char row_text[MOST][NETWORKS][160], title[MOST][160];
} album;

static bnf_status album_open(const bnf_lipschitz_net *net, int64_t columns, album **out)
{
    album *a;
    *out = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *a, "pictures", &a));
    a->net = net;
    a->columns = columns;
    bnf_status s = bnf_alloc((size_t)(MOST * CELLS * net->in.h * net->in.w * 3), "pictures", &a->bytes);
    if (s != BNF_OK)
        bnf_free(a);
    else
        *out = a;
    return s;
}

static void album_close(album *a)
{
    if (!a)
        return;
    bnf_free(a->bytes);
    bnf_free(a);
}

/* Begins a card; its pictures follow, row by row. */
static void album_card(album *a, bool wrong)
{
    int64_t n = a->cards++;
    a->card[n] = (bnf_html_card){.title = a->title[n],
                                 .flagged = wrong,
                                 .images = a->image + a->cells,
                                 .columns = (int)a->columns,
                                 .row_titles = a->row[n]};
}

/* Place for one more picture of the last card. */
static uint8_t *album_cell(album *a, int channels)
{
    int64_t n = a->cells++, h = a->net->in.h, w = a->net->in.w;
    uint8_t *at = a->bytes + n * h * w * 3;
    a->image[n] = (bnf_html_image){at, h, w, channels, a->label[n], a->label[n]};
    a->card[a->cards - 1].image_count++;
    return at;
}

static char *album_label(album *a)
{
    return a->label[a->cells - 1];
}

/* h x w x (1 or 3) values in [0,1]; of another number of channels the first is shown. */
static void put_photo(album *a, const float *x)
{
    int channels = a->net->in.c == 3 ? 3 : 1;
    uint8_t *at = album_cell(a, channels);
    for (int64_t i = 0; i < a->net->in.h * a->net->in.w; i++)
        bnf_colormap_gray(x + i * a->net->in.c, channels, 0, 1, at + i * channels);
}

static bnf_status put_map(album *a, bnf_colormap map, const float *x)
{
    int64_t area = a->net->in.h * a->net->in.w;
    double limit;
    uint8_t *at = album_cell(a, 3);
    BNF_TRY(bnf_colormap_limit(x, area, 0.99, &limit));
    bnf_colormap_apply(map, x, area, limit, at);
    return BNF_OK;
}

/* ---- what is shown ---- */

typedef struct view {
    bnf_run *run;
    bnf_lipschitz_net net;
    bnf_lipschitz_maps *maps;
    bnf_lipschitz_explained e;
    bool method[BNF_LIPSCHITZ_METHODS];
    bool constrained;
} view;

typedef struct exhibition {
    const bnf_lipschitz_certificate *c;
    view view[NETWORKS]; /* this run's, its twin's */
    int networks;
    int64_t samples[MOST], n;
    const char *const *names;
    float *change; /* [h, w] work space */
} exhibition;

/* The first sample of every class that is right, and the first few that are wrong; ascending. */
static void choose(exhibition *x)
{
    bool shown[PER_CLASS] = {false};
    int64_t wrong = 0, right = 0;
    for (int64_t i = 0; i < x->c->count && (right < PER_CLASS || wrong < WRONG); i++) {
        const bnf_lipschitz_sample *s = &x->c->samples[i];
        bool ok = s->predicted == s->label;
        if (ok ? (s->label >= PER_CLASS || shown[s->label]) : wrong == WRONG)
            continue;
        if (ok)
            shown[s->label] = true;
        *(ok ? &right : &wrong) += 1;
        x->samples[x->n++] = i;
    }
}

static bnf_status view_open(bnf_run *run, const exhibition *x, view *v)
{
    bnf_dataset *dataset;
    bnf_option_reals t;
    bnf_lipschitz_maps_settings set = bnf_lipschitz_maps_default(run);
    v->run = run;
    v->constrained = bnf_lipschitz_constrained(run->job->settings);
    BNF_TRY(bnf_run_dataset(run, x->c->split, &dataset));
    BNF_TRY(bnf_lipschitz_net_create(run->job, run->params, bnf_dataset_get_info(dataset), &v->net));
    BNF_TRY(bnf_lipschitz_methods_parse(NULL, &v->net, v->method));
    BNF_TRY(bnf_option_reals_parse("t", STRIP, 0, &t));
    BNF_TRY(bnf_lipschitz_explained_create(&v->net, v->method, &t, x->n, &v->e));
    v->e.scaled = !v->constrained;
    BNF_TRY(bnf_lipschitz_maps_create(run, &v->net, &set, (int64_t)4 * run->threads, &v->maps));
    return bnf_lipschitz_explain(run, x->c->split, v->maps, x->samples, x->n, false, &v->e);
}

static void view_close(view *v)
{
    bnf_lipschitz_maps_destroy(v->maps);
    bnf_lipschitz_explained_release(&v->e);
    bnf_lipschitz_net_release(&v->net);
}

static const char *network_name(const exhibition *x, int v)
{
    if (x->networks == 1 || x->view[0].constrained != x->view[1].constrained)
        return x->view[v].constrained ? "1-Lipschitz network" : "Unconstrained network";
    return v ? "Second network" : "This network";
}

/* Title, and titles of rows: what each network says, with `numbers` how clearly. */
static void title(const exhibition *x, int64_t i, bool numbers, album *a)
{
    int64_t n = a->cards - 1;
    const bnf_lipschitz_facts *f = &x->view[0].e.facts[i];
    char more[112] = "", certificate[48];
    if (f->predicted == f->label)
        snprintf(a->title[n], sizeof a->title[n], "%s", x->names[f->label]);
    else
        snprintf(a->title[n], sizeof a->title[n], "%s, taken for %s", x->names[f->label], x->names[f->predicted]);
    snprintf(certificate, sizeof certificate, ", certificate %.2g", x->c->samples[f->sample].radius);
    for (int v = 0; v < x->networks; v++) {
        f = &x->view[v].e.facts[i];
        if (numbers)
            snprintf(more, sizeof more, "; lead f = %.3g, |grad f| = %.3g%s", f->lead, f->slope, v ? "" : certificate);
        snprintf(a->row_text[n][v], sizeof a->row_text[n][v], "%s: %s%s", network_name(x, v), x->names[f->predicted],
                 more);
        a->row[n][v] = a->row_text[n][v];
    }
    if (x->networks == 1 && !numbers)
        a->card[n].row_titles = NULL;
}

/* ---- attribution maps ---- */

static const char *const method_labels[] = {"saliency", "SmoothGrad", "integrated gradients", "gradient \u00d7 input",
                                            "Grad-CAM"};

/* Columns stand under each other, so all networks must have the map. */
static bool shown(const exhibition *x, int method)
{
    bool all = true;
    for (int v = 0; v < x->networks; v++)
        all = all && x->view[v].e.map[method];
    return all;
}

static bnf_status maps_row(const exhibition *x, int v, int64_t i, album *a)
{
    const bnf_lipschitz_explained *e = &x->view[v].e;
    int64_t area = e->net->in.h * e->net->in.w, c = e->net->in.c, size = area * c;
    put_photo(a, e->pixels + i * size);
    snprintf(album_label(a), sizeof a->label[0], "picture");
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++) {
        bool has_sign = bnf_lipschitz_method_signed((bnf_lipschitz_method)m);
        if (!shown(x, m))
            continue;
        BNF_TRY(put_map(a, has_sign ? BNF_COLORMAP_SIGNED : BNF_COLORMAP_MAGNITUDE, e->map[m] + i * area));
        snprintf(album_label(a), sizeof a->label[0], "%s", method_labels[m]);
    }
    for (int64_t k = 0; k < area; k++) {
        x->change[k] = 0;
        for (int64_t j = 0; j < c; j++)
            x->change[k] += e->turned[i * size + k * c + j] - e->pixels[i * size + k * c + j];
    }
    BNF_TRY(put_map(a, BNF_COLORMAP_SIGNED, x->change));
    snprintf(album_label(a), sizeof a->label[0], "change that turns it");
    return BNF_OK;
}

static const char maps_explained[] =
    "Which pixels does the answer rest on? Each map below says it in its own way, for one picture and the output of "
    "the "
    "winning class. Every map has a scale of its own, from zero to its largest values: shapes can be compared, "
    "brightness cannot. A map of the dark kind that is black all over is zero everywhere.";

static const char compared[] =
    "The second row of each card shows the same maps for the network of %s. Good maps are smooth and follow the "
    "object; noise means that a map says little about what the network looks at.";

static void methods_table(const exhibition *x, bnf_html *html)
{
    static const bnf_html_column columns[] = {{"Map", false}, {"What it shows", false}, {"Colours", false}};
    static const char *const text[] = {
        "How strongly the output reacts to a small change of the pixel: the size of its derivative (of the largest "
        "over "
        "colour channels).",
        "The same of the derivative averaged over 50 noisy copies of the picture (standard deviation 0.2). Where "
        "saliency "
        "can be trusted, the two look alike.",
        "The derivative averaged on the way from a black picture to this one, times the pixel. The map adds up to what "
        "the picture adds to the output.",
        "The derivative times the pixel.",
        "Where those channels of the last convolution are active that speak for the class; enlarged from that layer's "
        "coarser grid.",
        "What had to be made lighter or darker until the network gave another class (see Counterfactuals)."};
    const char *cells[3 * (BNF_LIPSCHITZ_METHODS + 1)];
    int64_t n = 0;
    for (int m = 0; m <= BNF_LIPSCHITZ_METHODS; m++) {
        bool change = m == BNF_LIPSCHITZ_METHODS;
        if (!change && !shown(x, m))
            continue;
        cells[n++] = change ? "change that turns it" : method_labels[m];
        cells[n++] = text[m];
        if (change)
            cells[n++] = "blue: darker, red: lighter";
        else if (bnf_lipschitz_method_signed((bnf_lipschitz_method)m))
            cells[n++] = "red: for the class, blue: against it";
        else
            cells[n++] = "black: none, yellow: strong";
    }
    bnf_html_table(html, "The maps", columns, 3, cells, n / 3);
}

static void maps_text(const exhibition *x, bnf_html *html)
{
    bnf_html_text(html, "%s", maps_explained);
    methods_table(x, html);
    if (x->networks > 1)
        bnf_html_text(html, compared, x->view[1].run->folder);
}

static bnf_status maps_section(const exhibition *x, bnf_html *html)
{
    album *a;
    bnf_status s = BNF_OK;
    int64_t columns = 2;
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        columns += shown(x, m);
    BNF_TRY(album_open(&x->view[0].net, columns, &a));
    for (int64_t i = 0; i < x->n && s == BNF_OK; i++) {
        const bnf_lipschitz_facts *f = &x->view[0].e.facts[i];
        album_card(a, f->predicted != f->label);
        title(x, i, false, a);
        for (int v = 0; v < x->networks && s == BNF_OK; v++)
            s = maps_row(x, v, i, a);
    }
    if (s == BNF_OK) {
        bnf_html_section(html, "Explanations");
        maps_text(x, html);
        bnf_html_images(html,
                        "The first picture of each class that is classified rightly, and the first two that are not.",
                        a->card, a->cards);
        bnf_html_scale(html, BNF_COLORMAP_MAGNITUDE, "saliency, SmoothGrad, Grad-CAM: no influence", "large influence");
        bnf_html_scale(html, BNF_COLORMAP_SIGNED, "the others: against the class (darker)", "for the class (lighter)");
    }
    album_close(a);
    return s;
}

/* ---- counterfactuals ---- */

static void strip_row(const exhibition *x, int v, int64_t i, album *a)
{
    const bnf_lipschitz_explained *e = &x->view[v].e;
    const bnf_lipschitz_facts *f = &e->facts[i];
    int64_t size = bnf_lipschitz_size(&e->net->in);
    for (int64_t t = 0; t < e->t.count; t++) {
        put_photo(a, e->strip + (i * e->t.count + t) * size);
        snprintf(album_label(a), sizeof a->label[0], "t = %s\n%s%s\nlead %.2f", e->t.text[t],
                 f->class_at[t] != f->predicted ? "\u2192 " : "", x->names[f->class_at[t]], f->lead_at[t]);
    }
    put_photo(a, e->turned + i * size);
    if (f->turned != f->predicted)
        snprintf(album_label(a), sizeof a->label[0], "followed\n\u2192 %s\ndistance %.2g", x->names[f->turned],
                 f->distance);
    else
        snprintf(album_label(a), sizeof a->label[0], "followed\n(in vain)\ndistance %.2g", f->distance);
}

static const char strip_explained[] =
    "What would have to be different for another answer? Let f be the lead of the winning class over the next best "
    "(its "
    "output minus the largest other one%s), and grad f its gradient with respect to the pixels. The pictures are x "
    "\u2212 t f(x) grad f(x): the more t, the further down the lead's gradient, in one straight step. Under each "
    "stands "
    "what the network says to it and the lead that the first class still has; below 0 another class has won.";

static const char strip_theory[] =
    "In theory, where grad f has length 1, t = 1 is on the border between two classes and t = 2 as far on the other "
    "side. "
    "Here the length is %.3g on average over the pictures shown (it is proven to be at most %.4g); the border is to be "
    "expected near t = 1 / |grad f|\u00b2.%s";

static const char strip_scaled[] =
    " The second network's gradients are so long (%.3g on average) that such steps would leave the range of pictures "
    "at "
    "once: its steps are divided by |grad f|\u00b2, which puts the expected border at t = 1.";

static const char strip_own_scaled[] =
    "This network's gradients have a length of %.3g on average; as nothing holds it near 1, the steps are divided by "
    "|grad f|\u00b2, which puts the expected border between two classes at t = 1.";

static const char followed_explained[] =
    "Followed: the same in many small steps, each along the gradient of the place reached, with pixels kept between 0 "
    "and 1, up to the first picture of another class. Its distance from the start can never be smaller than the "
    "certificate. Values below 0 or above 1 are shown as black or white. For a network trained by optimal transport "
    "the "
    "pictures should take on parts of the other class; for an ordinary network little can be seen, because changes too "
    "small to notice turn it.";

static double mean_slope(const view *v)
{
    double sum = 0;
    for (int64_t i = 0; i < v->e.n; i++)
        sum += v->e.facts[i].slope / (double)v->e.n;
    return sum;
}

static void strip_text(const exhibition *x, bnf_html *html)
{
    char twin[320] = "";
    const bnf_lipschitz_bounds *b = &x->c->bounds;
    double most = b->outputs > 1 ? 0 : b->network;
    for (int64_t k = 0; b->outputs > 1 && k < b->outputs * b->outputs; k++)
        most = fmax(most, b->features * b->gap[k]);
    if (x->networks > 1 && x->view[1].e.scaled)
        snprintf(twin, sizeof twin, strip_scaled, mean_slope(&x->view[1]));
    bnf_html_text(html, strip_explained, b->outputs == 1 ? "; with one output, its size" : "");
    if (x->view[0].e.scaled)
        bnf_html_text(html, strip_own_scaled, mean_slope(&x->view[0]));
    else
        bnf_html_text(html, strip_theory, mean_slope(&x->view[0]), most, twin);
    bnf_html_text(html, "%s", followed_explained);
}

static bnf_status strip_section(const exhibition *x, bnf_html *html)
{
    album *a;
    BNF_TRY(album_open(&x->view[0].net, x->view[0].e.t.count + 1, &a));
    for (int64_t i = 0; i < x->n; i++) {
        const bnf_lipschitz_facts *f = &x->view[0].e.facts[i];
        album_card(a, f->predicted != f->label);
        title(x, i, true, a);
        for (int v = 0; v < x->networks; v++)
            strip_row(x, v, i, a);
    }
    bnf_html_section(html, "Counterfactuals");
    strip_text(x, html);
    bnf_html_images(html, "The pictures of the section above; t = 0 is the picture itself.", a->card, a->cards);
    album_close(a);
    return BNF_OK;
}

/* ---- all ---- */

/* The twin must have been trained for the same pictures. */
static bnf_status check_twin(const bnf_run *run, const bnf_lipschitz_certificate *c)
{
    bnf_dataset *mine, *other;
    BNF_TRY(bnf_run_dataset(run, c->split, &mine));
    BNF_TRY(bnf_run_dataset(run->twin, c->split, &other));
    const bnf_dataset_info *a = bnf_dataset_get_info(mine), *b = bnf_dataset_get_info(other);
    if (run->twin->job->recipe != run->job->recipe)
        return bnf_fail(BNF_ERR_CONFIG, "--twin %s: its recipe is %s, not %s", run->twin->folder,
                        run->twin->job->recipe->name, run->job->recipe->name);
    if (a->count != b->count || a->h != b->h || a->w != b->w || a->c != b->c || a->classes != b->classes ||
        (a->checksum[0] && b->checksum[0] && strcmp(a->checksum, b->checksum) != 0))
        return bnf_fail(BNF_ERR_CONFIG, "--twin %s: it reads %s, other pictures than %s", run->twin->folder, b->path,
                        a->path);
    return BNF_OK;
}

bnf_status bnf_lipschitz_report_explanations(bnf_run *run, const bnf_lipschitz_certificate *c, bnf_html *html)
{
    static const char *const binary[] = {"negative", "positive"};
    exhibition x = {.c = c, .networks = run->twin ? 2 : 1};
    bnf_dataset *dataset;
    BNF_TRY(bnf_run_dataset(run, c->split, &dataset));
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    x.names = c->bounds.outputs == 1 && info->classes < 2 ? binary : info->class_names;
    choose(&x);
    if (x.n == 0)
        return BNF_OK;
    bnf_status s = run->twin ? check_twin(run, c) : BNF_OK;
    for (int v = 0; v < x.networks && s == BNF_OK; v++)
        s = view_open(v ? run->twin : run, &x, &x.view[v]);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(c->net.in.h * c->net.in.w) * sizeof *x.change, "change of a picture", &x.change);
    if (s == BNF_OK)
        s = maps_section(&x, html);
    if (s == BNF_OK)
        s = strip_section(&x, html);
    bnf_free(x.change);
    for (int v = 0; v < x.networks; v++)
        view_close(&x.view[v]);
    return s;
}
