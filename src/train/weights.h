/* train/weights.h - looks at all weights. */
#ifndef BNF_TRAIN_WEIGHTS_H
#define BNF_TRAIN_WEIGHTS_H

#include <banff/graph.h>

/* The first parameter with an effective value that is not finite; NULL if there is none. Not collective: effective
 * values are the same on every rank, and so is the answer. */
const char *bnf_weights_not_finite(bnf_params *params);
/* Bytes of all values, of the raw or the effective ones, whichever are more. */
int64_t bnf_weights_bytes(bnf_params *params);

#endif
