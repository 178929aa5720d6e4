/* base/config_impl.h - what the files config_*.c share. Nobody else includes it. */
#ifndef BNF_BASE_CONFIG_IMPL_H
#define BNF_BASE_CONFIG_IMPL_H

#include "base/config.h"
#include "base/mem.h"

/* ---- the YAML text as a tree ------------------------------------------------------------------------------------ */

typedef enum bnf_cfg_kind { BNF_CFG_SCALAR, BNF_CFG_LIST, BNF_CFG_MAP } bnf_cfg_kind;

/* Where something stands. line 0: `source` says it all. */
typedef struct bnf_cfg_place {
    const char *source;
    int line, column; /* from 1 */
} bnf_cfg_place;

/* Lives in an arena. */
typedef struct bnf_cfg_node {
    bnf_cfg_kind kind;
    bnf_cfg_place place;
    const char *text;           /* scalar */
    bool plain;                 /* scalar without quotes */
    struct bnf_cfg_node *first; /* children of a list or mapping, in order */
    struct bnf_cfg_node *next;
    int64_t count;
    const char *key; /* of a child of a mapping */
    bnf_cfg_place key_place;
} bnf_cfg_node;

/* [out] root NULL for an empty document. numbered: whether lines and columns mean something to the reader. Errors:
 * BNF_ERR_CONFIG for what is no YAML, duplicate keys, keys that are no scalars, aliases, tags, a second document,
 * nesting beyond 64 levels. */
bnf_status bnf_cfg_tree_parse(bnf_arena *arena, const char *text, size_t size, const char *source, bool numbered,
                              bnf_cfg_node **root);

/* ---- messages --------------------------------------------------------------------------------------------------- */

/* Text of limited size that needs no heap: messages about missing memory use it too. What does not fit is cut. */
typedef struct bnf_cfg_text {
    char data[2048];
    size_t size;
} bnf_cfg_text;
void bnf_cfg_text_add(bnf_cfg_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define BNF_CFG_PATH_BYTES 256

/* A full name such as "model.layers[2].out" into path[BNF_CFG_PATH_BYTES]. One that is longer is cut: no key has
 * such a name, and a message shows enough of it. */
void bnf_cfg_path(char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "real in [0, 10]", "one of: sgd, adam", "list of integers", ... */
void bnf_cfg_text_type(bnf_cfg_text *text, const bnf_cfg_key *key);

/* bnf_fail(BNF_ERR_CONFIG, "<place>: ..."). */
bnf_status bnf_cfg_fail(const bnf_cfg_place *place, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- tables ----------------------------------------------------------------------------------------------------- */

/* The key of that name, or NULL. */
const bnf_cfg_key *bnf_cfg_find(const bnf_cfg_key *keys, int nkeys, const char *name);

/* What follows `prefix` and a dot in `name` (all of it if prefix is ""); NULL if the section does not lie below. */
const char *bnf_cfg_below(const char *name, const char *prefix);

/* Whether one of the first `index` sections has the same first part below `prefix`: part[length]. */
bool bnf_cfg_part_seen(const bnf_cfg_section *sections, int index, const char *prefix, const char *part, size_t length);

void bnf_cfg_free_keys(const bnf_cfg_key *keys, int nkeys, void *target);

/* Fills the field of `key` in `target` from `node`, or from the default if it is NULL. `path` is the key's full
 * name, `place` where a required key is missing. What was allocated is in the target whatever the result. */
bnf_status bnf_cfg_convert(bnf_arena *arena, const bnf_cfg_key *key, const bnf_cfg_node *node, const char *path,
                           const bnf_cfg_place *place, void *target);

/* "; did you mean 'x'?" if a name is close to `wrong`. Call bnf_cfg_guess_try for each candidate, then read best. */
typedef struct bnf_cfg_guess {
    const char *wrong;
    const char *best; /* NULL: none is close */
    int distance;
} bnf_cfg_guess;
bnf_cfg_guess bnf_cfg_guess_start(const char *wrong);
void bnf_cfg_guess_try(bnf_cfg_guess *guess, const char *candidate);

#endif
