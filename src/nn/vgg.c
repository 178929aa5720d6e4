/* nn/vgg.c - Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015,
 * table 1, columns A and D, and their 1-Lipschitz form. */
#include "nn/zoo.h"

/* Two dense layers as wide as the paper's, or the one of the 1-Lipschitz form behind a global pool: constrained
 * matrices cost the cube of their smaller side. */
static void dense(bnf_zoo *z, int64_t neurons)
{
    bnf_zoo_add(z, BNF_LAYER_DENSE)->out = bnf_zoo_width(z, neurons);
    bnf_zoo_activation(z);
    if (!z->net.constrained)
        bnf_zoo_add(z, BNF_LAYER_DROPOUT);
}

void bnf_zoo_vgg(bnf_zoo *z)
{
    static const int convolutions[2][5] = {{1, 1, 2, 2, 2}, {2, 2, 3, 3, 3}};
    static const int64_t channels[5] = {64, 128, 256, 512, 512};
    const int *n = convolutions[z->net.kind == BNF_NETWORK_VGG16];
    for (int stage = 0; stage < 5; stage++) {
        for (int i = 0; i < n[stage]; i++) {
            bnf_zoo_conv(z, bnf_zoo_width(z, channels[stage]), 3, 1, false);
            bnf_zoo_activation(z);
        }
        bnf_zoo_add(z, z->net.constrained ? BNF_LAYER_L2_POOL : BNF_LAYER_MAX_POOL);
    }
    if (z->net.constrained) {
        bnf_zoo_add(z, BNF_LAYER_SCALED_GLOBAL_AVG_POOL);
        dense(z, 512);
    } else {
        dense(z, 4096);
        dense(z, 4096);
    }
    bnf_zoo_add(z, BNF_LAYER_HEAD)->out = z->net.outputs;
}
