/* Draws that may need more than one block. */
#include "base/philox.h"

#include "base/assert.h"

uint32_t bnf_philox_below(bnf_philox_key key, uint32_t step, uint64_t sample, uint32_t index, uint32_t n)
{
    BNF_ASSERT(n > 0);
    /* Words map to 0, ..., n - 1 by their product with n; of the low halves, 2^32 mod n too many ones are refused
     * (Lemire 2019, Fast random integer generation in an interval). */
    const uint32_t refuse_below = (UINT32_MAX - n + 1) % n;
    for (;; index++) {
        const bnf_philox_block b = bnf_philox(key, bnf_philox_counter(step, sample, index));
        for (int i = 0; i < 4; i++) {
            const uint64_t product = (uint64_t)b.v[i] * n;
            if ((uint32_t)product >= refuse_below)
                return (uint32_t)(product >> 32);
        }
    }
}

uint64_t bnf_philox_below_u64(bnf_philox_key key, uint32_t step, uint64_t sample, uint32_t index, uint64_t n)
{
    BNF_ASSERT(n > 0 && n <= INT64_MAX);
    const uint64_t refuse_below = (UINT64_MAX - n + 1) % n;
    for (;; index++) {
        const bnf_philox_block b = bnf_philox(key, bnf_philox_counter(step, sample, index));
        for (int i = 0; i < 4; i += 2) {
            const uint64_t word = (uint64_t)b.v[i + 1] << 32 | b.v[i];
            if (word >= refuse_below)
                return word % n;
        }
    }
}

void bnf_philox_permutation(bnf_philox_key key, uint32_t step, int64_t n, int64_t *order)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)bnf_philox_below_u64(key, step, (uint64_t)i, 0, (uint64_t)i + 1);
        const int64_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}
