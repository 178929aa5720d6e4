/* recipes/lipschitz/metrics_human.c - maps of what people look at: reading and preparing. */
#include "recipes/lipschitz/metrics_human.h"

#include "base/mem.h"
#include "h5/dataset.h"
#include "recipes/lipschitz/bilinear.h"
#include "train/arrays.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- preparing ---- */

void bnf_lipschitz_human_resize(const float *from, int64_t h, int64_t w, float *to, int64_t to_h, int64_t to_w)
{
    for (int64_t i = 0; i < to_h; i++)
        for (int64_t j = 0; j < to_w; j++) {
            bnf_bilinear y = bnf_bilinear_at(i, h, to_h), x = bnf_bilinear_at(j, w, to_w);
            const float *upper = from + y.lower * w, *lower = from + y.upper * w;
            to[i * to_w + j] =
                (float)bnf_bilinear_mix(y, x, upper[x.lower], upper[x.upper], lower[x.lower], lower[x.upper]);
        }
}

/* Weights of a row of the kernel, from its first offset on; `shift` is taken from the offsets. */
static void weights_of(int64_t kernel, double sigma, double shift, double *weight)
{
    double sum = 0;
    for (int64_t k = 0; k < kernel; k++) {
        double o = (double)(k - (kernel - 1) / 2) - shift;
        weight[k] = exp(-o * o / (2 * sigma * sigma));
        sum += weight[k];
    }
    for (int64_t k = 0; k < kernel; k++)
        weight[k] /= sum;
}

/* One direction: `lines` lines of n cells, `next` from one cell to the next and `apart` from line to line. */
static void blur_lines(const double *from, int64_t lines, int64_t apart, int64_t n, int64_t next, int64_t kernel,
                       const double *weight, double *to)
{
    for (int64_t line = 0; line < lines; line++)
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int64_t k = 0; k < kernel; k++) {
                int64_t j = i + k - (kernel - 1) / 2;
                if (j >= 0 && j < n)
                    sum += weight[k] * from[line * apart + j * next];
            }
            to[line * apart + i * next] = sum;
        }
}

bnf_status bnf_lipschitz_human_blur(const float *map, int64_t h, int64_t w, int64_t kernel, double sigma,
                                    float *blurred)
{
    double *a, *b, *weight;
    BNF_TRY(bnf_alloc((size_t)(2 * h * w + kernel) * sizeof *a, "blurred map", &a));
    b = a + h * w;
    weight = b + h * w;
    for (int64_t i = 0; i < h * w; i++)
        a[i] = map[i];
    weights_of(kernel, sigma, kernel % 2 == 0 ? 1 : 0, weight);
    blur_lines(a, h, w, w, 1, kernel, weight, b);
    weights_of(kernel, sigma, 0, weight);
    blur_lines(b, w, 1, h, w, kernel, weight, a);
    for (int64_t i = 0; i < h * w; i++)
        blurred[i] = (float)a[i];
    bnf_free(a);
    return BNF_OK;
}

static bnf_status prepare(const bnf_lipschitz_human_settings *set, const float *from, int64_t h, int64_t w, float *to,
                          int64_t to_h, int64_t to_w)
{
    int64_t mid_h = set->side ? set->side : h, mid_w = set->side ? set->side : w;
    float *mid;
    bnf_status s = BNF_OK;
    for (int64_t i = 0; i < h * w; i++)
        if (!isfinite(from[i]))
            return bnf_fail(BNF_ERR_FORMAT, "a value of a map is not finite");
    BNF_TRY(bnf_alloc((size_t)(mid_h * mid_w) * sizeof *mid, "human map", &mid));
    bnf_lipschitz_human_resize(from, h, w, mid, mid_h, mid_w);
    if (set->kernel > 0)
        s = bnf_lipschitz_human_blur(mid, mid_h, mid_w, set->kernel, set->sigma, mid);
    bnf_lipschitz_human_resize(mid, mid_h, mid_w, to, to_h, to_w);
    bnf_free(mid);
    return s;
}

/* ---- reading ---- */

/* The file's content. */
typedef struct store {
    int64_t n, h, w;
    float *maps;      /* [n, h, w] */
    int64_t *samples; /* [n]; NULL: 0, 1, ... */
} store;

static void store_release(store *s)
{
    bnf_free(s->maps);
    bnf_free(s->samples);
}

static bnf_status store_shape(int ndim, const int64_t *dim, store *s)
{
    if (ndim != 3 || dim[0] < 1 || dim[1] < 1 || dim[2] < 1)
        return bnf_fail(BNF_ERR_FORMAT, "'maps' must have three extents: maps, rows, columns");
    s->n = dim[0];
    s->h = dim[1];
    s->w = dim[2];
    return bnf_alloc((size_t)(s->n * s->h * s->w) * sizeof *s->maps, "human maps", &s->maps);
}

