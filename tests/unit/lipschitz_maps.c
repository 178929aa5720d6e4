/* Attribution maps against what they are by definition: of linear networks, by completeness, by noise drawn again, by a
 * hand-made class activation map; and that a row's map is its own, whatever is computed beside it. */
#include "unit/h5_support.h"

#include "base/mem.h"
#include "base/philox.h"
#include "h5/dataset.h"
#include "recipes/lipschitz/lipschitz.h"
#include "recipes/lipschitz/maps.h"

#include <math.h>

enum { N = 12, H = 6, W = 4, C = 2, SIZE = H * W * C, AREA = H * W, MAX_LAYERS = 8, MAX_CLASSES = 3 };

/* A network with given weights over a small set of f32 pictures, as a run that was opened. */
typedef struct lab {
    char folder[256], path[300];
    bnf_layer layers[MAX_LAYERS];
    bnf_lipschitz_settings settings;
    bnf_job job;
    bnf_run run;
    bnf_lipschitz_net net;
    float pixels[N * SIZE];
    int32_t labels[N];
} lab;

static double noise(uint64_t i)
{
    i = (i + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 29) * 0x94d049bb133111ebu;
    return (double)((i ^ i >> 32) >> 11) * 0x1p-52 - 1;
}

static void put(bnf_h5_file *file, const char *name, bnf_dtype type, int ndim, const int64_t *dim, const void *data)
{
    bnf_h5_dataset *d;
    assert_ok(bnf_h5_dataset_create(file, name, type, ndim, dim, NULL, &d));
    assert_ok(bnf_h5_dataset_write(d, type, data));
    assert_ok(bnf_h5_dataset_close(d));
}

static void make_pictures(lab *l)
{
    bnf_h5_file *file;
    for (int64_t i = 0; i < N * SIZE; i++)
        l->pixels[i] = (float)noise((uint64_t)i);
    for (int i = 0; i < N; i++)
        l->labels[i] = i % 2;
    make_folder(l->folder);
    snprintf(l->path, sizeof l->path, "%s/set.h5", l->folder);
    assert_ok(bnf_h5_file_create(l->path, &file));
    put(file, "/train/images", BNF_F32, 4, (int64_t[]){N, H, W, C}, l->pixels);
    put(file, "/train/labels", BNF_I32, 1, (int64_t[]){N}, l->labels);
    assert_ok(bnf_h5_file_close(file));
}

static void lab_open(lab *l, const bnf_layer *layers, int n)
{
    bnf_model naming = {0};
    memset(l, 0, sizeof *l);
    make_pictures(l);
    memcpy(l->layers, layers, (size_t)n * sizeof *layers);
    l->settings.model.layers = (bnf_cfg_maps){n, l->layers};
    l->settings.loss.kind = layers[n - 1].out == 1 ? BNF_LIPSCHITZ_HKR_BINARY : BNF_LIPSCHITZ_CROSS_ENTROPY;
    l->settings.loss.alpha = l->settings.loss.min_margin = 1;
    l->job = (bnf_job){.recipe = &bnf_recipe_lipschitz, .settings = &l->settings, .seed = 5};
    l->job.data.normalise = BNF_NORMALISE_AFFINE;
    l->job.data.scale = 1.5;
    l->job.data.shift = -0.25;
    l->run = (bnf_run){.job = &l->job, .threads = 1};
    assert_ok(bnf_dataset_open(l->path, BNF_TRAIN, &l->run.train));
    assert_ok(bnf_params_create(BNF_F32, &l->run.params));
    assert_ok(bnf_model_build(&l->job, l->run.params, bnf_dataset_get_info(l->run.train), 1, 1, false, &naming));
    bnf_model_release(&naming);
    for (int p = 0; p < bnf_params_count(l->run.params); p++) {
        float *w = bnf_params_value(l->run.params, p);
        for (int64_t i = 0; i < bnf_desc_count(&bnf_params_info(l->run.params, p)->desc); i++)
            w[i] = (float)(0.5 * noise((uint64_t)(1000003 * (p + 1) + i)));
    }
    bnf_params_touch(l->run.params);
    assert_ok(bnf_lipschitz_net_create(&l->job, l->run.params, bnf_dataset_get_info(l->run.train), &l->net));
}

