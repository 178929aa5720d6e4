/* The page: head, sections, text, tables. Charts are in html_chart.c, pictures in html_images.c. */
#include "report/html.h"

#include "base/assert.h"
#include "base/fs.h"
#include "base/mem.h"
#include "report/html_parts.h"
#include "report/ticks.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bnf_status bnf_html_create(const char *title, const char *subtitle, bnf_html **html)
{
    bnf_html *h = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *h, "HTML page", &h));
    bnf_status status = bnf_strdup(title, &h->title);
    if (status == BNF_OK)
        status = bnf_strdup(subtitle, &h->subtitle);
    if (status != BNF_OK) {
        bnf_html_destroy(h);
        return status;
    }
    *html = h;
    return BNF_OK;
}

void bnf_html_destroy(bnf_html *h)
{
    if (h == NULL)
        return;
    bnf_buf_release(&h->headlines);
    bnf_buf_release(&h->facts);
    bnf_buf_release(&h->contents);
    bnf_buf_release(&h->body);
    bnf_free(h->title);
    bnf_free(h->subtitle);
    bnf_free(h);
}

/* ---- text ---- */

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void bnf_html_escape(bnf_buf *out, const char *text)
{
    if (text == NULL)
        return;
    size_t left = strlen(text), plain = 0; /* text[0, plain) needs no change */
    while (plain < left) {
        const unsigned char c = (unsigned char)text[plain];
        const size_t bytes = bnf_utf8_next(text + plain, left - plain);
        const bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        const char *replacement = bytes == 0 || control ? "\xEF\xBF\xBD" : entity(text[plain]);
        if (replacement == NULL) {
            plain += bytes;
            continue;
        }
        bnf_buf_append(out, text, plain);
        bnf_buf_puts(out, replacement);
        text += plain + 1;
        left -= plain + 1;
        plain = 0;
    }
    bnf_buf_append(out, text, left);
}

/* Formats first, escapes then. */
static void escape_format(bnf_buf *out, const char *format, va_list args)
{
    bnf_buf text = {0};
    bnf_buf_vprintf(&text, format, args);
    if (text.status != BNF_OK)
        out->status = out->status == BNF_OK ? text.status : out->status;
    else
        bnf_html_escape(out, bnf_buf_text(&text));
    bnf_buf_release(&text);
}

static void element(bnf_buf *out, const char *open, const char *text, const char *close)
{
    bnf_buf_puts(out, open);
    bnf_html_escape(out, text);
    bnf_buf_puts(out, close);
}

void bnf_html_block(bnf_html *h)
{
    if (h->in_charts)
        bnf_buf_puts(&h->body, "</div>\n");
    h->in_charts = false;
}

void bnf_html_chart_block(bnf_html *h)
{
    if (!h->in_charts)
        bnf_buf_puts(&h->body, "<div class=\"charts\">\n");
    h->in_charts = true;
}

void bnf_html_headline(bnf_html *h, const char *label, const char *value, const char *note)
{
    element(&h->headlines, "<div><dt>", label, "</dt>");
    element(&h->headlines, "<dd class=\"big\">", value, "</dd>");
    if (note[0] != '\0')
        element(&h->headlines, "<dd class=\"note\">", note, "</dd>");
    bnf_buf_puts(&h->headlines, "</div>\n");
}

void bnf_html_fact(bnf_html *h, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    element(&h->facts, "<tr><th scope=\"row\">", name, "</th><td>");
    escape_format(&h->facts, format, args);
    bnf_buf_puts(&h->facts, "</td></tr>\n");
    va_end(args);
}

void bnf_html_section(bnf_html *h, const char *title)
{
    bnf_html_block(h);
    if (h->in_section)
        bnf_buf_puts(&h->body, "</section>\n");
    h->in_section = true;
    h->sections++;
    bnf_buf_printf(&h->body, "<section aria-labelledby=\"s%d\">\n<h2 id=\"s%d\">", h->sections, h->sections);
    element(&h->body, "", title, "</h2>\n");
    bnf_buf_printf(&h->contents, "<li><a href=\"#s%d\">", h->sections);
    element(&h->contents, "", title, "</a></li>\n");
}

