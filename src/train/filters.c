/* train/filters.c - statistics of spatial filters. */
#include "train/filters.h"

#include "base/fs.h"
#include "base/mem.h"
#include "la/eig.h"
#include "report/colormap.h"
#include "report/image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PER_ROW = 8, CELL = 12, GAP = 12 }; /* of the picture; pixels */
enum { RANDOM_LEAST = 3 };                 /* kernels from which on the entropy of random ones is positive */

/* ---- one layer ------------------------------------------------------------------------------------------------- */

static void means_of(int64_t n, int64_t positions, const float *w, double *mean)
{
    for (int64_t k = 0; k < positions; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)w[i * positions + k];
        mean[k] = sum / (double)n;
    }
}

/* a[positions, positions] = centred' centred */
static void scatter(int64_t n, int64_t positions, const float *w, const double *mean, double *a)
{
    for (int64_t j = 0; j < positions; j++)
        for (int64_t k = 0; k <= j; k++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += ((double)w[i * positions + j] - mean[j]) * ((double)w[i * positions + k] - mean[k]);
            a[j * positions + k] = a[k * positions + j] = sum;
        }
}

/* What rounding leaves of the scatter of kernels that are all the same. */
static double noise_of(int64_t n, int64_t positions, const float *w)
{
    double square = 0;
    for (int64_t i = 0; i < n * positions; i++)
        square += (double)w[i] * (double)w[i];
    return 1e-24 * square;
}

bnf_status bnf_filters_entropy(int64_t n, int64_t positions, const float *w, double *entropy)
{
    double *space, total = 0;
    if (positions > BNF_LA_EIG_MAX)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "kernels of %lld positions: at most %d", (long long)positions,
                        BNF_LA_EIG_MAX);
    size_t square = (size_t)(positions * positions), scratch = bnf_la_eig_scratch(positions, false);
    BNF_TRY(bnf_alloc((square + 2 * (size_t)positions) * sizeof *space + scratch, "filter statistics", &space));
    double *mean = space + square, *lambda = mean + positions;
    means_of(n, positions, w, mean);
    scatter(n, positions, w, mean, space);
    bnf_status s = bnf_la_eig(positions, false, space, lambda, lambda + positions);
    for (int64_t k = 0; k < positions; k++)
        total += lambda[k];
    *entropy = 0;
    for (int64_t k = 0; k < positions && s == BNF_OK && total > noise_of(n, positions, w); k++)
        if (lambda[k] > 0)
            *entropy -= lambda[k] / total * log10(lambda[k] / total);
    bnf_free(space);
    return s;
}

double bnf_filters_random_entropy(int64_t n)
{
    return 1.2618047 / (1 + exp(-0.88767525 * (log2((double)n) - 2.30436435))) - 0.31050834;
}

void bnf_filters_variance(int64_t n, int64_t positions, const float *w, double *map)
{
    double sum = 0, all = 0;
    means_of(n, positions, w, map);
    for (int64_t k = 0; k < positions; k++)
        sum += map[k] / (double)positions;
    for (int64_t i = 0; i < n * positions; i++)
        all += ((double)w[i] - sum) * ((double)w[i] - sum);
    for (int64_t k = 0; k < positions; k++) {
        double mean = map[k], square = 0;
        for (int64_t i = 0; i < n; i++)
            square += ((double)w[i * positions + k] - mean) * ((double)w[i * positions + k] - mean);
        map[k] = all > 0 ? square * (double)positions / all : 0;
    }
}

/* ---- a checkpoint ---------------------------------------------------------------------------------------------- */

static const char prefix[] = "params/";

static bool has_filters(const bnf_ckpt_entry *e)
{
    return strncmp(e->name, prefix, sizeof prefix - 1) == 0 && e->ndim == 4 && e->dtype == BNF_F32 &&
           e->dim[2] * e->dim[3] > 1;
}

