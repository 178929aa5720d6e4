/* ops/wide.h - bf16 uses of an operation by its f32 kernels: bf16 arrays are converted on the way in and out, through
 * scratch memory. Results are rounded once. Operations that work piece by piece (BNF_OP_BY_...) are run so, in pieces
 * that stay in the cache. */
#ifndef BNF_OPS_WIDE_H
#define BNF_OPS_WIDE_H

#include "ops/op.h"

/* Lists of one kernel. "wide": by the first f32 kernel that takes the use; "wide ref": by the reference. */
extern const bnf_kernel bnf_wide_kernels[], bnf_wide_ref_kernels[];

/* Whether an array of the use is bf16. */
bool bnf_inst_has_bf16(const bnf_op_inst *inst);

#endif