static void lab_close(lab *l)
{
    bnf_lipschitz_net_release(&l->net);
    bnf_params_destroy(l->run.params);
    bnf_dataset_close(l->run.train);
    remove_folder(l->folder);
}

static const float *weight(const lab *l, int stage)
{
    return bnf_params_value(l->run.params, l->net.stages[stage].weight);
}

static bnf_layer layer(bnf_layer_kind kind, int64_t out)
{
    bnf_layer l = bnf_layer_default(kind);
    l.out = out;
    return l;
}

static bnf_lipschitz_maps *open_maps(lab *l, const bnf_lipschitz_maps_settings *set, int64_t rows)
{
    bnf_lipschitz_maps *maps;
    assert_ok(bnf_lipschitz_maps_create(&l->run, &l->net, set, rows, &maps));
    return maps;
}

/* ---- linear ---- */

static void test_linear(void **state)
{
    (void)state;
    static lab l;
    static float map[BNF_LIPSCHITZ_METHODS][N * AREA], logits[N * 3], gradient[N * SIZE];
    double lead[N];
    const int32_t classes[N] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
    const int64_t samples[N] = {0};
    lab_open(&l, (bnf_layer[]){layer(BNF_LAYER_DENSE, 3)}, 1);
    bnf_lipschitz_maps_settings set = bnf_lipschitz_maps_default(&l.run);
    set.draws = 7;
    bnf_lipschitz_maps *maps = open_maps(&l, &set, 5);
    for (int m = 0; m < BNF_LIPSCHITZ_GRADCAM; m++)
        assert_ok(bnf_lipschitz_maps_run(maps, (bnf_lipschitz_method)m, l.pixels, classes, samples, N, map[m]));
    assert_fails(bnf_lipschitz_maps_run(maps, BNF_LIPSCHITZ_GRADCAM, l.pixels, classes, samples, N, map[0]),
                 BNF_ERR_UNSUPPORTED, "no convolution");
    assert_ok(bnf_lipschitz_maps_lead(maps, l.pixels, classes, N, logits, lead, gradient));
    const float *w = weight(&l, 0), *b = bnf_params_value(l.run.params, l.net.stages[0].bias);
    for (int i = 0; i < N; i++) {
        const float *row = w + classes[i] * SIZE, *x = l.pixels + i * SIZE;
        for (int k = 0; k < AREA; k++) {
            double g[C] = {1.5 * row[k * C], 1.5 * row[k * C + 1]};
            double large = fmax(fabs(g[0]), fabs(g[1])), product = x[k * C] * g[0] + x[k * C + 1] * g[1];
            assert_true((float)large == map[BNF_LIPSCHITZ_SALIENCY][i * AREA + k]);
            assert_float_equal(map[BNF_LIPSCHITZ_SMOOTHGRAD][i * AREA + k], large, 1e-6);
            assert_float_equal(map[BNF_LIPSCHITZ_INTEGRATED][i * AREA + k], product, 1e-6);
            assert_float_equal(map[BNF_LIPSCHITZ_GRADIENT_INPUT][i * AREA + k], product, 1e-6);
        }
        double z[3];
        for (int j = 0; j < 3; j++) {
            z[j] = b[j];
            for (int k = 0; k < SIZE; k++)
                z[j] += w[j * SIZE + k] * (1.5 * x[k] - 0.25);
            assert_float_equal(logits[3 * i + j], z[j], 1e-5);
        }
        int y = classes[i], rival = (y + 1) % 3;
        rival = z[(y + 2) % 3] > z[rival] ? (y + 2) % 3 : rival;
        assert_float_equal(lead[i], z[y] - z[rival], 1e-5);
        for (int k = 0; k < SIZE; k++)
            assert_float_equal(gradient[i * SIZE + k], 1.5 * (w[y * SIZE + k] - w[rival * SIZE + k]), 1e-6);
    }
    bnf_lipschitz_maps_destroy(maps);
    lab_close(&l);
}

/* ---- a smooth network ---- */

static void open_smooth(lab *l, int64_t classes)
{
    bnf_layer conv = layer(BNF_LAYER_CONV, 3);
    lab_open(l,
             (bnf_layer[]){conv, layer(BNF_LAYER_TANH, 0), layer(BNF_LAYER_DENSE, 6), layer(BNF_LAYER_TANH, 0),
                           layer(BNF_LAYER_DENSE, classes)},
             5);
}

