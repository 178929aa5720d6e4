/* Checkpoints in parts: read as one; every part is needed, unchanged; files that are no part of the run do not count;
 * what a job writes after another one has taken the folder changes nothing of it. */
#include "unit/ckpt_support.h"

#include "ckpt/fence.h"
#include "ckpt/name.h"

#include "base/fs.h"

enum { PARTS = 2, ROWS = 3000 };

static void array_of(int64_t step, int part, float *value)
{
    for (int i = 0; i < ROWS; i++)
        value[i] = weight_at(step, i) + (float)part;
}

static bnf_status write_part(int64_t step, int part, const bnf_fence *fence, bnf_ckpt_seal *seal)
{
    float value[ROWS];
    char name[32];
    int64_t count = ROWS, few = 2;
    bnf_ckpt_writer *w;
    array_of(step, part, value);
    BNF_TRY(bnf_ckpt_writer_open_at(&(bnf_ckpt_target){folder, step, part, fence}, &w));
    snprintf(name, sizeof name, "params/p%d", part);
    assert_ok(bnf_ckpt_writer_add(w, name, BNF_F32, 1, &count, value));
    snprintf(name, sizeof name, "owner/p%d/m", part);
    assert_ok(bnf_ckpt_writer_add(w, name, BNF_F64, 1, &few, (double[]){(double)step, part}));
    return bnf_ckpt_writer_commit_part(w, seal);
}

static bnf_status write_whole(int64_t step, const bnf_fence *fence, const bnf_ckpt_seal *seal)
{
    bnf_ckpt_writer *w;
    BNF_TRY(bnf_ckpt_writer_open_at(&(bnf_ckpt_target){folder, step, BNF_CKPT_WHOLE, fence}, &w));
    assert_ok(bnf_ckpt_writer_attr_str(w, "weights", "0123"));
    for (int p = 0; p < PARTS; p++)
        assert_ok(bnf_ckpt_writer_refer(w, p, &seal[p]));
    return bnf_ckpt_writer_commit(w);
}

static bnf_status write_parts(int64_t step, const bnf_fence *fence)
{
    bnf_ckpt_seal seal[PARTS];
    for (int p = 0; p < PARTS; p++)
        BNF_TRY(write_part(step, p, fence, &seal[p]));
    return write_whole(step, fence, seal);
}

static void assert_parts(const char *path, int64_t step, bool lazy)
{
    bnf_ckpt_reader *r;
    float value[ROWS], expect[ROWS];
    double two[2];
    int64_t count = ROWS, few = 2;
    assert_ok(lazy ? bnf_ckpt_reader_open_lazy(path, &r) : bnf_ckpt_reader_open(path, &r));
    assert_int_equal(bnf_ckpt_reader_parts(r), PARTS);
    assert_int_equal(bnf_ckpt_reader_count(r), 2 * PARTS);
    assert_string_equal(bnf_ckpt_reader_entry(r, 0)->name, "owner/p0/m"); /* by name over all parts */
    for (int p = 0; p < PARTS; p++) {
        char name[32];
        snprintf(name, sizeof name, "params/p%d", p);
        assert_ok(bnf_ckpt_reader_read(r, name, BNF_F32, 1, &count, value));
        array_of(step, p, expect);
        assert_memory_equal(value, expect, sizeof expect);
        snprintf(name, sizeof name, "owner/p%d/m", p);
        assert_ok(bnf_ckpt_reader_read(r, name, BNF_F64, 1, &few, two));
        assert_true(two[0] == (double)step && two[1] == p);
    }
    bnf_ckpt_reader_close(r);
}

static void assert_newest(const char *expect, const char *refused)
{
    char *newest;
    bnf_buf report = {0};
    assert_ok(bnf_ckpt_find_newest(folder, &newest, &report));
    assert_string_equal(newest, expect);
    if (refused)
        assert_non_null(strstr(bnf_buf_text(&report), refused));
    else
        assert_int_equal(report.size, 0);
    bnf_buf_release(&report);
    bnf_free(newest);
}

