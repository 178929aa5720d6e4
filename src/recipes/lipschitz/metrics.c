/* recipes/lipschitz/metrics.c - figures about attribution maps: the rows that they need, and those that look at maps
 * alone. */
#include "recipes/lipschitz/metrics.h"

#include "base/assert.h"
#include "base/mem.h"
#include "data/jpeg_write.h"
#include "recipes/lipschitz/metrics_parts.h"

#include <math.h>
#include <omp.h>
#include <string.h>

const char *const bnf_lipschitz_metric_names[BNF_METRIC_COUNT + 1] = {
    "deletion",   "insertion",     "mufidelity_zero",    "mufidelity_uniform", "stability_l2", "stability_spearman",
    "complexity", "robustness_sr", "robustness_reached", "smoothgrad",         "alignment",    NULL};

bnf_lipschitz_metric_settings bnf_lipschitz_metric_defaults(uint64_t seed)
{
    bnf_lipschitz_metric_settings s = {.seed = seed,
                                       .steps = 10,
                                       .masks = 200,
                                       .grid = 9,
                                       .drop = 0.2,
                                       .noises = 20,
                                       .noise = 0.1,
                                       .jpeg_quality = 75,
                                       .attack_steps = 50,
                                       .shares = 5,
                                       .share = {0.1, 0.2, 0.3, 0.4, 0.5},
                                       .human_ceiling = 1};
    for (int m = 0; m < BNF_METRIC_COUNT; m++)
        s.wanted[m] = true;
    return s;
}

void bnf_metric_uniform(const bnf_metric_job *job, bnf_metric_draw draw, int64_t sample, int64_t mask, float *out)
{
    bnf_philox_key key = bnf_philox_key_layer(bnf_philox_key_make(job->set->seed, BNF_STREAM_EXPLAIN), draw);
    for (int64_t i = 0; i < job->size; i += 4) {
        bnf_philox_block b =
            bnf_philox(key, bnf_philox_counter((uint32_t)mask, (uint64_t)job->samples[sample], (uint32_t)(i / 4)));
        for (int64_t j = i; j < i + 4 && j < job->size; j++)
            out[j] = bnf_philox_unit_f32(b.v[j - i]);
    }
}

bnf_rank_item *bnf_metric_items(const bnf_metric_job *job)
{
    return job->items + omp_get_thread_num() * job->item_count;
}

/* ---- rows ---- */

/* Rows [first, first + n) of all samples' pictures, count each. */
static void fill_rows(bnf_metric_job *job, int64_t count, int64_t first, int64_t n, bnf_metric_fill fill, void *self)
{
#pragma omp parallel for schedule(static) num_threads(job->subject->threads)
    for (int64_t r = 0; r < n; r++) {
        int64_t sample = (first + r) / count;
        fill(job, self, sample, (first + r) % count, job->x + r * job->size);
        job->row_class[r] = job->classes[sample];
        job->row_sample[r] = job->samples[sample];
    }
}

bnf_status bnf_metric_scores(bnf_metric_job *job, int64_t count, bnf_metric_fill fill, void *self, double *score)
{
    for (int64_t first = 0, total = job->n * count; first < total; first += job->rows) {
        int64_t n = total - first < job->rows ? total - first : job->rows;
        fill_rows(job, count, first, n, fill, self);
        BNF_TRY(job->subject->score(job->subject->self, job->x, job->row_class, n, score + first));
    }
    return BNF_OK;
}

bnf_status bnf_metric_maps(bnf_metric_job *job, int64_t count, bnf_metric_fill fill, bnf_metric_take take, void *self)
{
    const bnf_lipschitz_subject *s = job->subject;
    for (int64_t first = 0, total = job->n * count; first < total; first += job->rows) {
        int64_t n = total - first < job->rows ? total - first : job->rows;
        fill_rows(job, count, first, n, fill, self);
        BNF_TRY(s->map(s->self, job->x, job->row_class, job->row_sample, n, job->y));
#pragma omp parallel for schedule(static) num_threads(s->threads)
        for (int64_t r = 0; r < n; r++)
            take(job, self, (first + r) / count, (first + r) % count, job->y + r * job->area);
    }
    return BNF_OK;
}

static void fill_same(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, float *x)
{
    (void)self, (void)index;
    memcpy(x, job->pixels + sample * job->size, (size_t)job->size * sizeof *x);
}

