/* ckpt/name.c - names of the files in a folder of checkpoints. */
#include "ckpt/name.h"
#include "ckpt/checkpoint.h"

#include "base/assert.h"
#include "base/fs.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

bnf_status bnf_ckpt_name_format(const bnf_ckpt_name *name, bnf_buf *text)
{
    BNF_ASSERT(name->step >= 0 && name->step <= BNF_CKPT_MAX_STEP && name->generation >= 1);
    bnf_buf_printf(text, "ckpt-%012" PRId64, name->step);
    if (name->generation > 1)
        bnf_buf_printf(text, "-g%" PRId64, name->generation);
    if (name->part != BNF_CKPT_WHOLE)
        bnf_buf_printf(text, ".part-%04d", name->part);
    return bnf_buf_printf(text, ".h5%s", name->temporary ? ".tmp" : "");
}

bnf_status bnf_ckpt_name_path(const char *folder, const bnf_ckpt_name *name, char **path)
{
    bnf_buf text = {0}, full = {0};
    bnf_status status = bnf_ckpt_name_format(name, &text);
    if (status == BNF_OK)
        status = bnf_fs_join(&full, folder, text.data);
    if (status == BNF_OK)
        status = bnf_buf_take(&full, path);
    bnf_buf_release(&text);
    bnf_buf_release(&full);
    return status;
}

/* Steps over `word`. */
static bool take_word(const char **at, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*at, word, n) != 0)
        return false;
    *at += n;
    return true;
}

/* A number of `least` to 12 digits. */
static bool take_number(const char **at, int least, int64_t *value)
{
    int digits = 0;
    *value = 0;
    for (; digits < 12 && **at >= '0' && **at <= '9'; digits++, ++*at)
        *value = 10 * *value + (**at - '0');
    return digits >= least && !(**at >= '0' && **at <= '9');
}

bool bnf_ckpt_name_parse(const char *text, bnf_ckpt_name *name)
{
    int64_t part;
    *name = (bnf_ckpt_name){.generation = 1, .part = BNF_CKPT_WHOLE};
    if (!take_word(&text, "ckpt-") || !take_number(&text, 12, &name->step))
        return false;
    if (take_word(&text, "-g") && (!take_number(&text, 1, &name->generation) || name->generation < 2))
        return false;
    if (take_word(&text, ".part-")) {
        if (!take_number(&text, 4, &part) || part > BNF_CKPT_MAX_PART)
            return false;
        name->part = (int)part;
    }
    if (!take_word(&text, ".h5"))
        return false;
    name->temporary = take_word(&text, ".tmp");
    return !*text;
}
