/* Counted, aligned allocation and arenas. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define LIVE_MARK UINT64_C(0xb4ff11fe0a110c8d)
#define DEAD_MARK UINT64_C(0xb4ffdeadb4ffdead)

/* Stands in front of every block and takes a whole alignment unit, so that the block behind it is aligned. */
typedef struct header {
    _Alignas(BNF_ALIGN) uint64_t mark; /* tells a block of ours from a stray or freed pointer */
    size_t bytes;                      /* as asked for */
} header;

static atomic_int_fast64_t live_blocks;
static atomic_int_fast64_t live_bytes;
static atomic_int_fast64_t peak_bytes;
static atomic_int_fast64_t total_allocations;
static atomic_int_fast64_t fail_countdown;

/* True for exactly one caller: the one whose allocation is the n-th since bnf_mem_fail_at(n). */
static bool fault_due(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) <= 0)
        return false;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

static void count_up(size_t bytes)
{
    atomic_fetch_add_explicit(&total_allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    const int_fast64_t now =
        atomic_fetch_add_explicit(&live_bytes, (int_fast64_t)bytes, memory_order_relaxed) + (int_fast64_t)bytes;
    int_fast64_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, now))
        continue;
}

/* The block's header. A pointer that did not come from here, or was freed before, is a bug. */
static header *header_of(void *block)
{
    header *h = (header *)((char *)block - sizeof(header));
    BNF_ASSERT(h->mark == LIVE_MARK);
    return h;
}

/* Callers pass the address of a pointer of any object type: copied as bytes, not as an lvalue of another type. */
static void *load_pointer(const void *p)
{
    void *block;
    memcpy(&block, p, sizeof block);
    return block;
}

static void store_pointer(void *p, const void *block)
{
    memcpy(p, &block, sizeof block);
}

/* The block, or NULL when there is no memory or a fault is due. */
static void *block_new(size_t bytes)
{
    if (bytes > PTRDIFF_MAX - 2 * sizeof(header) || fault_due())
        return NULL;
    const size_t whole = (bytes + sizeof(header) + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
    header *h = aligned_alloc(BNF_ALIGN, whole);
    if (h == NULL)
        return NULL;
    *h = (header){.mark = LIVE_MARK, .bytes = bytes};
    count_up(bytes);
    return h + 1;
}

bnf_status bnf_alloc(size_t bytes, const char *what, void *p)
{
    void *block = block_new(bytes);
    store_pointer(p, block);
    if (block == NULL)
        return bnf_fail(BNF_ERR_MEMORY, "cannot allocate %zu bytes for %s", bytes, what);
    return BNF_OK;
}

bnf_status bnf_calloc(size_t count, size_t size, const char *what, void *p)
{
    size_t bytes;
    store_pointer(p, NULL);
    if (__builtin_mul_overflow(count, size, &bytes))
        return bnf_fail(BNF_ERR_MEMORY, "cannot allocate %zu times %zu bytes for %s", count, size, what);
    BNF_TRY(bnf_alloc(bytes, what, p));
    memset(load_pointer(p), 0, bytes);
    return BNF_OK;
}

bnf_status bnf_realloc(size_t old_bytes, size_t new_bytes, const char *what, void *p)
{
    void *old = load_pointer(p);
    BNF_ASSERT(old == NULL ? old_bytes == 0 : old_bytes <= header_of(old)->bytes);
    void *block = block_new(new_bytes);
    if (block == NULL)
        return bnf_fail(BNF_ERR_MEMORY, "cannot allocate %zu bytes for %s", new_bytes, what);
    const size_t kept = old_bytes < new_bytes ? old_bytes : new_bytes;
    if (kept > 0)
        memcpy(block, old, kept);
    bnf_free(old);
    store_pointer(p, block);
    return BNF_OK;
}

bnf_status bnf_strdup(const char *s, char **copy)
{
    const size_t bytes = strlen(s) + 1;
    BNF_TRY(bnf_alloc(bytes, "a copy of a string", copy));
    memcpy(*copy, s, bytes);
    return BNF_OK;
}

void bnf_free(void *p)
{
    if (p == NULL)
        return;
    header *h = header_of(p);
    *(volatile uint64_t *)&h->mark = DEAD_MARK; /* volatile: a plain store before free would be dropped */
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_bytes, (int_fast64_t)h->bytes, memory_order_relaxed);
    free(h);
}

