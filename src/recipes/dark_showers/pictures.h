/* recipes/dark_showers/pictures.h - what the network sees of a few images, and what it makes of them. */
#ifndef BNF_RECIPES_DARK_SHOWERS_PICTURES_H
#define BNF_RECIPES_DARK_SHOWERS_PICTURES_H

#include "train/run.h"

/* Runs the network on the images index[n] of a set. Collective. [out] x[n,H,W,C] as the network sees them,
 * reconstruction[n,H,W,C], on every rank. Errors: those of reading; BNF_ERR_ARG if the network has no value of
 * that name. */
bnf_status bnf_dark_reconstruct(bnf_run *run, const bnf_dataset *dataset, int64_t n, const int64_t *index, float *x,
                                float *reconstruction);

#endif