/* What a map distributes is the difference of the logits at its ends. */
static void test_completeness(void **state)
{
    (void)state;
    static lab l;
    static float map[N * AREA], baseline[SIZE], from[3], to[N * 3];
    const int32_t classes[N] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
    open_smooth(&l, 3);
    for (int b = 0; b < 2; b++) {
        bnf_lipschitz_maps_settings set = bnf_lipschitz_maps_default(&l.run);
        set.steps = 300;
        set.baseline = 0.4 * b;
        for (int k = 0; k < SIZE; k++)
            baseline[k] = (float)set.baseline;
        bnf_lipschitz_maps *maps = open_maps(&l, &set, 32);
        assert_ok(bnf_lipschitz_maps_run(maps, BNF_LIPSCHITZ_INTEGRATED, l.pixels, classes, NULL, N, map));
        assert_ok(bnf_lipschitz_maps_scores(maps, baseline, 1, from));
        assert_ok(bnf_lipschitz_maps_scores(maps, l.pixels, N, to));
        for (int i = 0; i < N; i++) {
            double sum = 0, gap = to[3 * i + classes[i]] - from[classes[i]];
            for (int k = 0; k < AREA; k++)
                sum += map[i * AREA + k];
            assert_float_equal(sum, gap, 1e-4);
            assert_true(fabs(gap) > 1e-3);
        }
        bnf_lipschitz_maps_destroy(maps);
    }
    lab_close(&l);
}

/* One output, so that the lead's gradient is the logit's: the noise is drawn here again. */
static void test_smoothgrad(void **state)
{
    (void)state;
    enum { DRAWS = 3 };
    static lab l;
    static float noisy[DRAWS * SIZE], gradient[DRAWS * SIZE], map[AREA], logits[DRAWS];
    double lead[DRAWS];
    open_smooth(&l, 1);
    bnf_lipschitz_maps_settings set = bnf_lipschitz_maps_default(&l.run);
    set.draws = DRAWS;
    set.sigma = 0.3;
    bnf_lipschitz_maps *maps = open_maps(&l, &set, 4);
    const bnf_philox_key key = bnf_philox_key_layer(bnf_philox_key_make(5, BNF_STREAM_EXPLAIN), 0);
    const int64_t sample = 77;
    for (int d = 0; d < DRAWS; d++)
        for (int k = 0; k < SIZE; k += 2) {
            double z[2];
            bnf_philox_normal2(bnf_philox(key, bnf_philox_counter((uint32_t)d, 77, (uint32_t)(k / 2))), &z[0], &z[1]);
            noisy[d * SIZE + k] = (float)(l.pixels[k] + 0.3 * z[0]);
            noisy[d * SIZE + k + 1] = (float)(l.pixels[k + 1] + 0.3 * z[1]);
        }
    for (int32_t y = 0; y < 2; y++) {
        const int32_t classes[DRAWS] = {y, y, y};
        assert_ok(bnf_lipschitz_maps_run(maps, BNF_LIPSCHITZ_SMOOTHGRAD, l.pixels, classes, &sample, 1, map));
        assert_ok(bnf_lipschitz_maps_lead(maps, noisy, classes, DRAWS, logits, lead, gradient));
        for (int k = 0; k < AREA; k++) {
            double mean[C] = {0};
            for (int d = 0; d < DRAWS; d++)
                for (int c = 0; c < C; c++)
                    mean[c] += gradient[d * SIZE + k * C + c] / DRAWS;
            assert_float_equal(map[k], fmax(fabs(mean[0]), fabs(mean[1])), 1e-5);
        }
    }
    bnf_lipschitz_maps_destroy(maps);
    lab_close(&l);
}

