/* The configuration table: values, every kind of error, help, round trip, missing memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/config.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

typedef struct layer {
    int type;
    int64_t out;
    char *name;
    bnf_cfg_reals scale;
    bnf_cfg_maps inner; /* of layers again */
} layer;

static const char *const layer_types[] = {"conv", "dense", "relu", NULL};
static const bnf_cfg_key layer_keys[] = {
    {"type", BNF_CFG_ENUM, offsetof(layer, type), NULL, .doc = "kind of layer", .choices = layer_types},
    {"out", BNF_CFG_INT, offsetof(layer, out), "16", .doc = "output channels", .min = 1, .max = 4096},
    {"name", BNF_CFG_STRING, offsetof(layer, name), "", .doc = "name"},
    {"scale", BNF_CFG_REAL_LIST, offsetof(layer, scale), "[1]", .doc = "factors"},
    {"inner", BNF_CFG_MAP_LIST, offsetof(layer, inner), "[]", .doc = "layers inside", .item_keys = layer_keys,
     .item_nkeys = 5, .item_size = sizeof(layer)},
};

typedef struct settings {
    int64_t seed;
    bool verbose;
    double lr, limit;
    int rule;
    bnf_cfg_reals milestones;
    bnf_cfg_ints sizes;
    bnf_cfg_strings classes;
    char *path;
    bnf_cfg_maps layers;
} settings;

static const char *const rules[] = {"sgd", "adam", "none", NULL};
static const bnf_cfg_key top_keys[] = {
    {"seed", BNF_CFG_INT, offsetof(settings, seed), "1", .doc = "seed of all random numbers"},
    {"verbose", BNF_CFG_BOOL, offsetof(settings, verbose), "false", .doc = "say more"},
};
static const bnf_cfg_key optim_keys[] = {
    {"rule", BNF_CFG_ENUM, offsetof(settings, rule), "adam", .doc = "update rule", .choices = rules},
    {"limit", BNF_CFG_REAL, offsetof(settings, limit), "nan", .doc = "limit; nan: none", .min = 0, .max = 5},
};
static const bnf_cfg_key schedule_keys[] = {
    {"lr", BNF_CFG_REAL, offsetof(settings, lr), "0.001", .doc = "learning rate", .min = 0, .max = 10},
    {"milestones", BNF_CFG_REAL_LIST, offsetof(settings, milestones), "[]", .doc = "epochs", .min = 0, .max = INFINITY},
};
static const bnf_cfg_key data_keys[] = {
    {"path", BNF_CFG_STRING, offsetof(settings, path), "data set", .doc = "folder of the data"},
    {"sizes", BNF_CFG_INT_LIST, offsetof(settings, sizes), "[32, 32]", .doc = "height and width", .min = 1, .max = 100},
    {"classes", BNF_CFG_STRING_LIST, offsetof(settings, classes), "[]", .doc = "names of classes"},
};
static const bnf_cfg_key model_keys[] = {
    {"layers", BNF_CFG_MAP_LIST, offsetof(settings, layers), "[{type: dense, out: 10}]", .doc = "the layers in order",
     .item_keys = layer_keys, .item_nkeys = 5, .item_size = sizeof(layer)},
};

