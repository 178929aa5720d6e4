/* YAML text to a tree with positions, through libyaml's events. */
#include "base/config_impl.h"

#include <string.h>
#include <yaml.h>

#define MAX_DEPTH 64

typedef struct tree_reader {
    yaml_parser_t yaml;
    yaml_event_t event; /* the one at hand */
    bnf_arena *arena;
    const char *source;
    bool numbered;
} tree_reader;

static bnf_cfg_place place_of(const tree_reader *r, yaml_mark_t mark)
{
    bnf_cfg_place place = {.source = r->source};
    if (r->numbered) {
        place.line = (int)mark.line + 1;
        place.column = (int)mark.column + 1;
    }
    return place;
}

static bnf_status fail_here(const tree_reader *r, const char *what)
{
    const bnf_cfg_place place = place_of(r, r->event.start_mark);
    return bnf_cfg_fail(&place, "%s", what);
}

/* Replaces the event at hand by the next. */
static bnf_status advance(tree_reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->yaml, &r->event))
        return BNF_OK;
    if (r->yaml.error == YAML_MEMORY_ERROR)
        return bnf_fail(BNF_ERR_MEMORY, "cannot allocate memory to read %s", r->source);
    const bnf_cfg_place place = place_of(r, r->yaml.problem_mark);
    return bnf_cfg_fail(&place, "not valid YAML: %s%s%s", r->yaml.context != NULL ? r->yaml.context : "",
                        r->yaml.context != NULL ? ", " : "",
                        r->yaml.problem != NULL ? r->yaml.problem : "unknown error");
}

static bnf_status read_text(tree_reader *r, const char **text)
{
    const char *value = (const char *)r->event.data.scalar.value;
    if (strlen(value) != r->event.data.scalar.length)
        return fail_here(r, "a zero character inside a text");
    return bnf_arena_strdup(r->arena, value, text);
}

static bool has_tag(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

static bnf_status read_key(tree_reader *r, const bnf_cfg_node *map, const char **key, bnf_cfg_place *place)
{
    *place = place_of(r, r->event.start_mark);
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail_here(r, "a key has to be a word");
    BNF_TRY(read_text(r, key));
    for (const bnf_cfg_node *c = map->first; c != NULL; c = c->next) {
        if (strcmp(c->key, *key) != 0)
            continue;
        if (!r->numbered)
            return bnf_cfg_fail(place, "key '%s' is there twice", *key);
        return bnf_cfg_fail(place, "key '%s' is there twice, first at line %d", *key, c->key_place.line);
    }
    return advance(r);
}

static bnf_status read_node(tree_reader *r, int depth, bnf_cfg_node **out);

/* Children up to the end event of the list or mapping, which is consumed by the caller's advance. */
static bnf_status read_children(tree_reader *r, int depth, bnf_cfg_node *node)
{
    const yaml_event_type_t end = node->kind == BNF_CFG_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    bnf_cfg_node **link = &node->first;
    BNF_TRY(advance(r));
    while (r->event.type != end) {
        const char *key = NULL;
        bnf_cfg_place place = {0};
        if (node->kind == BNF_CFG_MAP)
            BNF_TRY(read_key(r, node, &key, &place));
        bnf_cfg_node *child;
        BNF_TRY(read_node(r, depth + 1, &child));
        child->key = key;
        child->key_place = place;
        *link = child;
        link = &child->next;
        node->count++;
    }
    return BNF_OK;
}

/* The node that starts at the event at hand; afterwards the event behind it is at hand. */
static bnf_status read_node(tree_reader *r, int depth, bnf_cfg_node **out)
{
    bnf_cfg_node *node;
    if (depth > MAX_DEPTH)
        return fail_here(r, "nested too deep");
    if (r->event.type == YAML_ALIAS_EVENT)
        return fail_here(r, "aliases (*name) are not supported: write the value again");
    if (has_tag(&r->event))
        return fail_here(r, "tags (!name) are not supported");
    BNF_TRY(bnf_arena_alloc(r->arena, sizeof *node, &node));
    *node = (bnf_cfg_node){.place = place_of(r, r->event.start_mark)};
    if (r->event.type == YAML_SCALAR_EVENT) {
        node->kind = BNF_CFG_SCALAR;
        node->plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        BNF_TRY(read_text(r, &node->text));
    } else {
        node->kind = r->event.type == YAML_MAPPING_START_EVENT ? BNF_CFG_MAP : BNF_CFG_LIST;
        BNF_TRY(read_children(r, depth, node));
    }
    *out = node;
    return advance(r);
}

static bnf_status read_stream(tree_reader *r, bnf_cfg_node **root)
{
    BNF_TRY(advance(r)); /* start of the stream */
    BNF_TRY(advance(r));
    if (r->event.type == YAML_STREAM_END_EVENT)
        return BNF_OK;
    BNF_TRY(advance(r)); /* behind the start of the document */
    BNF_TRY(read_node(r, 0, root));
    BNF_TRY(advance(r)); /* behind the end of the document */
    return r->event.type == YAML_STREAM_END_EVENT ? BNF_OK : fail_here(r, "a second document in the same file");
}

bnf_status bnf_cfg_tree_parse(bnf_arena *arena, const char *text, size_t size, const char *source, bool numbered,
                              bnf_cfg_node **root)
{
    tree_reader r = {.arena = arena, .source = source, .numbered = numbered};
    *root = NULL;
    if (!yaml_parser_initialize(&r.yaml))
        return bnf_fail(BNF_ERR_MEMORY, "cannot allocate memory to read %s", source);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, size);
    const bnf_status s = read_stream(&r, root);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.yaml);
    return s;
}
