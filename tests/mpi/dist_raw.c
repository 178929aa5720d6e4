/* Parameters whose raw weight has another shape than the effective one, smaller and larger: the initial values, the
 * bits of one rank alone, clipping and decay of the raw weight, state out and in, one owner whatever the size. */
#include "../dist_training.h"
#include "on_ranks.h"

#include "dist/shared.h"

/* ---- effective[k] = cos(k) tanh(raw[k mod n]), where raw may have more elements, which are then unused ---- */

typedef struct wave {
    int64_t count, raw;
} wave;

static bnf_status wave_forward(void *self, const void *raw, void *effective)
{
    const wave *w = self;
    const float *r = raw;
    float *e = effective;
    for (int64_t k = 0; k < w->count; k++)
        e[k] = (float)(cos((double)k) * tanh((double)r[k % w->raw]));
    return BNF_OK;
}

static bnf_status wave_backward(void *self, const void *raw, const void *d_effective, void *d_raw)
{
    const wave *w = self;
    const float *r = raw, *d = d_effective;
    float *out = d_raw;
    for (int64_t j = 0; j < w->raw; j++) {
        double sum = 0, t = tanh((double)r[j]);
        for (int64_t k = j; k < w->count; k += w->raw)
            sum += cos((double)k) * (double)d[k];
        out[j] = (float)(sum * (1 - t * t));
    }
    return BNF_OK;
}

static void wave_destroy(void *self)
{
    bnf_free(self);
}

static bnf_status wave_make(const void *config, const bnf_desc *desc, bnf_reparam *made)
{
    wave *w;
    BNF_TRY(bnf_calloc(1, sizeof *w, "wave", &w));
    *w = (wave){bnf_desc_count(desc), *(const int64_t *)config};
    *made = (bnf_reparam){.self = w, .forward = wave_forward, .backward = wave_backward, .destroy = wave_destroy};
    return BNF_OK;
}

static bnf_status wave_init(const void *config, const bnf_desc *raw, double *w)
{
    assert_int_equal(bnf_desc_count(raw), *(const int64_t *)config);
    for (int64_t k = 0; k < bnf_desc_count(raw); k++)
        w[k] = 2 * w[k] + 1;
    return BNF_OK;
}

static bnf_status no_shared(const void *config, const bnf_desc *desc, const bnf_comm *comm, const int64_t *offset,
                            int threads, bnf_reparam *made)
{
    (void)config, (void)desc, (void)comm, (void)offset, (void)threads, (void)made;
    fail_msg("a raw weight of another shape has one owner");
    return BNF_ERR_UNSUPPORTED;
}

static bnf_val wave_param(bnf_scope *s, const char *name, const bnf_desc *desc, const bnf_desc *raw, bool init)
{
    const int64_t n = bnf_desc_count(raw);
    bnf_param_info info = {.name = name,
                           .desc = *desc,
                           .trainable = true,
                           .decay = true,
                           .init = {init ? BNF_INIT_UNIFORM : BNF_INIT_ORTHOGONAL, init ? 0 : 2, 1},
                           .reparam = {.name = "wave",
                                       .config = &n,
                                       .config_size = sizeof n,
                                       .raw = *raw,
                                       .init = init ? wave_init : NULL,
                                       .make = wave_make,
                                       .make_shared = no_shared}};
    return bnf_nn_param(s, &info);
}

enum { SMALL = 40, LARGE = 30 };

static void emit_waves(training *t)
{
    bnf_builder *b = bnf_graph_builder(t->graph);
    bnf_scope s = {t->params, t->graph, b, BNF_NONE, bnf_const(b, LEAVES * PER_LEAF), true};
    bnf_lip spectral = bnf_lip_default(BNF_LIP_SPECTRAL);
    bnf_conv2d_attr attr = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    const bnf_desc kernel = bnf_desc_make(BNF_F32, 4, (int64_t[]){6, CHANNELS, 3, 3}),
                   few = bnf_desc_2d(BNF_F32, 4, SMALL / 4), head = bnf_desc_2d(BNF_F32, CLASSES, 4),
                   many = bnf_desc_1d(BNF_F32, LARGE);
    bnf_val y = bnf_conv2d(b, t->x, wave_param(&s, "waves.weight", &kernel, &few, false), BNF_NONE, &attr);
    y = bnf_tanh(b, bnf_nn_dense(&s, "dense1", bnf_flatten(b, y), 4, true, &spectral));
    y = bnf_dense(b, y, wave_param(&s, "head.weight", &head, &many, true), BNF_NONE);
    t->loss = bnf_loss_cross_entropy(&s, y, t->labels, 0);
}

