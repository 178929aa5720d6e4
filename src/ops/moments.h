/* ops/moments.h - what channel_moments's gradient shares with the operation that takes it together with
 * channel_affine's. */
#ifndef BNF_OPS_MOMENTS_H
#define BNF_OPS_MOMENTS_H

#include "ops/op.h"

extern const bnf_op bnf_op_channel_moments, bnf_op_channel_moments_bwd;

/* An element of channel_moments' gradient, in one order of rounding wherever it is computed. */
#define MOMENTS_TERM(i) (w[n] * (g1[i] + (LOAD(x[i]) - k[i]) * (2 * g2[i])))

/* x[N,...,C], then w[N], then (from input 2 to `last`) [C] each. Errors: BNF_ERR_ARG. */
bnf_status bnf_moments_check(const bnf_op_inst *inst, int last);

/* The gradients of z = w (g1 + 2 (x - k) g2), for dout dz, added to those that din[] has: in = x, w, k, g1, g2. */
void bnf_moments_bwd_vjp(bnf_builder *b, const bnf_val *in, bnf_val dz, bnf_val *din);

/* a + b, of which either may be missing. */
static inline bnf_val bnf_plus(bnf_builder *b, bnf_val x, bnf_val y)
{
    return !bnf_val_ok(x) ? y : !bnf_val_ok(y) ? x : bnf_add(b, x, y);
}

#endif
