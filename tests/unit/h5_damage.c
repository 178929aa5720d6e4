/* Files that are missing, truncated or damaged, disks that are full: a status and a message, never a crash, never
 * wrong data without an error where a checksum guards them. */
#include "unit/h5_support.h"

#include "base/mem.h"
#include "h5/attr.h"
#include "h5/dataset.h"

#include <signal.h>
#include <sys/resource.h>

enum { ROWS = 64, COLS = 48 };

static char folder[256], path[300];
static unsigned char *clean; /* the sound file's bytes */
static size_t clean_bytes;

/* /train/images [64,48] u8, compressed with checksums; /train/labels [64] i64, plain; attributes. */
static void write_file(void)
{
    bnf_h5_file *file;
    bnf_h5_dataset *images, *labels;
    unsigned char data[ROWS * COLS];
    int64_t label[ROWS], chunk[2] = {4, COLS};
    uint32_t seed = 5;
    for (int i = 0; i < ROWS * COLS; i++)
        data[i] = (unsigned char)(next_random(&seed) % 100);
    for (int i = 0; i < ROWS; i++)
        label[i] = i % 10;
    bnf_h5_storage storage = {chunk, 4, true, true};
    assert_ok(bnf_h5_file_create(path, &file));
    assert_ok(bnf_h5_dataset_create(file, "/train/images", BNF_U8, 2, (int64_t[]){ROWS, COLS}, &storage, &images));
    assert_ok(bnf_h5_dataset_create(file, "/train/labels", BNF_I64, 1, (int64_t[]){ROWS}, NULL, &labels));
    assert_ok(bnf_h5_dataset_write(images, BNF_U8, data));
    assert_ok(bnf_h5_dataset_write(labels, BNF_I64, label));
    assert_ok(bnf_h5_dataset_close(images));
    assert_ok(bnf_h5_dataset_close(labels));
    assert_ok(bnf_h5_attr_set_strs(file, "/", "classes", 3, (const char *[]){"shirt", "bag", "boot"}));
    assert_ok(bnf_h5_attr_set_real(file, "/", "mean", 0.25));
    assert_ok(bnf_h5_file_close(file));
}

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/damage.h5", folder);
    write_file();
    clean = slurp(path, &clean_bytes);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(clean);
    remove_folder(folder);
    assert_int_equal(bnf_mem_live_blocks(), 0);
    return 0;
}

/* Reads everything that the file is to hold. `images` receives the images, untouched after an earlier failure. */
static bnf_status read_file(unsigned char images[ROWS * COLS])
{
    bnf_h5_file *file;
    bnf_h5_dataset *x = NULL, *y = NULL;
    int64_t labels[ROWS];
    double mean;
    bnf_h5_names classes = {0, NULL};
    BNF_TRY(bnf_h5_file_open(path, &file));
    bnf_status status;
    BNF_TRY_GOTO(status, bnf_h5_dataset_open(file, "/train/images", &x), done);
    BNF_TRY_GOTO(status, bnf_h5_dataset_expect(x, BNF_U8, 2, (int64_t[]){ROWS, COLS}), done);
    BNF_TRY_GOTO(status, bnf_h5_dataset_read(x, BNF_U8, images), done);
    BNF_TRY_GOTO(status, bnf_h5_dataset_open(file, "/train/labels", &y), done);
    BNF_TRY_GOTO(status, bnf_h5_dataset_expect(y, BNF_I64, 1, (int64_t[]){ROWS}), done);
    BNF_TRY_GOTO(status, bnf_h5_dataset_read(y, BNF_I64, labels), done);
    BNF_TRY_GOTO(status, bnf_h5_attr_get_strs(file, "/", "classes", &classes), done);
    BNF_TRY_GOTO(status, bnf_h5_attr_get_real(file, "/", "mean", &mean), done);
done:
    bnf_h5_names_destroy(&classes);
    if (bnf_h5_dataset_close(x) != BNF_OK || bnf_h5_dataset_close(y) != BNF_OK || bnf_h5_file_close(file) != BNF_OK)
        status = status == BNF_OK ? BNF_ERR_FORMAT : status;
    return status;
}

