#include "data/pick.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

/* One place of the array that differs from its own number. */
struct place {
    int64_t at, holds;
    uint64_t round; /* of the pick that wrote it: older ones count as free */
};

struct bnf_pick {
    int64_t most;
    uint64_t mask; /* places - 1, a power of two less one */
    uint64_t round;
    struct place *places;
};

bnf_status bnf_pick_create(int64_t most, bnf_pick **pick)
{
    bnf_pick *p;
    uint64_t places = 16;

    BNF_ASSERT(most >= 0);
    while (places < 4 * (uint64_t)most) /* every number picked writes up to one place and reads two */
        places *= 2;
    BNF_TRY(bnf_calloc(1, sizeof *p, "sampler", &p));
    p->most = most;
    p->mask = places - 1;
    bnf_status status = bnf_calloc(places, sizeof *p->places, "sampler", &p->places);
    if (status == BNF_OK)
        *pick = p;
    else
        bnf_pick_destroy(p);
    return status;
}

void bnf_pick_destroy(bnf_pick *pick)
{
    if (!pick)
        return;
    bnf_free(pick->places);
    bnf_free(pick);
}

/* Where the array's place `at` is kept, or would be. */
static struct place *find(bnf_pick *p, int64_t at)
{
    uint64_t k = ((uint64_t)at * UINT64_C(0x9E3779B97F4A7C15)) >> 20;
    while (p->places[k & p->mask].round == p->round && p->places[k & p->mask].at != at)
        k++;
    return &p->places[k & p->mask];
}

void bnf_pick_draw(bnf_pick *pick, bnf_philox_key key, uint32_t step, int64_t n, int64_t m, int64_t *number)
{
    BNF_ASSERT(m >= 0 && m <= n && m <= pick->most);
    pick->round++;
    for (int64_t i = 0; i < m; i++) {
        int64_t j = i + (int64_t)bnf_philox_below_u64(key, step, (uint64_t)i, 0, (uint64_t)(n - i));
        const struct place *first = find(pick, i);
        int64_t moved = first->round == pick->round ? first->holds : i;
        struct place *drawn = find(pick, j);
        number[i] = drawn->round == pick->round ? drawn->holds : j;
        *drawn = (struct place){j, moved, pick->round};
    }
}
