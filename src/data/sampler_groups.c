/* Samplers that know groups of samples: strata, clusters. */
#include "data/sampler_impl.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* ---- Groups ---- */

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The different values among value[n], ascending, into value[0..]; returns how many. */
static int64_t distinct(int64_t *value, int64_t n)
{
    int64_t found = 0;
    qsort(value, (size_t)n, sizeof *value, ascending);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || value[i] != value[i - 1])
            value[found++] = value[i];
    return found;
}

static int64_t number_of(const int64_t *value, int64_t n, int64_t wanted)
{
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (value[mid] < wanted)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* `value` is work space [count] that holds a copy of the groups. */
static bnf_status number_groups(bnf_sampler *s, int64_t *value)
{
    bnf_groups *g = &s->groups;
    int64_t count = s->c.count;

    g->n = distinct(value, count);
    if (g->n > INT32_MAX)
        return bnf_fail(BNF_ERR_CONFIG, "%lld strata or clusters: more than %d", (long long)g->n, INT32_MAX);
    BNF_TRY(bnf_calloc((size_t)g->n + 1, sizeof *g->start, "strata or clusters", &g->start));
    BNF_TRY(bnf_calloc((size_t)count, sizeof *g->of, "strata or clusters", &g->of));
    BNF_TRY(bnf_calloc((size_t)count, sizeof *g->member, "strata or clusters", &g->member));
    for (int64_t i = 0; i < count; i++) {
        g->of[i] = (int32_t)number_of(value, g->n, s->c.group[i]);
        g->start[g->of[i] + 1]++;
    }
    for (int64_t h = 0; h < g->n; h++)
        g->start[h + 1] += g->start[h];
    for (int64_t i = 0; i < count; i++) /* start[h] moves on while the group fills ... */
        g->member[g->start[g->of[i]]++] = i;
    for (int64_t h = g->n; h > 0; h--) /* ... and ends where the next began */
        g->start[h] = g->start[h - 1];
    g->start[0] = 0;
    return BNF_OK;
}

static bnf_status groups_by_value(bnf_sampler *s)
{
    int64_t *value;
    BNF_TRY(bnf_calloc((size_t)s->c.count, sizeof *value, "strata or clusters", &value));
    for (int64_t i = 0; i < s->c.count; i++)
        value[i] = s->c.group[i];
    bnf_status status = number_groups(s, value);
    bnf_free(value);
    return status;
}

static bnf_status groups_by_rows(bnf_sampler *s)
{
    bnf_groups *g = &s->groups;
    g->rows = s->c.cluster_rows;
    g->n = (s->c.count + g->rows - 1) / g->rows;
    BNF_TRY(bnf_calloc((size_t)g->n + 1, sizeof *g->start, "clusters", &g->start));
    for (int64_t h = 0; h < g->n; h++)
        g->start[h] = h * g->rows;
    g->start[g->n] = s->c.count;
    return BNF_OK;
}

static int64_t size_of(const bnf_groups *g, int64_t h)
{
    return g->start[h + 1] - g->start[h];
}

/* A random order, so that leaves do not differ by group. */
static void mix(const bnf_sampler *s, int64_t step, int64_t n, int64_t *index)
{
    bnf_philox_key key = bnf_sampler_key(s, BNF_SAMPLER_KEY_MIX, step);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)bnf_philox_below_u64(key, (uint32_t)step, (uint64_t)i, 0, (uint64_t)i + 1);
        int64_t swap = index[i];
        index[i] = index[j];
        index[j] = swap;
    }
}

/* ---- Strata: sizes ---- */

static bnf_status check_list(const bnf_sampler *s, int64_t given, const char *key)
{
    if (given == s->groups.n)
        return BNF_OK;
    return bnf_fail(BNF_ERR_CONFIG, "data.%s has %lld entries; there are %lld strata", key, (long long)given,
                    (long long)s->groups.n);
}

static bnf_status fixed_sizes(bnf_sampler *s)
{
    BNF_TRY(check_list(s, s->c.n_sizes, "sizes"));
    for (int64_t h = 0; h < s->groups.n; h++) {
        if (s->c.sizes[h] < 0 || s->c.sizes[h] > size_of(&s->groups, h))
            return bnf_fail(BNF_ERR_CONFIG, "data.sizes takes %lld samples of stratum %lld, which has %lld",
                            (long long)s->c.sizes[h], (long long)h, (long long)size_of(&s->groups, h));
        s->target[h] = (double)s->c.sizes[h];
    }
    return BNF_OK;
}

