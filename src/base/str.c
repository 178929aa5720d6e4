/* Text that grows, patterns, numbers. */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* ---- buffer ---------------------------------------------------------------------------------------------------- */

bnf_status bnf_buf_reserve(bnf_buf *buf, size_t more)
{
    if (buf->status != BNF_OK)
        return buf->status;
    if (more < buf->capacity - buf->size)
        return BNF_OK;
    size_t wanted;
    if (__builtin_add_overflow(buf->size, more, &wanted) || wanted > PTRDIFF_MAX / 2)
        return buf->status = bnf_fail(BNF_ERR_MEMORY, "a text of more than %td bytes", PTRDIFF_MAX / 2);
    size_t capacity = buf->capacity < 128 ? 128 : buf->capacity;
    while (capacity <= wanted)
        capacity *= 2;
    buf->status = bnf_realloc(buf->data == NULL ? 0 : buf->size + 1, capacity, "a text", &buf->data);
    if (buf->status != BNF_OK)
        return buf->status;
    buf->capacity = capacity;
    buf->data[buf->size] = '\0';
    return BNF_OK;
}

bnf_status bnf_buf_append(bnf_buf *buf, const void *data, size_t size)
{
    BNF_TRY(bnf_buf_reserve(buf, size));
    if (size > 0)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
    return BNF_OK;
}

bnf_status bnf_buf_puts(bnf_buf *buf, const char *s)
{
    return bnf_buf_append(buf, s, strlen(s));
}

bnf_status bnf_buf_putc(bnf_buf *buf, char c)
{
    return bnf_buf_append(buf, &c, 1);
}

bnf_status bnf_buf_vprintf(bnf_buf *buf, const char *format, va_list args)
{
    BNF_TRY(bnf_buf_reserve(buf, 0));
    va_list again;
    va_copy(again, args);
    const size_t room = buf->capacity - buf->size;
    const int wanted = vsnprintf(buf->data + buf->size, room, format, args);
    BNF_ASSERT(wanted >= 0);
    if ((size_t)wanted >= room) {
        buf->data[buf->size] = '\0';
        if (bnf_buf_reserve(buf, (size_t)wanted) == BNF_OK)
            vsnprintf(buf->data + buf->size, (size_t)wanted + 1, format, again);
    }
    va_end(again);
    if (buf->status == BNF_OK)
        buf->size += (size_t)wanted;
    return buf->status;
}

bnf_status bnf_buf_printf(bnf_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const bnf_status s = bnf_buf_vprintf(buf, format, args);
    va_end(args);
    return s;
}

const char *bnf_buf_text(const bnf_buf *buf)
{
    return buf->data == NULL ? "" : buf->data;
}

bnf_status bnf_buf_take(bnf_buf *buf, char **text)
{
    *text = NULL;
    BNF_TRY(bnf_buf_reserve(buf, 0));
    *text = buf->data;
    *buf = (bnf_buf){0};
    return BNF_OK;
}

void bnf_buf_clear(bnf_buf *buf)
{
    buf->size = 0;
    buf->status = BNF_OK;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

void bnf_buf_release(bnf_buf *buf)
{
    bnf_free(buf->data);
    *buf = (bnf_buf){0};
}

/* ---- patterns -------------------------------------------------------------------------------------------------- */

/* Matches one character against the set behind '['. [out] rest behind the ']'. An unclosed set matches nothing. */
static bool in_set(const char *set, unsigned char c, const char **rest)
{
    const bool inverted = *set == '!';
    bool found = false;
    const char *p = set + inverted;
    for (bool first = true; *p != '\0' && (first || *p != ']'); first = false, p++) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        const unsigned char lo = (unsigned char)*p;
        unsigned char hi = lo;
        if (p[1] == '-' && p[2] != '\0' && p[2] != ']') {
            p += p[2] == '\\' && p[3] != '\0' ? 3 : 2;
            hi = (unsigned char)*p;
        }
        found = found || (lo <= c && c <= hi);
    }
    if (*p != ']')
        return false;
    *rest = p + 1;
    return found != inverted;
}

/* Whether the front of the pattern (not a '*') matches c. [out] rest of the pattern. */
static bool match_one(const char *pattern, char c, const char **rest)
{
    if (*pattern == '[')
        return in_set(pattern + 1, (unsigned char)c, rest);
    if (*pattern == '?') {
        *rest = pattern + 1;
        return true;
    }
    if (*pattern == '\\' && pattern[1] != '\0')
        pattern++;
    *rest = pattern + 1;
    return *pattern == c;
}

bool bnf_glob_match(const char *pattern, const char *text)
{
    /* Only the last star needs to be retried: an earlier one that took more would leave the later one less. */
    const char *star = NULL, *retry = NULL, *rest;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (*pattern != '\0' && match_one(pattern, *text, &rest)) {
            pattern = rest;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    BNF_ASSERT(c_locale != (locale_t)0); /* the one locale that cannot be missing */
}

/* A program that uses the library may have called setlocale: numbers in files keep their point. */
static locale_t plain_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

bnf_status bnf_buf_real(bnf_buf *buf, double value)
{
    if (isnan(value))
        return bnf_buf_puts(buf, "nan");
    if (isinf(value))
        return bnf_buf_puts(buf, value > 0 ? "inf" : "-inf");
    char text[40];
    const locale_t before = uselocale(plain_locale());
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    uselocale(before);
    return bnf_buf_puts(buf, text);
}

static bool parse_special(const char *text, double *value)
{
    const bool minus = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (*text == '.')
        text++;
    if (strcmp(text, "inf") == 0)
        *value = minus ? -INFINITY : INFINITY;
    else if (strcmp(text, "nan") == 0)
        *value = NAN;
    else
        return false;
    return true;
}

bool bnf_parse_real(const char *text, double *value)
{
    if (parse_special(text, value))
        return true;
    /* strtod takes more than is meant here: leading space, hexadecimal, "infinity". */
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    char *end;
    const double v = strtod_l(text, &end, plain_locale());
    if (end == text || *end != '\0' || isinf(v))
        return false;
    *value = v;
    return true;
}

bool bnf_parse_int(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    const long long v = strtoll(text, NULL, 10);
    if (errno != 0)
        return false;
    *value = v;
    return true;
}

/* ---- characters ------------------------------------------------------------------------------------------------ */

size_t bnf_utf8_next(const char *text, size_t size)
{
    if (size == 0)
        return 0;
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    const size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || size < length)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    /* Forms longer than need be, surrogates, and what lies beyond U+10FFFF. */
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return length;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

int bnf_str_distance(const char *a, const char *b, int limit)
{
    enum { MAX = 63 };
    const size_t na = strlen(a), nb = strlen(b);
    if (na > MAX || nb > MAX)
        return limit;
    int d[3][MAX + 1]; /* distances between fronts of a (this row, one before, two before) and of b */
    for (size_t i = 0; i <= na; i++) {
        int *row = d[i % 3];
        const int *above = d[(i + 2) % 3], *above2 = d[(i + 1) % 3];
        for (size_t j = 0; j <= nb; j++) {
            if (i == 0 || j == 0) {
                row[j] = (int)(i + j);
                continue;
            }
            const int same = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return least(d[na % 3][nb], limit);
}
