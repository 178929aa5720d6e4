/* report/html_plane.h - points, lines and arrows in the plane, both axes of the same scale, as a figure of the page or
 * as an SVG file of its own. */
#ifndef BNF_REPORT_HTML_PLANE_H
#define BNF_REPORT_HTML_PLANE_H

#include "base/str.h"
#include "report/html.h"

typedef struct bnf_html_points {
    const char *name;
    const double *at; /* [count, 2] */
    int64_t count;
} bnf_html_points;

typedef enum bnf_html_stroke {
    BNF_HTML_STROKE_BOLD = 0, /* in the colour of text */
    BNF_HTML_STROKE_FIRST,    /* thin, dashed, in the colour of the first points */
    BNF_HTML_STROKE_SECOND,   /* thin, in the colour of the second points */
    BNF_HTML_STROKE_ARROW     /* with a head at the end */
} bnf_html_stroke;

/* Straight pieces. What lies outside of the picture is cut off. */
typedef struct bnf_html_lines {
    const char *name;
    bnf_html_stroke stroke;
    const double *at; /* [count, 4] from x, y to x, y */
    int64_t count;
} bnf_html_lines;

typedef struct bnf_html_plane {
    const char *title;
    const char *note;      /* NULL for none */
    double min[2], max[2]; /* of x and y; the same extent along both */
    const bnf_html_points *points;
    int point_sets; /* at most 2 */
    const bnf_html_lines *lines;
    int line_sets;
} bnf_html_plane;

/* Adds the figure with its legend. It stands beside charts that come before and after it. */
void bnf_html_plane_add(bnf_html *html, const bnf_html_plane *plane);

/* Appends a complete SVG file with the same picture, title and legend. Errors: those of the buffer. */
bnf_status bnf_html_plane_svg(const bnf_html_plane *plane, bnf_buf *out);

#endif
