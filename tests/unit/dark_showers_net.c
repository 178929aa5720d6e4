/* The networks for dark showers: numbers of parameters, how they start, what conditioning does, scores of images whose
 * values are known, and gradients of the whole network. */
#include "graph_fixture.h"

#include "base/mem.h"
#include "recipes/dark_showers/dark_showers.h"
#include "recipes/dark_showers/net.h"

#define COUNT(array) ((int64_t)(sizeof(array) / sizeof(array)[0]))
#define LIST(...)                                                        \
    {                                                                    \
        .count = COUNT(((int64_t[]){__VA_ARGS__})), .value = (int64_t[]) \
        {                                                                \
            __VA_ARGS__                                                  \
        }                                                                \
    }

enum { PHI = 72, ETA = 58, CELLS = PHI * ETA };

#define PAPER                                                                                               \
    {                                                                                                       \
        .filters = LIST(64, 128, 128, 256), .aux_filters = LIST(64, 128, 128, 256), .latent = 64, .aux = 2, \
        .groups = 4, .aux_groups = 2, .slope = 0.2                                                          \
    }
#define SECTORS                                                                                           \
    {                                                                                                     \
        .filters = LIST(16, 32, 32), .aux_filters = LIST(8, 16, 16), .latent = 16, .aux = 2, .groups = 1, \
        .aux_groups = 1, .slope = 0.2                                                                     \
    }
/* Four stages, as small as it gets, with groups. */
#define TINY                                                                                                         \
    {                                                                                                                \
        .filters = LIST(2, 4, 4, 2), .aux_filters = LIST(2, 2), .latent = 3, .aux = 2, .groups = 2, .aux_groups = 2, \
        .slope = 0.2                                                                                                 \
    }

/* ---- Numbers of parameters ---- */

typedef struct network {
    bnf_params *params;
    bnf_graph *graph;
    bnf_scope s;
    bnf_val x;
} network;

static void open_network(network *n, int64_t height, int64_t width)
{
    bnf_desc x = bnf_desc_4d(BNF_F32, 1, height, width, 1), one = bnf_desc_1d(BNF_F32, 1);
    OK(bnf_params_create(BNF_F32, &n->params));
    OK(bnf_graph_create(n->params, 1, true, &n->graph));
    n->s = (bnf_scope){n->params, n->graph, bnf_graph_builder(n->graph), BNF_NONE, BNF_NONE, true};
    n->s.count = bnf_graph_knob(n->graph, "count", &one);
    n->x = bnf_graph_input(n->graph, "x", &x);
}

static void close_network(network *n)
{
    OK(bnf_graph_status(n->graph));
    bnf_graph_destroy(n->graph);
    bnf_params_destroy(n->params);
}

/* Elements of the parameters whose names begin with `prefix`. */
static int64_t elements(const network *n, const char *prefix)
{
    int64_t sum = 0;
    for (int i = 0; i < bnf_params_count(n->params); i++) {
        const bnf_param_info *info = bnf_params_info(n->params, i);
        assert_true(info->trainable);
        if (strncmp(info->name, prefix, strlen(prefix)) == 0)
            sum += bnf_desc_count(&info->desc);
    }
    return sum;
}

static void assert_elements(const network *n, const char *prefix, int64_t expect)
{
    if (elements(n, prefix) != expect)
        fail_msg("'%s': %lld numbers, not %lld", prefix, (long long)elements(n, prefix), (long long)expect);
}

static void assert_shape(const network *n, bnf_val v, int ndim, const int64_t *dim)
{
    assert_true(bnf_val_ok(v));
    const bnf_desc *d = bnf_val_desc(n->s.b, v);
    assert_int_equal(d->ndim, ndim);
    for (int i = 0; i < ndim; i++)
        assert_int_equal(d->dim[i], dim[i]);
}