static settings target;
static const bnf_cfg_section sections[] = {
    {"", "at the top", BNF_CFG_KEYS(top_keys), &target},
    {"optim", "how weights change", BNF_CFG_KEYS(optim_keys), &target},
    {"data", NULL, BNF_CFG_KEYS(data_keys), &target},
    {"optim.schedule", "the learning rate over time", BNF_CFG_KEYS(schedule_keys), &target},
    {"model.net", NULL, BNF_CFG_KEYS(model_keys), &target},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

static bnf_status load_with(const char *text, const char *const *overrides, int n)
{
    bnf_error_clear();
    return bnf_config_load_text(text, strlen(text), "job.yaml", sections, SECTIONS, overrides, n);
}

static void load_ok(const char *text)
{
    const bnf_status s = load_with(text, NULL, 0);
    if (s != BNF_OK)
        print_error("%s\n", bnf_error_message());
    assert_int_equal(s, BNF_OK);
}

static void test_defaults(void **unused)
{
    (void)unused;
    static const char *const nothing[] = {"", "---\n", "# only a comment\n", "optim:\n  # rule: sgd\n", "{}"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        load_ok(nothing[i]);
        assert_int_equal(target.seed, 1);
        assert_false(target.verbose);
        assert_int_equal(target.rule, 1);
        assert_true(isnan(target.limit) && target.lr == 0.001);
        assert_int_equal(target.milestones.count, 0);
        assert_null(target.milestones.value);
        assert_int_equal(target.sizes.count, 2);
        assert_int_equal(target.sizes.value[1], 32);
        assert_string_equal(target.path, "data set");
        assert_int_equal(target.layers.count, 1);
        assert_int_equal(((layer *)target.layers.item)[0].out, 10);
        bnf_config_free(sections, SECTIONS);
        assert_null(target.path);
        bnf_config_free(sections, SECTIONS);
    }
    assert_int_equal(bnf_config_load(NULL, sections, SECTIONS, NULL, 0), BNF_OK);
    assert_int_equal(target.seed, 1);
    bnf_config_free(sections, SECTIONS);
}

static const char full_text[] = "seed: -7\n"
                                "verbose: true\n"
                                "optim:\n"
                                "  rule: none\n"
                                "  limit: 2.5\n"
                                "  schedule: {lr: 1e-2, milestones: [10, 20.5]}\n"
                                "data:\n"
                                "  path: \"/data/a b\"\n"
                                "  sizes:\n"
                                "    - 28\n"
                                "    - 28\n"
                                "    - 1\n"
                                "  classes: [cat, 'dog: small', 7]\n"
                                "model:\n"
                                "  net:\n"
                                "    layers:\n"
                                "      - type: conv\n"
                                "        out: 64\n"
                                "        scale: [0.5, 2]\n"
                                "      - {type: relu, name: last, inner: [{type: dense, name: deep}]}\n";

static void test_values(void **unused)
{
    (void)unused;
    load_ok(full_text);
    assert_int_equal(target.seed, -7);
    assert_true(target.verbose && target.rule == 2 && target.limit == 2.5 && target.lr == 0.01);
    assert_int_equal(target.milestones.count, 2);
    assert_true(target.milestones.value[0] == 10 && target.milestones.value[1] == 20.5);
    assert_int_equal(target.sizes.count, 3);
    assert_int_equal(target.sizes.value[2], 1);
    assert_string_equal(target.path, "/data/a b");
    assert_int_equal(target.classes.count, 3);
    assert_string_equal(target.classes.value[1], "dog: small");
    assert_string_equal(target.classes.value[2], "7");
    const layer *layers = target.layers.item;
    assert_int_equal(target.layers.count, 2);
    assert_true(layers[0].type == 0 && layers[0].out == 64 && layers[0].scale.count == 2);
    assert_true(layers[0].scale.value[0] == 0.5 && layers[0].inner.count == 0);
    assert_true(layers[1].type == 2 && layers[1].out == 16 && layers[1].scale.value[0] == 1.0);
    assert_string_equal(layers[1].name, "last");
    const layer *inner = layers[1].inner.item;
    assert_int_equal(layers[1].inner.count, 1);
    assert_true(inner[0].type == 1 && strcmp(inner[0].name, "deep") == 0);
    bnf_config_free(sections, SECTIONS);
}

static void test_overrides(void **unused)
{
    (void)unused;
    const char *const overrides[] = {
        "optim.schedule.lr=5",    "seed=2",          "seed=3",
        "data.path=a: b # \"c\"", "optim.rule=sgd",  "data.sizes=[4]",
        "data.classes=[]",        "optim.limit=nan", "model.net.layers=[{type: relu}, {type: conv, out: 3}]"};
    assert_int_equal(load_with(full_text, overrides, sizeof overrides / sizeof *overrides), BNF_OK);
    assert_true(target.lr == 5 && target.seed == 3 && target.rule == 0 && isnan(target.limit));
    assert_string_equal(target.path, "a: b # \"c\"");
    assert_true(target.sizes.count == 1 && target.sizes.value[0] == 4 && target.classes.count == 0);
    assert_int_equal(target.milestones.count, 2); /* from the file */
    assert_int_equal(((layer *)target.layers.item)[1].out, 3);
    bnf_config_free(sections, SECTIONS);
}

/* Loading fails with exactly this message, and nothing is left to free. */
static void refused(const char *text, const char *override, const char *message)
{
    const int64_t blocks = bnf_mem_live_blocks();
    assert_int_equal(load_with(text, &override, override != NULL), BNF_ERR_CONFIG);
    assert_string_equal(bnf_error_message(), message);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
    assert_null(target.path);
    bnf_error_clear();
}

static void test_unknown_keys(void **unused)
{
    (void)unused;
    refused("seed: 1\noptim:\n  rul: sgd\n", NULL,
            "job.yaml:3:3: unknown key 'optim.rul'; did you mean 'rule'? Valid keys in optim: rule, limit, schedule");
    refused("optm: {}\n", NULL,
            "job.yaml:1:1: unknown key 'optm'; did you mean 'optim'? Valid keys: seed, verbose, optim, data, model");
    refused("optim: {lr: 1}\n", NULL,
            "job.yaml:1:9: unknown key 'optim.lr'; did you mean 'optim.schedule.lr'? Valid keys in optim: rule, limit, "
            "schedule");
    refused("data:\n  something: 1\n", NULL,
            "job.yaml:2:3: unknown key 'data.something'; valid keys in data: path, sizes, classes");
    refused(
        "model: {net: {layers: [{type: relu, ot: 1}]}}\n", NULL,
        "job.yaml:1:37: unknown key 'ot' in 'model.net.layers[0]'; did you mean 'out'? Valid keys: type, out, name, "
        "scale, inner");
    refused("", "optim.rul=sgd",
            "override 'optim.rul=sgd': unknown key 'optim.rul'; did you mean 'rule'? Valid keys in optim: rule, limit, "
            "schedule");
    refused(
        "", "optin.schedule.lr=1",
        "override 'optin.schedule.lr=1': unknown key 'optin'; did you mean 'optim'? Valid keys: seed, verbose, optim, "
        "data, model");
}

static void test_wrong_types(void **unused)
{
    (void)unused;
    refused("seed: 1.5\n", NULL, "job.yaml:1:7: 'seed' is 1.5; expected integer");
    refused("seed: \"1\"\n", NULL, "job.yaml:1:7: 'seed' is the string \"1\"; expected integer");
    refused("seed:\n", NULL, "job.yaml:1:6: 'seed' has no value; expected integer");
    refused("seed: [1]\n", NULL, "job.yaml:1:7: 'seed' is a list; expected integer");
    refused("seed: {a: 1}\n", NULL, "job.yaml:1:7: 'seed' is a mapping; expected integer");
    refused("seed: 99999999999999999999\n", NULL, "job.yaml:1:7: 'seed' is 99999999999999999999; expected integer");
    refused("verbose: yes\n", NULL, "job.yaml:1:10: 'verbose' is yes; expected true or false");
    refused("optim: {rule: addam}\n", NULL,
            "job.yaml:1:15: 'optim.rule' is addam; expected one of: sgd, adam, none; did you mean 'adam'?");
    refused("optim:\n  schedule: {lr: fast}\n", NULL,
            "job.yaml:2:18: 'optim.schedule.lr' is fast; expected real in [0, 10]");
    refused("data: {sizes: 3}\n", NULL, "job.yaml:1:15: 'data.sizes' is 3; expected list of integers in [1, 100]");
    refused("data: {sizes: [3, x]}\n", NULL,
            "job.yaml:1:19: 'data.sizes[1]' is x; expected list of integers in [1, 100]");
    refused("data: {path: }\n", NULL,
            "job.yaml:1:14: 'data.path' has no value; expected string (\"\" is the empty one)");
    refused("data: {path: [a]}\n", NULL, "job.yaml:1:14: 'data.path' is a list; expected string");
    refused("data: 5\n", NULL, "job.yaml:1:7: 'data' is a section; write its keys below it as key: value");
    refused("- 1\n", NULL, "job.yaml:1:1: a configuration is a mapping of sections");
    refused("model: {net: {layers: [relu]}}\n", NULL,
            "job.yaml:1:24: 'model.net.layers[0]' is no mapping; write key: value pairs");
    refused("model: {net: {layers: relu}}\n", NULL,
            "job.yaml:1:23: 'model.net.layers' is relu; expected list of mappings");
    refused("", "seed=x", "override 'seed=x': 'seed' is x; expected integer");
    refused("", "seed=", "override 'seed=': 'seed' has no value; expected integer");
}

static void test_out_of_range(void **unused)
{
    (void)unused;
    refused("optim: {schedule: {lr: 10.5}}\n", NULL,
            "job.yaml:1:24: 'optim.schedule.lr' is 10.5; expected real in [0, 10]");
    refused("optim: {schedule: {lr: .nan}}\n", NULL,
            "job.yaml:1:24: 'optim.schedule.lr' is .nan; expected real in [0, 10]");
    refused("optim: {limit: .inf}\n", NULL, "job.yaml:1:16: 'optim.limit' is .inf; expected real in [0, 5]");
    refused("optim: {schedule: {milestones: [1, -1]}}\n", NULL,
            "job.yaml:1:36: 'optim.schedule.milestones[1]' is -1; expected list of reals >= 0");
    refused("data: {sizes: [0]}\n", NULL, "job.yaml:1:16: 'data.sizes[0]' is 0; expected list of integers in [1, 100]");
    refused("model: {net: {layers: [{type: conv, out: 5000}]}}\n", NULL,
            "job.yaml:1:42: 'model.net.layers[0].out' is 5000; expected integer in [1, 4096]");
}

static void test_yaml_that_is_refused(void **unused)
{
    (void)unused;
    refused("seed: 1\nverbose: true\nseed: 2\n", NULL, "job.yaml:3:1: key 'seed' is there twice, first at line 1");
    refused("data: {path: a, path: b}\n", NULL, "job.yaml:1:17: key 'path' is there twice, first at line 1");
    refused("data: &x {path: a}\noptim: *x\n", NULL,
            "job.yaml:2:8: aliases (*name) are not supported: write the value again");
    refused("seed: !!int 1\n", NULL, "job.yaml:1:7: tags (!name) are not supported");
    refused("seed: 1\n---\nseed: 2\n", NULL, "job.yaml:2:1: a second document in the same file");
    refused("[a]: 1\n", NULL, "job.yaml:1:1: a key has to be a word");
    refused("data: {path: \"a\\0b\"}\n", NULL, "job.yaml:1:14: a zero character inside a text");
    refused("", "optim", "override 'optim': write it as section.key=value");
    refused("", "=3", "override '=3': write it as section.key=value");
    refused("", "optim={}", "override 'optim={}': 'optim' is a section; override one of its keys");
    refused("", "data.path=\xFF", "override 'data.path=\xFF': not UTF-8");
    refused("", "model.net.layers=[{type: relu, type: relu}]",
            "override 'model.net.layers=[{type: relu, type: relu}]': key 'type' is there twice");
    refused(
        "model: {net: {layers: [{out: 3}]}}\n", NULL,
        "job.yaml:1:24: required key 'model.net.layers[0].type' is missing (one of: conv, dense, relu: kind of layer)");
}

/* What libyaml says is its own; place and status are ours. */
static void test_broken_yaml(void **unused)
{
    (void)unused;
    static const char *const broken[] = {"seed: [1\n", "a: b: c\n",        "\tseed: 1\n", "seed: \"x\n",
                                         "{",          "data: {path: a\n", "\xFF"};
    const int64_t blocks = bnf_mem_live_blocks();
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_int_equal(load_with(broken[i], NULL, 0), BNF_ERR_CONFIG);
        assert_memory_equal(bnf_error_message(), "job.yaml:", 9);
        assert_non_null(strstr(bnf_error_message(), ": not valid YAML: "));
        assert_int_equal(bnf_mem_live_blocks(), blocks);
        bnf_error_clear();
    }
    char deep[400];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(load_with(deep, NULL, 0), BNF_ERR_CONFIG);
    assert_non_null(strstr(bnf_error_message(), "nested too deep"));
    bnf_error_clear();
}

