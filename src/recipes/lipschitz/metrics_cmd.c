/* recipes/lipschitz/metrics_cmd.c - banff explain --metrics: the metrics over a run's samples. */
#include "recipes/lipschitz/metrics_cmd.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "recipes/lipschitz/probe.h"
#include "recipes/lipschitz/share.h"

#include <math.h>
#include <string.h>

enum {
    VALUES = 1 << 18, /* of pictures that a thread gets at a time, but 2 to 32 pictures */
    PIECE = 64,       /* samples between two agreements of the ranks */
    MOST = 1000000    /* of a number that sizes of arrays grow with */
};

typedef struct summary {
    int64_t count; /* samples that have a value */
    double mean, error;
} summary;

typedef struct measuring {
    bnf_run *run;
    const bnf_lipschitz_net *net;
    const bnf_lipschitz_metrics_request *request;
    const bnf_lipschitz_metrics_options *options;
    bnf_lipschitz_metric_settings set;
    bnf_lipschitz_maps *maps;
    bnf_lipschitz_method method; /* under measurement */
    int64_t samples, lo, hi;     /* of all ranks; this rank's */
    bnf_lipschitz_human human;
    double *value; /* [samples, METHODS, METRICS]: this rank's in their places, in the end all */
    int64_t asked; /* pictures that metrics had scored, explained or moved so far */
    float *pixels; /* [PIECE, size] */
    int32_t *labels, *classes;
    int64_t *numbers;
    float *smoothgrad; /* [PIECE, h, w] what maps of every method are compared with */
    double *piece;     /* [PIECE, METRICS] */
    float *logits;     /* [max(rows, PIECE), outputs] */
    int64_t rows;      /* at a time */
    summary result[BNF_LIPSCHITZ_METHODS][BNF_METRIC_COUNT];
    bnf_progress *progress;
} measuring;

/* ---- settings ---- */

static const char *const fills[] = {"zero", "uniform", "mean", NULL}; /* bnf_lipschitz_baseline */

void bnf_lipschitz_metrics_table(bnf_lipschitz_metrics_options *o, bnf_option *table)
{
    const bnf_option entries[BNF_LIPSCHITZ_METRICS_OPTIONS] = {
        {"metric_samples", BNF_OPTION_INT, "500", "metrics: of the first N samples", 1, &o->samples},
        {"metric_seed", BNF_OPTION_INT, "-1", "metrics: of masks and noise; -1: the run's", -1, &o->seed},
        {"softmax", BNF_OPTION_INT, "0", "metrics: 1: scores are probabilities instead of logits", 0, &o->softmax},
        {"deletion_steps", BNF_OPTION_INT, "10", "deletion, insertion: steps from none to all pixels", 1, &o->steps},
        {"fill", BNF_OPTION_WORD, "zero", "deletion, insertion: what pixels become: zero, uniform or mean", 0,
         &o->baseline, fills},
        {"masks", BNF_OPTION_INT, "200", "mufidelity: masks of a sample", 2, &o->masks},
        {"noises", BNF_OPTION_INT, "20", "stability: noisy copies of a sample", 1, &o->noises},
        {"noise", BNF_OPTION_REAL, "0.1", "stability: noise is uniform from 0 to this", 0, &o->noise},
        {"jpeg_quality", BNF_OPTION_INT, "75", "complexity: 1 to 100", 1, &o->jpeg_quality},
        {"attack_steps", BNF_OPTION_INT, "50", "robustness_sr: moves at most", 1, &o->attack_steps},
        {"shares", BNF_OPTION_REALS, "0.1,0.2,0.3,0.4,0.5", "robustness_sr: shares of pixels that may change", 1e-6,
         &o->shares},
        {"human", BNF_OPTION_TEXT, "", "alignment: file of human maps (.h5, .npz, .npy)", 0, &o->human_file},
        {"human_side", BNF_OPTION_INT, "64", "alignment: their side when they are blurred; 0: their own", 0,
         &o->human.side},
        {"human_blur", BNF_OPTION_INT, "10", "alignment: side of the Gaussian kernel, sigma 10; 0: none", 0,
         &o->human.kernel},
        {"human_ceiling", BNF_OPTION_REAL, "1", "alignment: divided by this (ClickMe: 0.65753)", 1e-6,
         &o->human_ceiling},
    };
    o->human.sigma = 10;
    memcpy(table, entries, sizeof entries);
}