/* Orthogonal convolutions: more, as many and fewer channels, a stride, groups. */
static void emit_orthogonal(training *t)
{
    bnf_builder *b = bnf_graph_builder(t->graph);
    bnf_scope s = {t->params, t->graph, b, BNF_NONE, bnf_const(b, LEAVES * PER_LEAF), true};
    bnf_conv2d_layer conv = bnf_conv2d_layer_default(8);
    bnf_lip orthogonal = bnf_lip_default(BNF_LIP_ORTHOGONAL);
    conv.lip = orthogonal;
    bnf_val y = bnf_groupsort2(b, bnf_nn_conv2d(&s, "conv1", t->x, &conv));
    conv.stride[0] = conv.stride[1] = 2;
    conv.out = 10;
    y = bnf_groupsort2(b, bnf_nn_conv2d(&s, "conv2", y, &conv));
    conv.stride[0] = conv.stride[1] = 1;
    conv.groups = 2;
    conv.out = 6;
    y = bnf_groupsort2(b, bnf_nn_conv2d(&s, "conv3", y, &conv));
    y = bnf_nn_dense(&s, "dense1", bnf_flatten(b, y), CLASSES, true, &orthogonal);
    t->loss = bnf_loss_cross_entropy(&s, y, t->labels, 0);
}

static training waves(int64_t above)
{
    return (training){.emit = emit_waves, .shared_above = above};
}

/* ---- tests ---- */

static void test_store(void **unused)
{
    (void)unused;
    training t = waves(0);
    begin(&t, world, 1, 0);
    int conv = bnf_params_find(t.params, "waves.weight"), head = bnf_params_find(t.params, "head.weight"),
        plain = bnf_params_find(t.params, "dense1.weight");
    assert_true(bnf_params_raw_apart(t.params, conv) && bnf_params_raw_apart(t.params, head));
    assert_false(bnf_params_raw_apart(t.params, plain));
    assert_ptr_equal(bnf_params_raw(t.params, plain), bnf_params_value(t.params, plain));
    assert_int_equal(bnf_params_raw_elements(t.params, true) - bnf_params_elements(t.params, true),
                     SMALL + LARGE - 6 * CHANNELS * 9 - CLASSES * 4);
    const float *w = bnf_params_raw(t.params, head), *few = bnf_params_raw(t.params, conv);
    for (int k = 0; k < LARGE; k++)
        assert_true(w[k] >= 1 && w[k] < 3); /* 1 + 2 [0, 1) */
    for (int i = 0; i < 4; i++)             /* rows of norm 2 by the raw shape [4, 10] */
        for (int j = 0; j <= i; j++) {
            double sum = 0;
            for (int k = 0; k < SMALL / 4; k++)
                sum += (double)few[i * SMALL / 4 + k] * (double)few[j * SMALL / 4 + k];
            assert_true(fabs(sum - (i == j ? 4 : 0)) < 1e-6);
        }
    end(&t);
}

