/* base/json.h - JSON (RFC 8259): a streaming writer, and a strict reader of the objects that metrics files hold. */
#ifndef BNF_BASE_JSON_H
#define BNF_BASE_JSON_H

#include "base/str.h"

/* ---- writer ---------------------------------------------------------------------------------------------------- */

#define BNF_JSON_MAX_DEPTH 64

/* Writes into a buffer that it borrows; set up by bnf_json_start. Calls out of order (a value without a key inside an
 * object, an end without a beginning, too deep) are bugs and end in BNF_ASSERT. Errors are those of the buffer and
 * stick. */
typedef struct bnf_json {
    bnf_buf *out;
    int depth;
    int indent;                      /* spaces per level; 0: everything on one line */
    bool filled[BNF_JSON_MAX_DEPTH]; /* whether the container of that depth has an element already */
    char kind[BNF_JSON_MAX_DEPTH];   /* '{' or '[' */
} bnf_json;

/* A writer that appends to `out`. indent 0 writes one line (JSON Lines). */
bnf_json bnf_json_start(bnf_buf *out, int indent);

/* Containers. `key` is NULL inside an array and at the top. */
void bnf_json_begin_object(bnf_json *json, const char *key);
void bnf_json_end_object(bnf_json *json);
void bnf_json_begin_array(bnf_json *json, const char *key);
void bnf_json_end_array(bnf_json *json);

/* Values. A string is escaped, and bytes that are not UTF-8 become U+FFFD; NULL writes null. A real that is not
 * finite writes null, others the shortest decimal that reads back to the same double. */
void bnf_json_string(bnf_json *json, const char *key, const char *value);
void bnf_json_int(bnf_json *json, const char *key, int64_t value);
void bnf_json_real(bnf_json *json, const char *key, double value);
void bnf_json_bool(bnf_json *json, const char *key, bool value);
void bnf_json_null(bnf_json *json, const char *key);
void bnf_json_reals(bnf_json *json, const char *key, const double *values, int64_t count);

/* After the last container was closed: the status of the buffer. Adds nothing (no newline). */
bnf_status bnf_json_finish(const bnf_json *json);

/* ---- reader ---------------------------------------------------------------------------------------------------- */

typedef enum bnf_json_type {
    BNF_JSON_NULL,
    BNF_JSON_BOOL,
    BNF_JSON_NUMBER,
    BNF_JSON_STRING,
    BNF_JSON_NUMBERS
} bnf_json_type;

typedef struct bnf_json_field {
    const char *name;
    bnf_json_type type;
    bool boolean;
    double number; /* NaN for null: that is what the writer turned it into */
    const char *string;
    const double *numbers; /* [count], null as NaN */
    int64_t count;
} bnf_json_field;

/* One object with its fields in the order of the text. Everything inside is owned by the object. */
typedef struct bnf_json_object bnf_json_object;

/* Reads text[size] as one object whose values are strings, numbers, true, false, null or arrays of numbers. Space
 * around it is legal, anything else is not. [out] object owned, release with bnf_json_object_destroy. Errors:
 * BNF_ERR_FORMAT with the byte offset; duplicate names, nested objects and arrays of other things are errors;
 * BNF_ERR_MEMORY. */
bnf_status bnf_json_object_parse(const char *text, size_t size, bnf_json_object **object);
/* The same, but values may be objects, too: what is in them is a field of the outer one, "methods.saliency.mean". */
bnf_status bnf_json_tree_parse(const char *text, size_t size, bnf_json_object **object);

int64_t bnf_json_object_count(const bnf_json_object *object);
const bnf_json_field *bnf_json_object_at(const bnf_json_object *object, int64_t i);          /* borrowed */
const bnf_json_field *bnf_json_object_find(const bnf_json_object *object, const char *name); /* NULL if absent */
void bnf_json_object_destroy(bnf_json_object *object);                                       /* NULL is legal */

#endif
