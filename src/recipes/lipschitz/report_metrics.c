/* recipes/lipschitz/report_metrics.c - metrics of explanations in the report. */
#include "recipes/lipschitz/report_metrics.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "recipes/lipschitz/maps.h"
#include "recipes/lipschitz/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 48, NETWORKS = 2 };

/* Metrics that can be compared between networks have no unit of the network's outputs. */
typedef struct description {
    const char *name, *better, *text;
    bool comparable;
} description;

static const description about[BNF_METRIC_COUNT] = {
    [BNF_METRIC_DELETION] =
        {"Deletion", "low", "mean output while the pixels are blackened, those that the map finds most important first",
         false},
    [BNF_METRIC_INSERTION] = {"Insertion", "high",
                              "mean output while a black picture is filled up, those that the map finds most important "
                              "first",
                              false},
    [BNF_METRIC_MUFIDELITY_ZERO] = {"\u03bc-Fidelity (zero)", "high",
                                    "rank correlation, over random groups of pixels that are set to 0, of the fall of "
                                    "the output with the importance that the map gives the group",
                                    true},
    [BNF_METRIC_MUFIDELITY_UNIFORM] = {"\u03bc-Fidelity (uniform)", "high",
                                       "the same, with pixels set to random values", true},
    [BNF_METRIC_STABILITY_L2] = {"Stability (L2)", "low",
                                 "distance between the maps of the picture and of slightly noisy copies", false},
    [BNF_METRIC_STABILITY_SPEARMAN] = {"Stability (rank)", "low",
                                       "the same as 1 minus the rank correlation: 0 means that noise changes nothing",
                                       true},
    [BNF_METRIC_COMPLEXITY] = {"Complexity (kB)", "low", "size of the map as a JPEG file: simple maps are small", true},
    [BNF_METRIC_ROBUSTNESS] = {"Robustness-Sr", "low",
                               "change that it takes to turn the class, if only the most important pixels may change; "
                               "networks that are harder to turn have larger values",
                               false},
    [BNF_METRIC_ROBUSTNESS_REACHED] = {"Robustness-Sr: turned", "high", "share of these attempts that turned the class",
                                       false},
    [BNF_METRIC_SMOOTHGRAD] = {"Agreement with SmoothGrad", "high", "rank correlation with the SmoothGrad map", true},
    [BNF_METRIC_ALIGNMENT] = {"Alignment with people", "high",
                              "rank correlation with maps of what people find important", true},
};

/* [out] object NULL: there is no such file, or it is about other weights. */
static bnf_status read(const bnf_run *run, bnf_json_object **object)
{
    bnf_buf folder = {0}, path = {0}, content = {0};
    *object = NULL;
    bnf_status s = bnf_fs_join(&folder, run->folder, "explain");
    if (s == BNF_OK)
        s = bnf_fs_join(&path, bnf_buf_text(&folder), "metrics.json");
    bool there = s == BNF_OK && bnf_fs_exists(bnf_buf_text(&path));
    if (there)
        s = bnf_fs_read(bnf_buf_text(&path), &content);
    if (there && s == BNF_OK)
        s = bnf_json_tree_parse(bnf_buf_text(&content), content.size, object);
    if (there && s != BNF_OK)
        s = bnf_fail_context(s, "%s", bnf_buf_text(&path));
    const bnf_json_field *weights = *object ? bnf_json_object_find(*object, "weights") : NULL;
    if (*object && (!weights || weights->type != BNF_JSON_STRING || strcmp(weights->string, run->weights) != 0)) {
        bnf_json_object_destroy(*object);
        *object = NULL;
    }
    bnf_buf_release(&content);
    bnf_buf_release(&path);
    bnf_buf_release(&folder);
    return s;
}

static double number(const bnf_json_object *o, const char *name)
{
    const bnf_json_field *f = o ? bnf_json_object_find(o, name) : NULL;
    return f && f->type == BNF_JSON_NUMBER ? f->number : NAN;
}

static double figure(const bnf_json_object *o, int method, int metric, const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "methods.%s.%s.%s", bnf_lipschitz_method_names[method],
             bnf_lipschitz_metric_names[metric], what);
    return number(o, name);
}

/* "0.132 +- 0.047"; NULL if there is no such figure. */
static const char *cell(const bnf_json_object *o, int method, int metric, char *text)
{
    double mean = figure(o, method, metric, "mean"), error = figure(o, method, metric, "standard_error");
    if (isnan(mean))
        return NULL;
    if (isnan(error))
        snprintf(text, CELL, "%.3f", mean);
    else
        snprintf(text, CELL, "%.3f \u00b1 %.3f", mean, error);
    return text;
}

static bool has(const bnf_json_object *o, int method, int metric)
{
    return !isnan(figure(o, method, metric, "mean"));
}

