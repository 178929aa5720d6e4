/* recipes/random_conv/fgsm.c - one step of L-infinity adversaries. */
#include "recipes/random_conv/fgsm.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "train/options.h"

#include <math.h>

typedef struct attack {
    bnf_run *run;
    bnf_split split;
    double levels;
    bool help;
    bnf_model model;
    bnf_loader *loader;
    int64_t channels, size; /* size: elements of a picture */
    bool bytes;             /* pixels are u8: they stay between 0 and 255 */
    float *moved;           /* this rank's part of a batch */
    bnf_eval_result clean;  /* means before the step */
    double attacked;        /* samples that are right after it */
    /* Network input = pixel * scale + shift. */
    double scale[BNF_DATA_MAX_CHANNELS], shift[BNF_DATA_MAX_CHANNELS];
} attack;

void bnf_random_conv_step(int64_t n, int64_t channels, const double *scale, const double *shift, double epsilon,
                          bool clip, const float *x, const float *gradient, float *moved)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t c = i % channels;
        double g = (double)gradient[i] * scale[c], u = ((double)x[i] - shift[c]) / scale[c];
        u += g > 0 ? epsilon : g < 0 ? -epsilon : 0;
        if (clip)
            u = fmin(fmax(u, 0), 1);
        moved[i] = g != 0 ? (float)(u * scale[c] + shift[c]) : x[i];
    }
}

static bnf_status parse(const char *const *options, int n, attack *a, bnf_buf *text)
{
    const bnf_option table[] = {
        {"levels", BNF_OPTION_REAL, "1", "largest change of a pixel, in 255ths of its range", 0, &a->levels},
        {"split", BNF_OPTION_SPLIT, "test", "test or train", 0, &a->split},
    };
    BNF_TRY(bnf_options_parse(table, (int)(sizeof table / sizeof table[0]), options, n, text, &a->help));
    return a->levels <= 255 ? BNF_OK
                            : bnf_fail(BNF_ERR_CONFIG, "levels=%g: it must be a number of at most 255", a->levels);
}

static bnf_status build(attack *a, const bnf_dataset_info *info)
{
    bnf_run *run = a->run;
    bnf_model *m = &a->model;
    const bnf_data_settings *d = &run->job->data;
    int lo, hi;
    a->channels = info->c;
    a->size = info->h * info->w * info->c;
    a->bytes = info->dtype == BNF_U8;
    BNF_TRY(bnf_data_pixels(d, info, a->scale, a->shift));
    BNF_TRY(bnf_model_build(run->job, run->params, info, d->batch, d->leaves, false, m));
    bnf_scope scope = {.params = run->params,
                       .graph = m->graph,
                       .b = bnf_graph_builder(m->graph),
                       .weight = m->weight,
                       .count = m->count};
    bnf_val loss = bnf_loss_cross_entropy(&scope, m->values.logits, m->labels, 0);
    BNF_TRY(bnf_graph_status(m->graph));
    BNF_TRY(bnf_model_want_input_gradient(m, loss));
    BNF_TRY(bnf_model_plan(m, run->job, run->comm, run->threads, NULL));
    bnf_plan_leaves(m->plan, &lo, &hi);
    int64_t rows = (int64_t)(hi - lo) * (d->batch / d->leaves);
    return bnf_alloc((size_t)(rows * a->size) * sizeof *a->moved, "attacked pictures", &a->moved);
}

static bnf_status open_attack(attack *a, const bnf_dataset_info *info, bnf_dataset *dataset)
{
    const bnf_data_settings *d = &a->run->job->data;
    BNF_TRY(bnf_comm_agree(a->run->comm, build(a, info)));
    return bnf_comm_agree(a->run->comm,
                          bnf_job_loader(a->run->job, a->run->comm, dataset, d->batch, d->leaves, false, &a->loader));
}

/* After a batch was run as it is: moves it and runs it again. Collective. */
static bnf_status attack_batch(void *self, const bnf_model *model, const bnf_batch *batch)
{
    attack *a = self;
    bnf_random_conv_step(batch->rows * a->size, a->channels, a->scale, a->shift, a->levels / 255, a->bytes, batch->x,
                         bnf_plan_output(model->plan, model->input_grad), a->moved);
    bnf_batch moved = *batch;
    moved.x = a->moved;
    BNF_TRY(bnf_model_run(&a->model, &moved, 0));
    a->attacked += (double)batch->valid * bnf_model_scalar(model, model->accuracy);
    return BNF_OK;
}

static bnf_status write_json(const attack *a)
{
    bnf_buf out = {0}, path = {0};
    bnf_json j = bnf_json_start(&out, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "weights", a->run->weights);
    bnf_json_int(&j, "step", a->run->step);
    bnf_json_string(&j, "split", bnf_split_name(a->split));
    bnf_json_int(&j, "samples", a->clean.samples);
    bnf_json_real(&j, "levels", a->levels);
    bnf_json_real(&j, "accuracy", a->clean.accuracy);
    bnf_json_real(&j, "attacked_accuracy", a->attacked / (double)a->clean.samples);
    bnf_json_end_object(&j);
    bnf_buf_puts(&out, "\n");
    bnf_status s = bnf_json_finish(&j);
    if (s == BNF_OK)
        s = bnf_fs_join(&path, a->run->folder, "attack.json");
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(bnf_buf_text(&path), out.data, out.size);
    bnf_buf_release(&out);
    bnf_buf_release(&path);
    return s;
}

static bnf_status run_attack(attack *a, bnf_buf *text)
{
    bnf_dataset *dataset;
    BNF_TRY(bnf_run_dataset(a->run, a->split, &dataset));
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    BNF_TRY(open_attack(a, info, dataset));
    BNF_TRY(bnf_evaluate(&a->model, a->run->comm, a->loader, 0, attack_batch, a, &a->clean));
    BNF_TRY(bnf_comm_agree(a->run->comm, bnf_comm_rank(a->run->comm) == 0 ? write_json(a) : BNF_OK));
    bnf_buf_printf(text,
                   "%s: %s part, %lld samples: accuracy %.4f, after one step of the gradient's sign (%g/255) %.4f "
                   "(attack.json)\n",
                   a->run->folder, bnf_split_name(a->split), (long long)a->clean.samples, a->clean.accuracy, a->levels,
                   a->attacked / (double)a->clean.samples);
    return text->status;
}

bnf_status bnf_random_conv_attack(bnf_run *run, const char *const *options, int n_options, bnf_buf *text)
{
    attack a = {.run = run};
    BNF_TRY(parse(options, n_options, &a, text));
    if (a.help)
        return BNF_OK;
    bnf_status s = run_attack(&a, text);
    bnf_loader_destroy(a.loader);
    bnf_model_release(&a.model);
    bnf_free(a.moved);
    return s;
}