/* The same bits, whatever is computed beside a row, in whatever pieces and by however many threads. */
static void test_rows_are_their_own(void **state)
{
    (void)state;
    static lab l;
    static float all[N * AREA], one[AREA], back[N * AREA], turned[N * SIZE];
    const int32_t classes[N] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
    int32_t turned_classes[N];
    int64_t samples[N], turned_samples[N];
    open_smooth(&l, 3);
    bnf_lipschitz_maps_settings set = bnf_lipschitz_maps_default(&l.run);
    set.draws = 5;
    set.steps = 4;
    for (int i = 0; i < N; i++) {
        samples[i] = 40 + i;
        turned_samples[i] = 40 + N - 1 - i;
        turned_classes[i] = classes[N - 1 - i];
        memcpy(turned + i * SIZE, l.pixels + (N - 1 - i) * SIZE, SIZE * sizeof *turned);
    }
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++) {
        l.run.threads = 1;
        bnf_lipschitz_maps *maps = open_maps(&l, &set, 3);
        assert_ok(bnf_lipschitz_maps_run(maps, (bnf_lipschitz_method)m, l.pixels, classes, samples, N, all));
        bnf_lipschitz_maps_destroy(maps);
        l.run.threads = 2;
        maps = open_maps(&l, &set, 16);
        assert_ok(
            bnf_lipschitz_maps_run(maps, (bnf_lipschitz_method)m, turned, turned_classes, turned_samples, N, back));
        for (int i = 0; i < N; i++)
            assert_memory_equal(all + i * AREA, back + (N - 1 - i) * AREA, AREA * sizeof *all);
        assert_ok(bnf_lipschitz_maps_run(maps, (bnf_lipschitz_method)m, l.pixels + 7 * SIZE, classes + 7, samples + 7,
                                         1, one));
        assert_memory_equal(one, all + 7 * AREA, sizeof one);
        assert_memory_not_equal(all, all + 3 * AREA, AREA * sizeof *all);
        assert_ok(bnf_lipschitz_maps_run(maps, (bnf_lipschitz_method)m, l.pixels, classes, samples, 0, one));
        bnf_lipschitz_maps_destroy(maps);
    }
    lab_close(&l);
}

/* ---- the last convolution ---- */

/* A piecewise linear function through map's cells, at the centre of an output pixel. */
static double tent(const double *map, double y, double x)
{
    double sum = 0;
    for (int i = 0; i < H / 2; i++)
        for (int j = 0; j < W / 2; j++)
            sum += map[i * (W / 2) + j] * fmax(0, 1 - fabs(y - i)) * fmax(0, 1 - fabs(x - j));
    return sum;
}

static void test_gradcam(void **state)
{
    (void)state;
    enum { OUT = 4, CELLS = AREA / 4 };
    static lab l;
    static float map[N * AREA];
    int32_t classes[N];
    int zero = 0, positive = 0;
    bnf_layer conv = layer(BNF_LAYER_CONV, OUT);
    conv.kernel = conv.stride = 2;
    conv.pad = 0;
    lab_open(&l, (bnf_layer[]){conv, layer(BNF_LAYER_DENSE, 3)}, 2);
    bnf_lipschitz_maps_settings set = bnf_lipschitz_maps_default(&l.run);
    bnf_lipschitz_maps *maps = open_maps(&l, &set, 4);
    for (int i = 0; i < N; i++)
        classes[i] = i % 3;
    assert_ok(bnf_lipschitz_maps_run(maps, BNF_LIPSCHITZ_GRADCAM, l.pixels, classes, NULL, N, map));
    const float *kernel = weight(&l, 0), *bias = bnf_params_value(l.run.params, l.net.stages[0].bias),
                *dense = weight(&l, 1);
    for (int n = 0; n < N; n++) {
        double cam[CELLS] = {0};
        for (int j = 0; j < OUT; j++) {
            double mean = 0;
            for (int i = 0; i < CELLS; i++)
                mean += dense[classes[n] * CELLS * OUT + i * OUT + j] / (double)CELLS;
            for (int i = 0; i < CELLS; i++) {
                double a = bias[j];
                for (int k = 0; k < C; k++)
                    for (int d = 0; d < 4; d++) {
                        int y = i / (W / 2) * 2 + d / 2, x = i % (W / 2) * 2 + d % 2;
                        a += kernel[(j * C + k) * 4 + d] * (1.5 * l.pixels[n * SIZE + (y * W + x) * C + k] - 0.25);
                    }
                cam[i] += mean * a;
            }
        }
        for (int i = 0; i < CELLS; i++)
            cam[i] = fmax(cam[i], 0);
        for (int i = 0; i < AREA; i++) {
            double y = fmin(fmax((i / W + 0.5) / 2 - 0.5, 0), H / 2 - 1);
            double x = fmin(fmax((i % W + 0.5) / 2 - 0.5, 0), W / 2 - 1);
            assert_float_equal(map[n * AREA + i], tent(cam, y, x), 1e-6);
            zero += map[n * AREA + i] == 0;
            positive += map[n * AREA + i] > 0;
        }
    }
    assert_true(zero > 0 && positive > 0);
    bnf_lipschitz_maps_destroy(maps);
    lab_close(&l);
}

