/* recipes/lipschitz/recipe.c - image classification with 1-Lipschitz networks (and their unconstrained twins), spec
 * 05. */
#include "recipes/lipschitz/attack.h"
#include "recipes/lipschitz/certify.h"
#include "recipes/lipschitz/explain_cmd.h"
#include "recipes/lipschitz/layers.h"
#include "recipes/lipschitz/lipschitz.h"
#include "recipes/lipschitz/onnx.h"
#include "recipes/lipschitz/report.h"

static const char *const constraint_names[] = {"none", "spectral", "bjorck", "orthogonal", NULL};
static const char *const factor_names[] = {"bound", "published", NULL};
static const char *const bjorck_names[] = {"eigen", "direct", NULL};
static const char *const loss_names[] = {"cross_entropy",  "mse",      "bce",     "hkr_binary",
                                         "hkr_multiclass", "hkr_soft", "hkr_lse", NULL};
static const char *const form_names[] = {"sum", "convex", NULL};

static const bnf_cfg_key layer_keys[] = {
    {"type", BNF_CFG_ENUM, offsetof(bnf_layer, kind), NULL, "kind of layer", .choices = bnf_layer_kind_names},
    {"out", BNF_CFG_INT, offsetof(bnf_layer, out), "0", "conv, dense, head: channels or neurons", .min = 0, .max = 1e6},
    {"kernel", BNF_CFG_INT, offsetof(bnf_layer, kernel), "0",
     "side of kernel or window; 0: 3 for conv, 2 for pools and unshuffle", .min = 0, .max = 1024},
    {"stride", BNF_CFG_INT, offsetof(bnf_layer, stride), "0", "0: 1 for conv, the window for pools", .min = 0,
     .max = 1024},
    {"pad", BNF_CFG_INT, offsetof(bnf_layer, pad), "-1",
     "cells on every side, zeros or for max_pool none that counts; -1: as many as keep the size (conv), none (pools)",
     .min = -1, .max = 1024},
    {"dilation", BNF_CFG_INT, offsetof(bnf_layer, dilation), "1", "conv", .min = 1, .max = 1024},
    {"groups", BNF_CFG_INT, offsetof(bnf_layer, groups), "1", "conv", .min = 1, .max = 1e6},
    {"bias", BNF_CFG_BOOL, offsetof(bnf_layer, bias), "true", "conv, dense, head"},
    {"slope", BNF_CFG_REAL, offsetof(bnf_layer, slope), "0.01", "leaky_relu", .min = 0, .max = 1},
    {"rate", BNF_CFG_REAL, offsetof(bnf_layer, rate), "0.5", "dropout", .min = 0, .max = 0.999},
    {"zero_init", BNF_CFG_BOOL, offsetof(bnf_layer, zero_init), "false", "batch_norm: the scale starts at 0"},
    {"learned", BNF_CFG_BOOL, offsetof(bnf_layer, learned), "false",
     "add: a shortcut + (1 - a) branch with a learned share a, 1/2 at first"},
    {"disjoint", BNF_CFG_BOOL, offsetof(bnf_layer, disjoint), "true",
     "head, with a constraint: every row has norm 1; false: the matrix has Frobenius norm 1"},
};

