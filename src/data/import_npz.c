/* The source over .npz archives of NumPy: files with an array of images and one of labels, or with the images of one
 * class. A compressed archive cannot be read in part: a rank holds the one file whole that its samples are in. */
#include "base/arrays.h"
#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "data/file_list.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { U8 = 1, F16, F32 }; /* of a listed file's images */
static const int64_t element_bytes[] = {[U8] = 1, [F16] = 2, [F32] = 4};

struct npz_source {
    bnf_source base; /* first: a bnf_source pointer is a npz_source pointer */
    bnf_file_list list;
    const char *images_name, *labels_name; /* of the arrays */
    bnf_arrays arrays;                     /* of the file in memory */
    const bnf_array *images;               /* its images */
    int64_t held;                          /* its number; -1: none */
    bnf_buf seen;       /* int32_t labels of the files that this rank looked at, one after the other */
    int64_t *labels;    /* [images of all files]; NULL: files of one class */
    int64_t test_first; /* number among all of the first image of the test files */
    int64_t channel;    /* the first that is kept */
    bool mask;
    double threshold;
};

/* ---- Arrays ---- */

static bnf_status find(const struct npz_source *s, int64_t k, const char *name, const bnf_array **array)
{
    *array = bnf_arrays_find(&s->arrays, name);
    if (*array)
        return BNF_OK;
    bnf_buf names = {0};
    for (int64_t i = 0; i < s->arrays.count; i++)
        bnf_buf_printf(&names, "%s%s", i ? ", " : "", s->arrays.item[i].name);
    bnf_status status = bnf_fail(BNF_ERR_FORMAT, "'%s' has no array '%s'; there are: %s", s->list.file[k].path, name,
                                 bnf_buf_text(&names));
    bnf_buf_release(&names);
    return status;
}

/* The IEEE half-precision number of these bits. */
static float half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 31  ? (fraction ? NAN : INFINITY)
                 : exponent == 0 ? ldexpf((float)fraction, -24)
                                 : ldexpf((float)(1024 + fraction), exponent - 25);
    return bits >> 15 ? -size : size;
}

/* Element i of an array of labels of a known type; an i64 that a double cannot hold is far beyond all labels. */
static double label_value(const bnf_array *a, int64_t i)
{
    union {
        uint8_t u8;
        uint16_t half;
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
    } v;
    int bytes = a->dtype[2] - '0';

    memcpy(&v, (const char *)a->values + i * bytes, (size_t)bytes);
    if (a->dtype[1] == 'f')
        return bytes == 2 ? (double)half_value(v.half) : bytes == 4 ? (double)v.f32 : v.f64;
    return bytes == 1 ? v.u8 : bytes == 4 ? v.i32 : (double)v.i64;
}

/* Appends the labels of file k, which is in memory; what does not fit is refused here, what is no class by the
 * import. */
static bnf_status read_labels(struct npz_source *s, int64_t k)
{
    static const char *const types[] = {"|u1", "<i4", "<i8", "<f2", "<f4", "<f8"};
    const bnf_listed_file *f = &s->list.file[k];
    const bnf_array *a;
    char shape[256];
    size_t t = 0;

    BNF_TRY(find(s, k, s->labels_name, &a));
    while (t < sizeof types / sizeof types[0] && strcmp(a->dtype, types[t]) != 0)
        t++;
    if (t == sizeof types / sizeof types[0])
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s': array '%s' has elements of type %s; labels are i32, i64, u8, or whole "
                        "numbers as f16, f32, f64",
                        f->path, s->labels_name, a->dtype);
    if (a->ndim != 1 || a->dim[0] != f->n)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': array '%s' has the shape %s; a label for each of %lld images is needed",
                        f->path, s->labels_name, bnf_array_shape_text(a->ndim, a->dim, shape, sizeof shape),
                        (long long)f->n);
    for (int64_t i = 0; i < f->n; i++) {
        double v = label_value(a, i);
        if (v != floor(v))
            return bnf_fail(BNF_ERR_FORMAT, "'%s': array '%s': label %g of item %lld is no whole number", f->path,
                            s->labels_name, v, (long long)i);
        if (!(v >= INT32_MIN && v <= INT32_MAX))
            return bnf_fail(BNF_ERR_FORMAT, "'%s': array '%s': label %.17g of item %lld is out of range", f->path,
                            s->labels_name, v, (long long)i);
        BNF_TRY(bnf_buf_append(&s->seen, &(int32_t){(int32_t)v}, sizeof(int32_t)));
    }
    return BNF_OK;
}

