/* banff/ops.h - the operations, as functions that add nodes to a graph under construction.
 *
 * Every function takes the builder (bnf_graph_builder(graph), banff/graph.h) and values, and returns a value. Errors
 * are sticky: the first one is recorded in the builder (message names the operation and the shapes), everything
 * emitted after it is invalid, and bnf_graph_status() returns it. Shapes are per leaf: N is the number of samples of
 * one leaf. R is the graph's real type (f32, or f64 for gradient checks). Binary operations broadcast trailing
 * dimensions. All are deterministic functions of their inputs, dropout of (seed, step, sample, layer) too.
 *
 * Values may also be bf16 (bnf_cast): operations then compute in f32 and round their results. Parameters, statistics,
 * their gradients and sums over the batch stay f32; weights count rounded to bf16 beside bf16 values. */
#ifndef BANFF_OPS_H
#define BANFF_OPS_H

#include <banff/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bnf_builder bnf_builder;

/* A value of the graph; id < 0 is "none" or "invalid after an error". */
typedef struct bnf_val {
    int32_t id;
} bnf_val;
#define BNF_NONE ((bnf_val){-1})

static inline bool bnf_val_ok(bnf_val v)
{
    return v.id >= 0;
}

/* Shape of a value. Borrowed until the graph is destroyed. */
const bnf_desc *bnf_val_desc(const bnf_builder *b, bnf_val v);
/* True if a gradient with respect to this value is wanted by the running bnf_graph_gradient. */
bool bnf_needs_grad(const bnf_builder *b, bnf_val v);
/* Scalar constant [1]. */
bnf_val bnf_const(bnf_builder *b, double value);

/* --- linear ------------------------------------------------------------------------------------------------------- */

typedef struct bnf_conv2d_attr {
    int64_t stride[2], pad[4] /* top, left, bottom, right; zeros */, dilation[2] /* 1 = dense */, groups;
} bnf_conv2d_attr;

/* x[N,H,W,I], w[O,I/groups,kh,kw], bias[O] or BNF_NONE -> y[N,OH,OW,O]. */
bnf_val bnf_conv2d(bnf_builder *b, bnf_val x, bnf_val w, bnf_val bias, const bnf_conv2d_attr *attr);
/* Padding with which a window of `window` cells and a stride give ceil(image / stride) positions, as TensorFlow's
 * "SAME" does it: an odd cell goes to the bottom or right. [out] pad: top, left, bottom, right; for convolutions and
 * pools. */
void bnf_same_padding(const int64_t image[2], const int64_t window[2], const int64_t stride[2], int64_t pad[4]);
/* x[N,I] (or [..., I] flattened to rows), w[O,I], bias[O] or BNF_NONE -> y[N,O]. */
bnf_val bnf_dense(bnf_builder *b, bnf_val x, bnf_val w, bnf_val bias);

/* --- element by element ------------------------------------------------------------------------------------------- */

bnf_val bnf_relu(bnf_builder *b, bnf_val x);
bnf_val bnf_leaky_relu(bnf_builder *b, bnf_val x, double slope);
bnf_val bnf_tanh(bnf_builder *b, bnf_val x);
bnf_val bnf_sigmoid(bnf_builder *b, bnf_val x);
bnf_val bnf_softplus(bnf_builder *b, bnf_val x); /* log(1 + exp(x)), stable */
bnf_val bnf_exp(bnf_builder *b, bnf_val x);
bnf_val bnf_log(bnf_builder *b, bnf_val x);
bnf_val bnf_sqrt(bnf_builder *b, bnf_val x);
bnf_val bnf_rsqrt(bnf_builder *b, bnf_val x);
bnf_val bnf_square(bnf_builder *b, bnf_val x);
bnf_val bnf_abs(bnf_builder *b, bnf_val x);                                /* gradient 0 at 0 */
bnf_val bnf_affine(bnf_builder *b, bnf_val x, double scale, double shift); /* scale * x + shift */
bnf_val bnf_clip(bnf_builder *b, bnf_val x, double lo, double hi);         /* gradient 1 inside [lo, hi], 0 outside */
bnf_val bnf_add(bnf_builder *b, bnf_val x, bnf_val y);
bnf_val bnf_sub(bnf_builder *b, bnf_val x, bnf_val y);
bnf_val bnf_mul(bnf_builder *b, bnf_val x, bnf_val y);
bnf_val bnf_div(bnf_builder *b, bnf_val x, bnf_val y);
bnf_val bnf_maximum(bnf_builder *b, bnf_val x, bnf_val y); /* gradient goes to x where equal */
/* x as another real type (f32, f64, bf16), rounded to nearest; x itself if it has that type. */
bnf_val bnf_cast(bnf_builder *b, bnf_val x, bnf_dtype to);
/* Value of x, no gradient. */
bnf_val bnf_stop_gradient(bnf_builder *b, bnf_val x);