int64_t bnf_mem_live_blocks(void)
{
    return atomic_load(&live_blocks);
}

int64_t bnf_mem_live_bytes(void)
{
    return atomic_load(&live_bytes);
}

int64_t bnf_mem_peak_bytes(void)
{
    return atomic_load(&peak_bytes);
}

int64_t bnf_mem_total_allocations(void)
{
    return atomic_load(&total_allocations);
}

void bnf_mem_fail_at(int64_t n)
{
    BNF_ASSERT(n >= 0);
    atomic_store(&fail_countdown, n);
}

/* ---- arenas ---------------------------------------------------------------------------------------------------- */

/* A chunk; its pieces follow. Aligned, so that they start on a boundary. */
typedef struct chunk {
    _Alignas(BNF_ALIGN) struct chunk *next;
    size_t capacity;
    size_t used;
} chunk;

struct bnf_arena {
    chunk *first;
    chunk *current; /* chunks before it are full, those after it are empty */
    size_t block_bytes;
    char *what;
};

bnf_status bnf_arena_create(size_t block_bytes, const char *what, bnf_arena **arena)
{
    bnf_arena *a;
    bnf_status s = BNF_OK;
    *arena = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *a, what, &a));
    a->block_bytes = block_bytes;
    BNF_TRY_GOTO(s, bnf_strdup(what, &a->what), fail);
    *arena = a;
    return BNF_OK;
fail:
    bnf_free(a);
    return s;
}

/* Puts a new empty chunk of at least `bytes` behind the current one. */
static bnf_status add_chunk(bnf_arena *a, size_t bytes)
{
    const size_t capacity = bytes > a->block_bytes ? bytes : a->block_bytes;
    if (capacity > PTRDIFF_MAX)
        return bnf_fail(BNF_ERR_MEMORY, "cannot allocate %zu bytes for %s", capacity, a->what);
    chunk *c;
    BNF_TRY(bnf_alloc(sizeof *c + capacity, a->what, &c));
    *c = (chunk){.capacity = capacity};
    if (a->current == NULL) {
        a->first = c;
    } else {
        c->next = a->current->next;
        a->current->next = c;
    }
    a->current = c;
    return BNF_OK;
}

bnf_status bnf_arena_alloc(bnf_arena *arena, size_t bytes, void *p)
{
    store_pointer(p, NULL);
    if (bytes > PTRDIFF_MAX)
        return bnf_fail(BNF_ERR_MEMORY, "cannot allocate %zu bytes for %s", bytes, arena->what);
    const size_t room = bytes == 0 ? BNF_ALIGN : (bytes + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
    chunk *c = arena->current;
    if (c != NULL && c->capacity - c->used < room && c->next != NULL && c->next->capacity >= room)
        c = arena->current = c->next;
    if (c == NULL || c->capacity - c->used < room) {
        BNF_TRY(add_chunk(arena, room));
        c = arena->current;
    }
    store_pointer(p, (char *)(c + 1) + c->used);
    c->used += room;
    return BNF_OK;
}

bnf_status bnf_arena_strdup(bnf_arena *arena, const char *s, const char **copy)
{
    const size_t bytes = strlen(s) + 1;
    char *text;
    *copy = NULL;
    BNF_TRY(bnf_arena_alloc(arena, bytes, &text));
    memcpy(text, s, bytes);
    *copy = text;
    return BNF_OK;
}

void bnf_arena_reset(bnf_arena *arena)
{
    for (chunk *c = arena->first; c != NULL; c = c->next)
        c->used = 0;
    arena->current = arena->first;
}

void bnf_arena_destroy(bnf_arena *arena)
{
    if (arena == NULL)
        return;
    for (chunk *c = arena->first, *next; c != NULL; c = next) {
        next = c->next;
        bnf_free(c);
    }
    bnf_free(arena->what);
    bnf_free(arena);
}