/* [out] found  extents and type of the images of file k, which is in memory. */
static bnf_status read_shape(struct npz_source *s, int64_t k, bnf_listed_file *found)
{
    const char *path = s->list.file[k].path;
    const bnf_array *a;
    char shape[256];

    BNF_TRY(find(s, k, s->images_name, &a));
    bool u8 = strcmp(a->dtype, "|u1") == 0, f16 = strcmp(a->dtype, "<f2") == 0;
    if (!u8 && !f16 && !a->f32)
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s': array '%s' has elements of type %s; images are u8, f16 or f32 "
                        "(in NumPy: images.astype(numpy.float32))",
                        path, s->images_name, a->dtype);
    if ((a->ndim != 3 && a->ndim != 4) || bnf_array_elements(a) < 1)
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s': array '%s' has the shape %s; images are [n, rows, columns] or [n, rows, "
                        "columns, channels], none of them 0",
                        path, s->images_name, bnf_array_shape_text(a->ndim, a->dim, shape, sizeof shape));
    s->images = a;
    found->n = a->dim[0];
    found->h = a->dim[1];
    found->w = a->dim[2];
    found->c = a->ndim == 4 ? a->dim[3] : 1;
    found->type = u8 ? U8 : f16 ? F16 : F32;
    return BNF_OK;
}

/* Reads file k in place of the one in memory. [out] found  its extents. */
static bnf_status load(struct npz_source *s, int64_t k, bnf_listed_file *found)
{
    const char *path = s->list.file[k].path;

    bnf_arrays_release(&s->arrays);
    s->held = -1;
    BNF_TRY(bnf_fs_read(path, &s->arrays.content));
    bnf_status status = bnf_arrays_parse_npz(&s->arrays);
    if (status != BNF_OK)
        return bnf_fail_context(status, "%s", path);
    BNF_TRY(read_shape(s, k, found));
    s->held = k;
    return BNF_OK;
}

static bnf_status hold(struct npz_source *s, int64_t k)
{
    const bnf_listed_file *f = &s->list.file[k];
    bnf_listed_file now;

    if (s->held == k)
        return BNF_OK;
    BNF_TRY(load(s, k, &now));
    if (now.n != f->n || now.h != f->h || now.w != f->w || now.c != f->c || now.type != f->type)
        return bnf_fail(BNF_ERR_IO, "'%s' has changed while it was imported", f->path);
    return BNF_OK;
}

static bnf_status look(bnf_source *source, int64_t k)
{
    struct npz_source *s = (struct npz_source *)source;
    BNF_TRY(load(s, k, &s->list.file[k]));
    return s->list.file[k].label < 0 ? read_labels(s, k) : BNF_OK;
}

/* ---- Samples ---- */

static void npz_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    const struct npz_source *s = (const struct npz_source *)source;
    int64_t k, item;
    bnf_file_list_find(&s->list, split, index, &k, &item);
    snprintf(text, size, "'%s', array '%s', item %lld", s->list.file[k].path, s->images_name, (long long)item);
}

/* Element i of images of floats. */
static float real_at(const char *images, int64_t type, int64_t i)
{
    float v;
    uint16_t half;
    if (type == F16) {
        memcpy(&half, images + 2 * i, sizeof half);
        return half_value(half);
    }
    memcpy(&v, images + 4 * i, sizeof v);
    return v;
}