static void counts_of_the_paper(void **state)
{
    (void)state;
    const bnf_dark_model m = PAPER;
    network n;
    open_network(&n, PHI, ETA);
    bnf_val z = bnf_dark_encoder(&n.s, &m, n.x), z_m = bnf_dark_aux_encoder(&n.s, &m, n.x);
    bnf_val y = bnf_dark_decoder(&n.s, &m, z, z_m, PHI, ETA);
    assert_shape(&n, z, 4, (int64_t[]){1, 5, 4, 64});
    assert_shape(&n, z_m, 2, (int64_t[]){1, 2});
    assert_shape(&n, y, 4, (int64_t[]){1, PHI, ETA, 1});
    assert_elements(&n, "encoder.", 612032);
    assert_elements(&n, "aux.", 270594);
    assert_elements(&n, "decoder.", 763841);
    assert_elements(&n, "encoder.stage1.down.", 768);
    assert_elements(&n, "encoder.stage1.res1.", 9408);
    assert_elements(&n, "decoder.stage1.condition.", 2368);
    assert_elements(&n, "aux.dense.", 10242);
    close_network(&n);
}

/* Through the recipe: the small network; without conditioning; with a classifier in place of the last convolution. */
static void counts_of_kinds(void **state)
{
    (void)state;
    const bnf_dark_model paper = PAPER, sectors = SECTORS;
    const int64_t conditions = 37 * (64 + 256 + 128 + 128), last = 257 * 64;
    const struct {
        bnf_dark_model m;
        int kind;
        int64_t height, width, expect;
    } cases[] = {
        {paper, BNF_DARK_CODAE, PHI, ETA, 1646467},
        {paper, BNF_DARK_AUTOENCODER, PHI, ETA, 612032 + 763841 - conditions},
        {paper, BNF_DARK_SUPERVISED, PHI, ETA, 612032 - last + 257 * 9},
        {sectors, BNF_DARK_CODAE, 36, 28, 124579},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        network n;
        bnf_model_values values;
        bnf_dark_settings set = {.model = cases[i].m};
        bnf_desc labels = bnf_desc_1d(BNF_I32, 1);
        set.model.kind = cases[i].kind;
        OK(bnf_recipe_dark_showers.check(&set));
        open_network(&n, cases[i].height, cases[i].width);
        bnf_recipe_dark_showers.build(&set, &n.s, n.x, bnf_graph_input(n.graph, "labels", &labels), 9, &values);
        assert_elements(&n, "", cases[i].expect);
        assert_int_equal(bnf_val_ok(values.logits), cases[i].kind == BNF_DARK_SUPERVISED);
        assert_int_equal(values.n_outputs, 0); /* in training */
        close_network(&n);
    }
}

/* Convolutions and the dense layer uniform within sqrt(6 / inputs), scales 1, all else 0 but the last bias. */
static void start(void **state)
{
    (void)state;
    const bnf_dark_model m = PAPER;
    network n;
    open_network(&n, PHI, ETA);
    bnf_dark_decoder(&n.s, &m, bnf_dark_encoder(&n.s, &m, n.x), bnf_dark_aux_encoder(&n.s, &m, n.x), PHI, ETA);
    OK(bnf_params_init(n.params, 3));
    for (int i = 0; i < bnf_params_count(n.params); i++) {
        const bnf_param_info *info = bnf_params_info(n.params, i);
        const float *v = bnf_params_value(n.params, i);
        int64_t count = bnf_desc_count(&info->desc);
        double bound = sqrt(6.0 * (double)info->desc.dim[0] / (double)count), most = 0;
        double fixed = strstr(info->name, ".gamma") ? 1 : strcmp(info->name, "decoder.output.bias") == 0 ? -1 : 0;
        for (int64_t k = 0; k < count; k++) {
            most = fmax(most, fabs((double)v[k]));
            if (info->desc.ndim == 1 && (double)v[k] != fixed)
                fail_msg("%s starts at %g", info->name, (double)v[k]);
        }
        if (info->desc.ndim > 1 && !(most <= bound && most > 0.9 * bound))
            fail_msg("%s: at most %g, the bound is %g", info->name, most, bound);
    }
    close_network(&n);
}

/* ---- Values ---- */

