/* recipes/lipschitz/options.h - the "key=value" settings of banff certify and banff attack. */
#ifndef BNF_RECIPES_LIPSCHITZ_OPTIONS_H
#define BNF_RECIPES_LIPSCHITZ_OPTIONS_H

#include "base/str.h"

#define BNF_LIPSCHITZ_MAX_REALS 16

/* A list of numbers, each kept as it was written ("36/255"). */
typedef struct bnf_lipschitz_reals {
    int count;
    double value[BNF_LIPSCHITZ_MAX_REALS];
    char text[BNF_LIPSCHITZ_MAX_REALS][24];
} bnf_lipschitz_reals;

typedef enum bnf_lipschitz_option_kind {
    BNF_LIPSCHITZ_INT,   /* int64_t, at least min */
    BNF_LIPSCHITZ_REAL,  /* double, at least min */
    BNF_LIPSCHITZ_REALS, /* bnf_lipschitz_reals: comma-separated, each at least min; a fraction a/b is legal */
    BNF_LIPSCHITZ_SPLIT, /* bnf_split: train or test */
    BNF_LIPSCHITZ_WORD,  /* int: which of `words` */
    BNF_LIPSCHITZ_TEXT   /* const char *: borrowed from what was given */
} bnf_lipschitz_option_kind;

typedef struct bnf_lipschitz_option {
    const char *key;
    bnf_lipschitz_option_kind kind;
    const char *fallback; /* what the target is set to before, in the same notation */
    const char *help;
    double min;
    void *target;
    const char *const *words; /* ends with NULL */
} bnf_lipschitz_option;

/* Sets all targets to their defaults and then to what given[n_given] says ("key=value"; the last of a key wins).
 * "help" lists the keys in `text` and sets *help. Errors: BNF_ERR_CONFIG with the valid keys. */
bnf_status bnf_lipschitz_options_parse(const bnf_lipschitz_option *table, int n, const char *const *given, int n_given,
                                       bnf_buf *text, bool *help);

/* Reads "a,b/c,..." into `reals`. Errors: BNF_ERR_CONFIG naming `key`. */
bnf_status bnf_lipschitz_reals_parse(const char *key, const char *list, double min, bnf_lipschitz_reals *reals);

#endif