/* The kept channels of an image; `from` has those of the file. */
static void take_reals(const struct npz_source *s, const bnf_listed_file *f, const char *from, float *image)
{
    const int64_t c = s->base.c;
    for (int64_t p = 0; p < f->h * f->w; p++)
        for (int64_t k = 0; k < c; k++)
            image[p * c + k] = real_at(from, f->type, p * f->c + s->channel + k);
}

/* The same as u8, or 255 where more than the threshold. False: a value is not finite. */
static bool take_bytes(const struct npz_source *s, const bnf_listed_file *f, const char *from, uint8_t *image)
{
    const int64_t c = s->base.c;
    for (int64_t p = 0; p < f->h * f->w; p++)
        for (int64_t k = 0; k < c; k++) {
            int64_t i = p * f->c + s->channel + k;
            double v = f->type == U8 ? (uint8_t)from[i] : real_at(from, f->type, i);
            if (!isfinite(v))
                return false;
            image[p * c + k] = !s->mask ? (uint8_t)v : v > s->threshold ? 255 : 0;
        }
    return true;
}

/* Where the labels of file k begin among those of all files. */
static int64_t first_label(const struct npz_source *s, int64_t k)
{
    return (k < s->list.files[BNF_TRAIN] ? 0 : s->test_first) + s->list.file[k].first;
}

/* Finds a sample, whose file is in memory then. [out] f, from  file and image; label. */
static bnf_status fetch(struct npz_source *s, bnf_split split, int64_t index, const bnf_listed_file **f,
                        const char **from, int32_t *label)
{
    int64_t k, item;

    bnf_file_list_find(&s->list, split, index, &k, &item);
    BNF_TRY(hold(s, k));
    *f = &s->list.file[k];
    *from = (const char *)s->images->values + item * (*f)->h * (*f)->w * (*f)->c * element_bytes[(*f)->type];
    *label = (*f)->label;
    if (s->labels)
        *label = (int32_t)s->labels[first_label(s, k) + item];
    return BNF_OK;
}

static bnf_status npz_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                           int32_t *labels)
{
    struct npz_source *s = (struct npz_source *)source;
    const bnf_listed_file *f;
    const char *from;

    for (int64_t i = 0; i < count; i++) {
        BNF_TRY(fetch(s, split, first + i, &f, &from, &labels[i]));
        if (take_bytes(s, f, from, images + i * source->h * source->w * source->c))
            continue;
        char where[PATH_MAX + 64];
        npz_locate(source, split, first + i, where, sizeof where);
        return bnf_fail(BNF_ERR_NUMERIC, "%s: the image holds NaN or infinity", where);
    }
    return BNF_OK;
}

static bnf_status npz_read_f32(bnf_source *source, bnf_split split, int64_t first, int64_t count, float *images,
                               int32_t *labels)
{
    struct npz_source *s = (struct npz_source *)source;
    const bnf_listed_file *f;
    const char *from;

    for (int64_t i = 0; i < count; i++) {
        BNF_TRY(fetch(s, split, first + i, &f, &from, &labels[i]));
        take_reals(s, f, from, images + i * source->h * source->w * source->c);
    }
    return BNF_OK;
}

static void npz_destroy(bnf_source *source)
{
    struct npz_source *s = (struct npz_source *)source;
    bnf_file_list_release(&s->list);
    bnf_arrays_release(&s->arrays);
    bnf_buf_release(&s->seen);
    bnf_free(s->labels);
    bnf_source_release(source);
    bnf_free(s);
}

/* ---- The source ---- */

/* Puts together what the ranks have seen. Collective. */
static bnf_status share_labels(const bnf_comm *comm, struct npz_source *s, int64_t all)
{
    const char *at = s->seen.data;
    bnf_status status = bnf_calloc((size_t)all, sizeof *s->labels, "labels of .npz files", &s->labels);

    BNF_TRY(bnf_comm_agree(comm, status));
    for (int64_t k = bnf_comm_rank(comm); k < bnf_file_list_count(&s->list); k += bnf_comm_size(comm)) {
        const bnf_listed_file *f = &s->list.file[k];
        int64_t *to = s->labels + first_label(s, k);
        for (int64_t i = 0; i < f->n; i++, at += sizeof(int32_t)) {
            int32_t label;
            memcpy(&label, at, sizeof label);
            to[i] = label;
        }
    }
    bnf_buf_release(&s->seen);
    return bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, s->labels, all);
}