/* What the next fixture is made of. */
static bnf_dark_settings set;
static bool training, bf16;
static bnf_model_values values;

static bnf_val build_recipe(fixture *f)
{
    f->scope.training = training;
    f->scope.bf16 = bf16;
    bnf_recipe_dark_showers.build(&set, &f->scope, f->x, f->labels, f->classes, &values);
    return values.loss;
}

static int find(const fixture *f, const char *name)
{
    int i = bnf_params_find(f->params, name);
    if (i < 0)
        fail_msg("no parameter '%s'", name);
    return i;
}

static void fill(const fixture *f, const char *name, double value)
{
    int i = find(f, name);
    double *v = bnf_params_value(f->params, i);
    for (int64_t k = 0; k < bnf_desc_count(&bnf_params_info(f->params, i)->desc); k++)
        v[k] = value;
    bnf_params_touch(f->params);
}

/* Decoders with and without conditioning, of the same parameters. */
static bnf_val build_both(fixture *f)
{
    bnf_scope *s = &f->scope;
    bnf_val z = bnf_dark_encoder(s, &set.model, f->x), z_m = bnf_dark_aux_encoder(s, &set.model, f->x);
    const int64_t h = bnf_val_desc(s->b, f->x)->dim[1], w = bnf_val_desc(s->b, f->x)->dim[2];
    bnf_val y = bnf_dark_decoder(s, &set.model, z, z_m, h, w);
    f->kept[f->n_kept++] = y;
    f->kept[f->n_kept++] = bnf_dark_decoder(s, &set.model, z, BNF_NONE, h, w);
    return bnf_nn_batch_mean(s, bnf_sum_last(s->b, bnf_flatten(s->b, bnf_tanh(s->b, y))));
}

/* With weights 0 and biases 1 conditioning changes no bit; with the weights of the start it does. */
static void conditioning(void **state)
{
    (void)state;
    fixture f;
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_4d(BNF_F64, 1, 12, 10, 1);
    const size_t bytes = 2 * 12 * 10 * sizeof(double);
    set.model = (bnf_dark_model)TINY;
    set.model.filters.count = 3; /* a fourth stage would leave one position, which norms make 0 */
    fixture_open(&f, BNF_F64, 2, 1, &sample, 2, build_both, &cfg);
    fixture_run(&f);
    assert_memory_not_equal(bnf_plan_output(f.plan, f.kept[0]), bnf_plan_output(f.plan, f.kept[1]), bytes);
    for (int i = 1; i <= set.model.filters.count; i++) {
        char name[64];
        snprintf(name, sizeof name, "decoder.stage%d.condition.weight", i);
        fill(&f, name, 0);
        snprintf(name, sizeof name, "decoder.stage%d.condition.bias", i);
        fill(&f, name, 1);
    }
    fixture_run(&f);
    assert_memory_equal(bnf_plan_output(f.plan, f.kept[0]), bnf_plan_output(f.plan, f.kept[1]), bytes);
    fixture_close(&f);
}

static double output(const bnf_plan *plan, const char *name, int64_t sample)
{
    for (int i = 0; i < values.n_outputs; i++)
        if (strcmp(values.outputs[i].name, name) == 0)
            return ((const double *)bnf_plan_output(plan, values.outputs[i].value))[sample];
    fail_msg("no output '%s'", name);
    return 0;
}

static void assert_output(const bnf_plan *plan, const char *name, int64_t sample, double expect)
{
    double v = output(plan, name, sample);
    if (!(fabs(v - expect) < 0.005))
        fail_msg("%s of sample %lld: %.9g, expected %.9g", name, (long long)sample, v, expect);
}

/* Dice of an image, as events.c makes it of an event. */
static void assert_dice(double dice, double expect)
{
    if (!(fabs(dice - expect) < 1e-9))
        fail_msg("Dice %.12g, expected %.12g", dice, expect);
}

