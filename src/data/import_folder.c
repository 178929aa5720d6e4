/* The source over class folders of pictures. Rank 0 lists the folders, all ranks get the same list. */
#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "data/folder_scan.h"
#include "data/image.h"
#include "data/resize.h"
#include "data/source.h"

#include <stdio.h>
#include <string.h>

struct folder_source {
    bnf_source base; /* first: a bnf_source pointer is a folder_source pointer */
    bnf_folder_scan scan;
    const char **path[BNF_SPLIT_COUNT]; /* [count], into the scan */
    int32_t *label[BNF_SPLIT_COUNT];    /* [count] */
    bnf_resize_mode resize;
    bool fixed_size; /* pictures must have the size of the set as they are */
    bnf_buf bytes;
    bnf_image image;
    bnf_resizer resizer;
};

static bnf_status read_file(const char *path, bnf_buf *content)
{
    bnf_buf_clear(content);
    return bnf_fs_read(path, content);
}

static bnf_status read_one(struct folder_source *s, const char *path, uint8_t *pixels)
{
    const bnf_source *b = &s->base;

    BNF_TRY(read_file(path, &s->bytes));
    BNF_TRY(bnf_image_decode((const uint8_t *)s->bytes.data, s->bytes.size, path, &s->image));
    if (s->fixed_size && (s->image.h != b->h || s->image.w != b->w))
        return bnf_fail(BNF_ERR_FORMAT,
                        "'%s' has %lld x %lld pixels, but the first picture, '%s', has %lld x %lld: "
                        "ask for one size (height x width)",
                        path, (long long)s->image.h, (long long)s->image.w, s->path[BNF_TRAIN][0], (long long)b->h,
                        (long long)b->w);
    BNF_TRY(bnf_image_set_channels(&s->image, b->c));
    return bnf_image_resize(&s->resizer, &s->image, s->resize, b->h, b->w, pixels);
}

static bnf_status folder_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                              int32_t *labels)
{
    struct folder_source *s = (struct folder_source *)source;
    for (int64_t i = 0; i < count; i++) {
        BNF_TRY(read_one(s, s->path[split][first + i], images + i * source->h * source->w * source->c));
        labels[i] = s->label[split][first + i];
    }
    return BNF_OK;
}

static bnf_status folder_fetch(bnf_source *source, bnf_split split, int64_t index, bnf_buf *bytes, const char **name,
                               int32_t *label)
{
    struct folder_source *s = (struct folder_source *)source;
    *name = s->path[split][index];
    *label = s->label[split][index];
    return read_file(*name, bytes);
}

static void folder_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    snprintf(text, size, "'%s'", ((const struct folder_source *)source)->path[split][index]);
}

static void folder_destroy(bnf_source *source)
{
    struct folder_source *s = (struct folder_source *)source;
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        bnf_free(s->path[split]);
        bnf_free(s->label[split]);
    }
    bnf_folder_scan_release(&s->scan);
    bnf_buf_release(&s->bytes);
    bnf_image_release(&s->image);
    bnf_resizer_release(&s->resizer);
    bnf_source_release(source);
    bnf_free(s);
}

/* Sends rank 0's list to all. The sizes go first, so that everybody has room. */
static bnf_status share_scan(const bnf_comm *comm, bnf_folder_scan *scan)
{
    bnf_buf *part[] = {&scan->class_names, &scan->entries[BNF_TRAIN], &scan->entries[BNF_TEST]};
    int64_t head[] = {scan->classes,          scan->ignored,          scan->count[BNF_TRAIN], scan->count[BNF_TEST],
                      (int64_t)part[0]->size, (int64_t)part[1]->size, (int64_t)part[2]->size};
    bnf_status status = BNF_OK;

    BNF_TRY(bnf_comm_bcast(comm, 0, head, sizeof head));
    scan->classes = head[0];
    scan->ignored = head[1];
    scan->count[BNF_TRAIN] = head[2];
    scan->count[BNF_TEST] = head[3];
    for (int i = 0; i < 3 && status == BNF_OK; i++) {
        size_t bytes = (size_t)head[4 + i];
        status = bnf_buf_reserve(part[i], bytes - part[i]->size);
        part[i]->size = bytes;
    }
    BNF_TRY(bnf_comm_agree(comm, status));
    for (int i = 0; i < 3; i++)
        BNF_TRY(bnf_comm_bcast(comm, 0, part[i]->data, head[4 + i]));
    return BNF_OK;
}

/* Turns the list into arrays. */
static bnf_status index_scan(struct folder_source *s)
{
    const char *names[4096];
    const char *p = s->scan.class_names.data;

    if (s->scan.classes > (int64_t)(sizeof names / sizeof names[0]))
        return bnf_fail(BNF_ERR_UNSUPPORTED, "%lld class folders; at most %zu can be imported",
                        (long long)s->scan.classes, sizeof names / sizeof names[0]);
    for (int64_t i = 0; i < s->scan.classes; i++, p += strlen(p) + 1)
        names[i] = p;
    BNF_TRY(bnf_source_set_names(&s->base, s->scan.classes, names));
    s->base.ignored_files = s->scan.ignored;
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        int64_t n = s->scan.count[split];
        const char *entry = s->scan.entries[split].data;
        s->base.count[split] = n;
        BNF_TRY(bnf_calloc((size_t)n, sizeof *s->path[split], "paths of pictures", &s->path[split]));
        BNF_TRY(bnf_calloc((size_t)n, sizeof *s->label[split], "labels of pictures", &s->label[split]));
        for (int64_t i = 0; i < n; i++) {
            memcpy(&s->label[split][i], entry, sizeof(int32_t));
            s->path[split][i] = entry + sizeof(int32_t);
            entry += sizeof(int32_t) + strlen(s->path[split][i]) + 1;
        }
    }
    return BNF_OK;
}

