/* base/config.h - a table of keys that is parser, defaults and help text of the configuration at once.
 *
 * A room describes its settings as a struct and a table beside it:
 *
 *     typedef struct optim_config { double lr; int kind; bnf_cfg_reals milestones; } optim_config;
 *     static const char *const kinds[] = {"sgd", "adam", NULL};
 *     static const bnf_cfg_key optim_keys[] = {
 *         {"lr", BNF_CFG_REAL, offsetof(optim_config, lr), "0.001",
 *          .doc = "learning rate after the warm-up", .min = 0, .max = 10},
 *         {"kind", BNF_CFG_ENUM, offsetof(optim_config, kind), "adam", .doc = "update rule", .choices = kinds},
 *         {"milestones", BNF_CFG_REAL_LIST, offsetof(optim_config, milestones), "[]", .doc = "epochs of a drop"},
 *     };
 *     optim_config optim;
 *     const bnf_cfg_section sections[] = {{"optim", "how weights change", BNF_CFG_KEYS(optim_keys), &optim}};
 *
 * The file is YAML of one document; a section "optim.schedule" is a mapping inside the mapping of "optim". Every
 * error is BNF_ERR_CONFIG, starts with file:line:column (or the override) and lists what would have been valid.
 * Nothing is guessed: unknown and duplicate keys, quoted numbers, a missing value, aliases and tags are errors. */
#ifndef BNF_BASE_CONFIG_H
#define BNF_BASE_CONFIG_H

#include "base/str.h"

typedef enum bnf_cfg_type {
    BNF_CFG_BOOL = 0,    /* bool: true or false */
    BNF_CFG_INT,         /* int64_t */
    BNF_CFG_REAL,        /* double: finite, or equal to the default (which may be nan for "not set", or inf) */
    BNF_CFG_STRING,      /* char *: owned, never NULL after loading */
    BNF_CFG_ENUM,        /* int: index in choices */
    BNF_CFG_INT_LIST,    /* bnf_cfg_ints */
    BNF_CFG_REAL_LIST,   /* bnf_cfg_reals */
    BNF_CFG_STRING_LIST, /* bnf_cfg_strings */
    BNF_CFG_MAP_LIST,    /* bnf_cfg_maps: a list of mappings, each loaded into a struct by a table of its own */
    BNF_CFG_TYPE_COUNT
} bnf_cfg_type;

/* Lists in target structs. Owned by the struct until bnf_config_free. */
typedef struct bnf_cfg_ints {
    int64_t count;
    int64_t *value;
} bnf_cfg_ints;
typedef struct bnf_cfg_reals {
    int64_t count;
    double *value;
} bnf_cfg_reals;
typedef struct bnf_cfg_strings {
    int64_t count;
    char **value;
} bnf_cfg_strings;
typedef struct bnf_cfg_maps {
    int64_t count;
    void *item; /* [count] structs of item_size bytes: cast it */
} bnf_cfg_maps;

typedef struct bnf_cfg_key {
    const char *name; /* letters, digits, '_' and '-' */
    bnf_cfg_type type;
    size_t offset;                       /* of the field in the target struct */
    const char *deflt;                   /* default as YAML text (a string as it is); NULL: the key is required */
    const char *doc;                     /* one line: meaning and unit */
    double min, max;                     /* numbers and elements of number lists lie in [min, max]; equal: no limits */
    const char *const *choices;          /* enum: names, NULL-terminated */
    const struct bnf_cfg_key *item_keys; /* map list: the table of an item; may be the table that holds this key */
    int item_nkeys;
    size_t item_size;
    bool free; /* changes no result: a run may be continued with another value (bnf_config_dump_results) */
} bnf_cfg_key;

#define BNF_CFG_KEYS(table) (table), (int)(sizeof(table) / sizeof *(table))

typedef struct bnf_cfg_section {
    const char *name; /* "train", "optim.schedule"; "" for keys at the top */
    const char *doc;  /* one line; may be NULL */
    const bnf_cfg_key *keys;
    int nkeys;
    void *target; /* the struct, written by bnf_config_load */
} bnf_cfg_section;

/* Fills the targets of all sections: defaults, then the file, then the overrides in their order.
 *   path       NULL: no file
 *   overrides  "section.key=value"; the value is YAML ("[1, 2]", "{...}" inside lists), but for a string key everything
 *              behind the '=' as it is. A list is replaced as a whole. The last override of a key counts.
 * What targets held before is overwritten, not freed. Errors: BNF_ERR_CONFIG, BNF_ERR_IO, BNF_ERR_MEMORY; the
 * targets then hold nothing to be freed. Not collective: load on one rank and hand the text on, or on every rank
 * from the same file. */
bnf_status bnf_config_load(const char *path, const bnf_cfg_section *sections, int n, const char *const *overrides,
                           int n_overrides);

/* The same from text in memory; `name` stands for the file in messages. */
bnf_status bnf_config_load_text(const char *text, size_t size, const char *name, const bnf_cfg_section *sections, int n,
                                const char *const *overrides, int n_overrides);

/* Frees what the targets own and zeroes those fields. Legal on targets that are zeroed or were freed. */
void bnf_config_free(const bnf_cfg_section *sections, int n);

/* Appends every key with type, range or choices, default and meaning. Returns the status of the buffer. */
bnf_status bnf_config_help(bnf_buf *buf, const bnf_cfg_section *sections, int n);

/* Appends the values as YAML that loads to the same values, bit for bit. Returns the status of the buffer. */
bnf_status bnf_config_dump(bnf_buf *buf, const bnf_cfg_section *sections, int n);

/* The same without the keys that are `free`. */
bnf_status bnf_config_dump_results(bnf_buf *buf, const bnf_cfg_section *sections, int n);

#endif
