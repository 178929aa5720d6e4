/* Points, lines and arrows in the plane as SVG, in the colours of the page's charts. */
#include "report/html_plane.h"

#include "base/assert.h"
#include "report/html_parts.h"
#include "report/ticks.h"

#include <math.h>

enum { WIDTH = 480, LEFT = 44, RIGHT = 8, TOP = 8, SIDE = WIDTH - LEFT - RIGHT, HEIGHT = TOP + SIDE + 26 };
enum { WANTED = 5, LINE_HEIGHT = 20 };
#define HEAD 5.0 /* length of an arrow's head */

static const char *const stroke_class[] = {"bold", "first", "second", "arrow"};

static double x_of(const bnf_html_plane *p, double x)
{
    return LEFT + SIDE * (x - p->min[0]) / (p->max[0] - p->min[0]);
}

static double y_of(const bnf_html_plane *p, double y)
{
    return TOP + SIDE * (p->max[1] - y) / (p->max[1] - p->min[1]);
}

/* ---- the picture ---- */

static void draw_frame(const bnf_html_plane *p, bnf_buf *b)
{
    const bnf_ticks x = bnf_ticks_inside(p->min[0], p->max[0], WANTED, false);
    const bnf_ticks y = bnf_ticks_inside(p->min[1], p->max[1], WANTED, false);
    bnf_buf_puts(b, "<g class=\"grid\">");
    for (int i = 0; i < x.count; i++)
        bnf_buf_printf(
            b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text class=\"tx\" x=\"%.1f\" y=\"%d\">%s</text>",
            x_of(p, x.at[i]), x_of(p, x.at[i]), TOP, TOP + SIDE, x_of(p, x.at[i]), TOP + SIDE + 18, x.text[i]);
    for (int i = 0; i < y.count; i++)
        bnf_buf_printf(b,
                       "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"ty\" x=\"%d\" y=\"%.1f\" "
                       "dy=\".35em\">%s</text>",
                       LEFT, LEFT + SIDE, y_of(p, y.at[i]), y_of(p, y.at[i]), LEFT - 7, y_of(p, y.at[i]), y.text[i]);
    bnf_buf_puts(b, "</g>\n");
}

/* Cuts the piece a to b off at the frame (Liang and Barsky, 1984); false if nothing is left. */
static bool cut(const bnf_html_plane *p, double *a, double *b)
{
    double from = 0, to = 1;
    for (int axis = 0; axis < 2; axis++) {
        const double d = b[axis] - a[axis];
        for (int end = 0; end < 2; end++) {
            const double sign = end ? 1 : -1, room = end ? p->max[axis] - a[axis] : a[axis] - p->min[axis];
            if (sign * d > 0)
                to = fmin(to, room / (sign * d));
            else if (sign * d < 0)
                from = fmax(from, room / (sign * d));
            else if (!(room >= 0))
                return false;
        }
    }
    if (!(from < to))
        return false;
    for (int axis = 0; axis < 2; axis++) {
        const double start = a[axis], d = b[axis] - start;
        a[axis] = start + from * d;
        b[axis] = start + to * d;
    }
    return true;
}

/* The two sides of a head whose tip is (x, y), for a shaft of the direction (dx, dy) in SVG units. */
static void put_head(bnf_buf *b, double x, double y, double dx, double dy)
{
    const double length = hypot(dx, dy), u = dx / length, v = dy / length;
    if (length < 0.5 * HEAD)
        return;
    bnf_buf_printf(b, "M%.1f %.1fL%.1f %.1fL%.1f %.1f", x - HEAD * (u - 0.5 * v), y - HEAD * (v + 0.5 * u), x, y,
                   x - HEAD * (u + 0.5 * v), y - HEAD * (v - 0.5 * u));
}

static void draw_lines(const bnf_html_plane *p, const bnf_html_lines *l, bnf_buf *b)
{
    bnf_buf_printf(b, "<path class=\"%s\" d=\"", stroke_class[l->stroke]);
    for (int64_t i = 0; i < l->count; i++) {
        double from[2] = {l->at[4 * i], l->at[4 * i + 1]}, to[2] = {l->at[4 * i + 2], l->at[4 * i + 3]};
        const double end[2] = {to[0], to[1]};
        if (!isfinite(from[0] + from[1] + to[0] + to[1]) || !cut(p, from, to))
            continue;
        const double x = x_of(p, to[0]), y = y_of(p, to[1]), x0 = x_of(p, from[0]), y0 = y_of(p, from[1]);
        bnf_buf_printf(b, "M%.1f %.1fL%.1f %.1f", x0, y0, x, y);
        if (l->stroke == BNF_HTML_STROKE_ARROW && to[0] == end[0] && to[1] == end[1])
            put_head(b, x, y, x - x0, y - y0);
    }
    bnf_buf_puts(b, "\"/>\n");
}

static void draw_points(const bnf_html_plane *p, int set, bnf_buf *b)
{
    const bnf_html_points *s = &p->points[set];
    bnf_buf_printf(b, "<g class=\"points%d\">", set + 1);
    for (int64_t i = 0; i < s->count; i++)
        if (s->at[2 * i] >= p->min[0] && s->at[2 * i] <= p->max[0] && s->at[2 * i + 1] >= p->min[1] &&
            s->at[2 * i + 1] <= p->max[1])
            bnf_buf_printf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"1.7\"/>", x_of(p, s->at[2 * i]),
                           y_of(p, s->at[2 * i + 1]));
    bnf_buf_puts(b, "</g>\n");
}

