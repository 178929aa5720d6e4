/* recipes/lipschitz/maps.c - attribution maps. */
#include "recipes/lipschitz/maps.h"

#include "base/mem.h"
#include "base/philox.h"
#include "recipes/lipschitz/bilinear.h"
#include "recipes/lipschitz/probe.h"
#include "train/options.h"

#include <math.h>
#include <string.h>

const char *const bnf_lipschitz_method_names[] = {"saliency",       "smoothgrad", "integrated",
                                                  "gradient_input", "gradcam",    NULL};

struct bnf_lipschitz_maps {
    bnf_run *run;
    const bnf_lipschitz_net *net;
    bnf_lipschitz_maps_settings set;
    int64_t rows;
    bnf_lipschitz_probe probe[BNF_LIPSCHITZ_LOGITS + 1]; /* by figure; weight NULL: not built yet */
    double *sum;                                         /* [size] gradient of one sample, summed over its points */
};

/* ---- methods ---- */

bool bnf_lipschitz_method_suits(bnf_lipschitz_method method, const bnf_lipschitz_net *net)
{
    bool convolution = false;
    for (int i = 0; i < net->count; i++)
        convolution = convolution || net->stages[i].layer.kind == BNF_LAYER_CONV;
    return method != BNF_LIPSCHITZ_GRADCAM || convolution;
}

bnf_status bnf_lipschitz_methods_parse(const char *list, const bnf_lipschitz_net *net, bool *chosen)
{
    if (list)
        BNF_TRY(bnf_option_names_parse("method", list, bnf_lipschitz_method_names, chosen));
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++) {
        bool suits = bnf_lipschitz_method_suits((bnf_lipschitz_method)m, net);
        if (!list)
            chosen[m] = suits;
        else if (chosen[m] && !suits)
            return bnf_fail(BNF_ERR_CONFIG, "method %s: this network has no convolution",
                            bnf_lipschitz_method_names[m]);
    }
    return BNF_OK;
}

bnf_lipschitz_maps_settings bnf_lipschitz_maps_default(const bnf_run *run)
{
    return (bnf_lipschitz_maps_settings){.draws = 50, .sigma = 0.2, .steps = 50, .seed = (uint64_t)run->job->seed};
}

/* ---- life ---- */

bnf_status bnf_lipschitz_maps_create(bnf_run *run, const bnf_lipschitz_net *net,
                                     const bnf_lipschitz_maps_settings *settings, int64_t rows,
                                     bnf_lipschitz_maps **maps)
{
    bnf_lipschitz_maps *m;
    *maps = NULL;
    if (rows < 1 || settings->draws < 1 || settings->steps < 2)
        return bnf_fail(BNF_ERR_ARG, "maps need at least 1 row, 1 draw and 2 steps");
    if (settings->draws > INT32_MAX || settings->steps > INT32_MAX) /* counters of random numbers have 32 bits */
        return bnf_fail(BNF_ERR_ARG, "maps of more than %d draws or steps", INT32_MAX);
    BNF_TRY(bnf_calloc(1, sizeof *m, "attribution maps", &m));
    *m = (bnf_lipschitz_maps){.run = run, .net = net, .set = *settings, .rows = rows};
    bnf_status s = bnf_alloc((size_t)bnf_lipschitz_size(&net->in) * sizeof *m->sum, "gradient of a sample", &m->sum);
    if (s != BNF_OK) {
        bnf_lipschitz_maps_destroy(m);
        return s;
    }
    *maps = m;
    return BNF_OK;
}

void bnf_lipschitz_maps_destroy(bnf_lipschitz_maps *m)
{
    if (!m)
        return;
    for (int f = 0; f <= BNF_LIPSCHITZ_LOGITS; f++)
        bnf_lipschitz_probe_release(&m->probe[f]);
    bnf_free(m->sum);
    bnf_free(m);
}

