/* Orders of samples: always a permutation, a function of seed and epoch, and local where a window asks for it. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "data/order.h"

enum { N = 1003 };

static void assert_permutation(const int64_t *order, int64_t n)
{
    char seen[N] = {0};
    for (int64_t i = 0; i < n; i++) {
        assert_in_range(order[i], 0, n - 1);
        assert_false(seen[order[i]]);
        seen[order[i]] = 1;
    }
}

static bnf_order *make(uint64_t seed, int64_t n, bool shuffle, int64_t chunk, int64_t window)
{
    bnf_order *s;
    bnf_order_config config = {
        .seed = seed, .count = n, .shuffle = shuffle, .chunk_rows = chunk, .window_rows = window};
    assert_ok(bnf_order_create(&config, &s));
    return s;
}

static void test_every_epoch_is_a_permutation(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = {{N, 10, 0}, {N, 10, 100}, {N, 7, 1}, {N, 1, 50}, {N, 2000, 5},
                                        {N, 10, N}, {1, 1, 0},    {2, 1, 1}, {13, 5, 5}, {N, 100, 350}};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        bnf_order *s = make(5, shapes[k][0], true, shapes[k][1], shapes[k][2]);
        for (int64_t epoch = 0; epoch < 4; epoch++)
            assert_permutation(bnf_order_of_epoch(s, epoch), shapes[k][0]);
        bnf_order_destroy(s);
    }
}

static void test_sequential(void **state)
{
    (void)state;
    bnf_order *s = make(5, N, false, 10, 0);
    for (int64_t epoch = 0; epoch < 3; epoch++)
        for (int64_t i = 0; i < N; i++)
            assert_int_equal(bnf_order_of_epoch(s, epoch)[i], i);
    bnf_order_destroy(s);
}

static int64_t equal_places(const int64_t *a, const int64_t *b)
{
    int64_t equal = 0;
    for (int64_t i = 0; i < N; i++)
        equal += a[i] == b[i];
    return equal;
}

/* The same whatever was asked before; another epoch or seed is another order. */
static void test_pure_function(void **state)
{
    (void)state;
    for (int64_t window = 0; window <= 100; window += 100) {
        int64_t kept[N];
        bnf_order *s = make(9, N, true, 10, window), *t = make(9, N, true, 10, window),
                  *u = make(10, N, true, 10, window);
        memcpy(kept, bnf_order_of_epoch(s, 6), sizeof kept);
        bnf_order_of_epoch(t, 0);
        bnf_order_of_epoch(t, 7);
        assert_memory_equal(bnf_order_of_epoch(t, 6), kept, sizeof kept);
        assert_true(equal_places(bnf_order_of_epoch(t, 7), kept) < 20);
        assert_true(equal_places(bnf_order_of_epoch(u, 6), kept) < 20);
        bnf_order_destroy(s);
        bnf_order_destroy(t);
        bnf_order_destroy(u);
    }
}

/* Each window of positions draws on as few chunks as can fill it, and mixes them. */
static void test_window_is_local(void **state)
{
    (void)state;
    enum { CHUNK = 10, WINDOW = 100, ROWS = 1000 };
    bnf_order *s = make(1, ROWS, true, CHUNK, WINDOW);
    const int64_t *order = bnf_order_of_epoch(s, 0);
    int neighbours = 0, windows_out_of_place = 0;

    for (int64_t start = 0; start < ROWS; start += WINDOW) {
        char used[ROWS / CHUNK] = {0};
        int chunks = 0, low = 0;
        for (int64_t i = start; i < start + WINDOW; i++) {
            chunks += !used[order[i] / CHUNK];
            used[order[i] / CHUNK] = 1;
            neighbours += i > start && order[i] / CHUNK == order[i - 1] / CHUNK;
            low += order[i] / WINDOW == start / WINDOW;
        }
        assert_int_equal(chunks, WINDOW / CHUNK);
        windows_out_of_place += low < WINDOW / 2;
    }
    assert_true(neighbours < ROWS / 5);     /* 9 % by chance */
    assert_true(windows_out_of_place >= 8); /* chunks come from all over the file */
    bnf_order_destroy(s);
}

/* With the whole set as the window the order does not depend on how the file is chunked. */
static void test_whole_window_ignores_chunks(void **state)
{
    (void)state;
    bnf_order *s = make(1, N, true, 10, 0), *t = make(1, N, true, 33, N + 5);
    assert_memory_equal(bnf_order_of_epoch(s, 2), bnf_order_of_epoch(t, 2), N * sizeof(int64_t));
    bnf_order_destroy(s);
    bnf_order_destroy(t);
}

static void test_no_allocation_per_epoch(void **state)
{
    (void)state;
    bnf_order *s = make(1, N, true, 10, 50);
    int64_t before = bnf_mem_total_allocations();
    for (int64_t epoch = 0; epoch < 5; epoch++)
        bnf_order_of_epoch(s, epoch);
    assert_int_equal(bnf_mem_total_allocations(), before);
    bnf_order_destroy(s);
    bnf_order_config bad = {.count = 0, .chunk_rows = 1};
    assert_fails(bnf_order_create(&bad, &s), BNF_ERR_ARG, "0 samples");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_epoch_is_a_permutation),
        cmocka_unit_test(test_sequential),
        cmocka_unit_test(test_pure_function),
        cmocka_unit_test(test_window_is_local),
        cmocka_unit_test(test_whole_window_ignores_chunks),
        cmocka_unit_test(test_no_allocation_per_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
