/* ckpt/name.h - names of the files in a folder of checkpoints.
 *
 *     ckpt-<step, 12 digits>.h5                  a checkpoint; what counts is that this file is there
 *     ckpt-<step>.part-<number, 4 digits>.h5     what one rank owned, named by the checkpoint
 *     ckpt-<step>-g<generation>....              the same of the folder's second, third, ... job (ckpt/fence.h)
 *     <any of these>.tmp                         while it is written */
#ifndef BNF_CKPT_NAME_H
#define BNF_CKPT_NAME_H

#include "base/str.h"

#define BNF_CKPT_WHOLE (-1)
#define BNF_CKPT_MAX_PART 999999

typedef struct bnf_ckpt_name {
    int64_t step, generation; /* generation >= 1 */
    int part;                 /* BNF_CKPT_WHOLE: the checkpoint itself */
    bool temporary;
} bnf_ckpt_name;

/* Appends the name, without a folder. */
bnf_status bnf_ckpt_name_format(const bnf_ckpt_name *name, bnf_buf *text);
/* [out] path  "folder/<name>". Owned by the caller. */
bnf_status bnf_ckpt_name_path(const char *folder, const bnf_ckpt_name *name, char **path);
/* [out] name. False if `text` is none. */
bool bnf_ckpt_name_parse(const char *text, bnf_ckpt_name *name);

#endif