/* ---- metrics that compare maps ---- */

static void take_map(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, const float *map)
{
    (void)self, (void)index;
    memcpy(job->map + sample * job->area, map, (size_t)job->area * sizeof *map);
}

static void fill_noisy(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, float *x)
{
    (void)self;
    const float *pixels = job->pixels + sample * job->size;
    bnf_metric_uniform(job, BNF_METRIC_DRAW_NOISE, sample, index, x);
    for (int64_t i = 0; i < job->size; i++)
        x[i] = pixels[i] + (float)job->set->noise * x[i];
}

typedef struct distances {
    double *l2, *spearman; /* [n, noises] */
} distances;

static void take_noisy(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, const float *map)
{
    const distances *d = self;
    const float *base = job->map + sample * job->area;
    double sum = 0;
    for (int64_t i = 0; i < job->area; i++)
        sum += ((double)map[i] - base[i]) * ((double)map[i] - base[i]);
    d->l2[sample * job->set->noises + index] = sqrt(sum);
    d->spearman[sample * job->set->noises + index] =
        1 - bnf_rank_spearman_f32(job->area, base, map, bnf_metric_items(job));
}

static double mean_of(int64_t n, const double *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

static bnf_status stability(bnf_metric_job *job)
{
    int64_t noises = job->set->noises;
    distances d = {0};
    bnf_status s = bnf_alloc((size_t)(job->n * noises) * 2 * sizeof(double), "distances of maps", &d.l2);
    if (s != BNF_OK)
        return s;
    d.spearman = d.l2 + job->n * noises;
    s = bnf_metric_maps(job, noises, fill_noisy, take_noisy, &d);
    for (int64_t i = 0; i < job->n && s == BNF_OK; i++) {
        *bnf_metric_at(job, i, BNF_METRIC_STABILITY_L2) = mean_of(noises, d.l2 + i * noises);
        *bnf_metric_at(job, i, BNF_METRIC_STABILITY_SPEARMAN) = mean_of(noises, d.spearman + i * noises);
    }
    bnf_free(d.l2);
    return s;
}

/* Of a sample's map with another one. */
static double agreement(const bnf_metric_job *job, int64_t sample, const float *other)
{
    return bnf_rank_spearman_f32(job->area, job->map + sample * job->area, other, bnf_metric_items(job));
}

static void smoothgrad(const bnf_metric_job *job)
{
#pragma omp parallel for schedule(static) num_threads(job->subject->threads)
    for (int64_t i = 0; i < job->n; i++)
        *bnf_metric_at(job, i, BNF_METRIC_SMOOTHGRAD) = agreement(job, i, job->reference + i * job->area);
}

static void alignment(const bnf_metric_job *job)
{
    for (int64_t i = 0; i < job->n; i++)
        if (job->human[i])
            *bnf_metric_at(job, i, BNF_METRIC_ALIGNMENT) = agreement(job, i, job->human[i]) / job->set->human_ceiling;
}

/* NaN becomes 0. */
static void grey(int64_t n, const float *map, uint8_t *pixels)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        low = fmin(low, map[i]);
        high = fmax(high, map[i]);
    }
    for (int64_t i = 0; i < n; i++)
        pixels[i] = high > low ? (uint8_t)fmin(fmax(floor(255 * (map[i] - low) / (high - low) + 0.5), 0), 255) : 0;
}

static bnf_status complexity(const bnf_metric_job *job)
{
    uint8_t *pixels, *jpeg;
    size_t bytes;
    bnf_status s = BNF_OK;
    BNF_TRY(bnf_alloc((size_t)job->area, "grey picture", &pixels));
    for (int64_t i = 0; i < job->n && s == BNF_OK; i++) {
        grey(job->area, job->map + i * job->area, pixels);
        s = bnf_jpeg_encode_grey(pixels, job->subject->h, job->subject->w, job->set->jpeg_quality, &jpeg, &bytes);
        *bnf_metric_at(job, i, BNF_METRIC_COMPLEXITY) = (double)bytes / 1000;
        bnf_free(jpeg);
    }
    bnf_free(pixels);
    return s;
}

/* ---- all ---- */

