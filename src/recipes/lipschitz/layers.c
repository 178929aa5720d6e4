/* recipes/lipschitz/layers.c - the layers that a configuration lists or names. */
#include "recipes/lipschitz/layers.h"

const char *const bnf_lipschitz_activation_names[] = {"auto",       "relu",     "leaky_relu",  "tanh", "sigmoid",
                                                      "groupsort2", "fullsort", "householder", NULL};

static const int activations[] = {-1,
                                  BNF_LAYER_RELU,
                                  BNF_LAYER_LEAKY_RELU,
                                  BNF_LAYER_TANH,
                                  BNF_LAYER_SIGMOID,
                                  BNF_LAYER_GROUPSORT2,
                                  BNF_LAYER_FULLSORT,
                                  BNF_LAYER_HOUSEHOLDER};

static bnf_layer complete(const bnf_layer *given)
{
    bnf_layer l = *given, usual = bnf_layer_default((bnf_layer_kind)given->kind);
    if (l.kernel == 0)
        l.kernel = usual.kernel;
    return l;
}

static int64_t outputs_of(const bnf_lipschitz_settings *settings, const bnf_params *params, int64_t classes)
{
    return bnf_nn_outputs(params, "head", settings->loss.kind == BNF_LIPSCHITZ_HKR_BINARY ? 1 : classes);
}

int bnf_lipschitz_layers(const bnf_lipschitz_settings *settings, const bnf_params *params, int64_t classes,
                         bnf_layer layers[BNF_NETWORK_MAX_LAYERS])
{
    const bnf_lipschitz_model *m = &settings->model;
    const bnf_layer *given = m->layers.item;
    if (m->network != BNF_NETWORK_NONE) {
        bnf_network network = {.kind = (bnf_network_kind)m->network,
                               .constrained = m->constraint != BNF_LIP_NONE,
                               .width = m->width,
                               .norm = (bnf_network_norm)m->norm,
                               .activation = activations[m->activation],
                               .outputs = outputs_of(settings, params, classes)};
        return bnf_network_layers(&network, layers);
    }
    for (int64_t i = 0; i < m->layers.count; i++)
        layers[i] = complete(&given[i]);
    return (int)m->layers.count;
}

static bnf_status check_list(const bnf_cfg_maps *list)
{
    const bnf_layer *layers = list->item;
    if (list->count > BNF_NETWORK_MAX_LAYERS)
        return bnf_fail(BNF_ERR_CONFIG, "model.layers has %lld entries; at most %d are legal", (long long)list->count,
                        BNF_NETWORK_MAX_LAYERS);
    for (int64_t i = 0; i < list->count; i++) {
        int kind = layers[i].kind;
        if ((kind == BNF_LAYER_CONV || kind == BNF_LAYER_DENSE || kind == BNF_LAYER_HEAD) && layers[i].out < 1)
            return bnf_fail(BNF_ERR_CONFIG, "model.layers[%lld] (%s) needs 'out'", (long long)i + 1,
                            bnf_layer_kind_names[kind]);
    }
    bnf_status s = bnf_nn_layers_check(layers, (int)list->count);
    return s == BNF_OK ? s : bnf_fail_context(BNF_ERR_CONFIG, "model.layers");
}

bnf_status bnf_lipschitz_layers_check(const bnf_lipschitz_model *m)
{
    bool listed = m->layers.count > 0, named = m->network != BNF_NETWORK_NONE;
    if (listed && named)
        return bnf_fail(BNF_ERR_CONFIG, "model.network: %s and model.layers exclude each other",
                        bnf_network_names[m->network]);
    if (!listed && !named)
        return bnf_fail(BNF_ERR_CONFIG, "a network is missing: name one with model.network or list its model.layers");
    if (listed && (m->norm != BNF_NORM_AUTO || m->activation != 0 || m->width != 1))
        return bnf_fail(BNF_ERR_CONFIG, "model.width, model.norm and model.activation belong to model.network; "
                                        "model.layers say these themselves");
    if (named && m->constraint != BNF_LIP_NONE && m->norm == BNF_NORM_BATCH_NORM)
        return bnf_fail(BNF_ERR_CONFIG, "model.norm: batch_norm is not 1-Lipschitz; with model.constraint it is "
                                        "batch_center or none");
    return listed ? check_list(&m->layers) : BNF_OK;
}
