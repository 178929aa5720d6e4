/* ops/pool2d_quad.c - pooling over 2x2 windows with stride 2 and no padding: vectors along the channels, every cell
 * read once. */
#include "base/simd.h"
#include "ops/pool2d.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#define BNF_REAL_BF16
#define BNF_REAL_SOURCE "ops/pool2d_quad.inc"
#include "ops/both_reals.inc"

static bool is_quads(const bnf_pool2d_shape *s)
{
    static const int64_t none[4] = {0};
    return s->window[0] == 2 && s->window[1] == 2 && s->stride[0] == 2 && s->stride[1] == 2 &&
           memcmp(s->pad, none, sizeof none) == 0;
}

bnf_status bnf_pool2d_quad_create(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    (void)k;
    bnf_pool2d_shape s = bnf_pool2d_shape_of(inst);
    bool select = inst->op == &bnf_op_pool2d && inst->n_in == 3;
    return is_quads(&s) && !select ? BNF_OK : BNF_ERR_UNSUPPORTED;
}

void bnf_pool2d_quad(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    bnf_pool2d_shape s = bnf_pool2d_shape_of(inst);
    const void *x = inst->n_in == 3 ? in[1] : NULL, *y = inst->n_in == 3 ? in[2] : NULL;
    if (inst->op == &bnf_op_pool2d)
        BNF_VALUE_CALL(inst->in[0].dtype, forward, &s, in[0], out[0]);
    else
        BNF_VALUE_CALL(inst->in[0].dtype, backward, &s, in[0], x, y, out[0]);
}
