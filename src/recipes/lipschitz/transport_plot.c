/* recipes/lipschitz/transport_plot.c - points, level sets and steps of a network over the plane. */
#include "recipes/lipschitz/transport_plot.h"

#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/forward.h"
#include "recipes/lipschitz/transport.h"
#include "report/html_plane.h"
#include "report/ticks.h"

#include <math.h>
#include <stdio.h>

enum { GRID = 121, POINTS = 800, ARROWS = 90, LEVELS = 6 /* on either side of 0, about */ };
#define MARGIN 0.12 /* around the points, as a part of their extent */

typedef struct picture {
    const bnf_lipschitz_certificate *c;
    const bnf_lipschitz_transport *t;
    double *pixels; /* [shown, 2] */
    int64_t shown;  /* samples */
    double min[2], max[2];
    double *f;         /* [GRID, GRID] rows along y */
    double *points[2]; /* [count, 2] of either class */
    int64_t points_count[2];
    double *lines[4]; /* boundary, level sets below 0, above 0, arrows: [count, 4] */
    int64_t lines_count[4], lines_room[4];
} picture;

/* ---- what is drawn ---- */

static bnf_status add_line(picture *p, int set, double x0, double y0, double x1, double y1)
{
    if (p->lines_count[set] == p->lines_room[set]) {
        int64_t room = p->lines_room[set] ? 2 * p->lines_room[set] : 256;
        BNF_TRY(bnf_realloc((size_t)p->lines_room[set] * 4 * sizeof(double), (size_t)room * 4 * sizeof(double), "lines",
                            &p->lines[set]));
        p->lines_room[set] = room;
    }
    double *at = p->lines[set] + 4 * p->lines_count[set]++;
    at[0] = x0, at[1] = y0, at[2] = x1, at[3] = y1;
    return BNF_OK;
}

/* The samples' points by class, and a square around them. */
static bnf_status take_points(bnf_run *run, picture *p)
{
    bnf_dataset *dataset;
    float x[2];
    double image[2], extent;
    p->shown = p->t->count < POINTS ? p->t->count : POINTS;
    BNF_TRY(bnf_run_dataset(run, p->c->split, &dataset));
    BNF_TRY(bnf_alloc((size_t)p->shown * 2 * sizeof(double), "points", &p->pixels));
    for (int k = 0; k < 2; k++) {
        BNF_TRY(bnf_alloc((size_t)p->shown * 2 * sizeof(double), "points", &p->points[k]));
        p->min[k] = INFINITY;
        p->max[k] = -INFINITY;
    }
    for (int64_t i = 0; i < p->shown; i++) {
        int label = p->c->samples[i].label == 1;
        BNF_TRY(bnf_dataset_read_rows(dataset, i, 1, x)); /* two u8 need less room */
        bnf_lipschitz_pixels(&p->c->net, x, image);
        for (int k = 0; k < 2; k++) {
            p->pixels[2 * i + k] = p->points[label][2 * p->points_count[label] + k] = image[k];
            p->min[k] = fmin(p->min[k], image[k]);
            p->max[k] = fmax(p->max[k], image[k]);
        }
        p->points_count[label]++;
    }
    extent = fmax(p->max[0] - p->min[0], p->max[1] - p->min[1]);
    extent = extent > 0 ? extent * (1 + 2 * MARGIN) : 1;
    for (int k = 0; k < 2; k++) {
        double middle = (p->min[k] + p->max[k]) / 2;
        p->min[k] = middle - extent / 2;
        p->max[k] = middle + extent / 2;
    }
    return BNF_OK;
}

static double grid_at(const picture *p, int axis, int i)
{
    return p->min[axis] + (p->max[axis] - p->min[axis]) * i / (GRID - 1);
}

/* f over the square, in f64. */
static bnf_status fill_grid(bnf_run *run, picture *p)
{
    bnf_lipschitz_forward *forward;
    double *scratch = NULL, *norms;
    BNF_TRY(bnf_alloc((size_t)GRID * GRID * sizeof(double), "level sets", &p->f));
    BNF_TRY(bnf_lipschitz_forward_create(&p->c->net, run->params, &forward));
    int64_t norm_count = p->c->net.count + 1, need = norm_count + bnf_lipschitz_forward_scratch(forward);
    bnf_status s = bnf_alloc((size_t)need * sizeof(double), "activations in f64", &scratch);
    norms = scratch;
    for (int i = 0; i < GRID * GRID && s == BNF_OK; i++) {
        double pixels[2] = {grid_at(p, 0, i % GRID), grid_at(p, 1, i / GRID)}, x[2];
        bnf_lipschitz_inputs(&p->c->net, pixels, x);
        bnf_lipschitz_forward_run(forward, x, scratch + norm_count, &p->f[i], norms);
    }
    bnf_free(scratch);
    bnf_lipschitz_forward_destroy(forward);
    return s;
}

