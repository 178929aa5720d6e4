/* tests/html_check.h - what holds for every page of the report: balanced tags, quoted attributes, unique ids, links
 * that lead somewhere, nothing loaded from outside. A strict reader of the small part of HTML that the report uses. */
#ifndef BNF_TESTS_HTML_CHECK_H
#define BNF_TESTS_HTML_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HTML_DEPTH = 64, HTML_NAME = 24, HTML_IDS = 512, HTML_ID = 32 };

typedef struct html_checker {
    char open[HTML_DEPTH][HTML_NAME];
    int depth;
    char ids[HTML_IDS][HTML_ID], targets[HTML_IDS][HTML_ID];
    int id_count, target_count;
} html_checker;

static inline bool html_is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static inline const char *html_read_name(const char *at, char *name, size_t capacity)
{
    size_t n = 0;
    while (html_is_name(*at)) {
        assert_true(n + 1 < capacity);
        name[n++] = *at++;
    }
    assert_true(n > 0);
    name[n] = '\0';
    return at;
}

/* Text with &name; references only. */
static inline void html_check_text(const char *at, const char *end)
{
    for (; at < end; at++) {
        assert_true(*at != '<' && *at != '"' && *at != '\'' && *at != '>');
        assert_true((unsigned char)*at >= 0x20 || *at == '\n' || *at == '\t');
        if (*at == '&') {
            const char *semicolon = memchr(at, ';', (size_t)(end - at));
            assert_true(semicolon != NULL && semicolon - at <= 6);
        }
    }
}

static inline void html_keep(char (*list)[HTML_ID], int *count, const char *text, size_t n)
{
    assert_true(*count < HTML_IDS && n < HTML_ID && n > 0);
    memcpy(list[*count], text, n);
    list[(*count)++][n] = '\0';
}

static inline void html_check_attribute(html_checker *c, const char *name, const char *value, const char *end)
{
    const size_t n = (size_t)(end - value);
    html_check_text(value, end);
    assert_true(strncmp(name, "on", 2) != 0);
    if (strcmp(name, "src") == 0)
        assert_int_equal(strncmp(value, "data:", 5), 0);
    if (strcmp(name, "href") == 0)
        assert_true(value[0] == '#' || strncmp(value, "data:,", 6) == 0);
    if (strcmp(name, "href") == 0 && value[0] == '#')
        html_keep(c->targets, &c->target_count, value + 1, n - 1);
    if (strcmp(name, "aria-labelledby") == 0)
        html_keep(c->targets, &c->target_count, value, n);
    if (strcmp(name, "clip-path") == 0)
        html_keep(c->targets, &c->target_count, value + 5, n - 6); /* url(#id) */
    if (strcmp(name, "id") != 0)
        return;
    html_keep(c->ids, &c->id_count, value, n);
    for (int i = 0; i + 1 < c->id_count; i++)
        assert_string_not_equal(c->ids[i], c->ids[c->id_count - 1]);
}

/* From behind the tag's name to behind its '>'. Returns whether it closed itself. */
static inline const char *html_read_attributes(html_checker *c, const char *at, bool *self_closed, bool *has_alt)
{
    char name[HTML_NAME];
    *self_closed = false;
    for (;;) {
        if (*at == '>')
            return at + 1;
        if (strncmp(at, "/>", 2) == 0) {
            *self_closed = true;
            return at + 2;
        }
        assert_int_equal(*at, ' ');
        at = html_read_name(at + 1, name, sizeof name);
        *has_alt = *has_alt || strcmp(name, "alt") == 0;
        assert_int_equal(strncmp(at, "=\"", 2), 0);
        const char *end = strchr(at + 2, '"');
        assert_non_null(end);
        html_check_attribute(c, name, at + 2, end);
        at = end + 1;
    }
}

static inline const char *html_read_tag(html_checker *c, const char *at)
{
    static const char *const empty[] = {"meta", "link", "img", "br"};
    char name[HTML_NAME];
    bool self_closed = false, is_empty = false, has_alt = false;
    if (at[1] == '/') {
        at = html_read_name(at + 2, name, sizeof name);
        assert_int_equal(*at, '>');
        assert_true(c->depth > 0);
        assert_string_equal(c->open[--c->depth], name);
        return at + 1;
    }
    at = html_read_name(at + 1, name, sizeof name);
    assert_string_not_equal(name, "script");
    assert_string_not_equal(name, "iframe");
    at = html_read_attributes(c, at, &self_closed, &has_alt);
    assert_true(strcmp(name, "img") != 0 || has_alt);
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        is_empty = is_empty || strcmp(name, empty[i]) == 0;
    if (strcmp(name, "style") == 0) {
        const char *end = strstr(at, "</style>");
        assert_non_null(end);
        const char *import = strstr(at, "@import"), *url = strstr(at, "url(");
        assert_true((import == NULL || import > end) && (url == NULL || url > end));
        return end + strlen("</style>");
    }
    if (!is_empty && !self_closed) {
        assert_true(c->depth < HTML_DEPTH);
        strcpy(c->open[c->depth++], name);
    }
    return at;
}

static inline void html_check_page(const char *text)
{
    html_checker *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(strncmp(text, "<!DOCTYPE html>\n", 16), 0);
    for (const char *at = text + 16; *at != '\0';) {
        if (*at == '<') {
            at = html_read_tag(c, at);
            continue;
        }
        const char *end = strchr(at, '<');
        end = end != NULL ? end : at + strlen(at);
        html_check_text(at, end);
        at = end;
    }
    assert_int_equal(c->depth, 0);
    for (int t = 0; t < c->target_count; t++) {
        bool found = false;
        for (int i = 0; i < c->id_count; i++)
            found = found || strcmp(c->ids[i], c->targets[t]) == 0;
        assert_true(found);
    }
    free(c);
}

/* Decodes base64 up to the closing quote. Returns the number of bytes. */
static inline size_t html_check_base64(const char *text, unsigned char *bytes, size_t capacity)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    unsigned group = 0;
    int bits = 0;
    for (; *text != '"' && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        assert_true(digit != NULL && *text != '\0');
        group = group << 6 | (unsigned)(digit - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            assert_true(n < capacity);
            bytes[n++] = (unsigned char)(group >> bits);
        }
    }
    return n;
}

#endif