static bnf_plan *plan_outputs(fixture *f)
{
    bnf_plan *plan;
    bnf_val kept[BNF_MODEL_MAX_OUTPUTS + 1];
    bnf_plan_config cfg = {.threads = 1};
    double count = (double)f->batch;
    for (int i = 0; i < values.n_outputs; i++)
        kept[i] = values.outputs[i].value;
    kept[values.n_outputs] = values.loss;
    OK(bnf_plan_create(&cfg, f->graph, kept, values.n_outputs + 1, &plan));
    OK(bnf_plan_set(plan, f->count, &count));
    OK(bnf_plan_bind(plan, f->x, f->x_data));
    OK(bnf_plan_bind(plan, f->labels, f->label_data));
    OK(bnf_plan_bind(plan, f->weight, f->weight_data));
    return plan;
}

/* A reconstruction that is the same everywhere: 81 hits of 4176 cells, and a picture full of them. */
static void constant_scores(void **state)
{
    (void)state;
    fixture f;
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_4d(BNF_F64, 1, PHI, ETA, 1);
    set.model = (bnf_dark_model)TINY;
    training = false;
    fixture_open(&f, BNF_F64, 2, 2, &sample, 2, build_recipe, &cfg);
    double *x = f.x_data, share = 81.0 / CELLS, p1 = 1 / (1 + exp(1.0));
    for (int i = 0; i < 2 * CELLS; i++)
        x[i] = i >= CELLS || (i % 51 == 7 && i / 51 < 81);
    bnf_plan *plan = plan_outputs(&f);
    fill(&f, "decoder.output.weight", 0); /* its bias is -1 */
    OK(bnf_plan_run(plan, 0));
    assert_output(plan, "hits", 0, 81);
    assert_output(plan, "hits", 1, CELLS);
    assert_output(plan, "bce", 0, 1389.18);
    assert_output(plan, "energy", 0, CELLS * p1);
    assert_output(plan, "energy", 1, CELLS * p1);
    assert_output(plan, "mse", 0, 81 * (1 - p1) * (1 - p1) + (CELLS - 81) * p1 * p1);
    assert_output(plan, "reconstruction", CELLS, p1);
    fill(&f, "decoder.output.bias", log(share / (1 - share)));
    OK(bnf_plan_run(plan, 0));
    assert_output(plan, "bce", 0, 399.56);
    fill(&f, "decoder.output.bias", 0);
    OK(bnf_plan_run(plan, 0));
    assert_output(plan, "squares", 0, CELLS * 0.25 + 81);
    assert_output(plan, "overlap", 0, 81 * 0.5);
    assert_dice(output(plan, "squares", 1) / (2 * output(plan, "overlap", 1)), 1.25);
    assert_output(plan, "bce", 1, CELLS * log(2));
    assert_true(fabs(*(const double *)bnf_plan_output(plan, values.loss) - CELLS * log(2)) <
                1e-6); /* a mean, not a sum */
    bnf_plan_destroy(plan);
    fixture_close(&f);
}

/* ---- Gradients ---- */

static void open_small(fixture *f, int kind, int64_t leaves)
{
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_4d(BNF_F64, 1, 12, 10, 1);
    set.model = (bnf_dark_model)TINY;
    set.model.kind = kind;
    set.model.filters.count = 3;
    training = true;
    fixture_open(f, BNF_F64, 4, leaves, &sample, 2, build_recipe, &cfg);
    f->differences = 4;
}

static void gradients(void **state)
{
    (void)state;
    const int kinds[] = {BNF_DARK_CODAE, BNF_DARK_AUTOENCODER, BNF_DARK_SUPERVISED};
    for (int i = 0; i < 3; i++) {
        fixture f;
        open_small(&f, kinds[i], 2);
        fixture_check_gradients(&f, 2e-6);
        fixture_close(&f);
    }
}