static bnf_status open_job(bnf_metric_job *job)
{
    const bnf_lipschitz_subject *s = job->subject;
    int64_t threads = s->threads, longest = job->area > job->set->masks ? job->area : job->set->masks;
    job->rows = s->batch > job->set->shares ? s->batch : job->set->shares; /* a sample under attack needs them all */
    job->item_count = 3 * longest;
    BNF_TRY(bnf_alloc((size_t)(job->n * job->area) * sizeof(float), "maps", &job->map));
    BNF_TRY(bnf_alloc((size_t)(job->n * job->area) * sizeof(int32_t), "ranks of pixels", &job->place));
    BNF_TRY(bnf_alloc((size_t)(job->rows * job->size) * sizeof(float), "changed pictures", &job->x));
    BNF_TRY(bnf_alloc((size_t)(job->rows * job->size) * sizeof(float), "maps of changed pictures", &job->y));
    BNF_TRY(bnf_alloc((size_t)job->rows * sizeof *job->row_class, "changed pictures", &job->row_class));
    BNF_TRY(bnf_alloc((size_t)job->rows * sizeof *job->row_sample, "changed pictures", &job->row_sample));
    BNF_TRY(bnf_alloc((size_t)job->rows * sizeof *job->lead, "changed pictures", &job->lead));
    return bnf_alloc((size_t)(threads * job->item_count) * sizeof *job->items, "ranks", &job->items);
}

static void close_job(bnf_metric_job *job)
{
    bnf_free(job->map);
    bnf_free(job->place);
    bnf_free(job->x);
    bnf_free(job->y);
    bnf_free(job->row_class);
    bnf_free(job->row_sample);
    bnf_free(job->lead);
    bnf_free(job->items);
}

static bnf_status measure(bnf_metric_job *job)
{
    const bool *wanted = job->set->wanted;
    BNF_TRY(bnf_metric_maps(job, 1, fill_same, take_map, NULL));
    for (int64_t i = 0; i < job->n; i++)
        bnf_rank_places(job->area, job->map + i * job->area, bnf_metric_items(job), job->place + i * job->area);
    if (wanted[BNF_METRIC_DELETION])
        BNF_TRY(bnf_metric_causal(job, false));
    if (wanted[BNF_METRIC_INSERTION])
        BNF_TRY(bnf_metric_causal(job, true));
    if (wanted[BNF_METRIC_MUFIDELITY_ZERO])
        BNF_TRY(bnf_metric_mufidelity(job, false));
    if (wanted[BNF_METRIC_MUFIDELITY_UNIFORM])
        BNF_TRY(bnf_metric_mufidelity(job, true));
    if (wanted[BNF_METRIC_STABILITY_L2] || wanted[BNF_METRIC_STABILITY_SPEARMAN])
        BNF_TRY(stability(job));
    if (wanted[BNF_METRIC_COMPLEXITY])
        BNF_TRY(complexity(job));
    if (wanted[BNF_METRIC_ROBUSTNESS] || wanted[BNF_METRIC_ROBUSTNESS_REACHED])
        BNF_TRY(bnf_metric_robustness(job));
    if (wanted[BNF_METRIC_SMOOTHGRAD] && job->reference)
        smoothgrad(job);
    if (wanted[BNF_METRIC_ALIGNMENT] && job->human)
        alignment(job);
    return BNF_OK;
}

bnf_status bnf_lipschitz_measure(const bnf_lipschitz_subject *subject, const bnf_lipschitz_metric_settings *settings,
                                 int64_t n, const float *pixels, const int32_t *classes, const int64_t *samples,
                                 const float *reference, const float *const *human, double *value)
{
    BNF_ASSERT(subject->batch > 0 && subject->threads > 0);
    bnf_metric_job job = {.subject = subject,
                          .set = settings,
                          .n = n,
                          .area = subject->h * subject->w,
                          .size = subject->h * subject->w * subject->c,
                          .pixels = pixels,
                          .classes = classes,
                          .samples = samples,
                          .reference = reference,
                          .human = human,
                          .value = value};
    for (int64_t i = 0; i < n * BNF_METRIC_COUNT; i++)
        value[i] = NAN;
    if (n == 0)
        return BNF_OK;
    bnf_status s = open_job(&job);
    if (s == BNF_OK)
        s = measure(&job);
    close_job(&job);
    return s;
}
