/* cli/cmd_export.c - banff export: weights and networks for other programs, of a run or before training; batches as
 * training sees them; logits to check other programs by. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "comm/agree.h"
#include "train/arrays.h"
#include "train/npz.h"
#include "train/run.h"

#include <string.h>

static const char about[] =
    "Writes the effective weights of a run's newest checkpoint (or of RUN/checkpoints/FILE.h5), the ones that "
    "evaluation uses, as\n"
    "f32 arrays: convolutions are [out, in / groups, height, width], dense layers [out, in] with inputs in the order "
    "height, width,\n"
    "channel (docs/weights.md). With --raw, what the optimiser changes, of which constraints make the effective "
    "weights: the form that\n"
    "train --weights takes. With --format onnx, the whole network: pixels [N,C,H,W] in, logits out. With --logits, "
    "pictures and what the\n"
    "network says of them: arrays pixels [N,H,W,C], labels and logits. With --initial, the raw weights with which "
    "training of a\n"
    "configuration begins; with --batches, its first batches: arrays x, labels and weight (1, or 0 for padding).\n";

typedef struct export_args {
    const char *out, *format;
    bool initial, raw, help;
    int64_t batches, logits;
    bnf_arg_list set, paths;
} export_args;

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_onnx(const export_args *a)
{
    return strcmp(a->format, "onnx") == 0;
}

static bnf_status check(export_args *a)
{
    if (a->paths.count != 1)
        return bnf_fail(BNF_ERR_CONFIG,
                        "give one run folder, or a configuration with --initial or --batches (banff export --help)");
    if (!a->out)
        return bnf_fail(BNF_ERR_CONFIG, "--out FILE is needed");
    if (!a->format)
        a->format = ends_with(a->out, ".safetensors") ? "safetensors" : ends_with(a->out, ".onnx") ? "onnx" : "npz";
    if (strcmp(a->format, "npz") != 0 && strcmp(a->format, "safetensors") != 0 && !is_onnx(a))
        return bnf_fail(BNF_ERR_CONFIG, "--format is %s, must be npz, safetensors or onnx", a->format);
    if (a->batches < 0 || a->logits < 0 || a->initial + a->raw + (a->batches > 0) + (a->logits > 0) > 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one of --initial, --raw, --batches N and --logits N, N at least 1");
    if (is_onnx(a) && (a->initial || a->raw))
        return bnf_fail(BNF_ERR_CONFIG, "--format onnx writes the effective weights of a run, not --raw or --initial");
    if ((a->batches > 0 || a->logits > 0) && strcmp(a->format, "npz") != 0)
        return bnf_fail(BNF_ERR_CONFIG, "--batches and --logits write the format npz only");
    return BNF_OK;
}

static bnf_status write_params(const export_args *a, bnf_params *params)
{
    bool raw = a->raw || a->initial;
    return strcmp(a->format, "npz") == 0 ? bnf_npz_write_params(params, raw, a->out)
                                         : bnf_safetensors_write_params(params, raw, a->out);
}

/* ---- a run ---- */

/* Raw weights, where they are others than the effective ones, into the store. */
static bnf_status read_raw(bnf_params *params, const char *checkpoint)
{
    bnf_ckpt_reader *reader;
    BNF_TRY(bnf_ckpt_reader_open(checkpoint, &reader));
    bnf_status s = BNF_OK;
    for (int i = 0; i < bnf_params_count(params) && s == BNF_OK; i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        char name[192];
        if (!info->reparam.make)
            continue;
        snprintf(name, sizeof name, "owner/%s/raw", info->name);
        const bnf_desc *raw = bnf_param_raw_desc(info);
        s = bnf_ckpt_reader_read(reader, name, raw->dtype, raw->ndim, raw->dim, bnf_params_raw(params, i));
    }
    bnf_ckpt_reader_close(reader);
    return s;
}

static bnf_status write_onnx(const export_args *a, bnf_run *run)
{
    if (!run->job->recipe->export_onnx)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "the recipe %s exports no ONNX models", run->job->recipe->name);
    return run->job->recipe->export_onnx(run, a->out);
}

static bnf_status export_run(const bnf_comm *world, const export_args *a)
{
    bnf_run *run;
    BNF_TRY(bnf_run_open(world, bnf_recipes, a->paths.item[0], a->set.item, (int)a->set.count, &run));
    bnf_status s = BNF_OK;
    if (bnf_comm_rank(world) == 0) {
        if (a->raw)
            s = read_raw(run->params, run->checkpoint);
        if (s == BNF_OK)
            s = is_onnx(a) ? write_onnx(a, run) : write_params(a, run->params);
        if (s == BNF_OK)
            printf("%s: %d arrays, %lld elements (step %lld, weights %s)\n", a->out, bnf_params_count(run->params),
                   (long long)(a->raw ? bnf_params_raw_elements(run->params, false)
                                      : bnf_params_elements(run->params, false)),
                   (long long)run->step, run->weights);
    }
    bnf_run_close(run);
    return bnf_comm_agree(world, s);
}