/* Where f crosses `level` in one triangle of grid points, linear between corners. */
static bnf_status cross_triangle(picture *p, int set, double level, const int *corner)
{
    double at[2][2];
    int found = 0;
    for (int k = 0; k < 3 && found < 2; k++) {
        int i = corner[k], j = corner[(k + 1) % 3];
        double a = p->f[i] - level, b = p->f[j] - level;
        if ((a < 0) == (b < 0))
            continue;
        double part = a / (a - b);
        at[found][0] = grid_at(p, 0, i % GRID) + part * (grid_at(p, 0, j % GRID) - grid_at(p, 0, i % GRID));
        at[found++][1] = grid_at(p, 1, i / GRID) + part * (grid_at(p, 1, j / GRID) - grid_at(p, 1, i / GRID));
    }
    return found == 2 ? add_line(p, set, at[0][0], at[0][1], at[1][0], at[1][1]) : BNF_OK;
}

/* Below 0 dashed: every other diagonal of cells is left out. */
static bnf_status add_level(picture *p, int set, double level)
{
    for (int y = 0; y + 1 < GRID; y++)
        for (int x = 0; x + 1 < GRID; x++) {
            int i = y * GRID + x;
            if (set == 1 && (x + y) / 2 % 2)
                continue;
            BNF_TRY(cross_triangle(p, set, level, (int[]){i, i + 1, i + GRID}));
            BNF_TRY(cross_triangle(p, set, level, (int[]){i + 1, i + GRID + 1, i + GRID}));
        }
    return BNF_OK;
}

/* [out] step between the levels. */
static bnf_status add_levels(picture *p, double *step)
{
    double most = 0;
    for (int64_t i = 0; i < p->shown; i++)
        most = fmax(most, p->t->item[i].lead);
    bnf_ticks ticks = bnf_ticks_linear(0, most > 0 ? most : 1, LEVELS, false);
    *step = ticks.at[1] - ticks.at[0];
    BNF_TRY(add_level(p, 0, 0));
    for (int k = 1; k < ticks.count; k++) {
        BNF_TRY(add_level(p, 1, -k * *step));
        BNF_TRY(add_level(p, 2, k * *step));
    }
    return BNF_OK;
}

static bnf_status add_arrows(picture *p)
{
    int64_t stride = p->shown / ARROWS > 0 ? p->shown / ARROWS : 1;
    stride += stride % 2 == 0 && stride > 1; /* odd, so that alternating classes are both seen */
    for (int64_t i = 0; i < p->shown; i += stride)
        BNF_TRY(add_line(p, 3, p->pixels[2 * i], p->pixels[2 * i + 1], p->t->end[2 * i], p->t->end[2 * i + 1]));
    return BNF_OK;
}

static void release(picture *p)
{
    bnf_free(p->pixels);
    bnf_free(p->f);
    for (int k = 0; k < 2; k++)
        bnf_free(p->points[k]);
    for (int k = 0; k < 4; k++)
        bnf_free(p->lines[k]);
}

/* ---- the section ---- */

static const char explained[] =
    "The network's output f, drawn over the plane of its two inputs. Training by optimal transport looks for the "
    "cheapest "
    "way to carry one class onto the other. Where it has succeeded, |grad f| is 1 almost everywhere, level sets are "
    "equally far apart, and the step x - f grad f leads from a point straight to the decision boundary, on the way "
    "along "
    "which it would be carried to the other class.";

static const char measured[] =
    "Over the %lld samples, |grad f| has the median %.4g (5 %% are below %.4g), and after the step, |f| has the median "
    "%.3g "
    "of what it was. Where the slope is not 1, a step of f / |grad f| along the gradient is fairer: it leaves %.3g.";

