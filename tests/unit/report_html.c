/* The HTML page: well-formed, self-contained, escaped, and with the data it was given. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "html_check.h"
#include "report/colormap.h"
#include "report/html.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOSTILE "</p><script>alert('x')</script>&amp; \"quoted\" \x01\xff \xc3\xa9"
#define HOSTILE_ESCAPED                                                                                               \
    "&lt;/p&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp; &quot;quoted&quot; \xEF\xBF\xBD\xEF\xBF\xBD " \
    "\xc3\xa9"

static bnf_html *new_page(void)
{
    bnf_html *html = NULL;
    assert_int_equal(bnf_html_create("Title", "", &html), BNF_OK);
    return html;
}

/* Finishes, checks what holds for every page, and hands the text to the test (bnf_free). */
static char *finish(bnf_html *html)
{
    char *text = NULL;
    assert_int_equal(bnf_html_finish(html, &text), BNF_OK);
    bnf_html_destroy(html);
    html_check_page(text);
    return text;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        n++;
    return n;
}

/* A page with every kind of block, each text the given one. */
static bnf_html *fill_page(const char *t, int64_t points)
{
    enum { MAX = 5000 };
    static double x[MAX], y[MAX], bars[6] = {0.5, 1.0, 0.25, NAN, 0.0, 0.75};
    static const uint8_t gray[12] = {0, 50, 100, 150, 200, 255, 0, 50, 100, 150, 200, 255};
    for (int i = 0; i < MAX; i++) {
        x[i] = i;
        y[i] = 1.0 + sin(0.01 * i);
    }
    bnf_html *h = NULL;
    if (bnf_html_create(t, t, &h) != BNF_OK)
        return NULL;
    const char *const labels[3] = {t, t, t}, *const cells[6] = {t, t, t, NULL, t, t};
    const bnf_html_series series[2] = {{t, x, y, points, true}, {t, x, y, 1, false}};
    const bnf_html_mark marks[2] = {{1.0, t}, {2.0, t}};
    const bnf_html_column columns[3] = {{t, false}, {t, true}, {t, false}};
    const bnf_html_image images[2] = {{gray, 3, 4, 1, t, t}, {gray, 2, 2, 3, t, t}};
    const bnf_html_card cards[2] = {{t, t, true, images, 2}, {t, NULL, false, images, 1}};
    bnf_html_headline(h, t, t, t);
    bnf_html_fact(h, t, "%s", t);
    bnf_html_section(h, t);
    bnf_html_text(h, "%s", t);
    bnf_html_warning(h, "%s", t);
    bnf_html_chart_add(h, &(bnf_html_chart){.title = t,
                                            .note = t,
                                            .x = {.label = t},
                                            .y = {.label = t},
                                            .series = series,
                                            .series_count = 2,
                                            .marks = marks,
                                            .mark_count = 2});
    bnf_html_certified(h, t, t, y, points, marks, 2);
    bnf_html_section(h, t);
    bnf_html_bars_add(h, &(bnf_html_bars){.title = t,
                                          .note = t,
                                          .label_title = t,
                                          .labels = labels,
                                          .count = 3,
                                          .series_names = labels,
                                          .values = bars,
                                          .series_count = 2,
                                          .percent = true});
    bnf_html_table(h, t, columns, 3, cells, 2);
    bnf_html_images(h, t, cards, 2);
    bnf_html_scale(h, BNF_COLORMAP_SIGNED, t, t);
    bnf_html_details(h, t, t);
    return h;
}

static void test_well_formed(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"plain", "", "a < b && c > d", HOSTILE, "%s%n%d", "]]>--><!--", "\n\t"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *text = finish(fill_page(texts[i], 300));
        bnf_free(text);
    }
    char *empty = finish(new_page());
    assert_non_null(strstr(empty, "<html lang=\"en\">"));
    assert_non_null(strstr(empty, "<h1>Title</h1>"));
    assert_non_null(strstr(empty, "prefers-color-scheme:dark"));
    assert_non_null(strstr(empty, "@media print"));
    assert_non_null(strstr(empty, "name=\"viewport\""));
    bnf_free(empty);
}

static void test_escaping(void **unused)
{
    (void)unused;
    char *text = finish(fill_page(HOSTILE, 10));
    assert_int_equal(count(text, "<script"), 0);
    assert_true(count(text, HOSTILE_ESCAPED) > 40);
    assert_non_null(strstr(text, "<title>" HOSTILE_ESCAPED "</title>"));
    assert_non_null(strstr(text, "alt=\"" HOSTILE_ESCAPED "\""));
    bnf_free(text);
}

