#include "data/file_list.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/philox.h"
#include "comm/agree.h"

#include <stdio.h>
#include <string.h>

enum { FIELDS = 5, MAX_CLASSES = 4096 }; /* of what is found in a file; of files of one class */

int64_t bnf_file_list_count(const bnf_file_list *list)
{
    return list->files[BNF_TRAIN] + list->files[BNF_TEST];
}

void bnf_file_list_release(bnf_file_list *list)
{
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        bnf_buf_release(&list->text[split]);
        bnf_free(list->from[split]);
    }
    bnf_free(list->file);
    *list = (bnf_file_list){0};
}

/* ---- Names: rank 0 ---- */

static bool is_listed(const bnf_buf *text, const char *path)
{
    for (const char *at = text->data; at && at < text->data + text->size; at += strlen(at) + 1) {
        at += sizeof(int32_t);
        if (strcmp(at, path) == 0)
            return true;
    }
    return false;
}

static bnf_status add_file(bnf_file_list *list, int split, int32_t label, const char *path)
{
    bnf_buf *text = &list->text[split];
    if (is_listed(text, path))
        return bnf_fail(BNF_ERR_ARG, "'%s' is named twice for the %s part", path, bnf_split_name((bnf_split)split));
    bnf_buf_append(text, &label, sizeof label);
    list->files[split]++;
    return bnf_buf_append(text, path, strlen(path) + 1);
}

/* Adds the files of a folder whose names match a pattern, in the order of the names' bytes. [out] added. */
static bnf_status add_matching(bnf_file_list *list, int split, int32_t label, const char *folder, const char *pattern,
                               int64_t *added)
{
    bnf_fs_names names = {0};
    bnf_buf path = {0};
    bnf_status status = bnf_fs_list(folder, &names);

    *added = 0;
    for (int64_t i = 0; status == BNF_OK && i < names.count; i++) {
        if (names.name[i][0] == '.' || !bnf_glob_match(pattern, names.name[i]))
            continue;
        status = bnf_fs_join(&path, folder, names.name[i]);
        if (status == BNF_OK)
            status = add_file(list, split, label, bnf_buf_text(&path));
        ++*added;
    }
    bnf_buf_release(&path);
    bnf_fs_names_release(&names);
    return status;
}

/* A path of the options: a folder, a pattern or a file. */
static bnf_status add_path(bnf_file_list *list, int split, int32_t label, const char *path, const char *suffix)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    bool folder = bnf_fs_is_folder(path);
    char pattern[32];
    bnf_buf above = {0};
    int64_t added = 0;

    if (!folder && (bnf_fs_exists(path) || !strpbrk(name, "*?[")))
        return add_file(list, split, label, path);
    snprintf(pattern, sizeof pattern, "*%s", suffix);
    bnf_status status = folder ? bnf_buf_puts(&above, path) : bnf_fs_folder_of(&above, path);
    if (status == BNF_OK)
        status = add_matching(list, split, label, bnf_buf_text(&above), folder ? pattern : name, &added);
    bnf_buf_release(&above);
    if (status == BNF_OK && added == 0)
        return folder ? bnf_fail(BNF_ERR_IO, "the folder '%s' holds no %s file", path, suffix)
                      : bnf_fail(BNF_ERR_IO, "no file is called as '%s' says", path);
    return status;
}

/* ---- Classes ---- */

static int32_t class_of(int64_t count, const char *const *names, const char *name)
{
    int32_t k = 0;
    while (k < count && strcmp(names[k], name) != 0)
        k++;
    return k;
}

/* [out] names, count  in the order in which they are first named. */
static bnf_status collect_classes(const bnf_import_files files[BNF_SPLIT_COUNT], const char **names, int64_t *count)
{
    bool by_class = files[BNF_TRAIN].classes;

    *count = 0;
    if (files[BNF_TRAIN].count < 1)
        return bnf_fail(BNF_ERR_ARG, "an import needs a file to train on");
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        const bnf_import_files *f = &files[split];
        if (f->count > 0 && !f->classes != !by_class)
            return bnf_fail(BNF_ERR_ARG, "files that hold labels and files of one class cannot be mixed");
        for (int64_t i = 0; by_class && i < f->count; i++) {
            if (class_of(*count, names, f->classes[i]) < *count)
                continue;
            if (*count == MAX_CLASSES)
                return bnf_fail(BNF_ERR_UNSUPPORTED, "more than %d classes", MAX_CLASSES);
            names[(*count)++] = f->classes[i];
        }
    }
    return BNF_OK;
}

