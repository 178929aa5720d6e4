/* banff/nn.h - layers, losses and networks: they only add parameters to a store and operations to a graph.
 *
 * A scope ties a graph to a parameter store. The first graph that is built adds the parameters, later ones
 * (evaluation, attacks) find them by name. Errors are sticky as in banff/ops.h: bnf_graph_status(graph) tells. Shapes
 * are per leaf. */
#ifndef BANFF_NN_H
#define BANFF_NN_H

#include <banff/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bnf_scope {
    bnf_params *params;
    bnf_graph *graph;
    bnf_builder *b;
    bnf_val weight; /* R [N]: 1 for samples, 0 for padding behind the end of an epoch; BNF_NONE: all count */
    bnf_val count;  /* batch-level [1]: samples in the global batch */
    bool training;
    bool bf16;     /* values inside networks are bf16; parameters, statistics, logits and losses stay R */
    uint64_t seed; /* of the run: for weights that their owner draws again rather than keeps */
} bnf_scope;

/* Where a network begins and where it ends: x as bf16 if the scope wants that, x as R again. */
bnf_val bnf_nn_enter(bnf_scope *s, bnf_val x);
bnf_val bnf_nn_leave(bnf_scope *s, bnf_val x);

/* --- constraint of a weight --------------------------------------------------------------------------------------- */

typedef enum bnf_lip_kind {
    BNF_LIP_NONE = 0,
    BNF_LIP_SPECTRAL,       /* divided by its spectral norm */
    BNF_LIP_BJORCK,         /* spectral, then Bjorck orthonormalisation */
    BNF_LIP_ORTHOGONAL,     /* convolutions orthogonal as operators (nn/ortho_conv.h); dense layers as BJORCK */
    BNF_LIP_FROBENIUS_ROWS, /* each output neuron's weights have norm 1 */
    BNF_LIP_FROBENIUS       /* the matrix has Frobenius norm 1 */
} bnf_lip_kind;

/* Settings shared by the constrained layers of a network. The defaults of spec 05 are bnf_lip_default. */
typedef struct bnf_lip {
    bnf_lip_kind kind;
    int64_t power_iterations;
    double power_tolerance, eps;
    int64_t bjorck_iterations;
    double bjorck_beta, bjorck_tolerance;
    bool
        /* convolutions: the published reshaped-kernel factor, which is not a bound; for comparison only */
        published_factor;
    bool direct; /* Bjorck steps as written rather than through one eigendecomposition (reference); of one owner: what
                    all ranks own together is always computed as written */
} bnf_lip;

bnf_lip bnf_lip_default(bnf_lip_kind kind);

/* --- layers ------------------------------------------------------------------------------------------------------- */

/* The value of parameter `name`: added with this shape and start if the store lacks it. */
bnf_val bnf_nn_param(bnf_scope *s, const bnf_param_info *info);

typedef struct bnf_conv2d_layer {
    int64_t out, kernel[2], stride[2], pad[2] /* both sides; -1: (dilated kernel - 1) / 2 */, dilation[2], groups;
    bool bias;
    bnf_lip lip;
} bnf_conv2d_layer;

/* 3 x 3, stride 1, same padding, bias, unconstrained. */
bnf_conv2d_layer bnf_conv2d_layer_default(int64_t out);
/* x[N,H,W,I] -> [N,OH,OW,out]. Parameters NAME.weight [out,I/groups,kh,kw], NAME.bias [out]. Starts: He-normal for
 * unconstrained layers, orthogonal for constrained ones; bias 0. With a constraint the convolution's norm is at most
 * 1 (nn/lip_factor.h; ORTHOGONAL: nn/ortho_conv.h, which refuses kernels smaller than the stride). */
bnf_val bnf_nn_conv2d(bnf_scope *s, const char *name, bnf_val x, const bnf_conv2d_layer *layer);
/* Outputs of layer NAME if the store has its weight, else `otherwise`: once there is a network, not the classes of some
 * part of a data set count, which may be fewer. */
int64_t bnf_nn_outputs(const bnf_params *params, const char *name, int64_t otherwise);
/* x[N,...] flattened to [N,I] -> [N,out]. Parameters NAME.weight [out,I], NAME.bias [out]. */
bnf_val bnf_nn_dense(bnf_scope *s, const char *name, bnf_val x, int64_t out, bool bias, const bnf_lip *lip);

typedef struct bnf_batch_norm_layer {
    bool per_leaf;        /* statistics of each leaf alone instead of the whole batch (cheaper: no segment ends) */
    double momentum, eps; /* running = (1 - momentum) running + momentum batch */
    bool affine;
} bnf_batch_norm_layer;

bnf_batch_norm_layer bnf_batch_norm_layer_default(void);
/* x[N,...,C], normalised per channel; running mean and (unbiased) variance are states NAME.mean, NAME.var used in
 * evaluation. Per-leaf statistics update the running ones with their average over leaves. */
