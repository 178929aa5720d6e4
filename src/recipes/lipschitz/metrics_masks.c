/* recipes/lipschitz/metrics_masks.c - deletion, insertion and MuFidelity: what becomes of the score when pixels go. */
#include "recipes/lipschitz/metrics_parts.h"

#include "base/mem.h"

#include <omp.h>
#include <string.h>

/* ---- deletion and insertion ---- */

typedef struct causal {
    bool insertion;
    float *baseline; /* [n, size]; NULL: zeros */
} causal;

static void fill_causal(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, float *x)
{
    const causal *k = self;
    int64_t c = job->subject->c, ranked = index * job->area / job->set->steps;
    const float *pixels = job->pixels + sample * job->size;
    const float *baseline = k->baseline ? k->baseline + sample * job->size : NULL;
    const int32_t *place = job->place + sample * job->area;
    for (int64_t p = 0; p < job->area; p++) {
        bool keep = (place[p] < ranked) == k->insertion;
        for (int64_t i = p * c; i < (p + 1) * c; i++)
            x[i] = keep ? pixels[i] : baseline ? baseline[i] : 0;
    }
}

/* The picture's mean of each channel. */
static void mean_baseline(const bnf_metric_job *job, const float *pixels, float *baseline)
{
    int64_t c = job->subject->c;
    for (int64_t j = 0; j < c; j++) {
        double sum = 0;
        for (int64_t i = j; i < job->size; i += c)
            sum += pixels[i];
        for (int64_t i = j; i < job->size; i += c)
            baseline[i] = (float)(sum / (double)job->area);
    }
}

static bnf_status make_baseline(const bnf_metric_job *job, causal *k)
{
    if (job->set->baseline == BNF_LIPSCHITZ_BASELINE_ZERO)
        return BNF_OK;
    BNF_TRY(bnf_alloc((size_t)(job->n * job->size) * sizeof(float), "baselines", &k->baseline));
    for (int64_t i = 0; i < job->n; i++) {
        float *baseline = k->baseline + i * job->size;
        if (job->set->baseline == BNF_LIPSCHITZ_BASELINE_UNIFORM)
            bnf_metric_uniform(job, BNF_METRIC_DRAW_CAUSAL, i, 0, baseline);
        else
            mean_baseline(job, job->pixels + i * job->size, baseline);
    }
    return BNF_OK;
}

bnf_status bnf_metric_causal(bnf_metric_job *job, bool insertion)
{
    int64_t steps = job->set->steps, count = steps + 1;
    causal k = {.insertion = insertion};
    double *score = NULL;
    bnf_status s = make_baseline(job, &k);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(job->n * count) * sizeof *score, "scores", &score);
    if (s == BNF_OK)
        s = bnf_metric_scores(job, count, fill_causal, &k, score);
    for (int64_t i = 0; i < job->n && s == BNF_OK; i++) {
        const double *at = score + i * count;
        double area = (at[0] + at[steps]) / 2;
        for (int64_t j = 1; j < steps; j++)
            area += at[j];
        *bnf_metric_at(job, i, insertion ? BNF_METRIC_INSERTION : BNF_METRIC_DELETION) = area / (double)steps;
    }
    bnf_free(score);
    bnf_free(k.baseline);
    return s;
}

/* ---- MuFidelity ---- */

typedef struct fidelity {
    bool uniform;
    double *dropped; /* [n, masks] sums of attributions */
    uint8_t *board;  /* [threads, grid, grid] whether a cell is dropped */
    int64_t cells;
} fidelity;

static void draw_board(const bnf_metric_job *job, int64_t sample, int64_t mask, int64_t cells, uint8_t *board)
{
    bnf_philox_key key =
        bnf_philox_key_layer(bnf_philox_key_make(job->set->seed, BNF_STREAM_EXPLAIN), BNF_METRIC_DRAW_CELLS);
    for (int64_t i = 0; i < cells; i += 4) {
        bnf_philox_block b =
            bnf_philox(key, bnf_philox_counter((uint32_t)mask, (uint64_t)job->samples[sample], (uint32_t)(i / 4)));
        for (int64_t j = i; j < i + 4 && j < cells; j++)
            board[j] = bnf_philox_unit_f32(b.v[j - i]) < job->set->drop;
    }
}

static void fill_masked(const bnf_metric_job *job, void *self, int64_t sample, int64_t index, float *x)
{
    fidelity *f = self;
    int64_t h = job->subject->h, w = job->subject->w, c = job->subject->c, grid = job->set->grid;
    const float *pixels = job->pixels + sample * job->size, *map = job->map + sample * job->area;
    uint8_t *board = f->board + omp_get_thread_num() * f->cells;
    double sum = 0;
    draw_board(job, sample, index, f->cells, board);
    if (f->uniform)
        bnf_metric_uniform(job, BNF_METRIC_DRAW_BASELINE, sample, index, x);
    else
        memset(x, 0, (size_t)job->size * sizeof *x);
    for (int64_t y = 0; y < h; y++)
        for (int64_t z = 0; z < w; z++) {
            int64_t p = y * w + z;
            if (board[(2 * y + 1) * grid / (2 * h) * grid + (2 * z + 1) * grid / (2 * w)])
                sum += map[p];
            else
                memcpy(x + p * c, pixels + p * c, (size_t)c * sizeof *x);
        }
    f->dropped[sample * job->set->masks + index] = sum;
}

bnf_status bnf_metric_mufidelity(bnf_metric_job *job, bool uniform)
{
    int64_t masks = job->set->masks;
    fidelity f = {.uniform = uniform, .cells = job->set->grid * job->set->grid};
    double *score = NULL;
    bnf_status s = bnf_alloc((size_t)(job->n * masks) * sizeof *score, "scores", &score);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(job->n * masks) * sizeof *f.dropped, "attributions", &f.dropped);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(job->subject->threads * f.cells), "masks", &f.board);
    if (s == BNF_OK)
        s = bnf_metric_scores(job, masks, fill_masked, &f, score);
    /* The fall of the score is a constant minus the score: the same ranks, reversed. */
    for (int64_t i = 0; i < job->n && s == BNF_OK; i++)
        *bnf_metric_at(job, i, uniform ? BNF_METRIC_MUFIDELITY_UNIFORM : BNF_METRIC_MUFIDELITY_ZERO) =
            0 - bnf_rank_spearman(masks, score + i * masks, f.dropped + i * masks, bnf_metric_items(job));
    bnf_free(score);
    bnf_free(f.dropped);
    bnf_free(f.board);
    return s;
}
