/* From nodes of the YAML tree to fields of the target struct. */
#include "base/config_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

/* ---- messages --------------------------------------------------------------------------------------------------- */

void bnf_cfg_text_add(bnf_cfg_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text->data + text->size, sizeof text->data - text->size, format, args);
    va_end(args);
    text->size += n < 0 ? 0 : (size_t)n;
    if (text->size >= sizeof text->data)
        text->size = sizeof text->data - 1;
}

bnf_status bnf_cfg_fail(const bnf_cfg_place *place, const char *format, ...)
{
    bnf_cfg_text text = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text.data, sizeof text.data, format, args);
    va_end(args);
    if (place->line > 0)
        return bnf_fail(BNF_ERR_CONFIG, "%s:%d:%d: %s", place->source, place->line, place->column, text.data);
    return bnf_fail(BNF_ERR_CONFIG, "%s: %s", place->source, text.data);
}

void bnf_cfg_path(char *path, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(path, BNF_CFG_PATH_BYTES, format, args);
    va_end(args);
}

static void add_range(bnf_cfg_text *text, const bnf_cfg_key *key)
{
    if (key->min < key->max)
        bnf_cfg_text_add(text, isinf(key->max) ? " >= %.15g" : " in [%.15g, %.15g]", key->min, key->max);
}

void bnf_cfg_text_type(bnf_cfg_text *text, const bnf_cfg_key *key)
{
    static const char *const names[BNF_CFG_TYPE_COUNT] = {
        [BNF_CFG_BOOL] = "true or false",
        [BNF_CFG_INT] = "integer",
        [BNF_CFG_REAL] = "real",
        [BNF_CFG_STRING] = "string",
        [BNF_CFG_ENUM] = "one of: ",
        [BNF_CFG_INT_LIST] = "list of integers",
        [BNF_CFG_REAL_LIST] = "list of reals",
        [BNF_CFG_STRING_LIST] = "list of strings",
        [BNF_CFG_MAP_LIST] = "list of mappings",
    };
    bnf_cfg_text_add(text, "%s", names[key->type]);
    if (key->type == BNF_CFG_ENUM) {
        for (int i = 0; key->choices[i] != NULL; i++)
            bnf_cfg_text_add(text, "%s%s", i == 0 ? "" : ", ", key->choices[i]);
    }
    add_range(text, key);
}

bnf_cfg_guess bnf_cfg_guess_start(const char *wrong)
{
    const int length = (int)strlen(wrong);
    return (bnf_cfg_guess){.wrong = wrong, .distance = length < 6 ? 2 : length / 3 + 1};
}

void bnf_cfg_guess_try(bnf_cfg_guess *guess, const char *candidate)
{
    const int d = bnf_str_distance(guess->wrong, candidate, guess->distance);
    if (d >= guess->distance)
        return;
    guess->distance = d;
    guess->best = candidate;
}

/* "expected X, found Y" at the node. */
static bnf_status mismatch(const bnf_cfg_node *node, const bnf_cfg_key *key, const char *path)
{
    bnf_cfg_text expected = {0};
    bnf_cfg_text_type(&expected, key);
    if (node->kind == BNF_CFG_LIST)
        return bnf_cfg_fail(&node->place, "'%s' is a list; expected %s", path, expected.data);
    if (node->kind == BNF_CFG_MAP)
        return bnf_cfg_fail(&node->place, "'%s' is a mapping; expected %s", path, expected.data);
    if (node->plain && node->text[0] == '\0')
        return bnf_cfg_fail(&node->place, "'%s' has no value; expected %s", path, expected.data);
    bnf_cfg_guess guess = bnf_cfg_guess_start(node->text);
    for (int i = 0; key->type == BNF_CFG_ENUM && key->choices[i] != NULL; i++)
        bnf_cfg_guess_try(&guess, key->choices[i]);
    return bnf_cfg_fail(&node->place, "'%s' is %s%.200s%s; expected %s%s%s%s", path, node->plain ? "" : "the string \"",
                        node->text, node->plain ? "" : "\"", expected.data, guess.best ? "; did you mean '" : "",
                        guess.best ? guess.best : "", guess.best ? "'?" : "");
}

/* ---- scalars ---------------------------------------------------------------------------------------------------- */