static bnf_status read_layer(bnf_ckpt_reader *reader, const bnf_ckpt_entry *e, bnf_filters_layer *l)
{
    const int64_t n = e->dim[0] * e->dim[1], positions = e->dim[2] * e->dim[3];
    float *w;
    *l = (bnf_filters_layer){.out = e->dim[0], .in = e->dim[1], .height = e->dim[2], .width = e->dim[3]};
    BNF_TRY(bnf_strdup(e->name + sizeof prefix - 1, &l->name));
    BNF_TRY(bnf_alloc((size_t)positions * sizeof *l->map, "variance map", &l->map));
    BNF_TRY(bnf_alloc((size_t)(n * positions) * sizeof *w, "filters", &w));
    bnf_status s = bnf_ckpt_reader_read(reader, e->name, e->dtype, e->ndim, e->dim, w);
    if (s == BNF_OK)
        s = bnf_filters_entropy(n, positions, w, &l->entropy);
    if (s == BNF_OK)
        bnf_filters_variance(n, positions, w, l->map);
    l->relative =
        l->height == 3 && l->width == 3 && n >= RANDOM_LEAST ? l->entropy / bnf_filters_random_entropy(n) : NAN;
    bnf_free(w);
    return s == BNF_OK ? s : bnf_fail_context(s, "weight '%s'", l->name);
}

static bnf_status read_all(bnf_ckpt_reader *reader, bnf_filters *f)
{
    int64_t entries = bnf_ckpt_reader_count(reader);
    BNF_TRY(bnf_calloc((size_t)entries + 1, sizeof *f->layer, "filter statistics", &f->layer));
    for (int64_t i = 0; i < entries; i++) {
        const bnf_ckpt_entry *e = bnf_ckpt_reader_entry(reader, i);
        if (!has_filters(e))
            continue;
        bnf_filters_layer *l = &f->layer[f->count++];
        BNF_TRY(read_layer(reader, e, l));
        for (int64_t k = 0; k < l->height * l->width; k++)
            f->most = fmax(f->most, l->map[k]);
    }
    return BNF_OK;
}

bnf_status bnf_filters_read(const char *checkpoint, bnf_filters *filters)
{
    bnf_ckpt_reader *reader;
    *filters = (bnf_filters){0};
    BNF_TRY(bnf_ckpt_reader_open(checkpoint, &reader));
    bnf_status s = read_all(reader, filters);
    bnf_ckpt_reader_close(reader);
    if (s == BNF_OK && filters->count == 0)
        s = bnf_fail(BNF_ERR_FORMAT, "%s holds no convolution with spatial filters", checkpoint);
    if (s != BNF_OK)
        bnf_filters_release(filters);
    return s;
}

void bnf_filters_release(bnf_filters *filters)
{
    for (int64_t i = 0; i < filters->count; i++) {
        bnf_free(filters->layer[i].name);
        bnf_free(filters->layer[i].map);
    }
    bnf_free(filters->layer);
    *filters = (bnf_filters){0};
}

/* ---- picture --------------------------------------------------------------------------------------------------- */

static void draw_map(const bnf_filters_layer *l, double most, uint8_t *at, int64_t row_bytes)
{
    for (int64_t y = 0; y < l->height * CELL; y++)
        for (int64_t x = 0; x < l->width * CELL; x++)
            bnf_colormap_color(BNF_COLORMAP_MAGNITUDE, most > 0 ? l->map[y / CELL * l->width + x / CELL] / most : 0,
                               at + y * row_bytes + 3 * x);
}

bnf_status bnf_filters_draw(const bnf_filters *filters, const char *path)
{
    int64_t side = 0, columns = filters->count < PER_ROW ? filters->count : PER_ROW;
    int64_t rows = (filters->count + columns - 1) / columns;
    for (int64_t i = 0; i < filters->count; i++) {
        side = filters->layer[i].height > side ? filters->layer[i].height : side;
        side = filters->layer[i].width > side ? filters->layer[i].width : side;
    }
    side = side * CELL + GAP;
    const int64_t height = rows * side + GAP, width = columns * side + GAP;
    uint8_t *pixels, *png;
    size_t bytes = 0;
    BNF_TRY(bnf_alloc((size_t)(3 * height * width), "picture of variance maps", &pixels));
    memset(pixels, 255, (size_t)(3 * height * width));
    for (int64_t i = 0; i < filters->count; i++)
        draw_map(&filters->layer[i], filters->most,
                 pixels + 3 * ((GAP + i / columns * side) * width + GAP + i % columns * side), 3 * width);
    bnf_status s = bnf_png_encode(pixels, height, width, 3, &png, &bytes);
    bnf_free(pixels);
    BNF_TRY(s);
    s = bnf_fs_write_atomic(path, png, bytes);
    bnf_free(png);
    return s;
}
