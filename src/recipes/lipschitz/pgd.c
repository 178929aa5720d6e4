/* recipes/lipschitz/pgd.c - projected gradient ascent, and a search along the gradient. */
#include "recipes/lipschitz/pgd.h"

#include "base/mem.h"
#include "base/philox.h"
#include "comm/agree.h"
#include "recipes/lipschitz/forward.h"
#include "recipes/lipschitz/probe.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#define INSIDE (1 - 1e-6)
#define NEAR 1e-5  /* LINE: crossings are closed in to this part of their distance */
#define FAR 0x1p20 /* LINE: radii after which it gives up */

/* Rows are (target, restart) pairs, restarts of a target behind one another, shared out among ranks by
 * bnf_lipschitz_probe_share. */
typedef struct attack {
    bnf_run *run;
    const bnf_lipschitz_net *net;
    const bnf_lipschitz_pgd *pgd;
    const bnf_lipschitz_target *targets;
    const bnf_dataset *dataset;
    int64_t rows; /* of all ranks */
    bnf_lipschitz_probe probe;
    bnf_lipschitz_forward *forward;
    bnf_philox_key key;
    double *pixels, *delta; /* [probe.rows, size] the samples; how far they have been moved */
    double *line;           /* LINE: [probe.rows, size] unit vectors; else NULL */
    double *reach[3];       /* LINE: [probe.rows] at, and without and with (0: none yet) a flip */
    double *space;          /* [threads, piece] for the network in f64 */
    int64_t piece;
    char *images;
    int64_t *index;
    double *distance;             /* [probe.rows] of the inputs as fed */
    bool *done;                   /* [probe.rows] */
    bnf_lipschitz_attacked *mine; /* this rank's rows */
} attack;

static const bnf_lipschitz_target *target_of(const attack *a, int64_t row)
{
    return &a->targets[row / a->pgd->restarts];
}

/* ---- one row ---- */

