/* nn/ortho_conv.h - convolution kernels that are orthogonal by construction, and the derivative of the construction.
 *
 * On images over all of Z^2 a convolution y(p) = sum_t K_t x(s p + d t) with matrices K_t[out,in] is the polynomial
 * K(z) = sum_t K_t z^t in the two shifts. For an orthogonal projector P the factor F(z) = P z + (I - P) preserves
 * norms: F(z) F(1/z)' = P + (I - P) = I, whatever the axis of z. With c channels in the middle, stride s per axis and
 * kernel k,
 *
 *     K(z) = R(z) F_1(z_h) ... F_(k_h - s_h)(z_h) G_1(z_w) ... G_(k_w - s_w)(z_w) H,
 *
 * where R is an s_h x s_w kernel of stride s whose matrix [out, c s_h s_w] has orthonormal rows or columns (its patches
 * do not overlap: each pixel is in one), and H[c,in] has orthonormal columns. So all is a kernel k_h x k_w with
 * R R' = I:  sum over t of K_t K_(t + s e)' = I for e = 0 and 0 for every other shift e   (out <= in s_h s_w), or
 * K'K = I: the convolution preserves norms                                               (out >= in s_h s_w).
 * Both when out = in s_h s_w. c = max(in, floor(out / (s_h s_w))); H is left out when c = in. At stride 1 with out > in
 * the kernel is the transposed one of in > out, tap by tap.
 *
 * Hence on Z^2 every singular value is 1. With zero padding of any width (and with circular padding where the stride
 * divides the image) the convolution is this operator between the restrictions to two finite sets of cells, so its norm
 * is at most 1; near borders it shrinks what reaches beyond them. There is no factor as for reshaped kernels
 * (nn/lip_factor.h). Dilation d replaces z by z^d, which changes nothing at stride 1, and at stride s nothing as long
 * as the s taps of R per axis lie in different residue classes modulo s: gcd(s, d) = 1. Groups are independent kernels.
 *
 * P_j = V V' with V the polar factor (nn/polar.h) of a raw matrix [c, r]; r alternates between floor(c / 2) and
 * ceil(c / 2), so that kernels are centred on average (a factor moves the picture by one cell on the image of P).
 *
 * Sources: block convolutions of Kautsky and Turcajova 1994 and Xiao et al. 2018 in the form of Li et al. 2019
 * ("Preventing gradient attenuation in Lipschitz constrained convolutional networks", BCOP); strides by a composed
 * reshaped kernel as in Boissin et al. 2025 ("An adaptive orthogonal convolution scheme ...", AOC). Not every
 * orthogonal convolution has this form (Li et al., section 4.2).
 *
 * Everything is computed in f64, single-threaded and deterministic; one object may not be used by two threads at once.
 * In f32, kernels are rounded, so that norms exceed 1 by some 1e-7: certificates bound the rounded kernel. */
#ifndef BNF_NN_ORTHO_CONV_H
#define BNF_NN_ORTHO_CONV_H

#include <banff/graph.h>

typedef struct bnf_ortho_conv_config {
    int64_t out, in; /* of all groups */
    int64_t groups, kernel[2], stride[2], dilation[2];
} bnf_ortho_conv_config;

/* Errors: BNF_ERR_UNSUPPORTED for a kernel smaller than the stride (pixels would be lost) and for gcd(stride, dilation)
 * above 1; BNF_ERR_ARG for extents below 1 or groups that do not divide the channels. */
bnf_status bnf_ortho_conv_check(const bnf_ortho_conv_config *config);

/* Elements of the raw weight: per group R, the factors along h, those along w, H, each a row-major matrix. */
int64_t bnf_ortho_conv_raw(const bnf_ortho_conv_config *config);

/* Rough cost of a forward and a backward, as bnf_constraint_cost. */
double bnf_ortho_conv_cost(const bnf_ortho_conv_config *config);

typedef struct bnf_ortho_conv bnf_ortho_conv;

/* [out] c  owned. t: type of raw weights, kernels and gradients, BNF_F32 or BNF_F64. Errors: those of the check,
 * BNF_ERR_MEMORY, BNF_ERR_UNSUPPORTED for more channels than bnf_polar_create takes. */
bnf_status bnf_ortho_conv_create(const bnf_ortho_conv_config *config, bnf_dtype t, bnf_ortho_conv **c);
void bnf_ortho_conv_destroy(bnf_ortho_conv *c); /* NULL is legal */

/* kernel[out,in/groups,kh,kw] of raw[bnf_ortho_conv_raw]. Errors: BNF_ERR_NUMERIC (bnf_polar_forward). */
bnf_status bnf_ortho_conv_forward(bnf_ortho_conv *c, const void *raw, void *kernel);
/* d_raw = (derivative of the last forward)' d_kernel. */
void bnf_ortho_conv_backward(bnf_ortho_conv *c, const void *d_kernel, void *d_raw);

/* The factory of a parameter kernel[out,in/groups,kh,kw] with a raw weight [bnf_ortho_conv_raw] that starts orthonormal
 * (with bnf_param_info.init normal: uniform over orthonormal matrices). One owner. config is borrowed until
 * bnf_params_add has copied it. */
void bnf_ortho_conv_describe(const bnf_ortho_conv_config *config, bnf_dtype t, bnf_reparam_factory *factory);

#endif
