/* Samplers that see nothing but numbers: by epoch, with and without replacement, Poisson. */
#include "data/sampler_impl.h"

#include <math.h>
#include <string.h>

static int64_t room_of_batch(const bnf_sampler *s, double odds)
{
    (void)odds;
    return s->c.batch;
}

static double mean_of_batch(const bnf_sampler *s)
{
    return (double)s->c.batch;
}

static bnf_neighbours relation_none(const bnf_sampler *s)
{
    (void)s;
    return BNF_NEIGHBOURS_NONE;
}

static bnf_neighbours relation_replace(const bnf_sampler *s)
{
    (void)s;
    return BNF_NEIGHBOURS_REPLACE;
}

static bnf_neighbours relation_add_remove(const bnf_sampler *s)
{
    (void)s;
    return BNF_NEIGHBOURS_ADD_REMOVE;
}

/* ---- By epoch ---- */

static bnf_status shuffle_prepare(bnf_sampler *s)
{
    const bnf_order_config order = {.seed = s->c.seed,
                                    .count = s->c.count,
                                    .shuffle = true,
                                    .chunk_rows = s->c.chunk_rows,
                                    .window_rows = s->c.window_rows};
    return bnf_order_create(&order, &s->order);
}

/* [out] at  position in the epoch. Returns how many samples the step has. */
static int64_t part_of_epoch(const bnf_sampler *s, int64_t step, int64_t *at)
{
    *at = step % s->steps_per_epoch * s->c.batch;
    return s->c.count - *at < s->c.batch ? s->c.count - *at : s->c.batch;
}

static int64_t shuffle_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index)
{
    int64_t at, n = part_of_epoch(s, step, &at);
    if (n <= room)
        memcpy(index, bnf_order_of_epoch(s->order, step / s->steps_per_epoch) + at, (size_t)n * sizeof *index);
    return n;
}

static int64_t sequential_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index)
{
    int64_t at, n = part_of_epoch(s, step, &at);
    for (int64_t i = 0; i < n && n <= room; i++)
        index[i] = at + i;
    return n;
}

static double epoch_mean(const bnf_sampler *s)
{
    return s->c.drop_tail ? (double)s->c.batch : (double)s->c.count / (double)s->steps_per_epoch;
}

static double epoch_inclusion(const bnf_sampler *s, int64_t sample)
{
    if (!s->c.drop_tail)
        return 1.0 / (double)s->steps_per_epoch;
    if (s->c.kind == BNF_SAMPLER_SEQUENTIAL)
        return sample < s->steps_per_epoch * s->c.batch ? 1.0 / (double)s->steps_per_epoch : 0.0;
    return (double)s->c.batch / (double)s->c.count;
}

const bnf_scheme bnf_scheme_shuffle = {false,      shuffle_prepare, shuffle_draw, room_of_batch,
                                       epoch_mean, epoch_inclusion, relation_none};
const bnf_scheme bnf_scheme_sequential = {false,           NULL,         sequential_draw, room_of_batch, epoch_mean,
                                          epoch_inclusion, relation_none};

/* ---- Simple random, with replacement ---- */

static int64_t replacement_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index)
{
    bnf_philox_key key = bnf_sampler_key(s, BNF_SAMPLER_KEY_PICK, step);
    for (int64_t i = 0; i < s->c.batch && s->c.batch <= room; i++)
        index[i] = (int64_t)bnf_philox_below_u64(key, (uint32_t)step, (uint64_t)i, 0, (uint64_t)s->c.count);
    return s->c.batch;
}

static double replacement_inclusion(const bnf_sampler *s, int64_t sample)
{
    (void)sample;
    return -expm1((double)s->c.batch * log1p(-1.0 / (double)s->c.count));
}

const bnf_scheme bnf_scheme_replacement = {
    true, NULL, replacement_draw, room_of_batch, mean_of_batch, replacement_inclusion, relation_replace};

/* ---- Simple random, without replacement ---- */

static bnf_status without_prepare(bnf_sampler *s)
{
    if (s->c.batch > s->c.count)
        return bnf_fail(BNF_ERR_CONFIG,
                        "data.batch (%lld) is larger than the set (%lld): no sample is drawn twice by "
                        "the sampler without_replacement",
                        (long long)s->c.batch, (long long)s->c.count);
    return bnf_pick_create(s->c.batch, &s->pick);
}

static int64_t without_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index)
{
    if (s->c.batch <= room)
        bnf_pick_draw(s->pick, bnf_sampler_key(s, BNF_SAMPLER_KEY_PICK, step), (uint32_t)step, s->c.count, s->c.batch,
                      index);
    return s->c.batch;
}

static double without_inclusion(const bnf_sampler *s, int64_t sample)
{
    (void)sample;
    return (double)s->c.batch / (double)s->c.count;
}

const bnf_scheme bnf_scheme_without_replacement = {true,          without_prepare,   without_draw,    room_of_batch,
                                                   mean_of_batch, without_inclusion, relation_replace};

/* ---- Poisson ---- */

/* From one sample that is taken to the next: the gaps are geometric, gap k a function of (key, step, k). */
static int64_t poisson_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index)
{
    bnf_philox_key key = bnf_sampler_key(s, BNF_SAMPLER_KEY_PICK, step);
    const double per_log = 1.0 / log1p(-s->rate); /* -0 at a rate of 1: no gaps */
    int64_t at = -1, n = 0;

    for (uint64_t block = 0;; block++) {
        bnf_philox_block b = bnf_philox(key, bnf_philox_counter((uint32_t)step, block, 0));
        for (int half = 0; half < 4; half += 2) {
            double gap = floor(log(bnf_philox_unit_open_f64(b.v[half], b.v[half + 1])) * per_log);
            if (!(gap < (double)(s->c.count - 1 - at))) /* beyond the end */
                return n;
            at += 1 + (int64_t)gap;
            if (n < room)
                index[n] = at;
            n++;
        }
    }
}

/* ln P(more than k of n) is at most -n KL(k/n || q) for k >= nq (Chernoff 1952). */
static double tail_exponent(double n, double q, double k)
{
    double p = k / n, rest = p < 1 ? (1 - p) * log((1 - p) / (1 - q)) : 0;
    return n * (p * log(p / q) + rest);
}

static int64_t poisson_room(const bnf_sampler *s, double odds)
{
    double n = (double)s->c.count, want = -log(odds);
    int64_t lo = (int64_t)ceil(n * s->rate), hi = s->c.count; /* the answer lies in [lo, hi] */

    if (s->rate >= 1)
        return s->c.count;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (tail_exponent(n, s->rate, (double)(mid + 1)) >= want) /* more than mid: mid + 1 or above */
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static double poisson_mean(const bnf_sampler *s)
{
    return s->rate * (double)s->c.count;
}

static double poisson_inclusion(const bnf_sampler *s, int64_t sample)
{
    (void)sample;
    return s->rate;
}

const bnf_scheme bnf_scheme_poisson = {
    true, NULL, poisson_draw, poisson_room, poisson_mean, poisson_inclusion, relation_add_remove};