static void test_bits_of_one_rank(void **unused)
{
    (void)unused;
    for (int k = 0; k < 4; k++) {
        training t = waves(k == 3 ? 20 : 0), serial = t;
        training *both[] = {&serial, &t};
        t.cuts = k == 2 ? 2 : 0;
        begin(&serial, NULL, 1, 0);
        begin(&t, world, 1 + k % 2, k);
        for (int i = 0; i < 2; i++) {
            both[i]->optim.rule = k == 1 ? BNF_OPTIM_LAMB : BNF_OPTIM_ADAM;
            both[i]->optim.trust = 0.1;
            both[i]->optim.weight_decay = 0.01;
            bnf_rule_release(&both[i]->rule);
            OK(bnf_rule_create(&both[i]->optim, both[i]->params, 10, 10, &both[i]->rule));
            OK(bnf_updater_create(both[i]->comm, both[i]->params, both[i]->owner, &both[i]->rule.rule, i + 1,
                                  &both[i]->updater));
        }
        bnf_dist_config poll = {BNF_DIST_POLL, 1, 1000, 0};
        if (k == 2)
            OK(bnf_updater_attach(t.updater, t.plan, &poll));
        assert_same_values(&t, &serial, "at the start");
        for (int step = 0; step < 4; step++) {
            bnf_update_stats a = one_step(&t, step), b = one_step(&serial, step);
            assert_true(a.finite && a.grad_norm > 0 && a.grad_norm == b.grad_norm);
            assert_same_values(&t, &serial, "after a step");
        }
        end(&t);
        end(&serial);
    }
}

/* Plain descent of the raw weight against the same by hand: gradient by differences of the loss. */
static void test_descends_the_raw_weight(void **unused)
{
    (void)unused;
    training t = waves(0);
    begin(&t, NULL, 1, 0);
    t.optim =
        (bnf_optim_config){.rule = BNF_OPTIM_SGD, .schedule = BNF_SCHEDULE_CONSTANT, .lr = 1, .gamma = 0.1, .power = 1};
    bnf_rule_release(&t.rule);
    OK(bnf_rule_create(&t.optim, t.params, 10, 10, &t.rule));
    OK(bnf_updater_create(NULL, t.params, t.owner, &t.rule.rule, 1, &t.updater));
    int head = bnf_params_find(t.params, "head.weight");
    float before[LARGE], moved[LARGE];
    double loss[2];
    memcpy(before, bnf_updater_own(t.updater, head, 0), sizeof before);
    one_step(&t, 0);
    float step[LARGE];
    for (int k = 0; k < LARGE; k++)
        step[k] = ((const float *)bnf_updater_own(t.updater, head, 0))[k] - before[k];
    for (int k = 0; k < LARGE; k += 7) {
        for (int side = 0; side < 2; side++) {
            training at = waves(0);
            start(&at, NULL, 1, 0);
            memcpy(moved, before, sizeof moved);
            moved[k] += side ? 0.02f : -0.02f;
            float *aligned;
            OK(bnf_alloc(sizeof moved, "raw", &aligned));
            memcpy(aligned, moved, sizeof moved);
            OK(bnf_updater_put(at.updater, head, 0, aligned));
            OK(bnf_updater_restore(at.updater));
            OK(bnf_plan_run(at.plan, 0));
            loss[side] = (double)*(const float *)bnf_plan_output(at.plan, at.loss);
            bnf_free(aligned);
            end(&at);
        }
        double by_hand = -(loss[1] - loss[0]) / 0.04;
        if (fabs((double)step[k] - by_hand) > 2e-4)
            fail_msg("element %d: moved by %g, differences say %g", k, (double)step[k], by_hand);
    }
    end(&t);
}

static void hand_over(training *from, training *to)
{
    for (int i = 0; i < bnf_params_count(from->params); i++)
        for (int a = 0; a < bnf_updater_arrays(from->updater, i); a++) {
            const char *name;
            bnf_dtype dtype;
            int64_t count;
            void *data;
            bnf_updater_array_info(from->updater, i, a, &name, &dtype, &count);
            if (dtype == BNF_F32)
                assert_int_equal(count, bnf_desc_count(bnf_param_raw_desc(bnf_params_info(from->params, i))));
            int64_t bytes = count * (int64_t)bnf_dtype_size(dtype);
            OK(bnf_alloc((size_t)bytes, "array", &data));
            OK(bnf_updater_gather(from->updater, i, a, data));
            OK(bnf_comm_bcast(from->comm, 0, data, bytes));
            OK(bnf_updater_put(to->updater, i, a, data));
            bnf_free(data);
        }
    OK(bnf_updater_restore(to->updater));
}

