/* cli/args.h - options of a subcommand from a table that is also its help text. */
#ifndef BNF_CLI_ARGS_H
#define BNF_CLI_ARGS_H

#include <banff/base.h>
#include <stdbool.h>
#include <stdio.h>

#define BNF_ARGS_MAX_ITEMS 64

/* Strings given one after the other; borrowed from argv. */
typedef struct bnf_arg_list {
    int64_t count;
    const char *item[BNF_ARGS_MAX_ITEMS];
} bnf_arg_list;

typedef enum bnf_arg_kind {
    BNF_ARG_FLAG, /* bool: present or not */
    BNF_ARG_STR,  /* const char *: borrowed from argv */
    BNF_ARG_INT,  /* int64_t */
    BNF_ARG_REAL, /* double */
    BNF_ARG_LIST, /* bnf_arg_list: the option may be repeated */
    BNF_ARG_MAYBE /* const char *: `--name=value`, or `--name` alone for "" */
} bnf_arg_kind;

/* One option: `--name value` or `--name=value`; BNF_ARG_MAYBE's value needs the =. */
typedef struct bnf_arg {
    const char *name;  /* without the dashes */
    const char *value; /* what to call the value in the help, e.g. "FILE"; NULL for a flag */
    const char *help;
    bnf_arg_kind kind;
    void *target; /* of the type of `kind`; holds the default before */
} bnf_arg;

/* Reads argv[1...]. positional: takes what is no option; NULL: there may be none. `--` ends the options. Errors:
 * BNF_ERR_CONFIG (unknown option: names the nearest; missing or mistyped value; an option twice that is no list). */
bnf_status bnf_args_parse(const bnf_arg *args, int count, int argc, char **argv, bnf_arg_list *positional);

/* Prints "usage: banff <synopsis>", the text `about` and the options. */
void bnf_args_help(FILE *out, const char *synopsis, const char *about, const bnf_arg *args, int count);

/* [out] h, w  from "HxW" or one number for both. Errors: BNF_ERR_CONFIG, naming the option. */
bnf_status bnf_args_size(const char *option, const char *text, int64_t *h, int64_t *w);

/* [out] choice  index of `text` in words[count]. Errors: BNF_ERR_CONFIG, naming the option and listing the words. */
bnf_status bnf_args_choice(const char *option, const char *text, const char *const *words, int count, int *choice);

#endif
