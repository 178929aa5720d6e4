/* la/conv_norm.h - proven upper bounds of the norm of a convolution, not of its kernel as a matrix. Local,
 * single-threaded, deterministic; the workspace is allocated.
 *
 * y(p) = sum_t K_t x(s p + d t) on images over all of Z^2, K_t[out,in] the taps of w[out,in,kh,kw]. With zero padding
 * of any width the convolution is a compression of this operator (x is extended by zeros, of y some positions are
 * kept), so its norm is not larger. Per axis: s and d may be divided by their greatest common divisor g, as only every
 * g-th cell of x matters; with s = 1 left, d = 1 has the same norm. Then d t = s q + r with 0 <= r < s makes it a
 * convolution of stride 1 with taps X_q on the s_h s_w phases of the image as channels, which is the same image
 * reordered. Degree n = floor(d (k - 1) / s) per axis.
 *
 * With X(v) = sum_q X_q e^(i q v), the norm is the largest ||X(v)||_2 over angles v in [0, 2 pi)^2, and X(v) X(v)* =
 * G(v) = sum_t G_t e^(i t v), G_t = sum_q X_(q+t) X_q' (or X_q' X_(q+t), whichever is smaller). So norm^2 is the
 * largest eigenvalue M of G(v) over all v.
 *
 * "shifts": M <= lambda_max(G_0) + sum over t != 0 of ||G_t||_F, by the triangle inequality. Exact for orthogonal
 * kernels, where G_0 = I and the rest is zero.
 *
 * "grid": for a unit vector u, p(v) = u* G(v) u - m / 2 with m = the largest eigenvalue on the points of an equispaced
 * grid of N_h x N_w angles is a real trigonometric polynomial of degree n_h, n_w, and |p| <= m / 2 on the grid as 0 <=
 * u* G u <= m there. In one variable a polynomial of degree n <= N / 2 has max |p| <= max over grid |p| / cos(n pi /
 * N): between a place where |p| is largest and the next grid point lie at most pi / N, and there |p| is at least cos(n
 * pi / N) of it (M. Riesz 1914; Ehlich and Zeller 1964). Applied to one variable after the other: M <= m / 2 (1 + 1 /
 * (cos(n_h pi / N_h) cos(n_w pi / N_w))). With N = 16 n per axis the bound of the norm is within 1.0 % of the truth,
 * with 32 n within 0.25 %, with 4 n within 23 %.
 *
 * m is proven by Cholesky factorisations of tau I - [Re G, -Im G; Im G, Re G] in f64 at every grid point (la/svd.h);
 * since G(-v) is the conjugate of G(v), half the points do. Rounding errors: with A = sum_q |X_q| elementwise, sum_t
 * |G_t| <= A A', so every computed entry of G(v) is off by at most eps (A A')_ij, eps = 2 (gamma_L + gamma_T + 2^-48),
 * where L is the number of products in an entry of a G_t, T the number of shifts, and 2^-48 bounds the error of the
 * computed cosines and sines (the C library's are taken to be right to within 4 units in the last place). In the 2-norm
 * the real matrix above is off by at most 2 eps ||A||_F^2. All further operations are rounded outward. */
#ifndef BNF_LA_CONV_NORM_H
#define BNF_LA_CONV_NORM_H

#include <banff/base.h>

/* One group. */
typedef struct bnf_la_conv {
    int64_t out, in, kernel[2], stride[2], dilation[2];
} bnf_la_conv;

typedef enum bnf_la_conv_by { BNF_LA_CONV_NOTHING, BNF_LA_CONV_SHIFTS, BNF_LA_CONV_GRID } bnf_la_conv_by;

typedef struct bnf_la_conv_bound {
    double norm;       /* INFINITY where nothing was computed */
    bnf_la_conv_by by; /* what gave it */
    int64_t grid[2];   /* GRID: points per axis */
} bnf_la_conv_bound;

/* The smaller of both bounds for w[out,in,kh,kw] f32. The products G_t may take 2e10 floating-point operations, times
 * `share` in (0, 1] (of one group among many), and 256 MiB; beyond that nothing is computed. The grid may take 6e10
 * times share: it is made coarser, and left out where 4 points per degree are too many. Errors: BNF_ERR_MEMORY;
 * BNF_ERR_NUMERIC for NaN or infinity. */
bnf_status bnf_la_conv_norm_upper(const bnf_la_conv *conv, const float *w, double share, bnf_la_conv_bound *bound);

/* [out] upper  the same for the kernel |w|: as its entries are not negative, the largest X(v) is X(0), so this is a
 * bound
 *              of ||sum_q X_q||_2 (la/svd.h). Errors: those of bnf_la_norm2_upper. */
bnf_status bnf_la_conv_abs_upper(const bnf_la_conv *conv, const float *w, double *upper);

#endif
