/* base/str.h - text that grows, shell patterns, numbers that read back to the same bits. */
#ifndef BNF_BASE_STR_H
#define BNF_BASE_STR_H

#include <banff/base.h>
#include <stdarg.h>
#include <stdbool.h>

/* A growing buffer of bytes, always followed by a zero. Zero-initialise before first use, release with bnf_buf_release.
 *
 * The first failure sticks: later appends do nothing and return it, so a function may append many times and look at
 * `status` once at the end. Errors: BNF_ERR_MEMORY. */
typedef struct bnf_buf {
    char *data;  /* owned; NULL while nothing was appended: use bnf_buf_text */
    size_t size; /* without the final zero */
    size_t capacity;
    bnf_status status;
} bnf_buf;

bnf_status bnf_buf_printf(bnf_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
bnf_status bnf_buf_vprintf(bnf_buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
bnf_status bnf_buf_append(bnf_buf *buf, const void *data, size_t size);
bnf_status bnf_buf_puts(bnf_buf *buf, const char *s);
bnf_status bnf_buf_putc(bnf_buf *buf, char c);

/* Appends the shortest decimal (of at most 17 digits) that reads back to the same double, with a point whatever the
 * locale; "nan", "inf", "-inf" for those. */
bnf_status bnf_buf_real(bnf_buf *buf, double value);

/* Makes room for `more` bytes behind the content, so that writing data[size...] by hand is legal. */
bnf_status bnf_buf_reserve(bnf_buf *buf, size_t more);

/* The content; "" if there is none. Borrowed, valid until the next append. */
const char *bnf_buf_text(const bnf_buf *buf);

/* Hands the content over as a string ("" if there is none) and empties the buffer. [out] text owned by the caller. */
bnf_status bnf_buf_take(bnf_buf *buf, char **text);

void bnf_buf_clear(bnf_buf *buf);   /* no content and no error, keeps the memory */
void bnf_buf_release(bnf_buf *buf); /* frees and zeroes; legal on a zeroed struct */

/* Whether the whole of `text` matches a shell pattern: * any run of characters (dots and slashes included), ? one,
 * [a-z] and [!a-z] sets, \ takes the next one literally. */
bool bnf_glob_match(const char *pattern, const char *text);

/* Reads a whole string as a number; no spaces, no rest, a point whatever the locale. True on success.
 * real: decimal or exponent form, nan, inf with an optional sign and an optional leading point (YAML's .nan,
 * -.inf). A number too large for a double is refused. int: decimal digits with an optional sign, within int64_t. */
bool bnf_parse_real(const char *text, double *value);
bool bnf_parse_int(const char *text, int64_t *value);

/* Bytes of the UTF-8 character at the front of text[0, size); 0 if it is not valid (or size is 0). */
size_t bnf_utf8_next(const char *text, size_t size);

/* Number of single-character insertions, deletions, replacements and swaps of neighbours between two strings; at
 * most `limit` (a larger distance returns limit). For "did you mean". Strings longer than 63 bytes count as
 * infinitely far. */
int bnf_str_distance(const char *a, const char *b, int limit);

#endif
