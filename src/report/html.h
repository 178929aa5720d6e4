/* report/html.h - one self-contained HTML page about a run: no script, no external resource, light and dark, for
 * screens of any width and for paper.
 *
 * A page is a row of sections, filled from top to bottom. The first failure (memory) sticks: the calls that add
 * content return nothing, and bnf_html_write or bnf_html_finish returns what went wrong. All text is escaped, so any
 * string is legal anywhere; bytes that are not UTF-8 and control characters become U+FFFD. Everything given is
 * copied. Equal calls give equal bytes. Not thread-safe, not collective. */
#ifndef BNF_REPORT_HTML_H
#define BNF_REPORT_HTML_H

#include <banff/base.h>
#include <stdbool.h>

typedef struct bnf_html bnf_html;

/* `title` is the page's title and heading; `subtitle` one line under it, "" for none. [out] html owned. */
bnf_status bnf_html_create(const char *title, const char *subtitle, bnf_html **html);
void bnf_html_destroy(bnf_html *html); /* NULL is legal */

/* ---- head of the page: independent of the order of other calls ---- */

/* One of the few large figures on top: label "Test accuracy", value "88.4%", note "best 88.6% at epoch 17" ("" for
 * none). */
void bnf_html_headline(bnf_html *html, const char *label, const char *value, const char *note);

/* One line of the key facts: name "Dataset", value by printf format. */
void bnf_html_fact(bnf_html *html, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- sections and text ---- */

/* Begins a section, which also appears in the table of contents. */
void bnf_html_section(bnf_html *html, const char *title);

/* One paragraph, printf format. */
void bnf_html_text(bnf_html *html, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A paragraph that stands out: something the reader should not miss. */
void bnf_html_warning(bnf_html *html, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A part that is folded away until it is opened, with preformatted text (the resolved configuration, a log). */
void bnf_html_details(bnf_html *html, const char *summary, const char *text);

/* ---- line charts ---- */

#define BNF_HTML_MAX_SERIES 6

typedef struct bnf_html_axis {
    const char *label; /* with its unit; NULL for none */
    bool log;          /* values <= 0 are gaps */
    bool percent;      /* values are parts of 1 */
    bool zero;         /* vertical axis: 0 is on it */
    double min, max;   /* min < max: the range; else it follows the data */
} bnf_html_axis;

/* A line through (x[i], y[i]); values that are not finite are gaps. Series are told apart by colour and by dashes. */
typedef struct bnf_html_series {
    const char *name;
    const double *x;
    const double *y;
    int64_t count;
    bool markers; /* a dot at every point */
} bnf_html_series;

/* A dashed vertical line at x with a label. */
typedef struct bnf_html_mark {
    double x;
    const char *label;
} bnf_html_mark;

typedef struct bnf_html_chart {
    const char *title;
    const char *note; /* one or two sentences under the title; NULL for none */
    bnf_html_axis x, y;
    const bnf_html_series *series;
    int series_count; /* 1 to BNF_HTML_MAX_SERIES */
    const bnf_html_mark *marks;
    int mark_count;
} bnf_html_chart;

/* Adds a line chart as inline SVG, with its values in a folded table. Charts that follow each other stand side by
 * side where the screen is wide enough. A series of more than 800 points is drawn through the extremes of 400
 * pieces. A chart without a finite point is replaced by a line that says so. */
void bnf_html_chart_add(bnf_html *html, const bnf_html_chart *chart);

/* Certified accuracy against radius: the share of samples that are right and whose certificate is at least the
 *   radius. certificate[n]  certified radius of each sample, <= 0 or NaN if it is classified wrongly
 *   marks           radii to point out; their values are also in a table under the chart
 *   radius_label    text of the horizontal axis, e.g. "radius (L2, inputs in [0, 1])" */
void bnf_html_certified(bnf_html *html, const char *title, const char *radius_label, const double *certificate,
                        int64_t n, const bnf_html_mark *marks, int mark_count);

/* ---- bars ---- */

typedef struct bnf_html_bars {
    const char *title;
    const char *note;          /* NULL for none */
    const char *label_title;   /* heading of the labels, e.g. "Class" */
    const char *const *labels; /* [count] */
    int64_t count;
    const char *const *series_names; /* [series_count] */
    const double *values;            /* [count,series_count], >= 0 or NaN */
    int series_count;                /* 1 to BNF_HTML_MAX_SERIES */
    bool percent;                    /* values are parts of 1: bars end at 100 % */
} bnf_html_bars;

/* Horizontal bars, one group per label. The chart is a table, so it needs no other text form. */
void bnf_html_bars_add(bnf_html *html, const bnf_html_bars *bars);

/* ---- tables ---- */

typedef struct bnf_html_column {
    const char *title;
    bool number; /* right-aligned, digits of equal width */
} bnf_html_column;

/* A table; the first cell of every row is its heading.
 *   cells[rows,count]  NULL is shown as a dash */
void bnf_html_table(bnf_html *html, const char *caption, const bnf_html_column *columns, int count,
                    const char *const *cells, int64_t rows);

/* ---- images ---- */

typedef struct bnf_html_image {
    const uint8_t *pixels; /* [height,width,channels] u8 */
    int64_t height, width;
    int channels;      /* 1 or 3 */
    const char *label; /* under the picture: "input", "saliency" */
    const char *alt;   /* what a person who cannot see it should know */
} bnf_html_image;

/* Pictures that belong together, e.g. one sample. */
typedef struct bnf_html_card {
    const char *title; /* e.g. "Coat, predicted Coat" */
    const char *note;  /* e.g. "margin 0.42, certified radius 0.21"; NULL for none */
    bool flagged;      /* an error: stands out, and says "wrong" */
    const bnf_html_image *images;
    int image_count;
    int columns; /* > 0: the card is as wide as the page and has rows of so many pictures, small ones enlarged by a
                  * whole factor; 0: all stand side by side */
    const char *const *row_titles; /* with columns: over each row; NULL for none */
} bnf_html_card;

/* A grid of cards. Small pictures are enlarged without smoothing. `caption` explains what is shown. */
void bnf_html_images(bnf_html *html, const char *caption, const bnf_html_card *cards, int64_t count);

/* A colour scale (report/colormap.h) with words at its ends, to be put after a grid of maps. `map` is a
 * bnf_colormap. */
void bnf_html_scale(bnf_html *html, int map, const char *low, const char *high);

/* ---- the result ---- */

/* The page as text. [out] text owned by the caller (bnf_free). The builder can be filled further. */
bnf_status bnf_html_finish(bnf_html *html, char **text);

/* Writes the page to `path`, replacing a file there at once and as a whole. Errors: BNF_ERR_IO naming the file. */
bnf_status bnf_html_write(bnf_html *html, const char *path);

#endif
