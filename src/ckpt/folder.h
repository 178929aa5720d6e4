/* ckpt/folder.h - names of checkpoints in a folder. */
#ifndef BNF_CKPT_FOLDER_H
#define BNF_CKPT_FOLDER_H

#include "base/str.h"

/* [out] path  "folder/ckpt-<step>.h5", with ".tmp" behind it if `temporary`. Owned by the caller. */
bnf_status bnf_ckpt_path(const char *folder, int64_t step, bool temporary, char **path);

/* Removes temporary files of commits that did not end. Failures are no errors: they are tried again next time. */
void bnf_ckpt_remove_temporaries(const char *folder);

#endif