/* ---- charts ---- */

/* Reads the drawing commands of the path of series s1. Returns how many points there are; counts the moves. */
static int read_path(const char *text, double (*points)[2], int capacity, int *moves)
{
    const char *at = strstr(text, "clip-path");
    assert_non_null(at);
    at = strstr(at, "class=\"series s1");
    assert_non_null(at);
    at = strstr(at, " d=\"");
    assert_non_null(at);
    int n = 0;
    *moves = 0;
    for (at += 4; *at != '"'; n++) {
        assert_true(n < capacity && (*at == 'M' || *at == 'L'));
        *moves += *at == 'M';
        char *end = NULL;
        points[n][0] = strtod(at + 1, &end);
        points[n][1] = strtod(end, &end);
        at = end;
    }
    return n;
}

static char *one_chart(const double *x, const double *y, int64_t n, bnf_html_axis x_axis, bnf_html_axis y_axis)
{
    bnf_html *h = new_page();
    const bnf_html_series series = {"loss", x, y, n, false};
    bnf_html_chart_add(
        h, &(bnf_html_chart){.title = "A chart", .x = x_axis, .y = y_axis, .series = &series, .series_count = 1});
    return finish(h);
}

/* Every point lies where a straight (or logarithmic) scale through the first and the last puts it. */
static void test_chart_points(void **unused)
{
    (void)unused;
    enum { N = 37 };
    double x[N], y[N], at[N][2];
    int moves = 0;
    for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
        for (int i = 0; i < N; i++) {
            x[i] = 10.0 + i * i;
            y[i] = exp(-0.2 * i) + (i == 5 ? 3.0 : 0.0);
        }
        char *text = one_chart(x, y, N, (bnf_html_axis){.label = "step"}, (bnf_html_axis){.log = logarithmic});
        assert_int_equal(read_path(text, at, N, &moves), N);
        assert_int_equal(moves, 1);
        const double scale_x = (at[N - 1][0] - at[0][0]) / (x[N - 1] - x[0]);
        const double y0 = logarithmic ? log(y[0]) : y[0], y1 = logarithmic ? log(y[N - 1]) : y[N - 1];
        const double scale_y = (at[N - 1][1] - at[0][1]) / (y1 - y0);
        assert_true(scale_x > 0.0 && scale_y < 0.0); /* to the right, and up on the screen */
        for (int i = 0; i < N; i++) {
            const double yi = logarithmic ? log(y[i]) : y[i];
            assert_true(fabs(at[i][0] - (at[0][0] + scale_x * (x[i] - x[0]))) < 0.2);
            assert_true(fabs(at[i][1] - (at[0][1] + scale_y * (yi - y0))) < 0.2);
            assert_true(at[i][0] >= 0 && at[i][0] <= 480 && at[i][1] >= 0 && at[i][1] <= 300);
        }
        assert_int_equal(count(text, "r=\"6\"><title>loss: "), N); /* a hover title on each */
        assert_non_null(strstr(text, "<title>loss: 1 at 10</title>"));
        assert_non_null(strstr(text, "aria-label=\"Line chart: A chart; loss from 1 to "));
        bnf_free(text);
    }
}

static void test_chart_gaps_and_emptiness(void **unused)
{
    (void)unused;
    double x[8] = {0, 1, 2, 3, 4, 5, 6, 7}, y[8] = {1, 2, NAN, 3, INFINITY, -1, 4, 5}, at[8][2];
    int moves = 0;
    char *text = one_chart(x, y, 8, (bnf_html_axis){0}, (bnf_html_axis){0});
    assert_int_equal(read_path(text, at, 8, &moves), 6);
    assert_int_equal(moves, 3);
    bnf_free(text);
    text = one_chart(x, y, 8, (bnf_html_axis){0}, (bnf_html_axis){.log = true}); /* -1 is a gap, too */
    assert_int_equal(read_path(text, at, 8, &moves), 5);
    bnf_free(text);
    text = one_chart(x + 2, y + 2, 1, (bnf_html_axis){0}, (bnf_html_axis){0});
    assert_null(strstr(text, "<svg class=\"chart\""));
    assert_non_null(strstr(text, "There are no values to draw."));
    bnf_free(text);
    text = one_chart(NULL, NULL, 0, (bnf_html_axis){0}, (bnf_html_axis){0});
    assert_non_null(strstr(text, "There are no values to draw."));
    bnf_free(text);
    text = one_chart(x, y, 1, (bnf_html_axis){0}, (bnf_html_axis){0}); /* a line of one point is a dot */
    assert_int_equal(count(text, "class=\"dot\""), 1);
    bnf_free(text);
    y[0] = y[1] = 5.0; /* a flat line */
    text = one_chart(x, y, 2, (bnf_html_axis){0}, (bnf_html_axis){0});
    assert_int_equal(read_path(text, at, 8, &moves), 2);
    bnf_free(text);
}

