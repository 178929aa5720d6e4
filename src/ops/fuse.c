/* ops/fuse.c - see ops/fuse.h. One function per pair. */
#include "ops/fuse.h"

#include "ops/attr.h"
#include "ops/channel_affine.h"
#include "ops/moments.h"

extern const bnf_op bnf_op_unary, bnf_op_binary;

/* v is the result of `op`: [out] use says of which. */
static bool made_by(bnf_builder *b, bnf_val v, const bnf_op *op, bnf_op_use *use)
{
    return b->producer(b, v, use) && use->op == op;
}

static bool rectifies(const bnf_op_use *use)
{
    return ((const bnf_channel_affine_attr *)use->attr)->relu != 0;
}

static bool relu_of_affine(bnf_builder *b, const bnf_val *in, bnf_val *out)
{
    bnf_op_use use;
    if (!made_by(b, in[0], &bnf_op_channel_affine, &use) || rectifies(&use))
        return false;
    *out = bnf_emit(b, &bnf_op_channel_affine, &(bnf_channel_affine_attr){.relu = 1}, use.n_in, use.in);
    return true;
}

static bool affine_plus(bnf_builder *b, bnf_val y, bnf_val r, bnf_val *out)
{
    bnf_op_use use;
    if (!made_by(b, y, &bnf_op_channel_affine, &use) || rectifies(&use) || use.n_in != 4)
        return false;
    bnf_val args[5] = {use.in[0], use.in[1], use.in[2], use.in[3], r};
    *out = bnf_emit(b, &bnf_op_channel_affine, use.attr, 5, args);
    return true;
}

static bool affine_bwd_plus_moments_bwd(bnf_builder *b, bnf_val y, bnf_val z, bnf_val *out)
{
    bnf_op_use use, moments;
    if (!made_by(b, y, &bnf_op_channel_affine_bwd, &use) || !made_by(b, z, &bnf_op_channel_moments_bwd, &moments) ||
        use.in[0].id != moments.in[0].id || use.in[1].id != moments.in[2].id)
        return false;
    bnf_val args[8] = {use.in[0], use.in[1],     use.in[2],     use.in[3],
                       use.in[4], moments.in[1], moments.in[3], moments.in[4]};
    *out = bnf_emit(b, &bnf_op_batch_norm_bwd, use.attr, 8, args);
    return true;
}

bool bnf_fuse(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in, bnf_val *out)
{
    if (!b->producer)
        return false;
    if (op == &bnf_op_unary && ((const bnf_unary_attr *)attr)->kind == BNF_UNARY_RELU)
        return relu_of_affine(b, in, out);
    if (op != &bnf_op_binary || ((const bnf_binary_attr *)attr)->kind != BNF_BINARY_ADD || n_in != 2 ||
        !bnf_desc_equal(b->desc(b, in[0]), b->desc(b, in[1])))
        return false;
    int later = in[0].id > in[1].id ? 0 : 1; /* of two that could take the other in, the one that runs later */
    return affine_plus(b, in[later], in[1 - later], out) || affine_plus(b, in[1 - later], in[later], out) ||
           affine_bwd_plus_moments_bwd(b, in[0], in[1], out);
}
