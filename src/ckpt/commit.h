/* ckpt/commit.h - bytes to a file, so that it is complete or absent, with every system call checked. */
#ifndef BNF_CKPT_COMMIT_H
#define BNF_CKPT_COMMIT_H

#include "ckpt/fence.h"

/* Writes head[head_bytes] and then body[body_bytes] to `temporary`, synchronises it with the disk, renames it to
 * `path` and synchronises `folder`, which holds both. On failure `temporary` does not exist and `path` is what it was
 * before, unless the last of these was what failed. `fence` is asked before the first call and before the rename.
 * Errors: BNF_ERR_IO naming the file, BNF_ERR_FENCED. bnf_ckpt_fail_at (checkpoint.h) makes calls fail. */
bnf_status bnf_ckpt_commit(const bnf_fence *fence, const char *folder, const char *temporary, const char *path,
                           const void *head, int64_t head_bytes, const void *body, int64_t body_bytes);

#endif
