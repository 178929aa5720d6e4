/* Damaged checkpoints: truncated anywhere, one bit changed anywhere. Every one is refused with a reason that names
 * the file and what is damaged, and the older checkpoint is found. */
#include "unit/ckpt_support.h"

static unsigned char *clean;
static size_t clean_bytes;

/* Steps 1 and 2; the content of step 2 is in `clean`. */
static void start(bool big)
{
    assert_ok(write_checkpoint(1, false));
    assert_ok(write_checkpoint(2, big));
    clean = slurp(ckpt_path(2), &clean_bytes);
}

static int stop(void **state)
{
    free(clean);
    clean = NULL;
    return remove_ckpt_folder(state);
}

/* Step 2 is refused and the message names it and `part`; step 1 is what is found, and the report says why. */
static void assert_refused(const char *part)
{
    char *newest = NULL, expected[300];
    bnf_buf report = {0};
    assert_fails(bnf_ckpt_verify(ckpt_path(2)), BNF_ERR_FORMAT, ckpt_path(2));
    if (!strstr(bnf_error_message(), part))
        fail_msg("'%s' does not name '%s'", bnf_error_message(), part);
    bnf_error_clear();
    assert_ok(bnf_ckpt_find_newest(folder, &newest, &report));
    strcpy(expected, ckpt_path(1));
    assert_string_equal(newest, expected);
    assert_int_equal(strncmp(bnf_buf_text(&report), "ckpt-000000000002.h5: ", 22), 0);
    assert_non_null(strstr(bnf_buf_text(&report), part));
    bnf_free(newest);
    bnf_buf_release(&report);
}

/* The part of the text form of the table that follows the name: offset in the file of the dataset's elements, their
 * bytes. */
static void place_of(const char *name, long long *offset, long long *bytes)
{
    long long block, dim;
    int ndim, used;
    char type[8];
    assert_int_equal(sscanf((char *)clean, "BANFF CHECKPOINT 1\ntable %lld", &block), 1);
    const char *line = strstr((char *)clean, name);
    assert_non_null(line);
    line += strlen(name);
    assert_int_equal(sscanf(line, " %7s %d%n", type, &ndim, &used), 2);
    for (line += used; ndim--; line += used)
        assert_int_equal(sscanf(line, " %lld%n", &dim, &used), 1);
    assert_int_equal(sscanf(line, " %lld %lld", offset, bytes), 2);
    *offset += block;
}

static void truncated_every_4_KiB(void **state)
{
    (void)state;
    start(true);
    long long offset, bytes;
    place_of("params/big", &offset, &bytes);
    assert_int_equal(truncate(ckpt_path(2), (off_t)clean_bytes - 1), 0);
    assert_refused("truncated: ");
    for (size_t size = clean_bytes / 4096 * 4096 + 4096; size >= 4096;) {
        size -= 4096;
        assert_int_equal(truncate(ckpt_path(2), (off_t)size), 0);
        /* the big array is what most cuts go through, and everything else that is cut lies behind it */
        bool in_big = (long long)size > offset && (long long)size < offset + bytes;
        assert_refused(in_big ? "the first dataset that is cut: 'params/big'" : "checkpoint '");
    }
    unsigned char *longer = calloc(1, clean_bytes + 1);
    assert_non_null(longer);
    memcpy(longer, clean, clean_bytes);
    spit(ckpt_path(2), longer, clean_bytes + 1);
    free(longer);
    assert_refused("were expected");
    spit(ckpt_path(2), clean, clean_bytes);
    assert_checkpoint(2, true);
}

static void truncated_every_byte(void **state)
{
    (void)state;
    start(false);
    for (size_t size = clean_bytes; size-- > 0;) {
        assert_int_equal(truncate(ckpt_path(2), (off_t)size), 0);
        assert_fails(bnf_ckpt_verify(ckpt_path(2)), BNF_ERR_FORMAT, ckpt_path(2));
    }
}

/* Changes one byte of step 2 in place. */
static void poke(size_t at, unsigned char byte)
{
    FILE *file = fopen(ckpt_path(2), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fclose(file), 0);
}

static void flip(size_t at, int bit)
{
    poke(at, (unsigned char)(clean[at] ^ 1 << bit));
}

static void restore(size_t at)
{
    poke(at, clean[at]);
}

static void a_bit_of_each_dataset(void **state)
{
    (void)state;
    start(true);
    const char *names[] = {"params/conv1.weight", "params/conv1.bias", "optim/counts", "optim/rate", "params/big"};
    uint32_t seed = 23;
    for (int k = 0; k < 5; k++) {
        long long offset, bytes;
        char part[80];
        place_of(names[k], &offset, &bytes);
        snprintf(part, sizeof part, "dataset '%s': does not match its checksum", names[k]);
        const size_t places[] = {(size_t)offset, (size_t)(offset + bytes - 1),
                                 (size_t)(offset + next_random(&seed) % bytes)};
        for (int i = 0; i < 3; i++) {
            flip(places[i], (int)(next_random(&seed) % 8));
            assert_refused(part);
            restore(places[i]);
        }
    }
}

/* One bit of every byte of the file, metadata and padding included. */
static void a_bit_of_every_byte(void **state)
{
    (void)state;
    start(false);
    uint32_t seed = 29;
    long long block;
    int in_table = 0, in_metadata = 0, in_datasets = 0;
    assert_int_equal(sscanf((char *)clean, "BANFF CHECKPOINT 1\ntable %lld", &block), 1);
    for (size_t at = 0; at < clean_bytes; at++) {
        flip(at, (int)(next_random(&seed) % 8));
        assert_fails(bnf_ckpt_verify(ckpt_path(2)), BNF_ERR_FORMAT, ckpt_path(2));
        restore(at);
        const char *why = bnf_error_message();
        bool dataset = strstr(why, "', dataset '"), metadata = strstr(why, "the HDF5 metadata do not match");
        if ((long long)at < block)
            assert_false(dataset || metadata);
        else
            assert_true(dataset != metadata);
        in_table += (long long)at < block;
        in_metadata += metadata;
        in_datasets += dataset;
    }
    assert_int_equal(in_table, block);
    assert_int_equal(in_datasets, 4 * CONV + 4 * 5 + 8 * COUNTS + 8);
    assert_true(in_metadata > 1000);
    flip(30, 2); /* in the table */
    assert_refused("table of contents");
    restore(30);
    assert_checkpoint(2, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(truncated_every_4_KiB, make_ckpt_folder, stop),
        cmocka_unit_test_setup_teardown(truncated_every_byte, make_ckpt_folder, stop),
        cmocka_unit_test_setup_teardown(a_bit_of_each_dataset, make_ckpt_folder, stop),
        cmocka_unit_test_setup_teardown(a_bit_of_every_byte, make_ckpt_folder, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
