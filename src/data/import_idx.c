/* The source over IDX files: one file of images and one of labels per split. */
#include "base/mem.h"
#include "comm/agree.h"
#include "data/idx.h"
#include "data/source.h"

#include <stdio.h>

struct idx_split {
    bnf_idx *images;
    uint8_t *labels; /* all of them: a byte per sample */
    const char *image_path, *label_path;
};

struct idx_source {
    bnf_source base; /* first: a bnf_source pointer is an idx_source pointer */
    struct idx_split split[BNF_SPLIT_COUNT];
};

static bnf_status idx_source_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                                  int32_t *labels)
{
    struct idx_split *s = &((struct idx_source *)source)->split[split];
    for (int64_t i = 0; i < count; i++)
        labels[i] = s->labels[first + i];
    return bnf_idx_read(s->images, first, count, images);
}

static void idx_source_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    const struct idx_split *s = &((const struct idx_source *)source)->split[split];
    snprintf(text, size, "'%s', item %lld", s->label_path, (long long)index);
}

static void idx_source_destroy(bnf_source *source)
{
    struct idx_source *s = (struct idx_source *)source;
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        bnf_idx_close(s->split[split].images);
        bnf_free(s->split[split].labels);
    }
    bnf_source_release(source);
    bnf_free(s);
}

static bnf_status read_labels(struct idx_split *s, int64_t expected)
{
    bnf_idx *idx;
    bnf_status status = BNF_OK;

    BNF_TRY(bnf_idx_open(s->label_path, &idx));
    if (bnf_idx_ndim(idx) != 1)
        status = bnf_fail(BNF_ERR_FORMAT, "'%s' has %d dimensions; a file of labels has one", s->label_path,
                          bnf_idx_ndim(idx));
    else if (bnf_idx_dims(idx)[0] != expected)
        status = bnf_fail(BNF_ERR_FORMAT, "'%s' has %lld labels, but '%s' has %lld images", s->label_path,
                          (long long)bnf_idx_dims(idx)[0], s->image_path, (long long)expected);
    if (status == BNF_OK)
        status = bnf_alloc((size_t)expected, "labels of an IDX file", &s->labels);
    if (status == BNF_OK)
        status = bnf_idx_read(idx, 0, expected, s->labels);
    bnf_idx_close(idx);
    return status;
}

static bnf_status open_split(struct idx_source *source, bnf_split split, const char *images, const char *labels)
{
    struct idx_split *s = &source->split[split];
    bnf_source *base = &source->base;

    s->image_path = images;
    s->label_path = labels;
    BNF_TRY(bnf_idx_open(images, &s->images));
    int ndim = bnf_idx_ndim(s->images);
    const int64_t *dim = bnf_idx_dims(s->images);
    if (ndim != 3 && !(ndim == 4 && (dim[3] == 1 || dim[3] == 3)))
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s' has %d dimensions; a file of images has three, or four of which the last is 1 or 3",
                        images, ndim);
    int64_t c = ndim == 4 ? dim[3] : 1;
    if (split != BNF_TRAIN && (dim[1] != base->h || dim[2] != base->w || c != base->c))
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s' has images of %lld x %lld x %lld, but the training images are %lld x %lld x %lld", images,
                        (long long)dim[1], (long long)dim[2], (long long)c, (long long)base->h, (long long)base->w,
                        (long long)base->c);
    base->count[split] = dim[0];
    base->h = dim[1];
    base->w = dim[2];
    base->c = c;
    return read_labels(s, dim[0]);
}

static bnf_status set_classes(struct idx_source *s, const bnf_import_idx_options *o)
{
    int64_t largest = 0;

    for (int64_t i = 0; i < s->base.count[BNF_TRAIN]; i++)
        largest = s->split[BNF_TRAIN].labels[i] > largest ? s->split[BNF_TRAIN].labels[i] : largest;
    return bnf_source_set_classes(&s->base, o->classes, o->name_count, o->names, largest, o->train_labels);
}

static bnf_status open_all(struct idx_source *s, const bnf_import_idx_options *o)
{
    if (!o->train_images || !o->train_labels)
        return bnf_fail(BNF_ERR_ARG, "an IDX import needs a file of training images and one of training labels");
    if (!o->test_images != !o->test_labels)
        return bnf_fail(BNF_ERR_ARG, "an IDX import of a test split needs both its images and its labels");
    BNF_TRY(open_split(s, BNF_TRAIN, o->train_images, o->train_labels));
    if (o->test_images)
        BNF_TRY(open_split(s, BNF_TEST, o->test_images, o->test_labels));
    BNF_TRY(set_classes(s, o));
    return bnf_source_describe(&s->base, "IDX, from %s", o->train_images);
}

bnf_status bnf_source_idx(const bnf_comm *comm, const bnf_import_idx_options *options, bnf_source **source)
{
    struct idx_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "IDX source", &s);

    if (status == BNF_OK) {
        s->base.read = idx_source_read;
        s->base.locate = idx_source_locate;
        s->base.destroy = idx_source_destroy;
        status = open_all(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_import_idx(const bnf_comm *comm, const bnf_import_idx_options *options, const bnf_import_output *output,
                          bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_idx(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
