/* Reads a trace of run.profile as strictly as a viewer may: valid JSON, spans of a thread either within one another or
 * apart. Prints how many steps it holds, and how much of the main thread's time in them is explained, in percent: that
 * is not in spans of the category "step" alone, nor in "compute" outside of its operations. Usage: check_trace FILE. */
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8, SPANS = 1 << 16 };

typedef struct span {
    double begin, end;
    bool vague; /* explains nothing by itself */
} span;

typedef struct lane {
    span done[SPANS]; /* side by side; what comes next may hold some of them */
    int n;
    double last;
} lane;

typedef struct check {
    lane lanes[LANES];
    int64_t steps, spans;
    double whole, vague; /* of steps; what only vague spans hold */
} check;

static bnf_status number(const bnf_json_object *o, const char *name, double *value)
{
    const bnf_json_field *f = bnf_json_object_find(o, name);
    if (!f || f->type != BNF_JSON_NUMBER)
        return bnf_fail(BNF_ERR_FORMAT, "no number '%s'", name);
    *value = f->number;
    return BNF_OK;
}

static const char *string(const bnf_json_object *o, const char *name)
{
    const bnf_json_field *f = bnf_json_object_find(o, name);
    return f && f->type == BNF_JSON_STRING ? f->string : "";
}

/* Spans come in the order of their ends. Times have been rounded to below a nanosecond. */
static bnf_status place(check *c, int thread, const span *s, bool whole_step)
{
    const double eps = 1e-3;
    lane *l = &c->lanes[thread];
    double own = s->end - s->begin;
    if (s->end < l->last - eps)
        return bnf_fail(BNF_ERR_FORMAT, "thread %d: a span ends at %.3f, before %.3f", thread, s->end, l->last);
    l->last = s->end;
    for (; l->n > 0 && l->done[l->n - 1].begin >= s->begin - eps; l->n--)
        own -= l->done[l->n - 1].end - l->done[l->n - 1].begin;
    if (l->n > 0 && l->done[l->n - 1].end > s->begin + eps)
        return bnf_fail(BNF_ERR_FORMAT, "thread %d: spans overlap at %.3f", thread, s->begin);
    if (own < -1)
        return bnf_fail(BNF_ERR_FORMAT, "thread %d: a span at %.3f is shorter than its parts", thread, s->begin);
    if (l->n == SPANS)
        return bnf_fail(BNF_ERR_FORMAT, "thread %d: too many spans side by side", thread);
    l->done[l->n++] = *s;
    c->vague += thread == 0 && s->vague ? own : 0;
    c->whole += whole_step ? s->end - s->begin : 0;
    c->steps += whole_step;
    c->spans++;
    return BNF_OK;
}

static bnf_status take_span(check *c, const bnf_json_object *o)
{
    double ts = 0, dur = 0, thread = 0;
    const char *category = string(o, "cat"), *name = string(o, "name");
    BNF_TRY(number(o, "ts", &ts));
    BNF_TRY(number(o, "dur", &dur));
    BNF_TRY(number(o, "tid", &thread));
    if (!(ts >= 0 && dur >= 0 && thread >= 0 && thread < LANES) || !category[0] || !name[0])
        return bnf_fail(BNF_ERR_FORMAT, "a span is not as it should be");
    bool vague = strcmp(category, "step") == 0 || strcmp(name, "compute") == 0;
    return place(c, (int)thread, &(span){ts, ts + dur, vague}, strcmp(name, "step") == 0);
}

/* An event is a flat object but for its last field, an object "args": both are read. */
static bnf_status take_line(check *c, char *line, size_t size)
{
    static const char word[] = ", \"args\": ";
    bnf_json_object *o;
    char *args = strstr(line, word);
    if (!args || line[size - 1] != '}')
        return bnf_fail(BNF_ERR_FORMAT, "not an event");
    BNF_TRY(bnf_json_object_parse(args + strlen(word), (size_t)(line + size - 1 - (args + strlen(word))), &o));
    bnf_json_object_destroy(o);
    *args = '}';
    BNF_TRY(bnf_json_object_parse(line, (size_t)(args + 1 - line), &o));
    bnf_status s = strcmp(string(o, "ph"), "X") == 0 ? take_span(c, o) : BNF_OK;
    bnf_json_object_destroy(o);
    return s;
}

static bnf_status take_file(check *c, char *text)
{
    static const char head[] = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
    if (strncmp(text, head, sizeof head - 1) != 0)
        return bnf_fail(BNF_ERR_FORMAT, "does not begin as a trace");
    char *line = text + sizeof head - 1;
    for (bool more = true; more;) {
        char *end = strchr(line, '\n');
        if (!end || end == line)
            return bnf_fail(BNF_ERR_FORMAT, "ends early");
        more = end[-1] == ',';
        end[more ? -1 : 0] = '\0';
        BNF_TRY(take_line(c, line, strlen(line)));
        line = end + 1;
    }
    return strcmp(line, "]}\n") == 0 ? BNF_OK : bnf_fail(BNF_ERR_FORMAT, "does not end as a trace");
}

int main(int argc, char **argv)
{
    static check c;
    bnf_buf text = {0};
    if (argc != 2)
        return 2;
    bnf_status s = bnf_fs_read(argv[1], &text);
    if (s == BNF_OK)
        s = take_file(&c, text.data);
    bnf_buf_release(&text);
    if (s != BNF_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], bnf_error_message());
        return 1;
    }
    printf("steps %lld covered %d spans %lld\n", (long long)c.steps,
           c.whole > 0 ? (int)(100 - 100 * c.vague / c.whole) : 0, (long long)c.spans);
    return 0;
}