static bnf_status list_files(const bnf_import_files files[BNF_SPLIT_COUNT], const char *suffix, int64_t classes,
                             const char *const *names, bnf_file_list *list)
{
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        for (int64_t i = 0; i < files[split].count; i++) {
            int32_t label = classes > 0 ? class_of(classes, names, files[split].classes[i]) : -1;
            BNF_TRY(add_path(list, split, label, files[split].paths[i], suffix));
        }
    return BNF_OK;
}

/* ---- The same on all ranks ---- */

/* Sends rank 0's text to all. */
static bnf_status share_text(const bnf_comm *comm, bnf_file_list *list)
{
    int64_t head[2 * BNF_SPLIT_COUNT];
    bnf_status status = BNF_OK;

    for (int k = 0; k < BNF_SPLIT_COUNT; k++) {
        head[2 * k] = list->files[k];
        head[2 * k + 1] = (int64_t)list->text[k].size;
    }
    BNF_TRY(bnf_comm_bcast(comm, 0, head, sizeof head));
    for (int k = 0; k < BNF_SPLIT_COUNT && status == BNF_OK; k++) {
        list->files[k] = head[2 * k];
        status = bnf_buf_reserve(&list->text[k], (size_t)head[2 * k + 1] - list->text[k].size);
        list->text[k].size = (size_t)head[2 * k + 1];
    }
    BNF_TRY(bnf_comm_agree(comm, status));
    for (int k = 0; k < BNF_SPLIT_COUNT; k++)
        BNF_TRY(bnf_comm_bcast(comm, 0, list->text[k].data, head[2 * k + 1]));
    return BNF_OK;
}

static bnf_status index_text(bnf_file_list *list)
{
    int64_t k = 0;

    BNF_TRY(bnf_calloc((size_t)bnf_file_list_count(list), sizeof *list->file, "list of files", &list->file));
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        const char *at = list->text[split].data;
        for (int64_t i = 0; i < list->files[split]; i++, k++) {
            memcpy(&list->file[k].label, at, sizeof list->file[k].label);
            list->file[k].path = at + sizeof list->file[k].label;
            at = list->file[k].path + strlen(list->file[k].path) + 1;
        }
    }
    return BNF_OK;
}

bnf_status bnf_file_list_make(const bnf_comm *comm, const bnf_import_files files[BNF_SPLIT_COUNT], const char *suffix,
                              bnf_file_list *list, bnf_source *source)
{
    const char *names[MAX_CLASSES];
    int64_t classes;
    bnf_status status = collect_classes(files, names, &classes);

    if (status == BNF_OK && classes > 0)
        status = bnf_source_set_names(source, classes, names);
    if (status == BNF_OK && bnf_comm_rank(comm) == 0)
        status = list_files(files, suffix, classes, names, list);
    BNF_TRY(bnf_comm_agree(comm, status));
    BNF_TRY(share_text(comm, list));
    return bnf_comm_agree(comm, index_text(list));
}

/* ---- What is in the files ---- */

/* Every file on one rank; afterwards all know all of them. */
static bnf_status look_at_all(const bnf_comm *comm, bnf_file_list *list, bnf_source *source,
                              bnf_status (*look)(bnf_source *source, int64_t k))
{
    int64_t n = bnf_file_list_count(list), *found = NULL;
    bnf_status status = bnf_calloc((size_t)(n * FIELDS), sizeof *found, "list of files", &found);

    for (int64_t k = bnf_comm_rank(comm); status == BNF_OK && k < n; k += bnf_comm_size(comm)) {
        const bnf_listed_file *f = &list->file[k];
        status = look(source, k);
        const int64_t value[FIELDS] = {f->n, f->h, f->w, f->c, f->type};
        memcpy(found + k * FIELDS, value, sizeof value);
    }
    status = bnf_comm_agree(comm, status);
    if (status == BNF_OK)
        status = bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, found, n * FIELDS);
    for (int64_t k = 0; status == BNF_OK && k < n; k++) {
        const int64_t *v = found + k * FIELDS;
        bnf_listed_file *f = &list->file[k];
        f->n = v[0], f->h = v[1], f->w = v[2], f->c = v[3], f->type = v[4];
    }
    bnf_free(found);
    return status;
}