#define AT(field) offsetof(bnf_lipschitz_model, field)
static const bnf_cfg_key model_keys[] = {
    {"constraint", BNF_CFG_ENUM, AT(constraint), "bjorck",
     "of conv and dense layers: none (an ordinary network), spectral (norm at most 1), bjorck (orthonormal matrices), "
     "orthogonal (convolutions orthogonal as such, dense layers as bjorck)",
     .choices = constraint_names},
    {"power_iterations", BNF_CFG_INT, AT(power_iterations), "10", "at most so many per step", .min = 1, .max = 1000},
    {"power_tolerance", BNF_CFG_REAL, AT(power_tolerance), "0.001", "stop when the singular vector moves by less",
     .min = 0, .max = 1},
    {"eps", BNF_CFG_REAL, AT(eps), "0.001", "added to the spectral norm", .min = 1e-12, .max = 1},
    {"bjorck_iterations", BNF_CFG_INT, AT(bjorck_iterations), "15", "at most so many per step", .min = 1, .max = 1000},
    {"bjorck_tolerance", BNF_CFG_REAL, AT(bjorck_tolerance), "0.001", "stop when the matrix moves by less; 0: run all",
     .min = 0, .max = 1},
    {"bjorck_beta", BNF_CFG_REAL, AT(bjorck_beta), "0.5", "step size", .min = 1e-6, .max = 0.5},
    {"bjorck_form", BNF_CFG_ENUM, AT(bjorck_form), "eigen", "eigen: through one eigendecomposition; direct: as written",
     .choices = bjorck_names},
    {"conv_factor", BNF_CFG_ENUM, AT(conv_factor), "bound",
     "reshaped-kernel factor of convolutions: a proven bound, or the published one (not a bound, for comparison)",
     .choices = factor_names},
    {"network", BNF_CFG_ENUM, AT(network), "none",
     "a known one in place of a list of layers; with a constraint in its 1-Lipschitz form",
     .choices = bnf_network_names},
    {"width", BNF_CFG_REAL, AT(width), "1", "network: factor of its channels", .min = 0.01, .max = 16},
    {"norm", BNF_CFG_ENUM, AT(norm), "auto",
     "network: behind convolutions; auto: batch_norm (constrained: batch_center) for resnets, none for vgg",
     .choices = bnf_network_norm_names},
    {"activation", BNF_CFG_ENUM, AT(activation), "auto", "network: auto: relu (constrained: groupsort2)",
     .choices = bnf_lipschitz_activation_names},
    {"layers", BNF_CFG_MAP_LIST, AT(layers), "[]", "the network, from input to logits", .item_keys = layer_keys,
     .item_nkeys = (int)(sizeof layer_keys / sizeof layer_keys[0]), .item_size = sizeof(bnf_layer)},
};
#undef AT

#define AT(field) offsetof(bnf_lipschitz_loss, field)
static const bnf_cfg_key loss_keys[] = {
    {"kind", BNF_CFG_ENUM, AT(kind), "hkr_soft", "what is minimised", .choices = loss_names},
    {"form", BNF_CFG_ENUM, AT(form), "sum",
     "hKR: sum is -KR + alpha hinge (soft: -KR/alpha + hinge), convex is (1-alpha)(-KR) + alpha hinge",
     .choices = form_names},
    {"alpha", BNF_CFG_REAL, AT(alpha), "10", "hKR: weight of the hinge", .min = 0, .max = 1e6},
    {"min_margin", BNF_CFG_REAL, AT(min_margin), "1", "hKR: the hinge wants half of it on either side", .min = 1e-9,
     .max = 1e6},
    {"temperature", BNF_CFG_REAL, AT(temperature), "1",
     "hkr_soft: of the softmax over the other classes; hkr_lse: factor of the logits", .min = 1e-9, .max = 1e6},
    {"penalty", BNF_CFG_REAL, AT(penalty), "1", "hkr_lse: sharpness is log(C-1) / (min_margin penalty / 2)",
     .min = 1e-9, .max = 1e6},
    {"smoothing", BNF_CFG_REAL, AT(smoothing), "0", "cross_entropy: label smoothing", .min = 0, .max = 0.999},
};
#undef AT

static int sections(void *settings, bnf_cfg_section *s)
{
    bnf_lipschitz_settings *l = settings;
    s[0] = (bnf_cfg_section){"model", "the network", BNF_CFG_KEYS(model_keys), &l->model};
    s[1] = (bnf_cfg_section){"loss", "what is minimised", BNF_CFG_KEYS(loss_keys), &l->loss};
    return 2;
}

static bool is_hkr(int kind)
{
    return kind >= BNF_LIPSCHITZ_HKR_BINARY;
}

