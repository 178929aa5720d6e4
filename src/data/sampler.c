/* Samplers: the table of kinds, and what they have in common. */
#include "data/sampler_impl.h"

#include "base/assert.h"
#include "base/mem.h"

static const struct {
    const char *name;
    const bnf_scheme *scheme;
} kinds[BNF_SAMPLER_COUNT] = {
    [BNF_SAMPLER_SHUFFLE] = {"shuffle", &bnf_scheme_shuffle},
    [BNF_SAMPLER_SEQUENTIAL] = {"sequential", &bnf_scheme_sequential},
    [BNF_SAMPLER_REPLACEMENT] = {"replacement", &bnf_scheme_replacement},
    [BNF_SAMPLER_WITHOUT_REPLACEMENT] = {"without_replacement", &bnf_scheme_without_replacement},
    [BNF_SAMPLER_POISSON] = {"poisson", &bnf_scheme_poisson},
    [BNF_SAMPLER_STRATIFIED] = {"stratified", &bnf_scheme_stratified},
    [BNF_SAMPLER_CLUSTER] = {"cluster", &bnf_scheme_cluster},
};

const char *bnf_sampler_name(bnf_sampler_kind kind)
{
    return (unsigned)kind < BNF_SAMPLER_COUNT ? kinds[kind].name : "?";
}

bnf_philox_key bnf_sampler_key(const bnf_sampler *s, uint64_t purpose, int64_t step)
{
    bnf_philox_key key = bnf_philox_key_layer(bnf_philox_key_make(s->c.seed, BNF_STREAM_ORDER), purpose);
    uint64_t high = (uint64_t)step >> 32;
    return high ? bnf_philox_key_layer(key, high) : key;
}

/* ---- Checks ---- */

/* A setting that means something to other kinds only. */
static bnf_status check_use(const bnf_sampler_config *c, bool given, bool used, const char *key)
{
    if (given && !used)
        return bnf_fail(BNF_ERR_CONFIG, "data.%s is given, but means nothing to the sampler %s", key,
                        bnf_sampler_name(c->kind));
    return BNF_OK;
}

static bnf_status check_uses(const bnf_sampler_config *c)
{
    bool epoch = c->kind == BNF_SAMPLER_SHUFFLE || c->kind == BNF_SAMPLER_SEQUENTIAL;
    bool strata = c->kind == BNF_SAMPLER_STRATIFIED, clusters = c->kind == BNF_SAMPLER_CLUSTER;
    bool proportional = strata && c->allocation == BNF_ALLOCATION_PROPORTIONAL;

    BNF_TRY(check_use(c, c->drop_tail, epoch, "drop_tail"));
    BNF_TRY(check_use(c, c->window_rows > 0, c->kind == BNF_SAMPLER_SHUFFLE, "window"));
    BNF_TRY(check_use(c, c->rate > 0, c->kind == BNF_SAMPLER_POISSON || proportional, "rate"));
    BNF_TRY(check_use(c, c->allocation != BNF_ALLOCATION_PROPORTIONAL, strata, "allocation"));
    BNF_TRY(check_use(c, c->rounding != BNF_ROUNDING_RANDOMISED, strata && c->allocation != BNF_ALLOCATION_FIXED,
                      "rounding"));
    BNF_TRY(check_use(c, c->n_sizes > 0, strata && c->allocation == BNF_ALLOCATION_FIXED, "sizes"));
    BNF_TRY(check_use(c, c->n_deviations > 0, strata && c->allocation == BNF_ALLOCATION_NEYMAN, "deviations"));
    BNF_TRY(check_use(c, c->cluster_rows > 0, clusters && !c->group, "cluster_rows"));
    return check_use(c, c->clusters > 0, clusters, "draw_clusters");
}

