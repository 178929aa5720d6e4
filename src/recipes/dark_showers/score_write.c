/* recipes/dark_showers/score_write.c - scores as a file, figures as JSON and as a table.
 *
 *   /                        attributes weights, step, data (its source), checksum (of the set), part, classes and
 *                            scores (names), images_per_event, tpr, bin
 *   /label                   [events]  i32
 *   /scores/NAME             [events]  f64  events.h says what they are
 *   /pictures/event          [P]       i64  events of highest and lowest loss of each class
 *   /pictures/image          [P, images_per_event, H, W, C]  f32  as the network sees them
 *   /pictures/reconstruction [P, images_per_event, H, W, C]  f32 */
#include "recipes/dark_showers/score.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bnf_status put(bnf_h5_file *file, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                      const void *values)
{
    bnf_h5_dataset *dataset;
    BNF_TRY(bnf_h5_dataset_create(file, name, dtype, ndim, dim, NULL, &dataset));
    bnf_status s = bnf_h5_dataset_write(dataset, dtype, values), closed = bnf_h5_dataset_close(dataset);
    return s != BNF_OK ? s : closed;
}

static bnf_status put_facts(const bnf_dark_scoring *c, bnf_h5_file *file)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(c->dataset);
    BNF_TRY(bnf_h5_attr_set_str(file, "/", "weights", c->run->weights));
    BNF_TRY(bnf_h5_attr_set_int(file, "/", "step", c->run->step));
    BNF_TRY(bnf_h5_attr_set_str(file, "/", "data", info->source));
    BNF_TRY(bnf_h5_attr_set_str(file, "/", "checksum", info->checksum));
    BNF_TRY(bnf_h5_attr_set_str(file, "/", "part", info->name));
    BNF_TRY(bnf_h5_attr_set_int(file, "/", "images_per_event", c->images));
    BNF_TRY(bnf_h5_attr_set_real(file, "/", "tpr", c->tpr));
    BNF_TRY(bnf_h5_attr_set_real(file, "/", "bin", c->width));
    const char *names[BNF_DARK_MAX_SCORES];
    for (int i = 0; i < c->events.n; i++)
        names[i] = c->events.score[i].name;
    BNF_TRY(bnf_h5_attr_set_strs(file, "/", "scores", c->events.n, names));
    return bnf_h5_attr_set_strs(file, "/", "classes", info->classes, info->class_names);
}

static bnf_status put_all(const bnf_dark_scoring *c, bnf_h5_file *file)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(c->dataset);
    const int64_t shape[] = {c->n_shown, c->images, info->h, info->w, info->c};
    char name[48];
    BNF_TRY(put_facts(c, file));
    BNF_TRY(put(file, "/label", BNF_I32, 1, &c->events.count, c->events.label));
    for (int i = 0; i < c->events.n; i++) {
        snprintf(name, sizeof name, "/scores/%s", c->events.score[i].name);
        BNF_TRY(put(file, name, BNF_F64, 1, &c->events.count, c->events.score[i].value));
    }
    if (c->n_shown == 0)
        return BNF_OK;
    BNF_TRY(put(file, "/pictures/event", BNF_I64, 1, &c->n_shown, c->shown));
    BNF_TRY(put(file, "/pictures/image", BNF_F32, 5, shape, c->seen));
    return put(file, "/pictures/reconstruction", BNF_F32, 5, shape, c->made);
}

/* Under a temporary name, then renamed. */
static bnf_status write_scores(const bnf_dark_scoring *c, const char *path)
{
    bnf_buf temporary = {0};
    bnf_h5_file *file = NULL;
    bnf_status s = bnf_buf_printf(&temporary, "%s.tmp", path);
    if (s == BNF_OK)
        s = bnf_h5_file_create(bnf_buf_text(&temporary), &file);
    if (s == BNF_OK) {
        s = put_all(c, file);
        bnf_status closed = bnf_h5_file_close(file);
        s = s != BNF_OK ? s : closed;
        if (s == BNF_OK)
            s = bnf_fs_rename(bnf_buf_text(&temporary), path);
        if (s != BNF_OK)
            (void)bnf_fs_remove(bnf_buf_text(&temporary));
    }
    bnf_buf_release(&temporary);
    return s;
}