/* --- 1-Lipschitz activations (spec 05) ---------------------------------------------------------------------------- */

/* Each adjacent pair of channels -> (min, max); C even. */
bnf_val bnf_groupsort2(bnf_builder *b, bnf_val x);
/* Each adjacent pair of channels is reflected at a line through 0 if it lies on one side of it, and kept on the other;
 * angle R [C/2], C even. pi/2: groupsort2. 1-Lipschitz for any angle (ops/householder.c). */
bnf_val bnf_householder(bnf_builder *b, bnf_val x, bnf_val angle);
/* Ascending sort of the last dimension; gradient is the inverse permutation (stable for ties). */
bnf_val bnf_fullsort(bnf_builder *b, bnf_val x);

/* --- pooling ------------------------------------------------------------------------------------------------------ */

typedef enum bnf_pool_kind { BNF_POOL_MAX = 0, BNF_POOL_AVG, BNF_POOL_L2 } bnf_pool_kind;
typedef struct bnf_pool2d_attr {
    int64_t kind, window[2], stride[2], pad[4];
} bnf_pool2d_attr;

/* x[N,H,W,C] -> y[N,OH,OW,C]. AVG divides by the number of cells of the whole window (padding included). L2: sqrt(sum
 * x^2), gradient x / (y + 1e-6). */
bnf_val bnf_pool2d(bnf_builder *b, bnf_val x, const bnf_pool2d_attr *attr);
/* Mean over H and W, times `scale` (1: average pooling; sqrt(HW): the 1-Lipschitz form). -> [N,C] */
bnf_val bnf_global_avg(bnf_builder *b, bnf_val x, double scale);

/* --- shape -------------------------------------------------------------------------------------------------------- */

bnf_val bnf_reshape(bnf_builder *b, bnf_val x, int ndim, const int64_t *dim); /* same number of elements; no copy */
bnf_val bnf_flatten(bnf_builder *b, bnf_val x);                               /* [N, rest] */
bnf_val bnf_concat(bnf_builder *b, const bnf_val *x, int n);                  /* along the last dimension, n <= 8 */
bnf_val bnf_slice(bnf_builder *b, bnf_val x, int64_t first, int64_t count);   /* of the last dimension */
/* [N,H,W,C] -> [N,H/f,W/f,C f f] (invertible downsampling); channel index = (c f + dy) f + dx. */
bnf_val bnf_pixel_unshuffle(bnf_builder *b, bnf_val x, int64_t factor);
/* x[N,H,W,C] -> the h x w positions from (top, left) on; and back, with zeros about it. */
bnf_val bnf_crop2d(bnf_builder *b, bnf_val x, int64_t top, int64_t left, int64_t h, int64_t w);
bnf_val bnf_pad2d(bnf_builder *b, bnf_val x, int64_t top, int64_t left, int64_t h, int64_t w);
/* [N,H,W,C] -> [N,2H,2W,C], bilinear with half-pixel centres: [1,3] -> [1,1.5,2.5,3]. */
bnf_val bnf_upsample2(bnf_builder *b, bnf_val x);
/* z[N,K] -> [N,h,w,K+2]: z at every position, then its column and its row as numbers from -1 to 1. */
bnf_val bnf_spatial_tile(bnf_builder *b, bnf_val z, int64_t h, int64_t w);
/* Repeats along extents of 1 (or missing leading dimensions) up to `shape`; sum_to is its transpose. */
bnf_val bnf_broadcast_to(bnf_builder *b, bnf_val x, const bnf_desc *shape);
/* Sums the dimensions along which `shape` would be broadcast to x's shape. */
bnf_val bnf_sum_to(bnf_builder *b, bnf_val x, const bnf_desc *shape);
bnf_val bnf_sum_all(bnf_builder *b, bnf_val x);  /* -> [1] */
bnf_val bnf_sum_last(bnf_builder *b, bnf_val x); /* sum over the last dimension, kept as extent 1 */

