/* Messages between ranks, collective and pairwise, small and (with a lowered limit) too large for MPI's int counts;
 * agreement on errors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/comm.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "comm/agree.h"
#include "comm/limit.h"

static const bnf_comm *world;
static int rank, size;

/* What rank r sends to rank s at position i. */
static unsigned char pattern(int r, int s, int64_t i)
{
    return (unsigned char)(31 * r + 17 * s + i * 7 + i / 251);
}

static unsigned char *block(int64_t bytes)
{
    unsigned char *p;
    assert_int_equal(bnf_alloc((size_t)bytes, "a test", &p), BNF_OK);
    memset(p, 0xEE, (size_t)bytes);
    return p;
}

/* Limits that put a message of some bytes below, at and above what one MPI count can hold. */
static const int64_t limits[] = {1 << 30, 1000, 999, 64, 7, 1};
#define LIMITS ((int)(sizeof limits / sizeof *limits))

static int reset_limit(void **unused)
{
    (void)unused;
    bnf_comm_set_message_limit(1 << 30);
    bnf_error_clear();
    return 0;
}

static void test_properties(void **unused)
{
    (void)unused;
    assert_true(size >= 1 && rank >= 0 && rank < size);
    assert_int_equal(bnf_comm_size(bnf_comm_self()), 1);
    assert_int_equal(bnf_comm_rank(NULL), 0);
    assert_int_equal(bnf_comm_size(NULL), 1);
    assert_true(strlen(bnf_comm_host()) > 0 && strlen(bnf_comm_library()) > 0);
    assert_true(bnf_comm_thread_level() >= BNF_THREAD_FUNNELED);
    assert_non_null(bnf_comm_mpi(world));
    assert_null(bnf_comm_mpi(NULL));
}

static void test_reductions(void **unused)
{
    (void)unused;
    int64_t i[2] = {rank, -rank};
    double d[2] = {rank, 0.5};
    assert_int_equal(bnf_comm_allreduce_i64(world, BNF_COMM_SUM, i, 2), BNF_OK);
    assert_true(i[0] == size * (size - 1) / 2 && i[1] == -i[0]);
    i[0] = rank;
    assert_int_equal(bnf_comm_allreduce_i64(world, BNF_COMM_MAX, i, 1), BNF_OK);
    assert_int_equal(i[0], size - 1);
    i[0] = rank + 5;
    assert_int_equal(bnf_comm_allreduce_i64(world, BNF_COMM_MIN, i, 1), BNF_OK);
    assert_int_equal(i[0], 5);
    assert_int_equal(bnf_comm_allreduce_f64(world, BNF_COMM_SUM, d, 2), BNF_OK);
    assert_true(d[0] == size * (size - 1) / 2 && d[1] == 0.5 * size);
    d[0] = d[1] = rank;
    assert_int_equal(bnf_comm_allreduce_f64(world, BNF_COMM_MIN, d, 1), BNF_OK);
    assert_int_equal(bnf_comm_allreduce_f64(world, BNF_COMM_MAX, d + 1, 1), BNF_OK);
    assert_true(d[0] == 0 && d[1] == size - 1);
}

/* Whichever rank has it, a NaN is not lost. */
static void test_extremes_keep_nan(void **unused)
{
    (void)unused;
    for (int bad = 0; bad < size; bad++) {
        for (bnf_comm_op op = BNF_COMM_MIN; op <= BNF_COMM_MAX; op++) {
            double d[2] = {rank == bad ? NAN : rank, rank};
            assert_int_equal(bnf_comm_allreduce_f64(world, op, d, 2), BNF_OK);
            assert_true(isnan(d[0]));
            assert_true(d[1] == (op == BNF_COMM_MIN ? 0 : size - 1));
        }
    }
}

