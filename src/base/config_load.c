/* Sections, file and overrides. */
#include "base/config_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/fs.h"

typedef struct loader {
    const bnf_cfg_section *sections;
    int n;
    bnf_arena *arena;
    const bnf_cfg_node **given; /* the node of every key, section after section; NULL: default */
} loader;

/* ---- tables ----------------------------------------------------------------------------------------------------- */

const bnf_cfg_key *bnf_cfg_find(const bnf_cfg_key *keys, int nkeys, const char *name)
{
    for (int i = 0; i < nkeys; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

const char *bnf_cfg_below(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);
    if (n == 0)
        return name[0] == '\0' ? NULL : name;
    return strncmp(name, prefix, n) == 0 && name[n] == '.' ? name + n + 1 : NULL;
}

bool bnf_cfg_part_seen(const bnf_cfg_section *sections, int index, const char *prefix, const char *part, size_t length)
{
    for (int i = 0; i < index; i++) {
        const char *below = bnf_cfg_below(sections[i].name, prefix);
        if (below != NULL && strcspn(below, ".") == length && strncmp(below, part, length) == 0)
            return true;
    }
    return false;
}

static void join(char *full, const char *prefix, const char *name)
{
    bnf_cfg_path(full, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", name);
}

/* Index in `given` of a key by section name and key name; -1 if there is none. */
static int find_slot(const loader *l, const char *section, const char *name)
{
    int slot = 0;
    for (int i = 0; i < l->n; slot += l->sections[i++].nkeys) {
        if (strcmp(l->sections[i].name, section) != 0)
            continue;
        const bnf_cfg_key *key = bnf_cfg_find(l->sections[i].keys, l->sections[i].nkeys, name);
        return key == NULL ? -1 : slot + (int)(key - l->sections[i].keys);
    }
    return -1;
}

static bool is_section(const loader *l, const char *name)
{
    for (int i = 0; i < l->n; i++) {
        if (strcmp(l->sections[i].name, name) == 0 || bnf_cfg_below(l->sections[i].name, name) != NULL)
            return true;
    }
    return false;
}

/* A list of keys and sections that may stand in `section`, and the closest to `guess`. Names of sections are copied to
 * `storage` because they are parts of longer names. */
static void list_valid(const loader *l, const char *section, bnf_cfg_text *valid, bnf_cfg_guess *guess,
                       char storage[64])
{
    for (int i = 0; i < l->n; i++) {
        const bnf_cfg_section *s = &l->sections[i];
        for (int k = 0; k < s->nkeys && strcmp(s->name, section) == 0; k++) {
            bnf_cfg_text_add(valid, "%s%s", valid->size > 0 ? ", " : "", s->keys[k].name);
            bnf_cfg_guess_try(guess, s->keys[k].name);
        }
    }
    for (int i = 0; i < l->n; i++) {
        const char *below = bnf_cfg_below(l->sections[i].name, section);
        if (below == NULL || bnf_cfg_part_seen(l->sections, i, section, below, strcspn(below, ".")))
            continue;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(below, "."), below);
        bnf_cfg_text_add(valid, "%s%s", valid->size > 0 ? ", " : "", name);
        const int before = guess->distance;
        bnf_cfg_guess_try(guess, name);
        if (guess->distance < before) {
            memcpy(storage, name, sizeof name);
            guess->best = storage;
        }
    }
}

static bnf_status unknown_key(const loader *l, const bnf_cfg_place *place, const char *section, const char *name)
{
    bnf_cfg_text valid = {0};
    bnf_cfg_guess guess = bnf_cfg_guess_start(name);
    char storage[64], full[BNF_CFG_PATH_BYTES], elsewhere[BNF_CFG_PATH_BYTES];
    list_valid(l, section, &valid, &guess, storage);
    for (int i = 0; i < l->n && guess.best == NULL; i++) {
        if (bnf_cfg_find(l->sections[i].keys, l->sections[i].nkeys, name) == NULL)
            continue;
        join(elsewhere, l->sections[i].name, name);
        guess.best = elsewhere;
    }
    join(full, section, name);
    return bnf_cfg_fail(place, "unknown key '%s'%s%s%salid keys%s%s: %s", full,
                        guess.best != NULL ? "; did you mean '" : "", guess.best != NULL ? guess.best : "",
                        guess.best != NULL ? "'? V" : "; v", section[0] == '\0' ? "" : " in ", section, valid.data);
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static bnf_status take_map(loader *l, const bnf_cfg_node *map, const char *section)
{
    for (const bnf_cfg_node *c = map->first; c != NULL; c = c->next) {
        const int slot = find_slot(l, section, c->key);
        char full[BNF_CFG_PATH_BYTES];
        join(full, section, c->key);
        if (slot >= 0) {
            l->given[slot] = c;
            continue;
        }
        if (!is_section(l, full))
            return unknown_key(l, &c->key_place, section, c->key);
        if (c->kind == BNF_CFG_SCALAR && c->plain && c->text[0] == '\0')
            continue; /* a section whose keys are all commented out */
        if (c->kind != BNF_CFG_MAP)
            return bnf_cfg_fail(&c->place, "'%s' is a section; write its keys below it as key: value", full);
        BNF_TRY(take_map(l, c, full));
    }
    return BNF_OK;
}

static bnf_status take_text(loader *l, const char *text, size_t size, const char *name)
{
    bnf_cfg_node *root;
    BNF_TRY(bnf_cfg_tree_parse(l->arena, text, size, name, true, &root));
    if (root == NULL || (root->kind == BNF_CFG_SCALAR && root->plain && root->text[0] == '\0'))
        return BNF_OK;
    if (root->kind != BNF_CFG_MAP)
        return bnf_cfg_fail(&root->place, "a configuration is a mapping of sections");
    return take_map(l, root, "");
}

/* ---- overrides -------------------------------------------------------------------------------------------------- */

static bool is_utf8(const char *s)
{
    for (size_t left = strlen(s); left > 0;) {
        const size_t n = bnf_utf8_next(s, left);
        if (n == 0)
            return false;
        s += n;
        left -= n;
    }
    return true;
}

static const bnf_cfg_key *key_of_slot(const loader *l, int slot)
{
    int i = 0;
    for (; slot >= l->sections[i].nkeys; i++)
        slot -= l->sections[i].nkeys;
    return &l->sections[i].keys[slot];
}

/* Splits "a.b.c" at its last dot and finds the key. */
static bnf_status find_override(const loader *l, const bnf_cfg_place *place, const char *full, int *slot)
{
    char section[BNF_CFG_PATH_BYTES];
    const char *dot = strrchr(full, '.'), *name = dot == NULL ? full : dot + 1;
    bnf_cfg_path(section, "%.*s", dot == NULL ? 0 : (int)(dot - full), full);
    *slot = find_slot(l, section, name);
    if (*slot >= 0)
        return BNF_OK;
    if (is_section(l, full))
        return bnf_cfg_fail(place, "'%s' is a section; override one of its keys", full);
    while (section[0] != '\0' && !is_section(l, section)) { /* report the first part that does not exist */
        char *last = strrchr(section, '.');
        name = full + (last == NULL ? 0 : last + 1 - section);
        section[last == NULL ? 0 : last - section] = '\0';
    }
    char part[BNF_CFG_PATH_BYTES];
    bnf_cfg_path(part, "%.*s", (int)strcspn(name, "."), name);
    return unknown_key(l, place, section, part);
}

static bnf_status take_override(loader *l, const char *override)
{
    bnf_buf source = {0};
    const char *kept, *text, *equal = strchr(override, '=');
    char full[BNF_CFG_PATH_BYTES];
    bnf_status s = bnf_buf_printf(&source, "override '%s'", override);
    if (s == BNF_OK)
        s = bnf_arena_strdup(l->arena, bnf_buf_text(&source), &kept);
    bnf_buf_release(&source);
    BNF_TRY(s);
    const bnf_cfg_place place = {.source = kept};
    if (equal == NULL || equal == override || equal - override >= (ptrdiff_t)sizeof full)
        return bnf_cfg_fail(&place, "write it as section.key=value");
    if (!is_utf8(override))
        return bnf_cfg_fail(&place, "not UTF-8");
    bnf_cfg_path(full, "%.*s", (int)(equal - override), override);
    int slot;
    BNF_TRY(find_override(l, &place, full, &slot));
    BNF_TRY(bnf_arena_strdup(l->arena, equal + 1, &text));
    bnf_cfg_node *node = NULL;
    if (key_of_slot(l, slot)->type != BNF_CFG_STRING)
        BNF_TRY(bnf_cfg_tree_parse(l->arena, text, strlen(text), kept, false, &node));
    if (node == NULL) {
        BNF_TRY(bnf_arena_alloc(l->arena, sizeof *node, &node));
        *node = (bnf_cfg_node){.kind = BNF_CFG_SCALAR,
                               .text = text,
                               .place = place,
                               .plain = key_of_slot(l, slot)->type != BNF_CFG_STRING};
    }
    l->given[slot] = node;
    return BNF_OK;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static void clear_targets(const bnf_cfg_section *sections, int n)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < sections[i].nkeys; k++) {
            char *field = (char *)sections[i].target + sections[i].keys[k].offset;
            if (sections[i].keys[k].type == BNF_CFG_STRING)
                *(char **)(void *)field = NULL;
            else if (sections[i].keys[k].type >= BNF_CFG_INT_LIST)
                memset(field, 0, sizeof(bnf_cfg_maps));
        }
    }
}

