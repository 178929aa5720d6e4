/* recipes/dark_showers/score.c - the network over a part, distances from the background, scores of events. */
#include "recipes/dark_showers/score.h"

#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "la/mahalanobis.h"
#include "recipes/dark_showers/pictures.h"
#include "train/options.h"

#include <string.h>

/* ---- distances ---- */

/* The cloud of a latent value: of the background while it is fitted, then what distances are from. */
typedef struct latent {
    const char *name;
    const bnf_grid *grid, *alone;
    bnf_mahalanobis *cloud;
    const int32_t *labels; /* of the training part */
    int64_t most;          /* vectors */
    float *part;           /* [a batch, columns] those of the background */
    double *square;        /* [samples] of the part that is scored */
} latent;

static bnf_status take_background(void *self, int64_t first, int64_t count, int64_t columns, const float *values)
{
    latent *l = self;
    int64_t n = 0;
    if (!l->cloud)
        BNF_TRY(bnf_mahalanobis_create(l->grid, columns, &l->cloud));
    bnf_free(l->part);
    l->part = NULL;
    BNF_TRY(bnf_alloc((size_t)(count * columns) * sizeof(float), l->name, &l->part));
    int64_t room = l->most - bnf_mahalanobis_count(l->cloud);
    for (int64_t i = 0; i < count; i++)
        if (l->labels[first + i] == 0 && n < room)
            memcpy(l->part + n++ * columns, values + i * columns, (size_t)columns * sizeof(float));
    bnf_status s = bnf_mahalanobis_add(l->cloud, n, l->part);
    return s == BNF_OK ? s : bnf_fail_context(s, "latent value '%s' of the training part", l->name);
}

static bnf_status take_distances(void *self, int64_t first, int64_t count, int64_t columns, const float *values)
{
    latent *l = self;
    (void)columns;
    return bnf_mahalanobis_squares(l->cloud, count, values, l->square + first);
}

/* Fits clouds to the background of the training part. n: of latents. */
static bnf_status fit(const bnf_dark_scoring *c, latent *l, int n)
{
    bnf_run *run = c->run;
    bnf_run_output outputs[2];
    bnf_eval_result result;
    int64_t background = 0, count = bnf_dataset_get_info(run->train)->count;
    const int32_t *labels = bnf_dataset_labels(run->train);
    for (int64_t i = 0; i < count; i++)
        background += labels[i] == 0;
    if (background < 2)
        return bnf_fail(BNF_ERR_FORMAT,
                        "the training part has %lld images of class 0: no covariance of the background "
                        "(mahalanobis=no goes without)",
                        (long long)background);
    for (int i = 0; i < n; i++) {
        l[i].labels = labels;
        l[i].most = c->fit > 0 ? c->fit : background;
        outputs[i] = (bnf_run_output){.name = l[i].name, .take = take_background, .self = &l[i]};
    }
    BNF_TRY(bnf_run_outputs(run, BNF_TRAIN, 0, outputs, n, &result));
    for (int i = 0; i < n; i++) {
        bnf_status s = bnf_mahalanobis_fit(l[i].cloud, c->ridge, l[i].alone);
        if (s != BNF_OK)
            return bnf_fail_context(s, "latent value '%s'", l[i].name);
    }
    return BNF_OK;
}

/* ---- the network ---- */

/* What is kept of every image, if the network has it. */
static const char *const kept[] = {"hits", "bce", "mse", "kl", "energy", "squares", "overlap", "z_m", "logits"};
enum { KEPT = sizeof kept / sizeof kept[0], LATENTS = 2 };

typedef struct values {
    bnf_run_output outputs[KEPT + LATENTS];
    int n, n_kept, n_latents; /* kept ones first */
    latent latents[LATENTS];
} values;

static bool has(const bnf_model_values *v, const char *name)
{
    if (strcmp(name, "logits") == 0)
        return bnf_val_ok(v->logits);
    for (int i = 0; i < v->n_outputs; i++)
        if (strcmp(v->outputs[i].name, name) == 0)
            return true;
    return false;
}

