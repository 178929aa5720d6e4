/* nn/lip_factor.c */
#include "nn/lip_factor.h"

#include "base/assert.h"
#include "base/gcd.h"

#include <math.h>
#include <string.h>

/* Largest number of patches that hold one pixel, along one axis. */
static int64_t patches_per_pixel(int64_t kernel, int64_t stride, int64_t dilation)
{
    int64_t period = stride / bnf_gcd(stride, dilation);
    return (kernel + period - 1) / period;
}

/* Taps that fall inside the image, summed over output positions and divided by the extent: the published average. */
static double published_mean(int64_t kernel, int64_t extent)
{
    double half = (double)(kernel - 1) / 2.0;
    return ((double)(kernel * extent) - half * (half + 1.0)) / (double)extent;
}

bnf_status bnf_lip_factor(bnf_lip_factor_kind kind, const bnf_conv_geometry *g, double *factor)
{
    if (g->kernel_h < 1 || g->kernel_w < 1 || g->stride_h < 1 || g->stride_w < 1 || g->dilation_h < 1 ||
        g->dilation_w < 1)
        return bnf_fail(BNF_ERR_ARG, "Lipschitz factor: kernel, stride and dilation must be at least 1");
    if (kind == BNF_LIP_FACTOR_PUBLISHED && (g->dilation_h != 1 || g->dilation_w != 1))
        return bnf_fail(BNF_ERR_UNSUPPORTED, "the published Lipschitz factor is not defined for dilated convolutions");
    if (kind == BNF_LIP_FACTOR_PUBLISHED && g->stride_h == 1 && g->stride_w == 1) {
        if (g->in_h < 1 || g->in_w < 1)
            return bnf_fail(BNF_ERR_ARG, "the published Lipschitz factor needs the extents of the input image");
        double mean = published_mean(g->kernel_h, g->in_h) * published_mean(g->kernel_w, g->in_w);
        if (!(mean > 0.0))
            return bnf_fail(BNF_ERR_ARG,
                            "the published Lipschitz factor is not defined for a kernel this much larger than "
                            "the image");
        *factor = 1.0 / sqrt(mean);
        return BNF_OK;
    }
    int64_t n = patches_per_pixel(g->kernel_h, g->stride_h, g->dilation_h) *
                patches_per_pixel(g->kernel_w, g->stride_w, g->dilation_w);
    *factor = 1.0 / sqrt((double)n);
    return BNF_OK;
}

static const char *const kind_names[] = {
    [BNF_LIP_FACTOR_EXACT_BOUND] = "exact_bound",
    [BNF_LIP_FACTOR_PUBLISHED] = "published",
};

const char *bnf_lip_factor_kind_name(bnf_lip_factor_kind kind)
{
    BNF_ASSERT(kind == BNF_LIP_FACTOR_EXACT_BOUND || kind == BNF_LIP_FACTOR_PUBLISHED);
    return kind_names[kind];
}

bnf_status bnf_lip_factor_kind_parse(const char *name, bnf_lip_factor_kind *kind)
{
    for (int k = 0; k < (int)(sizeof kind_names / sizeof *kind_names); k++)
        if (strcmp(name, kind_names[k]) == 0) {
            *kind = (bnf_lip_factor_kind)k;
            return BNF_OK;
        }
    return bnf_fail(BNF_ERR_CONFIG, "'%s' is not a Lipschitz factor; valid: exact_bound, published", name);
}
