/* Ranks write one file together: chunks that straddle ranks, compressed, ranks with nothing; the content is the same
 * for any number of ranks; what fails on one rank fails on all and none waits. */
#include "unit/h5_support.h"

#include "base/mem.h"
#include "comm/agree.h"
#include "h5/attr.h"
#include "h5/checksum.h"
#include "h5/dataset.h"
#include "on_ranks.h"

#include <signal.h>
#include <sys/resource.h>

enum { ROWS = 67, HEIGHT = 5, WIDTH = 7, ROW = HEIGHT * WIDTH };

static const bnf_comm *world;
static int rank, ranks;
static char folder[256], path[300];

static int setup(void **state)
{
    (void)state;
    if (rank == 0)
        make_folder(folder);
    assert_ok(bnf_comm_bcast(world, 0, folder, sizeof folder));
    snprintf(path, sizeof path, "%s/shared.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        remove_folder(folder);
    return 0;
}

/* Element of the images; a function of the place alone. */
static unsigned char pixel(int64_t row, int64_t i)
{
    return (unsigned char)((row * row * 31 + row * 7 + i * 3) % 50);
}

/* Rows [begin, end) of rank r when `parts` ranks share them evenly. */
static int64_t row_begin(int r, int parts)
{
    return (int64_t)ROWS * r / parts;
}

/* Every rank writes its rows, `block` of them at a time (all ranks make the same number of calls, the last ones
 * empty). */
static void write_rows(bnf_h5_dataset *x, int64_t block)
{
    int64_t begin = row_begin(rank, ranks), end = row_begin(rank + 1, ranks);
    int64_t most = ROWS / ranks + 1;
    unsigned char *data = malloc((size_t)(block * ROW));
    assert_non_null(data);
    for (int64_t done = 0; done < most; done += block) {
        int64_t first = begin + done < end ? begin + done : end;
        int64_t count = first + block < end ? block : end - first;
        for (int64_t i = 0; i < count * ROW; i++)
            data[i] = pixel(first + i / ROW, i % ROW);
        assert_ok(bnf_h5_dataset_write_slab_all(x, BNF_U8, (int64_t[]){first, 0, 0, 0},
                                                (int64_t[]){count, HEIGHT, WIDTH, 1}, data, BNF_OK));
    }
    free(data);
}

/* Reads on every rank by itself and compares with the rule. */
static void check_file(void)
{
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    unsigned char data[ROWS * ROW];
    int64_t label[ROWS], samples;
    char *source;
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "/train/images", &x));
    assert_ok(bnf_h5_dataset_expect(x, BNF_U8, 4, (int64_t[]){ROWS, HEIGHT, WIDTH, 1}));
    assert_ok(bnf_h5_dataset_read(x, BNF_U8, data));
    for (int64_t i = 0; i < ROWS * ROW; i++)
        assert_int_equal(data[i], pixel(i / ROW, i % ROW));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_dataset_open(file, "/train/labels", &x));
    assert_ok(bnf_h5_dataset_read(x, BNF_I64, label));
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(label[i], i % 10);
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_attr_get_int(file, "/train", "samples", &samples));
    assert_int_equal(samples, ROWS);
    assert_ok(bnf_h5_attr_get_str(file, "/train/images", "source", &source));
    assert_string_equal(source, "a rule");
    bnf_free(source);
    assert_ok(bnf_h5_file_close(file));
}

static void write_and_check(const bnf_h5_storage *storage, int64_t block)
{
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int64_t label[ROWS];
    for (int i = 0; i < ROWS; i++)
        label[i] = i % 10;
    assert_ok(bnf_h5_file_create_parallel(path, world, &file));
    assert_ok(
        bnf_h5_dataset_create(file, "/train/images", BNF_U8, 4, (int64_t[]){ROWS, HEIGHT, WIDTH, 1}, storage, &x));
    write_rows(x, block);
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_dataset_create(file, "/train/labels", BNF_I64, 1, (int64_t[]){ROWS}, NULL, &x));
    assert_ok(bnf_h5_dataset_write(x, BNF_I64, label));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_attr_set_int(file, "/train", "samples", ROWS));
    assert_ok(bnf_h5_attr_set_str(file, "/train/images", "source", "a rule"));
    assert_ok(bnf_h5_file_close(file));
    check_file();
}

/* Contiguous, chunked, compressed with every filter; chunks of 1, of a few rows across ranks, larger than a rank's
 * part. */