/* Shares `batch` out by n_h s_h. Strata that are full drop out, one round after the other, until none is too small for
 * its share. */
static bnf_status neyman_sizes(bnf_sampler *s)
{
    const bnf_groups *g = &s->groups;
    BNF_TRY(check_list(s, s->c.n_deviations, "deviations"));
    for (int64_t h = 0; h < g->n; h++) {
        if (!(s->c.deviations[h] >= 0) || !isfinite(s->c.deviations[h]))
            return bnf_fail(BNF_ERR_CONFIG, "data.deviations: %g is no standard deviation", s->c.deviations[h]);
        s->target[h] = 0;
    }
    for (bool again = true; again;) {
        double left = (double)s->c.batch, weight = 0;
        for (int64_t h = 0; h < g->n; h++)
            if (s->take[h]) /* full */
                left -= (double)size_of(g, h);
            else
                weight += (double)size_of(g, h) * s->c.deviations[h];
        if (left > 0 && !(weight > 0))
            return bnf_fail(BNF_ERR_CONFIG,
                            "data.deviations: the strata with a deviation above 0 have fewer than "
                            "data.batch (%lld) samples",
                            (long long)s->c.batch);
        again = false;
        for (int64_t h = 0; h < g->n; h++) {
            double n = (double)size_of(g, h);
            double share = weight > 0 ? left * n * s->c.deviations[h] / weight : 0;
            s->target[h] = s->take[h] ? n : share;
            if (!s->take[h] && s->target[h] > n) {
                s->take[h] = 1;
                again = true;
            }
        }
    }
    return BNF_OK;
}

static bnf_status strata_prepare(bnf_sampler *s)
{
    if (!s->c.group)
        return bnf_fail(BNF_ERR_CONFIG, "data.strata says by what to stratify");
    BNF_TRY(groups_by_value(s));
    BNF_TRY(bnf_calloc((size_t)s->groups.n, sizeof *s->target, "strata", &s->target));
    BNF_TRY(bnf_calloc((size_t)s->groups.n, sizeof *s->take, "strata", &s->take));
    if (s->c.allocation == BNF_ALLOCATION_FIXED)
        BNF_TRY(fixed_sizes(s));
    else if (s->c.allocation == BNF_ALLOCATION_NEYMAN)
        BNF_TRY(neyman_sizes(s));
    else
        for (int64_t h = 0; h < s->groups.n; h++)
            s->target[h] = s->rate * (double)size_of(&s->groups, h);
    int64_t most = 0;
    for (int64_t h = 0; h < s->groups.n; h++) {
        int64_t n = (int64_t)ceil(s->target[h]);
        most = n > most ? n : most;
    }
    return bnf_pick_create(most, &s->pick);
}

/* ---- Strata: draws ---- */

/* Never more than the stratum has: its target is at most that. */
static int64_t round_target(const bnf_sampler *s, int64_t h, bnf_philox_key key, int64_t step)
{
    double t = s->target[h], whole = floor(t);
    if (s->c.rounding == BNF_ROUNDING_DETERMINISTIC)
        return (int64_t)floor(t + 0.5);
    if (t == whole)
        return (int64_t)whole;
    bnf_philox_block b = bnf_philox(key, bnf_philox_counter((uint32_t)step, (uint64_t)h, 0));
    return (int64_t)whole + (bnf_philox_unit_f64(b.v[0], b.v[1]) < t - whole);
}

static int64_t strata_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index)
{
    const bnf_groups *g = &s->groups;
    bnf_philox_key round = bnf_sampler_key(s, BNF_SAMPLER_KEY_ROUND, step);
    bnf_philox_key key = bnf_sampler_key(s, BNF_SAMPLER_KEY_PICK, step);
    int64_t n = 0, at = 0;

    for (int64_t h = 0; h < g->n; h++)
        n += s->take[h] = round_target(s, h, round, step);
    if (n > room)
        return n;
    for (int64_t h = 0; h < g->n; h++) {
        if (!s->take[h])
            continue;
        bnf_pick_draw(s->pick, bnf_philox_key_layer(key, (uint64_t)h), (uint32_t)step, size_of(g, h), s->take[h],
                      index + at);
        for (int64_t end = at + s->take[h]; at < end; at++)
            index[at] = g->member[g->start[h] + index[at]];
    }
    mix(s, step, n, index);
    return n;
}