static bnf_status fill_targets(const loader *l, const char *name)
{
    const bnf_cfg_place place = {.source = name};
    int slot = 0;
    for (int i = 0; i < l->n; i++) {
        const bnf_cfg_section *s = &l->sections[i];
        for (int k = 0; k < s->nkeys; k++, slot++) {
            char full[BNF_CFG_PATH_BYTES];
            join(full, s->name, s->keys[k].name);
            BNF_TRY(bnf_cfg_convert(l->arena, &s->keys[k], l->given[slot], full, &place, s->target));
        }
    }
    return BNF_OK;
}

static bnf_status load(loader *l, const char *text, size_t size, const char *name, const char *const *overrides,
                       int n_overrides)
{
    size_t slots = 1;
    for (int i = 0; i < l->n; i++)
        slots += (size_t)l->sections[i].nkeys;
    BNF_TRY(bnf_arena_alloc(l->arena, slots * sizeof *l->given, &l->given));
    memset(l->given, 0, slots * sizeof *l->given);
    if (text != NULL)
        BNF_TRY(take_text(l, text, size, name));
    for (int i = 0; i < n_overrides; i++)
        BNF_TRY(take_override(l, overrides[i]));
    return fill_targets(l, name);
}

bnf_status bnf_config_load_text(const char *text, size_t size, const char *name, const bnf_cfg_section *sections, int n,
                                const char *const *overrides, int n_overrides)
{
    loader l = {.sections = sections, .n = n};
    clear_targets(sections, n);
    BNF_TRY(bnf_arena_create(16384, "the configuration", &l.arena));
    const bnf_status s = load(&l, text, size, name, overrides, n_overrides);
    bnf_arena_destroy(l.arena);
    if (s != BNF_OK)
        bnf_config_free(sections, n);
    return s;
}

bnf_status bnf_config_load(const char *path, const bnf_cfg_section *sections, int n, const char *const *overrides,
                           int n_overrides)
{
    bnf_buf text = {0};
    clear_targets(sections, n);
    if (path == NULL)
        return bnf_config_load_text(NULL, 0, "configuration", sections, n, overrides, n_overrides);
    bnf_status s = bnf_fs_read(path, &text);
    if (s == BNF_OK)
        s = bnf_config_load_text(bnf_buf_text(&text), text.size, path, sections, n, overrides, n_overrides);
    bnf_buf_release(&text);
    return s;
}

void bnf_config_free(const bnf_cfg_section *sections, int n)
{
    for (int i = 0; i < n; i++)
        bnf_cfg_free_keys(sections[i].keys, sections[i].nkeys, sections[i].target);
}
