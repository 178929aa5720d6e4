/* recipes/dark_showers/events.c - from values of images to scores of events. */
#include "recipes/dark_showers/events.h"

#include "base/assert.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* [count, columns] of a name; NULL: the network has no such value. */
static const float *values_of(const bnf_dark_images *images, const char *name, int64_t *columns)
{
    for (int i = 0; i < images->n; i++)
        if (strcmp(images->outputs[i].name, name) == 0) {
            *columns = images->outputs[i].columns;
            return images->outputs[i].rows;
        }
    return NULL;
}

static bnf_status add(bnf_dark_events *e, const char *name, int index, double **value)
{
    BNF_ASSERT(e->n < BNF_DARK_MAX_SCORES);
    bnf_dark_score *s = &e->score[e->n];
    BNF_TRY(bnf_calloc((size_t)e->count, sizeof(double), name, &s->value));
    if (index < 0)
        snprintf(s->name, sizeof s->name, "%s", name);
    else
        snprintf(s->name, sizeof s->name, "%s%d", name, index);
    e->n++;
    *value = s->value;
    return BNF_OK;
}

static double sum_of(const float *x, int64_t images, int64_t event)
{
    double sum = 0;
    for (int64_t i = 0; i < images; i++)
        sum += (double)x[event * images + i];
    return sum;
}

static bnf_status add_sums(bnf_dark_events *e, const bnf_dark_images *images, const char *name)
{
    int64_t columns;
    double *value;
    const float *x = values_of(images, name, &columns);
    if (!x)
        return BNF_OK;
    BNF_TRY(add(e, name, -1, &value));
    for (int64_t i = 0; i < e->count; i++)
        value[i] = sum_of(x, e->images, i);
    return BNF_OK;
}

/* Without a network: what an event in one piece does not have. */
static bnf_status add_spread(bnf_dark_events *e, const bnf_dark_images *images)
{
    int64_t columns;
    double *value;
    const float *hits = values_of(images, "hits", &columns);
    if (!hits || e->images == 1)
        return BNF_OK;
    BNF_TRY(add(e, "hits_spread", -1, &value));
    for (int64_t i = 0; i < e->count; i++) {
        double mean = sum_of(hits, e->images, i) / (double)e->images, squares = 0;
        for (int64_t k = 0; k < e->images; k++) {
            double d = (double)hits[i * e->images + k] - mean;
            squares += d * d;
        }
        value[i] = sqrt(squares / (double)e->images);
    }
    return BNF_OK;
}

static bnf_status add_dice(bnf_dark_events *e, const bnf_dark_images *images)
{
    int64_t columns;
    double *value;
    const float *squares = values_of(images, "squares", &columns), *overlap = values_of(images, "overlap", &columns);
    if (!squares || !overlap)
        return BNF_OK;
    BNF_TRY(add(e, "dice", -1, &value));
    for (int64_t i = 0; i < e->count; i++)
        value[i] = sum_of(squares, e->images, i) / (2 * fmax(sum_of(overlap, e->images, i), 1e-6));
    return BNF_OK;
}

static bnf_status add_energy_difference(bnf_dark_events *e)
{
    const double *energy = bnf_dark_events_find(e, "energy"), *hits = bnf_dark_events_find(e, "hits");
    double *value;
    if (!energy || !hits)
        return BNF_OK;
    BNF_TRY(add(e, "energy_diff", -1, &value));
    for (int64_t i = 0; i < e->count; i++)
        value[i] = fabs(energy[i] - hits[i]);
    return BNF_OK;
}

/* Component k of Z_m, of length 1 or as it is. */
static double component(const float *z, int64_t aux, int64_t k, bool unit)
{
    double square = 0;
    if (!unit)
        return (double)z[k];
    for (int64_t i = 0; i < aux; i++)
        square += (double)z[i] * (double)z[i];
    return square > 0 ? (double)z[k] / sqrt(square) : 0;
}

static bnf_status add_z_m(bnf_dark_events *e, const bnf_dark_images *images, bool unit)
{
    int64_t aux = 0;
    double *value;
    const float *z = values_of(images, "z_m", &aux);
    for (int k = 0; z && k < aux && k < BNF_DARK_MAX_AUX; k++) {
        BNF_TRY(add(e, unit ? "z_m_unit" : "z_m", k, &value));
        for (int64_t i = 0; i < e->count * e->images; i++)
            value[i / e->images] += component(z + i * aux, aux, k, unit) / (double)e->images;
    }
    return BNF_OK;
}

