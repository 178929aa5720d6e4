#include "ckpt/folder.h"
#include "ckpt/checkpoint.h"

#include "base/assert.h"
#include "base/fs.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* ckpt-123456789012.h5 */
#define DIGIT "[0-9]"
#define DIGITS_3 DIGIT DIGIT DIGIT
#define NAME "ckpt-" DIGITS_3 DIGITS_3 DIGITS_3 DIGITS_3 ".h5"
#define TEMPORARY NAME ".tmp"

bnf_status bnf_ckpt_path(const char *folder, int64_t step, bool temporary, char **path)
{
    BNF_ASSERT(step >= 0 && step <= BNF_CKPT_MAX_STEP);
    bnf_buf name = {0}, full = {0};
    bnf_buf_printf(&name, "ckpt-%012" PRId64 ".h5%s", step, temporary ? ".tmp" : "");
    bnf_status status = name.status;
    if (status == BNF_OK)
        status = bnf_fs_join(&full, folder, name.data);
    if (status == BNF_OK)
        status = bnf_buf_take(&full, path);
    bnf_buf_release(&name);
    bnf_buf_release(&full);
    return status;
}

void bnf_ckpt_remove_temporaries(const char *folder)
{
    bnf_fs_names names = {0};
    bnf_buf path = {0};
    if (bnf_fs_list(folder, &names) == BNF_OK)
        for (int64_t i = 0; i < names.count; i++)
            if (bnf_glob_match(TEMPORARY, names.name[i]) && bnf_fs_join(&path, folder, names.name[i]) == BNF_OK)
                unlink(path.data);
    bnf_fs_names_release(&names);
    bnf_buf_release(&path);
    bnf_error_clear();
}

/* What is done with one checkpoint of a folder. `why`: BNF_OK if it verifies, else the reason is in bnf_error_message.
 * [out] go_on  whether to look at the next older one. */
typedef bnf_status visit(void *context, const char *path, const char *name, bool *go_on);

/* Visits the checkpoints of a folder from the newest to the oldest. A folder that is missing has none. */
static bnf_status visit_newest_first(const char *folder, visit *each, void *context)
{
    if (!bnf_fs_is_folder(folder) && !bnf_fs_exists(folder))
        return BNF_OK;
    bnf_fs_names names = {0};
    bnf_buf path = {0};
    bnf_status status = bnf_fs_list(folder, &names);
    bool go_on = true;
    for (int64_t i = names.count - 1; i >= 0 && go_on && status == BNF_OK; i--) {
        if (!bnf_glob_match(NAME, names.name[i]))
            continue;
        status = bnf_fs_join(&path, folder, names.name[i]);
        if (status == BNF_OK)
            status = each(context, path.data, names.name[i], &go_on);
    }
    bnf_fs_names_release(&names);
    bnf_buf_release(&path);
    return status;
}

/* ---- newest ---------------------------------------------------------------------------------------------------- */

typedef struct search {
    char *path;
    bnf_buf *report;
} search;

/* Verifies; lack of memory says nothing about the file and ends the search. */
static bnf_status try_checkpoint(void *context, const char *path, const char *name, bool *go_on)
{
    search *s = context;
    bnf_error_clear();
    bnf_status status = bnf_ckpt_verify(path);
    if (status == BNF_ERR_MEMORY)
        return status;
    *go_on = status != BNF_OK;
    if (status == BNF_OK)
        return bnf_strdup(path, &s->path);
    if (s->report)
        bnf_buf_printf(s->report, "%s: %s\n", name, bnf_error_message());
    bnf_error_clear();
    return s->report ? s->report->status : BNF_OK;
}

bnf_status bnf_ckpt_find_newest(const char *folder, char **path, bnf_buf *report)
{
    search s = {NULL, report};
    bnf_status status = visit_newest_first(folder, try_checkpoint, &s);
    if (status == BNF_OK)
        *path = s.path;
    else
        bnf_free(s.path);
    return status;
}

/* ---- prune ----------------------------------------------------------------------------------------------------- */

static bnf_status prune_checkpoint(void *context, const char *path, const char *name, bool *go_on)
{
    (void)name;
    int64_t *left = context;
    *go_on = true;
    if (*left == 0)
        return bnf_fs_remove(path);
    bnf_error_clear();
    bnf_status status = bnf_ckpt_verify(path);
    if (status == BNF_ERR_MEMORY)
        return status;
    *left -= status == BNF_OK;
    bnf_error_clear();
    return BNF_OK;
}

bnf_status bnf_ckpt_prune(const char *folder, int64_t keep)
{
    BNF_ASSERT(keep >= 1);
    return visit_newest_first(folder, prune_checkpoint, &keep);
}
