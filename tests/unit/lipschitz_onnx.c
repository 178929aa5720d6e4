/* ONNX export: the file, read by a parser of its own, has the operators, shapes and names that are documented, its
 * constants are the bytes of the weights, and an evaluator of its own, written after the operators' definitions,
 * gets the logits of the network in f64 from it. */
#include "recipes/lipschitz/forward.h"
#include "recipes/lipschitz/lipschitz.h"
#include "recipes/lipschitz/onnx.h"

#include "base/fs.h"
#include "base/mem.h"
#include "train/model.h"

#include "onnx_eval.h"
#include "unit/lipschitz_support.h"

enum { MAX_LAYERS = 32, BATCH = 3, MAX_SIZE = 2048 };

/* A network with given weights and its export. */
typedef struct lab {
    bnf_layer layers[MAX_LAYERS];
    bnf_lipschitz_settings settings;
    bnf_job job;
    bnf_dataset_info info;
    bnf_params *params;
    bnf_lipschitz_net net;
    char path[64];
    bnf_buf file;
    onnx_model model; /* points into the file */
} lab;

/* Over u8 images. */
static void lab_open(lab *l, bnf_lip_kind constraint, int64_t h, int64_t w, int64_t c, const bnf_layer *layers, int n)
{
    bnf_model naming = {0};
    memset(l, 0, sizeof *l);
    l->settings.model.constraint = constraint;
    memcpy(l->layers, layers, (size_t)n * sizeof *layers);
    l->settings.model.layers = (bnf_cfg_maps){n, l->layers};
    l->settings.loss.kind = BNF_LIPSCHITZ_CROSS_ENTROPY;
    l->job = (bnf_job){.recipe = &bnf_recipe_lipschitz, .settings = &l->settings};
    l->job.data.normalise = BNF_NORMALISE_AFFINE;
    l->job.data.scale = 1.5;
    l->job.data.shift = -0.25;
    l->info = (bnf_dataset_info){.path = "test", .dtype = BNF_U8, .h = h, .w = w, .c = c, .count = 1, .classes = 2};
    OK(bnf_params_create(BNF_F32, &l->params));
    OK(bnf_model_build(&l->job, l->params, &l->info, 1, 1, true, &naming));
    bnf_model_release(&naming);
    fill_params(l->params, 0.5);
    OK(bnf_lipschitz_net_create(&l->job, l->params, &l->info, &l->net));
    snprintf(l->path, sizeof l->path, "/tmp/bnf-onnx-%ld.onnx", (long)getpid());
    OK(bnf_lipschitz_onnx_write(&l->net, l->params, l->path));
    OK(bnf_fs_read(l->path, &l->file));
    assert_true(onnx_parse(&l->model, l->file.data, l->file.size));
}

static void lab_close(lab *l)
{
    remove(l->path);
    onnx_release(&l->model);
    bnf_buf_release(&l->file);
    bnf_lipschitz_net_release(&l->net);
    bnf_params_destroy(l->params);
}

/* Every parameter and state is a constant of its name with the same bytes; of angles and learned
 * shares, what is made of them is there. */
static void check_constants(const lab *l)
{
    for (int p = 0; p < bnf_params_count(l->params); p++) {
        const bnf_param_info *info = bnf_params_info(l->params, p);
        const onnx_tensor *t = onnx_constant(&l->model, info->name);
        int64_t n = 1;
        if (strstr(info->name, ".angle") || strstr(info->name, ".mix"))
            continue;
        if (!t)
            fail_msg("the file has no constant '%s'", info->name);
        for (int i = 0; i < t->ndim; i++)
            n *= t->dim[i];
        assert_int_equal(t->type, 1);
        assert_int_equal(n, bnf_desc_count(&info->desc));
        assert_int_equal(t->bytes, 4 * n);
        assert_memory_equal(t->raw, bnf_params_value(l->params, p), t->bytes);
        if (t->ndim == info->desc.ndim)
            assert_memory_equal(t->dim, info->desc.dim, (size_t)t->ndim * sizeof *t->dim);
    }
}