static bnf_status add_distance(bnf_dark_events *e, const char *name, const double *square)
{
    double *value;
    if (!square)
        return BNF_OK;
    BNF_TRY(add(e, name, -1, &value));
    for (int64_t i = 0; i < e->count * e->images; i++)
        value[i / e->images] += square[i];
    for (int64_t i = 0; i < e->count; i++)
        value[i] = sqrt(value[i]);
    return BNF_OK;
}

/* log of sum_{k > 0} exp(y_k) / exp(y_0). */
static double log_odds(const float *y, int64_t classes)
{
    double most = (double)y[1], sum = 0;
    for (int64_t k = 2; k < classes; k++)
        most = fmax(most, (double)y[k]);
    for (int64_t k = 1; k < classes; k++)
        sum += exp((double)y[k] - most);
    return most + log(sum) - (double)y[0];
}

static bnf_status add_classifier(bnf_dark_events *e, const bnf_dark_images *images)
{
    int64_t classes = 0;
    double *signal, *odds;
    const float *y = values_of(images, "logits", &classes);
    if (!y || classes < 2)
        return BNF_OK;
    BNF_TRY(add(e, "signal", -1, &signal));
    BNF_TRY(add(e, "log_odds", -1, &odds));
    for (int64_t i = 0; i < e->count * e->images; i++) {
        double d = log_odds(y + i * classes, classes);
        signal[i / e->images] += 1 / (1 + exp(-d)) / (double)e->images;
        odds[i / e->images] += d;
    }
    return BNF_OK;
}

static bnf_status take_labels(bnf_dark_events *e, const bnf_dark_images *images, const int32_t *labels)
{
    if (images->count < 1)
        return bnf_fail(BNF_ERR_FORMAT, "there are no images to be scored");
    if (images->count % e->images != 0)
        return bnf_fail(BNF_ERR_CONFIG, "images=%lld: %lld images do not make whole events", (long long)e->images,
                        (long long)images->count);
    BNF_TRY(bnf_alloc((size_t)e->count * sizeof *e->label, "labels", &e->label));
    for (int64_t i = 0; i < images->count; i++) {
        if (i % e->images == 0)
            e->label[i / e->images] = labels[i];
        else if (labels[i] != e->label[i / e->images])
            return bnf_fail(BNF_ERR_CONFIG, "images=%lld: image %lld has the label %d, the first of its event %d",
                            (long long)e->images, (long long)i, labels[i], e->label[i / e->images]);
    }
    return BNF_OK;
}

bnf_status bnf_dark_events_create(const bnf_dark_images *images, const int32_t *labels, int64_t images_per_event,
                                  bnf_dark_events *events)
{
    static const char *const sums[] = {"bce", "mse", "kl", "energy"};
    *events = (bnf_dark_events){.count = images->count / images_per_event, .images = images_per_event};
    BNF_TRY(take_labels(events, images, labels));
    BNF_TRY(add_sums(events, images, "hits"));
    BNF_TRY(add_spread(events, images));
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        BNF_TRY(add_sums(events, images, sums[i]));
    BNF_TRY(add_energy_difference(events));
    BNF_TRY(add_dice(events, images));
    BNF_TRY(add_z_m(events, images, false));
    BNF_TRY(add_z_m(events, images, true));
    BNF_TRY(add_distance(events, "mahalanobis", images->z_square));
    BNF_TRY(add_distance(events, "mahalanobis_z_m", images->z_m_square));
    return add_classifier(events, images);
}

void bnf_dark_events_release(bnf_dark_events *events)
{
    for (int i = 0; i < events->n; i++)
        bnf_free(events->score[i].value);
    bnf_free(events->label);
    *events = (bnf_dark_events){0};
}

const double *bnf_dark_events_find(const bnf_dark_events *events, const char *name)
{
    for (int i = 0; i < events->n; i++)
        if (strcmp(events->score[i].name, name) == 0)
            return events->score[i].value;
    return NULL;
}
