/* nn/resnet.c - residual networks: He et al., "Deep residual learning for image recognition", 2016, table 1 and
 * section 4.2, and their 1-Lipschitz form. */
#include "nn/zoo.h"

#include "base/assert.h"

typedef struct form {
    bnf_network_kind kind;
    int blocks[4];   /* per stage; 0: there is none */
    bool bottleneck; /* blocks of 1x1, 3x3 and 1x1 convolutions to four times the channels; else of two 3x3 */
    bool small;      /* for small pictures: 3x3 stem and no pooling before the stages */
    int64_t base;    /* channels of the first stage; every further one has twice as many */
} form;

static const form forms[] = {
    {BNF_NETWORK_RESNET18, {2, 2, 2, 2}, false, false, 64}, {BNF_NETWORK_RESNET34, {3, 4, 6, 3}, false, false, 64},
    {BNF_NETWORK_RESNET50, {3, 4, 6, 3}, true, false, 64},  {BNF_NETWORK_RESNET101, {3, 4, 23, 3}, true, false, 64},
    {BNF_NETWORK_RESNET20, {3, 3, 3}, false, true, 16},     {BNF_NETWORK_RESNET56, {9, 9, 9}, false, true, 16},
};

static const form *form_of(bnf_network_kind kind)
{
    size_t i = 0, n = sizeof forms / sizeof *forms;
    while (i < n && forms[i].kind != kind)
        i++;
    BNF_ASSERT(i < n);
    return &forms[i];
}

/* The block's 3x3 or 1x1 convolution that halves the picture: by its stride, or where it is constrained by pooling,
 * which keeps more of the norm. */
static void convolve(bnf_zoo *z, int64_t out, int64_t kernel, bool halve)
{
    if (halve && z->net.constrained)
        bnf_zoo_add(z, BNF_LAYER_L2_POOL);
    bnf_zoo_conv(z, out, kernel, halve && !z->net.constrained ? 2 : 1, false);
}

/* One block from `in` channels; returns how many it gives. */
static int64_t block(bnf_zoo *z, const form *f, int64_t in, int64_t width, bool halve)
{
    int64_t out = f->bottleneck ? 4 * width : width;
    bnf_zoo_add(z, BNF_LAYER_BLOCK);
    if (f->bottleneck) {
        bnf_zoo_conv(z, width, 1, 1, false);
        bnf_zoo_activation(z);
    }
    convolve(z, width, 3, halve);
    bnf_zoo_activation(z);
    bnf_zoo_conv(z, out, f->bottleneck ? 1 : 3, 1, true);
    if (halve || in != out) {
        bnf_zoo_add(z, BNF_LAYER_SHORTCUT);
        convolve(z, out, 1, halve);
    }
    bnf_zoo_add(z, BNF_LAYER_ADD);
    bnf_zoo_activation(z);
    return out;
}

static void stem(bnf_zoo *z, const form *f, int64_t width)
{
    bnf_zoo_conv(z, width, f->small ? 3 : 7, f->small ? 1 : 2, false);
    bnf_zoo_activation(z);
    if (f->small)
        return;
    bnf_layer *pool = bnf_zoo_add(z, z->net.constrained ? BNF_LAYER_L2_POOL : BNF_LAYER_MAX_POOL);
    if (!z->net.constrained) {
        pool->kernel = 3;
        pool->stride = 2;
        pool->pad = 1;
    }
}

void bnf_zoo_resnet(bnf_zoo *z)
{
    const form *f = form_of(z->net.kind);
    int64_t width = bnf_zoo_width(z, f->base), channels = width;
    stem(z, f, width);
    for (int stage = 0; stage < 4; stage++, width *= 2)
        for (int i = 0; i < f->blocks[stage]; i++)
            channels = block(z, f, channels, width, stage > 0 && i == 0);
    bnf_zoo_add(z, z->net.constrained ? BNF_LAYER_SCALED_GLOBAL_AVG_POOL : BNF_LAYER_GLOBAL_AVG_POOL);
    bnf_zoo_add(z, BNF_LAYER_HEAD)->out = z->net.outputs;
}