static bnf_status wanted(const bnf_lipschitz_metrics_request *r, bool human, bool *chosen)
{
    bool all = strcmp(r->metrics, "all") == 0;
    for (int m = 0; m < BNF_METRIC_COUNT; m++)
        chosen[m] = all && (human || m != BNF_METRIC_ALIGNMENT);
    if (!all && bnf_option_names_parse("metric", r->metrics, bnf_lipschitz_metric_names, chosen) != BNF_OK)
        return bnf_fail_context(BNF_ERR_CONFIG, "--metrics (or all)");
    if (chosen[BNF_METRIC_ALIGNMENT] && !human)
        return bnf_fail(BNF_ERR_CONFIG, "--metrics alignment needs --option human=FILE");
    return BNF_OK;
}

/* What sizes are computed from, without overflow. */
static bnf_status check_limits(const bnf_lipschitz_metrics_options *o)
{
    const struct {
        const char *key;
        int64_t value, most;
    } limits[] = {{"jpeg_quality", o->jpeg_quality, 100},
                  {"deletion_steps", o->steps, MOST},
                  {"masks", o->masks, MOST},
                  {"noises", o->noises, MOST},
                  {"human_side", o->human.side, MOST},
                  {"human_blur", o->human.kernel, MOST}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value > limits[i].most)
            return bnf_fail(BNF_ERR_CONFIG, "%s=%lld: it must be at most %lld", limits[i].key,
                            (long long)limits[i].value, (long long)limits[i].most);
    return BNF_OK;
}

static bnf_status settle(measuring *m)
{
    const bnf_lipschitz_metrics_options *o = m->options;
    BNF_TRY(check_limits(o));
    if (o->shares.count == 0)
        return bnf_fail(BNF_ERR_CONFIG, "shares: give at least one");
    m->set = bnf_lipschitz_metric_defaults(o->seed < 0 ? (uint64_t)m->run->job->seed : (uint64_t)o->seed);
    m->set.steps = o->steps;
    m->set.baseline = (bnf_lipschitz_baseline)o->baseline;
    m->set.masks = o->masks;
    m->set.noises = o->noises;
    m->set.noise = o->noise;
    m->set.jpeg_quality = (int)o->jpeg_quality;
    m->set.attack_steps = o->attack_steps;
    m->set.human_ceiling = o->human_ceiling;
    m->set.shares = o->shares.count;
    for (int i = 0; i < o->shares.count; i++) {
        m->set.share[i] = o->shares.value[i];
        if (o->shares.value[i] > 1)
            return bnf_fail(BNF_ERR_CONFIG, "shares: %s is more than 1", o->shares.text[i]);
    }
    return wanted(m->request, o->human_file[0] != 0, m->set.wanted);
}

bnf_status bnf_lipschitz_metrics_check(bnf_run *run, const bnf_lipschitz_metrics_request *request,
                                       const bnf_lipschitz_metrics_options *options)
{
    measuring m = {.run = run, .request = request, .options = options};
    return settle(&m);
}

/* ---- the network as the metrics see it ---- */

/* Of the class: its logit (one output: times the class's sign), or its probability. */
static double score_of(const measuring *m, const float *logits, int32_t y)
{
    int64_t outputs = m->net->outputs;
    double own = outputs == 1 ? (y ? logits[0] : -logits[0]) : logits[y], sum = 0;
    if (!m->options->softmax)
        return own;
    if (outputs == 1)
        return 1 / (1 + exp(-own));
    for (int64_t j = 0; j < outputs; j++)
        sum += exp(logits[j] - own);
    return 1 / sum;
}