/* --- classification ----------------------------------------------------------------------------------------------- */

bnf_val bnf_softmax(bnf_builder *b, bnf_val x);     /* over the last dimension */
bnf_val bnf_log_softmax(bnf_builder *b, bnf_val x); /* over the last dimension, stable */
bnf_val bnf_one_hot(bnf_builder *b, bnf_val labels /* i32 [N] */, int64_t classes); /* -> R [N,classes] */
/* logits R [N,C], labels i32 [N] -> R [N,1]: 1 where the first largest logit is the label's. No gradient. */
bnf_val bnf_correct(bnf_builder *b, bnf_val logits, bnf_val labels);

/* --- regularisation, normalisation -------------------------------------------------------------------------------- */

/* Keeps each element with probability 1-p and scales it by 1/(1-p). Identity when the builder is not in training mode.
 * */
bnf_val bnf_dropout(bnf_builder *b, bnf_val x, double p);
/* x + noise with Gumbel's distribution, -log(-log u), for samples of categories with the logits x. When the builder is
 * not in training mode it is a function of seed, sample and element alone, not of the step. */
bnf_val bnf_gumbel(bnf_builder *b, bnf_val x);
/* Per channel (last dimension) moments with a weight per sample, building blocks of batch normalisation:
 * x[N,...,C], w R [N] -> sum over samples and positions of w x -> [C]. */
bnf_val bnf_channel_sum(bnf_builder *b, bnf_val x, bnf_val w);
/* ... of w (x - mean)^2 -> [C]. */
bnf_val bnf_channel_sqdev(bnf_builder *b, bnf_val x, bnf_val w, bnf_val mean);
/* sums[0] = sum over samples and positions of w (x - k), sums[1] = of w (x - k)^2 -> [C] each, in one pass over
 * x[N,...,C]; w R [N], k R [C]. The closer k is to the mean, the less a variance from these sums loses to rounding. */
void bnf_channel_moments(bnf_builder *b, bnf_val x, bnf_val w, bnf_val k, bnf_val sums[2]);
/* (x - k) a + s per channel; k, a, s R [C]. A bnf_add and a bnf_relu of the result become part of the operation. */
bnf_val bnf_channel_affine(bnf_builder *b, bnf_val x, bnf_val k, bnf_val a, bnf_val s);
/* (x - mean) * rsqrt(var + eps) * gamma + beta, per channel; gamma, beta may be BNF_NONE (both). */
bnf_val bnf_channel_normalize(bnf_builder *b, bnf_val x, bnf_val mean, bnf_val var, bnf_val gamma, bnf_val beta,
                              double eps);

/* Every channel of every sample over its positions: (x - mean) * rsqrt(var + eps) * gamma + beta; x[N,...,C], gamma,
 * beta R [C]. Its gradient has no gradient. */
bnf_val bnf_instance_norm(bnf_builder *b, bnf_val x, bnf_val gamma, bnf_val beta, double eps);

/* --- across leaves ------------------------------------------------------------------------------------------------ */

/* Sum of a leaf's value over all leaves of the global batch, along the fixed tree: ends a segment. Result is
 * batch-level: the same bits on every rank. Gradient: every leaf receives the result's gradient. */
bnf_val bnf_batch_sum(bnf_builder *b, bnf_val x);
/* The share of one leaf of a batch-level value: x / leaves, at leaf level. Summed over leaves it gives x again. */
bnf_val bnf_leaf_share(bnf_builder *b, bnf_val x);

#ifdef __cplusplus
}
#endif
#endif
