/* Messages of failures: the innermost is kept, contexts go in front, threads have their own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/base.h>

#include <pthread.h>
#include <string.h>

static void test_names(void **unused)
{
    (void)unused;
    for (int s = 0; s < BNF_STATUS_COUNT; s++) {
        assert_non_null(bnf_status_name((bnf_status)s));
        for (int t = 0; t < s; t++)
            assert_string_not_equal(bnf_status_name((bnf_status)s), bnf_status_name((bnf_status)t));
    }
    assert_non_null(bnf_status_name(BNF_STATUS_COUNT));
    assert_int_equal(bnf_dtype_size(BNF_F64), sizeof(double));
    assert_int_equal(bnf_dtype_size(BNF_U8), 1);
    assert_string_equal(bnf_dtype_name(BNF_I64), "i64");
    assert_string_equal(bnf_version(), BNF_VERSION_STRING);
}

static void test_innermost_is_kept(void **unused)
{
    (void)unused;
    bnf_error_clear();
    assert_string_equal(bnf_error_message(), "");
    assert_int_equal(bnf_fail(BNF_ERR_IO, "file %d", 1), BNF_ERR_IO);
    assert_int_equal(bnf_fail(BNF_ERR_ARG, "later"), BNF_ERR_ARG);
    assert_string_equal(bnf_error_message(), "file 1");
    bnf_fail_context(BNF_ERR_IO, "loading '%s'", "x");
    bnf_fail_context(BNF_ERR_IO, "run");
    assert_string_equal(bnf_error_message(), "run: loading 'x': file 1");
    bnf_error_clear();
    bnf_fail(BNF_ERR_ARG, "new");
    assert_string_equal(bnf_error_message(), "new");
    bnf_error_clear();
    bnf_fail_context(BNF_ERR_IO, "alone");
    assert_string_equal(bnf_error_message(), "alone: input/output error");
    bnf_error_clear();
}

static void test_long_messages_are_cut(void **unused)
{
    (void)unused;
    char text[9000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    bnf_fail(BNF_ERR_IO, "%s", text);
    const size_t n = strlen(bnf_error_message());
    assert_true(n > 1000 && n < sizeof text - 1);
    assert_string_equal(bnf_error_message() + n - 3, "...");
    bnf_fail_context(BNF_ERR_IO, "context");
    assert_memory_equal(bnf_error_message(), "context: xxx", 12);
    bnf_fail_context(BNF_ERR_IO, "%s", text);
    assert_int_equal(strlen(bnf_error_message()), n);
    bnf_error_clear();
}

static void *other_thread(void *seen)
{
    *(int *)seen = (int)strlen(bnf_error_message());
    bnf_fail(BNF_ERR_IO, "of the other");
    return NULL;
}

static void test_threads_are_apart(void **unused)
{
    (void)unused;
    pthread_t thread;
    int seen = -1;
    bnf_fail(BNF_ERR_IO, "of this one");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &seen), 0);
    pthread_join(thread, NULL);
    assert_int_equal(seen, 0);
    assert_string_equal(bnf_error_message(), "of this one");
    bnf_error_clear();
}

static bnf_status inner(bnf_status s)
{
    BNF_TRY(s);
    return BNF_ERR_NUMERIC;
}

static int cleanup(bnf_status code)
{
    bnf_status s;
    int passed = 0;
    BNF_TRY_GOTO(s, code, done);
    passed = 1;
done:
    return passed * 100 + (int)s;
}

static void test_macros(void **unused)
{
    (void)unused;
    assert_int_equal(inner(BNF_OK), BNF_ERR_NUMERIC);
    assert_int_equal(inner(BNF_ERR_IO), BNF_ERR_IO);
    assert_int_equal(cleanup(BNF_OK), 100);
    assert_int_equal(cleanup(BNF_ERR_IO), BNF_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_innermost_is_kept),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_threads_are_apart),
        cmocka_unit_test(test_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
