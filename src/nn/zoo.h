/* nn/zoo.h - what the named networks share: a list of layers that grows. */
#ifndef BNF_NN_ZOO_H
#define BNF_NN_ZOO_H

#include <banff/nn.h>

/* Settled settings, and the list. */
typedef struct bnf_zoo {
    bnf_network net; /* norm and activation as they are used */
    bnf_layer *layers;
    int count;
} bnf_zoo;

/* Appends a layer with the usual settings of its kind; the caller may change them. */
bnf_layer *bnf_zoo_add(bnf_zoo *z, bnf_layer_kind kind);
/* Convolution with as much padding as keeps the size (at stride 1), then the norm; a bias where there is no norm.
 * The last norm of a branch may start at 0. */
void bnf_zoo_conv(bnf_zoo *z, int64_t out, int64_t kernel, int64_t stride, bool zero_init);
void bnf_zoo_activation(bnf_zoo *z);
/* channels times the width, even and at least 2. */
int64_t bnf_zoo_width(const bnf_zoo *z, int64_t channels);

void bnf_zoo_resnet(bnf_zoo *z);
void bnf_zoo_vgg(bnf_zoo *z);

#endif
