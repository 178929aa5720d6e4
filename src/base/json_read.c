/* The JSON reader: objects, flat or flattened, strictly. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define MAX_NUMBER 63 /* characters of a number */

struct bnf_json_object {
    bnf_arena *arena; /* of everything that fields point to */
    bnf_json_field *fields;
    int64_t count, capacity;
};

typedef struct reader {
    const char *start, *at, *end;
    bnf_json_object *object;
    bool nested; /* objects may be values */
} reader;

static bnf_status bad(const reader *r, const char *what)
{
    return bnf_fail(BNF_ERR_FORMAT, "JSON at byte %lld: %s", (long long)(r->at - r->start), what);
}

static void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_word(reader *r, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

/* ---- strings --------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits; -1 if they are not. */
static int32_t read_hex(reader *r)
{
    int32_t code = 0;
    if (r->end - r->at < 4)
        return -1;
    for (int i = 0; i < 4; i++, r->at++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF", *found = strchr(digits, *r->at);
        if (*r->at == '\0' || found == NULL)
            return -1;
        code = code * 16 + (int32_t)((found - digits) % 16);
    }
    return code;
}

/* A \u escape behind the 'u', or two that make a pair. -1 if it is no character. */
static int32_t read_code(reader *r)
{
    const int32_t high = read_hex(r);
    if (high < 0xD800 || high > 0xDFFF)
        return high;
    if (high > 0xDBFF || !take_word(r, "\\u"))
        return -1;
    const int32_t low = read_hex(r);
    return low < 0xDC00 || low > 0xDFFF ? -1 : 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static char *put_utf8(char *to, int32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = (char)(lead[more] | (code >> (6 * more)));
    for (int i = more - 1; i >= 0; i--)
        *to++ = (char)(0x80 | ((code >> (6 * i)) & 0x3F));
    return to;
}

static bnf_status read_escape(reader *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char c = r->at < r->end ? *r->at : '\0';
    r->at += r->at < r->end;
    if (c == 'u') {
        const int32_t code = read_code(r);
        if (code <= 0)
            return bad(r,
                       code == 0 ? "a zero character in a string" : "\\u needs four hexadecimal digits of a character");
        *to = put_utf8(*to, code);
        return BNF_OK;
    }
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found == NULL)
        return bad(r, "unknown escape in a string");
    *(*to)++ = into[found - from];
    return BNF_OK;
}

/* A string whose opening quote was taken. [out] text lives in the arena. */
static bnf_status read_string(reader *r, const char **text)
{
    size_t longest = 0; /* no escape is shorter than what it stands for */
    while (r->at + longest < r->end && r->at[longest] != '"')
        longest += r->at[longest] == '\\' ? 2 : 1;
    char *to;
    BNF_TRY(bnf_arena_alloc(r->object->arena, longest + 1, &to));
    *text = to;
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            r->at++;
            BNF_TRY(read_escape(r, &to));
            continue;
        }
        const size_t n = bnf_utf8_next(r->at, (size_t)(r->end - r->at));
        if (n == 0 || (unsigned char)*r->at < 0x20)
            return bad(r, n == 0 ? "a string is not UTF-8" : "a control character in a string");
        memcpy(to, r->at, n);
        to += n;
        r->at += n;
    }
    if (!take(r, '"'))
        return bad(r, "a string has no end");
    *to = '\0';
    return BNF_OK;
}

/* ---- other values ---------------------------------------------------------------------------------------------- */

static size_t digits(const char *s)
{
    return strspn(s, "0123456789");
}

/* Whether it is a number by JSON's grammar, which is narrower than strtod's. */
static bool is_number(const char *s)
{
    s += *s == '-';
    const size_t whole = digits(s);
    if (whole == 0 || (whole > 1 && *s == '0'))
        return false;
    s += whole;
    if (*s == '.') {
        const size_t part = digits(++s);
        if (part == 0)
            return false;
        s += part;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        const size_t exponent = digits(s);
        if (exponent == 0)
            return false;
        s += exponent;
    }
    return *s == '\0';
}

/* A number, or null, which is how the writer puts NaN and infinity. */
static bnf_status read_number(reader *r, double *value)
{
    char text[MAX_NUMBER + 1];
    size_t n = 0;
    if (take_word(r, "null")) {
        *value = NAN;
        return BNF_OK;
    }
    while (r->at + n < r->end && r->at[n] != '\0' && strchr("0123456789+-.eE", r->at[n]) != NULL)
        n++;
    if (n == 0 || n > MAX_NUMBER)
        return bad(r, n == 0 ? "a value that is no string, number, true, false, null or array of numbers"
                             : "a number of too many digits");
    memcpy(text, r->at, n);
    text[n] = '\0';
    if (!is_number(text) || !bnf_parse_real(text, value))
        return bad(r, "not a number that JSON allows and a double holds");
    r->at += n;
    return BNF_OK;
}

