/* Line charts as inline SVG. The picture is drawn for a width of 480 units and scales with the page; the style sheet
 * enlarges the text on narrow screens, so margins and label distances here are made for the larger size. */
#include "report/html.h"

#include "base/assert.h"
#include "base/mem.h"
#include "report/html_parts.h"
#include "report/ticks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 480, HEIGHT = 300, LEFT = 56, RIGHT = 16, TOP = 30, BOTTOM = 46, MARK_ROW = 18, MARK_ROWS = 3 };
enum { DENSE_POINTS = 800, PIECES = 400, HOVER_POINTS = 40, TABLE_POINTS = 25 };
enum { WANTED_X = 6, WANTED_Y = 5, NUMBER_BYTES = 32 };
enum { LABEL_LIMIT = 50, MARK_LIMIT = 18 }; /* characters */

/* One axis on the picture. */
typedef struct scale {
    const bnf_html_axis *axis;
    bnf_ticks ticks;
    double from, to; /* where ticks.min and ticks.max lie, in SVG units */
} scale;

typedef struct canvas {
    bnf_buf *out;
    const bnf_html_chart *chart;
    scale x, y;
    int top; /* of the plotting area */
} canvas;

/* How many characters of a text are shown where at most `limit` fit, and how many bytes they have. */
static int fitting(const char *text, int limit, size_t *bytes)
{
    const size_t size = strlen(text);
    int n = 0;
    *bytes = 0;
    for (; *bytes < size && n < limit; n++) {
        const size_t step = bnf_utf8_next(text + *bytes, size - *bytes);
        *bytes += step > 0 ? step : 1; /* a broken byte is shown as one character */
    }
    return n;
}

/* A text that is cut, with an ellipsis, where it does not fit. */
static void put_fitting(bnf_buf *out, const char *text, int limit)
{
    size_t all = 0, part = 0;
    fitting(text, limit, &all);
    if (text[all] == '\0') {
        bnf_html_escape(out, text);
        return;
    }
    bnf_buf copy = {0};
    fitting(text, limit - 1, &part);
    bnf_buf_append(&copy, text, part);
    bnf_buf_puts(&copy, "\xE2\x80\xA6");
    bnf_html_escape(out, bnf_buf_text(&copy));
    if (copy.status != BNF_OK)
        out->status = copy.status;
    bnf_buf_release(&copy);
}

static double transform(const bnf_html_axis *axis, double v)
{
    return axis->log ? log10(v) : v;
}

static bool drawable(const canvas *c, double x, double y)
{
    return isfinite(x) && isfinite(y) && (!c->x.axis->log || x > 0.0) && (!c->y.axis->log || y > 0.0);
}

static double place(const scale *s, double v)
{
    const double low = transform(s->axis, s->ticks.min), high = transform(s->axis, s->ticks.max);
    return s->from + (s->to - s->from) * (transform(s->axis, v) - low) / (high - low);
}

static void number_text(const bnf_html_axis *axis, double v, char *text)
{
    if (axis->percent && isfinite(v)) {
        char plain[BNF_TICK_TEXT];
        bnf_number_format(100.0 * v, 4, sizeof plain, plain);
        snprintf(text, NUMBER_BYTES, "%s%%", plain);
    } else {
        bnf_number_format(v, 4, NUMBER_BYTES, text);
    }
}

/* ---- ranges ---- */

typedef struct range {
    double low, high;
} range;

/* The range of all drawable points, or low > high if there is none. */
static range data_range(const canvas *c, bool along_x)
{
    range r = {INFINITY, -INFINITY};
    for (int s = 0; s < c->chart->series_count; s++) {
        const bnf_html_series *series = &c->chart->series[s];
        for (int64_t i = 0; i < series->count; i++) {
            if (!drawable(c, series->x[i], series->y[i]))
                continue;
            const double v = along_x ? series->x[i] : series->y[i];
            r.low = fmin(r.low, v);
            r.high = fmax(r.high, v);
        }
    }
    return r;
}

