/* The configuration as text: help with defaults, and the values in force. Both are YAML. */
#include "base/config_impl.h"

#include <math.h>
#include <string.h>

#define STEP 2 /* columns per level */

typedef struct printer {
    bnf_buf *out;
    const bnf_cfg_section *sections;
    int n;
    bool help, results; /* results: without keys that change none */
} printer;

static void margin(bnf_buf *out, int columns)
{
    bnf_buf_printf(out, "%*s", columns, "");
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* The code point of a valid character of n bytes. */
static uint32_t code_point(const char *s, size_t n)
{
    static const unsigned char mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = (unsigned char)s[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((unsigned char)s[i] & 0x3F);
    return code;
}

/* What YAML may not hold as it is, or would read as a line break. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
           c == 0xFFFF;
}

static void put_string(bnf_buf *out, const char *s)
{
    bnf_buf_putc(out, '"');
    for (size_t left = strlen(s), n; left > 0; s += n, left -= n) {
        n = bnf_utf8_next(s, left);
        if (n == 0) { /* only a default can hold such a byte */
            n = 1;
            bnf_buf_puts(out, "\xEF\xBF\xBD");
            continue;
        }
        const uint32_t code = code_point(s, n);
        if (code == '"' || code == '\\')
            bnf_buf_printf(out, "\\%c", (int)code);
        else if (code == '\n')
            bnf_buf_puts(out, "\\n");
        else if (needs_escape(code))
            bnf_buf_printf(out, "\\u%04X", (unsigned)code);
        else
            bnf_buf_append(out, s, n);
    }
    bnf_buf_putc(out, '"');
}

static void put_real(bnf_buf *out, double v)
{
    if (isnan(v))
        bnf_buf_puts(out, ".nan");
    else if (isinf(v))
        bnf_buf_puts(out, v > 0 ? ".inf" : "-.inf");
    else
        bnf_buf_real(out, v);
}

static void put_scalars(bnf_buf *out, const bnf_cfg_key *key, const void *field)
{
    const bnf_cfg_ints *ints = field;
    const bnf_cfg_reals *reals = field;
    const bnf_cfg_strings *strings = field;
    bnf_buf_putc(out, '[');
    for (int64_t i = 0; i < ints->count; i++) {
        bnf_buf_puts(out, i == 0 ? "" : ", ");
        if (key->type == BNF_CFG_INT_LIST)
            bnf_buf_printf(out, "%lld", (long long)ints->value[i]);
        else if (key->type == BNF_CFG_REAL_LIST)
            put_real(out, reals->value[i]);
        else
            put_string(out, strings->value[i]);
    }
    bnf_buf_putc(out, ']');
}

static void put_value(bnf_buf *out, const bnf_cfg_key *key, const void *target, int column);

/* "- a: 1" and the other keys below the first. */
static void put_items(bnf_buf *out, const bnf_cfg_key *key, const bnf_cfg_maps *maps, int column)
{
    if (maps->count == 0)
        bnf_buf_puts(out, " []");
    for (int64_t i = 0; i < maps->count; i++) {
        for (int k = 0; k < key->item_nkeys; k++) {
            bnf_buf_putc(out, '\n');
            margin(out, column);
            bnf_buf_printf(out, "%s%s:", k == 0 ? "- " : "  ", key->item_keys[k].name);
            put_value(out, &key->item_keys[k], (const char *)maps->item + (size_t)i * key->item_size, column + STEP);
        }
    }
}

/* Behind "key:"; `column` is where that key starts. */
static void put_value(bnf_buf *out, const bnf_cfg_key *key, const void *target, int column)
{
    const void *field = (const char *)target + key->offset;
    if (key->type == BNF_CFG_MAP_LIST) {
        put_items(out, key, field, column + STEP);
        return;
    }
    bnf_buf_putc(out, ' ');
    switch (key->type) {
    case BNF_CFG_BOOL:
        bnf_buf_puts(out, *(const bool *)field ? "true" : "false");
        break;
    case BNF_CFG_INT:
        bnf_buf_printf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case BNF_CFG_REAL:
        put_real(out, *(const double *)field);
        break;
    case BNF_CFG_ENUM:
        bnf_buf_puts(out, key->choices[*(const int *)field]);
        break;
    case BNF_CFG_STRING:
        put_string(out, *(char *const *)field);
        break;
    default:
        put_scalars(out, key, field);
        break;
    }
}