void bnf_html_text(bnf_html *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bnf_html_block(h);
    bnf_buf_puts(&h->body, "<p>");
    escape_format(&h->body, format, args);
    bnf_buf_puts(&h->body, "</p>\n");
    va_end(args);
}

void bnf_html_warning(bnf_html *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bnf_html_block(h);
    bnf_buf_puts(&h->body, "<p class=\"warning\"><strong>Note:</strong> ");
    escape_format(&h->body, format, args);
    bnf_buf_puts(&h->body, "</p>\n");
    va_end(args);
}

void bnf_html_details(bnf_html *h, const char *summary, const char *text)
{
    bnf_html_block(h);
    element(&h->body, "<details class=\"dump\"><summary>", summary, "</summary>\n");
    element(&h->body, "<pre tabindex=\"0\">", text, "</pre></details>\n");
}

/* ---- tables and bars ---- */

static void table_row(bnf_buf *b, const bnf_html_column *columns, int count, const char *const *cells)
{
    bnf_buf_puts(b, "<tr>");
    for (int c = 0; c < count; c++) {
        const char *text = cells[c] != NULL ? cells[c] : "\xE2\x80\x93";
        if (c == 0)
            element(b, "<th scope=\"row\">", text, "</th>");
        else
            element(b, columns[c].number ? "<td class=\"num\">" : "<td>", text, "</td>");
    }
    bnf_buf_puts(b, "</tr>\n");
}

void bnf_html_table(bnf_html *h, const char *caption, const bnf_html_column *columns, int count,
                    const char *const *cells, int64_t rows)
{
    BNF_ASSERT(count >= 1);
    bnf_buf *b = &h->body;
    bnf_html_block(h);
    element(b, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"", caption,
            "\">\n<table class=\"data\">");
    element(b, "<caption>", caption, "</caption>\n<thead><tr>");
    for (int c = 0; c < count; c++)
        element(b, c > 0 && columns[c].number ? "<th scope=\"col\" class=\"num\">" : "<th scope=\"col\">",
                columns[c].title, "</th>");
    bnf_buf_puts(b, "</tr></thead>\n<tbody>\n");
    for (int64_t r = 0; r < rows; r++)
        table_row(b, columns, count, cells + r * count);
    bnf_buf_puts(b, "</tbody></table></div>\n");
}

static double bars_top(const bnf_html_bars *bars)
{
    double top = 0.0;
    for (int64_t i = 0; i < bars->count * bars->series_count; i++) {
        if (isfinite(bars->values[i]))
            top = fmax(top, bars->values[i]);
    }
    return bars->percent ? fmax(top, 1.0) : top > 0.0 ? top : 1.0;
}

static void bar_row(bnf_buf *b, const bnf_html_bars *bars, int64_t row, double top)
{
    element(b, "<tr><th scope=\"row\">", bars->labels[row], "</th><td>");
    for (int s = 0; s < bars->series_count; s++) {
        const double value = bars->values[row * bars->series_count + s];
        const double part = isfinite(value) && value > 0.0 ? fmin(value / top, 1.0) : 0.0;
        char text[BNF_TICK_TEXT];
        if (bars->percent && isfinite(value))
            snprintf(text, sizeof text, "%.1f%%", 100.0 * value);
        else
            bnf_number_format(value, 4, sizeof text, text);
        bnf_buf_puts(b, "<div class=\"bar\"");
        if (bars->series_count > 1)
            element(b, " title=\"", bars->series_names[s], "\"");
        bnf_buf_printf(b, "><span class=\"track\"><span class=\"fill c%d\" style=\"width:%.2f%%\"></span></span>",
                       s + 1, 100.0 * part);
        if (bars->series_count > 1)
            element(b, "<span class=\"hidden\">", bars->series_names[s], ": </span>");
        element(b, "<span class=\"val\">", text, "</span></div>");
    }
    bnf_buf_puts(b, "</td></tr>\n");
}