/* The file computes what the network in f64 computes, for a batch of pictures. */
static void check_logits(const lab *l)
{
    static double pixels[BATCH][MAX_SIZE], x[MAX_SIZE], want[64], norms[MAX_LAYERS + 1];
    bnf_lipschitz_forward *forward;
    int64_t size = bnf_lipschitz_size(&l->net.in), area = l->net.in.h * l->net.in.w, c = l->net.in.c;
    onnx_value in = onnx_new(4, (int64_t[]){BATCH, c, l->net.in.h, l->net.in.w}), out;
    double *scratch;
    assert_true(size <= MAX_SIZE && l->net.outputs <= 64);
    for (int64_t i = 0; i < BATCH * size; i++) {
        int64_t n = i / size, at = i % size;
        pixels[n][at] = 0.5 + 0.5 * noise((uint64_t)i + 77);
        in.x[n * size + at % c * area + at / c] = pixels[n][at];
    }
    out = onnx_run(&l->model, &in);
    assert_int_equal(out.ndim, 2);
    assert_int_equal(out.dim[0], BATCH);
    assert_int_equal(out.dim[1], l->net.outputs);
    OK(bnf_lipschitz_forward_create(&l->net, l->params, &forward));
    OK(bnf_alloc((size_t)bnf_lipschitz_forward_scratch(forward) * sizeof *scratch, "scratch", &scratch));
    for (int64_t n = 0; n < BATCH; n++) {
        bnf_lipschitz_inputs(&l->net, pixels[n], x);
        bnf_lipschitz_forward_run(forward, x, scratch, want, norms);
        for (int64_t j = 0; j < l->net.outputs; j++) {
            double got = out.x[n * l->net.outputs + j];
            if (!(fabs(got - want[j]) <= 1e-5 * (1 + fabs(want[j]))))
                fail_msg("picture %d, logit %d: %.9g from the file, %.9g", (int)n, (int)j, got, want[j]);
        }
    }
    bnf_lipschitz_forward_destroy(forward);
    bnf_free(scratch);
    onnx_drop(&out);
}

static void check_network(bnf_lip_kind constraint, int64_t h, int64_t w, int64_t c, const bnf_layer *layers, int n)
{
    lab l;
    lab_open(&l, constraint, h, w, c, layers, n);
    check_constants(&l);
    check_logits(&l);
    lab_close(&l);
}

/* {kind, out, kernel, stride, pad, dilation, groups}; 0: usual. */
static bnf_layer layer(bnf_layer_kind kind, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation,
                       int64_t groups)
{
    bnf_layer l = bnf_layer_default(kind);
    l.out = out;
    l.kernel = kernel ? kernel : l.kernel;
    l.stride = stride;
    l.pad = pad;
    l.dilation = dilation ? dilation : 1;
    l.groups = groups ? groups : 1;
    l.slope = 0.2;
    return l;
}

#define CONV(out) layer(BNF_LAYER_CONV, out, 3, 0, -1, 0, 0)
#define DENSE(out) layer(BNF_LAYER_DENSE, out, 0, 0, 0, 0, 0)
#define HEAD(out) layer(BNF_LAYER_HEAD, out, 0, 0, 0, 0, 0)
#define POOL(kind, window, stride, pad) layer(kind, 0, window, stride, pad, 0, 0)
#define PLAIN(kind) layer(kind, 0, 0, 0, -1, 0, 0)
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* ---- what the file says ---- */