static bnf_status give_score(void *self, const float *pixels, const int32_t *classes, int64_t n, double *score)
{
    measuring *m = self;
    BNF_TRY(bnf_lipschitz_maps_scores(m->maps, pixels, n, m->logits));
    for (int64_t i = 0; i < n; i++)
        score[i] = score_of(m, m->logits + i * m->net->outputs, classes[i]);
    m->asked += n;
    return BNF_OK;
}

static bnf_status give_map(void *self, const float *pixels, const int32_t *classes, const int64_t *samples, int64_t n,
                           float *map)
{
    measuring *m = self;
    m->asked += n;
    return bnf_lipschitz_maps_run(m->maps, m->method, pixels, classes, samples, n, map);
}

static bnf_status give_lead(void *self, const float *pixels, const int32_t *classes, int64_t n, double *lead,
                            float *gradient)
{
    measuring *m = self;
    m->asked += n;
    return bnf_lipschitz_maps_lead(m->maps, pixels, classes, n, m->logits, lead, gradient);
}

static bnf_lipschitz_subject subject_of(measuring *m)
{
    return (bnf_lipschitz_subject){.self = m,
                                   .h = m->net->in.h,
                                   .w = m->net->in.w,
                                   .c = m->net->in.c,
                                   .batch = m->rows,
                                   .threads = m->run->threads,
                                   .score = give_score,
                                   .map = give_map,
                                   .lead = give_lead};
}

/* ---- this rank's samples ---- */

static bnf_status reserve(measuring *m)
{
    int64_t size = bnf_lipschitz_size(&m->net->in), most = m->rows > PIECE ? m->rows : PIECE;
    int64_t values = m->samples * BNF_LIPSCHITZ_METHODS * BNF_METRIC_COUNT;
    BNF_TRY(bnf_alloc((size_t)values * sizeof *m->value, "values of metrics", &m->value));
    BNF_TRY(bnf_alloc((size_t)(PIECE * size) * sizeof *m->pixels, "pictures to measure", &m->pixels));
    BNF_TRY(bnf_alloc(PIECE * sizeof *m->labels, "labels", &m->labels));
    BNF_TRY(bnf_alloc(PIECE * sizeof *m->classes, "classes", &m->classes));
    BNF_TRY(bnf_alloc(PIECE * sizeof *m->numbers, "samples", &m->numbers));
    BNF_TRY(bnf_alloc((size_t)(PIECE * m->net->in.h * m->net->in.w) * sizeof *m->smoothgrad, "maps to compare with",
                      &m->smoothgrad));
    BNF_TRY(bnf_alloc(PIECE * BNF_METRIC_COUNT * sizeof *m->piece, "values of metrics", &m->piece));
    BNF_TRY(bnf_alloc((size_t)(most * m->net->outputs) * sizeof *m->logits, "logits", &m->logits));
    return bnf_lipschitz_maps_create(m->run, m->net, &m->request->maps, m->rows, &m->maps);
}

static bnf_status open_all(measuring *m)
{
    bnf_dataset *dataset;
    BNF_TRY(bnf_run_dataset(m->run, m->request->split, &dataset));
    int64_t count = bnf_dataset_get_info(dataset)->count;
    m->samples = m->options->samples < count ? m->options->samples : count;
    bnf_lipschitz_share(m->run->comm, m->samples, &m->lo, &m->hi);
    int64_t pictures = VALUES / bnf_lipschitz_size(&m->net->in);
    m->rows = (pictures < 2 ? 2 : pictures > 32 ? 32 : pictures) * m->run->threads;
    BNF_TRY(settle(m));
    if (m->options->human_file[0] && m->set.wanted[BNF_METRIC_ALIGNMENT])
        BNF_TRY(bnf_lipschitz_human_read(m->options->human_file, &m->options->human, m->lo, m->hi - m->lo, m->net->in.h,
                                         m->net->in.w, &m->human));
    return reserve(m);
}