/* One row per leaf, so that no row can depend on another. */
static bnf_status probe_of(bnf_lipschitz_maps *m, bnf_lipschitz_figure figure, bnf_lipschitz_probe **probe)
{
    *probe = &m->probe[figure];
    if ((*probe)->weight)
        return BNF_OK;
    bnf_status s = bnf_lipschitz_probe_create(m->run, figure, m->rows, 1, *probe);
    if (s != BNF_OK)
        bnf_lipschitz_probe_release(*probe);
    return s;
}

/* ---- inputs ---- */

/* A point where a gradient is taken: `share` of the way from the baseline to the picture, plus noise. */
typedef struct point {
    double share, baseline, sigma;
    bnf_philox_key key;
    uint32_t draw;
    uint64_t sample;
} point;

static void feed(const bnf_lipschitz_net *net, const float *pixels, const point *at, float *x)
{
    int64_t size = bnf_lipschitz_size(&net->in), c = net->in.c;
    for (int64_t i = 0; i < size; i += 2) {
        double z[2] = {0, 0};
        if (at->sigma > 0)
            bnf_philox_normal2(bnf_philox(at->key, bnf_philox_counter(at->draw, at->sample, (uint32_t)(i / 2))), &z[0],
                               &z[1]);
        for (int64_t k = i; k < i + 2 && k < size; k++) {
            double p = at->baseline + at->share * (pixels[k] - at->baseline) + at->sigma * z[k - i];
            x[k] = (float)(p * net->scale[k % c] + net->shift[k % c]);
        }
    }
}

/* Pictures as they are, `n` of them into the first rows. */
static void feed_plain(const bnf_lipschitz_maps *m, const float *pixels, const int32_t *classes, int64_t n,
                       bnf_lipschitz_probe *p)
{
    static const point plain = {.share = 1};
#pragma omp parallel for schedule(static) num_threads(m->run->threads)
    for (int64_t r = 0; r < n; r++) {
        feed(m->net, pixels + r * p->size, &plain, p->x + r * p->size);
        p->labels[r] = classes ? classes[r] : 0;
    }
}

/* ---- methods of the input's gradient ---- */

/* How many points, and where the one of a number lies. */
static int64_t points_of(const bnf_lipschitz_maps *m, bnf_lipschitz_method method)
{
    return method == BNF_LIPSCHITZ_SMOOTHGRAD ? m->set.draws : method == BNF_LIPSCHITZ_INTEGRATED ? m->set.steps : 1;
}

static point point_of(const bnf_lipschitz_maps *m, bnf_lipschitz_method method, int64_t number, int64_t sample)
{
    if (method == BNF_LIPSCHITZ_INTEGRATED)
        return (point){.share = (double)number / (double)(m->set.steps - 1), .baseline = m->set.baseline};
    if (method != BNF_LIPSCHITZ_SMOOTHGRAD)
        return (point){.share = 1};
    return (point){.share = 1,
                   .sigma = m->set.sigma,
                   .key = bnf_philox_key_layer(bnf_philox_key_make(m->set.seed, BNF_STREAM_EXPLAIN), 0),
                   .draw = (uint32_t)number,
                   .sample = (uint64_t)sample};
}

static double weight_of(const bnf_lipschitz_maps *m, bnf_lipschitz_method method, int64_t number)
{
    if (method == BNF_LIPSCHITZ_INTEGRATED) /* trapezoidal rule */
        return (number == 0 || number == m->set.steps - 1 ? 0.5 : 1) / (double)(m->set.steps - 1);
    return 1 / (double)points_of(m, method);
}

/* The map of one picture from its mean gradient, m->sum, per pixel of the network's input. */
static void finish(const bnf_lipschitz_maps *m, bnf_lipschitz_method method, const float *pixels, float *out)
{
    int64_t area = m->net->in.h * m->net->in.w, c = m->net->in.c;
    double from = method == BNF_LIPSCHITZ_INTEGRATED ? m->set.baseline : 0;
    for (int64_t i = 0; i < area; i++) {
        double largest = 0, sum = 0;
        for (int64_t k = 0; k < c; k++) {
            double g = m->sum[i * c + k] * m->net->scale[k];
            largest = fmax(largest, fabs(g));
            sum += (pixels[i * c + k] - from) * g;
        }
        out[i] = (float)(bnf_lipschitz_method_signed(method) ? sum : largest);
    }
}

