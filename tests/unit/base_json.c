/* What the writer writes is JSON, and the reader takes nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static void test_write_line(void **unused)
{
    (void)unused;
    bnf_buf b = {0};
    bnf_json j = bnf_json_start(&b, 0);
    bnf_json_begin_object(&j, NULL);
    bnf_json_int(&j, "step", -3);
    bnf_json_real(&j, "loss", 0.25);
    bnf_json_real(&j, "bad", NAN);
    bnf_json_bool(&j, "ok", true);
    bnf_json_null(&j, "none");
    bnf_json_string(&j, "text", "a\"b\\c\n\x01\xC3\xA4\xFF");
    bnf_json_string(&j, "no text", NULL);
    bnf_json_reals(&j, "list", (const double[]){1, INFINITY, 2.5}, 3);
    bnf_json_begin_array(&j, "inner");
    bnf_json_begin_object(&j, NULL);
    bnf_json_end_object(&j);
    bnf_json_int(&j, NULL, 1);
    bnf_json_end_array(&j);
    bnf_json_end_object(&j);
    assert_int_equal(bnf_json_finish(&j), BNF_OK);
    assert_string_equal(b.data, "{\"step\": -3, \"loss\": 0.25, \"bad\": null, \"ok\": true, \"none\": null, "
                                "\"text\": \"a\\\"b\\\\c\\n\\u0001\xC3\xA4\xEF\xBF\xBD\", \"no text\": null, "
                                "\"list\": [1, null, 2.5], \"inner\": [{}, 1]}");
    bnf_buf_release(&b);
}

static void test_write_indented(void **unused)
{
    (void)unused;
    bnf_buf b = {0};
    bnf_json j = bnf_json_start(&b, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_begin_object(&j, "a");
    bnf_json_int(&j, "b", 1);
    bnf_json_int(&j, "c", 2);
    bnf_json_end_object(&j);
    bnf_json_end_object(&j);
    assert_int_equal(bnf_json_finish(&j), BNF_OK);
    assert_string_equal(b.data, "{\n  \"a\": {\n    \"b\": 1,\n    \"c\": 2\n  }\n}");
    bnf_buf_release(&b);
}

static bnf_json_object *parse(const char *text)
{
    bnf_json_object *o;
    assert_int_equal(bnf_json_object_parse(text, strlen(text), &o), BNF_OK);
    return o;
}

static void test_read(void **unused)
{
    (void)unused;
    const int64_t blocks = bnf_mem_live_blocks();
    bnf_json_object *o =
        parse(" {\"a\": -1.5e2, \"b\":true,\"c\" : false, \"d\": null, \"s\": \"x\\u00e4\\ud83d\\ude00\\/\\n\","
              "\"n\": [1, null ,3], \"e\": []}\n");
    assert_int_equal(bnf_json_object_count(o), 7);
    assert_string_equal(bnf_json_object_at(o, 1)->name, "b");
    assert_true(bnf_json_object_find(o, "a")->number == -150.0);
    assert_true(bnf_json_object_find(o, "b")->type == BNF_JSON_BOOL && bnf_json_object_find(o, "b")->boolean);
    assert_true(bnf_json_object_find(o, "c")->type == BNF_JSON_BOOL && !bnf_json_object_find(o, "c")->boolean);
    assert_true(bnf_json_object_find(o, "d")->type == BNF_JSON_NULL && isnan(bnf_json_object_find(o, "d")->number));
    assert_string_equal(bnf_json_object_find(o, "s")->string, "x\xC3\xA4\xF0\x9F\x98\x80/\n");
    const bnf_json_field *n = bnf_json_object_find(o, "n");
    assert_true(n->type == BNF_JSON_NUMBERS && n->count == 3);
    assert_true(n->numbers[0] == 1 && isnan(n->numbers[1]) && n->numbers[2] == 3);
    assert_int_equal(bnf_json_object_find(o, "e")->count, 0);
    assert_null(bnf_json_object_find(o, "absent"));
    bnf_json_object_destroy(o);
    o = parse("{}");
    assert_int_equal(bnf_json_object_count(o), 0);
    bnf_json_object_destroy(o);
    bnf_json_object_destroy(NULL);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

static void test_read_tree(void **unused)
{
    (void)unused;
    bnf_json_object *o;
    const char text[] =
        "{\"a\": 1, \"m\": { \"x\" : {\"mean\": 2.5, \"list\":[1,2]}, \"e\":{}, \"y\": \"t\"}, \"b\": true}";
    assert_int_equal(bnf_json_object_parse(text, strlen(text), &o), BNF_ERR_FORMAT);
    assert_int_equal(bnf_json_tree_parse(text, strlen(text), &o), BNF_OK);
    assert_int_equal(bnf_json_object_count(o), 5);
    assert_true(bnf_json_object_find(o, "a")->number == 1);
    assert_true(bnf_json_object_find(o, "m.x.mean")->number == 2.5);
    assert_int_equal(bnf_json_object_find(o, "m.x.list")->count, 2);
    assert_string_equal(bnf_json_object_find(o, "m.y")->string, "t");
    assert_true(bnf_json_object_find(o, "b")->boolean);
    assert_null(bnf_json_object_find(o, "mean"));
    bnf_json_object_destroy(o);
    const char *const bad[] = {"{\"m\":{\"x\":1,\"x\":2}}", "{\"m\":{\"x\":1}", "{\"m\":{\"x\":1}}}", "{\"m\":[{}]}",
                               "{\"m\":{1}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(bnf_json_tree_parse(bad[i], strlen(bad[i]), &o), BNF_ERR_FORMAT);
    bnf_buf deep = {0};
    for (int i = 0; i < 1000; i++)
        bnf_buf_puts(&deep, "{\"a\":");
    assert_int_equal(bnf_json_tree_parse(bnf_buf_text(&deep), deep.size, &o), BNF_ERR_FORMAT);
    bnf_buf_release(&deep);
}

static void test_read_is_strict(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{\"a\":1}x",
                                      "{a:1}",
                                      "{\"a\":01}",
                                      "{\"a\":1.}",
                                      "{\"a\":.5}",
                                      "{\"a\":+1}",
                                      "{\"a\":NaN}",
                                      "{\"a\":1e999}",
                                      "{\"a\":\"x}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\u00\"}",
                                      "{\"a\":\"\t\"}",
                                      "{\"a\":\"\xFF\"}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[\"x\"]}",
                                      "{\"a\":{}}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":tru}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":\"\\",
                                      "{\"a\":nul}"};
    const int64_t blocks = bnf_mem_live_blocks();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bnf_json_object *o = (bnf_json_object *)&blocks;
        assert_int_equal(bnf_json_object_parse(bad[i], strlen(bad[i]), &o), BNF_ERR_FORMAT);
        assert_null(o);
        assert_memory_equal(bnf_error_message(), "JSON at byte ", 13);
        bnf_error_clear();
    }
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

/* Any front of a valid text is refused and nothing behind its end is read (the sanitizer build looks). */
static void test_every_front_is_refused(void **unused)
{
    (void)unused;
    static const char whole[] = "{\"ab\": [1, 2.5e1, null], \"s\": \"x\\u00e4\\n\", \"t\": true, \"z\": -0.5}";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char *front;
        bnf_json_object *o;
        assert_int_equal(bnf_alloc(n, "a test", &front), BNF_OK);
        memcpy(front, whole, n);
        assert_int_equal(bnf_json_object_parse(front, n, &o), BNF_ERR_FORMAT);
        bnf_error_clear();
        bnf_free(front);
    }
}

