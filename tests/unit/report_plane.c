/* Figures of the plane: where points and lines lie, what is cut off at the frame, and that text is escaped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "report/html_plane.h"

#include "html_check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The picture covers 0..1: x is 44 + 428 x, y is 8 + 428 (1 - y). */
static const bnf_html_plane base = {.title = "a < b", .max = {1, 1}};

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        n++;
    return n;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void test_places(void **state)
{
    (void)state;
    const double points[] = {0, 0, 1, 1, 0.5, 0.25, 1.5, 0.5}, inner[] = {0.25, 0.75};
    const double lines[] = {0, 0, 1, 1, -1, 0.5, 2, 0.5, 2, 2, 3, 3, -0.5, 0.25, 0.5, 1.25, 0.25, 0.5, NAN, 0.5};
    const double arrows[] = {0.25, 0.5, 0.75, 0.5, 0.5, 0.5, 0.5, 9, 0.5, 0.5, 0.5, 0.5001};
    const bnf_html_points p[] = {{"outer & more", points, 4}, {"inner", inner, 1}};
    const bnf_html_lines l[] = {{"line", BNF_HTML_STROKE_BOLD, lines, 5}, {"arrow", BNF_HTML_STROKE_ARROW, arrows, 3}};
    bnf_html_plane plane = base;
    bnf_buf out = {0};
    plane.points = p;
    plane.point_sets = 2;
    plane.lines = l;
    plane.line_sets = 2;
    assert_int_equal(bnf_html_plane_svg(&plane, &out), BNF_OK);
    const char *text = bnf_buf_text(&out);
    assert_true(has(text, "<title>") == 0 && has(text, "a &lt; b") && has(text, "outer &amp; more"));
    assert_int_equal(count(text, "r=\"1.7\""), 4); /* the point at 1.5 is outside */
    assert_true(has(text, "cx=\"44.0\" cy=\"436.0\"") && has(text, "cx=\"472.0\" cy=\"8.0\""));
    assert_true(has(text, "cx=\"258.0\" cy=\"329.0\"") && has(text, "cx=\"151.0\" cy=\"115.0\""));
    /* A diagonal; a line cut on both sides; one across a corner. One outside and one not finite are left out. */
    assert_true(has(text, "class=\"bold\" d=\"M44.0 436.0L472.0 8.0M44.0 222.0L472.0 222.0M44.0 115.0L151.0 8.0\"/>"));
    /* Arrows: one with a head; one that leaves the picture has none; one is too short for one. */
    assert_true(has(text, "class=\"arrow\" d=\"M151.0 222.0L365.0 222.0M360.0 219.5L365.0 222.0L360.0 224.5"
                          "M258.0 222.0L258.0 8.0M258.0 222.0L258.0 222.0\"/>"));
    bnf_buf_release(&out);
}

static void test_page(void **state)
{
    (void)state;
    const double points[] = {0.5, 0.5};
    const bnf_html_points p = {"points", points, 1};
    bnf_html_plane plane = base;
    bnf_html *html;
    char *text;
    plane.points = &p;
    plane.point_sets = 1;
    plane.note = "a note";
    assert_int_equal(bnf_html_create("page", "", &html), BNF_OK);
    bnf_html_section(html, "section");
    bnf_html_plane_add(html, &plane);
    assert_int_equal(bnf_html_finish(html, &text), BNF_OK);
    assert_true(has(text, "a note") && has(text, "aria-label=\"a &lt; b: points\"") && has(text, ".plane path{"));
    html_check_page(text);
    bnf_free(text);
    bnf_html_destroy(html);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