static int64_t strata_room(const bnf_sampler *s, double odds)
{
    int64_t n = 0;
    (void)odds;
    for (int64_t h = 0; h < s->groups.n; h++)
        n += (int64_t)(s->c.rounding == BNF_ROUNDING_DETERMINISTIC ? floor(s->target[h] + 0.5) : ceil(s->target[h]));
    return n;
}

static double strata_mean(const bnf_sampler *s)
{
    double n = 0;
    for (int64_t h = 0; h < s->groups.n; h++)
        n += s->c.rounding == BNF_ROUNDING_DETERMINISTIC ? floor(s->target[h] + 0.5) : s->target[h];
    return n;
}

static double strata_inclusion(const bnf_sampler *s, int64_t sample)
{
    int64_t h = s->groups.of[sample];
    double t = s->c.rounding == BNF_ROUNDING_DETERMINISTIC ? floor(s->target[h] + 0.5) : s->target[h];
    return t / (double)size_of(&s->groups, h);
}

static bnf_neighbours strata_neighbours(const bnf_sampler *s)
{
    if (s->c.allocation == BNF_ALLOCATION_FIXED)
        return BNF_NEIGHBOURS_REPLACE_IN_STRATUM;
    return s->c.allocation == BNF_ALLOCATION_PROPORTIONAL ? BNF_NEIGHBOURS_ADD_REMOVE : BNF_NEIGHBOURS_NONE;
}

const bnf_scheme bnf_scheme_stratified = {true,        strata_prepare,   strata_draw,      strata_room,
                                          strata_mean, strata_inclusion, strata_neighbours};

/* ---- Clusters ---- */

static bnf_status cluster_prepare(bnf_sampler *s)
{
    if (!s->c.group && s->c.cluster_rows < 1)
        return bnf_fail(BNF_ERR_CONFIG, "the sampler cluster needs data.clusters, or data.cluster_rows for clusters of "
                                        "neighbours in the file");
    BNF_TRY(s->c.group ? groups_by_value(s) : groups_by_rows(s));
    if (s->c.clusters > s->groups.n)
        return bnf_fail(BNF_ERR_CONFIG, "data.draw_clusters (%lld): there are %lld", (long long)s->c.clusters,
                        (long long)s->groups.n);
    if (s->c.clusters == 0) {
        double wanted = (double)s->c.batch * (double)s->groups.n / (double)s->c.count;
        s->c.clusters = wanted < 1 ? 1 : wanted > (double)s->groups.n ? s->groups.n : (int64_t)(wanted + 0.5);
    }
    BNF_TRY(bnf_calloc((size_t)s->groups.n, sizeof *s->take, "clusters", &s->take));
    return bnf_pick_create(s->c.clusters, &s->pick);
}

static int64_t cluster_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index)
{
    const bnf_groups *g = &s->groups;
    int64_t n = 0, at = 0;

    bnf_pick_draw(s->pick, bnf_sampler_key(s, BNF_SAMPLER_KEY_PICK, step), (uint32_t)step, g->n, s->c.clusters,
                  s->take);
    for (int64_t k = 0; k < s->c.clusters; k++)
        n += size_of(g, s->take[k]);
    if (n > room)
        return n;
    for (int64_t k = 0; k < s->c.clusters; k++)
        for (int64_t i = g->start[s->take[k]]; i < g->start[s->take[k] + 1]; i++)
            index[at++] = g->member ? g->member[i] : i;
    mix(s, step, n, index);
    return n;
}

/* The largest clusters together. */
static int64_t cluster_room(const bnf_sampler *s, double odds)
{
    int64_t n = 0;
    (void)odds;
    for (int64_t h = 0; h < s->groups.n; h++)
        s->take[h] = size_of(&s->groups, h);
    qsort(s->take, (size_t)s->groups.n, sizeof *s->take, ascending);
    for (int64_t k = 0; k < s->c.clusters; k++)
        n += s->take[s->groups.n - 1 - k];
    return n;
}

static double cluster_mean(const bnf_sampler *s)
{
    return (double)s->c.count * (double)s->c.clusters / (double)s->groups.n;
}

static double cluster_inclusion(const bnf_sampler *s, int64_t sample)
{
    (void)sample;
    return (double)s->c.clusters / (double)s->groups.n;
}

static bnf_neighbours cluster_neighbours(const bnf_sampler *s)
{
    (void)s;
    return BNF_NEIGHBOURS_REPLACE_CLUSTER;
}

const bnf_scheme bnf_scheme_cluster = {true,         cluster_prepare,   cluster_draw,      cluster_room,
                                       cluster_mean, cluster_inclusion, cluster_neighbours};
