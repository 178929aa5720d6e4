/* A prefetch thread reads while the main thread writes and reads: HDF5 is not thread-safe, the room is. */
#include "unit/h5_support.h"

#include "base/mem.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <pthread.h>

enum { ROWS = 50, COLS = 300, ROUNDS = 60 };

static char folder[256], input[300];

typedef struct reader {
    uint32_t seed;
    int wrong; /* rows that were not what they should be, calls that failed */
} reader;

static unsigned char element(int64_t row, int64_t col)
{
    return (unsigned char)(row * 5 + col);
}

static void *read_rows(void *context)
{
    reader *r = context;
    for (int round = 0; round < ROUNDS; round++) {
        bnf_h5_file *file;
        bnf_h5_dataset *x;
        unsigned char data[3 * COLS];
        char *source = NULL;
        int64_t first = next_random(&r->seed) % (ROWS - 8), rows[3] = {first, first + 1, first + 7};
        if (bnf_h5_file_open(input, &file) != BNF_OK || bnf_h5_dataset_open(file, "/train/images", &x) != BNF_OK) {
            r->wrong++;
            return NULL;
        }
        r->wrong += bnf_h5_attr_get_str(file, "/train", "source", &source) != BNF_OK || strcmp(source, "threads") != 0;
        r->wrong += bnf_h5_dataset_read_list(x, BNF_U8, 3, rows, data) != BNF_OK;
        for (int i = 0; i < 3 * COLS; i++)
            r->wrong += data[i] != element(rows[i / COLS], i % COLS);
        /* an error of this thread stays in this thread */
        bnf_h5_dataset *none;
        r->wrong +=
            bnf_h5_dataset_open(file, "/none", &none) != BNF_ERR_FORMAT || !strstr(bnf_error_message(), "/none");
        bnf_error_clear();
        bnf_free(source);
        r->wrong += bnf_h5_dataset_close(x) != BNF_OK || bnf_h5_file_close(file) != BNF_OK;
    }
    return NULL;
}

static void write_file(const char *path)
{
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    unsigned char data[ROWS * COLS];
    int64_t chunk[2] = {4, COLS};
    bnf_h5_storage storage = {chunk, 3, true, true};
    for (int i = 0; i < ROWS * COLS; i++)
        data[i] = element(i / COLS, i % COLS);
    assert_ok(bnf_h5_file_create(path, &file));
    assert_ok(bnf_h5_dataset_create(file, "/train/images", BNF_U8, 2, (int64_t[]){ROWS, COLS}, &storage, &x));
    assert_ok(bnf_h5_dataset_write(x, BNF_U8, data));
    assert_ok(bnf_h5_attr_set_str(file, "/train", "source", "threads"));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_file_close(file));
}

static void readers_and_a_writer(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(input, sizeof input, "%s/input.h5", folder);
    write_file(input);
    pthread_t thread[3];
    reader readers[3] = {{1, 0}, {2, 0}, {3, 0}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_rows, &readers[i]), 0);
    char output[300];
    for (int round = 0; round < ROUNDS / 4; round++) {
        snprintf(output, sizeof output, "%s/out-%d.h5", folder, round % 4);
        write_file(output);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(readers[i].wrong, 0);
    }
    assert_string_equal(bnf_error_message(), "");
    remove_folder(folder);
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_and_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
