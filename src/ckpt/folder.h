/* ckpt/folder.h - what a commit leaves behind. */
#ifndef BNF_CKPT_FOLDER_H
#define BNF_CKPT_FOLDER_H

#include "ckpt/fence.h"

/* Removes what commits of this and older generations that did not end have left: temporary files, and parts whose
 * checkpoint is not there. None of them may be under way. Failures are no errors: they are tried again next time. */
void bnf_ckpt_clean(const char *folder, int64_t generation, const bnf_fence *fence);

#endif
