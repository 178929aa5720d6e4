/* train/options.c - settings of the commands of recipes. */
#include "train/options.h"

#include <banff/data.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "0.5" or "36/255". */
static bool parse_fraction(const char *text, double *value)
{
    char part[24];
    const char *slash = strchr(text, '/');
    double under = 1;
    if (!slash)
        return bnf_parse_real(text, value) && isfinite(*value);
    snprintf(part, sizeof part, "%.*s", (int)(slash - text), text);
    if (!bnf_parse_real(part, value) || !bnf_parse_real(slash + 1, &under) || !(under > 0))
        return false;
    *value /= under;
    return isfinite(*value);
}

bnf_status bnf_option_reals_parse(const char *key, const char *list, double min, bnf_option_reals *reals)
{
    *reals = (bnf_option_reals){0};
    for (const char *at = list; *at; at += *at == ',') {
        size_t n = strcspn(at, ",");
        if (reals->count == BNF_OPTION_MAX_REALS)
            return bnf_fail(BNF_ERR_CONFIG, "%s: at most %d numbers", key, BNF_OPTION_MAX_REALS);
        char *text = reals->text[reals->count];
        double *value = &reals->value[reals->count];
        if (n >= sizeof reals->text[0])
            return bnf_fail(BNF_ERR_CONFIG, "%s: '%.*s' is too long for a number", key, (int)n, at);
        snprintf(text, sizeof reals->text[0], "%.*s", (int)n, at);
        if (!parse_fraction(text, value) || *value < min)
            return bnf_fail(BNF_ERR_CONFIG, "%s: '%s' must be a number or a fraction of at least %g", key, text, min);
        reals->count++;
        at += n;
    }
    return BNF_OK;
}

/* Which of names (ends with NULL) the first `length` characters of `name` are; -1: none. */
static int find(const char *const *names, const char *name, size_t length)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
            return i;
    return -1;
}

static void put_names(bnf_buf *list, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        bnf_buf_printf(list, "%s%s", i ? ", " : "", names[i]);
}

bnf_status bnf_option_names_parse(const char *what, const char *list, const char *const *names, bool *chosen)
{
    for (int i = 0; names[i]; i++)
        chosen[i] = false;
    for (const char *at = list; at;) {
        size_t length = strcspn(at, ",");
        int i = find(names, at, length);
        if (i < 0) {
            bnf_buf valid = {0};
            put_names(&valid, names);
            bnf_status s = bnf_fail(BNF_ERR_CONFIG, "there is no %s '%.*s'; valid: %s", what, (int)length, at,
                                    bnf_buf_text(&valid));
            bnf_buf_release(&valid);
            return s;
        }
        chosen[i] = true;
        at = at[length] ? at + length + 1 : NULL;
    }
    return BNF_OK;
}

static bnf_status set_word(const bnf_option *o, const char *value)
{
    int i = find(o->words, value, strlen(value));
    if (i >= 0) {
        *(int *)o->target = i;
        return BNF_OK;
    }
    bnf_buf list = {0};
    put_names(&list, o->words);
    bnf_status s = bnf_fail(BNF_ERR_CONFIG, "%s=%s: it must be one of %s", o->key, value, bnf_buf_text(&list));
    bnf_buf_release(&list);
    return s;
}

static bnf_status set(const bnf_option *o, const char *value)
{
    double real;
    switch (o->kind) {
    case BNF_OPTION_INT:
        if (!bnf_parse_int(value, o->target) || (double)*(int64_t *)o->target < o->min)
            return bnf_fail(BNF_ERR_CONFIG, "%s=%s: it must be an integer of at least %g", o->key, value, o->min);
        return BNF_OK;
    case BNF_OPTION_REAL:
        if (!parse_fraction(value, &real) || real < o->min)
            return bnf_fail(BNF_ERR_CONFIG, "%s=%s: it must be a number of at least %g", o->key, value, o->min);
        *(double *)o->target = real;
        return BNF_OK;
    case BNF_OPTION_REALS:
        return bnf_option_reals_parse(o->key, value, o->min, o->target);
    case BNF_OPTION_SPLIT:
        for (int s = 0; s < BNF_SPLIT_COUNT; s++)
            if (strcmp(value, bnf_split_name((bnf_split)s)) == 0) {
                *(bnf_split *)o->target = (bnf_split)s;
                return BNF_OK;
            }
        return bnf_fail(BNF_ERR_CONFIG, "%s=%s: it must be train or test", o->key, value);
    case BNF_OPTION_WORD:
        return set_word(o, value);
    case BNF_OPTION_TEXT:
        *(const char **)o->target = value;
        return BNF_OK;
    }
    return BNF_OK;
}

static bnf_status unknown(const bnf_option *table, int n, const char *given)
{
    bnf_buf keys = {0};
    for (int i = 0; i < n; i++)
        bnf_buf_printf(&keys, "%s%s", i ? ", " : "", table[i].key);
    bnf_status s =
        bnf_fail(BNF_ERR_CONFIG, "--option %s: there is no such setting; valid: %s (--option help tells more)", given,
                 bnf_buf_text(&keys));
    bnf_buf_release(&keys);
    return s;
}

bnf_status bnf_options_parse(const bnf_option *table, int n, const char *const *given, int n_given, bnf_buf *text,
                             bool *help)
{
    *help = false;
    for (int i = 0; i < n; i++)
        BNF_TRY(set(&table[i], table[i].fallback));
    for (int g = 0; g < n_given; g++) {
        const char *equals = strchr(given[g], '=');
        size_t length = equals ? (size_t)(equals - given[g]) : 0;
        int i = 0;
        if (strcmp(given[g], "help") == 0) {
            *help = true;
            continue;
        }
        while (i < n && !(length == strlen(table[i].key) && strncmp(given[g], table[i].key, length) == 0))
            i++;
        if (i == n)
            return unknown(table, n, given[g]);
        BNF_TRY(set(&table[i], equals + 1));
    }
    for (int i = 0; *help && i < n; i++)
        bnf_buf_printf(text, "  --option %s=...  %s (default %s)\n", table[i].key, table[i].help, table[i].fallback);
    return text->status;
}