/* What a run's network says of the first samples: pixels[n,h,w,c] as `certify` defines them, labels, logits. */
static bnf_status write_logits(const export_args *a, bnf_dataset *dataset, const float *logits, int64_t n,
                               int64_t outputs)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    const int64_t size = n * info->h * info->w * info->c;
    unsigned char *stored;
    float *pixels = NULL;
    bnf_npz npz = {0};
    BNF_TRY(bnf_alloc((size_t)(n * info->sample_bytes), "pictures", &stored));
    bnf_status s = bnf_alloc((size_t)size * sizeof *pixels, "pictures", &pixels);
    if (s == BNF_OK)
        s = bnf_dataset_read_rows(dataset, 0, n, stored);
    if (s == BNF_OK && info->dtype == BNF_F32)
        memcpy(pixels, stored, (size_t)size * sizeof *pixels);
    for (int64_t i = 0; s == BNF_OK && info->dtype == BNF_U8 && i < size; i++)
        pixels[i] = (float)stored[i] / 255;
    const bnf_desc x = bnf_desc_4d(BNF_F32, n, info->h, info->w, info->c), labels = bnf_desc_1d(BNF_I32, n),
                   y = bnf_desc_2d(BNF_F32, n, outputs);
    if (s == BNF_OK)
        s = bnf_npz_add(&npz, "pixels", &x, pixels);
    if (s == BNF_OK)
        s = bnf_npz_add(&npz, "labels", &labels, bnf_dataset_labels(dataset));
    if (s == BNF_OK)
        s = bnf_npz_add(&npz, "logits", &y, logits);
    if (s == BNF_OK)
        s = bnf_npz_write(&npz, a->out);
    if (s == BNF_OK)
        printf("%s: %lld pictures, %lld logits each\n", a->out, (long long)n, (long long)outputs);
    bnf_npz_release(&npz);
    bnf_free(pixels);
    bnf_free(stored);
    return s;
}

static bnf_status export_logits(const bnf_comm *world, const export_args *a)
{
    bnf_run *run;
    bnf_dataset *dataset;
    bnf_eval_result result;
    float *logits = NULL;
    int64_t n;
    BNF_TRY(bnf_run_open(world, bnf_recipes, a->paths.item[0], a->set.item, (int)a->set.count, &run));
    bnf_split split = run->test ? BNF_TEST : BNF_TRAIN;
    bnf_status s = bnf_run_dataset(run, split, &dataset);
    if (s == BNF_OK)
        s = bnf_run_logits(run, split, a->logits, &logits, &n, &result);
    if (s == BNF_OK && bnf_comm_rank(world) == 0)
        s = write_logits(a, dataset, logits, n < a->logits ? n : a->logits, result.outputs);
    bnf_free(logits);
    bnf_run_close(run);
    return bnf_comm_agree(world, s);
}

/* ---- a configuration ---- */

static bnf_status export_initial(const export_args *a, const bnf_job *job, bnf_dataset *dataset)
{
    const bnf_data_settings *d = &job->data;
    bnf_params *params = NULL;
    bnf_model model = {0};
    int64_t rows;
    BNF_TRY(bnf_data_rows(d, (uint64_t)job->seed, dataset, &rows));
    bnf_status s = bnf_params_create(BNF_F32, &params);
    if (s == BNF_OK)
        s = bnf_model_build(job, params, bnf_dataset_get_info(dataset), rows, d->leaves, true, &model);
    if (s == BNF_OK)
        s = bnf_params_init(params, (uint64_t)job->seed);
    if (s == BNF_OK)
        s = bnf_job_start_weights(job, NULL, params);
    if (s == BNF_OK)
        s = write_params(a, params);
    if (s == BNF_OK)
        printf("%s: %d arrays, %lld elements (raw, before step 1)\n", a->out, bnf_params_count(params),
               (long long)bnf_params_raw_elements(params, false));
    bnf_model_release(&model);
    bnf_params_destroy(params);
    return s;
}

/* Room for `n` batches of `rows`. */
typedef struct batches {
    int64_t n, rows, sample;
    float *x, *weight;
    int32_t *labels;
} batches;