/* The first method of both networks: saliency, if it was asked for. */
static int common_method(bnf_json_object *const *o, int networks)
{
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        for (int j = 0; j < BNF_METRIC_COUNT; j++)
            if (has(o[0], m, j) && (networks == 1 || has(o[1], m, j)))
                return m;
    return -1;
}

/* One method, network beside network, with what the figures mean. */
static void compare(bnf_json_object *const *o, int networks, const char *const *names, int method, bnf_html *html)
{
    char text[BNF_METRIC_COUNT][NETWORKS][CELL], caption[96];
    enum { WIDTH = NETWORKS + 4 };
    const char *cells[BNF_METRIC_COUNT * WIDTH];
    bnf_html_column columns[WIDTH] = {{"Metric", false}};
    int width = 1, n = 0;
    for (int v = 0; v < networks; v++)
        columns[width++] = (bnf_html_column){names[v], true};
    columns[width++] = (bnf_html_column){"Better", false};
    if (networks > 1)
        columns[width++] = (bnf_html_column){"Across networks", false};
    columns[width++] = (bnf_html_column){"What it is", false};
    for (int j = 0; j < BNF_METRIC_COUNT; j++) {
        if (!has(o[0], method, j) && (networks == 1 || !has(o[1], method, j)))
            continue;
        cells[n++] = about[j].name;
        for (int v = 0; v < networks; v++)
            cells[n++] = cell(o[v], method, j, text[j][v]);
        cells[n++] = about[j].better;
        if (networks > 1)
            cells[n++] = about[j].comparable ? "comparable" : "no: own units";
        cells[n++] = about[j].text;
    }
    snprintf(caption, sizeof caption, "Metrics of %s", bnf_lipschitz_method_names[method]);
    bnf_html_table(html, caption, columns, width, cells, n / width);
}

/* All methods of one network beside each other. */
static void all_methods(const bnf_json_object *o, const char *name, bnf_html *html)
{
    enum { WIDTH = BNF_LIPSCHITZ_METHODS + 1 };
    char text[BNF_METRIC_COUNT][BNF_LIPSCHITZ_METHODS][CELL], caption[96];
    const char *cells[BNF_METRIC_COUNT * WIDTH];
    bnf_html_column columns[WIDTH] = {{"Metric", false}};
    int method[BNF_LIPSCHITZ_METHODS], methods = 0, n = 0;
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++) {
        bool any = false;
        for (int j = 0; j < BNF_METRIC_COUNT; j++)
            any = any || has(o, m, j);
        if (any) {
            method[methods++] = m;
            columns[methods] = (bnf_html_column){bnf_lipschitz_method_names[m], true};
        }
    }
    if (methods < 2)
        return;
    for (int j = 0; j < BNF_METRIC_COUNT; j++) {
        bool any = false;
        for (int k = 0; k < methods; k++)
            any = any || has(o, method[k], j);
        if (!any)
            continue;
        cells[n++] = about[j].name;
        for (int k = 0; k < methods; k++)
            cells[n++] = cell(o, method[k], j, text[j][k]);
    }
    snprintf(caption, sizeof caption, "All methods: %s", name);
    bnf_html_table(html, caption, columns, methods + 1, cells, n / (methods + 1));
}

static const char explained[] =
    "Can the maps be trusted? These figures were measured by banff explain --metrics on %.0f pictures, with the class "
    "%s; after \u00b1 stands the standard error of the mean. Figures in units of the "
    "network's outputs tell methods of one network apart, not networks.";

bnf_status bnf_lipschitz_report_metrics(const bnf_run *run, bnf_html *html)
{
    bnf_json_object *o[NETWORKS] = {NULL};
    const char *names[NETWORKS] = {"This network", "Second network"};
    const bnf_job *twin = run->twin && run->twin->job->recipe == run->job->recipe ? run->twin->job : NULL;
    const bool constrained = bnf_lipschitz_constrained(run->job->settings);
    if (twin && bnf_lipschitz_constrained(twin->settings) != constrained) {
        names[!constrained] = "1-Lipschitz network";
        names[constrained] = "Unconstrained network";
    }
    bnf_status s = read(run, &o[0]);
    if (s == BNF_OK && run->twin)
        s = read(run->twin, &o[1]);
    int networks = o[1] ? 2 : 1, method = s == BNF_OK && o[0] ? common_method(o, networks) : -1;
    if (method >= 0) {
        const bnf_json_field *of = bnf_json_object_find(o[0], "settings.class");
        bool of_label = of && of->type == BNF_JSON_STRING && strcmp(of->string, "label") == 0;
        bnf_html_section(html, "How good the explanations are");
        bnf_html_text(html, explained, number(o[0], "samples"),
                      of_label ? "of each one's label" : "that the network gives each of them");
        compare(o, networks, names, method, html);
        for (int v = 0; v < networks; v++)
            all_methods(o[v], names[v], html);
    }
    bnf_json_object_destroy(o[0]);
    bnf_json_object_destroy(o[1]);
    return s;
}