/* An array whose bracket was taken. */
static bnf_status read_numbers(reader *r, bnf_json_field *field)
{
    int64_t most = 1;
    for (const char *p = r->at; p < r->end && *p != ']'; p++)
        most += *p == ',';
    double *numbers;
    BNF_TRY(bnf_arena_alloc(r->object->arena, (size_t)most * sizeof *numbers, &numbers));
    field->type = BNF_JSON_NUMBERS;
    field->numbers = numbers;
    if (take(r, ']'))
        return BNF_OK;
    do {
        skip_space(r);
        BNF_TRY(read_number(r, &numbers[field->count]));
        field->count++;
    } while (take(r, ','));
    return take(r, ']') ? BNF_OK : bad(r, "expected ',' or ']'");
}

static bnf_status read_value(reader *r, bnf_json_field *field)
{
    skip_space(r);
    if (take(r, '"')) {
        field->type = BNF_JSON_STRING;
        return read_string(r, &field->string);
    }
    if (take(r, '['))
        return read_numbers(r, field);
    field->boolean = take_word(r, "true");
    if (field->boolean || take_word(r, "false")) {
        field->type = BNF_JSON_BOOL;
        return BNF_OK;
    }
    field->type = r->at < r->end && *r->at == 'n' ? BNF_JSON_NULL : BNF_JSON_NUMBER;
    return read_number(r, &field->number);
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

static bnf_status add_field(bnf_json_object *o, bnf_json_field field)
{
    if (o->count == o->capacity) {
        const int64_t more = o->capacity == 0 ? 16 : 2 * o->capacity;
        BNF_TRY(bnf_realloc((size_t)o->count * sizeof field, (size_t)more * sizeof field, "a JSON object", &o->fields));
        o->capacity = more;
    }
    o->fields[o->count++] = field;
    return BNF_OK;
}

/* prefix.name, or the name alone at the top. */
static bnf_status read_name(reader *r, const char *prefix, const char **name)
{
    char *whole;
    BNF_TRY(read_string(r, name));
    if (!prefix)
        return BNF_OK;
    const size_t size = strlen(prefix) + strlen(*name) + 2;
    BNF_TRY(bnf_arena_alloc(r->object->arena, size, &whole));
    snprintf(whole, size, "%s.%s", prefix, *name);
    *name = whole;
    return BNF_OK;
}

static bnf_status read_fields(reader *r, const char *prefix, int depth)
{
    if (depth > BNF_JSON_MAX_DEPTH)
        return bad(r, "objects in objects that are too deep");
    if (!take(r, '{'))
        return bad(r, "expected '{'");
    if (take(r, '}'))
        return BNF_OK;
    do {
        bnf_json_field field = {0};
        if (!take(r, '"'))
            return bad(r, "expected a name in quotes");
        BNF_TRY(read_name(r, prefix, &field.name));
        if (bnf_json_object_find(r->object, field.name) != NULL)
            return bad(r, "the same name twice in an object");
        if (!take(r, ':'))
            return bad(r, "expected ':'");
        skip_space(r);
        if (r->nested && r->at < r->end && *r->at == '{') {
            BNF_TRY(read_fields(r, field.name, depth + 1));
            continue;
        }
        BNF_TRY(read_value(r, &field));
        BNF_TRY(add_field(r->object, field));
    } while (take(r, ','));
    return take(r, '}') ? BNF_OK : bad(r, "expected ',' or '}'");
}

static bnf_status parse(const char *text, size_t size, bool nested, bnf_json_object **object)
{
    reader r = {.start = text, .at = text, .end = text + size, .nested = nested};
    *object = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *r.object, "a JSON object", &r.object));
    bnf_status s = bnf_arena_create(2048, "a JSON object", &r.object->arena);
    if (s == BNF_OK)
        s = read_fields(&r, NULL, 1);
    skip_space(&r);
    if (s == BNF_OK && r.at != r.end)
        s = bad(&r, "something behind the object");
    if (s == BNF_OK)
        *object = r.object;
    else
        bnf_json_object_destroy(r.object);
    return s;
}

bnf_status bnf_json_object_parse(const char *text, size_t size, bnf_json_object **object)
{
    return parse(text, size, false, object);
}

bnf_status bnf_json_tree_parse(const char *text, size_t size, bnf_json_object **object)
{
    return parse(text, size, true, object);
}

int64_t bnf_json_object_count(const bnf_json_object *object)
{
    return object->count;
}

const bnf_json_field *bnf_json_object_at(const bnf_json_object *object, int64_t i)
{
    BNF_ASSERT(i >= 0 && i < object->count);
    return &object->fields[i];
}

const bnf_json_field *bnf_json_object_find(const bnf_json_object *object, const char *name)
{
    for (int64_t i = 0; i < object->count; i++) {
        if (strcmp(object->fields[i].name, name) == 0)
            return &object->fields[i];
    }
    return NULL;
}

void bnf_json_object_destroy(bnf_json_object *object)
{
    if (object == NULL)
        return;
    bnf_arena_destroy(object->arena);
    bnf_free(object->fields);
    bnf_free(object);
}