static bnf_status read_batches(batches *b, bnf_loader *loader)
{
    BNF_TRY(bnf_alloc((size_t)(b->n * b->rows * b->sample) * sizeof(float), "batches", &b->x));
    BNF_TRY(bnf_alloc((size_t)(b->n * b->rows) * sizeof(float), "batches", &b->weight));
    BNF_TRY(bnf_alloc((size_t)(b->n * b->rows) * sizeof(int32_t), "batches", &b->labels));
    for (int64_t i = 0; i < b->n; i++) {
        const bnf_batch *batch;
        BNF_TRY(bnf_loader_next(loader, &batch));
        memcpy(b->x + i * b->rows * b->sample, batch->x, (size_t)(b->rows * b->sample) * sizeof(float));
        memcpy(b->weight + i * b->rows, batch->weight, (size_t)b->rows * sizeof(float));
        memcpy(b->labels + i * b->rows, batch->labels, (size_t)b->rows * sizeof(int32_t));
    }
    return BNF_OK;
}

static bnf_status export_batches(const export_args *a, const bnf_job *job, bnf_dataset *dataset)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    batches b = {.n = a->batches, .sample = info->h * info->w * info->c};
    bnf_loader *loader = NULL;
    bnf_npz npz = {0};
    BNF_TRY(bnf_data_rows(&job->data, (uint64_t)job->seed, dataset, &b.rows));
    bnf_status s = bnf_job_loader(job, NULL, dataset, b.rows, job->data.leaves, true, &loader);
    if (s == BNF_OK)
        s = read_batches(&b, loader);
    const bnf_desc x = bnf_desc_make(BNF_F32, 5, (int64_t[]){b.n, b.rows, info->h, info->w, info->c}),
                   labels = bnf_desc_2d(BNF_I32, b.n, b.rows), weight = bnf_desc_2d(BNF_F32, b.n, b.rows);
    if (s == BNF_OK)
        s = bnf_npz_add(&npz, "x", &x, b.x);
    if (s == BNF_OK)
        s = bnf_npz_add(&npz, "labels", &labels, b.labels);
    if (s == BNF_OK)
        s = bnf_npz_add(&npz, "weight", &weight, b.weight);
    if (s == BNF_OK)
        s = bnf_npz_write(&npz, a->out);
    if (s == BNF_OK)
        printf("%s: %lld batches of %lld rows\n", a->out, (long long)b.n, (long long)b.rows);
    bnf_npz_release(&npz);
    bnf_loader_destroy(loader);
    bnf_free(b.x);
    bnf_free(b.weight);
    bnf_free(b.labels);
    return s;
}

static bnf_status export_config(const bnf_comm *world, const export_args *a)
{
    bnf_job *job;
    bnf_dataset *dataset = NULL;
    bnf_status s = BNF_OK;
    BNF_TRY(bnf_job_load(world, bnf_recipes, a->paths.item[0], a->set.item, (int)a->set.count, &job));
    if (bnf_comm_rank(world) == 0) {
        s = bnf_data_open(&job->data, BNF_TRAIN, &dataset);
        if (s == BNF_OK)
            s = a->initial ? export_initial(a, job, dataset) : export_batches(a, job, dataset);
    }
    bnf_dataset_close(dataset);
    bnf_job_destroy(job);
    return bnf_comm_agree(world, s);
}

bnf_status bnf_cmd_export(const bnf_comm *world, int argc, char **argv)
{
    export_args a = {0};
    const bnf_arg args[] = {
        {"out", "FILE", "the file to write (needed)", BNF_ARG_STR, &a.out},
        {"format", "npz|safetensors|onnx", "of the file; by its name if left out, else npz", BNF_ARG_STR, &a.format},
        {"raw", NULL, "raw instead of effective weights", BNF_ARG_FLAG, &a.raw},
        {"initial", NULL, "of a configuration file: the raw weights before the first step", BNF_ARG_FLAG, &a.initial},
        {"batches", "N", "of a configuration file: the first N batches", BNF_ARG_INT, &a.batches},
        {"logits", "N", "of a run: the first N test pictures and what the network says of them", BNF_ARG_INT,
         &a.logits},
        {"set", "KEY=VALUE", "override a key of the configuration, e.g. data.file; may be repeated", BNF_ARG_LIST,
         &a.set},
        {"help", NULL, "print this", BNF_ARG_FLAG, &a.help},
    };
    const int n = (int)(sizeof args / sizeof args[0]);
    BNF_TRY(bnf_args_parse(args, n, argc, argv, &a.paths));
    if (a.help) {
        if (bnf_comm_rank(world) == 0)
            bnf_args_help(stdout, "export RUN | CONFIG --out FILE [options]", about, args, n);
        return BNF_OK;
    }
    BNF_TRY(check(&a));
    if (a.logits > 0)
        return export_logits(world, &a);
    return a.initial || a.batches > 0 ? export_config(world, &a) : export_run(world, &a);
}