static bnf_status describe(const picture *p, bnf_html *html)
{
    const double share[2] = {0.5, 0.05};
    double slope[2], plain[2], scaled[2];
    BNF_TRY(bnf_lipschitz_transport_quantiles(p->t, BNF_LIPSCHITZ_SLOPE, 2, share, slope));
    BNF_TRY(bnf_lipschitz_transport_quantiles(p->t, BNF_LIPSCHITZ_PLAIN, 2, share, plain));
    BNF_TRY(bnf_lipschitz_transport_quantiles(p->t, BNF_LIPSCHITZ_SCALED, 2, share, scaled));
    bnf_html_section(html, "Transport plan");
    bnf_html_text(html, explained);
    bnf_html_text(html, measured, (long long)p->t->count, slope[0], slope[1], plain[0], scaled[0]);
    if (isfinite(p->t->kr))
        bnf_html_text(html,
                      "The mean of f over one class exceeds that over the other by %.6g. Since f is proven to be "
                      "%.7g-Lipschitz, the Wasserstein-1 distance between the two classes' samples is at least %.6g.",
                      p->t->kr, p->c->bounds.logit, p->t->kr / p->c->bounds.logit);
    return BNF_OK;
}

static bnf_status show(const bnf_run *run, const picture *p, const char *const *names, double step, bnf_html *html)
{
    char below[64], above[64];
    snprintf(below, sizeof below, "f = -%.3g, -%.3g, ...", step, 2 * step);
    snprintf(above, sizeof above, "f = %.3g, %.3g, ...", step, 2 * step);
    const bnf_html_points points[2] = {{names[0], p->points[0], p->points_count[0]},
                                       {names[1], p->points[1], p->points_count[1]}};
    const bnf_html_lines lines[4] = {
        {"decision boundary, f = 0", BNF_HTML_STROKE_BOLD, p->lines[0], p->lines_count[0]},
        {below, BNF_HTML_STROKE_FIRST, p->lines[1], p->lines_count[1]},
        {above, BNF_HTML_STROKE_SECOND, p->lines[2], p->lines_count[2]},
        {"x \xE2\x86\x92 x - f grad f", BNF_HTML_STROKE_ARROW, p->lines[3], p->lines_count[3]}};
    const bnf_html_plane plane = {.title = "Level sets and steps to the boundary",
                                  .min = {p->min[0], p->min[1]},
                                  .max = {p->max[0], p->max[1]},
                                  .points = points,
                                  .point_sets = 2,
                                  .lines = lines,
                                  .line_sets = 4};
    bnf_buf svg = {0}, path = {0};
    bnf_html_plane_add(html, &plane);
    bnf_status s = bnf_html_plane_svg(&plane, &svg);
    if (s == BNF_OK)
        s = bnf_fs_join(&path, run->folder, "transport.svg");
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(bnf_buf_text(&path), bnf_buf_text(&svg), svg.size);
    bnf_buf_release(&svg);
    bnf_buf_release(&path);
    return s;
}

static bnf_status plot(bnf_run *run, const bnf_lipschitz_certificate *c, const bnf_lipschitz_transport *t,
                       bnf_html *html)
{
    static const char *const binary[] = {"negative", "positive"};
    bnf_dataset *dataset;
    double step = 0;
    picture p = {.c = c, .t = t};
    bnf_status s = bnf_run_dataset(run, c->split, &dataset);
    if (s == BNF_OK)
        s = take_points(run, &p);
    if (s == BNF_OK)
        s = fill_grid(run, &p);
    if (s == BNF_OK)
        s = add_levels(&p, &step);
    if (s == BNF_OK)
        s = add_arrows(&p);
    if (s == BNF_OK)
        s = describe(&p, html);
    if (s == BNF_OK) {
        const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
        s = show(run, &p, info->classes == 2 ? info->class_names : binary, step, html);
    }
    release(&p);
    return s;
}

bnf_status bnf_lipschitz_transport_plot(bnf_run *run, const bnf_lipschitz_certificate *c, bnf_html *html)
{
    bnf_lipschitz_transport t;
    if (bnf_lipschitz_size(&c->net.in) != 2 || c->bounds.outputs != 1)
        return BNF_OK;
    BNF_TRY(bnf_lipschitz_transport_create(run, c, 0, true, &t));
    bnf_status s = html ? plot(run, c, &t, html) : BNF_OK;
    bnf_lipschitz_transport_release(&t);
    return bnf_comm_agree(run->comm, s);
}