void bnf_html_bars_add(bnf_html *h, const bnf_html_bars *bars)
{
    BNF_ASSERT(bars->series_count >= 1 && bars->series_count <= BNF_HTML_MAX_SERIES);
    bnf_buf *b = &h->body;
    const double top = bars_top(bars);
    bnf_html_block(h);
    element(b, "<table class=\"bars\"><caption>", bars->title, "");
    if (bars->note != NULL)
        element(b, "<span class=\"sub\">", bars->note, "</span>");
    if (bars->series_count > 1) {
        bnf_buf_puts(b, "<span class=\"legend\">");
        for (int s = 0; s < bars->series_count; s++) {
            bnf_buf_printf(b, "<span><span class=\"key c%d\"></span>", s + 1);
            element(b, "", bars->series_names[s], "</span>");
        }
        bnf_buf_puts(b, "</span>");
    }
    element(b, "</caption>\n<thead class=\"hidden\"><tr><th scope=\"col\">", bars->label_title,
            "</th><th scope=\"col\">");
    element(b, "", bars->series_count > 1 ? "Values" : bars->series_names[0], "</th></tr></thead>\n<tbody>\n");
    for (int64_t i = 0; i < bars->count; i++)
        bar_row(b, bars, i, top);
    bnf_buf_puts(b, "</tbody></table>\n");
}

/* ---- the result ---- */

static bnf_status first_failure(const bnf_html *h)
{
    const bnf_status all[] = {h->status, h->headlines.status, h->facts.status, h->contents.status, h->body.status};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] != BNF_OK)
            return all[i];
    }
    return BNF_OK;
}

static void put_head(const bnf_html *h, bnf_buf *page)
{
    bnf_buf_puts(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                       "<meta name=\"color-scheme\" content=\"light dark\">\n"
                       "<meta name=\"generator\" content=\"Banff " BNF_VERSION_STRING "\">\n"
                       "<link rel=\"icon\" href=\"data:,\">\n");
    element(page, "<title>", h->title, "</title>\n<style>\n");
    for (int i = 0; bnf_html_style[i] != NULL; i++)
        bnf_buf_puts(page, bnf_html_style[i]);
    bnf_buf_puts(page, "</style>\n</head>\n");
}

static void put_header(const bnf_html *h, bnf_buf *page)
{
    element(page, "<header>\n<p class=\"kicker\">Banff run report</p>\n<h1>", h->title, "</h1>\n");
    if (h->subtitle[0] != '\0')
        element(page, "<p class=\"lede\">", h->subtitle, "</p>\n");
    bnf_buf_puts(page, "</header>\n");
    if (h->headlines.size > 0)
        bnf_buf_printf(page, "<dl class=\"tiles\">\n%s</dl>\n", bnf_buf_text(&h->headlines));
    if (h->sections > 1)
        bnf_buf_printf(page, "<nav aria-label=\"Contents\"><ul>\n%s</ul></nav>\n", bnf_buf_text(&h->contents));
    if (h->facts.size > 0)
        bnf_buf_printf(page, "<table class=\"facts\"><caption>Key facts</caption>\n<tbody>\n%s</tbody></table>\n",
                       bnf_buf_text(&h->facts));
}

bnf_status bnf_html_finish(bnf_html *h, char **text)
{
    BNF_TRY(first_failure(h));
    bnf_buf page = {0};
    put_head(h, &page);
    bnf_buf_puts(&page, "<body>\n<main>\n");
    put_header(h, &page);
    bnf_buf_append(&page, bnf_buf_text(&h->body), h->body.size);
    if (h->in_charts)
        bnf_buf_puts(&page, "</div>\n");
    if (h->in_section)
        bnf_buf_puts(&page, "</section>\n");
    bnf_buf_puts(&page,
                 "</main>\n<footer>Written by Banff " BNF_VERSION_STRING ". This page is complete in itself: it loads "
                 "nothing and runs no script.</footer>\n</body>\n</html>\n");
    const bnf_status status = bnf_buf_take(&page, text);
    bnf_buf_release(&page);
    return status;
}

bnf_status bnf_html_write(bnf_html *h, const char *path)
{
    char *text = NULL;
    BNF_TRY(bnf_html_finish(h, &text));
    const bnf_status status = bnf_fs_write_atomic(path, text, strlen(text));
    bnf_free(text);
    return status;
}