/* ---- the rest ---- */

static void test_one_output(void **state)
{
    (void)state;
    static lab l;
    static float map[2][AREA], both[2][AREA], logit[1];
    double lead[1];
    static float gradient[SIZE];
    open_smooth(&l, 1);
    bnf_lipschitz_maps_settings set = bnf_lipschitz_maps_default(&l.run);
    bnf_lipschitz_maps *maps = open_maps(&l, &set, 2);
    for (int32_t y = 0; y < 2; y++) {
        assert_ok(bnf_lipschitz_maps_run(maps, BNF_LIPSCHITZ_SALIENCY, l.pixels, &y, NULL, 1, map[y]));
        assert_ok(bnf_lipschitz_maps_run(maps, BNF_LIPSCHITZ_GRADIENT_INPUT, l.pixels, &y, NULL, 1, both[y]));
        assert_ok(bnf_lipschitz_maps_lead(maps, l.pixels, &y, 1, logit, lead, gradient));
        assert_true(lead[0] == (y ? logit[0] : -logit[0]) && lead[0] != 0);
    }
    assert_memory_equal(map[0], map[1], sizeof map[0]);
    for (int k = 0; k < AREA; k++)
        assert_true(both[0][k] == -both[1][k]);
    bnf_lipschitz_maps_destroy(maps);
    lab_close(&l);
}

static void test_names(void **state)
{
    (void)state;
    static lab l;
    bool chosen[BNF_LIPSCHITZ_METHODS];
    open_smooth(&l, 3);
    assert_ok(bnf_lipschitz_methods_parse(NULL, &l.net, chosen));
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        assert_true(chosen[m]);
    assert_ok(bnf_lipschitz_methods_parse("gradcam,saliency", &l.net, chosen));
    assert_true(chosen[BNF_LIPSCHITZ_GRADCAM] && chosen[BNF_LIPSCHITZ_SALIENCY] && !chosen[BNF_LIPSCHITZ_SMOOTHGRAD]);
    assert_fails(bnf_lipschitz_methods_parse("saliency,grad", &l.net, chosen), BNF_ERR_CONFIG, "'grad'; valid: ");
    assert_fails(bnf_lipschitz_methods_parse("", &l.net, chosen), BNF_ERR_CONFIG, "valid: ");
    lab_close(&l);
    lab_open(&l, (bnf_layer[]){layer(BNF_LAYER_DENSE, 3)}, 1);
    assert_ok(bnf_lipschitz_methods_parse(NULL, &l.net, chosen));
    assert_true(chosen[BNF_LIPSCHITZ_SALIENCY] && !chosen[BNF_LIPSCHITZ_GRADCAM]);
    assert_fails(bnf_lipschitz_methods_parse("gradcam", &l.net, chosen), BNF_ERR_CONFIG, "no convolution");
    lab_close(&l);
}

/* Settings whose products could overflow are refused. */
static void test_too_many(void **state)
{
    (void)state;
    static lab l;
    bnf_lipschitz_maps *maps;
    lab_open(&l, (bnf_layer[]){layer(BNF_LAYER_DENSE, 3)}, 1);
    bnf_lipschitz_maps_settings draws = bnf_lipschitz_maps_default(&l.run), steps = draws;
    draws.draws = steps.steps = INT64_MAX / 2;
    assert_fails(bnf_lipschitz_maps_create(&l.run, &l.net, &draws, 1, &maps), BNF_ERR_ARG, "draws or steps");
    assert_fails(bnf_lipschitz_maps_create(&l.run, &l.net, &steps, 1, &maps), BNF_ERR_ARG, "draws or steps");
    assert_null(maps);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),  cmocka_unit_test(test_completeness),       cmocka_unit_test(test_smoothgrad),
        cmocka_unit_test(test_gradcam), cmocka_unit_test(test_rows_are_their_own), cmocka_unit_test(test_one_output),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
