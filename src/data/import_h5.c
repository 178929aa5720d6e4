/* The source over HDF5 files of detector images: one array of planes per detector. */
#include "base/mem.h"
#include "comm/agree.h"
#include "data/file_list.h"
#include "h5/dataset.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOWER = 5, ROWS = 8 }; /* cells that are summed, either way; planes that are read at a time */

struct h5_source {
    bnf_source base; /* first: a bnf_source pointer is a h5_source pointer */
    bnf_file_list list;
    bool full, mask;
    double threshold;
    int64_t channels;
    const char *const *names; /* [channels] of the arrays; borrowed */
    bnf_h5_file *file;        /* the one that is open; NULL: none */
    bnf_h5_dataset *array[BNF_DATA_MAX_CHANNELS];
    int64_t held;     /* its number; -1: none */
    int64_t eta, phi; /* extents of a plane */
    float *planes;    /* [ROWS, eta, phi] */
    double *sums;     /* [h, w] of one channel */
};

/* ---- Files ---- */

static void close_file(struct h5_source *s)
{
    for (int64_t c = 0; c < s->channels; c++) {
        (void)bnf_h5_dataset_close(s->array[c]); /* only read: nothing can be lost */
        s->array[c] = NULL;
    }
    (void)bnf_h5_file_close(s->file);
    s->file = NULL;
    s->held = -1;
}

/* [out] found  images and extents of the file that is open; all its arrays have the same. */
static bnf_status compare_arrays(struct h5_source *s, bnf_listed_file *found)
{
    int64_t shape[] = {-1, -1, -1};
    int ndim;

    for (int64_t c = 0; c < s->channels; c++) {
        BNF_TRY(bnf_h5_dataset_expect(s->array[c], BNF_F32, 3, shape));
        memcpy(shape, bnf_h5_dataset_dims(s->array[c], &ndim), sizeof shape);
        if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1)
            return bnf_fail(BNF_ERR_FORMAT, "file '%s', dataset '%s': it has no images", bnf_h5_file_path(s->file),
                            s->names[c]);
    }
    found->n = shape[0];
    found->h = shape[1];
    found->w = shape[2];
    found->c = s->channels;
    found->type = BNF_F32;
    return BNF_OK;
}

/* Opens file k in place of the one that is open. [out] found  its extents. */
static bnf_status load(struct h5_source *s, int64_t k, bnf_listed_file *found)
{
    close_file(s);
    BNF_TRY(bnf_h5_file_open(s->list.file[k].path, &s->file));
    for (int64_t c = 0; c < s->channels; c++)
        BNF_TRY(bnf_h5_dataset_open(s->file, s->names[c], &s->array[c]));
    BNF_TRY(compare_arrays(s, found));
    s->held = k;
    return BNF_OK;
}

static bnf_status look(bnf_source *source, int64_t k)
{
    struct h5_source *s = (struct h5_source *)source;
    return load(s, k, &s->list.file[k]);
}

static bnf_status hold(struct h5_source *s, int64_t k)
{
    const bnf_listed_file *f = &s->list.file[k];
    bnf_listed_file now;

    if (s->held == k)
        return BNF_OK;
    BNF_TRY(load(s, k, &now));
    if (now.n != f->n || now.h != f->h || now.w != f->w)
        return bnf_fail(BNF_ERR_IO, "'%s' has changed while it was imported", f->path);
    return BNF_OK;
}

/* ---- Images ---- */

/* Towers along an axis of n cells, and the zeros before its first cell. */
static int64_t towers(int64_t n)
{
    return (n + TOWER - 1) / TOWER;
}

static int64_t margin(int64_t n)
{
    return (towers(n) * TOWER - n) / 2;
}

static void put(const struct h5_source *s, void *image, int64_t at, float value)
{
    if (s->mask)
        ((uint8_t *)image)[at] = value > s->threshold ? 255 : 0;
    else
        ((float *)image)[at] = value;
}