static void test_bcast_and_allgather(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    unsigned char *data = block(N), *all = block(N * (int64_t)size);
    for (int k = 0; k < LIMITS; k++) {
        bnf_comm_set_message_limit(limits[k]);
        for (int root = 0; root < size; root++) {
            for (int i = 0; i < N; i++)
                data[i] = rank == root ? pattern(root, 0, i) : 0;
            assert_int_equal(bnf_comm_bcast(world, root, data, N), BNF_OK);
            for (int i = 0; i < N; i++)
                assert_int_equal(data[i], pattern(root, 0, i));
        }
        for (int i = 0; i < N; i++)
            data[i] = pattern(rank, k, i);
        assert_int_equal(bnf_comm_allgather(world, data, N, all), BNF_OK);
        for (int r = 0; r < size; r++) {
            for (int i = 0; i < N; i++)
                assert_int_equal(all[r * N + i], pattern(r, k, i));
        }
    }
    bnf_free(data);
    bnf_free(all);
}

/* Rank r gives 100 r bytes (so rank 0 gives none). */
static void test_gathers_of_unequal_parts(void **unused)
{
    (void)unused;
    int64_t bytes[64], total = 0;
    for (int r = 0; r < size; r++)
        total += bytes[r] = 100 * r;
    unsigned char *own = block(bytes[rank]), *all = block(total);
    for (int64_t i = 0; i < bytes[rank]; i++)
        own[i] = pattern(rank, 0, i);
    for (int k = 0; k < LIMITS; k++) {
        bnf_comm_set_message_limit(limits[k]);
        for (int root = -1; root < size; root++) { /* -1: to all */
            memset(all, 0xEE, (size_t)total);
            if (root < 0)
                assert_int_equal(bnf_comm_allgatherv(world, own, bytes, all), BNF_OK);
            else
                assert_int_equal(bnf_comm_gatherv(world, root, own, bytes[rank], rank == root ? bytes : NULL,
                                                  rank == root ? all : NULL),
                                 BNF_OK);
            int64_t at = 0;
            for (int r = 0; r < size && (root < 0 || rank == root); at += bytes[r++]) {
                for (int64_t i = 0; i < bytes[r]; i++)
                    assert_int_equal(all[at + i], pattern(r, 0, i));
            }
        }
    }
    bnf_free(own);
    bnf_free(all);
}

/* Rank r sends (r + s) % 3 * unit bytes to rank s; gaps between the parts stay untouched. */
static void exchange(int64_t unit)
{
    int64_t send_bytes[64], send_at[64], recv_bytes[64], recv_at[64], send_total = 0, recv_total = 0;
    for (int r = 0; r < size; r++) {
        send_bytes[r] = recv_bytes[r] = (rank + r) % 3 * unit;
        send_at[r] = send_total + 5;
        recv_at[r] = recv_total + 3;
        send_total += send_bytes[r] + 5;
        recv_total += recv_bytes[r] + 3;
    }
    unsigned char *send = block(send_total), *recv = block(recv_total);
    for (int r = 0; r < size; r++) {
        for (int64_t i = 0; i < send_bytes[r]; i++)
            send[send_at[r] + i] = pattern(rank, r, i);
    }
    assert_int_equal(bnf_comm_exchange(world, send, send_bytes, send_at, recv, recv_bytes, recv_at), BNF_OK);
    int64_t wrong = 0;
    for (int r = 0; r < size; r++) {
        for (int64_t i = 0; i < recv_bytes[r]; i++)
            wrong += recv[recv_at[r] + i] != pattern(r, rank, i);
        for (int64_t i = 1; i <= 3; i++)
            wrong += recv[recv_at[r] - i] != 0xEE;
    }
    assert_int_equal(wrong, 0);
    bnf_free(send);
    bnf_free(recv);
}

static void test_exchange(void **unused)
{
    (void)unused;
    exchange(0);
    exchange(1);
    for (int k = 0; k < LIMITS; k++) {
        bnf_comm_set_message_limit(limits[k]);
        exchange(1000);
    }
    bnf_comm_set_message_limit(1 << 16);
    exchange(8 << 20);
}

