/* op/harness/immediate.c - see op/immediate.h. */
#include "op/immediate.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

enum { MAX_VALUES = 4096 };

/* One array and, where it was computed, how. `attr` is a copy that inst.attr points to. */
struct value {
    bnf_desc desc;
    bnf_op_inst inst;
    bool needs_grad;
    void *data, *attr;
};

struct bnf_immediate {
    bnf_builder face; /* first: the builder pointer is the object */
    bnf_status status;
    bnf_run_ctx ctx;
    uint32_t layer;
    int count;
    struct value *values[MAX_VALUES];
};

static struct value *value_of(const bnf_builder *b, bnf_val v)
{
    const bnf_immediate *im = (const bnf_immediate *)b;
    BNF_ASSERT(v.id >= 0 && v.id < im->count);
    return im->values[v.id];
}

/* A new value without content. */
static bnf_status add_value(bnf_immediate *im, const bnf_desc *desc, bool needs_grad, bnf_val *out)
{
    struct value *v;
    BNF_ASSERT(im->count < MAX_VALUES);
    BNF_TRY(bnf_calloc(1, sizeof *v, "immediate value", &v));
    v->desc = *desc;
    v->needs_grad = needs_grad;
    bnf_status s = bnf_alloc(bnf_desc_bytes(desc), "immediate array", &v->data);
    if (s != BNF_OK) {
        bnf_free(v);
        return s;
    }
    im->values[im->count] = v;
    out->id = im->count++;
    return BNF_OK;
}

static bnf_status run_reference(const bnf_immediate *im, const bnf_op_inst *inst, const void *const *in,
                                void *const *out)
{
    bnf_kernel_plan plan;
    void *scratch = NULL;
    BNF_TRY(bnf_op_choose(inst, true, &plan));
    bnf_status s = bnf_alloc(plan.scratch_bytes, "scratch", &scratch);
    if (s == BNF_OK)
        plan.kernel->run(inst, &plan, &im->ctx, in, out, scratch);
    bnf_free(scratch);
    if (plan.kernel->destroy)
        plan.kernel->destroy(&plan);
    return s;
}

static bnf_status infer(bnf_immediate *im, const bnf_op *op, const void *attr, int n_in, const bnf_val *in,
                        bnf_op_inst *inst)
{
    if (n_in < op->n_in_min || n_in > op->n_in_max)
        return bnf_fail(BNF_ERR_ARG, "%s: %d inputs", op->name, n_in);
    *inst = (bnf_op_inst){.op = op, .attr = attr, .n_in = n_in, .n_out = op->n_out, .layer = im->layer++, .threads = 1};
    for (int i = 0; i < n_in; i++)
        inst->in[i] = value_of(&im->face, in[i])->desc;
    return op->infer(inst);
}

static bnf_status compute(bnf_immediate *im, const bnf_op *op, const void *attr, int n_in, const bnf_val *in,
                          bnf_val *out)
{
    bnf_op_inst inst;
    const void *src[BNF_OP_MAX_IN];
    void *dst[BNF_OP_MAX_OUT];
    bool needs_grad = false;
    BNF_TRY(infer(im, op, attr, n_in, in, &inst));
    for (int i = 0; i < n_in; i++) {
        src[i] = value_of(&im->face, in[i])->data;
        needs_grad = needs_grad || value_of(&im->face, in[i])->needs_grad;
    }
    for (int i = 0; i < op->n_out; i++) {
        BNF_TRY(add_value(im, &inst.out[i], needs_grad, &out[i]));
        struct value *v = value_of(&im->face, out[i]);
        BNF_TRY(bnf_alloc(op->attr_size, "attribute", &v->attr));
        if (op->attr_size)
            memcpy(v->attr, attr, op->attr_size);
        v->inst = inst;
        v->inst.attr = op->attr_size ? v->attr : NULL;
        dst[i] = v->data;
    }
    if (op->flags & (BNF_OP_ALIAS | BNF_OP_BATCH_SUM)) {
        memcpy(dst[0], src[0], bnf_desc_bytes(&inst.in[0]));
        return BNF_OK;
    }
    return run_reference(im, &inst, src, dst);
}

static bnf_status emit(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in, bnf_val *out)
{
    bnf_immediate *im = (bnf_immediate *)b;
    if (im->status == BNF_OK)
        im->status = compute(im, op, attr, n_in, in, out);
    return im->status;
}

static const bnf_desc *desc(const bnf_builder *b, bnf_val v)
{
    return &value_of(b, v)->desc;
}

static bool needs_grad(const bnf_builder *b, bnf_val v)
{
    return value_of(b, v)->needs_grad;
}

static bnf_val constant(bnf_builder *b, double value)
{
    bnf_desc d = bnf_desc_1d(b->real, 1);
    float value_f32 = (float)value;
    return bnf_immediate_value((bnf_immediate *)b, &d, b->real == BNF_F32 ? (void *)&value_f32 : (void *)&value, false);
}

bnf_status bnf_immediate_create(bnf_dtype real, bnf_immediate **im)
{
    BNF_TRY(bnf_calloc(1, sizeof **im, "immediate builder", im));
    (*im)->face = (bnf_builder){
        .emit = emit, .desc = desc, .needs_grad = needs_grad, .constant = constant, .real = real, .leaves = 1};
    return BNF_OK;
}

void bnf_immediate_destroy(bnf_immediate *im)
{
    if (!im)
        return;
    for (int i = 0; i < im->count; i++) {
        bnf_free(im->values[i]->data);
        bnf_free(im->values[i]->attr);
        bnf_free(im->values[i]);
    }
    bnf_free(im);
}

bnf_builder *bnf_immediate_builder(bnf_immediate *im)
{
    return &im->face;
}

bnf_val bnf_immediate_value(bnf_immediate *im, const bnf_desc *d, const void *data, bool wants_grad)
{
    bnf_val v = BNF_NONE;
    bnf_status s = add_value(im, d, wants_grad, &v);
    if (s == BNF_OK)
        memcpy(value_of(&im->face, v)->data, data, bnf_desc_bytes(d));
    else if (im->status == BNF_OK)
        im->status = s;
    return v;
}

const void *bnf_immediate_data(const bnf_immediate *im, bnf_val v)
{
    return value_of(&im->face, v)->data;
}

bnf_status bnf_immediate_status(const bnf_immediate *im)
{
    return im->status;
}

void bnf_immediate_locate(bnf_immediate *im, uint64_t seed, int64_t step, int64_t first_sample)
{
    im->ctx.seed = seed;
    im->ctx.step = step;
    im->ctx.first_sample = first_sample;
}

void bnf_immediate_set_layer(bnf_immediate *im, uint32_t layer)
{
    im->layer = layer;
}

const bnf_op_inst *bnf_immediate_inst(const bnf_immediate *im, bnf_val v)
{
    const struct value *value = value_of(&im->face, v);
    return value->inst.op ? &value->inst : NULL;
}
