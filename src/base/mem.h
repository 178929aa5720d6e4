/* base/mem.h - allocation that is counted, aligned and can be made to fail; arenas by lifetime.
 *
 * All heap memory of the library goes through these functions, so that (1) the balance at exit can be checked, (2)
 * a test can assert that no allocation happens inside a training step, (3) a test can make the N-th allocation fail. */
#ifndef BNF_BASE_MEM_H
#define BNF_BASE_MEM_H

#include <banff/base.h>
#include <stdbool.h>

#define BNF_ALIGN 64 /* bytes: a cache line and an AVX-512 register */

/* Allocates `bytes` (0 is legal and gives a unique pointer), aligned to BNF_ALIGN, not initialised.
 * [out] p  owned by the caller, release with bnf_free. Errors: BNF_ERR_MEMORY (message names bytes and `what`).
 * Thread-safe. */
bnf_status bnf_alloc(size_t bytes, const char *what, void *p /* really void ** */);

/* The same, zeroed; count * size is checked for overflow. */
bnf_status bnf_calloc(size_t count, size_t size, const char *what, void *p /* really void ** */);

/* Grows or shrinks *p (NULL is legal) from old_bytes to new_bytes, keeping the content. On error *p is unchanged. */
bnf_status bnf_realloc(size_t old_bytes, size_t new_bytes, const char *what, void *p /* really void ** */);

/* Copies a string. [out] copy owned by the caller. */
bnf_status bnf_strdup(const char *s, char **copy);

/* Releases memory of bnf_alloc, bnf_calloc, bnf_realloc or bnf_strdup; NULL is legal. */
void bnf_free(void *p);

/* Counters since start, over all threads. */
int64_t bnf_mem_live_blocks(void);
int64_t bnf_mem_live_bytes(void);
int64_t bnf_mem_peak_bytes(void);
int64_t bnf_mem_total_allocations(void);

/* Fault injection: the n-th allocation from now (1 = next) fails once; 0 turns it off. */
void bnf_mem_fail_at(int64_t n);

/* An arena hands out aligned pieces that die together. Not thread-safe. */
typedef struct bnf_arena bnf_arena;

/* [out] arena owned, release with bnf_arena_destroy. block_bytes: size of the chunks it grows by. */
bnf_status bnf_arena_create(size_t block_bytes, const char *what, bnf_arena **arena);
bnf_status bnf_arena_alloc(bnf_arena *arena, size_t bytes, void *p /* really void ** */);
bnf_status bnf_arena_strdup(bnf_arena *arena, const char *s, const char **copy);
void bnf_arena_reset(bnf_arena *arena);   /* forgets all pieces, keeps the memory */
void bnf_arena_destroy(bnf_arena *arena); /* NULL is legal */

#endif