static const char *file_name(int64_t step, int64_t generation, int part)
{
    static char text[400];
    bnf_buf name = {0};
    assert_ok(bnf_ckpt_name_format(&(bnf_ckpt_name){step, generation, part, false}, &name));
    snprintf(text, sizeof text, "%s/%s", folder, name.data);
    bnf_buf_release(&name);
    return text;
}

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {"ckpt-000000000012.h5", "ckpt-000000000012-g2.h5",
                                       "ckpt-999999999999-g17.h5.tmp", "ckpt-000000000000.part-0003.h5",
                                       "ckpt-000000000012-g3.part-123456.h5.tmp"};
    static const char *const bad[] = {"ckpt-12.h5",
                                      "ckpt-000000000012-g1.h5",
                                      "ckpt-000000000012-g.h5",
                                      "ckpt-000000000012.h5x",
                                      "ckpt-000000000012.part-3.h5",
                                      "ckpt-0000000000123.h5",
                                      "xckpt-000000000012.h5",
                                      "ckpt-000000000012.tmp",
                                      "ckpt-000000000012.h5.tmp1",
                                      "generations",
                                      "ckpt-000000000012-g2.part-.h5",
                                      ""};
    bnf_ckpt_name name;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bnf_buf text = {0};
        assert_true(bnf_ckpt_name_parse(good[i], &name));
        assert_ok(bnf_ckpt_name_format(&name, &text));
        assert_string_equal(text.data, good[i]);
        bnf_buf_release(&text);
    }
    assert_true(name.step == 12 && name.generation == 3 && name.part == 123456 && name.temporary);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(bnf_ckpt_name_parse(bad[i], &name));
}

static void read_as_one(void **state)
{
    (void)state;
    assert_ok(write_parts(7, NULL));
    assert_parts(ckpt_path(7), 7, false);
    assert_parts(ckpt_path(7), 7, true);
    assert_int_equal(count_files(".h5"), 1 + PARTS);
    /* pruning takes the parts along; parts without their checkpoint are nothing and go away */
    assert_ok(write_parts(8, NULL));
    assert_ok(bnf_ckpt_prune(folder, 1, NULL));
    assert_int_equal(count_files(".h5"), 1 + PARTS);
    bnf_ckpt_seal seal;
    assert_ok(write_part(9, 0, NULL, &seal));
    assert_newest(ckpt_path(8), NULL);
    assert_ok(write_parts(10, NULL));
    assert_int_equal(count_files(".h5"), 2 * (1 + PARTS));
}

/* Truncation at every 4 KiB of every file, and a bit of every dataset and of every table. */
static void damage_anywhere(void **state)
{
    (void)state;
    int cases = 0;
    char path[400];
    assert_ok(write_parts(1, NULL));
    assert_ok(write_parts(2, NULL));
    for (int part = BNF_CKPT_WHOLE; part < PARTS; part++) {
        bnf_buf all = {0};
        snprintf(path, sizeof path, "%s", file_name(2, 1, part));
        assert_ok(bnf_fs_read(path, &all));
        for (size_t size = 0; size < all.size; size += 4096, cases++) {
            spit(path, (const unsigned char *)all.data, size);
            assert_newest(ckpt_path(1), path);
        }
        for (size_t at = 100; at < all.size; at += all.size / 40, cases++) { /* everywhere, so in every dataset */
            all.data[at] ^= 4;
            spit(path, (const unsigned char *)all.data, all.size);
            assert_newest(ckpt_path(1), path);
            all.data[at] ^= 4;
        }
        assert_int_equal(unlink(path), 0);
        if (part != BNF_CKPT_WHOLE)
            assert_newest(ckpt_path(1), path);
        spit(path, (const unsigned char *)all.data, all.size);
        assert_newest(ckpt_path(2), NULL);
        bnf_buf_release(&all);
    }
    assert_in_range(cases, 120, 10000);
}

/* A reader that checks tables alone still never returns a changed array. */
static void lazy_reader_checks_what_it_reads(void **state)
{
    (void)state;
    bnf_buf all = {0};
    bnf_ckpt_reader *r;
    float value[ROWS];
    int64_t count = ROWS;
    assert_ok(write_parts(1, NULL));
    const char *path = file_name(1, 1, 1);
    assert_ok(bnf_fs_read(path, &all));
    all.data[all.size - 100] ^= 1; /* params/p1 is the larger of the two by far and ends the file or nearly so */
    all.data[all.size / 2] ^= 1;
    spit(path, (const unsigned char *)all.data, all.size);
    assert_ok(bnf_ckpt_reader_open_lazy(ckpt_path(1), &r));
    assert_ok(bnf_ckpt_reader_read(r, "params/p0", BNF_F32, 1, &count, value));
    assert_fails(bnf_ckpt_reader_read(r, "params/p1", BNF_F32, 1, &count, value), BNF_ERR_FORMAT, path);
    bnf_ckpt_reader_close(r);
    bnf_error_clear();
    bnf_buf_release(&all);
}

static int remove_generations(void **state)
{
    char path[300];
    snprintf(path, sizeof path, "%s/generations", folder);
    assert_ok(bnf_fs_remove(path));
    return remove_ckpt_folder(state);
}

/* ---- generations ----------------------------------------------------------------------------------------------- */

