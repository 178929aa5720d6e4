/* The JSON writer. */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

bnf_json bnf_json_start(bnf_buf *out, int indent)
{
    return (bnf_json){.out = out, .indent = indent};
}

static void new_line(bnf_json *json)
{
    if (json->indent > 0)
        bnf_buf_printf(json->out, "\n%*s", json->depth * json->indent, "");
}

static void put_escaped(bnf_buf *out, const char *s)
{
    size_t left = strlen(s);
    bnf_buf_putc(out, '"');
    while (left > 0) {
        const size_t n = bnf_utf8_next(s, left);
        const unsigned char c = (unsigned char)*s;
        if (n == 0)
            bnf_buf_puts(out, "\xEF\xBF\xBD");
        else if (c == '"' || c == '\\')
            bnf_buf_printf(out, "\\%c", c);
        else if (c == '\n')
            bnf_buf_puts(out, "\\n");
        else if (c == '\t')
            bnf_buf_puts(out, "\\t");
        else if (c < 0x20)
            bnf_buf_printf(out, "\\u%04x", c);
        else
            bnf_buf_append(out, s, n);
        s += n == 0 ? 1 : n;
        left -= n == 0 ? 1 : n;
    }
    bnf_buf_putc(out, '"');
}

/* What stands before every value: comma, line, key. */
static void before_value(bnf_json *json, const char *key)
{
    const int d = json->depth - 1;
    BNF_ASSERT((key != NULL) == (d >= 0 && json->kind[d] == '{'));
    if (d >= 0) {
        if (json->filled[d])
            bnf_buf_puts(json->out, json->indent > 0 ? "," : ", ");
        json->filled[d] = true;
        new_line(json);
    }
    if (key != NULL) {
        put_escaped(json->out, key);
        bnf_buf_puts(json->out, ": ");
    }
}

static void begin(bnf_json *json, const char *key, char kind)
{
    BNF_ASSERT(json->depth < BNF_JSON_MAX_DEPTH);
    before_value(json, key);
    bnf_buf_putc(json->out, kind);
    json->kind[json->depth] = kind;
    json->filled[json->depth++] = false;
}

static void end(bnf_json *json, char kind, char closing)
{
    BNF_ASSERT(json->depth > 0 && json->kind[json->depth - 1] == kind);
    json->depth--;
    if (json->filled[json->depth])
        new_line(json);
    bnf_buf_putc(json->out, closing);
}

void bnf_json_begin_object(bnf_json *json, const char *key)
{
    begin(json, key, '{');
}

void bnf_json_end_object(bnf_json *json)
{
    end(json, '{', '}');
}

void bnf_json_begin_array(bnf_json *json, const char *key)
{
    begin(json, key, '[');
}

void bnf_json_end_array(bnf_json *json)
{
    end(json, '[', ']');
}

void bnf_json_string(bnf_json *json, const char *key, const char *value)
{
    before_value(json, key);
    if (value == NULL)
        bnf_buf_puts(json->out, "null");
    else
        put_escaped(json->out, value);
}

void bnf_json_int(bnf_json *json, const char *key, int64_t value)
{
    before_value(json, key);
    bnf_buf_printf(json->out, "%lld", (long long)value);
}

void bnf_json_real(bnf_json *json, const char *key, double value)
{
    before_value(json, key);
    if (isfinite(value))
        bnf_buf_real(json->out, value);
    else
        bnf_buf_puts(json->out, "null");
}

void bnf_json_bool(bnf_json *json, const char *key, bool value)
{
    before_value(json, key);
    bnf_buf_puts(json->out, value ? "true" : "false");
}

void bnf_json_null(bnf_json *json, const char *key)
{
    before_value(json, key);
    bnf_buf_puts(json->out, "null");
}

void bnf_json_reals(bnf_json *json, const char *key, const double *values, int64_t count)
{
    const int indent = json->indent;
    bnf_json_begin_array(json, key);
    json->indent = 0; /* numbers side by side */
    for (int64_t i = 0; i < count; i++)
        bnf_json_real(json, NULL, values[i]);
    bnf_json_end_array(json);
    json->indent = indent;
}

bnf_status bnf_json_finish(const bnf_json *json)
{
    BNF_ASSERT(json->depth == 0);
    return json->out->status;
}