static bnf_status check_config(const bnf_sampler_config *c)
{
    if (c->count < 1 || c->batch < 1 || c->chunk_rows < 1 || c->window_rows < 0)
        return bnf_fail(BNF_ERR_CONFIG, "a sampler of %lld samples in batches of %lld", (long long)c->count,
                        (long long)c->batch);
    if (c->drop_tail && c->batch > c->count)
        return bnf_fail(BNF_ERR_CONFIG,
                        "a batch of %lld samples is larger than the set (%lld), and incomplete batches "
                        "are to be dropped",
                        (long long)c->batch, (long long)c->count);
    if (!(c->rate >= 0 && c->rate <= 1))
        return bnf_fail(BNF_ERR_CONFIG, "data.rate (%g) must be above 0 and at most 1", c->rate);
    BNF_TRY(check_uses(c));
    bool by_rate = c->kind == BNF_SAMPLER_POISSON ||
                   (c->kind == BNF_SAMPLER_STRATIFIED && c->allocation == BNF_ALLOCATION_PROPORTIONAL);
    if (by_rate && c->rate == 0 && c->batch > c->count)
        return bnf_fail(BNF_ERR_CONFIG, "data.batch (%lld) is larger than the set (%lld): no rate gives that",
                        (long long)c->batch, (long long)c->count);
    return BNF_OK;
}

/* ---- Life ---- */

static bnf_status prepare(bnf_sampler *s)
{
    const bnf_sampler_config *c = &s->c;
    s->steps_per_epoch = (c->count + (c->drop_tail ? 0 : c->batch - 1)) / c->batch;
    s->rate = c->rate > 0 ? c->rate : (double)c->batch / (double)c->count;
    bnf_status status = s->scheme->prepare ? s->scheme->prepare(s) : BNF_OK;
    s->c.group = NULL; /* borrowed during creation only */
    s->c.sizes = NULL;
    s->c.deviations = NULL;
    return status;
}

bnf_status bnf_sampler_create(const bnf_sampler_config *config, bnf_sampler **sampler)
{
    bnf_sampler *s;

    BNF_ASSERT((unsigned)config->kind < BNF_SAMPLER_COUNT && (unsigned)config->allocation < BNF_ALLOCATION_COUNT &&
               (unsigned)config->rounding < BNF_ROUNDING_COUNT);
    BNF_TRY(check_config(config));
    BNF_TRY(bnf_calloc(1, sizeof *s, "sampler", &s));
    s->c = *config;
    s->scheme = kinds[config->kind].scheme;
    bnf_status status = prepare(s);
    if (status == BNF_OK)
        *sampler = s;
    else
        bnf_sampler_destroy(s);
    return status;
}

void bnf_sampler_destroy(bnf_sampler *s)
{
    if (!s)
        return;
    bnf_order_destroy(s->order);
    bnf_pick_destroy(s->pick);
    bnf_free(s->groups.start);
    bnf_free(s->groups.member);
    bnf_free(s->groups.of);
    bnf_free(s->target);
    bnf_free(s->take);
    bnf_free(s);
}

/* ---- Use ---- */

bool bnf_sampler_by_step(const bnf_sampler *s)
{
    return s->scheme->by_step;
}

int64_t bnf_sampler_steps_per_epoch(const bnf_sampler *s)
{
    return s->steps_per_epoch;
}

bnf_status bnf_sampler_draw(bnf_sampler *s, int64_t step, int64_t room, int64_t *index, int64_t *n)
{
    BNF_ASSERT(step >= 0 && room >= 0);
    *n = s->scheme->draw(s, step, room, index);
    if (*n > room)
        return bnf_fail(BNF_ERR_CONFIG,
                        "the sampler %s draws %lld samples in step %lld, but a batch has room for %lld: "
                        "raise data.capacity",
                        bnf_sampler_name(s->c.kind), (long long)*n, (long long)step, (long long)room);
    return BNF_OK;
}

int64_t bnf_sampler_room(const bnf_sampler *s, double odds)
{
    BNF_ASSERT(odds > 0);
    return s->scheme->room(s, odds);
}

double bnf_sampler_mean(const bnf_sampler *s)
{
    return s->scheme->mean(s);
}

double bnf_sampler_inclusion(const bnf_sampler *s, int64_t sample)
{
    BNF_ASSERT(sample >= 0 && sample < s->c.count);
    return s->scheme->inclusion(s, sample);
}

bnf_neighbours bnf_sampler_neighbours(const bnf_sampler *s)
{
    return s->scheme->neighbours(s);
}
