#include "data/order.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/philox.h"

/* Keys within BNF_STREAM_ORDER. */
enum { ORDER_ALL = 0, ORDER_CHUNKS, ORDER_WINDOW };

struct bnf_order {
    bnf_order_config config;
    bnf_philox_key key;
    int64_t chunks;
    int64_t epoch;        /* whose order is in `order`; -1: none yet */
    int64_t *order;       /* [count] */
    int64_t *chunk_order; /* [chunks], NULL if the window is the whole set */
};

static bool windowed(const bnf_order_config *c)
{
    return c->shuffle && c->window_rows > 0 && c->window_rows < c->count;
}

bnf_status bnf_order_create(const bnf_order_config *config, bnf_order **order)
{
    bnf_order *s;
    bnf_status status;

    if (config->count < 1 || config->chunk_rows < 1 || config->window_rows < 0)
        return bnf_fail(BNF_ERR_ARG, "an order of %lld samples in chunks of %lld with a window of %lld",
                        (long long)config->count, (long long)config->chunk_rows, (long long)config->window_rows);
    BNF_TRY(bnf_calloc(1, sizeof *s, "order", &s));
    s->config = *config;
    s->key = bnf_philox_key_make(config->seed, BNF_STREAM_ORDER);
    s->chunks = (config->count + config->chunk_rows - 1) / config->chunk_rows;
    s->epoch = -1;
    status = bnf_calloc((size_t)config->count, sizeof *s->order, "order of samples", &s->order);
    if (status == BNF_OK && windowed(config))
        status = bnf_calloc((size_t)s->chunks, sizeof *s->chunk_order, "order of chunks", &s->chunk_order);
    if (status == BNF_OK)
        *order = s;
    else
        bnf_order_destroy(s);
    return status;
}

void bnf_order_destroy(bnf_order *order)
{
    if (!order)
        return;
    bnf_free(order->order);
    bnf_free(order->chunk_order);
    bnf_free(order);
}

/* Lays the chunks, in their random order, one behind the other, and shuffles each window that they fill. */
static void order_by_chunks(bnf_order *s, uint32_t epoch)
{
    const bnf_order_config *c = &s->config;
    bnf_philox_key key = bnf_philox_key_layer(s->key, ORDER_WINDOW);
    int64_t filled = 0, start = 0;

    bnf_philox_permutation(bnf_philox_key_layer(s->key, ORDER_CHUNKS), epoch, s->chunks, s->chunk_order);
    for (int64_t k = 0; k < s->chunks; k++) {
        int64_t lo = s->chunk_order[k] * c->chunk_rows;
        int64_t hi = lo + c->chunk_rows < c->count ? lo + c->chunk_rows : c->count;
        for (int64_t i = lo; i < hi; i++)
            s->order[filled++] = i;
        if (filled - start < c->window_rows && k + 1 < s->chunks)
            continue;
        for (int64_t i = filled - 1; i > start; i--) {
            uint64_t n = (uint64_t)(i - start + 1);
            int64_t j = start + (int64_t)bnf_philox_below_u64(key, epoch, (uint64_t)i, 0, n);
            int64_t swap = s->order[i];
            s->order[i] = s->order[j];
            s->order[j] = swap;
        }
        start = filled;
    }
}

const int64_t *bnf_order_of_epoch(bnf_order *s, int64_t epoch)
{
    BNF_ASSERT(epoch >= 0 && epoch <= UINT32_MAX);
    if (epoch == s->epoch || (!s->config.shuffle && s->epoch >= 0))
        return s->order;
    if (!s->config.shuffle)
        for (int64_t i = 0; i < s->config.count; i++)
            s->order[i] = i;
    else if (windowed(&s->config))
        order_by_chunks(s, (uint32_t)epoch);
    else
        bnf_philox_permutation(bnf_philox_key_layer(s->key, ORDER_ALL), (uint32_t)epoch, s->config.count, s->order);
    s->epoch = epoch;
    return s->order;
}