static bool make_scale(const canvas *c, const bnf_html_axis *axis, bool along_x, scale *s)
{
    s->axis = axis;
    range r = data_range(c, along_x);
    if (r.low > r.high)
        return false;
    if (axis->min < axis->max) {
        r = (range){axis->min, axis->max};
        s->ticks = axis->log ? bnf_ticks_log(r.low, r.high)
                             : bnf_ticks_inside(r.low, r.high, along_x ? WANTED_X : WANTED_Y, axis->percent);
    } else if (axis->log) {
        s->ticks = bnf_ticks_log(r.low, r.high);
    } else if (along_x) {
        s->ticks = bnf_ticks_inside(r.low, r.high, WANTED_X, axis->percent);
    } else {
        s->ticks = bnf_ticks_linear(axis->zero ? fmin(r.low, 0.0) : r.low, axis->zero ? fmax(r.high, 0.0) : r.high,
                                    WANTED_Y, axis->percent);
        if (axis->percent && r.high <= 1.0 && s->ticks.max > 1.0)
            s->ticks.max = 1.0; /* no empty band above 100 % */
    }
    return true;
}

/* ---- drawing ---- */

static void draw_axes(const canvas *c)
{
    const double right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    bnf_buf_puts(c->out, "<g class=\"grid\">");
    for (int i = 0; i < c->y.ticks.count; i++) {
        const double y = place(&c->y, c->y.ticks.at[i]);
        if (y < c->top - 0.5)
            continue;
        bnf_buf_printf(c->out, "<line x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, right, y, y);
        bnf_buf_printf(c->out, "<text class=\"ty\" x=\"%d\" y=\"%.1f\" dy=\".35em\">%s</text>", LEFT - 7, y,
                       c->y.ticks.text[i]);
    }
    bnf_buf_puts(c->out, "</g>\n<g class=\"axis\">");
    bnf_buf_printf(c->out, "<line x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, right, bottom, bottom);
    for (int i = 0; i < c->x.ticks.count; i++) {
        const double x = place(&c->x, c->x.ticks.at[i]);
        bnf_buf_printf(c->out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x, bottom, bottom + 4);
        bnf_buf_printf(c->out, "<text class=\"tx\" x=\"%.1f\" y=\"%.1f\" dy=\"1.15em\">%s</text>", x, bottom + 4,
                       c->x.ticks.text[i]);
    }
    bnf_buf_puts(c->out, "</g>\n");
    if (c->chart->y.label != NULL) {
        bnf_buf_puts(c->out, "<text class=\"ly\" x=\"0\" y=\"13\">");
        put_fitting(c->out, c->chart->y.label, LABEL_LIMIT);
        bnf_buf_puts(c->out, "</text>\n");
    }
    if (c->chart->x.label != NULL) {
        bnf_buf_printf(c->out, "<text class=\"lx\" x=\"%.1f\" y=\"%d\">", right, HEIGHT - 5);
        put_fitting(c->out, c->chart->x.label, LABEL_LIMIT);
        bnf_buf_puts(c->out, "</text>\n");
    }
}

static bool mark_visible(const canvas *c, const bnf_html_mark *mark)
{
    return isfinite(mark->x) && mark->x >= c->x.ticks.min && mark->x <= c->x.ticks.max;
}

/* Half the width of a mark's label, at the larger text size. */
static double mark_half_width(const bnf_html_mark *mark)
{
    size_t bytes = 0;
    return 4.5 * fitting(mark->label, MARK_LIMIT, &bytes) + 3.0;
}

/* Which row of labels (0 is the lowest) mark i is in: the first in which it does not touch its left neighbour. */
static int mark_row(const canvas *c, int i)
{
    int row = 0;
    double end[MARK_ROWS]; /* right end of the last label of each row */
    for (int r = 0; r < MARK_ROWS; r++)
        end[r] = -INFINITY;
    for (int k = 0; k <= i; k++) {
        const bnf_html_mark *mark = &c->chart->marks[k];
        if (!mark_visible(c, mark))
            continue;
        const double x = place(&c->x, mark->x), half = mark_half_width(mark);
        for (row = 0; row < MARK_ROWS - 1 && x - half < end[row];)
            row++;
        end[row] = x + half;
    }
    return row;
}

/* Rows of labels over the plot. */
static int mark_rows(const canvas *c)
{
    int rows = 0;
    for (int i = 0; i < c->chart->mark_count; i++) {
        if (mark_visible(c, &c->chart->marks[i]))
            rows = mark_row(c, i) + 1 > rows ? mark_row(c, i) + 1 : rows;
    }
    return rows;
}

static void draw_marks(const canvas *c)
{
    bnf_buf_puts(c->out, "<g class=\"marks\">");
    for (int i = 0; i < c->chart->mark_count; i++) {
        const bnf_html_mark *mark = &c->chart->marks[i];
        if (!mark_visible(c, mark))
            continue;
        const double x = place(&c->x, mark->x);
        const double text_y = c->top - 6 - mark_row(c, i) * MARK_ROW;
        bnf_buf_printf(c->out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%d\"/>", x, x, text_y + 3,
                       HEIGHT - BOTTOM);
        const double half = mark_half_width(mark);
        const char *anchor = x + half > WIDTH ? "end" : x - half < 0.0 ? "start" : "middle";
        bnf_buf_printf(c->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, text_y, anchor);
        put_fitting(c->out, mark->label, MARK_LIMIT);
        bnf_buf_puts(c->out, "</text>");
    }
    bnf_buf_puts(c->out, "</g>\n");
}

/* Adds one point to a path; a gap before it starts a new piece. */
static void path_point(const canvas *c, double x, double y, bool *gap)
{
    if (!drawable(c, x, y)) {
        *gap = true;
        return;
    }
    bnf_buf_printf(c->out, "%s%.1f %.1f", *gap ? "M" : "L", place(&c->x, x), place(&c->y, y));
    *gap = false;
}

/* The lowest and highest point of each piece, in the order in which they come. */
static void path_dense(const canvas *c, const bnf_html_series *s, bool *gap)
{
    for (int piece = 0; piece < PIECES; piece++) {
        const int64_t begin = s->count * piece / PIECES, end = s->count * (piece + 1) / PIECES;
        int64_t low = -1, high = -1;
        for (int64_t i = begin; i < end; i++) {
            if (!drawable(c, s->x[i], s->y[i]))
                continue;
            if (low < 0 || s->y[i] < s->y[low])
                low = i;
            if (high < 0 || s->y[i] > s->y[high])
                high = i;
        }
        if (low < 0) {
            *gap = true;
            continue;
        }
        const int64_t first = low < high ? low : high, second = low < high ? high : low;
        path_point(c, s->x[first], s->y[first], gap);
        if (second != first)
            path_point(c, s->x[second], s->y[second], gap);
    }
}

static void draw_series(const canvas *c, int index)
{
    const bnf_html_series *s = &c->chart->series[index];
    bool gap = true;
    const bool dense = s->count > DENSE_POINTS;
    bnf_buf_printf(c->out, "<g class=\"series s%d%s\"><path d=\"", index + 1, dense ? " dense" : "");
    if (dense) {
        path_dense(c, s, &gap);
    } else {
        for (int64_t i = 0; i < s->count; i++)
            path_point(c, s->x[i], s->y[i], &gap);
    }
    bnf_buf_puts(c->out, "\"/>");
    const bool dots = (s->markers || s->count == 1) && !dense;
    for (int64_t i = 0; dots && i < s->count; i++) {
        if (drawable(c, s->x[i], s->y[i]))
            bnf_buf_printf(c->out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", place(&c->x, s->x[i]),
                           place(&c->y, s->y[i]));
    }
    bnf_buf_puts(c->out, "</g>\n");
}

/* Invisible discs that show a value when the pointer rests on them. They lie over all lines. */
static void draw_hover(const canvas *c, int index)
{
    const bnf_html_series *s = &c->chart->series[index];
    const int64_t shown = s->count < HOVER_POINTS ? s->count : HOVER_POINTS;
    bnf_buf_printf(c->out, "<g class=\"hover s%d\">", index + 1);
    for (int64_t k = 0; k < shown; k++) {
        const int64_t i = shown > 1 ? k * (s->count - 1) / (shown - 1) : 0;
        if (!drawable(c, s->x[i], s->y[i]))
            continue;
        char x[NUMBER_BYTES], y[NUMBER_BYTES];
        number_text(c->x.axis, s->x[i], x);
        number_text(c->y.axis, s->y[i], y);
        bnf_buf_printf(c->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6\"><title>", place(&c->x, s->x[i]),
                       place(&c->y, s->y[i]));
        bnf_html_escape(c->out, s->name);
        bnf_buf_printf(c->out, ": %s at %s</title></circle>", y, x);
    }
    bnf_buf_puts(c->out, "</g>\n");
}

/* ---- words around the picture ---- */

static void put_legend(bnf_buf *b, const bnf_html_chart *chart)
{
    bnf_buf_puts(b, "<ul class=\"legend\">");
    for (int s = 0; s < chart->series_count; s++) {
        bnf_buf_printf(b,
                       "<li><svg class=\"key\" viewBox=\"0 0 28 8\" aria-hidden=\"true\"><g class=\"series s%d\">"
                       "<path d=\"M1 4L27 4\"/></g></svg>",
                       s + 1);
        bnf_html_escape(b, chart->series[s].name);
        bnf_buf_puts(b, "</li>");
    }
    bnf_buf_puts(b, "</ul>\n");
}

/* What a person who cannot see the picture hears: where every line begins and ends. */
static void put_description(const canvas *c)
{
    bnf_buf *b = c->out;
    bnf_buf_puts(b, "Line chart: ");
    bnf_html_escape(b, c->chart->title);
    for (int s = 0; s < c->chart->series_count; s++) {
        const bnf_html_series *series = &c->chart->series[s];
        int64_t first = 0, last = series->count - 1;
        while (first < series->count && !drawable(c, series->x[first], series->y[first]))
            first++;
        while (last > first && !drawable(c, series->x[last], series->y[last]))
            last--;
        if (first >= series->count)
            continue;
        char from[NUMBER_BYTES], to[NUMBER_BYTES];
        number_text(c->y.axis, series->y[first], from);
        number_text(c->y.axis, series->y[last], to);
        bnf_buf_puts(b, "; ");
        bnf_html_escape(b, series->name);
        bnf_buf_printf(b, " from %s to %s", from, to);
    }
}

static void put_values(const canvas *c)
{
    bnf_buf *b = c->out;
    bnf_buf_puts(
        b, "<details class=\"values\"><summary>Values</summary><div class=\"scroll\" role=\"region\" tabindex=\"0\" "
           "aria-label=\"Values\"><table class=\"data\"><thead><tr><th scope=\"col\">Series</th>"
           "<th scope=\"col\" class=\"num\">");
    bnf_html_escape(b, c->chart->x.label != NULL ? c->chart->x.label : "x");
    bnf_buf_puts(b, "</th><th scope=\"col\" class=\"num\">");
    bnf_html_escape(b, c->chart->y.label != NULL ? c->chart->y.label : "y");
    bnf_buf_puts(b, "</th></tr></thead>\n<tbody>\n");
    for (int s = 0; s < c->chart->series_count; s++) {
        const bnf_html_series *series = &c->chart->series[s];
        const int64_t shown = series->count < TABLE_POINTS ? series->count : TABLE_POINTS;
        for (int64_t k = 0; k < shown; k++) {
            const int64_t i = shown > 1 ? k * (series->count - 1) / (shown - 1) : 0;
            char x[NUMBER_BYTES], y[NUMBER_BYTES];
            number_text(c->x.axis, series->x[i], x);
            number_text(c->y.axis, series->y[i], y);
            bnf_buf_puts(b, "<tr><th scope=\"row\">");
            bnf_html_escape(b, series->name);
            bnf_buf_printf(b, "</th><td class=\"num\">%s</td><td class=\"num\">%s</td></tr>\n", x, y);
        }
    }
    bnf_buf_puts(b, "</tbody></table></div></details>\n");
}

static void draw(canvas *c, int id)
{
    bnf_buf *b = c->out;
    c->x.from = LEFT;
    c->x.to = WIDTH - RIGHT;
    c->top = TOP + mark_rows(c) * MARK_ROW;
    c->y.from = HEIGHT - BOTTOM;
    c->y.to = c->top;
    bnf_buf_printf(b, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    put_description(c);
    bnf_buf_printf(b, "\">\n<clipPath id=\"clip%d\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n",
                   id, LEFT - 4, c->top - 4, WIDTH - RIGHT - LEFT + 8, HEIGHT - BOTTOM - c->top + 8);
    draw_axes(c);
    draw_marks(c);
    bnf_buf_printf(b, "<g clip-path=\"url(#clip%d)\">\n", id);
    for (int s = 0; s < c->chart->series_count; s++)
        draw_series(c, s);
    for (int s = 0; s < c->chart->series_count; s++)
        draw_hover(c, s);
    bnf_buf_puts(b, "</g></svg>\n");
}

void bnf_html_chart_add(bnf_html *h, const bnf_html_chart *chart)
{
    BNF_ASSERT(chart->series_count >= 1 && chart->series_count <= BNF_HTML_MAX_SERIES);
    bnf_html_chart_block(h);
    bnf_buf *b = &h->body;
    canvas c = {.out = b, .chart = chart, .x.axis = &chart->x, .y.axis = &chart->y};
    bnf_buf_puts(b, "<figure class=\"chart-box\"><figcaption><strong>");
    bnf_html_escape(b, chart->title);
    bnf_buf_puts(b, "</strong>");
    if (chart->note != NULL) {
        bnf_buf_puts(b, "<span class=\"sub\">");
        bnf_html_escape(b, chart->note);
        bnf_buf_puts(b, "</span>");
    }
    bnf_buf_puts(b, "</figcaption>\n");
    if (make_scale(&c, &chart->x, true, &c.x) && make_scale(&c, &chart->y, false, &c.y)) {
        if (chart->series_count > 1)
            put_legend(b, chart);
        draw(&c, ++h->charts);
        put_values(&c);
    } else {
        bnf_buf_puts(b, "<p class=\"empty\">There are no values to draw.</p>\n");
    }
    bnf_buf_puts(b, "</figure>\n");
}

/* ---- certified accuracy ---- */

static int compare_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Share of the n certificates, sorted ascending, that are >= radius and > 0. */
static double certified_share(const double *sorted, int64_t n, double radius)
{
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sorted[middle] > 0.0 && sorted[middle] >= radius)
            high = middle;
        else
            low = middle + 1;
    }
    return n > 0 ? (double)(n - low) / (double)n : 0.0;
}

static void certified_table(bnf_html *h, const double *sorted, int64_t n, const bnf_html_mark *marks, int mark_count)
{
    bnf_buf *b = &h->body;
    bnf_html_chart_block(h);
    bnf_buf_puts(
        b, "<div class=\"chart-box\"><table class=\"data\"><caption>Certified accuracy at given "
           "radii</caption>\n<thead><tr><th scope=\"col\">Radius</th>"
           "<th scope=\"col\" class=\"num\">Certified accuracy</th><th scope=\"col\" class=\"num\">Samples</th></tr>"
           "</thead>\n<tbody>\n");
    for (int i = -1; i < mark_count; i++) {
        const double share = certified_share(sorted, n, i < 0 ? 0.0 : marks[i].x);
        bnf_buf_puts(b, "<tr><th scope=\"row\">");
        bnf_html_escape(b, i < 0 ? "0 (plain accuracy)" : marks[i].label);
        bnf_buf_printf(b, "</th><td class=\"num\">%.2f%%</td><td class=\"num\">%lld of %lld</td></tr>\n", 100.0 * share,
                       (long long)llround(share * (double)n), (long long)n);
    }
    bnf_buf_puts(b, "</tbody></table></div>\n");
}

void bnf_html_certified(bnf_html *h, const char *title, const char *radius_label, const double *certificate, int64_t n,
                        const bnf_html_mark *marks, int mark_count)
{
    enum { POINTS = 121 };
    double x[POINTS], y[POINTS], *sorted = NULL, top = 0.0;
    if (h->status == BNF_OK)
        h->status = bnf_alloc((size_t)n * sizeof *sorted, "certificates", &sorted);
    if (h->status != BNF_OK)
        return;
    for (int64_t i = 0; i < n; i++)
        sorted[i] = isnan(certificate[i]) ? 0.0 : certificate[i];
    qsort(sorted, (size_t)n, sizeof *sorted, compare_double);
    for (int i = 0; i < mark_count; i++)
        top = fmax(top, marks[i].x);
    if (n > 0 && isfinite(sorted[n - 1]))
        top = fmax(top, sorted[(int64_t)(0.999 * (double)(n - 1))]);
    top = top > 0.0 ? 1.02 * top : 1.0;
    for (int i = 0; i < POINTS; i++) {
        x[i] = top * i / (POINTS - 1);
        y[i] = certified_share(sorted, n, x[i]);
    }
    const bnf_html_series series = {.name = "certified accuracy", .x = x, .y = y, .count = POINTS};
    const bnf_html_chart chart = {.title = title,
                                  .note =
                                      "Share of samples that are classified correctly and whose class no perturbation "
                                      "up to the radius can change.",
                                  .x = {.label = radius_label, .min = 0.0, .max = top},
                                  .y = {.label = "certified accuracy", .percent = true, .min = 0.0, .max = 1.0},
                                  .series = &series,
                                  .series_count = 1,
                                  .marks = marks,
                                  .mark_count = mark_count};
    bnf_html_chart_add(h, &chart);
    certified_table(h, sorted, n, marks, mark_count);
    bnf_free(sorted);
}