static void test_pairwise(void **unused)
{
    (void)unused;
    enum { N = 1000, TAG = 5 };
    const int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    unsigned char *out = block(N), *in = block(N);
    for (int i = 0; i < N; i++)
        out[i] = pattern(rank, next, i);
    for (int k = 0; k < LIMITS; k++) {
        bnf_comm_request request[2];
        bnf_comm_set_message_limit(limits[k]);
        memset(in, 0, N);
        assert_int_equal(bnf_comm_irecv(world, previous, TAG, in, N, &request[0]), BNF_OK);
        assert_int_equal(bnf_comm_isend(world, next, TAG, out, N, &request[1]), BNF_OK);
        bool done = false;
        while (!done)
            assert_int_equal(bnf_comm_test(&request[0], &done), BNF_OK);
        assert_int_equal(bnf_comm_wait_all(request, 2), BNF_OK);
        assert_int_equal(bnf_comm_wait(&request[0]), BNF_OK);
        for (int i = 0; i < N; i++)
            assert_int_equal(in[i], pattern(previous, rank, i));
        int from;
        int64_t bytes;
        assert_int_equal(bnf_comm_isend(world, next, TAG, out, N, &request[1]), BNF_OK);
        assert_int_equal(bnf_comm_probe(world, BNF_COMM_ANY, TAG, &from, &bytes), BNF_OK);
        assert_true(from == previous && bytes == N);
        assert_int_equal(bnf_comm_recv(world, from, TAG, in, bytes), BNF_OK);
        assert_int_equal(bnf_comm_wait(&request[1]), BNF_OK);
    }
    bnf_comm_request none = {0};
    assert_int_equal(bnf_comm_wait(&none), BNF_OK);
    bnf_free(out);
    bnf_free(in);
}

/* Ranks that disagree about a size get an error on the receiving side, not silence. */
static void test_wrong_size(void **unused)
{
    (void)unused;
    char out[20] = {0}, in[20];
    const int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    for (int longer = 0; longer < 2; longer++) {
        bnf_comm_request request;
        assert_int_equal(bnf_comm_isend(world, next, 1, out, 10, &request), BNF_OK);
        assert_int_equal(bnf_comm_recv(world, previous, 1, in, longer ? 11 : 9), BNF_ERR_COMM);
        assert_true(strlen(bnf_error_message()) > 0);
        assert_int_equal(bnf_comm_wait(&request), BNF_OK);
        bnf_error_clear();
    }
}