/* plane[eta, phi] -> image[eta, phi, channel]. */
static void keep_plane(const struct h5_source *s, const float *plane, int64_t channel, void *image)
{
    for (int64_t i = 0; i < s->eta * s->phi; i++)
        put(s, image, i * s->channels + channel, plane[i]);
}

/* plane[eta, phi] -> image[phi towers, eta towers, channel]: sums in double precision, in the order of the cells. */
static void sum_plane(const struct h5_source *s, const float *plane, int64_t channel, void *image)
{
    const int64_t h = s->base.h, w = s->base.w, above = margin(s->phi), left = margin(s->eta);

    memset(s->sums, 0, (size_t)(h * w) * sizeof *s->sums);
    for (int64_t y = 0; y < s->eta; y++) {
        double *column = s->sums + (y + left) / TOWER;
        for (int64_t x = 0; x < s->phi; x++)
            column[(x + above) / TOWER * w] += plane[y * s->phi + x];
    }
    for (int64_t i = 0; i < h * w; i++)
        put(s, image, i * s->channels + channel, (float)s->sums[i]);
}

static bnf_status check_finite(const struct h5_source *s, int64_t k, int64_t channel, int64_t item, const float *plane)
{
    for (int64_t i = 0; i < s->eta * s->phi; i++)
        if (!isfinite(plane[i]))
            return bnf_fail(BNF_ERR_NUMERIC,
                            "file '%s', dataset '%s', image %lld: cell (%lld, %lld) is NaN or infinite",
                            s->list.file[k].path, s->names[channel], (long long)item, (long long)(i / s->phi),
                            (long long)(i % s->phi));
    return BNF_OK;
}

/* Images [item, item + count) of file k, at most ROWS of them. */
static bnf_status read_run(struct h5_source *s, int64_t k, int64_t item, int64_t count, char *images)
{
    const int64_t cells = s->eta * s->phi;
    const int64_t bytes = s->base.h * s->base.w * s->channels * (s->mask ? 1 : (int64_t)sizeof(float));

    BNF_TRY(hold(s, k));
    for (int64_t c = 0; c < s->channels; c++) {
        BNF_TRY(bnf_h5_dataset_read_rows(s->array[c], BNF_F32, item, count, s->planes));
        for (int64_t i = 0; i < count; i++) {
            const float *plane = s->planes + i * cells;
            BNF_TRY(check_finite(s, k, c, item + i, plane));
            (s->full ? keep_plane : sum_plane)(s, plane, c, images + i * bytes);
        }
    }
    return BNF_OK;
}

/* Samples [first, first + count): runs of neighbours of one file are read together. */
static bnf_status read_samples(struct h5_source *s, bnf_split split, int64_t first, int64_t count, char *images,
                               int32_t *labels)
{
    const int64_t bytes = s->base.h * s->base.w * s->channels * (s->mask ? 1 : (int64_t)sizeof(float));

    for (int64_t i = 0; i < count;) {
        int64_t k, item, run = 1;
        bnf_file_list_find(&s->list, split, first + i, &k, &item);
        for (; run < ROWS && i + run < count; run++) {
            int64_t next_k, next;
            bnf_file_list_find(&s->list, split, first + i + run, &next_k, &next);
            if (next_k != k || next != item + run)
                break;
        }
        BNF_TRY(read_run(s, k, item, run, images + i * bytes));
        for (int64_t end = i + run; i < end; i++)
            labels[i] = s->list.file[k].label;
    }
    return BNF_OK;
}

static bnf_status h5_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                          int32_t *labels)
{
    return read_samples((struct h5_source *)source, split, first, count, (char *)images, labels);
}

static bnf_status h5_read_f32(bnf_source *source, bnf_split split, int64_t first, int64_t count, float *images,
                              int32_t *labels)
{
    return read_samples((struct h5_source *)source, split, first, count, (char *)images, labels);
}

