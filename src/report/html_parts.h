/* report/html_parts.h - what the files of the HTML writer share. Not for use outside src/report. */
#ifndef BNF_REPORT_HTML_PARTS_H
#define BNF_REPORT_HTML_PARTS_H

#include "base/str.h"
#include "report/html.h"

struct bnf_html {
    char *title;
    char *subtitle;
    bnf_buf headlines; /* tiles on top */
    bnf_buf facts;
    bnf_buf contents; /* entries of the table of contents */
    bnf_buf body;
    int sections;
    int charts;        /* for ids */
    bool in_section;   /* a <section> is open at the end of body */
    bool in_charts;    /* a grid of charts is open at the end of body */
    bnf_status status; /* first failure outside the buffers */
};

/* Appends text with & < > " ' escaped, fit for content and for quoted attributes. NULL is "". */
void bnf_html_escape(bnf_buf *out, const char *text);

/* Gets body ready for a block that is not a chart (closes the grid), or for a chart (opens it). */
void bnf_html_block(bnf_html *html);
void bnf_html_chart_block(bnf_html *html);

/* The style sheet, in pieces; ends with NULL. */
extern const char *const bnf_html_style[];
/* The piece of it for html_plane.c. */
extern const char bnf_html_plane_style[];

#endif