/* A long series keeps its extremes. */
static void test_chart_dense(void **unused)
{
    (void)unused;
    enum { N = 20000 };
    static double x[N], y[N], at[N][2];
    int moves = 0, low = 0, high = 0;
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = i == 7777 ? 50.0 : i == 13001 ? -50.0 : sin(i);
    }
    char *text = one_chart(x, y, N, (bnf_html_axis){0}, (bnf_html_axis){0});
    const int n = read_path(text, at, N, &moves);
    assert_in_range(n, 400, 800);
    assert_int_equal(moves, 1);
    for (int i = 0; i < n; i++) {
        low = at[i][1] > at[low][1] ? i : low;
        high = at[i][1] < at[high][1] ? i : high;
        assert_true(i == 0 || at[i][0] >= at[i - 1][0]);
    }
    assert_true(high < low && at[low][1] - at[high][1] > 150.0);
    assert_true(strlen(text) < 60000);
    bnf_free(text);
}

/* The curve and the table agree with counting. */
static void test_certified(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    static double certificate[N], at[400][2];
    for (int i = 0; i < N; i++)
        certificate[i] = i % 10 == 0 ? (i % 20 == 0 ? -0.5 : NAN) : 0.001 * ((i * 7) % N);
    const bnf_html_mark marks[2] = {{36.0 / 255.0, "36/255"}, {0.5, "half"}};
    int right[3] = {0};
    for (int i = 0; i < N; i++) {
        right[0] += certificate[i] > 0.0;
        right[1] += certificate[i] >= 36.0 / 255.0;
        right[2] += certificate[i] >= 0.5;
    }
    bnf_html *h = new_page();
    bnf_html_certified(h, "Certified", "radius", certificate, N, marks, 2);
    char *text = finish(h), row[128];
    static const char *const names[3] = {"0 (plain accuracy)", "36/255", "half"};
    for (int k = 0; k < 3; k++) {
        snprintf(row, sizeof row, "%s</th><td class=\"num\">%.2f%%</td><td class=\"num\">%d of 1000</td>", names[k],
                 0.1 * right[k], right[k]);
        assert_non_null(strstr(text, row));
    }
    int moves = 0;
    const int n = read_path(text, at, 400, &moves);
    for (int i = 1; i < n; i++)
        assert_true(at[i][1] >= at[i - 1][1]); /* certified accuracy never rises with the radius */
    assert_int_equal(count(text, ">36/255</text>"), 1);
    bnf_free(text);
    h = new_page();
    bnf_html_certified(h, "None", "radius", NULL, 0, NULL, 0);
    text = finish(h);
    assert_non_null(strstr(text, "0 of 0"));
    bnf_free(text);
}

/* ---- bars, tables, images ---- */

static void test_bars_and_tables(void **unused)
{
    (void)unused;
    const char *const labels[3] = {"Bag", "Coat", "Shirt"}, *const name = "accuracy";
    const double values[3] = {0.875, 0.0, NAN};
    bnf_html *h = new_page();
    bnf_html_bars_add(h, &(bnf_html_bars){.title = "Classes",
                                          .label_title = "Class",
                                          .labels = labels,
                                          .count = 3,
                                          .series_names = &name,
                                          .values = values,
                                          .series_count = 1,
                                          .percent = true});
    const bnf_html_column columns[2] = {{"Layer", false}, {"Bound", true}};
    const char *const cells[4] = {"conv1", "0.999", "dense", NULL};
    bnf_html_table(h, "Layers", columns, 2, cells, 2);
    char *text = finish(h);
    assert_non_null(strstr(text, "<th scope=\"row\">Bag</th>"));
    assert_non_null(strstr(text, "width:87.50%"));
    assert_non_null(strstr(text, ">87.5%</span>"));
    assert_non_null(strstr(text, ">n/a</span>"));
    assert_non_null(strstr(text, "<th scope=\"col\" class=\"num\">Bound</th>"));
    assert_non_null(strstr(text, "<th scope=\"row\">conv1</th><td class=\"num\">0.999</td>"));
    assert_non_null(strstr(text, "<td class=\"num\">\xE2\x80\x93</td>"));
    bnf_free(text);
}