static void close_all(measuring *m)
{
    bnf_progress_destroy(m->progress);
    bnf_lipschitz_maps_destroy(m->maps);
    bnf_lipschitz_human_release(&m->human);
    bnf_free(m->value);
    bnf_free(m->pixels);
    bnf_free(m->labels);
    bnf_free(m->classes);
    bnf_free(m->numbers);
    bnf_free(m->smoothgrad);
    bnf_free(m->piece);
    bnf_free(m->logits);
}

/* Pictures, classes and, if they are wanted, SmoothGrad's maps of samples [first, first + n). */
static bnf_status load(measuring *m, int64_t first, int64_t n)
{
    BNF_TRY(bnf_lipschitz_read_pixels(m->run, m->request->split, m->net, first, n, m->pixels, m->labels));
    BNF_TRY(bnf_lipschitz_maps_scores(m->maps, m->pixels, n, m->logits));
    for (int64_t i = 0; i < n; i++) {
        m->numbers[i] = first + i;
        m->classes[i] =
            m->request->of_label ? m->labels[i] : bnf_lipschitz_class(m->logits + i * m->net->outputs, m->net->outputs);
    }
    if (!m->set.wanted[BNF_METRIC_SMOOTHGRAD])
        return BNF_OK;
    m->asked += n;
    return bnf_lipschitz_maps_run(m->maps, BNF_LIPSCHITZ_SMOOTHGRAD, m->pixels, m->classes, m->numbers, n,
                                  m->smoothgrad);
}

static bnf_status measure_piece(measuring *m, int64_t first, int64_t n)
{
    bnf_lipschitz_subject subject = subject_of(m);
    BNF_TRY(load(m, first, n));
    for (int k = 0; k < BNF_LIPSCHITZ_METHODS; k++) {
        if (!m->request->method[k])
            continue;
        m->method = (bnf_lipschitz_method)k;
        BNF_TRY(bnf_lipschitz_measure(&subject, &m->set, n, m->pixels, m->classes, m->numbers, m->smoothgrad,
                                      m->human.map ? m->human.map + (first - m->lo) : NULL, m->piece));
        for (int64_t i = 0; i < n; i++)
            memcpy(m->value + ((first + i) * BNF_LIPSCHITZ_METHODS + k) * BNF_METRIC_COUNT,
                   m->piece + i * BNF_METRIC_COUNT, BNF_METRIC_COUNT * sizeof *m->value);
    }
    return BNF_OK;
}

static bnf_status measure_all(measuring *m)
{
    int64_t most = bnf_lipschitz_share_most(m->run->comm, m->samples);
    for (int64_t k = 0; k * PIECE < most; k++) {
        int64_t first = m->lo + k * PIECE < m->hi ? m->lo + k * PIECE : m->hi;
        int64_t n = m->hi - first < PIECE ? m->hi - first : PIECE;
        BNF_TRY(bnf_comm_agree(m->run->comm, n > 0 ? measure_piece(m, first, n) : BNF_OK));
        bnf_lipschitz_share_done(m->progress, k + 1);
    }
    bnf_progress_finish(m->progress);
    return BNF_OK;
}

/* ---- all ranks ---- */

static bnf_status gather(measuring *m)
{
    int64_t each = BNF_LIPSCHITZ_METHODS * BNF_METRIC_COUNT;
    double *mine = NULL;
    size_t bytes = (size_t)((m->hi - m->lo) * each) * sizeof *mine;
    BNF_TRY(bnf_comm_agree(m->run->comm, bnf_alloc(bytes, "values of metrics", &mine)));
    memcpy(mine, m->value + m->lo * each, bytes);
    bnf_status s = bnf_lipschitz_share_gather(m->run->comm, m->samples, (size_t)each * sizeof *mine, mine, m->value);
    if (s == BNF_OK)
        s = bnf_comm_allreduce_i64(m->run->comm, BNF_COMM_SUM, &m->asked, 1);
    bnf_free(mine);
    return s;
}

