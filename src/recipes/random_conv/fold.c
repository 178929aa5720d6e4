/* recipes/random_conv/fold.c - kernels as products of combinations and filters. */
#include "recipes/random_conv/fold.h"

#include "base/mem.h"
#include "base/philox.h"
#include "la/blas.h"

#include <math.h>

#define STREAM_FILTERS (BNF_STREAM_RECIPE + 70) /* key by layer, counter (0, block of four elements, 0) */

typedef struct folded {
    bnf_random_conv_fold fold;
    bnf_dtype real;
    void *filters; /* [filters, fan_in] if they are frozen */
} folded;

double bnf_random_conv_bound(int64_t fan_in)
{
    return 1 / sqrt((double)fan_in);
}

/* What elements 4 block, ..., 4 block + 3 of a layer's filters are made of. */
static bnf_philox_block block_of(uint64_t seed, uint64_t layer, int64_t block)
{
    bnf_philox_key key = bnf_philox_key_layer(bnf_philox_key_make(seed, STREAM_FILTERS), layer);
    return bnf_philox(key, bnf_philox_counter(0, (uint64_t)block, 0));
}

static double element(double bound, const bnf_philox_block *b, int64_t i)
{
    return bound * (2 * (double)bnf_philox_unit_f32(b->v[i % 4]) - 1);
}

double bnf_random_conv_filter(uint64_t seed, uint64_t layer, int64_t fan_in, int64_t i)
{
    bnf_philox_block b = block_of(seed, layer, i / 4);
    return element(bnf_random_conv_bound(fan_in), &b, i);
}

/* w[filters * fan_in]; one call of the generator for four elements. */
static void draw_filters(const bnf_random_conv_fold *f, bnf_dtype real, void *w)
{
    double bound = bnf_random_conv_bound(f->fan_in);
    bnf_philox_block b = {{0}};
    for (int64_t i = 0; i < f->filters * f->fan_in; i++) {
        if (i % 4 == 0)
            b = block_of(f->seed, f->layer, i / 4);
        double v = element(bound, &b, i);
        if (real == BNF_F32)
            ((float *)w)[i] = (float)v;
        else
            ((double *)w)[i] = v;
    }
}

/* Learned filters begin as the frozen ones of the same seed, so that both arms start from the same network. */
static bnf_status init(const void *config, const bnf_desc *raw, double *w)
{
    const bnf_random_conv_fold *f = config;
    (void)raw;
    for (int64_t i = 0; i < f->out * f->filters; i++)
        w[i] *= bnf_random_conv_bound(f->filters);
    if (!f->frozen)
        draw_filters(f, BNF_F64, w + f->out * f->filters);
    return BNF_OK;
}

static const void *filters_of(const folded *self, const void *raw)
{
    int64_t before = self->fold.out * self->fold.filters;
    return self->filters ? self->filters : (const char *)raw + before * (int64_t)bnf_dtype_size(self->real);
}

static bnf_status forward(void *self, const void *raw, void *effective)
{
    const folded *s = self;
    const bnf_random_conv_fold *f = &s->fold;
    bnf_la_gemm(s->real, false, false, f->out, f->fan_in, f->filters, 1, raw, f->filters, filters_of(s, raw), f->fan_in,
                0, effective, f->fan_in);
    return BNF_OK;
}

static bnf_status backward(void *self, const void *raw, const void *d_effective, void *d_raw)
{
    const folded *s = self;
    const bnf_random_conv_fold *f = &s->fold;
    bnf_la_gemm(s->real, false, true, f->out, f->filters, f->fan_in, 1, d_effective, f->fan_in, filters_of(s, raw),
                f->fan_in, 0, d_raw, f->filters);
    if (!f->frozen)
        bnf_la_gemm(s->real, true, false, f->filters, f->fan_in, f->out, 1, raw, f->filters, d_effective, f->fan_in, 0,
                    (char *)d_raw + f->out * f->filters * (int64_t)bnf_dtype_size(s->real), f->fan_in);
    return BNF_OK;
}

static void destroy(void *self)
{
    folded *s = self;
    bnf_free(s->filters);
    bnf_free(s);
}

static bnf_status make(const void *config, const bnf_desc *desc, bnf_reparam *made)
{
    folded *s;
    BNF_TRY(bnf_calloc(1, sizeof *s, "folded convolution", &s));
    *s = (folded){.fold = *(const bnf_random_conv_fold *)config, .real = desc->dtype};
    if (s->fold.frozen) {
        size_t bytes = (size_t)(s->fold.filters * s->fold.fan_in) * bnf_dtype_size(s->real);
        bnf_status status = bnf_alloc(bytes, "random filters", &s->filters);
        if (status != BNF_OK) {
            destroy(s);
            return status;
        }
        draw_filters(&s->fold, s->real, s->filters);
    }
    *made = (bnf_reparam){.self = s, .forward = forward, .backward = backward, .destroy = destroy};
    return BNF_OK;
}

void bnf_random_conv_describe(const bnf_random_conv_fold *fold, bnf_dtype real, bnf_reparam_factory *factory)
{
    double product = 2.0 * (double)fold->out * (double)fold->filters * (double)fold->fan_in;
    int64_t p = fold->out * fold->filters;
    *factory = (bnf_reparam_factory){
        .name = fold->frozen ? "fold_frozen" : "fold",
        .cost = (fold->frozen ? 2 : 3) * product,
        .config = fold,
        .config_size = sizeof *fold,
        .raw = fold->frozen ? bnf_desc_2d(real, fold->out, fold->filters)
                            : bnf_desc_1d(real, p + fold->filters * fold->fan_in),
        .init = init,
        .make = make,
    };
}