/* The pixels come back from the page. */
static void test_images(void **unused)
{
    (void)unused;
    enum { SIDE = 28 };
    uint8_t pixels[SIDE * SIDE], again[SIDE * SIDE], png[8192];
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = (uint8_t)(i * 13 + i / SIDE);
    const bnf_html_image image = {pixels, SIDE, SIDE, 1, "input", "a coat"};
    const bnf_html_card card = {"Coat", NULL, true, &image, 1};
    bnf_html *h = new_page();
    bnf_html_images(h, "Samples", &card, 1);
    char *text = finish(h);
    assert_non_null(strstr(text, "alt=\"a coat\""));
    assert_non_null(strstr(text, ">wrong</span>"));
    const char *data = strstr(text, "src=\"data:image/png;base64,");
    assert_non_null(data);
    const size_t n = html_check_base64(data + strlen("src=\"data:image/png;base64,"), png, sizeof png);
    png_image decoded;
    memset(&decoded, 0, sizeof decoded);
    decoded.version = PNG_IMAGE_VERSION;
    assert_true(png_image_begin_read_from_memory(&decoded, png, n));
    decoded.format = PNG_FORMAT_GRAY;
    assert_int_equal(PNG_IMAGE_SIZE(decoded), sizeof again);
    assert_true(png_image_finish_read(&decoded, NULL, again, 0, NULL));
    assert_memory_equal(pixels, again, sizeof again);
    bnf_free(text);
    const bnf_html_image bad = {pixels, SIDE, SIDE, 2, "bad", ""};
    const bnf_html_card bad_card = {"Bad", NULL, false, &bad, 1};
    h = new_page();
    bnf_html_images(h, "Samples", &bad_card, 1);
    assert_int_equal(bnf_html_finish(h, &text), BNF_ERR_ARG); /* the first failure is kept for the end */
    bnf_html_destroy(h);
    bnf_error_clear();
}

/* ---- files and failures ---- */

static void test_write(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/bnf-html-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/report.html", folder);
    bnf_html *h = fill_page("text", 50);
    bnf_buf first = {0}, second = {0};
    char *text = NULL;
    assert_int_equal(bnf_html_write(h, path), BNF_OK);
    assert_int_equal(bnf_fs_read(path, &first), BNF_OK);
    assert_int_equal(bnf_html_finish(h, &text), BNF_OK);
    assert_string_equal(bnf_buf_text(&first), text);
    bnf_html_text(h, "more"); /* filled further and written again */
    assert_int_equal(bnf_html_write(h, path), BNF_OK);
    assert_int_equal(bnf_fs_read(path, &second), BNF_OK);
    assert_true(second.size > first.size);
    assert_int_equal(bnf_html_write(h, "/nonexistent/report.html"), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/nonexistent/report.html"));
    bnf_error_clear();
    bnf_html_destroy(h);
    bnf_free(text);
    bnf_buf_release(&first);
    bnf_buf_release(&second);
    assert_int_equal(bnf_fs_remove(folder), BNF_OK);
}

/* Leaves a page for tests/e2e/report_browser.sh, which names the file. */
static void test_sample_for_browser(void **unused)
{
    (void)unused;
    const char *path = getenv("BNF_REPORT_SAMPLE");
    if (path == NULL)
        skip();
    bnf_html *h = fill_page("A text of usual length, which may wrap", 1200);
    assert_int_equal(bnf_html_write(h, path), BNF_OK);
    bnf_html_destroy(h);
}

/* Whichever allocation fails: an error is returned, nothing leaks, nothing crashes. */
static void test_no_memory(void **unused)
{
    (void)unused;
    const int64_t before = bnf_mem_total_allocations();
    bnf_free(finish(fill_page("text", 900)));
    const int64_t all = bnf_mem_total_allocations() - before;
    assert_true(all > 10);
    for (int64_t n = 1; n <= all; n++) {
        char *text = NULL;
        bnf_mem_fail_at(n);
        bnf_html *h = fill_page("text", 900);
        assert_int_equal(h != NULL ? bnf_html_finish(h, &text) : BNF_ERR_MEMORY, BNF_ERR_MEMORY);
        bnf_mem_fail_at(0);
        bnf_html_destroy(h);
        assert_null(text);
        bnf_error_clear();
        assert_int_equal(bnf_mem_live_blocks(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),     cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_chart_points),    cmocka_unit_test(test_chart_gaps_and_emptiness),
        cmocka_unit_test(test_chart_dense),     cmocka_unit_test(test_certified),
        cmocka_unit_test(test_bars_and_tables), cmocka_unit_test(test_images),
        cmocka_unit_test(test_write),           cmocka_unit_test(test_sample_for_browser),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
