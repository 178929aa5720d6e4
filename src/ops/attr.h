/* ops/attr.h - attributes of the operations other than the linear and pooling ones. They have no padding, so that
 * equal bytes mean equal attributes; shapes are zero beyond ndim. */
#ifndef BNF_OPS_ATTR_H
#define BNF_OPS_ATTR_H

#include <banff/tensor.h>

typedef enum bnf_unary_kind {
    BNF_UNARY_RELU = 0,
    BNF_UNARY_LEAKY,
    BNF_UNARY_TANH,
    BNF_UNARY_SIGMOID,
    BNF_UNARY_SOFTPLUS,
    BNF_UNARY_EXP,
    BNF_UNARY_LOG,
    BNF_UNARY_SQRT,
    BNF_UNARY_RSQRT,
    BNF_UNARY_SQUARE,
    BNF_UNARY_ABS,
    BNF_UNARY_COUNT
} bnf_unary_kind;

/* unary, unary_bwd */
typedef struct bnf_unary_attr {
    int64_t kind;
    double slope; /* LEAKY: factor below 0, not negative; else 0 */
} bnf_unary_attr;

/* affine, leaf_share: scale x + shift */
typedef struct bnf_affine_attr {
    double scale, shift;
} bnf_affine_attr;

/* clip, clip_bwd */
typedef struct bnf_clip_attr {
    double lo, hi;
} bnf_clip_attr;

typedef enum bnf_binary_kind {
    BNF_BINARY_ADD = 0,
    BNF_BINARY_SUB,
    BNF_BINARY_MUL,
    BNF_BINARY_DIV,
    BNF_BINARY_MAX,
    BNF_BINARY_COUNT
} bnf_binary_kind;

/* cast */
typedef struct bnf_cast_attr {
    int64_t to; /* bnf_dtype */
} bnf_cast_attr;

typedef struct bnf_binary_attr {
    int64_t kind;
} bnf_binary_attr;

typedef struct bnf_maximum_bwd_attr {
    int64_t side; /* 0: gradient of x, 1: of y */
} bnf_maximum_bwd_attr;

/* fullsort_bwd */
typedef struct bnf_permute_attr {
    int64_t forward; /* 0: the gradient, 1: its transpose */
} bnf_permute_attr;

/* reshape, broadcast_to, sum_to: the result's shape */
typedef struct bnf_shape_attr {
    int64_t ndim, dim[BNF_MAX_DIMS];
} bnf_shape_attr;

/* slice, slice_bwd: `count` elements from `first` of rows of `total` elements */
typedef struct bnf_slice_attr {
    int64_t first, count, total;
} bnf_slice_attr;

/* pixel_unshuffle, pixel_unshuffle_bwd */
typedef struct bnf_unshuffle_attr {
    int64_t factor;
} bnf_unshuffle_attr;

/* crop2d, pad2d: rows, columns */
typedef struct bnf_crop2d_attr {
    int64_t first[2], window[2], image[2];
} bnf_crop2d_attr;

typedef struct bnf_spatial_tile_attr {
    int64_t image[2]; /* rows, columns */
} bnf_spatial_tile_attr;

typedef struct bnf_one_hot_attr {
    int64_t classes;
} bnf_one_hot_attr;

typedef struct bnf_dropout_attr {
    double p;
    int64_t layer; /* key of the mask + 1; 0: the node's own layer key */
} bnf_dropout_attr;

typedef struct bnf_gumbel_attr {
    int64_t every_step; /* other noise in every step; 0: the noise of step 0 */
} bnf_gumbel_attr;

/* channel_normalize, instance_norm, and their gradients */
typedef struct bnf_normalize_attr {
    double eps; /* added to the variance */
} bnf_normalize_attr;

/* channel_affine and its gradients */
typedef struct bnf_channel_affine_attr {
    int64_t relu; /* 1: negative results become 0 */
} bnf_channel_affine_attr;

/* householder and its gradients */
typedef struct bnf_householder_attr {
    int64_t order; /* derivatives by the angle that were taken */
} bnf_householder_attr;

#endif