static void draw(const bnf_html_plane *p, bnf_buf *b)
{
    draw_frame(p, b);
    for (int i = 0; i < p->line_sets; i++)
        if (p->lines[i].stroke != BNF_HTML_STROKE_ARROW)
            draw_lines(p, &p->lines[i], b);
    for (int i = 0; i < p->point_sets; i++)
        draw_points(p, i, b);
    for (int i = 0; i < p->line_sets; i++)
        if (p->lines[i].stroke == BNF_HTML_STROKE_ARROW)
            draw_lines(p, &p->lines[i], b);
}

/* ---- legends ---- */

/* A sample of what stands for a set, 28 x 8 at (x, y). */
static void put_key(bnf_buf *b, const bnf_html_plane *p, int set, double x, double y)
{
    if (set < p->point_sets) {
        bnf_buf_printf(b, "<g class=\"points%d\"><circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/></g>", set + 1, x + 14,
                       y + 4);
        return;
    }
    const bnf_html_stroke stroke = p->lines[set - p->point_sets].stroke;
    bnf_buf_printf(b, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f", stroke_class[stroke], x + 1, y + 4, x + 27, y + 4);
    if (stroke == BNF_HTML_STROKE_ARROW)
        put_head(b, x + 27, y + 4, 26, 0);
    bnf_buf_puts(b, "\"/>");
}

static const char *name_of(const bnf_html_plane *p, int set)
{
    return set < p->point_sets ? p->points[set].name : p->lines[set - p->point_sets].name;
}

static void put_description(const bnf_html_plane *p, bnf_buf *b)
{
    bnf_html_escape(b, p->title);
    for (int i = 0; i < p->point_sets + p->line_sets; i++) {
        bnf_buf_puts(b, i ? ", " : ": ");
        bnf_html_escape(b, name_of(p, i));
    }
}

void bnf_html_plane_add(bnf_html *h, const bnf_html_plane *p)
{
    bnf_buf *b = &h->body;
    BNF_ASSERT(p->point_sets <= 2 && p->min[0] < p->max[0] && p->min[1] < p->max[1]);
    bnf_html_chart_block(h);
    bnf_buf_puts(b, "<figure class=\"chart-box\"><figcaption><strong>");
    bnf_html_escape(b, p->title);
    bnf_buf_puts(b, "</strong>");
    if (p->note) {
        bnf_buf_puts(b, "<span class=\"sub\">");
        bnf_html_escape(b, p->note);
        bnf_buf_puts(b, "</span>");
    }
    bnf_buf_puts(b, "</figcaption>\n<ul class=\"legend\">");
    for (int i = 0; i < p->point_sets + p->line_sets; i++) {
        bnf_buf_puts(b, "<li><svg class=\"key plane\" viewBox=\"0 0 28 8\" aria-hidden=\"true\">");
        put_key(b, p, i, 0, 0);
        bnf_buf_puts(b, "</svg>");
        bnf_html_escape(b, name_of(p, i));
        bnf_buf_puts(b, "</li>");
    }
    bnf_buf_printf(b, "</ul>\n<svg class=\"chart plane\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH,
                   HEIGHT);
    put_description(p, b);
    bnf_buf_puts(b, "\">\n");
    draw(p, b);
    bnf_buf_puts(b, "</svg>\n</figure>\n");
}

/* The page's colours and rules for what is drawn here. */
static const char file_style[] =
    "<style>svg{--card:#fff;--ink:#1d2125;--soft:#59626b;--grid:#e7e7e2;--c1:#1f5f99;--c2:#cc6a14}\n"
    "@media (prefers-color-scheme:dark){svg{--card:#1b1f23;--ink:#e6e8e9;--soft:#a3acb4;--grid:#2a2f34;--c1:#6fa8e0;"
    "--c2:#ee9a45}}\n"
    "text{font:12.5px system-ui,\"Segoe UI\",Roboto,\"Noto Sans\",\"Liberation "
    "Sans\",Arial,sans-serif;fill:var(--soft)}\n"
    ".title{font-size:15px;font-weight:600;fill:var(--ink)}.ty{text-anchor:end}.tx{text-anchor:middle}\n"
    ".grid line{stroke:var(--grid)}\n";

bnf_status bnf_html_plane_svg(const bnf_html_plane *p, bnf_buf *out)
{
    const int rows = p->point_sets + p->line_sets, top = 30 + rows * LINE_HEIGHT;
    bnf_buf_printf(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plane\" viewBox=\"0 0 %d %d\" role=\"img\" "
                   "aria-label=\"",
                   WIDTH, top + HEIGHT);
    put_description(p, out);
    bnf_buf_puts(out, "\">\n");
    bnf_buf_puts(out, file_style);
    bnf_buf_puts(out, bnf_html_plane_style);
    bnf_buf_printf(out, "</style>\n<rect width=\"%d\" height=\"%d\" fill=\"var(--card)\"/>\n", WIDTH, top + HEIGHT);
    bnf_buf_printf(out, "<text class=\"title\" x=\"%d\" y=\"20\">", LEFT);
    bnf_html_escape(out, p->title);
    bnf_buf_puts(out, "</text>\n");
    for (int i = 0; i < rows; i++) {
        const int y = 30 + i * LINE_HEIGHT;
        put_key(out, p, i, LEFT, y + 4);
        bnf_buf_printf(out, "<text x=\"%d\" y=\"%d\" dy=\".35em\">", LEFT + 36, y + 8);
        bnf_html_escape(out, name_of(p, i));
        bnf_buf_puts(out, "</text>\n");
    }
    bnf_buf_printf(out, "<g transform=\"translate(0 %d)\">\n", top);
    draw(p, out);
    bnf_buf_puts(out, "</g>\n</svg>\n");
    return out->status;
}
