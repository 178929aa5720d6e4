/* recipes/random_conv/recipe.c - image classification with linear combinations of random convolutions, spec 07. */
#include "recipes/random_conv/fgsm.h"
#include "recipes/random_conv/net.h"
#include "recipes/random_conv/random_conv.h"

#include <stddef.h>

static const char *const between_names[] = {"nothing", "relu", "bn", "bn_relu", NULL};

#define AT(field) offsetof(bnf_random_conv_model, field)
static const bnf_cfg_key model_keys[] = {
    {"depth", BNF_CFG_INT, AT(depth), "20", "spatial convolutions and the last layer: 6 n + 2", .min = 8, .max = 2000},
    {"width", BNF_CFG_INT, AT(width), "16", "channels of the first stage; the others have twice and four times as many",
     .min = 1, .max = 4096},
    {"kernel", BNF_CFG_INT, AT(kernel), "3", "side of spatial kernels, odd", .min = 1, .max = 63},
    {"expansion", BNF_CFG_INT, AT(expansion), "0",
     "every spatial convolution becomes so many times as many filters and a 1 x 1 convolution that combines them; "
     "0: ordinary convolutions",
     .min = 0, .max = 4096},
    {"frozen", BNF_CFG_BOOL, AT(frozen), "false", "spatial filters stay as they were drawn"},
    {"between", BNF_CFG_ENUM, AT(between), "nothing", "what stands between filters and combinations",
     .choices = between_names},
    {"fold", BNF_CFG_BOOL, AT(fold), "true",
     "with nothing between: train filters and combinations as the one convolution that they are together"},
};
#undef AT

static const bnf_cfg_key loss_keys[] = {
    {"smoothing", BNF_CFG_REAL, offsetof(bnf_random_conv_settings, smoothing), "0.1", "label smoothing", .min = 0,
     .max = 0.999},
};

static int sections(void *settings, bnf_cfg_section *s)
{
    bnf_random_conv_settings *set = settings;
    s[0] = (bnf_cfg_section){"model", "the network", BNF_CFG_KEYS(model_keys), &set->model};
    s[1] = (bnf_cfg_section){"loss", "what is minimised", BNF_CFG_KEYS(loss_keys), set};
    return 2;
}

static bnf_status check(const void *settings)
{
    const bnf_random_conv_model *m = &((const bnf_random_conv_settings *)settings)->model;
    if ((m->depth - 2) % 6 != 0)
        return bnf_fail(BNF_ERR_CONFIG,
                        "model.depth: %lld is not 6 n + 2 (three stages of n blocks of two convolutions)",
                        (long long)m->depth);
    if (m->kernel % 2 == 0)
        return bnf_fail(BNF_ERR_CONFIG, "model.kernel: %lld is even", (long long)m->kernel);
    if (m->between != BNF_RANDOM_CONV_NOTHING && m->expansion == 0)
        return bnf_fail(BNF_ERR_CONFIG,
                        "model.between: %s needs model.expansion: ordinary convolutions have no between",
                        between_names[m->between]);
    return BNF_OK;
}

static void build(const void *settings, bnf_scope *scope, bnf_val x, bnf_val labels, int64_t classes,
                  bnf_model_values *values)
{
    const bnf_random_conv_settings *set = settings;
    *values = (bnf_model_values){
        .logits = bnf_random_conv_network(scope, &set->model, x, bnf_nn_outputs(scope->params, "head", classes))};
    values->loss = bnf_loss_cross_entropy(scope, values->logits, labels, set->smoothing);
}

const bnf_recipe bnf_recipe_random_conv = {
    .name = "random_conv",
    .summary = "image classification with linear combinations of random convolutions",
    .settings_size = sizeof(bnf_random_conv_settings),
    .sections = sections,
    .check = check,
    .build = build,
    .attack = bnf_random_conv_attack,
};