static bnf_status check(const void *settings)
{
    const bnf_lipschitz_settings *l = settings;
    BNF_TRY(bnf_lipschitz_layers_check(&l->model));
    if (is_hkr(l->loss.kind) && l->loss.form == BNF_HKR_CONVEX && l->loss.alpha > 1)
        return bnf_fail(BNF_ERR_CONFIG, "loss.alpha (%g) must be at most 1 with loss.form: convex", l->loss.alpha);
    return BNF_OK;
}

bnf_lip bnf_lipschitz_lip(const bnf_lipschitz_settings *settings)
{
    const bnf_lipschitz_model *m = &settings->model;
    bnf_lip lip = bnf_lip_default((bnf_lip_kind)m->constraint);
    lip.power_iterations = m->power_iterations;
    lip.power_tolerance = m->power_tolerance;
    lip.eps = m->eps;
    lip.bjorck_iterations = m->bjorck_iterations;
    lip.bjorck_tolerance = m->bjorck_tolerance;
    lip.bjorck_beta = m->bjorck_beta;
    lip.published_factor = m->conv_factor == 1;
    lip.direct = m->bjorck_form == 1;
    return lip;
}

static void add_metric(bnf_model_values *v, const char *name, bnf_val value)
{
    v->metrics[v->n_metrics].name = name;
    v->metrics[v->n_metrics++].value = value;
}

static void build(const void *settings, bnf_scope *scope, bnf_val x, bnf_val labels, int64_t classes,
                  bnf_model_values *values)
{
    const bnf_lipschitz_settings *l = settings;
    bnf_lip lip = bnf_lipschitz_lip(l);
    bnf_layer layers[BNF_NETWORK_MAX_LAYERS];
    int n = bnf_lipschitz_layers(l, scope->params, classes, layers);
    *values = (bnf_model_values){.logits = bnf_nn_network(scope, x, layers, n, &lip)};
    const bnf_lipschitz_loss *loss = &l->loss;
    if (is_hkr(loss->kind)) {
        bnf_hkr hkr = {.kind = (bnf_hkr_kind)(loss->kind - BNF_LIPSCHITZ_HKR_BINARY),
                       .form = (bnf_hkr_form)loss->form,
                       .alpha = loss->alpha,
                       .min_margin = loss->min_margin,
                       .temperature = loss->temperature,
                       .penalty = loss->penalty};
        bnf_hkr_terms t = bnf_loss_hkr(scope, "loss", values->logits, labels, &hkr);
        values->loss = t.loss;
        add_metric(values, "kr", t.kr);
        add_metric(values, "hinge", t.hinge);
        return;
    }
    bnf_val target = loss->kind == BNF_LIPSCHITZ_CROSS_ENTROPY ? BNF_NONE : bnf_one_hot(scope->b, labels, classes);
    if (bnf_val_ok(target) && bnf_desc_cols(bnf_val_desc(scope->b, values->logits)) == 1) /* class 1 is positive */
        target = bnf_slice(scope->b, target, 1, 1);
    if (loss->kind == BNF_LIPSCHITZ_CROSS_ENTROPY)
        values->loss = bnf_loss_cross_entropy(scope, values->logits, labels, loss->smoothing);
    else if (loss->kind == BNF_LIPSCHITZ_MSE)
        values->loss = bnf_loss_mse(scope, values->logits, target);
    else
        values->loss = bnf_loss_bce_logits(scope, values->logits, target);
}

const bnf_recipe bnf_recipe_lipschitz = {
    .name = "lipschitz",
    .summary = "image classification with certified 1-Lipschitz networks and hKR losses, or their unconstrained twins",
    .settings_size = sizeof(bnf_lipschitz_settings),
    .sections = sections,
    .check = check,
    .build = build,
    .certify = bnf_lipschitz_certify,
    .attack = bnf_lipschitz_attack,
    .explain = bnf_lipschitz_explain_command,
    .report = bnf_lipschitz_report,
    .export_onnx = bnf_lipschitz_export_onnx,
};