bnf_val bnf_nn_batch_norm(bnf_scope *s, const char *name, bnf_val x, const bnf_batch_norm_layer *layer);
/* x[N,...,C] - mean per channel + NAME.bias [C]: of the whole batch in training; in evaluation of the state
 * NAME.mean [C], which follows it as batch normalisation's does (momentum 0.1). Nothing is scaled, so the layer is
 * 1-Lipschitz. */
bnf_val bnf_nn_batch_center(bnf_scope *s, const char *name, bnf_val x);
/* x[N,...,C] by bnf_householder with the parameter NAME.angle [C/2], which starts at pi/2: groupsort2. */
bnf_val bnf_nn_householder(bnf_scope *s, const char *name, bnf_val x);
/* x + y, or for 1-Lipschitz branches (x + y) / 2. */
bnf_val bnf_nn_residual(bnf_scope *s, bnf_val x, bnf_val y, bool lipschitz);
/* a x + (1 - a) y with a = sigmoid(NAME.mix), a parameter [1] that starts at 0: the half sum. 1-Lipschitz branches give
 * a 1-Lipschitz sum. */
bnf_val bnf_nn_mix(bnf_scope *s, const char *name, bnf_val x, bnf_val y);

/* --- losses: batch-level scalars, means over the samples that count ----------------------------------------------- */

/* sum over leaves and samples of weight * x[N,1], divided by the number of samples. */
bnf_val bnf_nn_batch_mean(bnf_scope *s, bnf_val x);
/* logits[N,C], labels i32 [N]. smoothing in [0,1): target (1-smoothing) one-hot + smoothing / C. */
bnf_val bnf_loss_cross_entropy(bnf_scope *s, bnf_val logits, bnf_val labels, double smoothing);
/* Mean over samples and elements of (x - target)^2. */
bnf_val bnf_loss_mse(bnf_scope *s, bnf_val x, bnf_val target);
/* logits[N,C], target R [N,C] in [0,1]: mean over samples and elements of softplus(z) - t z. */
bnf_val bnf_loss_bce_logits(bnf_scope *s, bnf_val logits, bnf_val target);

/* Hinge Kantorovich-Rubinstein losses for 1-Lipschitz networks (spec 05). The hinge margin on each side is min_margin
 * / 2, the convention of both public libraries. */
typedef enum bnf_hkr_kind {
    BNF_HKR_BINARY = 0, /* f[N,1], labels 0 and 1 */
    BNF_HKR_MULTICLASS, /* one against the rest, averaged over classes */
    BNF_HKR_SOFT,       /* negatives weighted by a softmax whose temperature follows the mean of |f| */
    BNF_HKR_LSE         /* the largest other logit by log-sum-exp; C >= 3 */
} bnf_hkr_kind;

typedef enum bnf_hkr_form {
    BNF_HKR_SUM = 0, /* -KR + alpha hinge (soft: -KR / alpha + hinge) */
    BNF_HKR_CONVEX   /* (1 - alpha)(-KR) + alpha hinge, alpha in [0,1] */
} bnf_hkr_form;

typedef struct bnf_hkr {
    bnf_hkr_kind kind;
    bnf_hkr_form form;
    double alpha, min_margin, temperature;
    double penalty; /* LSE: the sharpness is log(C-1) / (min_margin penalty / 2) */
} bnf_hkr;

typedef struct bnf_hkr_terms {
    bnf_val loss, kr, hinge; /* batch-level [1]; kr as maximised (its sign is that of the transport distance) */
} bnf_hkr_terms;

/* f[N,C], labels i32 [N]. Class counts and the moving mean of |f| (state NAME.mean_abs, for the soft form) are those
 * of the whole batch, so the loss is the same for any number of ranks. A class without samples in the batch
 * contributes its negative side only. */
bnf_hkr_terms bnf_loss_hkr(bnf_scope *s, const char *name, bnf_val f, bnf_val labels, const bnf_hkr *hkr);

/* --- networks from a list of layers ------------------------------------------------------------------------------- */

typedef enum bnf_layer_kind {
    BNF_LAYER_CONV = 0,
    BNF_LAYER_DENSE,
    BNF_LAYER_HEAD /* dense with unit rows, or of norm 1 as a whole */,
    BNF_LAYER_RELU,
    BNF_LAYER_LEAKY_RELU,
    BNF_LAYER_TANH,
    BNF_LAYER_SIGMOID,
    BNF_LAYER_GROUPSORT2,
    BNF_LAYER_FULLSORT,
    BNF_LAYER_MAX_POOL,
    BNF_LAYER_AVG_POOL,
    BNF_LAYER_SCALED_AVG_POOL,
    BNF_LAYER_L2_POOL,
    BNF_LAYER_GLOBAL_AVG_POOL,
    BNF_LAYER_SCALED_GLOBAL_AVG_POOL,
    BNF_LAYER_GLOBAL_L2_POOL,
    BNF_LAYER_BATCH_NORM,
    BNF_LAYER_DROPOUT,
    BNF_LAYER_FLATTEN,
    BNF_LAYER_UNSHUFFLE,
    BNF_LAYER_BATCH_CENTER,
    BNF_LAYER_BLOCK,    /* a residual block begins: its input is remembered */
    BNF_LAYER_SHORTCUT, /* what stands between this and `add` is applied to the remembered input; without: the input */
    BNF_LAYER_ADD,      /* the block ends: sum of branch and shortcut, half of it in a constrained network */
    BNF_LAYER_HOUSEHOLDER, /* a learned angle for each pair of channels */
    BNF_LAYER_COUNT
} bnf_layer_kind;

