/* A small model's worth of checkpoints, as a function of the step. */
#ifndef TESTS_CKPT_SUPPORT_H
#define TESTS_CKPT_SUPPORT_H

#include "unit/h5_support.h"

#include "base/mem.h"
#include "ckpt/checkpoint.h"

enum { CONV = 3 * 3 * 4 * 5, BIG = 700000, COUNTS = 6 };

static char folder[256];

static inline int make_ckpt_folder(void **state)
{
    (void)state;
    make_folder(folder);
    return 0;
}

static inline int remove_ckpt_folder(void **state)
{
    (void)state;
    remove_folder(folder);
    assert_int_equal(bnf_mem_live_blocks(), 0);
    return 0;
}

static inline const char *ckpt_path(int64_t step)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/ckpt-%012lld.h5", folder, (long long)step);
    return path;
}

static inline float weight_at(int64_t step, int64_t i)
{
    return (float)(step + 1) / (float)(i + 3);
}

/* Everything but the commit. `big`: with an array of 2.8 MB, so that the file takes several writes. */
static inline bnf_status fill_checkpoint(int64_t step, bool big, bnf_ckpt_writer **writer)
{
    static float value[BIG];
    for (int64_t i = 0; i < (big ? BIG : CONV); i++)
        value[i] = weight_at(step, i);
    bnf_ckpt_writer *w;
    BNF_TRY(bnf_ckpt_writer_open(folder, step, &w));
    bnf_status status;
    int64_t counts[COUNTS] = {step, 1, 2, 3, INT64_MAX, -1};
    double rate = 0.125 * (double)step;
    BNF_TRY_GOTO(status, bnf_ckpt_writer_add(w, "params/conv1.weight", BNF_F32, 4, (int64_t[]){3, 3, 4, 5}, value),
                 done);
    BNF_TRY_GOTO(status, bnf_ckpt_writer_add(w, "params/conv1.bias", BNF_F32, 1, (int64_t[]){5}, value), done);
    BNF_TRY_GOTO(status, bnf_ckpt_writer_add(w, "optim/counts", BNF_I64, 2, (int64_t[]){2, 3}, counts), done);
    BNF_TRY_GOTO(status, bnf_ckpt_writer_add(w, "optim/rate", BNF_F64, 0, NULL, &rate), done);
    BNF_TRY_GOTO(status, bnf_ckpt_writer_add(w, "empty", BNF_U8, 2, (int64_t[]){0, 7}, NULL), done);
    if (big)
        BNF_TRY_GOTO(status, bnf_ckpt_writer_add(w, "params/big", BNF_F32, 1, (int64_t[]){BIG}, value), done);
    BNF_TRY_GOTO(status, bnf_ckpt_writer_attr_int(w, "seed", 42), done);
    BNF_TRY_GOTO(status, bnf_ckpt_writer_attr_real(w, "loss", 0.25), done);
    BNF_TRY_GOTO(status, bnf_ckpt_writer_attr_str(w, "config", "leaves: 16\n"), done);
    *writer = w;
    return BNF_OK;
done:
    bnf_ckpt_writer_abort(w);
    return status;
}

static inline bnf_status write_checkpoint(int64_t step, bool big)
{
    bnf_ckpt_writer *w;
    BNF_TRY(fill_checkpoint(step, big, &w));
    return bnf_ckpt_writer_commit(w);
}

/* Everything that fill_checkpoint put in is there, and nothing else. */
static inline void assert_checkpoint(int64_t step, bool big)
{
    bnf_ckpt_reader *r;
    static float value[BIG];
    int64_t counts[COUNTS], seed;
    double rate, loss;
    char *config;
    assert_ok(bnf_ckpt_reader_open(ckpt_path(step), &r));
    assert_int_equal(bnf_ckpt_reader_step(r), step);
    assert_int_equal(bnf_ckpt_reader_count(r), 5 + big);
    assert_ok(bnf_ckpt_reader_read(r, "params/conv1.weight", BNF_F32, 4, (int64_t[]){3, 3, 4, 5}, value));
    for (int64_t i = 0; i < CONV; i++)
        assert_true(value[i] == weight_at(step, i));
    assert_ok(bnf_ckpt_reader_read(r, "params/conv1.bias", BNF_F32, 1, (int64_t[]){5}, value));
    for (int64_t i = 0; i < 5; i++)
        assert_true(value[i] == weight_at(step, i));
    assert_ok(bnf_ckpt_reader_read(r, "optim/counts", BNF_I64, 2, (int64_t[]){2, 3}, counts));
    assert_true(counts[0] == step && counts[4] == INT64_MAX && counts[5] == -1);
    assert_ok(bnf_ckpt_reader_read(r, "optim/rate", BNF_F64, 0, NULL, &rate));
    assert_true(rate == 0.125 * (double)step);
    assert_ok(bnf_ckpt_reader_read(r, "empty", BNF_U8, 2, (int64_t[]){0, 7}, NULL));
    if (big) {
        assert_ok(bnf_ckpt_reader_read(r, "params/big", BNF_F32, 1, (int64_t[]){BIG}, value));
        for (int64_t i = 0; i < BIG; i++)
            assert_true(value[i] == weight_at(step, i));
    }
    assert_ok(bnf_ckpt_reader_attr_int(r, "seed", &seed));
    assert_ok(bnf_ckpt_reader_attr_real(r, "loss", &loss));
    assert_ok(bnf_ckpt_reader_attr_str(r, "config", &config));
    assert_true(seed == 42 && loss == 0.25);
    assert_string_equal(config, "leaves: 16\n");
    bnf_free(config);
    bnf_ckpt_reader_close(r);
}

/* Number of files in the folder whose name ends like this. */
static inline int count_files(const char *ending)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name), tail = strlen(ending);
        count += length >= tail && strcmp(entry->d_name + length - tail, ending) == 0;
    }
    closedir(dir);
    return count;
}

#endif