/* Neither the number of leaves nor a row that does not count changes the loss. */
static void leaves_and_padding(void **state)
{
    (void)state;
    double loss[3];
    for (int i = 0; i < 3; i++) {
        fixture f;
        open_small(&f, BNF_DARK_CODAE, i == 0 ? 1 : 4);
        if (i == 2) { /* three of four samples count, and the fourth is the mean of nothing */
            double three = 3, *x = f.x_data;
            ((double *)f.weight_data)[3] = 0;
            OK(bnf_plan_set(f.plan, f.count, &three));
            double first = fixture_run(&f);
            for (int k = 3 * 120; k < 4 * 120; k++)
                x[k] = 0.5;
            loss[i] = fixture_run(&f);
            assert_true(loss[i] == first);
        } else {
            loss[i] = fixture_run(&f);
        }
        fixture_close(&f);
    }
    assert_true(fabs(loss[0] - loss[1]) < 1e-9 * fabs(loss[0]));
    assert_true(loss[2] != loss[0]);
}

/* Values inside the networks in bf16: nearly the same loss. */
static void half_precision(void **state)
{
    (void)state;
    const int kinds[] = {BNF_DARK_CODAE, BNF_DARK_SUPERVISED};
    bnf_plan_config cfg = {.threads = 1};
    bnf_desc sample = bnf_desc_4d(BNF_F32, 1, 12, 10, 1);
    for (int i = 0; i < 2; i++) {
        double loss[2];
        for (int k = 0; k < 2; k++) {
            fixture f;
            set.model = (bnf_dark_model)TINY;
            set.model.kind = kinds[i];
            set.model.filters.count = 3;
            training = true;
            bf16 = k == 1;
            fixture_open(&f, BNF_F32, 4, 2, &sample, 2, build_recipe, &cfg);
            loss[k] = fixture_run(&f);
            fixture_close(&f);
        }
        assert_true(loss[0] != loss[1] && fabs(loss[0] - loss[1]) < 0.03 * fabs(loss[0]));
    }
    bf16 = false;
}

/* ---- What cannot be ---- */

static void refuses_settings(bnf_dark_model m, const char *text)
{
    bnf_dark_settings s = {.model = m};
    assert_int_equal(bnf_recipe_dark_showers.check(&s), BNF_ERR_CONFIG);
    if (!strstr(bnf_error_message(), text))
        fail_msg("'%s' does not say '%s'", bnf_error_message(), text);
    bnf_error_clear();
}

static void refuses_network(bnf_dark_model m, int64_t channels, const char *text)
{
    network n;
    bnf_dark_settings s = {.model = m};
    bnf_desc x = bnf_desc_4d(BNF_F32, 1, 12, 10, channels), labels = bnf_desc_1d(BNF_I32, 1);
    open_network(&n, 12, 10);
    bnf_recipe_dark_showers.build(&s, &n.s, bnf_graph_input(n.graph, "images", &x),
                                  bnf_graph_input(n.graph, "labels", &labels), 2, &values);
    assert_int_equal(bnf_graph_status(n.graph), BNF_ERR_CONFIG);
    if (!strstr(bnf_error_message(), text))
        fail_msg("'%s' does not say '%s'", bnf_error_message(), text);
    bnf_error_clear();
    bnf_graph_destroy(n.graph);
    bnf_params_destroy(n.params);
}

static void refusals(void **state)
{
    (void)state;
    bnf_dark_model m = TINY;
    m.filters.count = 0;
    refuses_settings(m, "model.filters: 0 stages");
    m = (bnf_dark_model)TINY;
    m.aux_filters = (bnf_cfg_ints)LIST(2, 2, 2, 2, 2, 2, 2, 2, 2);
    refuses_settings(m, "model.aux_filters: 9 stages");
    m = (bnf_dark_model)TINY;
    refuses_network(m, 3, "not images of 3");
    m.groups = 3;
    refuses_network(m, 1, "encoder.stage1.res1: 3 groups do not divide 2 and 2 channels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_the_paper), cmocka_unit_test(counts_of_kinds), cmocka_unit_test(start),
        cmocka_unit_test(conditioning),        cmocka_unit_test(constant_scores), cmocka_unit_test(gradients),
        cmocka_unit_test(leaves_and_padding),  cmocka_unit_test(half_precision),  cmocka_unit_test(refusals),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures || bnf_mem_live_blocks() != 0;
}
