/* The source over .npz archives of NumPy: an array of images, u8 or f32, and one of labels, in one file per part or
 * in one for both. Every rank reads whole files: a compressed archive cannot be read in part. */
#include "base/arrays.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/philox.h"
#include "comm/agree.h"
#include "data/source.h"

#include <stdio.h>
#include <string.h>

struct npz_file {
    const char *path;
    bnf_arrays arrays;
    const bnf_array *images;
    int32_t *labels; /* [n] */
    int64_t n;
};

struct npz_source {
    bnf_source base;         /* first: a bnf_source pointer is a npz_source pointer */
    const char *images_name; /* of the arrays */
    struct npz_file file[2]; /* training, test; the second is not used if the first is divided */
    int64_t *from[2];        /* divided: [count] the items of either part; else NULL */
    int64_t sample_bytes;
};

/* ---- samples ---- */

static int64_t item_of(const struct npz_source *s, bnf_split split, int64_t index)
{
    return s->from[split] ? s->from[split][index] : index;
}

static const struct npz_file *file_of(const struct npz_source *s, bnf_split split)
{
    return &s->file[s->from[split] ? 0 : split];
}

static void copy_samples(const struct npz_source *s, bnf_split split, int64_t first, int64_t count, void *images,
                         int32_t *labels)
{
    const struct npz_file *f = file_of(s, split);
    for (int64_t i = 0; i < count; i++) {
        int64_t item = item_of(s, split, first + i);
        labels[i] = f->labels[item];
        memcpy((char *)images + i * s->sample_bytes, (const char *)f->images->values + item * s->sample_bytes,
               (size_t)s->sample_bytes);
    }
}

static bnf_status npz_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                           int32_t *labels)
{
    copy_samples((struct npz_source *)source, split, first, count, images, labels);
    return BNF_OK;
}

static bnf_status npz_read_f32(bnf_source *source, bnf_split split, int64_t first, int64_t count, float *images,
                               int32_t *labels)
{
    copy_samples((struct npz_source *)source, split, first, count, images, labels);
    return BNF_OK;
}

static void npz_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    const struct npz_source *s = (const struct npz_source *)source;
    snprintf(text, size, "'%s', array '%s', item %lld", file_of(s, split)->path, s->images_name,
             (long long)item_of(s, split, index));
}

static void npz_destroy(bnf_source *source)
{
    struct npz_source *s = (struct npz_source *)source;
    for (int k = 0; k < 2; k++) {
        bnf_arrays_release(&s->file[k].arrays);
        bnf_free(s->file[k].labels);
        bnf_free(s->from[k]);
    }
    bnf_source_release(source);
    bnf_free(s);
}

/* ---- arrays ---- */

static bnf_status find(const struct npz_file *f, const char *name, const bnf_array **array)
{
    *array = bnf_arrays_find(&f->arrays, name);
    if (*array)
        return BNF_OK;
    bnf_buf names = {0};
    for (int64_t i = 0; i < f->arrays.count; i++)
        bnf_buf_printf(&names, "%s%s", i ? ", " : "", f->arrays.item[i].name);
    bnf_status s =
        bnf_fail(BNF_ERR_FORMAT, "'%s' has no array '%s'; there are: %s", f->path, name, bnf_buf_text(&names));
    bnf_buf_release(&names);
    return s;
}

/* Labels of any of the usual types as i32; what does not fit is refused here, what is no class by the import. */
static bnf_status read_labels(struct npz_file *f, const char *name)
{
    const bnf_array *a;
    char shape[256];
    BNF_TRY(find(f, name, &a));
    bool u8 = strcmp(a->dtype, "|u1") == 0, i32 = strcmp(a->dtype, "<i4") == 0, i64 = strcmp(a->dtype, "<i8") == 0;
    if (!u8 && !i32 && !i64)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': array '%s' has elements of type %s; labels are i32, i64 or u8", f->path,
                        name, a->dtype);
    if (a->ndim != 1 || a->dim[0] != f->n)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': array '%s' has the shape %s; a label for each of %lld images is needed",
                        f->path, name, bnf_array_shape_text(a->ndim, a->dim, shape, sizeof shape), (long long)f->n);
    BNF_TRY(bnf_alloc((size_t)f->n * sizeof *f->labels, "labels of an .npz file", &f->labels));
    for (int64_t i = 0; i < f->n; i++) {
        const char *at = (const char *)a->values + i * (u8 ? 1 : i32 ? 4 : 8);
        int32_t narrow = (uint8_t)*at;
        int64_t wide = 0;
        if (i32)
            memcpy(&narrow, at, sizeof narrow);
        if (i64)
            memcpy(&wide, at, sizeof wide);
        if (wide < INT32_MIN || wide > INT32_MAX)
            return bnf_fail(BNF_ERR_FORMAT, "'%s': array '%s': label %lld of item %lld is out of range", f->path, name,
                            (long long)wide, (long long)i);
        f->labels[i] = i64 ? (int32_t)wide : narrow;
    }
    return BNF_OK;
}