static void h5_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    const struct h5_source *s = (const struct h5_source *)source;
    int64_t k, item;
    bnf_file_list_find(&s->list, split, index, &k, &item);
    snprintf(text, size, "'%s', image %lld", s->list.file[k].path, (long long)item);
}

static void h5_destroy(bnf_source *source)
{
    struct h5_source *s = (struct h5_source *)source;
    close_file(s);
    bnf_file_list_release(&s->list);
    bnf_free(s->planes);
    bnf_free(s->sums);
    bnf_source_release(source);
    bnf_free(s);
}

/* ---- The source ---- */

static bnf_status check_options(const bnf_import_h5_options *o)
{
    if (!o->files[BNF_TRAIN].classes)
        return bnf_fail(BNF_ERR_ARG, "HDF5 files of detector images hold no labels: their classes have to be named");
    if (o->channel_count < 1 || o->channel_count > BNF_DATA_MAX_CHANNELS)
        return bnf_fail(BNF_ERR_ARG, "%lld channels: it must be 1 to %d", (long long)o->channel_count,
                        BNF_DATA_MAX_CHANNELS);
    for (int64_t i = 0; i < o->channel_count; i++)
        for (int64_t j = 0; j < i; j++)
            if (strcmp(o->channels[i], o->channels[j]) == 0)
                return bnf_fail(BNF_ERR_ARG, "the channel '%s' is named twice", o->channels[i]);
    if (o->mask && !isfinite(o->threshold))
        return bnf_fail(BNF_ERR_ARG, "a threshold of %g: it must be a number", o->threshold);
    return BNF_OK;
}

/* From the planes' extents to those of the images; room for both. */
static bnf_status choose_shape(struct h5_source *s)
{
    bnf_source *b = &s->base;

    s->eta = b->h;
    s->phi = b->w;
    b->h = s->full ? s->eta : towers(s->phi);
    b->w = s->full ? s->phi : towers(s->eta);
    if (s->mask)
        b->read = h5_read;
    else
        b->read_f32 = h5_read_f32;
    BNF_TRY(bnf_alloc((size_t)(ROWS * s->eta * s->phi) * sizeof *s->planes, "planes of detectors", &s->planes));
    return bnf_alloc((size_t)(b->h * b->w) * sizeof *s->sums, "sums over planes", &s->sums);
}

static bnf_status open_all(const bnf_comm *comm, struct h5_source *s, const bnf_import_h5_options *o)
{
    BNF_TRY(check_options(o));
    s->full = o->full;
    s->mask = o->mask;
    s->threshold = o->threshold;
    s->channels = o->channel_count;
    s->names = o->channels;
    BNF_TRY(bnf_file_list_make(comm, o->files, ".h5", &s->list, &s->base));
    BNF_TRY(bnf_file_list_survey(comm, &s->list, o->test_fraction, &s->base, look));
    BNF_TRY(choose_shape(s));
    return bnf_source_describe(&s->base, "detector images%s%s, from %s", s->full ? "" : ", summed over 5 x 5 cells",
                               s->mask ? ", masks" : "", s->list.file[0].path);
}

bnf_status bnf_source_h5(const bnf_comm *comm, const bnf_import_h5_options *options, bnf_source **source)
{
    struct h5_source *s = NULL;
    bnf_status status = bnf_comm_agree(comm, bnf_calloc(1, sizeof *s, "source of detector images", &s));

    if (status != BNF_OK) {
        bnf_free(s);
        *source = NULL;
        return status;
    }
    s->held = -1;
    s->base.locate = h5_locate;
    s->base.destroy = h5_destroy;
    return bnf_source_settle(comm, open_all(comm, s, options), &s->base, source);
}

bnf_status bnf_import_h5(const bnf_comm *comm, const bnf_import_h5_options *options, const bnf_import_output *output,
                         bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_h5(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