extern const char *const bnf_layer_kind_names[BNF_LAYER_COUNT + 1]; /* "conv", "dense", ...; NULL-terminated */

/* One entry of a network's list. Fields that a kind does not use are ignored. */
typedef struct bnf_layer {
    int kind; /* bnf_layer_kind */
    int64_t out, kernel, stride, pad, dilation,
        groups; /* pools: kernel = window; stride 0 = 1 (conv) or the window (pool); pad -1 = same */
    bool bias;
    double slope, rate; /* leaky_relu; dropout */
    bool zero_init;     /* batch_norm: the scale starts at 0, so that a block begins as its shortcut */
    bool learned;       /* add: bnf_nn_mix of shortcut and branch, with or without constraint */
    bool disjoint;      /* head, constrained: every row has norm 1; else the matrix has Frobenius norm 1 */
} bnf_layer;

bnf_layer bnf_layer_default(bnf_layer_kind kind);

/* Are block, shortcut and add in order? Blocks do not nest, and none may be left open. Error: BNF_ERR_ARG that
 * names the layer's number, from 1. */
bnf_status bnf_nn_layers_check(const bnf_layer *layers, int n);

/* x[N,H,W,C] through the layers; parameters are named conv1, conv2, dense1, ... in order. `lip` applies to conv and
 * dense layers (its kind NONE: an ordinary network); a head is divided by norms (`disjoint`) if lip.kind is not NONE.
 * Inputs of blocks are marked (bnf_graph_mark). In bf16 if s->bf16 is set: x is cast, and the result cast back. Errors
 * are recorded in the graph and name the layer's number. */
bnf_val bnf_nn_network(bnf_scope *s, bnf_val x, const bnf_layer *layers, int n, const bnf_lip *lip);

/* Factor by which a pooling layer's output may exceed its input's norm; 1 for all of spec 05's pools with window <=
 * stride. */
double bnf_layer_lipschitz(const bnf_layer *layer);

/* --- networks by name --------------------------------------------------------------------------------------------- */

typedef enum bnf_network_kind {
    BNF_NETWORK_NONE = 0,
    BNF_NETWORK_RESNET18, /* He et al., Deep residual learning, 2016: 7x7 stem, four stages, basic blocks */
    BNF_NETWORK_RESNET34,
    BNF_NETWORK_RESNET50, /* bottlenecks that stride in their 3x3 convolution ("v1.5") */
    BNF_NETWORK_RESNET101,
    BNF_NETWORK_RESNET20, /* the CIFAR form: 3x3 stem, three stages of 16, 32 and 64 channels, projections */
    BNF_NETWORK_RESNET56,
    BNF_NETWORK_VGG11, /* Simonyan and Zisserman, Very deep convolutional networks, 2015: configurations A and D */
    BNF_NETWORK_VGG16,
    BNF_NETWORK_COUNT
} bnf_network_kind;

extern const char *const bnf_network_names[BNF_NETWORK_COUNT + 1]; /* "none", "resnet18", ...; NULL-terminated */

typedef enum bnf_network_norm {
    BNF_NORM_AUTO = 0, /* resnets: batch_norm, batch_center if constrained; vgg: none */
    BNF_NORM_BATCH_NORM,
    BNF_NORM_BATCH_CENTER,
    BNF_NORM_NONE,
    BNF_NORM_COUNT
} bnf_network_norm;

extern const char *const bnf_network_norm_names[BNF_NORM_COUNT + 1];

/* Constrained: the 1-Lipschitz form, with groupsort2 for relu, L2 pooling for max pooling and for strides inside the
 * stages, half sums (bnf_nn_network), a scaled global average and a head with unit rows; a VGG has one dense layer of
 * 512 neurons in place of two of 4096, and no dropout. */
typedef struct bnf_network {
    bnf_network_kind kind;
    bool constrained;
    double width; /* factor of all channel counts, which are rounded to even numbers of at least 2 */
    bnf_network_norm norm;
    int activation;  /* bnf_layer_kind; < 0: relu, groupsort2 if constrained */
    int64_t outputs; /* logits */
} bnf_network;

#define BNF_NETWORK_MAX_LAYERS 512

/* Writes the layers and returns how many; the head is the last one and its parameters are head.weight and
 * head.bias. */
int bnf_network_layers(const bnf_network *network, bnf_layer layers[BNF_NETWORK_MAX_LAYERS]);

#ifdef __cplusplus
}
#endif
#endif
