#include "data/folder_scan.h"

#include "base/fs.h"
#include "data/image.h"
#include "h5/checksum.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 16 /* of folders inside a class: a loop of links ends here */

static bnf_status join(const char *folder, const char *name, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return bnf_fail(BNF_ERR_IO, "the path '%s/%s' is too long", folder, name);
    return BNF_OK;
}

/* What stays the same while one class is walked. */
struct walk {
    bnf_folder_scan *scan;
    bnf_split split;
    double test_fraction;
    int32_t label;
    size_t root_length; /* of the set's folder: what follows it is hashed for the split */
};

static bnf_split choose_split(const struct walk *w, const char *path)
{
    const char *name = path + w->root_length;
    if (w->test_fraction <= 0.0)
        return w->split;
    double u = (double)(bnf_checksum(name, strlen(name)) >> 11) * 0x1p-53;
    return u < w->test_fraction ? BNF_TEST : BNF_TRAIN;
}

static bnf_status add_picture(const struct walk *w, const char *path)
{
    bnf_split split = choose_split(w, path);
    BNF_TRY(bnf_buf_append(&w->scan->entries[split], &w->label, sizeof w->label));
    BNF_TRY(bnf_buf_append(&w->scan->entries[split], path, strlen(path) + 1));
    w->scan->count[split]++;
    return BNF_OK;
}

static bnf_status walk_folder(const struct walk *w, const char *folder, int depth);

static bnf_status walk_listing(const struct walk *w, const char *folder, int depth, const bnf_fs_names *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        char path[PATH_MAX];
        if (list->name[i][0] == '.')
            continue;
        BNF_TRY(join(folder, list->name[i], path));
        if (bnf_fs_is_folder(path))
            BNF_TRY(walk_folder(w, path, depth + 1));
        else if (bnf_image_has_known_suffix(list->name[i]))
            BNF_TRY(add_picture(w, path));
        else
            w->scan->ignored++;
    }
    return BNF_OK;
}

static bnf_status walk_folder(const struct walk *w, const char *folder, int depth)
{
    bnf_fs_names list = {0};

    if (depth > MAX_DEPTH)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' lies more than %d folders deep: is there a loop of links?", folder,
                        MAX_DEPTH);
    bnf_status status = bnf_fs_list(folder, &list);
    if (status == BNF_OK)
        status = walk_listing(w, folder, depth, &list);
    bnf_fs_names_release(&list);
    return status;
}

static int64_t find_class(const bnf_folder_scan *scan, const char *name)
{
    const char *p = scan->class_names.data;
    for (int64_t i = 0; i < scan->classes; i++, p += strlen(p) + 1)
        if (strcmp(p, name) == 0)
            return i;
    return -1;
}

static bnf_status scan_class(struct walk *w, const char *root, const char *folder, const char *name)
{
    bnf_folder_scan *scan = w->scan;
    int64_t label = scan->classes;

    if (w->split == BNF_TRAIN) {
        BNF_TRY(bnf_buf_append(&scan->class_names, name, strlen(name) + 1));
        scan->classes++;
    } else if ((label = find_class(scan, name)) < 0) {
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is a class that the training folder does not have", folder);
    }
    w->label = (int32_t)label;
    w->root_length = strlen(root) + 1;
    int64_t before = scan->count[BNF_TRAIN] + scan->count[BNF_TEST];
    BNF_TRY(walk_folder(w, folder, 1));
    if (scan->count[BNF_TRAIN] + scan->count[BNF_TEST] == before)
        return bnf_fail(BNF_ERR_FORMAT, "the class folder '%s' holds no pictures", folder);
    return BNF_OK;
}

static bnf_status scan_classes(struct walk *w, const char *root, const bnf_fs_names *list)
{
    int64_t found = 0;

    for (int64_t i = 0; i < list->count; i++) {
        char path[PATH_MAX];
        if (list->name[i][0] == '.')
            continue;
        BNF_TRY(join(root, list->name[i], path));
        if (!bnf_fs_is_folder(path)) {
            w->scan->ignored++;
            continue;
        }
        BNF_TRY(scan_class(w, root, path, list->name[i]));
        found++;
    }
    if (found == 0)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' has no class folders", root);
    return BNF_OK;
}

static bnf_status scan_root(bnf_folder_scan *scan, bnf_split split, const char *root, double test_fraction)
{
    struct walk w = {.scan = scan, .split = split, .test_fraction = test_fraction};
    bnf_fs_names list = {0};

    bnf_status status = bnf_fs_list(root, &list);
    if (status == BNF_OK)
        status = scan_classes(&w, root, &list);
    bnf_fs_names_release(&list);
    return status;
}

bnf_status bnf_folder_scan_run(const bnf_import_folder_options *o, bnf_folder_scan *scan)
{
    if (!o->train)
        return bnf_fail(BNF_ERR_ARG, "no folder of training pictures is named");
    if (!(o->test_fraction >= 0.0 && o->test_fraction < 1.0))
        return bnf_fail(BNF_ERR_ARG, "a test fraction of %g: it must lie in [0,1)", o->test_fraction);
    if (o->test && o->test_fraction > 0.0)
        return bnf_fail(BNF_ERR_ARG, "a test folder and a test fraction exclude each other");
    BNF_TRY(scan_root(scan, BNF_TRAIN, o->train, o->test_fraction));
    if (o->test)
        BNF_TRY(scan_root(scan, BNF_TEST, o->test, 0.0));
    if (scan->count[BNF_TRAIN] == 0)
        return bnf_fail(BNF_ERR_ARG, "a test fraction of %g leaves no training pictures of '%s'", o->test_fraction,
                        o->train);
    return BNF_OK;
}

void bnf_folder_scan_release(bnf_folder_scan *scan)
{
    bnf_buf_release(&scan->class_names);
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        bnf_buf_release(&scan->entries[split]);
    *scan = (bnf_folder_scan){0};
}
