/* train/profile_trace.c - recorded spans as Chrome trace events ("ph":"X"), one a line, which Perfetto reads. */
#include "train/profile.h"

#include "base/json.h"
#include "base/spans.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct look {
    const char *name, *category;
    const char *id; /* what bnf_span.id is, NULL: nothing */
} look;

static const look looks[BNF_SPAN_KINDS] = {
    [BNF_SPAN_OP] = {"operation", "compute", "node"},
    [BNF_SPAN_ADD] = {"add over leaves", "reduce", "slot"},
    [BNF_SPAN_PACK] = {"pack weights", "compute", "segment"},
    [BNF_SPAN_SUM] = {"sum over ranks", "reduce", "segment"},
    [BNF_SPAN_MESSAGES] = {"hand over messages", "reduce", "segment"},
    [BNF_SPAN_BARRIER] = {"wait for threads", "wait", "segment"},
    [BNF_SPAN_WAIT] = {"wait for ranks", "wait", NULL},
    [BNF_SPAN_STEP] = {"step", "step", "step"},
    [BNF_SPAN_LOAD] = {"wait for the batch", "load", "step"},
    [BNF_SPAN_COMPUTE] = {"compute", "compute", "step"},
    [BNF_SPAN_REDUCE] = {"gradients to owners", "reduce", "step"},
    [BNF_SPAN_UPDATE] = {"update", "update", "step"},
    [BNF_SPAN_SPREAD] = {"weights to all", "reduce", "step"},
    [BNF_SPAN_EVALUATE] = {"evaluate", "evaluate", "step"},
    [BNF_SPAN_CHECKPOINT] = {"checkpoint", "checkpoint", "step"},
    [BNF_SPAN_BETWEEN] = {"between steps", "step", "step"},
    [BNF_SPAN_READ] = {"make a batch", "load", "step"},
    [BNF_SPAN_WRITE] = {"write a checkpoint", "checkpoint", NULL},
};

typedef struct trace {
    FILE *file;
    const bnf_plan *plan;
    int rank;
    int64_t origin;
    bnf_buf line;
} trace;

/* Writes the line. The file's and the buffer's errors stick. */
static void put_line(trace *t)
{
    if (t->line.status == BNF_OK)
        fwrite(bnf_buf_text(&t->line), 1, t->line.size, t->file);
    if (t->line.status == BNF_OK)
        bnf_buf_clear(&t->line);
}

static void put_name(trace *t, const char *kind, int thread, const char *name)
{
    bnf_json j = bnf_json_start(&t->line, 0);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "ph", "M");
    bnf_json_string(&j, "name", kind);
    bnf_json_int(&j, "pid", t->rank);
    bnf_json_int(&j, "tid", thread);
    bnf_json_begin_object(&j, "args");
    bnf_json_string(&j, "name", name);
    bnf_json_end_object(&j);
    bnf_json_end_object(&j);
}

static void put_span(trace *t, int thread, const bnf_span *s)
{
    const look *l = &looks[s->kind];
    bnf_plan_node_stat stat;
    bool op = s->kind == BNF_SPAN_OP && bnf_plan_node(t->plan, s->id, &stat);
    char shape[96];
    bnf_buf_puts(&t->line, ",\n");
    bnf_json j = bnf_json_start(&t->line, 0);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "ph", "X");
    bnf_json_string(&j, "name", op ? stat.op : l->name);
    bnf_json_string(&j, "cat", l->category);
    bnf_json_int(&j, "pid", t->rank);
    bnf_json_int(&j, "tid", thread);
    bnf_json_real(&j, "ts", (double)(s->begin - t->origin) / 1000.0);
    bnf_json_real(&j, "dur", (double)(s->end - s->begin) / 1000.0);
    bnf_json_begin_object(&j, "args");
    if (l->id && s->id >= 0)
        bnf_json_int(&j, l->id, s->id);
    if (op) {
        bnf_json_string(&j, "kernel", stat.kernel);
        bnf_json_string(&j, "shape", bnf_desc_format(&stat.out, shape, sizeof shape));
        bnf_json_int(&j, "segment", stat.segment);
    }
    if (s->leaf >= 0)
        bnf_json_int(&j, "leaf", s->leaf);
    bnf_json_end_object(&j);
    bnf_json_end_object(&j);
    put_line(t);
}

static void put_lane(trace *t, const bnf_spans *spans, int lane, int threads)
{
    int64_t n;
    char name[32];
    const bnf_span *span = bnf_spans_get(spans, lane, &n);
    if (lane == 0)
        snprintf(name, sizeof name, "main thread");
    else if (lane < threads)
        snprintf(name, sizeof name, "thread %d", lane);
    else
        snprintf(name, sizeof name, lane == threads ? "loader" : "checkpoint writer");
    bnf_buf_puts(&t->line, ",\n");
    put_name(t, "thread_name", lane, name);
    for (int64_t i = 0; i < n; i++)
        put_span(t, lane, &span[i]);
    put_line(t);
}

/* The first thing that any lane holds; spans lie in the order of their ends. */
static int64_t first_moment(const bnf_spans *spans)
{
    int64_t first = INT64_MAX, n;
    for (int lane = 0; lane < spans->lanes; lane++) {
        const bnf_span *span = bnf_spans_get(spans, lane, &n);
        for (int64_t i = 0; i < n; i++)
            first = span[i].begin < first ? span[i].begin : first;
    }
    return first;
}

bnf_status bnf_profile_trace(const bnf_spans *spans, const bnf_plan *plan, int threads, int rank, const char *path)
{
    char name[32];
    trace t = {.file = fopen(path, "w"), .plan = plan, .rank = rank, .origin = first_moment(spans)};
    if (!t.file)
        return bnf_fail(BNF_ERR_IO, "cannot create '%s': %s", path, strerror(errno));
    snprintf(name, sizeof name, "rank %d", rank);
    errno = 0;
    bnf_buf_puts(&t.line, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    put_name(&t, "process_name", 0, name);
    put_line(&t);
    for (int lane = 0; lane < spans->lanes; lane++)
        put_lane(&t, spans, lane, threads);
    bnf_buf_puts(&t.line, "\n]}\n");
    put_line(&t);
    bnf_status s = t.line.status;
    bool bad = ferror(t.file) != 0;
    bad = fclose(t.file) != 0 || bad;
    bnf_buf_release(&t.line);
    if (s == BNF_OK && bad)
        s = bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", path, strerror(errno ? errno : EIO));
    return s;
}