static bnf_status read_h5(bnf_h5_file *file, store *s)
{
    bnf_h5_dataset *maps, *samples = NULL;
    bool numbered;
    int ndim;
    BNF_TRY(bnf_h5_dataset_open(file, "/maps", &maps));
    bnf_status status = bnf_h5_dataset_expect(maps, BNF_F32, 3, (int64_t[]){-1, -1, -1});
    if (status == BNF_OK) {
        const int64_t *dim = bnf_h5_dataset_dims(maps, &ndim);
        status = store_shape(ndim, dim, s);
    }
    if (status == BNF_OK)
        status = bnf_h5_dataset_read(maps, BNF_F32, s->maps);
    if (status == BNF_OK)
        status = bnf_h5_exists(file, "/samples", &numbered);
    if (status == BNF_OK && numbered) {
        status = bnf_h5_dataset_open(file, "/samples", &samples);
        if (status == BNF_OK)
            status = bnf_h5_dataset_expect(samples, BNF_I64, 1, &s->n);
        if (status == BNF_OK)
            status = bnf_alloc((size_t)s->n * sizeof *s->samples, "samples of human maps", &s->samples);
        if (status == BNF_OK)
            status = bnf_h5_dataset_read(samples, BNF_I64, s->samples);
    }
    bnf_h5_dataset_close(samples);
    bnf_h5_dataset_close(maps);
    return status;
}

static bnf_status take_arrays(const bnf_arrays *arrays, store *s)
{
    const bnf_array *maps = NULL, *samples = NULL;
    for (int64_t i = 0; i < arrays->count; i++) {
        const bnf_array *a = &arrays->item[i];
        if (strcmp(a->name, "maps") == 0 || a->name[0] == 0)
            maps = a;
        else if (strcmp(a->name, "samples") == 0)
            samples = a;
    }
    if (!maps)
        return bnf_fail(BNF_ERR_FORMAT, "there is no array 'maps'");
    if (!maps->f32)
        return bnf_fail(BNF_ERR_FORMAT, "'maps' has elements of type %s, must be f32", maps->dtype);
    BNF_TRY(store_shape(maps->ndim, maps->dim, s));
    memcpy(s->maps, maps->values, (size_t)(s->n * s->h * s->w) * sizeof *s->maps);
    if (!samples)
        return BNF_OK;
    if (strcmp(samples->dtype, "<i8") != 0 || samples->ndim != 1 || samples->dim[0] != s->n)
        return bnf_fail(BNF_ERR_FORMAT, "'samples' must be one i64 for each of the %lld maps", (long long)s->n);
    BNF_TRY(bnf_alloc((size_t)s->n * sizeof *s->samples, "samples of human maps", &s->samples));
    memcpy(s->samples, samples->values, (size_t)s->n * sizeof *s->samples);
    return BNF_OK;
}

static bnf_status read_store(const char *path, store *s)
{
    const char *suffix = strrchr(path, '.');
    bnf_status status;
    if (suffix && (strcmp(suffix, ".npz") == 0 || strcmp(suffix, ".npy") == 0)) {
        bnf_arrays arrays = {0};
        status = bnf_arrays_read(path, &arrays);
        if (status == BNF_OK) {
            status = take_arrays(&arrays, s);
            if (status != BNF_OK)
                bnf_fail_context(status, "%s", path);
        }
        bnf_arrays_release(&arrays);
        return status;
    }
    bnf_h5_file *file;
    BNF_TRY(bnf_h5_file_open(path, &file));
    status = read_h5(file, s);
    bnf_h5_file_close(file);
    return status;
}

static bnf_status take_maps(const store *s, const bnf_lipschitz_human_settings *set, int64_t first, int64_t n,
                            int64_t h, int64_t w, bnf_lipschitz_human *human)
{
    for (int64_t i = 0; i < s->n; i++) {
        int64_t sample = s->samples ? s->samples[i] : i, at;
        if (sample < first || sample >= first + n)
            continue;
        at = sample - first;
        if (human->map[at])
            return bnf_fail(BNF_ERR_FORMAT, "there are two maps of sample %lld", (long long)sample);
        float *to = human->values + at * h * w;
        BNF_TRY(prepare(set, s->maps + i * s->h * s->w, s->h, s->w, to, h, w));
        human->map[at] = to;
        human->count++;
    }
    return BNF_OK;
}

bnf_status bnf_lipschitz_human_read(const char *path, const bnf_lipschitz_human_settings *settings, int64_t first,
                                    int64_t n, int64_t h, int64_t w, bnf_lipschitz_human *human)
{
    store content = {0};
    *human = (bnf_lipschitz_human){0};
    bnf_status s = read_store(path, &content);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)(n * h * w), sizeof *human->values, "human maps", &human->values);
    if (s == BNF_OK)
        s = bnf_calloc((size_t)n, sizeof *human->map, "human maps", &human->map);
    if (s == BNF_OK) {
        s = take_maps(&content, settings, first, n, h, w, human);
        if (s != BNF_OK)
            bnf_fail_context(s, "%s", path);
    }
    store_release(&content);
    if (s != BNF_OK)
        bnf_lipschitz_human_release(human);
    return s;
}

void bnf_lipschitz_human_release(bnf_lipschitz_human *human)
{
    bnf_free(human->values);
    bnf_free(human->map);
    *human = (bnf_lipschitz_human){0};
}