/* Which of them the network has. */
static bnf_status choose(const bnf_dark_scoring *c, values *v)
{
    static const char *const names[LATENTS] = {"z", "z_m"};
    const bnf_data_settings *d = &c->run->job->data;
    bnf_model model = {0};
    bnf_status s = bnf_model_build(c->run->job, c->run->params, bnf_dataset_get_info(c->dataset), d->batch, d->leaves,
                                   false, &model);
    for (int i = 0; s == BNF_OK && i < KEPT; i++)
        if (has(&model.values, kept[i]))
            v->outputs[v->n_kept++].name = kept[i];
    for (int i = 0; s == BNF_OK && c->distance && i < LATENTS; i++)
        if (has(&model.values, names[i]))
            v->latents[v->n_latents++].name = names[i];
    v->n = v->n_kept + v->n_latents;
    bnf_model_release(&model);
    return s;
}

static bnf_status measure_distances(const bnf_dark_scoring *c, values *v, const bnf_grid *grid, const bnf_grid *alone)
{
    int64_t count = bnf_dataset_get_info(c->dataset)->count;
    bnf_status s = BNF_OK;
    for (int i = 0; i < v->n_latents; i++) {
        latent *l = &v->latents[i];
        l->grid = grid;
        l->alone = alone;
        if (s == BNF_OK)
            s = bnf_alloc((size_t)count * sizeof(double), "distances", &l->square);
        v->outputs[v->n_kept + i] = (bnf_run_output){.name = l->name, .take = take_distances, .self = l};
    }
    BNF_TRY(bnf_comm_agree(c->run->comm, s));
    return v->n_latents > 0 ? fit(c, v->latents, v->n_latents) : BNF_OK;
}

static const double *square_of(const values *v, const char *name)
{
    for (int i = 0; i < v->n_latents; i++)
        if (strcmp(v->latents[i].name, name) == 0)
            return v->latents[i].square;
    return NULL;
}

static bnf_status score_with(bnf_dark_scoring *c, values *v, const bnf_grid *grid, const bnf_grid *alone)
{
    bnf_eval_result result;
    BNF_TRY(measure_distances(c, v, grid, alone));
    BNF_TRY(bnf_run_outputs(c->run, c->split, 0, v->outputs, v->n, &result));
    const bnf_dark_images images = {.count = result.samples,
                                    .outputs = v->outputs,
                                    .n = v->n_kept,
                                    .z_square = square_of(v, "z"),
                                    .z_m_square = square_of(v, "z_m")};
    return bnf_comm_agree(c->run->comm,
                          bnf_dark_events_create(&images, bnf_dataset_labels(c->dataset), c->images, &c->events));
}

static bnf_status score_events(bnf_dark_scoring *c)
{
    values v = {0};
    bnf_grid *grid = NULL, *alone = NULL; /* factors are made by one process: the same bits for any number of ranks */
    bnf_status s = bnf_comm_agree(c->run->comm, choose(c, &v));
    if (s == BNF_OK)
        s = bnf_grid_create(c->run->comm, &grid);
    if (s == BNF_OK)
        s = bnf_comm_agree(c->run->comm, bnf_grid_create(NULL, &alone));
    if (s == BNF_OK)
        s = score_with(c, &v, grid, alone);
    bnf_run_outputs_release(v.outputs, v.n);
    for (int i = 0; i < v.n_latents; i++) {
        bnf_mahalanobis_destroy(v.latents[i].cloud);
        bnf_free(v.latents[i].part);
        bnf_free(v.latents[i].square);
    }
    bnf_grid_destroy(alone);
    bnf_grid_destroy(grid);
    return s;
}

/* ---- pictures ---- */

/* The first event of a class with the highest or lowest score; -1: it has none. */
static int64_t extreme(const bnf_dark_events *e, int32_t label, const double *score, bool high)
{
    int64_t found = -1;
    for (int64_t i = 0; i < e->count; i++)
        if (e->label[i] == label && (found < 0 || (high ? score[i] > score[found] : score[i] < score[found])))
            found = i;
    return found;
}