static bool in_range(const bnf_cfg_key *key, double v)
{
    return key->min >= key->max || (v >= key->min && v <= key->max);
}

/* Infinity and NaN only where they are the default: there they mean "not set" or "no limit". */
static bool is_default(const bnf_cfg_key *key, double v)
{
    double d;
    if (key->type != BNF_CFG_REAL || key->deflt == NULL || !bnf_parse_real(key->deflt, &d))
        return false;
    return isnan(d) ? isnan(v) : v == d;
}

static bnf_status to_int(const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path, int64_t *v)
{
    if (node->kind != BNF_CFG_SCALAR || !node->plain || !bnf_parse_int(node->text, v) || !in_range(key, (double)*v))
        return mismatch(node, key, path);
    return BNF_OK;
}

static bnf_status to_real(const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path, double *v)
{
    if (node->kind != BNF_CFG_SCALAR || !node->plain || !bnf_parse_real(node->text, v))
        return mismatch(node, key, path);
    if (!is_default(key, *v) && (!isfinite(*v) || !in_range(key, *v)))
        return mismatch(node, key, path);
    return BNF_OK;
}

static bnf_status to_bool(const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path, bool *v)
{
    if (node->kind != BNF_CFG_SCALAR || !node->plain)
        return mismatch(node, key, path);
    *v = strcmp(node->text, "true") == 0;
    return *v || strcmp(node->text, "false") == 0 ? BNF_OK : mismatch(node, key, path);
}

static bnf_status to_enum(const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path, int *v)
{
    for (int i = 0; node->kind == BNF_CFG_SCALAR && key->choices[i] != NULL; i++) {
        if (strcmp(node->text, key->choices[i]) == 0) {
            *v = i;
            return BNF_OK;
        }
    }
    return mismatch(node, key, path);
}

