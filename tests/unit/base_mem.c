/* Allocation: alignment, balance, overflow, faults, arenas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"

#include <string.h>

static void test_aligned_and_counted(void **unused)
{
    (void)unused;
    const int64_t blocks = bnf_mem_live_blocks(), bytes = bnf_mem_live_bytes(), total = bnf_mem_total_allocations();
    static const size_t sizes[] = {0, 1, 63, 64, 65, 100000};
    enum { N = sizeof sizes / sizeof *sizes };
    char *p[N];
    int64_t sum = 0;
    for (int i = 0; i < N; i++) {
        assert_int_equal(bnf_alloc(sizes[i], "a test", &p[i]), BNF_OK);
        assert_int_equal((uintptr_t)p[i] % BNF_ALIGN, 0);
        memset(p[i], i, sizes[i]);
        sum += (int64_t)sizes[i];
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(p[i], p[j]);
    }
    assert_int_equal(bnf_mem_live_blocks(), blocks + N);
    assert_int_equal(bnf_mem_live_bytes(), bytes + sum);
    assert_int_equal(bnf_mem_total_allocations(), total + N);
    assert_true(bnf_mem_peak_bytes() >= bytes + sum);
    for (int i = 0; i < N; i++)
        bnf_free(p[i]);
    bnf_free(NULL);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
    assert_int_equal(bnf_mem_live_bytes(), bytes);
    assert_true(bnf_mem_peak_bytes() >= bytes + sum);
}

static void test_zeroed(void **unused)
{
    (void)unused;
    unsigned char *p;
    assert_int_equal(bnf_calloc(10, 20, "a test", &p), BNF_OK);
    for (int i = 0; i < 200; i++)
        assert_int_equal(p[i], 0);
    bnf_free(p);
}

static void test_impossible_sizes(void **unused)
{
    (void)unused;
    void *p = &p;
    assert_int_equal(bnf_calloc(SIZE_MAX / 2, 3, "numbers", &p), BNF_ERR_MEMORY);
    assert_non_null(strstr(bnf_error_message(), "numbers"));
    assert_null(p);
    bnf_error_clear();
    assert_int_equal(bnf_alloc(SIZE_MAX - 8, "everything", &p), BNF_ERR_MEMORY);
    assert_null(p);
    bnf_error_clear();
}

static void test_resize(void **unused)
{
    (void)unused;
    const int64_t blocks = bnf_mem_live_blocks();
    char *p = NULL;
    assert_int_equal(bnf_realloc(0, 4, "a test", &p), BNF_OK);
    memcpy(p, "abcd", 4);
    assert_int_equal(bnf_realloc(4, 4000, "a test", &p), BNF_OK);
    assert_memory_equal(p, "abcd", 4);
    assert_int_equal(bnf_realloc(4000, 2, "a test", &p), BNF_OK);
    assert_memory_equal(p, "ab", 2);
    char *before = p;
    bnf_mem_fail_at(1);
    assert_int_equal(bnf_realloc(2, 10, "a test", &p), BNF_ERR_MEMORY);
    assert_ptr_equal(p, before);
    assert_memory_equal(p, "ab", 2);
    bnf_error_clear();
    bnf_free(p);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

static void test_fault_hits_the_nth(void **unused)
{
    (void)unused;
    for (int nth = 1; nth <= 4; nth++) {
        bnf_mem_fail_at(nth);
        for (int i = 1; i <= 6; i++) {
            void *p;
            const bnf_status s = bnf_alloc(8, "a test", &p);
            assert_int_equal(s, i == nth ? BNF_ERR_MEMORY : BNF_OK);
            bnf_free(p);
        }
        assert_string_equal(bnf_error_message(), "cannot allocate 8 bytes for a test");
        bnf_error_clear();
    }
    bnf_mem_fail_at(1);
    bnf_mem_fail_at(0);
    void *p;
    assert_int_equal(bnf_alloc(8, "a test", &p), BNF_OK);
    bnf_free(p);
}

static void test_arena(void **unused)
{
    (void)unused;
    const int64_t blocks = bnf_mem_live_blocks();
    bnf_arena *arena;
    char *p[50];
    assert_int_equal(bnf_arena_create(1024, "a test", &arena), BNF_OK);
    for (int round = 0; round < 3; round++) {
        const int64_t total = bnf_mem_total_allocations();
        for (int i = 0; i < 50; i++) {
            const size_t size = i == 20 ? 5000 : (size_t)i;
            assert_int_equal(bnf_arena_alloc(arena, size, &p[i]), BNF_OK);
            assert_int_equal((uintptr_t)p[i] % BNF_ALIGN, 0);
            memset(p[i], i, size);
        }
        for (int i = 1; i < 50; i++)
            assert_int_equal(p[i][i == 20 ? 4999 : i - 1], i); /* nobody wrote over it */
        if (round > 0)
            assert_int_equal(bnf_mem_total_allocations(), total); /* the memory was kept */
        bnf_arena_reset(arena);
    }
    const char *copy;
    assert_int_equal(bnf_arena_strdup(arena, "text", &copy), BNF_OK);
    assert_string_equal(copy, "text");
    bnf_arena_destroy(arena);
    bnf_arena_destroy(NULL);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

static void test_arena_without_memory(void **unused)
{
    (void)unused;
    const int64_t blocks = bnf_mem_live_blocks();
    bnf_arena *arena;
    for (int nth = 1; nth <= 2; nth++) {
        bnf_mem_fail_at(nth);
        assert_int_equal(bnf_arena_create(64, "a test", &arena), BNF_ERR_MEMORY);
        assert_null(arena);
        bnf_error_clear();
    }
    assert_int_equal(bnf_arena_create(64, "a test", &arena), BNF_OK);
    void *p;
    bnf_mem_fail_at(1);
    assert_int_equal(bnf_arena_alloc(arena, 10, &p), BNF_ERR_MEMORY);
    bnf_error_clear();
    assert_int_equal(bnf_arena_alloc(arena, 10, &p), BNF_OK);
    assert_int_equal(bnf_arena_alloc(arena, SIZE_MAX - 10, &p), BNF_ERR_MEMORY);
    bnf_error_clear();
    bnf_arena_destroy(arena);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aligned_and_counted),  cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_impossible_sizes),     cmocka_unit_test(test_resize),
        cmocka_unit_test(test_fault_hits_the_nth),   cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
