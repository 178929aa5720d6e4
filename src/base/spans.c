/* base/spans.c - spans of time in arrays that are booked beforehand. */
#include "base/spans.h"

#include "base/assert.h"
#include "base/mem.h"

bnf_status bnf_spans_create(int lanes, bnf_spans **spans)
{
    bnf_spans *s;
    BNF_TRY(bnf_calloc(1, sizeof *s, "recorder of spans", &s));
    bnf_status status = bnf_calloc((size_t)lanes, sizeof *s->lane, "recorder of spans", &s->lane);
    if (status != BNF_OK) {
        bnf_free(s);
        return status;
    }
    s->lanes = lanes;
    *spans = s;
    return BNF_OK;
}

void bnf_spans_destroy(bnf_spans *spans)
{
    if (!spans)
        return;
    for (int i = 0; i < spans->lanes; i++)
        bnf_free(spans->lane[i].span);
    bnf_free(spans->lane);
    bnf_free(spans);
}

bnf_status bnf_spans_book(bnf_spans *spans, int64_t room, int64_t spare)
{
    BNF_ASSERT(spans->room == 0 && room >= 0 && spare >= 0);
    for (int i = 0; i < spans->lanes; i++)
        BNF_TRY(bnf_calloc((size_t)(room + spare), sizeof(bnf_span), "spans of a profile", &spans->lane[i].span));
    spans->room = room + spare;
    spans->spare = spare;
    return BNF_OK;
}

void bnf_spans_switch(bnf_spans *spans, bool on)
{
    atomic_store_explicit(&spans->on, on, memory_order_release);
}

void bnf_spans_add(bnf_spans *spans, int lane, bnf_span_kind kind, int64_t id, int64_t leaf, int64_t begin, int64_t end)
{
    BNF_ASSERT(lane >= 0 && lane < spans->lanes);
    bnf_spans_lane *l = &spans->lane[lane];
    int64_t n = atomic_load_explicit(&l->count, memory_order_relaxed);
    int64_t room = kind == BNF_SPAN_OP || kind == BNF_SPAN_ADD ? spans->room - spans->spare : spans->room;
    if (n >= room) {
        atomic_fetch_add_explicit(&l->dropped, 1, memory_order_relaxed);
        return;
    }
    l->span[n] = (bnf_span){begin, end, (int32_t)kind, (int32_t)id, (int32_t)leaf, 0};
    atomic_store_explicit(&l->count, n + 1, memory_order_release);
}

const bnf_span *bnf_spans_get(const bnf_spans *spans, int lane, int64_t *n)
{
    BNF_ASSERT(lane >= 0 && lane < spans->lanes);
    *n = atomic_load_explicit(&spans->lane[lane].count, memory_order_acquire);
    return spans->lane[lane].span;
}

int64_t bnf_spans_dropped(const bnf_spans *spans)
{
    int64_t sum = 0;
    for (int i = 0; i < spans->lanes; i++)
        sum += atomic_load_explicit(&spans->lane[i].dropped, memory_order_relaxed);
    return sum;
}