static void content_is_the_rule(void **state)
{
    (void)state;
    const int64_t chunk_rows[] = {1, 4, 30, ROWS};
    write_and_check(NULL, 20);
    for (int c = 0; c < 4; c++) {
        int64_t chunk[4] = {chunk_rows[c], HEIGHT, WIDTH, 1}, split[4] = {chunk_rows[c], 2, 4, 1};
        bnf_h5_storage plain = {chunk, 0, false, false}, packed = {chunk, 5, true, true},
                       tiles = {split, 1, false, true};
        write_and_check(&plain, 9);
        write_and_check(&packed, ROWS);
        write_and_check(&packed, 6);
        write_and_check(&tiles, 11);
    }
}

/* The ranks alone, without a parallel file, give the same elements: one serial file per rank and the shared one
 * agree. */
static void one_rank_writes_the_same(void **state)
{
    (void)state;
    int64_t chunk[4] = {4, HEIGHT, WIDTH, 1};
    bnf_h5_storage packed = {chunk, 5, true, true};
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    unsigned char data[ROWS * ROW];
    uint64_t sums[2];
    char own[400];
    write_and_check(&packed, 10);
    snprintf(own, sizeof own, "%s.%d", path, rank);
    for (int64_t i = 0; i < ROWS * ROW; i++)
        data[i] = pixel(i / ROW, i % ROW);
    assert_ok(bnf_h5_file_create(own, &file));
    assert_ok(
        bnf_h5_dataset_create(file, "/train/images", BNF_U8, 4, (int64_t[]){ROWS, HEIGHT, WIDTH, 1}, &packed, &x));
    assert_ok(bnf_h5_dataset_write(x, BNF_U8, data));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
    for (int k = 0; k < 2; k++) {
        bnf_h5_dataset_info info;
        assert_ok(bnf_h5_file_open(k ? own : path, &file));
        assert_ok(bnf_h5_dataset_open(file, "/train/images", &x));
        assert_ok(bnf_h5_dataset_describe(x, &info));
        assert_true(info.chunk[0] == 4 && info.deflate == 5 && info.shuffle && info.fletcher32);
        memset(data, 0, sizeof data);
        assert_ok(bnf_h5_dataset_read(x, BNF_U8, data));
        sums[k] = bnf_checksum(data, sizeof data);
        assert_ok(bnf_h5_dataset_close(x));
        assert_ok(bnf_h5_file_close(file));
    }
    assert_int_equal(sums[0], sums[1]);
}

/* All ranks return the same failure. */
static void assert_all_fail(bnf_status status, bnf_status expected)
{
    int64_t lowest = status, highest = status;
    assert_ok(bnf_comm_allreduce_i64(world, BNF_COMM_MIN, &lowest, 1));
    assert_ok(bnf_comm_allreduce_i64(world, BNF_COMM_MAX, &highest, 1));
    assert_int_equal(lowest, highest);
    assert_int_equal(status, expected);
}