static void operators(void **state)
{
    (void)state;
    static const char *const want[] = {"Mul",       "Add",    "Conv",      "Reshape", "ReduceMin",
                                       "ReduceMax", "Concat", "Reshape",   "Mul",     "AveragePool",
                                       "Mul",       "Sqrt",   "Transpose", "Flatten", "Gemm"};
    bnf_layer head = HEAD(3);
    head.bias = false;
    const bnf_layer layers[] = {CONV(4), PLAIN(BNF_LAYER_GROUPSORT2), POOL(BNF_LAYER_L2_POOL, 2, 0, -1),
                                PLAIN(BNF_LAYER_DROPOUT), head};
    lab l;
    lab_open(&l, BNF_LIP_BJORCK, 6, 4, 2, layers, COUNT(layers));
    const onnx_model *m = &l.model;
    assert_int_equal(m->ir, 8);
    assert_int_equal(m->operators, 17);
    assert_int_equal(m->n_nodes, COUNT(want));
    for (int i = 0; i < COUNT(want); i++)
        assert_string_equal(m->node[i].op, want[i]);
    assert_string_equal(m->input.name, "pixels");
    assert_int_equal(m->input.ndim, 4);
    assert_memory_equal(m->input.dim, ((int64_t[]){-1, 2, 6, 4}), 4 * sizeof(int64_t)); /* -1: open, with a name */
    assert_string_equal(m->output.name, "logits");
    assert_int_equal(m->output.ndim, 2);
    assert_memory_equal(m->output.dim, ((int64_t[]){-1, 3}), 2 * sizeof(int64_t));
    /* A pixel is in [0,1]: the configuration's scale and shift. */
    const onnx_tensor *scale = onnx_constant(m, "normalise.scale"), *shift = onnx_constant(m, "normalise.shift");
    float values[2][2];
    assert_int_equal(scale->bytes, 8);
    assert_int_equal(shift->bytes, 8);
    memcpy(values[0], scale->raw, 8);
    memcpy(values[1], shift->raw, 8);
    for (int c = 0; c < 2; c++) {
        assert_true(fabs(values[0][c] - 1.5) < 1e-6);
        assert_true(fabs(values[1][c] + 0.25) < 1e-7);
    }
    lab_close(&l);
}

/* Equal weights give equal bytes; other weights give others. */
static void bytes(void **state)
{
    (void)state;
    const bnf_layer layers[] = {CONV(4), PLAIN(BNF_LAYER_RELU), HEAD(2)};
    lab l;
    bnf_buf again = {0}, other = {0};
    lab_open(&l, BNF_LIP_NONE, 4, 4, 1, layers, COUNT(layers));
    OK(bnf_lipschitz_onnx_write(&l.net, l.params, l.path));
    OK(bnf_fs_read(l.path, &again));
    assert_int_equal(again.size, l.file.size);
    assert_memory_equal(again.data, l.file.data, again.size);
    ((float *)bnf_params_value(l.params, 0))[0] += 1;
    OK(bnf_lipschitz_onnx_write(&l.net, l.params, l.path));
    OK(bnf_fs_read(l.path, &other));
    assert_int_equal(other.size, l.file.size);
    assert_memory_not_equal(other.data, l.file.data, other.size);
    bnf_buf_release(&again);
    bnf_buf_release(&other);
    lab_close(&l);
}

/* ---- what the file computes ---- */

static void layers_of_pictures(void **state)
{
    (void)state;
    static const bnf_layer_kind global[] = {BNF_LAYER_GLOBAL_AVG_POOL, BNF_LAYER_SCALED_GLOBAL_AVG_POOL,
                                            BNF_LAYER_GLOBAL_L2_POOL};
    static const bnf_layer_kind windows[] = {BNF_LAYER_MAX_POOL, BNF_LAYER_AVG_POOL, BNF_LAYER_SCALED_AVG_POOL,
                                             BNF_LAYER_L2_POOL};
    for (int i = 0; i < COUNT(global); i++) {
        const bnf_layer layers[] = {CONV(4), PLAIN(BNF_LAYER_FULLSORT), PLAIN(global[i])};
        check_network(BNF_LIP_NONE, 5, 4, 3, layers, COUNT(layers));
    }
    for (int i = 0; i < COUNT(windows); i++) {
        const bnf_layer one[] = {CONV(4), PLAIN(BNF_LAYER_GROUPSORT2), POOL(windows[i], 2, 0, -1),
                                 PLAIN(BNF_LAYER_FLATTEN)};
        const bnf_layer two[] = {POOL(windows[i], 3, 2, 1), PLAIN(BNF_LAYER_BATCH_CENTER), HEAD(3)};
        check_network(BNF_LIP_SPECTRAL, 7, 5, 2, one, COUNT(one));
        check_network(BNF_LIP_NONE, 7, 6, 2, two, COUNT(two));
    }
    const bnf_layer mixed[] = {layer(BNF_LAYER_CONV, 6, 5, 2, 1, 0, 2),
                               PLAIN(BNF_LAYER_BATCH_NORM),
                               PLAIN(BNF_LAYER_LEAKY_RELU),
                               layer(BNF_LAYER_CONV, 4, 3, 1, -1, 2, 1),
                               PLAIN(BNF_LAYER_TANH),
                               PLAIN(BNF_LAYER_HOUSEHOLDER),
                               POOL(BNF_LAYER_UNSHUFFLE, 2, 0, 0),
                               DENSE(8),
                               PLAIN(BNF_LAYER_BATCH_NORM),
                               PLAIN(BNF_LAYER_SIGMOID),
                               PLAIN(BNF_LAYER_GROUPSORT2),
                               DENSE(6),
                               PLAIN(BNF_LAYER_HOUSEHOLDER),
                               PLAIN(BNF_LAYER_FULLSORT),
                               PLAIN(BNF_LAYER_BATCH_CENTER),
                               PLAIN(BNF_LAYER_RELU),
                               HEAD(3),
                               PLAIN(BNF_LAYER_DROPOUT)};
    check_network(BNF_LIP_NONE, 10, 10, 2, mixed, COUNT(mixed));
}

