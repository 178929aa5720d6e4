/* recipes/lipschitz/net.h - a configured network as a list of stages with their shapes and parameters: what bounds and
 * certificates are computed from. It restates what bnf_nn_network (banff/nn.h) builds. */
#ifndef BNF_RECIPES_LIPSCHITZ_NET_H
#define BNF_RECIPES_LIPSCHITZ_NET_H

#include "data/transform.h"
#include "recipes/lipschitz/settings.h"
#include "train/job.h"

typedef struct bnf_lipschitz_shape {
    int64_t h, w, c; /* after flattening 1 x 1 x C */
} bnf_lipschitz_shape;

typedef struct bnf_lipschitz_stage {
    bnf_layer layer; /* kernel, stride, pad, dilation and groups as they are used */
    char name[32];   /* of its parameters, "conv1"; without parameters the kind's name */
    bnf_lipschitz_shape in, out;
    int weight, bias, mean,
        var; /* indices in the parameter store; -1: none. householder: weight is its angles; add, if learned: its mix */
    /* Residual blocks. shortcut: its output is the input of stage `block`. add: its output is `factor` times the
     * sum of its input and that of stage `other`, which is the block's shortcut (so the end of the branch) or the
     * block. A learned one is the sum of both with shares that add up to 1: bnf_lipschitz_shares. */
    int block, other; /* of block, shortcut, add; else -1 */
    double factor;
} bnf_lipschitz_stage;

typedef struct bnf_lipschitz_net {
    bnf_lipschitz_stage *stages;
    int count;
    bnf_lipschitz_shape in;
    int64_t outputs; /* logits */
    /* network input = pixel * scale[c] + shift[c]. A pixel is a stored value / 255 for u8 images, so in [0,1]; for
     * f32 images the stored value. Radii are Euclidean distances of pixels. */
    double scale[BNF_DATA_MAX_CHANNELS], shift[BNF_DATA_MAX_CHANNELS];
    double pixel; /* stored value of a pixel of 1: 255, or 1 */
    bool bytes;   /* u8 images */
} bnf_lipschitz_net;

static inline int64_t bnf_lipschitz_size(const bnf_lipschitz_shape *s)
{
    return s->h * s->w * s->c;
}

/* Is the stage x -> W x + b with W[out, in]? */
static inline bool bnf_lipschitz_is_linear(const bnf_lipschitz_stage *s)
{
    return s->layer.kind == BNF_LAYER_DENSE || s->layer.kind == BNF_LAYER_HEAD;
}

/* By what stage `add` multiplies its own input and that of `other` before it adds them: *own, *others. In f64, to
 * within a few units in the last place (params f32). */
void bnf_lipschitz_shares(const bnf_lipschitz_stage *s, bnf_params *params, double *own, double *others);

/* The network of a job over images of `data`. [out] net owned, release with bnf_lipschitz_net_release. Errors:
 * BNF_ERR_ARG if a parameter is missing, has another shape or belongs to no stage; those of bnf_transform_create. */
bnf_status bnf_lipschitz_net_create(const bnf_job *job, const bnf_params *params, const bnf_dataset_info *data,
                                    bnf_lipschitz_net *net);
void bnf_lipschitz_net_release(bnf_lipschitz_net *net); /* legal on a zeroed one */

/* Stored image (u8 or f32) to pixels[h,w,c] f64, and pixels to network inputs. */
void bnf_lipschitz_pixels(const bnf_lipschitz_net *net, const void *image, double *pixels);
void bnf_lipschitz_inputs(const bnf_lipschitz_net *net, const double *pixels, double *x);

#endif
