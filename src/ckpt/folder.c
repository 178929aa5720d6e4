#include "ckpt/folder.h"
#include "ckpt/checkpoint.h"

#include "base/assert.h"
#include "base/fs.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- list ------------------------------------------------------------------------------------------------------ */

static int compare_newest_first(const void *a, const void *b)
{
    const bnf_ckpt_listed *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? 1 : -1;
    return x->generation < y->generation ? 1 : x->generation > y->generation ? -1 : 0;
}

static bnf_status add_listed(const char *folder, const char *text, const bnf_ckpt_name *name,
                             const bnf_lineage *lineage, bnf_ckpt_list *list)
{
    bnf_ckpt_listed *item = &list->item[list->count];
    bnf_buf path = {0};
    bnf_status status = bnf_fs_join(&path, folder, text);
    if (status == BNF_OK)
        status = bnf_buf_take(&path, &item->path);
    bnf_buf_release(&path);
    BNF_TRY(status);
    item->name = item->path + strlen(item->path) - strlen(text);
    item->step = name->step;
    item->generation = name->generation;
    item->counts = bnf_lineage_counts(lineage, name->step, name->generation);
    list->count++;
    return BNF_OK;
}

bnf_status bnf_ckpt_list_folder(const char *folder, bnf_ckpt_list *list)
{
    *list = (bnf_ckpt_list){0};
    if (!bnf_fs_is_folder(folder) && !bnf_fs_exists(folder))
        return BNF_OK;
    bnf_fs_names names = {0};
    bnf_lineage lineage = {0};
    bnf_status status = bnf_fs_list(folder, &names);
    if (status == BNF_OK)
        status = bnf_lineage_load(folder, &lineage);
    if (status == BNF_OK)
        status = bnf_calloc((size_t)names.count + 1, sizeof *list->item, "list of checkpoints", &list->item);
    for (int64_t i = 0; i < names.count && status == BNF_OK; i++) {
        bnf_ckpt_name name;
        if (bnf_ckpt_name_parse(names.name[i], &name) && name.part == BNF_CKPT_WHOLE && !name.temporary)
            status = add_listed(folder, names.name[i], &name, &lineage, list);
    }
    if (list->count)
        qsort(list->item, (size_t)list->count, sizeof *list->item, compare_newest_first);
    bnf_lineage_release(&lineage);
    bnf_fs_names_release(&names);
    if (status != BNF_OK)
        bnf_ckpt_list_release(list);
    return status;
}

void bnf_ckpt_list_release(bnf_ckpt_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        bnf_free(list->item[i].path);
    bnf_free(list->item);
    *list = (bnf_ckpt_list){0};
}

/* ---- newest ---------------------------------------------------------------------------------------------------- */

bnf_status bnf_ckpt_find_newest(const char *folder, char **path, bnf_buf *report)
{
    bnf_ckpt_list list;
    char *found = NULL;
    bnf_status status = bnf_ckpt_list_folder(folder, &list);
    for (int64_t i = 0; status == BNF_OK && i < list.count && !found; i++) {
        if (!list.item[i].counts)
            continue;
        bnf_error_clear();
        bnf_status sound = bnf_ckpt_verify(list.item[i].path);
        if (sound == BNF_ERR_MEMORY) /* says nothing about the file */
            status = sound;
        else if (sound == BNF_OK)
            status = bnf_strdup(list.item[i].path, &found);
        else if (report && bnf_fs_exists(list.item[i].path)) /* else another process has removed it just now */
            status = bnf_buf_printf(report, "%s: %s\n", list.item[i].name, bnf_error_message());
        if (sound != BNF_OK && status == BNF_OK)
            bnf_error_clear();
    }
    bnf_ckpt_list_release(&list);
    if (status == BNF_OK)
        *path = found;
    else
        bnf_free(found);
    return status;
}

/* ---- remove ---------------------------------------------------------------------------------------------------- */

static bnf_status remove_file(const char *folder, const char *name, const bnf_fence *fence)
{
    bnf_buf path = {0};
    bnf_status status = bnf_fence_check(fence);
    if (status == BNF_OK)
        status = bnf_fs_join(&path, folder, name);
    if (status == BNF_OK)
        status = bnf_fs_remove(path.data);
    bnf_buf_release(&path);
    return status;
}

/* Is the file of the checkpoint that this part belongs to among names[]? */
static bool has_whole(const bnf_fs_names *names, const bnf_ckpt_name *part)
{
    for (int64_t i = 0; i < names->count; i++) {
        bnf_ckpt_name n;
        if (bnf_ckpt_name_parse(names->name[i], &n) && n.part == BNF_CKPT_WHOLE && !n.temporary &&
            n.step == part->step && n.generation == part->generation)
            return true;
    }
    return false;
}

static bnf_status clean(const char *folder, int64_t generation, const bnf_fence *fence)
{
    bnf_fs_names names = {0};
    bnf_status status = bnf_fs_list(folder, &names);
    for (int64_t i = 0; i < names.count && status == BNF_OK; i++) {
        bnf_ckpt_name n;
        if (bnf_ckpt_name_parse(names.name[i], &n) && n.generation <= generation &&
            (n.temporary || (n.part != BNF_CKPT_WHOLE && !has_whole(&names, &n))))
            status = remove_file(folder, names.name[i], fence);
    }
    bnf_fs_names_release(&names);
    return status;
}

void bnf_ckpt_clean(const char *folder, int64_t generation, const bnf_fence *fence)
{
    if (clean(folder, generation, fence) != BNF_OK)
        bnf_error_clear();
}

bnf_status bnf_ckpt_prune(const char *folder, int64_t keep, const bnf_fence *fence)
{
    BNF_ASSERT(keep >= 1);
    bnf_ckpt_list list;
    int64_t removed = 0, generation = fence ? bnf_fence_generation(fence) : INT64_MAX;
    bnf_status status = bnf_ckpt_list_folder(folder, &list);
    for (int64_t i = 0; status == BNF_OK && i < list.count; i++) {
        const bnf_ckpt_listed *item = &list.item[i];
        if (item->generation > generation)
            continue;
        if (keep == 0 || !item->counts) {
            status = remove_file(folder, item->name, fence);
            removed++;
            continue;
        }
        bnf_error_clear();
        bnf_status sound = bnf_ckpt_verify(item->path);
        if (sound == BNF_ERR_MEMORY)
            status = sound;
        else
            bnf_error_clear();
        keep -= sound == BNF_OK;
    }
    bnf_ckpt_list_release(&list);
    if (removed > 0) /* their parts */
        bnf_ckpt_clean(folder, generation, fence);
    return status;
}

bnf_status bnf_ckpt_clear(const char *folder, const bnf_fence *fence)
{
    bnf_ckpt_list list;
    bnf_status status = bnf_ckpt_list_folder(folder, &list);
    for (int64_t i = 0; status == BNF_OK && i < list.count; i++)
        if (list.item[i].generation < bnf_fence_generation(fence))
            status = remove_file(folder, list.item[i].name, fence);
    bnf_ckpt_list_release(&list);
    if (status == BNF_OK)
        bnf_ckpt_clean(folder, bnf_fence_generation(fence), fence);
    return status;
}