static void missing(void **state)
{
    (void)state;
    bnf_h5_file *file;
    char other[320];
    snprintf(other, sizeof other, "%s/none.h5", folder);
    assert_fails(bnf_h5_file_open(other, &file), BNF_ERR_IO, "none.h5': No such file");
    assert_fails(bnf_h5_file_open(folder, &file), BNF_ERR_IO, "not a regular file");
    snprintf(other, sizeof other, "%s/none/new.h5", folder);
    assert_fails(bnf_h5_file_create(other, &file), BNF_ERR_IO, "new.h5': No such file");
    spit(path, (const unsigned char *)"PK\003\004 this is no HDF5 file", 20);
    assert_fails(bnf_h5_file_open(path, &file), BNF_ERR_FORMAT, path);
    spit(path, (const unsigned char *)"", 0);
    assert_fails(bnf_h5_file_open(path, &file), BNF_ERR_FORMAT, path);
}

static void truncated(void **state)
{
    (void)state;
    unsigned char images[ROWS * COLS];
    for (size_t bytes = 0; bytes < clean_bytes; bytes += bytes < 256 ? 1 : 97) {
        spit(path, clean, bytes);
        assert_fails(read_file(images), BNF_ERR_FORMAT, path);
    }
    assert_int_equal(truncate(path, (off_t)clean_bytes - 1), 0);
    assert_fails(read_file(images), BNF_ERR_FORMAT, "truncated");
}

static void corrupt_chunk(void **state)
{
    (void)state;
    unsigned char images[ROWS * COLS], reference[ROWS * COLS];
    assert_ok(read_file(reference));
    int refused = 0;
    for (size_t at = 0; at < clean_bytes; at++) {
        /* Chunks are zlib streams: 78 5e for level 4. Damage in the middle of the first that is found. */
        if (clean[at] != 0x78 || clean[at + 1] != 0x5e || at + 40 > clean_bytes)
            continue;
        clean[at + 30] ^= 4;
        spit(path, clean, clean_bytes);
        clean[at + 30] ^= 4;
        assert_fails(read_file(images), BNF_ERR_FORMAT, "dataset '/train/images': cannot read");
        refused++;
    }
    assert_int_equal(refused, ROWS / 4);
}

/* One byte changed anywhere: an error, or the right images; and no crash. */
static void any_byte(void **state)
{
    (void)state;
    unsigned char images[ROWS * COLS], reference[ROWS * COLS];
    assert_ok(read_file(reference));
    uint32_t seed = 17;
    int refused = 0;
    for (size_t at = 0; at < clean_bytes; at += 1 + next_random(&seed) % 8) {
        unsigned char old = clean[at];
        clean[at] ^= (unsigned char)(1u << next_random(&seed) % 8);
        spit(path, clean, clean_bytes);
        clean[at] = old;
        bnf_error_clear();
        bnf_status status = read_file(images);
        if (status == BNF_OK)
            assert_memory_equal(images, reference, sizeof images);
        else
            assert_non_null(strstr(bnf_error_message(), path));
        refused += status != BNF_OK;
    }
    assert_true(refused > 100);
}

/* A disk that is full in the middle of writing, by way of the limit on a file's size. */
static void full_disk(void **state)
{
    (void)state;
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    enum { BIG = 1 << 20 };
    unsigned char *data = calloc(1, BIG);
    assert_non_null(data);
    int64_t chunk[1] = {4096};
    for (int kind = 0; kind < 2; kind++) {
        bnf_h5_storage storage = {chunk, 0, false, kind == 1};
        struct rlimit old, tight = {100000, RLIM_INFINITY};
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        tight.rlim_max = old.rlim_max;
        signal(SIGXFSZ, SIG_IGN);
        bnf_error_clear();
        assert_ok(bnf_h5_file_create(path, &file));
        assert_ok(bnf_h5_dataset_create(file, "/x", BNF_U8, 1, (int64_t[]){BIG}, &storage, &x));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        bnf_status write = bnf_h5_dataset_write(x, BNF_U8, data);
        bnf_status close_dataset = bnf_h5_dataset_close(x);
        bnf_status close_file = bnf_h5_file_close(file);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_true(write == BNF_ERR_IO || close_dataset == BNF_ERR_IO || close_file == BNF_ERR_IO);
        assert_non_null(strstr(bnf_error_message(), path));
        assert_non_null(strstr(bnf_error_message(), "File too large"));
        unlink(path);
    }
    free(data);
    write_file(); /* HDF5 is usable afterwards */
    unsigned char images[ROWS * COLS];
    assert_ok(read_file(images));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(missing, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated, setup, teardown),
        cmocka_unit_test_setup_teardown(corrupt_chunk, setup, teardown),
        cmocka_unit_test_setup_teardown(any_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