/* Mean and its standard error over the samples that have a value, in their order. */
static summary summarise(const measuring *m, int method, int metric)
{
    summary s = {0};
    double sum = 0, squares = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < m->samples; i++) {
            double v = m->value[(i * BNF_LIPSCHITZ_METHODS + method) * BNF_METRIC_COUNT + metric];
            if (isnan(v))
                continue;
            if (pass == 0) {
                s.count++;
                sum += v;
            } else
                squares += (v - s.mean) * (v - s.mean);
            s.mean = sum / (double)s.count;
        }
    s.error = s.count > 1 ? sqrt(squares / (double)(s.count - 1) / (double)s.count) : NAN;
    return s;
}

static void print_table(const measuring *m, double seconds, bnf_buf *t)
{
    bnf_buf_printf(t, "\nmetrics of %lld samples of the %s part, mean and standard error (%s of the %s class)\n\n%-20s",
                   (long long)m->samples, bnf_split_name(m->request->split),
                   m->options->softmax ? "probability" : "logit", m->request->of_label ? "label's" : "predicted", "");
    for (int k = 0; k < BNF_LIPSCHITZ_METHODS; k++)
        if (m->request->method[k])
            bnf_buf_printf(t, " %19s", bnf_lipschitz_method_names[k]);
    for (int j = 0; j < BNF_METRIC_COUNT; j++) {
        if (!m->set.wanted[j])
            continue;
        bnf_buf_printf(t, "\n%-20s", bnf_lipschitz_metric_names[j]);
        for (int k = 0; k < BNF_LIPSCHITZ_METHODS; k++)
            if (m->request->method[k] && m->result[k][j].count == 1) /* no standard error */
                bnf_buf_printf(t, " %10.4f %8s", m->result[k][j].mean, "");
            else if (m->request->method[k] && m->result[k][j].count > 0)
                bnf_buf_printf(t, " %10.4f +-%7.4f", m->result[k][j].mean, m->result[k][j].error);
            else if (m->request->method[k])
                bnf_buf_printf(t, " %19s", "-");
    }
    bnf_buf_printf(t, "\n\n%lld changed pictures were scored, explained or attacked; all took %.1f s\n",
                   (long long)m->asked, seconds);
}

/* ---- metrics.json ---- */

static void json_settings(const measuring *m, bnf_json *j)
{
    const bnf_lipschitz_metric_settings *s = &m->set;
    bnf_json_begin_object(j, "settings");
    bnf_json_string(j, "score", m->options->softmax ? "softmax" : "logit");
    bnf_json_string(j, "class", m->request->of_label ? "label" : "predicted");
    bnf_json_int(j, "deletion_steps", s->steps);
    bnf_json_string(j, "fill", fills[s->baseline]);
    bnf_json_int(j, "masks", s->masks);
    bnf_json_int(j, "grid", s->grid);
    bnf_json_real(j, "drop", s->drop);
    bnf_json_int(j, "noises", s->noises);
    bnf_json_real(j, "noise", s->noise);
    bnf_json_int(j, "jpeg_quality", s->jpeg_quality);
    bnf_json_int(j, "attack_steps", s->attack_steps);
    bnf_json_reals(j, "shares", s->share, s->shares);
    bnf_json_int(j, "smoothgrad_draws", m->request->maps.draws);
    bnf_json_real(j, "smoothgrad_sigma", m->request->maps.sigma);
    bnf_json_int(j, "integrated_steps", m->request->maps.steps);
    bnf_json_real(j, "integrated_baseline", m->request->maps.baseline);
    if (s->wanted[BNF_METRIC_ALIGNMENT]) {
        bnf_json_string(j, "human", m->options->human_file);
        bnf_json_int(j, "human_side", m->options->human.side);
        bnf_json_int(j, "human_blur", m->options->human.kernel);
        bnf_json_real(j, "human_sigma", m->options->human.sigma);
        bnf_json_real(j, "human_ceiling", s->human_ceiling);
    }
    bnf_json_end_object(j);
}