static void residual_blocks(void **state)
{
    (void)state;
    const bnf_layer layers[] = {PLAIN(BNF_LAYER_BLOCK),
                                CONV(2),
                                PLAIN(BNF_LAYER_GROUPSORT2),
                                PLAIN(BNF_LAYER_ADD),
                                PLAIN(BNF_LAYER_BLOCK),
                                POOL(BNF_LAYER_L2_POOL, 2, 0, -1),
                                CONV(4),
                                PLAIN(BNF_LAYER_SHORTCUT),
                                POOL(BNF_LAYER_UNSHUFFLE, 2, 0, 0),
                                layer(BNF_LAYER_CONV, 4, 1, 0, -1, 0, 0),
                                PLAIN(BNF_LAYER_ADD),
                                PLAIN(BNF_LAYER_SCALED_GLOBAL_AVG_POOL),
                                PLAIN(BNF_LAYER_BLOCK),
                                DENSE(4),
                                PLAIN(BNF_LAYER_ADD)};
    check_network(BNF_LIP_NONE, 6, 4, 2, layers, COUNT(layers));
    check_network(BNF_LIP_BJORCK, 6, 4, 2, layers, COUNT(layers));
    bnf_layer learned[COUNT(layers)];
    memcpy(learned, layers, sizeof layers);
    for (int i = 0; i < COUNT(layers); i++)
        learned[i].learned = true;
    check_network(BNF_LIP_BJORCK, 6, 4, 2, learned, COUNT(learned));
    /* A shortcut from a picture beside a branch that has flattened it. */
    const bnf_layer flat[] = {PLAIN(BNF_LAYER_BLOCK),    PLAIN(BNF_LAYER_FLATTEN), DENSE(8),
                              PLAIN(BNF_LAYER_SHORTCUT), PLAIN(BNF_LAYER_FLATTEN), PLAIN(BNF_LAYER_ADD)};
    check_network(BNF_LIP_BJORCK, 2, 2, 2, flat, COUNT(flat));
}

/* A network that ends in a picture has no logits; a folder that is not there is named; nothing is left over. */
static void refused(void **state)
{
    (void)state;
    const bnf_layer layers[] = {CONV(4), PLAIN(BNF_LAYER_RELU), HEAD(2)};
    lab l;
    lab_open(&l, BNF_LIP_NONE, 4, 4, 1, layers, COUNT(layers));
    assert_int_equal(bnf_lipschitz_onnx_write(&l.net, l.params, "/no/such/folder/net.onnx"), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/no/such/folder"));
    l.net.count = 2;
    remove(l.path);
    assert_int_equal(bnf_lipschitz_onnx_write(&l.net, l.params, l.path), BNF_ERR_UNSUPPORTED);
    l.net.count = 3;
    assert_false(bnf_fs_exists(l.path));
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators),       cmocka_unit_test(bytes),   cmocka_unit_test(layers_of_pictures),
        cmocka_unit_test(residual_blocks), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
