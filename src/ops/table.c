/* ops/table.c - the list of operations and what all of them share. */
#include "ops/op.h"
#include "ops/wide.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BNF_OP(name) extern const bnf_op bnf_op_##name;
#include "ops/table.inc"
#undef BNF_OP

const bnf_op *const bnf_op_table[] = {
#define BNF_OP(name) &bnf_op_##name,
#include "ops/table.inc"
#undef BNF_OP
};
const int bnf_op_table_size = (int)(sizeof bnf_op_table / sizeof bnf_op_table[0]);

const bnf_op *bnf_op_find(const char *name)
{
    for (int i = 0; i < bnf_op_table_size; i++)
        if (strcmp(bnf_op_table[i]->name, name) == 0)
            return bnf_op_table[i];
    return NULL;
}

const bnf_desc *bnf_val_desc(const bnf_builder *b, bnf_val v)
{
    return b->desc(b, v);
}

bool bnf_needs_grad(const bnf_builder *b, bnf_val v)
{
    return bnf_val_ok(v) && b->needs_grad(b, v);
}

bnf_val bnf_const(bnf_builder *b, double value)
{
    return b->constant(b, value);
}

void bnf_emit_multi(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in, bnf_val *out)
{
    for (int i = 0; i < op->n_out; i++)
        out[i] = BNF_NONE;
    for (int i = 0; i < n_in; i++)
        if (!bnf_val_ok(in[i]))
            return; /* an earlier error is already recorded */
    if (b->emit(b, op, attr, n_in, in, out) != BNF_OK)
        for (int i = 0; i < op->n_out; i++)
            out[i] = BNF_NONE;
}

bnf_val bnf_emit(bnf_builder *b, const bnf_op *op, const void *attr, int n_in, const bnf_val *in)
{
    bnf_val out[BNF_OP_MAX_OUT];
    bnf_emit_multi(b, op, attr, n_in, in, out);
    return out[0];
}

/* The first kernel of a list that takes the use. BNF_ERR_UNSUPPORTED without a message: none. */
static bnf_status choose_from(const bnf_op_inst *inst, const bnf_kernel *list, bnf_kernel_plan *plan)
{
    for (const bnf_kernel *k = list; k && k->name; k++) {
        *plan = (bnf_kernel_plan){.kernel = k};
        bnf_status s = k->create ? k->create(inst, plan) : BNF_OK;
        if (s == BNF_OK)
            return BNF_OK;
        *plan = (bnf_kernel_plan){0}; /* a failed create has nothing to destroy */
        if (s != BNF_ERR_UNSUPPORTED)
            return bnf_fail_context(s, "kernel %s of %s", k->name, inst->op->name);
        bnf_error_clear();
    }
    return BNF_ERR_UNSUPPORTED;
}

bnf_status bnf_op_choose(const bnf_op_inst *inst, bool reference, bnf_kernel_plan *k)
{
    bool bf16 = bnf_inst_has_bf16(inst);
    const bnf_kernel *list = inst->op->kernels;
    while (reference && list[1].name)
        list++;
    bnf_status s = bf16 && !reference ? choose_from(inst, inst->op->bf16_kernels, k) : BNF_ERR_UNSUPPORTED;
    if (s == BNF_ERR_UNSUPPORTED)
        s = choose_from(inst, !bf16 ? list : reference ? bnf_wide_ref_kernels : bnf_wide_kernels, k);
    if (s != BNF_ERR_UNSUPPORTED)
        return s;
    char shape[96];
    return bnf_fail(BNF_ERR_UNSUPPORTED, "no kernel of %s takes %s", inst->op->name,
                    bnf_desc_format(&inst->in[0], shape, sizeof shape));
}

bnf_status bnf_op_fail(const bnf_op_inst *inst, const char *format, ...)
{
    char text[512], shape[96];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (int i = 0; i < inst->n_in && n >= 0 && n < (int)sizeof text; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s%s", i ? ", " : " (inputs ",
                      bnf_desc_format(&inst->in[i], shape, sizeof shape), i + 1 == inst->n_in ? ")" : "");
    return bnf_fail(BNF_ERR_ARG, "%s: %s", inst->op->name, text);
}
