#include "data/synth_parts.h"

#include <stdio.h>

void bnf_synth_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    (void)source;
    snprintf(text, size, "generated %s sample %lld", bnf_split_name(split), (long long)index);
}

bnf_status bnf_synth_set_counts(bnf_source *source, const int64_t count[BNF_SPLIT_COUNT])
{
    if (count[BNF_TRAIN] < 1 || count[BNF_TEST] < 0)
        return bnf_fail(BNF_ERR_ARG, "%lld training and %lld test samples: at least 1 and 0",
                        (long long)count[BNF_TRAIN], (long long)count[BNF_TEST]);
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        source->count[split] = count[split];
    return BNF_OK;
}

bnf_status bnf_synth_set_canvas(bnf_source *source, int64_t height, int64_t width, double noise, double *factor)
{
    if (height < 8 || width < 8 || height > 4096 || width > 4096)
        return bnf_fail(BNF_ERR_ARG, "pictures of %lld x %lld: each side must be 8 to 4096", (long long)height,
                        (long long)width);
    if (!(noise >= 0.0 && noise <= 64.0))
        return bnf_fail(BNF_ERR_ARG, "a noise of %g grey levels: it must be 0 to 64", noise);
    source->h = height;
    source->w = width;
    *factor = noise / BNF_SYNTH_NOISE_STD;
    return BNF_OK;
}

void bnf_synth_units(bnf_philox_key key, bnf_split split, int64_t index, uint32_t blocks, double *unit)
{
    for (uint32_t k = 0; k < blocks; k++) {
        bnf_philox_block b = bnf_philox(key, bnf_philox_counter((uint32_t)split, (uint64_t)index, k));
        unit[2 * k] = bnf_philox_unit_f64(b.v[0], b.v[1]);
        unit[2 * k + 1] = bnf_philox_unit_f64(b.v[2], b.v[3]);
    }
}