static void test_state_goes_out_and_in(void **unused)
{
    (void)unused;
    training t = waves(0), fresh = t, serial = t;
    start(&t, world, 1, 0);
    start(&fresh, world, 2, size > 1);
    start(&serial, NULL, 1, 0);
    for (int step = 0; step < 2; step++)
        one_step(&t, step);
    hand_over(&t, &serial);
    hand_over(&serial, &fresh);
    for (int step = 2; step < 4; step++) {
        one_step(&t, step);
        one_step(&fresh, step);
        one_step(&serial, step);
        assert_same_values(&serial, &t, "going on alone");
        assert_same_values(&fresh, &t, "going on");
    }
    end(&t);
    end(&fresh);
    end(&serial);
}

/* Sum over taps of K_t K_t' is the identity: of wide kernels and groups, by columns of tall ones. */
static void assert_orthogonal(const float *k, int64_t out, int64_t in, int64_t area, int64_t stride)
{
    bool rows = out <= in * stride * stride;
    int64_t side = rows ? out : in;
    for (int64_t a = 0; a < side; a++)
        for (int64_t b = 0; b < side; b++) {
            double sum = 0;
            for (int64_t j = 0; j < (rows ? in : out); j++)
                for (int64_t t = 0; t < area; t++)
                    sum += rows ? (double)k[(a * in + j) * area + t] * (double)k[(b * in + j) * area + t]
                                : (double)k[(j * in + a) * area + t] * (double)k[(j * in + b) * area + t];
            if (fabs(sum - (a == b)) > 1e-6)
                fail_msg("%d x %d: product %d, %d is %g", (int)out, (int)in, (int)a, (int)b, sum);
        }
}

static void test_training_stays_orthogonal(void **unused)
{
    (void)unused;
    training t = {.emit = emit_orthogonal}, serial = t;
    start(&t, world, 2, 1);
    start(&serial, NULL, 1, 0);
    assert_same_values(&t, &serial, "orthogonal, at the start");
    double first = 0, last = 0;
    for (int step = 0; step < 6; step++) {
        bnf_update_stats a = one_step(&t, step), b = one_step(&serial, step);
        last = (double)*(const float *)bnf_plan_output(serial.plan, serial.loss);
        first = step == 0 ? last : first;
        assert_true(a.finite && a.grad_norm > 0 && a.grad_norm == b.grad_norm);
        assert_same_values(&t, &serial, "orthogonal, after a step");
    }
    assert_true(last < first);
    assert_orthogonal(bnf_params_value(t.params, bnf_params_find(t.params, "conv1.weight")), 8, CHANNELS, 9, 1);
    assert_orthogonal(bnf_params_value(t.params, bnf_params_find(t.params, "conv2.weight")), 10, 8, 9, 2);
    const float *groups = bnf_params_value(t.params, bnf_params_find(t.params, "conv3.weight"));
    for (int g = 0; g < 2; g++)
        assert_orthogonal(groups + g * 3 * 5 * 9, 3, 5, 9, 1);
    end(&t);
    end(&serial);
}

/* dist.shared_above leaves it to one owner; asked for by hand it is refused. */
static void test_one_owner(void **unused)
{
    (void)unused;
    training t = waves(20);
    bnf_shared *shared;
    begin(&t, world, 1, 0);
    int conv = bnf_params_find(t.params, "waves.weight");
    assert_true(t.owner[conv] >= 0 && t.owner[bnf_params_find(t.params, "dense1.weight")] == BNF_OWNER_ALL);
    assert_true(bnf_owners_cost(bnf_params_info(t.params, conv)) == 300.0 * SMALL);
    assert_int_equal(bnf_shared_create(world, t.params, conv, &t.rule.rule, 1, &shared), BNF_ERR_UNSUPPORTED);
    assert_non_null(strstr(bnf_error_message(), "'waves.weight'"));
    assert_non_null(strstr(bnf_error_message(), "another shape"));
    bnf_error_clear();
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_bits_of_one_rank),
        cmocka_unit_test(test_descends_the_raw_weight),
        cmocka_unit_test(test_state_goes_out_and_in),
        cmocka_unit_test(test_training_stays_orthogonal),
        cmocka_unit_test(test_one_owner),
    };
    return ON_RANKS(BNF_THREAD_FUNNELED, &world, &rank, &size, tests, NULL, NULL);
}