static void a_failure_is_everybodys(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    bool last = rank == ranks - 1;
    unsigned char data[2 * ROW] = {0};
    char missing[400];
    snprintf(missing, sizeof missing, "%s/none/x.h5", folder);
    bnf_error_clear();
    bnf_status status = bnf_h5_file_create_parallel(missing, world, &file);
    assert_non_null(strstr(bnf_error_message(), "none/x.h5"));
    assert_all_fail(status, BNF_ERR_IO);

    int64_t chunk[4] = {3, HEIGHT, WIDTH, 1};
    bnf_h5_storage packed = {chunk, 5, true, true};
    assert_ok(bnf_h5_file_create_parallel(path, world, &file));
    assert_ok(bnf_h5_dataset_create(file, "/x", BNF_U8, 4, (int64_t[]){ROWS, HEIGHT, WIDTH, 1}, &packed, &x));
    /* the last rank's block is outside */
    bnf_error_clear();
    status = bnf_h5_dataset_write_slab_all(x, BNF_U8, (int64_t[]){last ? ROWS - 1 : 2 * rank, 0, 0, 0},
                                           (int64_t[]){2, HEIGHT, WIDTH, 1}, data, BNF_OK);
    assert_non_null(strstr(bnf_error_message(), "dataset '/x'"));
    assert_all_fail(status, BNF_ERR_ARG);
    /* the last rank could not prepare its data */
    bnf_error_clear();
    bnf_status local = last ? bnf_fail(BNF_ERR_FORMAT, "cannot decode 'cat.jpg'") : BNF_OK;
    status = bnf_h5_dataset_write_slab_all(x, BNF_U8, (int64_t[]){2 * rank, 0, 0, 0}, (int64_t[]){2, HEIGHT, WIDTH, 1},
                                           data, local);
    assert_non_null(strstr(bnf_error_message(), "cat.jpg"));
    assert_all_fail(status, BNF_ERR_FORMAT);
    /* through filters a rank cannot write alone */
    assert_fails(
        bnf_h5_dataset_write_slab(x, BNF_U8, (int64_t[]){2 * rank, 0, 0, 0}, (int64_t[]){2, HEIGHT, WIDTH, 1}, data),
        BNF_ERR_UNSUPPORTED, "filters");
    /* the file goes on to work */
    write_rows(x, 8);
    assert_ok(bnf_h5_dataset_close(x));
    /* memory runs out on the last rank */
    bnf_error_clear();
    if (last)
        bnf_mem_fail_at(1);
    status = bnf_h5_dataset_create(file, "/y", BNF_U8, 4, (int64_t[]){ROWS, HEIGHT, WIDTH, 1}, &packed, &x);
    bnf_mem_fail_at(0);
    assert_all_fail(status, BNF_ERR_MEMORY);
    assert_ok(bnf_h5_file_close(file));
}

/* Ranks write blocks by themselves where no filter stands in the way. */
static void independent_blocks(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int32_t value[4], back[16] = {0};
    for (int i = 0; i < 4; i++)
        value[i] = 4 * rank + i;
    assert_ok(bnf_h5_file_create_parallel(path, world, &file));
    assert_ok(bnf_h5_dataset_create(file, "/x", BNF_I32, 1, (int64_t[]){4 * ranks}, NULL, &x));
    assert_ok(bnf_h5_dataset_write_slab(x, BNF_I32, (int64_t[]){4 * rank}, (int64_t[]){4}, value));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "/x", &x));
    assert_ok(bnf_h5_dataset_read(x, BNF_I32, back));
    for (int i = 0; i < 4 * ranks; i++)
        assert_int_equal(back[i], i);
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
}

/* The disk is full for all ranks, or for the one that does the writing for the others: all learn of it when the file
 * is closed at the latest, also where MPI-IO reports success, and the next file is fine. (MPI-IO itself prints to
 * stderr here.) */
static void full_disk(void **state)
{
    (void)state;
    enum { MANY = 1 << 20 };
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int64_t chunk[1] = {5000}, begin = (int64_t)MANY * rank / ranks, count = (int64_t)MANY * (rank + 1) / ranks - begin;
    bnf_h5_storage packed = {chunk, 1, true, true}, plain = {chunk, 0, false, false};
    const bnf_h5_storage *storage[] = {NULL, &plain, &packed};
    unsigned char *data = malloc(MANY);
    assert_non_null(data);
    uint32_t seed = (uint32_t)rank;
    for (int i = 0; i < MANY; i++)
        data[i] = (unsigned char)next_random(&seed);
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = (struct rlimit){200000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    for (int k = 0; k < 6; k++) {
        assert_ok(bnf_h5_file_create_parallel(path, world, &file));
        assert_ok(bnf_h5_dataset_create(file, "/x", BNF_U8, 1, (int64_t[]){MANY}, storage[k / 2], &x));
        if (rank == 0 || k % 2)
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        bnf_error_clear();
        bnf_status status = bnf_h5_dataset_write_slab_all(x, BNF_U8, &begin, &count, data, BNF_OK);
        bnf_status closed = bnf_h5_dataset_close(x);
        status = status == BNF_OK ? closed : status;
        closed = bnf_h5_file_close(file);
        status = status == BNF_OK ? closed : status;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_non_null(strstr(bnf_error_message(), path));
        assert_all_fail(status, BNF_ERR_IO);
    }
    free(data);
    write_and_check(NULL, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(content_is_the_rule, setup, teardown),
        cmocka_unit_test_setup_teardown(one_rank_writes_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_everybodys, setup, teardown),
        cmocka_unit_test_setup_teardown(independent_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk, setup, teardown),
    };
    return ON_RANKS(BNF_THREAD_MULTIPLE, &world, &rank, &ranks, tests, NULL, NULL);
}
