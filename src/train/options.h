/* train/options.h - the "key=value" settings of the commands of recipes (--option). */
#ifndef BNF_TRAIN_OPTIONS_H
#define BNF_TRAIN_OPTIONS_H

#include "base/str.h"

#define BNF_OPTION_MAX_REALS 16

/* A list of numbers, each kept as it was written ("36/255"). */
typedef struct bnf_option_reals {
    int count;
    double value[BNF_OPTION_MAX_REALS];
    char text[BNF_OPTION_MAX_REALS][24];
} bnf_option_reals;

typedef enum bnf_option_kind {
    BNF_OPTION_INT,   /* int64_t, at least min */
    BNF_OPTION_REAL,  /* double, at least min */
    BNF_OPTION_REALS, /* bnf_option_reals: comma-separated, each at least min; a fraction a/b is legal */
    BNF_OPTION_SPLIT, /* bnf_split: train or test */
    BNF_OPTION_WORD,  /* int: which of `words` */
    BNF_OPTION_TEXT   /* const char *: borrowed from what was given */
} bnf_option_kind;

typedef struct bnf_option {
    const char *key;
    bnf_option_kind kind;
    const char *fallback; /* what the target is set to before, in the same notation */
    const char *help;
    double min;
    void *target;
    const char *const *words; /* ends with NULL */
} bnf_option;

/* Sets all targets to their defaults and then to what given[n_given] says ("key=value"; the last of a key wins).
 * "help" lists the keys in `text` and sets *help. Errors: BNF_ERR_CONFIG with the valid keys. */
bnf_status bnf_options_parse(const bnf_option *table, int n, const char *const *given, int n_given, bnf_buf *text,
                             bool *help);

/* Reads "a,b/c,..." into `reals`. Errors: BNF_ERR_CONFIG naming `key`. */
bnf_status bnf_option_reals_parse(const char *key, const char *list, double min, bnf_option_reals *reals);

/* "saliency,gradcam" to chosen[i] for each of names (ends with NULL): whether it is in the list. Errors:
 * BNF_ERR_CONFIG: "there is no `what` 'x'; valid: ...". */
bnf_status bnf_option_names_parse(const char *what, const char *list, const char *const *names, bool *chosen);

#endif