static void test_required_at_top(void **unused)
{
    (void)unused;
    static const bnf_cfg_key keys[] = {
        {"path", BNF_CFG_STRING, offsetof(settings, path), NULL, .doc = "where the data lie"}};
    const bnf_cfg_section one[] = {{"data", NULL, BNF_CFG_KEYS(keys), &target}};
    assert_int_equal(bnf_config_load(NULL, one, 1, NULL, 0), BNF_ERR_CONFIG);
    assert_string_equal(bnf_error_message(),
                        "configuration: required key 'data.path' is missing (string: where the data lie)");
    bnf_error_clear();
    const char *override = "data.path=x";
    assert_int_equal(bnf_config_load(NULL, one, 1, &override, 1), BNF_OK);
    assert_string_equal(target.path, "x");
    bnf_config_free(one, 1);
}

static void test_missing_file(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_config_load("/nowhere/x.yaml", sections, SECTIONS, NULL, 0), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/nowhere/x.yaml"));
    bnf_error_clear();
}

static void test_dump_round_trip(void **unused)
{
    (void)unused;
    const char *const overrides[] = {"optim.schedule.lr=0.30000000000000004", "seed=-9223372036854775808",
                                     "data.path=q\"u\\o\n\t\x01 \xC2\x85\xE2\x80\xA8\xF0\x9F\x98\x80 #: [",
                                     "data.classes=[\"\", \"null\", ~x, \"a\\nb\"]"};
    bnf_buf first = {0}, second = {0};
    assert_int_equal(load_with(full_text, overrides, 4), BNF_OK);
    assert_int_equal(bnf_config_dump(&first, sections, SECTIONS), BNF_OK);
    char *path;
    assert_int_equal(bnf_strdup(target.path, &path), BNF_OK);
    bnf_config_free(sections, SECTIONS);
    load_ok(first.data);
    assert_true(target.lr == 0.30000000000000004 && target.seed == INT64_MIN);
    assert_string_equal(target.path, path);
    assert_string_equal(target.classes.value[1], "null");
    assert_string_equal(target.classes.value[3], "a\nb");
    const layer *layers = target.layers.item;
    assert_string_equal(((layer *)layers[1].inner.item)[0].name, "deep");
    assert_int_equal(bnf_config_dump(&second, sections, SECTIONS), BNF_OK);
    assert_string_equal(first.data, second.data);
    bnf_config_free(sections, SECTIONS);
    bnf_free(path);
    bnf_buf_release(&first);
    bnf_buf_release(&second);
}