static bnf_status show_events(bnf_dark_scoring *c)
{
    const bnf_dark_events *e = &c->events;
    const bnf_dataset_info *info = bnf_dataset_get_info(c->dataset);
    const double *bce = bnf_dark_events_find(e, "bce");
    if (!bce)
        return BNF_OK;
    int64_t most = BNF_DARK_SHOWN * info->classes, *index = NULL;
    size_t pixels = (size_t)(most * e->images * info->h * info->w * info->c) * sizeof(float);
    bnf_status s = bnf_alloc((size_t)most * sizeof(int64_t), "events to be shown", &c->shown);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(most * e->images) * sizeof *index, "images to be shown", &index);
    if (s == BNF_OK)
        s = bnf_alloc(pixels, "images to be shown", &c->seen);
    if (s == BNF_OK)
        s = bnf_alloc(pixels, "reconstructions", &c->made);
    s = bnf_comm_agree(c->run->comm, s);
    for (int32_t k = 0; s == BNF_OK && k < info->classes; k++)
        for (int low = 0; low < BNF_DARK_SHOWN; low++) {
            int64_t event = extreme(e, k, bce, !low);
            if (event >= 0)
                c->shown[c->n_shown++] = event;
        }
    for (int64_t i = 0; s == BNF_OK && i < c->n_shown * e->images; i++)
        index[i] = c->shown[i / e->images] * e->images + i % e->images;
    if (s == BNF_OK)
        s = bnf_dark_reconstruct(c->run, c->dataset, c->n_shown * e->images, index, c->seen, c->made);
    bnf_free(index);
    return s;
}

/* ---- the command ---- */

static bnf_status parse(bnf_dark_scoring *c, const bnf_score_request *r, bnf_buf *text, bool *help)
{
    static const char *const answers[] = {"no", "yes", NULL};
    const bnf_option table[] = {
        {"images", BNF_OPTION_INT, "0", "images of an event, which follow each other; 0: as the set says", 0,
         &c->images},
        {"tpr", BNF_OPTION_REAL, "0.4", "true-positive rate at which the false-positive rate is given", 0, &c->tpr},
        {"bin", BNF_OPTION_REAL, "10", "hits of a bin, for the AUC among events of as many hits", 1e-9, &c->width},
        {"mahalanobis", BNF_OPTION_WORD, "yes", "yes or no: distances of latent values from those of the background", 0,
         &c->distance, answers},
        {"fit", BNF_OPTION_INT, "0", "images of the training background for their covariance, at most; 0: all", 0,
         &c->fit},
        {"ridge", BNF_OPTION_REAL, "1e-6", "added to their variances, as a share of the mean variance", 0, &c->ridge},
    };
    BNF_TRY(bnf_options_parse(table, (int)(sizeof table / sizeof table[0]), r->options, r->n_options, text, help));
    if (c->tpr > 1)
        return bnf_fail(BNF_ERR_CONFIG, "tpr=%g: it must be a number of at most 1", c->tpr);
    return BNF_OK;
}

static bnf_status finish(bnf_dark_scoring *c, const char *path, bnf_buf *text)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(c->dataset);
    BNF_TRY(bnf_dark_figures_create(&c->events, info->classes, info->class_names, c->tpr, c->width, &c->figures));
    BNF_TRY(bnf_dark_score_write(c, path));
    bnf_dark_score_print(c, path, text);
    return text->status;
}

static bnf_status score(bnf_dark_scoring *c, const bnf_score_request *r, bnf_buf *text)
{
    bnf_run *run = c->run;
    bnf_dataset *dataset;
    bnf_buf path = {0};
    BNF_TRY(bnf_run_dataset(run, c->split, &dataset));
    c->dataset = dataset;
    if (c->images == 0)
        c->images = bnf_dataset_get_info(dataset)->images_per_event;
    BNF_TRY(score_events(c));
    BNF_TRY(show_events(c));
    bnf_status s = r->out ? bnf_buf_puts(&path, r->out) : bnf_fs_join(&path, run->folder, "scores.h5");
    if (s == BNF_OK && bnf_comm_rank(run->comm) == 0)
        s = finish(c, bnf_buf_text(&path), text);
    bnf_buf_release(&path);
    return bnf_comm_agree(run->comm, s);
}

bnf_status bnf_dark_score_command(bnf_run *run, const bnf_score_request *request, bnf_buf *text)
{
    bnf_dark_scoring c = {.run = run, .split = request->split};
    bool help = false;
    BNF_TRY(parse(&c, request, text, &help));
    if (help)
        return BNF_OK;
    bnf_status s = score(&c, request, text);
    bnf_dark_figures_release(&c.figures);
    bnf_dark_events_release(&c.events);
    bnf_free(c.shown);
    bnf_free(c.seen);
    bnf_free(c.made);
    return s;
}
