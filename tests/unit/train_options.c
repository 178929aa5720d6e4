/* Settings of the commands of recipes: every kind, defaults, help, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "train/options.h"

#include <banff/data.h>
#include <stdbool.h>
#include <string.h>

#define OK(expr) assert_int_equal((expr), BNF_OK)

static const char *const colours[] = {"red", "green", NULL};

typedef struct settings {
    int64_t n;
    double real;
    bnf_option_reals radii;
    bnf_split split;
    int colour;
    const char *file;
    bool help;
    bnf_buf text;
} settings;

enum { KEYS = 6 };

static bnf_status parse(settings *s, const char *const *given, int n)
{
    const bnf_option table[KEYS] = {
        {"samples", BNF_OPTION_INT, "5", "how many", 1, &s->n},
        {"noise", BNF_OPTION_REAL, "0.25", "how much", 0, &s->real},
        {"radii", BNF_OPTION_REALS, "36/255,1", "where", 0, &s->radii},
        {"split", BNF_OPTION_SPLIT, "test", "which", 0, &s->split},
        {"colour", BNF_OPTION_WORD, "green", "which", 0, &s->colour, colours},
        {"file", BNF_OPTION_TEXT, "", "from where", 0, &s->file},
    };
    return bnf_options_parse(table, KEYS, given, n, &s->text, &s->help);
}

static void test_defaults(void **unused)
{
    (void)unused;
    settings s = {0};
    OK(parse(&s, NULL, 0));
    assert_int_equal(s.n, 5);
    assert_int_equal(s.radii.count, 2);
    assert_true(s.radii.value[0] == 36.0 / 255 && s.radii.value[1] == 1 && s.real == 0.25);
    assert_string_equal(s.radii.text[0], "36/255");
    assert_true(s.split == BNF_TEST && s.colour == 1 && !s.help);
    assert_string_equal(s.file, "");
}

static void test_given(void **unused)
{
    (void)unused;
    settings s = {0};
    const char *const given[] = {"samples=7",   "split=train", "radii=0.5", "colour=red",
                                 "file=a=b.h5", "noise=1/4",   "samples=8"};
    OK(parse(&s, given, 7));
    assert_true(s.n == 8 && s.split == BNF_TRAIN && s.radii.count == 1 && s.radii.value[0] == 0.5); /* the last wins */
    assert_true(s.colour == 0 && s.real == 0.25);
    assert_string_equal(s.file, "a=b.h5");
}

static void test_refused(void **unused)
{
    (void)unused;
    const char *const bad[] = {"sample=7",  "samples",  "samples=0", "samples=x",   "split=both", "radii=1/0",
                               "radii=1,a", "noise=-1", "noise=1/",  "colour=blue", "colour=",    "help=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        settings s = {0};
        assert_int_equal(parse(&s, &bad[i], 1), BNF_ERR_CONFIG);
        bnf_error_clear();
        bnf_buf_release(&s.text);
    }
    settings s = {0};
    const char *unknown = "sample=7", *word = "colour=blue";
    parse(&s, &unknown, 1);
    assert_non_null(strstr(bnf_error_message(), "samples, noise, radii"));
    bnf_error_clear();
    parse(&s, &word, 1);
    assert_non_null(strstr(bnf_error_message(), "red, green"));
    bnf_error_clear();
    bnf_buf_release(&s.text);
}

static void test_help(void **unused)
{
    (void)unused;
    settings s = {0};
    const char *ask = "help";
    OK(parse(&s, &ask, 1));
    assert_true(s.help && strstr(bnf_buf_text(&s.text), "radii"));
    assert_non_null(strstr(bnf_buf_text(&s.text), "36/255,1"));
    bnf_buf_release(&s.text);
}

static void test_names(void **unused)
{
    (void)unused;
    bool chosen[2] = {true, false};
    OK(bnf_option_names_parse("colour", "green", colours, chosen));
    assert_true(!chosen[0] && chosen[1]);
    OK(bnf_option_names_parse("colour", "green,red", colours, chosen));
    assert_true(chosen[0] && chosen[1]);
    const char *const bad[] = {"blue", "red,", "re", "reds", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(bnf_option_names_parse("colour", bad[i], colours, chosen), BNF_ERR_CONFIG);
        assert_non_null(strstr(bnf_error_message(), "valid: red, green"));
        bnf_error_clear();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_given), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_help),     cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
