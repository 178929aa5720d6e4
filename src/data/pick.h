/* data/pick.h - m of n numbers in random order, without touching the other n - m. */
#ifndef BNF_DATA_PICK_H
#define BNF_DATA_PICK_H

#include "base/philox.h"

#include <banff/base.h>

typedef struct bnf_pick bnf_pick;

/* Work space for picks of up to `most` numbers. [out] pick owned, release with bnf_pick_destroy. Errors:
 * BNF_ERR_MEMORY. */
bnf_status bnf_pick_create(int64_t most, bnf_pick **pick);
void bnf_pick_destroy(bnf_pick *pick); /* NULL is legal */

/* number[m]: the first m of a uniformly drawn order of 0, ..., n - 1; 0 <= m <= n, m <= most. A function of (key, step,
 * n) alone: fewer numbers are a prefix of more. The steps of Fisher and Yates, whose array exists only where it was
 * touched. Time and space O(m). */
void bnf_pick_draw(bnf_pick *pick, bnf_philox_key key, uint32_t step, int64_t n, int64_t m, int64_t *number);

#endif
