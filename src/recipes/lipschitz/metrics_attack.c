/* recipes/lipschitz/metrics_attack.c - Robustness-S_r: how far the pixels of largest attribution have to change. */
#include "recipes/lipschitz/metrics_parts.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define OVERSHOOT 1.02
#define LEAST 0.002
#define MOST 0.01 /* times sqrt(values of a picture) */
#define BISECTIONS 12

typedef enum phase { MOVING = 0, BISECTING, TURNED, STUCK } phase;

/* One (sample, share) under attack. */
typedef struct path {
    phase phase;
    int64_t moves, pixels; /* moves so far; how many pixels may change */
    double low, high;      /* of the line to x + d: at low the class is the sample's, at high another */
    double length;         /* |d| */
} path;

/* Samples are attacked side by side: a slot holds one with all its shares; when it is done, the next one moves in. */
typedef struct attack {
    bnf_metric_job *job;
    int64_t slots, shares; /* a slot has a row for every share */
    int64_t next;          /* first sample that no slot has taken */
    int64_t *sample;       /* [slots] */
    path *path;            /* [slots, shares] */
    float *d;              /* [slots, shares, size] */
    double longest;        /* the longest way that there can be */
} attack;

static double length_of(int64_t n, const float *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void start(attack *a, int64_t slot)
{
    const bnf_metric_job *job = a->job;
    a->sample[slot] = a->next++;
    memset(a->d + slot * a->shares * job->size, 0, (size_t)(a->shares * job->size) * sizeof *a->d);
    for (int i = 0; i < a->shares; i++)
        a->path[slot * a->shares + i] =
            (path){.pixels = (int64_t)ceil(job->set->share[i] * (double)job->area - 1e-9), .high = 1};
}

/* The rows of a slot: x + t d. */
static void feed(const attack *a, int64_t slot, int64_t row)
{
    const bnf_metric_job *job = a->job;
    int64_t sample = a->sample[slot];
    const float *pixels = job->pixels + sample * job->size;
    for (int64_t k = 0; k < a->shares; k++) {
        int64_t i = slot * a->shares + k;
        const path *p = &a->path[i];
        const float *d = a->d + i * job->size;
        double t = p->phase == BISECTING ? (p->low + p->high) / 2 : 1;
        float *x = job->x + (row + k) * job->size;
        for (int64_t j = 0; j < job->size; j++)
            x[j] = (float)(pixels[j] + t * d[j]);
        job->row_class[row + k] = job->classes[sample];
        job->row_sample[row + k] = job->samples[sample];
    }
}

/* One move against the gradient of the lead. */
static void move(const attack *a, path *p, double lead, const float *gradient, const int32_t *place, float *d)
{
    const bnf_metric_job *job = a->job;
    int64_t c = job->subject->c;
    double sum = 0;
    for (int64_t i = 0; i < job->size; i++)
        if (place[i / c] < p->pixels)
            sum += (double)gradient[i] * gradient[i];
    if (p->moves++ == job->set->attack_steps || !(sum > 0) || !isfinite(sum)) {
        p->phase = STUCK;
        return;
    }
    double norm = sqrt(sum), way = fmin(fmax(OVERSHOOT * lead / norm, LEAST), MOST * sqrt((double)job->size));
    for (int64_t i = 0; i < job->size; i++)
        if (place[i / c] < p->pixels)
            d[i] = (float)(d[i] - way / norm * gradient[i]);
}

/* Looks at a path's row. */
static void follow(const attack *a, path *p, int64_t sample, double lead, const float *gradient, float *d)
{
    const bnf_metric_job *job = a->job;
    if (p->phase == MOVING) {
        if (lead < 0) {
            p->phase = BISECTING;
            p->moves = 0;
            p->length = length_of(job->size, d);
        } else
            move(a, p, lead, gradient, job->place + sample * job->area, d);
    } else if (p->phase == BISECTING) {
        *(lead < 0 ? &p->high : &p->low) = (p->low + p->high) / 2;
        if (++p->moves == BISECTIONS)
            p->phase = TURNED;
    }
}

/* After a run over the rows of a slot. */
static void look(const attack *a, int64_t slot, int64_t row)
{
    const bnf_metric_job *job = a->job;
    for (int64_t k = 0; k < a->shares; k++) {
        int64_t i = slot * a->shares + k;
        follow(a, &a->path[i], a->sample[slot], job->lead[row + k], job->y + (row + k) * job->size,
               a->d + i * job->size);
    }
}

/* Is a slot's sample done? Then its figures are noted. */
static bool finish(attack *a, int64_t slot)
{
    const bnf_metric_job *job = a->job;
    const path *p = a->path + slot * a->shares;
    double length = 0, turned = 0;
    for (int k = 0; k < a->shares; k++) {
        if (p[k].phase < TURNED)
            return false;
        length += p[k].phase == TURNED ? fmin(p[k].high * p[k].length, a->longest) : a->longest;
        turned += p[k].phase == TURNED;
    }
    *bnf_metric_at(job, a->sample[slot], BNF_METRIC_ROBUSTNESS) = length / (double)a->shares;
    *bnf_metric_at(job, a->sample[slot], BNF_METRIC_ROBUSTNESS_REACHED) = turned / (double)a->shares;
    return true;
}

static bnf_status run(attack *a)
{
    bnf_metric_job *job = a->job;
    int64_t open = 0;
    for (; open < a->slots && a->next < job->n; open++)
        start(a, open);
    while (open > 0) {
        int64_t rows = open * a->shares;
#pragma omp parallel for schedule(static) num_threads(job->subject->threads)
        for (int64_t s = 0; s < open; s++)
            feed(a, s, s * a->shares);
        BNF_TRY(job->subject->lead(job->subject->self, job->x, job->row_class, rows, job->lead, job->y));
#pragma omp parallel for schedule(static) num_threads(job->subject->threads)
        for (int64_t s = 0; s < open; s++)
            look(a, s, s * a->shares);
        for (int64_t s = 0; s < open; s++) {
            if (!finish(a, s))
                continue;
            if (a->next < job->n)
                start(a, s);
            else { /* the last one moves here */
                int64_t shares = a->shares, last = --open;
                a->sample[s] = a->sample[last];
                memmove(a->path + s * shares, a->path + last * shares, (size_t)shares * sizeof *a->path);
                memmove(a->d + s * shares * job->size, a->d + last * shares * job->size,
                        (size_t)(shares * job->size) * sizeof *a->d);
                s--;
            }
        }
    }
    return BNF_OK;
}

bnf_status bnf_metric_robustness(bnf_metric_job *job)
{
    int64_t shares = job->set->shares;
    attack a = {.job = job, .slots = job->rows / shares, .shares = shares};
    a.longest = (double)job->set->attack_steps * MOST * sqrt((double)job->size);
    bnf_status s = bnf_alloc((size_t)a.slots * sizeof *a.sample, "samples under attack", &a.sample);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(a.slots * shares) * sizeof *a.path, "samples under attack", &a.path);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(a.slots * shares * job->size) * sizeof *a.d, "changes", &a.d);
    if (s == BNF_OK)
        s = run(&a);
    bnf_free(a.sample);
    bnf_free(a.path);
    bnf_free(a.d);
    return s;
}
