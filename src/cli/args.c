#include "cli/args.h"

#include "base/str.h"

#include <string.h>

static const bnf_arg *find(const bnf_arg *args, int count, const char *name, size_t length)
{
    for (int i = 0; i < count; i++)
        if (strlen(args[i].name) == length && memcmp(args[i].name, name, length) == 0)
            return &args[i];
    return NULL;
}

static bnf_status unknown(const bnf_arg *args, int count, const char *name, size_t length)
{
    char given[64];
    const char *nearest = NULL;
    int best = 4;

    snprintf(given, sizeof given, "%.*s", (int)(length < 60 ? length : 60), name);
    for (int i = 0; i < count; i++) {
        int distance = bnf_str_distance(given, args[i].name, best);
        if (distance < best) {
            best = distance;
            nearest = args[i].name;
        }
    }
    if (nearest)
        return bnf_fail(BNF_ERR_CONFIG, "unknown option '--%s'; did you mean '--%s'?", given, nearest);
    return bnf_fail(BNF_ERR_CONFIG, "unknown option '--%s'; --help lists the options", given);
}

static bnf_status append(bnf_arg_list *list, const char *what, const char *text)
{
    if (list->count == BNF_ARGS_MAX_ITEMS)
        return bnf_fail(BNF_ERR_CONFIG, "more than %d times %s", BNF_ARGS_MAX_ITEMS, what);
    list->item[list->count++] = text;
    return BNF_OK;
}

static bnf_status store(const bnf_arg *arg, const char *text)
{
    bool good = true;

    switch (arg->kind) {
    case BNF_ARG_FLAG:
        *(bool *)arg->target = true;
        break;
    case BNF_ARG_MAYBE:
    case BNF_ARG_STR:
        *(const char **)arg->target = text;
        break;
    case BNF_ARG_INT:
        good = bnf_parse_int(text, arg->target);
        break;
    case BNF_ARG_REAL:
        good = bnf_parse_real(text, arg->target);
        break;
    case BNF_ARG_LIST:
        return append(arg->target, arg->name, text);
    }
    if (!good)
        return bnf_fail(BNF_ERR_CONFIG, "--%s %s: not a number%s", arg->name, text,
                        arg->kind == BNF_ARG_INT ? " without fraction" : "");
    return BNF_OK;
}

bnf_status bnf_args_parse(const bnf_arg *args, int count, int argc, char **argv, bnf_arg_list *positional)
{
    bool options = true;
    uint64_t seen = 0;

    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }
        if (!options || strncmp(argv[i], "--", 2) != 0) {
            if (!positional)
                return bnf_fail(BNF_ERR_CONFIG, "unexpected argument '%s'; --help lists the options", argv[i]);
            BNF_TRY(append(positional, "an argument", argv[i]));
            continue;
        }
        const char *name = argv[i] + 2;
        size_t length = strcspn(name, "=");
        const char *value = name[length] ? name + length + 1 : NULL;
        const bnf_arg *arg = find(args, count, name, length);
        if (!arg)
            return unknown(args, count, name, length);
        if (arg->kind == BNF_ARG_FLAG && value)
            return bnf_fail(BNF_ERR_CONFIG, "--%s takes no value", arg->name);
        if (arg->kind == BNF_ARG_MAYBE && !value)
            value = "";
        if (arg->kind != BNF_ARG_FLAG && !value) {
            if (i + 1 == argc)
                return bnf_fail(BNF_ERR_CONFIG, "--%s needs a value: %s", arg->name, arg->value);
            value = argv[++i];
        }
        uint64_t bit = UINT64_C(1) << ((arg - args) & 63);
        if ((seen & bit) && arg->kind != BNF_ARG_LIST)
            return bnf_fail(BNF_ERR_CONFIG, "--%s is given twice", arg->name);
        seen |= bit;
        BNF_TRY(store(arg, value));
    }
    return BNF_OK;
}

void bnf_args_help(FILE *out, const char *synopsis, const char *about, const bnf_arg *args, int count)
{
    fprintf(out, "usage: banff %s\n\n%s\n\noptions:\n", synopsis, about);
    for (int i = 0; i < count; i++) {
        char head[64];
        bool maybe = args[i].kind == BNF_ARG_MAYBE;
        const char *value = args[i].value ? args[i].value : "";
        snprintf(head, sizeof head, maybe ? "--%s[=%s]" : *value ? "--%s %s" : "--%s%s", args[i].name, value);
        fprintf(out, "  %-26s %s\n", head, args[i].help);
    }
}

bnf_status bnf_args_size(const char *option, const char *text, int64_t *h, int64_t *w)
{
    char first[24];
    size_t length = strcspn(text, "x");
    bool good = length < sizeof first;

    if (good) {
        memcpy(first, text, length);
        first[length] = '\0';
        good = bnf_parse_int(first, h);
        *w = good ? *h : 0;
        if (good && text[length])
            good = bnf_parse_int(text + length + 1, w);
    }
    if (!good || *h < 1 || *w < 1)
        return bnf_fail(BNF_ERR_CONFIG, "--%s %s: give height x width, such as 28x28, or one number for both", option,
                        text);
    return BNF_OK;
}

bnf_status bnf_args_choice(const char *option, const char *text, const char *const *words, int count, int *choice)
{
    char list[256] = "";

    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            *choice = i;
            return BNF_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
    }
    return bnf_fail(BNF_ERR_CONFIG, "--%s %s: it must be one of %s", option, text, list);
}