static void test_dump_form(void **unused)
{
    (void)unused;
    bnf_buf b = {0};
    load_ok("model: {net: {layers: [{type: conv, inner: [{type: relu}]}, {type: dense}]}}\n");
    assert_int_equal(bnf_config_dump(&b, sections, SECTIONS), BNF_OK);
    assert_string_equal(b.data, "seed: 1\nverbose: false\n"
                                "optim:\n  rule: adam\n  limit: .nan\n"
                                "  schedule:\n    lr: 0.001\n    milestones: []\n"
                                "data:\n  path: \"data set\"\n  sizes: [32, 32]\n  classes: []\n"
                                "model:\n  net:\n    layers:\n"
                                "      - type: conv\n        out: 16\n        name: \"\"\n        scale: [1]\n"
                                "        inner:\n"
                                "          - type: relu\n            out: 16\n            name: \"\"\n"
                                "            scale: [1]\n            inner: []\n"
                                "      - type: dense\n        out: 16\n        name: \"\"\n        scale: [1]\n"
                                "        inner: []\n");
    bnf_config_free(sections, SECTIONS);
    bnf_buf_release(&b);
}

/* Keys that change no result are dumped, but not among the results. */
static void test_dump_results(void **unused)
{
    (void)unused;
    struct {
        int64_t a, b;
    } t;
    const bnf_cfg_key keys[] = {{"a", BNF_CFG_INT, 0, "1", "counts"},
                                {"b", BNF_CFG_INT, sizeof(int64_t), "2", "does not", .free = true}};
    const bnf_cfg_section section = {"s", NULL, BNF_CFG_KEYS(keys), &t};
    bnf_buf all = {0}, results = {0}, help = {0};
    assert_int_equal(bnf_config_load_text("", 0, "none", &section, 1, NULL, 0), BNF_OK);
    assert_int_equal(bnf_config_dump(&all, &section, 1), BNF_OK);
    assert_int_equal(bnf_config_dump_results(&results, &section, 1), BNF_OK);
    assert_int_equal(bnf_config_help(&help, &section, 1), BNF_OK);
    assert_string_equal(all.data, "s:\n  a: 1\n  b: 2\n");
    assert_string_equal(results.data, "s:\n  a: 1\n");
    assert_non_null(strstr(help.data, "b: 2"));
    bnf_config_free(&section, 1);
    bnf_buf_release(&all);
    bnf_buf_release(&results);
    bnf_buf_release(&help);
}

