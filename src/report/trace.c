/* Chrome trace events. A span becomes one complete event ("ph":"X") when it ends, so a file never holds half of one. */
#include "report/trace.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 64, BUFFER_SPANS = 4096 };

typedef struct span {
    const char *name;
    int64_t begin; /* nanoseconds since the trace was opened */
    int64_t duration;
} span;

typedef struct thread_buffer {
    struct thread_buffer *next;
    const char *name;
    int id;
    int depth; /* may exceed MAX_DEPTH: deeper spans are counted and not recorded */
    int count;
    span open[MAX_DEPTH];
    span done[BUFFER_SPANS];
} thread_buffer;

atomic_bool bnf_trace_is_open = false;

/* The open trace. `lock` guards all but `generation` and `origin`, which change only while nobody records. */
static struct {
    pthread_mutex_t lock;
    FILE *file;
    char path[4096];
    int rank;
    int threads;
    int error; /* errno of the first failed write */
    bool out_of_memory;
    bool first;
    int64_t origin;
    uint64_t generation;
    thread_buffer *buffers;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A thread's buffer belongs to the trace it was made for: a later one makes its own. */
static _Thread_local thread_buffer *mine;
static _Thread_local uint64_t mine_generation;

static void put_separator(bnf_buf *out)
{
    bnf_buf_puts(out, trace.first ? "\n" : ",\n");
    trace.first = false;
}

/* One event object, all but its last fields; the caller adds those and ends it. */
static bnf_json event_start(bnf_buf *out, const char *phase, const char *name, int thread)
{
    put_separator(out);
    bnf_json json = bnf_json_start(out, 0);
    bnf_json_begin_object(&json, NULL);
    bnf_json_string(&json, "ph", phase);
    bnf_json_string(&json, "name", name);
    bnf_json_int(&json, "pid", trace.rank);
    bnf_json_int(&json, "tid", thread);
    return json;
}

static void put_span(bnf_buf *out, int thread, const span *s)
{
    bnf_json json = event_start(out, "X", s->name, thread);
    bnf_json_real(&json, "ts", (double)s->begin / 1000.0);
    bnf_json_real(&json, "dur", (double)s->duration / 1000.0);
    bnf_json_end_object(&json);
}

/* `kind`: "process_name" or "thread_name". */
static void put_name(bnf_buf *out, const char *kind, int thread, const char *name)
{
    bnf_json json = event_start(out, "M", kind, thread);
    bnf_json_begin_object(&json, "args");
    bnf_json_string(&json, "name", name);
    bnf_json_end_object(&json);
    bnf_json_end_object(&json);
}

/* Writes and releases the text. Under the lock. */
static void write_text(bnf_buf *text)
{
    if (text->status != BNF_OK)
        trace.out_of_memory = true;
    else if (fwrite(bnf_buf_text(text), 1, text->size, trace.file) != text->size && trace.error == 0)
        trace.error = errno != 0 ? errno : EIO;
    bnf_buf_release(text);
}

/* Under the lock. */
static void write_spans(thread_buffer *b)
{
    bnf_buf text = {0};
    for (int i = 0; i < b->count; i++)
        put_span(&text, b->id, &b->done[i]);
    b->count = 0;
    write_text(&text);
}

static thread_buffer *buffer_get(void)
{
    if (mine_generation == trace.generation)
        return mine;
    mine_generation = trace.generation;
    mine = NULL;
    const bool had_message = bnf_error_message()[0] != '\0';
    bnf_status status = bnf_calloc(1, sizeof *mine, "trace buffer", &mine);
    pthread_mutex_lock(&trace.lock);
    if (status == BNF_OK) {
        mine->id = trace.threads++;
        mine->next = trace.buffers;
        trace.buffers = mine;
    } else {
        trace.out_of_memory = true;
    }
    pthread_mutex_unlock(&trace.lock);
    if (status != BNF_OK && !had_message)
        bnf_error_clear(); /* bnf_trace_close reports it */
    return mine;
}

bnf_status bnf_trace_open(const char *path, int rank)
{
    if (atomic_load(&bnf_trace_is_open))
        return bnf_fail(BNF_ERR_ARG, "cannot trace to '%s': a trace to '%s' is open", path, trace.path);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return bnf_fail(BNF_ERR_IO, "cannot create '%s': %s", path, strerror(errno));
    trace.file = file;
    snprintf(trace.path, sizeof trace.path, "%s", path);
    trace.rank = rank;
    trace.threads = 0;
    trace.error = 0;
    trace.out_of_memory = false;
    trace.first = true;
    trace.buffers = NULL;
    trace.generation++;
    trace.origin = bnf_clock_nanoseconds();
    char name[32];
    bnf_buf text = {0};
    snprintf(name, sizeof name, "rank %d", rank);
    bnf_buf_puts(&text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    put_name(&text, "process_name", 0, name);
    write_text(&text);
    atomic_store(&bnf_trace_is_open, true);
    return BNF_OK;
}

bnf_status bnf_trace_close(void)
{
    if (!atomic_exchange(&bnf_trace_is_open, false))
        return BNF_OK;
    pthread_mutex_lock(&trace.lock);
    while (trace.buffers != NULL) {
        thread_buffer *b = trace.buffers;
        trace.buffers = b->next;
        bnf_buf text = {0};
        write_spans(b);
        if (b->name != NULL)
            put_name(&text, "thread_name", b->id, b->name);
        write_text(&text);
        bnf_free(b);
    }
    trace.generation++; /* nobody's buffer is valid now */
    if ((fputs("\n]}\n", trace.file) < 0 || ferror(trace.file)) && trace.error == 0)
        trace.error = errno != 0 ? errno : EIO;
    if (fclose(trace.file) != 0 && trace.error == 0)
        trace.error = errno;
    trace.file = NULL;
    const int error = trace.error;
    const bool out_of_memory = trace.out_of_memory;
    pthread_mutex_unlock(&trace.lock);
    if (error != 0)
        return bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", trace.path, strerror(error));
    if (out_of_memory)
        return bnf_fail(BNF_ERR_MEMORY, "trace '%s': spans are missing, there was no memory for them", trace.path);
    return BNF_OK;
}

void bnf_trace_name_thread(const char *name)
{
    if (!atomic_load_explicit(&bnf_trace_is_open, memory_order_acquire))
        return;
    thread_buffer *b = buffer_get();
    if (b != NULL)
        b->name = name;
}

void bnf_trace_record_begin(const char *name)
{
    thread_buffer *b = buffer_get();
    if (b == NULL)
        return;
    if (b->depth < MAX_DEPTH)
        b->open[b->depth] = (span){.name = name, .begin = bnf_clock_nanoseconds() - trace.origin};
    b->depth++;
}

void bnf_trace_record_end(void)
{
    thread_buffer *b = buffer_get();
    if (b == NULL || b->depth == 0) /* the span began before the trace was opened */
        return;
    b->depth--;
    if (b->depth >= MAX_DEPTH)
        return;
    span *s = &b->open[b->depth];
    s->duration = bnf_clock_nanoseconds() - trace.origin - s->begin;
    b->done[b->count++] = *s;
    if (b->count == BUFFER_SPANS) {
        pthread_mutex_lock(&trace.lock);
        write_spans(b);
        pthread_mutex_unlock(&trace.lock);
    }
}
