/* nn/zoo.c - networks by name. */
#include "nn/zoo.h"

#include "base/assert.h"

#include <math.h>

const char *const bnf_network_names[BNF_NETWORK_COUNT + 1] = {
    [BNF_NETWORK_NONE] = "none",         [BNF_NETWORK_RESNET18] = "resnet18",   [BNF_NETWORK_RESNET34] = "resnet34",
    [BNF_NETWORK_RESNET50] = "resnet50", [BNF_NETWORK_RESNET101] = "resnet101", [BNF_NETWORK_RESNET20] = "resnet20",
    [BNF_NETWORK_RESNET56] = "resnet56", [BNF_NETWORK_VGG11] = "vgg11",         [BNF_NETWORK_VGG16] = "vgg16",
};

const char *const bnf_network_norm_names[BNF_NORM_COUNT + 1] = {
    [BNF_NORM_AUTO] = "auto",
    [BNF_NORM_BATCH_NORM] = "batch_norm",
    [BNF_NORM_BATCH_CENTER] = "batch_center",
    [BNF_NORM_NONE] = "none",
};

bnf_layer *bnf_zoo_add(bnf_zoo *z, bnf_layer_kind kind)
{
    BNF_ASSERT(z->count < BNF_NETWORK_MAX_LAYERS);
    z->layers[z->count] = bnf_layer_default(kind);
    return &z->layers[z->count++];
}

void bnf_zoo_conv(bnf_zoo *z, int64_t out, int64_t kernel, int64_t stride, bool zero_init)
{
    bnf_layer *l = bnf_zoo_add(z, BNF_LAYER_CONV);
    l->out = out;
    l->kernel = kernel;
    l->stride = stride;
    l->bias = z->net.norm == BNF_NORM_NONE;
    if (z->net.norm == BNF_NORM_BATCH_NORM)
        bnf_zoo_add(z, BNF_LAYER_BATCH_NORM)->zero_init = zero_init;
    else if (z->net.norm == BNF_NORM_BATCH_CENTER)
        bnf_zoo_add(z, BNF_LAYER_BATCH_CENTER);
}

void bnf_zoo_activation(bnf_zoo *z)
{
    bnf_zoo_add(z, (bnf_layer_kind)z->net.activation);
}

int64_t bnf_zoo_width(const bnf_zoo *z, int64_t channels)
{
    int64_t even = 2 * (int64_t)nearbyint((double)channels * z->net.width / 2);
    return even < 2 ? 2 : even;
}

int bnf_network_layers(const bnf_network *network, bnf_layer layers[BNF_NETWORK_MAX_LAYERS])
{
    bnf_zoo z = {.net = *network, .layers = layers};
    bool vgg = network->kind == BNF_NETWORK_VGG11 || network->kind == BNF_NETWORK_VGG16;
    BNF_ASSERT(network->kind > BNF_NETWORK_NONE && network->kind < BNF_NETWORK_COUNT);
    if (z.net.norm == BNF_NORM_AUTO)
        z.net.norm = vgg ? BNF_NORM_NONE : network->constrained ? BNF_NORM_BATCH_CENTER : BNF_NORM_BATCH_NORM;
    if (z.net.activation < 0)
        z.net.activation = network->constrained ? BNF_LAYER_GROUPSORT2 : BNF_LAYER_RELU;
    if (vgg)
        bnf_zoo_vgg(&z);
    else
        bnf_zoo_resnet(&z);
    return z.count;
}