static bnf_status probe_file(struct folder_source *s, const char *path, bnf_image_extents *extents)
{
    BNF_TRY(read_file(path, &s->bytes));
    return bnf_image_probe((const uint8_t *)s->bytes.data, s->bytes.size, path, extents);
}

/* The most channels that any of this rank's pictures has. */
static bnf_status probe_channels(struct folder_source *s, int rank, int ranks, int64_t *channels)
{
    *channels = 1;
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        for (int64_t i = rank; i < s->base.count[split]; i += ranks) {
            bnf_image_extents e;
            BNF_TRY(probe_file(s, s->path[split][i], &e));
            if (e.c > *channels)
                return *channels = e.c, BNF_OK;
        }
    }
    return BNF_OK;
}

static bnf_status choose_shape(const bnf_comm *comm, struct folder_source *s, const bnf_import_folder_options *o)
{
    bnf_status status = BNF_OK;
    int64_t channels = o->channels;

    s->base.h = o->height;
    s->base.w = o->width;
    s->fixed_size = o->height == 0 && !o->encoded;
    if (s->fixed_size) {
        bnf_image_extents e = {0};
        status = probe_file(s, s->path[BNF_TRAIN][0], &e);
        s->base.h = e.h;
        s->base.w = e.w;
    }
    if (status == BNF_OK && channels == 0)
        status = probe_channels(s, bnf_comm_rank(comm), bnf_comm_size(comm), &channels);
    BNF_TRY(bnf_comm_agree(comm, status));
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_MAX, &channels, 1));
    s->base.c = channels;
    return BNF_OK;
}

static bnf_status check_options(const bnf_import_folder_options *o)
{
    if ((o->height == 0) != (o->width == 0) || o->height < 0 || o->width < 0 || o->height > BNF_IMAGE_MAX_SIDE ||
        o->width > BNF_IMAGE_MAX_SIDE)
        return bnf_fail(BNF_ERR_ARG, "pictures of %lld x %lld: both sides must be positive, or both zero",
                        (long long)o->height, (long long)o->width);
    if (o->channels != 0 && o->channels != 1 && o->channels != 3)
        return bnf_fail(BNF_ERR_ARG, "%d channels: it must be 1 (grey), 3 (colour) or 0 (as the pictures are)",
                        o->channels);
    if (o->encoded && o->height > 0)
        return bnf_fail(BNF_ERR_ARG, "pictures that are stored as their files cannot be given a size");
    return BNF_OK;
}

static bnf_status folder_open(const bnf_comm *comm, struct folder_source *s, const bnf_import_folder_options *o)
{
    bnf_status status = check_options(o);
    if (status == BNF_OK && bnf_comm_rank(comm) == 0)
        status = bnf_folder_scan_run(o, &s->scan);
    BNF_TRY(bnf_comm_agree(comm, status));
    BNF_TRY(share_scan(comm, &s->scan));
    BNF_TRY(bnf_comm_agree(comm, index_scan(s)));
    BNF_TRY(choose_shape(comm, s, o));
    s->resize = o->resize;
    status = bnf_source_describe(&s->base, "pictures of %s%s", o->train,
                                 o->encoded                     ? ", as their files are"
                                 : s->fixed_size                ? ""
                                 : o->resize == BNF_RESIZE_CROP ? ", scaled and cropped"
                                                                : ", stretched");
    return bnf_comm_agree(comm, status);
}

bnf_status bnf_source_folder(const bnf_comm *comm, const bnf_import_folder_options *options, bnf_source **source)
{
    struct folder_source *s = NULL;
    bnf_status status = bnf_comm_agree(comm, bnf_calloc(1, sizeof *s, "folder source", &s));

    *source = NULL;
    if (status == BNF_OK) {
        s->base.read = folder_read;
        s->base.fetch = folder_fetch;
        s->base.locate = folder_locate;
        s->base.destroy = folder_destroy;
        status = folder_open(comm, s, options);
    }
    if (status == BNF_OK)
        *source = &s->base;
    else if (s && s->base.destroy)
        folder_destroy(&s->base);
    else
        bnf_free(s);
    return status;
}

bnf_status bnf_import_folder(const bnf_comm *comm, const bnf_import_folder_options *options,
                             const bnf_import_output *output, bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_folder(comm, options, &source));
    return options->encoded ? bnf_import_run_encoded(comm, source, output, options->resume, options->part_rows, summary)
                            : bnf_import_run(comm, source, output, summary);
}