static void one_job_after_another(void **state)
{
    (void)state;
    bnf_fence *a, *b, *other;
    assert_ok(bnf_fence_take(folder, false, 1, &a));
    assert_int_equal(bnf_fence_generation(a), 1);
    assert_ok(bnf_fence_begin(a, -1));
    assert_ok(bnf_fence_join(folder, 1, &other));
    assert_ok(bnf_fence_check(a));
    assert_ok(bnf_fence_check(other));
    assert_ok(write_parts(5, a));
    assert_ok(write_parts(10, a));
    /* this process is alive: only by force */
    assert_fails(bnf_fence_take(folder, false, 1, &b), BNF_ERR_FENCED, "is in use: generation 1");
    bnf_error_clear();
    assert_ok(bnf_fence_take(folder, true, 2, &b));
    assert_int_equal(bnf_fence_generation(b), 2);
    assert_fails(bnf_fence_check(a), BNF_ERR_FENCED, "generation 2, since");
    bnf_error_clear();
    assert_fails(bnf_fence_check(other), BNF_ERR_FENCED, "generation 2, since");
    bnf_error_clear();
    assert_fails(bnf_fence_begin(a, 3), BNF_ERR_FENCED, "generation 2, since");
    bnf_error_clear();
    /* it goes on from 5: what is beyond does not count, now or later */
    assert_newest(ckpt_path(10), NULL);
    assert_ok(bnf_fence_begin(b, 5));
    assert_newest(ckpt_path(5), NULL);
    assert_fails(write_parts(15, a), BNF_ERR_FENCED, "generation 2, since");
    bnf_error_clear();
    assert_ok(write_parts(15, NULL)); /* as a job that was paused behind its last check: generation 1 */
    assert_newest(ckpt_path(5), NULL);
    assert_ok(write_parts(8, b));
    assert_newest(file_name(8, 2, BNF_CKPT_WHOLE), NULL);
    assert_ok(bnf_ckpt_prune(folder, 5, b));
    assert_int_equal(count_files(".h5"), 2 * (1 + PARTS)); /* 5 and 8-g2 */
    bnf_fence_release(other, false);
    bnf_fence_release(a, false);
    bnf_fence_release(b, true);
    assert_ok(bnf_fence_take(folder, false, 1, &b)); /* it has ended by itself */
    assert_int_equal(bnf_fence_generation(b), 3);
    assert_string_equal(bnf_fence_predecessor(b), "");
    bnf_fence_release(b, true);
}

/* A job that is overtaken before it has said where it goes on from can never say so. */
static void late_beginning(void **state)
{
    (void)state;
    bnf_fence *a, *b;
    assert_ok(write_parts(10, NULL));
    assert_ok(bnf_fence_take(folder, false, 1, &a));
    assert_ok(bnf_fence_take(folder, true, 1, &b));
    assert_ok(bnf_fence_begin(b, 10));
    assert_fails(bnf_fence_begin(a, -1), BNF_ERR_FENCED, "generation 2, since");
    bnf_error_clear();
    assert_newest(ckpt_path(10), NULL);
    bnf_fence_release(a, true);
    bnf_fence_release(b, true);
}

/* What a younger generation has written, an older one neither prunes nor cleans away. */
static void the_younger_is_left_alone(void **state)
{
    (void)state;
    bnf_fence *a, *b;
    bnf_ckpt_seal seal;
    assert_ok(bnf_fence_take(folder, false, 1, &a));
    assert_ok(bnf_fence_begin(a, -1));
    assert_ok(write_parts(0, a));
    assert_ok(write_parts(1, a));
    assert_ok(bnf_fence_take(folder, true, 1, &b));
    assert_ok(bnf_fence_begin(b, 1));
    assert_ok(write_parts(2, b));
    assert_ok(write_part(3, 0, b, &seal)); /* under way */
    int before = count_files(".h5");
    assert_ok(bnf_ckpt_clear(folder, a));                                       /* nothing is older than its own */
    assert_fails(bnf_ckpt_prune(folder, 1, a), BNF_ERR_FENCED, "generation 2"); /* 0 would go */
    bnf_error_clear();
    assert_int_equal(count_files(".h5"), before);
    bnf_fence_release(a, false);
    bnf_fence_release(b, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test_setup_teardown(read_as_one, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(damage_anywhere, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(lazy_reader_checks_what_it_reads, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(one_job_after_another, make_ckpt_folder, remove_generations),
        cmocka_unit_test_setup_teardown(late_beginning, make_ckpt_folder, remove_generations),
        cmocka_unit_test_setup_teardown(the_younger_is_left_alone, make_ckpt_folder, remove_generations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