static bnf_status to_string(const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path, char **v)
{
    if (node->kind != BNF_CFG_SCALAR)
        return mismatch(node, key, path);
    if (node->plain && (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0))
        return bnf_cfg_fail(&node->place, "'%s' has no value; expected string (\"\" is the empty one)", path);
    return bnf_strdup(node->text, v);
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static size_t element_size(const bnf_cfg_key *key)
{
    switch (key->type) {
    case BNF_CFG_INT_LIST:
        return sizeof(int64_t);
    case BNF_CFG_REAL_LIST:
        return sizeof(double);
    case BNF_CFG_STRING_LIST:
        return sizeof(char *);
    default:
        return key->item_size;
    }
}

/* A mapping into one struct by a table. */
static bnf_status to_item(bnf_arena *arena, const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path,
                          void *item)
{
    if (node->kind != BNF_CFG_MAP)
        return bnf_cfg_fail(&node->place, "'%s' is no mapping; write key: value pairs", path);
    for (const bnf_cfg_node *c = node->first; c != NULL; c = c->next) {
        if (bnf_cfg_find(key->item_keys, key->item_nkeys, c->key) != NULL)
            continue;
        bnf_cfg_text valid = {0};
        bnf_cfg_guess guess = bnf_cfg_guess_start(c->key);
        for (int i = 0; i < key->item_nkeys; i++) {
            bnf_cfg_text_add(&valid, "%s%s", i == 0 ? "" : ", ", key->item_keys[i].name);
            bnf_cfg_guess_try(&guess, key->item_keys[i].name);
        }
        return bnf_cfg_fail(&c->key_place, "unknown key '%s' in '%s'%s%s%salid keys: %s", c->key, path,
                            guess.best ? "; did you mean '" : "", guess.best ? guess.best : "",
                            guess.best ? "'? V" : "; v", valid.data);
    }
    for (int i = 0; i < key->item_nkeys; i++) {
        const bnf_cfg_node *value = node->first;
        while (value != NULL && strcmp(value->key, key->item_keys[i].name) != 0)
            value = value->next;
        char name[BNF_CFG_PATH_BYTES];
        bnf_cfg_path(name, "%s.%s", path, key->item_keys[i].name);
        BNF_TRY(bnf_cfg_convert(arena, &key->item_keys[i], value, name, &node->place, item));
    }
    return BNF_OK;
}

static bnf_status to_element(bnf_arena *arena, const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path,
                             void *element)
{
    switch (key->type) {
    case BNF_CFG_INT_LIST:
        return to_int(key, node, path, element);
    case BNF_CFG_REAL_LIST:
        return to_real(key, node, path, element);
    case BNF_CFG_STRING_LIST:
        return to_string(key, node, path, element);
    default:
        return to_item(arena, key, node, path, element);
    }
}

/* The four list structs are alike: a count and a pointer. They are written as bytes because their types differ. */
typedef struct any_list {
    int64_t count;
    void *value;
} any_list;
_Static_assert(sizeof(any_list) == sizeof(bnf_cfg_maps) && sizeof(any_list) == sizeof(bnf_cfg_strings),
               "lists of all types have the same form");

static bnf_status to_list(bnf_arena *arena, const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path,
                          char *field)
{
    any_list list = {0};
    if (node->kind != BNF_CFG_LIST)
        return mismatch(node, key, path);
    if (node->count == 0)
        return BNF_OK;
    BNF_TRY(bnf_calloc((size_t)node->count, element_size(key), path, &list.value));
    list.count = node->count;
    memcpy(field, &list, sizeof list); /* from here on it is freed with the target */
    char *element = list.value;
    int64_t i = 0;
    for (const bnf_cfg_node *c = node->first; c != NULL; c = c->next, i++, element += element_size(key)) {
        char name[BNF_CFG_PATH_BYTES];
        bnf_cfg_path(name, "%s[%lld]", path, (long long)i);
        BNF_TRY(to_element(arena, key, c, name, element));
    }
    return BNF_OK;
}

/* ---- fields ----------------------------------------------------------------------------------------------------- */

static bnf_status convert(bnf_arena *arena, const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path,
                          char *field)
{
    switch (key->type) {
    case BNF_CFG_BOOL:
        return to_bool(key, node, path, (bool *)(void *)field);
    case BNF_CFG_INT:
        return to_int(key, node, path, (int64_t *)(void *)field);
    case BNF_CFG_REAL:
        return to_real(key, node, path, (double *)(void *)field);
    case BNF_CFG_ENUM:
        return to_enum(key, node, path, (int *)(void *)field);
    case BNF_CFG_STRING:
        return to_string(key, node, path, (char **)(void *)field);
    default:
        return to_list(arena, key, node, path, field);
    }
}

static bool is_list(bnf_cfg_type type)
{
    return type >= BNF_CFG_INT_LIST;
}

bnf_status bnf_cfg_convert(bnf_arena *arena, const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path,
                           const bnf_cfg_place *place, void *target)
{
    char *field = (char *)target + key->offset;
    if (node != NULL)
        return convert(arena, key, node, path, field);
    if (key->deflt == NULL) {
        bnf_cfg_text type = {0};
        bnf_cfg_text_type(&type, key);
        return bnf_cfg_fail(place, "required key '%s' is missing (%s: %s)", path, type.data, key->doc);
    }
    bnf_cfg_node value = {.kind = BNF_CFG_SCALAR,
                          .text = key->deflt,
                          .plain = key->type != BNF_CFG_STRING,
                          .place = {.source = "default"}};
    if (!is_list(key->type))
        return convert(arena, key, &value, path, field);
    bnf_cfg_node *list;
    BNF_TRY(bnf_cfg_tree_parse(arena, key->deflt, strlen(key->deflt), "default", false, &list));
    return convert(arena, key, list == NULL ? &value : list, path, field);
}

void bnf_cfg_free_keys(const bnf_cfg_key *keys, int nkeys, void *target)
{
    for (int k = 0; k < nkeys; k++) {
        char *field = (char *)target + keys[k].offset;
        if (keys[k].type == BNF_CFG_STRING) {
            bnf_free(*(char **)(void *)field);
            *(char **)(void *)field = NULL;
        }
        if (!is_list(keys[k].type))
            continue;
        any_list list;
        memcpy(&list, field, sizeof list);
        for (int64_t i = 0; i < list.count; i++) {
            if (keys[k].type == BNF_CFG_STRING_LIST)
                bnf_free(((char **)list.value)[i]);
            if (keys[k].type == BNF_CFG_MAP_LIST)
                bnf_cfg_free_keys(keys[k].item_keys, keys[k].item_nkeys,
                                  (char *)list.value + (size_t)i * keys[k].item_size);
        }
        bnf_free(list.value);
        memset(field, 0, sizeof list);
    }
}