/* Labels and classes, unless the files are of one class each. Collective. */
static bnf_status take_labels(const bnf_comm *comm, struct npz_source *s, const bnf_import_npz_options *o)
{
    int64_t all = 0, largest = 0;

    for (int64_t k = 0; k < bnf_file_list_count(&s->list); k++) {
        all += s->list.file[k].n;
        s->test_first += k < s->list.files[BNF_TRAIN] ? s->list.file[k].n : 0;
    }
    BNF_TRY(share_labels(comm, s, all));
    for (int64_t i = 0; i < s->test_first; i++)
        largest = s->labels[i] > largest ? s->labels[i] : largest;
    return bnf_source_set_classes(&s->base, o->classes, o->name_count, o->names, largest, s->list.file[0].path);
}

/* What becomes of the channels and elements that the files have. */
static bnf_status choose_elements(struct npz_source *s, const bnf_import_npz_options *o)
{
    const bnf_listed_file *f = &s->list.file[0];
    bool one = o->one_channel || o->mask;

    if (one && (o->channel < 0 || o->channel >= f->c))
        return bnf_fail(BNF_ERR_ARG, "channel %lld: the images of '%s' have the channels 0 to %lld",
                        (long long)o->channel, f->path, (long long)f->c - 1);
    s->channel = one ? o->channel : 0;
    s->mask = o->mask;
    s->threshold = o->threshold;
    s->base.c = one ? 1 : f->c;
    if (f->type == U8 || s->mask)
        s->base.read = npz_read;
    else
        s->base.read_f32 = npz_read_f32;
    return BNF_OK;
}

static bnf_status check_options(const bnf_import_npz_options *o)
{
    if (o->files[BNF_TRAIN].classes && (o->classes || o->name_count || o->labels))
        return bnf_fail(BNF_ERR_ARG,
                        "files of one class hold no labels: neither their array nor classes can be chosen");
    if (o->mask && !isfinite(o->threshold))
        return bnf_fail(BNF_ERR_ARG, "a threshold of %g: it must be a number", o->threshold);
    return BNF_OK;
}

static bnf_status open_all(const bnf_comm *comm, struct npz_source *s, const bnf_import_npz_options *o)
{
    bool by_class = o->files[BNF_TRAIN].classes;

    BNF_TRY(check_options(o));
    s->images_name = o->images ? o->images : "images";
    s->labels_name = o->labels ? o->labels : "labels";
    BNF_TRY(bnf_file_list_make(comm, o->files, ".npz", &s->list, &s->base));
    BNF_TRY(bnf_file_list_survey(comm, &s->list, o->test_fraction, &s->base, look));
    if (!by_class)
        BNF_TRY(take_labels(comm, s, o));
    BNF_TRY(choose_elements(s, o));
    return bnf_source_describe(&s->base, "npz, from %s", s->list.file[0].path);
}

bnf_status bnf_source_npz(const bnf_comm *comm, const bnf_import_npz_options *options, bnf_source **source)
{
    struct npz_source *s = NULL;
    bnf_status status = bnf_comm_agree(comm, bnf_calloc(1, sizeof *s, ".npz source", &s));

    if (status != BNF_OK) {
        bnf_free(s);
        *source = NULL;
        return status;
    }
    s->held = -1;
    s->base.locate = npz_locate;
    s->base.destroy = npz_destroy;
    return bnf_source_settle(comm, open_all(comm, s, options), &s->base, source);
}

bnf_status bnf_import_npz(const bnf_comm *comm, const bnf_import_npz_options *options, const bnf_import_output *output,
                          bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_npz(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