/* The help names every key, its type and meaning, and is itself a configuration of the defaults. */
static void test_help(void **unused)
{
    (void)unused;
    bnf_buf help = {0}, from_help = {0}, from_nothing = {0};
    assert_int_equal(bnf_config_help(&help, sections, SECTIONS), BNF_OK);
    static const char *const parts[] = {
        "# seed of all random numbers (integer)\nseed: 1\n",
        "optim: # how weights change\n  # update rule (one of: sgd, adam, none)\n  rule: adam\n",
        "  schedule: # the learning rate over time\n    # learning rate (real in [0, 10])\n    lr: 0.001\n",
        "    # epochs (list of reals >= 0)\n    milestones: []\n",
        "# output channels (integer in [1, 4096])\n",
        "# type: (required)\n",
        "  path: \"data set\"\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(strstr(help.data, parts[i]));
    load_ok(help.data);
    bnf_config_dump(&from_help, sections, SECTIONS);
    bnf_config_free(sections, SECTIONS);
    load_ok("");
    bnf_config_dump(&from_nothing, sections, SECTIONS);
    bnf_config_free(sections, SECTIONS);
    assert_string_equal(from_help.data, from_nothing.data);
    bnf_buf_release(&help);
    bnf_buf_release(&from_help);
    bnf_buf_release(&from_nothing);
}

/* Each allocation in turn fails: a clean error every time, nothing leaks. */
static void test_no_memory(void **unused)
{
    (void)unused;
    const char *const overrides[] = {"data.path=other", "data.classes=[a, b]", "seed=2"};
    const int64_t blocks = bnf_mem_live_blocks();
    bnf_status s = BNF_ERR_MEMORY;
    int nth = 0;
    while (s != BNF_OK) {
        bnf_mem_fail_at(++nth);
        s = load_with(full_text, overrides, 3);
        bnf_mem_fail_at(0);
        if (s == BNF_OK)
            break;
        assert_int_equal(s, BNF_ERR_MEMORY);
        assert_int_equal(bnf_mem_live_blocks(), blocks);
        assert_memory_equal(bnf_error_message(), "cannot allocate ", 16);
        bnf_error_clear();
    }
    assert_true(nth > 15);
    assert_string_equal(target.path, "other");
    bnf_config_free(sections, SECTIONS);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_yaml_that_is_refused),
        cmocka_unit_test(test_broken_yaml),
        cmocka_unit_test(test_required_at_top),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_dump_round_trip),
        cmocka_unit_test(test_dump_form),
        cmocka_unit_test(test_dump_results),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