static bnf_status compare_with_first(const bnf_file_list *list)
{
    const bnf_listed_file *a = &list->file[0];

    for (int64_t k = 1; k < bnf_file_list_count(list); k++) {
        const bnf_listed_file *f = &list->file[k];
        if (f->h != a->h || f->w != a->w || f->c != a->c)
            return bnf_fail(BNF_ERR_FORMAT,
                            "'%s' has images of %lld x %lld x %lld, but the first file, '%s', has %lld x %lld x %lld",
                            f->path, (long long)f->h, (long long)f->w, (long long)f->c, a->path, (long long)a->h,
                            (long long)a->w, (long long)a->c);
        if (f->type != a->type)
            return bnf_fail(BNF_ERR_FORMAT, "'%s' has images of another type than the first file, '%s'", f->path,
                            a->path);
    }
    return BNF_OK;
}

/* Numbers the images of every part, and counts them. */
static void number_images(bnf_file_list *list, bnf_source *source)
{
    int64_t k = 0;
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        source->count[split] = 0;
        for (int64_t i = 0; i < list->files[split]; i++, k++) {
            list->file[k].first = source->count[split];
            source->count[split] += list->file[k].n;
        }
    }
}

static bnf_status divide(bnf_file_list *list, double fraction, bnf_source *source)
{
    const int64_t n = source->count[BNF_TRAIN];
    bnf_philox_key key = bnf_philox_key_make(0, BNF_STREAM_SPLIT);

    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        BNF_TRY(bnf_alloc((size_t)n * sizeof **list->from, "division of the images", &list->from[split]));
        source->count[split] = 0;
    }
    for (int64_t i = 0; i < n; i++) {
        bnf_philox_block b = bnf_philox(key, bnf_philox_counter(0, (uint64_t)i, 0));
        int split = bnf_philox_unit_f64(b.v[0], b.v[1]) < fraction ? BNF_TEST : BNF_TRAIN;
        list->from[split][source->count[split]++] = i;
    }
    if (source->count[BNF_TRAIN] == 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': a test fraction of %g leaves no image to train on", list->file[0].path,
                        fraction);
    return BNF_OK;
}

bnf_status bnf_file_list_survey(const bnf_comm *comm, bnf_file_list *list, double test_fraction, bnf_source *source,
                                bnf_status (*look)(bnf_source *source, int64_t k))
{
    if (!(test_fraction >= 0 && test_fraction < 1))
        return bnf_fail(BNF_ERR_ARG, "a test fraction of %g: it must lie in [0,1)", test_fraction);
    if (list->files[BNF_TEST] > 0 && test_fraction > 0)
        return bnf_fail(BNF_ERR_ARG, "test files and a test fraction exclude each other");
    BNF_TRY(look_at_all(comm, list, source, look));
    BNF_TRY(compare_with_first(list));
    source->h = list->file[0].h;
    source->w = list->file[0].w;
    source->c = list->file[0].c;
    number_images(list, source);
    return test_fraction > 0 ? bnf_comm_agree(comm, divide(list, test_fraction, source)) : BNF_OK;
}

void bnf_file_list_find(const bnf_file_list *list, bnf_split split, int64_t index, int64_t *k, int64_t *item)
{
    int part = list->from[split] ? BNF_TRAIN : (int)split;
    int64_t number = list->from[split] ? list->from[split][index] : index;
    int64_t lo = part == BNF_TRAIN ? 0 : list->files[BNF_TRAIN], hi = lo + list->files[part] - 1;

    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (list->file[mid].first <= number)
            lo = mid;
        else
            hi = mid - 1;
    }
    *k = lo;
    *item = number - list->file[lo].first;
}