static double norm_of(int64_t n, const double *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* A uniformly drawn point of the cube. */
static void random_cube(const attack *a, int64_t row, double radius, double *delta)
{
    bnf_philox_key key = bnf_philox_key_layer(a->key, (uint64_t)(row % a->pgd->restarts));
    uint64_t sample = (uint64_t)target_of(a, row)->sample;
    for (int64_t i = 0; i < a->probe.size; i++) {
        bnf_philox_block b = bnf_philox(key, bnf_philox_counter(a->pgd->round, sample, (uint32_t)(i / 2)));
        delta[i] = radius * (2 * bnf_philox_unit_f64(b.v[i % 2 * 2], b.v[i % 2 * 2 + 1]) - 1);
    }
}

/* A uniformly drawn point of the ball. */
static void random_start(const attack *a, int64_t row, double radius, double *delta)
{
    int64_t size = a->probe.size, restart = row % a->pgd->restarts;
    if (a->pgd->way == BNF_LIPSCHITZ_LINF) {
        random_cube(a, row, radius, delta);
        return;
    }
    uint64_t sample = (uint64_t)target_of(a, row)->sample;
    bnf_philox_key key = bnf_philox_key_layer(a->key, (uint64_t)restart);
    for (int64_t i = 0; i < size; i += 2) {
        double even, odd;
        bnf_philox_normal2(bnf_philox(key, bnf_philox_counter(a->pgd->round, sample, (uint32_t)(i / 2))), &even, &odd);
        delta[i] = even;
        if (i + 1 < size)
            delta[i + 1] = odd;
    }
    bnf_philox_block b = bnf_philox(key, bnf_philox_counter(a->pgd->round, sample, UINT32_MAX));
    double length = radius * pow(bnf_philox_unit_open_f64(b.v[0], b.v[1]), 1 / (double)size),
           norm = norm_of(size, delta);
    for (int64_t i = 0; i < size; i++)
        delta[i] *= length / norm;
}

/* Back into the ball, then into the box: both are convex and hold the sample, so the second does not leave the first.
 */
static void project(const attack *a, double radius, const double *pixels, double *delta)
{
    int64_t size = a->probe.size;
    bool cube = a->pgd->way == BNF_LIPSCHITZ_LINF;
    double norm = cube ? 0 : norm_of(size, delta), most = radius * INSIDE;
    for (int64_t i = 0; i < size && cube; i++)
        delta[i] = fmin(fmax(delta[i], -most), most);
    if (norm > most)
        for (int64_t i = 0; i < size; i++)
            delta[i] *= most / norm;
    for (int64_t i = 0; i < size && a->pgd->clip; i++)
        delta[i] = fmin(fmax(pixels[i] + delta[i], 0), 1) - pixels[i];
}

static double sign_of(double x)
{
    return (x > 0) - (x < 0);
}

static void ascend(const attack *a, double radius, const float *gradient, const double *pixels, double *delta)
{
    int64_t size = a->probe.size, channels = a->net->in.c;
    double sum = 0, length = a->pgd->step * radius / (double)a->pgd->steps;
    if (a->pgd->way == BNF_LIPSCHITZ_LINF) {
        for (int64_t i = 0; i < size; i++)
            delta[i] += length * sign_of(gradient[i] * a->net->scale[i % channels]);
        project(a, radius, pixels, delta);
        return;
    }
    for (int64_t i = 0; i < size; i++) {
        double g = gradient[i] * a->net->scale[i % channels];
        sum += g * g;
    }
    double step = sum > 0 && isfinite(sum) ? length / sqrt(sum) : 0;
    for (int64_t i = 0; i < size; i++)
        delta[i] += step * gradient[i] * a->net->scale[i % channels];
    project(a, radius, pixels, delta);
}

/* ---- along a line ---- */

static void go(const attack *a, int64_t i)
{
    int64_t size = a->probe.size;
    const double *line = a->line + i * size, *pixels = a->pixels + i * size;
    double *delta = a->delta + i * size;
    for (int64_t k = 0; k < size; k++) {
        delta[k] = a->reach[0][i] * line[k];
        if (a->pgd->clip)
            delta[k] = fmin(fmax(pixels[k] + delta[k], 0), 1) - pixels[k];
    }
}

/* After the run at the sample itself: the direction, and the first place on it. Returns whether there is none. */
static bool set_out(const attack *a, int64_t i, double radius)
{
    int64_t size = a->probe.size, channels = a->net->in.c;
    const float *gradient = a->probe.gradient + i * size;
    double *line = a->line + i * size;
    for (int64_t k = 0; k < size; k++)
        line[k] = gradient[k] * a->net->scale[k % channels];
    double norm = norm_of(size, line);
    if (!(norm > 0) || !isfinite(norm))
        return true;
    for (int64_t k = 0; k < size; k++)
        line[k] /= norm;
    a->reach[0][i] = radius;
    a->reach[1][i] = a->reach[2][i] = 0;
    go(a, i);
    return false;
}

/* The next place; returns whether the crossing is known well enough or far away. */
static bool close_in(const attack *a, int64_t i, double radius, bool flipped)
{
    double *at = &a->reach[0][i], *before = &a->reach[1][i], *behind = &a->reach[2][i];
    *(flipped ? behind : before) = *at;
    *at = *behind > 0 ? (*before + *behind) / 2 : 2 * *at;
    go(a, i);
    return *behind > 0 ? *behind - *before <= NEAR * *behind : *at > FAR * radius;
}

/* ---- what is fed and seen ---- */

/* Fills the row's input; returns its distance from the sample as it is after rounding to f32. */
static double feed(const attack *a, const double *pixels, const double *delta, float *x)
{
    int64_t channels = a->net->in.c;
    double sum = 0, most = 0;
    for (int64_t i = 0; i < a->probe.size; i++) {
        double scale = a->net->scale[i % channels], shift = a->net->shift[i % channels];
        x[i] = (float)((pixels[i] + delta[i]) * scale + shift);
        double moved = scale != 0 ? (x[i] - shift) / scale - pixels[i] : delta[i];
        sum += moved * moved;
        most = fmax(most, fabs(moved));
    }
    return a->pgd->way == BNF_LIPSCHITZ_LINF ? most : sqrt(sum);
}

/* Class of the row's input by the network in f64. */
static int32_t class_f64(const attack *a, const float *x)
{
    double *in = a->space + omp_get_thread_num() * a->piece, *logits = in + a->probe.size;
    double *norms = logits + a->probe.outputs, *scratch = norms + a->net->count + 1;
    for (int64_t i = 0; i < a->probe.size; i++)
        in[i] = x[i];
    bnf_lipschitz_forward_run(a->forward, in, scratch, logits, norms);
    int32_t y = 0;
    for (int32_t j = 1; j < a->probe.outputs; j++)
        if (logits[j] > logits[y])
            y = j;
    return a->probe.outputs == 1 ? logits[0] > 0 : y;
}

/* Looks at the outcome of the last run for a row; returns whether the class was another one in f64. */
static bool judge(const attack *a, int64_t at, int32_t label, double distance, bnf_lipschitz_attacked *r)
{
    const float *logits = a->probe.logits + at * a->probe.outputs;
    r->rival = fmax(r->rival, -bnf_lipschitz_lead(logits, a->probe.outputs, label));
    r->farthest = fmax(r->farthest, distance);
    if (bnf_lipschitz_class(logits, a->probe.outputs) == label)
        return false;
    r->flip_f32 = fmin(r->flip_f32, distance);
    if (class_f64(a, a->probe.x + at * a->probe.size) == label)
        return false;
    r->flip = fmin(r->flip, distance);
    return true;
}

/* ---- rows of one run of the probe ---- */

static bnf_status load(attack *a, int64_t first, int64_t n)
{
    int64_t size = a->probe.size, bytes = bnf_dataset_get_info(a->dataset)->sample_bytes;
    for (int64_t i = 0; i < n; i++)
        a->index[i] = target_of(a, first + i)->sample;
    BNF_TRY(bnf_dataset_read(a->dataset, n, a->index, a->images));
#pragma omp parallel for schedule(static) num_threads(a->run->threads)
    for (int64_t i = 0; i < a->probe.rows; i++) {
        double *pixels = a->pixels + i * size, *delta = a->delta + i * size;
        memset(delta, 0, (size_t)size * sizeof *delta);
        a->done[i] = i >= n;
        if (i >= n) { /* behind the last row */
            memset(a->probe.x + i * size, 0, (size_t)size * sizeof *a->probe.x);
            a->probe.labels[i] = 0;
            continue;
        }
        const bnf_lipschitz_target *t = target_of(a, first + i);
        bnf_lipschitz_pixels(a->net, a->images + i * bytes, pixels);
        a->probe.labels[i] = t->label;
        if ((first + i) % a->pgd->restarts > 0) {
            random_start(a, first + i, t->radius, delta);
            project(a, t->radius, pixels, delta);
        }
    }
    return BNF_OK;
}

/* After a run: judges row i and moves it on. Returns whether the row is done. */
static bool move_on(const attack *a, int64_t i, const bnf_lipschitz_target *t, int64_t step,
                    bnf_lipschitz_attacked *result)
{
    int64_t at = i * a->probe.size;
    bool flipped = judge(a, i, t->label, a->distance[i], result), last = step == a->pgd->steps;
    if (a->pgd->way == BNF_LIPSCHITZ_LINE)
        return last || (step == 0 ? flipped || set_out(a, i, t->radius) : close_in(a, i, t->radius, flipped));
    if (!flipped && !last)
        ascend(a, t->radius, a->probe.gradient + at, a->pixels + at, a->delta + at);
    return flipped;
}

/* Rows [first, first + n), into results[n]. */
static bnf_status climb(attack *a, int64_t first, int64_t n, bnf_lipschitz_attacked *results)
{
    int64_t size = a->probe.size;
    BNF_TRY(load(a, first, n));
    for (int64_t i = 0; i < n; i++)
        results[i] = (bnf_lipschitz_attacked){-INFINITY, INFINITY, INFINITY, 0};
    for (int64_t step = 0, active = n; step <= a->pgd->steps && active > 0; step++) {
#pragma omp parallel for schedule(static) num_threads(a->run->threads)
        for (int64_t i = 0; i < n; i++)
            a->distance[i] = feed(a, a->pixels + i * size, a->delta + i * size, a->probe.x + i * size);
        BNF_TRY(bnf_lipschitz_probe_run(&a->probe));
        active = 0;
#pragma omp parallel for schedule(static) num_threads(a->run->threads) reduction(+ : active)
        for (int64_t i = 0; i < n; i++) {
            if (!a->done[i])
                a->done[i] = move_on(a, i, target_of(a, first + i), step, &results[i]);
            active += !a->done[i];
        }
    }
    return BNF_OK;
}

/* ---- all rows ---- */

static bnf_status open_attack(attack *a, int64_t mine)
{
    const bnf_data_settings *d = &a->run->job->data;
    BNF_TRY(
        bnf_lipschitz_probe_create(a->run, BNF_LIPSCHITZ_RIVAL, 2 * a->run->threads, d->batch / d->leaves, &a->probe));
    BNF_TRY(bnf_lipschitz_forward_create(a->net, a->run->params, &a->forward));
    int64_t rows = a->probe.rows, values = rows * a->probe.size;
    int64_t need = a->probe.size + a->probe.outputs + a->net->count + 1 + bnf_lipschitz_forward_scratch(a->forward);
    a->piece = (need + 7) / 8 * 8;
    BNF_TRY(bnf_alloc((size_t)(a->piece * a->run->threads) * sizeof(double), "activations in f64", &a->space));
    BNF_TRY(bnf_alloc((size_t)values * sizeof(double), "images under attack", &a->pixels));
    BNF_TRY(bnf_alloc((size_t)values * sizeof(double), "perturbations", &a->delta));
    if (a->pgd->way == BNF_LIPSCHITZ_LINE)
        BNF_TRY(bnf_alloc((size_t)values * sizeof(double), "directions", &a->line));
    for (int k = 0; k < 3; k++)
        BNF_TRY(bnf_calloc((size_t)rows, sizeof(double), "places on lines", &a->reach[k]));
    BNF_TRY(
        bnf_alloc((size_t)(rows * bnf_dataset_get_info(a->dataset)->sample_bytes), "images under attack", &a->images));
    BNF_TRY(bnf_alloc((size_t)rows * sizeof *a->index, "images under attack", &a->index));
    BNF_TRY(bnf_alloc((size_t)rows * sizeof *a->distance, "images under attack", &a->distance));
    BNF_TRY(bnf_alloc((size_t)rows * sizeof *a->done, "images under attack", &a->done));
    return bnf_alloc((size_t)mine * sizeof *a->mine, "results of an attack", &a->mine);
}

static void close_attack(attack *a)
{
    bnf_lipschitz_probe_release(&a->probe);
    bnf_lipschitz_forward_destroy(a->forward);
    bnf_free(a->space);
    bnf_free(a->pixels);
    bnf_free(a->delta);
    bnf_free(a->line);
    for (int k = 0; k < 3; k++)
        bnf_free(a->reach[k]);
    bnf_free(a->images);
    bnf_free(a->index);
    bnf_free(a->distance);
    bnf_free(a->done);
    bnf_free(a->mine);
}

/* Results of all rows from all ranks, then the best of each target's. */
static bnf_status gather(const attack *a, int64_t n, bnf_lipschitz_attacked *results)
{
    int ranks = bnf_comm_size(a->run->comm);
    int64_t *bytes = NULL;
    bnf_lipschitz_attacked *all = NULL;
    bnf_status s = bnf_alloc((size_t)ranks * sizeof *bytes, "rows per rank", &bytes);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)a->rows * sizeof *all, "results of an attack", &all);
    s = bnf_comm_agree(a->run->comm, s);
    for (int r = 0; r < ranks && s == BNF_OK; r++) {
        int64_t lo, hi;
        bnf_lipschitz_probe_share(a->run, a->rows, r, &lo, &hi);
        bytes[r] = (hi - lo) * (int64_t)sizeof *all;
    }
    if (s == BNF_OK)
        s = bnf_comm_allgatherv(a->run->comm, a->mine, bytes, all);
    for (int64_t i = 0; i < n && s == BNF_OK; i++) {
        results[i] = all[i * a->pgd->restarts];
        for (int64_t k = 1; k < a->pgd->restarts; k++) {
            const bnf_lipschitz_attacked *r = &all[i * a->pgd->restarts + k];
            results[i].rival = fmax(results[i].rival, r->rival);
            results[i].flip_f32 = fmin(results[i].flip_f32, r->flip_f32);
            results[i].flip = fmin(results[i].flip, r->flip);
            results[i].farthest = fmax(results[i].farthest, r->farthest);
        }
    }
    bnf_free(all);
    bnf_free(bytes);
    return s;
}

bnf_status bnf_lipschitz_pgd_run(bnf_run *run, bnf_split split, const bnf_lipschitz_net *net,
                                 const bnf_lipschitz_pgd *pgd, const bnf_lipschitz_target *targets, int64_t n,
                                 bnf_lipschitz_attacked *results)
{
    bnf_dataset *dataset;
    int64_t lo, hi;
    BNF_TRY(bnf_run_dataset(run, split, &dataset));
    attack a = {.run = run, .net = net, .pgd = pgd, .targets = targets, .dataset = dataset, .rows = n * pgd->restarts};
    a.key = bnf_philox_key_make((uint64_t)run->job->seed, BNF_STREAM_ATTACK);
    bnf_lipschitz_probe_share(run, a.rows, bnf_comm_rank(run->comm), &lo, &hi);
    bnf_status s = open_attack(&a, hi - lo);
    for (int64_t first = lo; first < hi && s == BNF_OK; first += a.probe.rows)
        s = climb(&a, first, hi - first < a.probe.rows ? hi - first : a.probe.rows, a.mine + (first - lo));
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = gather(&a, n, results);
    close_attack(&a);
    return s;
}
