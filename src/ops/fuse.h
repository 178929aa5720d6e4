/* ops/fuse.h - pairs of operations that have a joint form. */
#ifndef BNF_OPS_FUSE_H
#define BNF_OPS_FUSE_H

#include "ops/op.h"

/* If the operation that is about to be emitted and the one that made one of its inputs have a joint form, emits that
 * into `b` and returns true, with the result in *out; what it replaces is then read by nobody and never runs. The joint
 * form rounds in the same order: no bit changes. Needs b->producer; without it nothing is joined.
 *
 *   relu(channel_affine)                          -> channel_affine with a rectifier
 *   channel_affine + r                            -> channel_affine with a residual
 *   channel_affine_bwd + channel_moments_bwd      -> batch_norm_bwd */
bool bnf_fuse(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in, bnf_val *out);

#endif