static void test_round_trip(void **unused)
{
    (void)unused;
    bnf_buf b = {0};
    bnf_json j = bnf_json_start(&b, 0);
    const double values[] = {0.1, 1e-300, -12345.678901234567};
    const char *text = "q\"\\/\b\f\n\r\t\x1F \xE2\x82\xAC";
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, text, text);
    bnf_json_reals(&j, "v", values, 3);
    bnf_json_end_object(&j);
    bnf_json_object *o = parse(b.data);
    assert_string_equal(bnf_json_object_at(o, 0)->name, text);
    assert_string_equal(bnf_json_object_at(o, 0)->string, text);
    assert_memory_equal(bnf_json_object_find(o, "v")->numbers, values, sizeof values);
    bnf_json_object_destroy(o);
    bnf_buf_release(&b);
}

static void test_no_memory(void **unused)
{
    (void)unused;
    static const char text[] = "{\"a\": 1, \"s\": \"x\", \"n\": [1, 2]}";
    const int64_t blocks = bnf_mem_live_blocks();
    bnf_json_object *o;
    bnf_status s = BNF_ERR_MEMORY;
    int nth = 0;
    while (s == BNF_ERR_MEMORY) {
        bnf_error_clear();
        bnf_mem_fail_at(++nth);
        s = bnf_json_object_parse(text, sizeof text - 1, &o);
        assert_true(s == BNF_OK || bnf_mem_live_blocks() == blocks);
    }
    bnf_mem_fail_at(0);
    assert_int_equal(s, BNF_OK);
    assert_true(nth > 3);
    bnf_json_object_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_line),     cmocka_unit_test(test_write_indented),
        cmocka_unit_test(test_read),           cmocka_unit_test(test_read_tree),
        cmocka_unit_test(test_read_is_strict), cmocka_unit_test(test_every_front_is_refused),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
