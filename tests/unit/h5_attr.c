/* Attributes of every kind on the root, a group and a dataset; replacing; clear errors for the wrong kind. */
#include "unit/h5_support.h"

#include "base/mem.h"
#include "h5/attr.h"
#include "h5/dataset.h"

static char folder[256], path[300];
static bnf_h5_file *file;

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/attr.h5", folder);
    bnf_h5_dataset *x;
    assert_ok(bnf_h5_file_create(path, &file));
    assert_ok(bnf_h5_dataset_create(file, "/train/images", BNF_U8, 1, (int64_t[]){3}, NULL, &x));
    assert_ok(bnf_h5_dataset_close(x));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(bnf_h5_file_close(file));
    remove_folder(folder);
    assert_int_equal(bnf_mem_live_blocks(), 0);
    return 0;
}

static void reopen(void)
{
    assert_ok(bnf_h5_file_close(file));
    assert_ok(bnf_h5_file_open(path, &file));
}

static const char *const objects[] = {"/", "train", "/train/images"};

static void every_kind_comes_back(void **state)
{
    (void)state;
    const char *classes[] = {"T-shirt/top", "", "Stiefel \xc3\xbc"};
    for (int i = 0; i < 3; i++) {
        assert_ok(bnf_h5_attr_set_int(file, objects[i], "count", INT64_MIN + i));
        assert_ok(bnf_h5_attr_set_real(file, objects[i], "scale", 0.1 * (i + 1)));
        assert_ok(bnf_h5_attr_set_str(file, objects[i], "source", classes[i]));
        assert_ok(bnf_h5_attr_set_ints(file, objects[i], "shape", 3, (int64_t[]){7, -8, i}));
        assert_ok(bnf_h5_attr_set_reals(file, objects[i], "mean", 2, (double[]){0.5, i}));
        assert_ok(bnf_h5_attr_set_strs(file, objects[i], "classes", i, classes));
    }
    reopen();
    for (int i = 0; i < 3; i++) {
        int64_t integer, count, *integers;
        double real, *reals;
        char *text;
        bnf_h5_names texts;
        assert_ok(bnf_h5_attr_get_int(file, objects[i], "count", &integer));
        assert_true(integer == INT64_MIN + i);
        assert_ok(bnf_h5_attr_get_real(file, objects[i], "scale", &real));
        assert_true(real == 0.1 * (i + 1));
        assert_ok(bnf_h5_attr_get_str(file, objects[i], "source", &text));
        assert_string_equal(text, classes[i]);
        bnf_free(text);
        assert_ok(bnf_h5_attr_get_ints(file, objects[i], "shape", &count, &integers));
        assert_true(count == 3 && integers[0] == 7 && integers[1] == -8 && integers[2] == i);
        bnf_free(integers);
        assert_ok(bnf_h5_attr_get_reals(file, objects[i], "mean", &count, &reals));
        assert_true(count == 2 && reals[0] == 0.5 && reals[1] == i);
        bnf_free(reals);
        assert_ok(bnf_h5_attr_get_strs(file, objects[i], "classes", &texts));
        assert_int_equal(texts.count, i);
        for (int k = 0; k < i; k++)
            assert_string_equal(texts.name[k], classes[k]);
        bnf_h5_names_destroy(&texts);
    }
}

static void setting_replaces(void **state)
{
    (void)state;
    char *text;
    bnf_h5_names names;
    assert_ok(bnf_h5_attr_set_int(file, "/", "a", 1));
    assert_ok(bnf_h5_attr_set_str(file, "/", "a", "now a string"));
    assert_ok(bnf_h5_attr_set_int(file, "/", "B", 1));
    reopen();
    assert_ok(bnf_h5_attr_get_str(file, "/", "a", &text));
    assert_string_equal(text, "now a string");
    bnf_free(text);
    assert_ok(bnf_h5_attr_list(file, "/", &names));
    assert_int_equal(names.count, 2);
    assert_string_equal(names.name[0], "B");
    assert_string_equal(names.name[1], "a");
    bnf_h5_names_destroy(&names);
}

static void an_integer_is_a_real(void **state)
{
    (void)state;
    double real;
    assert_ok(bnf_h5_attr_set_int(file, "/", "n", 3));
    assert_ok(bnf_h5_attr_get_real(file, "/", "n", &real));
    assert_true(real == 3.0);
}

static void wrong_kind_is_refused(void **state)
{
    (void)state;
    int64_t integer, count, *integers;
    char *text;
    bool exists;
    bnf_h5_names texts;
    assert_ok(bnf_h5_attr_set_real(file, "/train/images", "mean", 0.5));
    assert_ok(bnf_h5_attr_set_ints(file, "/train/images", "list", 2, (int64_t[]){1, 2}));
    assert_ok(bnf_h5_attr_set_strs(file, "/train/images", "names", 2, (const char *[]){"a", "b"}));
    const char *at = "train/images";
    assert_fails(bnf_h5_attr_get_int(file, at, "mean", &integer), BNF_ERR_FORMAT, "'mean' is not an integer");
    assert_fails(bnf_h5_attr_get_str(file, at, "mean", &text), BNF_ERR_FORMAT, "'mean' is not a string");
    assert_fails(bnf_h5_attr_get_int(file, at, "list", &integer), BNF_ERR_FORMAT, "'list' is a list");
    assert_fails(bnf_h5_attr_get_str(file, at, "names", &text), BNF_ERR_FORMAT, "'names' is a list");
    assert_fails(bnf_h5_attr_get_ints(file, at, "names", &count, &integers), BNF_ERR_FORMAT, "/train/images");
    assert_fails(bnf_h5_attr_get_int(file, at, "absent", &integer), BNF_ERR_FORMAT, "'absent' is missing");
    assert_fails(bnf_h5_attr_get_int(file, at, "absent", &integer), BNF_ERR_FORMAT, path);
    assert_fails(bnf_h5_attr_get_strs(file, "/test", "names", &texts), BNF_ERR_FORMAT, "no object '/test'");
    assert_fails(bnf_h5_attr_set_int(file, "/test", "n", 1), BNF_ERR_FORMAT, "no object '/test'");
    assert_ok(bnf_h5_attr_exists(file, at, "mean", &exists));
    assert_true(exists);
    assert_ok(bnf_h5_attr_exists(file, at, "absent", &exists));
    assert_false(exists);
    assert_ok(bnf_h5_attr_exists(file, "/test", "mean", &exists));
    assert_false(exists);
}

/* No allocation that fails may crash or leak. */
static void memory_runs_out(void **state)
{
    (void)state;
    const char *classes[] = {"a", "b", "c"};
    assert_ok(bnf_h5_attr_set_strs(file, "/", "classes", 3, classes));
    bnf_h5_names texts;
    bnf_status status = BNF_ERR_MEMORY;
    int64_t before = bnf_mem_live_blocks();
    for (int n = 1; status != BNF_OK; n++) {
        bnf_error_clear();
        bnf_mem_fail_at(n);
        status = bnf_h5_attr_get_strs(file, "/", "classes", &texts);
        bnf_mem_fail_at(0);
        if (status != BNF_OK) {
            assert_int_equal(status, BNF_ERR_MEMORY);
            assert_int_equal(bnf_mem_live_blocks(), before);
        }
        assert_in_range(n, 1, 50);
    }
    assert_int_equal(texts.count, 3);
    bnf_h5_names_destroy(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(setting_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(an_integer_is_a_real, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_kind_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_runs_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
