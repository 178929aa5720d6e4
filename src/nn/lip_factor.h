/* nn/lip_factor.h - what a convolution kernel, constrained as a matrix, must be multiplied by so that the convolution
 * is 1-Lipschitz in the Euclidean norm.
 *
 * The kernel w[out, in/groups, kh, kw] is constrained as the matrix W[out, (in/groups) kh kw]. */
#ifndef BNF_NN_LIP_FACTOR_H
#define BNF_NN_LIP_FACTOR_H

#include <banff/base.h>

typedef enum bnf_lip_factor_kind {
    BNF_LIP_FACTOR_EXACT_BOUND, /* "exact_bound": a proven bound */
    BNF_LIP_FACTOR_PUBLISHED    /* "published": NOT a bound; for comparison with the published library only */
} bnf_lip_factor_kind;

/* One spatial convolution with zero padding of any width. in_h, in_w: extents of the input image, used by the published
 * factor only. */
typedef struct bnf_conv_geometry {
    int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, in_h, in_w;
} bnf_conv_geometry;

/* [out] factor  with the exact bound 1 / sqrt(n_h n_w), where n = ceil(k / (s / gcd(s, d))) for kernel k, stride s,
 * dilation d; for d = 1 that is ceil(k / s), e.g. 1/3 for a 3 x 3 kernel at stride 1 and 1/2 at stride 2.
 *
 * Why ||conv||_2 <= sqrt(n_h n_w) ||W||_2: the convolution is x -> W P(x), P gathering one patch per output position,
 * so ||conv(x)|| <= ||W||_2 ||P(x)||, and ||P(x)||^2 = sum over pixels of (how many patches hold the pixel) |pixel|^2.
 * Along one axis pixel i is in the patch of output o at tap t when o s + t d = i + padding. The taps t that solve this
 * for some o lie in one residue class modulo s / gcd(s, d), and each tap determines o: at most ceil(k / (s / gcd(s,
 * d))) of them. Zero padding adds zeros only and borders only remove patches. (Circular padding narrower than the
 * dilated kernel would repeat pixels and is not covered.) Dilation therefore does matter at stride > 1: k = 3, s = d =
 * 2 has n = 3, not 2. Groups: the operator is block-diagonal with blocks of W's row ranges; its norm is the largest
 * block's, and a row range never has a larger norm than W. So the same factor holds when W is constrained as a whole
 * (and when each range is).
 *
 * The published factor is, at stride 1, sqrt(h w / ((k h - c(c+1)) (k w - c(c+1)))) with c = (k-1)/2 (deel-lip), the
 * average rather than the largest number of patches per pixel: an all-equal 3 x 3 kernel exceeds 1 by 1.6 % on 28 x 28
 * images. At stride > 1 it is the exact bound.
 *
 * Errors: BNF_ERR_ARG for extents below 1 (image extents: published only); BNF_ERR_UNSUPPORTED for the published factor
 * with dilation. */
bnf_status bnf_lip_factor(bnf_lip_factor_kind kind, const bnf_conv_geometry *geometry, double *factor);

/* The kind's name in configurations, and back. Errors: BNF_ERR_CONFIG names the valid values. */
const char *bnf_lip_factor_kind_name(bnf_lip_factor_kind kind);
bnf_status bnf_lip_factor_kind_parse(const char *name, bnf_lip_factor_kind *kind);

#endif