/* Rows are (picture, point) pairs, a picture's points behind one another; its gradients are summed in that order. */
static bnf_status by_gradient(bnf_lipschitz_maps *m, bnf_lipschitz_method method, const float *pixels,
                              const int32_t *classes, const int64_t *samples, int64_t n, float *out)
{
    bnf_lipschitz_probe *p;
    BNF_TRY(probe_of(m, BNF_LIPSCHITZ_OWN, &p));
    int64_t points = points_of(m, method), size = p->size, area = m->net->in.h * m->net->in.w;
    for (int64_t first = 0; first < n * points; first += m->rows) {
        int64_t rows = n * points - first < m->rows ? n * points - first : m->rows;
#pragma omp parallel for schedule(static) num_threads(m->run->threads)
        for (int64_t r = 0; r < rows; r++) {
            int64_t i = (first + r) / points, number = (first + r) % points;
            point at = point_of(m, method, number, samples ? samples[i] : 0);
            feed(m->net, pixels + i * size, &at, p->x + r * size);
            p->labels[r] = classes[i];
        }
        BNF_TRY(bnf_lipschitz_probe_run(p));
        for (int64_t r = 0; r < rows; r++) {
            int64_t i = (first + r) / points, number = (first + r) % points;
            double weight = weight_of(m, method, number);
            for (int64_t k = 0; k < size; k++)
                m->sum[k] = (number ? m->sum[k] : 0) + weight * p->gradient[r * size + k];
            if (number == points - 1)
                finish(m, method, pixels + i * size, out + i * area);
        }
    }
    return BNF_OK;
}

/* ---- the last convolution ---- */

static void enlarge(const double *map, int64_t h, int64_t w, const bnf_lipschitz_shape *in, float *out)
{
    for (int64_t i = 0; i < in->h; i++)
        for (int64_t j = 0; j < in->w; j++) {
            bnf_bilinear y = bnf_bilinear_at(i, h, in->h), x = bnf_bilinear_at(j, w, in->w);
            const double *upper = map + y.lower * w, *lower = map + y.upper * w;
            out[i * in->w + j] =
                (float)bnf_bilinear_mix(y, x, upper[x.lower], upper[x.upper], lower[x.lower], lower[x.upper]);
        }
}

/* One picture: a[h,w,c] and its gradient; map[h,w] is work space. */
static void weigh(const bnf_lipschitz_probe *p, const float *a, const float *gradient, double *map)
{
    int64_t area = p->inner_h * p->inner_w, c = p->inner_c;
    memset(map, 0, (size_t)area * sizeof *map);
    for (int64_t j = 0; j < c; j++) {
        double weight = 0;
        for (int64_t i = 0; i < area; i++)
            weight += gradient[i * c + j] / (double)area;
        for (int64_t i = 0; i < area; i++)
            map[i] += weight * a[i * c + j];
    }
    for (int64_t i = 0; i < area; i++)
        map[i] = fmax(map[i], 0);
}

static bnf_status by_features(bnf_lipschitz_maps *m, const float *pixels, const int32_t *classes, int64_t n, float *out)
{
    bnf_lipschitz_probe *p;
    double *map;
    BNF_TRY(probe_of(m, BNF_LIPSCHITZ_OWN_INNER, &p));
    int64_t each = p->inner_h * p->inner_w * p->inner_c, area = m->net->in.h * m->net->in.w;
    BNF_TRY(bnf_alloc((size_t)(p->inner_h * p->inner_w) * sizeof *map, "map of features", &map));
    bnf_status s = BNF_OK;
    for (int64_t first = 0; first < n && s == BNF_OK; first += m->rows) {
        int64_t rows = n - first < m->rows ? n - first : m->rows;
        feed_plain(m, pixels + first * p->size, classes + first, rows, p);
        s = bnf_lipschitz_probe_run(p);
        for (int64_t r = 0; r < rows && s == BNF_OK; r++) {
            weigh(p, p->inner + r * each, p->inner_gradient + r * each, map);
            enlarge(map, p->inner_h, p->inner_w, &m->net->in, out + (first + r) * area);
        }
    }
    bnf_free(map);
    return s;
}