/* Takes the images' shape and type, or compares them with those of the training images. */
static bnf_status take_shape(struct npz_source *s, struct npz_file *f, bool first)
{
    const bnf_array *a = f->images;
    bool u8 = strcmp(a->dtype, "|u1") == 0;
    char shape[256];
    bnf_array_shape_text(a->ndim, a->dim, shape, sizeof shape);
    if (!u8 && !a->f32)
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s': array '%s' has elements of type %s; images are u8 or f32 "
                        "(in NumPy: images.astype(numpy.float32))",
                        f->path, s->images_name, a->dtype);
    if ((a->ndim != 3 && a->ndim != 4) || bnf_array_elements(a) < 1)
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s': array '%s' has the shape %s; images are [n, rows, columns] or [n, rows, "
                        "columns, channels], none of them 0",
                        f->path, s->images_name, shape);
    int64_t c = a->ndim == 4 ? a->dim[3] : 1;
    if (first) {
        s->base.h = a->dim[1];
        s->base.w = a->dim[2];
        s->base.c = c;
        s->base.read_f32 = u8 ? NULL : npz_read_f32;
        s->sample_bytes = a->dim[1] * a->dim[2] * c * (u8 ? 1 : 4);
    } else if (a->dim[1] != s->base.h || a->dim[2] != s->base.w || c != s->base.c || u8 != !s->base.read_f32) {
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s': array '%s' has the shape %s of type %s; '%s' has images of %lld x %lld x "
                        "%lld of type %s",
                        f->path, s->images_name, shape, a->dtype, s->file[0].path, (long long)s->base.h,
                        (long long)s->base.w, (long long)s->base.c, s->file[0].images->dtype);
    }
    f->n = a->dim[0];
    return BNF_OK;
}

static bnf_status open_file(struct npz_source *s, int k, const char *path, const char *labels)
{
    struct npz_file *f = &s->file[k];
    f->path = path;
    BNF_TRY(bnf_fs_read(path, &f->arrays.content));
    bnf_status status = bnf_arrays_parse_npz(&f->arrays);
    if (status != BNF_OK)
        return bnf_fail_context(status, "%s", path);
    BNF_TRY(find(f, s->images_name, &f->images));
    BNF_TRY(take_shape(s, f, k == 0));
    return read_labels(f, labels);
}

/* ---- the source ---- */

/* Every item of the first file goes into the test part with the probability `fraction`: a function of its number. */
static bnf_status divide(struct npz_source *s, double fraction)
{
    const struct npz_file *f = &s->file[0];
    bnf_philox_key key = bnf_philox_key_make(0, BNF_STREAM_SPLIT);
    for (int k = 0; k < 2; k++)
        BNF_TRY(bnf_alloc((size_t)f->n * sizeof **s->from, "division of an .npz file", &s->from[k]));
    for (int64_t i = 0; i < f->n; i++) {
        bnf_philox_block b = bnf_philox(key, bnf_philox_counter(0, (uint64_t)i, 0));
        int split = bnf_philox_unit_f64(b.v[0], b.v[1]) < fraction ? BNF_TEST : BNF_TRAIN;
        s->from[split][s->base.count[split]++] = i;
    }
    if (s->base.count[BNF_TRAIN] == 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': a test fraction of %g leaves no image to train on", f->path, fraction);
    return BNF_OK;
}

static bnf_status set_classes(struct npz_source *s, const bnf_import_npz_options *o)
{
    const struct npz_file *f = &s->file[0];
    int64_t largest = 0;

    for (int64_t i = 0; i < f->n; i++)
        largest = f->labels[i] > largest ? f->labels[i] : largest;
    return bnf_source_set_classes(&s->base, o->classes, o->name_count, o->names, largest, f->path);
}

static bnf_status open_all(struct npz_source *s, const bnf_import_npz_options *o)
{
    const char *labels = o->labels ? o->labels : "labels";
    if (!o->train)
        return bnf_fail(BNF_ERR_ARG, "an .npz import needs a file");
    if (!(o->test_fraction >= 0 && o->test_fraction < 1))
        return bnf_fail(BNF_ERR_ARG, "a test fraction of %g: it must lie in [0,1)", o->test_fraction);
    if (o->test && o->test_fraction > 0)
        return bnf_fail(BNF_ERR_ARG, "a test file and a test fraction exclude each other");
    s->images_name = o->images ? o->images : "images";
    BNF_TRY(open_file(s, 0, o->train, labels));
    if (o->test)
        BNF_TRY(open_file(s, 1, o->test, labels));
    if (o->test_fraction > 0) {
        BNF_TRY(divide(s, o->test_fraction));
    } else {
        s->base.count[BNF_TRAIN] = s->file[0].n;
        s->base.count[BNF_TEST] = s->file[1].n;
    }
    BNF_TRY(set_classes(s, o));
    return bnf_source_describe(&s->base, "npz, from %s", o->train);
}

bnf_status bnf_source_npz(const bnf_comm *comm, const bnf_import_npz_options *options, bnf_source **source)
{
    struct npz_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, ".npz source", &s);

    if (status == BNF_OK) {
        s->base.read = npz_read;
        s->base.locate = npz_locate;
        s->base.destroy = npz_destroy;
        status = open_all(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_import_npz(const bnf_comm *comm, const bnf_import_npz_options *options, const bnf_import_output *output,
                          bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_npz(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