static void json_methods(const measuring *m, bnf_json *j)
{
    bnf_json_begin_object(j, "methods");
    for (int k = 0; k < BNF_LIPSCHITZ_METHODS; k++) {
        if (!m->request->method[k])
            continue;
        bnf_json_begin_object(j, bnf_lipschitz_method_names[k]);
        for (int i = 0; i < BNF_METRIC_COUNT; i++) {
            const summary *s = &m->result[k][i];
            if (!m->set.wanted[i])
                continue;
            bnf_json_begin_object(j, bnf_lipschitz_metric_names[i]);
            bnf_json_real(j, "mean", s->count > 0 ? s->mean : NAN);
            bnf_json_real(j, "standard_error", s->error);
            bnf_json_int(j, "samples", s->count);
            bnf_json_end_object(j);
        }
        bnf_json_end_object(j);
    }
    bnf_json_end_object(j);
}

static bnf_status write_json(const measuring *m)
{
    bnf_buf out = {0}, folder = {0}, path = {0};
    bnf_json j = bnf_json_start(&out, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "run", m->run->folder);
    bnf_json_string(&j, "weights", m->run->weights);
    bnf_json_int(&j, "step", m->run->step);
    bnf_json_int(&j, "seed", (int64_t)m->set.seed);
    bnf_json_string(&j, "split", bnf_split_name(m->request->split));
    bnf_json_int(&j, "samples", m->samples);
    json_settings(m, &j);
    json_methods(m, &j);
    bnf_json_end_object(&j);
    bnf_status s = bnf_json_finish(&j);
    bnf_buf_putc(&out, '\n');
    if (s == BNF_OK)
        s = bnf_fs_join(&folder, m->run->folder, "explain");
    if (s == BNF_OK)
        s = bnf_fs_make_folders(bnf_buf_text(&folder));
    if (s == BNF_OK)
        s = bnf_fs_join(&path, bnf_buf_text(&folder), "metrics.json");
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(bnf_buf_text(&path), bnf_buf_text(&out), out.size);
    bnf_buf_release(&out);
    bnf_buf_release(&folder);
    bnf_buf_release(&path);
    return s;
}

static bnf_status conclude(measuring *m, double begun, bnf_buf *text)
{
    for (int k = 0; k < BNF_LIPSCHITZ_METHODS; k++)
        for (int i = 0; i < BNF_METRIC_COUNT && m->request->method[k]; i++)
            m->result[k][i] = summarise(m, k, i);
    print_table(m, bnf_clock_seconds() - begun, text);
    bnf_status s = bnf_comm_rank(m->run->comm) == 0 ? write_json(m) : BNF_OK;
    return bnf_comm_agree(m->run->comm, s != BNF_OK ? s : text->status);
}

bnf_status bnf_lipschitz_metrics_command(bnf_run *run, const bnf_lipschitz_net *net,
                                         const bnf_lipschitz_metrics_request *request,
                                         const bnf_lipschitz_metrics_options *options, bnf_buf *text)
{
    measuring m = {.run = run, .net = net, .request = request, .options = options};
    double begun = bnf_clock_seconds();
    bnf_status s = open_all(&m);
    if (s == BNF_OK)
        s = bnf_lipschitz_share_progress(run, request->progress, m.samples, PIECE, &m.progress);
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = measure_all(&m);
    if (s == BNF_OK)
        s = gather(&m);
    if (s == BNF_OK)
        s = conclude(&m, begun, text);
    close_all(&m);
    return s;
}
