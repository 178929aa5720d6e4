/* ops/channel_affine.h - operations of batch normalisation, for those that join them (ops/fuse.c). */
#ifndef BNF_OPS_CHANNEL_AFFINE_H
#define BNF_OPS_CHANNEL_AFFINE_H

#include "ops/op.h"

extern const bnf_op bnf_op_channel_affine, bnf_op_channel_affine_bwd, bnf_op_batch_norm_bwd;

#endif