bnf_status bnf_lipschitz_maps_run(bnf_lipschitz_maps *m, bnf_lipschitz_method method, const float *pixels,
                                  const int32_t *classes, const int64_t *samples, int64_t n, float *out)
{
    if (method == BNF_LIPSCHITZ_GRADCAM)
        return by_features(m, pixels, classes, n, out);
    return by_gradient(m, method, pixels, classes, samples, n, out);
}

/* ---- scores ---- */

bnf_status bnf_lipschitz_maps_scores(bnf_lipschitz_maps *m, const float *pixels, int64_t n, float *logits)
{
    bnf_lipschitz_probe *p;
    BNF_TRY(probe_of(m, BNF_LIPSCHITZ_LOGITS, &p));
    for (int64_t first = 0; first < n; first += m->rows) {
        int64_t rows = n - first < m->rows ? n - first : m->rows;
        feed_plain(m, pixels + first * p->size, NULL, rows, p);
        BNF_TRY(bnf_lipschitz_probe_run(p));
        memcpy(logits + first * p->outputs, p->logits, (size_t)(rows * p->outputs) * sizeof *logits);
    }
    return BNF_OK;
}

bnf_status bnf_lipschitz_maps_lead(bnf_lipschitz_maps *m, const float *pixels, const int32_t *classes, int64_t n,
                                   float *logits, double *lead, float *gradient)
{
    bnf_lipschitz_probe *p;
    BNF_TRY(probe_of(m, BNF_LIPSCHITZ_RIVAL, &p));
    int64_t size = p->size, c = m->net->in.c;
    for (int64_t first = 0; first < n; first += m->rows) {
        int64_t rows = n - first < m->rows ? n - first : m->rows;
        feed_plain(m, pixels + first * size, classes + first, rows, p);
        BNF_TRY(bnf_lipschitz_probe_run(p));
        memcpy(logits + first * p->outputs, p->logits, (size_t)(rows * p->outputs) * sizeof *logits);
        for (int64_t r = 0; r < rows; r++)
            lead[first + r] = bnf_lipschitz_lead(p->logits + r * p->outputs, p->outputs, classes[first + r]);
        for (int64_t i = 0; i < rows * size; i++)
            gradient[first * size + i] = (float)(-p->gradient[i] * m->net->scale[i % c]);
    }
    return BNF_OK;
}

/* ---- pictures ---- */

bnf_status bnf_lipschitz_read_pixels(bnf_run *run, bnf_split split, const bnf_lipschitz_net *net, int64_t first,
                                     int64_t n, float *pixels, int32_t *labels)
{
    bnf_dataset *dataset;
    char *image;
    double *wide = NULL;
    int64_t size = bnf_lipschitz_size(&net->in);
    BNF_TRY(bnf_run_dataset(run, split, &dataset));
    BNF_TRY(bnf_alloc((size_t)bnf_dataset_get_info(dataset)->sample_bytes, "a picture", &image));
    bnf_status s = bnf_alloc((size_t)size * sizeof *wide, "a picture", &wide);
    for (int64_t i = 0; i < n && s == BNF_OK; i++) {
        int64_t sample = first + i;
        s = bnf_dataset_read(dataset, 1, &sample, image);
        if (s != BNF_OK)
            break;
        bnf_lipschitz_pixels(net, image, wide);
        for (int64_t k = 0; k < size; k++)
            pixels[i * size + k] = (float)wide[k];
        labels[i] = bnf_dataset_labels(dataset)[sample];
    }
    bnf_free(wide);
    bnf_free(image);
    return s;
}