static void test_split(void **unused)
{
    (void)unused;
    bnf_comm *part, *copy, *host;
    const int64_t blocks = bnf_mem_live_blocks();
    assert_int_equal(bnf_comm_split(world, rank % 2, -rank, &part), BNF_OK);
    assert_int_equal(bnf_comm_size(part), (size + 1 - rank % 2) / 2);
    assert_int_equal(bnf_comm_rank(part), bnf_comm_size(part) - 1 - rank / 2); /* ordered by key: backward */
    assert_int_equal(bnf_comm_dup(part, &copy), BNF_OK);
    assert_int_equal(bnf_comm_rank(copy), bnf_comm_rank(part));
    bnf_comm_destroy(copy);
    bnf_comm_destroy(part);
    assert_int_equal(bnf_comm_split_host(world, &host), BNF_OK);
    assert_int_equal(bnf_comm_size(host), size); /* these tests run on one host */
    bnf_comm_destroy(host);
    assert_int_equal(bnf_comm_split(world, rank == 0 ? 0 : -1, 0, &part), BNF_OK);
    assert_true((part != NULL) == (rank == 0));
    bnf_comm_destroy(part);
    assert_int_equal(bnf_comm_dup(NULL, &copy), BNF_OK);
    assert_null(copy);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

/* Ranks in `failing` (bits) fail. All return the status of the lowest; each that failed keeps its own message. */
static void agree(unsigned failing)
{
    int lowest = -1;
    for (int r = size - 1; r >= 0; r--)
        lowest = failing >> r & 1 ? r : lowest;
    bnf_status s = BNF_OK;
    bnf_error_clear();
    if (failing >> rank & 1)
        s = bnf_fail(rank % 2 == 0 ? BNF_ERR_IO : BNF_ERR_FORMAT, "trouble of %d", rank);
    const bnf_status agreed = bnf_comm_agree(world, s);
    if (lowest < 0) {
        assert_int_equal(agreed, BNF_OK);
        return;
    }
    assert_int_equal(agreed, lowest % 2 == 0 ? BNF_ERR_IO : BNF_ERR_FORMAT);
    char expected[80];
    if (failing >> rank & 1)
        snprintf(expected, sizeof expected, "trouble of %d", rank);
    else
        snprintf(expected, sizeof expected, "rank %d: trouble of %d", lowest, lowest);
    assert_string_equal(bnf_error_message(), expected);
    bnf_error_clear();
}

static void test_agree(void **unused)
{
    (void)unused;
    for (unsigned failing = 0; failing < 1u << size; failing++)
        agree(failing);
    assert_int_equal(bnf_comm_agree(NULL, BNF_ERR_IO), BNF_ERR_IO);
    assert_int_equal(bnf_comm_agree(NULL, BNF_OK), BNF_OK);
}

/* A message that was left over from a failure somebody dealt with does not hide the other rank's. */
static void test_agree_replaces_stale_message(void **unused)
{
    (void)unused;
    if (size == 1)
        return;
    bnf_fail(BNF_ERR_NUMERIC, rank == 0 ? "real" : "stale");
    assert_int_equal(bnf_comm_agree(world, rank == 0 ? BNF_ERR_NUMERIC : BNF_OK), BNF_ERR_NUMERIC);
    assert_string_equal(bnf_error_message(), rank == 0 ? "real" : "rank 0: real");
}

/* NULL is this process alone: same results as one rank. */
static void test_without_mpi(void **unused)
{
    (void)unused;
    int64_t n = 3, bytes = 4, zero = 0;
    char in[4] = "abc", out[4] = "";
    assert_int_equal(bnf_comm_barrier(NULL), BNF_OK);
    assert_int_equal(bnf_comm_allreduce_i64(NULL, BNF_COMM_SUM, &n, 1), BNF_OK);
    assert_int_equal(n, 3);
    assert_int_equal(bnf_comm_bcast(NULL, 0, in, 4), BNF_OK);
    assert_int_equal(bnf_comm_allgather(NULL, in, 4, out), BNF_OK);
    assert_string_equal(out, "abc");
    out[0] = '\0';
    assert_int_equal(bnf_comm_gatherv(NULL, 0, in, 4, &bytes, out), BNF_OK);
    assert_string_equal(out, "abc");
    out[0] = '\0';
    assert_int_equal(bnf_comm_exchange(NULL, in, &bytes, &zero, out, &bytes, &zero), BNF_OK);
    assert_string_equal(out, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_extremes_keep_nan),
        cmocka_unit_test_teardown(test_bcast_and_allgather, reset_limit),
        cmocka_unit_test_teardown(test_gathers_of_unequal_parts, reset_limit),
        cmocka_unit_test_teardown(test_exchange, reset_limit),
        cmocka_unit_test_teardown(test_pairwise, reset_limit),
        cmocka_unit_test_teardown(test_wrong_size, reset_limit),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_agree),
        cmocka_unit_test_teardown(test_agree_replaces_stale_message, reset_limit),
        cmocka_unit_test(test_without_mpi),
    };
    if (bnf_comm_world() != NULL || bnf_comm_init(BNF_THREAD_FUNNELED) != BNF_OK)
        return 1;
    world = bnf_comm_world();
    rank = bnf_comm_rank(world);
    size = bnf_comm_size(world);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return bnf_comm_finalize() != BNF_OK || bnf_comm_world() != NULL || failed + (int)bnf_mem_live_blocks() != 0;
}
