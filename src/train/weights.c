/* train/weights.c - looks at all weights. */
#include "train/weights.h"

#include <math.h>
#include <stdbool.h>

/* x - x is 0 for numbers and NaN for the rest; sums of it are quick to compute. */
static bool finite_f32(const float *x, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] - x[i];
    return sum == 0;
}

const char *bnf_weights_not_finite(bnf_params *params)
{
    for (int i = 0; i < bnf_params_count(params); i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        if (info->desc.dtype == BNF_F32 && !finite_f32(bnf_params_value(params, i), bnf_desc_count(&info->desc)))
            return info->name;
    }
    return NULL;
}

int64_t bnf_weights_bytes(bnf_params *params)
{
    int64_t bytes = 0;
    for (int i = 0; i < bnf_params_count(params); i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        size_t value = bnf_desc_bytes(&info->desc), raw = bnf_desc_bytes(bnf_param_raw_desc(info));
        bytes += (int64_t)(raw > value ? raw : value);
    }
    return bytes;
}
