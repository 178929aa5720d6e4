/* ops/linear_dnnl.c - oneDNN kernels of conv2d and dense. */
#include "ops/linear_dnnl.h"

#include "base/mem.h"

typedef struct linear_state {
    bnf_dnnl *prim;
    bnf_dnnl_pass pass;
    bool bias;
    const bnf_pack *convert; /* not NULL: run() packs w, or unpacks dw, itself; borrowed from prim */
} linear_state;

bnf_status bnf_linear_dnnl_create(const bnf_op_inst *inst, const bnf_dnnl_spec *spec, bnf_kernel_plan *k)
{
    linear_state *s = NULL;
    bnf_status st;
    BNF_TRY_GOTO(st, bnf_calloc(1, sizeof *s, "oneDNN kernel", &s), fail);
    s->pass = spec->pass;
    s->bias = spec->bias.ndim > 0;
    BNF_TRY_GOTO(st, bnf_dnnl_create(spec, inst->threads, &s->prim), fail);
    k->state = s;
    k->scratch_bytes = bnf_dnnl_scratch_bytes(s->prim);
    const bnf_pack *pack = bnf_dnnl_pack(s->prim);
    if (!pack)
        return BNF_OK;
    if (s->pass == BNF_DNNL_BWD_WEIGHTS && inst->out_may_pack[0])
        k->out_pack[0] = pack;
    else if (s->pass != BNF_DNNL_BWD_WEIGHTS && inst->in_is_param[1])
        k->in_pack[1] = pack;
    else {
        s->convert = pack;
        k->scratch_bytes += pack->bytes; /* behind the primitive's own, whose size is a multiple of 64 */
    }
    return BNF_OK;
fail:
    bnf_free(s);
    return st;
}

/* The primitive's arguments are not const; those that a pass reads it does not write. */
static void *readable(const void *p)
{
    return (void *)(uintptr_t)p;
}

void bnf_linear_dnnl_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                         const void *const *in, void *const *out, void *scratch)
{
    linear_state *s = k->state;
    void *ptr[BNF_DNNL_ROLES] = {NULL};
    void *packed = (char *)scratch + bnf_dnnl_scratch_bytes(s->prim);
    if (s->pass == BNF_DNNL_BWD_WEIGHTS) {
        ptr[BNF_DNNL_SRC] = readable(in[0]);
        ptr[BNF_DNNL_DST] = readable(in[1]);
        ptr[BNF_DNNL_WEIGHTS] = s->convert ? packed : out[0];
        ptr[BNF_DNNL_BIAS] = out[1];
    } else {
        bool forward = s->pass == BNF_DNNL_FORWARD;
        ptr[BNF_DNNL_SRC] = forward ? readable(in[0]) : out[0];
        ptr[BNF_DNNL_WEIGHTS] = s->convert ? packed : readable(in[1]);
        ptr[BNF_DNNL_BIAS] = s->bias ? readable(in[2]) : NULL;
        ptr[BNF_DNNL_DST] = forward ? out[0] : readable(in[0]);
        if (s->convert)
            s->convert->pack(s->convert, in[1], packed);
    }
    bnf_dnnl_run(s->prim, ctx->thread, ptr, scratch);
    if (s->pass != BNF_DNNL_BWD_WEIGHTS)
        return;
    if (s->convert)
        s->convert->unpack(s->convert, packed, out[0]);
    if (!s->bias)
        *(float *)out[1] = 0; /* out[1] is [1] then */
    (void)inst;
}

void bnf_linear_dnnl_destroy(bnf_kernel_plan *k)
{
    linear_state *s = k->state;
    bnf_dnnl_destroy(s->prim);
    bnf_free(s);
}
