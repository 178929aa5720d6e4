/* Element types and the version of the library. */
#include <banff/base.h>

#include "base/assert.h"

size_t bnf_dtype_size(bnf_dtype t)
{
    static const size_t sizes[BNF_DTYPE_COUNT] = {
        [BNF_F32] = 4, [BNF_F64] = 8, [BNF_I32] = 4, [BNF_I64] = 8, [BNF_U8] = 1, [BNF_BF16] = 2};
    BNF_ASSERT((unsigned)t < BNF_DTYPE_COUNT);
    return sizes[t];
}

const char *bnf_dtype_name(bnf_dtype t)
{
    static const char *const names[BNF_DTYPE_COUNT] = {[BNF_F32] = "f32", [BNF_F64] = "f64", [BNF_I32] = "i32",
                                                       [BNF_I64] = "i64", [BNF_U8] = "u8",   [BNF_BF16] = "bf16"};
    BNF_ASSERT((unsigned)t < BNF_DTYPE_COUNT);
    return names[t];
}

const char *bnf_version(void)
{
    return BNF_VERSION_STRING;
}
