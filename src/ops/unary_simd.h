/* ops/unary_simd.h - exp, sigmoid, tanh in f32 without calls of the C library, so that loops become vector code. */
#ifndef BNF_OPS_UNARY_SIMD_H
#define BNF_OPS_UNARY_SIMD_H

#include "ops/op.h"

/* Kernel "simd" of unary: accepts f32 of those three kinds. */
bnf_status bnf_unary_simd_create(const bnf_op_inst *inst, bnf_kernel_plan *k);
void bnf_unary_simd_run(const bnf_op_inst *inst, const bnf_kernel_plan *k, const bnf_run_ctx *ctx,
                        const void *const *in, void *const *out, void *scratch);

#endif
