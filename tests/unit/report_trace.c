/* Trace files: valid JSON with every span of every thread, properly nested. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "report/trace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 3000 }; /* three spans a round: every thread fills its buffer twice */

static char folder[] = "/tmp/bnf-trace-XXXXXX";
static char path[64];

static void *work(void *name)
{
    bnf_trace_name_thread(name);
    for (int i = 0; i < ROUNDS; i++) {
        bnf_trace_begin("step");
        bnf_trace_begin("forward");
        bnf_trace_end();
        bnf_trace_begin("\"back\\ward\"\n");
        bnf_trace_end();
        bnf_trace_end();
    }
    return NULL;
}

typedef struct tally {
    int spans, steps, quoted, names;
    int of_thread[16];
} tally;

/* A complete event: a flat object with times that fit. */
static void count_span(const char *line, size_t size, tally *t)
{
    bnf_json_object *o = NULL;
    assert_int_equal(bnf_json_object_parse(line, size, &o), BNF_OK);
    assert_true(bnf_json_object_find(o, "pid")->number == 7.0);
    const int thread = (int)bnf_json_object_find(o, "tid")->number;
    assert_in_range(thread, 0, 15);
    assert_true(bnf_json_object_find(o, "ts")->number >= 0.0 && bnf_json_object_find(o, "dur")->number >= 0.0);
    const char *name = bnf_json_object_find(o, "name")->string;
    t->spans++;
    t->of_thread[thread]++;
    t->steps += strcmp(name, "step") == 0;
    t->quoted += strcmp(name, "\"back\\ward\"\n") == 0;
    bnf_json_object_destroy(o);
}

/* Line by line: the frame, events that are objects separated by commas. */
static tally read_trace(void)
{
    tally t = {0};
    bnf_buf text = {0};
    assert_int_equal(bnf_fs_read(path, &text), BNF_OK);
    const char *line = bnf_buf_text(&text);
    const char *header_end = strstr(line, "\"traceEvents\":[\n");
    assert_true(line[0] == '{' && header_end != NULL);
    line = strchr(line, '\n') + 1;
    for (bool more = true; more;) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        more = end[-1] == ',';
        const size_t size = (size_t)(end - line) - (more ? 1 : 0);
        assert_true(line[0] == '{' && line[size - 1] == '}');
        if (strstr(line, "\"X\"") != NULL && strstr(line, "\"X\"") < end)
            count_span(line, size, &t);
        else
            t.names++;
        line = end + 1;
    }
    assert_string_equal(line, "]}\n");
    bnf_buf_release(&text);
    return t;
}

static void test_threads(void **unused)
{
    (void)unused;
    static char names[THREADS][16] = {"worker 0", "worker 1", "reader"};
    pthread_t threads[THREADS];
    for (int round = 0; round < 2; round++) { /* a second trace starts from nothing */
        assert_int_equal(bnf_trace_open(path, 7), BNF_OK);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, work, names[i]), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        bnf_trace_begin("main thread");
        bnf_trace_end();
        bnf_trace_begin("never ended");
        assert_int_equal(bnf_trace_close(), BNF_OK);
        const tally t = read_trace();
        assert_int_equal(t.spans, 3 * THREADS * ROUNDS + 1);
        assert_int_equal(t.steps, THREADS * ROUNDS);
        assert_int_equal(t.quoted, THREADS * ROUNDS);
        assert_int_equal(t.names, 1 + THREADS); /* the process, the named threads */
        int complete = 0;
        for (int i = 0; i < 16; i++)
            complete += t.of_thread[i] == 3 * ROUNDS;
        assert_int_equal(complete, THREADS);
        assert_int_equal(bnf_mem_live_blocks(), 0);
    }
}

static void test_closed_trace_is_free(void **unused)
{
    (void)unused;
    const int64_t before = bnf_mem_total_allocations();
    work("nobody");
    assert_int_equal(bnf_mem_total_allocations(), before);
    assert_int_equal(bnf_trace_close(), BNF_OK);
}

/* Spans that begin before the trace, and more levels than are kept, do no harm. */
static void test_edges(void **unused)
{
    (void)unused;
    bnf_trace_begin("before");
    assert_int_equal(bnf_trace_open(path, 7), BNF_OK);
    bnf_trace_end();
    for (int i = 0; i < 100; i++)
        bnf_trace_begin("deep");
    for (int i = 0; i < 100; i++)
        bnf_trace_end();
    assert_int_equal(bnf_trace_open(path, 7), BNF_ERR_ARG);
    bnf_error_clear();
    assert_int_equal(bnf_trace_close(), BNF_OK);
    assert_int_equal(read_trace().spans, 64);
    assert_int_equal(bnf_trace_open("/nonexistent/trace.json", 0), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/nonexistent/trace.json"));
    bnf_error_clear();
}

static void test_no_memory(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_trace_open(path, 7), BNF_OK);
    bnf_mem_fail_at(1);
    bnf_trace_begin("lost");
    bnf_mem_fail_at(0);
    bnf_trace_end();
    assert_string_equal(bnf_error_message(), ""); /* reported by close, not left lying around */
    assert_int_equal(bnf_trace_close(), BNF_ERR_MEMORY);
    bnf_error_clear();
    assert_int_equal(read_trace().spans, 0);
}

static int make_folder(void **unused)
{
    (void)unused;
    if (mkdtemp(folder) == NULL)
        return 1;
    strcat(strcpy(path, folder), "/trace.json");
    return 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    return bnf_fs_remove(folder) != BNF_OK || bnf_mem_live_blocks() != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_closed_trace_is_free),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