static void class_json(const bnf_dark_scoring *c, int64_t k, bnf_json *j)
{
    const bnf_dark_figures *f = &c->figures;
    bnf_json_begin_object(j, bnf_dataset_get_info(c->dataset)->class_names[k]);
    bnf_json_int(j, "events", f->events[k]);
    for (int i = 0; i < f->scores; i++) {
        const bnf_dark_figure *g = &f->figure[k * f->scores + i];
        bnf_json_begin_object(j, c->events.score[i].name);
        bnf_json_real(j, "auc", g->auc);
        bnf_json_real(j, "fpr", g->fpr);
        bnf_json_real(j, "auc_within_bins", g->binned.auc);
        bnf_json_real(j, "covered", g->binned.covered);
        bnf_json_end_object(j);
    }
    bnf_json_end_object(j);
}

static bnf_status write_figures(const bnf_dark_scoring *c, const char *path)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(c->dataset);
    bnf_buf out = {0};
    bnf_json j = bnf_json_start(&out, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "weights", c->run->weights);
    bnf_json_int(&j, "step", c->run->step);
    bnf_json_string(&j, "data", info->source);
    bnf_json_string(&j, "checksum", info->checksum);
    bnf_json_string(&j, "part", info->name);
    bnf_json_int(&j, "images_per_event", c->images);
    bnf_json_real(&j, "tpr", c->tpr);
    bnf_json_real(&j, "bin", c->width);
    bnf_json_real(&j, "ridge", c->ridge);
    bnf_json_string(&j, "background", info->class_names[0]);
    bnf_json_int(&j, "background_events", c->figures.events[0]);
    bnf_json_begin_object(&j, "signals");
    for (int64_t k = 1; c->figures.any && k < info->classes; k++)
        if (c->figures.events[k] > 0)
            class_json(c, k, &j);
    bnf_json_end_object(&j);
    bnf_json_end_object(&j);
    bnf_buf_puts(&out, "\n");
    bnf_status s = bnf_json_finish(&j);
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(path, out.data, out.size);
    bnf_buf_release(&out);
    return s;
}

bnf_status bnf_dark_score_write(const bnf_dark_scoring *c, const char *path)
{
    bnf_buf json = {0};
    size_t n = strlen(path);
    BNF_TRY(write_scores(c, path));
    if (n > 3 && strcmp(path + n - 3, ".h5") == 0)
        n -= 3;
    bnf_status s = bnf_buf_printf(&json, "%.*s.json", (int)n, path);
    if (s == BNF_OK)
        s = write_figures(c, bnf_buf_text(&json));
    bnf_buf_release(&json);
    return s;
}

/* ---- for the user ---- */

static void print_class(const bnf_dark_scoring *c, int64_t k, bnf_buf *text)
{
    const bnf_dark_figures *f = &c->figures;
    bnf_buf_printf(text, "%s, %lld events\n  %-16s %8s %8s %10s %9s\n",
                   bnf_dataset_get_info(c->dataset)->class_names[k], (long long)f->events[k], "score", "AUC %", "FPR %",
                   "in bins %", "covered %");
    for (int i = 0; i < f->scores; i++) {
        const bnf_dark_figure *g = &f->figure[k * f->scores + i];
        bnf_buf_printf(text, "  %-16s %8.2f %8.3f ", c->events.score[i].name, 100 * g->auc, 100 * g->fpr);
        if (isnan(g->binned.auc))
            bnf_buf_printf(text, "%10s %9s", "-", "-");
        else
            bnf_buf_printf(text, "%10.2f %9.1f", 100 * g->binned.auc, 100 * g->binned.covered);
        bnf_buf_puts(text, g->auc < 0.5 ? "  lower for the signal\n" : "\n");
    }
}

void bnf_dark_score_print(const bnf_dark_scoring *c, const char *path, bnf_buf *text)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(c->dataset);
    bnf_buf_printf(text, "%s: %s part of %s, %lld events of %lld image%s, %lld of %s (step %lld, weights %s)\n",
                   c->run->folder, info->name, info->path, (long long)c->events.count, (long long)c->images,
                   c->images == 1 ? "" : "s", (long long)c->figures.events[0], info->class_names[0],
                   (long long)c->run->step, c->run->weights);
    if (!c->figures.any) {
        bnf_buf_printf(text, "no figures: they compare %s with other classes, and there are not both\n%s\n",
                       info->class_names[0], path);
        return;
    }
    bnf_buf_printf(text,
                   "AUC: chance that a signal's score is higher; FPR at a TPR of %g; AUC within bins of %g hits, and "
                   "the share of signal in bins with background\n",
                   c->tpr, c->width);
    for (int64_t k = 1; k < info->classes; k++)
        if (c->figures.events[k] > 0)
            print_class(c, k, text);
    bnf_buf_printf(text, "%s\n", path);
}
