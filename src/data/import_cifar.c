/* CIFAR-10 and CIFAR-100 in their binary form: records of one (two) label bytes and 3 x 32 x 32 pixels, plane by
 * plane. */
#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CIFAR_SIDE 32
#define CIFAR_PIXELS (CIFAR_SIDE * CIFAR_SIDE)
#define CIFAR_MAX_RECORD (2 + 3 * CIFAR_PIXELS)

struct cifar_file {
    int fd;
    char *path;
    int64_t first; /* index of its first sample in the split */
    int64_t count;
};

struct cifar_source {
    bnf_source base; /* first: a bnf_source pointer is a cifar_source pointer */
    struct cifar_file *files[BNF_SPLIT_COUNT];
    int64_t file_count[BNF_SPLIT_COUNT];
    int64_t record; /* bytes */
    int64_t label_bytes;
    int64_t label_offset;
};

static const struct cifar_file *cifar_find(const struct cifar_source *s, bnf_split split, int64_t index)
{
    const struct cifar_file *f = s->files[split];
    while (index >= f->first + f->count)
        f++;
    return f;
}

static bnf_status cifar_record(const struct cifar_source *s, const struct cifar_file *f, int64_t index, uint8_t *record)
{
    ssize_t got;
    do
        got = pread(f->fd, record, (size_t)s->record, (off_t)((index - f->first) * s->record));
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)s->record)
        return BNF_OK;
    return bnf_fail(BNF_ERR_IO, "cannot read record %lld of '%s': %s", (long long)(index - f->first), f->path,
                    got < 0 ? strerror(errno) : "the file became shorter while it was read");
}

static bnf_status cifar_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                             int32_t *labels)
{
    const struct cifar_source *s = (const struct cifar_source *)source;
    uint8_t record[CIFAR_MAX_RECORD];

    for (int64_t i = 0; i < count; i++) {
        BNF_TRY(cifar_record(s, cifar_find(s, split, first + i), first + i, record));
        labels[i] = record[s->label_offset];
        const uint8_t *planes = record + s->label_bytes;
        uint8_t *image = images + i * 3 * CIFAR_PIXELS;
        for (int64_t p = 0; p < CIFAR_PIXELS; p++)
            for (int64_t c = 0; c < 3; c++)
                image[3 * p + c] = planes[c * CIFAR_PIXELS + p];
    }
    return BNF_OK;
}

static void cifar_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    const struct cifar_file *f = cifar_find((const struct cifar_source *)source, split, index);
    snprintf(text, size, "'%s', record %lld", f->path, (long long)(index - f->first));
}

static void cifar_destroy(bnf_source *source)
{
    struct cifar_source *s = (struct cifar_source *)source;
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        for (int64_t i = 0; s->files[split] && i < s->file_count[split]; i++) {
            if (s->files[split][i].fd >= 0)
                close(s->files[split][i].fd);
            bnf_free(s->files[split][i].path);
        }
        bnf_free(s->files[split]);
    }
    bnf_source_release(source);
    bnf_free(s);
}

static bnf_status cifar_open_file(const char *path, int64_t record, struct cifar_file *f)
{
    struct stat info;

    BNF_TRY(bnf_strdup(path, &f->path));
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &info) != 0)
        return bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return bnf_fail(BNF_ERR_IO, "cannot read '%s': it is not a regular file", path);
    if (info.st_size == 0 || info.st_size % record != 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' has %lld bytes, which is no multiple of a CIFAR record of %lld", path,
                        (long long)info.st_size, (long long)record);
    f->count = info.st_size / record;
    return BNF_OK;
}

static bnf_status cifar_open_split(struct cifar_source *s, bnf_split split, int64_t count, const char *const *paths)
{
    if (count == 0)
        return BNF_OK;
    BNF_TRY(bnf_calloc((size_t)count, sizeof(struct cifar_file), "list of CIFAR files", &s->files[split]));
    s->file_count[split] = count;
    for (int64_t i = 0; i < count; i++)
        s->files[split][i].fd = -1;
    for (int64_t i = 0; i < count; i++) {
        struct cifar_file *f = &s->files[split][i];
        f->first = s->base.count[split];
        BNF_TRY(cifar_open_file(paths[i], s->record, f));
        s->base.count[split] += f->count;
    }
    return BNF_OK;
}

/* Class names from a file, one a line; empty lines at the end are no names. */
static bnf_status cifar_names(struct cifar_source *s, const char *path, int64_t classes)
{
    const char *names[100];
    int64_t count = 0;
    bnf_buf text = {0};
    bnf_status status;

    if (!path)
        return bnf_source_set_names(&s->base, classes, NULL);
    BNF_TRY_GOTO(status, bnf_fs_read(path, &text), done);
    char *save = NULL;
    for (char *line = text.size == 0 ? NULL : strtok_r(text.data, "\r\n", &save); line;
         line = strtok_r(NULL, "\r\n", &save)) {
        if (count < classes)
            names[count] = line;
        count++;
    }
    if (count != classes)
        status = bnf_fail(BNF_ERR_FORMAT, "'%s' has %lld class names; %lld are needed", path, (long long)count,
                          (long long)classes);
    else
        status = bnf_source_set_names(&s->base, classes, names);
done:
    bnf_buf_release(&text);
    return status;
}

static bnf_status cifar_open(struct cifar_source *s, const bnf_import_cifar_options *o)
{
    int64_t classes = o->variant == 10 ? 10 : o->coarse ? 20 : 100;

    if (o->variant != 10 && o->variant != 100)
        return bnf_fail(BNF_ERR_ARG, "CIFAR variant %d: it must be 10 or 100", o->variant);
    if (o->variant == 10 && o->coarse)
        return bnf_fail(BNF_ERR_ARG, "CIFAR-10 has no coarse labels");
    if (o->file_count[BNF_TRAIN] < 1)
        return bnf_fail(BNF_ERR_ARG, "no CIFAR training file is named");
    s->label_bytes = o->variant == 10 ? 1 : 2;
    s->label_offset = o->variant == 100 && !o->coarse ? 1 : 0;
    s->record = s->label_bytes + 3 * CIFAR_PIXELS;
    s->base.h = s->base.w = CIFAR_SIDE;
    s->base.c = 3;
    BNF_TRY(cifar_names(s, o->names_file, classes));
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        BNF_TRY(cifar_open_split(s, (bnf_split)split, o->file_count[split], o->files[split]));
    return bnf_source_describe(&s->base, "CIFAR-%d binary%s, from %s", o->variant, o->coarse ? ", coarse labels" : "",
                               o->files[BNF_TRAIN][0]);
}

bnf_status bnf_source_cifar(const bnf_comm *comm, const bnf_import_cifar_options *options, bnf_source **source)
{
    struct cifar_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "CIFAR source", &s);

    if (status == BNF_OK) {
        s->base.read = cifar_read;
        s->base.locate = cifar_locate;
        s->base.destroy = cifar_destroy;
        status = cifar_open(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_import_cifar(const bnf_comm *comm, const bnf_import_cifar_options *options,
                            const bnf_import_output *output, bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_cifar(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
