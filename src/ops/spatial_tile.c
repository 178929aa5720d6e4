/* ops/spatial_tile.c - a vector at every position of an image, and where the position is:
 *
 *     spatial_tile  (z[N,K])  -> y[N,H,W,K+2]
 *
 * y[n,i,j] = (z[n], x_j, y_i), where x_j goes from -1 to 1 in equal steps from the first column to the last, and y_i
 * from the first row to the last; with one position it is -1. */
#include "ops/attr.h"
#include "ops/infer.h"

#define BNF_REAL_SOURCE "ops/spatial_tile.inc"
#include "ops/both_reals.inc"

static bnf_status tile_infer(bnf_op_inst *inst)
{
    const bnf_spatial_tile_attr *a = inst->attr;
    const bnf_desc *z = &inst->in[0];
    BNF_TRY(bnf_infer_reals(inst, 1));
    if (z->ndim != 2)
        return bnf_op_fail(inst, "needs vectors [N,K]");
    if (a->image[0] < 1 || a->image[1] < 1)
        return bnf_op_fail(inst, "an image of %lld x %lld positions", (long long)a->image[0], (long long)a->image[1]);
    inst->out[0] = bnf_desc_4d(z->dtype, z->dim[0], a->image[0], a->image[1], z->dim[1] + 2);
    return BNF_OK;
}

static void tile_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                     void *const *out, void *scratch)
{
    (void)k, (void)ctx, (void)scratch;
    const bnf_spatial_tile_attr *a = inst->attr;
    const bnf_desc *z = &inst->in[0];
    BNF_REAL_CALL(z->dtype, spatial_tile, z->dim[0], a->image[0], a->image[1], z->dim[1], in[0], out[0]);
}

/* dz is the sum over the positions of the first K channels of dy. */
static void tile_vjp(bnf_builder *b, const bnf_op_inst *inst, const bnf_val *in, const bnf_val *out,
                     const bnf_val *dout, bnf_val *din)
{
    (void)in, (void)out;
    const bnf_desc *z = &inst->in[0];
    const bnf_spatial_tile_attr *a = inst->attr;
    din[0] = bnf_global_avg(b, bnf_slice(b, dout[0], 0, z->dim[1]), (double)(a->image[0] * a->image[1]));
}

static const bnf_kernel tile_kernels[] = {{"ref", NULL, tile_run, NULL}, {0}};
extern const bnf_op bnf_op_spatial_tile;
const bnf_op bnf_op_spatial_tile = {.name = "spatial_tile",
                                    .n_in_min = 1,
                                    .n_in_max = 1,
                                    .n_out = 1,
                                    .attr_size = sizeof(bnf_spatial_tile_attr),
                                    .infer = tile_infer,
                                    .vjp = tile_vjp,
                                    .kernels = tile_kernels,
                                    .flags = BNF_OP_BY_SAMPLE};

bnf_val bnf_spatial_tile(bnf_builder *b, bnf_val z, int64_t h, int64_t w)
{
    return bnf_emit(b, &bnf_op_spatial_tile, &(bnf_spatial_tile_attr){.image = {h, w}}, 1, &z);
}