/* ---- help ------------------------------------------------------------------------------------------------------- */

/* Tables that hold themselves are explained once. */
typedef struct chain {
    const struct chain *up;
    const bnf_cfg_key *keys;
} chain;

static void put_help(bnf_buf *out, const bnf_cfg_key *key, int column, bool comment, const chain *up);

static void put_item_help(bnf_buf *out, const bnf_cfg_key *key, int column, const chain *up)
{
    for (const chain *c = up; c != NULL; c = c->up) {
        if (c->keys == key->item_keys)
            return;
    }
    const chain here = {up, key->item_keys};
    for (int k = 0; k < key->item_nkeys; k++)
        put_help(out, &key->item_keys[k], column, true, &here);
}

/* A comment with meaning and type, then the key with its default; keys of list items and required ones are comments
 * too. */
static void put_help(bnf_buf *out, const bnf_cfg_key *key, int column, bool comment, const chain *up)
{
    bnf_cfg_text type = {0};
    bnf_cfg_text_type(&type, key);
    margin(out, column);
    bnf_buf_printf(out, "# %s (%s)%s\n", key->doc, type.data,
                   key->type == BNF_CFG_MAP_LIST ? "; keys of an item:" : "");
    if (key->type == BNF_CFG_MAP_LIST)
        put_item_help(out, key, column + STEP, up);
    margin(out, column);
    bnf_buf_printf(out, "%s%s:", comment || key->deflt == NULL ? "# " : "", key->name);
    if (key->deflt == NULL)
        bnf_buf_puts(out, " (required)");
    else if (key->type == BNF_CFG_STRING) {
        bnf_buf_putc(out, ' ');
        put_string(out, key->deflt);
    } else
        bnf_buf_printf(out, " %s", key->deflt);
    bnf_buf_putc(out, '\n');
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

static void print_keys(const printer *p, const bnf_cfg_section *s, int column)
{
    for (int k = 0; k < s->nkeys; k++) {
        if (p->help)
            put_help(p->out, &s->keys[k], column, false, NULL);
        if (p->help || (p->results && s->keys[k].free))
            continue;
        margin(p->out, column);
        bnf_buf_printf(p->out, "%s:", s->keys[k].name);
        put_value(p->out, &s->keys[k], s->target, column);
        bnf_buf_putc(p->out, '\n');
    }
}

static const bnf_cfg_section *find_section(const printer *p, const char *name)
{
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->sections[i].name, name) == 0)
            return &p->sections[i];
    }
    return NULL;
}

/* The section `prefix` and those below it. */
static void print_level(const printer *p, const char *prefix, int column)
{
    const bnf_cfg_section *own = find_section(p, prefix);
    if (own != NULL)
        print_keys(p, own, column);
    for (int i = 0; i < p->n; i++) {
        const char *part = bnf_cfg_below(p->sections[i].name, prefix);
        if (part == NULL)
            continue;
        const size_t length = strcspn(part, ".");
        if (bnf_cfg_part_seen(p->sections, i, prefix, part, length))
            continue;
        char full[BNF_CFG_PATH_BYTES];
        bnf_cfg_path(full, "%.*s", (int)(part + length - p->sections[i].name), p->sections[i].name);
        const bnf_cfg_section *child = find_section(p, full);
        margin(p->out, column);
        bnf_buf_printf(p->out, "%.*s:", (int)length, part);
        if (p->help && child != NULL && child->doc != NULL)
            bnf_buf_printf(p->out, " # %s", child->doc);
        bnf_buf_putc(p->out, '\n');
        print_level(p, full, column + STEP);
    }
}

bnf_status bnf_config_help(bnf_buf *buf, const bnf_cfg_section *sections, int n)
{
    const printer p = {.out = buf, .sections = sections, .n = n, .help = true};
    print_level(&p, "", 0);
    return buf->status;
}

bnf_status bnf_config_dump(bnf_buf *buf, const bnf_cfg_section *sections, int n)
{
    const printer p = {.out = buf, .sections = sections, .n = n};
    print_level(&p, "", 0);
    return buf->status;
}

bnf_status bnf_config_dump_results(bnf_buf *buf, const bnf_cfg_section *sections, int n)
{
    const printer p = {.out = buf, .sections = sections, .n = n, .results = true};
    print_level(&p, "", 0);
    return buf->status;
}
